/* blockattn tokenize: text to token ids, with nothing but the vocabulary of a model. */
#include "experiments/options/options.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

enum { MAX_TEXT = 1 << 30 };

/* A character that a terminal shows as itself. */
static bool printable(int32_t code) {
    utf8proc_category_t c = utf8proc_category(code);
    return code == ' ' || (c != UTF8PROC_CATEGORY_CN && c < UTF8PROC_CATEGORY_ZS);
}

/* Writes bytes in double quotes, so that spaces and parts of characters are visible. quote: how a quote inside is
 * written. */
static void print_quoted(const char *s, size_t n, const char *quote) {
    putchar('"');
    for (size_t i = 0, len; i < n; i += len) {
        utf8proc_int32_t code = -1;
        utf8proc_ssize_t got = utf8proc_iterate((const utf8proc_uint8_t *)s + i, (utf8proc_ssize_t)(n - i), &code);
        len = got > 0 ? (size_t)got : 1;
        if (s[i] == '\n') {
            fputs("\\n", stdout);
        } else if (s[i] == '\t') {
            fputs("\\t", stdout);
        } else if (s[i] == '\\' || s[i] == '"') {
            fputs(s[i] == '"' ? quote : "\\\\", stdout);
        } else if (got > 0 && printable(code)) {
            fwrite(s + i, 1, len, stdout);
        } else {
            for (size_t k = 0; k < len; k++) {
                printf("\\x%02x", (unsigned char)s[i + k]);
            }
        }
    }
    putchar('"');
}

static void print_list(const int32_t *ids, size_t n) {
    putchar('[');
    for (size_t i = 0; i < n; i++) {
        printf("%s%d", i ? ", " : "", ids[i]);
    }
    puts("]");
}

/* 0, or -1: out of memory. */
static int print_tokens(const ba_tokenizer *tok, const int32_t *ids, size_t n, bool csv) {
    puts(csv ? "id,token" : "    id  token");
    for (size_t i = 0; i < n; i++) {
        size_t len;
        char *bytes = ba_detokenize(tok, &ids[i], 1, true, &len);
        if (!bytes) {
            return -1;
        }
        printf(csv ? "%d," : "%6d  ", ids[i]);
        print_quoted(bytes, len, csv ? "\"\"" : "\\\"");
        putchar('\n');
        free(bytes);
    }
    return 0;
}

static int report(const ba_common *c, const ba_tokenizer *tok, const char *text, size_t len, bool ids_only,
                  bool special) {
    int32_t *ids;
    size_t n, lost = ba_tokenizer_lost(tok, text, len);
    char err[BA_ERR_LEN];
    if (ba_tokenize(tok, text, len, special, &ids, &n, err) != 0) {
        return ba_cli_fail(BA_EXIT_USAGE, "%s", err);
    }
    int rc = 0;
    if (ids_only || c->format == BA_FORMAT_JSON) {
        print_list(ids, n);
    } else {
        rc = print_tokens(tok, ids, n, c->format == BA_FORMAT_CSV);
    }
    if (lost && !c->quiet) {
        fprintf(stderr, "%zu bytes of the text have no token in this vocabulary and were left out\n", lost);
    }
    free(ids);
    return rc ? ba_cli_fail(BA_EXIT_MACHINE, "out of memory") : BA_EXIT_OK;
}

typedef struct options {
    bool ids, special;
} options;

static int tokenize(const ba_call *call, const char *text, size_t len) {
    const options *opt = call->options;
    char err[BA_ERR_LEN];
    ba_model *model;
    ba_tokenizer *tok;
    int status = ba_vocabulary_open(call->common, false, &model, &tok, err)
                     ? ba_cli_fail(BA_EXIT_USAGE, "%s", err)
                     : report(call->common, tok, text, len, opt->ids, opt->special);
    ba_tokenizer_free(tok);
    ba_model_close(model);
    return status;
}

static int run(const ba_call *call) {
    char err[BA_ERR_LEN], *text;
    size_t len;
    if (call->n_operand > 1) {
        return ba_cli_fail(BA_EXIT_USAGE, "one text at a time: put \"%s %s\" in quotes", call->operand[0],
                           call->operand[1]);
    }
    if (call->n_operand) {
        return tokenize(call, call->operand[0], strlen(call->operand[0]));
    }
    if (ba_read_file("-", MAX_TEXT, &text, &len, err)) {
        return ba_cli_fail(BA_EXIT_MACHINE, "%s", err);
    }
    int status = tokenize(call, text, len);
    free(text);
    return status;
}

#define AT(member) .at = offsetof(options, member)

static const ba_option own[] = {
    {"ids", NULL, BA_FLAG, AT(ids), .help = "print the ids as one JSON list, and nothing else"},
    {"special", NULL, BA_FLAG, AT(special), .help = "parse control tokens in the text; otherwise they are plain text"},
    {.name = NULL}};

const ba_command ba_command_tokenize = {
    .name = "tokenize",
    .summary = "token ids of a text",
    .usage = "[OPTIONS] [TEXT]",
    .about = "Token ids of a text (or of standard input, final newline included), without BOS. Needs no weights: a "
             "vocabulary-only GGUF will do.",
    .example = "blockattn tokenize --ids 'Hello, world!'\n"
               "blockattn tokenize -- -1",
    .own = own,
    .size = sizeof(options),
    .takes = BA_TAKES_MODEL | BA_TAKES_JSON | BA_TAKES_CSV | BA_TAKES_QUIET,
    .operands = SIZE_MAX,
    .run = run,
};

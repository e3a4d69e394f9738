/* blockattn tokenize: text to token ids, with nothing but the vocabulary of a model. */
#include "experiments/cli/commands.h"

#include "experiments/cli/cli.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

enum { MAX_TEXT = 1 << 30 };

/* A character that a terminal shows as itself. */
static bool printable(int32_t code) {
    utf8proc_category_t c = utf8proc_category(code);
    return code == ' ' || (c != UTF8PROC_CATEGORY_CN && c < UTF8PROC_CATEGORY_ZS);
}

/* Writes bytes in double quotes, so that spaces and parts of characters can be told apart. quote: how one inside is
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
    if (ba_tokenize(tok, text, len, special, &ids, &n)) {
        return ba_cli_fail(BA_EXIT_MACHINE, "out of memory");
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

int ba_cmd_tokenize(int argc, char **argv) {
    bool ids_only = false, special = false;
    const ba_option own[] = {
        {"ids", NULL, "print the ids as one JSON list, and nothing else", NULL, &ids_only},
        {"special", NULL, "parse control tokens in the text; otherwise they are plain text", NULL, &special},
        {NULL, NULL, NULL, NULL, NULL}};
    ba_common c;
    int first,
        status = ba_cli_parse(argc, argv, "[OPTIONS] [TEXT]",
                              "Token ids of a text (or of standard input, final newline included), without BOS.\n"
                              "Needs no weights: a vocabulary-only GGUF will do.\n"
                              "Examples\n"
                              "  blockattn tokenize --ids 'Hello, world!'\n"
                              "  blockattn tokenize -- -1",
                              own, &c, &first);
    if (status >= 0) {
        return status;
    }
    if (argc - first > 1) {
        return ba_cli_fail(BA_EXIT_USAGE, "one text at a time: put \"%s %s\" in quotes", argv[first], argv[first + 1]);
    }
    char err[BA_ERR_LEN], *owned = NULL;
    size_t len;
    const char *text = argv[first];
    if (text) {
        len = strlen(text);
    } else if (ba_read_file("-", MAX_TEXT, &owned, &len, err)) {
        return ba_cli_fail(BA_EXIT_MACHINE, "%s", err);
    }
    ba_model *model;
    ba_tokenizer *tok;
    status = ba_vocabulary_open(&c, false, &model, &tok, err)
                 ? ba_cli_fail(BA_EXIT_USAGE, "%s", err)
                 : report(&c, tok, text ? text : owned, len, ids_only, special);
    ba_tokenizer_free(tok);
    ba_model_close(model);
    free(owned);
    return status;
}

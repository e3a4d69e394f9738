/* blockattn convert: data sets, in the form that their authors publish, to RAG items. */
#include "experiments/data/convert.h"
#include "experiments/data/lines.h"
#include "experiments/options/options.h"
#include "sim/base/json_read.h"
#include "sim/base/whole_file.h"

#include <stdlib.h>
#include <string.h>

typedef struct job {
    const ba_format_row *format;
    const char *path;
    bool strict, quiet;
    uint64_t limit, most;
    FILE *out;
    size_t n, n_bad, n_without; /* written, malformed, written with an answer that is in no document */
} job;

enum { FULL = 1 };

/* One record, by its number in the file (a line, or an element of a list). 0, FULL: enough, or -1 and err. */
static int take(job *j, const cJSON *record, const char *kind, size_t number, const char *malformed,
                char err[BA_ERR_LEN]) {
    char why[BA_ERR_LEN];
    cJSON *item = malformed ? NULL : ba_convert(j->format, record, number, j->most, why);
    if (!item) {
        ba_fail(err, "%s: %s %zu: %s", j->path, kind, number, malformed ? malformed : why);
        j->n_bad++;
        if (!j->strict && !j->quiet) {
            fprintf(stderr, "%s: passed over\n", err);
        }
        return j->strict ? -1 : 0;
    }
    char *line = cJSON_PrintUnformatted(item);
    j->n_without += cJSON_IsFalse(cJSON_GetObjectItemCaseSensitive(item, "has_answer"));
    cJSON_Delete(item);
    if (!line) {
        return ba_fail(err, "out of memory");
    }
    fprintf(j->out, "%s\n", line);
    cJSON_free(line);
    return ++j->n == j->limit ? FULL : 0;
}

/* A file that is one JSON list. */
static int convert_list(job *j, const char *text, size_t len, char err[BA_ERR_LEN]) {
    char why[BA_ERR_LEN];
    cJSON *root, *record;
    if (ba_json_parse(text, len, &root, why) != 0) {
        return ba_fail(err, "%s: begins like a JSON list but is none: %s", j->path, why);
    }
    int rc = 0;
    size_t number = 0;
    cJSON_ArrayForEach(record, root) {
        if ((rc = take(j, record, "element", ++number, NULL, err))) {
            break;
        }
    }
    cJSON_Delete(root);
    return rc < 0 ? -1 : 0;
}

static int convert_lines(job *j, char err[BA_ERR_LEN]) {
    ba_lines *lines;
    if (ba_lines_open(j->path, &lines, err)) {
        return -1;
    }
    int rc = 0, got;
    char why[BA_ERR_LEN];
    cJSON *o = NULL;
    while (!rc && (got = ba_lines_next(lines, &o, why)) != 0) {
        rc = got < 0 ? ba_fail(err, "%s", why) : take(j, o, "line", ba_lines_number(lines), got == 1 ? NULL : why, err);
        cJSON_Delete(o);
        o = NULL;
    }
    ba_lines_close(lines);
    return rc < 0 ? -1 : 0;
}

/* Whether a file begins like a JSON list. */
static bool begins_list(const char *path) {
    FILE *f = fopen(path, "r");
    int c = f ? getc(f) : EOF;
    while (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
        c = getc(f);
    }
    if (f) {
        fclose(f);
    }
    return c == '[';
}

static int convert(job *j, char err[BA_ERR_LEN]) {
    int rc;
    if (begins_list(j->path)) {
        char *text;
        size_t len;
        rc = ba_read_file(j->path, SIZE_MAX, &text, &len, err);
        if (!rc) {
            rc = convert_list(j, text, len, err);
            free(text);
        }
    } else {
        rc = convert_lines(j, err);
    }
    return !rc && !j->n ? ba_fail(err, "%s: nothing in it could be converted", j->path) : rc;
}

typedef struct options {
    unsigned from;
    const char *out;
    uint64_t limit, documents;
    bool strict, quiet;
} options;

/* Converts into --out, whole or not at all, or to standard output. 0, or an exit status. */
static int convert_to(job *j, const char *out, char err[BA_ERR_LEN]) {
    ba_whole_file file = {0};
    if (!out) {
        j->out = stdout;
        return convert(j, err) ? BA_EXIT_USAGE : 0;
    }
    if (ba_whole_file_open(out, &file, err)) {
        return BA_EXIT_MACHINE;
    }
    j->out = file.f;
    int status = convert(j, err) ? BA_EXIT_USAGE : ba_whole_file_finish(&file, err) ? BA_EXIT_MACHINE : BA_EXIT_OK;
    ba_whole_file_close(&file);
    return status;
}

static int run(const ba_call *call) {
    const options *opt = call->options;
    char err[BA_ERR_LEN];
    if (call->n_operand != 1) {
        return ba_cli_fail(BA_EXIT_USAGE, "one file is needed after the options");
    }
    job j = {.format = ba_format_at(opt->from),
             .path = call->operand[0],
             .strict = opt->strict,
             .quiet = opt->quiet,
             .limit = opt->limit,
             .most = opt->documents};
    int status = convert_to(&j, opt->out, err);
    if (status) {
        return ba_cli_fail(strstr(err, "out of memory") ? BA_EXIT_MACHINE : status, "%s", err);
    }
    if (!j.quiet) {
        fprintf(stderr, "%s: %zu items, %zu passed over, %zu with an answer that is in no document\n", j.path, j.n,
                j.n_bad, j.n_without);
    }
    return BA_EXIT_OK;
}

static const char *format_name(size_t i) {
    const ba_format_row *f = ba_format_at(i);
    return f ? f->name : NULL;
}

#define AT(member) .at = offsetof(options, member)

static const ba_option own[] = {
    {"from", "FORMAT", BA_CHOICE, AT(from), .word = format_name, .needed = true,
     .help = "who published it; official is the paper's repository"},
    {"out", "FILE", BA_FILE, AT(out), .help = "where items go, JSON Lines; default: standard output"},
    {"limit", "N", BA_COUNT, AT(limit), .standard = "0", .help = "the first N items; 0 is all"},
    {"documents", "N", BA_COUNT, AT(documents), .standard = "0",
     .help = "the N most relevant documents of each item; 0 is all"},
    {"strict", NULL, BA_FLAG, AT(strict), .help = "stop at the first malformed record"},
    {"quiet", NULL, BA_FLAG, AT(quiet), .help = "no remarks on standard error"},
    {.name = NULL}};

const ba_command ba_command_convert = {
    .name = "convert",
    .summary = "published data sets to the items that eval reads",
    .usage = "--from FORMAT FILE [--out FILE.jsonl]",
    .about =
        "A data set, in the form that its authors publish (a JSON list, or JSON Lines, plain or gzipped), to the RAG "
        "items that eval, gate and tune read. Documents come in ascending order of their score, the most relevant "
        "last; without scores, of their rank or of BM25.",
    .example = "blockattn convert --from hotpotqa hotpot_dev_distractor_v1.json --out hotpotqa.jsonl\n"
               "blockattn convert --from nq nq-open-10_total_documents_gold_at_0.jsonl.gz --limit 500",
    .own = own,
    .size = sizeof(options),
    .operands = SIZE_MAX,
    .run = run,
};

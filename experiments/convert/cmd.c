/* blockattn convert: data sets as their authors publish them, to RAG items. */
#include "experiments/cli/commands.h"
#include "experiments/data/convert.h"
#include "experiments/data/lines.h"
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

static int unknown_format(const char *name) {
    char list[512] = "";
    const ba_format_row *f;
    for (size_t i = 0, used = 0; (f = ba_format_at(i)) && used < sizeof list; i++) {
        used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", f->name);
    }
    return ba_cli_fail(BA_EXIT_USAGE, "--from %s: unknown; there is %s", name ? name : "(missing)", list);
}

int ba_cmd_convert(int argc, char **argv) {
    const char *from = NULL, *out = NULL, *limit = "0", *most = "0";
    job j = {0};
    const ba_option own[] = {
        {"from", "FORMAT", "hotpotqa, 2wiki, nq, triviaqa, musique, or official (the paper's repository)", &from, NULL},
        {"out", "FILE", "where items go, JSON Lines; default: standard output", &out, NULL},
        {"limit", "N", "the first N items; 0 = all (0)", &limit, NULL},
        {"documents", "N", "the N most relevant documents of each; 0 = all (0)", &most, NULL},
        {"strict", NULL, "stop at the first malformed record", NULL, &j.strict},
        {"quiet", NULL, "no remarks on standard error", NULL, &j.quiet},
        {NULL, NULL, NULL, NULL, NULL}};
    int first,
        status = ba_cli_parse(argc, argv, "--from FORMAT FILE [--out FILE.jsonl]",
                              "A data set as its authors publish it (a JSON list, or JSON Lines, plain or gzipped) to "
                              "the RAG items that eval, gate and tune read. Documents come in ascending order of their "
                              "score, the most relevant last; without scores, of their rank or of BM25.\n"
                              "Examples\n"
                              "  blockattn convert --from hotpotqa hotpot_dev_distractor_v1.json --out hotpotqa.jsonl\n"
                              "  blockattn convert --from nq nq-open-10_total_documents_gold_at_0.jsonl.gz --limit 500",
                              own, NULL, &first);
    char err[BA_ERR_LEN];
    if (status >= 0) {
        return status;
    }
    if (!from || !(j.format = ba_format_by_name(from))) {
        return unknown_format(from);
    }
    if (first + 1 != argc) {
        return ba_cli_fail(BA_EXIT_USAGE, "one file is needed behind the options");
    }
    if (ba_parse_size(limit, &j.limit, err) || ba_parse_size(most, &j.most, err)) {
        return ba_cli_fail(BA_EXIT_USAGE, "--limit or --documents: %s", err);
    }
    j.path = argv[first];
    ba_whole_file file = {0};
    if (out && ba_whole_file_open(out, &file, err)) {
        return ba_cli_fail(BA_EXIT_MACHINE, "%s", err);
    }
    j.out = out ? file.f : stdout;
    int rc = convert(&j, err);
    if (!rc && out && ba_whole_file_finish(&file, err)) {
        status = ba_cli_fail(BA_EXIT_MACHINE, "%s", err);
    } else {
        status =
            rc ? ba_cli_fail(strstr(err, "out of memory") ? BA_EXIT_MACHINE : BA_EXIT_USAGE, "%s", err) : BA_EXIT_OK;
    }
    ba_whole_file_close(&file);
    if (!status && !j.quiet) {
        fprintf(stderr, "%s: %zu items, %zu passed over, %zu with an answer that is in no document\n", j.path, j.n,
                j.n_bad, j.n_without);
    }
    return status;
}

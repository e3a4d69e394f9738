/* blockattn convert: tables of anybody, and data sets in the form that their authors publish, to RAG items. */
#include "experiments/cli/guess.h"
#include "experiments/cli/tracing.h"
#include "experiments/cli/writer.h"
#include "experiments/data/convert.h"
#include "experiments/data/csv.h"
#include "experiments/data/lines.h"
#include "experiments/options/options.h"
#include "sim/base/json_read.h"
#include "sim/base/whole_file.h"

#include <stdlib.h>
#include <string.h>

typedef struct job {
    const ba_format_row *format;
    const ba_columns *columns;
    const char *path;
    char delimiter;
    bool strict, quiet;
    uint64_t limit, most;
    FILE *out;
    size_t n, n_bad, n_without; /* written, malformed, written with an answer that is in no document */
} job;

enum { FULL = 1 };

/* An item of a record: 0, FULL: enough, or -1 and err. item NULL: there is none, and why. */
static int take_item(job *j, cJSON *item, const char *kind, size_t number, const char *why, char err[BA_ERR_LEN]) {
    if (!item) {
        ba_fail(err, "%s: %s %zu: %s", j->path, kind, number, why);
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

/* One record, by its number in the file (a line, or an element of a list), with all its items. As take_item. */
static int take(job *j, const cJSON *record, const char *kind, size_t number, const char *malformed,
                char err[BA_ERR_LEN]) {
    char why[BA_ERR_LEN];
    size_t parts = malformed ? 1 : ba_convert_parts(j->format, record);
    int rc = 0;
    for (size_t i = 0; i < parts && !rc; i++) {
        cJSON *item = malformed ? NULL : ba_convert_part(j->format, j->columns, record, number, i, j->most, why);
        rc = take_item(j, item, kind, number, malformed ? malformed : why, err);
    }
    return rc;
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

/* Whether the header has a column of this name, [n] letters. Else -1 and err, with the columns that there are. */
static int check_column(const job *j, const ba_csv *csv, const char *name, size_t n, char err[BA_ERR_LEN]) {
    char list[BA_ERR_LEN / 2] = "";
    const char *column;
    ba_guess g = ba_guess_begin(name, n);
    for (size_t i = 0, used = 0; (column = ba_csv_column(csv, i)); i++) {
        if (strlen(column) == n && strncmp(column, name, n) == 0) {
            return 0;
        }
        ba_guess_offer(&g, column);
        used +=
            used < sizeof list ? (size_t)snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", column) : 0;
    }
    bool one = !ba_csv_column(csv, 1);
    return ba_fail(err, "%s: no column '%.*s'; found: %s%s%s", j->path, (int)(n < 100 ? n : 100), name, list,
                   one ? "; if that is several, --delimiter says what parts them" : "", g.text);
}

static int check_header(const job *j, const ba_csv *csv, char err[BA_ERR_LEN]) {
    const ba_columns *c = j->columns;
    const char *const lists[] = {c->question, c->answers, c->documents, c->titles, c->id};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        for (const char *s = lists[i]; s && *s; s += *s == ',') {
            size_t n = strcspn(s, ",");
            if (check_column(j, csv, s, n, err)) {
                return -1;
            }
            s += n;
        }
    }
    return 0;
}

static int convert_csv(job *j, char err[BA_ERR_LEN]) {
    ba_csv *csv;
    if (ba_csv_open(j->path, j->delimiter, &csv, err)) {
        return -1;
    }
    int rc = check_header(j, csv, err), got;
    char why[BA_ERR_LEN];
    cJSON *o = NULL;
    while (!rc && (got = ba_csv_next(csv, &o, why)) != 0) {
        rc = got < 0 ? ba_fail(err, "%s", why) : take(j, o, "line", ba_csv_number(csv), got == 1 ? NULL : why, err);
        cJSON_Delete(o);
        o = NULL;
    }
    ba_csv_close(csv);
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
    if (j->format->csv) {
        rc = convert_csv(j, err);
    } else if (begins_list(j->path)) {
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
    return !rc && !j->n ? ba_fail(err, "%s: nothing in it could be converted%s", j->path,
                                  j->n_bad ? "" : ": it holds no records")
                        : rc;
}

typedef struct options {
    unsigned from, order;
    const char *out, *delimiter;
    uint64_t limit, keep;
    ba_columns columns;
    bool strict, quiet, force;
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

/* Columns belong to tables, and a table needs three of them. */
static int check_columns(const ba_format_row *f, const options *opt) {
    const ba_columns *c = &opt->columns;
    if (f->table && (!c->question || !c->answers || !c->documents)) {
        return ba_cli_fail(BA_EXIT_USAGE,
                           "--from %s needs --question, --answers and --documents: the names of its columns", f->name);
    }
    if (!f->table && (c->question || c->answers || c->documents || c->titles || c->id || c->separator || opt->order)) {
        return ba_cli_fail(
            BA_EXIT_USAGE,
            "--from %s knows its own fields; columns are named for csv and jsonl (--keep N keeps the N most "
            "relevant documents)",
            f->name);
    }
    if (opt->delimiter && !f->csv) {
        return ba_cli_fail(BA_EXIT_USAGE, "--delimiter goes with --from csv");
    }
    return 0;
}

/* "tab", or one character. */
static int delimiter_of(const char *text, char *out) {
    *out = !text ? ',' : strcmp(text, "tab") == 0 ? '\t' : *text;
    if (text && strcmp(text, "tab") != 0 && (strlen(text) != 1 || *text == '"' || *text == '\n' || *text == '\r')) {
        return ba_cli_fail(BA_EXIT_USAGE, "--delimiter %s: it is one character, or the word tab", text);
    }
    return 0;
}

/* Where the items go: --out, or the second operand. */
static int find_out(const ba_call *call, const options *opt, const char **out) {
    if (call->n_operand < 1 || call->n_operand > 2) {
        return ba_cli_fail(BA_EXIT_USAGE, "one file is needed after the options, and maybe the file to write");
    }
    if (call->n_operand == 2 && opt->out) {
        return ba_cli_fail(BA_EXIT_USAGE, "the file to write is given twice: %s and --out %s", call->operand[1],
                           opt->out);
    }
    *out = call->n_operand == 2 ? call->operand[1] : opt->out;
    return 0;
}

static int run(const ba_call *call) {
    options *opt = call->options;
    const ba_format_row *format = ba_format_at(opt->from);
    char err[BA_ERR_LEN];
    const char *out = NULL;
    opt->columns.order = (ba_found_order)opt->order;
    job j = {.format = format,
             .columns = &opt->columns,
             .strict = opt->strict,
             .quiet = opt->quiet,
             .limit = opt->limit,
             .most = opt->keep};
    int status = find_out(call, opt, &out);
    status = status ? status : check_columns(format, opt);
    status = status ? status : delimiter_of(opt->delimiter, &j.delimiter);
    if (status) {
        return status;
    }
    ba_writer_lock lock;
    j.path = call->operand[0];
    status = ba_writer_lock_take(&lock, out);
    status = status ? status : ba_out_check(&(ba_common){.out = out, .force = opt->force}, false);
    if (!status && (status = convert_to(&j, out, err))) {
        status = ba_cli_fail(strstr(err, "out of memory") ? BA_EXIT_MACHINE : status, "%s", err);
    }
    ba_writer_lock_drop(&lock);
    if (status) {
        return status;
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

_Static_assert(BA_FOUND_AS_IS == 0 && BA_FOUND_BEST_FIRST == 1 && BA_FOUND_BM25 == 2, "the words of --order");

static const ba_option own[] = {
    {"from", "FORMAT", BA_CHOICE, AT(from), .word = format_name, .needed = true,
     .help = "what the file is: csv and jsonl are tables of anybody, the others are published; official is the paper's "
             "repository"},
    {"out", "FILE", BA_FILE, AT(out), .help = "where items go, JSON Lines; default: standard output"},
    {"force", NULL, BA_FLAG, AT(force), .help = "overwrite an existing file"},
    {"question", "COLUMN", BA_TEXT, AT(columns.question), .section = "Columns of csv and jsonl",
     .help = "column of the question; a name with dots leads into objects: answers.text"},
    {"answers", "COLUMN[,..]", BA_TEXT, AT(columns.answers),
     .help = "columns of the answers, the gold one first; a cell may be a JSON list"},
    {"documents", "COLUMN[,..]", BA_TEXT, AT(columns.documents),
     .help = "columns of the passages; a cell is one passage, or a JSON list of texts or of {\"title\", \"text\"}"},
    {"titles", "COLUMN[,..]", BA_TEXT, AT(columns.titles), .with = "documents",
     .help = "columns of the passages' titles, one for each of --documents"},
    {"id", "COLUMN", BA_TEXT, AT(columns.id), .help = "column that names an item; default: id, if there is one"},
    {"separator", "TEXT", BA_TEXT, AT(columns.separator), .help = "cut cells of answers and documents at this text"},
    {"order", NULL, BA_CHOICE, AT(order), .standard = "as-is", .words = "as-is|best-first|bm25",
     .help =
         "order of a table's passages: as they are (the last one is nearest to the question), turned round, or by BM25 "
         "against the question"},
    {"delimiter", "CHARACTER", BA_TEXT, AT(delimiter), .help = "what parts cells of a CSV, or tab; default: a comma"},
    {"limit", "N", BA_COUNT, AT(limit), .standard = "0", .section = "How much", .help = "the first N items; 0 is all"},
    {"keep", "N", BA_COUNT, AT(keep), .standard = "0",
     .help = "the N most relevant documents of each item, which are the last ones; 0 is all"},
    {"strict", NULL, BA_FLAG, AT(strict), .help = "stop at the first malformed record"},
    {"quiet", NULL, BA_FLAG, AT(quiet), .help = "no remarks on standard error"},
    {.name = NULL}};

const ba_command ba_command_convert = {
    .name = "convert",
    .summary = "your tables, and published data sets, to the items that eval reads",
    .usage = "--from FORMAT IN [OUT.jsonl]",
    .about =
        "A table (CSV, JSON Lines), or a data set as its authors or Hugging Face publish it (a JSON list, or JSON "
        "Lines, "
        "plain or gzipped), to the items that eval, gate, tune and compare read: experiments/data/FORMAT.md describes "
        "them. Documents come in ascending order of their score, the most relevant last; without scores, of their rank "
        "or of BM25, and those of a table as --order says. Records that cannot be used are named with their line and "
        "counted.",
    .example =
        "blockattn convert --from csv --question Q --answers A --documents P1,P2,P3 mine.csv mine.jsonl\n"
        "blockattn convert --from jsonl --question q --answers gold.text --documents passages mine.json mine.jsonl\n"
        "blockattn convert --from hotpotqa hotpot_dev_distractor_v1.json --out hotpotqa.jsonl\n"
        "blockattn convert --from nq nq-open-10_total_documents_gold_at_0.jsonl.gz --limit 500",
    .own = own,
    .size = sizeof(options),
    .operands = SIZE_MAX,
    .run = run,
};

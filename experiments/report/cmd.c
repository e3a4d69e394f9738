/* blockattn report: from the traces of `eval` to one page, its tables beside the paper's. */
#include "experiments/cli/commands.h"
#include "experiments/cli/json.h"
#include "experiments/data/lines.h"
#include "experiments/eval/trace.h"
#include "report.h"
#include "sim/base/whole_file.h"

#include <stdlib.h>
#include <string.h>

typedef struct options {
    const char *spec, *scores, *page, *folder;
} options;

/* What was run, as lines of a list, and the different remarks of the traces. */
typedef struct sitting_list {
    char *text, *remarks;
    size_t size, remarks_size;
    FILE *f, *remarks_f;
} sitting_list;

static int print_attribute(void *arg, const char *key, const char *value) {
    sitting_list *s = arg;
    if (strcmp(key, "model") == 0 || strcmp(key, "remark") == 0) {
        fprintf(s->f, "  - %s %s\n", key, value);
    }
    if (strcmp(key, "remark") == 0 && !fflush(s->remarks_f) && !strstr(s->remarks, value)) {
        fprintf(s->remarks_f, "%s%s", *s->remarks ? "; " : "", value);
    }
    return 0;
}

/* The sittings of a trace as lines of a list: every text column. */
static int list_sittings(const ba_trace *t, const char *name, sitting_list *s, char err[BA_ERR_LEN]) {
    const char *slash = strrchr(name, '/');
    fprintf(s->f, "- `%s`\n", slash ? slash + 1 : name);
    ba_trace_attributes(t, print_attribute, s);
    for (size_t table = 0; table < ba_trace_tables(t); table++) {
        if (strcmp(ba_trace_table_name(t, table), "sessions") != 0) {
            continue;
        }
        size_t size;
        const ba_column *columns = ba_trace_columns(t, table, &size);
        char *row = calloc(1, size);
        for (size_t i = 0; row && i < ba_trace_rows(t, table); i++) {
            if (ba_trace_read(t, table, i, 1, row, err)) {
                free(row);
                return -1;
            }
            fputs("  - ", s->f);
            for (const ba_column *c = columns; c->name; c++) {
                const char *text;
                memcpy(&text, row + c->offset, sizeof text);
                if (c->type == BA_COLUMN_STRING && strcmp(c->name, "libraries") != 0) {
                    fprintf(s->f, "%s%s `%s`", c == columns ? "" : ", ", c->name, text ? text : "");
                }
            }
            fputs("\n", s->f);
            ba_trace_release(t, table, row, 1);
        }
        if (!row) {
            return ba_fail(err, "out of memory");
        }
        free(row);
    }
    return 0;
}

/* Adds the rows of a trace that are not there yet. A row that is must have been made from the same item. */
static int merge(ba_eval_rows *all, ba_eval_rows *more, const char *path, char err[BA_ERR_LEN]) {
    for (size_t i = 0; i < more->n; i++) {
        ba_eval_row *row = &more->row[i];
        const ba_eval_row *known = ba_eval_rows_find(all, row);
        if (known && known->hash != row->hash) {
            return ba_fail(
                err, "%s: %s, task %s, item %llu was made from other data or wording than in the traces before it",
                path, row->label, row->task, (unsigned long long)row->index);
        }
        if (known) {
            ba_eval_row_free(row);
        } else if (ba_eval_rows_add(all, row)) {
            *row = (ba_eval_row){0};
            return ba_fail(err, "out of memory");
        }
        *row = (ba_eval_row){0}; /* what it owned has gone */
    }
    return 0;
}

/* A trace of eval (rows), or of tune (validations). */
static int read_trace(const char *path, ba_eval_rows *rows, ba_validations *checks, sitting_list *sittings,
                      char err[BA_ERR_LEN]) {
    ba_trace *t;
    ba_eval_rows more = {0};
    char why[BA_ERR_LEN];
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    size_t before = checks->n;
    if (ba_trace_open(path, &t, err)) {
        return -1;
    }
    int rc = ba_eval_rows_read(t, &more, why) || list_sittings(t, path, sittings, why) ||
                     ba_validations_read(t, name, checks, why)
                 ? ba_fail(err, "%s: %s", path, why)
                 : 0;
    if (!rc && !more.n && checks->n == before) {
        rc = ba_fail(err, "%s: holds neither rows of eval (table items) nor validations of tune", path);
    }
    rc = rc ? rc : merge(rows, &more, path, err);
    ba_eval_rows_free(&more);
    ba_trace_close(t);
    return rc;
}

/* Scores that another program gave: {"label", "task", "mode", "id", "score"} a line. */
static int read_scores(const char *path, ba_eval_rows *rows, char err[BA_ERR_LEN]) {
    ba_lines *lines;
    if (ba_lines_open(path, &lines, err)) {
        return -1;
    }
    int rc = 0, got;
    cJSON *o = NULL;
    char why[BA_ERR_LEN];
    while (!rc && (got = ba_lines_next(lines, &o, why)) != 0) {
        const char *label = got == 1 ? ba_task_text(o, "label", why) : NULL,
                   *task = label ? ba_task_text(o, "task", why) : NULL,
                   *mode = task ? ba_task_text(o, "mode", why) : NULL, *id = mode ? ba_task_text(o, "id", why) : NULL;
        const cJSON *score = cJSON_GetObjectItemCaseSensitive(o, "score");
        if (id && !cJSON_IsNumber(score)) {
            ba_fail(why, "field \"score\" is missing or not a number");
        }
        if (!id || !cJSON_IsNumber(score)) {
            rc = ba_fail(err, "%s: line %zu: %s", path, ba_lines_number(lines), why);
        }
        for (size_t i = 0; !rc && i < rows->n; i++) {
            ba_eval_row *r = &rows->row[i];
            if (!strcmp(r->id, id) && !strcmp(r->task, task) && !strcmp(r->mode, mode) && !strcmp(r->label, label)) {
                r->score = score->valuedouble;
            }
        }
        cJSON_Delete(o);
        o = NULL;
    }
    ba_lines_close(lines);
    return rc;
}

/* Opens FOLDER/NAME. */
static int open_data(const char *folder, const char *name, ba_whole_file *file, char err[BA_ERR_LEN]) {
    char *path = NULL;
    if (asprintf(&path, "%s/%s", folder, name) < 0) {
        return ba_fail(err, "out of memory");
    }
    int rc = ba_whole_file_open(path, file, err);
    free(path);
    return rc;
}

/* Writes the data of both figures; how many points each has. */
static int write_figures(const options *w, const ba_report_spec *spec, const ba_eval_rows *rows,
                         const ba_validations *checks, size_t *pareto, size_t *steps, char err[BA_ERR_LEN]) {
    ba_whole_file file = {0};
    int rc = open_data(w->folder, "pareto.csv", &file, err);
    if (!rc) {
        *pareto = ba_report_pareto(file.f, spec, rows);
        rc = ba_whole_file_finish(&file, err);
        ba_whole_file_close(&file);
    }
    if (!rc && !(rc = open_data(w->folder, "figure4.csv", &file, err))) {
        *steps = ba_report_steps(file.f, spec, rows, checks);
        rc = ba_whole_file_finish(&file, err);
        ba_whole_file_close(&file);
    }
    return rc;
}

static int write_page(const options *w, const ba_report_spec *spec, const ba_eval_rows *rows,
                      const ba_validations *checks, const sitting_list *sittings, char err[BA_ERR_LEN]) {
    size_t pareto = 0, steps = 0;
    ba_whole_file page;
    if (write_figures(w, spec, rows, checks, &pareto, &steps, err) || ba_whole_file_open(w->page, &page, err)) {
        return -1;
    }
    int rc = ba_report_print(page.f, spec, rows, sittings->remarks) ? ba_fail(err, "out of memory") : 0;
    if (!rc) {
        fputs(
            pareto
                ? "\n## What is lost for what is saved\n\n![accuracy and NLL lost against FLOPs of full](pareto.svg)\n"
                : "",
            page.f);
        fputs(steps ? "\n## Figure 4\n\n![both modes against the training step](figure4.svg)\n" : "", page.f);
        fprintf(page.f, "\n## What was run\n\n%s", sittings->text);
        rc = ba_whole_file_finish(&page, err);
    }
    ba_whole_file_close(&page);
    return rc;
}

/* Both are closed, whatever the first says. */
static bool close_texts(FILE *a, FILE *b) {
    bool failed = a && fclose(a);
    return (b && fclose(b)) || failed;
}

int ba_cmd_report(int argc, char **argv) {
    options w = {.spec = "experiments/configs/report.json", .page = "results/REPORT.md", .folder = "results"};
    const ba_option own[] = {
        {"tables", "FILE", "tables, the paper's figures, claims (experiments/configs/report.json)", &w.spec, NULL},
        {"scores", "FILE", "scores of other programs, JSON Lines {\"label\", \"task\", \"mode\", \"id\", \"score\"}",
         &w.scores, NULL},
        {"page", "FILE", "the page to write (results/REPORT.md)", &w.page, NULL},
        {"folder", "DIR", "where the figures' data go: pareto.csv, figure4.csv (results)", &w.folder, NULL},
        {NULL, NULL, NULL, NULL, NULL}};
    int first,
        status = ba_cli_parse(argc, argv, "TRACE.h5... [--page FILE] [--folder DIR]",
                              "From traces of eval, of several models, sittings and machines, to one page: each table "
                              "beside the paper's, intervals, costs, what agrees.\n"
                              "Example\n"
                              "  blockattn report results/table1-base.h5 results/table1-rag.h5",
                              own, NULL, &first);
    if (status >= 0) {
        return status;
    }
    if (first == argc) {
        return ba_cli_fail(BA_EXIT_USAGE, "no trace given; eval --out makes them");
    }
    char err[BA_ERR_LEN];
    ba_report_spec spec;
    ba_eval_rows rows = {0};
    ba_validations checks = {0};
    sitting_list sittings = {0};
    if (ba_report_spec_read(w.spec, &spec, err)) {
        return ba_cli_fail(BA_EXIT_USAGE, "%s", err);
    }
    sittings.f = open_memstream(&sittings.text, &sittings.size);
    sittings.remarks_f = open_memstream(&sittings.remarks, &sittings.remarks_size);
    int rc = sittings.f && sittings.remarks_f ? 0 : ba_fail(err, "out of memory");
    for (int i = first; !rc && i < argc; i++) {
        rc = read_trace(argv[i], &rows, &checks, &sittings, err);
    }
    if (close_texts(sittings.f, sittings.remarks_f)) {
        rc = rc ? rc : ba_fail(err, "out of memory");
    }
    rc = rc || !w.scores ? rc : read_scores(w.scores, &rows, err);
    rc = rc ? rc : write_page(&w, &spec, &rows, &checks, &sittings, err);
    free(sittings.text);
    free(sittings.remarks);
    free(checks.v);
    ba_eval_rows_free(&rows);
    ba_report_spec_free(&spec);
    if (rc) {
        return ba_cli_fail(strstr(err, "out of memory") ? BA_EXIT_MACHINE : BA_EXIT_USAGE, "%s", err);
    }
    printf("%s\n", w.page);
    return BA_EXIT_OK;
}

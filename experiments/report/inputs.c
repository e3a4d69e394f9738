#include "inputs.h"

#include "experiments/cli/json.h"
#include "experiments/data/field.h"
#include "experiments/data/lines.h"
#include "experiments/eval/trace.h"
#include "sim/trace/merged.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

int ba_report_inputs_begin(ba_report_inputs *in, char err[BA_ERR_LEN]) {
    *in = (ba_report_inputs){0};
    in->runs_f = open_memstream(&in->runs, &in->runs_size);
    in->remarks_f = open_memstream(&in->remarks, &in->remarks_size);
    return in->runs_f && in->remarks_f ? 0 : ba_fail(err, "out of memory");
}

static int list_attribute(void *arg, const char *key, const char *value) {
    ba_report_inputs *in = arg;
    if (strncmp(key, "model", 5) == 0 || strcmp(key, "remark") == 0) {
        fprintf(in->runs_f, "  - %s %s\n", key, value);
    }
    if (strcmp(key, "remark") == 0 && !fflush(in->remarks_f) && !strstr(in->remarks, value)) {
        fprintf(in->remarks_f, "%s%s", *in->remarks ? "; " : "", value);
    }
    return 0;
}

/* One session: all its columns but the list of libraries. Earlier versions have threads as text. */
static void list_session(FILE *out, const ba_column *columns, const char *row) {
    fputs("  - ", out);
    for (const ba_column *c = columns; c->name; c++) {
        const char *text = row + c->offset;
        uint64_t count = 0;
        if (strcmp(c->name, "libraries") == 0) {
            continue;
        }
        fprintf(out, "%s%s ", c == columns ? "" : ", ", c->name);
        if (c->type == BA_COLUMN_U64) {
            memcpy(&count, text, sizeof count);
            fprintf(out, "%" PRIu64, count);
        } else if (c->type == BA_COLUMN_TEXT) {
            fprintf(out, "`%.*s`", (int)strnlen(text, c->size), text);
        } else if (c->type == BA_COLUMN_STRING) {
            memcpy(&text, row + c->offset, sizeof text);
            fprintf(out, "`%s`", text ? text : "");
        }
    }
    fputs("\n", out);
}

static int list_sessions(const ba_trace *t, size_t table, FILE *out, char err[BA_ERR_LEN]) {
    size_t size;
    const ba_column *columns = ba_trace_columns(t, table, &size);
    char *row = calloc(1, size);
    if (!row) {
        return ba_fail(err, "out of memory");
    }
    for (size_t i = 0; i < ba_trace_rows(t, table); i++) {
        if (ba_trace_read(t, table, i, 1, row, err)) {
            free(row);
            return -1;
        }
        list_session(out, columns, row);
        ba_trace_release(t, table, row, 1);
    }
    free(row);
    return 0;
}

/* A run: its name, model and remark, and when and how each of its sessions ran. */
static int list_run(ba_report_inputs *in, const char *name, const ba_trace *t, char err[BA_ERR_LEN]) {
    fprintf(in->runs_f, "- `%s`\n", name);
    ba_trace_attributes(t, list_attribute, in);
    for (size_t table = 0; table < ba_trace_tables(t); table++) {
        if (strcmp(ba_trace_table_name(t, table), "sessions") == 0 && list_sessions(t, table, in->runs_f, err)) {
            return -1;
        }
    }
    return 0;
}

/* Moves the rows that are not known yet. */
static int add_rows(ba_eval_rows *all, ba_eval_rows *more, const char *name, char err[BA_ERR_LEN]) {
    for (size_t i = 0; i < more->n; i++) {
        ba_eval_row *row = &more->row[i];
        const ba_eval_row *known = ba_eval_rows_find(all, row);
        if (known && known->hash != row->hash) {
            return ba_fail(err,
                           "%s: %s, task %s, item %llu was made from other data or wording than in the runs before it",
                           name, row->label, row->task, (unsigned long long)row->index);
        }
        if (known) {
            ba_eval_row_free(row);
        } else if (ba_eval_rows_add(all, row)) {
            *row = (ba_eval_row){0};
            return ba_fail(err, "out of memory");
        }
        *row = (ba_eval_row){0}; /* its texts were moved or freed */
    }
    return 0;
}

static int read_run(void *arg, const char *name, const ba_trace *t, char err[BA_ERR_LEN]) {
    ba_report_inputs *in = arg;
    ba_eval_rows more = {0};
    size_t before = in->checks.n;
    int rc = -1;
    if (ba_eval_rows_read(t, &more, err) || list_run(in, name, t, err) ||
        ba_validations_read(t, name, &in->checks, err)) {
        goto done;
    }
    if (!more.n && in->checks.n == before) {
        ba_fail(err, "%s: holds neither rows of eval (table items) nor validations of tune", name);
        goto done;
    }
    rc = add_rows(&in->rows, &more, name, err);
done:
    ba_eval_rows_free(&more);
    return rc;
}

int ba_report_inputs_trace(ba_report_inputs *in, const char *path, char err[BA_ERR_LEN]) {
    char why[BA_ERR_LEN];
    if (!ba_trace_each(path, read_run, in, why)) {
        return 0;
    }
    return strstr(why, path) == why ? ba_fail(err, "%s", why) : ba_fail(err, "%s: %s", path, why);
}

int ba_report_inputs_end(ba_report_inputs *in, char err[BA_ERR_LEN]) {
    FILE *runs = in->runs_f, *remarks = in->remarks_f;
    in->runs_f = in->remarks_f = NULL;
    bool failed = fclose(runs) != 0;
    return fclose(remarks) || failed ? ba_fail(err, "out of memory") : 0;
}

/* What a line of scores says. All texts are borrowed from it. */
typedef struct line_of_scores {
    const char *label, *task, *mode, *id;
    double score;
} line_of_scores;

static int read_line(const cJSON *o, line_of_scores *out, char err[BA_ERR_LEN]) {
    const cJSON *score = cJSON_GetObjectItemCaseSensitive(o, "score");
    if (!(out->label = ba_field_text(o, "label", err)) || !(out->task = ba_field_text(o, "task", err)) ||
        !(out->mode = ba_field_text(o, "mode", err)) || !(out->id = ba_field_text(o, "id", err))) {
        return -1;
    }
    if (!cJSON_IsNumber(score)) {
        return ba_fail(err, "field \"score\" is missing or not a number");
    }
    out->score = score->valuedouble;
    return 0;
}

static void put_score(ba_eval_rows *rows, const line_of_scores *s) {
    for (size_t i = 0; i < rows->n; i++) {
        ba_eval_row *r = &rows->row[i];
        if (!strcmp(r->id, s->id) && !strcmp(r->task, s->task) && !strcmp(r->mode, s->mode) &&
            !strcmp(r->label, s->label)) {
            r->score = s->score;
        }
    }
}

int ba_report_inputs_scores(ba_report_inputs *in, const char *path, char err[BA_ERR_LEN]) {
    ba_lines *lines;
    if (ba_lines_open(path, &lines, err)) {
        return -1;
    }
    int rc = 0, got;
    cJSON *o = NULL;
    char why[BA_ERR_LEN];
    while (!rc && (got = ba_lines_next(lines, &o, why)) != 0) {
        line_of_scores s = {0};
        if (got != 1 || read_line(o, &s, why)) {
            rc = ba_fail(err, "%s: line %zu: %s", path, ba_lines_number(lines), why);
        } else {
            put_score(&in->rows, &s);
        }
        cJSON_Delete(o);
        o = NULL;
    }
    ba_lines_close(lines);
    return rc;
}

void ba_report_inputs_free(ba_report_inputs *in) {
    if (in->runs_f) {
        fclose(in->runs_f);
    }
    if (in->remarks_f) {
        fclose(in->remarks_f);
    }
    free(in->runs);
    free(in->remarks);
    free(in->checks.v);
    ba_eval_rows_free(&in->rows);
}

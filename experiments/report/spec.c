#include "spec.h"

#include "sim/base/json_read.h"

#include <math.h>
#include <string.h>

/* A text that must be there. */
static int need(const cJSON *o, const char *field, const char **out, const char *path, char err[BA_ERR_LEN]) {
    *out = NULL;
    if (ba_json_string(o, field, out, path, err)) {
        return -1;
    }
    return *out ? 0 : ba_fail(err, "%s: field %s is missing", path, field);
}

/* A list of texts; how many, or -1. */
static int texts(const cJSON *o, const char *field, const char **out, size_t room, size_t *n, const char *path,
                 char err[BA_ERR_LEN]) {
    const cJSON *v;
    *n = 0;
    cJSON_ArrayForEach(v, ba_json_get(o, field)) {
        if (!cJSON_IsString(v) || *n == room) {
            return ba_fail(err, "%s: field %s: must be a list of at most %zu texts", path, field, room);
        }
        out[(*n)++] = v->valuestring;
    }
    return *n ? 0 : ba_fail(err, "%s: field %s: must be a list of texts", path, field);
}

static int read_row(const cJSON *o, ba_report_table *t, const char *path, char err[BA_ERR_LEN]) {
    if (t->n_row == BA_REPORT_ROWS) {
        return ba_fail(err, "%s: table %s: more than %d rows", path, t->name, BA_REPORT_ROWS);
    }
    ba_report_row *r = &t->row[t->n_row++];
    if (need(o, "id", &r->id, path, err) || need(o, "name", &r->name, path, err) ||
        need(o, "label", &r->key.label, path, err) || need(o, "mode", &r->key.mode, path, err)) {
        return -1;
    }
    const cJSON *paper = ba_json_get(o, "paper");
    r->has_paper = paper != NULL;
    for (size_t i = 0; i < t->n_task; i++) {
        const cJSON *v = cJSON_GetArrayItem(paper, (int)i);
        r->paper[i] = cJSON_IsNumber(v) ? v->valuedouble : NAN;
    }
    return 0;
}

static int read_table(const cJSON *o, ba_report_spec *s, const char *path, char err[BA_ERR_LEN]) {
    if (s->n_table == BA_REPORT_TABLES) {
        return ba_fail(err, "%s: more than %d tables", path, BA_REPORT_TABLES);
    }
    ba_report_table *t = &s->table[s->n_table++];
    size_t columns;
    if (need(o, "name", &t->name, path, err) || need(o, "about", &t->about, path, err) ||
        need(o, "page", &t->page, path, err) || texts(o, "tasks", t->task, BA_REPORT_TASKS, &t->n_task, path, err) ||
        texts(o, "columns", t->column, BA_REPORT_TASKS, &columns, path, err)) {
        return -1;
    }
    if (ba_json_string(o, "points", &t->points, path, err)) {
        return -1;
    }
    if (columns != t->n_task) {
        return ba_fail(err, "%s: table %s: as many columns as tasks are needed", path, t->name);
    }
    const cJSON *row;
    cJSON_ArrayForEach(row, ba_json_get(o, "rows")) {
        if (read_row(row, t, path, err)) {
            return -1;
        }
    }
    return t->n_row ? 0 : ba_fail(err, "%s: table %s: field rows is missing or empty", path, t->name);
}

static bool has_rows(const ba_report_table *t, const ba_report_ids *ids) {
    for (size_t i = 0; i < ids->n; i++) {
        if (!ba_report_row_by_id(t, ids->id[i])) {
            return false;
        }
    }
    return true;
}

/* The first table that has all rows of some lists [n] of ids. */
static int find_table(const ba_report_spec *s, const ba_report_ids *ids, size_t n, size_t *table, const char *path,
                      char err[BA_ERR_LEN]) {
    for (*table = 0; *table < s->n_table; (*table)++) {
        size_t i = 0;
        while (i < n && has_rows(&s->table[*table], &ids[i])) {
            i++;
        }
        if (i == n) {
            return 0;
        }
    }
    char wanted[BA_ERR_LEN] = "";
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < ids[i].n; k++) {
            size_t used = strlen(wanted);
            snprintf(wanted + used, sizeof wanted - used, "%sa row '%s'", used ? " and " : "", ids[i].id[k]);
        }
    }
    return ba_fail(err, "%s: no table has %s", path, wanted);
}

/* The id of a row, or a list of ids. */
static int read_ids(const cJSON *o, const char *field, ba_report_ids *out, const char *path, char err[BA_ERR_LEN]) {
    if (cJSON_IsArray(ba_json_get(o, field))) {
        return texts(o, field, out->id, BA_REPORT_SEEDS, &out->n, path, err);
    }
    out->n = 1;
    return need(o, field, &out->id[0], path, err);
}

/* A number, or NaN: there is none. */
static double number_of(const cJSON *o, const char *field) {
    const cJSON *v = ba_json_get(o, field);
    return cJSON_IsNumber(v) ? v->valuedouble : NAN;
}

static int read_claim(const cJSON *o, ba_report_spec *s, const char *path, char err[BA_ERR_LEN]) {
    if (s->n_claim == BA_REPORT_CLAIMS) {
        return ba_fail(err, "%s: more than %d claims", path, BA_REPORT_CLAIMS);
    }
    ba_report_claim *c = &s->claim[s->n_claim++];
    if (need(o, "text", &c->text, path, err) || need(o, "a", &c->a, path, err) || need(o, "b", &c->b, path, err) ||
        need(o, "expect", &c->expect, path, err)) {
        return -1;
    }
    const ba_report_ids rows = {{c->a, c->b}, 2};
    c->main = cJSON_IsTrue(ba_json_get(o, "main"));
    if (find_table(s, &rows, 1, &c->table, path, err)) {
        return -1;
    }
    return !strcmp(c->expect, "better") || !strcmp(c->expect, "equal")
               ? 0
               : ba_fail(err, "%s: field expect: it is better or equal", path);
}

static int read_limit(const cJSON *o, ba_report_spec *s, const char *path, char err[BA_ERR_LEN]) {
    if (s->n_limit == BA_REPORT_LIMITS) {
        return ba_fail(err, "%s: more than %d limits", path, BA_REPORT_LIMITS);
    }
    ba_report_limit *l = &s->limit[s->n_limit++];
    l->chance = number_of(o, "chance");
    if (need(o, "row", &l->row, path, err) || need(o, "task", &l->task, path, err) ||
        need(o, "text", &l->text, path, err)) {
        return -1;
    }
    const ba_report_ids row = {{l->row}, 1};
    return find_table(s, &row, 1, &l->table, path, err);
}

/* What the first page says besides its numbers; all of it may be missing. */
static int read_first_page(ba_report_spec *s, const char *path, char err[BA_ERR_LEN]) {
    const struct {
        const char *field, **line;
        size_t *n;
    } lists[] = {
        {"summary", s->summary, &s->n_summary}, {"sure", s->sure, &s->n_sure}, {"figures", s->figure, &s->n_figure}};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        if (ba_json_get(s->document, lists[i].field) &&
            texts(s->document, lists[i].field, lists[i].line, BA_REPORT_LINES, lists[i].n, path, err)) {
            return -1;
        }
    }
    const cJSON *o;
    cJSON_ArrayForEach(o, ba_json_get(s->document, "limits")) {
        if (read_limit(o, s, path, err)) {
            return -1;
        }
    }
    return 0;
}

static int read_gap(const cJSON *o, ba_report_spec *s, const char *path, char err[BA_ERR_LEN]) {
    if (s->n_gap == BA_REPORT_GAPS) {
        return ba_fail(err, "%s: more than %d gaps", path, BA_REPORT_GAPS);
    }
    ba_report_gap *g = &s->gap[s->n_gap++];
    g->by_task = cJSON_IsTrue(ba_json_get(o, "by_task"));
    if (need(o, "name", &g->name, path, err) || read_ids(o, "from", &g->from, path, err) ||
        read_ids(o, "to", &g->to, path, err) || read_ids(o, "of", &g->of, path, err)) {
        return -1;
    }
    const ba_report_ids rows[] = {g->from, g->to, g->of};
    return find_table(s, rows, sizeof rows / sizeof *rows, &g->table, path, err);
}

/* Gaps need a goal: its tasks, and shares that are aimed at. */
static int read_gaps(ba_report_spec *s, const char *path, char err[BA_ERR_LEN]) {
    const cJSON *o, *goal = ba_json_get(s->document, "goal");
    cJSON_ArrayForEach(o, ba_json_get(s->document, "gaps")) {
        if (read_gap(o, s, path, err)) {
            return -1;
        }
    }
    const cJSON *about = ba_json_get(goal, "about");
    s->about_gaps = cJSON_IsString(about) ? about->valuestring : "";
    s->goal_score = number_of(goal, "score");
    s->goal_nll = number_of(goal, "nll");
    return s->n_gap ? texts(goal, "tasks", s->goal_task, BA_REPORT_TASKS, &s->n_goal_task, path, err) : 0;
}

static int fill(ba_report_spec *s, const char *path, char err[BA_ERR_LEN]) {
    const cJSON *o;
    if (need(s->document, "title", &s->title, path, err) || need(s->document, "about", &s->about, path, err)) {
        return -1;
    }
    cJSON_ArrayForEach(o, ba_json_get(s->document, "tables")) {
        if (read_table(o, s, path, err)) {
            return -1;
        }
    }
    if (!s->n_table) {
        return ba_fail(err, "%s: field tables is missing or empty", path);
    }
    cJSON_ArrayForEach(o, ba_json_get(s->document, "claims")) {
        if (read_claim(o, s, path, err)) {
            return -1;
        }
    }
    return read_first_page(s, path, err) ? -1 : read_gaps(s, path, err);
}

int ba_report_spec_read(const char *path, ba_report_spec *out, char err[BA_ERR_LEN]) {
    *out = (ba_report_spec){0};
    if (ba_json_read(path, &out->document, err)) {
        return -1;
    }
    if (fill(out, path, err)) {
        ba_report_spec_free(out);
        return -1;
    }
    return 0;
}

void ba_report_spec_free(ba_report_spec *s) {
    cJSON_Delete(s->document);
    s->document = NULL;
}

const ba_report_row *ba_report_row_by_id(const ba_report_table *t, const char *id) {
    for (size_t i = 0; i < t->n_row; i++) {
        if (strcmp(t->row[i].id, id) == 0) {
            return &t->row[i];
        }
    }
    return NULL;
}

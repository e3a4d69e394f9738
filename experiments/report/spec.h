/* What a report shows, as data (report.json): tables with their rows and the paper's figures beside them, claims that
 * compare two rows, and gaps of which a row closes a share. */
#ifndef BA_REPORT_SPEC_H
#define BA_REPORT_SPEC_H

#include "estimate.h"

#include <cjson/cJSON.h>

enum {
    BA_REPORT_TASKS = 16,
    BA_REPORT_ROWS = 128,
    BA_REPORT_TABLES = 8,
    BA_REPORT_CLAIMS = 32,
    BA_REPORT_GAPS = 32,
    BA_REPORT_SEEDS = 8
};

/* Everything is borrowed from the document. */
typedef struct ba_report_row {
    const char *id, *name;
    ba_row_key key;
    double paper[BA_REPORT_TASKS]; /* in the order of the table's tasks; NaN: the paper lacks it */
    bool has_paper;
} ba_report_row;

typedef struct ba_report_table {
    const char *name, *about;
    const char *task[BA_REPORT_TASKS], *column[BA_REPORT_TASKS]; /* [n_task]; column: the paper's heading */
    size_t n_task;
    ba_report_row row[BA_REPORT_ROWS];
    size_t n_row;
} ba_report_table;

/* "a is better than b" (or equal to it), which holds in the paper: ids of rows of one table. */
typedef struct ba_report_claim {
    size_t table;
    const char *text, *a, *b, *expect; /* expect: "better" or "equal" */
} ba_report_claim;

/* Ids of rows of one table whose mean is meant: mostly one, else models that differ in their seed. */
typedef struct ba_report_ids {
    const char *id[BA_REPORT_SEEDS]; /* [n] */
    size_t n;
} ba_report_ids;

/* "of closes a share of the gap between from and to", all in one table. */
typedef struct ba_report_gap {
    size_t table;
    const char *name;
    ba_report_ids from, to, of;
    bool by_task; /* shown task by task, too */
} ba_report_gap;

typedef struct ba_report_spec {
    cJSON *document;
    const char *title, *about;
    ba_report_table table[BA_REPORT_TABLES];
    size_t n_table;
    ba_report_claim claim[BA_REPORT_CLAIMS];
    size_t n_claim;
    ba_report_gap gap[BA_REPORT_GAPS];
    size_t n_gap;
    const char *about_gaps;                 /* "" if there is nothing to say */
    const char *goal_task[BA_REPORT_TASKS]; /* [n_goal_task] what the goals of every gap are about */
    size_t n_goal_task;
    double goal_score, goal_nll; /* shares of a gap that are aimed at; NaN: none */
} ba_report_spec;

/* 0, or -1 and err naming file and field. */
int ba_report_spec_read(const char *path, ba_report_spec *out, char err[BA_ERR_LEN]);
void ba_report_spec_free(ba_report_spec *s);

/* The row of an id in a table; NULL: there is none. */
const ba_report_row *ba_report_row_by_id(const ba_report_table *t, const char *id);

#endif

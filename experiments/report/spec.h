/* What a report shows, read from report.json: tables with their rows and the paper's figures, claims that compare two
 * rows, and gaps between two rows of which a third closes a share. All texts are borrowed from the JSON document. */
#ifndef BA_REPORT_SPEC_H
#define BA_REPORT_SPEC_H

#include "estimate.h"

#include <cjson/cJSON.h>

enum {
    BA_REPORT_TASKS = 16,
    BA_REPORT_ROWS = 128,
    BA_REPORT_TABLES = 8,
    BA_REPORT_CLAIMS = 64,
    BA_REPORT_GAPS = 32,
    BA_REPORT_SEEDS = 8,
    BA_REPORT_LINES = 16,
    BA_REPORT_LIMITS = 8
};

typedef struct ba_report_row {
    const char *id, *name;
    ba_row_key key;
    double paper[BA_REPORT_TASKS]; /* per cent, in the order of the table's tasks; NaN if the paper lacks it */
    bool has_paper;
} ba_report_row;

typedef struct ba_report_table {
    const char *name, *about, *page; /* page: the file that it is printed to, in the report's folder */
    const char *points;              /* the file there that gets the data of its figure; NULL: it has none */
    const char *task[BA_REPORT_TASKS], *column[BA_REPORT_TASKS]; /* [n_task]; column: the paper's heading */
    size_t n_task;
    ba_report_row row[BA_REPORT_ROWS];
    size_t n_row;
} ba_report_table;

/* "a is better than b" (or equal to it), which holds in the paper: ids of rows of one table. */
typedef struct ba_report_claim {
    size_t table;
    const char *text, *a, *b, *expect; /* expect: "better" or "equal" */
    bool main;                         /* on the first page, too */
} ba_report_claim;

/* A task on which a row of a table says nothing: its score is that of guessing. */
typedef struct ba_report_limit {
    size_t table;
    const char *row, *task, *text;
    double chance; /* score of guessing, per cent */
} ba_report_limit;

/* Ids of rows of one table, of which the mean is taken: one, or several seeds of a model. */
typedef struct ba_report_ids {
    const char *id[BA_REPORT_SEEDS]; /* [n] */
    size_t n;
} ba_report_ids;

/* "of closes a share of the gap between from and to", all in one table. */
typedef struct ba_report_gap {
    size_t table;
    const char *name;
    ba_report_ids from, to, of;
    bool by_task; /* also print a table of its tasks */
} ba_report_gap;

typedef struct ba_report_spec {
    cJSON *document;
    const char *title, *about;
    const char *summary[BA_REPORT_LINES]; /* [n_summary] lines of the first page: what it is about */
    const char *sure[BA_REPORT_LINES];    /* [n_sure] how far to trust it */
    const char *figure[BA_REPORT_LINES];  /* [n_figure] Markdown of its figures */
    size_t n_summary, n_sure, n_figure;
    ba_report_limit limit[BA_REPORT_LIMITS];
    size_t n_limit;
    ba_report_table table[BA_REPORT_TABLES];
    size_t n_table;
    ba_report_claim claim[BA_REPORT_CLAIMS];
    size_t n_claim;
    ba_report_gap gap[BA_REPORT_GAPS];
    size_t n_gap;
    const char *about_gaps;                 /* "" if the file has none */
    const char *goal_task[BA_REPORT_TASKS]; /* [n_goal_task] tasks of all goals */
    size_t n_goal_task;
    double goal_score, goal_nll; /* shares of a gap, 0 to 1; NaN: no goal */
} ba_report_spec;

/* 0, or -1 and err naming file and field. */
int ba_report_spec_read(const char *path, ba_report_spec *out, char err[BA_ERR_LEN]);
void ba_report_spec_free(ba_report_spec *s);

/* The row with an id; NULL if the table has none. */
const ba_report_row *ba_report_row_by_id(const ba_report_table *t, const char *id);

#endif

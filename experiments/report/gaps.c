#include "claims.h"

#include <math.h>
#include <string.h>

/* Rows of a table, and their keys for an estimate. */
typedef struct row_list {
    const ba_report_row *row[BA_REPORT_SEEDS];
    ba_row_key key[BA_REPORT_SEEDS];
    size_t n;
} row_list;

/* The rows of a gap. */
typedef struct gap_rows {
    row_list from, to, of;
} gap_rows;

static row_list list_of(const ba_report_table *t, const ba_report_ids *ids) {
    row_list list = {.n = ids->n};
    for (size_t i = 0; i < ids->n; i++) {
        list.row[i] = ba_report_row_by_id(t, ids->id[i]);
        list.key[i] = list.row[i]->key;
    }
    return list;
}

static gap_rows rows_of(const ba_report_spec *spec, const ba_report_gap *gap) {
    const ba_report_table *t = &spec->table[gap->table];
    return (gap_rows){list_of(t, &gap->from), list_of(t, &gap->to), list_of(t, &gap->of)};
}

static ba_row_keys keys_of(const row_list *list) {
    return (ba_row_keys){list->key, list->n};
}

/* Of the score or the NLL, over some tasks. */
typedef struct share {
    ba_quantity what;
    ba_estimate gap, closed;
    double closes; /* closed / gap; NaN if the interval of the gap has zero in it */
    ba_interval interval;
} share;

static share share_of(const gap_rows *g, const ba_eval_rows *rows, ba_quantity what, const char *const *tasks,
                      size_t n) {
    const ba_row_keys from = keys_of(&g->from), to = keys_of(&g->to), of = keys_of(&g->of);
    share s = {what, ba_difference_of(rows, what, to, from, tasks, n), ba_difference_of(rows, what, of, from, tasks, n),
               NAN, ba_share_of(rows, what, from, to, of, tasks, n)};
    bool better = what == BA_OF_SCORE ? s.gap.low > 0 : s.gap.high < 0;
    s.closes = better ? s.closed.mean / s.gap.mean : NAN;
    return s;
}

static void print_way(FILE *out, const share *s) {
    double scale = s->what == BA_OF_SCORE ? 100 : 1;
    int digits = s->what == BA_OF_SCORE ? 1 : 3;
    ba_report_interval(out, s->gap.mean, s->gap.low, s->gap.high, scale, digits);
    fputs(" | ", out);
    ba_report_interval(out, s->closed.mean, s->closed.low, s->closed.high, scale, digits);
    fputs(" | ", out);
    ba_report_interval(out, s->closes, s->interval.low, s->interval.high, 100, 0);
    fputs(" | ", out);
}

static const char *judge(const share *s, double goal) {
    return isnan(s->closes) || isnan(goal) ? "" : s->closes >= goal ? "met" : "missed";
}

static void print_share(FILE *out, const share *s, const char *name, double goal) {
    fprintf(out, "| %s, %s | ", s->what == BA_OF_SCORE ? "points" : "NLL a token", name);
    print_way(out, s);
    if (*judge(s, goal)) {
        fprintf(out, "%.0f | %s |\n", 100 * goal, judge(s, goal));
    } else {
        fputs("| |\n", out);
    }
}

static void goal_tasks(const ba_report_spec *spec, size_t size, char *name) {
    *name = 0;
    for (size_t i = 0; i < spec->n_goal_task; i++) {
        size_t used = strlen(name);
        snprintf(name + used, size - used, "%s%s", i ? ", " : "", spec->goal_task[i]);
    }
}

static bool measured(const ba_report_spec *spec, const ba_report_gap *gap, const ba_eval_rows *rows) {
    const ba_report_table *t = &spec->table[gap->table];
    const gap_rows g = rows_of(spec, gap);
    return !isnan(ba_difference_of(rows, BA_OF_NLL, keys_of(&g.of), keys_of(&g.from), t->task, t->n_task).mean);
}

/* A line for every gap that was measured, over the goal's tasks. */
static void print_all(FILE *out, const ba_report_spec *spec, const ba_eval_rows *rows) {
    char name[256];
    goal_tasks(spec, sizeof name, name);
    fprintf(out,
            "\n| %s | points | closed | share, %% | goal %.0f | NLL a token | closed | share, %% | goal %.0f |\n"
            "|---|---:|---:|---:|---|---:|---:|---:|---|\n",
            name, 100 * spec->goal_score, 100 * spec->goal_nll);
    for (size_t i = 0; i < spec->n_gap; i++) {
        if (!measured(spec, &spec->gap[i], rows)) {
            continue;
        }
        const gap_rows g = rows_of(spec, &spec->gap[i]);
        share score = share_of(&g, rows, BA_OF_SCORE, spec->goal_task, spec->n_goal_task),
              nll = share_of(&g, rows, BA_OF_NLL, spec->goal_task, spec->n_goal_task);
        fprintf(out, "| %s | ", spec->gap[i].name);
        print_way(out, &score);
        fprintf(out, "%s | ", judge(&score, spec->goal_score));
        print_way(out, &nll);
        fprintf(out, "%s |\n", judge(&nll, spec->goal_nll));
    }
}

/* The paper's mean over the tasks; NaN if it lacks one of the rows. */
static double paper_of(const ba_report_table *t, const row_list *list) {
    double sum = 0;
    for (size_t i = 0; i < list->n; i++) {
        sum += ba_report_paper_mean(t, list->row[i]);
    }
    return sum / (double)list->n;
}

/* "from *a*", or "from the mean of *a*, *b*". */
static void print_names(FILE *out, const char *before, const row_list *list) {
    fprintf(out, "%s%s", before, list->n > 1 ? "the mean of " : "");
    for (size_t i = 0; i < list->n; i++) {
        fprintf(out, "%s*%s*", i ? ", " : "", list->row[i]->name);
    }
}

static void print_by_task(FILE *out, const ba_report_spec *spec, const ba_report_gap *gap, const ba_eval_rows *rows) {
    const ba_report_table *t = &spec->table[gap->table];
    const gap_rows g = rows_of(spec, gap);
    double from = paper_of(t, &g.from), whole = paper_of(t, &g.to) - from, closed = paper_of(t, &g.of) - from;
    bool in_paper = !isnan(whole) && !isnan(closed);
    if (!in_paper && !measured(spec, gap, rows)) {
        return;
    }
    fprintf(out, "\n## %s\n\n", gap->name);
    print_names(out, "From ", &g.from);
    print_names(out, " to ", &g.to);
    print_names(out, "; closed by ", &g.of);
    fputs(".\n\n| | gap | closed | share, % | goal, % | |\n|---|---:|---:|---:|---:|---|\n", out);
    if (in_paper) {
        fprintf(out, "| the paper's points, all tasks | %.1f | %.1f | %.0f | | |\n", whole, closed,
                100 * closed / whole);
    }
    char name[256];
    goal_tasks(spec, sizeof name, name);
    const ba_quantity what[] = {BA_OF_SCORE, BA_OF_NLL};
    for (size_t q = 0; q < 2; q++) {
        share s = share_of(&g, rows, what[q], spec->goal_task, spec->n_goal_task);
        print_share(out, &s, name, q ? spec->goal_nll : spec->goal_score);
        s = share_of(&g, rows, what[q], t->task, t->n_task);
        print_share(out, &s, "all tasks", NAN);
        for (size_t i = 0; i < t->n_task; i++) {
            s = share_of(&g, rows, what[q], &t->task[i], 1);
            print_share(out, &s, t->task[i], NAN);
        }
    }
}

void ba_report_gaps(FILE *out, const ba_report_spec *spec, const ba_eval_rows *rows) {
    if (!spec->n_gap) {
        return;
    }
    fprintf(out,
            "# What share of the gap block fine-tuning closes\n\nWhat share of the way from one row to another a third "
            "one goes. Means over tasks; the "
            "interval of a share is a bootstrap over their items. No share where the end of the way cannot be told "
            "to be better than its start.%s%s\n",
            *spec->about_gaps ? " " : "", spec->about_gaps);
    print_all(out, spec, rows);
    for (size_t i = 0; i < spec->n_gap; i++) {
        if (spec->gap[i].by_task) {
            print_by_task(out, spec, &spec->gap[i], rows);
        }
    }
}

#include "drawing.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { LABEL = 22, PLACES = 60 };

/* "passage 1", "question": of one segment. */
static void name_segment(const ba_prompt *p, size_t seg, char out[40]) {
    size_t same = 0, number = 0;
    for (size_t i = 0; i < p->n_seg; i++) {
        same += p->seg[i].role == p->seg[seg].role;
        number += i <= seg && p->seg[i].role == p->seg[seg].role;
    }
    snprintf(out, 40, same > 1 ? "%s %zu" : "%s", ba_role_name(p->seg[seg].role), number);
}

/* The segments of a node. */
static void name_node(const ba_prompt *p, const ba_node *v, char out[LABEL + 1]) {
    char name[40];
    size_t used = 0;
    for (size_t i = v->seg; i < v->seg + v->n_seg && i < p->n_seg && used < LABEL; i++) {
        name_segment(p, i, name);
        used += (size_t)snprintf(out + used, LABEL + 1 - used, "%s%s", used ? ", " : "", name);
    }
}

/* n keys from `from` on, one mark each, the first `marked` of them with another one. */
static void put_keys(char line[PLACES + 1], double from, double step, size_t n, size_t marked, char mark, char other) {
    for (size_t j = 0; j < n; j++) {
        double at = round(from + (double)j * step);
        if (at >= 0 && at < PLACES) {
            line[(size_t)at] = j < marked ? other : mark;
        }
    }
}

static void print_line(const char *number, const char *label, const char line[PLACES + 1]) {
    size_t n = PLACES;
    while (n && line[n - 1] == ' ') {
        n--;
    }
    printf("  %2s %-*s %.*s\n", number, LABEL, label, (int)n, line);
}

static void draw_node(const ba_plan *plan, const ba_prompt *p, size_t node) {
    const ba_node *v = &plan->node[node];
    char number[24], label[LABEL + 1] = "", line[PLACES + 1];
    for (size_t e = 0; e < v->n_edge; e++) {
        const ba_edge *edge = &v->edge[e];
        const ba_node *seen = &plan->node[edge->seen];
        memset(line, ' ', sizeof line);
        put_keys(line, edge->at + (double)edge->first * seen->step, seen->step, edge->n,
                 v->choice.on ? edge->n : edge->refresh, edge->selectable ? '~' : '=', '+');
        snprintf(number, sizeof number, "%zu", edge->seen);
        name_node(p, seen, label);
        print_line(number, label, line);
    }
    memset(line, ' ', sizeof line);
    put_keys(line, v->pos, v->step, v->n, 0, '*', '*');
    snprintf(number, sizeof number, "%zu", node);
    name_node(p, v, label);
    print_line(number, label, line);
}

/* Where the rows of the mask are. */
typedef struct rows {
    const ba_plan *plan;
    const ba_prompt *prompt;
    size_t node, row; /* at hand: row of the node, without skipped ones */
} rows;

static size_t shown_rows(const ba_node *v) {
    return v->n - v->skip;
}

static int draw_row(void *arg, size_t row, const uint8_t *flags, size_t n) {
    rows *r = arg;
    char number[24] = "", label[LABEL + 1] = "";
    (void)row, (void)n;
    while (r->row == shown_rows(&r->plan->node[r->node])) {
        r->node++;
        r->row = 0;
    }
    if (r->row++ == 0) {
        snprintf(number, sizeof number, "%zu", r->node);
        name_node(r->prompt, &r->plan->node[r->node], label);
    }
    printf("  %2s %-*s ", number, LABEL, label);
    for (size_t v = 0, at = 0; v < r->plan->n_node; v++) {
        for (size_t k = shown_rows(&r->plan->node[v]); k; k--) {
            putchar(flags[at++] ? '#' : '.');
        }
        putchar(v + 1 < r->plan->n_node ? ' ' : '\n');
    }
    return 0;
}

void ba_plan_draw(const ba_plan *plan, const ba_prompt *prompt) {
    puts("\nwhat a node sees, from place 0 on: = keys, + keys of which all or some are computed again,\n"
         "~ keys of which it chooses, * its own tokens");
    for (size_t i = 0, drawn = 0; i < plan->n_node; i++) {
        if (plan->node[i].n_edge) {
            fputs(drawn++ ? "\n" : "", stdout);
            draw_node(plan, prompt, i);
        }
    }
    printf("\nmask: a row a token, # what it sees\n  %2s %-*s ", "", LABEL, "");
    for (size_t i = 0; i < plan->n_node; i++) {
        int width = i + 1 < plan->n_node ? (int)shown_rows(&plan->node[i]) + 1 : 0;
        printf("%-*zu", width, i);
    }
    putchar('\n');
    rows r = {.plan = plan, .prompt = prompt};
    ba_plan_mask(plan, draw_row, &r);
}

#include "plan_page.h"

#include "experiments/cli/cli.h"

#include <inttypes.h>
#include <stdlib.h>

enum { MAX_MASK = 4096 };

static void print_edge(const ba_edge *e) {
    printf("%22s sees node %zu, keys %zu..%zu, first at %.10g", "", e->seen, e->first, e->first + e->n - 1,
           e->at + (double)e->first);
    if (e->refresh) {
        printf(", computes the first %zu again", e->refresh);
    }
    if (e->inv_temp != 1) {
        printf(", scores x %.6g", e->inv_temp);
    }
    if (e->bias != 0) {
        printf(", scores + %.6g", e->bias);
    }
    if (e->group) {
        printf(", group %d", e->group);
    }
    printf(e->selectable ? ", selectable\n" : "\n");
}

static void print_choice(const ba_choice *c) {
    static const char *const changed[] = {"V", "K", "K and V each"};
    if (!ba_choice_by_attention(c)) {
        printf("%22s computes all rows again below layer %zu, from there on the %zu whose %s changed most%s%s\n", "",
               c->layer, c->count, changed[c->score], c->bottom_right ? "; bottom-right mask" : "",
               c->shift ? "; the others move with them" : "");
        return;
    }
    printf("%22s computes again the %zu keys that rows %zu..%zu attend to most in a probe, by %s", "", c->count,
           c->vote, c->vote + c->n_vote - 1, c->score == BA_SCORE_MEAN_QUERY ? "their mean query" : "every query");
    if (c->layers.kind == BA_LAYERS_LISTED) {
        const char *mark = " of layers ";
        for (size_t l = 0; l < BA_MOST_LAYERS; l++) {
            if (ba_choice_counts(c, l, BA_MOST_LAYERS)) {
                printf("%s%zu", mark, l);
                mark = "+";
            }
        }
    } else {
        printf(c->layers.kind == BA_LAYERS_ALL ? " of all layers" : " of the middle third of the layers");
    }
    if (c->window > 1) {
        printf(", each with the %zu after it", c->window - 1);
    }
    putchar('\n');
}

static void print_modifiers(const ba_node *v) {
    for (size_t g = 0; g < v->n_group; g++) {
        printf("%22s log-sum-exp of group %zu x %.6g\n", "", g + 1, v->lse_scale[g]);
    }
    if (v->select_k) {
        printf("%22s keeps the best %zu selectable per layer%s, by the sum of %zu probabilities\n", "", v->select_k,
               v->select_shared ? "" : ", head and row", v->select_top);
    }
    if (v->choice.on) {
        print_choice(&v->choice);
    }
}

int ba_plan_print_nodes(const ba_plan *plan) {
    ba_key *key = calloc(plan->n_node, sizeof *key);
    if (!key) {
        return ba_cli_fail(BA_EXIT_MACHINE, "out of memory");
    }
    ba_plan_keys(plan, key);
    printf("\nnodes\n%4s  %-9s %8s %10s %8s  %s\n", "#", "segments", "tokens", "place", "step", "key");
    for (size_t i = 0; i < plan->n_node; i++) {
        const ba_node *v = &plan->node[i];
        char segments[48];
        snprintf(segments, sizeof segments, v->n_seg > 1 ? "%zu-%zu" : "%zu", v->seg, v->seg + v->n_seg - 1);
        printf("%4zu  %-9s %8zu %10.6g %8.6g  ", i, segments, v->n, v->pos, v->step);
        if (v->stored) {
            printf("stored %016" PRIx64 "%016" PRIx64, key[i].hi, key[i].lo);
        } else {
            printf("computed each time");
        }
        if (v->path) {
            printf(", path %zu", v->path);
        }
        if (v->skip) {
            printf(", no node sees the first %zu", v->skip);
        }
        putchar('\n');
        for (size_t e = 0; e < v->n_edge; e++) {
            print_edge(&v->edge[e]);
        }
        print_modifiers(v);
    }
    if (plan->keep_paths) {
        printf("of %zu paths the last node sees the best %zu\n", plan->n_path, plan->keep_paths);
    }
    free(key);
    return 0;
}

static int print_row(void *arg, size_t row, const uint8_t *flags, size_t n) {
    (void)row;
    char *line = arg;
    for (size_t i = 0; i < n; i++) {
        line[2 * i] = flags[i] ? '1' : '0';
        line[2 * i + 1] = i + 1 < n ? ' ' : '\n';
    }
    return fwrite(line, 1, 2 * n, stdout) != 2 * n;
}

int ba_plan_print_mask(const ba_plan *plan) {
    size_t n = 0;
    for (size_t i = 0; i < plan->n_node; i++) {
        n += plan->node[i].n - plan->node[i].skip;
    }
    if (n > MAX_MASK) {
        return ba_cli_fail(BA_EXIT_USAGE, "the mask has %zu rows; at most %d are printed: give a shorter request", n,
                           MAX_MASK);
    }
    char *line = malloc(2 * n);
    bool done = line && (ba_plan_mask(plan, print_row, line) == n || ferror(stdout));
    free(line);
    return done ? BA_EXIT_OK : ba_cli_fail(BA_EXIT_MACHINE, "out of memory");
}

/* Plans as values: which are well formed, what addresses depend on, which keys rows see, and in which passes they run.
 */
#include "tests/support/plans.h"
#include "tests/support/runner.h"

#include "sim/base/random.h"
#include "sim/plan/schedule.h"
#include "sim/plan/visible.h"

#include <stdlib.h>
#include <string.h>

enum { SEEDS = 300 };

/* Three nodes: 1 sees 0, 2 sees both, with a group of its own. Every field that a test spoils is there. */
static ba_plan *sample(void) {
    static const int32_t ids[] = {5, 6, 7, 8};
    ba_plan *p = ba_plan_new("sample");
    ba_plan_add_node(p, ids, 3, 0, 1);
    ba_plan_add_node(p, ids, 4, 1, 1);
    ba_plan_add_node(p, ids, 2, 2, 1);
    p->node[0].stored = p->node[1].stored = true;
    p->node[1].pos = 3;
    p->node[2].pos = 7;
    ba_plan_add_edge(p, 1, 0, 0);
    ba_plan_add_edge(p, 2, 0, 0);
    ba_plan_add_edge(p, 2, 1, 3);
    p->node[2].lse_scale = calloc(1, sizeof(double));
    p->node[2].lse_scale[0] = 0.9;
    p->node[2].n_group = 1;
    p->n_tokens = 9;
    return p;
}

static bool equal(ba_key a, ba_key b) {
    return a.lo == b.lo && a.hi == b.hi;
}

/* --- check ------------------------------------------------------------------------------------------------------ */

static void empty_node(ba_plan *p) {
    p->node[0].n = 0;
}
static void all_skipped(ba_plan *p) {
    p->node[0].skip = 3;
}
static void negative_id(ba_plan *p) {
    p->node[1].ids[2] = -1;
}
static void no_step(ba_plan *p) {
    p->node[1].step = 0;
}
static void nan_pos(ba_plan *p) {
    p->node[1].pos = 0.0 / 0.0;
}
static void sees_itself(ba_plan *p) {
    p->node[1].edge[0].seen = 1;
}
static void first_past_end(ba_plan *p) {
    p->node[1].edge[0].first = 3;
}
static void range_past_end(ba_plan *p) {
    p->node[1].edge[0].first = 1;
}
static void range_overflows(ba_plan *p) {
    p->node[1].edge[0].first = 1, p->node[1].edge[0].n = SIZE_MAX;
}
static void empty_range(ba_plan *p) {
    p->node[1].edge[0].n = 0;
}
static void refresh_past_end(ba_plan *p) {
    p->node[2].edge[0].refresh = 4;
}
static void infinite_place(ba_plan *p) {
    p->node[2].edge[0].at = 1 / 0.0;
}
static void no_temperature(ba_plan *p) {
    p->node[2].edge[0].inv_temp = 0;
}
static void unknown_group(ba_plan *p) {
    p->node[2].edge[0].group = 2;
}
static void negative_group(ba_plan *p) {
    p->node[2].edge[0].group = -1;
}
static void infinite_scale(ba_plan *p) {
    p->node[2].lse_scale[0] = 1 / 0.0;
}
static void select_nothing(ba_plan *p) {
    p->node[2].select_k = 1;
}
static void too_many_chosen(ba_plan *p) {
    p->node[2].choice = (ba_choice){.on = true, .window = 1, .layer = 1, .count = 8};
}
static void chosen_early(ba_plan *p) {
    p->node[1].choice = (ba_choice){.on = true, .window = 1, .layer = 1};
}
static void layer_zero(ba_plan *p) {
    p->node[2].choice = (ba_choice){.on = true, .window = 1};
}
static void choice_and_refresh(ba_plan *p) {
    p->node[2].choice = (ba_choice){.on = true, .window = 1, .layer = 1};
    p->node[2].edge[0].refresh = 1;
}
static void no_window(ba_plan *p) {
    p->node[2].choice = (ba_choice){.on = true, .layer = 1};
}
static void shift_of_v(ba_plan *p) {
    p->node[2].choice = (ba_choice){.on = true, .window = 1, .layer = 1, .score = BA_SCORE_V, .shift = true};
}
static void no_vote(ba_plan *p) {
    p->node[2].choice = (ba_choice){.on = true, .window = 1, .score = BA_SCORE_ATTENTION};
}
static void votes_past_end(ba_plan *p) {
    size_t n = p->node[2].n;
    p->node[2].choice = (ba_choice){.on = true, .window = 1, .score = BA_SCORE_ATTENTION, .vote = n - 1, .n_vote = 2};
}
static void votes_in_no_layer(ba_plan *p) {
    p->node[2].choice = (ba_choice){
        .on = true, .window = 1, .score = BA_SCORE_MEAN_QUERY, .n_vote = 1, .layers = {.kind = BA_LAYERS_LISTED}};
}
static void stored_last(ba_plan *p) {
    p->node[2].stored = true;
}
static void unknown_path(ba_plan *p) {
    p->node[0].path = 1;
}
static void half_a_path(ba_plan *p) {
    p->n_path = 1, p->node[0].path = 1;
}
static void too_many_kept(ba_plan *p) {
    p->keep_paths = 1;
}

static void check_names_what_is_wrong(void) {
    static void (*const spoil[])(ba_plan *) = {
        empty_node,     all_skipped,    negative_id,        no_step,         nan_pos,          sees_itself,
        first_past_end, range_past_end, empty_range,        range_overflows, refresh_past_end, infinite_place,
        no_temperature, unknown_group,  negative_group,     infinite_scale,  select_nothing,   too_many_chosen,
        chosen_early,   layer_zero,     choice_and_refresh, stored_last,     unknown_path,     half_a_path,
        too_many_kept,  no_window,      shift_of_v,         no_vote,         votes_past_end,   votes_in_no_layer,
    };
    char err[BA_ERR_LEN] = "";
    for (size_t i = 0; i < sizeof spoil / sizeof *spoil; i++) {
        ba_plan *p = sample();
        CU_ASSERT_EQUAL(ba_plan_check(p, err), 0);
        spoil[i](p);
        err[0] = '\0';
        CU_ASSERT_EQUAL(ba_plan_check(p, err), -1);
        CU_ASSERT_EQUAL(strncmp(err, "plan: ", 6), 0);
        ba_plan_free(p);
    }
    ba_plan *nothing = ba_plan_new("nothing");
    CU_ASSERT_EQUAL(ba_plan_check(nothing, err), -1);
    ba_plan_free(nothing);
}

static void check_accepts_random_plans(void) {
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        char err[BA_ERR_LEN] = "";
        ba_plan *p = ba_random_plan(seed);
        if (ba_plan_check(p, err)) {
            printf("         seed %d: %s\n", (int)seed, err);
            CU_FAIL("a random plan was refused");
        }
        ba_plan_free(p);
    }
}

/* --- addresses -------------------------------------------------------------------------------------------------- */

static void other_id(ba_plan *p) {
    p->node[1].ids[3]++;
}
static void shorter(ba_plan *p) {
    p->node[1].n--;
}
static void other_step(ba_plan *p) {
    p->node[1].step = 0.5;
}
static void other_distance(ba_plan *p) {
    p->node[1].edge[0].at = -1;
}
static void other_range(ba_plan *p) {
    p->node[1].edge[0].n = 2;
}
static void other_first(ba_plan *p) {
    p->node[1].edge[0].first = 1, p->node[1].edge[0].n = 2;
}
static void other_temperature(ba_plan *p) {
    p->node[1].edge[0].inv_temp = 2;
}
static void other_bias(ba_plan *p) {
    p->node[1].edge[0].bias = 1;
}
static void other_refresh(ba_plan *p) {
    p->node[1].edge[0].refresh = 1;
}
static void selectable(ba_plan *p) {
    p->node[1].edge[0].selectable = true;
}
static void other_selection(ba_plan *p) {
    p->node[1].select_k = 1, p->node[1].select_top = 5;
}
static void no_edge(ba_plan *p) {
    p->node[1].n_edge = 0;
}
static void seen_differs(ba_plan *p) {
    p->node[0].ids[0]++;
}

static void address_depends_on_what_is_computed(void) {
    static void (*const change[])(ba_plan *) = {
        other_id,   shorter,       other_step, other_distance,  other_range, other_first, other_temperature,
        other_bias, other_refresh, selectable, other_selection, no_edge,     seen_differs};
    ba_plan *p = sample();
    ba_key before = ba_key_of(p, 1), hash = ba_plan_hash(p);
    for (size_t i = 0; i < sizeof change / sizeof *change; i++) {
        ba_plan *q = sample();
        change[i](q);
        CU_ASSERT_FALSE(equal(ba_key_of(q, 1), before));
        CU_ASSERT_FALSE(equal(ba_plan_hash(q), hash));
        ba_plan_free(q);
    }
    ba_plan_free(p);
}

static void shifted(ba_plan *p) {
    for (size_t i = 0; i < p->n_node; i++) {
        p->node[i].pos += 1000;
        for (size_t e = 0; e < p->node[i].n_edge; e++) {
            p->node[i].edge[e].at += 1000;
        }
    }
}
static void other_words(ba_plan *p) {
    p->mode[0] = 'S';
    strcpy(p->note, "a note");
}
static void other_segment(ba_plan *p) {
    p->node[1].seg = 7;
}
static void not_stored(ba_plan *p) {
    p->node[1].stored = false;
}
static void minus_zero(ba_plan *p) {
    p->node[0].pos = -0.0, p->node[1].edge[0].bias = -0.0;
}

static void address_is_independent_of_place(void) {
    static void (*const keep[])(ba_plan *) = {shifted, other_words, other_segment, not_stored, minus_zero};
    ba_plan *p = sample();
    for (size_t i = 0; i < sizeof keep / sizeof *keep; i++) {
        ba_plan *q = sample();
        keep[i](q);
        CU_ASSERT(equal(ba_key_of(q, 1), ba_key_of(p, 1)));
        CU_ASSERT(equal(ba_plan_hash(q), ba_plan_hash(p)));
        ba_plan_free(q);
    }
    ba_plan_free(p);
}

/* --- visibility ------------------------------------------------------------------------------------------------- */

/* All runs of rows that a viewer computes, against all its segments, with windows of several sizes. */
static bool intervals_match(const ba_plan *p, size_t viewer, size_t window) {
    const ba_node *v = &p->node[viewer];
    bool same = true;
    for (size_t from = 0; from <= v->n_edge; from++) {
        const ba_edge *e = from < v->n_edge ? &v->edge[from] : NULL;
        ba_run_of_rows run = {.seg = from, .first = e ? e->first : 0, .n = e ? e->n : v->n};
        ba_sight sight = {.window = window};
        int32_t lo[8], hi[8];
        for (size_t s = 0; s <= v->n_edge; s++) {
            size_t first = s < v->n_edge ? v->edge[s].first : 0;
            bool shown = s < ba_visible_segments(v, &run, &sight);
            size_t n = shown ? ba_visible_keys(v, &run, s) : s < v->n_edge ? v->edge[s].n : v->n;
            if (shown) {
                ba_visible(p, v, &run, &sight, s, lo, hi);
            }
            for (size_t i = 0; i < run.n; i++) {
                for (size_t j = 0; j < n; j++) {
                    bool inside = shown && (int32_t)j >= lo[i] && (int32_t)j < hi[i];
                    same = same && inside == ba_sees(p, viewer, from, run.first + i, s, first + j, window);
                    same = same && (!shown || !ba_visible_fully(&run, &sight, s) || inside);
                }
            }
        }
    }
    return same;
}

static void intervals_are_what_rows_see(void) {
    static const size_t windows[] = {0, 1, 2, 5, 100};
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        ba_plan *p = ba_random_plan(seed);
        for (size_t i = 0; i < p->n_node; i++) {
            for (size_t w = 0; w < sizeof windows / sizeof *windows; w++) {
                if (!intervals_match(p, i, windows[w])) {
                    printf("         seed %d, node %zu, window %zu\n", (int)seed, i, windows[w]);
                    CU_FAIL("intervals differ from what rows see");
                }
            }
        }
        ba_plan_free(p);
    }
}

/* Row i of m sees keys 0 .. i + n - m of all n keys. */
static void bottom_right_is_a_corner(void) {
    ba_plan *p = sample();
    const ba_node *v = &p->node[2];
    static const size_t kept[2][2] = {{1, 0}, {0, 2}}; /* kept rows of both edges: key 1; keys 0 and 2 */
    size_t count[2] = {1, 2}, m = 5, n = 9, before = 0;
    for (size_t from = 0; from <= 2; from++) {
        ba_run_of_rows run = {.seg = from, .n = from < 2 ? count[from] : 2, .row = from < 2 ? kept[from] : NULL};
        ba_sight sight = {.bottom_right = true, .before = before, .rows = m};
        for (size_t s = 0, begin = 0; s <= 2; begin += s < 2 ? v->edge[s].n : 0, s++) {
            int32_t lo[2], hi[2];
            ba_visible(p, v, &run, &sight, s, lo, hi);
            for (size_t i = 0; i < run.n; i++) {
                size_t keys = ba_visible_keys(v, &run, s), end = before + i + n - m + 1;
                size_t expected = end <= begin ? 0 : end - begin < keys ? end - begin : keys;
                CU_ASSERT_EQUAL(lo[i], 0);
                CU_ASSERT_EQUAL((size_t)hi[i], expected);
            }
        }
        before += run.n;
    }
    ba_plan_free(p);
}

typedef struct grid {
    uint8_t *cell;
    size_t rows, stop;
} grid;

static int keep_row(void *arg, size_t row, const uint8_t *flags, size_t n) {
    grid *g = arg;
    memcpy(g->cell + row * n, flags, n);
    g->rows++;
    return g->rows == g->stop;
}

static void mask_shows_the_last_computed_form(void) {
    static const char expected[] = "100000000" /* node 0 */
                                   "110000000"
                                   "111000000"
                                   "111100000" /* node 1, two rows computed again: both see node 0 */
                                   "111110000"
                                   "111111000" /* node 1 as encoded: sees keys 0..2 of node 0 as well */
                                   "111111100"
                                   "111111110"
                                   "111111111";
    ba_plan *p = sample();
    p->node[2].edge[1].refresh = 2;
    uint8_t cell[81] = {0};
    grid g = {cell, 0, 0};
    CU_ASSERT_EQUAL(ba_plan_mask(p, keep_row, &g), 9);
    for (size_t i = 0; i < sizeof cell; i++) {
        CU_ASSERT_EQUAL(cell[i], expected[i] - '0');
    }
    /* Without its edge node 1 sees itself only; the rows computed again still see node 0. */
    p->node[1].n_edge = 0;
    g.rows = 0;
    ba_plan_mask(p, keep_row, &g);
    CU_ASSERT_EQUAL(memcmp(cell + 4 * 9, "\1\1\1\1\1\0\0\0\0", 9), 0);
    CU_ASSERT_EQUAL(memcmp(cell + 5 * 9, "\0\0\0\1\1\1\0\0\0", 9), 0);
    /* Skipped rows are left out of rows and keys; the caller may stop. */
    p->node[0].skip = 1;
    g = (grid){cell, 0, 5};
    CU_ASSERT_EQUAL(ba_plan_mask(p, keep_row, &g), 5);
    CU_ASSERT_EQUAL(memcmp(cell, "\1\0\0\0\0\0\0\0", 8), 0);
    ba_plan_free(p);
}

/* --- schedule --------------------------------------------------------------------------------------------------- */

/* The pass that completes a node's rows; SIZE_MAX if they are not computed; -1 if they are out of order. */
static int done_in(const ba_plan *p, const ba_schedule *s, size_t *pass_of) {
    size_t next[16] = {0};
    for (size_t i = 0; i < p->n_node; i++) {
        pass_of[i] = SIZE_MAX;
    }
    for (size_t q = 0; q < s->n_pass; q++) {
        size_t rows = 0;
        for (size_t w = 0; w < s->pass[q].n_work; w++) {
            const ba_work *work = &s->work[s->pass[q].work0 + w];
            const ba_node *v = &p->node[work->node];
            bool ask = v->choice.on && ba_choice_by_attention(&v->choice);
            if (work->probe) { /* all own rows, in a pass of its own, directly before the node's other work */
                bool next_is_its = q + 1 < s->n_pass && s->work[s->pass[q].work0 + 1].node == work->node;
                if (!ask || !next_is_its || work->rows != v->n || work->refreshed || s->pass[q].n_work > 1) {
                    return -1;
                }
                rows += work->rows;
                continue;
            }
            bool probed = s->pass[q].work0 > 0 && (work - 1)->node == work->node && (work - 1)->probe;
            if (ask != probed || work->row0 != next[work->node] || work->refreshed != ba_node_refreshed(v) ||
                s->pass[q].online == v->stored || (work->refreshed && (work->rows != v->n || s->pass[q].n_work > 1))) {
                return -1;
            }
            rows += work->rows + work->refreshed;
            next[work->node] += work->rows;
            pass_of[work->node] = next[work->node] == v->n ? q : SIZE_MAX;
        }
        if (rows != s->pass[q].rows) {
            return -1;
        }
    }
    return 0;
}

static bool schedule_holds(const ba_plan *p, const uint8_t *have, size_t max_rows) {
    ba_schedule *s = ba_schedule_new(p, have, max_rows);
    size_t pass_of[16] = {0}, computed = 0;
    bool holds = s && p->n_node > 0 && p->n_node <= 16 && !done_in(p, s, pass_of) && pass_of[p->n_node - 1] != SIZE_MAX;
    for (size_t i = 0; holds && i < p->n_node; i++) {
        const ba_node *v = &p->node[i];
        for (size_t e = 0; pass_of[i] != SIZE_MAX && e < v->n_edge; e++) {
            size_t seen = s->same[v->edge[e].seen];
            bool there = pass_of[seen] != SIZE_MAX ? pass_of[seen] < pass_of[i] : have && have[seen];
            holds = holds && there;
        }
        holds = holds && (pass_of[i] == SIZE_MAX || s->same[i] == i);
        holds = holds && (pass_of[i] == SIZE_MAX || i + 1 == p->n_node || !have || !have[i]);
    }
    for (size_t q = 0; holds && q < s->n_pass; q++) {
        const ba_work *first = &s->work[s->pass[q].work0];
        bool alone = s->pass[q].n_work == 1 && (first->refreshed || p->node[first->node].choice.on);
        holds = holds && (alone || s->pass[q].rows <= max_rows);
        computed += s->pass[q].rows;
    }
    holds = holds && computed == s->n_computed;
    ba_schedule_free(s);
    return holds;
}

static void schedules_keep_their_promises(void) {
    static const size_t max_rows[] = {1, 3, 7, 1000};
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        uint64_t rng = seed + 1;
        uint8_t have[16] = {0};
        ba_plan *p = ba_random_plan(seed);
        for (size_t i = 0; i < p->n_node; i++) {
            have[i] = p->node[i].stored && ba_random_below(&rng, 2);
        }
        for (size_t m = 0; m < sizeof max_rows / sizeof *max_rows; m++) {
            if (!schedule_holds(p, NULL, max_rows[m]) || !schedule_holds(p, have, max_rows[m])) {
                printf("         seed %d, %zu rows a pass\n", (int)seed, max_rows[m]);
                CU_FAIL("a schedule is wrong");
            }
        }
        ba_plan_free(p);
    }
}

/* Five blocks, two of them equal, and a question. */
static ba_plan *blocks(void) {
    static const int32_t ids[] = {5, 6, 7, 8, 9, 10};
    static const size_t len[] = {3, 5, 2, 5, 1};
    ba_plan *p = ba_plan_new("blocks");
    for (size_t i = 0; i < 5; i++) {
        size_t block = ba_plan_add_node(p, ids, len[i], i, 1);
        p->node[block].stored = true;
    }
    ba_plan_add_node(p, ids, 4, 5, 1);
    for (size_t i = 0; i < 5; i++) {
        ba_plan_add_edge(p, 5, i, 0);
    }
    return p;
}

static void few_passes_and_no_row_twice(void) {
    ba_plan *p = blocks();
    ba_schedule *s = ba_schedule_new(p, NULL, 6);
    CU_ASSERT_EQUAL(s->same[3], 1);
    CU_ASSERT_EQUAL(s->n_pass, 3); /* 11 rows of blocks in two passes, then the question */
    CU_ASSERT_EQUAL(s->pass[0].rows, 6);
    CU_ASSERT_EQUAL(s->pass[1].rows, 5);
    CU_ASSERT_EQUAL(s->pass[2].rows, 4);
    CU_ASSERT(!s->pass[1].online && s->pass[2].online);
    CU_ASSERT_EQUAL(s->n_computed, 15);
    CU_ASSERT_EQUAL(s->n_reused, 5);
    ba_schedule_free(s);
    uint8_t all[] = {1, 1, 1, 1, 1, 1};
    s = ba_schedule_new(p, all, 6);
    CU_ASSERT_EQUAL(s->n_pass, 1); /* the last node is always computed */
    CU_ASSERT_EQUAL(s->n_computed, 4);
    CU_ASSERT_EQUAL(s->n_reused, 16);
    ba_schedule_free(s);
    ba_plan_free(p);
}

static void what_only_stored_nodes_see_is_not_needed(void) {
    ba_plan *p = sample();
    p->node[2].n_edge = 2;
    p->node[2].edge[0] = p->node[2].edge[1]; /* the last node sees node 1 only, which sees node 0 */
    p->node[2].n_edge = 1;
    uint8_t have[] = {0, 1, 0};
    ba_schedule *s = ba_schedule_new(p, have, 100);
    CU_ASSERT_EQUAL(s->n_computed, 2);
    CU_ASSERT_EQUAL(s->n_reused, 4);
    ba_schedule_free(s);
    ba_plan_free(p);
}

int ba_suite_plan(void) {
    CU_pSuite suite = CU_add_suite("plan", NULL, NULL);
    return suite && CU_add_test(suite, "the check refuses every field out of range", check_names_what_is_wrong) &&
                   CU_add_test(suite, "the check accepts random well-formed plans", check_accepts_random_plans) &&
                   CU_add_test(suite, "a node's address changes with all that its KV depends on",
                               address_depends_on_what_is_computed) &&
                   CU_add_test(suite, "a node's address does not change with its position or segment",
                               address_is_independent_of_place) &&
                   CU_add_test(suite, "closed-form intervals are what rows see, key by key",
                               intervals_are_what_rows_see) &&
                   CU_add_test(suite, "the bottom-right mask ends in the corner", bottom_right_is_a_corner) &&
                   CU_add_test(suite, "the mask shows rows as they were computed last",
                               mask_shows_the_last_computed_form) &&
                   CU_add_test(suite, "random schedules compute every needed row once, in order",
                               schedules_keep_their_promises) &&
                   CU_add_test(suite, "a repeated block is encoded once, in few passes", few_passes_and_no_row_twice) &&
                   CU_add_test(suite, "what only stored nodes see is not needed",
                               what_only_stored_nodes_see_is_not_needed)
               ? 0
               : -1;
}

/* Cost: every figure of Block-Attention's Table 3, and the closed form against counting pair by pair. The engine's
 * tests compare it with what the kernels count. */
#include "tests/support/plans.h"
#include "tests/support/runner.h"

#include "experiments/measure/costing.h"
#include "experiments/measure/paper_row.h"
#include "sim/modes/modes.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SEEDS = 200 };

/* --- the paper -------------------------------------------------------------------------------------------------- */

static ba_cost cost_at(size_t length, const char *mode, bool warm) {
    char text[4096] = "", err[BA_ERR_LEN] = "";
    size_t n = 0,
           block =
               length > 4096
                   ? 4096
                   : 128; /* most passages that the shorthand can write; FLOPs of a warm prompt do not depend on it */
    for (size_t left = length - 50; left; left -= left < block ? left : block) {
        n += (size_t)snprintf(text + n, sizeof text - n, "p%zu ", left < block ? left : block);
    }
    snprintf(text + n, sizeof text - n, "q50");
    ba_prompt *prompt = ba_prompt_of(text);
    ba_plan *plan = NULL;
    ba_cost cost = {0};
    CU_ASSERT_EQUAL_FATAL(ba_mode_plan(mode, prompt, &plan, err), 0);
    CU_ASSERT_EQUAL(ba_cost_up_to_first(ba_shape_by_name(BA_PAPER_SHAPE), plan, (ba_sizes){2, 2, 2}, warm, BA_PASS_ROWS,
                                        &cost, err),
                    0);
    ba_plan_free(plan);
    ba_prompt_free(prompt);
    return cost;
}

static void the_papers_row_comes_out_digit_by_digit(void) {
    static const size_t lengths[] = {50, 512, 1024, 2048, 4096, 8192, 16384, 32768};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        const ba_paper_row *printed = ba_paper_row_at(lengths[i]);
        CU_ASSERT_PTR_NOT_NULL_FATAL(printed);
        ba_cut full = ba_cut_off(cost_at(lengths[i], "full", false).flops_paper, ba_digits_of(printed->flops_full));
        ba_cut block = ba_cut_off(cost_at(lengths[i], "block", true).flops_paper, ba_digits_of(printed->flops_block));
        unsigned tenths = ba_cut_reduction(full, block);
        char a[32], b[32], c[32];
        ba_cut_print(full, a, sizeof a);
        ba_cut_print(block, b, sizeof b);
        snprintf(c, sizeof c, "%u.%u%%", tenths / 10, tenths % 10);
        CU_ASSERT_STRING_EQUAL(a, printed->flops_full);
        CU_ASSERT_STRING_EQUAL(b, printed->flops_block);
        CU_ASSERT(strcmp(c, printed->reduction) == 0 || (tenths == 0 && strcmp(printed->reduction, "-") == 0));
    }
    CU_ASSERT_PTR_NULL(ba_paper_row_at(100));
}

/* Exact counts for Llama-3-8B shapes, to the digits given here. */
static void exact_counts_are_the_stated_ones(void) {
    static const struct {
        size_t length;
        const char *full, *full_share, *warm, *warm_share, *reduction, *kv;
    } stated[] = {
        {512, "7.22e+12", "1%", "7.12e+11", "2%", "90.1%", "0.067"},
        {4096, "6.16e+13", "7%", "8.06e+11", "13%", "98.7%", "0.54"},
        {16384, "2.99e+14", "24%", "1.13e+12", "38%", "99.6%", "2.1"},
        {32768, "7.39e+14", "38%", "1.56e+12", "55%", "99.8%", "4.3"},
    };
    for (size_t i = 0; i < sizeof stated / sizeof *stated; i++) {
        ba_cost full = cost_at(stated[i].length, "full", false), warm = cost_at(stated[i].length, "block", true);
        double f = (double)full.flops_exact, w = (double)warm.flops_exact;
        char text[32];
        snprintf(text, sizeof text, "%.2e", f);
        CU_ASSERT_STRING_EQUAL(text, stated[i].full);
        snprintf(text, sizeof text, "%.0f%%", 100 * (double)full.flops_attention / f);
        CU_ASSERT_STRING_EQUAL(text, stated[i].full_share);
        snprintf(text, sizeof text, "%.2e", w);
        CU_ASSERT_STRING_EQUAL(text, stated[i].warm);
        snprintf(text, sizeof text, "%.0f%%", 100 * (double)warm.flops_attention / w);
        CU_ASSERT_STRING_EQUAL(text, stated[i].warm_share);
        snprintf(text, sizeof text, "%.1f%%", 100 * (1 - w / f));
        CU_ASSERT_STRING_EQUAL(text, stated[i].reduction);
        snprintf(text, sizeof text, "%.2g", (double)warm.kv_bytes / 1e9);
        CU_ASSERT_STRING_EQUAL(text, stated[i].kv);
    }
}

static void digits_are_cut_off_not_rounded(void) {
    static const struct {
        uint64_t x;
        int digits;
        const char *text;
    } cut[] = {{768000, 2, "7.6e5"}, {799, 2, "7.9e2"}, {7, 2, "7.0e0"},    {0, 2, "0"},
               {2459, 3, "2.45e3"},  {10, 1, "1e1"},    {100, 3, "1.00e2"}, {UINT64_MAX, 4, "1.844e19"}};
    for (size_t i = 0; i < sizeof cut / sizeof *cut; i++) {
        char text[32];
        ba_cut_print(ba_cut_off(cut[i].x, cut[i].digits), text, sizeof text);
        CU_ASSERT_STRING_EQUAL(text, cut[i].text);
    }
    CU_ASSERT_EQUAL(ba_cut_reduction(ba_cut_off(1000, 2), ba_cut_off(1, 2)), 999);
    CU_ASSERT_EQUAL(ba_cut_reduction(ba_cut_off(UINT64_MAX, 2), ba_cut_off(1, 2)), 999);
    CU_ASSERT_EQUAL(ba_cut_reduction(ba_cut_off(5, 2), ba_cut_off(5, 2)), 0);
}

/* --- pair by pair ----------------------------------------------------------------------------------------------- */

static const ba_shape tiny = {
    .layers = 4, .d_model = 24, .heads = 4, .kv_heads = 2, .head_dim = 6, .d_ff = 40, .vocab = 100};
static const ba_sizes sizes = {8, 4, 2};

/* A list of rows or keys of one viewer: the segment of each, and its token in it. */
typedef struct listed {
    size_t seg[256], token[256], n;
} listed;

static void list(listed *l, size_t seg, size_t first, size_t n) {
    for (size_t i = 0; i < n; i++) {
        l->seg[l->n] = seg;
        l->token[l->n++] = first + i;
    }
}

/* The estimate of a choice: of each edge as many rows as both scores and all windows can give, evenly spread; of these
 * as many as the whole choice can take, evenly spread. */
static void list_chosen(const ba_node *v, listed *rows) {
    listed all = {.n = 0};
    size_t each = v->choice.window * (v->choice.score == BA_SCORE_K_AND_V ? 2 : 1);
    for (size_t e = 0; e < v->n_edge; e++) {
        const ba_edge *edge = &v->edge[e];
        size_t quota = edge->quota < edge->n ? edge->quota : edge->n,
               n = quota * each < edge->n ? quota * each : edge->n;
        for (size_t i = 0; i < n; i++) {
            list(&all, e, edge->first + i * edge->n / n, 1);
        }
    }
    size_t n = v->choice.count * each < all.n ? v->choice.count * each : all.n;
    for (size_t i = 0; i < n; i++) {
        list(rows, all.seg[i * all.n / n], all.token[i * all.n / n], 1);
    }
}

/* Rows of a work item in a layer; kept: after a choice. */
static void list_rows(const ba_plan *p, const ba_work *w, bool kept, listed *rows) {
    const ba_node *v = &p->node[w->node];
    rows->n = 0;
    for (size_t e = 0; !kept && w->refreshed && e < v->n_edge; e++) {
        list(rows, e, v->edge[e].first, v->choice.on ? v->edge[e].n : v->edge[e].refresh);
    }
    if (kept) {
        list_chosen(v, rows);
    }
    list(rows, v->n_edge, w->row0, w->rows);
}

/* Products of the voting rows' queries, or of their mean, with the keys of the edges. */
static void count_votes(ba_cost *c, const ba_shape *s, const ba_plan *p, const ba_work *w, size_t window) {
    const ba_node *v = &p->node[w->node];
    bool mean = v->choice.score == BA_SCORE_MEAN_QUERY;
    size_t end = v->choice.vote + v->choice.n_vote, heads = mean ? s->kv_heads : s->heads;
    c->bytes_read += v->choice.n_vote * s->heads * s->head_dim * sizes.real;
    for (size_t e = 0; e < v->n_edge; e++) {
        size_t lo = SIZE_MAX, hi = 0;
        for (size_t row = v->choice.vote; row < end; row++) {
            size_t voters = mean ? row + 1 == end : 1; /* the mean query sees what the last row sees */
            c->flops_dense += 2 * voters * heads * s->head_dim * v->edge[e].n;
            for (size_t i = v->edge[e].first; i < v->edge[e].first + v->edge[e].n; i++) {
                if (ba_sees(p, w->node, v->n_edge, row, e, i, window)) {
                    c->flops_exact += 2 * voters * heads * s->head_dim;
                    c->flops_attention += 2 * voters * heads * s->head_dim;
                    lo = i < lo ? i : lo;
                    hi = i + 1 > hi ? i + 1 : hi;
                }
            }
        }
        c->bytes_read += hi > lo ? (hi - lo) * s->kv_heads * s->head_dim * sizes.kv : 0;
    }
}

static void count_matrix(ba_cost *c, size_t rows, size_t in, size_t out, bool add) {
    c->flops_exact += 2 * rows * in * out;
    c->flops_dense += 2 * rows * in * out;
    c->bytes_read += rows * in * sizes.real + in * out * sizes.weight + (add ? rows * out * sizes.real : 0);
    c->bytes_written += rows * out * sizes.real;
}

static void count_attention(ba_cost *c, const ba_shape *s, const ba_plan *p, const ba_work *w, const listed *rows,
                            size_t window, bool bottom_right) {
    const ba_node *v = &p->node[w->node];
    size_t width = s->heads * s->head_dim, kv = 2 * s->kv_heads * s->head_dim;
    listed keys = {.n = 0};
    for (size_t e = 0; e < v->n_edge; e++) {
        list(&keys, e, v->edge[e].first, v->edge[e].n);
    }
    list(&keys, v->n_edge, 0, w->row0 + w->rows);
    c->bytes_read += rows->n * width * sizes.real;
    c->bytes_written += rows->n * width * sizes.real;
    for (size_t from = 0; from <= v->n_edge; from++) {
        for (size_t to = 0; to <= v->n_edge; to++) {
            size_t pairs = 0, dense = 0, lo = SIZE_MAX, hi = 0;
            for (size_t i = 0; i < rows->n; i++) {
                for (size_t j = 0; rows->seg[i] == from && j < keys.n; j++) {
                    bool past = bottom_right ? j <= i + keys.n - rows->n
                                             : ba_sees(p, w->node, from, rows->token[i], to, keys.token[j], 0);
                    double apart = 0;
                    if (keys.seg[j] != to) {
                        continue;
                    }
                    dense += bottom_right || to <= from;
                    if (window) {
                        double at = from < v->n_edge ? v->edge[from].at : v->pos;
                        double step = from < v->n_edge ? p->node[v->edge[from].seen].step : v->step;
                        double key_at = to < v->n_edge ? v->edge[to].at : v->pos;
                        double key_step = to < v->n_edge ? p->node[v->edge[to].seen].step : v->step;
                        apart = at + step * (double)rows->token[i] - key_at - key_step * (double)keys.token[j];
                    }
                    if (past && (!window || apart < (double)window)) {
                        pairs++;
                        lo = keys.token[j] < lo ? keys.token[j] : lo;
                        hi = keys.token[j] + 1 > hi ? keys.token[j] + 1 : hi;
                    }
                }
            }
            c->flops_exact += 4 * width * pairs;
            c->flops_attention += 4 * width * pairs;
            c->flops_dense += 4 * width * dense;
            c->bytes_read += hi > lo ? (hi - lo) * kv * sizes.kv : 0;
        }
    }
}

static void count_pass(ba_cost *c, const ba_shape *s, const ba_plan *p, const ba_schedule *sched, const ba_pass *pass) {
    size_t width = s->heads * s->head_dim, kv = 2 * s->kv_heads * s->head_dim;
    const ba_work *work = &sched->work[pass->work0];
    const ba_choice *choice = &p->node[work->node].choice;
    bool ask = choice->on && ba_choice_by_attention(choice), chosen = choice->on && work->refreshed;
    size_t embedded = pass->rows, last = s->layers - 1;
    if (ask && work->refreshed) {
        listed rows;
        list_rows(p, work, true, &rows);
        embedded = rows.n;
    }
    while (work->probe && last && !ba_choice_counts(choice, last, s->layers)) {
        last--;
    }
    c->bytes_read += embedded * s->d_model * sizes.weight;
    c->bytes_written += embedded * s->d_model * sizes.real;
    for (size_t l = 0; l <= last; l++) {
        bool kept = chosen && (ask || l >= choice->layer), before = !chosen || (!ask && l <= choice->layer);
        bool ends = work->probe && l == last; /* with the queries of its last layer */
        size_t in = 0, out = 0;
        for (size_t i = 0; i < pass->n_work; i++) {
            listed rows;
            list_rows(p, &work[i], !before, &rows);
            in += rows.n;
            list_rows(p, &work[i], kept, &rows);
            out += rows.n;
            if (work->probe && ba_choice_counts(choice, l, s->layers)) {
                count_votes(c, s, p, work, s->local[l] ? s->window : 0);
            }
            if (!ends) {
                count_attention(c, s, p, &work[i], &rows, s->local[l] ? s->window : 0,
                                kept && choice->bottom_right && l >= choice->bottom_right_from);
            }
            const ba_node *v = &p->node[work[i].node];
            for (size_t e = 0; work[i].refreshed && e < v->n_edge; e++) {
                if (ask ? v->edge[e].quota > 0 : choice->on || v->edge[e].refresh) {
                    c->bytes_read += p->node[v->edge[e].seen].n * kv * sizes.kv;
                    c->bytes_written += p->node[v->edge[e].seen].n * kv * sizes.kv;
                }
            }
        }
        count_matrix(c, in, s->d_model, width + kv, false);
        c->bytes_read += in * kv * sizes.real;
        c->bytes_written += in * kv * sizes.kv;
        if (!ends) {
            count_matrix(c, out, width, s->d_model, !s->post_norms);
            count_matrix(c, out, s->d_model, 2 * s->d_ff, false);
            count_matrix(c, out, s->d_ff, s->d_model, !s->post_norms);
        }
    }
}

static bool counts_agree(const ba_shape *s, const ba_plan *p, size_t max_rows) {
    char err[BA_ERR_LEN];
    ba_cost closed, counted = {0};
    ba_schedule *sched = ba_schedule_new(p, NULL, max_rows);
    int rc = ba_cost_plan(s, p, sched, sizes, 3, &closed, err);
    for (size_t i = 0; i < sched->n_pass; i++) {
        count_pass(&counted, s, p, sched, &sched->pass[i]);
    }
    ba_schedule_free(sched);
    count_matrix(&counted, 3, s->d_model, s->vocab, false);
    return !rc && closed.flops_exact == counted.flops_exact && closed.flops_attention == counted.flops_attention &&
           closed.flops_dense == counted.flops_dense && closed.bytes_read == counted.bytes_read &&
           closed.bytes_written == counted.bytes_written;
}

static void closed_form_is_the_count_of_pairs(void) {
    ba_shape windowed = tiny;
    windowed.window = 4;
    windowed.local[0] = windowed.local[2] = true;
    windowed.post_norms = true;
    static const size_t max_rows[] = {1, 5, 1000};
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        ba_plan *p = ba_random_plan(seed);
        for (size_t m = 0; m < sizeof max_rows / sizeof *max_rows; m++) {
            if (!counts_agree(&tiny, p, max_rows[m]) || !counts_agree(&windowed, p, max_rows[m])) {
                printf("         seed %d, %zu rows a pass\n", (int)seed, max_rows[m]);
                CU_FAIL("closed form and count differ");
            }
        }
        ba_plan_free(p);
    }
}

/* Without refreshed or repeated rows, a plan's visible pairs are those of its mask. */
static int count_ones(void *arg, size_t row, const uint8_t *flags, size_t n) {
    (void)row;
    for (size_t i = 0; i < n; i++) {
        *(uint64_t *)arg += flags[i];
    }
    return 0;
}

static void attention_is_the_sum_of_the_mask(void) {
    static const char *const modes[] = {"full", "block", "promptcache", "pcw", "sink", "selective", "block:n=1"};
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        char err[BA_ERR_LEN];
        ba_prompt *prompt = ba_prompt_of("s7 p20 p1 p33 q9");
        ba_plan *plan;
        ba_cost cost;
        uint64_t ones = 0;
        CU_ASSERT_EQUAL_FATAL(ba_mode_plan(modes[i], prompt, &plan, err), 0);
        ba_plan_mask(plan, count_ones, &ones);
        for (size_t rows = 1; rows < 200; rows = rows * 3 + 1) {
            CU_ASSERT_EQUAL(ba_cost_up_to_first(&tiny, plan, sizes, false, rows, &cost, err), 0);
            CU_ASSERT_EQUAL(cost.flops_attention, 4 * tiny.layers * tiny.heads * tiny.head_dim * ones);
        }
        ba_plan_free(plan);
        ba_prompt_free(prompt);
    }
}

/* --- what is chosen --------------------------------------------------------------------------------------------- */

static void paths_cost_their_scores_and_what_is_kept(void) {
    char err[BA_ERR_LEN];
    ba_prompt *prompt = ba_prompt_of("s2 p40 p5 q3 t2");
    ba_plan *all, *one;
    ba_cost a, first, second;
    CU_ASSERT_EQUAL_FATAL(ba_mode_plan("superposition", prompt, &all, err), 0);
    CU_ASSERT_EQUAL_FATAL(ba_mode_plan("superposition:topk=1", prompt, &one, err), 0);
    ba_schedule *s = ba_schedule_new(all, NULL, 1000), *t = ba_schedule_new(one, NULL, 1000);
    CU_ASSERT_EQUAL(ba_cost_plan(&tiny, all, s, sizes, 1, &a, err), 0);
    CU_ASSERT_EQUAL(ba_cost_run(&tiny, one, t, sizes, 1, &(ba_chosen){.path = (uint8_t[]){1, 0}}, &first, err), 0);
    CU_ASSERT_EQUAL(ba_cost_run(&tiny, one, t, sizes, 1, &(ba_chosen){.path = (uint8_t[]){0, 1}}, &second, err), 0);
    uint64_t pair = 4 * tiny.layers * tiny.heads * tiny.head_dim, head = 2 * tiny.d_model * tiny.vocab;
    /* The task's two rows do not see what is left out; scores: 39 + 4 rows of contexts, 2 of each copy, 1 a path. */
    CU_ASSERT_EQUAL(a.flops_attention - first.flops_attention, pair * 2 * (5 + 3));
    CU_ASSERT_EQUAL(a.flops_attention - second.flops_attention, pair * 2 * (40 + 3));
    CU_ASSERT_EQUAL(first.flops_exact - first.flops_attention - (a.flops_exact - a.flops_attention),
                    head * (39 + 4 + 2 * 2 + 2));
    ba_schedule_free(s);
    ba_schedule_free(t);
    /* With the contexts stored, their scores are stored with them. */
    s = ba_schedule_of(one, true, 1000);
    CU_ASSERT_EQUAL(ba_cost_plan(&tiny, one, s, sizes, 1, &second, err), 0);
    t = ba_schedule_of(all, true, 1000);
    CU_ASSERT_EQUAL(ba_cost_plan(&tiny, all, t, sizes, 1, &a, err), 0);
    CU_ASSERT_EQUAL(second.flops_exact - second.flops_attention - (a.flops_exact - a.flops_attention),
                    head * (2 * 2 + 2));
    ba_schedule_free(s);
    ba_schedule_free(t);
    ba_plan_free(all);
    ba_plan_free(one);
    ba_prompt_free(prompt);
}

/* Prefix of 20, passages of 60 and 40, question of 10 and task of 5 tokens, 30 layers: rows computed again, summed over
 * layers, over 30 x 120. */
static void charged_budgets_are_the_written_ones(void) {
    static const struct {
        const char *mode, *prompt;
        double rows;
    } expected[] = {
        {"full", "s20 p60 p40 q10 t5", 120 * 30},
        {"block", "s20 p60 p40 q10 t5", 0},
        {"block:n=2", "s20 p60 p40 q10 t5", 40 * 30}, /* the second passage goes on with the question */
        {"splice", "s20 p60 p40 q10 t5", 0},
        {"cacheblend", "s20 p60 p40 q10 t5", 120 * 2 + 21 * 28}, /* int(0.16 x 135) */
        {"kvshift", "s20 p60 p40 q10 t5", 120 * 2 + 20 * 28},    /* if no token is in both lists of 10 */
        {"prophetkv", "s20 p60 p40 q10 t5", 20 * 30 + 15 * 30},
        {"prophetkv:r=0", "s20 p60 p40 q10 t5", 15 * 30},
        {"prophetkv:r=0.05,layers=3", "s20 p60 p40 q10 t5", 5 * 30 + 15 * 4},
        {"qcfuse", "s20 p60 p40 q10 t5", 32 * 30 + 15 * 20},   /* the middle third ends with layer 19 */
        {"prophetkv:r=1", "p100 p20 q30", 120 * 30 + 30 * 30}, /* more than everything */
    };
    ba_shape thirty = tiny;
    thirty.layers = 30;
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        char err[BA_ERR_LEN];
        ba_cost cost;
        ba_plan *plan = NULL;
        ba_prompt *prompt = ba_prompt_of(expected[i].prompt);
        CU_ASSERT_EQUAL_FATAL(ba_mode_plan(expected[i].mode, prompt, &plan, err), 0);
        ba_schedule *s = ba_schedule_new(plan, NULL, 1000);
        CU_ASSERT_EQUAL(ba_cost_plan(&thirty, plan, s, sizes, 1, &cost, err), 0);
        CU_ASSERT_DOUBLE_EQUAL(cost.charged, expected[i].rows / (30 * 120), 1e-12);
        ba_schedule_free(s);
        ba_plan_free(plan);
        ba_prompt_free(prompt);
    }
}

static void chosen_rows_are_counted_where_they_are(void) {
    char err[BA_ERR_LEN];
    ba_prompt *prompt = ba_prompt_of("p4 p4 q2");
    ba_plan *plan;
    ba_cost low, high;
    CU_ASSERT_EQUAL_FATAL(ba_mode_plan("cacheblend:r=0.2", prompt, &plan, err), 0);
    ba_schedule *s = ba_schedule_of(plan, true, 1000);
    CU_ASSERT_EQUAL(ba_cost_run(&tiny, plan, s, sizes, 1, &(ba_chosen){.row = (size_t[]){0, 1}, .n_row = 2}, &low, err),
                    0);
    CU_ASSERT_EQUAL(
        ba_cost_run(&tiny, plan, s, sizes, 1, &(ba_chosen){.row = (size_t[]){5, 7}, .n_row = 2}, &high, err), 0);
    /* Layers 1, 2, 3: rows 0 and 1 see 1 + 2 keys, rows 5 and 7 see 6 + 8. */
    CU_ASSERT_EQUAL(high.flops_attention - low.flops_attention,
                    4 * tiny.heads * tiny.head_dim * (tiny.layers - 1) * (14 - 3));
    ba_schedule_free(s);
    ba_plan_free(plan);
    ba_prompt_free(prompt);
}

/* --- limits ----------------------------------------------------------------------------------------------------- */

static void what_does_not_fit_is_refused(void) {
    char err[BA_ERR_LEN] = "";
    ba_prompt *prompt = ba_prompt_of("p40 q2");
    ba_plan *plan;
    ba_cost cost;
    ba_shape huge = tiny;
    huge.d_ff = (size_t)1 << 60;
    CU_ASSERT_EQUAL_FATAL(ba_mode_plan("block", prompt, &plan, err), 0);
    CU_ASSERT_EQUAL(ba_cost_up_to_first(&huge, plan, sizes, false, 10, &cost, err), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err, "64 bits"));
    ba_plan_free(plan);
    ba_prompt_free(prompt);
    ba_sizes got;
    CU_ASSERT_EQUAL(ba_sizes_of("f16", 4, &got, err), -1);
    CU_ASSERT_EQUAL(ba_sizes_of("auto", 4, &got, err), 0);
    CU_ASSERT_EQUAL(got.kv, 4);
}

int ba_suite_cost(void) {
    CU_pSuite s = CU_add_suite("cost", NULL, NULL);
    return s &&
                   CU_add_test(s, "Table 3 of Block-Attention comes out digit by digit",
                               the_papers_row_comes_out_digit_by_digit) &&
                   CU_add_test(s, "exact counts of Llama-3-8B are the written ones",
                               exact_counts_are_the_stated_ones) &&
                   CU_add_test(s, "Table 3's digits are cut off, not rounded", digits_are_cut_off_not_rounded) &&
                   CU_add_test(s, "the closed form equals counting pair by pair", closed_form_is_the_count_of_pairs) &&
                   CU_add_test(s, "FLOPs of attention are the sum of the mask", attention_is_the_sum_of_the_mask) &&
                   CU_add_test(s, "paths cost their scores, and only kept ones are attended to",
                               paths_cost_their_scores_and_what_is_kept) &&
                   CU_add_test(s, "charged budgets are the written ones", charged_budgets_are_the_written_ones) &&
                   CU_add_test(s, "chosen rows are counted at their positions",
                               chosen_rows_are_counted_where_they_are) &&
                   CU_add_test(s, "a cost over 64 bits is refused", what_does_not_fit_is_refused)
               ? 0
               : -1;
}

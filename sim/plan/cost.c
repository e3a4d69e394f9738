/* The closed form of what the kernels count: follows the schedule pass by pass and layer by layer, and adds up products
 * and bytes of each operation. */
#include "cost.h"

#include "visible.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct tally {
    const ba_shape *shape;
    const ba_plan *plan;
    ba_sizes size;
    size_t *row; /* [n_row] rows chosen, or NULL */
    size_t n_row;
    uint8_t *path;    /* [n_path] paths kept, or NULL if all are */
    int32_t *lo, *hi; /* scratch, [rows of the largest pass] */
    ba_cost *cost;
    bool overflow; /* some sum or product did not fit into 64 bits */
} tally;

static uint64_t times(tally *t, uint64_t a, uint64_t b) {
    uint64_t c = 0;
    t->overflow |= __builtin_mul_overflow(a, b, &c);
    return c;
}

static uint64_t times3(tally *t, uint64_t a, uint64_t b, uint64_t c) {
    return times(t, times(t, a, b), c);
}

static void add(tally *t, uint64_t *sum, uint64_t x) {
    t->overflow |= __builtin_add_overflow(*sum, x, sum);
}

/* --- operations ------------------------------------------------------------------------------------------------- */

static void linear(tally *t, size_t rows, uint64_t in, uint64_t out, bool accumulate) {
    ba_cost *c = t->cost;
    uint64_t flops = times3(t, 2 * rows, in, out);
    add(t, &c->flops_exact, flops);
    add(t, &c->flops_dense, flops);
    add(t, &c->bytes_read, times3(t, rows, in, t->size.real));
    add(t, &c->bytes_read, times3(t, out, in, t->size.weight));
    add(t, &c->bytes_read, accumulate ? times3(t, rows, out, t->size.real) : 0);
    add(t, &c->bytes_written, times3(t, rows, out, t->size.real));
}

static void embed(tally *t, size_t rows) {
    add(t, &t->cost->bytes_read, times3(t, rows, t->shape->d_model, t->size.weight));
    add(t, &t->cost->bytes_written, times3(t, rows, t->shape->d_model, t->size.real));
}

/* Elements of K and V of a token in one layer. */
static uint64_t kv_width(const ba_shape *s) {
    return 2 * (uint64_t)s->kv_heads * s->head_dim;
}

static void kv_write(tally *t, size_t rows) {
    add(t, &t->cost->bytes_read, times3(t, rows, kv_width(t->shape), t->size.real));
    add(t, &t->cost->bytes_written, times3(t, rows, kv_width(t->shape), t->size.kv));
}

static void kv_copy(tally *t, size_t tokens) {
    uint64_t bytes = times3(t, tokens, kv_width(t->shape), t->size.kv);
    add(t, &t->cost->bytes_read, bytes);
    add(t, &t->cost->bytes_written, bytes);
}

/* --- attention -------------------------------------------------------------------------------------------------- */

/* Sums over the jobs of one pass in one kind of layer. */
typedef struct pairs {
    uint64_t rows, visible, dense, keys;
} pairs;

static bool dropped(const tally *t, const ba_node *viewer, size_t edge) {
    size_t path = t->plan->node[viewer->edge[edge].seen].path;
    return t->path && path && !viewer->path && !t->path[path - 1];
}

/* One run of rows against one segment. */
static void add_segment(tally *t, const ba_node *viewer, const ba_run_of_rows *run, const ba_sight *sight, size_t s,
                        pairs *p) {
    uint64_t all = ba_visible_keys(viewer, run, s);
    p->dense += run->n * all; /* below 2^62: both are below 2^31 */
    if (ba_visible_fully(run, sight, s)) {
        p->visible += run->n * all;
        p->keys += all;
        return;
    }
    int32_t first = INT32_MAX, last = 0;
    ba_visible(t->plan, viewer, run, sight, s, t->lo, t->hi);
    for (size_t i = 0; i < run->n; i++) {
        if (t->hi[i] > t->lo[i]) {
            p->visible += (uint64_t)(t->hi[i] - t->lo[i]);
            first = t->lo[i] < first ? t->lo[i] : first;
            last = t->hi[i] > last ? t->hi[i] : last;
        }
    }
    p->keys += last > first ? (uint64_t)(last - first) : 0;
}

static void add_run(tally *t, const ba_node *viewer, const ba_run_of_rows *run, const ba_sight *sight, pairs *p) {
    for (size_t s = 0; s < ba_visible_segments(viewer, run, sight); s++) {
        if (s == viewer->n_edge || !dropped(t, viewer, s)) {
            add_segment(t, viewer, run, sight, s, p);
        }
    }
    p->rows += run->n;
}

/* Kept rows of an edge, as indices into the seen node; returns how many. *next walks along the list of all kept rows;
 * `begin`: keys of the edges before this one. */
static size_t kept_of(const tally *t, const ba_edge *e, size_t begin, size_t count, size_t *next, size_t *token) {
    size_t n = 0;
    for (; *next < count && t->row[*next] < begin + e->n; ++*next) {
        token[n++] = t->row[*next] - begin + e->first;
    }
    return n;
}

static int add_work(tally *t, const ba_work *w, size_t window, bool kept, bool bottom_right, pairs *p) {
    const ba_node *v = &t->plan->node[w->node];
    size_t count = kept ? t->n_row : 0, next = 0, begin = 0;
    size_t *token = malloc((count + 1) * sizeof *token);
    if (!token) {
        return -1;
    }
    ba_sight sight = {window, bottom_right, 0, count + w->rows};
    for (size_t e = 0; w->refreshed && e < v->n_edge; begin += v->edge[e++].n) {
        const ba_edge *edge = &v->edge[e];
        ba_run_of_rows run = {.seg = e, .first = edge->first, .n = ba_edge_refreshed(v, edge)};
        if (kept) {
            run = (ba_run_of_rows){e, 0, kept_of(t, edge, begin, count, &next, token), token};
        }
        if (run.n) {
            add_run(t, v, &run, &sight, p);
            sight.before += run.n;
        }
    }
    ba_run_of_rows own = {.seg = v->n_edge, .first = w->row0, .n = w->rows};
    add_run(t, v, &own, &sight, p);
    free(token);
    return 0;
}

/* The scores of one layer by which rows are chosen: products of the voting queries, or one mean query a KV head, with
 * the keys of the edges. The first visits tell the pairs of the rows that vote, the last the keys that any of them sees. */
static void add_votes(tally *t, const ba_node *v, size_t window) {
    const ba_shape *s = t->shape;
    const ba_choice *c = &v->choice;
    bool mean = c->score == BA_SCORE_MEAN_QUERY;
    ba_run_of_rows all = {.seg = v->n_edge, .first = c->vote, .n = c->n_vote}, last = all;
    ba_sight sight = {.window = window};
    pairs seen = {0}, read = {0};
    last.first += mean ? all.n - 1 : 0;
    last.n -= mean ? all.n - 1 : 0;
    for (size_t e = 0; e < v->n_edge; e++) {
        add_segment(t, v, &last, &sight, e, &seen);
        add_segment(t, v, &all, &sight, e, &read);
    }
    uint64_t width = (uint64_t)(mean ? s->kv_heads : s->heads) * s->head_dim;
    uint64_t exact = times3(t, 2, width, seen.visible);
    add(t, &t->cost->flops_exact, exact);
    add(t, &t->cost->flops_attention, exact);
    add(t, &t->cost->flops_dense, times3(t, 2, width, seen.dense));
    add(t, &t->cost->bytes_read, times3(t, all.n, (uint64_t)s->heads * s->head_dim, t->size.real));
    add(t, &t->cost->bytes_read, times3(t, read.keys, kv_width(s) / 2, t->size.kv));
}

static void attention(tally *t, const pairs *p) {
    const ba_shape *s = t->shape;
    uint64_t width = (uint64_t)s->heads * s->head_dim;
    uint64_t exact = times3(t, 4, width, p->visible);
    add(t, &t->cost->flops_exact, exact);
    add(t, &t->cost->flops_attention, exact);
    add(t, &t->cost->flops_dense, times3(t, 4, width, p->dense));
    add(t, &t->cost->bytes_read, times3(t, p->rows, width, t->size.real));
    add(t, &t->cost->bytes_read, times3(t, p->keys, kv_width(s), t->size.kv));
    add(t, &t->cost->bytes_written, times3(t, p->rows, width, t->size.real));
}

/* --- passes ----------------------------------------------------------------------------------------------------- */

/* Layers of one pass that agree in these have the same attention. */
typedef struct layer_kind {
    bool local, kept, bottom_right;
} layer_kind;

/* What a layer does after its attention. */
static void rest_of_layer(tally *t, size_t rows, uint64_t width) {
    const ba_shape *s = t->shape;
    linear(t, rows, width, s->d_model, !s->post_norms);
    linear(t, rows, s->d_model, 2 * s->d_ff, false);
    linear(t, rows, s->d_ff, s->d_model, !s->post_norms);
}

/* Pairs of the pass's attention in one kind of layer. */
static int sum_pairs(tally *t, const ba_work *work, const ba_pass *pass, layer_kind k, pairs *p) {
    *p = (pairs){0};
    for (size_t i = 0; i < pass->n_work; i++) {
        if (add_work(t, &work[i], k.local ? t->shape->window : 0, k.kept, k.bottom_right, p)) {
            return -1;
        }
    }
    return 0;
}

static int add_layers(tally *t, const ba_work *work, const ba_pass *pass) {
    const ba_shape *s = t->shape;
    const ba_node *v = &t->plan->node[work->node];
    const ba_choice *choice = pass->n_work == 1 && v->choice.on && !work->probe && work->refreshed ? &v->choice : NULL;
    size_t kept_from = choice && !ba_choice_by_attention(choice) ? choice->layer : 0;
    size_t end = work->probe ? ba_choice_layers(&v->choice, s->layers) : s->layers;
    uint64_t width = (uint64_t)s->heads * s->head_dim;
    pairs memo[2][2][2];
    bool known[2][2][2] = {0};
    size_t in = choice && !kept_from ? t->n_row + v->n : pass->rows, out = in; /* at a layer's beginning, and its end */
    for (size_t l = 0; l < end; l++, in = out) {
        layer_kind k = {.local = s->window && s->local[l], .kept = choice && l >= kept_from};
        k.bottom_right = k.kept && choice->bottom_right && l >= choice->bottom_right_from;
        out = k.kept ? t->n_row + v->n : out;
        pairs *p = &memo[k.local][k.kept][k.bottom_right];
        bool *there = &known[k.local][k.kept][k.bottom_right];
        if (!*there && sum_pairs(t, work, pass, k, p)) {
            return -1;
        }
        *there = true;
        linear(t, in, s->d_model, width + kv_width(s), false);
        kv_write(t, in);
        if (work->probe && ba_choice_counts(&v->choice, l, s->layers)) {
            add_votes(t, v, k.local ? s->window : 0);
        }
        add(t, &t->cost->flops_paper, times3(t, 2, out, ba_shape_layer_weights(s) / s->layers));
        if (work->probe && l + 1 == end) {
            return 0;
        }
        attention(t, p);
        rest_of_layer(t, out, width);
    }
    add(t, &t->cost->flops_paper, times3(t, 2, out, ba_shape_head_weights(s)));
    return 0;
}

/* Copies of the seen nodes whose keys will be overwritten in part. */
static void add_copies(tally *t, const ba_node *v) {
    for (size_t e = 0; e < v->n_edge; e++) {
        if (ba_edge_refreshed(v, &v->edge[e])) {
            for (size_t l = 0; l < t->shape->layers; l++) {
                kv_copy(t, t->plan->node[v->edge[e].seen].n);
            }
        }
    }
}

static void head(tally *t, size_t rows) {
    linear(t, rows, t->shape->d_model, t->shape->vocab, false);
}

/* The rows of a work item that predict a token of its own node. */
static void add_scores(tally *t, const ba_work *w) {
    const ba_node *v = &t->plan->node[w->node];
    size_t rows = w->row0 + w->rows < v->n ? w->rows : w->rows - 1;
    for (; rows > BA_SCORE_ROWS; rows -= BA_SCORE_ROWS) {
        head(t, BA_SCORE_ROWS);
    }
    if (rows) {
        head(t, rows);
    }
}

static int add_pass(tally *t, const ba_schedule *schedule, const ba_pass *pass) {
    const ba_work *work = schedule->work + pass->work0;
    for (size_t i = 0; i < pass->n_work; i++) {
        if (work[i].refreshed) {
            add_copies(t, &t->plan->node[work[i].node]);
        }
    }
    const ba_choice *c = &t->plan->node[work->node].choice;
    bool chosen = c->on && ba_choice_by_attention(c) && work->refreshed;
    embed(t, chosen ? t->n_row + work->rows : pass->rows);
    if (add_layers(t, work, pass)) {
        return -1;
    }
    for (size_t i = 0; i < pass->n_work; i++) {
        if (t->plan->keep_paths && t->plan->node[work[i].node].path) {
            add_scores(t, &work[i]);
        }
    }
    return 0;
}

/* --- the whole -------------------------------------------------------------------------------------------------- */

/* As many rows as can be chosen, evenly spread over those that each edge may give: row[n_row]. */
static void spread(tally *t, const ba_node *v, size_t total) {
    size_t all = 0, at = 0, taken = 0, begin = 0;
    for (size_t e = 0; e < v->n_edge; e++) {
        all += ba_edge_chosen(v, &v->edge[e]);
    }
    for (size_t e = 0; e < v->n_edge; begin += v->edge[e++].n) {
        size_t n = ba_edge_chosen(v, &v->edge[e]);
        for (size_t i = 0; i < n; i++, at++) {
            if (taken < total && taken * all / total == at) {
                t->row[taken++] = begin + i * v->edge[e].n / n;
            }
        }
    }
    t->n_row = taken;
}

/* What was chosen, or an estimate: evenly spread rows, the first paths. */
static int set_chosen(tally *t, const ba_chosen *chosen) {
    const ba_plan *plan = t->plan;
    const ba_node *last = &plan->node[plan->n_node - 1];
    bool known = chosen && chosen->row;
    if (last->choice.on) {
        size_t n = known ? chosen->n_row : ba_node_chosen(last);
        if (!(t->row = calloc(n + 1, sizeof *t->row))) {
            return -1;
        }
        if (known) {
            memcpy(t->row, chosen->row, n * sizeof *t->row);
            t->n_row = n;
        } else {
            spread(t, last, n);
        }
    }
    if (plan->keep_paths) {
        if (!(t->path = calloc(plan->n_path + 1, 1))) {
            return -1;
        }
        for (size_t p = 0; p < plan->n_path; p++) {
            t->path[p] = chosen && chosen->path ? chosen->path[p] : p < plan->keep_paths;
        }
    }
    return 0;
}

/* Rows of a node that the last node sees that are reusable tokens: all of a link's, those before the question of one that
 * goes on with it, none of the question's. */
static size_t reusable_rows(const ba_plan *plan, const ba_node *v) {
    if (v->seg >= plan->question) {
        return 0;
    }
    return v->seg + v->n_seg > plan->question ? v->n - plan->n_question : v->n - v->skip;
}

/* ba_cost.charged: rows computed again, summed over layers, over those that there are. */
static double charged(const tally *t) {
    const ba_plan *plan = t->plan;
    const ba_node *last = &plan->node[plan->n_node - 1];
    const ba_choice *c = last->choice.on ? &last->choice : NULL;
    double layers = (double)t->shape->layers, again = 0, all = 0;
    for (size_t i = 0; i < plan->n_node; i++) {
        bool seen = i + 1 == plan->n_node;
        for (size_t e = 0; e < last->n_edge; e++) {
            seen = seen || last->edge[e].seen == i;
        }
        double rows = seen ? (double)reusable_rows(plan, &plan->node[i]) : 0;
        all += rows;
        again += plan->node[i].stored ? 0 : rows * layers;
    }
    if (c && ba_choice_by_attention(c)) {
        again += (double)t->n_row * layers + (double)(last->n * ba_choice_layers(c, t->shape->layers));
    } else if (c) {
        double probed = (double)(c->layer + 1);
        again += (double)ba_node_refreshed(last) * probed + (double)t->n_row * (layers - probed);
    } else {
        again += (double)ba_node_refreshed(last) * layers;
    }
    return all > 0 ? again / (layers * all) : 0;
}

int ba_cost_charged(const ba_shape *shape, const ba_plan *plan, const ba_chosen *chosen, double *out,
                    char err[BA_ERR_LEN]) {
    tally t = {.shape = shape, .plan = plan};
    if (ba_plan_fits(plan, shape->layers, err)) {
        return -1;
    }
    int rc = set_chosen(&t, chosen) ? ba_fail(err, "out of memory") : 0;
    *out = rc ? NAN : charged(&t);
    free(t.row);
    free(t.path);
    return rc;
}

static int new_scratch(tally *t, const ba_schedule *schedule) {
    size_t rows = 1;
    for (size_t p = 0; p < schedule->n_pass; p++) {
        rows = schedule->pass[p].rows > rows ? schedule->pass[p].rows : rows;
    }
    t->lo = calloc(rows, sizeof *t->lo);
    t->hi = calloc(rows, sizeof *t->hi);
    return t->lo && t->hi ? 0 : -1;
}

int ba_cost_run(const ba_shape *shape, const ba_plan *plan, const ba_schedule *schedule, ba_sizes sizes,
                size_t head_rows, const ba_chosen *chosen, ba_cost *out, char err[BA_ERR_LEN]) {
    *out = (ba_cost){.n_computed = schedule->n_computed, .n_reused = schedule->n_reused};
    tally t = {.shape = shape, .plan = plan, .size = sizes, .cost = out};
    int rc = ba_plan_fits(plan, shape->layers, err);
    if (rc) {
        return rc;
    }
    rc = set_chosen(&t, chosen) || new_scratch(&t, schedule) ? ba_fail(err, "out of memory") : 0;
    if (rc) {
        goto done;
    }
    out->charged = charged(&t);
    out->n_computed -= ba_node_spare(&plan->node[plan->n_node - 1], t.n_row);
    for (size_t p = 0; p < schedule->n_pass; p++) {
        if (add_pass(&t, schedule, &schedule->pass[p])) {
            rc = ba_fail(err, "out of memory");
            goto done;
        }
    }
    for (size_t p = 0; plan->keep_paths && p < plan->n_path; p++) {
        head(&t, 1);
    }
    if (head_rows) {
        head(&t, head_rows);
    }
    for (size_t i = 0; i < plan->n_node; i++) {
        if (schedule->same[i] == i) {
            add(&t, &out->kv_bytes, times3(&t, times(&t, plan->node[i].n, shape->layers), kv_width(shape), sizes.kv));
        }
    }
    if (t.overflow) {
        rc = ba_fail(err, "the cost of %zu tokens does not fit in 64 bits", plan->n_tokens);
    }
done:
    free(t.row);
    free(t.path);
    free(t.lo);
    free(t.hi);
    return rc;
}

int ba_cost_plan(const ba_shape *shape, const ba_plan *plan, const ba_schedule *schedule, ba_sizes sizes,
                 size_t head_rows, ba_cost *out, char err[BA_ERR_LEN]) {
    return ba_cost_run(shape, plan, schedule, sizes, head_rows, NULL, out, err);
}

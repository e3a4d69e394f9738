/* Prefill: look up, encode what is missing, give the last node what it looks at. */
#include "engine.h"

#include "batch.h"
#include "run.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

const char *ba_stage_name(ba_stage s) {
    static const char *const name[BA_STAGE_COUNT] = {
        [BA_STAGE_TOKENIZE] = "tokenize", [BA_STAGE_LOOKUP] = "lookup", [BA_STAGE_LOAD] = "load",
        [BA_STAGE_ENCODE] = "encode",     [BA_STAGE_MERGE] = "merge",   [BA_STAGE_PREFILL] = "prefill",
        [BA_STAGE_FIRST] = "first_token",
    };
    return (unsigned)s < BA_STAGE_COUNT ? name[s] : "?";
}

double ba_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

ba_counters ba_counters_less(ba_counters after, ba_counters before) {
    return (ba_counters){after.flops_exact - before.flops_exact, after.flops_dense - before.flops_dense,
                         after.bytes_read - before.bytes_read, after.bytes_written - before.bytes_written};
}

int ba_engine_new(ba_model *model, ba_backend *be, ba_store *store, const char *adapter, ba_engine **out,
                  char err[BA_ERR_LEN]) {
    ba_engine *e = calloc(1, sizeof *e);
    size_t size = strlen(be->ops->name) + strlen(be->ops->dtype) + 2;
    *out = NULL;
    if (!e || !(e->adapter = strdup(adapter ? adapter : "")) || !(e->dtype = malloc(size))) {
        ba_engine_free(e);
        return ba_fail(err, "out of memory");
    }
    snprintf(e->dtype, size, "%s/%s", be->ops->name, be->ops->dtype);
    if (ba_network_open(&e->net, model, be, err)) {
        ba_engine_free(e);
        return -1;
    }
    e->own_store = !store;
    e->store = store ? store : ba_store_new(be, 0);
    if (!e->store) {
        ba_engine_free(e);
        return ba_fail(err, "out of memory");
    }
    e->origin = (ba_origin){ba_model_hash(model), e->adapter, e->dtype};
    *out = e;
    return 0;
}

void ba_engine_free(ba_engine *e) {
    if (!e) {
        return;
    }
    if (e->own_store) {
        ba_store_free(e->store);
    }
    if (e->net.be) {
        ba_network_close(&e->net);
    }
    free(e->adapter);
    free(e->dtype);
    free(e);
}

const ba_shape *ba_engine_shape(const ba_engine *e) {
    return e->net.shape;
}

ba_backend *ba_engine_backend(const ba_engine *e) {
    return e->net.be;
}

uint64_t ba_engine_weight_bytes(const ba_engine *e) {
    return e->net.weight_bytes;
}

/* --- one pass ---------------------------------------------------------------------------------------------------- */

/* Keys that an edge lets the viewer compute again. */
static size_t refreshed(const ba_node *v, const ba_edge *e) {
    return v->choice.on ? e->n : e->refresh;
}

static bool is_last(const ba_run *r, size_t node) {
    return node + 1 == r->plan->n_node;
}

static bool scored(const ba_plan *plan, size_t node) {
    return plan->keep_paths && plan->node[node].path;
}

/* Runs of rows of a work item: what it refreshes edge by edge, then its own. Room for n_edge + 1. */
static size_t runs_of(const ba_plan *plan, const ba_work *w, ba_rows *rows) {
    const ba_node *v = &plan->node[w->node];
    size_t n = 0;
    for (size_t e = 0; w->refreshed && e < v->n_edge; e++) {
        size_t first = v->edge[e].first;
        rows[n++] = (ba_rows){{e, first, refreshed(v, &v->edge[e]), NULL}, plan->node[v->edge[e].seen].ids + first};
    }
    rows[n++] = (ba_rows){{v->n_edge, w->row0, w->rows, NULL}, v->ids + w->row0};
    return n;
}

static int finish(ba_run *r, ba_batch *b) {
    return ba_batch_finish(b) || ba_network_rotate(&r->e->net, b->place, b->n_place) ? -1 : 0;
}

int ba_run_step(ba_run *r, ba_stage stage, size_t rows) {
    r->done += rows;
    return r->opt.progress && r->opt.progress(r->opt.arg, stage, r->done, r->total) ? BA_INTERRUPTED : 0;
}

/* Shows the hidden rows of the output node to a caller who wants to see them. */
static void probe(ba_run *r, const ba_batch *b, size_t layer, size_t rows) {
    const ba_network *net = &r->e->net;
    double *hidden = malloc(rows * net->shape->d_model * sizeof *hidden);
    if (hidden) {
        net->be->ops->download(net->be, (ba_view){net->x, b->rows - rows, 0}, rows, net->shape->d_model, hidden);
        r->opt.layer(r->opt.arg, layer, hidden, rows, net->shape->d_model);
        free(hidden);
    }
}

/* Watches the attention of the batch's last job, the output node's own rows, for the caller. */
typedef struct watch {
    ba_attn_probe probe;
    size_t *edge;
} watch;

static void watch_end(watch *w) {
    free(w->probe.lse);
    free(w->probe.mean_score);
    free(w->edge);
}

static int watch_begin(ba_run *r, const ba_batch *b, watch *w) {
    ba_attn_job *job = &b->job[b->n_job - 1];
    ba_look look = ba_run_look(r, r->plan->n_node - 1);
    size_t n_edge = look.merged ? 0 : r->plan->node[look.node].n_edge, n = 0;
    size_t size = job->rows * r->e->net.shape->heads * job->n_seg;
    *w = (watch){{malloc(size * sizeof(double)), malloc(size * sizeof(double))}, malloc(job->n_seg * sizeof(size_t))};
    if (!w->probe.lse || !w->probe.mean_score || !w->edge) {
        watch_end(w);
        return -1;
    }
    for (size_t e = 0; e < n_edge; e++) {
        if (look.shown[e]) {
            w->edge[n++] = e;
        }
    }
    w->edge[n] = r->plan->node[look.node].n_edge;
    job->probe = b->job_local[b->n_job - 1].probe = &w->probe;
    return 0;
}

static void watch_report(const ba_run *r, const ba_batch *b, const watch *w, size_t layer) {
    const ba_attn_job *job = &b->job[b->n_job - 1];
    const ba_attention a = {layer,   job->rows,    r->e->net.shape->heads, job->n_seg,
                            w->edge, w->probe.lse, w->probe.mean_score};
    r->opt.attention(r->opt.arg, &a);
}

/* Layers [first, end) for a batch. last: its last job is the output node's. */
static int walk(ba_run *r, const ba_batch *b, size_t first, bool last, ba_stage stage, bool stable) {
    ba_network *net = &r->e->net;
    bool watched = last && r->opt.attention;
    watch w;
    int rc = watched ? watch_begin(r, b, &w) : 0;
    for (size_t l = first; !rc && l < net->shape->layers; l++) {
        ba_network_keys(net, b, l, stable);
        ba_network_attend(net, b, l, stable);
        ba_network_feed(net, b->rows, l, stable);
        if (watched) {
            watch_report(r, b, &w, l);
        }
        if (last && r->opt.layer) {
            probe(r, b, l, b->job[b->n_job - 1].rows);
        }
        rc = ba_run_step(r, stage, b->rows);
    }
    if (watched) {
        watch_end(&w);
    }
    return rc;
}

int ba_run_walk(ba_run *r, const ba_batch *b, ba_stage stage, bool stable) {
    ba_network_embed(&r->e->net, b);
    return walk(r, b, 0, false, stage, stable);
}

ba_look ba_run_look(ba_run *r, size_t node) {
    ba_held *h = &r->held[node];
    const ba_shape *s = r->e->net.shape;
    return (ba_look){r->plan, node, r->shown + h->edge0, r->patch + h->edge0, h->own, h->merged, s->window};
}

static ba_kv *new_kv(ba_run *r, size_t tokens) {
    const ba_shape *s = r->e->net.shape;
    ba_backend *be = r->e->net.be;
    return be->ops->kv_new(be, s->layers, s->kv_heads, s->head_dim, tokens);
}

/* Rotated copies of everything a node sees, one behind the other, with room for its own keys (paper, section 3: the way
 * of the released code). */
static int merge_keys(ba_run *r, size_t node) {
    const ba_node *v = &r->plan->node[node];
    ba_held *h = &r->held[node];
    ba_network *net = &r->e->net;
    size_t keys = 0, most = 0;
    for (size_t e = 0; e < v->n_edge; e++) {
        keys += v->edge[e].n;
        most = v->edge[e].n > most ? v->edge[e].n : most;
    }
    h->own = new_kv(r, keys + v->n + (is_last(r, node) ? r->room : 0));
    double *place = malloc((most + 1) * sizeof *place);
    int rc = h->own && place ? 0 : -1;
    for (size_t e = 0, at = 0; !rc && e < v->n_edge; at += v->edge[e++].n) {
        const ba_edge *edge = &v->edge[e];
        for (size_t i = 0; i < edge->n; i++) {
            place[i] = edge->at; /* on top of the key's local rotation */
        }
        rc = ba_network_rotate(net, place, edge->n);
        for (size_t l = 0; !rc && l < net->shape->layers; l++) {
            net->be->ops->kv_copy(net->be, h->own, at, r->shown[h->edge0 + e], edge->first, edge->n, l, net->rot, 0);
        }
    }
    free(place);
    h->merged = keys;
    h->kv = h->own;
    return rc;
}

/* Copies of the seen nodes whose keys will be overwritten in part. */
static int patch_keys(ba_run *r, size_t node) {
    const ba_node *v = &r->plan->node[node];
    ba_held *h = &r->held[node];
    ba_network *net = &r->e->net;
    for (size_t e = 0; e < v->n_edge; e++) {
        const ba_kv *from = r->shown[h->edge0 + e];
        size_t n = r->plan->node[v->edge[e].seen].n;
        if (!refreshed(v, &v->edge[e]) || !from) {
            continue;
        }
        ba_kv *copy = r->patch[h->edge0 + e] = new_kv(r, n);
        if (!copy) {
            return -1;
        }
        for (size_t l = 0; l < net->shape->layers; l++) {
            net->be->ops->kv_copy(net->be, copy, 0, from, 0, n, l, NULL, 0);
        }
        r->shown[h->edge0 + e] = copy;
    }
    return 0;
}

/* What has to be there before the first row of a node is computed. */
static int prepare(ba_run *r, const ba_work *w) {
    const ba_node *v = &r->plan->node[w->node];
    ba_held *h = &r->held[w->node];
    if (w->row0 > 0) {
        return 0;
    }
    double start = ba_now();
    for (size_t e = 0; e < v->n_edge; e++) {
        const ba_node *seen = &r->plan->node[v->edge[e].seen];
        bool dropped = scored(r->plan, v->edge[e].seen) && !v->path && !r->path_kept[seen->path - 1];
        r->shown[h->edge0 + e] = dropped ? NULL : r->held[v->edge[e].seen].kv;
    }
    if (r->opt.executor == BA_MERGE_KEYS && !v->stored && v->n_edge) {
        int rc = merge_keys(r, w->node);
        r->stats.stage[BA_STAGE_MERGE] += ba_now() - start;
        return rc;
    }
    if (w->refreshed && patch_keys(r, w->node)) {
        return -1;
    }
    h->own = new_kv(r, v->n + (is_last(r, w->node) ? r->room : 0));
    h->kv = h->own;
    r->stats.stage[BA_STAGE_MERGE] += ba_now() - start;
    return h->own ? 0 : -1;
}

/* --- rows refreshed by choice ------------------------------------------------------------------------------------- */

typedef struct candidate {
    double value;
    size_t index;
} candidate;

static int best_first(const void *a, const void *b) {
    const candidate *x = a, *y = b;
    if (x->value != y->value) {
        return x->value > y->value ? -1 : 1;
    }
    return x->index < y->index ? -1 : x->index > y->index;
}

static int by_row(const void *a, const void *b) {
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    return x < y ? -1 : x > y;
}

/* The count rows farthest from what is stored, ascending, counted over the keys of all edges; in r->chosen_row. */
static int choose(ba_run *r, size_t node) {
    const ba_node *v = &r->plan->node[node];
    const ba_held *h = &r->held[node];
    ba_backend *be = r->e->net.be;
    size_t n = 0;
    for (size_t e = 0; e < v->n_edge; e++) {
        n += v->edge[e].n;
    }
    size_t count = v->choice.count < n ? v->choice.count : n;
    double *distance = malloc((n + 1) * sizeof *distance);
    candidate *c = malloc((n + 1) * sizeof *c);
    free(r->chosen_row);
    r->chosen_row = malloc((count + 1) * sizeof *r->chosen_row);
    int rc = distance && c && r->chosen_row ? 0 : -1;
    for (size_t e = 0, row = 0; !rc && e < v->n_edge; row += v->edge[e++].n) {
        const ba_edge *edge = &v->edge[e];
        be->ops->kv_distance(be, v->choice.score == BA_SCORE_V ? BA_KV_V : BA_KV_K, v->choice.layer,
                             r->patch[h->edge0 + e], edge->first, r->held[edge->seen].kv, edge->first, edge->n,
                             distance + row);
    }
    if (!rc) {
        for (size_t i = 0; i < n; i++) {
            c[i] = (candidate){distance[i], i};
        }
        qsort(c, n, sizeof *c, best_first);
        for (size_t i = 0; i < count; i++) {
            r->chosen_row[i] = c[i].index;
        }
        qsort(r->chosen_row, count, sizeof *r->chosen_row, by_row);
        r->stats.chosen_row = r->chosen_row;
        r->stats.n_chosen_row = count;
    }
    free(distance);
    free(c);
    return rc;
}

/* The chosen rows and the viewer's own as a batch. token and ids: room for all chosen rows, alive as long as the batch.
 */
static ba_batch *short_list(ba_run *r, const ba_work *w, size_t *token, int32_t *ids, bool bottom_right) {
    const ba_node *v = &r->plan->node[w->node];
    ba_look look = ba_run_look(r, w->node);
    ba_rows *rows = malloc((v->n_edge + 1) * sizeof *rows);
    ba_batch *b = ba_batch_new();
    size_t n = 0, i = 0, begin = 0;
    for (size_t e = 0; rows && e < v->n_edge; begin += v->edge[e++].n) {
        const ba_edge *edge = &v->edge[e];
        size_t i0 = i;
        for (; i < r->stats.n_chosen_row && r->chosen_row[i] < begin + edge->n; i++) {
            token[i] = r->chosen_row[i] - begin + edge->first;
            ids[i] = r->plan->node[edge->seen].ids[token[i]];
        }
        rows[n++] = (ba_rows){{e, 0, i - i0, token + i0}, ids + i0};
    }
    int rc = rows && b ? 0 : -1;
    if (!rc) {
        rows[n++] = (ba_rows){{v->n_edge, 0, v->n, NULL}, v->ids};
        rc = ba_batch_add(b, &look, rows, n, bottom_right) || finish(r, b);
    }
    free(rows);
    if (rc) {
        ba_batch_free(b);
        return NULL;
    }
    return b;
}

/* A pass whose rows are thinned out on the way: ba_choice in plan.h. The batch holds all rows. */
static int walk_choice(ba_run *r, const ba_work *w, const ba_batch *all) {
    const ba_node *v = &r->plan->node[w->node];
    const ba_choice *choice = &v->choice;
    ba_network *net = &r->e->net;
    ba_network_embed(net, all);
    for (size_t l = 0; l < choice->layer; l++) {
        ba_network_keys(net, all, l, true);
        ba_network_attend(net, all, l, true);
        ba_network_feed(net, all->rows, l, true);
        if (r->opt.layer) {
            probe(r, all, l, v->n);
        }
        if (ba_run_step(r, BA_STAGE_PREFILL, all->rows)) {
            return BA_INTERRUPTED;
        }
    }
    ba_network_keys(net, all, choice->layer, true);
    if (choose(r, w->node)) {
        return -1;
    }
    size_t n = r->stats.n_chosen_row, foreign = all->rows - v->n;
    size_t *row = malloc((n + v->n) * sizeof *row), *token = malloc((n + 1) * sizeof *token);
    int32_t *ids = malloc((n + 1) * sizeof *ids);
    ba_batch *first = NULL, *rest = NULL;
    int rc = row && token && ids ? 0 : -1;
    if (!rc) {
        memcpy(row, r->chosen_row, n * sizeof *row);
        for (size_t i = 0; i < v->n; i++) {
            row[n + i] = foreign + i;
        }
        ba_network_keep(net, row, n + v->n);
        first = short_list(r, w, token, ids, choice->bottom_right && choice->layer >= choice->bottom_right_from);
        rc = first ? 0 : -1;
    }
    if (!rc) {
        ba_network_attend(net, first, choice->layer, true);
        ba_network_feed(net, first->rows, choice->layer, true);
        if (r->opt.layer) {
            probe(r, first, choice->layer, v->n);
        }
        ba_batch_free(first);
        first = NULL;
        rest = short_list(r, w, token, ids, choice->bottom_right);
        rc = rest ? walk(r, rest, choice->layer + 1, true, BA_STAGE_PREFILL, true) : -1;
    }
    if (!rc) {
        net->be->ops->gather(net->be, (ba_view){net->x, 0, 0}, &(size_t){rest->rows - 1}, 1, net->shape->d_model,
                             (ba_view){r->end, 0, 0});
    }
    ba_batch_free(first);
    ba_batch_free(rest);
    free(row);
    free(token);
    free(ids);
    return rc;
}

/* --- scores of paths ------------------------------------------------------------------------------------------------
 */

/* Adds the log P of a path node's tokens that rows [row0, ..) of the pass predict; keeps a context's last hidden row.
 */
static int score_rows(ba_run *r, const ba_work *w, size_t row0) {
    const ba_node *v = &r->plan->node[w->node];
    ba_network *net = &r->e->net;
    ba_held *h = &r->held[w->node];
    size_t d = net->shape->d_model, n = w->row0 + w->rows < v->n ? w->rows : w->rows - 1;
    double *logprob = malloc((n + 1) * sizeof *logprob);
    if (!h->aux) {
        h->aux = calloc(d + 1, sizeof *h->aux);
    }
    int rc = logprob && h->aux ? 0 : -1;
    if (!rc) {
        rc = ba_run_logprob(r, (ba_view){net->x, 0, 0}, row0, n, v->ids + w->row0 + 1, logprob);
    }
    for (size_t i = 0; !rc && i < n; i++) {
        h->aux[0] += logprob[i];
    }
    if (!rc && w->row0 + w->rows == v->n) {
        net->be->ops->download(net->be, (ba_view){net->x, row0 + w->rows - 1, 0}, 1, d, h->aux + 1);
    }
    free(logprob);
    return rc;
}

/* An empty mean is 0. */
static double mean(double sum, double n) {
    return n > 0 ? sum / n : 0;
}

/* Scores of all paths, and which are kept. */
static int keep_paths(ba_run *r) {
    const ba_plan *plan = r->plan;
    ba_network *net = &r->e->net;
    candidate *c = malloc(plan->n_path * sizeof *c);
    int rc = c ? 0 : -1;
    for (size_t p = 0; !rc && p < plan->n_path; p++) {
        const ba_node *context = NULL, *copy = NULL;
        const double *context_aux = NULL, *copy_aux = NULL;
        for (size_t i = 0; i < plan->n_node; i++) {
            if (plan->node[i].path == p + 1) {
                *(context ? &copy : &context) = &plan->node[i];
                *(context_aux ? &copy_aux : &context_aux) = r->held[i].aux;
            }
        }
        double first = 0;
        ba_view row = {net->h, 0, 0};
        net->be->ops->upload(net->be, row, 1, net->shape->d_model, context_aux + 1);
        rc = ba_run_logprob(r, row, 0, 1, copy->ids, &first);
        double skipped = plan->skip_first, question = copy_aux[0] + (plan->skip_first ? 0 : first);
        r->path_score[p] = mean(context_aux[0], (double)context->n - 1) + mean(question, (double)copy->n - skipped);
        c[p] = (candidate){r->path_score[p], p};
    }
    if (!rc) {
        qsort(c, plan->n_path, sizeof *c, best_first);
        for (size_t p = 0; p < plan->n_path; p++) {
            r->path_kept[c[p].index] = p < plan->keep_paths;
        }
    }
    free(c);
    return rc;
}

/* --- the whole prefill ------------------------------------------------------------------------------------------ */

/* Key under which a node is stored. A context whose path is scored keeps more than its KV, so it is another entry. */
static ba_key key_of(const ba_plan *plan, size_t node) {
    ba_key key = ba_plan_node_key(plan, node);
    if (scored(plan, node)) {
        key.hi ^= 0x73636f7265646bu;
    }
    return key;
}

static uint64_t kv_bytes(const ba_run *r, size_t tokens) {
    const ba_shape *s = r->e->net.shape;
    return r->e->net.be->ops->kv_bytes(r->e->net.be, s->layers, s->kv_heads, s->head_dim, tokens);
}

/* A stored node is complete: it belongs to the store from here on. */
static int keep(ba_run *r, size_t node) {
    const ba_node *v = &r->plan->node[node];
    ba_held *h = &r->held[node];
    ba_kv *kv = h->own;
    h->own = NULL;
    h->entry = ba_store_add(r->e->store, &r->e->origin, key_of(r->plan, node), v->ids, v->n, kv, kv_bytes(r, v->n),
                            h->aux, h->aux ? r->e->net.shape->d_model + 1 : 0);
    h->kv = h->entry ? ba_entry_kv(h->entry) : NULL;
    return h->entry ? 0 : -1;
}

static int run_pass(ba_run *r, const ba_schedule *s, const ba_pass *pass) {
    const ba_plan *plan = r->plan;
    const ba_work *work = s->work + pass->work0;
    ba_network *net = &r->e->net;
    ba_stage stage = pass->online ? BA_STAGE_PREFILL : BA_STAGE_ENCODE;
    ba_batch *b = ba_batch_new();
    int rc = b ? 0 : -1;
    for (size_t i = 0; !rc && i < pass->n_work; i++) {
        rc = prepare(r, &work[i]);
    }
    double start = ba_now();
    for (size_t i = 0; !rc && i < pass->n_work; i++) {
        const ba_node *v = &plan->node[work[i].node];
        ba_rows *rows = malloc((v->n_edge + 1) * sizeof *rows);
        ba_look look = ba_run_look(r, work[i].node);
        rc = rows ? ba_batch_add(b, &look, rows, runs_of(plan, &work[i], rows), false) : -1;
        free(rows);
    }
    bool choice = pass->n_work == 1 && work[0].refreshed && plan->node[work[0].node].choice.on;
    if (!rc) {
        rc = finish(r, b);
    }
    if (!rc) {
        bool last = is_last(r, work[pass->n_work - 1].node);
        if (choice) {
            rc = walk_choice(r, &work[0], b);
        } else {
            ba_network_embed(net, b);
            rc = walk(r, b, 0, last, stage, true);
        }
        if (!rc && last && !choice) {
            net->be->ops->gather(net->be, (ba_view){net->x, 0, 0}, &(size_t){b->rows - 1}, 1, net->shape->d_model,
                                 (ba_view){r->end, 0, 0});
        }
    }
    for (size_t i = 0, row = 0; !rc && i < pass->n_work; row += work[i].refreshed + work[i].rows, i++) {
        if (scored(plan, work[i].node)) {
            rc = score_rows(r, &work[i], row);
        }
        if (!rc && plan->node[work[i].node].stored && work[i].row0 + work[i].rows == plan->node[work[i].node].n) {
            rc = keep(r, work[i].node);
        }
    }
    ba_batch_free(b);
    r->stats.stage[stage] += ba_now() - start;
    return rc;
}

static int look_up(ba_run *r, const ba_schedule *s, uint8_t *have) {
    const ba_plan *plan = r->plan;
    double start = ba_now();
    int rc = 0;
    for (size_t i = 0; !rc && i < plan->n_node; i++) {
        const ba_node *v = &plan->node[i];
        if (!v->stored || s->same[i] != i) {
            continue;
        }
        ba_held *h = &r->held[i];
        ba_lookup why;
        h->entry = ba_store_find(r->e->store, &r->e->origin, key_of(plan, i), v->ids, v->n, &why);
        r->lookup[r->stats.n_lookup++] = (ba_lookup_record){i, v->n, why};
        if (h->entry) {
            have[i] = 1;
            h->kv = ba_entry_kv(h->entry);
            size_t n_aux;
            const double *aux = ba_entry_aux(h->entry, &n_aux);
            if (n_aux) {
                h->aux = malloc(n_aux * sizeof *h->aux);
                rc = h->aux ? 0 : -1;
                if (!rc) {
                    memcpy(h->aux, aux, n_aux * sizeof *aux);
                }
            }
        }
    }
    r->stats.stage[BA_STAGE_LOOKUP] = ba_now() - start;
    return rc;
}

/* What the paper's executor cannot honour. */
static int check_executor(const ba_run *r, char err[BA_ERR_LEN]) {
    if (r->opt.executor != BA_MERGE_KEYS) {
        return 0;
    }
    if (r->e->net.shape->window) {
        return ba_fail(err, "the merging executor has no sliding-window layers; use the one in place");
    }
    for (size_t i = 0; i < r->plan->n_node; i++) {
        const ba_node *v = &r->plan->node[i];
        bool plain = !v->choice.on && !v->n_group && !v->select_k && !r->plan->keep_paths;
        for (size_t e = 0; e < v->n_edge; e++) {
            plain = plain && !v->edge[e].refresh && v->edge[e].inv_temp == 1 && v->edge[e].bias == 0;
        }
        if (!plain) {
            return ba_fail(err, "mode %s needs more than merged keys; use the executor in place", r->plan->mode);
        }
    }
    return 0;
}

/* Bytes that the run will take for KV and work space, or an error if they are over the caller's limit. */
static int check_memory(ba_run *r, const ba_schedule *s, const uint8_t *have, size_t rows, bool choice,
                        char err[BA_ERR_LEN]) {
    const ba_plan *plan = r->plan;
    uint64_t bytes = ba_network_work_bytes(&r->e->net, rows, choice), all_kv = 0;
    for (size_t i = 0; i < plan->n_node; i++) {
        const ba_node *v = &plan->node[i];
        if (s->same[i] != i) {
            continue;
        }
        all_kv += kv_bytes(r, v->n);
        if (have[i]) {
            continue;
        }
        bytes += kv_bytes(r, v->n + (is_last(r, i) ? r->room : 0));
        for (size_t e = 0; e < v->n_edge; e++) {
            if (refreshed(v, &v->edge[e]) || (r->opt.executor == BA_MERGE_KEYS && !v->stored)) {
                bytes += kv_bytes(r, v->edge[e].n);
            }
        }
    }
    r->stats.kv_bytes = all_kv;
    r->stats.work_bytes = ba_network_work_bytes(&r->e->net, rows, choice);
    if (r->opt.memory && bytes > r->opt.memory) {
        return ba_fail(
            err, "the prompt needs %.1f MB for KV and work space, the limit is %.1f MB; shorten it or raise --memory",
            (double)bytes / 1e6, (double)r->opt.memory / 1e6);
    }
    return 0;
}

static ba_run *run_new(ba_engine *e, const ba_plan *plan, const ba_engine_options *opt, size_t room) {
    ba_run *r = calloc(1, sizeof *r);
    if (!r) {
        return NULL;
    }
    r->e = e;
    r->plan = plan;
    r->opt = opt ? *opt : (ba_engine_options){0};
    r->room = room;
    size_t edges = 0;
    r->held = calloc(plan->n_node, sizeof *r->held);
    for (size_t i = 0; r->held && i < plan->n_node; i++) {
        r->held[i].edge0 = edges;
        edges += plan->node[i].n_edge;
    }
    r->shown = calloc(edges + 1, sizeof *r->shown);
    r->patch = calloc(edges + 1, sizeof *r->patch);
    r->lookup = calloc(plan->n_node, sizeof *r->lookup);
    r->path_score = calloc(plan->n_path + 1, sizeof *r->path_score);
    r->path_kept = calloc(plan->n_path + 1, sizeof *r->path_kept);
    r->logits = malloc(e->net.shape->vocab * sizeof *r->logits);
    r->last = e->net.be->ops->buf_new(e->net.be, 1, e->net.shape->d_model);
    r->end = e->net.be->ops->buf_new(e->net.be, 1, e->net.shape->d_model);
    if (!r->held || !r->shown || !r->patch || !r->lookup || !r->path_score || !r->path_kept || !r->logits || !r->last ||
        !r->end) {
        ba_run_free(r);
        return NULL;
    }
    r->stats.lookup = r->lookup;
    r->stats.path_score = r->path_score;
    r->stats.path_kept = r->path_kept;
    r->stats.n_path = plan->keep_paths ? plan->n_path : 0;
    r->stats.n_prompt = plan->n_tokens;
    return r;
}

/* All passes in order. A node seen twice under one key is computed by its first occurrence. */
static int run_passes(ba_run *r, const ba_schedule *s) {
    bool decided = !r->plan->keep_paths;
    int rc = 0;
    for (size_t p = 0; !rc && p < s->n_pass; p++) {
        for (size_t i = 0; i < r->plan->n_node; i++) {
            if (s->same[i] != i && !r->held[i].kv) {
                r->held[i].kv = r->held[s->same[i]].kv;
                if (r->held[s->same[i]].aux && !r->held[i].aux) {
                    size_t n = r->e->net.shape->d_model + 1;
                    r->held[i].aux = malloc(n * sizeof(double));
                    if (!r->held[i].aux) {
                        return -1;
                    }
                    memcpy(r->held[i].aux, r->held[s->same[i]].aux, n * sizeof(double));
                }
            }
        }
        if (!decided && is_last(r, s->work[s->pass[p].work0].node)) {
            rc = keep_paths(r);
            decided = true;
        }
        if (!rc) {
            rc = run_pass(r, s, &s->pass[p]);
        }
    }
    return rc;
}

int ba_engine_run(ba_engine *e, const ba_plan *plan, const ba_engine_options *opt, size_t room, ba_run **out,
                  char err[BA_ERR_LEN]) {
    *out = NULL;
    if (ba_plan_check(plan, err)) {
        return -1;
    }
    ba_run *r = run_new(e, plan, opt, room);
    uint8_t *have = calloc(plan->n_node, 1);
    size_t max_rows = r && r->opt.max_rows ? r->opt.max_rows : BA_PASS_ROWS, rows = 0;
    ba_schedule *s = ba_schedule_new(plan, NULL, max_rows), *todo = NULL;
    bool choice = plan->node[plan->n_node - 1].choice.on;
    int rc = r && have && s ? check_executor(r, err) : ba_fail(err, "out of memory");
    if (rc) {
        goto done;
    }
    ba_counters before = e->net.be->count;
    if (look_up(r, s, have) || !(todo = ba_schedule_new(plan, have, max_rows))) {
        rc = ba_fail(err, "out of memory");
        goto done;
    }
    for (size_t p = 0; p < todo->n_pass; p++) {
        rows = todo->pass[p].rows > rows ? todo->pass[p].rows : rows;
        r->total += (uint64_t)todo->pass[p].rows * e->net.shape->layers;
    }
    rc = check_memory(r, todo, have, rows, choice, err);
    if (rc) {
        goto done;
    }
    r->stats.n_computed = todo->n_computed;
    r->stats.n_reused = todo->n_reused;
    rc = ba_network_reserve(&e->net, rows, choice);
    if (!rc) {
        rc = run_passes(r, todo);
    }
    if (!rc) {
        ba_run_rewind(r);
    }
    if (rc) {
        ba_fail(err, rc == BA_INTERRUPTED ? "interrupted" : "out of memory");
    }
    r->stats.count = ba_counters_less(e->net.be->count, before);
done:
    ba_schedule_free(s);
    ba_schedule_free(todo);
    free(have);
    if (rc) {
        ba_run_free(r);
        return rc;
    }
    *out = r;
    return 0;
}

/* Prefill: look up, encode what is missing, give the last node what it looks at. */
#include "engine.h"

#include "kernels/base/clock.h"

#include "run.h"

#include <stdlib.h>
#include <string.h>

const char *ba_stage_name(ba_stage s) {
    static const char *const name[BA_STAGE_COUNT] = {
        [BA_STAGE_TOKENIZE] = "tokenize", [BA_STAGE_LOOKUP] = "lookup", [BA_STAGE_LOAD] = "load",
        [BA_STAGE_ENCODE] = "encode",     [BA_STAGE_MERGE] = "merge",   [BA_STAGE_PREFILL] = "prefill",
        [BA_STAGE_FIRST] = "first_token",
    };
    return (unsigned)s < BA_STAGE_COUNT ? name[s] : "?";
}

ba_counters ba_counters_less(ba_counters after, ba_counters before) {
    return (ba_counters){after.flops_exact - before.flops_exact, after.flops_dense - before.flops_dense,
                         after.bytes_read - before.bytes_read, after.bytes_written - before.bytes_written};
}

int ba_engine_new(ba_model *model, ba_backend *be, ba_store *store, const char *adapter, ba_engine **out,
                  char err[BA_ERR_LEN]) {
    return ba_engine_new_packed(model, be, store, adapter, NULL, out, err);
}

int ba_engine_new_packed(ba_model *model, ba_backend *be, ba_store *store, const char *adapter, ba_packed *packed,
                         ba_engine **out, char err[BA_ERR_LEN]) {
    ba_engine *e = calloc(1, sizeof *e);
    const char *made_by = be->ops->describe(be);
    size_t size = strlen(be->ops->name) + strlen(be->ops->dtype) + strlen(made_by) + 3;
    *out = NULL;
    if (!e || !(e->adapter = strdup(adapter ? adapter : "")) || !(e->dtype = malloc(size))) {
        ba_engine_free(e);
        return ba_fail(err, "out of memory");
    }
    const char *threads = strrchr(made_by, ';'); /* whose number changes no bit */
    snprintf(e->dtype, size, "%s/%s %.*s", be->ops->name, be->ops->dtype,
             (int)(threads ? threads - made_by : (ptrdiff_t)strlen(made_by)), made_by);
    if (ba_network_open(&e->net, model, be, packed, err)) {
        ba_engine_free(e);
        return -1;
    }
    e->own_store = !store;
    e->store = store ? store : ba_store_new(be, 0);
    if (!e->store) {
        ba_engine_free(e);
        return ba_fail(err, "out of memory");
    }
    const ba_shape *s = e->net.shape;
    e->origin = (ba_origin){.model = ba_model_hash(model),
                            .adapter = e->adapter,
                            .dtype = e->dtype,
                            .tokenizer = ba_model_vocab_hash(model),
                            .layers = s->layers,
                            .kv_heads = s->kv_heads,
                            .head_dim = s->head_dim};
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

/* Runs of rows of a work item: what it refreshes edge by edge, then its own. Room for n_edge + 1. */
static size_t runs_of(const ba_plan *plan, const ba_work *w, ba_rows *rows) {
    const ba_node *v = &plan->node[w->node];
    size_t n = 0;
    for (size_t e = 0; w->refreshed && e < v->n_edge; e++) {
        size_t first = v->edge[e].first;
        rows[n++] =
            (ba_rows){{e, first, ba_run_refreshed(v, &v->edge[e]), NULL}, plan->node[v->edge[e].seen].ids + first};
    }
    rows[n++] = (ba_rows){{v->n_edge, w->row0, w->rows, NULL}, v->ids + w->row0};
    return n;
}

/* Key under which a node is stored. A context whose path is scored keeps more than its KV, so it is another entry. */
static ba_key key_of(const ba_plan *plan, size_t node) {
    ba_key key = ba_plan_node_key(plan, node);
    if (ba_run_scored(plan, node)) {
        key.hi ^= 0x73636f7265646bu;
    }
    return key;
}

static uint64_t kv_bytes(const ba_run *r, size_t tokens) {
    const ba_shape *s = r->e->net.shape;
    return r->e->net.be->ops->kv_bytes(r->e->net.be, s->layers, s->kv_heads, s->head_dim, tokens);
}

/* A stored node is complete, encoded in so many seconds: it belongs to the store from here on. */
static int keep(ba_run *r, size_t node, double seconds) {
    const ba_node *v = &r->plan->node[node];
    ba_held *h = &r->held[node];
    ba_kv *kv = h->own;
    h->own = NULL;
    h->entry = ba_store_add(r->e->store, &r->e->origin, key_of(r->plan, node), v->ids, v->n, kv, kv_bytes(r, v->n),
                            h->aux, h->aux ? r->e->net.shape->d_model + 1 : 0, seconds);
    h->kv = h->entry ? ba_entry_kv(h->entry) : NULL;
    return h->entry ? 0 : -1;
}

static int run_pass(ba_run *r, const ba_schedule *s, const ba_pass *pass) {
    const ba_plan *plan = r->plan;
    const ba_work *work = s->work + pass->work0;
    ba_network *net = &r->e->net;
    ba_stage stage = pass->online ? BA_STAGE_PREFILL : BA_STAGE_ENCODE;
    ba_batch *b = ba_batch_new();
    double start = ba_now(), merged = r->stats.stage[BA_STAGE_MERGE];
    int rc = b ? 0 : -1;
    for (size_t i = 0; !rc && i < pass->n_work; i++) {
        rc = ba_run_prepare(r, &work[i]);
    }
    for (size_t i = 0; !rc && i < pass->n_work; i++) {
        const ba_node *v = &plan->node[work[i].node];
        ba_rows *rows = malloc((v->n_edge + 1) * sizeof *rows);
        ba_look look = ba_run_look(r, work[i].node);
        rc = rows ? ba_batch_add(b, &look, rows, runs_of(plan, &work[i], rows), false) : -1;
        free(rows);
    }
    bool choice = pass->n_work == 1 && work[0].refreshed && plan->node[work[0].node].choice.on;
    if (!rc) {
        rc = ba_run_finish(r, b);
    }
    if (!rc) {
        bool last = ba_run_is_last(r, work[pass->n_work - 1].node);
        if (choice) {
            rc = ba_run_walk_choice(r, &work[0], b);
        } else {
            ba_network_embed(net, b);
            rc = ba_run_walk(r, b, 0, last, stage, true);
        }
        if (!rc && last && !choice) {
            net->be->ops->gather(net->be, (ba_view){net->x, 0, 0}, &(size_t){b->rows - 1}, 1, net->shape->d_model,
                                 (ba_view){r->end, 0, 0});
        }
    }
    for (size_t i = 0, row = 0; !rc && i < pass->n_work; row += work[i].refreshed + work[i].rows, i++) {
        if (ba_run_scored(plan, work[i].node)) {
            rc = ba_run_score(r, &work[i], row);
        }
        if (!rc && plan->node[work[i].node].stored && work[i].row0 + work[i].rows == plan->node[work[i].node].n) {
            size_t n = plan->node[work[i].node].n;
            rc = keep(r, work[i].node, (ba_now() - start) * (double)n / (double)b->rows);
        }
    }
    ba_batch_free(b);
    r->stats.stage[stage] += ba_now() - start - (r->stats.stage[BA_STAGE_MERGE] - merged);
    return rc;
}

/* Tells the store all that will be looked up. */
static int expect(ba_run *r, const ba_schedule *s) {
    const ba_plan *plan = r->plan;
    ba_address *address = malloc(plan->n_node * sizeof *address);
    size_t n = 0;
    for (size_t i = 0; address && i < plan->n_node; i++) {
        const ba_node *v = &plan->node[i];
        if (v->stored && s->same[i] == i) {
            address[n++] = ba_address_of(&r->e->origin, key_of(plan, i), v->ids, v->n);
        }
    }
    if (!address) {
        return -1;
    }
    double start = ba_now();
    ba_store_expect(r->e->store, address, n);
    r->stats.stage[BA_STAGE_LOAD] += ba_now() - start;
    free(address);
    return 0;
}

static int look_up(ba_run *r, const ba_schedule *s, uint8_t *have) {
    const ba_plan *plan = r->plan;
    double start = ba_now();
    int rc = ba_store_tiers(r->e->store) ? expect(r, s) : 0;
    for (size_t i = 0; !rc && i < plan->n_node; i++) {
        const ba_node *v = &plan->node[i];
        if (!v->stored || s->same[i] != i) {
            continue;
        }
        ba_held *h = &r->held[i];
        ba_finding found;
        h->entry = ba_store_find(r->e->store, &r->e->origin, key_of(plan, i), v->ids, v->n, &found);
        r->lookup[r->stats.n_lookup++] = (ba_lookup_record){i, v->n, found};
        r->stats.stage[BA_STAGE_LOAD] += found.load_s;
        r->stats.load_bytes += found.load_bytes;
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
    r->stats.stage[BA_STAGE_LOOKUP] = ba_now() - start - r->stats.stage[BA_STAGE_LOAD];
    return rc;
}

/* A plan knows no model: its ids may come from another one's tokenizer. */
static int check_ids(const ba_engine *e, const ba_plan *plan, char err[BA_ERR_LEN]) {
    for (size_t i = 0; i < plan->n_node; i++) {
        for (size_t t = 0; t < plan->node[i].n; t++) {
            int32_t id = plan->node[i].ids[t];
            if (id < 0 || (size_t)id >= e->net.shape->vocab + e->net.n_links) {
                return ba_fail(err, "token id %d is not one of the model's %zu", (int)id, e->net.shape->vocab);
            }
        }
    }
    return 0;
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
        bytes += kv_bytes(r, v->n + (ba_run_is_last(r, i) ? r->room : 0));
        for (size_t e = 0; e < v->n_edge; e++) {
            if (ba_run_refreshed(v, &v->edge[e]) || (r->opt.executor == BA_MERGE_KEYS && ba_run_is_last(r, i))) {
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
        if (!decided && ba_run_is_last(r, s->work[s->pass[p].work0].node)) {
            rc = ba_run_keep_paths(r);
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
    if (ba_plan_check(plan, err) || check_ids(e, plan, err)) {
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
    ba_store_hold(e->store, true);
    ba_counters before = e->net.be->count;
    e->net.profile = r->opt.profile;
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
    ba_store_hold(e->store, false);
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

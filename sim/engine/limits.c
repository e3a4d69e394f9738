/* What a run refuses before it computes anything. */
#include "run.h"

/* A plan knows no model, so its ids may come from another model's tokenizer. */
int ba_run_check_ids(const ba_engine *e, const ba_plan *plan, char err[BA_ERR_LEN]) {
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

/* Whether a node only attends to what it sees: what merged keys can express. */
static bool is_plain(const ba_node *v) {
    bool plain = !v->choice.on && !v->n_group && !v->select_k;
    for (size_t e = 0; e < v->n_edge; e++) {
        plain = plain && !v->edge[e].refresh && v->edge[e].inv_temp == 1 && v->edge[e].bias == 0;
    }
    return plain;
}

int ba_engine_can(const ba_engine *e, const ba_plan *plan, ba_executor executor, char err[BA_ERR_LEN]) {
    if (executor != BA_MERGE_KEYS) {
        return 0;
    }
    if (e->net.shape->window) {
        return ba_fail(err, "the merging executor has no sliding-window layers; use the one in place");
    }
    for (size_t i = 0; i < plan->n_node; i++) {
        if (plan->keep_paths || !is_plain(&plan->node[i])) {
            return ba_fail(err, "mode %s needs more than merged keys; use the executor in place", plan->mode);
        }
    }
    return 0;
}

/* KV that the run makes for a node: its own keys, and copies of what it sees. */
static uint64_t node_bytes(const ba_run *r, size_t node) {
    const ba_node *v = &r->plan->node[node];
    bool last = ba_run_is_last(r, node), merged = last && r->opt.executor == BA_MERGE_KEYS;
    uint64_t bytes = ba_run_kv_bytes(r, v->n + (last ? r->room : 0));
    for (size_t e = 0; e < v->n_edge; e++) {
        if (merged || ba_edge_refreshed(v, &v->edge[e])) {
            bytes += ba_run_kv_bytes(r, v->edge[e].n);
        }
    }
    return bytes;
}

int ba_engine_check_device(const ba_engine *e, char err[BA_ERR_LEN]) {
    const ba_backend *be = e->net.be;
    const char *fault = be->ops->fault ? be->ops->fault(be) : NULL;
    return fault ? ba_fail(err, BA_DEVICE_FAILED ": %s", fault) : 0;
}

void ba_run_explain(const ba_run *r, int rc, char err[BA_ERR_LEN]) {
    ba_backend *be = r->e->net.be;
    ba_device d;
    if (rc == BA_INTERRUPTED) {
        ba_fail(err, "interrupted");
    } else if (!be->ops->device) {
        ba_fail(err, "out of memory");
    } else if (ba_engine_check_device(r->e, err) == 0) {
        be->ops->device(be, &d);
        ba_fail(err, "out of memory: the prompt's KV is %.1f MB, its work space %.1f MB, and of %s %.1f MB are free",
                (double)r->stats.kv_bytes / 1e6, (double)r->stats.work_bytes / 1e6, d.name,
                (double)d.free_memory / 1e6);
    }
}

int ba_run_check_memory(ba_run *r, const ba_schedule *s, const uint8_t *have, size_t rows, char err[BA_ERR_LEN]) {
    const ba_plan *plan = r->plan;
    uint64_t work = ba_network_work_bytes(&r->e->net, rows, ba_run_drops_rows(plan));
    uint64_t bytes = work, all_kv = 0;
    for (size_t i = 0; i < plan->n_node; i++) {
        if (s->same[i] == i) {
            all_kv += ba_run_kv_bytes(r, plan->node[i].n);
            bytes += have[i] ? 0 : node_bytes(r, i);
        }
    }
    r->stats.kv_bytes = all_kv;
    r->stats.work_bytes = work;
    if (r->opt.memory && bytes > r->opt.memory) {
        return ba_fail(
            err, "the prompt needs %.1f MB for KV and work space, the limit is %.1f MB; shorten it or raise --memory",
            (double)bytes / 1e6, (double)r->opt.memory / 1e6);
    }
    return 0;
}

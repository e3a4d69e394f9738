/* After prefill: logits, more tokens, and back to the end of the prompt. */
#include "run.h"

#include "kernels/base/clock.h"
#include "kernels/base/sizes.h"
#include "sim/base/finite.h"

#include <math.h>

/* Computes r->logits if they are not there. The caller counts what it costs. */
static void make_logits(ba_run *r) {
    if (!r->logits_ready) {
        ba_network_head(&r->e->net, (ba_view){r->last, 0, 0}, &(size_t){0}, 1, false, r->logits);
        r->logits_ready = true;
    }
}

const double *ba_run_logits(ba_run *r) {
    double start = ba_now();
    ba_counters before = r->e->net.be->count;
    r->e->net.profile = r->opt.profile;
    make_logits(r);
    ba_run_count(r, before);
    if (!r->extra) {
        r->stats.stage[BA_STAGE_FIRST] += ba_now() - start;
    }
    return r->logits;
}

int ba_run_check(ba_run *r, char err[BA_ERR_LEN]) {
    const double *logits = ba_run_logits(r);
    return ba_engine_check_device(r->e, err) ? -1 : ba_logits_check(logits, r->e->net.shape->vocab, err);
}

/* The next n rows of the last node, after its prompt, as jobs. Where the rows of a prompt choose together, each row of
 * an answer chooses for itself, so that the number computed at once changes nothing. */
static int add_more(ba_run *r, const int32_t *ids, size_t n, ba_batch *b) {
    size_t node = r->plan->n_node - 1;
    const ba_node *v = &r->plan->node[node];
    ba_look look = ba_run_look(r, node);
    size_t rows = v->select_shared ? 1 : n;
    for (size_t i = 0; i < n; i += rows) {
        ba_rows own = {{v->n_edge, v->n + r->extra + i, rows, NULL}, ids + i};
        if (ba_batch_add(b, &look, &own, 1, false)) {
            return -1;
        }
    }
    return ba_run_finish(r, b);
}

/* These rows through all layers; they stay in net->x. */
static int walk_more(ba_run *r, const int32_t *ids, size_t n) {
    ba_network *net = &r->e->net;
    ba_batch *b = ba_batch_new();
    int rc = !b || add_more(r, ids, n, b) || ba_network_reserve(net, n, false) ? -1 : 0;
    if (rc) {
        goto done;
    }
    r->total = r->done + (uint64_t)n * net->shape->layers;
    ba_network_embed(net, b);
    rc = ba_run_walk(r, b, 0, false, BA_STAGE_PREFILL, n > 1);
done:
    ba_batch_free(b);
    return rc;
}

/* n more tokens in one pass; logprob may be NULL. */
static int extend(ba_run *r, const int32_t *ids, size_t n, double *logprob) {
    ba_network *net = &r->e->net;
    if (logprob) {
        make_logits(r);
        logprob[0] = r->logits[ids[0]] - ba_logsumexp(r->logits, net->shape->vocab);
    }
    int rc = walk_more(r, ids, n);
    if (rc) {
        return rc;
    }
    if (logprob && ba_run_logprob(r, (ba_view){net->x, 0, 0}, 0, n - 1, ids + 1, logprob + 1)) {
        return -1;
    }
    ba_run_take_row(r, n - 1, r->last);
    r->extra += n;
    r->logits_ready = false;
    return 0;
}

int ba_run_extend(ba_run *r, const int32_t *ids, size_t n, double *logprob, char err[BA_ERR_LEN]) {
    if (n > r->room - r->extra) {
        return ba_fail(err, "%zu more tokens do not fit: room was made for %zu", n, r->room);
    }
    ba_counters before = r->e->net.be->count;
    size_t most = r->opt.max_rows ? r->opt.max_rows : n;
    int rc = 0;
    r->e->net.profile = r->opt.profile;
    for (size_t i = 0, step; rc == 0 && i < n; i += step) {
        step = ba_min_size(most, n - i);
        rc = extend(r, ids + i, step, logprob ? logprob + i : NULL);
    }
    ba_run_count(r, before);
    if (rc) {
        ba_run_explain(r, rc, err);
        return rc;
    }
    for (size_t i = 0; logprob && i < n; i++) {
        if (!isfinite(logprob[i])) {
            return ba_logit_refuse((size_t)ids[i], err);
        }
    }
    return 0;
}

void ba_run_rewind(ba_run *r) {
    ba_backend *be = r->e->net.be;
    be->ops->gather(be, (ba_view){r->end, 0, 0}, &(size_t){0}, 1, r->e->net.shape->d_model, (ba_view){r->last, 0, 0});
    r->extra = 0;
    r->logits_ready = false;
}

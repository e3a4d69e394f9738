/* What follows a prefill: logits, more tokens, the end. */
#include "run.h"

#include "kernels/base/clock.h"

#include <math.h>
#include <stdlib.h>

void ba_run_free(ba_run *r) {
    if (!r) {
        return;
    }
    ba_backend *be = r->e->net.be;
    for (size_t i = 0; r->held && i < r->plan->n_node; i++) {
        ba_held *h = &r->held[i];
        ba_store_release(r->e->store, h->entry);
        if (h->own) {
            be->ops->kv_free(be, h->own);
        }
        for (size_t e = 0; r->patch && e < r->plan->node[i].n_edge; e++) {
            if (r->patch[h->edge0 + e]) {
                be->ops->kv_free(be, r->patch[h->edge0 + e]);
            }
        }
        free(h->aux);
    }
    if (r->last) {
        be->ops->buf_free(be, r->last);
    }
    if (r->end) {
        be->ops->buf_free(be, r->end);
    }
    free(r->held);
    free(r->shown);
    free(r->patch);
    free(r->logits);
    free(r->rows);
    free(r->lookup);
    free(r->chosen_row);
    free(r->path_score);
    free(r->path_kept);
    free(r);
}

const ba_run_stats *ba_run_get_stats(const ba_run *r) {
    return &r->stats;
}

static void count(ba_run *r, ba_counters before) {
    ba_counters d = ba_counters_less(r->e->net.be->count, before);
    r->stats.count.flops_exact += d.flops_exact;
    r->stats.count.flops_dense += d.flops_dense;
    r->stats.count.bytes_read += d.bytes_read;
    r->stats.count.bytes_written += d.bytes_written;
}

/* Computes r->logits if they are not; not counted here. */
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
    count(r, before);
    if (!r->extra) {
        r->stats.stage[BA_STAGE_FIRST] += ba_now() - start;
    }
    return r->logits;
}

int ba_run_logprob(ba_run *r, ba_view from, size_t row0, size_t n, const int32_t *ids, double *out) {
    size_t vocab = r->e->net.shape->vocab, row[BA_SCORE_ROWS];
    if (!r->rows && !(r->rows = malloc(BA_SCORE_ROWS * vocab * sizeof *r->rows))) {
        return -1;
    }
    for (size_t i = 0; i < n; i += BA_SCORE_ROWS) {
        size_t m = n - i < BA_SCORE_ROWS ? n - i : BA_SCORE_ROWS;
        for (size_t j = 0; j < m; j++) {
            row[j] = row0 + i + j;
        }
        ba_network_head(&r->e->net, from, row, m, true, r->rows);
        for (size_t j = 0; j < m; j++) {
            const double *logits = r->rows + j * vocab;
            out[i + j] = logits[ids[i + j]] - ba_logsumexp(logits, vocab);
        }
    }
    return 0;
}

/* The next n rows of the last node, behind its prompt, through all layers. Where the rows of a prompt choose together,
 * each row of an answer chooses for itself, however many are computed at once. */
static int walk_more(ba_run *r, const int32_t *ids, size_t n, ba_batch *b) {
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
    if (ba_run_finish(r, b) || ba_network_reserve(&r->e->net, n, false)) {
        return -1;
    }
    r->total = r->done + (uint64_t)n * r->e->net.shape->layers;
    ba_network_embed(&r->e->net, b);
    return ba_run_walk(r, b, 0, false, BA_STAGE_PREFILL, n > 1);
}

int ba_run_extend(ba_run *r, const int32_t *ids, size_t n, double *logprob, char err[BA_ERR_LEN]) {
    ba_network *net = &r->e->net;
    if (n > r->room - r->extra) {
        return ba_fail(err, "%zu more tokens do not fit: room was made for %zu", n, r->room);
    }
    ba_counters before = net->be->count;
    net->profile = r->opt.profile;
    int rc = 0;
    for (size_t i = 0, step; !rc && i < n; i += step) {
        step = r->opt.max_rows && r->opt.max_rows < n - i ? r->opt.max_rows : n - i;
        if (logprob) {
            make_logits(r);
            logprob[i] = r->logits[ids[i]] - ba_logsumexp(r->logits, net->shape->vocab);
        }
        ba_batch *b = ba_batch_new();
        rc = b ? walk_more(r, ids + i, step, b) : -1;
        ba_batch_free(b);
        if (!rc && logprob) {
            rc = ba_run_logprob(r, (ba_view){net->x, 0, 0}, 0, step - 1, ids + i + 1, logprob + i + 1);
        }
        if (!rc) {
            net->be->ops->gather(net->be, (ba_view){net->x, 0, 0}, &(size_t){step - 1}, 1, net->shape->d_model,
                                 (ba_view){r->last, 0, 0});
            r->extra += step;
            r->logits_ready = false;
        }
    }
    count(r, before);
    if (rc) {
        ba_fail(err, rc == BA_INTERRUPTED ? "interrupted" : "out of memory");
    }
    return rc;
}

void ba_run_rewind(ba_run *r) {
    ba_backend *be = r->e->net.be;
    be->ops->gather(be, (ba_view){r->end, 0, 0}, &(size_t){0}, 1, r->e->net.shape->d_model, (ba_view){r->last, 0, 0});
    r->extra = 0;
    r->logits_ready = false;
}

/* Rows through the layers, shown to the caller's probes if there are any. */
#include "run.h"

#include <stdlib.h>

int ba_run_finish(ba_run *r, ba_batch *b) {
    return ba_batch_finish(b) || ba_network_rotate(&r->e->net, b->place, b->n_place) ? -1 : 0;
}

void ba_run_take_row(ba_run *r, size_t row, ba_buf *to) {
    ba_network *net = &r->e->net;
    net->be->ops->gather(net->be, (ba_view){net->x, 0, 0}, &row, 1, net->shape->d_model, (ba_view){to, 0, 0});
}

int ba_run_step(ba_run *r, ba_stage stage, size_t rows) {
    r->done += rows;
    return r->opt.progress && r->opt.progress(r->opt.arg, stage, r->done, r->total) ? BA_INTERRUPTED : 0;
}

static void show_hidden(ba_run *r, const ba_batch *b, size_t layer, size_t rows) {
    const ba_network *net = &r->e->net;
    double *hidden = malloc(rows * net->shape->d_model * sizeof *hidden);
    if (hidden) {
        net->be->ops->download(net->be, (ba_view){net->x, b->rows - rows, 0}, rows, net->shape->d_model, hidden);
        r->opt.layer(r->opt.arg, layer, hidden, rows, net->shape->d_model);
        free(hidden);
    }
}

/* The attention of the batch's last job, whose rows are the output node's own, recorded for the caller. */
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

int ba_run_layer(ba_run *r, const ba_batch *b, size_t layer, bool last, bool stable) {
    ba_network *net = &r->e->net;
    bool watched = last && r->opt.attention;
    watch w;
    if (watched && watch_begin(r, b, &w)) {
        return -1;
    }
    ba_network_attend(net, b, layer, stable);
    ba_network_feed(net, b->rows, layer, stable);
    if (watched) {
        watch_report(r, b, &w, layer);
        watch_end(&w);
    }
    if (last && r->opt.layer) {
        show_hidden(r, b, layer, b->job[b->n_job - 1].rows);
    }
    return 0;
}

int ba_run_walk(ba_run *r, const ba_batch *b, size_t first, bool last, ba_stage stage, bool stable) {
    ba_network *net = &r->e->net;
    for (size_t l = first; l < net->shape->layers; l++) {
        ba_network_keys(net, b, l, stable);
        if (ba_run_layer(r, b, l, last, stable)) {
            return -1;
        }
        if (ba_run_step(r, stage, b->rows)) {
            return BA_INTERRUPTED;
        }
    }
    return ba_network_starved(net) ? -1 : 0;
}

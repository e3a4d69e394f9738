#include "tune.h"

#include "parts.h"
#include "sim/base/random.h"
#include "sim/modes/modes.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void ba_example_free(ba_example *sample) {
    ba_prompt_free(sample->prompt);
    free(sample->answer);
    *sample = (ba_example){0};
}

/* ---- plans ---- */

/* Appends a segment with n_head tokens before it. 0, or -1: out of memory. */
static int add_segment(ba_prompt *p, const ba_segment *s, const int32_t *head, size_t n_head) {
    int32_t *ids = malloc((n_head + s->n) * sizeof *ids);
    if (!ids) {
        return -1;
    }
    for (size_t i = 0; i < n_head + s->n; i++) {
        ids[i] = i < n_head ? head[i] : s->ids[i - n_head];
    }
    int rc = ba_prompt_add(p, s->role, ids, n_head + s->n);
    free(ids);
    return rc;
}

/* The prompt as a mode is trained on it: with the marker, except in full attention. NULL: out of memory. */
static ba_prompt *marked(const ba_prompt *from, const ba_tune_options *opt, const char *mode) {
    ba_prompt *p = ba_prompt_new(NULL);
    size_t n_marker = strcmp(mode, "full") != 0 ? opt->n_marker : 0;
    if (!p) {
        return NULL;
    }
    for (size_t i = 0; i < from->n_seg; i++) {
        if (add_segment(p, &from->seg[i], opt->marker, i == 0 ? n_marker : 0)) {
            ba_prompt_free(p);
            return NULL;
        }
    }
    p->local_blocks = from->local_blocks;
    p->bos = from->bos;
    p->newline = from->newline;
    p->n_links = from->n_links;
    p->first_link = from->first_link;
    return p;
}

static int plan_of(const ba_tune_options *opt, const ba_example *s, const char *mode, ba_plan **out,
                   char err[BA_ERR_LEN]) {
    ba_prompt *p = marked(s->prompt, opt, mode);
    int rc = p ? ba_mode_plan(mode, p, out, err) : ba_fail(err, "out of memory");
    ba_prompt_free(p);
    if (rc) {
        return rc;
    }
    if (ba_pack_check(*out, err)) {
        ba_plan_free(*out);
        *out = NULL;
        return -1;
    }
    return 0;
}

/* ---- making a tuner ---- */

static int check(const ba_tune_options *o, size_t n, char err[BA_ERR_LEN]) {
    size_t ways = o->alternate ? 1 : o->n_mode;
    if (!n) {
        return ba_fail(err, "there is no sample to train on");
    }
    if (o->batch < ways || o->batch % ways) {
        return ba_fail(err, "a step of %zu samples x modes cannot be made of samples in %zu modes each", o->batch,
                       ways);
    }
    if (o->kl_weight > 0 && (o->alternate || o->n_mode < 2)) {
        return ba_fail(err, "the KL term compares the modes of one sample: give it two or more, and no turns");
    }
    return 0;
}

int ba_tuner_new(ba_train_net *net, const ba_tune_options *opt, const ba_example *sample, size_t n, ba_tuner **out,
                 char err[BA_ERR_LEN]) {
    ba_tuner *t = *out = NULL;
    if (check(opt, n, err)) {
        return -1;
    }
    for (size_t m = 0; m < opt->n_mode; m++) {
        ba_plan *plan = NULL;
        if (plan_of(opt, &sample[0], opt->mode[m], &plan, err)) {
            return -1;
        }
        ba_plan_free(plan);
    }
    t = calloc(1, sizeof *t);
    if (!t || !(t->order = calloc(n, sizeof *t->order)) || !(t->walk = ba_train_walk_new(net, opt->memory))) {
        ba_tuner_free(t);
        return ba_fail(err, "out of memory");
    }
    t->net = net;
    t->opt = *opt;
    t->sample = sample;
    t->n = n;
    t->epoch = UINT64_MAX;
    *out = t;
    return 0;
}

void ba_tuner_free(ba_tuner *t) {
    if (t) {
        ba_train_walk_free(t->walk);
        free(t->order);
        free(t);
    }
}

uint64_t ba_tuner_step_count(const ba_tuner *t) {
    return t->step;
}

/* Sample i of the run: every epoch shuffles anew. */
static const ba_example *sample_at(ba_tuner *t, uint64_t i) {
    uint64_t epoch = i / t->n;
    if (epoch != t->epoch) {
        uint64_t state = t->opt.seed + epoch * UINT64_C(0x2545f4914f6cdd1d);
        for (size_t k = 0; k < t->n; k++) {
            t->order[k] = k;
        }
        for (size_t k = t->n; k > 1; k--) {
            size_t other = (size_t)(ba_random_real(&state) * (double)k), swap = t->order[other];
            t->order[other] = t->order[k - 1];
            t->order[k - 1] = swap;
        }
        t->epoch = epoch;
    }
    return &t->sample[t->order[i % t->n]];
}

/* ---- a pass over samples ---- */

typedef struct totals {
    double nll, kl;
    uint64_t answers, taught, tokens;
} totals;

typedef struct pass {
    ba_tuner *t;
    bool back;
    int (*stop)(void *arg);
    void *arg;
    ba_pack *pack; /* NULL: empty */
    totals sum;
} pass;

static void add_totals(totals *sum, const ba_pack *pack) {
    for (size_t i = 0; i < pack->n_item; i++) {
        const ba_pack_item *item = &pack->item[i];
        sum->nll += item->nll;
        sum->kl += item->kl;
        sum->answers += item->n;
        sum->taught += item->teacher == BA_NO_TEACHER ? 0 : item->n;
    }
    sum->tokens += pack->rows;
}

/* Walks what has been gathered. */
static int flush(pass *p, char err[BA_ERR_LEN]) {
    if (!p->pack) {
        return 0;
    }
    int rc = ba_train_walk_run(p->t->walk, p->pack, p->back, p->t->opt.kl_weight, p->stop, p->arg, err);
    if (rc == 0) {
        add_totals(&p->sum, p->pack);
    }
    ba_pack_free(p->pack);
    p->pack = NULL;
    return rc;
}

static size_t plan_rows(const ba_plan *plan) {
    size_t rows = 0;
    for (size_t i = 0; i < plan->n_node; i++) {
        rows += plan->node[i].n;
    }
    return rows;
}

/* Makes room for `rows` more: walks what there is if they do not fit beside it. */
static int make_room(pass *p, size_t rows, char err[BA_ERR_LEN]) {
    if (p->pack && p->pack->rows + rows > p->t->opt.rows) {
        int rc = flush(p, err);
        if (rc) {
            return rc;
        }
    }
    if (!p->pack && !(p->pack = ba_pack_new())) {
        return ba_fail(err, "out of memory");
    }
    return 0;
}

/* Plans of a sample into the pack; the first one teaches the others if there is a KL term. */
static int add_plans(pass *p, const ba_example *s, ba_plan *const *plan, size_t n, char err[BA_ERR_LEN]) {
    size_t first = p->pack->n_item, window = p->t->net->shape->window;
    for (size_t m = 0; m < n; m++) {
        size_t teacher = p->back && m && p->t->opt.kl_weight > 0 ? first : BA_NO_TEACHER;
        if (ba_pack_add(p->pack, plan[m], s->answer, s->n, window, teacher)) {
            return ba_fail(err, "out of memory");
        }
    }
    return 0;
}

/* A sample in n modes, which stay in one pack. */
static int add(pass *p, const ba_example *s, const char *const *mode, size_t n, char err[BA_ERR_LEN]) {
    ba_plan **plan = calloc(n, sizeof(ba_plan *));
    size_t rows = 0;
    int rc;
    if (!plan) {
        return ba_fail(err, "out of memory");
    }
    for (size_t m = 0; m < n; m++) {
        rc = plan_of(&p->t->opt, s, mode[m], &plan[m], err);
        if (rc) {
            goto done;
        }
        rows += plan_rows(plan[m]) + s->n - 1;
    }
    rc = make_room(p, rows, err);
    if (rc) {
        goto done;
    }
    rc = add_plans(p, s, plan, n, err);
done:
    for (size_t m = 0; m < n; m++) {
        ba_plan_free(plan[m]);
    }
    free(plan);
    return rc;
}

int ba_tuner_validate(ba_tuner *t, const ba_example *sample, size_t n, const char *mode, int (*stop)(void *arg),
                      void *arg, double *nll, char err[BA_ERR_LEN]) {
    pass p = {.t = t, .stop = stop, .arg = arg};
    int rc = 0;
    for (size_t i = 0; i < n; i++) {
        rc = add(&p, &sample[i], &mode, 1, err);
        if (rc) {
            goto done;
        }
    }
    rc = flush(&p, err);
done:
    ba_pack_free(p.pack);
    *nll = p.sum.answers ? p.sum.nll / (double)p.sum.answers : NAN;
    return rc;
}

/* ---- a step ---- */

static double rate_of(const ba_tune_options *o, uint64_t step) {
    double done = (double)step, warmup = (double)o->warmup, all = (double)o->steps;
    return o->lr * (done < warmup ? (done + 1) / warmup : (all - done) / (all > warmup ? all - warmup : 1));
}

static int gather(ba_tuner *t, pass *p, char err[BA_ERR_LEN]) {
    const ba_tune_options *o = &t->opt;
    size_t ways = o->alternate ? 1 : o->n_mode, samples = o->batch / ways;
    for (size_t i = 0; i < samples; i++) {
        uint64_t number = t->step * samples + i;
        int rc = add(p, sample_at(t, number), o->mode + (o->alternate ? number % o->n_mode : 0), ways, err);
        if (rc) {
            return rc;
        }
    }
    return flush(p, err);
}

/* Three times the loss of equal probabilities is far worse than guessing. */
static bool diverged(const ba_tuner *t, const ba_tune_row *row) {
    return !isfinite(row->grad_norm) || !isfinite(row->loss) || row->loss > 3 * log((double)t->net->shape->vocab);
}

static int diverge(uint64_t step, double loss, double norm, char err[BA_ERR_LEN]) {
    ba_fail(err, "step %llu: loss %g, gradient norm %g: training diverges; lower the learning rate",
            (unsigned long long)step, loss, norm);
    return BA_TUNE_DIVERGED;
}

int ba_tuner_step(ba_tuner *t, int (*stop)(void *arg), void *arg, ba_tune_row *row, char err[BA_ERR_LEN]) {
    const ba_tune_options *o = &t->opt;
    ba_train_net *net = t->net;
    pass p = {.t = t, .back = true, .stop = stop, .arg = arg};
    net->ops->grad_zero(net->be, net->list, net->n_trained);
    int rc = gather(t, &p, err);
    ba_pack_free(p.pack);
    if (rc == BA_WALK_NOT_FINITE && t->step > 0) { /* the model as it was had a finite loss */
        return diverge(t->step + 1, NAN, NAN, err);
    }
    if (rc) {
        return rc;
    }
    double answers = (double)p.sum.answers, norm = net->ops->grad_norm(net->be, net->list, net->n_trained) / answers;
    *row = (ba_tune_row){.step = t->step + 1,
                         .lr = rate_of(o, t->step),
                         .loss = p.sum.nll / answers,
                         .kl = p.sum.taught ? p.sum.kl / (double)p.sum.taught : 0,
                         .grad_norm = norm,
                         .tokens = p.sum.tokens,
                         .answer_tokens = p.sum.answers};
    if (diverged(t, row)) {
        return diverge(row->step, row->loss, norm, err);
    }
    double clip = o->clip > 0 && norm > o->clip ? o->clip / norm : 1;
    const ba_adamw cfg = {row->lr, o->beta1, o->beta2, o->eps, o->weight_decay, clip / answers, row->step};
    net->ops->adamw(net->be, net->list, net->n_trained, &cfg);
    t->step++;
    return 0;
}

#include "play.h"

#include "changes.h"
#include "experiments/measure/costing.h"
#include "experiments/measure/distance.h"
#include "experiments/measure/prefix_cache.h"
#include "experiments/measure/protocol.h"
#include "kernels/base/clock.h"
#include "sim/base/random.h"
#include "sim/modes/modes.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* One frame while it is measured. */
typedef struct turn {
    ba_player *p;
    const ba_prompt *prompt;
    int32_t *ids; /* [n] of the whole prompt */
    size_t n, vocab;
    double *full, *block, *other; /* [vocab] logits */
    ba_play_row *row;
    char *err;
} turn;

void ba_player_end(ba_player *p) {
    ba_prompt_free(p->before);
    free(p->previous);
    p->before = NULL;
    p->previous = NULL;
    p->n_previous = 0;
}

/* Runs a plan up to the logits; *seconds and *cpu for all of it. The caller frees the run. */
static int run(const turn *t, const ba_plan *plan, double *logits, double *seconds, double *cpu, ba_run **out) {
    double start = ba_now(), cpu_start = ba_cpu_clock();
    int rc = ba_engine_run(t->p->engine, plan, t->p->opt, 0, out, t->err);
    if (rc) {
        return rc;
    }
    const double *l = ba_run_logits(*out);
    *seconds = ba_now() - start;
    *cpu = ba_cpu_clock() - cpu_start;
    rc = ba_run_check(*out, t->err);
    if (rc) {
        return rc;
    }
    memcpy(logits, l, t->vocab * sizeof *l);
    return 0;
}

static int flops_of(const turn *t, const ba_plan *plan, uint64_t *flops) {
    ba_cost cost = {0};
    int rc = ba_cost_of_run(t->p->engine, plan, true, NULL, &cost, t->err);
    *flops = cost.flops_exact;
    return rc;
}

/* Puts the common prefix into the store: one token after it is enough to encode it. */
static int store_prefix(const turn *t, size_t n) {
    double seconds, cpu;
    ba_run *r = NULL;
    ba_plan *plan = ba_prefix_plan(t->ids, n + 1, n);
    if (!plan) {
        return ba_fail(t->err, "out of memory");
    }
    int rc = run(t, plan, t->other, &seconds, &cpu, &r);
    ba_run_free(r);
    ba_plan_free(plan);
    return rc;
}

/* Prefix caching; if measured, the prefix is put into the store first. */
static int play_prefix(const turn *t, bool measured) {
    ba_play_row *row = t->row;
    ba_run *r = NULL;
    ba_plan *plan = ba_prefix_plan(t->ids, t->n, row->common_prefix);
    if (!plan) {
        return ba_fail(t->err, "out of memory");
    }
    int rc = flops_of(t, plan, &row->prefix_flops);
    if (rc || !measured) {
        goto done;
    }
    if (row->common_prefix) {
        rc = store_prefix(t, row->common_prefix);
        if (rc) {
            goto done;
        }
    }
    rc = run(t, plan, t->other, &row->prefix_s, &row->prefix_cpu_s, &r);
done:
    ba_run_free(r);
    ba_plan_free(plan);
    return rc;
}

static int play_full(const turn *t, bool measured) {
    ba_plan *plan = NULL;
    ba_run *r = NULL;
    if (ba_mode_plan("full", t->prompt, &plan, t->err)) {
        return -1;
    }
    int rc = flops_of(t, plan, &t->row->full_flops);
    if (!rc && measured) {
        rc = run(t, plan, t->full, &t->row->full_s, &t->row->full_cpu_s, &r);
    }
    ba_run_free(r);
    ba_plan_free(plan);
    return rc;
}

static void count_new(const turn *t, const ba_run_stats *s) {
    ba_play_row *row = t->row;
    for (size_t i = 0; i < s->n_lookup; i++) {
        if (s->lookup[i].found.why != BA_HIT) {
            row->new_blocks++;
            row->new_tokens += s->lookup[i].tokens;
        }
    }
    const ba_shape *shape = ba_engine_shape(t->p->engine);
    ba_backend *be = ba_engine_backend(t->p->engine);
    row->new_bytes = be->ops->kv_bytes(be, shape->layers, shape->kv_heads, shape->head_dim, row->new_tokens);
    row->kv_bytes = s->kv_bytes;
    row->lookup_s = s->stage[BA_STAGE_LOOKUP];
    row->encode_s = s->stage[BA_STAGE_ENCODE];
    row->prefill_s = s->stage[BA_STAGE_PREFILL];
    row->first_s = s->stage[BA_STAGE_FIRST];
    row->block_flops = s->count.flops_exact;
}

static int play_block(const turn *t) {
    ba_plan *plan = NULL;
    ba_run *r = NULL;
    double start = ba_now(), seconds = 0, cpu = 0;
    if (ba_mode_plan(t->p->mode, t->prompt, &plan, t->err)) {
        return -1;
    }
    double planned = ba_now() - start;
    int rc = plan->continues ? run(t, plan, t->block, &seconds, &cpu, &r) : 0;
    ba_run_free(r); /* the last frame's KV is in the store now */
    r = NULL;
    rc = rc ? rc : run(t, plan, t->block, &seconds, &cpu, &r);
    if (!rc) {
        t->row->cut_s += planned;
        t->row->block_s = t->row->cut_s + seconds;
        t->row->block_cpu_s = t->row->cut_s + cpu; /* cutting has one thread */
        count_new(t, ba_run_get_stats(r));
    }
    ba_run_free(r);
    ba_plan_free(plan);
    return rc;
}

static void compare(const turn *t) {
    ba_logit_distance block = ba_logit_compare(t->full, t->block, t->vocab);
    ba_logit_distance prefix = ba_logit_compare(t->full, t->other, t->vocab);
    t->row->kl = block.kl;
    t->row->top1 = block.top1;
    t->row->prefix_max_abs = prefix.max_abs;
}

static int play_baselines(const turn *t, bool measured) {
    int rc = play_full(t, measured);
    return rc ? rc : play_prefix(t, measured);
}

/* Block mode and the two baselines in random order, so that drift of the machine affects all alike. */
static int play_all(const turn *t, bool measured) {
    bool block_first = ba_random_bits(&t->p->rng) & 1;
    for (int i = 0; i < 2; i++) {
        int rc = (i == 0) == block_first ? play_block(t) : play_baselines(t, measured);
        if (rc) {
            return rc;
        }
    }
    if (measured) {
        compare(t);
    }
    return 0;
}

int ba_play(ba_player *p, ba_game_session *s, const char *state, size_t len, const char *name, bool measured,
            ba_play_row *out, char err[BA_ERR_LEN]) {
    ba_prompt *prompt;
    double start = ba_now();
    *out = (ba_play_row){.frame = p->frame,
                         .full_s = NAN,
                         .prefix_s = NAN,
                         .full_cpu_s = NAN,
                         .prefix_cpu_s = NAN,
                         .kl = NAN,
                         .top1 = NAN,
                         .prefix_max_abs = NAN};
    if (ba_game_session_frame(s, state, len, name, p->question, &prompt, err)) {
        return -1;
    }
    out->cut_s = ba_now() - start;
    prompt->previous = p->before;
    turn t = {.p = p, .prompt = prompt, .vocab = ba_engine_shape(p->engine)->vocab, .row = out, .err = err};
    t.ids = ba_prompt_ids(prompt, &t.n);
    t.full = malloc(3 * t.vocab * sizeof *t.full);
    t.block = t.full + t.vocab;
    t.other = t.block + t.vocab;
    int rc = t.ids && t.full ? 0 : ba_fail(err, "out of memory");
    if (!rc) {
        out->tokens = t.n;
        out->blocks = ba_game_session_blocks(s)->n;
        out->changed_tokens = ba_changed_tokens(p->previous, p->n_previous, t.ids, t.n);
        out->common_prefix = ba_common_prefix(p->previous, p->n_previous, t.ids, t.n);
        out->common_prefix -= out->common_prefix == t.n; /* the last token has to be computed for its logits */
        rc = out->changed_tokens == SIZE_MAX ? ba_fail(err, "out of memory") : play_all(&t, measured);
    }
    free(t.full);
    prompt->previous = NULL;
    if (rc) {
        ba_prompt_free(prompt);
        free(t.ids);
        return rc;
    }
    ba_prompt_free(p->before);
    free(p->previous);
    p->before = prompt;
    p->previous = t.ids;
    p->n_previous = t.n;
    p->frame++;
    return 0;
}

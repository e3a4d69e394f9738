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
    free(p->previous);
    p->previous = NULL;
    p->n_previous = 0;
}

/* Runs a plan up to the logits; *seconds and *cpu for all of it. The caller frees the run. */
static int run(const turn *t, const ba_plan *plan, double *logits, double *seconds, double *cpu, ba_run **out) {
    double start = ba_now(), cpu_start = ba_cpu_clock();
    int rc = ba_engine_run(t->p->engine, plan, t->p->opt, 0, out, t->err);
    const double *l = rc ? NULL : ba_run_logits(*out);
    if (!rc && !l) {
        rc = BA_INTERRUPTED;
    }
    *seconds = ba_now() - start;
    *cpu = ba_cpu_clock() - cpu_start;
    if (!rc) {
        memcpy(logits, l, t->vocab * sizeof *l);
    }
    return rc;
}

static int flops_of(const turn *t, const ba_plan *plan, uint64_t *flops) {
    const ba_backend *be = ba_engine_backend(t->p->engine);
    ba_cost cost = {0};
    int rc =
        ba_cost_up_to_first(ba_engine_shape(t->p->engine), plan,
                            (ba_sizes){be->real_size, be->weight_size, be->kv_size}, true, BA_PASS_ROWS, &cost, t->err);
    *flops = cost.flops_exact;
    return rc;
}

/* Prefix caching; if measured, the prefix is put into the store first. */
static int play_prefix(const turn *t, bool measured) {
    ba_play_row *row = t->row;
    ba_plan *plan = ba_prefix_plan(t->ids, t->n, row->common_prefix), *warm_up = NULL;
    ba_run *r = NULL;
    double seconds, cpu;
    int rc = plan ? flops_of(t, plan, &row->prefix_flops) : ba_fail(t->err, "out of memory");
    if (!rc && measured && row->common_prefix) {
        /* One token behind the prefix is enough to have it encoded. */
        warm_up = ba_prefix_plan(t->ids, row->common_prefix + 1, row->common_prefix);
        rc = warm_up ? run(t, warm_up, t->other, &seconds, &cpu, &r) : ba_fail(t->err, "out of memory");
        ba_run_free(r);
        r = NULL;
    }
    if (!rc && measured) {
        rc = run(t, plan, t->other, &row->prefix_s, &row->prefix_cpu_s, &r);
    }
    ba_run_free(r);
    ba_plan_free(warm_up);
    ba_plan_free(plan);
    return rc;
}

static int play_full(const turn *t, bool measured) {
    ba_plan *plan = NULL;
    ba_run *r = NULL;
    int rc = ba_mode_plan("full", t->prompt, &plan, t->err);
    rc = rc ? rc : flops_of(t, plan, &t->row->full_flops);
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
    int rc = ba_mode_plan(t->p->mode, t->prompt, &plan, t->err);
    double planned = ba_now() - start;
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

static int compare(const turn *t) {
    ba_logit_distance block = ba_logit_compare(t->full, t->block, t->vocab);
    ba_logit_distance prefix = ba_logit_compare(t->full, t->other, t->vocab);
    if (!block.finite || !prefix.finite) {
        return ba_fail(t->err, "logits are not finite: the model file holds NaN or Inf");
    }
    t->row->kl = block.kl;
    t->row->top1 = block.top1;
    t->row->prefix_max_abs = prefix.max_abs;
    return 0;
}

/* Block mode and the other two in an order of chance, so that drift of the machine falls on all alike. */
static int play_all(const turn *t, bool measured) {
    int rc = 0;
    bool block_first = ba_random_bits(&t->p->rng) & 1;
    for (int i = 0; i < 2 && !rc; i++) {
        if ((i == 0) == block_first) {
            rc = play_block(t);
        } else {
            rc = play_full(t, measured);
            rc = rc ? rc : play_prefix(t, measured);
        }
    }
    return rc || !measured ? rc : compare(t);
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
    ba_prompt_free(prompt);
    if (rc) {
        free(t.ids);
        return rc;
    }
    free(p->previous);
    p->previous = t.ids;
    p->n_previous = t.n;
    p->frame++;
    return 0;
}

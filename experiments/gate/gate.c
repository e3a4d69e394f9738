#include "gate.h"

#include "sim/modes/modes.h"
#include "sim/plan/cost.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Small enough that usual passages are split and batched differently. */
enum { OTHER_ROWS = 96 };

const char *ba_identity_name(ba_identity i) {
    static const char *const name[BA_IDENTITIES] = {
        [BA_ID_CACHED] = "cached", [BA_ID_BATCH] = "batch",   [BA_ID_FOLDED] = "folded",
        [BA_ID_MERGE] = "merge",   [BA_ID_SWITCH] = "switch", [BA_ID_COUNT] = "count"};
    return (unsigned)i < BA_IDENTITIES ? name[i] : "?";
}

static size_t vocab_of(const ba_engine *e) {
    return ba_engine_shape(e)->vocab;
}

/* NLL of the answer after the run's prompt, summed over its tokens, nats; the run is rewound. */
static int answer_nll(ba_run *run, const int32_t *answer, size_t n, double *nll, char err[BA_ERR_LEN]) {
    *nll = NAN;
    if (!n) {
        return 0;
    }
    double *logprob = malloc(n * sizeof *logprob);
    int rc = logprob ? ba_run_extend(run, answer, n, logprob, err) : ba_fail(err, "out of memory");
    if (!rc) {
        *nll = 0;
        for (size_t i = 0; i < n; i++) {
            *nll -= logprob[i];
        }
        ba_run_rewind(run);
    }
    free(logprob);
    return rc;
}

int ba_reference_make(ba_engine *e, const ba_prompt *prompt, const int32_t *answer, size_t n_answer, size_t n_greedy,
                      const ba_engine_options *opt, ba_reference *out, char err[BA_ERR_LEN]) {
    size_t room = n_answer > n_greedy ? n_answer : n_greedy;
    ba_plan *plan = NULL;
    ba_run *run = NULL;
    *out = (ba_reference){.prompt = prompt, .answer = answer, .n_answer = n_answer};
    int rc = ba_mode_plan("full", prompt, &plan, err);
    if (!rc) {
        rc = ba_engine_run(e, plan, opt, room, &run, err);
    }
    if (!rc) {
        out->logits = malloc(vocab_of(e) * sizeof *out->logits);
        out->greedy = malloc((n_greedy + 1) * sizeof *out->greedy);
        rc = out->logits && out->greedy ? 0 : ba_fail(err, "out of memory");
    }
    if (!rc) {
        memcpy(out->logits, ba_run_logits(run), vocab_of(e) * sizeof *out->logits);
        out->flops = ba_run_get_stats(run)->count.flops_exact;
        rc = answer_nll(run, answer, n_answer, &out->nll, err);
    }
    while (!rc && out->n_greedy < n_greedy) {
        int32_t id = ba_sample(ba_run_logits(run), vocab_of(e), 0, NULL);
        out->greedy[out->n_greedy++] = id;
        rc = ba_run_extend(run, &id, 1, NULL, err);
    }
    ba_run_free(run);
    ba_plan_free(plan);
    if (rc) {
        ba_reference_free(out);
    }
    return rc;
}

void ba_reference_free(ba_reference *r) {
    free(r->logits);
    free(r->greedy);
    r->logits = NULL;
    r->greedy = NULL;
}

/* Logits of one run into out [vocab]. */
static int logits_of(ba_engine *e, const ba_plan *plan, const ba_engine_options *opt, double *out,
                     char err[BA_ERR_LEN]) {
    ba_run *run = NULL;
    int rc = ba_engine_run(e, plan, opt, 0, &run, err);
    if (!rc) {
        memcpy(out, ba_run_logits(run), vocab_of(e) * sizeof *out);
    }
    ba_run_free(run);
    return rc;
}

static ba_verdict same_bits(const double *a, const double *b, size_t n) {
    return memcmp(a, b, n * sizeof *a) ? BA_BROKEN : BA_HELD;
}

/* Cost of the plan with everything stored that can be; choices as in the run. */
static int warm_cost(ba_engine *e, const ba_plan *plan, const ba_run_stats *stats, uint64_t *flops,
                     char err[BA_ERR_LEN]) {
    ba_backend *be = ba_engine_backend(e);
    uint8_t *have = malloc(plan->n_node);
    for (size_t i = 0; have && i < plan->n_node; i++) {
        have[i] = plan->node[i].stored;
    }
    ba_schedule *s = have ? ba_schedule_new(plan, have, SIZE_MAX) : NULL;
    ba_cost cost;
    int rc = s ? 0 : ba_fail(err, "out of memory");
    if (!rc) {
        ba_chosen chosen = {stats->chosen_row, stats->path_kept};
        rc = ba_cost_run(ba_engine_shape(e), plan, s, (ba_sizes){be->real_size, be->weight_size, be->kv_size}, 1,
                         &chosen, &cost, err);
        *flops = cost.flops_exact;
    }
    ba_schedule_free(s);
    free(have);
    return rc;
}

/* Called right after the warm run: everything that can be stored is in the store. */
static int check_identities(ba_engine *e, ba_store *store, const ba_plan *plan, const ba_reference *ref,
                            const ba_engine_options *opt, const double *warm, ba_gate_row *out, char err[BA_ERR_LEN]) {
    size_t n = vocab_of(e);
    double *other = malloc(n * sizeof *other);
    ba_engine_options small = *opt, merge = *opt;
    small.max_rows = OTHER_ROWS;
    merge.executor = BA_MERGE_KEYS;
    char why[BA_ERR_LEN];
    int rc = other ? 0 : ba_fail(err, "out of memory");
    if (!rc) {
        ba_store_clear(store);
        rc = logits_of(e, plan, &small, other, err);
    }
    if (!rc) {
        out->held[BA_ID_BATCH] = same_bits(warm, other, n);
        int merged = logits_of(e, plan, &merge, other, why);
        if (merged == BA_INTERRUPTED) {
            rc = merged;
        } else if (!merged) { /* modes that the merging executor cannot run are skipped */
            ba_logit_distance d = ba_logit_compare(warm, other, n);
            double limit = ba_merge_limit(ba_engine_backend(e)->kv_size, ba_engine_shape(e)->layers, warm, n);
            out->merge_max_abs = d.max_abs;
            out->held[BA_ID_MERGE] = d.finite && d.max_abs <= limit ? BA_HELD : BA_BROKEN;
        }
    }
    if (!rc && !strcmp(out->mode, "block")) {
        ba_plan *folded = NULL;
        rc = ba_mode_plan("block:n=0", ref->prompt, &folded, err);
        if (!rc) {
            rc = logits_of(e, folded, opt, other, err);
        }
        if (!rc) {
            out->held[BA_ID_FOLDED] = same_bits(ref->logits, other, n);
        }
        ba_plan_free(folded);
    }
    free(other);
    return rc;
}

/* The next turn of the conversation: question and full attention's answer become a passage, and the question is asked
 * again. NULL: out of memory. */
static ba_prompt *next_turn(const ba_reference *ref) {
    const ba_prompt *p = ref->prompt;
    ba_prompt *next = ba_prompt_new(NULL);
    size_t tail = p->n_seg - 1, n = 0;
    tail -= tail && p->seg[tail].role == BA_ROLE_TASK;
    for (size_t i = tail; i < p->n_seg; i++) {
        n += p->seg[i].n;
    }
    int32_t *turn = malloc((n + ref->n_greedy) * sizeof *turn), *end = turn;
    int rc = next && turn ? 0 : -1;
    if (!rc) {
        next->bos = p->bos;
        next->newline = p->newline;
        next->local_blocks = p->local_blocks;
        for (size_t i = tail; i < p->n_seg; end += p->seg[i++].n) {
            memcpy(end, p->seg[i].ids, p->seg[i].n * sizeof *end);
        }
        memcpy(end, ref->greedy, ref->n_greedy * sizeof *end);
    }
    for (size_t i = 0; !rc && i < tail; i++) {
        rc = ba_prompt_add(next, p->seg[i].role, p->seg[i].ids, p->seg[i].n);
    }
    rc = rc || ba_prompt_add(next, BA_ROLE_PASSAGE, turn, n + ref->n_greedy);
    for (size_t i = tail; !rc && i < p->n_seg; i++) {
        rc = ba_prompt_add(next, p->seg[i].role, p->seg[i].ids, p->seg[i].n);
    }
    free(turn);
    if (rc) {
        ba_prompt_free(next);
        return NULL;
    }
    return next;
}

/* The store is warm from the first turn, which ran in this mode. */
static int check_switch(ba_engine *e, ba_store *store, const ba_reference *ref, const char *mode,
                        const ba_engine_options *opt, ba_gate_row *out, char err[BA_ERR_LEN]) {
    enum { THERE, IN_FULL, BACK, FRESH_FULL, FRESH, RUNS };
    size_t n = vocab_of(e);
    double *logits = malloc(RUNS * n * sizeof *logits);
    ba_prompt *next = next_turn(ref);
    ba_plan *plan = NULL, *full = NULL;
    int rc = logits && next ? 0 : ba_fail(err, "out of memory");
    rc = rc ? rc : ba_mode_plan(mode, next, &plan, err);
    rc = rc ? rc : ba_mode_plan("full", next, &full, err);
    for (size_t i = 0; !rc && i < RUNS; i++) {
        bool in_full = i == IN_FULL || i == FRESH_FULL;
        if (i >= FRESH_FULL) {
            ba_store_clear(store);
        }
        rc = logits_of(e, in_full ? full : plan, opt, logits + i * n, err);
    }
    if (!rc) {
        bool same = same_bits(logits + THERE * n, logits + FRESH * n, n) == BA_HELD &&
                    same_bits(logits + BACK * n, logits + FRESH * n, n) == BA_HELD &&
                    same_bits(logits + IN_FULL * n, logits + FRESH_FULL * n, n) == BA_HELD;
        out->held[BA_ID_SWITCH] = same ? BA_HELD : BA_BROKEN;
    }
    ba_plan_free(plan);
    ba_plan_free(full);
    ba_prompt_free(next);
    free(logits);
    return rc;
}

/* Index of the first greedy token that differs from the reference's; n_greedy if none does. */
static int divergence(ba_engine *e, ba_run *run, const ba_reference *ref, size_t *at, char err[BA_ERR_LEN]) {
    int rc = 0;
    for (*at = 0; !rc && *at < ref->n_greedy; (*at)++) {
        int32_t id = ba_sample(ba_run_logits(run), vocab_of(e), 0, NULL);
        if (id != ref->greedy[*at]) {
            break;
        }
        rc = ba_run_extend(run, &id, 1, NULL, err);
    }
    return rc;
}

int ba_gate_mode(ba_engine *e, ba_store *store, const ba_reference *ref, const char *mode, bool identities,
                 const ba_engine_options *opt, ba_gate_row *out, char err[BA_ERR_LEN]) {
    size_t n = vocab_of(e), room = ref->n_answer > ref->n_greedy ? ref->n_answer : ref->n_greedy;
    ba_plan *plan = NULL;
    ba_run *run = NULL;
    double *cold = malloc(n * sizeof *cold), *warm = malloc(n * sizeof *warm);
    *out =
        (ba_gate_row){.merge_max_abs = NAN, .n_answer = ref->n_answer, .nll_full = ref->nll, .flops_full = ref->flops};
    int rc = cold && warm ? ba_mode_plan(mode, ref->prompt, &plan, err) : ba_fail(err, "out of memory");
    if (!rc) {
        snprintf(out->mode, sizeof out->mode, "%s", plan->mode);
        out->n_tokens = plan->n_tokens;
    }
    if (!rc && identities) {
        ba_store_clear(store);
        rc = logits_of(e, plan, opt, cold, err);
    }
    if (!rc) {
        rc = ba_engine_run(e, plan, opt, room, &run, err);
    }
    if (!rc) {
        memcpy(warm, ba_run_logits(run), n * sizeof *warm);
        rc = warm_cost(e, plan, ba_run_get_stats(run), &out->flops, err);
    }
    if (!rc && identities) {
        out->held[BA_ID_CACHED] = same_bits(cold, warm, n);
        out->held[BA_ID_COUNT] = ba_run_get_stats(run)->count.flops_exact == out->flops ? BA_HELD : BA_BROKEN;
    }
    if (!rc) {
        out->far = ba_logit_compare(ref->logits, warm, n);
        rc = answer_nll(run, ref->answer, ref->n_answer, &out->nll, err);
    }
    if (!rc) {
        rc = divergence(e, run, ref, &out->diverges, err);
    }
    ba_run_free(run);
    if (!rc && identities) {
        rc = check_switch(e, store, ref, mode, opt, out, err);
    }
    if (!rc && identities) {
        rc = check_identities(e, store, plan, ref, opt, warm, out, err);
    }
    ba_plan_free(plan);
    free(cold);
    free(warm);
    return rc;
}

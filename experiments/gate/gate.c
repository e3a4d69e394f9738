#include "gate.h"

#include "experiments/measure/answer.h"
#include "experiments/measure/costing.h"
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

static int make_reference(ba_engine *e, const ba_plan *plan, size_t n_greedy, const ba_engine_options *opt,
                          ba_reference *out, char err[BA_ERR_LEN]) {
    size_t n = vocab_of(e), room = out->n_answer > n_greedy ? out->n_answer : n_greedy;
    out->logits = malloc(n * sizeof *out->logits);
    out->greedy = malloc((n_greedy + 1) * sizeof *out->greedy);
    if (!out->logits || !out->greedy) {
        return ba_fail(err, "out of memory");
    }
    ba_run *run = NULL;
    int rc = ba_engine_run(e, plan, opt, room, &run, err);
    rc = rc ? rc : ba_run_check(run, err);
    if (rc) {
        ba_run_free(run);
        return rc;
    }
    memcpy(out->logits, ba_run_logits(run), n * sizeof *out->logits);
    out->flops = ba_run_get_stats(run)->count.flops_exact;
    rc = ba_answer_nll(run, out->answer, out->n_answer, &out->nll, err);
    while (!rc && out->n_greedy < n_greedy) {
        int32_t id = ba_sample(ba_run_logits(run), n, 0, NULL);
        out->greedy[out->n_greedy++] = id;
        rc = ba_run_extend(run, &id, 1, NULL, err);
    }
    ba_run_free(run);
    return rc;
}

int ba_reference_make(ba_engine *e, const ba_prompt *prompt, const int32_t *answer, size_t n_answer, size_t n_greedy,
                      const ba_engine_options *opt, ba_reference *out, char err[BA_ERR_LEN]) {
    ba_plan *plan = NULL;
    *out = (ba_reference){.prompt = prompt, .answer = answer, .n_answer = n_answer};
    if (ba_mode_plan("full", prompt, &plan, err)) {
        return -1;
    }
    int rc = make_reference(e, plan, n_greedy, opt, out, err);
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
    rc = rc ? rc : ba_run_check(run, err);
    if (!rc) {
        memcpy(out, ba_run_logits(run), vocab_of(e) * sizeof *out);
    }
    ba_run_free(run);
    return rc;
}

static ba_verdict same_bits(const double *a, const double *b, size_t n) {
    return memcmp(a, b, n * sizeof *a) ? BA_BROKEN : BA_HELD;
}

/* other: scratch [vocab]. A mode that the merging executor cannot run is skipped. */
static int check_merge(ba_engine *e, const ba_plan *plan, const ba_engine_options *opt, const double *warm,
                       double *other, ba_gate_row *out) {
    char why[BA_ERR_LEN];
    ba_engine_options merge = *opt;
    merge.executor = BA_MERGE_KEYS;
    int rc = logits_of(e, plan, &merge, other, why);
    if (rc) {
        return rc == BA_INTERRUPTED ? rc : 0;
    }
    ba_logit_distance d = ba_logit_compare(warm, other, vocab_of(e));
    double limit = ba_merge_limit(ba_engine_backend(e)->kv_size, ba_engine_shape(e)->layers, warm, vocab_of(e));
    out->merge_max_abs = d.max_abs;
    out->held[BA_ID_MERGE] = d.finite && d.max_abs <= limit ? BA_HELD : BA_BROKEN;
    return 0;
}

/* other: scratch [vocab]. */
static int check_folded(ba_engine *e, const ba_reference *ref, const ba_engine_options *opt, double *other,
                        ba_gate_row *out, char err[BA_ERR_LEN]) {
    ba_plan *folded = NULL;
    if (ba_mode_plan("block:n=0", ref->prompt, &folded, err)) {
        return -1;
    }
    int rc = logits_of(e, folded, opt, other, err);
    ba_plan_free(folded);
    if (!rc) {
        out->held[BA_ID_FOLDED] = same_bits(ref->logits, other, vocab_of(e));
    }
    return rc;
}

/* Called right after the warm run: everything that can be stored is in the store. */
static int check_identities(ba_engine *e, ba_store *store, const ba_plan *plan, const ba_reference *ref,
                            const ba_engine_options *opt, const double *warm, ba_gate_row *out, char err[BA_ERR_LEN]) {
    size_t n = vocab_of(e);
    ba_engine_options small = *opt;
    small.max_rows = OTHER_ROWS;
    double *other = malloc(n * sizeof *other);
    if (!other) {
        return ba_fail(err, "out of memory");
    }
    ba_store_clear(store);
    int rc = logits_of(e, plan, &small, other, err);
    if (rc) {
        goto done;
    }
    out->held[BA_ID_BATCH] = same_bits(warm, other, n);
    rc = check_merge(e, plan, opt, warm, other, out);
    if (!rc && !strcmp(out->mode, "block")) {
        rc = check_folded(e, ref, opt, other, out, err);
    }
done:
    free(other);
    return rc;
}

/* 0, or -1: out of memory. */
static int add_segments(ba_prompt *to, const ba_prompt *from, size_t first, size_t end) {
    for (size_t i = first; i < end; i++) {
        if (ba_prompt_add(to, from->seg[i].role, from->seg[i].ids, from->seg[i].n)) {
            return -1;
        }
    }
    return 0;
}

/* The next turn of the conversation: question and full attention's answer become a passage, and the question is asked
 * again. NULL: out of memory. */
static ba_prompt *next_turn(const ba_reference *ref) {
    const ba_prompt *p = ref->prompt;
    size_t tail = p->n_seg - 1, n = 0;
    tail -= tail && p->seg[tail].role == BA_ROLE_TASK;
    for (size_t i = tail; i < p->n_seg; i++) {
        n += p->seg[i].n;
    }
    ba_prompt *next = ba_prompt_new(NULL);
    int32_t *turn = malloc((n + ref->n_greedy) * sizeof *turn), *end = turn;
    int rc = -1;
    if (!next || !turn) {
        goto done;
    }
    next->bos = p->bos;
    next->newline = p->newline;
    next->local_blocks = p->local_blocks;
    for (size_t i = tail; i < p->n_seg; end += p->seg[i++].n) {
        memcpy(end, p->seg[i].ids, p->seg[i].n * sizeof *end);
    }
    memcpy(end, ref->greedy, ref->n_greedy * sizeof *end);
    if (add_segments(next, p, 0, tail) || ba_prompt_add(next, BA_ROLE_PASSAGE, turn, n + ref->n_greedy)) {
        goto done;
    }
    rc = add_segments(next, p, tail, p->n_seg);
done:
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
    int rc = -1;
    if (!logits || !next) {
        ba_fail(err, "out of memory");
        goto done;
    }
    if (ba_mode_plan(mode, next, &plan, err) || ba_mode_plan("full", next, &full, err)) {
        goto done;
    }
    for (size_t i = 0; i < RUNS; i++) {
        bool in_full = i == IN_FULL || i == FRESH_FULL;
        if (i >= FRESH_FULL) {
            ba_store_clear(store);
        }
        rc = logits_of(e, in_full ? full : plan, opt, logits + i * n, err);
        if (rc) {
            goto done;
        }
    }
    bool same = same_bits(logits + THERE * n, logits + FRESH * n, n) == BA_HELD &&
                same_bits(logits + BACK * n, logits + FRESH * n, n) == BA_HELD &&
                same_bits(logits + IN_FULL * n, logits + FRESH_FULL * n, n) == BA_HELD;
    out->held[BA_ID_SWITCH] = same ? BA_HELD : BA_BROKEN;
done:
    ba_plan_free(plan);
    ba_plan_free(full);
    ba_prompt_free(next);
    free(logits);
    return rc;
}

/* Index of the first greedy token that differs from the reference's; n_greedy if none does. */
static int divergence(ba_engine *e, ba_run *run, const ba_reference *ref, size_t *at, char err[BA_ERR_LEN]) {
    for (*at = 0; *at < ref->n_greedy; (*at)++) {
        int32_t id = ba_sample(ba_run_logits(run), vocab_of(e), 0, NULL);
        if (id != ref->greedy[*at]) {
            break;
        }
        int rc = ba_run_extend(run, &id, 1, NULL, err);
        if (rc) {
            return rc;
        }
    }
    return 0;
}

/* The run with the store as it is, compared with the reference. cold: [vocab] logits of a run with an empty store, or
 * NULL; warm: [vocab], filled. */
static int measure(ba_engine *e, const ba_plan *plan, const ba_reference *ref, const ba_engine_options *opt,
                   const double *cold, double *warm, ba_gate_row *out, char err[BA_ERR_LEN]) {
    size_t n = vocab_of(e), room = ref->n_answer > ref->n_greedy ? ref->n_answer : ref->n_greedy;
    ba_run *run = NULL;
    ba_cost cost = {0};
    int rc = ba_engine_run(e, plan, opt, room, &run, err);
    if (rc) {
        return rc;
    }
    memcpy(warm, ba_run_logits(run), n * sizeof *warm);
    const ba_run_stats *stats = ba_run_get_stats(run);
    const ba_chosen chosen = {stats->chosen_row, stats->n_chosen_row, stats->path_kept};
    rc = ba_cost_of_run(e, plan, true, &chosen, &cost, err);
    if (rc) {
        goto done;
    }
    out->flops = cost.flops_exact;
    out->charged = cost.charged;
    if (cold) {
        out->held[BA_ID_CACHED] = same_bits(cold, warm, n);
        out->held[BA_ID_COUNT] = stats->count.flops_exact == out->flops ? BA_HELD : BA_BROKEN;
    }
    out->far = ba_logit_compare(ref->logits, warm, n);
    rc = ba_answer_nll(run, ref->answer, ref->n_answer, &out->nll, err);
    if (!rc) {
        rc = divergence(e, run, ref, &out->diverges, err);
    }
done:
    ba_run_free(run);
    return rc;
}

int ba_gate_mode(ba_engine *e, ba_store *store, const ba_reference *ref, const char *mode, bool identities,
                 const ba_engine_options *opt, ba_gate_row *out, char err[BA_ERR_LEN]) {
    size_t n = vocab_of(e);
    ba_plan *plan = NULL;
    double *cold = malloc(n * sizeof *cold), *warm = malloc(n * sizeof *warm);
    int rc = -1;
    *out = (ba_gate_row){.merge_max_abs = NAN,
                         .noise_kl = NAN,
                         .n_answer = ref->n_answer,
                         .nll_full = ref->nll,
                         .flops_full = ref->flops};
    if (!cold || !warm) {
        ba_fail(err, "out of memory");
        goto done;
    }
    if (ba_mode_plan(mode, ref->prompt, &plan, err)) {
        goto done;
    }
    snprintf(out->mode, sizeof out->mode, "%s", plan->mode);
    const char *reuse = ba_reuse_of(ref->prompt, plan);
    if (!reuse) {
        ba_fail(err, "out of memory");
        goto done;
    }
    snprintf(out->reuse, sizeof out->reuse, "%s", reuse);
    out->n_tokens = plan->n_tokens;
    if (identities) {
        ba_store_clear(store);
        rc = logits_of(e, plan, opt, cold, err);
        if (rc) {
            goto done;
        }
    }
    rc = measure(e, plan, ref, opt, identities ? cold : NULL, warm, out, err);
    if (rc || !identities) {
        goto done;
    }
    rc = check_switch(e, store, ref, mode, opt, out, err);
    if (!rc) {
        rc = check_identities(e, store, plan, ref, opt, warm, out, err);
    }
done:
    ba_plan_free(plan);
    free(cold);
    free(warm);
    return rc;
}

/* Takes one sample of the time to first token. */
#include "ttft.h"

#include "experiments/measure/costing.h"
#include "experiments/measure/distance.h"
#include "experiments/measure/protocol.h"

#include "kernels/base/clock.h"
#include "kernels/base/compare.h"
#include "sim/base/finite.h"
#include "sim/modes/modes.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define TEXT(row, member)       BA_COLUMN(row, member, BA_COLUMN_TEXT, "")
#define COUNT(row, member)      BA_COLUMN(row, member, BA_COLUMN_U64, "")
#define BYTES(row, member)      BA_COLUMN(row, member, BA_COLUMN_U64, "B")
#define REAL(row, member, unit) BA_COLUMN(row, member, BA_COLUMN_F64, unit)
#define STRING(row, member)     BA_COLUMN(row, member, BA_COLUMN_STRING, "")
#define STAGE(row, name, index) BA_COLUMN_AS(name, row, stage[index], BA_COLUMN_F64, "s")
#define STAGES(row)                                                                                                    \
    STAGE(row, "tokenize_s", BA_STAGE_TOKENIZE), STAGE(row, "lookup_s", BA_STAGE_LOOKUP),                              \
        STAGE(row, "load_s", BA_STAGE_LOAD), STAGE(row, "encode_s", BA_STAGE_ENCODE),                                  \
        STAGE(row, "merge_s", BA_STAGE_MERGE), STAGE(row, "prefill_s", BA_STAGE_PREFILL),                              \
        STAGE(row, "first_token_s", BA_STAGE_FIRST), REAL(row, other_s, "s")

const ba_column ba_ttft_case_columns[] = {
    BA_COLUMN_AS("case_index", ba_ttft_case, item, BA_COLUMN_U64, ""),
    TEXT(ba_ttft_case, mode),
    TEXT(ba_ttft_case, executor),
    COUNT(ba_ttft_case, length),
    COUNT(ba_ttft_case, question),
    COUNT(ba_ttft_case, block_tokens),
    COUNT(ba_ttft_case, passages),
    COUNT(ba_ttft_case, cold),
    COUNT(ba_ttft_case, timing_only),
    BA_COLUMNS_END,
};

const ba_column ba_ttft_sample_columns[] = {
    TEXT(ba_ttft_sample, mode),
    TEXT(ba_ttft_sample, executor),
    COUNT(ba_ttft_sample, length),
    COUNT(ba_ttft_sample, block_tokens),
    COUNT(ba_ttft_sample, cold),
    BA_COLUMN_AS("case_index", ba_ttft_sample, item, BA_COLUMN_U64, ""),
    COUNT(ba_ttft_sample, visit),
    COUNT(ba_ttft_sample, round),
    COUNT(ba_ttft_sample, order),
    COUNT(ba_ttft_sample, warmup),
    REAL(ba_ttft_sample, start_s, "s"),
    REAL(ba_ttft_sample, ttft_s, "s"),
    STAGES(ba_ttft_sample),
    COUNT(ba_ttft_sample, flops_exact),
    COUNT(ba_ttft_sample, flops_dense),
    BYTES(ba_ttft_sample, bytes_read),
    BYTES(ba_ttft_sample, bytes_written),
    COUNT(ba_ttft_sample, n_computed),
    COUNT(ba_ttft_sample, n_reused),
    BYTES(ba_ttft_sample, kv_bytes),
    BYTES(ba_ttft_sample, work_bytes),
    COUNT(ba_ttft_sample, logits_hash),
    REAL(ba_ttft_sample, max_dlogit, ""),
    REAL(ba_ttft_sample, dlogit_limit, ""),
    REAL(ba_ttft_sample, charged, ""),
    COUNT(ba_ttft_sample, counted),
    BA_COLUMNS_END,
};

const ba_column ba_ttft_distance_columns[] = {
    TEXT(ba_ttft_distance, mode),
    COUNT(ba_ttft_distance, length),
    COUNT(ba_ttft_distance, block_tokens),
    COUNT(ba_ttft_distance, passages),
    COUNT(ba_ttft_distance, prompt),
    REAL(ba_ttft_distance, kl, "nat"),
    REAL(ba_ttft_distance, noise_kl, "nat"),
    REAL(ba_ttft_distance, max_abs, ""),
    COUNT(ba_ttft_distance, top1),
    REAL(ba_ttft_distance, top5, ""),
    BA_COLUMNS_END,
};

/* Other programs rely on the names and the order of the first columns. */
const ba_column ba_ttft_result_columns[] = {
    TEXT(ba_ttft_result, mode),
    COUNT(ba_ttft_result, length),
    COUNT(ba_ttft_result, question),
    COUNT(ba_ttft_result, block_tokens),
    COUNT(ba_ttft_result, cold),
    REAL(ba_ttft_result, ttft_s_median, "s"),
    REAL(ba_ttft_result, ttft_s_min, "s"),
    REAL(ba_ttft_result, ttft_s_mad, "s"),
    COUNT(ba_ttft_result, n),
    REAL(ba_ttft_result, flops_exact, "FLOP"),
    REAL(ba_ttft_result, flops_dense, "FLOP"),
    REAL(ba_ttft_result, flops_paper, "FLOP"),
    REAL(ba_ttft_result, bytes_read, "B"),
    REAL(ba_ttft_result, kv_bytes, "B"),
    REAL(ba_ttft_result, n_computed, ""),
    REAL(ba_ttft_result, n_reused, ""),
    TEXT(ba_ttft_result, check),
    TEXT(ba_ttft_result, check_note),
    TEXT(ba_ttft_result, executor),
    COUNT(ba_ttft_result, timing_only),
    COUNT(ba_ttft_result, n_outliers),
    STAGES(ba_ttft_result),
    REAL(ba_ttft_result, bytes_written, "B"),
    REAL(ba_ttft_result, work_bytes, "B"),
    REAL(ba_ttft_result, flops_attention, "FLOP"),
    REAL(ba_ttft_result, speedup, ""),
    REAL(ba_ttft_result, reduction_exact, ""),
    REAL(ba_ttft_result, reduction_dense, ""),
    REAL(ba_ttft_result, reduction_paper, ""),
    REAL(ba_ttft_result, breakeven, ""),
    REAL(ba_ttft_result, floor_s, "s"),
    REAL(ba_ttft_result, max_dlogit, ""),
    REAL(ba_ttft_result, paper_ttft_s, "s"),
    REAL(ba_ttft_result, paper_flops, "FLOP"),
    COUNT(ba_ttft_result, passages),
    COUNT(ba_ttft_result, n_prompts),
    REAL(ba_ttft_result, kl, "nat"),
    REAL(ba_ttft_result, kl_low, "nat"),
    REAL(ba_ttft_result, kl_high, "nat"),
    REAL(ba_ttft_result, noise_kl, "nat"),
    REAL(ba_ttft_result, top1, ""),
    REAL(ba_ttft_result, top1_low, ""),
    REAL(ba_ttft_result, top1_high, ""),
    REAL(ba_ttft_result, max_abs, ""),
    TEXT(ba_ttft_result, reuse),
    TEXT(ba_ttft_result, budget),
    REAL(ba_ttft_result, charged, ""),
    TEXT(ba_ttft_result, plan_hash),
    TEXT(ba_ttft_result, model_hash),
    TEXT(ba_ttft_result, schema),
    TEXT(ba_ttft_result, commit),
    STRING(ba_ttft_result, model),
    STRING(ba_ttft_result, backend),
    STRING(ba_ttft_result, libraries),
    STRING(ba_ttft_result, cpu),
    COUNT(ba_ttft_result, threads),
    COUNT(ba_ttft_result, seed),
    STRING(ba_ttft_result, command),
    BA_COLUMNS_END,
};

int ba_ttft_unit_plan(const ba_session *b, ba_ttft_unit *u, char err[BA_ERR_LEN]) {
    ba_prompt *prompt = ba_workload_prompt(b->tok, &u->prompt->text, err);
    ba_plan *plan = NULL;
    int status = prompt ? ba_mode_plan(u->mode, prompt, &plan, err) : -1;
    if (!status) {
        u->hash = ba_plan_hash(plan);
        u->stores = false;
        for (int how = BA_IN_PLACE; how <= BA_MERGE_KEYS; how++) {
            u->can[how] = ba_engine_can(b->engine, plan, (ba_executor)how, err) == 0;
        }
        for (size_t i = 0; i < plan->n_node; i++) {
            u->stores |= plan->node[i].stored;
        }
        u->reuse = ba_reuse_of(prompt, plan);
        status = !u->reuse ? ba_fail(err, "out of memory")
                           : ba_cost_of_run(b->engine, plan, false, NULL, &u->cold, err) ||
                                 ba_cost_of_run(b->engine, plan, true, NULL, &u->warm, err);
    }
    ba_plan_free(plan);
    ba_prompt_free(prompt);
    return status ? -1 : 0;
}

void ba_ttft_unit_free(ba_ttft_unit *u) {
    free(u->reference);
}

void ba_ttft_prompt_free(ba_ttft_prompt *p) {
    ba_workload_free(&p->text);
    for (size_t i = 0; i < p->n_more; i++) {
        ba_workload_free(&p->more[i]);
    }
    free(p->more);
}

/* Everything that a finished run reports, except times. */
static int inspect(const ba_session *b, ba_ttft_unit *u, const ba_ttft_case *c, const ba_plan *plan,
                   const ba_run_stats *stats, const double *logits, ba_ttft_sample *out, char err[BA_ERR_LEN]) {
    size_t vocab = ba_engine_shape(b->engine)->vocab;
    ba_cost cost = {0};
    const ba_chosen chosen = {stats->chosen_row, stats->n_chosen_row, stats->path_kept};
    if (ba_logits_check(logits, vocab, err) != 0) {
        return -1;
    }
    if (ba_cost_of_run(b->engine, plan, !c->cold, stats->n_chosen_row || stats->n_path ? &chosen : NULL, &cost, err)) {
        return -1;
    }
    if (!u->reference) {
        if (!(u->reference = malloc(vocab * sizeof *u->reference))) {
            return ba_fail(err, "out of memory");
        }
        memcpy(u->reference, logits, vocab * sizeof *logits);
    }
    ba_distance d = ba_compare(u->reference, logits, vocab);
    out->max_dlogit = d.finite ? d.max_abs : NAN;
    out->dlogit_limit = ba_merge_limit(b->be->kv_size, ba_engine_shape(b->engine)->layers, u->reference, vocab);
    out->logits_hash = XXH3_64bits(logits, vocab * sizeof *logits);
    out->flops_exact = stats->count.flops_exact;
    out->flops_dense = stats->count.flops_dense;
    out->bytes_read = stats->count.bytes_read;
    out->bytes_written = stats->count.bytes_written;
    out->n_computed = stats->n_computed;
    out->n_reused = stats->n_reused;
    out->kv_bytes = stats->kv_bytes;
    out->work_bytes = stats->work_bytes;
    out->charged = cost.charged;
    /* Bytes of the merging executor are not compared: the closed form describes the plan, not the executor. */
    out->counted =
        cost.flops_exact == out->flops_exact && cost.flops_dense == out->flops_dense &&
        cost.n_computed == out->n_computed && cost.n_reused == out->n_reused &&
        (c->how == BA_MERGE_KEYS || (cost.bytes_read == out->bytes_read && cost.bytes_written == out->bytes_written));
    return 0;
}

int ba_ttft_take(const ba_session *b, ba_ttft_unit *u, const ba_ttft_case *c, const ba_engine_options *opt,
                 ba_ttft_sample *out, char err[BA_ERR_LEN]) {
    ba_engine_options options = *opt;
    options.executor = c->how;
    options.max_rows = BA_PASS_ROWS;
    ba_plan *plan = NULL;
    ba_run *run = NULL;
    const double *logits = NULL;
    uint64_t rng = 0;
    double start = ba_now();
    ba_prompt *prompt = ba_workload_prompt(b->tok, &u->prompt->text, err);
    double tokenized = ba_now();
    int status = prompt ? ba_mode_plan(u->mode, prompt, &plan, err) : -1;
    double planned = ba_now();
    if (!status) {
        status = ba_engine_run(b->engine, plan, &options, 0, &run, err);
    }
    if (!status && !(logits = ba_run_logits(run))) {
        status = BA_INTERRUPTED;
    }
    status = status ? status : ba_engine_check_device(b->engine, err);
    if (!status) {
        double computed = ba_now();
        ba_sample(logits, ba_engine_shape(b->engine)->vocab, 0, &rng);
        double end = ba_now();
        const ba_run_stats *stats = ba_run_get_stats(run);
        memcpy(out->stage, stats->stage, sizeof out->stage);
        out->stage[BA_STAGE_TOKENIZE] = tokenized - start;
        out->stage[BA_STAGE_LOOKUP] += planned - tokenized; /* the look-up works on the plan */
        out->stage[BA_STAGE_FIRST] += end - computed;
        out->ttft_s = end - start;
        out->other_s = out->ttft_s;
        for (size_t i = 0; i < BA_STAGE_COUNT; i++) {
            out->other_s -= out->stage[i];
        }
        status = inspect(b, u, c, plan, stats, logits, out, err);
    }
    ba_run_free(run);
    ba_plan_free(plan);
    ba_prompt_free(prompt);
    return status;
}

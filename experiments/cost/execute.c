/* Compares the simulation with a real model, a real store and real kernels. */
#include "experiments/cli/announce.h"
#include "experiments/cli/ask.h"
#include "experiments/cli/store_spec.h"
#include "experiments/measure/protocol.h"
#include "experiments/measure/stats.h"
#include "requests.h"
#include "sim/base/random.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The fitted rates: time of a request itself, and of each passage by the tier it was found in, or for encoding it. The
 * question's attention to passages in memory is part of the first. */
enum { RATES = BA_SIM_TIERS + 1 };

typedef struct execution {
    ba_session b;
    ba_engine_options opt;
    ba_sim *sim;
    size_t tokens, question, vocab;
    uint64_t kv_bytes;
    double *seconds;        /* [requests] of the processor */
    double (*count)[RATES]; /* [requests] factor of each rate */
} execution;

/* The number of a passage alone decides its tokens. */
static void fill(int32_t *ids, size_t n, uint64_t number, size_t vocab) {
    uint64_t rng = number * 2654435761u + 1;
    for (size_t i = 0; i < n; i++) {
        ids[i] = (int32_t)ba_random_below(&rng, vocab);
    }
}

/* NULL: out of memory. */
static ba_prompt *prompt_of(const execution *x, const ba_arrival *a) {
    size_t longest = x->tokens > x->question ? x->tokens : x->question;
    int32_t *ids = malloc(longest * sizeof *ids);
    ba_prompt *p = ba_prompt_new(NULL);
    int rc = ids && p ? 0 : -1;
    for (size_t i = 0; !rc && i <= a->n; i++) {
        bool passage = i < a->n;
        size_t n = passage ? x->tokens : x->question;
        fill(ids, n, passage ? a->passage[i] : UINT64_C(1) << 40, x->vocab);
        rc = ba_prompt_add(p, passage ? BA_ROLE_PASSAGE : BA_ROLE_QUESTION, ids, n);
    }
    free(ids);
    if (rc) {
        ba_prompt_free(p);
        return NULL;
    }
    return p;
}

static ba_plan *plan_of(const execution *x, const ba_arrival *a, char err[BA_ERR_LEN]) {
    ba_prompt *p = prompt_of(x, a);
    ba_plan *plan = NULL;
    if (!p) {
        ba_fail(err, "out of memory");
    } else if (ba_mode_plan("block", p, &plan, err)) {
        plan = NULL;
    }
    ba_prompt_free(p);
    return plan;
}

static int run_one(execution *x, const ba_arrival *a, size_t i, ba_executed *out, char err[BA_ERR_LEN]) {
    uint8_t place[BA_MAX_PASSAGES];
    ba_run *run = NULL;
    ba_plan *plan = plan_of(x, a, err);
    if (!plan) {
        return -1;
    }
    double start = ba_cpu_clock();
    int rc = ba_engine_run(x->b.engine, plan, &x->opt, 0, &run, err);
    if (!rc) {
        ba_run_logits(run);
    }
    x->seconds[i] = ba_cpu_clock() - start;
    rc = rc ? rc : ba_run_check(run, err);
    if (!rc && ba_sim_request(x->sim, a->passage, a->n, x->kv_bytes, 0, place)) {
        rc = ba_fail(err, "out of memory");
    }
    const ba_run_stats *s = rc ? NULL : ba_run_get_stats(run);
    x->count[i][0] = 1;
    for (size_t k = 0; s && k < s->n_lookup; k++) {
        const ba_finding *found = &s->lookup[k].found;
        size_t real = found->why == BA_HIT ? found->place : out->places, simulated = place[s->lookup[k].node];
        out->passages++;
        out->hits[real]++;
        out->simulated[simulated]++;
        out->differing += real != simulated;
        x->count[i][real] += real > 0;
    }
    ba_run_free(run);
    ba_plan_free(plan);
    ba_store_flush(x->b.store);
    return rc;
}

static double predict(const double rate[RATES], const double count[RATES]) {
    double sum = 0;
    for (size_t r = 0; r < RATES; r++) {
        sum += rate[r] * count[r];
    }
    return sum;
}

/* Least squares over the first n requests, by elimination in the normal equations; 0 for rates without data. */
static void fit(const execution *x, size_t n, double rate[RATES]) {
    double m[RATES][RATES + 1] = {0};
    for (size_t i = 0; i < n; i++) {
        for (size_t r = 0; r < RATES; r++) {
            for (size_t c = 0; c < RATES; c++) {
                m[r][c] += x->count[i][r] * x->count[i][c];
            }
            m[r][RATES] += x->count[i][r] * x->seconds[i];
        }
    }
    for (size_t p = 0; p < RATES; p++) {
        for (size_t r = 0; r < RATES; r++) {
            double factor = r != p && m[p][p] > 1e-9 ? m[r][p] / m[p][p] : 0;
            for (size_t c = p; c <= RATES; c++) {
                m[r][c] -= factor * m[p][c];
            }
        }
    }
    for (size_t p = 0; p < RATES; p++) {
        rate[p] = m[p][p] > 1e-9 ? m[p][RATES] / m[p][p] : 0;
    }
}

static int compare(const execution *x, size_t n, ba_executed *out) {
    size_t taught = n / 3, tested = n - taught;
    double rate[RATES], measured = 0, predicted = 0;
    double *error = malloc(3 * (tested + 1) * sizeof *error), *real = error + tested, *guess = real + tested;
    if (!error) {
        return -1;
    }
    fit(x, taught, rate);
    for (size_t i = 0; i < tested; i++) {
        real[i] = x->seconds[taught + i];
        guess[i] = predict(rate, x->count[taught + i]);
        error[i] = fabs(guess[i] - real[i]) / real[i];
        measured += real[i];
        predicted += guess[i];
    }
    out->median_error = ba_quantile(error, tested, 0.5);
    out->mean_error = fabs(predicted - measured) / measured;
    out->median_s = ba_quantile(real, tested, 0.5);
    out->predicted_median_s = ba_quantile(guess, tested, 0.5);
    free(error);
    return 0;
}

/* Says how much there is to do. All requests are of one size; traffic: a copy, so that the first one comes again. */
static void announce(const execution *x, const ba_common *c, ba_traffic traffic, size_t requests) {
    char err[BA_ERR_LEN];
    ba_arrival first;
    ba_prompt *p = ba_traffic_next(&traffic, &first, err) > 0 ? prompt_of(x, &first) : NULL;
    double flops = p ? (double)requests * ba_prompt_flops(&x->b, p, "block") : 0;
    ba_announce_work(&x->b, c, requests, "requests; if every passage were encoded", flops, false);
    ba_prompt_free(p);
}

static int run_all(execution *x, ba_traffic *traffic, size_t requests, ba_executed *out, bool quiet) {
    char err[BA_ERR_LEN];
    ba_progress bar;
    int rc = 1;
    ba_progress_start(&bar, "executing", quiet);
    for (size_t i = 0; i < requests && rc > 0; i++) {
        ba_arrival a;
        rc = ba_traffic_next(traffic, &a, err);
        if (rc > 0) {
            int ran = run_one(x, &a, i, out, err);
            rc = ran ? ran : 1;
            out->requests += !ran;
            ba_progress_update(&bar, (double)(i + 1) / (double)requests);
        }
    }
    ba_progress_end(&bar);
    return rc < 0 ? ba_engine_exit(rc, err) : 0;
}

/* The tiers of the store as the simulation sees them. Budgets of tiers after memory count blocks at their size in that
 * tier, which adds records of its own. An exit status. */
static int simulate_store(execution *x, const ba_store_spec *spec, size_t corpus, ba_executed *out) {
    char err[BA_ERR_LEN] = "";
    ba_sim_tier tier[BA_SIM_TIERS] = {{.bytes = spec->ram, .policy = spec->ram_policy}};
    size_t block = BA_BLOCK_HEAD + x->kv_bytes + x->tokens * sizeof(int32_t);
    if (x->b.be->ops->kv_load) {
        return ba_cli_fail(BA_EXIT_USAGE,
                           "--execute: the simulation has no tier of a device's memory; give a --backend "
                           "that computes on the processors, not %s",
                           x->b.be->ops->name);
    }
    if (spec->n_tier >= BA_SIM_TIERS) {
        return ba_cli_fail(BA_EXIT_USAGE, "--store: memory and up to %d tiers can be simulated", BA_SIM_TIERS - 1);
    }
    out->places = spec->n_tier + 1;
    out->place[0] = "ram";
    for (size_t t = 0; t < spec->n_tier; t++) {
        const ba_tier_spec *real = &spec->tier[t];
        uint64_t each = real->ops->takes ? real->ops->takes(block) : block;
        tier[t + 1] =
            (ba_sim_tier){.bytes = real->ops->sized && real->size ? real->size / each * x->kv_bytes : UINT64_MAX / 2,
                          .policy = real->policy,
                          .mapped = real->ops->maps};
        out->place[t + 1] = real->ops->name;
    }
    for (size_t t = 0; t < out->places; t++) {
        if (strcmp(tier[t].policy->name, "cost") == 0 || (t && spec->tier[t - 1].coding != BA_CODING_EXACT)) {
            return ba_cli_fail(BA_EXIT_USAGE, "--store: the policy cost depends on measured seconds, and 8-bit blocks "
                                              "have other sizes: neither can be predicted exactly");
        }
    }
    if (ba_sim_new(tier, out->places, corpus, &x->sim, err)) {
        return ba_cli_fail(BA_EXIT_MACHINE, "%s", err);
    }
    return 0;
}

static void ignore(const char *line) {
    (void)line; /* the store repeats this message when it opens */
}

/* Refuses tiers that hold blocks, because the simulation would not know them. An exit status. */
static int check_empty(const ba_store_spec *spec) {
    char err[BA_ERR_LEN];
    for (size_t t = 0; t < spec->n_tier; t++) {
        const ba_tier_spec *s = &spec->tier[t];
        ba_tier *tier;
        ba_tier_stats stats = {0};
        if (s->ops->open(s, ignore, true, &tier, err)) {
            return ba_cli_fail(BA_EXIT_USAGE, "%s", err);
        }
        int rc = s->ops->stats(tier, &stats, err);
        s->ops->close(tier);
        if (rc) {
            return ba_cli_fail(BA_EXIT_MACHINE, "%s", err);
        }
        if (stats.entries || stats.gone) {
            return ba_cli_fail(BA_EXIT_USAGE, "--store %s:%s: has blocks; an empty one is needed", s->ops->name,
                               s->place);
        }
    }
    return 0;
}

static int execute(execution *x, const ba_store_spec *spec, const ba_common *c, ba_traffic *traffic, size_t requests,
                   ba_executed *out) {
    ba_backend *be = x->b.be;
    const ba_shape *shape = ba_model_shape(x->b.model);
    x->vocab = shape->vocab;
    x->kv_bytes = be->ops->kv_bytes(be, shape->layers, shape->kv_heads, shape->head_dim, x->tokens);
    x->seconds = calloc(requests, sizeof *x->seconds);
    x->count = calloc(requests, sizeof *x->count);
    if (!x->seconds || !x->count) {
        return ba_cli_fail(BA_EXIT_MACHINE, "out of memory");
    }
    int status = simulate_store(x, spec, traffic->corpus, out);
    if (status) {
        return status;
    }
    announce(x, c, *traffic, requests);
    status = run_all(x, traffic, requests, out, c->quiet);
    if (status) {
        return status;
    }
    return compare(x, out->requests, out) ? ba_cli_fail(BA_EXIT_MACHINE, "out of memory") : 0;
}

int ba_cost_execute(const ba_common *c, ba_traffic *traffic, size_t requests, size_t tokens, size_t question,
                    ba_executed *out) {
    char err[BA_ERR_LEN];
    execution x = {.tokens = tokens, .question = question, .opt = ba_run_options(c)};
    ba_store_spec spec;
    *out = (ba_executed){0};
    int status;
    if (ba_store_spec_parse(c->store, c->store_key, &spec, err)) {
        status = ba_cli_fail(BA_EXIT_USAGE, "%s", err);
        goto done;
    }
    status = check_empty(&spec);
    if (status) {
        goto done;
    }
    status = ba_session_open(c, &x.b);
    if (status) {
        goto done;
    }
    status = execute(&x, &spec, c, traffic, requests, out);
    ba_sim_free(x.sim);
    free(x.seconds);
    free(x.count);
    ba_session_close(&x.b);
done:
    ba_store_spec_free(&spec);
    return status;
}

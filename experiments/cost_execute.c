/* The simulation held against a real model, a real store and real kernels. */
#include "ask.h"
#include "cost_requests.h"
#include "measure.h"
#include "stats.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

typedef struct execution {
    ba_bench b;
    ba_engine_options opt;
    ba_sim *sim;
    size_t tokens, question, vocab;
    uint64_t kv_bytes;
    double *seconds, *encoded; /* [requests] processor seconds; passages encoded */
} execution;

/* Tokens of a passage follow from its number alone. */
static void fill(int32_t *ids, size_t n, uint64_t number, size_t vocab) {
    uint64_t rng = number * 2654435761u + 1;
    for (size_t i = 0; i < n; i++) {
        ids[i] = (int32_t)ba_random_below(&rng, vocab);
    }
}

static ba_plan *plan_of(const execution *x, const ba_arrival *a, char err[BA_ERR_LEN]) {
    size_t longest = x->tokens > x->question ? x->tokens : x->question;
    int32_t *ids = malloc(longest * sizeof *ids);
    ba_prompt *p = ba_prompt_new(NULL);
    ba_plan *plan = NULL;
    int rc = ids && p ? 0 : -1;
    for (size_t i = 0; i < a->n && !rc; i++) {
        fill(ids, x->tokens, a->passage[i], x->vocab);
        rc = ba_prompt_add(p, BA_ROLE_PASSAGE, ids, x->tokens);
    }
    if (!rc) {
        fill(ids, x->question, UINT64_C(1) << 40, x->vocab);
        rc = ba_prompt_add(p, BA_ROLE_QUESTION, ids, x->question);
    }
    rc = rc ? ba_fail(err, "out of memory") : ba_mode_plan("block", p, &plan, err);
    ba_prompt_free(p);
    free(ids);
    return rc ? NULL : plan;
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
    if (!rc && !ba_run_logits(run)) {
        rc = BA_INTERRUPTED;
    }
    x->seconds[i] = ba_cpu_clock() - start;
    if (!rc && ba_sim_request(x->sim, a->passage, a->n, x->kv_bytes, 0, place)) {
        rc = ba_fail(err, "out of memory");
    }
    const ba_run_stats *s = rc ? NULL : ba_run_get_stats(run);
    for (size_t k = 0; s && k < s->n_lookup; k++) {
        bool hit = s->lookup[k].found.why == BA_HIT, simulated = place[s->lookup[k].node] == 0;
        out->passages++;
        out->hits += hit;
        out->simulated_hits += simulated;
        out->differing += hit != simulated;
        x->encoded[i] += !hit;
    }
    ba_run_free(run);
    ba_plan_free(plan);
    return rc;
}

/* Least squares of seconds = base + each * encoded over [0, n). */
static void fit(const execution *x, size_t n, double *base, double *each) {
    double sx = 0, sy = 0, sxx = 0, sxy = 0, m = (double)n;
    for (size_t i = 0; i < n; i++) {
        sx += x->encoded[i];
        sy += x->seconds[i];
        sxx += x->encoded[i] * x->encoded[i];
        sxy += x->encoded[i] * x->seconds[i];
    }
    double spread = m * sxx - sx * sx;
    *each = spread > 0 ? (m * sxy - sx * sy) / spread : 0;
    *base = (sy - *each * sx) / m;
}

static int compare(const execution *x, size_t n, ba_executed *out) {
    size_t taught = n / 3, told = n - taught;
    double base, each, measured = 0, predicted = 0;
    double *error = malloc(3 * (told + 1) * sizeof *error), *real = error + told, *guess = real + told;
    if (!error) {
        return -1;
    }
    fit(x, taught, &base, &each);
    for (size_t i = 0; i < told; i++) {
        real[i] = x->seconds[taught + i];
        guess[i] = base + each * x->encoded[taught + i];
        error[i] = fabs(guess[i] - real[i]) / real[i];
        measured += real[i];
        predicted += guess[i];
    }
    out->median_error = ba_quantile(error, told, 0.5);
    out->mean_error = fabs(predicted - measured) / measured;
    out->median_s = ba_quantile(real, told, 0.5);
    out->predicted_median_s = ba_quantile(guess, told, 0.5);
    free(error);
    return 0;
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

int ba_cost_execute(const ba_common *c, const ba_sim_tier *ram, ba_traffic *traffic, size_t requests, size_t tokens,
                    size_t question, ba_executed *out) {
    char err[BA_ERR_LEN];
    execution x = {.tokens = tokens, .question = question};
    *out = (ba_executed){0};
    int status = ba_run_options(NULL, NULL, &x.opt);
    char store[64];
    ba_common with = *c;
    snprintf(store, sizeof store, "ram:%" PRIu64 ":%s", ram->bytes, ram->policy->name);
    with.store = store;
    if (status || (status = ba_bench_open(&with, &x.b))) {
        return status;
    }
    ba_backend *be = x.b.be;
    const ba_shape *shape = ba_model_shape(x.b.model);
    x.vocab = shape->vocab;
    x.kv_bytes = be->ops->kv_bytes(be, shape->layers, shape->kv_heads, shape->head_dim, tokens);
    x.seconds = calloc(2 * requests, sizeof *x.seconds);
    x.encoded = x.seconds + requests;
    if (!x.seconds || ba_sim_new(ram, 1, traffic->corpus, &x.sim, err)) {
        status = ba_cli_fail(BA_EXIT_MACHINE, "%s", x.seconds ? err : "out of memory");
    }
    status = status ? status : run_all(&x, traffic, requests, out, c->quiet);
    if (!status && compare(&x, out->requests, out)) {
        status = ba_cli_fail(BA_EXIT_MACHINE, "out of memory");
    }
    ba_sim_free(x.sim);
    free(x.seconds);
    ba_bench_close(&x.b);
    return status;
}

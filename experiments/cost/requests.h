/* `cost --requests`: a stream of requests simulated on a machine with blocks in tiers, and optionally really executed
 * on a model to hold the simulation against. */
#ifndef BA_COST_REQUESTS_H
#define BA_COST_REQUESTS_H

#include "experiments/cli/tracing.h"
#include "experiments/options/options.h"
#include "service.h"
#include "sim/store/simulate.h"
#include "traffic.h"

/* Options of `cost`, both over lengths and of a stream of requests. */
typedef struct ba_cost_options {
    ba_named_shape shape; /* name NULL: the model's, or the one that the paper measured */
    size_t question, block_tokens;
    ba_counts lengths; /* of whole prompts, tokens */
    size_t task, max_rows;
    double peak_flops, bandwidth;                           /* NaN: not asked */
    size_t requests, passages, execute;                     /* passages: of a request */
    const char *traffic, *hardware, *hardware_file, *tiers; /* traffic: path of a file, or NULL */
    ba_counts corpus, ram;                                  /* passages there are; bytes */
    ba_reals zipf;
    double rate; /* requests per second */
    bool complete;
} ba_cost_options;

/* One simulation. Shares are of all requested passages. */
typedef struct ba_requests_row {
    const char *shape, *hardware, *policy;
    uint64_t corpus, requests, passages, ram_bytes;
    double zipf, rate;
    double ram_share, disk_share, network_share, encoded_share;
    double ttft_p50, ttft_p90, ttft_p99, ttft_mean; /* waiting included */
    double service_mean, busy;                      /* seconds at work; share of the time */
    double none_service, full_service;              /* the same request with no store, and in full attention */
    double flops, full_flops, read_bytes;           /* of a request, means */
    double wh_per_1000, usd_per_1000, full_usd_per_1000;
    double simulated_s, simulated_cpu_s; /* that the simulation took */
} ba_requests_row;

extern const ba_column ba_requests_columns[];

/* `cost --requests`. Returns an exit status. */
int ba_cost_requests(const ba_call *call);

/* Results of executing the first requests of a stream. */
typedef struct ba_executed {
    size_t requests, passages, places;
    const char *place[BA_SIM_TIERS];                            /* [places] names: ram, then the tiers */
    size_t hits[BA_SIM_TIERS + 1], simulated[BA_SIM_TIERS + 1]; /* [places], the last for passages found nowhere */
    size_t differing;                                           /* passages found in another tier than simulated */
    double median_s, predicted_median_s;                        /* processor seconds of a request, of those predicted */
    double mean_error, median_error; /* |predicted - measured| / measured: of the mean; median over requests */
} ba_executed;

/* Runs the first `requests` of a stream on the real model with c->store, whose tiers must be empty, and simulates them
 * too. The predicted time of a request follows from the tiers in which its passages are found, with rates (per request,
 * per passage of each tier) fitted on the first third of the requests. 0, or an exit status with the line printed. */
int ba_cost_execute(const ba_common *c, ba_traffic *traffic, size_t requests, size_t tokens, size_t question,
                    ba_executed *out);

#endif

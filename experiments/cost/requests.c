/* blockattn cost --requests: the cost of a stream of requests on a machine that stores blocks in tiers. */
#include "requests.h"

#include "experiments/cli/rows.h"
#include "experiments/measure/costing.h"
#include "experiments/measure/paper_row.h"
#include "experiments/measure/protocol.h"
#include "experiments/measure/stats.h"
#include "experiments/options/data.h"
#include "kernels/base/clock.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SCHEMA "blockattn/requests/2"

/* The options, and the tiers that they describe. */
typedef struct job {
    const ba_cost_options *o;
    uint64_t seed;     /* of the traffic */
    const size_t *ram; /* [n_ram] sizes of memory to try */
    size_t n_ram;
    ba_sim_tier tier[BA_SIM_TIERS];
    ba_place place[BA_SIM_TIERS + 1]; /* of each tier; BA_NOWHERE after the last */
    size_t n_tier;
} job;

typedef ba_requests_row row;

#define U64(member, unit) BA_COLUMN(row, member, BA_COLUMN_U64, unit)
#define F64(member, unit) BA_COLUMN(row, member, BA_COLUMN_F64, unit)
#define TEXT(member)      BA_COLUMN(row, member, BA_COLUMN_STRING, "")

const ba_column ba_requests_columns[] = {TEXT(shape),
                                         TEXT(hardware),
                                         TEXT(policy),
                                         U64(corpus, ""),
                                         U64(requests, ""),
                                         U64(passages, ""),
                                         U64(ram_bytes, "B"),
                                         F64(zipf, ""),
                                         F64(rate, "1/s"),
                                         F64(ram_share, ""),
                                         F64(disk_share, ""),
                                         F64(network_share, ""),
                                         F64(encoded_share, ""),
                                         F64(ttft_p50, "s"),
                                         F64(ttft_p90, "s"),
                                         F64(ttft_p99, "s"),
                                         F64(ttft_mean, "s"),
                                         F64(service_mean, "s"),
                                         F64(busy, ""),
                                         F64(none_service, "s"),
                                         F64(full_service, "s"),
                                         F64(flops, "FLOP"),
                                         F64(full_flops, "FLOP"),
                                         F64(read_bytes, "B"),
                                         F64(wh_per_1000, ""),
                                         F64(usd_per_1000, ""),
                                         F64(full_usd_per_1000, ""),
                                         F64(simulated_s, "s"),
                                         F64(simulated_cpu_s, "s"),
                                         BA_COLUMNS_END};

static int no_memory(char err[BA_ERR_LEN]) {
    return ba_fail(err, "out of memory");
}

/* --- one simulation --------------------------------------------------------------------------------------------- */

typedef struct stream {
    const job *w;
    const ba_service *service;
    ba_sim *sim;
    ba_traffic traffic;
    double *ttft; /* [requests] */
} stream;

/* One machine, first come, first served. */
static int serve_all(stream *s, row *out, char err[BA_ERR_LEN]) {
    const job *w = s->w;
    double free_at = 0, busy = 0, since = 0, share[BA_PLACES] = {0}, passages = 0;
    const double seconds = ba_passage_seconds(s->service, BA_NOWHERE);
    size_t warm_up = w->o->traffic ? 0 : w->o->requests / 5;
    ba_arrival a;
    int rc = 1;
    size_t n = 0;
    for (; n < w->o->requests && (rc = ba_traffic_next(&s->traffic, &a, err)) > 0; n++) {
        uint8_t tier[BA_MAX_PASSAGES];
        size_t found[BA_PLACES] = {0};
        if (ba_sim_request(s->sim, a.passage, a.n, s->service->kv_bytes, seconds, tier)) {
            return no_memory(err);
        }
        for (size_t i = 0; i < a.n; i++) {
            found[w->place[tier[i]]]++;
        }
        ba_served served = ba_serve(s->service, found);
        double work = served.load_s + served.encode_s + served.prefill_s;
        double start = a.time > free_at ? a.time : free_at;
        free_at = start + work;
        if (n < warm_up) {
            since = free_at;
            continue;
        }
        double ttft = s->ttft[n - warm_up] = free_at - a.time;
        busy += work;
        passages += (double)a.n;
        out->flops += served.flops;
        out->read_bytes += served.read_bytes;
        out->ttft_mean += ttft;
        for (size_t p = 0; p < BA_PLACES; p++) {
            share[p] += (double)found[p];
        }
    }
    if (rc < 0 || n <= warm_up) {
        return rc < 0 ? -1 : ba_fail(err, "no requests");
    }
    n -= warm_up;
    double m = (double)n;
    out->requests = n;
    out->ram_share = share[BA_IN_RAM] / passages;
    out->disk_share = share[BA_ON_DISK] / passages;
    out->network_share = share[BA_ON_NETWORK] / passages;
    out->encoded_share = share[BA_NOWHERE] / passages;
    out->ttft_p50 = ba_quantile(s->ttft, n, 0.5);
    out->ttft_p90 = ba_quantile(s->ttft, n, 0.9);
    out->ttft_p99 = ba_quantile(s->ttft, n, 0.99);
    out->ttft_mean /= m;
    out->flops /= m;
    out->read_bytes /= m;
    out->service_mean = busy / m;
    out->busy = busy / (free_at - since);
    return 0;
}

static int simulate(const job *w, const ba_service *service, const char *shape, size_t corpus, uint64_t ram,
                    double zipf, row *out, char err[BA_ERR_LEN]) {
    ba_sim_tier tier[BA_SIM_TIERS];
    memcpy(tier, w->tier, sizeof tier);
    tier[0].bytes = ram;
    const ba_hardware *hw = &service->hw;
    *out = (row){.shape = shape,
                 .hardware = hw->name,
                 .policy = tier[0].policy->name,
                 .corpus = corpus,
                 .passages = w->o->passages,
                 .ram_bytes = ram,
                 .zipf = w->o->traffic ? NAN : zipf,
                 .rate = w->o->traffic ? NAN : w->o->rate};
    double start = ba_now(), cpu_start = ba_cpu_clock();
    stream s = {.w = w, .service = service, .ttft = malloc(w->o->requests * sizeof *s.ttft)};
    int rc = s.ttft ? ba_sim_new(tier, w->n_tier, corpus, &s.sim, err) : no_memory(err);
    if (!rc && w->o->traffic) {
        rc = ba_traffic_open(&s.traffic, w->o->traffic, corpus, err);
    } else if (!rc) {
        ba_traffic_begin(&s.traffic, corpus, w->o->passages, zipf, w->o->rate, w->seed);
    }
    rc = rc ? rc : serve_all(&s, out, err);
    ba_traffic_end(&s.traffic);
    ba_sim_free(s.sim);
    free(s.ttft);
    ba_served full, none = ba_serve(service, (size_t[BA_PLACES]){[BA_NOWHERE] = w->o->passages});
    if (rc || ba_serve_full(service, w->o->passages, &full, err)) {
        return -1;
    }
    out->none_service = none.encode_s + none.prefill_s;
    out->full_service = full.prefill_s;
    out->full_flops = full.flops;
    out->wh_per_1000 = 1000 * out->service_mean * hw->watts / 3600;
    out->usd_per_1000 = 1000 * out->service_mean * hw->price_hour / 3600;
    out->full_usd_per_1000 = 1000 * out->full_service * hw->price_hour / 3600;
    out->simulated_s = ba_now() - start;
    out->simulated_cpu_s = ba_cpu_clock() - cpu_start;
    return 0;
}

/* --- for people ------------------------------------------------------------------------------------------------- */

static double price_of(const ba_hardware *hw, ba_place p) {
    return p == BA_IN_RAM ? hw->ram_price : p == BA_ON_DISK ? hw->disk_price : hw->network_price;
}

/* The cost of storing a passage, and of encoding it on each request instead. */
static void print_economics(const ba_service *s, const char *shape, size_t corpus) {
    char a[32], b[32], c[32], d[32];
    const ba_hardware *hw = &s->hw;
    double encode = ba_passage_seconds(s, BA_NOWHERE), bytes = (double)s->kv_bytes, n = (double)corpus;
    double encode_usd = encode * hw->price_hour / 3600;
    ba_print_bytes(a, sizeof a, bytes);
    ba_print_bytes(b, sizeof b, n * bytes);
    ba_print_seconds(c, sizeof c, encode);
    printf("\n%zu passages of %zu tokens, %s on %s: KV of one %s, of all %s\n"
           "encoding one takes %s alone; all of them %.0f hours of the machine, %.0f USD, %.0f kWh\n",
           corpus, s->tokens, shape, hw->name, a, b, c, n * s->encode_flops / hw->flops / 3600,
           n * s->encode_flops / hw->flops / 3600 * hw->price_hour,
           n * s->encode_flops / hw->flops / 3600 * hw->watts / 1000);
    printf("\n%-9s %14s %14s %18s %22s\n", "kept in", "USD a month", "reading one", "against encoding",
           "pays from uses a month");
    for (ba_place p = BA_IN_RAM; p < BA_NOWHERE; p++) {
        double read = ba_passage_seconds(s, p), month = bytes / 1e9 * price_of(hw, p);
        double saved = encode_usd - read * hw->price_hour / 3600;
        ba_print_seconds(c, sizeof c, read);
        snprintf(a, sizeof a, read < encode ? "%.1fx faster" : "loses", encode / read);
        snprintf(d, sizeof d, saved > 0 ? "%.3g" : "never", month / saved);
        printf("%-9s %14.0f %14s %18s %22s\n", ba_place_name(p), n * month, p == BA_IN_RAM ? "-" : c,
               p == BA_IN_RAM ? "-" : a, d);
    }
}

static void print_rows(const row *r, size_t n) {
    char a[32], b[32], c[32], d[32], e[32];
    printf("\n%10s %9s %5s | %6s %6s %7s %7s | %9s %9s %9s %5s | %9s %9s | %8s %8s %8s\n", "corpus", "ram", "zipf",
           "ram", "disk", "network", "encoded", "TTFT p50", "p99", "service", "busy", "no store", "full", "Wh/1000",
           "USD/1000", "full");
    for (; n; n--, r++) {
        ba_print_bytes(a, sizeof a, (double)r->ram_bytes);
        ba_print_seconds(b, sizeof b, r->ttft_p50);
        ba_print_seconds(c, sizeof c, r->ttft_p99);
        ba_print_seconds(d, sizeof d, r->service_mean);
        ba_print_seconds(e, sizeof e, r->none_service);
        char full[32];
        ba_print_seconds(full, sizeof full, r->full_service);
        printf("%10" PRIu64
               " %9s %5.2f | %5.1f%% %5.1f%% %6.1f%% %6.1f%% | %9s %9s %9s %4.0f%% | %9s %9s | %8.3g %8.3g "
               "%8.3g\n",
               r->corpus, a, r->zipf, 100 * r->ram_share, 100 * r->disk_share, 100 * r->network_share,
               100 * r->encoded_share, b, c, d, 100 * r->busy, e, full, r->wh_per_1000, r->usd_per_1000,
               r->full_usd_per_1000);
    }
}

/* The smallest corpus, everything else equal, at which the store no longer helps. */
static void print_crossing(const row *r, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (r[i].service_mean >= r[i].none_service) {
            printf("\nfrom a corpus of %" PRIu64 " on, reading loses against encoding everything again\n", r[i].corpus);
            return;
        }
    }
    puts("\nin all of these, the store beats encoding everything again");
}

static void print_executed(const ba_executed *x) {
    char a[32], b[32];
    ba_print_seconds(a, sizeof a, x->median_s);
    ba_print_seconds(b, sizeof b, x->predicted_median_s);
    printf("\nexecuted %zu requests for %zu passages; found in", x->requests, x->passages);
    for (size_t p = 0; p <= x->places; p++) {
        printf(" %s %zu (simulated %zu)%s", p < x->places ? x->place[p] : "none", x->hits[p], x->simulated[p],
               p < x->places ? "," : "");
    }
    printf("; %zu predicted wrongly\n"
           "time of a request (processor): median %s, predicted %s; error of the mean %.1f %%, of one request %.1f %% "
           "(median)\n",
           x->differing, a, b, 100 * x->mean_error, 100 * x->median_error);
}

/* --- all together ----------------------------------------------------------------------------------------------- */

static int write_trace(const ba_common *c, const ba_table *tables, const row *r, size_t n, int argc, char **argv) {
    char err[BA_ERR_LEN];
    ba_trace *t;
    size_t table;
    int status = ba_tracing_begin(c, SCHEMA, argc, argv, NULL, NULL, &t);
    if (status || !t) {
        return status;
    }
    int rc = ba_table_declare_named(t, tables, "requests", &table, err);
    for (size_t i = 0; i < n && !rc; i++) {
        rc = ba_trace_append(t, table, &r[i], err);
    }
    rc = rc ? rc : ba_trace_finish(t, err);
    ba_trace_close(t);
    return ba_tracing_exit(rc, err);
}

static int run(const ba_call *call, const job *w, const ba_service *service, const char *shape) {
    const ba_common *c = call->common;
    char err[BA_ERR_LEN];
    size_t n = w->o->corpus.n * w->n_ram * w->o->zipf.n, made = 0;
    row *r = calloc(n, sizeof *r);
    int rc = r ? 0 : no_memory(err);
    for (size_t i = 0; i < n && !rc; i++, made++) {
        rc = simulate(w, service, shape, w->o->corpus.at[i / w->n_ram / w->o->zipf.n],
                      w->ram[i / w->o->zipf.n % w->n_ram], w->o->zipf.at[i % w->o->zipf.n], &r[i], err);
    }
    int status = rc ? ba_cli_fail(BA_EXIT_USAGE, "%s", err) : 0;
    if (!status && c->format == BA_FORMAT_TABLE) {
        print_economics(service, shape, w->o->corpus.at[w->o->corpus.n - 1]);
        print_rows(r, n);
        if (w->o->corpus.n > 1) {
            print_crossing(r, n);
        }
        printf("simulated %" PRIu64 " requests in %.2f s (%.2f s of processor time)\n", w->o->requests,
               r[n - 1].simulated_s, r[n - 1].simulated_cpu_s);
    } else if (!status) {
        ba_rows_format format = c->format == BA_FORMAT_JSON ? BA_ROWS_JSON : BA_ROWS_CSV;
        ba_rows_begin(stdout, format, ba_requests_columns);
        for (size_t i = 0; i < n; i++) {
            ba_rows_print(stdout, format, ba_requests_columns, &r[i], i == 0);
        }
        ba_rows_end(stdout, format);
    }
    status = status ? status : write_trace(c, call->command->tables, r, n, call->argc, call->argv);
    free(r);
    return status;
}

static int execute(const ba_common *c, const job *w) {
    ba_executed x;
    ba_traffic traffic;
    ba_common with = *c;
    char memory[64];
    if (!c->store) {
        snprintf(memory, sizeof memory, "ram:%zu:%s", w->ram[0], w->tier[0].policy->name);
        with.store = memory;
    }
    ba_traffic_begin(&traffic, w->o->corpus.at[0], w->o->passages, w->o->zipf.at[0], w->o->rate, c->seed);
    int status = ba_cost_execute(&with, &traffic, w->o->execute, w->o->block_tokens, w->o->question, &x);
    if (!status) {
        print_executed(&x);
        status = x.differing ? BA_EXIT_CHECK : BA_EXIT_OK;
    }
    return status;
}

/* --- the command ------------------------------------------------------------------------------------------------ */

/* One tier, as "disk:10000G:lru". 0, or -1. */
static int take_tier(job *w, char *item) {
    char err[BA_ERR_LEN];
    const char *name = strsep(&item, ":"), *size = strsep(&item, ":"), *policy = item;
    size_t p = 0;
    while (p < BA_NOWHERE && strcmp(name, ba_place_name((ba_place)p)) != 0) {
        p++;
    }
    ba_sim_tier t = {.policy = policy ? ba_policy_find(policy) : ba_policy_at(0), .mapped = p == BA_ON_DISK};
    bool order = w->n_tier == 0 ? p == BA_IN_RAM : p > w->place[w->n_tier - 1];
    if (p == BA_NOWHERE || !order || !size || !t.policy || ba_parse_size(size, &t.bytes, err)) {
        return -1;
    }
    w->place[w->n_tier] = (ba_place)p;
    w->tier[w->n_tier++] = t;
    return 0;
}

/* "ram:64G:lru,disk:10000G,network:400000G" */
static int take_tiers(job *w, char err[BA_ERR_LEN]) {
    char *list = strdup(w->o->tiers), *rest = list, *item;
    int rc = list ? 0 : no_memory(err);
    while (!rc && (item = strsep(&rest, ","))) {
        rc = take_tier(w, item) ? ba_fail(err,
                                          "--tiers %s: needs ram:SIZE[:POLICY], then disk: and network: if there are "
                                          "any; policies are lru, lfu, cost",
                                          w->o->tiers)
                                : 0;
    }
    free(list);
    if (rc) {
        return -1;
    }
    w->place[w->n_tier] = BA_NOWHERE;
    if (w->o->complete && w->n_tier < 2) {
        return ba_fail(err, "--complete: the last of several tiers holds the whole corpus; --tiers has one");
    }
    w->tier[w->n_tier - 1].complete = w->o->complete;
    return 0;
}

static int check(job *w, char err[BA_ERR_LEN]) {
    enum { MAX_TOKENS = 1 << 20 };
    const ba_cost_options *o = w->o;
    if (o->block_tokens > MAX_TOKENS || o->question > MAX_TOKENS) {
        return ba_fail(err, "--%s %zu: needs a whole number from 1 to %d",
                       o->question > MAX_TOKENS ? "question" : "block-tokens",
                       o->question > MAX_TOKENS ? o->question : o->block_tokens, MAX_TOKENS);
    }
    for (size_t i = 0; i < o->corpus.n; i++) {
        if (o->corpus.at[i] < o->passages) {
            return ba_fail(err, "--corpus %zu: needs at least the %zu passages of a request", o->corpus.at[i],
                           o->passages);
        }
    }
    if (take_tiers(w, err)) {
        return -1;
    }
    w->ram = o->ram.n ? o->ram.at : &w->tier[0].bytes;
    w->n_ram = o->ram.n ? o->ram.n : 1;
    return 0;
}

static int simulate_all(const ba_call *call, const job *w, char err[BA_ERR_LEN]) {
    const ba_named_shape *given = &w->o->shape;
    const char *name = given->name ? given->name : BA_PAPER_SHAPE;
    char path[4096];
    ba_hardware hw;
    ba_service service;
    ba_sizes sizes;
    const ba_shape *shape = given->name ? &given->shape : ba_shape_by_name(BA_PAPER_SHAPE);
    ba_data_find(w->o->hardware_file, path, sizeof path);
    if (ba_sizes_of(call->common->dtype, 2, &sizes, err) || ba_hardware_read(path, w->o->hardware, &hw, err) ||
        ba_service_begin(&service, shape, sizes, &hw, w->o->block_tokens, w->o->question, err)) {
        return ba_cli_fail(BA_EXIT_USAGE, "%s", err);
    }
    return run(call, w, &service, name);
}

int ba_cost_requests(const ba_call *call) {
    char err[BA_ERR_LEN];
    job w = {.o = call->options, .seed = call->common->seed};
    if (check(&w, err)) {
        return ba_cli_fail(BA_EXIT_USAGE, "%s", err);
    }
    return w.o->execute ? execute(call->common, &w) : simulate_all(call, &w, err);
}

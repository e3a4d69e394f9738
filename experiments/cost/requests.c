/* blockattn cost --requests: what a stream of requests costs on a machine that keeps blocks in tiers. */
#include "requests.h"

#include "experiments/cli/commands.h"
#include "experiments/cli/rows.h"
#include "experiments/measure/costing.h"
#include "experiments/measure/paper_row.h"
#include "experiments/measure/protocol.h"
#include "experiments/measure/stats.h"
#include "kernels/base/clock.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SCHEMA "blockattn/requests/1"

enum { MAX_EXPONENTS = 32 };

typedef struct options {
    const char *shape, *hardware, *file, *requests, *corpus, *passages, *tokens, *question, *zipf, *rate, *tiers, *ram,
        *traffic, *execute;
    bool complete;
    uint64_t n_requests, n_passages, n_tokens, n_question, n_execute;
    size_t *corpora, n_corpus, *rams, n_ram;
    double exponent[MAX_EXPONENTS], per_second;
    size_t n_exponent;
    ba_sim_tier tier[BA_SIM_TIERS];
    ba_place place[BA_SIM_TIERS + 1]; /* of each tier, and BA_NOWHERE behind the last */
    size_t n_tier;
} options;

/* One simulation. Shares are of the passages asked for. */
typedef struct row {
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
} row;

#define U64(member, unit) BA_COLUMN(row, member, BA_COLUMN_U64, unit)
#define F64(member, unit) BA_COLUMN(row, member, BA_COLUMN_F64, unit)
#define TEXT(member)      BA_COLUMN(row, member, BA_COLUMN_STRING, "")

static const ba_column columns[] = {TEXT(shape),
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
    const options *w;
    const ba_service *service;
    ba_sim *sim;
    ba_traffic traffic;
    double *ttft; /* [n_requests] */
} stream;

/* One machine, first come, first served. */
static int serve_all(stream *s, row *out, char err[BA_ERR_LEN]) {
    const options *w = s->w;
    double free_at = 0, busy = 0, since = 0, share[BA_PLACES] = {0}, passages = 0;
    const double seconds = ba_passage_seconds(s->service, BA_NOWHERE);
    size_t warm_up = w->traffic ? 0 : w->n_requests / 5;
    ba_arrival a;
    int rc = 1;
    size_t n = 0;
    for (; n < w->n_requests && (rc = ba_traffic_next(&s->traffic, &a, err)) > 0; n++) {
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

static int simulate(const options *w, const ba_service *service, const char *shape, size_t corpus, uint64_t ram,
                    double zipf, row *out, char err[BA_ERR_LEN]) {
    ba_sim_tier tier[BA_SIM_TIERS];
    memcpy(tier, w->tier, sizeof tier);
    tier[0].bytes = ram;
    const ba_hardware *hw = &service->hw;
    *out = (row){.shape = shape,
                 .hardware = hw->name,
                 .policy = tier[0].policy->name,
                 .corpus = corpus,
                 .passages = w->n_passages,
                 .ram_bytes = ram,
                 .zipf = w->traffic ? NAN : zipf,
                 .rate = w->traffic ? NAN : w->per_second};
    double start = ba_now(), cpu_start = ba_cpu_clock();
    stream s = {.w = w, .service = service, .ttft = malloc(w->n_requests * sizeof *s.ttft)};
    int rc = s.ttft ? ba_sim_new(tier, w->n_tier, corpus, &s.sim, err) : no_memory(err);
    if (!rc && w->traffic) {
        rc = ba_traffic_open(&s.traffic, w->traffic, corpus, err);
    } else if (!rc) {
        ba_traffic_begin(&s.traffic, corpus, w->n_passages, zipf, w->per_second, 0);
    }
    rc = rc ? rc : serve_all(&s, out, err);
    ba_traffic_end(&s.traffic);
    ba_sim_free(s.sim);
    free(s.ttft);
    ba_served full, none = ba_serve(service, (size_t[BA_PLACES]){[BA_NOWHERE] = w->n_passages});
    if (rc || ba_serve_full(service, w->n_passages, &full, err)) {
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

/* What keeping a passage costs against encoding it when it is asked for. */
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

/* The first corpus (of growing ones, all else equal) at which the store no longer helps. */
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
    printf("; %zu told otherwise\n"
           "time of a request (processor): median %s, predicted %s; error of the mean %.1f %%, of one request %.1f %% "
           "(median)\n",
           x->differing, a, b, 100 * x->mean_error, 100 * x->median_error);
}

/* --- all together ----------------------------------------------------------------------------------------------- */

static int write_trace(const ba_common *c, const row *r, size_t n, int argc, char **argv) {
    char err[BA_ERR_LEN];
    ba_trace *t;
    size_t table;
    int status = ba_tracing_begin(c, SCHEMA, argc, argv, NULL, NULL, &t);
    if (status || !t) {
        return status;
    }
    int rc = ba_trace_declare(t, "requests", columns, sizeof *r, &table, err);
    for (size_t i = 0; i < n && !rc; i++) {
        rc = ba_trace_append(t, table, &r[i], err);
    }
    rc = rc ? rc : ba_trace_finish(t, err);
    ba_trace_close(t);
    return ba_tracing_exit(rc, err);
}

static int run(const ba_common *c, const options *w, const ba_service *service, const char *shape, int argc,
               char **argv) {
    char err[BA_ERR_LEN];
    size_t n = w->n_corpus * w->n_ram * w->n_exponent, made = 0;
    row *r = calloc(n, sizeof *r);
    int rc = r ? 0 : no_memory(err);
    for (size_t i = 0; i < n && !rc; i++, made++) {
        rc = simulate(w, service, shape, w->corpora[i / w->n_ram / w->n_exponent],
                      w->rams[i / w->n_exponent % w->n_ram], w->exponent[i % w->n_exponent], &r[i], err);
    }
    int status = rc ? ba_cli_fail(BA_EXIT_USAGE, "%s", err) : 0;
    if (!status && c->format == BA_FORMAT_TABLE) {
        print_economics(service, shape, w->corpora[w->n_corpus - 1]);
        print_rows(r, n);
        if (w->n_corpus > 1) {
            print_crossing(r, n);
        }
        printf("simulated %" PRIu64 " requests in %.2f s (%.2f s of processor time)\n", w->n_requests,
               r[n - 1].simulated_s, r[n - 1].simulated_cpu_s);
    } else if (!status) {
        ba_rows_format format = c->format == BA_FORMAT_JSON ? BA_ROWS_JSON : BA_ROWS_CSV;
        ba_rows_begin(stdout, format, columns);
        for (size_t i = 0; i < n; i++) {
            ba_rows_print(stdout, format, columns, &r[i], i == 0);
        }
        ba_rows_end(stdout, format);
    }
    status = status ? status : write_trace(c, r, n, argc, argv);
    free(r);
    return status;
}

static int execute(const ba_common *c, const options *w) {
    ba_executed x;
    ba_traffic traffic;
    ba_common with = *c;
    char memory[64];
    if (!c->store) {
        snprintf(memory, sizeof memory, "ram:%zu:%s", w->rams[0], w->tier[0].policy->name);
        with.store = memory;
    }
    ba_traffic_begin(&traffic, w->corpora[0], w->n_passages, w->exponent[0], w->per_second, c->seed);
    int status = ba_cost_execute(&with, &traffic, w->n_execute, w->n_tokens, w->n_question, &x);
    if (!status) {
        print_executed(&x);
        status = x.differing ? BA_EXIT_CHECK : BA_EXIT_OK;
    }
    return status;
}

/* --- options ---------------------------------------------------------------------------------------------------- */

/* "ram:64G:lru,disk:10000G,network:400000G" */
static int take_tiers(options *w, char err[BA_ERR_LEN]) {
    char *list = strdup(w->tiers), *rest = list, *item;
    int rc = list ? 0 : no_memory(err);
    while (!rc && (item = strsep(&rest, ","))) {
        const char *name = strsep(&item, ":"), *size = strsep(&item, ":"), *policy = item;
        size_t p = 0;
        while (p < BA_NOWHERE && strcmp(name, ba_place_name((ba_place)p)) != 0) {
            p++;
        }
        ba_sim_tier t = {.policy = policy ? ba_policy_find(policy) : ba_policy_at(0), .mapped = p == BA_ON_DISK};
        bool order = w->n_tier == 0 ? p == BA_IN_RAM : p > w->place[w->n_tier - 1];
        if (p == BA_NOWHERE || !order || !size || !t.policy || ba_parse_size(size, &t.bytes, err)) {
            rc = ba_fail(err,
                         "--tiers %s: needs ram:SIZE[:POLICY], then disk: and network: if there are any; policies are "
                         "lru, lfu, cost",
                         w->tiers);
        } else {
            w->place[w->n_tier] = (ba_place)p;
            w->tier[w->n_tier++] = t;
        }
    }
    free(list);
    w->place[w->n_tier] = BA_NOWHERE;
    if (!rc && w->complete && w->n_tier < 2) {
        rc = ba_fail(err, "--complete: the last of several tiers holds the whole corpus; --tiers has one");
    }
    if (!rc) {
        w->tier[w->n_tier - 1].complete = w->complete;
    }
    return rc;
}

static int take_exponents(options *w, char err[BA_ERR_LEN]) {
    for (const char *s = w->zipf;; s++) {
        char *end;
        double x = strtod(s, &end);
        if (end == s || (*end && *end != ',') || !(x >= 0 && x <= 10) || w->n_exponent == MAX_EXPONENTS) {
            return ba_fail(err, "--zipf %s: exponents from 0 to 10 are needed, as 0.6,0.8,1", w->zipf);
        }
        w->exponent[w->n_exponent++] = x;
        if (!*end) {
            return 0;
        }
        s = end;
    }
}

static int take_options(options *w, char err[BA_ERR_LEN]) {
    char *end;
    w->per_second = strtod(w->rate, &end);
    if (*end || !(w->per_second > 0) || !isfinite(w->per_second)) {
        return ba_fail(err, "--rate %s: needs requests per second, above 0", w->rate);
    }
    if (ba_parse_size(w->requests, &w->n_requests, err) || ba_parse_size(w->passages, &w->n_passages, err) ||
        ba_parse_size(w->tokens, &w->n_tokens, err) || ba_parse_size(w->question, &w->n_question, err) ||
        ba_parse_size(w->execute, &w->n_execute, err) || ba_parse_sizes(w->corpus, &w->corpora, &w->n_corpus, err) ||
        take_tiers(w, err) || take_exponents(w, err)) {
        return -1;
    }
    if (w->ram && ba_parse_sizes(w->ram, &w->rams, &w->n_ram, err)) {
        return -1;
    }
    if (!w->ram) {
        w->rams = malloc(sizeof *w->rams);
        if (!w->rams) {
            return no_memory(err);
        }
        w->rams[w->n_ram++] = w->tier[0].bytes;
    }
    if (!w->n_requests || w->n_requests > 1u << 30 || !w->n_tokens || w->n_tokens > 1 << 20 || !w->n_question ||
        w->n_question > 1 << 20 || !w->n_passages || w->n_passages > BA_MAX_PASSAGES) {
        return ba_fail(err, "--requests, --block-tokens and --question begin at 1, and --passages goes from 1 to %d",
                       BA_MAX_PASSAGES);
    }
    for (size_t i = 0; i < w->n_corpus; i++) {
        if (w->corpora[i] < w->n_passages || w->corpora[i] >= UINT32_MAX) {
            return ba_fail(err, "--corpus %zu: from the passages of a request on, below 2^32", w->corpora[i]);
        }
    }
    return 0;
}

int ba_cost_requests(int argc, char **argv) {
    options w = {.shape = BA_PAPER_SHAPE,
                 .hardware = "h100",
                 .file = "experiments/configs/hardware.json",
                 .corpus = "1M",
                 .passages = "10",
                 .tokens = "128",
                 .question = "50",
                 .zipf = "0.8",
                 .rate = "1",
                 .tiers = "ram:512G,disk:20000G",
                 .execute = "0"};
    const ba_option own[] = {
        {"requests", "N", "requests to simulate; the first fifth warms the tiers and is not counted", &w.requests,
         NULL},
        {"traffic", "FILE", "requests from a file instead: lines {\"time\": 0.5, \"passages\": [3, 17]}", &w.traffic,
         NULL},
        {"shape", "NAME", "published shape (" BA_PAPER_SHAPE ")", &w.shape, NULL},
        {"hardware", "NAME", "row of the hardware file (h100)", &w.hardware, NULL},
        {"hardware-file", "FILE", "machines as data (experiments/configs/hardware.json)", &w.file, NULL},
        {"corpus", "LIST", "passages there are (1M)", &w.corpus, NULL},
        {"passages", "N", "passages of a request (10)", &w.passages, NULL},
        {"block-tokens", "N", "tokens of a passage (128)", &w.tokens, NULL},
        {"question", "N", "tokens of a question (50)", &w.question, NULL},
        {"zipf", "LIST", "exponents of the passages' popularity (0.8)", &w.zipf, NULL},
        {"rate", "X", "requests per second (1)", &w.rate, NULL},
        {"tiers", "LIST", "ram:SIZE[:POLICY],disk:SIZE[:POLICY],network:SIZE[:POLICY] (ram:512G,disk:20000G)", &w.tiers,
         NULL},
        {"complete", NULL, "the last tier holds the whole corpus from the beginning", NULL, &w.complete},
        {"ram", "LIST", "sizes of memory to try, instead of the tier's", &w.ram, NULL},
        {"execute", "N", "instead: run the first N on --model with --store (else memory of this size), and compare",
         &w.execute, NULL},
        {NULL, NULL, NULL, NULL, NULL}};
    ba_common c;
    ba_hardware hw;
    ba_service service;
    ba_sizes sizes;
    char err[BA_ERR_LEN];
    int first,
        status = ba_cli_parse(argc, argv, "--requests N [--corpus LIST] [--zipf LIST] [--tiers LIST]",
                              "A stream of requests on one machine that keeps blocks in tiers, simulated without "
                              "weights: hit rates, time to first token with waiting, energy and money.\n"
                              "Examples\n"
                              "  blockattn cost --requests 100000 --corpus 21000000 --tiers "
                              "ram:512G,disk:20000G,network:400000G\n"
                              "  blockattn cost --requests 60 --execute 60 --corpus 200 --passages 4 --tiers ram:100M",
                              own, &c, &first);
    if (status >= 0) {
        return status;
    }
    if (first < argc) {
        return ba_cli_fail(BA_EXIT_USAGE, "unexpected operand '%s'", argv[first]);
    }
    if (take_options(&w, err) || ba_sizes_of(c.dtype, 2, &sizes, err)) {
        status = ba_cli_fail(BA_EXIT_USAGE, "%s", err);
    } else if (w.n_execute) {
        status = execute(&c, &w);
    } else {
        const ba_shape *shape = ba_shape_named(w.shape, err);
        bool wrong = !shape || ba_hardware_read(w.file, w.hardware, &hw, err) ||
                     ba_service_begin(&service, shape, sizes, &hw, w.n_tokens, w.n_question, err);
        status = wrong ? ba_cli_fail(BA_EXIT_USAGE, "%s", err) : run(&c, &w, &service, w.shape, argc, argv);
    }
    free(w.corpora);
    free(w.rams);
    return status;
}

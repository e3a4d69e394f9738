/* blockattn cost: what a mode costs on a shape, without weights, over prompt lengths. */
#include "experiments/cli/rows.h"
#include "experiments/cli/tracing.h"
#include "experiments/measure/costing.h"
#include "experiments/measure/paper_row.h"
#include "experiments/options/options.h"
#include "requests.h"
#include "sim/modes/modes.h"
#include "sim/trace/trace.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SCHEMA "blockattn/cost/2"

enum { MAX_LENGTH = 1 << 22 };

typedef struct sweep {
    const ba_cost_options *o;
    const ba_shape *shape;
    const char *shape_name, *mode;
    char canonical[256];
    ba_sizes sizes;
} sweep;

/* One length: as printed by --csv and --json and kept in a trace. */
typedef struct row {
    const char *shape, *mode;
    uint64_t length, question, block_tokens, element_bytes;
    uint64_t full_flops_exact, full_flops_attention, full_flops_dense, full_flops_paper, full_bytes;
    uint64_t warm_flops_exact, warm_flops_attention, warm_flops_dense, warm_flops_paper, warm_bytes;
    uint64_t cold_flops_exact, cold_flops_attention, cold_flops_dense, cold_flops_paper, cold_bytes;
    uint64_t warm_computed, warm_reused, cold_computed, kv_bytes, weight_bytes;
    double reduction_exact, break_even;              /* NaN: there is none */
    double full_floor_s, warm_floor_s, cold_floor_s; /* NaN without hardware */
} row;

#define U64(member, unit) BA_COLUMN(row, member, BA_COLUMN_U64, unit)
#define F64(member, unit) BA_COLUMN(row, member, BA_COLUMN_F64, unit)
#define TEXT(member)      BA_COLUMN(row, member, BA_COLUMN_STRING, "")
#define COSTS(state)                                                                                                   \
    U64(state##_flops_exact, "FLOP"), U64(state##_flops_attention, "FLOP"), U64(state##_flops_dense, "FLOP"),          \
        U64(state##_flops_paper, "FLOP"), U64(state##_bytes, "B")

static const ba_column columns[] = {TEXT(shape),
                                    TEXT(mode),
                                    U64(length, ""),
                                    U64(question, ""),
                                    U64(block_tokens, ""),
                                    U64(element_bytes, "B"),
                                    COSTS(full),
                                    COSTS(warm),
                                    COSTS(cold),
                                    U64(warm_computed, ""),
                                    U64(warm_reused, ""),
                                    U64(cold_computed, ""),
                                    U64(kv_bytes, "B"),
                                    U64(weight_bytes, "B"),
                                    F64(reduction_exact, ""),
                                    BA_COLUMN_AS("breakeven", row, break_even, BA_COLUMN_F64, ""),
                                    F64(full_floor_s, "s"),
                                    F64(warm_floor_s, "s"),
                                    F64(cold_floor_s, "s"),
                                    BA_COLUMNS_END};

static const ba_table tables[] = {
    {"cost", columns, sizeof(row), "a shape and mode at one length, from the plan alone"},
    {"requests", ba_requests_columns, sizeof(ba_requests_row), "one simulated machine, with `--requests`"},
    {.name = NULL}};

/* --- one length ------------------------------------------------------------------------------------------------- */

/* Passages of block_tokens (the last one takes what is left), question, task. Every token has another id, so that no two
 * passages are equal. 0, or -1: out of memory. */
static int fill_prompt(const ba_cost_options *o, size_t length, int32_t *ids, ba_prompt *p) {
    size_t context = length - o->question - o->task;
    for (size_t i = 0; i < length; i++) {
        ids[i] = (int32_t)(i & INT32_MAX);
    }
    for (size_t at = 0, n; at < context; at += n) {
        n = context - at < o->block_tokens ? context - at : o->block_tokens;
        if (ba_prompt_add(p, BA_ROLE_PASSAGE, ids + at, n)) {
            return -1;
        }
    }
    if (ba_prompt_add(p, BA_ROLE_QUESTION, ids + context, o->question)) {
        return -1;
    }
    return o->task ? ba_prompt_add(p, BA_ROLE_TASK, ids + context + o->question, o->task) : 0;
}

static ba_prompt *make_prompt(const sweep *s, size_t length) {
    ba_prompt *p = ba_prompt_new(NULL);
    int32_t *ids = calloc(length + 1, sizeof *ids);
    int rc = p && ids ? fill_prompt(s->o, length, ids, p) : -1;
    free(ids);
    if (rc) {
        ba_prompt_free(p);
        return NULL;
    }
    p->bos = p->newline = 0; /* what modes insert: any id costs the same */
    return p;
}

/* The least time in which hardware can do it: products at its peak rate or bytes at its bandwidth, whichever is more.
 */
static double time_floor(const sweep *s, const ba_cost *c) {
    if (isnan(s->o->peak_flops)) {
        return NAN;
    }
    return fmax((double)c->flops_exact / s->o->peak_flops,
                ((double)c->bytes_read + (double)c->bytes_written) / s->o->bandwidth);
}

/* Fewest reuses of the stored blocks after which encoding them once and reusing them has cost no more than full
 * attention every time. */
static double break_even(const ba_cost *full, const ba_cost *cold, const ba_cost *warm) {
    if (cold->flops_exact <= full->flops_exact) {
        return 0;
    }
    if (warm->flops_exact >= full->flops_exact) {
        return NAN;
    }
    return ceil((double)(cold->flops_exact - full->flops_exact) / (double)(full->flops_exact - warm->flops_exact));
}

static uint64_t weight_bytes(const ba_shape *shape, ba_sizes sizes) {
    uint64_t head = ba_shape_head_weights(shape);
    return (ba_shape_layer_weights(shape) + (shape->tied ? 1 : 2) * head) * sizes.weight;
}

static int cost_of(const sweep *s, const ba_prompt *prompt, const char *mode, ba_cost *cold, ba_cost *warm,
                   char err[BA_ERR_LEN]) {
    ba_plan *plan;
    if (ba_mode_plan(mode, prompt, &plan, err)) {
        return -1;
    }
    int rc = ba_cost_up_to_first(s->shape, plan, s->sizes, false, s->o->max_rows, cold, err);
    if (!rc && warm) {
        rc = ba_cost_up_to_first(s->shape, plan, s->sizes, true, s->o->max_rows, warm, err);
    }
    ba_plan_free(plan);
    return rc;
}

#define FILL(r, state, c)                                                                                              \
    do {                                                                                                               \
        (r)->state##_flops_exact = (c).flops_exact;                                                                    \
        (r)->state##_flops_attention = (c).flops_attention;                                                            \
        (r)->state##_flops_dense = (c).flops_dense;                                                                    \
        (r)->state##_flops_paper = (c).flops_paper;                                                                    \
        (r)->state##_bytes = (c).bytes_read + (c).bytes_written;                                                       \
    } while (0)

static int make_row(const sweep *s, size_t length, row *r, char err[BA_ERR_LEN]) {
    ba_cost full, cold, warm;
    if (length < s->o->question + s->o->task || length > MAX_LENGTH) {
        return ba_fail(err, "--lengths %zu: a prompt has the %zu tokens of question and task, and at most %d", length,
                       s->o->question + s->o->task, MAX_LENGTH);
    }
    ba_prompt *prompt = make_prompt(s, length);
    if (!prompt) {
        return ba_fail(err, "out of memory");
    }
    int rc = cost_of(s, prompt, "full", &full, NULL, err) || cost_of(s, prompt, s->mode, &cold, &warm, err);
    ba_prompt_free(prompt);
    if (rc) {
        return -1;
    }
    *r = (row){
        .shape = s->shape_name,
        .mode = s->canonical,
        .length = length,
        .question = s->o->question,
        .block_tokens = s->o->block_tokens,
        .element_bytes = s->sizes.real,
        .warm_computed = warm.n_computed,
        .warm_reused = warm.n_reused,
        .cold_computed = cold.n_computed,
        .kv_bytes = warm.kv_bytes,
        .weight_bytes = weight_bytes(s->shape, s->sizes),
        .reduction_exact = 1 - (double)warm.flops_exact / (double)full.flops_exact,
        .break_even = break_even(&full, &cold, &warm),
        .full_floor_s = time_floor(s, &full),
        .warm_floor_s = time_floor(s, &warm),
        .cold_floor_s = time_floor(s, &cold),
    };
    FILL(r, full, full);
    FILL(r, warm, warm);
    FILL(r, cold, cold);
    return 0;
}

/* --- for people ------------------------------------------------------------------------------------------------- */

/* "7.22e12" with three digits, rounded. */
static const char *figure(char out[16], uint64_t x) {
    char text[32];
    snprintf(text, sizeof text, "%.2e", (double)x);
    const char *e = strchr(text, 'e');
    snprintf(out, 16, "%.*se%ld", (int)(e - text), text, strtol(e + 1, NULL, 10));
    return out;
}

static const char *share(char out[16], uint64_t part, uint64_t whole) {
    snprintf(out, 16, "%.0f%%", 100 * (double)part / (double)whole);
    return out;
}

static const char *length_text(char out[24], uint64_t n) {
    snprintf(out, 24, n >= 1024 && n % 1024 == 0 ? "%" PRIu64 "K" : "%" PRIu64, n % 1024 || !n ? n : n / 1024);
    return out;
}

static void print_exact(const row *r, size_t n) {
    char a[16], b[16], c[16], d[16], e[16], len[24], kv[32], reuses[16];
    printf("\nExact: products and visible query-key pairs, LM head on the last token only\n"
           "%8s %10s %6s %10s %6s %10s %10s %11s %9s\n",
           "length", "full", "attn", "warm", "attn", "reduction", "cold", "break-even", "KV");
    for (size_t i = 0; i < n; i++, r++) {
        ba_print_bytes(kv, sizeof kv, (double)r->kv_bytes);
        snprintf(reuses, sizeof reuses, isnan(r->break_even) ? "never" : "%.0f", r->break_even);
        printf("%8s %10s %6s %10s %6s %9.1f%% %10s %11s %9s\n", length_text(len, r->length),
               figure(a, r->full_flops_exact), share(b, r->full_flops_attention, r->full_flops_exact),
               figure(c, r->warm_flops_exact), share(d, r->warm_flops_attention, r->warm_flops_exact),
               100 * r->reduction_exact, figure(e, r->cold_flops_exact), reuses, kv);
    }
}

static void print_dense(const row *r, size_t n) {
    char a[16], b[16], c[16], len[24], x[32], y[32], z[32];
    printf("\nDense kernels (masked pairs too), and bytes moved\n%8s %10s %10s %10s %12s %12s %12s\n", "length", "full",
           "warm", "cold", "full", "warm", "cold");
    for (size_t i = 0; i < n; i++, r++) {
        ba_print_bytes(x, sizeof x, (double)r->full_bytes);
        ba_print_bytes(y, sizeof y, (double)r->warm_bytes);
        ba_print_bytes(z, sizeof z, (double)r->cold_bytes);
        printf("%8s %10s %10s %10s %12s %12s %12s\n", length_text(len, r->length), figure(a, r->full_flops_dense),
               figure(b, r->warm_flops_dense), figure(c, r->cold_flops_dense), x, y, z);
    }
}

/* The paper cuts its figures off instead of rounding. Where it has a row for this length, that is printed too. */
static void print_paper(const row *r, size_t n, bool beside) {
    printf("\nThe paper's count: 2 x (layer weights + LM head) per token, no attention, digits cut off\n"
           "%8s %10s %10s %10s%s\n",
           "length", "full", "warm", "reduction",
           beside ? "   | printed there: full, block, reduction, TTFT in ms" : "");
    for (size_t i = 0; i < n; i++, r++) {
        const ba_paper_row *p = beside ? ba_paper_row_at(r->length) : NULL;
        ba_cut full = ba_cut_off(r->full_flops_paper, p ? ba_digits_of(p->flops_full) : 2);
        ba_cut warm = ba_cut_off(r->warm_flops_paper, 2);
        unsigned tenths = ba_cut_reduction(full, warm);
        char a[32], b[32], c[16], len[24];
        ba_cut_print(full, a, sizeof a);
        ba_cut_print(warm, b, sizeof b);
        snprintf(c, sizeof c, tenths ? "%u.%u%%" : "-", tenths / 10, tenths % 10);
        printf("%8s %10s %10s %10s", length_text(len, r->length), a, b, c);
        if (p) {
            printf("   | %8s %8s %8s %6.0f %4.0f", p->flops_full, p->flops_block, p->reduction, p->ttft_full_ms,
                   p->ttft_block_ms);
        }
        putchar('\n');
    }
}

static void print_floor(const sweep *s, const row *r, size_t n) {
    char len[24], a[32], b[32], c[32];
    printf("\nLeast time at %.3g FLOP/s and %.3g B/s\n%8s %12s %12s %12s\n", s->o->peak_flops, s->o->bandwidth,
           "length", "full", "warm", "cold");
    for (size_t i = 0; i < n; i++, r++) {
        ba_print_seconds(a, sizeof a, r->full_floor_s);
        ba_print_seconds(b, sizeof b, r->warm_floor_s);
        ba_print_seconds(c, sizeof c, r->cold_floor_s);
        printf("%8s %12s %12s %12s\n", length_text(len, r->length), a, b, c);
    }
}

static void print_tables(const sweep *s, const row *r) {
    char bytes[32];
    ba_print_bytes(bytes, sizeof bytes, (double)r->weight_bytes);
    printf("%s: %zu layers, width %zu, %zu heads over %zu, weights %s in elements of %zu bytes\n"
           "FLOPs up to the first token: full, and %s with all blocks in memory (warm) and with none (cold);\n"
           "question of %zu tokens, passages of %zu\n",
           s->shape_name, s->shape->layers, s->shape->d_model, s->shape->heads, s->shape->kv_heads, bytes,
           s->sizes.real, s->canonical, s->o->question, s->o->block_tokens);
    bool beside = strcmp(s->shape_name, BA_PAPER_SHAPE) == 0 && s->o->question == BA_PAPER_QUESTION &&
                  strcmp(s->canonical, "block") == 0 && !s->o->task;
    print_exact(r, s->o->lengths.n);
    print_paper(r, s->o->lengths.n, beside);
    print_dense(r, s->o->lengths.n);
    if (!isnan(s->o->peak_flops)) {
        print_floor(s, r, s->o->lengths.n);
    }
}

/* --- for programs ----------------------------------------------------------------------------------------------- */

static void print_rows(ba_rows_format format, const row *r, size_t n) {
    ba_rows_begin(stdout, format, columns);
    for (size_t i = 0; i < n; i++) {
        ba_rows_print(stdout, format, columns, &r[i], i == 0);
    }
    ba_rows_end(stdout, format);
}

static int write_trace(const ba_call *call, const row *r, size_t n) {
    char err[BA_ERR_LEN];
    ba_trace *t = NULL;
    size_t table;
    int status = ba_tracing_begin(call->common, SCHEMA, call->argc, call->argv, NULL, NULL, &t);
    if (status || !t) {
        return status;
    }
    int rc = ba_table_declare(t, tables, &table, err);
    for (size_t i = 0; !rc && i < n; i++) {
        rc = ba_trace_append(t, table, &r[i], err);
    }
    rc = rc ? rc : ba_trace_finish(t, err);
    ba_trace_close(t);
    return ba_tracing_exit(rc, err);
}

static int report(const ba_call *call, const sweep *s, const row *r) {
    ba_format format = call->common->format;
    if (format == BA_FORMAT_TABLE) {
        print_tables(s, r);
    } else {
        print_rows(format == BA_FORMAT_JSON ? BA_ROWS_JSON : BA_ROWS_CSV, r, s->o->lengths.n);
    }
    return write_trace(call, r, s->o->lengths.n);
}

/* --- the command ------------------------------------------------------------------------------------------------ */

/* --shape, or the shape of --model, or the one that the paper measured. */
static int take_shape(const ba_common *c, sweep *s, ba_model **model, char err[BA_ERR_LEN]) {
    char path[4096];
    if (s->o->shape.name || !c->model) {
        s->shape_name = s->o->shape.name ? s->o->shape.name : BA_PAPER_SHAPE;
        s->shape = s->o->shape.name ? &s->o->shape.shape : ba_shape_by_name(BA_PAPER_SHAPE);
        return 0;
    }
    if (ba_model_path_of(c, path, sizeof path, err) || ba_model_open(path, false, model, err)) {
        return -1;
    }
    s->shape = ba_model_shape(*model);
    s->shape_name = ba_model_name(*model);
    return 0;
}

/* Every length, printed and recorded. 0, or an exit status. */
static int sweep_lengths(const ba_call *call, const sweep *s) {
    char err[BA_ERR_LEN];
    size_t n = s->o->lengths.n;
    row *r = calloc(n, sizeof *r);
    if (!r) {
        return ba_cli_fail(BA_EXIT_MACHINE, "out of memory");
    }
    int status = 0;
    for (size_t i = 0; !status && i < n; i++) {
        status = make_row(s, s->o->lengths.at[i], &r[i], err) ? ba_cli_fail(BA_EXIT_USAGE, "%s", err) : 0;
    }
    status = status ? status : report(call, s, r);
    free(r);
    return status;
}

static int run(const ba_call *call) {
    const ba_common *c = call->common;
    sweep s = {.o = call->options, .mode = c->mode};
    ba_model *model = NULL;
    char err[BA_ERR_LEN];
    if (s.o->requests) {
        return ba_cost_requests(call);
    }
    if (ba_mode_check(s.mode, s.canonical, sizeof s.canonical, err) || ba_sizes_of(c->dtype, 2, &s.sizes, err)) {
        return ba_cli_fail(BA_EXIT_USAGE, "%s", err);
    }
    int status = take_shape(c, &s, &model, err) ? ba_cli_fail(BA_EXIT_USAGE, "%s", err) : sweep_lengths(call, &s);
    ba_model_close(model);
    return status;
}

#define AT(member) .at = offsetof(ba_cost_options, member)
#define STREAM     .with = "requests"
#define NOT_STREAM .against = "requests"

static const ba_option own[] = {
    {"shape", "NAME", BA_SHAPE, AT(shape), .word = ba_shape_word,
     .help = "a config.json, or a published shape; default: the model's, or " BA_PAPER_SHAPE},
    {"question", "N", BA_COUNT, AT(question), .standard = "50", .least = 1, .most = INT32_MAX,
     .help = "tokens of the question"},
    {"block-tokens", "N", BA_COUNT, AT(block_tokens), .standard = "128", .least = 1, .most = INT32_MAX,
     .help = "tokens of a passage"},
    {"lengths", "LIST", BA_COUNTS, AT(lengths), .standard = "50,512,1K,2K,4K,8K,16K,32K", .section = "Over lengths",
     .most = MAX_LENGTH, NOT_STREAM, .help = "tokens of the whole prompt"},
    {"task", "N", BA_COUNT, AT(task), .standard = "0", .most = INT32_MAX, NOT_STREAM,
     .help = "tokens of a task after the question, for modes that need one"},
    {"max-rows", "N", BA_COUNT, AT(max_rows), .standard = "1024", .least = 1, .most = INT32_MAX, NOT_STREAM,
     .help = "rows of one pass"},
    {"peak-flops", "RATE", BA_REAL, AT(peak_flops), .least = 1, .with = "bandwidth", NOT_STREAM,
     .help = "FLOP/s of hardware, for the least time"},
    {"bandwidth", "RATE", BA_REAL, AT(bandwidth), .least = 1, .with = "peak-flops", NOT_STREAM,
     .help = "B/s of its memory"},
    {"requests", "N", BA_COUNT, AT(requests), .least = 1, .most = 1 << 30, .section = "A stream of requests",
     .help = "requests to simulate; the first fifth warms the tiers and is not counted"},
    {"traffic", "FILE", BA_FILE, AT(traffic), STREAM,
     .help = "requests from a file instead: lines {\"time\": 0.5, \"passages\": [3, 17]}"},
    {"hardware", "NAME", BA_TEXT, AT(hardware), .standard = "h100", STREAM, .help = "row of the hardware file"},
    {"hardware-file", "FILE", BA_FILE, AT(hardware_file), .standard = "hardware", STREAM,
     .help = "machines as data: a file, or a name as 'run' finds it"},
    {"corpus", "LIST", BA_COUNTS, AT(corpus), .standard = "1M", .least = 1, .most = UINT32_MAX - 1, STREAM,
     .help = "passages there are"},
    {"passages", "N", BA_COUNT, AT(passages), .standard = "10", .least = 1, .most = BA_MAX_PASSAGES, STREAM,
     .help = "passages of a request"},
    {"zipf", "LIST", BA_REALS, AT(zipf), .standard = "0.8", .most = 10, STREAM,
     .help = "exponents of the passages' popularity"},
    {"rate", "X", BA_REAL, AT(rate), .standard = "1", .least = 1e-9, STREAM, .help = "requests per second"},
    {"tiers", "LIST", BA_TEXT, AT(tiers), .standard = "ram:512G,disk:20000G", STREAM,
     .help = "ram:SIZE[:POLICY],disk:SIZE[:POLICY],network:SIZE[:POLICY]"},
    {"complete", NULL, BA_FLAG, AT(complete), STREAM,
     .help = "the last tier holds the whole corpus from the beginning"},
    {"ram", "LIST", BA_COUNTS, AT(ram), STREAM, .help = "sizes of memory to try, instead of the tier's"},
    {"execute", "N", BA_COUNT, AT(execute), .standard = "0", STREAM,
     .help = "instead: run the first N on --model with --store (else memory of this size), and compare"},
    {.name = NULL}};

const ba_command ba_command_cost = {
    .name = "cost",
    .summary = "FLOPs, bytes, memory and least time of a mode on any shape, without weights",
    .usage = "[--shape NAME | --model PATH] [--mode MODE] [--lengths LIST | --requests N ...]",
    .about = "FLOPs, bytes, memory and least time of a mode against full attention, for any shape, without weights. "
             "Elements have 2 bytes without --dtype.\n"
             "With --requests: a stream of requests on one machine that keeps blocks in tiers, simulated without "
             "weights: hit rates, time to first token with waiting, energy and money.",
    .example = "blockattn cost --shape " BA_PAPER_SHAPE " --peak-flops 989e12 --bandwidth 3.35e12\n"
               "blockattn cost --requests 100000 --corpus 21000000 --tiers ram:512G,disk:20000G,network:400000G\n"
               "blockattn cost --requests 60 --execute 60 --corpus 200 --passages 4 --tiers ram:100M",
    .own = own,
    .size = sizeof(ba_cost_options),
    .takes = BA_TAKES_ENGINE | BA_TAKES_MODE | BA_TAKES_SEED | BA_TAKES_OUT | BA_TAKES_JSON | BA_TAKES_CSV,
    .tables = tables,
    .mode = "block",
    .run = run,
};

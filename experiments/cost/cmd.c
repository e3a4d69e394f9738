/* blockattn cost: what a mode costs on a shape, without weights, over prompt lengths. */
#include "experiments/cli/cli.h"
#include "experiments/cli/commands.h"
#include "experiments/cli/rows.h"
#include "experiments/cli/tracing.h"
#include "experiments/measure/costing.h"
#include "experiments/measure/paper_row.h"
#include "requests.h"
#include "sim/modes/modes.h"
#include "sim/trace/trace.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SCHEMA "blockattn.cost.1"

enum { MAX_LENGTH = 1 << 22 };

typedef struct sweep {
    const ba_shape *shape;
    const char *shape_name, *mode;
    char canonical[256];
    ba_sizes sizes;
    size_t question, task, block_tokens, max_rows;
    double peak_flops, bandwidth; /* of the hardware; 0 = not asked */
    size_t *length;
    size_t n;
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
                                    F64(break_even, ""),
                                    F64(full_floor_s, "s"),
                                    F64(warm_floor_s, "s"),
                                    F64(cold_floor_s, "s"),
                                    BA_COLUMNS_END};

/* --- one length ------------------------------------------------------------------------------------------------- */

/* Passages of block_tokens (the last one what is left), question, task; every token another id, so that no two passages
 * are one. */
static ba_prompt *make_prompt(const sweep *s, size_t length) {
    ba_prompt *p = ba_prompt_new(NULL);
    int32_t *ids = calloc(length + 1, sizeof *ids);
    size_t asked = s->question + s->task, context = length - asked;
    int rc = p && ids ? 0 : -1;
    for (size_t i = 0; !rc && i < length; i++) {
        ids[i] = (int32_t)(i & INT32_MAX);
    }
    for (size_t at = 0, n; !rc && at < context; at += n) {
        n = context - at < s->block_tokens ? context - at : s->block_tokens;
        rc = ba_prompt_add(p, BA_ROLE_PASSAGE, ids + at, n);
    }
    rc = rc ? rc : ba_prompt_add(p, BA_ROLE_QUESTION, ids + context, s->question);
    if (!rc && s->task) {
        rc = ba_prompt_add(p, BA_ROLE_TASK, ids + context + s->question, s->task);
    }
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
    if (!s->peak_flops || !s->bandwidth) {
        return NAN;
    }
    return fmax((double)c->flops_exact / s->peak_flops,
                ((double)c->bytes_read + (double)c->bytes_written) / s->bandwidth);
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
    int rc = ba_cost_up_to_first(s->shape, plan, s->sizes, false, s->max_rows, cold, err);
    if (!rc && warm) {
        rc = ba_cost_up_to_first(s->shape, plan, s->sizes, true, s->max_rows, warm, err);
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
    if (length < s->question + s->task || length > MAX_LENGTH) {
        return ba_fail(err, "--lengths %zu: a prompt has the %zu tokens of question and task, and at most %d", length,
                       s->question + s->task, MAX_LENGTH);
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
        .question = s->question,
        .block_tokens = s->block_tokens,
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

/* The paper's convention cuts its figures off; its own row stands beside where it has one. */
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
    printf("\nLeast time at %.3g FLOP/s and %.3g B/s\n%8s %12s %12s %12s\n", s->peak_flops, s->bandwidth, "length",
           "full", "warm", "cold");
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
           s->sizes.real, s->canonical, s->question, s->block_tokens);
    bool beside = strcmp(s->shape_name, BA_PAPER_SHAPE) == 0 && s->question == BA_PAPER_QUESTION &&
                  strcmp(s->canonical, "block") == 0 && !s->task;
    print_exact(r, s->n);
    print_paper(r, s->n, beside);
    print_dense(r, s->n);
    if (s->peak_flops) {
        print_floor(s, r, s->n);
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

static int write_trace(const char *path, const row *r, size_t n, char err[BA_ERR_LEN]) {
    ba_trace *t = NULL;
    size_t table;
    int rc = ba_trace_create(path, SCHEMA, &t, err);
    rc = rc ? rc : ba_trace_declare(t, "cost", columns, sizeof *r, &table, err);
    for (size_t i = 0; !rc && i < n; i++) {
        rc = ba_trace_append(t, table, &r[i], err);
    }
    rc = rc ? rc : ba_trace_finish(t, err);
    ba_trace_close(t);
    return rc;
}

static int report(const ba_common *c, const sweep *s, const row *r) {
    char err[BA_ERR_LEN];
    if (c->format == BA_FORMAT_TABLE) {
        print_tables(s, r);
    } else {
        print_rows(c->format == BA_FORMAT_JSON ? BA_ROWS_JSON : BA_ROWS_CSV, r, s->n);
    }
    int rc = c->out ? write_trace(c->out, r, s->n, err) : 0;
    return ba_tracing_exit(rc, err);
}

/* --- options ---------------------------------------------------------------------------------------------------- */

typedef struct texts {
    const char *shape, *lengths, *question, *task, *block_tokens, *max_rows, *peak, *bandwidth;
} texts;

static int take_size(const char *name, const char *text, uint64_t least, size_t *out, char err[BA_ERR_LEN]) {
    uint64_t value;
    if (ba_parse_size(text, &value, err) || value < least || value > INT32_MAX) {
        return ba_fail(err, "--%s %s: needs a whole number from %" PRIu64 " to %d", name, text, least, INT32_MAX);
    }
    *out = (size_t)value;
    return 0;
}

static int take_rate(const char *name, const char *text, double *out, char err[BA_ERR_LEN]) {
    char *end;
    *out = text ? strtod(text, &end) : 0;
    if (text && (end == text || *end || !isfinite(*out) || *out <= 0)) {
        return ba_fail(err, "--%s %s: needs a number above 0, as 989e12", name, text);
    }
    return 0;
}

static int take_options(const ba_common *c, const texts *t, sweep *s, char err[BA_ERR_LEN]) {
    s->mode = c->mode_given ? c->mode : "block";
    if (ba_mode_check(s->mode, s->canonical, sizeof s->canonical, err) || ba_sizes_of(c->dtype, 2, &s->sizes, err) ||
        take_size("question", t->question, 1, &s->question, err) || take_size("task", t->task, 0, &s->task, err) ||
        take_size("block-tokens", t->block_tokens, 1, &s->block_tokens, err) ||
        take_size("max-rows", t->max_rows, 1, &s->max_rows, err) ||
        take_rate("peak-flops", t->peak, &s->peak_flops, err) ||
        take_rate("bandwidth", t->bandwidth, &s->bandwidth, err)) {
        return -1;
    }
    if (!t->peak != !t->bandwidth) {
        return ba_fail(err, "--peak-flops and --bandwidth go together: the floor is the slower of both");
    }
    return ba_parse_sizes(t->lengths, &s->length, &s->n, err);
}

/* --shape, or the shape of --model, or the one that the paper measured. */
static int take_shape(const ba_common *c, const char *name, sweep *s, ba_model **model, char err[BA_ERR_LEN]) {
    char path[4096];
    if (name || !c->model) {
        s->shape_name = name ? name : BA_PAPER_SHAPE;
        s->shape = ba_shape_named(s->shape_name, err);
        return s->shape ? 0 : -1;
    }
    if (ba_model_path_of(c, path, sizeof path, err) || ba_model_open(path, false, model, err)) {
        return -1;
    }
    s->shape = ba_model_shape(*model);
    s->shape_name = ba_model_name(*model);
    return 0;
}

static int run(const ba_common *c, const sweep *s, char err[BA_ERR_LEN]) {
    row *r = calloc(s->n, sizeof *r);
    int rc = r ? 0 : ba_fail(err, "out of memory"), status = BA_EXIT_USAGE;
    for (size_t i = 0; !rc && i < s->n; i++) {
        rc = make_row(s, s->length[i], &r[i], err);
    }
    status = rc ? ba_cli_fail(status, "%s", err) : report(c, s, r);
    free(r);
    return status;
}

/* A stream of requests is another page of the same command, with options of its own. */
static bool asks_for_requests(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--requests") == 0 || strncmp(argv[i], "--requests=", 11) == 0) {
            return true;
        }
    }
    return false;
}

int ba_cmd_cost(int argc, char **argv) {
    if (asks_for_requests(argc, argv)) {
        return ba_cost_requests(argc, argv);
    }
    texts t = {NULL, "50,512,1K,2K,4K,8K,16K,32K", "50", "0", "128", "1024", NULL, NULL};
    const ba_option own[] = {
        {"shape", "NAME", "published shape (" BA_PAPER_SHAPE "), instead of --model's", &t.shape, NULL},
        {"lengths", "LIST", "tokens of the whole prompt (50,512,1K,...,32K)", &t.lengths, NULL},
        {"question", "N", "tokens of the question (50)", &t.question, NULL},
        {"task", "N", "tokens of a task behind the question, for modes that need one (0)", &t.task, NULL},
        {"block-tokens", "N", "tokens of a passage (128)", &t.block_tokens, NULL},
        {"max-rows", "N", "rows of one pass (1024)", &t.max_rows, NULL},
        {"peak-flops", "RATE", "FLOP/s of hardware, for the least time; with --bandwidth", &t.peak, NULL},
        {"bandwidth", "RATE", "B/s of its memory", &t.bandwidth, NULL},
        {NULL, NULL, NULL, NULL, NULL}};
    ba_common c;
    sweep s = {0};
    ba_model *model = NULL;
    char err[BA_ERR_LEN];
    int first,
        status = ba_cli_parse(argc, argv, "[--shape NAME | --model PATH] [--mode MODE] [--lengths LIST]",
                              "FLOPs, bytes, memory and least time of a mode against full attention, for any "
                              "shape, without weights. Elements have 2 bytes unless --dtype says otherwise; the "
                              "mode is block unless --mode says otherwise. A stream of requests against blocks in "
                              "tiers: see cost --requests N --help.\n\nExample\n"
                              "  blockattn cost --shape " BA_PAPER_SHAPE " --peak-flops 989e12 --bandwidth 3.35e12",
                              own, &c, &first);
    if (status >= 0) {
        return status;
    }
    if (first < argc) {
        return ba_cli_fail(BA_EXIT_USAGE, "unexpected operand '%s'", argv[first]);
    }
    if (take_options(&c, &t, &s, err) || take_shape(&c, t.shape, &s, &model, err)) {
        status = ba_cli_fail(BA_EXIT_USAGE, "%s", err);
    } else {
        status = run(&c, &s, err);
    }
    free(s.length);
    if (model) {
        ba_model_close(model);
    }
    return status;
}

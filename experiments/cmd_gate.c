/* blockattn gate: the program with an exit status that a user puts in CI. */
#include "ask.h"
#include "commands.h"
#include "environment.h"
#include "gate.h"
#include "rag.h"
#include "rows.h"
#include "stats.h"
#include "workload.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct wish {
    const char *request, *data, *limit, *greedy, *identities, *memory;
    const char *max_kl, *min_agreement, *max_nll_increase;
    uint64_t n_limit, n_greedy, n_identities;
    double kl, agreement, nll_increase; /* NAN: no limit */
} wish;

/* What is asked of the modes: prompts and, where there is one, their gold answers. */
typedef struct asked_prompt {
    ba_prompt *prompt;
    int32_t *answer;
    size_t n_answer;
} asked_prompt;

typedef struct prompts {
    asked_prompt *p;
    size_t n;
} prompts;

/* All prompts under one mode: means unless the name says otherwise; NaN where there is nothing to say. */
typedef struct summary {
    char mode[64];
    uint64_t n;
    char cached[8], batch[8], folded[8], merge[8], count[8]; /* verdicts on the identities: ok, FAIL, - */
    double merge_max_abs, max_abs_median, max_abs, kl, top1, top5, diverges;
    double nll_full, nll, nll_increase; /* per answer token */
    double flops_fraction;
    char over[64]; /* limits that it broke */
    char ok[8];
} summary;

static const ba_column summary_columns[] = {BA_COLUMN(summary, mode, BA_COLUMN_TEXT, ""),
                                            BA_COLUMN(summary, n, BA_COLUMN_U64, ""),
                                            BA_COLUMN(summary, cached, BA_COLUMN_TEXT, ""),
                                            BA_COLUMN(summary, batch, BA_COLUMN_TEXT, ""),
                                            BA_COLUMN(summary, folded, BA_COLUMN_TEXT, ""),
                                            BA_COLUMN(summary, merge, BA_COLUMN_TEXT, ""),
                                            BA_COLUMN(summary, count, BA_COLUMN_TEXT, ""),
                                            BA_COLUMN(summary, merge_max_abs, BA_COLUMN_F64, ""),
                                            BA_COLUMN(summary, max_abs_median, BA_COLUMN_F64, ""),
                                            BA_COLUMN(summary, max_abs, BA_COLUMN_F64, ""),
                                            BA_COLUMN(summary, kl, BA_COLUMN_F64, "nat"),
                                            BA_COLUMN(summary, top1, BA_COLUMN_F64, ""),
                                            BA_COLUMN(summary, top5, BA_COLUMN_F64, ""),
                                            BA_COLUMN(summary, diverges, BA_COLUMN_F64, "token"),
                                            BA_COLUMN(summary, nll_full, BA_COLUMN_F64, "nat/token"),
                                            BA_COLUMN(summary, nll, BA_COLUMN_F64, "nat/token"),
                                            BA_COLUMN(summary, nll_increase, BA_COLUMN_F64, "nat/token"),
                                            BA_COLUMN(summary, flops_fraction, BA_COLUMN_F64, ""),
                                            BA_COLUMN(summary, over, BA_COLUMN_TEXT, ""),
                                            BA_COLUMN(summary, ok, BA_COLUMN_TEXT, ""),
                                            {NULL, BA_COLUMN_I64, 0, 0, NULL}};

/* One prompt under one mode, for the trace. */
typedef struct detail {
    uint64_t prompt, n_tokens;
    char mode[64];
    double max_abs, kl, top1, top5;
    uint64_t diverges, n_answer;
    double nll_full, nll;
    uint64_t flops, flops_full;
} detail;

static const ba_column detail_columns[] = {
    BA_COLUMN(detail, prompt, BA_COLUMN_U64, ""),         BA_COLUMN(detail, n_tokens, BA_COLUMN_U64, "token"),
    BA_COLUMN(detail, mode, BA_COLUMN_TEXT, ""),          BA_COLUMN(detail, max_abs, BA_COLUMN_F64, ""),
    BA_COLUMN(detail, kl, BA_COLUMN_F64, "nat"),          BA_COLUMN(detail, top1, BA_COLUMN_F64, ""),
    BA_COLUMN(detail, top5, BA_COLUMN_F64, ""),           BA_COLUMN(detail, diverges, BA_COLUMN_U64, "token"),
    BA_COLUMN(detail, n_answer, BA_COLUMN_U64, "token"),  BA_COLUMN(detail, nll_full, BA_COLUMN_F64, "nat"),
    BA_COLUMN(detail, nll, BA_COLUMN_F64, "nat"),         BA_COLUMN(detail, flops, BA_COLUMN_U64, "FLOP"),
    BA_COLUMN(detail, flops_full, BA_COLUMN_U64, "FLOP"), {NULL, BA_COLUMN_I64, 0, 0, NULL}};

static const char *modes_of(const ba_common *c) {
    return c->mode_given ? c->mode : "block";
}

static void free_prompts(prompts *all) {
    for (size_t i = 0; i < all->n; i++) {
        ba_prompt_free(all->p[i].prompt);
        free(all->p[i].answer);
    }
    free(all->p);
    *all = (prompts){0};
}

static int read_items(const ba_bench *b, const wish *w, prompts *out) {
    char err[BA_ERR_LEN];
    ba_items items;
    if (ba_items_read(w->data, w->n_limit, &items, err)) {
        return ba_cli_fail(BA_EXIT_USAGE, "%s", err);
    }
    out->p = calloc(items.n, sizeof *out->p);
    int status = out->p ? 0 : ba_cli_fail(BA_EXIT_MACHINE, "out of memory");
    for (size_t i = 0; !status && i < items.n; i++) {
        asked_prompt *p = &out->p[out->n++];
        p->prompt = ba_item_prompt(&items.item[i], b->tok);
        if (!p->prompt || ba_item_answer(&items.item[i], b->tok, &p->answer, &p->n_answer)) {
            status = ba_cli_fail(BA_EXIT_MACHINE, "out of memory");
        }
    }
    ba_items_free(&items);
    return status;
}

/* Without data: made-up words, in passages of 128 tokens. */
static int make_prompts(const ba_common *c, const ba_bench *b, const wish *w, prompts *out) {
    char err[BA_ERR_LEN];
    size_t n = w->n_limit ? w->n_limit : 1;
    out->p = calloc(n, sizeof *out->p);
    int status = out->p ? 0 : ba_cli_fail(BA_EXIT_MACHINE, "out of memory");
    for (size_t i = 0; !status && i < n; i++) {
        ba_workload_spec spec = {.length = 1024, .question = 50, .block = 128, .seed = c->seed + i};
        ba_workload work = {0};
        ba_prompt *p = out->p[out->n++].prompt = ba_prompt_new(b->tok);
        if (ba_workload_new(b->tok, &spec, &work, err)) {
            status = ba_cli_fail(BA_EXIT_USAGE, "%s", err);
        }
        for (size_t k = 0; !status && k < work.n; k++) {
            int32_t *ids = NULL;
            size_t len;
            ba_role role = k + 1 < work.n ? BA_ROLE_PASSAGE : BA_ROLE_QUESTION;
            if (!p || ba_tokenize(b->tok, work.text[k], strlen(work.text[k]), false, &ids, &len) ||
                ba_prompt_add(p, role, ids, len)) {
                status = ba_cli_fail(BA_EXIT_MACHINE, "out of memory");
            }
            free(ids);
        }
        ba_workload_free(&work);
    }
    return status;
}

static int read_prompts(const ba_common *c, const ba_bench *b, const wish *w, prompts *out) {
    *out = (prompts){0};
    if (w->request) {
        ba_asked a;
        int status = ba_ask(b, w->request, &a);
        if (!status && !(out->p = calloc(1, sizeof *out->p))) {
            status = ba_cli_fail(BA_EXIT_MACHINE, "out of memory");
        }
        if (!status) {
            out->p[out->n++].prompt = a.prompt;
            a.prompt = NULL;
        }
        ba_asked_free(&a);
        return status;
    }
    return w->data ? read_items(b, w, out) : make_prompts(c, b, w, out);
}

/* Verdict on an identity over all prompts. */
static void verdict(char out[8], const ba_gate_row *row, size_t n, ba_identity k) {
    size_t held = 0, broken = 0;
    for (size_t i = 0; i < n; i++) {
        held += row[i].held[k] == BA_HELD;
        broken += row[i].held[k] == BA_BROKEN;
    }
    snprintf(out, 8, "%s", broken ? "FAIL" : held ? "ok" : "-");
}

/* row[i] belongs to prompt i. value: scratch [n]. */
static summary summarise(const ba_gate_row *row, const ba_reference *ref, size_t n, double *value) {
    summary s = {.n = n, .merge_max_abs = NAN};
    size_t tokens = 0;
    double nll = 0, nll_full = 0;
    snprintf(s.mode, sizeof s.mode, "%s", row[0].mode);
    for (size_t i = 0; i < n; i++) {
        s.kl += row[i].far.kl / (double)n;
        s.top1 += row[i].far.top1 / (double)n;
        s.top5 += row[i].far.top5 / (double)n;
        s.diverges += (double)row[i].diverges / (double)n;
        s.flops_fraction += (double)row[i].flops / (double)ref[i].flops / (double)n;
        s.merge_max_abs = fmax(s.merge_max_abs, row[i].merge_max_abs);
        value[i] = row[i].far.max_abs;
        s.max_abs = fmax(s.max_abs, value[i]);
        if (row[i].n_answer) {
            tokens += row[i].n_answer;
            nll += row[i].nll;
            nll_full += ref[i].nll;
        }
    }
    verdict(s.cached, row, n, BA_ID_CACHED);
    verdict(s.batch, row, n, BA_ID_BATCH);
    verdict(s.folded, row, n, BA_ID_FOLDED);
    verdict(s.merge, row, n, BA_ID_MERGE);
    verdict(s.count, row, n, BA_ID_COUNT);
    s.max_abs_median = ba_stats_of(value, n).median;
    s.nll = tokens ? nll / (double)tokens : NAN;
    s.nll_full = tokens ? nll_full / (double)tokens : NAN;
    s.nll_increase = s.nll - s.nll_full;
    return s;
}

/* Holds a mode against the identities and the user's limits. NaN and Inf in logits make kl infinite. */
static bool judge(summary *s, const wish *w) {
    const char *identity[] = {s->cached, s->batch, s->folded, s->merge, s->count};
    bool broken = false;
    for (size_t i = 0; i < sizeof identity / sizeof *identity; i++) {
        broken = broken || !strcmp(identity[i], "FAIL");
    }
    snprintf(s->over, sizeof s->over, "%s%s%s%s", isfinite(s->kl) ? "" : " NaN-or-Inf", s->kl > w->kl ? " max-kl" : "",
             s->top1 < w->agreement ? " min-agreement" : "",
             s->nll_increase > w->nll_increase ? " max-nll-increase" : "");
    bool ok = !broken && !s->over[0];
    snprintf(s->ok, sizeof s->ok, "%s", ok ? "ok" : "FAIL");
    return ok;
}

static void print_table(const summary *s, size_t n, size_t n_prompt, size_t n_greedy) {
    printf("%zu prompt%s; distances are those of the next token's logits from full attention's\n\n", n_prompt,
           n_prompt == 1 ? "" : "s");
    printf("%-24s %6s %6s %6s %6s %6s  %9s %9s %9s %6s %6s %7s %9s %7s\n", "mode", "cached", "batch", "folded", "merge",
           "count", "|d| med", "|d| max", "KL", "top-1", "top-5", "leaves", "dNLL/tok", "FLOPs");
    for (size_t i = 0; i < n; i++) {
        char nll[16] = "-";
        if (!isnan(s[i].nll_increase)) {
            snprintf(nll, sizeof nll, "%+.4f", s[i].nll_increase);
        }
        printf("%-24s %6s %6s %6s %6s %6s  %9.2e %9.2e %9.2e %5.0f%% %5.0f%% %7.1f %9s %6.1f%%%s%s\n", s[i].mode,
               s[i].cached, s[i].batch, s[i].folded, s[i].merge, s[i].count, s[i].max_abs_median, s[i].max_abs, s[i].kl,
               100 * s[i].top1, 100 * s[i].top5, s[i].diverges, nll, 100 * s[i].flops_fraction,
               s[i].over[0] ? "  over:" : "", s[i].over);
    }
    printf("\ncached, batch, folded: equal to the bit; merge: rotated keys, max |dlogit| <= %g; count: FLOPs as "
           "computed ahead"
           "\nleaves: greedy token (of %zu) at which the text leaves full attention's; dNLL: gold answer, nats a token;"
           "\nFLOPs: warm, of full prefill's\n",
           BA_MERGE_LIMIT, n_greedy);
}

static void print_rows(ba_rows_format format, const summary *s, size_t n) {
    ba_rows_begin(stdout, format, summary_columns);
    for (size_t i = 0; i < n; i++) {
        ba_rows_print(stdout, format, summary_columns, &s[i], i == 0);
    }
    ba_rows_end(stdout, format);
}

static int write_trace(ba_trace *t, const summary *s, const ba_gate_row *row, const ba_reference *ref, size_t n_mode,
                       size_t n_prompt, char err[BA_ERR_LEN]) {
    size_t table, details;
    int rc = ba_trace_declare(t, "modes", summary_columns, sizeof *s, &table, err);
    rc = rc ? rc : ba_trace_declare(t, "prompts", detail_columns, sizeof(detail), &details, err);
    for (size_t m = 0; !rc && m < n_mode; m++) {
        rc = ba_trace_append(t, table, &s[m], err);
        for (size_t i = 0; !rc && i < n_prompt; i++) {
            const ba_gate_row *r = &row[m * n_prompt + i];
            detail d = {.prompt = i,
                        .n_tokens = r->n_tokens,
                        .max_abs = r->far.max_abs,
                        .kl = r->far.kl,
                        .top1 = r->far.top1,
                        .top5 = r->far.top5,
                        .diverges = r->diverges,
                        .n_answer = r->n_answer,
                        .nll_full = ref[i].nll,
                        .nll = r->nll,
                        .flops = r->flops,
                        .flops_full = ref[i].flops};
            memcpy(d.mode, r->mode, sizeof d.mode);
            rc = ba_trace_append(t, details, &d, err);
        }
    }
    return rc ? rc : ba_trace_finish(t, err);
}

static int measure(const ba_common *c, const ba_bench *b, const wish *w, const prompts *all, char **mode, size_t n_mode,
                   const ba_engine_options *opt, ba_reference *ref, ba_gate_row *row) {
    char err[BA_ERR_LEN];
    ba_progress bar;
    int rc = 0;
    ba_progress_start(&bar, "gate", c->quiet);
    for (size_t i = 0; !rc && i < all->n; i++) {
        const asked_prompt *p = &all->p[i];
        rc = ba_reference_make(b->engine, p->prompt, p->answer, p->n_answer, w->n_greedy, opt, &ref[i], err);
        for (size_t m = 0; !rc && m < n_mode; m++) {
            rc = ba_gate_mode(b->engine, b->store, &ref[i], mode[m], i < w->n_identities, opt, &row[m * all->n + i],
                              err);
            ba_progress_update(&bar, (double)(i * n_mode + m + 1) / (double)(all->n * n_mode));
        }
    }
    ba_progress_end(&bar);
    return ba_engine_exit(rc, err);
}

static int run(const ba_common *c, const ba_bench *b, const wish *w, const ba_engine_options *opt, ba_trace *trace) {
    char err[BA_ERR_LEN];
    prompts all = {0};
    size_t n_mode = 0;
    char **mode = ba_modes_split(modes_of(c), &n_mode);
    int status = mode ? read_prompts(c, b, w, &all) : ba_cli_fail(BA_EXIT_MACHINE, "out of memory");
    if (status) {
        ba_modes_free(mode);
        return status;
    }
    ba_reference *ref = calloc(all.n, sizeof *ref);
    ba_gate_row *row = calloc(all.n * n_mode, sizeof *row);
    summary *s = calloc(n_mode, sizeof *s);
    double *value = calloc(all.n, sizeof *value);
    if (!ref || !row || !s || !value) {
        status = ba_cli_fail(BA_EXIT_MACHINE, "out of memory");
    }
    if (!status) {
        status = measure(c, b, w, &all, mode, n_mode, opt, ref, row);
    }
    if (!status) {
        bool ok = true;
        for (size_t m = 0; m < n_mode; m++) {
            s[m] = summarise(row + m * all.n, ref, all.n, value);
            ok = judge(&s[m], w) && ok;
        }
        if (c->format == BA_FORMAT_TABLE) {
            print_table(s, n_mode, all.n, w->n_greedy);
        } else {
            print_rows(c->format == BA_FORMAT_JSON ? BA_ROWS_JSON : BA_ROWS_CSV, s, n_mode);
        }
        int rc = trace ? write_trace(trace, s, row, ref, n_mode, all.n, err) : 0;
        status = rc   ? ba_cli_fail(rc == BA_TRACE_MACHINE ? BA_EXIT_MACHINE : BA_EXIT_USAGE, "%s", err)
                 : ok ? BA_EXIT_OK
                      : BA_EXIT_CHECK;
    }
    for (size_t i = 0; ref && i < all.n; i++) {
        ba_reference_free(&ref[i]);
    }
    free(ref);
    free(row);
    free(s);
    free(value);
    free_prompts(&all);
    ba_modes_free(mode);
    return status;
}

static int begin_trace(const ba_common *c, int argc, char **argv, const ba_bench *b, ba_trace **out) {
    char err[BA_ERR_LEN];
    ba_environment env;
    int rc = ba_trace_create(c->out, "blockattn/gate/1", out, err);
    if (!rc && ba_environment_capture(&env, argc, argv, b->be, c->threads)) {
        rc = BA_TRACE_MACHINE;
        ba_fail(err, "out of memory");
    } else if (!rc) {
        for (size_t i = 0; !rc && i < env.n; i++) {
            rc = ba_trace_set(*out, env.key[i], env.value[i], err);
        }
        ba_environment_free(&env);
    }
    rc = rc ? rc : ba_trace_set(*out, "model", ba_model_hash(b->model), err);
    return rc ? ba_cli_fail(rc == BA_TRACE_MACHINE ? BA_EXIT_MACHINE : BA_EXIT_USAGE, "%s", err) : 0;
}

static int number(const char *option, const char *text, double *out) {
    char *end;
    *out = NAN;
    if (!text) {
        return 0;
    }
    *out = strtod(text, &end);
    return *end || end == text || !isfinite(*out) ? ba_cli_fail(BA_EXIT_USAGE, "%s %s: not a number", option, text) : 0;
}

static int check(wish *w, const ba_common *c) {
    char err[BA_ERR_LEN], canonical[128];
    size_t n;
    if (w->request && w->data) {
        return ba_cli_fail(BA_EXIT_USAGE, "--request and --data: one of them");
    }
    if (ba_parse_size(w->limit, &w->n_limit, err) || ba_parse_size(w->greedy, &w->n_greedy, err) ||
        ba_parse_size(w->identities, &w->n_identities, err)) {
        return ba_cli_fail(BA_EXIT_USAGE, "--limit, --greedy or --identities: %s", err);
    }
    int status = number("--max-kl", w->max_kl, &w->kl);
    status = status ? status : number("--min-agreement", w->min_agreement, &w->agreement);
    status = status ? status : number("--max-nll-increase", w->max_nll_increase, &w->nll_increase);
    char **mode = ba_modes_split(modes_of(c), &n);
    for (size_t m = 0; mode && !status && m < n; m++) {
        if (ba_mode_check(mode[m], canonical, sizeof canonical, err)) {
            status = ba_cli_fail(BA_EXIT_USAGE, "%s", err);
        }
    }
    ba_modes_free(mode);
    return status;
}

int ba_cmd_gate(int argc, char **argv) {
    wish w = {.limit = "5", .greedy = "16", .identities = "1M"};
    const ba_option own[] = {
        {"request", "FILE", "one prompt, - for standard input", &w.request, NULL},
        {"data", "FILE", "RAG items, JSON Lines, plain or gzipped (made-up words if neither is given)", &w.data, NULL},
        {"limit", "N", "prompts: the first N items of the data, 0 = all (5)", &w.limit, NULL},
        {"greedy", "N", "greedy tokens to compare (16)", &w.greedy, NULL},
        {"identities", "N", "check the identities on the first N prompts (all)", &w.identities, NULL},
        {"max-kl", "X", "fail over this mean KL(full || mode), nats", &w.max_kl, NULL},
        {"min-agreement", "X", "fail under this share of equal top-1 tokens (0..1)", &w.min_agreement, NULL},
        {"max-nll-increase", "X", "fail over this increase of the gold answer's NLL, nats a token", &w.max_nll_increase,
         NULL},
        {"memory", "SIZE", "refuse a prompt that needs more for KV and work space (free memory)", &w.memory, NULL},
        {NULL, NULL, NULL, NULL, NULL}};
    ba_common c;
    ba_bench b;
    ba_engine_options opt;
    int first, status = ba_cli_parse(argc, argv, "[--request FILE | --data FILE.jsonl] [--mode MODE[,MODE..]] [limits]",
                                     "Does reuse equal recompute, and how far is each mode from full attention. "
                                     "Exit status 1 if an identity does not hold or a limit is exceeded.",
                                     own, &c, &first);
    if (status >= 0) {
        return status;
    }
    if (first < argc) {
        return ba_cli_fail(BA_EXIT_USAGE, "unexpected operand '%s'; a request is given by --request", argv[first]);
    }
    ba_catch_interrupt();
    if ((status = check(&w, &c)) || (status = ba_run_options(NULL, w.memory, &opt)) ||
        (status = ba_bench_open(&c, &b))) {
        return status;
    }
    ba_trace *trace = NULL;
    status = c.out ? begin_trace(&c, argc, argv, &b, &trace) : 0;
    if (!status) {
        status = run(&c, &b, &w, &opt, trace);
    }
    ba_trace_close(trace);
    ba_bench_close(&b);
    return status;
}

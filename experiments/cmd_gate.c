/* blockattn gate: the program with an exit status that a user puts in CI. */
#include "ask.h"
#include "commands.h"
#include "environment.h"
#include "gate_prompts.h"
#include "gate_report.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct wish {
    const char *request, *data, *limit, *greedy, *identities, *memory;
    const char *max_kl, *min_agreement, *max_nll_increase;
    const char *insight;
    uint64_t n_limit, n_greedy, n_identities, n_insight;
    ba_gate_limits limits;
} wish;

static const char *modes_of(const ba_common *c) {
    return c->mode_given ? c->mode : "block";
}

static int measure(const ba_common *c, const ba_bench *b, const wish *w, const ba_gate_prompts *all, char **mode,
                   const ba_engine_options *opt, ba_gate_results *r) {
    char err[BA_ERR_LEN];
    ba_progress bar;
    int rc = 0;
    r->n_greedy = w->n_greedy;
    r->prompt = all->p;
    ba_progress_start(&bar, "gate", c->quiet);
    for (size_t i = 0; !rc && i < all->n; i++) {
        const ba_gate_prompt *p = &all->p[i];
        bool inside = i < r->n_insight;
        rc = ba_reference_make(b->engine, p->prompt, p->answer, p->n_answer, w->n_greedy, opt, &r->ref[i], err);
        if (!rc && inside) {
            rc = ba_insight_make(b->engine, p->prompt, "full", opt, &r->full[i], err);
        }
        for (size_t m = 0; !rc && m < r->n_mode; m++) {
            rc = ba_gate_mode(b->engine, b->store, &r->ref[i], mode[m], i < w->n_identities, opt,
                              &r->row[m * r->n_prompt + i], err);
            if (!rc && inside) {
                rc = ba_insight_make(b->engine, p->prompt, mode[m], opt, &r->insight[m * r->n_insight + i], err);
            }
            ba_progress_update(&bar, (double)(i * r->n_mode + m + 1) / (double)(all->n * r->n_mode));
        }
    }
    ba_progress_end(&bar);
    return ba_engine_exit(rc, err);
}

static int run(const ba_common *c, const ba_bench *b, const wish *w, const ba_engine_options *opt, ba_trace *trace) {
    char err[BA_ERR_LEN];
    ba_gate_prompts all = {0};
    ba_gate_results r = {0};
    size_t n_mode = 0;
    char **mode = ba_modes_split(modes_of(c), &n_mode);
    int status = mode ? ba_gate_prompts_read(b, w->request, w->data, w->n_limit, c->seed, &all)
                      : ba_cli_fail(BA_EXIT_MACHINE, "out of memory");
    size_t n_insight = !trace ? 0 : w->n_insight < all.n ? w->n_insight : all.n;
    if (!status && ba_gate_results_new(&r, n_mode, all.n, n_insight)) {
        status = ba_cli_fail(BA_EXIT_MACHINE, "out of memory");
    }
    if (!status) {
        status = measure(c, b, w, &all, mode, opt, &r);
    }
    if (!status) {
        status = ba_gate_summarise(&r, &w->limits) ? BA_EXIT_OK : BA_EXIT_CHECK;
        if (c->format == BA_FORMAT_TABLE) {
            ba_gate_print_table(&r);
        } else {
            ba_gate_print_rows(&r, c->format == BA_FORMAT_JSON ? BA_ROWS_JSON : BA_ROWS_CSV);
        }
        int rc = trace ? ba_gate_write(&r, trace, err) : 0;
        if (rc) {
            status = ba_cli_fail(rc == BA_TRACE_MACHINE ? BA_EXIT_MACHINE : BA_EXIT_USAGE, "%s", err);
        }
    }
    ba_gate_results_free(&r);
    ba_gate_prompts_free(&all);
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
        ba_parse_size(w->identities, &w->n_identities, err) || ba_parse_size(w->insight, &w->n_insight, err)) {
        return ba_cli_fail(BA_EXIT_USAGE, "--limit, --greedy, --identities or --insight: %s", err);
    }
    int status = number("--max-kl", w->max_kl, &w->limits.max_kl);
    status = status ? status : number("--min-agreement", w->min_agreement, &w->limits.min_agreement);
    status = status ? status : number("--max-nll-increase", w->max_nll_increase, &w->limits.max_nll_increase);
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
    wish w = {.limit = "5", .greedy = "16", .identities = "1M", .insight = "1"};
    const ba_option own[] = {
        {"request", "FILE", "one prompt, - for standard input", &w.request, NULL},
        {"data", "FILE[,FILE..]", "RAG items, JSON Lines, plain or gzipped (made-up words if neither is given)",
         &w.data, NULL},
        {"limit", "N", "prompts: the first N items of every data file, 0 = all (5)", &w.limit, NULL},
        {"greedy", "N", "greedy tokens to compare (16)", &w.greedy, NULL},
        {"identities", "N", "check the identities on the first N prompts (all)", &w.identities, NULL},
        {"insight", "N", "with --out: look inside of the modes, layer by layer, on the first N prompts (1)", &w.insight,
         NULL},
        {"max-kl", "X", "fail over this mean KL(full || mode), nats", &w.max_kl, NULL},
        {"min-agreement", "X", "fail under this share of equal top-1 tokens (0..1)", &w.min_agreement, NULL},
        {"max-nll-increase", "X", "fail over this increase of the gold answer's NLL, nats a token", &w.max_nll_increase,
         NULL},
        {"memory", "SIZE", "refuse a prompt that needs more for KV and work space (free memory)", &w.memory, NULL},
        {NULL, NULL, NULL, NULL, NULL}};
    ba_common c;
    ba_bench b;
    ba_engine_options opt;
    int first, status = ba_cli_parse(argc, argv,
                                     "[--request FILE | --data FILE.jsonl[,FILE..]] [--mode MODE[,MODE..]] [limits]",
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
    ba_store_use_tiers(b.store, false); /* a block must not come from where it was kept before the measurement */
    ba_trace *trace = NULL;
    status = c.out ? begin_trace(&c, argc, argv, &b, &trace) : 0;
    if (!status) {
        status = run(&c, &b, &w, &opt, trace);
    }
    ba_trace_close(trace);
    ba_bench_close(&b);
    return status;
}

/* blockattn gate: the program with an exit status that a user puts in CI. */
#include "experiments/cli/ask.h"
#include "experiments/cli/commands.h"
#include "experiments/cli/settings.h"
#include "experiments/cli/tracing.h"
#include "trace.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct options {
    const char *request, *data, *limit, *greedy, *identities, *memory;
    const char *max_kl, *min_agreement, *max_nll_increase;
    const char *probe;
    uint64_t n_limit, n_greedy, n_identities, n_probe;
    ba_gate_limits limits;
    bool resume;
} options;

static const char *modes_of(const ba_common *c) {
    return c->mode_given ? c->mode : "block";
}

/* All that one run of the command works with. */
typedef struct job {
    const ba_common *c;
    const ba_session *b;
    const options *w;
    ba_engine_options opt;
    char **mode;
    ba_gate_prompts all;
    ba_gate_results r;
    ba_probe *inside; /* [1 + n_mode] of the prompt at hand, full attention's first; NULL without a trace */
    ba_gate_trace trace;
    ba_progress bar;
} job;

static void free_inside(job *j) {
    for (size_t m = 0; j->inside && m <= j->r.n_mode; m++) {
        ba_probe_free(&j->inside[m]);
        j->inside[m] = (ba_probe){0};
    }
}

/* The next prompt in every mode; its rows reach the trace together. */
static int measure_prompt(job *j) {
    char err[BA_ERR_LEN];
    size_t at = j->r.n_done, n_mode = j->r.n_mode;
    const ba_gate_prompt *p = &j->all.p[at];
    ba_gate_row *row = &j->r.row[at * n_mode];
    bool inside = j->inside && at < j->w->n_probe;
    ba_reference ref = {0};
    int rc = ba_reference_make(j->b->engine, p->prompt, p->answer, p->n_answer, j->w->n_greedy, &j->opt, &ref, err);
    if (!rc && inside) {
        rc = ba_probe_make(j->b->engine, p->prompt, "full", &j->opt, &j->inside[0], err);
    }
    for (size_t m = 0; !rc && m < n_mode; m++) {
        rc = ba_gate_mode(j->b->engine, j->b->store, &ref, j->mode[m], at < j->w->n_identities, &j->opt, &row[m], err);
        if (!rc && inside) {
            rc = ba_probe_make(j->b->engine, p->prompt, j->mode[m], &j->opt, &j->inside[1 + m], err);
        }
        ba_progress_update(&j->bar, (double)(at * n_mode + m + 1) / (double)(j->all.n * n_mode));
    }
    ba_reference_free(&ref);
    int status = ba_engine_exit(rc, err);
    if (!status && j->trace.file) {
        rc = ba_gate_trace_add(&j->trace, at, p, row, n_mode, inside ? j->inside : NULL, err);
        status = ba_tracing_exit(rc, err);
    }
    free_inside(j);
    j->r.n_done += !status;
    return status;
}

static int print_results(job *j) {
    bool ok = ba_gate_summarise(&j->r, &j->w->limits);
    if (j->c->format == BA_FORMAT_TABLE) {
        ba_gate_print_table(&j->r);
    } else {
        ba_gate_print_rows(&j->r, j->c->format == BA_FORMAT_JSON ? BA_ROWS_JSON : BA_ROWS_CSV);
    }
    return ok ? BA_EXIT_OK : BA_EXIT_CHECK;
}

/* What is finished, also after an interruption. */
static int report(job *j, bool complete) {
    char err[BA_ERR_LEN];
    int status = j->r.n_done ? print_results(j) : BA_EXIT_OK;
    if (j->trace.file && j->r.n_done) {
        int rc = ba_gate_trace_finish(&j->trace, &j->r, complete, err);
        status = rc ? ba_tracing_exit(rc, err) : status;
        if (!rc && !complete) {
            fprintf(stderr, "%s: interrupted; what is finished is kept in %s, --resume goes on\n",
                    program_invocation_short_name, ba_trace_path(j->trace.file));
        }
    }
    return status;
}

static int open_trace(job *j, int argc, char **argv) {
    char err[BA_ERR_LEN];
    ba_environment env;
    if (ba_environment_capture(&env, argc, argv, j->b->be, j->c->threads)) {
        return ba_cli_fail(BA_EXIT_MACHINE, "out of memory");
    }
    int rc = ba_environment_add(&env, "model", "%s", ba_model_hash(j->b->model)) ? BA_TRACE_MACHINE : 0;
    rc = rc ? ba_fail(err, "out of memory"), rc : ba_gate_trace_open(&j->trace, j->c->out, j->w->resume, &env, err);
    const ba_settings settings = {j->b->model, j->c->adapter, j->b->be, &j->b->tiers, NULL};
    rc = rc ? rc
            : ba_settings_hold(j->trace.file, "", &settings, ba_trace_rows(j->trace.file, j->trace.prompts) == 0, err);
    rc = rc ? rc : ba_gate_trace_read(&j->trace, &j->all, &j->r, err);
    ba_environment_free(&env);
    return ba_tracing_exit(rc, err);
}

static int run(job *j, int argc, char **argv) {
    size_t n_mode = 0;
    j->mode = ba_modes_split(modes_of(j->c), &n_mode);
    int status = j->mode ? ba_gate_prompts_read(j->b, j->w->request, j->w->data, j->w->n_limit, j->c->seed, &j->all)
                         : ba_cli_fail(BA_EXIT_MACHINE, "out of memory");
    if (!status && (ba_gate_results_new(&j->r, n_mode, j->all.n) ||
                    (j->c->out && !(j->inside = calloc(n_mode + 1, sizeof *j->inside))))) {
        status = ba_cli_fail(BA_EXIT_MACHINE, "out of memory");
    }
    j->r.n_greedy = j->w->n_greedy;
    status = status || !j->c->out ? status : open_trace(j, argc, argv);
    if (!status) {
        ba_progress_start(&j->bar, "gate", j->c->quiet);
        while (!status && j->r.n_done < j->all.n) {
            status = measure_prompt(j);
        }
        ba_progress_end(&j->bar);
        if (!status || status == BA_EXIT_INTERRUPTED) {
            int reported = report(j, !status);
            status = status ? status : reported;
        }
    }
    ba_gate_trace_close(&j->trace);
    free_inside(j);
    free(j->inside);
    ba_gate_results_free(&j->r);
    ba_gate_prompts_free(&j->all);
    ba_modes_free(j->mode);
    return status;
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

static int check(options *w, const ba_common *c) {
    char err[BA_ERR_LEN], canonical[128];
    size_t n;
    if (w->request && w->data) {
        return ba_cli_fail(BA_EXIT_USAGE, "--request and --data: one of them");
    }
    if (w->resume && !c->out) {
        return ba_cli_fail(BA_EXIT_USAGE, "--resume goes on with a trace: name it with --out FILE.h5");
    }
    if (ba_parse_size(w->limit, &w->n_limit, err) || ba_parse_size(w->greedy, &w->n_greedy, err) ||
        ba_parse_size(w->identities, &w->n_identities, err) || ba_parse_size(w->probe, &w->n_probe, err)) {
        return ba_cli_fail(BA_EXIT_USAGE, "--limit, --greedy, --identities or --probe: %s", err);
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
    options w = {.limit = "5", .greedy = "16", .identities = "1M", .probe = "1"};
    const ba_option own[] = {
        {"request", "FILE", "one prompt, - for standard input", &w.request, NULL},
        {"data", "FILE[,FILE..]", "RAG items, JSON Lines, plain or gzipped (made-up words if neither is given)",
         &w.data, NULL},
        {"limit", "N", "prompts: the first N items of every data file, 0 = all (5)", &w.limit, NULL},
        {"greedy", "N", "greedy tokens to compare (16)", &w.greedy, NULL},
        {"identities", "N", "check the identities on the first N prompts (all)", &w.identities, NULL},
        {"probe", "N", "with --out: look inside of the modes, layer by layer, on the first N prompts (1)", &w.probe,
         NULL},
        {"max-kl", "X", "fail over this mean KL(full || mode), nats", &w.max_kl, NULL},
        {"min-agreement", "X", "fail under this share of equal top-1 tokens (0..1)", &w.min_agreement, NULL},
        {"max-nll-increase", "X", "fail over this increase of the gold answer's NLL, nats a token", &w.max_nll_increase,
         NULL},
        {"resume", NULL, "go on with the trace --out names", NULL, &w.resume},
        {"memory", "SIZE", "refuse a prompt that needs more for KV and work space (free memory)", &w.memory, NULL},
        {NULL, NULL, NULL, NULL, NULL}};
    ba_common c;
    ba_session b;
    job j = {.c = &c, .b = &b, .w = &w};
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
    if ((status = check(&w, &c)) || (status = ba_run_options(NULL, w.memory, &j.opt)) ||
        (status = ba_session_open(&c, &b))) {
        return status;
    }
    ba_store_use_tiers(b.store, false); /* a block must not come from where it was kept before the measurement */
    status = run(&j, argc, argv);
    ba_session_close(&b);
    return status;
}

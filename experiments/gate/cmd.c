/* blockattn gate: the program with an exit status that a user puts in CI. */
#include "experiments/cli/announce.h"
#include "experiments/cli/ask.h"
#include "experiments/cli/settings.h"
#include "experiments/cli/tracing.h"
#include "experiments/measure/noise.h"
#include "experiments/options/options.h"
#include "experiments/work/work.h"
#include "planted_run.h"
#include "trace.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

typedef struct options {
    const char *request, *data;
    uint64_t limit, length, greedy, identities, probe;
    bool no_noise, planted;
    ba_gate_limits limits;
} options;

/* All that one run of the command works with. */
typedef struct job {
    const ba_common *c;
    const ba_session *b;
    const options *opt;
    ba_engine_options engine_opt;
    char **mode;
    ba_gate_prompts all;
    ba_gate_results r;
    ba_noise noise;
    ba_probe *inside; /* [1 + n_mode] of the prompt at hand, full attention's first; NULL without a trace */
    ba_gate_trace trace;
    ba_work_list work; /* with --shard */
    ba_progress bar;
} job;

enum { CHECKS = 10 }; /* runs of a mode with its identities, about */

static void free_inside(job *j) {
    for (size_t m = 0; j->inside && m <= j->r.n_mode; m++) {
        ba_probe_free(&j->inside[m]);
        j->inside[m] = (ba_probe){0};
    }
}

/* One prompt in every mode. 0, or what the engine returned and err. */
static int measure_modes(job *j, const ba_gate_prompt *p, size_t at, ba_gate_row *row, char err[BA_ERR_LEN]) {
    ba_engine *e = j->b->engine;
    size_t runs = p->number < j->opt->identities ? CHECKS : 1;
    double unit = 1 / (double)(j->all.n * (j->r.n_mode + 1)), begin = (double)at / (double)j->all.n;
    ba_progress_part(&j->bar, begin, begin + unit, 1);
    bool inside = j->inside && p->number < j->opt->probe;
    const ba_engine_options unseen = ba_run_options(j->c); /* a probe needs the argument for itself, so no bar moves */
    double noise_kl = NAN;
    ba_reference ref = {0};
    int rc = ba_reference_make(e, p->prompt, p->answer, p->n_answer, j->opt->greedy, &j->engine_opt, &ref, err);
    if (rc || (rc = ba_noise_of(&j->noise, p->prompt, &j->engine_opt, ref.logits, &noise_kl, err)) ||
        (inside && (rc = ba_probe_make(e, p->prompt, "full", &unseen, &j->inside[0], err)))) {
        goto done;
    }
    for (size_t m = 0, n = j->r.n_mode; m < n; m++) {
        ba_progress_part(&j->bar, begin + (double)(m + 1) * unit, begin + (double)(m + 2) * unit, runs);
        if ((rc = ba_gate_mode(e, j->b->store, &ref, j->mode[m], p->number < j->opt->identities, &j->engine_opt,
                               &row[m], err)) ||
            (inside && (rc = ba_probe_make(e, p->prompt, j->mode[m], &unseen, &j->inside[1 + m], err)))) {
            goto done;
        }
        row[m].noise_kl = noise_kl;
    }
done:
    ba_reference_free(&ref);
    return rc;
}

/* The prompt of that number comes next; its rows reach the trace together. */
static int measure_prompt(job *j, size_t number) {
    char err[BA_ERR_LEN];
    ba_gate_prompts_place(&j->all, number, j->r.n_done);
    size_t at = j->r.n_done, n_mode = j->r.n_mode;
    const ba_gate_prompt *p = &j->all.p[at];
    ba_gate_row *row = &j->r.row[at * n_mode];
    int status = ba_engine_exit(measure_modes(j, p, at, row, err), err);
    if (!status && j->trace.file) {
        const ba_probe *inside = p->number < j->opt->probe ? j->inside : NULL;
        int rc = ba_gate_trace_add(&j->trace, p, row, n_mode, inside, err);
        rc = rc || !j->c->part.count ? rc : ba_work_finish(&j->work, j->trace.file, number, err);
        status = ba_tracing_exit(rc ? rc : ba_trace_commit(j->trace.file, err), err);
    }
    free_inside(j);
    j->r.n_done += !status;
    return status;
}

static int print_results(job *j) {
    const ba_margins margins = ba_margins_of(j->c);
    bool ok = ba_gate_summarise(&j->r, &j->opt->limits, &margins);
    if (j->c->format == BA_FORMAT_TABLE) {
        ba_gate_print_table(&j->r, &margins);
    } else {
        ba_gate_print_rows(&j->r, j->c->format == BA_FORMAT_JSON ? BA_ROWS_JSON : BA_ROWS_CSV);
    }
    return ok ? BA_EXIT_OK : BA_EXIT_CHECK;
}

/* What is finished, also after an interruption. */
static int report(job *j, bool complete) {
    char err[BA_ERR_LEN];
    int status = j->r.n_done ? print_results(j) : BA_EXIT_OK;
    if (j->trace.file && (j->r.n_done || (complete && j->c->part.count))) { /* a shard may have nothing to do */
        int rc = ba_gate_trace_finish(&j->trace, &j->r, complete, err);
        status = rc ? ba_tracing_exit(rc, err) : status;
        if (!rc && !complete) {
            fprintf(stderr, "%s: interrupted; finished prompts are kept in %s, --resume continues\n",
                    program_invocation_short_name, ba_trace_path(j->trace.file));
        }
    }
    return status;
}

static int begin_work(job *j, char err[BA_ERR_LEN]) {
    size_t table;
    int rc = ba_table_declare_named(j->trace.file, ba_gate_tables, "work", &table, err);
    return rc ? rc : ba_work_begin(&j->work, j->trace.file, table, j->c->out, j->c->resume, err);
}

static int open_trace(job *j, int argc, char **argv) {
    char err[BA_ERR_LEN];
    ba_environment env;
    if (ba_environment_capture(&env, argc, argv, j->b->be, j->c->threads)) {
        return ba_cli_fail(BA_EXIT_MACHINE, "out of memory");
    }
    const ba_settings settings = {j->b->model, j->c->adapter, j->b->be, &j->b->tiers, NULL};
    int rc = ba_gate_trace_open(&j->trace, j->c->out, j->c->resume, &env, err);
    rc = rc ? rc : ba_tracing_model(j->trace.file, j->b->model, err);
    rc = rc ? rc
            : ba_settings_hold(j->trace.file, "", &settings, ba_trace_rows(j->trace.file, j->trace.prompts) == 0, err);
    rc = rc ? rc : ba_gate_trace_read(&j->trace, &j->all, &j->r, err);
    rc = rc || !j->c->part.count ? rc : begin_work(j, err);
    ba_environment_free(&env);
    return ba_tracing_exit(rc, err);
}

/* Without the floor the gate goes on, and says so. */
static void open_noise(job *j) {
    char err[BA_ERR_LEN];
    j->noise = (ba_noise){.constant = NAN};
    if (!j->opt->no_noise && j->r.n_done < j->all.n &&
        ba_noise_open(j->b->model, j->b->engine, j->c->threads, j->engine_opt.memory, &j->noise, err) && !j->c->quiet) {
        fprintf(stderr, "%s: the noise floor is not measured: %s\n", program_invocation_short_name, err);
    }
}

/* What is left to do. */
static void announce(const job *j) {
    size_t n = j->all.n - j->r.n_done;
    double flops = 0;
    for (size_t i = j->r.n_done; i < j->all.n; i++) {
        size_t runs = i < j->opt->identities ? CHECKS : 1;
        flops += ba_prompt_flops(j->b, j->all.p[i].prompt, "full");
        for (size_t m = 0; m < j->r.n_mode; m++) {
            flops += (double)runs * ba_prompt_flops(j->b, j->all.p[i].prompt, j->mode[m]);
        }
    }
    ba_announce_work(j->b, j->c, n * j->r.n_mode, "cases (prompts times modes)", flops, j->c->out);
}

/* The number of the prompt to do next; SIZE_MAX: none is left. 0, or an exit status. */
static int next_prompt(job *j, size_t *number) {
    char err[BA_ERR_LEN];
    if (!j->c->part.count) {
        *number = j->r.n_done < j->all.n ? j->r.n_done : SIZE_MAX;
        return 0;
    }
    return ba_work_next(&j->work, number, err) ? ba_cli_fail(BA_EXIT_MACHINE, "%s", err) : 0;
}

/* The list of work of a shard. 0, or an exit status. */
static int plan_work(job *j) {
    bool failed = false;
    for (size_t i = 0; j->c->part.count && i < j->all.n && !failed; i++) {
        const ba_gate_prompt *p = &j->all.p[i];
        failed = ba_work_add_prompt(&j->work, j->b, p->prompt, (const char *const *)j->mode, j->r.n_mode, "", i) != 0;
    }
    failed = failed || (j->c->part.count && ba_work_plan(&j->work, &j->c->part, j->c->mode));
    return failed ? ba_cli_fail(BA_EXIT_MACHINE, "out of memory") : 0;
}

/* Every prompt that is left. What was finished before an interruption is reported too. */
static int measure_all(job *j) {
    int status = 0;
    size_t number;
    announce(j);
    j->engine_opt.progress = ba_progress_run;
    j->engine_opt.arg = &j->bar;
    ba_progress_start(&j->bar, "gate", j->c->quiet);
    while (!status && !(status = next_prompt(j, &number)) && number != SIZE_MAX) {
        status = measure_prompt(j, number);
    }
    ba_progress_end(&j->bar);
    if (status && status != BA_EXIT_INTERRUPTED) {
        return status;
    }
    int reported = report(j, !status);
    return status ? status : reported;
}

static int prepare(job *j, int argc, char **argv) {
    size_t n_mode = 0;
    j->mode = ba_modes_split(j->c->mode, &n_mode);
    if (!j->mode) {
        return ba_cli_fail(BA_EXIT_MACHINE, "out of memory");
    }
    int status =
        ba_gate_prompts_read(j->b, j->opt->request, j->opt->data, j->opt->length, j->opt->limit, j->c->seed, &j->all);
    if (status) {
        return status;
    }
    bool failed = ba_gate_results_new(&j->r, n_mode, j->all.n) != 0;
    j->inside = j->c->out ? calloc(n_mode + 1, sizeof *j->inside) : NULL;
    if (failed || (j->c->out && !j->inside)) {
        return ba_cli_fail(BA_EXIT_MACHINE, "out of memory");
    }
    j->r.n_greedy = j->opt->greedy;
    if ((status = plan_work(j))) {
        return status;
    }
    return j->c->out ? open_trace(j, argc, argv) : 0;
}

static int measure(job *j, int argc, char **argv) {
    int status = prepare(j, argc, argv);
    if (!status) {
        open_noise(j);
        status = measure_all(j);
        ba_noise_close(&j->noise);
    }
    ba_gate_trace_close(&j->trace);
    free_inside(j);
    free(j->inside);
    ba_gate_results_free(&j->r);
    ba_gate_prompts_free(&j->all);
    ba_work_free(&j->work);
    ba_modes_free(j->mode);
    return status;
}

static int run(const ba_call *call) {
    const ba_common *c = call->common;
    ba_session b;
    job j = {.c = c, .b = &b, .opt = call->options, .engine_opt = ba_run_options(c)};
    ba_catch_interrupt();
    int status = ba_session_open(c, &b);
    if (status) {
        return status;
    }
    ba_store_use_tiers(b.store, false); /* a block must not come from where it was kept before the measurement */
    status = j.opt->planted ? ba_planted_run(c, &b, j.opt->data, j.opt->limit, j.opt->greedy ? j.opt->greedy : 1,
                                             call->argc, call->argv)
                            : measure(&j, call->argc, call->argv);
    ba_session_close(&b);
    return status;
}

#define AT(member) .at = offsetof(options, member)

static const ba_option own[] = {
    {"request", "FILE", BA_FILE, AT(request), .against = "data", .help = "one prompt, - for standard input"},
    {"data", "FILE[,FILE..]", BA_FILE, AT(data),
     .help = "RAG items, JSON Lines, plain or gzipped (made-up words if neither is given)"},
    {"limit", "N", BA_COUNT, AT(limit), .standard = "5",
     .help = "prompts: the first N items of every data file; 0 is all"},
    {"length", "N", BA_COUNT, AT(length), .standard = "1K", .least = 51, .most = 1 << 24, .against = "request,data",
     .help = "tokens of a made-up prompt"},
    {"greedy", "N", BA_COUNT, AT(greedy), .standard = "16", .help = "greedy tokens to compare"},
    {"identities", "N", BA_COUNT, AT(identities), .standard = "1M",
     .help = "check the identities on the first N prompts"},
    {"probe", "N", BA_COUNT, AT(probe), .standard = "1",
     .help = "with --out: look inside of the modes, layer by layer, on the first N prompts"},
    {"planted", NULL, BA_FLAG, AT(planted), .with = "data", .against = "request,length,identities,probe,resume,shard",
     .help =
         "instead: contamination. The request before this one had a passage with a code word that this one lacks; how "
         "often does the answer tell it, and how much likelier does it get"},
    {"no-noise", NULL, BA_FLAG, AT(no_noise),
     .help = "do not measure the noise floor (KL of full in this precision from full in fp32), which needs the weights "
             "once more in fp32"},
    {"max-kl", "X", BA_REAL, AT(limits.max_kl), .help = "fail over this mean KL(full || mode), nats"},
    {"min-agreement", "X", BA_REAL, AT(limits.min_agreement), .most = 1,
     .help = "fail under this share of equal top-1 tokens"},
    {"max-nll-increase", "X", BA_REAL, AT(limits.max_nll_increase), .least = -HUGE_VAL,
     .help = "fail over this increase of the gold answer's NLL, nats a token"},
    {.name = NULL}};

const ba_command ba_command_gate = {
    .name = "gate",
    .summary = "does reuse equal recompute, and how far is a mode from full",
    .usage = "[--request FILE | --data FILE.jsonl[,FILE..]] [--mode MODE[,MODE..]] [limits]",
    .about =
        "Does reuse equal recompute, and how far is each mode from full attention. Exit status 1 if an identity does "
        "not hold or a limit is exceeded.",
    .example = "blockattn gate --mode block,lego --max-kl 0.5 --min-agreement 0.8\n"
               "blockattn gate --planted --data items.jsonl --mode block,splice,promptcache",
    .own = own,
    .size = sizeof(options),
    .takes = BA_TAKES_ENGINE | BA_TAKES_SHAPE | BA_TAKES_CHAT | BA_TAKES_MODES | BA_TAKES_SEED | BA_TAKES_MEMORY |
             BA_TAKES_OUT | BA_TAKES_RESUME | BA_TAKES_SHARD | BA_TAKES_MARGINS | BA_TAKES_JSON | BA_TAKES_CSV,
    .mode = "block",
    .tables = ba_gate_tables,
    .hint = "a request is given by --request",
    .run = run,
};

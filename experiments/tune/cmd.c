/* blockattn tune: block fine-tuning. */
#include "experiments/cli/environment.h"
#include "experiments/cli/settings.h"
#include "experiments/cli/tracing.h"
#include "experiments/cli/writer.h"
#include "experiments/data/tune_data.h"
#include "experiments/measure/protocol.h"
#include "experiments/options/options.h"
#include "report.h"

#include "kernels/base/clock.h"
#include "sim/modes/modes.h"
#include "sim/train/save.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct options {
    const char *data, *save, *marker, *validate;
    size_t steps, batch, warmup, rows, rank, max_length, limit, eval_limit;
    uint64_t eval_every, save_every, snapshots, memory;
    double alpha, lr, kl, clip, weight_decay;
    bool alternate, strict;
} options;

typedef struct session {
    const ba_common *c;
    const options *opt;
    char **mode;
    size_t n_mode;
    ba_model *model;
    ba_tokenizer *tok;
    ba_backend *be;
    ba_train_net net;
    ba_examples train, check;
    ba_tune_options tune_opt;
    ba_tuner *tuner;
    ba_tune_report report;
    char name[64]; /* of model, data and options */
} session;

/* ---- options ---- */

static uint64_t spare_memory(void) {
    long pages = sysconf(_SC_AVPHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    return pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page / 2 : UINT64_C(1) << 30;
}

/* 0, or an exit status: options that do not fit each other are refused before a model is read. */
static int check(session *s) {
    const options *opt = s->opt;
    s->mode = ba_modes_split(s->c->mode, &s->n_mode);
    if (!s->mode) {
        return ba_cli_fail(BA_EXIT_MACHINE, "out of memory");
    }
    size_t ways = opt->alternate ? 1 : s->n_mode;
    if (opt->batch % ways) {
        return ba_cli_fail(BA_EXIT_USAGE,
                           "--batch %zu: needs a multiple of %zu, because each sample is trained in the %zu "
                           "modes of --mode (--alternate trains it in one of them)",
                           opt->batch, ways, ways);
    }
    if (s->c->adapter && opt->rank) {
        return ba_cli_fail(BA_EXIT_USAGE,
                           "--adapter with --lora: an adapter upon an adapter has no form that peft loads; "
                           "leave out one");
    }
    s->tune_opt = (ba_tune_options){.mode = (const char *const *)s->mode,
                                    .n_mode = s->n_mode,
                                    .alternate = opt->alternate,
                                    .kl_weight = opt->kl,
                                    .steps = opt->steps,
                                    .batch = opt->batch,
                                    .warmup = opt->warmup,
                                    .lr = isnan(opt->lr) ? opt->rank ? 1e-3 : 1e-4 : opt->lr,
                                    .clip = opt->clip,
                                    .beta1 = 0.9,
                                    .beta2 = 0.999,
                                    .eps = 1e-8,
                                    .weight_decay = opt->weight_decay,
                                    .rows = opt->rows,
                                    .seed = s->c->seed,
                                    .memory = opt->memory ? opt->memory : spare_memory()};
    s->net.opt = (ba_train_options){
        .rank = opt->rank, .alpha = isnan(opt->alpha) ? 2.0 * (double)opt->rank : opt->alpha, .seed = s->c->seed};
    return 0;
}

/* ---- opening ---- */

static int open_backend(const ba_common *c, ba_backend **out, char err[BA_ERR_LEN]) {
    const ba_backend_config config = {.threads = c->threads, .dtype = c->dtype};
    char replaced[BA_ERR_LEN];
    if (ba_backend_find(c->backend, c->dtype, replaced, err) && *replaced && !c->quiet) {
        fprintf(stderr, "%s: %s\n", program_invocation_short_name, replaced);
    }
    return ba_backend_open_to_train(c->backend, &config, out, err);
}

/* Link tokens that the modes ask for: the largest k of kvlink. */
static size_t links_of(const session *s) {
    size_t most = 0;
    for (size_t m = 0; m < s->n_mode; m++) {
        const char *k = strncmp(s->mode[m], "kvlink:", 7) == 0 ? strstr(s->mode[m], "k=") : NULL;
        size_t n = k ? (size_t)strtoul(k + 2, NULL, 10) : 0;
        most = n > most && n <= 64 ? n : most;
    }
    return most;
}

static void report_line(const char *line) {
    fprintf(stderr, "%s: %s; passed over\n", program_invocation_short_name, line);
}

/* Samples that are kept from training, if no others are given: every (n / held)-th one. */
static int hold_out(session *s) {
    size_t n = s->train.n, held = s->opt->eval_limit < n / 10 ? s->opt->eval_limit : n / 10, kept = 0;
    if (!held) {
        return 0;
    }
    if (!(s->check.at = calloc(held, sizeof *s->check.at))) {
        return -1;
    }
    for (size_t i = 0; i < n; i++) {
        if (s->check.n < held && i % (n / held) == 0) {
            s->check.at[s->check.n++] = s->train.at[i];
        } else {
            s->train.at[kept++] = s->train.at[i];
        }
    }
    s->train.n = kept;
    return 0;
}

static int read_data(session *s, char err[BA_ERR_LEN]) {
    const options *opt = s->opt;
    size_t ctx = ba_model_shape(s->model)->ctx;
    ba_examples_options how = {s->tok, opt->max_length ? opt->max_length : ctx, opt->limit, opt->strict, report_line};
    if (ba_examples_read(opt->data, &how, &s->train, err)) {
        return BA_EXIT_USAGE;
    }
    size_t *passed[] = {&s->train.malformed, &s->train.unanswered, &s->train.too_long};
    if (!s->c->quiet && (*passed[0] || *passed[1] || *passed[2])) {
        fprintf(stderr,
                "%s: %zu samples; passed over: %zu malformed, %zu without an answer, %zu longer than %zu tokens\n",
                program_invocation_short_name, s->train.n, *passed[0], *passed[1], *passed[2], how.longest);
    }
    how.limit = opt->eval_limit;
    if (opt->validate) {
        return ba_examples_read(opt->validate, &how, &s->check, err) ? BA_EXIT_USAGE : 0;
    }
    return hold_out(s) ? BA_EXIT_MACHINE : 0;
}

static uint64_t mix(uint64_t hash, uint64_t x) {
    return (hash ^ x) * UINT64_C(0x9e3779b97f4a7c15) ^ (hash >> 29);
}

static uint64_t mix_text(uint64_t hash, const char *text) {
    for (; *text; text++) {
        hash = mix(hash, (uint64_t)(unsigned char)*text);
    }
    return mix(hash, 0);
}

static uint64_t mix_real(uint64_t hash, double x) {
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return mix(hash, bits);
}

static uint64_t mix_example(uint64_t hash, const ba_example *e) {
    for (size_t k = 0; k < e->n; k++) {
        hash = mix(hash, (uint64_t)e->answer[k]);
    }
    for (size_t g = 0; g < e->prompt->n_seg; g++) {
        for (size_t k = 0; k < e->prompt->seg[g].n; k++) {
            hash = mix(hash, (uint64_t)e->prompt->seg[g].ids[k]);
        }
        hash = mix(hash, e->prompt->seg[g].n);
    }
    return hash;
}

/* What a checkpoint must share with the run that continues from it: model, backend, options and samples. */
static void name_run(session *s) {
    const ba_tune_options *o = &s->tune_opt;
    const double numbers[] = {
        (double)o->steps, (double)s->net.opt.rank, (double)o->batch, o->kl_weight, (double)o->warmup,
        o->clip,          o->weight_decay,         (double)o->rows,  o->lr,        s->net.opt.alpha,
        o->alternate};
    uint64_t hash = mix(1, s->c->seed);
    hash = mix_text(hash, ba_model_hash(s->model));
    hash = mix_text(hash, s->be->ops->name);
    hash = mix_text(hash, s->opt->marker ? s->opt->marker : "");
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        hash = mix_real(hash, numbers[i]);
    }
    for (size_t m = 0; m < s->n_mode; m++) {
        hash = mix_text(hash, s->mode[m]);
    }
    for (size_t i = 0; i < s->train.n; i++) {
        hash = mix_example(hash, &s->train.at[i]);
    }
    snprintf(s->name, sizeof s->name, "%016llx", (unsigned long long)hash);
}

static int open_net(session *s, char err[BA_ERR_LEN]) {
    const ba_train_options opt = s->net.opt;
    if (ba_train_net_open(&s->net, s->model, s->be, &opt, err)) {
        return BA_EXIT_MACHINE;
    }
    if (!opt.rank && ba_model_save_check(&s->net, err)) {
        return BA_EXIT_USAGE;
    }
    if (s->opt->marker && ba_tokenize(s->tok, s->opt->marker, strlen(s->opt->marker), true, &s->tune_opt.marker,
                                      &s->tune_opt.n_marker, err) != 0) {
        return BA_EXIT_MACHINE;
    }
    return ba_tuner_new(&s->net, &s->tune_opt, s->train.at, s->train.n, &s->tuner, err) ? BA_EXIT_USAGE : 0;
}

/* 0, or an exit status with err filled. */
static int open_all(session *s, char err[BA_ERR_LEN]) {
    int status;
    if (ba_vocabulary_open(s->c, true, &s->model, &s->tok, err)) {
        return BA_EXIT_USAGE;
    }
    if (links_of(s)) {
        s->net.opt.n_links = links_of(s);
        ba_model_set_links(s->model, NULL, s->net.opt.n_links);
    }
    if (open_backend(s->c, &s->be, err)) {
        return BA_EXIT_USAGE;
    }
    if ((status = read_data(s, err)) || (status = open_net(s, err))) {
        return status;
    }
    name_run(s);
    if (mkdir(s->opt->save, 0777) && errno != EEXIST) {
        ba_fail(err, "--save %s: no folder can be made there: %s", s->opt->save, strerror(errno));
        return BA_EXIT_USAGE;
    }
    if (s->c->resume && ba_tuner_load(s->tuner, s->opt->save, s->name, err)) {
        return BA_EXIT_USAGE;
    }
    return 0;
}

static int trace_status(int rc) {
    return !rc ? 0 : rc == BA_TRACE_MACHINE ? BA_EXIT_MACHINE : BA_EXIT_USAGE;
}

static int open_report(session *s, int argc, char **argv, char err[BA_ERR_LEN]) {
    ba_environment env;
    int rc = ba_tune_report_open(&s->report, s->c->format, s->c->out, s->c->resume, err);
    if (rc || !s->report.trace) {
        return trace_status(rc);
    }
    if (ba_environment_capture(&env, argc, argv, s->be, s->c->threads)) {
        ba_fail(err, "out of memory");
        return BA_EXIT_MACHINE;
    }
    rc = rc ? rc : ba_tracing_facts(s->report.trace, &env, NULL, err);
    ba_environment_free(&env);
    const ba_settings settings = {s->model, s->c->adapter, s->be, NULL, NULL};
    rc = rc ? rc : ba_tracing_model(s->report.trace, s->model, err);
    rc = rc ? rc : ba_settings_hold(s->report.trace, "", &settings, s->report.last == 0, err);
    return trace_status(rc ? rc : ba_trace_set(s->report.trace, "run", s->name, err));
}

static void close_all(session *s) {
    ba_tune_report_close(&s->report);
    ba_tuner_free(s->tuner);
    ba_train_net_close(&s->net);
    ba_examples_free(&s->train);
    ba_examples_free(&s->check);
    free(s->tune_opt.marker);
    ba_modes_free(s->mode);
    if (s->be) {
        ba_backend_close(s->be);
    }
    ba_tokenizer_free(s->tok);
    ba_model_close(s->model);
}

/* ---- the run ---- */

static int stop(void *arg) {
    (void)arg;
    return ba_interrupted();
}

static int tuner_status(int rc) {
    return rc == BA_INTERRUPTED                                 ? BA_EXIT_INTERRUPTED
           : rc == BA_TUNE_DIVERGED || rc == BA_WALK_NOT_FINITE ? BA_EXIT_USAGE
                                                                : BA_EXIT_MACHINE;
}

static int validate(session *s, char err[BA_ERR_LEN]) {
    for (size_t m = 0; s->check.n && m < s->n_mode; m++) {
        ba_tune_validation_row row = {.step = ba_tuner_step_count(s->tuner), .samples = s->check.n};
        double start = ba_now();
        snprintf(row.mode, sizeof row.mode, "%s", s->mode[m]);
        int rc = ba_tuner_validate(s->tuner, s->check.at, s->check.n, s->mode[m], stop, NULL, &row.nll, err);
        row.seconds = ba_now() - start;
        if (rc) {
            return tuner_status(rc);
        }
        if ((rc = ba_tune_report_validation(&s->report, &row, err))) {
            return trace_status(rc);
        }
    }
    return 0;
}

/* The model or adapter as it is now. */
static int save(const session *s, const char *folder, char err[BA_ERR_LEN]) {
    return s->net.opt.rank ? ba_adapter_save(&s->net, folder, ba_model_path(s->model), err)
                           : ba_model_save(&s->net, folder, err);
}

static int snapshot(const session *s, char err[BA_ERR_LEN]) {
    char folder[4096];
    snprintf(folder, sizeof folder, "%s@%llu", s->opt->save, (unsigned long long)ba_tuner_step_count(s->tuner));
    return save(s, folder, err);
}

static int step(session *s, char err[BA_ERR_LEN]) {
    ba_tune_row row;
    double start = ba_now();
    int rc = ba_tuner_step(s->tuner, stop, NULL, &row, err);
    if (rc) {
        return tuner_status(rc);
    }
    if ((rc = ba_tune_report_step(&s->report, &row, ba_now() - start, err))) {
        return trace_status(rc);
    }
    if (s->opt->eval_every && row.step % s->opt->eval_every == 0 && row.step < s->tune_opt.steps &&
        (rc = validate(s, err))) {
        return rc;
    }
    if (s->opt->snapshots && row.step % s->opt->snapshots == 0 && snapshot(s, err)) {
        return BA_EXIT_MACHINE;
    }
    if (row.step % s->opt->save_every == 0 && ba_tuner_save(s->tuner, s->opt->save, s->name, err)) {
        return BA_EXIT_MACHINE;
    }
    return 0;
}

static int finish(session *s, char err[BA_ERR_LEN]) {
    int status = validate(s, err);
    if (status) {
        return status;
    }
    if (ba_tuner_save(s->tuner, s->opt->save, s->name, err) || save(s, s->opt->save, err)) {
        return BA_EXIT_MACHINE;
    }
    return s->report.trace ? trace_status(ba_trace_finish(s->report.trace, err)) : 0;
}

static int train(session *s, char err[BA_ERR_LEN]) {
    ba_progress bar;
    uint64_t first = ba_tuner_step_count(s->tuner);
    int status = first ? 0 : validate(s, err);
    ba_progress_start(&bar, "tune", s->c->quiet || s->c->format == BA_FORMAT_TABLE);
    while (!status && ba_tuner_step_count(s->tuner) < s->tune_opt.steps) {
        status = step(s, err);
        ba_progress_update(&bar, (double)(ba_tuner_step_count(s->tuner) - first) / (double)(s->tune_opt.steps - first));
    }
    ba_progress_end(&bar);
    if (status == BA_EXIT_INTERRUPTED) {
        return ba_tuner_save(s->tuner, s->opt->save, s->name, err) ? BA_EXIT_MACHINE : status;
    }
    return status ? status : finish(s, err);
}

/* 0, or an exit status with err filled. */
static int open_and_train(session *s, const ba_call *call, char err[BA_ERR_LEN]) {
    int status;
    if ((status = open_all(s, err)) || (status = open_report(s, call->argc, call->argv, err))) {
        return status;
    }
    status = train(s, err);
    if (status == BA_EXIT_INTERRUPTED) {
        ba_fail(err, "interrupted after step %llu; continue with --resume",
                (unsigned long long)ba_tuner_step_count(s->tuner));
    }
    return status;
}

static int run(const ba_call *call) {
    session s = {.c = call->common, .opt = call->options};
    char err[BA_ERR_LEN] = "";
    ba_writer_lock lock;
    ba_catch_interrupt();
    int status = ba_writer_lock_take(&lock, s.opt->save);
    status = status ? status : check(&s);
    if (!status && (status = open_and_train(&s, call, err))) {
        ba_cli_fail(status, "%s", err);
    }
    close_all(&s);
    ba_writer_lock_drop(&lock);
    return status;
}

#define AT(member) .at = offsetof(options, member)
enum { MANY = 1 << 30 };

static const ba_option own[] = {
    {"data", "FILE[,F..]", BA_FILE, AT(data), .needed = true,
     .help = "samples: RAG items, {\"blocks\", \"response\"} or {\"messages\"}, JSON Lines"},
    {"steps", "N", BA_COUNT, AT(steps), .least = 1, .most = MANY, .needed = true, .help = "steps of the optimiser"},
    {"save", "DIR", BA_FOLDER, AT(save), .needed = true, .help = "where the model or adapter, and checkpoints, go"},
    {"lora", "RANK", BA_COUNT, AT(rank), .standard = "0", .most = 4096,
     .help = "train an adapter of this rank on every linear layer; 0: all weights"},
    {"alpha", "A", BA_REAL, AT(alpha), .help = "LoRA's alpha; default: twice the rank"},
    {"lr", "RATE", BA_REAL, AT(lr), .help = "learning rate after the warm-up; default: 1e-4, with --lora 1e-3"},
    {"batch", "N", BA_COUNT, AT(batch), .standard = "32", .least = 1, .most = MANY,
     .help = "samples x modes of a step"},
    {"alternate", NULL, BA_FLAG, AT(alternate),
     .help = "train a sample in one of the modes of --mode, in turn, instead of in each"},
    {"kl", "W", BA_REAL, AT(kl), .standard = "0",
     .help = "also draw the other modes' answers to the first mode's, by W times the KL divergence"},
    {"marker", "TEXT", BA_TEXT, AT(marker), .help = "put before the prompt in all modes but full"},
    {"max-length", "N", BA_COUNT, AT(max_length), .standard = "0",
     .help = "tokens of a sample at most; longer ones are passed over; 0: the model's context"},
    {"warmup", "N", BA_COUNT, AT(warmup), .standard = "20",
     .help = "steps in which the rate rises; then it falls linearly to 0"},
    {"clip", "NORM", BA_REAL, AT(clip), .standard = "1", .help = "largest norm of a step's gradient; 0: any"},
    {"weight-decay", "D", BA_REAL, AT(weight_decay), .standard = "0", .help = "weight decay of AdamW"},
    {"rows", "N", BA_COUNT, AT(rows), .standard = "2048", .least = 1, .most = MANY,
     .help = "tokens that go through the layers together"},
    {"limit", "N", BA_COUNT, AT(limit), .standard = "0", .help = "only the first N samples; 0 is all"},
    {"validate", "FILE[,F..]", BA_FILE, AT(validate),
     .help = "samples of the validation; default: some of --data, which are not trained on"},
    {"eval-limit", "N", BA_COUNT, AT(eval_limit), .standard = "32", .least = 1, .most = MANY,
     .help = "samples of the validation at most"},
    {"eval-every", "N", BA_COUNT, AT(eval_every), .standard = "0",
     .help = "steps between validations, besides the one before the first step and the one after the last"},
    {"save-every", "N", BA_COUNT, AT(save_every), .standard = "25", .least = 1, .most = MANY,
     .help = "steps between checkpoints"},
    {"snapshots", "N", BA_COUNT, AT(snapshots), .standard = "0",
     .help = "also keep model or adapter as DIR@STEP every N steps; 0: not"},
    {"memory", "SIZE", BA_COUNT, AT(memory), .least = 1,
     .help = "for what is kept from forward to backward; default: half of the free memory"},
    {"strict", NULL, BA_FLAG, AT(strict), .help = "stop at a line that cannot be used"},
    {.name = NULL}};

const ba_command ba_command_tune = {
    .name = "tune",
    .summary = "block fine-tuning: all weights, or a LoRA adapter",
    .usage = "--data FILE --steps N --save DIR [--lora RANK] [--mode MODE[,MODE..]] [--resume]",
    .about =
        "Block fine-tuning: the plan of a mode is the training mask. Every sample is trained in each mode of --mode. "
        "Writes a Hugging Face folder, or with --lora a PEFT adapter.",
    .example = "blockattn tune --data nq.train.jsonl.gz --steps 283 --lora 8 --save block-ft --out tune.h5\n"
               "blockattn tune --data nq.train.jsonl.gz --steps 283 --mode full --save rag-ft\n"
               "blockattn tune --data nq.train.jsonl.gz --steps 50 --lora 8 --mode kvlink:k=5 --save links",
    .own = own,
    .tables = ba_tune_tables,
    .size = sizeof(options),
    .takes = BA_TAKES_MODEL | BA_TAKES_CHAT | BA_TAKES_ADAPTER | BA_TAKES_MODES | BA_TAKES_DTYPE | BA_TAKES_BACKEND |
             BA_TAKES_THREADS | BA_TAKES_SEED | BA_TAKES_OUT | BA_TAKES_CHECKPOINT | BA_TAKES_JSON | BA_TAKES_CSV |
             BA_TAKES_QUIET,
    .mode = "full,block",
    .hint = "samples are given by --data",
    .run = run,
};

/* blockattn tune: block fine-tuning. */
#include "experiments/cli/ask.h"
#include "experiments/cli/commands.h"
#include "experiments/cli/environment.h"
#include "experiments/cli/settings.h"
#include "experiments/data/tune_data.h"
#include "experiments/measure/protocol.h"
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
    const char *data, *steps, *save, *lora, *alpha, *lr, *batch, *kl, *marker, *longest, *warmup, *clip, *decay, *rows;
    const char *limit, *validate, *eval_limit, *eval_every, *save_every, *snapshots, *memory;
    bool alternate, resume, strict;
    uint64_t n_rank, n_longest, n_limit, n_eval_limit, n_eval_every, n_save_every, n_snapshots;
} options;

typedef struct session {
    const ba_common *c;
    const options *w;
    char **mode;
    size_t n_mode;
    ba_model *model;
    ba_tokenizer *tok;
    ba_backend *be;
    ba_train_net net;
    ba_examples train, check;
    ba_tune_options opt;
    ba_tuner *tuner;
    ba_tune_report report;
    char name[64]; /* of model, data and options */
} session;

/* ---- options ---- */

static int number(const char *option, const char *text, double least, double *out) {
    char *end;
    *out = strtod(text, &end);
    return *end || end == text || !isfinite(*out) || *out < least
               ? ba_cli_fail(BA_EXIT_USAGE, "--%s %s: a number from %g on is needed", option, text, least)
               : 0;
}

static int whole(const char *option, const char *text, uint64_t least, uint64_t *out) {
    char err[BA_ERR_LEN];
    return ba_parse_size(text, out, err) || *out < least
               ? ba_cli_fail(BA_EXIT_USAGE, "--%s %s: a whole number from %llu on is needed", option, text,
                             (unsigned long long)least)
               : 0;
}

static uint64_t spare_memory(void) {
    long pages = sysconf(_SC_AVPHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    return pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page / 2 : UINT64_C(1) << 30;
}

static int check(options *w, session *s) {
    ba_tune_options *o = &s->opt;
    uint64_t steps, batch, warmup, rows, memory = spare_memory();
    double alpha = 0;
    int status = 0;
    if (!w->data || !w->steps || !w->save) {
        return ba_cli_fail(BA_EXIT_USAGE, "--%s is missing; see 'blockattn tune --help'",
                           !w->data    ? "data FILE"
                           : !w->steps ? "steps N"
                                       : "save DIR");
    }
    if ((status = whole("steps", w->steps, 1, &steps)) || (status = whole("batch", w->batch, 1, &batch)) ||
        (status = whole("warmup", w->warmup, 0, &warmup)) || (status = whole("rows", w->rows, 1, &rows)) ||
        (status = whole("lora", w->lora, 0, &w->n_rank)) || (status = whole("limit", w->limit, 0, &w->n_limit)) ||
        (status = whole("max-length", w->longest, 0, &w->n_longest)) ||
        (status = whole("eval-limit", w->eval_limit, 1, &w->n_eval_limit)) ||
        (status = whole("eval-every", w->eval_every, 0, &w->n_eval_every)) ||
        (status = whole("save-every", w->save_every, 1, &w->n_save_every)) ||
        (status = whole("snapshots", w->snapshots, 0, &w->n_snapshots)) ||
        (w->memory && (status = whole("memory", w->memory, 1, &memory))) ||
        (status = number("kl", w->kl, 0, &o->kl_weight)) || (status = number("clip", w->clip, 0, &o->clip)) ||
        (status = number("weight-decay", w->decay, 0, &o->weight_decay)) ||
        (status = number("lr",
                         w->lr       ? w->lr
                         : w->n_rank ? "1e-3"
                                     : "1e-4",
                         0, &o->lr)) ||
        (w->alpha && (status = number("alpha", w->alpha, 0, &alpha)))) {
        return status;
    }
    if (w->n_rank > 4096) {
        return ba_cli_fail(BA_EXIT_USAGE, "--lora %s: the rank is at most 4096", w->lora);
    }
    s->mode = ba_modes_split(s->c->mode_given ? s->c->mode : "full,block", &s->n_mode);
    if (!s->mode) {
        return ba_cli_fail(BA_EXIT_MACHINE, "out of memory");
    }
    o->mode = (const char *const *)s->mode;
    o->n_mode = s->n_mode;
    o->alternate = w->alternate;
    o->steps = steps;
    o->batch = batch;
    o->warmup = warmup;
    o->rows = rows;
    o->memory = memory;
    o->beta1 = 0.9;
    o->beta2 = 0.999;
    o->eps = 1e-8;
    o->seed = s->c->seed;
    s->net.opt =
        (ba_train_options){.rank = w->n_rank, .alpha = w->alpha ? alpha : 2.0 * (double)w->n_rank, .seed = s->c->seed};
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
    size_t n = s->train.n, held = s->w->n_eval_limit < n / 10 ? s->w->n_eval_limit : n / 10, kept = 0;
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
    const options *w = s->w;
    size_t ctx = ba_model_shape(s->model)->ctx;
    ba_examples_options opt = {s->tok, w->n_longest ? w->n_longest : ctx, w->n_limit, w->strict, report_line};
    if (ba_examples_read(w->data, &opt, &s->train, err)) {
        return BA_EXIT_USAGE;
    }
    size_t *passed[] = {&s->train.malformed, &s->train.unanswered, &s->train.too_long};
    if (!s->c->quiet && (*passed[0] || *passed[1] || *passed[2])) {
        fprintf(stderr,
                "%s: %zu samples; passed over: %zu malformed, %zu without an answer, %zu longer than %zu tokens\n",
                program_invocation_short_name, s->train.n, *passed[0], *passed[1], *passed[2], opt.longest);
    }
    opt.limit = w->n_eval_limit;
    if (w->validate) {
        return ba_examples_read(w->validate, &opt, &s->check, err) ? BA_EXIT_USAGE : 0;
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

/* What a checkpoint must share with the run that goes on from it. */
static void name_run(session *s) {
    const options *w = s->w;
    const char *const texts[] = {ba_model_hash(s->model),
                                 s->be->ops->name,
                                 w->steps,
                                 w->lora,
                                 w->batch,
                                 w->kl,
                                 w->warmup,
                                 w->clip,
                                 w->decay,
                                 w->rows,
                                 w->lr ? w->lr : "",
                                 w->alpha ? w->alpha : "",
                                 w->marker ? w->marker : "",
                                 w->alternate ? "alternate" : ""};
    uint64_t hash = mix(1, s->c->seed);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        hash = mix_text(hash, texts[i]);
    }
    for (size_t m = 0; m < s->n_mode; m++) {
        hash = mix_text(hash, s->mode[m]);
    }
    for (size_t i = 0; i < s->train.n; i++) {
        const ba_example *e = &s->train.at[i];
        for (size_t k = 0; k < e->n; k++) {
            hash = mix(hash, (uint64_t)e->answer[k]);
        }
        for (size_t g = 0; g < e->prompt->n_seg; g++) {
            for (size_t k = 0; k < e->prompt->seg[g].n; k++) {
                hash = mix(hash, (uint64_t)e->prompt->seg[g].ids[k]);
            }
            hash = mix(hash, e->prompt->seg[g].n);
        }
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
    if (s->w->marker &&
        ba_tokenize(s->tok, s->w->marker, strlen(s->w->marker), true, &s->opt.marker, &s->opt.n_marker)) {
        ba_fail(err, "out of memory");
        return BA_EXIT_MACHINE;
    }
    return ba_tuner_new(&s->net, &s->opt, s->train.at, s->train.n, &s->tuner, err) ? BA_EXIT_USAGE : 0;
}

/* 0, or an exit status with err filled. */
static int open_all(session *s, char err[BA_ERR_LEN]) {
    int status;
    if (s->c->adapter && s->w->n_rank) {
        ba_fail(err, "--adapter with --lora: an adapter upon an adapter has no form that peft loads; leave out one");
        return BA_EXIT_USAGE;
    }
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
    if (mkdir(s->w->save, 0777) && errno != EEXIST) {
        ba_fail(err, "--save %s: no folder can be made there: %s", s->w->save, strerror(errno));
        return BA_EXIT_USAGE;
    }
    if (s->w->resume && ba_tuner_load(s->tuner, s->w->save, s->name, err)) {
        return BA_EXIT_USAGE;
    }
    return 0;
}

static int trace_status(int rc) {
    return !rc ? 0 : rc == BA_TRACE_MACHINE ? BA_EXIT_MACHINE : BA_EXIT_USAGE;
}

static int open_report(session *s, int argc, char **argv, char err[BA_ERR_LEN]) {
    ba_environment env;
    int rc = ba_tune_report_open(&s->report, s->c->format, s->c->out, s->w->resume, err);
    if (rc || !s->report.trace) {
        return trace_status(rc);
    }
    if (ba_environment_capture(&env, argc, argv, s->be, s->c->threads)) {
        ba_fail(err, "out of memory");
        return BA_EXIT_MACHINE;
    }
    for (size_t i = 0; !rc && i < env.n; i++) {
        rc = ba_trace_set(s->report.trace, env.key[i], env.value[i], err);
    }
    ba_environment_free(&env);
    const ba_settings settings = {s->model, s->c->adapter, s->be, NULL, NULL};
    rc = rc ? rc : ba_trace_set(s->report.trace, "model", ba_model_hash(s->model), err);
    rc = rc ? rc : ba_settings_hold(s->report.trace, "", &settings, s->report.last == 0, err);
    return trace_status(rc ? rc : ba_trace_set(s->report.trace, "run", s->name, err));
}

static void close_all(session *s) {
    ba_tune_report_close(&s->report);
    ba_tuner_free(s->tuner);
    ba_train_net_close(&s->net);
    ba_examples_free(&s->train);
    ba_examples_free(&s->check);
    free(s->opt.marker);
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

static int validate(session *s, char err[BA_ERR_LEN]) {
    for (size_t m = 0; s->check.n && m < s->n_mode; m++) {
        ba_tune_validation_row row = {.step = ba_tuner_step_count(s->tuner), .samples = s->check.n};
        double start = ba_now();
        snprintf(row.mode, sizeof row.mode, "%s", s->mode[m]);
        int rc = ba_tuner_validate(s->tuner, s->check.at, s->check.n, s->mode[m], stop, NULL, &row.nll, err);
        row.seconds = ba_now() - start;
        if (rc) {
            return rc == BA_INTERRUPTED ? BA_EXIT_INTERRUPTED : BA_EXIT_MACHINE;
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
    snprintf(folder, sizeof folder, "%s@%llu", s->w->save, (unsigned long long)ba_tuner_step_count(s->tuner));
    return save(s, folder, err);
}

static int step(session *s, char err[BA_ERR_LEN]) {
    ba_tune_row row;
    double start = ba_now();
    int rc = ba_tuner_step(s->tuner, stop, NULL, &row, err);
    if (rc) {
        return rc == BA_INTERRUPTED ? BA_EXIT_INTERRUPTED : rc == BA_TUNE_DIVERGED ? BA_EXIT_USAGE : BA_EXIT_MACHINE;
    }
    if ((rc = ba_tune_report_step(&s->report, &row, ba_now() - start, err))) {
        return trace_status(rc);
    }
    if (s->w->n_eval_every && row.step % s->w->n_eval_every == 0 && row.step < s->opt.steps &&
        (rc = validate(s, err))) {
        return rc;
    }
    if (s->w->n_snapshots && row.step % s->w->n_snapshots == 0 && snapshot(s, err)) {
        return BA_EXIT_MACHINE;
    }
    if (row.step % s->w->n_save_every == 0 && ba_tuner_save(s->tuner, s->w->save, s->name, err)) {
        return BA_EXIT_MACHINE;
    }
    return 0;
}

static int finish(session *s, char err[BA_ERR_LEN]) {
    int status = validate(s, err);
    if (!status && (ba_tuner_save(s->tuner, s->w->save, s->name, err) || save(s, s->w->save, err))) {
        status = BA_EXIT_MACHINE;
    }
    return !status && s->report.trace ? trace_status(ba_trace_finish(s->report.trace, err)) : status;
}

static int run(session *s, char err[BA_ERR_LEN]) {
    ba_progress bar;
    uint64_t first = ba_tuner_step_count(s->tuner);
    int status = first ? 0 : validate(s, err);
    ba_progress_start(&bar, "tune", s->c->quiet || s->c->format == BA_FORMAT_TABLE);
    while (!status && ba_tuner_step_count(s->tuner) < s->opt.steps) {
        status = step(s, err);
        ba_progress_update(&bar, (double)(ba_tuner_step_count(s->tuner) - first) / (double)(s->opt.steps - first));
    }
    ba_progress_end(&bar);
    if (status == BA_EXIT_INTERRUPTED) {
        return ba_tuner_save(s->tuner, s->w->save, s->name, err) ? BA_EXIT_MACHINE : status;
    }
    return status ? status : finish(s, err);
}

int ba_cmd_tune(int argc, char **argv) {
    options w = {.lora = "0",
                 .batch = "32",
                 .kl = "0",
                 .longest = "0",
                 .warmup = "20",
                 .clip = "1",
                 .decay = "0",
                 .rows = "2048",
                 .limit = "0",
                 .eval_limit = "32",
                 .eval_every = "0",
                 .save_every = "25",
                 .snapshots = "0"};
    const ba_option own[] = {
        {"data", "FILE[,F..]", "samples: RAG items, {\"blocks\", \"response\"} or {\"messages\"}, JSON Lines", &w.data,
         0},
        {"steps", "N", "steps of the optimiser", &w.steps, 0},
        {"save", "DIR", "where the model or adapter, and checkpoints, go", &w.save, 0},
        {"lora", "RANK", "train an adapter of this rank on every linear layer (0: all weights)", &w.lora, 0},
        {"alpha", "A", "LoRA's alpha (twice the rank)", &w.alpha, 0},
        {"lr", "RATE", "learning rate behind the warm-up (1e-4; with --lora 1e-3)", &w.lr, 0},
        {"batch", "N", "samples x modes of a step (32)", &w.batch, 0},
        {"alternate", 0, "train a sample in one of the modes of --mode, in turn, instead of in each", 0, &w.alternate},
        {"kl", "W", "also draw the other modes' answers to the first mode's, by W times the KL divergence (0)", &w.kl,
         0},
        {"marker", "TEXT", "put before the prompt in all modes but full", &w.marker, 0},
        {"max-length", "N", "tokens of a sample at most; longer ones are passed over (the model's context)", &w.longest,
         0},
        {"warmup", "N", "steps in which the rate rises; then it falls linearly to 0 (20)", &w.warmup, 0},
        {"clip", "NORM", "largest norm of a step's gradient, 0: any (1)", &w.clip, 0},
        {"weight-decay", "D", "of AdamW (0)", &w.decay, 0},
        {"rows", "N", "tokens that go through the layers together (2048)", &w.rows, 0},
        {"limit", "N", "only the first N samples (0: all)", &w.limit, 0},
        {"validate", "FILE[,F..]", "samples of the validation (some of --data, which are not trained on)", &w.validate,
         0},
        {"eval-limit", "N", "samples of the validation at most (32)", &w.eval_limit, 0},
        {"eval-every", "N", "steps between validations; always before the first and behind the last (0)", &w.eval_every,
         0},
        {"save-every", "N", "steps between checkpoints (25)", &w.save_every, 0},
        {"snapshots", "N", "also keep model or adapter as DIR@STEP every N steps (0: not)", &w.snapshots, 0},
        {"memory", "SIZE", "for what is kept from forward to backward (half of the free memory)", &w.memory, 0},
        {"resume", 0, "go on from the checkpoint in --save", 0, &w.resume},
        {"strict", 0, "stop at a line that cannot be used", 0, &w.strict},
        {0}};
    ba_common c;
    session s = {.c = &c, .w = &w};
    char err[BA_ERR_LEN] = "";
    int first,
        status = ba_cli_parse(
            argc, argv, "--data FILE --steps N --save DIR [--lora RANK] [--mode MODE[,MODE..]] [--resume]",
            "Block fine-tuning: the plan of a mode is the training mask. Every sample is trained in each mode of "
            "--mode (full,block). Writes a Hugging Face folder, or with --lora a PEFT adapter.\n"
            "Examples\n"
            "  blockattn tune --data nq.train.jsonl.gz --steps 283 --lora 8 --save block-ft --out tune.h5\n"
            "  blockattn tune --data nq.train.jsonl.gz --steps 283 --mode full --save rag-ft\n"
            "  blockattn tune --data nq.train.jsonl.gz --steps 50 --lora 8 --mode kvlink:k=5 --save links",
            own, &c, &first);
    if (status >= 0) {
        return status;
    }
    if (first < argc) {
        return ba_cli_fail(BA_EXIT_USAGE, "unexpected operand '%s'; samples are given by --data", argv[first]);
    }
    ba_catch_interrupt();
    if (!(status = check(&w, &s)) &&
        ((status = open_all(&s, err)) || (status = open_report(&s, argc, argv, err)) || (status = run(&s, err)))) {
        if (status == BA_EXIT_INTERRUPTED) {
            snprintf(err, sizeof err, "interrupted behind step %llu; go on with --resume",
                     (unsigned long long)ba_tuner_step_count(s.tuner));
        }
        ba_cli_fail(status, "%s", err);
    }
    close_all(&s);
    return status;
}

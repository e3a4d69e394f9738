/* blockattn reload: what a tier of the store is worth. Time to first token of one prompt when its blocks are encoded,
 * come from memory, and come from a tier in a process that never saw them. */
#include "experiments/cli/ask.h"
#include "experiments/cli/store_spec.h"
#include "experiments/measure/workload.h"
#include "experiments/options/options.h"
#include "kernels/base/clock.h"
#include "reload.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* The process that takes the samples of a state. Those that only a tier below memory has come last. */
static const int process_of[BA_RELOAD_STATES] = {
    [BA_RELOAD_COLD] = 0, [BA_RELOAD_WRITING] = 1, [BA_RELOAD_BUSY] = 1, [BA_RELOAD_MEMORY] = 1,
    [BA_RELOAD_RAM] = 1,  [BA_RELOAD_DISK] = 2,    [BA_RELOAD_LOAD] = 3, [BA_RELOAD_AGAIN] = 3,
};
enum { PROCESSES = 4, ALONE = 2, MAX_READ = 1 << 30, READ_BYTES = 4 << 20 };

typedef struct options {
    ba_counts length;
    uint64_t question, block, repeat;
} options;

/* ---- one process ------------------------------------------------------------------------------------------------ */

/* All of it, or false and errno. */
static bool write_all(int to, const void *data, size_t n) {
    const char *from = data;
    for (ssize_t done; n; from += done, n -= (size_t)done) {
        done = write(to, from, n);
        if (done <= 0) {
            return false;
        }
    }
    return true;
}

static bool read_all(int from, void *data, size_t n) {
    char *to = data;
    for (ssize_t done; n; to += done, n -= (size_t)done) {
        done = read(from, to, n);
        if (done <= 0) {
            return false;
        }
    }
    return true;
}

/* What a process needs for its samples: of prompts of this length, now. */
typedef struct process {
    const ba_common *c;
    const options *opt;
    size_t length;
    ba_session b;
    ba_engine_options engine;
} process;

/* One answer: the sample, and its run, whose logits are good until it is freed. An exit status. */
static int answer(const process *p, const ba_plan *plan, ba_reload_sample *out, ba_run **run) {
    char err[BA_ERR_LEN];
    double start = ba_now();
    int rc = ba_engine_run(p->b.engine, plan, &p->engine, 0, run, err);
    if (rc) {
        return ba_engine_exit(rc, err);
    }
    ba_run_logits(*run);
    *out = (ba_reload_sample){.seconds = ba_now() - start, .vocab = ba_engine_shape(p->b.engine)->vocab};
    if (ba_run_check(*run, err) != 0) {
        ba_run_free(*run);
        return ba_engine_exit(-1, err);
    }
    const ba_run_stats *s = ba_run_get_stats(*run);
    memcpy(out->stage, s->stage, sizeof out->stage);
    out->copy_s = s->copy_s;
    out->load_bytes = s->load_bytes;
    out->computed = s->n_computed;
    out->prompt = s->n_prompt;
    return 0;
}

/* Writes one sample into the pipe, then its logits. */
static int take(const process *p, const ba_plan *plan, int to) {
    ba_reload_sample out = {.vocab = 0};
    ba_run *run = NULL;
    int status = answer(p, plan, &out, &run);
    if (status) {
        return status;
    }
    bool sent = write_all(to, &out, sizeof out) && write_all(to, ba_run_logits(run), out.vocab * sizeof(double));
    ba_run_free(run);
    return sent ? 0 : ba_cli_fail(BA_EXIT_MACHINE, "%s", strerror(errno));
}

static int make_plan(const process *p, uint64_t seed, ba_plan **plan) {
    char err[BA_ERR_LEN];
    ba_workload words;
    const ba_workload_spec spec = {
        p->length, p->opt->question, p->opt->block, NULL, 0, seed, ba_engine_shape(p->b.engine)->vocab};
    if (ba_workload_new(p->b.tok, &spec, &words, err)) {
        return ba_cli_fail(BA_EXIT_USAGE, "%s", err);
    }
    ba_prompt *prompt = ba_workload_prompt(p->b.tok, &words, err);
    int status = 0;
    if (!prompt) {
        status = ba_cli_fail(BA_EXIT_MACHINE, "%s", err);
    } else if (ba_mode_plan(p->c->mode, prompt, plan, err)) {
        status = ba_cli_fail(BA_EXIT_USAGE, "%s", err);
    } else if ((*plan)->n_node < 2) {
        status = ba_cli_fail(BA_EXIT_USAGE, "--mode %s keeps no blocks that could be loaded", p->c->mode);
    }
    ba_workload_free(&words);
    ba_prompt_free(prompt);
    return status;
}

/* A device's first answers load kernels and get memory: here with a prompt of other tokens, of which nothing stays. */
static int warm_up(const process *p, uint64_t seed) {
    ba_plan *plan = NULL;
    int status = make_plan(p, ~seed, &plan);
    ba_store_use_tiers(p->b.store, false);
    for (int i = 0; i < 2 && !status; i++) { /* encoded, then from memory */
        ba_reload_sample none;
        ba_run *run = NULL;
        status = answer(p, plan, &none, &run);
        if (!status) {
            ba_run_free(run);
        }
    }
    ba_store_clear(p->b.store);
    ba_plan_free(plan);
    return status;
}

/* Makes the store ready for a state; false: there is no such place. */
static bool prepare(const process *p, ba_reload_state s) {
    ba_store_use_tiers(p->b.store, s != BA_RELOAD_COLD);
    if (s == BA_RELOAD_RAM) {
        ba_store_clear(p->b.store); /* the tiers keep what the device forgets */
        return p->b.be->ops->kv_load && p->b.tiers.ram_given && p->b.tiers.ram;
    }
    if (s == BA_RELOAD_MEMORY) {
        ba_store_flush(p->b.store);
    }
    return true;
}

/* Prompt number n, of `length` tokens, which shares no passage with another. */
static uint64_t seed_of(const ba_common *c, size_t length, uint64_t n) {
    return c->seed + n + ((uint64_t)length << 32);
}

/* The samples of one prompt. */
static int take_prompt(const process *p, int number, uint64_t seed, int to) {
    ba_plan *plan = NULL;
    int status = make_plan(p, seed, &plan);
    ba_store_clear(p->b.store);
    for (ba_reload_state s = 0; !status && s < BA_RELOAD_STATES; s++) {
        if (process_of[s] != number) {
            continue;
        }
        if (prepare(p, s)) {
            status = take(p, plan, to);
        } else if (!write_all(to, &(ba_reload_sample){.absent = true}, sizeof(ba_reload_sample))) {
            status = ba_cli_fail(BA_EXIT_MACHINE, "%s", strerror(errno));
        }
    }
    ba_plan_free(plan);
    return status;
}

/* The samples of one process, written to `to`. An exit status. */
static int be_process(const ba_common *c, const options *opt, int number, int to) {
    process p = {.c = c, .opt = opt, .engine = ba_run_options(c)};
    int status = ba_session_open(c, &p.b);
    if (status) {
        return status;
    }
    for (size_t i = 0; i < opt->length.n && !status; i++) {
        p.length = opt->length.at[i];
        if (p.b.be->ops->kv_load) {
            status = warm_up(&p, seed_of(c, p.length, 0));
        }
        for (uint64_t n = 0; n < opt->repeat && !status; n++) {
            status = take_prompt(&p, number, seed_of(c, p.length, n), to);
        }
    }
    ba_session_close(&p.b);
    return status;
}

/* ---- all of them ------------------------------------------------------------------------------------------------ */

/* One sample from the pipe, compared with the cold one's logits, which the first leaves in *cold. */
static bool receive(int from, ba_reload_sample *out, double **cold) {
    if (!read_all(from, out, sizeof *out)) {
        return false;
    }
    if (out->absent) {
        return true;
    }
    double *logits = malloc(out->vocab * sizeof *logits);
    if (!logits || !read_all(from, logits, out->vocab * sizeof *logits)) {
        free(logits);
        return false;
    }
    if (!*cold) {
        *cold = logits;
    }
    out->same = memcmp(*cold, logits, out->vocab * sizeof *logits) == 0;
    out->off = ba_logit_compare(*cold, logits, out->vocab);
    if (*cold != logits) {
        free(logits);
    }
    return true;
}

/* What all processes have taken. */
typedef struct taken {
    const ba_common *c;
    const options *opt;
    const ba_tier_spec *tier; /* the first below memory, or NULL */
    ba_reload_result *of;     /* [lengths] */
    double **cold;            /* [lengths * repeat] */
    ba_progress bar;
} taken;

/* The samples that a process writes. false: the pipe ended. */
static bool receive_all(taken *t, int number, int from) {
    const size_t repeat = (size_t)t->opt->repeat, n = t->opt->length.n * repeat;
    for (size_t i = 0; i < n; i++) {
        for (ba_reload_state s = 0; s < BA_RELOAD_STATES; s++) {
            if (process_of[s] == number && !receive(from, &t->of[i / repeat].taken[i % repeat][s], &t->cold[i])) {
                return false;
            }
        }
        ba_progress_update(&t->bar, ((double)number + (double)(i + 1) / (double)n) / PROCESSES);
    }
    return true;
}

static int run_process(taken *t, int number) {
    int pipe_of[2], code = 0;
    fflush(NULL);
    if (pipe(pipe_of)) {
        return ba_cli_fail(BA_EXIT_MACHINE, "%s", strerror(errno));
    }
    pid_t child = fork();
    if (child == 0) {
        close(pipe_of[0]);
        _exit(be_process(t->c, t->opt, number, pipe_of[1]));
    }
    close(pipe_of[1]);
    bool whole = child > 0 && receive_all(t, number, pipe_of[0]);
    close(pipe_of[0]);
    if (child < 0 || waitpid(child, &code, 0) != child) {
        return ba_cli_fail(BA_EXIT_MACHINE, "%s", strerror(errno));
    }
    int status = WIFEXITED(code) ? WEXITSTATUS(code) : BA_EXIT_MACHINE;
    return status ? status : whole ? 0 : BA_EXIT_MACHINE;
}

/* Takes the tier's file out of the page cache: no process has it mapped now. false: it has no file. */
static bool drop_cache(const ba_tier_spec *t) {
    char path[4200];
    snprintf(path, sizeof path, "%s/data.mdb", t->place);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool done = fd >= 0 && fdatasync(fd) == 0 && posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) == 0;
    if (fd >= 0) {
        close(fd);
    }
    return done;
}

/* Bytes a second that the disk gives of the same file past the page cache, or NaN. */
static double disk_rate(const ba_tier_spec *t) {
    char path[4200];
    snprintf(path, sizeof path, "%s/data.mdb", t->place);
    int fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
    void *room = aligned_alloc(4096, READ_BYTES);
    double start = ba_now(), bytes = 0;
    ssize_t n;
    while (fd >= 0 && room && bytes < MAX_READ && (n = read(fd, room, READ_BYTES)) > 0) {
        bytes += (double)n;
    }
    double s = ba_now() - start;
    free(room);
    if (fd >= 0) {
        close(fd);
    }
    return bytes > 0 ? bytes / s : (double)NAN;
}

/* All processes, one after the other. */
static int run_processes(taken *t) {
    bool has_file = false;
    int status = 0;
    ba_progress_start(&t->bar, "reload", t->c->quiet);
    for (int p = 0; p < (t->tier ? PROCESSES : ALONE) && !status; p++) {
        has_file = p == ALONE ? drop_cache(t->tier) : has_file;
        status = run_process(t, p);
    }
    ba_progress_end(&t->bar);
    for (size_t i = 0; i < t->opt->length.n; i++) {
        ba_reload_result *r = &t->of[i];
        r->n = (size_t)t->opt->repeat;
        r->disk_rate = has_file ? disk_rate(t->tier) : (double)NAN;
        for (size_t n = 0; n < r->n; n++) {
            for (ba_reload_state s = 0; s < BA_RELOAD_STATES; s++) {
                r->taken[n][s].absent |= (!t->tier && process_of[s] >= ALONE) || (s == BA_RELOAD_DISK && !has_file);
            }
        }
    }
    return status;
}

/* 0, or an exit status: something came from somewhere. */
static int check_taken(const taken *t) {
    for (size_t i = 0; i < t->opt->length.n; i++) {
        if (t->tier && ba_reload_loaded_bytes(&t->of[i], BA_RELOAD_LOAD) == 0) {
            return ba_cli_fail(BA_EXIT_MACHINE,
                               "nothing came back from %s:%s: its budget is below a block, or it is out of reach",
                               t->tier->ops->name, t->tier->place);
        }
        if (!t->tier && t->of[i].taken[0][BA_RELOAD_RAM].absent) { /* --backend auto has found no device */
            return ba_cli_fail(BA_EXIT_USAGE, "which tier? give --store ram:2G,lmdb:PATH:10G");
        }
    }
    return 0;
}

static int print(const taken *t) {
    int worst = 0;
    ba_reload_begin(t->c);
    for (size_t i = 0; i < t->opt->length.n; i++) {
        if (i && t->c->format == BA_FORMAT_TABLE) {
            printf("\n");
        }
        int status = ba_reload_print(t->c, &t->of[i]);
        worst = status ? status : worst;
    }
    return worst;
}

static int measure(const ba_common *c, const options *opt, const ba_store_spec *spec) {
    const size_t lengths = opt->length.n, repeat = (size_t)opt->repeat;
    taken t = {.c = c,
               .opt = opt,
               .tier = spec->n_tier ? &spec->tier[0] : NULL,
               .of = calloc(lengths, sizeof *t.of),
               .cold = calloc(lengths * repeat, sizeof *t.cold)};
    int status = t.of && t.cold ? 0 : BA_EXIT_MACHINE;
    for (size_t i = 0; i < lengths && !status; i++) {
        t.of[i] = (ba_reload_result){.mode = c->mode,
                                     .length = opt->length.at[i],
                                     .question = (size_t)opt->question,
                                     .block = (size_t)opt->block,
                                     .taken = calloc(repeat, sizeof *t.of[i].taken),
                                     .exact = !t.tier || t.tier->coding == BA_CODING_EXACT};
        status = t.of[i].taken ? 0 : BA_EXIT_MACHINE;
    }
    status = status ? ba_cli_fail(status, "out of memory") : run_processes(&t);
    status = status ? status : check_taken(&t);
    status = status ? status : print(&t);
    for (size_t i = 0; t.cold && i < lengths * repeat; i++) {
        free(t.cold[i]);
    }
    for (size_t i = 0; t.of && i < lengths; i++) {
        free(t.of[i].taken);
    }
    free(t.cold);
    free(t.of);
    return status;
}

static int check(const ba_common *c, const options *opt, const ba_store_spec *spec) {
    char remark[BA_ERR_LEN], err[BA_ERR_LEN];
    const ba_backend_ops *ops = ba_backend_find(c->backend, c->dtype, remark, err);
    if (!spec->n_tier && ops && !(ops->kv_load && spec->ram_given)) {
        return ba_cli_fail(BA_EXIT_USAGE, "which tier? give --store %s",
                           ops->kv_load ? "gpu:40G,ram:60G" : "ram:2G,lmdb:PATH:10G");
    }
    for (size_t i = 0; i < opt->length.n; i++) {
        const size_t length = opt->length.at[i];
        if (opt->question > length || opt->block > length) {
            return ba_cli_fail(BA_EXIT_USAGE, "--%s %zu: needs a whole number from 1 to %zu, the prompt's --length",
                               opt->question > length ? "question" : "block",
                               (size_t)(opt->question > length ? opt->question : opt->block), length);
        }
    }
    return 0;
}

static int run(const ba_call *call) {
    const options *opt = call->options;
    char err[BA_ERR_LEN];
    ba_store_spec spec;
    int status = ba_store_spec_parse(call->common->store, call->common->store_key, &spec, err)
                     ? ba_cli_fail(BA_EXIT_USAGE, "%s", err)
                     : check(call->common, opt, &spec);
    if (!status) {
        ba_catch_interrupt();
        status = measure(call->common, opt, &spec);
    }
    ba_store_spec_free(&spec);
    return status;
}

#define AT(member) .at = offsetof(options, member)

static const ba_option own[] = {
    {"length", "LIST", BA_COUNTS, AT(length), .standard = "8K", .least = 1, .most = 1 << 20,
     .help = "tokens of the prompt"},
    {"question", "N", BA_COUNT, AT(question), .standard = "50", .least = 1, .help = "tokens of its question"},
    {"block", "N", BA_COUNT, AT(block), .standard = "128", .least = 1, .help = "tokens of a passage"},
    {"repeat", "N", BA_COUNT, AT(repeat), .standard = "3", .least = 1, .most = BA_RELOAD_MOST,
     .help = "prompts, each new"},
    {.name = NULL}};

const ba_command ba_command_reload = {
    .name = "reload",
    .summary = "what a tier of the store is worth: encoded, in memory, loaded by another process",
    .usage = "--store TIERS [--length N] [--mode MODE]",
    .about =
        "What a tier of the store is worth: time to first token of one prompt when its blocks are encoded, are in "
        "memory, or come from a tier in a process that never saw them; and whether writing them delays the answer. "
        "On a GPU, memory is the card's, and blocks also come from the machine's (line 'ram') while the card computes: "
        "'copy' is what that takes, beside the stages. "
        "Lines that reuse nothing of each other are measured in processes of their own. Exit status 1 if a logit "
        "differs by a bit, unless KV is "
        "kept in 8 bits (:q8): then the distance is what that costs. Blocks stay in the store; their prompts "
        "follow from --seed.",
    .example = "blockattn reload --store ram:2G,lmdb:blocks:10G --length 8K\n"
               "blockattn reload --shape llama-3.1-8b --backend cuda --store gpu:40G,ram:60G --length 2K,8K,32K",
    .own = own,
    .size = sizeof(options),
    .takes = BA_TAKES_ENGINE | BA_TAKES_MODE | BA_TAKES_SEED | BA_TAKES_JSON | BA_TAKES_CSV | BA_TAKES_SHAPE,
    .mode = "block",
    .run = run,
};

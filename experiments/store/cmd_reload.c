/* blockattn reload: what a tier of the store is worth. Time to first token of one prompt when its blocks are encoded,
 * come from memory, and come from a tier in a process that never saw them. */
#include "experiments/cli/ask.h"
#include "experiments/cli/json.h"
#include "experiments/cli/store_spec.h"
#include "experiments/measure/distance.h"
#include "experiments/measure/protocol.h"
#include "experiments/measure/stats.h"
#include "experiments/measure/workload.h"
#include "experiments/options/options.h"
#include "kernels/base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Where the blocks of a sample came from. A process takes the samples of one line, in this order. */
typedef enum state {
    COLD,    /* encoded; tiers are off */
    WRITING, /* encoded, and offered to the tiers */
    BUSY,    /* from memory, while they are being written */
    MEMORY,  /* from memory, when that is over */
    DISK,    /* from the tier; its file is out of the page cache */
    LOAD,    /* from the tier; its file is in the page cache, if it has one */
    AGAIN,   /* from the tier once more, in the same process */
    STATES
} state;

static const struct {
    const char *name, *about;
    int process;
} states[STATES] = {
    [COLD] = {"cold", "encoded", 0},
    [WRITING] = {"cold, kept", "encoded, then written in the background", 1},
    [BUSY] = {"memory, busy", "in memory, while blocks are written", 1},
    [MEMORY] = {"memory", "in memory", 1},
    [DISK] = {"disk", "another process, file not in the page cache", 2},
    [LOAD] = {"load", "another process", 3},
    [AGAIN] = {"again", "that process once more", 3},
};
enum { PROCESSES = 4, MAX_REPEAT = 100, MAX_READ = 1 << 30, READ_BYTES = 4 << 20 };

typedef struct sample {
    double seconds, stage[BA_STAGE_COUNT];
    uint64_t load_bytes;
    size_t computed, prompt;
    size_t vocab; /* logits that follow it in the pipe */
    bool same;    /* every logit is that of the cold run, to the bit */
    ba_logit_distance off;
} sample;

typedef struct options {
    uint64_t length, question, block, repeat;
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

/* Writes one sample into the pipe, then its logits. */
static int take(const ba_session *b, const ba_plan *plan, const ba_engine_options *engine_opt, int to) {
    char err[BA_ERR_LEN];
    ba_run *run;
    double start = ba_now();
    int rc = ba_engine_run(b->engine, plan, engine_opt, 0, &run, err);
    if (rc) {
        return ba_engine_exit(rc, err);
    }
    const double *logits = ba_run_logits(run);
    sample out = {.seconds = ba_now() - start, .vocab = ba_engine_shape(b->engine)->vocab};
    if (ba_run_check(run, err) != 0) {
        ba_run_free(run);
        return ba_cli_fail(BA_EXIT_USAGE, "%s", err);
    }
    const ba_run_stats *s = ba_run_get_stats(run);
    memcpy(out.stage, s->stage, sizeof out.stage);
    out.load_bytes = s->load_bytes;
    out.computed = s->n_computed;
    out.prompt = s->n_prompt;
    bool sent = write_all(to, &out, sizeof out) && write_all(to, logits, out.vocab * sizeof *logits);
    ba_run_free(run);
    return sent ? 0 : ba_cli_fail(BA_EXIT_MACHINE, "%s", strerror(errno));
}

static int make_plan(const ba_common *c, const ba_session *b, const options *opt, uint64_t seed, ba_plan **plan) {
    char err[BA_ERR_LEN];
    ba_workload words;
    const ba_workload_spec spec = {
        opt->length, opt->question, opt->block, NULL, 0, seed, ba_engine_shape(b->engine)->vocab};
    if (ba_workload_new(b->tok, &spec, &words, err)) {
        return ba_cli_fail(BA_EXIT_USAGE, "%s", err);
    }
    ba_prompt *p = ba_workload_prompt(b->tok, &words, err);
    int status = 0;
    if (!p) {
        status = ba_cli_fail(BA_EXIT_MACHINE, "%s", err);
    } else if (ba_mode_plan(c->mode, p, plan, err)) {
        status = ba_cli_fail(BA_EXIT_USAGE, "%s", err);
    } else if ((*plan)->n_node < 2) {
        status = ba_cli_fail(BA_EXIT_USAGE, "--mode %s keeps no blocks that could be loaded", c->mode);
    }
    ba_workload_free(&words);
    ba_prompt_free(p);
    return status;
}

/* The samples of one process, written to `to`. An exit status. */
static int be_process(const ba_common *c, const options *opt, int process, uint64_t seed, int to) {
    ba_session b;
    const ba_engine_options engine_opt = ba_run_options(c);
    ba_plan *plan = NULL;
    int status = ba_session_open(c, &b);
    if (status) {
        return status;
    }
    status = make_plan(c, &b, opt, seed, &plan);
    for (state s = 0; !status && s < STATES; s++) {
        if (states[s].process != process) {
            continue;
        }
        ba_store_use_tiers(b.store, s != COLD);
        if (s == MEMORY) {
            ba_store_flush(b.store);
        }
        status = take(&b, plan, &engine_opt, to);
    }
    ba_plan_free(plan);
    ba_session_close(&b);
    return status;
}

/* ---- all of them ------------------------------------------------------------------------------------------------ */

/* One sample from the pipe, compared with the cold one's logits, which the first leaves in *cold. */
static bool receive(int from, sample *out, double **cold) {
    if (!read_all(from, out, sizeof *out)) {
        return false;
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

static int run_process(const ba_common *c, const options *opt, int process, uint64_t seed, sample taken[STATES],
                       double **cold) {
    int pipe_of[2], code = 0;
    fflush(NULL);
    if (pipe(pipe_of)) {
        return ba_cli_fail(BA_EXIT_MACHINE, "%s", strerror(errno));
    }
    pid_t child = fork();
    if (child == 0) {
        close(pipe_of[0]);
        _exit(be_process(c, opt, process, seed, pipe_of[1]));
    }
    close(pipe_of[1]);
    bool whole = child > 0;
    for (state s = 0; whole && s < STATES; s++) {
        if (states[s].process == process) {
            whole = receive(pipe_of[0], &taken[s], cold);
        }
    }
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

static double median_of(sample (*taken)[STATES], size_t n, state s, double (*field)(const sample *)) {
    double x[MAX_REPEAT];
    for (size_t i = 0; i < n; i++) {
        x[i] = field(&taken[i][s]);
    }
    return ba_stats_of(x, n).median;
}

static double total(const sample *s) {
    return s->seconds;
}
static double load(const sample *s) {
    return s->stage[BA_STAGE_LOAD];
}
static double encode(const sample *s) {
    return s->stage[BA_STAGE_ENCODE];
}
static double prefill(const sample *s) {
    return s->stage[BA_STAGE_PREFILL];
}
static double rate(const sample *s) {
    return s->load_bytes ? (double)s->load_bytes / s->stage[BA_STAGE_LOAD] : (double)NAN;
}
static double bytes(const sample *s) {
    return (double)s->load_bytes;
}
static double computed(const sample *s) {
    return (double)s->computed;
}
static double max_abs(const sample *s) {
    return s->off.max_abs;
}
static double kl(const sample *s) {
    return s->off.kl;
}

static bool same_bits(sample (*taken)[STATES], size_t n, state s) {
    for (size_t i = 0; i < n; i++) {
        if (!taken[i][s].same) {
            return false;
        }
    }
    return true;
}

/* What was measured, and what is printed of it. */
typedef struct result {
    sample (*taken)[STATES]; /* [n] */
    size_t n;
    bool has_file;    /* the tier has a file that the page cache can hold */
    double disk_rate; /* bytes a second that the disk gives of it, or NaN */
} result;

static cJSON *json_of_state(const result *r, state s) {
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "blocks", states[s].name);
    ba_json_add_number(o, "ttft_s_median", median_of(r->taken, r->n, s, total));
    ba_json_add_number(o, "load_s_median", median_of(r->taken, r->n, s, load));
    ba_json_add_number(o, "encode_s_median", median_of(r->taken, r->n, s, encode));
    ba_json_add_number(o, "prefill_s_median", median_of(r->taken, r->n, s, prefill));
    ba_json_add_number(o, "load_bytes", median_of(r->taken, r->n, s, bytes));
    ba_json_add_number(o, "load_bytes_per_s", median_of(r->taken, r->n, s, rate));
    ba_json_add_number(o, "n_computed", median_of(r->taken, r->n, s, computed));
    cJSON_AddBoolToObject(o, "same_logits", same_bits(r->taken, r->n, s));
    ba_json_add_number(o, "max_dlogit", median_of(r->taken, r->n, s, max_abs));
    ba_json_add_number(o, "kl", median_of(r->taken, r->n, s, kl));
    return o;
}

static int print_json(const ba_common *c, const result *r) {
    cJSON *o = cJSON_CreateObject(), *rows = cJSON_CreateArray();
    for (state s = 0; s < STATES; s++) {
        if (s != DISK || r->has_file) {
            cJSON_AddItemToArray(rows, json_of_state(r, s));
        }
    }
    cJSON_AddStringToObject(o, "mode", c->mode);
    cJSON_AddNumberToObject(o, "n_prompt", (double)r->taken[0][COLD].prompt);
    cJSON_AddNumberToObject(o, "n", (double)r->n);
    ba_json_add_number(o, "disk_bytes_per_s", r->disk_rate);
    cJSON_AddItemToObject(o, "rows", rows);
    return ba_json_print(o);
}

static void print_state(const result *r, state s) {
    char ttft[32], stage[3][32], per_s[48] = "", number[32];
    double speed = median_of(r->taken, r->n, s, rate);
    ba_print_seconds(ttft, sizeof ttft, median_of(r->taken, r->n, s, total));
    ba_print_seconds(stage[0], sizeof stage[0], median_of(r->taken, r->n, s, load));
    ba_print_seconds(stage[1], sizeof stage[1], median_of(r->taken, r->n, s, encode));
    ba_print_seconds(stage[2], sizeof stage[2], median_of(r->taken, r->n, s, prefill));
    if (isfinite(speed)) {
        ba_print_bytes(number, sizeof number, speed);
        snprintf(per_s, sizeof per_s, "%s/s", number);
    }
    printf("%-13s  %10s  %10s  %10s  %10s  %12s  %8.2g  %8.2g  %s\n", states[s].name, ttft, stage[0], stage[1],
           stage[2], per_s, median_of(r->taken, r->n, s, max_abs), median_of(r->taken, r->n, s, kl), states[s].about);
}

static void print_table(const ba_common *c, const options *opt, const result *r, bool all_same) {
    char loaded[32], speed[32];
    printf("%zu prompt tokens, passages of %zu, question of %zu, mode %s; medians of %zu\n\n", r->taken[0][COLD].prompt,
           (size_t)opt->block, (size_t)opt->question, c->mode, r->n);
    printf("%-13s  %10s  %10s  %10s  %10s  %12s  %8s  %8s\n", "blocks", "TTFT", "load", "encode", "prefill", "loaded",
           "|dlogit|", "KL");
    for (state s = 0; s < STATES; s++) {
        if (s != DISK || r->has_file) {
            print_state(r, s);
        }
    }
    ba_print_bytes(loaded, sizeof loaded, median_of(r->taken, r->n, LOAD, bytes));
    ba_print_bytes(speed, sizeof speed, r->disk_rate);
    printf("\n%s loaded; logits are %s", loaded,
           all_same ? "the same to the bit in every line" : "NOT the same to the bit");
    printf(isfinite(r->disk_rate) ? "; the disk gives %s/s of the same file past the page cache\n" : "\n", speed);
}

/* An exit status: a check did not hold if logits differ although KV is exact. */
static int print(const ba_common *c, const options *opt, const result *r, bool exact) {
    bool all_same = true;
    int status = 0;
    for (state s = 0; s < STATES; s++) {
        all_same &= (s == DISK && !r->has_file) || same_bits(r->taken, r->n, s);
    }
    if (c->format == BA_FORMAT_TABLE) {
        print_table(c, opt, r, all_same);
    } else {
        status = print_json(c, r);
    }
    return status ? status : all_same || !exact ? BA_EXIT_OK : BA_EXIT_CHECK;
}

/* The samples of one prompt. 0, or an exit status. */
static int measure_prompt(const ba_common *c, const options *opt, const ba_tier_spec *tier, ba_progress *bar,
                          result *r) {
    double *cold = NULL;
    int status = 0;
    for (int p = 0; p < PROCESSES && !status; p++) {
        if (p == 2) {
            r->has_file = drop_cache(tier);
        }
        status = run_process(c, opt, p, c->seed + r->n, r->taken[r->n], &cold);
        ba_progress_update(bar, ((double)r->n + (p + 1.0) / PROCESSES) / (double)opt->repeat);
    }
    free(cold);
    r->n += !status;
    return status;
}

static int measure(const ba_common *c, const options *opt, const ba_store_spec *spec) {
    const ba_tier_spec *tier = &spec->tier[0];
    result r = {.taken = calloc(MAX_REPEAT, sizeof *r.taken), .has_file = true};
    ba_progress bar;
    int status = r.taken ? 0 : ba_cli_fail(BA_EXIT_MACHINE, "out of memory");
    ba_progress_start(&bar, "reload", c->quiet);
    while (!status && r.n < opt->repeat) {
        status = measure_prompt(c, opt, tier, &bar, &r);
    }
    ba_progress_end(&bar);
    if (status) {
        goto done;
    }
    if (median_of(r.taken, r.n, LOAD, bytes) == 0) {
        status = ba_cli_fail(BA_EXIT_MACHINE,
                             "nothing came back from %s:%s: its budget is below a block, or it is out of reach",
                             tier->ops->name, tier->place);
        goto done;
    }
    r.disk_rate = r.has_file ? disk_rate(tier) : (double)NAN;
    status = print(c, opt, &r, tier->coding == BA_CODING_EXACT);
done:
    free(r.taken);
    return status;
}

static int check(const options *opt, const ba_store_spec *spec) {
    if (!spec->n_tier) {
        return ba_cli_fail(BA_EXIT_USAGE, "which tier? give --store ram:2G,lmdb:PATH:10G");
    }
    if (opt->question > opt->length || opt->block > opt->length) {
        return ba_cli_fail(BA_EXIT_USAGE, "--%s %zu: needs a whole number from 1 to %zu, the prompt's --length",
                           opt->question > opt->length ? "question" : "block",
                           (size_t)(opt->question > opt->length ? opt->question : opt->block), (size_t)opt->length);
    }
    return 0;
}

static int run(const ba_call *call) {
    const options *opt = call->options;
    char err[BA_ERR_LEN];
    ba_store_spec spec;
    int status = ba_store_spec_parse(call->common->store, call->common->store_key, &spec, err)
                     ? ba_cli_fail(BA_EXIT_USAGE, "%s", err)
                     : check(opt, &spec);
    if (!status) {
        ba_catch_interrupt();
        status = measure(call->common, opt, &spec);
    }
    ba_store_spec_free(&spec);
    return status;
}

#define AT(member) .at = offsetof(options, member)

static const ba_option own[] = {
    {"length", "N", BA_COUNT, AT(length), .standard = "8K", .least = 1, .most = 1 << 20,
     .help = "tokens of the prompt"},
    {"question", "N", BA_COUNT, AT(question), .standard = "50", .least = 1, .help = "tokens of its question"},
    {"block", "N", BA_COUNT, AT(block), .standard = "128", .least = 1, .help = "tokens of a passage"},
    {"repeat", "N", BA_COUNT, AT(repeat), .standard = "3", .least = 1, .most = MAX_REPEAT, .help = "prompts, each new"},
    {.name = NULL}};

const ba_command ba_command_reload = {
    .name = "reload",
    .summary = "what a tier of the store is worth: encoded, in memory, loaded by another process",
    .usage = "--store TIERS [--length N] [--mode MODE]",
    .about =
        "What a tier of the store is worth: time to first token of one prompt when its blocks are encoded, are in "
        "memory, or come from a tier in a process that never saw them; and whether writing them delays the answer. "
        "Every line is measured in a process of its own. Exit status 1 if a logit differs by a bit, unless KV is "
        "kept in 8 bits (:q8): then the distance is what that costs. Blocks stay in the store; their prompts "
        "follow from --seed.",
    .example = "blockattn reload --store ram:2G,lmdb:blocks:10G --length 8K",
    .own = own,
    .size = sizeof(options),
    .takes = BA_TAKES_ENGINE | BA_TAKES_MODE | BA_TAKES_SEED | BA_TAKES_JSON,
    .mode = "block",
    .run = run,
};

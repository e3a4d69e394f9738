/* blockattn reload: what a tier of the store is worth. Time to first token of one prompt when its blocks are encoded,
 * come from memory, and come from a tier in a process that never saw them. */
#include "experiments/cli/ask.h"
#include "experiments/cli/commands.h"
#include "experiments/cli/json.h"
#include "experiments/cli/store_spec.h"
#include "experiments/measure/distance.h"
#include "experiments/measure/protocol.h"
#include "experiments/measure/stats.h"
#include "experiments/measure/workload.h"
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
    [WRITING] = {"cold, kept", "encoded, then written behind", 1},
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
    const char *length, *question, *block, *repeat;
    uint64_t n_length, n_question, n_block, n_repeat;
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

/* One sample into the pipe, its logits behind it. */
static int take(const ba_session *b, const ba_plan *plan, const ba_engine_options *opt, int to) {
    char err[BA_ERR_LEN];
    ba_run *run;
    double start = ba_now();
    int rc = ba_engine_run(b->engine, plan, opt, 0, &run, err);
    if (rc) {
        return ba_engine_exit(rc, err);
    }
    const double *logits = ba_run_logits(run);
    sample out = {.seconds = ba_now() - start, .vocab = ba_engine_shape(b->engine)->vocab};
    const ba_run_stats *s = ba_run_get_stats(run);
    memcpy(out.stage, s->stage, sizeof out.stage);
    out.load_bytes = s->load_bytes;
    out.computed = s->n_computed;
    out.prompt = s->n_prompt;
    bool sent = write_all(to, &out, sizeof out) && write_all(to, logits, out.vocab * sizeof *logits);
    ba_run_free(run);
    return sent ? 0 : ba_cli_fail(BA_EXIT_MACHINE, "%s", strerror(errno));
}

static int make_plan(const ba_common *c, const ba_session *b, const options *w, uint64_t seed, ba_plan **plan) {
    char err[BA_ERR_LEN];
    ba_workload words;
    const ba_workload_spec spec = {.length = w->n_length, .question = w->n_question, .block = w->n_block, .seed = seed};
    if (ba_workload_new(b->tok, &spec, &words, err)) {
        return ba_cli_fail(BA_EXIT_USAGE, "%s", err);
    }
    ba_prompt *p = ba_prompt_new(b->tok);
    int rc = p ? 0 : -1;
    for (size_t i = 0; !rc && i < words.n; i++) {
        int32_t *ids = NULL;
        size_t n;
        rc = ba_tokenize(b->tok, words.text[i], strlen(words.text[i]), false, &ids, &n) ||
             ba_prompt_add(p, i + 1 < words.n ? BA_ROLE_PASSAGE : BA_ROLE_QUESTION, ids, n);
        free(ids);
    }
    ba_workload_free(&words);
    int status = rc ? ba_cli_fail(BA_EXIT_MACHINE, "out of memory") : 0;
    if (!status && ba_mode_plan(c->mode, p, plan, err)) {
        status = ba_cli_fail(BA_EXIT_USAGE, "%s", err);
    }
    ba_prompt_free(p);
    if (!status && (*plan)->n_node < 2) {
        status = ba_cli_fail(BA_EXIT_USAGE, "--mode %s keeps no blocks that could be loaded", c->mode);
    }
    return status;
}

/* The samples of one process, written to `to`. An exit status. */
static int be_process(const ba_common *c, const options *w, int process, uint64_t seed, int to) {
    ba_session b;
    ba_engine_options opt;
    ba_plan *plan = NULL;
    int status = ba_run_options(NULL, NULL, &opt);
    if (status || (status = ba_session_open(c, &b))) {
        return status;
    }
    status = make_plan(c, &b, w, seed, &plan);
    for (state s = 0; !status && s < STATES; s++) {
        if (states[s].process != process) {
            continue;
        }
        ba_store_use_tiers(b.store, s != COLD);
        if (s == MEMORY) {
            ba_store_flush(b.store);
        }
        status = take(&b, plan, &opt, to);
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

static int run_process(const ba_common *c, const options *w, int process, uint64_t seed, sample taken[STATES],
                       double **cold) {
    int pipe_of[2], code = 0;
    fflush(NULL);
    if (pipe(pipe_of)) {
        return ba_cli_fail(BA_EXIT_MACHINE, "%s", strerror(errno));
    }
    pid_t child = fork();
    if (child == 0) {
        close(pipe_of[0]);
        _exit(be_process(c, w, process, seed, pipe_of[1]));
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

/* Takes the tier's file out of the page cache: nobody has it mapped now. false: it has no file. */
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

/* An exit status: a check did not hold if logits differ where KV is exact. */
static int print(const ba_common *c, const options *w, sample (*taken)[STATES], size_t n, bool has_file, bool exact,
                 double disk) {
    cJSON *rows = cJSON_CreateArray();
    bool all_same = true;
    if (c->format == BA_FORMAT_TABLE) {
        printf("%zu prompt tokens, passages of %zu, question of %zu, mode %s; medians of %zu\n\n",
               taken[0][COLD].prompt, (size_t)w->n_block, (size_t)w->n_question, c->mode, n);
        printf("%-13s  %10s  %10s  %10s  %10s  %12s  %8s  %8s\n", "blocks", "TTFT", "load", "encode", "prefill",
               "loaded", "|dlogit|", "KL");
    }
    for (state s = 0; s < STATES; s++) {
        if (s == DISK && !has_file) {
            continue;
        }
        bool same = same_bits(taken, n, s);
        all_same &= same;
        if (c->format != BA_FORMAT_TABLE) {
            cJSON *o = cJSON_CreateObject();
            cJSON_AddStringToObject(o, "blocks", states[s].name);
            ba_json_add_number(o, "ttft_s_median", median_of(taken, n, s, total));
            ba_json_add_number(o, "load_s_median", median_of(taken, n, s, load));
            ba_json_add_number(o, "encode_s_median", median_of(taken, n, s, encode));
            ba_json_add_number(o, "prefill_s_median", median_of(taken, n, s, prefill));
            ba_json_add_number(o, "load_bytes", median_of(taken, n, s, bytes));
            ba_json_add_number(o, "load_bytes_per_s", median_of(taken, n, s, rate));
            ba_json_add_number(o, "n_computed", median_of(taken, n, s, computed));
            cJSON_AddBoolToObject(o, "same_logits", same);
            ba_json_add_number(o, "max_dlogit", median_of(taken, n, s, max_abs));
            ba_json_add_number(o, "kl", median_of(taken, n, s, kl));
            cJSON_AddItemToArray(rows, o);
            continue;
        }
        char ttft[32], stage[3][32], per_s[48] = "";
        ba_print_seconds(ttft, sizeof ttft, median_of(taken, n, s, total));
        ba_print_seconds(stage[0], sizeof stage[0], median_of(taken, n, s, load));
        ba_print_seconds(stage[1], sizeof stage[1], median_of(taken, n, s, encode));
        ba_print_seconds(stage[2], sizeof stage[2], median_of(taken, n, s, prefill));
        double speed = median_of(taken, n, s, rate);
        if (isfinite(speed)) {
            char number[32];
            ba_print_bytes(number, sizeof number, speed);
            snprintf(per_s, sizeof per_s, "%s/s", number);
        }
        printf("%-13s  %10s  %10s  %10s  %10s  %12s  %8.2g  %8.2g  %s\n", states[s].name, ttft, stage[0], stage[1],
               stage[2], per_s, median_of(taken, n, s, max_abs), median_of(taken, n, s, kl), states[s].about);
    }
    if (c->format == BA_FORMAT_TABLE) {
        char loaded[32], speed[32];
        ba_print_bytes(loaded, sizeof loaded, median_of(taken, n, LOAD, bytes));
        ba_print_bytes(speed, sizeof speed, disk);
        printf("\n%s loaded; logits are %s", loaded,
               all_same ? "the same to the bit in every line" : "NOT the same to the bit");
        printf(isfinite(disk) ? "; the disk gives %s/s of the same file past the page cache\n" : "\n", speed);
    }
    int status = 0;
    if (c->format == BA_FORMAT_TABLE) {
        cJSON_Delete(rows);
    } else {
        cJSON *o = cJSON_CreateObject();
        cJSON_AddStringToObject(o, "mode", c->mode);
        cJSON_AddNumberToObject(o, "n_prompt", (double)taken[0][COLD].prompt);
        cJSON_AddNumberToObject(o, "n", (double)n);
        ba_json_add_number(o, "disk_bytes_per_s", disk);
        cJSON_AddItemToObject(o, "rows", rows);
        status = ba_json_print(o);
    }
    return status ? status : all_same || !exact ? BA_EXIT_OK : BA_EXIT_CHECK;
}

static int measure(const ba_common *c, const options *w, const ba_store_spec *spec) {
    sample(*taken)[STATES] = calloc(MAX_REPEAT, sizeof *taken);
    ba_progress bar;
    bool has_file = true;
    int status = taken ? 0 : ba_cli_fail(BA_EXIT_MACHINE, "out of memory");
    size_t done = 0;
    ba_progress_start(&bar, "reload", c->quiet);
    for (; !status && done < w->n_repeat; done++) {
        double *cold = NULL;
        for (int p = 0; !status && p < PROCESSES; p++) {
            if (p == 2) {
                has_file = drop_cache(&spec->tier[0]);
            }
            status = run_process(c, w, p, c->seed + done, taken[done], &cold);
            ba_progress_update(&bar, ((double)done + (p + 1.0) / PROCESSES) / (double)w->n_repeat);
        }
        free(cold);
    }
    ba_progress_end(&bar);
    if (!status && median_of(taken, done, LOAD, bytes) == 0) {
        status = ba_cli_fail(BA_EXIT_MACHINE,
                             "nothing came back from %s:%s: its budget is below a block, or it is out of reach",
                             spec->tier[0].ops->name, spec->tier[0].place);
    }
    if (!status) {
        status = print(c, w, taken, done, has_file, spec->tier[0].coding == BA_CODING_EXACT,
                       has_file ? disk_rate(&spec->tier[0]) : (double)NAN);
    }
    free(taken);
    return status;
}

static int read_number(const char *option, const char *text, uint64_t most, uint64_t *out) {
    char err[BA_ERR_LEN];
    if (ba_parse_size(text, out, err) || *out < 1 || *out > most) {
        return ba_cli_fail(BA_EXIT_USAGE, "--%s %s: a number from 1 to %llu is needed", option, text,
                           (unsigned long long)most);
    }
    return 0;
}

int ba_cmd_reload(int argc, char **argv) {
    options w = {.length = "8K", .question = "50", .block = "128", .repeat = "3"};
    ba_common c;
    char err[BA_ERR_LEN];
    const ba_option own[] = {{"length", "N", "tokens of the prompt (8K)", &w.length, 0},
                             {"question", "N", "tokens of its question (50)", &w.question, 0},
                             {"block", "N", "tokens of a passage (128)", &w.block, 0},
                             {"repeat", "N", "prompts, each new (3)", &w.repeat, 0},
                             {0}};
    int first,
        status = ba_cli_parse(argc, argv, "--store TIERS [--length N] [--mode MODE]",
                              "What a tier of the store is worth: time to first token of one prompt when its "
                              "blocks are encoded, lie in memory, or come from a tier in a process that never "
                              "saw them; and whether writing them delays anybody. Every line is a process of its "
                              "own. Exit status 1 if a logit differs by a bit, unless KV is kept in 8 bits (:q8): "
                              "then the distance is what that costs. Blocks stay in the store; their prompts follow "
                              "from --seed.\n"
                              "Example\n"
                              "  blockattn reload --store ram:2G,lmdb:blocks:10G --length 8K",
                              own, &c, &first);
    if (status >= 0) {
        return status;
    }
    if (first < argc) {
        return ba_cli_fail(BA_EXIT_USAGE, "unexpected operand '%s'", argv[first]);
    }
    c.mode = c.mode_given ? c.mode : "block";
    ba_store_spec spec;
    if (ba_store_spec_parse(c.store, c.store_key, &spec, err)) {
        status = ba_cli_fail(BA_EXIT_USAGE, "%s", err);
    } else if (!spec.n_tier) {
        status = ba_cli_fail(BA_EXIT_USAGE, "which tier? give --store ram:2G,lmdb:PATH:10G");
    } else {
        (void)((status = read_number("length", w.length, 1 << 20, &w.n_length)) ||
               (status = read_number("question", w.question, w.n_length, &w.n_question)) ||
               (status = read_number("block", w.block, w.n_length, &w.n_block)) ||
               (status = read_number("repeat", w.repeat, MAX_REPEAT, &w.n_repeat)));
        status = status > 0 ? status : 0;
    }
    ba_catch_interrupt();
    if (!status) {
        status = measure(&c, &w, &spec);
    }
    ba_store_spec_free(&spec);
    return status;
}

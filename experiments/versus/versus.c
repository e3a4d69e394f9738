#include "versus.h"

#include "experiments/cli/tracing.h"
#include "experiments/options/options.h"
#include "programs.h"
#include "scratch.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TORCH "transformers bf16"
#define GRAPH "torch graph"

enum { IDS = 33024, QUESTION = 50, BLOCK = 128, K = 1024, MOST_MODELS = 4, PATH_SIZE = 4096 };

/* A case and its entrants, whose names are separated by commas. */
typedef struct work {
    const char *name, *method, *who;
    size_t length, rounds, quick; /* tokens; visits of each; with --quick */
} work;

static const work works[] = {
    {"full-2k", "full", "ours bf16,ours f32,ours openblas,ours avx2,transformers bf16,transformers f32,llama.cpp bf16",
     2 * K, 5, 2},
    {"full-8k", "full", "ours bf16,ours f32,transformers bf16,llama.cpp bf16", 8 * K, 3, 0},
    {"warm-8k", "block", "ours bf16,ours f32", 8 * K, 9, 3},
    {"warm-8k", "released", "transformers bf16,transformers f32", 8 * K, 9, 3},
    {"warm-8k", "ready", "transformers bf16,llama.cpp bf16", 8 * K, 9, 3},
    {"warm-32k", "block", "ours bf16", 32 * K, 7, 0},
    {"warm-32k", "released", "transformers bf16", 32 * K, 7, 0},
    {"warm-32k", "ready", "transformers bf16", 32 * K, 7, 0},
    {"question-50", "full",
     "ours bf16,ours f32,ours openblas,ours avx2,transformers bf16,transformers f32,llama.cpp bf16", QUESTION, 11, 5},
    {"cold-64x128", "cold", "ours bf16,ours f32,transformers bf16,transformers f32,llama.cpp bf16", 64 * BLOCK, 5, 2},
    {"start-50", "process", "ours bf16,converting bf16", QUESTION, 9, 3},
};

/* On a GPU (--shape), with random weights. */
static const work gpu_works[] = {
    {"full-2k", "full", BA_OURS "," TORCH, 2 * K, 9, 3},
    {"full-8k", "full", BA_OURS "," TORCH, 8 * K, 7, 3},
    {"full-32k", "full", BA_OURS "," TORCH, 32 * K, 5, 0},
    {"question-50", "full", BA_OURS "," TORCH, QUESTION, 11, 5},
    {"warm-8k", "block", BA_OURS, 8 * K, 11, 5},
    {"warm-8k", "released", TORCH, 8 * K, 11, 5},
    {"warm-8k", "ready", TORCH, 8 * K, 11, 5},
    {"warm-8k", "graph", GRAPH, 8 * K, 11, 5},
    {"warm-32k", "block", BA_OURS, 32 * K, 7, 0},
    {"warm-32k", "released", TORCH, 32 * K, 7, 0},
    {"warm-32k", "ready", TORCH, 32 * K, 7, 0},
    {"warm-32k", "graph", GRAPH, 32 * K, 7, 0},
};

/* Arguments of the entrants of one model, as text. */
typedef struct paths {
    char worker[PATH_SIZE + 32], program[PATH_SIZE + 32], ids[PATH_SIZE], request[PATH_SIZE];
    char transformers[PATH_SIZE], gpu_peer[PATH_SIZE], llamacpp[PATH_SIZE], converted[PATH_SIZE], log[PATH_SIZE];
    char threads[16];
} paths;

typedef struct options {
    const char *models, *python, *peers, *converted, *threads, *only;
    ba_named_shape shape;
    bool quick;
    const char *out; /* this and the next two: shared options */
    bool resume, quiet;
} options;

enum { N_ENTRANT = 9, N_GPU_ENTRANT = 3 };

static size_t entrants(const options *w) {
    return w->shape.name ? N_GPU_ENTRANT : N_ENTRANT;
}

/* The entrants [N_ENTRANT]. `p` holds the arguments that are made at run time. */
static void line_up_cpu(ba_entrant *e, const char *model, const options *w, paths *p) {
    const ba_entrant all[N_ENTRANT] = {
        {.name = BA_OURS, .argv = {p->worker, (char *)model, "bf16", p->threads, p->ids}},
        {.name = "ours f32", .argv = {p->worker, (char *)model, "f32", p->threads, p->ids}},
        {.name = "ours openblas", .argv = {p->worker, (char *)model, "openblas", p->threads, p->ids}},
        {.name = "ours avx2",
         .argv = {p->worker, (char *)model, "f32", p->threads, p->ids},
         .setting = "BLOCKATTN_ISA=avx2"},
        {.name = "transformers bf16",
         .argv = {(char *)w->python, p->transformers, p->converted, "bf16", p->threads, p->ids}},
        {.name = "transformers f32",
         .argv = {(char *)w->python, p->transformers, p->converted, "f32", p->threads, p->ids}},
        {.name = "llama.cpp bf16", .argv = {(char *)w->python, p->llamacpp, p->converted, "bf16", p->threads, p->ids}},
        {.name = BA_OURS,
         .argv = {p->program, "logits", "--model", (char *)model, "--dtype", "bf16", "--threads", p->threads,
                  "--request", p->request},
         .command = true,
         .program = "process start to first token, weights mapped"},
        {.name = "converting bf16",
         .argv = {p->program, "logits", "--no-packed", "--model", (char *)model, "--dtype", "bf16", "--threads",
                  p->threads, "--request", p->request},
         .command = true,
         .program = "process start to first token, weights converted from the model"},
    };
    memcpy(e, all, sizeof all);
}

static void line_up_gpu(ba_entrant *e, const char *shape, const options *w, paths *p) {
    e[0] = (ba_entrant){.name = BA_OURS, .argv = {p->worker, (char *)shape, "cuda", p->threads, p->ids}};
    e[1] = (ba_entrant){.name = TORCH,
                        .argv = {(char *)w->python, p->gpu_peer, (char *)shape, "bf16", p->threads, p->ids}};
    e[2] = e[1];
    snprintf(e[2].name, sizeof e[2].name, GRAPH);
}

static void line_up(ba_entrant *e, const char *model, const options *w, paths *p) {
    (w->shape.name ? line_up_gpu : line_up_cpu)(e, model, w, p);
    for (size_t i = 0; i < entrants(w); i++) {
        if (!e[i].argv[0] || !*e[i].argv[0]) {
            e[i].skipped = true;
            snprintf(e[i].program, sizeof e[i].program, "no Python with peers was given");
        }
    }
}

static bool takes_part(const char *list, const char *name) {
    for (const char *at = strstr(list, name); at; at = strstr(at + 1, name)) {
        char end = at[strlen(name)];
        if ((at == list || at[-1] == ',') && (end == ',' || end == '\0')) {
            return true;
        }
    }
    return false;
}

static int add_lanes(ba_race *race, ba_entrant *e, const char *model, const options *w) {
    const char *slash = strrchr(model, '/');
    const work *list = w->shape.name ? gpu_works : works;
    const size_t n = w->shape.name ? sizeof gpu_works / sizeof *gpu_works : sizeof works / sizeof *works;
    for (size_t k = 0; k < n; k++) {
        const work *k_work = &list[k];
        size_t rounds = w->quick ? k_work->quick : k_work->rounds;
        const size_t size[3] = {k_work->length, QUESTION, BLOCK};
        bool wanted = rounds > 0 && (!w->only || takes_part(w->only, k_work->name));
        for (size_t i = 0; wanted && i < entrants(w); i++) {
            bool command = !strcmp(k_work->method, "process");
            if (e[i].command == command && takes_part(k_work->who, e[i].name) &&
                ba_race_add(race, &e[i], slash ? slash + 1 : model, k_work->name, k_work->method, size, rounds)) {
                return BA_EXIT_MACHINE;
            }
        }
    }
    return 0;
}

/* The question alone, for the case that starts the program. */
static int write_request(const char *path, const char *ids) {
    FILE *in = fopen(ids, "r"), *out = fopen(path, "w");
    char id[32];
    for (size_t i = 0; in && out && i < QUESTION && fgets(id, sizeof id, in); i++) {
        fprintf(out, "%s%.*s", i ? ", " : "{\"ids\": [[", (int)strcspn(id, "\n"), id);
    }
    bool fine = in && out && fputs("]]}\n", out) >= 0;
    if (in) {
        fclose(in);
    }
    fine = out && fclose(out) == 0 && fine;
    return fine ? 0 : ba_cli_fail(BA_EXIT_MACHINE, "%s: cannot be written", path);
}

/* Paths of one model; the converted model if it is there, else the model itself. */
static int find_paths(const options *w, const char *model, const char *scratch, size_t index, uint64_t seed, paths *p) {
    char folder[PATH_SIZE - 64];
    const char *slash = strrchr(model, '/'), *name = slash ? slash + 1 : model;
    size_t stem = strlen(name) > 5 && !strcmp(name + strlen(name) - 5, ".gguf") ? strlen(name) - 5 : strlen(name);
    int status = ba_versus_folder(folder, sizeof folder);
    if (status) {
        return status;
    }
    snprintf(p->threads, sizeof p->threads, "%s", w->threads);
    snprintf(p->worker, sizeof p->worker, "%s/bench-worker", folder);
    snprintf(p->program, sizeof p->program, "%s/blockattn", folder);
    snprintf(p->transformers, sizeof p->transformers, "%s/transformers_peer.py", w->peers);
    snprintf(p->gpu_peer, sizeof p->gpu_peer, "%s/gpu_race_peer.py", w->peers);
    snprintf(p->llamacpp, sizeof p->llamacpp, "%s/llamacpp_peer.py", w->peers);
    snprintf(p->ids, sizeof p->ids, "%s/ids-%zu", scratch, index);
    snprintf(p->request, sizeof p->request, "%s/request-%zu.json", scratch, index);
    snprintf(p->log, sizeof p->log, "%s.log", w->out);
    snprintf(p->converted, sizeof p->converted, "%s/%.*s.bf16.gguf", w->converted ? w->converted : "", (int)stem, name);
    if (!w->converted || access(p->converted, R_OK) != 0) {
        snprintf(p->converted, sizeof p->converted, "%s", model);
    }
    status = ba_versus_ids(model, IDS, seed, p->ids);
    return status ? status : write_request(p->request, p->ids);
}

static int split(char *list, char *model[MOST_MODELS], size_t *n) {
    for (char *word; (word = strsep(&list, ","));) {
        if (*n == MOST_MODELS) {
            return ba_cli_fail(BA_EXIT_USAGE, "--models: at most %d", MOST_MODELS);
        }
        if (*word) {
            model[(*n)++] = word;
        }
    }
    return *n ? 0 : ba_cli_fail(BA_EXIT_USAGE, "--models: names no model");
}

typedef struct session {
    ba_race race;
    ba_kernel_rates kernels;
    ba_peak peak;
    char *model[MOST_MODELS];
    size_t n_model, first[MOST_MODELS];
    paths path[MOST_MODELS];
    ba_entrant entrant[MOST_MODELS][N_ENTRANT];
    char scratch[PATH_SIZE / 2];
} session;

static int prepare(session *s, const options *w, int argc, char **argv) {
    for (size_t i = 0; i < s->n_model; i++) {
        int status = find_paths(w, s->model[i], s->scratch, i, s->race.seed, &s->path[i]);
        if (status) {
            return status;
        }
        line_up(s->entrant[i], s->model[i], w, &s->path[i]);
        s->first[i] = s->race.n_lane;
        status = add_lanes(&s->race, s->entrant[i], s->model[i], w);
        if (status) {
            return status;
        }
    }
    if (s->race.n_lane == 0) {
        return ba_cli_fail(BA_EXIT_USAGE, "--only %s: names no case", w->only);
    }
    if (ba_environment_capture(&s->race.env, argc, argv, NULL, strtoul(w->threads, NULL, 10))) {
        return ba_cli_fail(BA_EXIT_MACHINE, "out of memory");
    }
    return ba_race_open(&s->race, w->out, BA_VERSUS_SCHEMA, w->resume);
}

/* On a busy machine threads that spin at a barrier wait for one that has no processor. The others suffer several times
 * more from this than ours, so ratios mean nothing. */
static void warn_if_busy(const options *w) {
    double load[1];
    if (!w->quiet && getloadavg(load, 1) == 1 && load[0] > 0.5 * (double)sysconf(_SC_NPROCESSORS_ONLN)) {
        fprintf(stderr,
                "bench: load %.1f: other programs are running on this machine; do not quote figures of this run\n",
                load[0]);
    }
}

static int measure(session *s, const options *w) {
    char program[PATH_SIZE + 32], folder[PATH_SIZE], err[BA_ERR_LEN];
    size_t threads = strtoul(w->threads, NULL, 10), n = s->race.n_lane;
    int status = ba_versus_folder(folder, sizeof folder);
    if (status) {
        return status;
    }
    snprintf(program, sizeof program, "%s/bench-kernels", folder);
    warn_if_busy(w);
    if (!w->quiet) {
        fputs("peaks and kernels\n", stderr);
    }
    if (ba_peak_measure(threads, &s->peak)) {
        return ba_cli_fail(BA_EXIT_MACHINE, "the peaks of the machine: no memory, or no threads (ulimit -u)");
    }
    if (!w->only && !w->shape.name && ba_kernels_measure(program, threads, &s->kernels, err) && !ba_interrupted()) {
        return ba_cli_fail(BA_EXIT_MACHINE, "%s", err);
    }
    for (size_t i = 0; !status && i < s->n_model; i++) {
        const char *slash = strrchr(s->model[i], '/'), *label = slash ? slash + 1 : s->model[i];
        if (!w->quiet) {
            fprintf(stderr, "%s: starting the programs\n", label);
        }
        s->race.n_lane = i + 1 < s->n_model ? s->first[i + 1] : n; /* lanes of later models have not run yet */
        status = ba_race_run(&s->race, s->first[i], s->entrant[i], entrants(w), label, s->path[i].log);
    }
    s->race.n_lane = n;
    return status;
}

static void remove_scratch(const session *s) {
    for (size_t i = 0; i < s->n_model; i++) {
        unlink(s->path[i].ids);
        unlink(s->path[i].request);
    }
    rmdir(s->scratch);
}

/* Everything of one call; s is closed by the caller. */
static int race(session *s, const options *w, const ba_call *call) {
    int status = ba_versus_scratch(s->scratch, sizeof s->scratch);
    if (status) {
        return status;
    }
    status = prepare(s, w, call->argc, call->argv);
    status = status ? status : measure(s, w);
    if (status == 0 || status == BA_EXIT_INTERRUPTED) {
        int reported = ba_versus_report(&s->race, &s->kernels, &s->peak, status == 0);
        status = status ? status : reported;
    }
    if (status == BA_EXIT_INTERRUPTED) {
        fprintf(stderr, "bench: interrupted; finished samples are kept in %s; make bench RESUME=1 continues\n",
                ba_trace_path(s->race.trace));
    }
    remove_scratch(s);
    return status;
}

static int run(const ba_call *call) {
    options w = *(const options *)call->options;
    ba_common c = *call->common;
    char cores[16];
    c.out = w.out = c.out ? c.out : "results/bench.h5";
    w.resume = c.resume;
    w.quiet = c.quiet;
    int status = ba_out_check(&c, true);
    if (status) {
        return status;
    }
    snprintf(cores, sizeof cores, "%ld", sysconf(_SC_NPROCESSORS_ONLN));
    w.threads = w.threads ? w.threads : cores;
    session *s = calloc(1, sizeof *s);
    if (!w.models == !w.shape.name) {
        free(s);
        return ba_cli_fail(BA_EXIT_USAGE, "give --models or --shape");
    }
    char *list = strdup(w.shape.name ? w.shape.name : w.models);
    if (!s || !list) {
        free(s);
        free(list);
        return ba_cli_fail(BA_EXIT_MACHINE, "out of memory");
    }
    s->race.seed = c.seed;
    s->race.min_time = w.shape.name ? 0.1 : 0.3;
    s->race.quiet = w.quiet;
    status = split(list, s->model, &s->n_model);
    status = status ? status : race(s, &w, call);
    ba_race_close(&s->race);
    free(list);
    free(s);
    return status;
}

#define AT(member) .at = offsetof(options, member)

static const ba_option own[] = {
    {"models", "LIST", BA_FILE, AT(models), .against = "shape", .help = "GGUF files, separated by commas"},
    {"shape", "NAME", BA_SHAPE, AT(shape), .word = ba_shape_word,
     .help = "instead: this shape with random weights, on a GPU, against PyTorch there"},
    {"converted", "DIR", BA_FOLDER, AT(converted),
     .help = "where NAME.bf16.gguf of them are, which the others are given"},
    {"python", "PATH", BA_TEXT, AT(python), .help = "Python that has the others installed; without it only ours run"},
    {"peers", "DIR", BA_FOLDER, AT(peers), .standard = "experiments/peers", .help = "their scripts"},
    {"threads", "N", BA_TEXT, AT(threads), .help = "threads of each; default: all processors"},
    {"only", "LIST", BA_TEXT, AT(only), .help = "some of the cases"},
    {"quick", NULL, BA_FLAG, AT(quick), .help = "fewer rounds, and no long cases"},
    {.name = NULL}};

static const ba_command command = {
    .name = "versus",
    .usage = "--models LIST|--shape NAME [OPTIONS]",
    .about =
        "Ours and others at the same work, in turns, in random order: what `make bench` runs. All get the same token "
        "ids and threads; the clock runs from ids to the first token. The trace is results/bench.h5 without --out.",
    .own = own,
    .size = sizeof(options),
    .takes = BA_TAKES_SEED | BA_TAKES_OUT | BA_TAKES_RESUME | BA_TAKES_QUIET,
    .run = run,
};

int ba_versus_versus(int argc, char **argv) {
    return ba_command_start(&command, NULL, argc, argv);
}

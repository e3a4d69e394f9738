/* The error budget of bf16: what a fast backend computes differs from the oracle by at most twice what plain bf16
 * does, where both are measured by the root of the mean square. Kernel by kernel, then logits of whole prompts. */
#include "tests/support/rig.h"
#include "tests/support/tiny.h"

#include "experiments/cli/cli.h"
#include "experiments/measure/distance.h"
#include "kernels/base/pool.h"
#include "sim/base/random.h"
#include "sim/modes/modes.h"
#include "tests/support/runner.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double BUDGET = 2;

static double distance(const double *a, const double *b, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += (a[i] - b[i]) * (a[i] - b[i]);
    }
    return sqrt(sum / (double)n); /* NaN stays NaN, and every comparison with it fails */
}

/* In order: the reference, plain bf16, the fast backends in bf16. */
enum { RIGHT, PLAIN, FAST, N_BACKEND = FAST + 2 };
static const struct {
    const char *name, *isa;
} backend[N_BACKEND] = {{"ref", NULL}, {"cpu/bf16", "plain"}, {"cpu/bf16", NULL}, {"cuda", NULL}};

static const char *isa_of(size_t i) {
    return backend[i].isa ? backend[i].isa : "best";
}

typedef struct lineup {
    ba_backend *be[N_BACKEND]; /* NULL: not in this build, or not for this processor */
} lineup;

/* false, and the test counts as skipped, if there is no fast backend in bf16. */
static bool lineup_open(lineup *t, size_t threads) {
    bool any = false;
    for (size_t i = 0; i < N_BACKEND; i++) {
        t->be[i] = rig_backend(backend[i].name, threads, backend[i].isa);
        any = any || (i >= FAST && t->be[i]);
        if (!t->be[i]) {
            printf("         %s is not in this build, or not for this machine\n", backend[i].name);
        }
    }
    if (!any) {
        ba_test_skip("neither cpu in bf16 nor cuda is in this build and for this machine");
    }
    return any && t->be[RIGHT] && t->be[PLAIN];
}

static void lineup_close(lineup *t) {
    for (size_t i = 0; i < N_BACKEND; i++) {
        ba_backend_close(t->be[i]);
    }
}

/* ---- attention ---- */

/* Sums of squares over many cases: the ratio of a few numbers depends on chance. */
typedef struct tally {
    double of[N_BACKEND];
} tally;

static void attend(lineup *t, size_t keys, size_t rows, size_t heads, size_t kv_heads, size_t dim, tally *sum) {
    uint64_t seed = keys * 31 + dim + heads;
    scene s = {.heads = heads, .kv_heads = kv_heads, .dim = dim, .rows = rows, .n_kv = 1, .tokens = {keys ? keys : 1}};
    scene_make(&s, &seed);
    size_t n = rows * heads * dim;
    rig_job j = {.job = {.rows = rows, .n_seg = 1}};
    j.seg[0] = (ba_kv_segment){.n = keys, .rot_row = s.n_rot / 2, .score_scale = 1};
    double *right = calloc(n, sizeof *right), *out = calloc(n, sizeof *out);
    CU_ASSERT_FATAL(right && out);
    for (size_t i = 0; i < N_BACKEND; i++) {
        if (t->be[i]) {
            rig r;
            rig_open(&r, &s, t->be[i]);
            rig_attend(&r, &j, 1, i == RIGHT ? right : out);
            rig_close(&r);
            double off = i == RIGHT ? 0 : distance(right, out, n);
            CU_ASSERT(off < 0.02);
            sum->of[i] += off * off * (double)n;
        }
    }
    free(right);
    free(out);
    scene_free(&s);
}

static void hold(const char *what, size_t which, const lineup *t, tally sum) {
    for (size_t i = FAST; i < N_BACKEND; i++) {
        bool held = !t->be[i] || sqrt(sum.of[i]) <= BUDGET * sqrt(sum.of[PLAIN]);
        if (!held) {
            printf("         %s, %s %zu: %.3g times the error of plain bf16\n", backend[i].name, what, which,
                   sqrt(sum.of[i] / sum.of[PLAIN]));
        }
        CU_ASSERT_TRUE(held);
    }
}

static void test_attention(void) {
    static const size_t dims[] = {64, 80, 96, 128, 256}, groups[] = {1, 3, 4, 8}, odd[] = {511, 777, 2049, 4500};
    lineup t;
    if (lineup_open(&t, 2)) {
        for (size_t i = 0; i < sizeof dims / sizeof *dims; i++) {
            tally sum = {0};
            for (size_t keys = 0; keys <= 130; keys++) {
                attend(&t, keys, 2, 2, 1, dims[i], &sum);
            }
            for (size_t k = 0; k < sizeof odd / sizeof *odd; k++) {
                attend(&t, odd[k], 3, 2, 1, dims[i], &sum);
            }
            hold("head dimension", dims[i], &t, sum);
        }
        for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
            tally sum = {0};
            for (size_t rows = 1; rows < 100; rows += 9) {
                attend(&t, 200, rows, 2 * groups[i], 2, 64, &sum);
            }
            hold("group of", groups[i], &t, sum);
        }
    }
    lineup_close(&t);
}

/* ---- logits ---- */

typedef struct runner {
    ba_store *store;
    ba_engine *engine;
} runner;

static runner runner_open(ba_model *model, ba_backend *be) {
    char err[BA_ERR_LEN];
    runner r = {.store = ba_store_new(be, UINT64_C(1) << 30)};
    CU_ASSERT_PTR_NOT_NULL_FATAL(r.store);
    CU_ASSERT_EQUAL_FATAL(ba_engine_new(model, be, r.store, NULL, &r.engine, err), 0);
    return r;
}

static void runner_close(runner *r) {
    ba_engine_free(r->engine);
    ba_store_free(r->store);
}

static void logits_of(runner *r, const ba_prompt *prompt, const char *mode, double *out) {
    char err[BA_ERR_LEN] = "";
    ba_plan *plan = NULL;
    ba_run *run = NULL;
    CU_ASSERT_EQUAL_FATAL(ba_mode_plan(mode, prompt, &plan, err), 0);
    CU_ASSERT_EQUAL_FATAL(ba_engine_run(r->engine, plan, NULL, 0, &run, err), 0);
    memcpy(out, ba_run_logits(run), ba_engine_shape(r->engine)->vocab * sizeof *out);
    ba_run_free(run);
    ba_plan_free(plan);
}

/* Every mode on one prompt, compared with the first of the lineup. The budget is for all modes together, because the
 * error of a single one is one random draw. */
static void hold_modes(ba_model *model, lineup *t, const ba_prompt *prompt, const char *const *mode, size_t n_mode) {
    size_t vocab = ba_model_shape(model)->vocab, layers = ba_model_shape(model)->layers;
    double *out = malloc(N_BACKEND * n_mode * vocab * sizeof *out);
    CU_ASSERT_PTR_NOT_NULL_FATAL(out);
    for (size_t i = 0; i < N_BACKEND; i++) {
        if (t->be[i]) {
            runner r = runner_open(model, t->be[i]);
            for (size_t m = 0; m < n_mode; m++) {
                logits_of(&r, prompt, mode[m], out + (i * n_mode + m) * vocab);
            }
            runner_close(&r);
        }
    }
    tally sum = {0};
    for (size_t m = 0; m < n_mode; m++) {
        const double *right = out + m * vocab;
        double noise = ba_bf16_noise(layers, right, vocab);
        printf("         %-22s logits off by (noise %.2e)", mode[m], noise);
        for (size_t i = PLAIN; i < N_BACKEND; i++) {
            if (t->be[i]) {
                double off = distance(right, right + i * n_mode * vocab, vocab);
                CU_ASSERT(off <= 4 * noise && off >= noise / 8); /* the closed form that ba_merge_limit relies on */
                sum.of[i] += off * off;
                printf(", %.2e in %s (%s)", off, backend[i].name, isa_of(i));
            }
        }
        printf("\n");
    }
    hold("modes:", n_mode, t, sum);
    free(out);
}

/* Without the modes that choose by comparing scores: another choice in bf16 is no error of rounding. */
static const char *const modes[] = {"full",          "block",  "block-nopos", "turborag",         "promptcache",
                                    "pcw",           "lego-0", "sink",        "blockdist",        "kvlink",
                                    "block:n=3",     "ape",    "lego",        "lego:k=3,qbos=no", "cacheblend:r=0",
                                    "cacheblend:r=1"};

static ba_prompt *tiny_prompt(ba_model *model, bool task) {
    enum { N = 6, TOKENS = 217 };
    static const size_t length[N] = {7, 40, 1, 90, 66, 13};
    ba_prompt *prompt = ba_prompt_new(NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(prompt);
    int32_t text[TOKENS];
    uint64_t seed = 5;
    for (size_t i = 0; i < TOKENS; i++) {
        text[i] = (int32_t)ba_random_below(&seed, ba_model_shape(model)->vocab);
    }
    for (size_t i = 0, at = 0; i < N; at += length[i++]) {
        ba_role role = i == 0 ? BA_ROLE_SYSTEM : BA_ROLE_PASSAGE;
        if (i + 1 == N || (task && i + 2 == N)) {
            role = task && i + 1 == N ? BA_ROLE_TASK : BA_ROLE_QUESTION;
        }
        CU_ASSERT_EQUAL_FATAL(ba_prompt_add(prompt, role, text + at, length[i]), 0);
    }
    prompt->bos = 1;
    prompt->newline = 2;
    return prompt;
}

static void test_tiny_model(void) {
    static const char *const with_task[] = {"superposition"};
    lineup t;
    if (lineup_open(&t, 2)) {
        char path[512], err[BA_ERR_LEN];
        ba_model *model;
        snprintf(path, sizeof path, "%s/bf16.gguf", ba_test_dir());
        CU_ASSERT_EQUAL_FATAL(ba_tiny_gguf(path, &(ba_tiny_options){.layers = 4}), 0);
        CU_ASSERT_EQUAL_FATAL(ba_model_open(path, true, &model, err), 0);
        ba_prompt *prompt = tiny_prompt(model, false), *task = tiny_prompt(model, true);
        hold_modes(model, &t, prompt, modes, sizeof modes / sizeof *modes);
        hold_modes(model, &t, task, with_task, 1);
        ba_prompt_free(prompt);
        ba_prompt_free(task);
        ba_model_close(model);
    }
    lineup_close(&t);
}

/* A prompt of tests/golden, by name. */
static ba_prompt *golden_prompt(ba_model *model, const char *name) {
    char path[4096], err[BA_ERR_LEN], *text = NULL;
    size_t len;
    ba_prompt *prompt = NULL;
    ba_tokenizer *tok = NULL;
    ba_test_golden("prompts.json", path, sizeof path);
    CU_ASSERT_EQUAL_FATAL(ba_read_file(path, 16u << 20, &text, &len, err), 0);
    CU_ASSERT_EQUAL_FATAL(ba_tokenizer_new(ba_model_vocab(model), &tok, err), 0);
    cJSON *all = cJSON_ParseWithLength(text, len), *request;
    cJSON_ArrayForEach(request, cJSON_GetObjectItem(all, "requests")) {
        if (!strcmp(cJSON_GetObjectItem(request, "name")->valuestring, name)) {
            cJSON_DeleteItemFromObject(request, "name"); /* a request has none */
            char *one = cJSON_PrintUnformatted(request);
            CU_ASSERT_EQUAL_FATAL(ba_prompt_parse(one, strlen(one), tok, 0, &prompt, err), 0);
            cJSON_free(one);
            break;
        }
    }
    cJSON_Delete(all);
    free(text);
    ba_tokenizer_free(tok);
    CU_ASSERT_PTR_NOT_NULL_FATAL(prompt);
    return prompt;
}

/* A prompt of n tokens from the golden prompts, repeated: system text, passages of at most 128 tokens, question.
 */
static ba_prompt *real_prompt(ba_model *model, size_t n) {
    static const char *const source[] = {"long", "ten", "unequal", "two"};
    enum { PASSAGE = 128, QUESTION = 50 };
    int32_t *text = malloc(n * sizeof *text);
    ba_prompt *prompt = ba_prompt_new(NULL);
    CU_ASSERT_FATAL(text && prompt);
    for (size_t i = 0, got = 0; got < n; i = (i + 1) % (sizeof source / sizeof *source)) {
        ba_prompt *from = golden_prompt(model, source[i]);
        for (size_t s = 0; s < from->n_seg; s++) {
            size_t len = from->seg[s].n < n - got ? from->seg[s].n : n - got;
            memcpy(text + got, from->seg[s].ids, len * sizeof *text);
            got += len;
        }
        prompt->bos = from->bos;
        prompt->newline = from->newline;
        ba_prompt_free(from);
    }
    size_t system = n / 10 < 16 ? n / 10 : 16, question = n / 4 < QUESTION ? n / 4 : QUESTION, end = n - question;
    size_t passage = n / 4 < PASSAGE ? n / 4 : PASSAGE;
    CU_ASSERT_EQUAL_FATAL(ba_prompt_add(prompt, BA_ROLE_SYSTEM, text, system), 0);
    for (size_t at = system; at < end; at += passage) {
        size_t len = end - at < passage ? end - at : passage;
        CU_ASSERT_EQUAL_FATAL(ba_prompt_add(prompt, BA_ROLE_PASSAGE, text + at, len), 0);
    }
    CU_ASSERT_EQUAL_FATAL(ba_prompt_add(prompt, BA_ROLE_QUESTION, text + end, question), 0);
    free(text);
    return prompt;
}

/* fp32 is the reference: the golden logits hold it to 2e-3, a hundredth of the error of bf16. Prompts of 50
 * tokens; longer ones, up to $BLOCKATTN_BUDGET tokens, take from minutes to hours (`make error-budget`). */
static void test_real_model(void) {
    static const size_t lengths[] = {50, 512, 2048, 8192};
    const char *options = getenv("BLOCKATTN_BUDGET");
    size_t most = options ? strtoul(options, NULL, 10) : 0;
    char err[BA_ERR_LEN];
    ba_model *model = NULL;
    lineup t;
    if (BA_SANITIZED || !ba_test_model()) {
        ba_test_skip(BA_SANITIZED ? "under a sanitizer it takes minutes" : "the model is not cached");
        return;
    }
    if (lineup_open(&t, ba_processors())) {
        ba_backend_close(t.be[RIGHT]);
        t.be[RIGHT] = rig_backend("cpu", ba_processors(), NULL);
        CU_ASSERT_PTR_NOT_NULL_FATAL(t.be[RIGHT]);
        CU_ASSERT_EQUAL_FATAL(ba_model_open(ba_test_model(), true, &model, err), 0);
        for (size_t i = 0; i < sizeof lengths / sizeof *lengths && (i == 0 || lengths[i] <= most); i++) {
            ba_prompt *prompt = real_prompt(model, lengths[i]);
            printf("         %zu tokens\n", lengths[i]);
            fflush(stdout);
            hold_modes(model, &t, prompt, modes, sizeof modes / sizeof *modes);
            fflush(stdout);
            ba_prompt_free(prompt);
        }
        ba_model_close(model);
    }
    lineup_close(&t);
}

int ba_suite_bf16(void) {
    CU_pSuite suite = CU_add_suite("bf16", NULL, NULL);
    return !suite ||
           !CU_add_test(suite, "attention: any length, head size and group within the budget", test_attention) ||
           !CU_add_test(suite, "logits of the tiny model within the budget", test_tiny_model) ||
           !CU_add_test(suite, "logits of the real model within the budget, in every mode", test_real_model);
}

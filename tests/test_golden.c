/* Logits of the real model against golden ones: every tests/golden/MODE.json is one test. Who made them, and how:
 * tests/golden/README.md. A file holds {"results": [{"mode", "prompt", "n_tokens", "ids", "values", "logsumexp"}]},
 * the 64 largest logits of each; prompts.json holds the prompts by name and the size of the model file. */
#include "runner.h"

#include "../experiments/cli.h"
#include "../kernels/compare.h"
#include "../sim/modes.h"

#include <cjson/cJSON.h>
#include <glob.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_TOP     64
#define MAX_FIGURES 128

/* What a mode came to, over its prompts. */
typedef struct figures {
    char mode[64];
    size_t n;
    double logit, lse;
} figures;

/* CUnit's callbacks carry no argument of ours: what they need lives here. */
static struct {
    ba_bench bench;
    cJSON *prompts;
    char folder[4096];
    const char *skip; /* why nothing can be compared, or NULL */
    figures figure[MAX_FIGURES];
    size_t n_figure;
} state;

static cJSON *load(const char *name) {
    char path[8192], err[BA_ERR_LEN] = "", *text = NULL;
    size_t len;
    snprintf(path, sizeof path, "%s/%s.json", state.folder, name);
    if (ba_read_file(path, 16u << 20, &text, &len, err) != 0) {
        printf("         %s\n", err);
        return NULL;
    }
    cJSON *json = cJSON_ParseWithLength(text, len);
    free(text);
    return json;
}

/* The folder beside this file; the tests run where they were compiled. */
static void find_folder(void) {
    const char *slash = strrchr(__FILE__, '/');
    snprintf(state.folder, sizeof state.folder, "%.*s/golden", slash ? (int)(slash - __FILE__) : 1,
             slash ? __FILE__ : ".");
}

static int set_up(void) {
    const char *model = ba_test_model();
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    const ba_common common = {.model = model,
                              .mode = "full",
                              .dtype = "auto",
                              .backend = "openblas",
                              .store = "ram:512M",
                              .threads = processors > 0 ? (size_t)processors : 1,
                              .quiet = true};
    if (!model) {
        state.skip = "the model is not cached";
        return 0;
    }
    if (!(state.prompts = load("prompts")) || ba_bench_open(&common, &state.bench) != 0) {
        return -1;
    }
    const cJSON *bytes = cJSON_GetObjectItem(state.prompts, "model_bytes");
    if (!bytes || bytes->valuedouble != (double)ba_model_file_bytes(state.bench.model)) {
        state.skip = "the model is not the one that the golden logits were taken on";
    }
    return 0;
}

static int tear_down(void) {
    if (state.n_figure) {
        printf("\n%-45s %8s %14s %12s\n", "against golden logits: mode", "prompts", "max |dlogit|", "|dlogsumexp|");
    }
    for (size_t i = 0; i < state.n_figure; i++) {
        const figures *f = &state.figure[i];
        printf("%-45s %8zu %14.2e %12.2e\n", f->mode, f->n, f->logit, f->lse);
    }
    cJSON_Delete(state.prompts);
    ba_bench_close(&state.bench);
    return 0;
}

static figures *figures_of(const char *mode) {
    for (size_t i = 0; i < state.n_figure; i++) {
        if (strcmp(state.figure[i].mode, mode) == 0) {
            return &state.figure[i];
        }
    }
    if (state.n_figure == MAX_FIGURES) {
        return NULL;
    }
    figures *f = &state.figure[state.n_figure++];
    snprintf(f->mode, sizeof f->mode, "%s", mode);
    return f;
}

/* The prompt of that name as the program itself reads requests, with the model's BOS and line feed. */
static ba_prompt *prompt_by_name(const char *name, char err[BA_ERR_LEN]) {
    const cJSON *request;
    ba_prompt *prompt = NULL;
    cJSON_ArrayForEach(request, cJSON_GetObjectItem(state.prompts, "requests")) {
        if (strcmp(cJSON_GetObjectItem(request, "name")->valuestring, name) != 0) {
            continue;
        }
        cJSON *only = cJSON_CreateObject(); /* a request has no name */
        cJSON_AddItemReferenceToObject(only, "ids", cJSON_GetObjectItem(request, "ids"));
        cJSON_AddItemReferenceToObject(only, "roles", cJSON_GetObjectItem(request, "roles"));
        char *text = cJSON_PrintUnformatted(only);
        cJSON_Delete(only);
        if (text && ba_prompt_parse(text, strlen(text), state.bench.tok, 0, &prompt, err) != 0) {
            prompt = NULL;
        }
        cJSON_free(text);
        return prompt;
    }
    ba_fail(err, "prompts.json has no prompt '%s'", name);
    return NULL;
}

/* Logits of a mode on a prompt against one stored result. false, with a line, if they differ by more than the limits.
 */
static bool compare(const cJSON *result, double logit_limit, double lse_limit) {
    const char *mode = cJSON_GetObjectItem(result, "mode")->valuestring;
    const char *name = cJSON_GetObjectItem(result, "prompt")->valuestring;
    const cJSON *ids = cJSON_GetObjectItem(result, "ids"), *values = cJSON_GetObjectItem(result, "values");
    double want[MAX_TOP], got[MAX_TOP], n_tokens = cJSON_GetObjectItem(result, "n_tokens")->valuedouble;
    char err[BA_ERR_LEN] = "";
    size_t n = 0, vocab = ba_engine_shape(state.bench.engine)->vocab;
    const double *logits = NULL;
    ba_prompt *prompt = prompt_by_name(name, err);
    ba_plan *plan = NULL;
    ba_run *run = NULL;
    bool held = false;

    if (prompt && ba_mode_plan(mode, prompt, &plan, err) == 0 &&
        ba_engine_run(state.bench.engine, plan, &(ba_engine_options){0}, 0, &run, err) == 0) {
        logits = ba_run_logits(run);
    }
    if (!logits) {
        printf("         %s on '%s': %s\n", mode, name, err);
    } else {
        const cJSON *id = ids->child, *value = values->child;
        for (; n < MAX_TOP && id && value && id->valueint >= 0 && (size_t)id->valueint < vocab; n++) {
            want[n] = value->valuedouble;
            got[n] = logits[id->valueint];
            id = id->next;
            value = value->next;
        }
        ba_distance d = ba_compare(want, got, n);
        double lse = fabs(ba_logsumexp(logits, vocab) - cJSON_GetObjectItem(result, "logsumexp")->valuedouble);
        held = n == MAX_TOP && d.finite && d.max_abs <= logit_limit && lse <= lse_limit &&
               n_tokens == (double)plan->n_tokens;
        figures *f = figures_of(mode);
        if (f) {
            f->n++;
            f->logit = fmax(f->logit, d.max_abs);
            f->lse = fmax(f->lse, lse);
        }
        if (!held) {
            printf("         %s on '%s': max |dlogit| %.3g (id %d), |dlogsumexp| %.3g, %zu tokens for %.0f\n", mode,
                   name, d.max_abs, n ? cJSON_GetArrayItem(ids, (int)d.worst)->valueint : -1, lse, plan->n_tokens,
                   n_tokens);
        }
    }
    ba_run_free(run);
    ba_plan_free(plan);
    ba_prompt_free(prompt);
    return held;
}

/* One file: the one that the running test is named after. */
static void golden(void) {
    const char *name = CU_get_current_test()->pName;
    /* transformers' own logits are held to tighter limits than our reading of the other modes */
    bool base = strcmp(name, "full") == 0 || strcmp(name, "block") == 0;
    if (state.skip) {
        ba_test_skip(state.skip);
        return;
    }
    cJSON *file = load(name);
    const cJSON *result, *results = cJSON_GetObjectItem(file, "results");
    CU_ASSERT_TRUE(cJSON_GetArraySize(results) > 0);
    cJSON_ArrayForEach(result, results) {
        CU_ASSERT_TRUE(compare(result, base ? 2e-3 : 5e-3, base ? 1e-3 : 2e-3));
    }
    cJSON_Delete(file);
}

static void nothing_found(void) {
    CU_FAIL("tests/golden/*.json: none found; run the tests from the root of the repository");
}

int ba_suite_golden(void) {
    char pattern[8192];
    glob_t files;
    CU_pSuite s = CU_add_suite("golden", set_up, tear_down);
    bool ok = s != NULL;
    size_t n = 0;
    find_folder();
    snprintf(pattern, sizeof pattern, "%s/*.json", state.folder);
    if (glob(pattern, 0, NULL, &files) == 0) {
        for (size_t i = 0; ok && i < files.gl_pathc; i++) {
            char name[256];
            const char *base = strrchr(files.gl_pathv[i], '/') + 1;
            snprintf(name, sizeof name, "%.*s", (int)(strlen(base) - strlen(".json")), base);
            if (strcmp(name, "prompts") != 0) {
                ok = CU_add_test(s, name, golden) != NULL;
                n++;
            }
        }
        globfree(&files);
    }
    return ok && (n || CU_add_test(s, "files", nothing_found)) ? 0 : -1;
}

/* Logits against golden ones. For real models every tests/golden/MODE.json (the default model), gemma3/MODE.json (Gemma 3
 * 270M) and qwen2.5-0.5b/MODE.json (Qwen2.5-Coder 0.5B), the last two where they are cached, is one test, on the prompts of the prompts.json in
 * the same folder. For a tiny random model of every architecture tests/golden/tiny/ARCH has model, prompts and logits.
 * tests/golden/README.md says how they were made. A result is {"mode", "prompt", "n_tokens", "ids", "values",
 * "logsumexp"}: the 64 largest logits of a mode on a prompt, and the log-sum-exp of all. */
#include "tests/support/plans.h"
#include "tests/support/runner.h"

#include "experiments/cli/cli.h"
#include "experiments/gate/gate.h"
#include "kernels/base/compare.h"
#include "kernels/base/pool.h"
#include "sim/modes/modes.h"

#include <cjson/cJSON.h>
#include <glob.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TINY        "tiny/"
#define GEMMA       "gemma3/"
#define QWEN        "qwen2.5-0.5b/"
#define TOP         64
#define MAX_FIGURES 128

enum { SANITIZED_TOKENS = 400 };

typedef struct limits {
    double logit, lse;
} limits;

/* Limits are tighter for logits of transformers than for those of the oracle. */
static const limits by_transformers = {2e-3, 1e-3}, by_oracle = {5e-3, 2e-3};

/* The largest differences of a mode, over its prompts. */
typedef struct figures {
    char label[80];
    size_t n;
    double logit, lse;
    size_t held, asked; /* properties, of the real models' modes */
} figures;

/* A real model, opened by the first test that needs it. */
typedef struct real {
    const char *folder, *file; /* of the golden logits; of the model, in the default model's folder (NULL: that one) */
    const char *label, *missing;
    bool tried;
    ba_session bench;
    cJSON *prompts;
    const char *skip; /* why it cannot be compared, or NULL */
} real;

/* CUnit's callbacks take no argument, so their state is global. */
static struct {
    real model[3];
    figures figure[MAX_FIGURES];
    size_t n_figure;
} state;

static void path_of(const char *name, const char *suffix, char *path, size_t size) {
    char file[512];
    snprintf(file, sizeof file, "%s%s", name, suffix);
    ba_test_golden(file, path, size);
}

static cJSON *load(const char *name) {
    char path[4096], err[BA_ERR_LEN] = "", *text = NULL;
    size_t len;
    path_of(name, ".json", path, sizeof path);
    if (ba_read_file(path, 16u << 20, &text, &len, err) != 0) {
        printf("         %s\n", err);
        return NULL;
    }
    cJSON *json = cJSON_ParseWithLength(text, len);
    free(text);
    return json;
}

static int open_model(const char *path, ba_session *bench) {
    const ba_common common = {.model = path,
                              .mode = "full",
                              .dtype = "auto",
                              .backend = "auto",
                              .store = "ram:512M",
                              .threads = ba_processors(),
                              .quiet = true};
    return ba_session_open(&common, bench);
}

/* Fills prompts, session and skip. */
static void open_real(real *m) {
    const char *model = ba_test_model(), *slash = model ? strrchr(model, '/') : NULL;
    char path[4096], prompts[64];
    m->tried = true;
    m->skip = m->missing;
    if (!model) {
        return;
    }
    snprintf(path, sizeof path, "%.*s%s", m->file ? (int)(slash ? slash + 1 - model : 0) : 4095, model,
             m->file ? m->file : "");
    if (access(path, R_OK) != 0) {
        return;
    }
    snprintf(prompts, sizeof prompts, "%sprompts", m->folder);
    m->prompts = load(prompts);
    m->skip = m->prompts && open_model(path, &m->bench) == 0 ? NULL : "the model cannot be opened";
    const cJSON *bytes = cJSON_GetObjectItem(m->prompts, "model_bytes");
    CU_ASSERT_PTR_NOT_NULL(bytes);
    if (!m->skip && bytes && bytes->valuedouble != (double)ba_model_file_bytes(m->bench.model)) {
        m->skip = "the model is not the one that the golden logits were taken on";
    }
}

static int set_up(void) {
    state.model[0] = (real){.folder = "", .label = "", .missing = "the model is not cached"};
    state.model[1] = (real){.folder = GEMMA,
                            .file = "gemma-3-270m.Q4_K_M.gguf",
                            .label = "gemma3-270m",
                            .missing = "Gemma 3 270M is not cached; make gemma gets it"};
    state.model[2] = (real){.folder = QWEN,
                            .file = "Qwen2.5-Coder-0.5B-Instruct.Q4_K_M.gguf",
                            .label = "qwen2.5-0.5b",
                            .missing = "Qwen2.5-Coder 0.5B is not cached; make qwen-small gets it"};
    return 0;
}

static int tear_down(void) {
    if (state.n_figure) {
        printf("\n%-45s %8s %14s %12s %11s\n", "against golden logits: mode", "prompts", "max |dlogit|", "|dlogsumexp|",
               "properties");
    }
    for (size_t i = 0; i < state.n_figure; i++) {
        const figures *f = &state.figure[i];
        char held[32] = "";
        if (f->asked) {
            snprintf(held, sizeof held, "%zu of %zu", f->held, f->asked);
        }
        printf("%-45s %8zu %14.2e %12.2e %11s\n", f->label, f->n, f->logit, f->lse, held);
    }
    for (size_t i = 0; i < sizeof state.model / sizeof *state.model; i++) {
        cJSON_Delete(state.model[i].prompts);
        ba_session_close(&state.model[i].bench);
    }
    return 0;
}

/* The row of a mode, appended if it is new; the last row if the table is full. */
static figures *figures_of(const char *model, const char *mode) {
    char label[sizeof state.figure->label];
    size_t i = 0;
    snprintf(label, sizeof label, "%s%s%s", model, *model ? " " : "", mode);
    while (i < state.n_figure && strcmp(state.figure[i].label, label) != 0) {
        i++;
    }
    i = i < MAX_FIGURES ? i : MAX_FIGURES - 1;
    if (i == state.n_figure) {
        memcpy(state.figure[i].label, label, sizeof label);
        state.n_figure++;
    }
    return &state.figure[i];
}

static void record(const char *model, const char *mode, double logit, double lse) {
    figures *f = figures_of(model, mode);
    f->n++;
    f->logit = fmax(f->logit, logit);
    f->lse = fmax(f->lse, lse);
}

/* The prompt of that name as the program itself reads requests, with the model's BOS and line feed. NULL and err. */
static ba_prompt *prompt_by_name(const ba_session *bench, const cJSON *requests, const char *name,
                                 char err[BA_ERR_LEN]) {
    const cJSON *request;
    ba_prompt *prompt = NULL;
    cJSON_ArrayForEach(request, requests) {
        if (strcmp(cJSON_GetObjectItem(request, "name")->valuestring, name) != 0) {
            continue;
        }
        cJSON *only = cJSON_CreateObject(); /* a request has no name */
        cJSON_AddItemReferenceToObject(only, "ids", cJSON_GetObjectItem(request, "ids"));
        cJSON_AddItemReferenceToObject(only, "roles", cJSON_GetObjectItem(request, "roles"));
        char *text = cJSON_PrintUnformatted(only);
        cJSON_Delete(only);
        if (text && ba_prompt_parse(text, strlen(text), bench->tok, 0, &prompt, err) != 0) {
            prompt = NULL;
        }
        cJSON_free(text);
        return prompt;
    }
    ba_fail(err, "there is no prompt '%s'", name);
    return NULL;
}

/* Logits and number of tokens against one golden result. false, and a printed line, if they differ by more than the
 * limits. */
static bool compare(const char *model, const double *logits, size_t vocab, size_t n_tokens, const cJSON *result,
                    limits limit) {
    const char *mode = cJSON_GetObjectItem(result, "mode")->valuestring;
    const cJSON *id = cJSON_GetObjectItem(result, "ids")->child, *value = cJSON_GetObjectItem(result, "values")->child;
    double want[TOP], got[TOP], tokens = cJSON_GetObjectItem(result, "n_tokens")->valuedouble;
    int ids[TOP] = {0};
    size_t n = 0;
    for (; n < TOP && id && value && id->valueint >= 0 && (size_t)id->valueint < vocab; n++) {
        ids[n] = id->valueint;
        want[n] = value->valuedouble;
        got[n] = logits[id->valueint];
        id = id->next;
        value = value->next;
    }
    ba_distance d = n == TOP ? ba_compare(want, got, n) : (ba_distance){.max_abs = INFINITY};
    double lse = fabs(ba_logsumexp(logits, vocab) - cJSON_GetObjectItem(result, "logsumexp")->valuedouble);
    bool held = d.finite && d.max_abs <= limit.logit && lse <= limit.lse && tokens == (double)n_tokens;
    record(model, mode, d.max_abs, lse);
    if (!held) {
        printf("         %s %s on '%s': max |dlogit| %.3g (id %d), |dlogsumexp| %.3g, %zu tokens for %.0f\n", model,
               mode, cJSON_GetObjectItem(result, "prompt")->valuestring, d.max_abs, ids[d.worst], lse, n_tokens,
               tokens);
    }
    return held;
}

/* Gives the prompt the one before it, if the result has one: the same with other ids in a segment. *out is the caller's.
 * -1 and err. */
static int add_previous(ba_prompt *prompt, const cJSON *result, ba_prompt **out, char err[BA_ERR_LEN]) {
    const cJSON *before = cJSON_GetObjectItem(result, "before"), *id;
    if (!before) {
        return 0;
    }
    int32_t ids[2048];
    size_t n = 0, at = (size_t)cJSON_GetObjectItem(before, "segment")->valueint;
    cJSON_ArrayForEach(id, cJSON_GetObjectItem(before, "ids")) {
        if (n == sizeof ids / sizeof *ids) {
            return ba_fail(err, "field before: more than %zu ids", n);
        }
        ids[n++] = id->valueint;
    }
    prompt->previous = *out = ba_prompt_new(NULL);
    int rc = *out ? 0 : -1;
    for (size_t i = 0; !rc && i < prompt->n_seg; i++) {
        const ba_segment *seg = &prompt->seg[i];
        rc = ba_prompt_add(*out, seg->role, i == at ? ids : seg->ids, i == at ? n : seg->n);
    }
    return rc ? ba_fail(err, "out of memory") : 0;
}

/* Runs one golden result's mode on its prompt and compares. */
static bool check(const char *model, const ba_session *bench, const cJSON *requests, const cJSON *result,
                  limits limit) {
    const char *mode = cJSON_GetObjectItem(result, "mode")->valuestring;
    const char *name = cJSON_GetObjectItem(result, "prompt")->valuestring;
    char err[BA_ERR_LEN] = "interrupted";
    ba_prompt *prompt = prompt_by_name(bench, requests, name, err), *previous = NULL;
    ba_plan *plan = NULL;
    ba_run *run = NULL;
    const double *logits = NULL;
    if (prompt && add_previous(prompt, result, &previous, err) == 0 && ba_mode_plan(mode, prompt, &plan, err) == 0 &&
        ba_engine_run(bench->engine, plan, &(ba_engine_options){0}, 0, &run, err) == 0) {
        logits = ba_run_logits(run);
    }
    bool held = logits && compare(model, logits, ba_engine_shape(bench->engine)->vocab, plan->n_tokens, result, limit);
    if (!logits) {
        printf("         %s %s on '%s': %s\n", model, mode, name, err);
    }
    ba_run_free(run);
    ba_plan_free(plan);
    ba_prompt_free(previous);
    ba_prompt_free(prompt);
    return held;
}

/* All results of a file, of which there must be at least one; under a sanitizer, which takes ten times as long, only
 * those of the shorter prompts. */
static void check_file(const char *model, const ba_session *bench, const cJSON *requests, const cJSON *file,
                       limits limit) {
    const cJSON *result, *results = cJSON_GetObjectItem(file, "results");
    CU_ASSERT_TRUE(cJSON_GetArraySize(results) > 0);
    cJSON_ArrayForEach(result, results) {
        if (BA_SANITIZED && cJSON_GetObjectItem(result, "n_tokens")->valueint > SANITIZED_TOKENS) {
            continue;
        }
        CU_ASSERT_TRUE(check(model, bench, cJSON_GetObjectItem(requests, "requests"), result, limit));
    }
}

/* A short prompt of arbitrary ids, with a passage of one token and a repeated passage. NULL: out of memory. */
static ba_prompt *short_prompt(const ba_session *bench) {
    static const struct {
        ba_role role;
        int32_t first;
        size_t n;
    } segment[] = {{BA_ROLE_SYSTEM, 500, 3},    {BA_ROLE_PASSAGE, 1000, 17}, {BA_ROLE_PASSAGE, 2000, 1},
                   {BA_ROLE_PASSAGE, 1000, 17}, {BA_ROLE_PASSAGE, 3000, 12}, {BA_ROLE_QUESTION, 4000, 7},
                   {BA_ROLE_TASK, 5000, 3}};
    ba_prompt *prompt = ba_prompt_new(bench->tok);
    int rc = prompt ? 0 : -1;
    for (size_t i = 0; !rc && i < sizeof segment / sizeof *segment; i++) {
        int32_t ids[17];
        for (size_t k = 0; k < segment[i].n; k++) {
            ids[k] = segment[i].first + 7 * (int32_t)k;
        }
        rc = ba_prompt_add(prompt, segment[i].role, ids, segment[i].n);
    }
    if (rc) {
        ba_prompt_free(prompt);
        return NULL;
    }
    return prompt;
}

/* The gate's properties for the first mode of a file: cached = computed, any batching, folded = full, rotated keys =
 * rotated queries, switch of mode in mid-conversation, FLOPs counted = closed form. */
static void check_properties(const char *model, const ba_session *bench, const cJSON *file) {
    const char *mode = cJSON_GetObjectItem(cJSON_GetObjectItem(file, "results")->child, "mode")->valuestring;
    char err[BA_ERR_LEN];
    const ba_engine_options opt = {.max_rows = 24}; /* so that the gate's other pass size differs */
    ba_reference full = {0};
    ba_gate_row row;
    ba_prompt *prompt = short_prompt(bench);
    CU_ASSERT_PTR_NOT_NULL_FATAL(prompt);
    int rc = ba_reference_make(bench->engine, prompt, NULL, 0, 4, &opt, &full, err);
    rc = rc ? rc : ba_gate_mode(bench->engine, bench->store, &full, mode, true, &opt, &row, err);
    CU_ASSERT_EQUAL(rc, 0);
    figures *f = figures_of(model, mode);
    for (ba_identity i = 0; !rc && i < BA_IDENTITIES; i++) {
        f->held += row.held[i] == BA_HELD;
        f->asked += row.held[i] != BA_NOT_ASKED;
        if (row.held[i] == BA_BROKEN) {
            printf("         %s %s: property '%s' does not hold\n", model, mode, ba_identity_name(i));
            CU_FAIL("a property does not hold");
        }
    }
    ba_reference_free(&full);
    ba_prompt_free(prompt);
}

/* The real model whose folder a test's name begins with. */
static real *model_of(const char *name) {
    size_t i = sizeof state.model / sizeof *state.model - 1;
    while (i && strncmp(name, state.model[i].folder, strlen(state.model[i].folder)) != 0) {
        i--;
    }
    return &state.model[i];
}

/* A real model in one mode; the running test has their names. */
static void real_model(void) {
    const char *name = CU_get_current_test()->pName, *slash = strchr(name, '/'), *mode = slash ? slash + 1 : name;
    bool base = strcmp(mode, "full") == 0 || strcmp(mode, "block") == 0;
    real *m = model_of(name);
    if (BA_SANITIZED && (slash || strcmp(mode, "block") != 0)) {
        ba_test_skip("under a sanitizer only the default model in block mode is run");
        return;
    }
    if (!m->tried) {
        open_real(m);
    }
    if (m->skip) {
        ba_test_skip(m->skip);
        return;
    }
    cJSON *file = load(name);
    check_file(m->label, &m->bench, m->prompts, file, base ? by_transformers : by_oracle);
    check_properties(m->label, &m->bench, file);
    cJSON_Delete(file);
}

/* A tiny model; the running test has its name. */
static void tiny_model(void) {
    const char *name = CU_get_current_test()->pName;
    char golden[256], folder[4096];
    ba_session bench;
    snprintf(golden, sizeof golden, "%s/golden", name);
    path_of(name, "", folder, sizeof folder);
    cJSON *file = load(golden);
    int status = open_model(folder, &bench);
    CU_ASSERT_EQUAL(status, 0);
    if (!status) {
        check_file(name, &bench, file, file, by_transformers);
        ba_session_close(&bench);
    }
    cJSON_Delete(file);
}

/* A mode without golden logits would be compared with nothing. */
static void every_mode_has_a_file(void) {
    const ba_mode *m;
    char path[4096];
    for (size_t i = 0; (m = ba_mode_at(i)); i++) {
        path_of(m->name, ".json", path, sizeof path);
        if (access(path, R_OK) != 0) {
            printf("         mode %s has no tests/golden/%s.json; tests/golden/README.md says how to make one\n",
                   m->name, m->name);
            CU_FAIL("a mode has no golden logits");
        }
    }
}

static void nothing_found(void) {
    CU_FAIL("no golden files: run the tests from the folder where they were compiled");
}

/* Adds a test for every file or folder that matches the pattern, with its path inside FOLDER, without suffix, as name.
 */
static bool add_tests(CU_pSuite suite, const char *pattern, const char *suffix, CU_TestFunc test) {
    char path[4096], name[256];
    glob_t files;
    bool ok = true;
    path_of(pattern, suffix, path, sizeof path);
    if (glob(path, 0, NULL, &files) != 0) {
        return CU_add_test(suite, pattern, nothing_found) != NULL;
    }
    for (size_t i = 0; ok && i < files.gl_pathc; i++) {
        const char *found = files.gl_pathv[i] + strlen(path) - strlen(pattern) - strlen(suffix);
        snprintf(name, sizeof name, "%.*s", (int)(strlen(found) - strlen(suffix)), found);
        const char *last = strrchr(name, '/');
        ok = strcmp(last ? last + 1 : name, "prompts") == 0 || CU_add_test(suite, name, test) != NULL;
    }
    globfree(&files);
    return ok;
}

int ba_suite_golden(void) {
    CU_pSuite s = CU_add_suite("golden", set_up, tear_down);
    return s && CU_add_test(s, "every mode has a file", every_mode_has_a_file) &&
                   add_tests(s, TINY "*", "", tiny_model) && add_tests(s, "*", ".json", real_model) &&
                   add_tests(s, GEMMA "*", ".json", real_model) && add_tests(s, QWEN "*", ".json", real_model)
               ? 0
               : -1;
}

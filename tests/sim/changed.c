/* Changed config.json files and adapters of the tiny golden models (tests/golden/changed/golden.json, made by
 * tests/differential/golden.py): the logits are those of transformers and PEFT, or the model is refused in the expected
 * words. What the differential tests generate in hundreds, in a small part and without Python. */
#include "tests/support/rig.h"
#include "tests/support/runner.h"

#include "experiments/cli/cli.h"
#include "sim/files/safetensors_write.h"
#include "sim/model/adapter.h"
#include "sim/modes/modes.h"

#include <cjson/cJSON.h>
#include <glob.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_TENSORS = 64 };

static cJSON *load(const char *path) {
    char err[BA_ERR_LEN] = "", *text = NULL;
    size_t len;
    CU_ASSERT_EQUAL_FATAL(ba_read_file(path, 1 << 22, &text, &len, err), 0);
    cJSON *json = cJSON_ParseWithLength(text, len);
    free(text);
    CU_ASSERT_PTR_NOT_NULL_FATAL(json);
    return json;
}

static void save(const char *folder, const char *name, const cJSON *json) {
    char path[4300], *text = cJSON_Print(json);
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "w");
    CU_ASSERT_FATAL(text && f);
    CU_ASSERT(fputs(text, f) >= 0 && fclose(f) == 0);
    cJSON_free(text);
}

/* The base's files, with its configuration changed: a null takes a field away, but a window is switched off by it. */
static void make_model(const cJSON *entry, const char *folder) {
    char base[4096], pattern[4200], path[4400];
    glob_t found;
    snprintf(path, sizeof path, "tiny/%s", cJSON_GetObjectItem(entry, "base")->valuestring);
    ba_test_golden(path, base, sizeof base);
    snprintf(pattern, sizeof pattern, "%s/*", base);
    CU_ASSERT_EQUAL_FATAL(glob(pattern, 0, NULL, &found), 0);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        const char *name = strrchr(found.gl_pathv[i], '/') + 1;
        char *whole = realpath(found.gl_pathv[i], NULL);
        snprintf(path, sizeof path, "%s/%s", folder, name);
        unlink(path);
        CU_ASSERT_FATAL(whole && (strcmp(name, "config.json") == 0 || symlink(whole, path) == 0));
        free(whole);
    }
    globfree(&found);
    snprintf(path, sizeof path, "%s/config.json", base);
    cJSON *config = load(path);
    const cJSON *change;
    cJSON_ArrayForEach(change, cJSON_GetObjectItem(entry, "config")) {
        cJSON_DeleteItemFromObjectCaseSensitive(config, change->string);
        if (!cJSON_IsNull(change) || strcmp(change->string, "sliding_window") == 0) {
            cJSON_AddItemToObject(config, change->string, cJSON_Duplicate(change, true));
        }
    }
    save(folder, "config.json", config);
    cJSON_Delete(config);
}

static int read_values(void *arg, size_t k, float *values) {
    const ba_tensor_out *t = (const ba_tensor_out *)arg + k;
    for (size_t i = 0; i < t->rows * t->cols; i++) {
        values[i] = (float)((double)(long)((k * 31 + i * 17) % 23) - 11) / 64;
    }
    return 0;
}

static void make_adapter(const cJSON *entry, const char *folder) {
    ba_tensor_out out[MAX_TENSORS];
    size_t n = 0;
    char path[4300], err[BA_ERR_LEN] = "";
    const cJSON *t;
    cJSON_ArrayForEach(t, cJSON_GetObjectItem(entry, "tensors")) {
        CU_ASSERT_FATAL(n < MAX_TENSORS);
        out[n++] = (ba_tensor_out){cJSON_GetArrayItem(t, 0)->valuestring, (size_t)cJSON_GetArrayItem(t, 1)->valueint,
                                   (size_t)cJSON_GetArrayItem(t, 2)->valueint, BA_F32, false};
    }
    snprintf(path, sizeof path, "%s/adapter_model.safetensors", folder);
    CU_ASSERT_EQUAL_FATAL(ba_safetensors_write(path, out, n, NULL, 0, read_values, out, err), 0);
    save(folder, "adapter_config.json", cJSON_GetObjectItem(entry, "adapter"));
}

/* The largest distance from the golden logits, over the largest of these. */
static double distance(ba_model *model, const cJSON *ids, const cJSON *values) {
    char err[BA_ERR_LEN] = "";
    int32_t list[64];
    size_t n = 0;
    double far = 0, scale = 1;
    const cJSON *v;
    cJSON_ArrayForEach(v, ids) {
        list[n++] = v->valueint;
    }
    ba_prompt *prompt = ba_prompt_new(NULL);
    ba_plan *plan = NULL;
    ba_engine *engine = NULL;
    ba_run *run = NULL;
    ba_backend *be = rig_backend("ref", 1, NULL);
    CU_ASSERT_FATAL(prompt && be && ba_prompt_add(prompt, BA_ROLE_QUESTION, list, n) == 0);
    CU_ASSERT_EQUAL_FATAL(ba_mode_plan("full", prompt, &plan, err), 0);
    CU_ASSERT_EQUAL_FATAL(ba_engine_new(model, be, NULL, NULL, &engine, err), 0);
    CU_ASSERT_EQUAL_FATAL(ba_engine_run(engine, plan, &(ba_engine_options){0}, 0, &run, err), 0);
    const double *logits = ba_run_logits(run);
    n = 0;
    cJSON_ArrayForEach(v, values) {
        double d = fabs(logits[n++] - v->valuedouble);
        far = d <= far ? far : d; /* NaN is kept */
        scale = fmax(scale, fabs(v->valuedouble));
    }
    ba_run_free(run);
    ba_engine_free(engine);
    ba_plan_free(plan);
    ba_prompt_free(prompt);
    ba_backend_close(be);
    return far / scale;
}

static bool check(const cJSON *entry, const cJSON *ids, double *farthest) {
    char folder[4200], err[BA_ERR_LEN] = "";
    const cJSON *refused = cJSON_GetObjectItem(entry, "refused"), *values = cJSON_GetObjectItem(entry, "values");
    ba_model *model = NULL;
    snprintf(folder, sizeof folder, "%s/changed-%s", ba_test_dir(), cJSON_GetObjectItem(entry, "base")->valuestring);
    mkdir(folder, 0700);
    make_model(entry, folder);
    int rc = ba_model_open(folder, true, &model, err);
    if (rc == 0 && cJSON_GetObjectItem(entry, "adapter")) {
        make_adapter(entry, folder);
        rc = ba_adapter_merge(folder, model, err);
    }
    double far = rc == 0 && values ? distance(model, ids, values) : 0;
    ba_model_close(model);
    *farthest = far <= *farthest ? *farthest : far;
    bool right = refused ? rc == -1 && strstr(err, refused->valuestring) : rc == 0 && far <= 1e-4;
    if (!right) {
        char *text = cJSON_PrintUnformatted(cJSON_GetObjectItem(entry, values ? "base" : "refused"));
        printf("         %s %s: %.2e %s\n", cJSON_GetObjectItem(entry, "base")->valuestring, text, far, err);
        cJSON_free(text);
    }
    return right;
}

static void test_changed(void) {
    char path[4096];
    double farthest = 0;
    size_t n = 0;
    ba_test_golden("changed/golden.json", path, sizeof path);
    cJSON *all = load(path);
    const cJSON *entry, *ids = cJSON_GetObjectItem(all, "ids");
    cJSON_ArrayForEach(entry, cJSON_GetObjectItem(all, "entries")) {
        if (!check(entry, ids, &farthest)) {
            printf("         entry %zu\n", n);
            CU_FAIL("logits or words of a refusal");
        }
        n++;
    }
    CU_ASSERT_EQUAL(n, 42);
    printf("         %zu files, farthest %.1e\n", n, farthest);
    cJSON_Delete(all);
}

int ba_suite_changed(void) {
    CU_pSuite suite = CU_add_suite("changed", NULL, NULL);
    return suite && CU_add_test(suite, "fields of configurations and adapters are obeyed or refused", test_changed)
               ? 0
               : -1;
}

/* Gradients of every tensor, through whole models, against PyTorch: tests/golden/gradients/ has the norm of each
 * gradient and its products with vectors of random signs, from which the norm of a difference is estimated
 * (gradients.py). */
#include "tests/support/runner.h"

#include "experiments/cli/cli.h"
#include "sim/base/random.h"
#include "sim/modes/modes.h"
#include "sim/train/walk.h"
#include "tests/support/rig.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PROBES = 8, FEW = 1 << 16, MAX_ANSWER = 64 };

static cJSON *load(const char *name) {
    char file[256], path[4096], err[BA_ERR_LEN], *text = NULL;
    size_t len;
    snprintf(file, sizeof file, "gradients/%s.json", name);
    ba_test_golden(file, path, sizeof path);
    CU_ASSERT_EQUAL_FATAL(ba_read_file(path, 16u << 20, &text, &len, err), 0);
    cJSON *json = cJSON_ParseWithLength(text, len);
    free(text);
    CU_ASSERT_PTR_NOT_NULL_FATAL(json);
    return json;
}

static ba_prompt *prompt_of(const cJSON *head) {
    char err[BA_ERR_LEN] = "", *text = cJSON_PrintUnformatted(cJSON_GetObjectItem(head, "request"));
    ba_prompt *prompt = NULL;
    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    CU_ASSERT_EQUAL_FATAL(ba_prompt_parse(text, strlen(text), NULL, 0, &prompt, err), 0);
    free(text);
    return prompt;
}

/* Relative distance of a gradient from the golden one, estimated from its products with signs. */
static double distance(const double *g, size_t n, const cJSON *golden) {
    size_t probes =
        n > FEW ? 2 : PROBES; /* for millions of elements two are as precise, and take a tenth of a second */
    double product[PROBES] = {0}, sum = 0, length = cJSON_GetArrayItem(golden, 0)->valuedouble;
    uint64_t state = 0;
    for (size_t i = 0; i < n; i++) {
        uint64_t bits = ba_random_bits(&state);
        for (size_t k = 0; k < probes; k++) {
            product[k] += bits >> k & 1 ? -g[i] : g[i];
        }
    }
    for (size_t k = 0; k < probes; k++) {
        double d = product[k] - cJSON_GetArrayItem(golden, (int)k + 1)->valuedouble;
        sum += d * d / (double)probes;
    }
    return sqrt(sum) / length;
}

/* Largest distance over all tensors of one mode; every tensor of the file must be there, and no other. */
static double compare(ba_train_net *net, const cJSON *tensors, const char *what) {
    double most = 0;
    CU_ASSERT_EQUAL(net->n_trained, (size_t)cJSON_GetArraySize(tensors));
    for (size_t i = 0; i < net->n_trained; i++) {
        const ba_trained *t = &net->trained[i];
        const cJSON *golden = cJSON_GetObjectItemCaseSensitive(tensors, t->name);
        double *g = malloc(t->rows * t->cols * sizeof *g);
        CU_ASSERT_FATAL(golden && g);
        net->ops->param_read(net->be, t->p, BA_PARAM_GRAD, g);
        double d = distance(g, t->rows * t->cols, golden);
        if (!(d <= 1e-3)) {
            printf("         %s: %s: relative distance %g\n", what, t->name, d);
            CU_FAIL("gradient");
        }
        most = d > most ? d : most;
        free(g);
    }
    return most;
}

/* memory 0: every layer is computed again on the way back. */
static void check_model(const char *path, const char *golden, const char *backend, uint64_t memory) {
    char err[BA_ERR_LEN] = "", what[128];
    cJSON *json = load(golden);
    const cJSON *head = cJSON_GetObjectItem(json, "head"), *result, *id;
    ba_prompt *prompt = prompt_of(head);
    int32_t answer[MAX_ANSWER];
    size_t n = 0;
    cJSON_ArrayForEach(id, cJSON_GetObjectItem(head, "answer")) {
        CU_ASSERT_FATAL(n < MAX_ANSWER);
        answer[n++] = id->valueint;
    }
    ba_model *model;
    ba_train_net net;
    ba_backend *be = rig_backend(backend, 2, NULL);
    const ba_train_options opt = {0};
    CU_ASSERT_PTR_NOT_NULL_FATAL(be);
    CU_ASSERT_EQUAL_FATAL(ba_model_open(path, true, &model, err), 0);
    CU_ASSERT_EQUAL_FATAL(ba_train_net_open(&net, model, be, &opt, err), 0);
    ba_train_walk *walk = ba_train_walk_new(&net, memory);
    CU_ASSERT_PTR_NOT_NULL_FATAL(walk);
    cJSON_ArrayForEach(result, cJSON_GetObjectItem(json, "results")) {
        const char *mode = cJSON_GetObjectItem(result, "mode")->valuestring;
        ba_plan *plan = NULL;
        ba_pack *pack = ba_pack_new();
        CU_ASSERT_EQUAL_FATAL(ba_mode_plan(mode, prompt, &plan, err), 0);
        CU_ASSERT_FATAL(pack && ba_pack_check(plan, err) == 0);
        CU_ASSERT_EQUAL_FATAL(ba_pack_add(pack, plan, answer, n, net.shape->window, BA_NO_TEACHER), 0);
        net.ops->grad_zero(be, net.list, net.n_trained);
        CU_ASSERT_EQUAL_FATAL(ba_train_walk_run(walk, pack, true, 0, NULL, NULL, err), 0);
        CU_ASSERT_DOUBLE_EQUAL(pack->item[0].nll, cJSON_GetObjectItem(result, "nll")->valuedouble, 2e-3);
        snprintf(what, sizeof what, "%s: %s", golden, mode);
        double most = compare(&net, cJSON_GetObjectItem(result, "tensors"), what);
        printf("         %-8s %-12s largest relative distance of a tensor's gradient %.1e\n", golden, mode, most);
        ba_pack_free(pack);
        ba_plan_free(plan);
    }
    ba_train_walk_free(walk);
    ba_train_net_close(&net);
    ba_model_close(model);
    ba_backend_close(be);
    ba_prompt_free(prompt);
    cJSON_Delete(json);
}

static void check_tiny(const char *arch, const char *backend, uint64_t memory) {
    char file[256], path[4096];
    snprintf(file, sizeof file, "tiny/%s", arch);
    ba_test_golden(file, path, sizeof path);
    check_model(path, arch, backend, memory);
}

static void test_llama(void) {
    check_tiny("llama", "ref", 0);
    check_tiny("llama", "openblas", UINT64_MAX);
}

static void test_mistral(void) {
    check_tiny("mistral", "openblas", 0);
}

static void test_qwen2(void) {
    check_tiny("qwen2", "openblas", UINT64_MAX);
}

static void test_qwen3(void) {
    check_tiny("qwen3", "openblas", 0);
}

static void test_gemma3(void) {
    check_tiny("gemma3", "openblas", UINT64_MAX);
    check_tiny("gemma3", "openblas", 0);
}

static void test_real(void) {
    if (BA_SANITIZED || !ba_test_model()) {
        ba_test_skip(BA_SANITIZED ? "under a sanitizer it takes minutes" : "the model is not cached");
        return;
    }
    check_model(ba_test_model(), "real", "openblas", UINT64_MAX);
}

int ba_suite_gradients(void) {
    CU_pSuite suite = CU_add_suite("gradients", NULL, NULL);
    return !suite || !CU_add_test(suite, "every tensor of a tiny llama, in double too", test_llama) ||
           !CU_add_test(suite, "every tensor of a tiny mistral", test_mistral) ||
           !CU_add_test(suite, "every tensor of a tiny qwen2", test_qwen2) ||
           !CU_add_test(suite, "every tensor of a tiny qwen3", test_qwen3) ||
           !CU_add_test(suite, "every tensor of a tiny gemma3, kept and recomputed", test_gemma3) ||
           !CU_add_test(suite, "every tensor of the real model on a real sample", test_real);
}

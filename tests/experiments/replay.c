/* Replay: what is accounted for is what a real store and real kernels do. */
#include "experiments/replay/run.h"
#include "tests/support/runner.h"
#include "tests/support/tiny.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A request of passages that differ by a number, 20 tokens each, and a question of 7. */
static ba_prompt *request(const int *passage, size_t n, int question) {
    ba_prompt *p = ba_prompt_new(NULL);
    int32_t ids[20];
    for (size_t i = 0; i <= n; i++) {
        for (size_t t = 0; t < 20; t++) {
            ids[t] = 3 + ((i < n ? passage[i] : question) * 31 + (int)t * 7) % 200;
        }
        CU_ASSERT_EQUAL(ba_prompt_add(p, i < n ? BA_ROLE_PASSAGE : BA_ROLE_QUESTION, ids, i < n ? 20 : 7), 0);
    }
    return p;
}

static void prefixes_are_found_in_steps(void) {
    int32_t a[40], b[40];
    for (int i = 0; i < 40; i++) {
        a[i] = b[i] = i;
    }
    b[35] = 99;
    ba_prefixes *p = ba_prefixes_new();
    CU_ASSERT_EQUAL(ba_prefixes_take(p, a, 40), 0);
    CU_ASSERT_EQUAL(ba_prefixes_take(p, b, 40), 32);
    CU_ASSERT_EQUAL(ba_prefixes_take(p, a, 32), 16); /* the last token is computed always */
    b[3] = 99;
    CU_ASSERT_EQUAL(ba_prefixes_take(p, b, 40), 0);
    CU_ASSERT_EQUAL(ba_prefixes_take(p, a, 10), 0);
    ba_prefixes_free(p);
}

/* A tiny model with a store. */
typedef struct rig {
    ba_model *model;
    ba_backend *be;
    ba_store *store;
    ba_engine *e;
} rig;

static void rig_open(rig *t) {
    char path[512], err[BA_ERR_LEN] = "";
    ba_backend_config cfg = {.threads = 1};
    snprintf(path, sizeof path, "%s/replay.gguf", ba_test_dir());
    CU_ASSERT_EQUAL_FATAL(ba_tiny_gguf(path, NULL), 0);
    CU_ASSERT_EQUAL_FATAL(ba_model_open(path, true, &t->model, err), 0);
    CU_ASSERT_EQUAL_FATAL(ba_backend_open("auto", &cfg, &t->be, err), 0);
    t->store = ba_store_new(t->be, UINT64_C(1) << 30);
    CU_ASSERT_EQUAL_FATAL(ba_engine_new(t->model, t->be, t->store, NULL, &t->e, err), 0);
}

static void rig_close(rig *t) {
    ba_engine_free(t->e);
    ba_store_free(t->store);
    ba_backend_close(t->be);
    ba_model_close(t->model);
}

/* Accounts against a store and kernels that do the same. */
static void accounts_are_true(void) {
    static const int asked[5][3] = {{1, 2, 3}, {2, 1, 4}, {5, 5, 1}, {1, 2, 3}, {6, 2, 5}};
    static const uint64_t recurring[5] = {0, 2, 2, 3, 2};
    char err[BA_ERR_LEN] = "";
    ba_replay r;
    rig t;
    rig_open(&t);
    ba_sizes sizes = {t.be->real_size, t.be->weight_size, t.be->kv_size};
    CU_ASSERT_EQUAL_FATAL(ba_replay_begin(&r, ba_model_shape(t.model), sizes, "block", err), 0);
    for (int i = 0; i < 5; i++) {
        ba_prompt *prompt = request(asked[i], 3, 7 + i);
        ba_plan *plan;
        uint8_t *have;
        ba_run *run;
        ba_replay_row row;
        CU_ASSERT_EQUAL_FATAL(ba_replay_next(&r, prompt, &plan, &have, &row, err), 0);
        CU_ASSERT_EQUAL(row.item, (uint64_t)i);
        CU_ASSERT_EQUAL(row.tokens, 67);
        CU_ASSERT_EQUAL(row.passages, 3);
        CU_ASSERT_EQUAL(row.recurring, recurring[i]);
        CU_ASSERT_EQUAL(row.full_computed, 67);
        CU_ASSERT_EQUAL(row.prefix_computed, 67 - row.common_prefix);
        CU_ASSERT_EQUAL(row.common_prefix, i == 3 ? 48 : 0); /* 60 in common, of which 48 are whole steps */
        CU_ASSERT_EQUAL_FATAL(ba_engine_run(t.e, plan, NULL, 0, &run, err), 0);
        CU_ASSERT_PTR_NOT_NULL(ba_run_logits(run));
        const ba_run_stats *s = ba_run_get_stats(run);
        CU_ASSERT_EQUAL(row.block_computed, s->n_computed);
        CU_ASSERT_EQUAL(row.block_flops, s->count.flops_exact);
        ba_run_free(run);
        ba_plan_free(plan);
        free(have);
        ba_prompt_free(prompt);
    }
    ba_replay_end(&r);
    rig_close(&t);
}

/* What is measured begins with the store that the accounts tell of, however it was left. */
static void a_measured_request_finds_its_store(void) {
    static const int first[3] = {1, 2, 3}, second[3] = {3, 9, 1};
    char err[BA_ERR_LEN] = "";
    ba_replay r;
    rig t;
    rig_open(&t);
    CU_ASSERT_EQUAL_FATAL(ba_replay_begin(&r, ba_model_shape(t.model), (ba_sizes){4, 4, 4}, "block", err), 0);
    ba_engine_options opt = {0};
    uint64_t rng = 1;
    for (int i = 0; i < 2; i++) {
        ba_prompt *prompt = request(i ? second : first, 3, 5);
        ba_plan *plan;
        uint8_t *have;
        ba_replay_row row;
        CU_ASSERT_EQUAL_FATAL(ba_replay_next(&r, prompt, &plan, &have, &row, err), 0);
        ba_store_stats before = ba_store_get_stats(t.store);
        CU_ASSERT_EQUAL_FATAL(ba_replay_run(t.e, t.store, prompt, plan, have, &opt, &rng, &row, err), 0);
        CU_ASSERT_TRUE(row.block_s > 0 && row.prefix_s > 0 && row.full_s > 0);
        CU_ASSERT_TRUE(row.block_cpu_s > 0 && row.prefix_cpu_s > 0 && row.full_cpu_s > 0);
        CU_ASSERT_EQUAL(ba_store_get_stats(t.store).lookups[BA_HIT] - before.lookups[BA_HIT], row.recurring);
        ba_plan_free(plan);
        free(have);
        ba_prompt_free(prompt);
    }
    ba_replay_end(&r);
    rig_close(&t);
}

int ba_suite_replay(void) {
    CU_pSuite s = CU_add_suite("replay", NULL, NULL);
    return s && CU_add_test(s, "prefixes are found in steps", prefixes_are_found_in_steps) &&
                   CU_add_test(s, "accounts are true", accounts_are_true) &&
                   CU_add_test(s, "a measured request finds its store", a_measured_request_finds_its_store)
               ? 0
               : -1;
}

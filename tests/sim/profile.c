/* The profile of operations: it accounts for every FLOP, and changes nothing that is computed. */
#include "tests/support/tiny.h"

#include "sim/engine/engine.h"
#include "sim/modes/modes.h"
#include "tests/support/runner.h"

#include <stdlib.h>
#include <string.h>

static void check_mode(ba_engine *engine, const ba_prompt *prompt, const char *mode) {
    size_t bytes = ba_engine_shape(engine)->vocab * sizeof(double);
    char err[BA_ERR_LEN];
    ba_profile profile = {.since = 0};
    ba_plan *plan = NULL;
    double *plain = malloc(bytes);
    CU_ASSERT_EQUAL_FATAL(ba_mode_plan(mode, prompt, &plan, err), 0);
    for (size_t on = 0; on < 2; on++) {
        const ba_engine_options opt = {.profile = on ? &profile : NULL, .max_rows = 32};
        ba_run *run = NULL;
        CU_ASSERT_EQUAL_FATAL(ba_engine_run(engine, plan, &opt, 0, &run, err), 0);
        const double *logits = ba_run_logits(run);
        if (on) {
            const ba_run_stats *s = ba_run_get_stats(run);
            uint64_t flops = 0;
            double seconds = 0, all = 0;
            for (ba_op op = 0; op < BA_OP_COUNT; op++) {
                flops += profile.op[op].flops;
                seconds += profile.op[op].seconds;
                CU_ASSERT(profile.op[op].seconds > 0);
            }
            for (ba_stage i = 0; i < BA_STAGE_COUNT; i++) {
                all += s->stage[i];
            }
            CU_ASSERT_EQUAL(flops, s->count.flops_exact);
            CU_ASSERT(seconds <= all);
            CU_ASSERT_EQUAL(profile.op[BA_OP_NORMS].flops + profile.op[BA_OP_ACTIVATION].flops, 0);
            CU_ASSERT(profile.op[BA_OP_ATTENTION].flops > 0 && profile.op[BA_OP_HEAD].flops > 0);
            CU_ASSERT_EQUAL(memcmp(plain, logits, bytes), 0);
        } else {
            memcpy(plain, logits, bytes);
        }
        ba_run_free(run);
    }
    free(plain);
    ba_plan_free(plan);
}

/* gemma3 has norms on queries and keys and after both halves of a layer, and layers with a window. */
static void test_complete(void) {
    static const char *const arch[] = {"llama", "gemma3"}, *const mode[] = {"full", "block", "lego:k=4", "cacheblend"};
    const ba_backend_config cfg = {.threads = 2};
    for (size_t a = 0; a < 2; a++) {
        char path[512], err[BA_ERR_LEN];
        int32_t ids[90];
        ba_model *model = NULL;
        ba_backend *be = NULL;
        ba_engine *engine = NULL;
        snprintf(path, sizeof path, "%s/profile.gguf", ba_test_dir());
        CU_ASSERT_EQUAL_FATAL(ba_tiny_gguf(path, &(ba_tiny_options){.arch = arch[a]}), 0);
        CU_ASSERT_EQUAL_FATAL(ba_model_open(path, true, &model, err), 0);
        CU_ASSERT_EQUAL_FATAL(ba_backend_open("cpu", &cfg, &be, err), 0);
        CU_ASSERT_EQUAL_FATAL(ba_engine_new(model, be, NULL, NULL, &engine, err), 0);
        ba_prompt *prompt = ba_prompt_new(NULL);
        CU_ASSERT_PTR_NOT_NULL_FATAL(prompt);
        for (size_t i = 0; i < 90; i++) {
            ids[i] = (int32_t)(i * 7 % 100 + 5);
        }
        prompt->bos = 0;
        CU_ASSERT_EQUAL_FATAL(ba_prompt_add(prompt, BA_ROLE_PASSAGE, ids, 40), 0);
        CU_ASSERT_EQUAL_FATAL(ba_prompt_add(prompt, BA_ROLE_PASSAGE, ids + 40, 37), 0);
        CU_ASSERT_EQUAL_FATAL(ba_prompt_add(prompt, BA_ROLE_QUESTION, ids + 77, 13), 0);
        for (size_t m = 0; m < sizeof mode / sizeof *mode; m++) {
            check_mode(engine, prompt, mode[m]);
        }
        ba_prompt_free(prompt);
        ba_engine_free(engine);
        ba_backend_close(be);
        ba_model_close(model);
    }
}

int ba_suite_profile(void) {
    CU_pSuite suite = CU_add_suite("profile", NULL, NULL);
    return !suite || !CU_add_test(suite, "every FLOP of a run belongs to an operation", test_complete);
}

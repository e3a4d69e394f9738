/* What tests share with the one test runner. Each file below tests/kernels, tests/sim, tests/experiments and the fuzz
 * suite defines one suite, ba_suite_NAME; the list of all suites is at the end of this file. */
#ifndef BA_RUNNER_H
#define BA_RUNNER_H

#include <CUnit/CUnit.h>

/* Called by a test that this machine cannot run, which then returns. It is counted and printed as skipped, not as
 * passed. / */
void ba_test_skip(const char *why);

/* Under a sanitizer a test of a real model takes minutes, so only one mode of one model is run there. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { BA_SANITIZED = 1 };
#else
enum { BA_SANITIZED = 0 };
#endif

/* Folder for temporary files of this run, removed at the end. */
const char *ba_test_dir(void);

/* Temporary files (NAME.*.tmp) left in that folder; NAME may be in a sub-folder. */
size_t ba_test_temporaries(const char *name);

/* The program under test: `blockattn` in the runner's folder. */
const char *ba_test_program(void);

/* Path of the real model, or NULL if it is not cached; then skip the test. */
const char *ba_test_model(void);

/* Path of a file or folder in tests/golden. */
void ba_test_golden(const char *name, char *path, size_t size);

/* All suites in the order in which they run: int ba_suite_NAME(void) adds its tests to CUnit's registry. */
/* clang-format off */
#define BA_SUITES(S)                                                                                                  \
    S(kernels) S(attention) S(bf16) S(operands) S(train_kernels) S(gradients) S(tune) S(packed) S(profile)            \
    S(model) S(model_bad) S(changed) S(tokenizer) S(remembered) S(tokenizer_files) S(prompt) S(plan) S(modes) S(cost) S(store) S(blocks) S(tiers) S(device_store)      \
    S(redis) S(engine) S(gate) S(scores) S(tasks) S(eval) S(report) S(convert) S(game) S(simulate) S(replay)          \
    S(golden) S(stats) S(race) S(measure) S(trace) S(ttft) S(fuzz) S(faults) S(cli) S(cli_options) S(cli_store)       \
    S(cli_ask) S(cli_compare) S(cli_tune) S(serve) S(library) S(planted) S(readme) S(shards)
/* clang-format on */
#define BA_SUITE_DECLARE(name) int ba_suite_##name(void);
BA_SUITES(BA_SUITE_DECLARE)
#undef BA_SUITE_DECLARE

#endif

/* Suites of the one test runner: each tests/test_NAME.c has a function that adds its suite; runner.c lists them. */
#ifndef BA_RUNNER_H
#define BA_RUNNER_H

#include <CUnit/CUnit.h>

/* A test says so by name when the machine cannot do it, and returns: counted and printed as skipped, never as passed.
 */
void ba_test_skip(const char *why);

/* Under a sanitizer the real models take minutes a test; one mode of one of them stands for the others there. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { BA_SANITIZED = 1 };
#else
enum { BA_SANITIZED = 0 };
#endif

/* Folder for temporary files of this run, removed at the end. */
const char *ba_test_dir(void);

/* The program under test: `blockattn` beside the runner. */
const char *ba_test_program(void);

/* The real model's path, or NULL if it is not cached (then the test skips). */
const char *ba_test_model(void);

int ba_suite_kernels(void);
int ba_suite_attention(void);
int ba_suite_bf16(void);
int ba_suite_operands(void);
int ba_suite_train_kernels(void);
int ba_suite_gradients(void);
int ba_suite_tune(void);
int ba_suite_packed(void);
int ba_suite_profile(void);
int ba_suite_model(void);
int ba_suite_model_bad(void);
int ba_suite_tokenizer(void);
int ba_suite_prompt(void);
int ba_suite_plan(void);
int ba_suite_modes(void);
int ba_suite_cost(void);
int ba_suite_store(void);
int ba_suite_tiers(void);
int ba_suite_redis(void);
int ba_suite_engine(void);
int ba_suite_gate(void);
int ba_suite_scores(void);
int ba_suite_tasks(void);
int ba_suite_eval(void);
int ba_suite_report(void);
int ba_suite_convert(void);
int ba_suite_game(void);
int ba_suite_simulate(void);
int ba_suite_replay(void);
int ba_suite_golden(void);
int ba_suite_trace(void);
int ba_suite_cli(void);
int ba_suite_cli_store(void);
int ba_suite_cli_tune(void);
int ba_suite_stats(void);
int ba_suite_race(void);
int ba_suite_measure(void);
int ba_suite_ttft(void);
int ba_suite_fuzz(void);
int ba_suite_faults(void);

#endif

/* The command `tune` when something goes wrong: a rate that diverges, a kill, a full disk, an adapter of another model.
 */
#include "tests/support/program.h"
#include "tests/support/runner.h"
#include "tests/support/tiny.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define TUNE(folder, steps, ...)                                                                                       \
    (const char *const[]) {                                                                                            \
        "tune", "--model", "tiny.gguf", "--data", "samples.jsonl", "--batch", "4", "--warmup", "0", "--save-every",    \
            "1", "--dtype", "f32", "--threads", "1", "--save", folder, "--steps", steps, __VA_ARGS__                   \
    }

static void make_samples(void) {
    char text[4096] = "";
    size_t used = 0;
    for (int i = 0; i < 12; i++) {
        used += (size_t)snprintf(text + used, sizeof text - used,
                                 "{\"blocks\": [\"passage %d. \", \"question %d?\"], \"response\": \"answer %d\"}\n", i,
                                 i, i);
    }
    program_write("samples.jsonl", text);
    program_tiny();
}

/* A file's bytes; *n of them. */
static char *bytes_of(const char *name, size_t *n) {
    char path[4096], *bytes = malloc(1 << 22);
    FILE *f = fopen(program_path(name, path), "rb");
    CU_ASSERT_TRUE_FATAL(f && bytes);
    *n = fread(bytes, 1, 1 << 22, f);
    fclose(f);
    return bytes;
}

static void expect_same(const char *a, const char *b) {
    size_t n, m;
    char *x = bytes_of(a, &n), *y = bytes_of(b, &m);
    CU_ASSERT_TRUE(n > 0 && n == m && memcmp(x, y, n) == 0);
    free(x);
    free(y);
}

static bool is_there(const char *name) {
    char path[4096];
    return access(program_path(name, path), F_OK) == 0;
}

static void test_diverges(void) {
    make_samples();
    program_end o = program_run(TUNE("diverging", "6", "--lr", "1e30", "--clip", "0", NULL));
    CU_ASSERT_EQUAL(o.status, 2);
    CU_ASSERT_TRUE(program_is_one_line(o.err) && strstr(o.err, "step 2: ") && strstr(o.err, "lower the learning rate"));
    program_free(&o);
    size_t n;
    char *kept = bytes_of("diverging/checkpoint.safetensors", &n);
    CU_ASSERT_PTR_NOT_NULL(memmem(kept, n, "\"step\":\"1\"", 10)); /* of the last step that was good */
    free(kept);
    CU_ASSERT_FALSE(is_there("diverging/model.safetensors"));
}

static void test_killed(void) {
    make_samples();
    program_end o = program_run(TUNE("whole", "100", NULL));
    CU_ASSERT_EQUAL_FATAL(o.status, 0);
    program_free(&o);
    pid_t child = program_start("stdout", TUNE("killed", "100", NULL));
    CU_ASSERT_FATAL(child > 0);
    for (int i = 0; i < 10000 && !is_there("killed/checkpoint.safetensors"); i++) {
        usleep(1000);
    }
    kill(child, SIGKILL);
    o = program_finish(child);
    CU_ASSERT_EQUAL(o.status, 128 + SIGKILL); /* in the middle, not after the end */
    program_free(&o);
    o = program_run(TUNE("killed", "100", "--resume", NULL));
    CU_ASSERT_EQUAL(o.status, 0);
    program_free(&o);
    expect_same("killed/model.safetensors", "whole/model.safetensors");
    expect_same("killed/checkpoint.safetensors", "whole/checkpoint.safetensors");
    o = program_run(TUNE("killed", "99", "--resume", NULL));
    CU_ASSERT_EQUAL(o.status, 2);
    CU_ASSERT_TRUE(program_is_one_line(o.err) && strstr(o.err, "other options"));
    program_free(&o);
}

/* A limit on the size of files fails writes as a full disk does. */
static void test_full_disk(void) {
    make_samples();
    program_end o = program_run(TUNE("full", "3", NULL));
    CU_ASSERT_EQUAL_FATAL(o.status, 0);
    program_free(&o);
    size_t n, m;
    char *before = bytes_of("full/checkpoint.safetensors", &n);
    struct rlimit was, little;
    CU_ASSERT_EQUAL_FATAL(getrlimit(RLIMIT_FSIZE, &was), 0);
    little = was;
    little.rlim_cur = 60000;
    setrlimit(RLIMIT_FSIZE, &little);
    o = program_run(TUNE("full", "3", "--resume", NULL));
    setrlimit(RLIMIT_FSIZE, &was);
    CU_ASSERT_EQUAL(o.status, 3);
    CU_ASSERT_TRUE(program_is_one_line(o.err) && strstr(o.err, "full/checkpoint.safetensors"));
    program_free(&o);
    char *after = bytes_of("full/checkpoint.safetensors", &m);
    CU_ASSERT_TRUE(n == m && memcmp(before, after, n) == 0);
    CU_ASSERT_EQUAL(ba_test_temporaries("full/checkpoint.safetensors"), 0);
    free(before);
    free(after);
}

static void test_other_base(void) {
    char path[4096];
    make_samples();
    program_end o = program_run(TUNE("adapter", "2", "--lora", "2", NULL));
    CU_ASSERT_EQUAL_FATAL(o.status, 0);
    program_free(&o);
    const ba_tiny_options small = {.d_model = 32, .heads = 2, .kv_heads = 1};
    CU_ASSERT_EQUAL_FATAL(ba_tiny_gguf(program_path("small.gguf", path), &small), 0);
    program_write("request.json", "{\"blocks\": [\"a\", \"b\"]}");
    o = program_run((const char *const[]){"logits", "--model", "small.gguf", "--adapter", "adapter", "--request",
                                          "request.json", NULL});
    CU_ASSERT_EQUAL(o.status, 2);
    CU_ASSERT_TRUE(program_is_one_line(o.err) && strstr(o.err, "[64, 2]") && strstr(o.err, "[32, "));
    program_free(&o);
}

int ba_suite_cli_tune(void) {
    CU_pSuite suite = CU_add_suite("cli_tune", NULL, NULL);
    return !suite || !CU_add_test(suite, "a rate that diverges stops at the last good checkpoint", test_diverges) ||
                   !CU_add_test(suite, "killed, and resumed to the same bytes", test_killed) ||
                   !CU_add_test(suite, "a full disk keeps the checkpoint", test_full_disk) ||
                   !CU_add_test(suite, "an adapter of another model is refused with its shape", test_other_base)
               ? -1
               : 0;
}

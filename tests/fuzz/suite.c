/* What the fuzzer once found, the seeds it starts from, and simple damage to these, through the same targets. */
#include "fuzz.h"
#include "tests/support/runner.h"

#include "experiments/cli/cli.h"
#include "sim/base/random.h"

#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { LIMIT = 1 << 20, DAMAGED = 60 };

typedef struct bench {
    const ba_fuzz *target;
    void *state;
    size_t taken;
} bench;

/* A copy of its own size, so that the address sanitizer sees the first byte after it. */
static void take(bench *b, const char *what, const char *bytes, size_t n) {
    unsigned char *copy = malloc(n ? n : 1);
    CU_ASSERT_PTR_NOT_NULL_FATAL(copy);
    memcpy(copy, bytes, n);
    if (!b->target->take(b->state, copy, n)) {
        printf("         %s: %s\n", b->target->name, what);
        CU_FAIL("a target's promise does not hold");
    }
    free(copy);
    b->taken++;
}

/* Cut off somewhere, and with some bytes changed; the same on every machine. */
static void take_damaged(bench *b, const char *what, char *bytes, size_t n) {
    uint64_t random = n;
    for (int i = 0; i < DAMAGED; i++) {
        size_t at = ba_random_below(&random, n);
        char was = bytes[at];
        bytes[at] = (char)(ba_random_bits(&random) >> 8);
        take(b, what, bytes, n);
        bytes[at] = was;
        take(b, what, bytes, at);
    }
}

static void take_files(bench *b, const char *folder, bool damage) {
    char pattern[4200], err[BA_ERR_LEN];
    glob_t found;
    snprintf(pattern, sizeof pattern, "%s/*", folder);
    if (glob(pattern, 0, NULL, &found) != 0) {
        return;
    }
    for (size_t i = 0; i < found.gl_pathc; i++) {
        char *bytes = NULL;
        size_t n = 0;
        CU_ASSERT_EQUAL_FATAL(ba_read_file(found.gl_pathv[i], LIMIT, &bytes, &n, err), 0);
        take(b, found.gl_pathv[i], bytes, n);
        if (damage && n > 0) {
            take_damaged(b, found.gl_pathv[i], bytes, n);
        }
        free(bytes);
    }
    globfree(&found);
}

static void replay(const char *name) {
    char seeds[4200], scratch[4200], file[256], known[4200];
    snprintf(seeds, sizeof seeds, "%s/fuzz-%s-seeds", ba_test_dir(), name);
    snprintf(scratch, sizeof scratch, "%s/fuzz-%s", ba_test_dir(), name);
    snprintf(file, sizeof file, "fuzz/%s", name);
    ba_test_golden(file, known, sizeof known);
    bench b = {.target = ba_fuzz_by_name(name)};
    CU_ASSERT_PTR_NOT_NULL_FATAL(b.target);
    CU_ASSERT_EQUAL_FATAL(mkdir(seeds, 0700), 0);
    CU_ASSERT_EQUAL_FATAL(mkdir(scratch, 0700), 0);
    CU_ASSERT_EQUAL_FATAL(b.target->seed(b.target, seeds), 0);
    b.state = b.target->open(b.target, scratch);
    CU_ASSERT_PTR_NOT_NULL_FATAL(b.state);
    take(&b, "nothing", "", 0);
    take_files(&b, known, false);
    size_t before = b.taken;
    take_files(&b, seeds, true);
    CU_ASSERT_TRUE(b.taken > before);
    b.target->close(b.state);
}

#define TARGETS(X)                                                                                                     \
    X(gguf)                                                                                                            \
    X(safetensors)                                                                                                     \
    X(index)                                                                                                           \
    X(config)                                                                                                          \
    X(tokenizer) X(text) X(request) X(experiment) X(trace) X(game) X(block) X(redis) X(template) X(adapter) X(table)
#define TEST(name)                                                                                                     \
    static void test_##name(void) {                                                                                    \
        replay(#name);                                                                                                 \
    }
#define ADD(name) ok = ok && CU_add_test(suite, #name, test_##name);

TARGETS(TEST)

static void test_all_listed(void) {
    size_t n = 0;
#define COUNT(name) n += ba_fuzz_by_name(#name) != NULL;
    TARGETS(COUNT)
    CU_ASSERT_PTR_NULL(ba_fuzz_at(n));
}

int ba_suite_fuzz(void) {
    CU_pSuite suite = CU_add_suite("fuzz", NULL, NULL);
    bool ok = suite && CU_add_test(suite, "every target is here", test_all_listed);
    TARGETS(ADD)
    return ok ? 0 : -1;
}

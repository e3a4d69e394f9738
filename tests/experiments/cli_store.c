/* The real program and its store: what it refuses, what it keeps apart, what is pinned, and a process that is killed.
 */
#include "experiments/cli/cli.h"
#include "experiments/measure/protocol.h"
#include "kernels/base/clock.h"
#include "sim/base/random.h"
#include "tests/support/program.h"
#include "tests/support/runner.h"
#include "tests/support/tiny.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* A request of three passages that no other number has. */
static void write_request(const char *name, int number) {
    char text[1024];
    snprintf(
        text, sizeof text,
        "{\"blocks\": [\"Passage %d: the key is under the third stone.\", \"Passage %d: it rained in the night, and "
        "nobody slept.\", \"Passage %d: three doors, one of them open.\", \"Where is the key?\"]}",
        number, number + 1000, number + 2000);
    program_write(name, text);
}

/* Runs a request in block mode on a store (or NULL), and asserts that it went well. */
static program_end ask(const char *command, const char *model, const char *store) {
    program_end o =
        program_run((const char *const[]){command, "--model", model, "--request", "asked.json", "--mode", "block",
                                          "--json", "--quiet", store ? "--store" : NULL, store, NULL});
    CU_ASSERT_EQUAL(o.status, 0);
    return o;
}

/* What is printed has these words. */
static void expect(const char *const *args, int status, const char *words) {
    program_end o = program_run(args);
    bool right = o.status == status && strstr(o.out, words);
    if (!right) {
        printf("  %s %s: status %d, expected %d with '%s':\n%s%s", args[0], args[1], o.status, status, words, o.out,
               o.err);
    }
    CU_ASSERT_TRUE(right);
    program_free(&o);
}

#define EXPECT(status, words, ...) expect((const char *const[]){__VA_ARGS__, NULL}, status, words)

static void test_refusals(void) {
    program_tiny();
    write_request("asked.json", 1);
    program_write("a-file", "no folder");
#define ASK(tiers)                                                                                                     \
    { "generate", "--model", "tiny.gguf", "--request", "asked.json", "--mode", "block", "--store", tiers }
#define RELOAD(...)                                                                                                    \
    {                                                                                                                  \
        "reload", "--model", "tiny.gguf", "--length", "64", "--question", "16", "--block", "16", "--repeat", "1",      \
            __VA_ARGS__                                                                                                \
    }
    static const program_refusal rows[] = {
        {2, "what? there is ls", {"store"}},
        {2, "which store?", {"store", "ls"}},
        {2, "store frob: there is ls", {"store", "frob", "--store", "lmdb:absent"}},
        {2, "no such tier", {"store", "ls", "--store", "tape:x"}},
        {2, "memory ends with its process", {"store", "ls", "--store", "ram:1G"}},
        {2, "lmdb:absent: No such file", {"store", "ls", "--store", "lmdb:absent"}},
        {2, "not a folder", {"store", "verify", "--store", "lmdb:a-file"}},
        {2, "no server answers", {"store", "ls", "--store", "redis:127.0.0.1:1"}},
        {2, "unexpected operand 'x'", {"store", "gc", "x", "--store", "lmdb:absent"}},
        {2, "name blocks", {"store", "rm", "--store", "lmdb:absent"}},
        {2, "name blocks", {"store", "pin", "--store", "lmdb:absent"}},
        {2, "no such tier", ASK("tape:x")},
        {2, "give a folder that can be made", ASK("lmdb:absent/below")},
        {2, "give a folder that can be made", ASK("lmdb:/proc/blocks")}, /* cannot be written, not even by root */
        {2, "not a folder", ASK("lmdb:a-file")},
        {2, "which tier?", RELOAD("--store", "ram:1M")},
        {2, "no such tier", RELOAD("--store", "tape:x")},
        {2, "not a folder", RELOAD("--store", "lmdb:a-file")},
        {2, "keeps no blocks", RELOAD("--mode", "full", "--store", "lmdb:reloaded")},
        {3, "nothing came back", RELOAD("--store", "lmdb:tight:100", "--quiet")},
        {3, "nothing came back", RELOAD("--store", "redis:127.0.0.1:1", "--quiet")},
    };
#undef ASK
#undef RELOAD
    EXPECT_REFUSALS(rows);
}

/* A budget below a block, and a server that is gone: encoded as without a store. */
static void test_does_without(void) {
    static const char *const stores[] = {"ram:1M,lmdb:small:100", "ram:0,redis:127.0.0.1:1"};
    program_tiny();
    write_request("asked.json", 2);
    program_end alone = ask("logits", "tiny.gguf", NULL);
    for (size_t i = 0; i < sizeof stores / sizeof *stores; i++) {
        program_end o = ask("logits", "tiny.gguf", stores[i]);
        CU_ASSERT_STRING_EQUAL(o.out, alone.out);
        program_free(&o);
    }
    program_free(&alone);
    EXPECT(0, "small: 0 blocks", "store", "stats", "--store", "lmdb:small");
}

static void test_models_apart(void) {
    char path[4096];
    program_tiny();
    CU_ASSERT_EQUAL_FATAL(ba_tiny_gguf(program_path("other.gguf", path), &(ba_tiny_options){.seed = 7}), 0);
    write_request("asked.json", 3);
    program_free((program_end[]){ask("generate", "tiny.gguf", "lmdb:both")});
    program_end other = ask("generate", "other.gguf", "lmdb:both"), again = ask("generate", "other.gguf", "lmdb:both");
    CU_ASSERT_PTR_NOT_NULL(strstr(other.out, "\"n_reused\":0"));
    CU_ASSERT_PTR_NOT_NULL(strstr(other.out, "\"other model or adapter\":3"));
    CU_ASSERT_PTR_NOT_NULL(strstr(again.out, "\"hit\":3"));
    program_free(&other);
    program_free(&again);
    EXPECT(0, "both: 6 blocks", "store", "stats", "--store", "lmdb:both");
    EXPECT(0, "3 of other models removed", "store", "gc", "--keep", "other.gguf", "--store", "lmdb:both");
    EXPECT(0, "both: 3 blocks", "store", "stats", "--store", "lmdb:both");
}

/* Pinned blocks stay when there is room for no other; unpinned they go. */
static void test_pins(void) {
    program_tiny();
    write_request("asked.json", 4);
    program_free((program_end[]){ask("generate", "tiny.gguf", "lmdb:pins")});
    program_end list = program_run((const char *const[]){"store", "ls", "--json", "--store", "lmdb:pins", NULL});
    unsigned long size = 0;
    const char *bytes = strstr(list.out, "\"bytes\":");
    CU_ASSERT_PTR_NOT_NULL_FATAL(bytes);
    size = strtoul(bytes + strlen("\"bytes\":"), NULL, 10);
    CU_ASSERT(size > 0);
    program_free(&list);
    char tight[64]; /* room for these three, in pages, and no other */
    snprintf(tight, sizeof tight, "lmdb:pins:%lu", 3 * ((size + 4095) / 4096) * 4096);
    EXPECT(0, "3 blocks pinned", "store", "pin", "--all", "--store", "lmdb:pins");
    EXPECT(0, "\"pinned\":true", "store", "ls", "--json", "--store", "lmdb:pins");
    write_request("asked.json", 5);
    program_free((program_end[]){ask("generate", "tiny.gguf", tight)});
    EXPECT(0, "0 blocks evicted", "store", "gc", "--store", tight);
    write_request("asked.json", 4);
    program_end o = ask("generate", "tiny.gguf", tight);
    CU_ASSERT_PTR_NOT_NULL(strstr(o.out, "\"hit\":3"));
    program_free(&o);
    EXPECT(0, "3 blocks unpinned", "store", "unpin", "--all", "--store", "lmdb:pins");
    write_request("asked.json", 5);
    program_free((program_end[]){ask("generate", "tiny.gguf", tight)});
    o = ask("generate", "tiny.gguf", tight);
    CU_ASSERT_PTR_NOT_NULL(strstr(o.out, "\"hit\":3"));
    program_free(&o);
}

/* The simulation foretells where every passage of a real run is found. */
static void test_foretold(void) {
    program_tiny();
#define COST(store)                                                                                                    \
    "cost", "--requests", "60", "--execute", "60", "--model", "tiny.gguf", "--corpus", "40", "--passages", "5",        \
        "--block-tokens", "32", "--quiet", "--store", store
    EXPECT(0, "; 0 told otherwise", COST("ram:150K"));
    EXPECT(0, "; 0 told otherwise", COST("ram:150K,lmdb:foretold-lru:400K"));
    EXPECT(0, "; 0 told otherwise", COST("ram:150K:lfu,lmdb:foretold-lfu:400K:lfu"));
    EXPECT(0, "; 0 told otherwise", COST("ram:40K,lmdb:foretold-tight:100K")); /* less than a request */
    static const program_refusal rows[] = {
        {2, "an empty one is needed", {COST("ram:150K,lmdb:foretold-lru:400K")}},
        {2, "cannot be foretold", {COST("ram:150K:cost")}},
    };
#undef COST
    EXPECT_REFUSALS(rows);
}

/* A whole run killed at random moments: 20, or as many as $BLOCKATTN_KILLS says. What it left is whole, and the next
 * run on it computes what a run without any store does. */
static void test_killed(void) {
    const char *options = getenv("BLOCKATTN_KILLS");
    int kills = options ? (int)strtol(options, NULL, 10) : 20, killed = 0, kept = 0;
    uint64_t random = 1;
    program_tiny();
    write_request("asked.json", 0);
    program_free((program_end[]){ask("generate", "tiny.gguf", "lmdb:killed")});
    double whole = 0.01; /* seconds of the last run that was not killed */
    for (int i = 0; i < kills; i++) {
        write_request("asked.json", i + 1);
        pid_t child =
            program_start("stdout", (const char *const[]){"generate", "--model", "tiny.gguf", "--request", "asked.json",
                                                          "--mode", "block", "--max-tokens", "8", "--store",
                                                          "ram:1M,lmdb:killed", "--quiet", NULL});
        CU_ASSERT_FATAL(child > 0);
        usleep((useconds_t)(1e6 * whole * (double)ba_random_below(&random, 1000) / 1000));
        kill(child, SIGKILL);
        program_end o = program_finish(child);
        killed += o.status == 128 + SIGKILL;
        program_free(&o);
        EXPECT(0, " 0 damaged", "store", "verify", "--store", "lmdb:killed");
        program_end alone = ask("logits", "tiny.gguf", NULL), on_it = ask("logits", "tiny.gguf", "ram:1M,lmdb:killed");
        CU_ASSERT_STRING_EQUAL(on_it.out, alone.out);
        program_free(&alone);
        program_free(&on_it);
        double start = ba_now();
        on_it = ask("generate", "tiny.gguf", "ram:0,lmdb:killed"); /* read from the disk now */
        whole = ba_now() - start;
        CU_ASSERT_PTR_NOT_NULL(strstr(on_it.out, "\"hit\":3"));
        program_free(&on_it);
        kept++;
    }
    CU_ASSERT_TRUE(killed > 0);
    if (options) {
        fprintf(stderr, "killed %d of %d runs; %d times the next one was right\n", killed, kills, kept);
    }
}

int ba_suite_cli_store(void) {
    CU_pSuite s = CU_add_suite("cli_store", NULL, NULL);
    return s && CU_add_test(s, "what is no store is one line and status 2 or 3", test_refusals) &&
                   CU_add_test(s, "tiers that keep nothing change nothing", test_does_without) &&
                   CU_add_test(s, "blocks of two models are kept apart", test_models_apart) &&
                   CU_add_test(s, "pinned blocks stay", test_pins) &&
                   CU_add_test(s, "the simulation foretells every hit", test_foretold) &&
                   CU_add_test(s, "a run killed at any moment leaves a whole store", test_killed)
               ? 0
               : -1;
}

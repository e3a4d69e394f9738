/* The real program on bad input: exit status, one line on standard error, nothing on standard output. */
#include "experiments/cli/cli.h"
#include "experiments/options/commands.h"
#include "library/blockattn.h"
#include "tests/support/program.h"
#include "tests/support/runner.h"
#include "tests/support/tiny.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static void test_usage(void) {
    static const program_refusal rows[] = {
        {2, "--help", {NULL}},
        {2, "unknown command 'frobnicate'", {"frobnicate"}},
        {2, "unknown option '--frobnicate'", {"logits", "--frobnicate"}},
        {2, "--mode needs a value", {"logits", "--mode"}},
        {2, "--json takes no value", {"logits", "--json=yes"}},
        {2, "--threads 0", {"logits", "--threads", "0"}},
        {2, "--threads -1", {"logits", "--threads", "-1"}},
        {2, "--threads 1e9", {"logits", "--threads", "1e9"}},
        {2, "--threads 99999999999999999999", {"logits", "--threads", "99999999999999999999"}},
        {2, "--seed", {"logits", "--seed", "pi"}},
        {2, "exclude each other", {"logits", "--json", "--csv"}},
        {2, "unexpected operand 'x?y'", {"logits", "x\ny"}},
    };
    EXPECT_REFUSALS(rows);
}

/* --help of the program and of every command, and --version, work without a model. */
static void test_help(void) {
    program_end all = program_run((const char *const[]){"--help", NULL});
    CU_ASSERT_EQUAL(all.status, 0);
    CU_ASSERT_STRING_EQUAL(all.err, "");
    for (size_t i = 0; ba_commands[i]; i++) {
        const ba_command *c = ba_commands[i];
        char usage[128];
        snprintf(usage, sizeof usage, "usage: blockattn %s", c->name);
        CU_ASSERT_EQUAL(strstr(all.out, c->summary) != NULL, !c->hidden);
        program_end one = program_run((const char *const[]){c->name, "--help", NULL});
        CU_ASSERT_EQUAL(one.status, 0);
        CU_ASSERT_STRING_EQUAL(one.err, "");
        CU_ASSERT_TRUE(strncmp(one.out, usage, strlen(usage)) == 0);
        CU_ASSERT_PTR_NULL(strchr(one.out, '\033'));
        program_free(&one);
        one = program_run((const char *const[]){c->name, "--version", NULL});
        CU_ASSERT_EQUAL(one.status, 0);
        CU_ASSERT_STRING_EQUAL(one.out, "blockattn " BLOCKATTN_VERSION "\n");
        program_free(&one);
    }
    program_free(&all);
}

/* A full disk under standard output is the machine's failure, and said. */
static void test_full_disk(void) {
    if (access("/dev/full", W_OK) != 0) {
        ba_test_skip("no /dev/full");
        return;
    }
    program_end o = program_run_to("/dev/full", (const char *const[]){"--help", NULL});
    CU_ASSERT_EQUAL(o.status, 3);
    CU_ASSERT_TRUE(program_is_one_line(o.err));
    CU_ASSERT_PTR_NOT_NULL(strstr(o.err, "No space left on device"));
    program_free(&o);
}

static void test_model_files(void) {
    char path[4096];
    CU_ASSERT_EQUAL_FATAL(ba_tiny_gguf(program_path("cut.gguf", path), NULL), 0);
    CU_ASSERT_EQUAL(truncate(path, 20000), 0);
    program_write("empty.gguf", "");
    program_write("short.gguf", "GGUF");
    program_write("magic.gguf", "This is no model, but it is long enough to hold a header of one.");
    CU_ASSERT_EQUAL(mkdir(program_path("a-folder", path), 0700), 0);
    program_write("request.json", "{\"blocks\": [\"a\", \"b\"]}");
    static const program_refusal rows[] = {
        {2, "absent.gguf", {"logits", "--model", "absent.gguf", "--request", "request.json"}},
        {2, "empty.gguf", {"logits", "--model", "empty.gguf", "--request", "request.json"}},
        {2, "short.gguf", {"logits", "--model", "short.gguf", "--request", "request.json"}},
        {2, "magic.gguf", {"logits", "--model", "magic.gguf", "--request", "request.json"}},
        {2, "cut.gguf", {"logits", "--model", "cut.gguf", "--request", "request.json"}},
        {2, "a-folder", {"logits", "--model", "a-folder", "--request", "request.json"}},
        {2, "--backend abacus", {"logits", "--model", "empty.gguf", "--backend", "abacus"}},
        {2, "--dtype f16", {"logits", "--model", "empty.gguf", "--dtype", "f16"}},
        {2, "--dtype f32", {"logits", "--model", "empty.gguf", "--dtype", "f32", "--backend", "ref"}},
        {2, "--store tape:2G", {"logits", "--model", "empty.gguf", "--store", "tape:2G"}},
        {2, "--store ram:lots", {"logits", "--model", "empty.gguf", "--store", "ram:lots"}},
    };
    EXPECT_REFUSALS(rows);
}

#define LOGITS(file)                                                                                                   \
    { "logits", "--model", "tiny.gguf", "--request", file }

static void test_requests(void) {
    static const char *const files[][2] = {
        {"malformed.json", "{\"blocks\": [\"a\", "},
        {"nothing.json", ""},
        {"list.json", "[1, 2, 3]"},
        {"neither.json", "{\"roles\": []}"},
        {"both.json", "{\"blocks\": [\"a\"], \"ids\": [[1]]}"},
        {"none.json", "{\"blocks\": []}"},
        {"number.json", "{\"blocks\": [\"a\", 7]}"},
        {"text.json", "{\"blocks\": \"a\"}"},
        {"huge-id.json", "{\"ids\": [[1, 2], [4000000000]]}"},
        {"negative-id.json", "{\"ids\": [[1, -2], [3]]}"},
        {"half-id.json", "{\"ids\": [[1, 2.5], [3]]}"},
        {"roles.json", "{\"blocks\": [\"a\", \"b\"], \"roles\": [\"question\"]}"},
        {"role.json", "{\"blocks\": [\"a\", \"b\"], \"roles\": [\"passage\", \"joker\"]}"},
        {"local.json", "{\"blocks\": [\"a\", \"b\"], \"num_local_attention_blocks\": -1}"},
        {"special.json", "{\"blocks\": [\"a\", \"b\"], \"special\": \"perhaps\"}"},
    };
    static const program_refusal rows[] = {
        {2, "malformed.json", LOGITS("malformed.json")},
        {2, "nothing.json", LOGITS("nothing.json")},
        {2, "list.json", LOGITS("list.json")},
        {2, "blocks", LOGITS("neither.json")},
        {2, "blocks", LOGITS("both.json")},
        {2, "blocks", LOGITS("none.json")},
        {2, "blocks", LOGITS("number.json")},
        {2, "blocks", LOGITS("text.json")},
        {2, "ids", LOGITS("huge-id.json")},
        {2, "ids", LOGITS("negative-id.json")},
        {2, "ids", LOGITS("half-id.json")},
        {2, "roles", LOGITS("roles.json")},
        {2, "joker", LOGITS("role.json")},
        {2, "num_local_attention_blocks", LOGITS("local.json")},
        {2, "special", LOGITS("special.json")},
        {2, "absent.json", LOGITS("absent.json")},
        {2, "standard input", LOGITS("-")},
        {2, "--request", {"logits", "--model", "tiny.gguf"}},
    };
    program_tiny();
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        program_write(files[i][0], files[i][1]);
    }
    EXPECT_REFUSALS(rows);
}

static void test_modes(void) {
    program_tiny();
    program_write("request.json", "{\"blocks\": [\"a\", \"b\", \"c\"]}");
#define MODE(spelling)                                                                                                 \
    { "logits", "--model", "tiny.gguf", "--request", "request.json", "--mode", spelling }
    static const program_refusal rows[] = {
        {2, "block-nopos", MODE("blokc")}, /* what there is */
        {2, "block", MODE("block:frob=1")},
        {2, "block", MODE("block:n=x")},
        {2, "block", MODE("block:n")},
        {2, "block", MODE("block:n=-1")},
        {2, "block", MODE("block:")},
        {2, "", MODE("")},
        {2, "needs a task segment", MODE("superposition")},
        {2, "link embeddings", MODE("kvlink:k=1")},
        {2, "r=1.5 is not a number of 0..1", MODE("cacheblend:r=1.5")},
        {2, "r=-0.1 is not a number of 0..1", MODE("cacheblend:r=-0.1")},
        {2, "r=nan is not a number of 0..1", MODE("cacheblend:r=nan")},
    };
#undef MODE
    EXPECT_REFUSALS(rows);
    program_end o = program_run((const char *const[]){"logits", "--model", "tiny.gguf", "--request", "request.json",
                                                      "--mode", "block", "--json", NULL});
    CU_ASSERT_EQUAL(o.status, 0);
    CU_ASSERT_STRING_EQUAL(o.err, "");
    CU_ASSERT_TRUE(program_is_one_line(o.out));
    program_free(&o);
    o = program_run((const char *const[]){"logits", "--model", "tiny.gguf", "--request", "request.json", "--mode",
                                          "lego:k=64", NULL});
    CU_ASSERT_EQUAL(o.status, 0); /* longer than every passage: allowed, and said */
    CU_ASSERT_PTR_NOT_NULL(strstr(o.out, "equals full"));
    program_free(&o);
}

/* A list of files, items of each; resumes where nothing is left to do; refuses a trace of another command. */
static void test_gate(void) {
    program_tiny();
#define ITEM(id)                                                                                                       \
    "{\"id\":\"" id                                                                                                    \
    "\",\"question\":\"q\",\"answers\":[\"a\"],\"documents\":[{\"title\":\"t\",\"text\":\"one two\"}]}\n"
    program_write("one.jsonl", ITEM("one-1") ITEM("one-2"));
    program_write("two.jsonl", ITEM("two-1"));
#undef ITEM
#define GATE(data, ...)                                                                                                \
    { "gate", "--model", "tiny.gguf", "--data", data, "--limit", "1", "--greedy", "2", __VA_ARGS__ }
    const char *const once[] = GATE("one.jsonl,two.jsonl", "--out", "gate.h5", "--csv", NULL);
    const char *const again[] = GATE("one.jsonl,two.jsonl", "--out", "gate.h5", "--csv", "--resume", NULL);
    program_end first = program_run(once), second = program_run(again);
    CU_ASSERT_EQUAL(first.status, 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(first.out, "\nblock,2,ok,ok,ok,ok,ok,ok,"));
    CU_ASSERT_EQUAL(second.status, 0);
    CU_ASSERT_STRING_EQUAL(second.out, first.out);
    program_free(&first);
    program_free(&second);
    program_end rows = program_run((const char *const[]){"export", "gate.h5", "prompts", "--csv", NULL});
    CU_ASSERT_TRUE(strstr(rows.out, ",one-1,block,") && strstr(rows.out, ",two-1,block,"));
    program_free(&rows);
    static const program_refusal refused[] = {
        {2, "an empty name in the list", GATE("one.jsonl,,two.jsonl", NULL)},
        {2, "absent.jsonl", GATE("one.jsonl,absent.jsonl", NULL)},
        {2, "gate.h5", GATE("two.jsonl", "--out", "gate.h5", "--csv", "--resume", NULL)},
        {2, "--resume goes on with a trace", GATE("two.jsonl", "--resume", NULL)},
    };
#undef GATE
    EXPECT_REFUSALS(refused);
}

static void test_traces_and_experiments(void) {
    program_write("text.h5", "This is no HDF5 file.");
    program_write("cut.json", "{\"command\": ");
    program_write("unknown.json", "{\"command\": \"frobnicate\", \"options\": {}}");
    program_write("itself.json", "{\"command\": \"run\", \"options\": {}}");
    program_write("option.json", "{\"command\": \"logits\", \"options\": {\"threads\": 0}}");
    program_write("shape.json", "{\"command\": \"logits\", \"options\": {\"mode\": {\"a\": 1}}}");
    static const program_refusal rows[] = {
        {2, "absent.h5", {"export", "absent.h5"}},
        {2, "text.h5", {"export", "text.h5"}},
        {2, "FILE.h5", {"export"}},
        {2, "absent.json", {"run", "absent.json"}},
        {2, "cut.json", {"run", "cut.json"}},
        {2, "unknown.json", {"run", "unknown.json"}},
        {2, "itself.json", {"run", "itself.json"}},
        {2, "--threads 0", {"run", "option.json"}},
        {2, "options.mode", {"run", "shape.json"}},
        {2, "experiment file", {"run"}},
    };
    EXPECT_REFUSALS(rows);
}

static void test_unwritable_trace(void) {
    program_tiny();
    program_write("text.h5", "This is no HDF5 file.");
#define TTFT(out)                                                                                                      \
    { "ttft", "--model", "tiny.gguf", "--lengths", "64", "--out", out }
    static const program_refusal rows[] = {
        {2, "absent/trace.h5", TTFT("absent/trace.h5")},
        {2, "text.h5", TTFT("text.h5")},
    };
#undef TTFT
    EXPECT_REFUSALS(rows);
    char *kept = program_text("text.h5"); /* a file of another program is not replaced */
    CU_ASSERT_STRING_EQUAL(kept, "This is no HDF5 file.");
    free(kept);
}

/* Ctrl-C ends a long prefill soon, with status 130 and a trace that can be read. */
static void test_interrupt(void) {
    char path[4096];
    program_tiny();
    pid_t child = program_start("stdout", (const char *const[]){"ttft", "--model", "tiny.gguf", "--lengths", "64,8K",
                                                                "--repeat", "1000", "--out", "stopped.h5", NULL});
    CU_ASSERT_FATAL(child > 0);
    for (int i = 0; i < 1000 && access(program_path("stopped.h5.partial", path), F_OK) != 0 &&
                    access(program_path("stopped.h5", path), F_OK) != 0;
         i++) {
        usleep(10000);
    }
    usleep(300000);
    for (int i = 0; i < 3; i++) { /* who presses it again loses nothing */
        CU_ASSERT_EQUAL(kill(child, SIGINT), 0);
        usleep(20000);
    }
    program_end o = program_finish(child);
    CU_ASSERT_EQUAL(o.status, 130);
    program_free(&o);
    o = program_run((const char *const[]){"export", "stopped.h5", NULL});
    CU_ASSERT_EQUAL(o.status, 0);
    program_free(&o);
}

/* What standard error gets of an update, as if ten seconds had passed since the last one. */
static char *after_ten_seconds(ba_progress *p, void (*update)(ba_progress *)) {
    char path[4096], *text = NULL, err[BA_ERR_LEN];
    size_t n;
    fflush(stderr);
    int kept = dup(STDERR_FILENO), file = open(program_path("progress", path), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    CU_ASSERT_FATAL(kept >= 0 && file >= 0 && dup2(file, STDERR_FILENO) >= 0);
    p->start -= 10;
    p->last -= 10;
    update(p);
    fflush(stderr);
    CU_ASSERT_TRUE(dup2(kept, STDERR_FILENO) >= 0);
    close(file);
    close(kept);
    CU_ASSERT_EQUAL_FATAL(ba_read_file(path, SIZE_MAX, &text, &n, err), 0);
    return text;
}

static void begin_part(ba_progress *p) {
    ba_progress_part(p, 0.25, 0.75, 2);
}

static void half_of_first(ba_progress *p) {
    ba_progress_run(p, BA_STAGE_PREFILL, 50, 100);
}

static void tenth_of_second(ba_progress *p) {
    ba_progress_run(p, BA_STAGE_PREFILL, 10, 100);
}

/* Where standard error is no terminal: a line every ten seconds, and within a prompt too. */
static void test_progress(void) {
    static const struct {
        void (*update)(ba_progress *);
        const char *says;
    } rows[] = {{begin_part, "work: 25% after 10 s"},
                {half_of_first, "work: 38% after 20 s"},
                {tenth_of_second, "work: 52% after 30 s"}};
    ba_progress p;
    ba_progress_start(&p, "work", false);
    p.terminal = false;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *text = after_ten_seconds(&p, rows[i].update);
        CU_ASSERT_TRUE(program_is_one_line(text) && strncmp(text, rows[i].says, strlen(rows[i].says)) == 0);
        free(text);
    }
    p.last += 10; /* no time has passed */
    char *text = after_ten_seconds(&p, half_of_first);
    CU_ASSERT_STRING_EQUAL(text, "");
    free(text);
    ba_progress_start(&p, "work", true);
    text = after_ten_seconds(&p, begin_part);
    CU_ASSERT_STRING_EQUAL(text, "");
    free(text);
}

static void write_sixty(void) {
    char lines[60 * 80] = "";
    for (size_t i = 0, used = 0; i < 60; i++) {
        used += (size_t)snprintf(lines + used, sizeof lines - used,
                                 "{\"question\":\"q\",\"answers\":[\"%zu\"],\"documents\":[\"one\",\"two\"]}\n", i);
    }
    program_write("sixty.jsonl", lines);
}

/* More than 50 cases are announced before they start; fewer, and any with --quiet, are not. */
static void test_announced(void) {
    program_tiny();
    write_sixty();
    const char *const *const runs[] = {(const char *const[]){"eval", "--model", "tiny.gguf", "--task", "sixty.jsonl",
                                                             "--metric", "nll", "--mode", "block", NULL},
                                       (const char *const[]){"gate", "--model", "tiny.gguf", "--data", "sixty.jsonl",
                                                             "--limit", "0", "--identities", "0", "--greedy", "1",
                                                             NULL}};
    for (size_t i = 0; i < 2; i++) {
        program_end o = program_run(runs[i]);
        const char *line = strstr(o.err, "60 cases");
        CU_ASSERT_TRUE(o.status == 0 && line && strstr(line, ", about "));
        CU_ASSERT_PTR_NULL(strstr(o.err, "Ctrl-C")); /* nothing is kept without --out */
        program_free(&o);
    }
    program_end o = program_run((const char *const[]){"eval", "--model", "tiny.gguf", "--task", "sixty.jsonl",
                                                      "--metric", "nll", "--mode", "block", "--limit", "50", NULL});
    CU_ASSERT_PTR_NULL(strstr(o.err, "cases"));
    program_free(&o);
    o = program_run((const char *const[]){"eval", "--model", "tiny.gguf", "--task", "sixty.jsonl", "--metric", "nll",
                                          "--mode", "block", "--quiet", NULL});
    CU_ASSERT_STRING_EQUAL(o.err, "");
    program_free(&o);
}

/* The same of runs that have no list of cases: frames, questions in their order, requests. A time stands where the cost
 * model knows the work, and a run that begins short says nothing. */
static void test_announced_streams(void) {
    static const struct {
        const char *line, *const argv[20];
    } row[] = {
        {"game: 51 frames; the first of a game and full prefills alone, about ",
         {"game", "--model", "tiny.gguf", "--world", "holdem", "--frames", "51", "--csv"}},
        {"game: 60 frames at most\n",
         {"game", "--model", "tiny.gguf", "--states", "states", "--frames", "60", "--csv"}},
        {"replay: 60 questions are counted, none is run\n",
         {"replay", "--model", "tiny.gguf", "--data", "sixty.jsonl", "--csv"}},
        {"replay: 60 cases (measured questions in the mode, by prefix caching and in full), about ",
         {"replay", "--model", "tiny.gguf", "--data", "sixty.jsonl", "--measure", "20", "--csv"}},
        {"cost: 51 requests; if every passage were encoded, about ",
         {"cost", "--requests", "51", "--execute", "51", "--model", "tiny.gguf", "--corpus", "8", "--passages", "2",
          "--block-tokens", "8", "--tiers", "ram:1M"}},
        {NULL,
         {"cost", "--requests", "50", "--execute", "50", "--model", "tiny.gguf", "--corpus", "8", "--passages", "2",
          "--block-tokens", "8", "--tiers", "ram:1M"}},
        {NULL, {"game", "--model", "tiny.gguf", "--world", "holdem", "--frames", "3", "--csv"}},
        {NULL, {"replay", "--model", "tiny.gguf", "--data", "sixty.jsonl", "--limit", "9", "--measure", "9", "--csv"}},
        {NULL, {"replay", "--model", "tiny.gguf", "--data", "sixty.jsonl", "--quiet", "--csv"}},
    };
    program_tiny();
    write_sixty();
    program_write("states", "{\"a\": 1}\n{\"a\": 2}\n");
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        program_end o = program_run(row[i].argv);
        CU_ASSERT_EQUAL(o.status, 0);
        CU_ASSERT_EQUAL(row[i].line && strstr(o.err, row[i].line), row[i].line != NULL);
        CU_ASSERT_TRUE(row[i].line ||
                       !(strstr(o.err, "frames") || strstr(o.err, "questions") || strstr(o.err, "; if")));
        program_free(&o);
    }
}

static void test_sizes(void) {
    static const size_t expected[] = {50, 1024, 2048, 4096, 8192, 100, 300, 500};
    static const char *const wrong[] = {"",        "x",   "5-1",  "5-9*1", "0-9*2",
                                        "1,,2",    "1,",  "-1",   "1-",    "1-9+0",
                                        "1 2",     "1KB", "0x10", "1e3",   "99999999999999999999",
                                        "1-999999"};
    char err[BA_ERR_LEN];
    size_t *list = NULL, n = 0;
    uint64_t value = 0;
    CU_ASSERT_EQUAL_FATAL(ba_parse_sizes("50,1K-8K*2,100-599+200", &list, &n, err), 0);
    CU_ASSERT_EQUAL_FATAL(n, sizeof expected / sizeof *expected);
    CU_ASSERT_TRUE(memcmp(list, expected, sizeof expected) == 0);
    free(list);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        CU_ASSERT_NOT_EQUAL(ba_parse_sizes(wrong[i], &list, &n, err), 0);
    }
    CU_ASSERT_TRUE(ba_parse_size("3G", &value, err) == 0 && value == UINT64_C(3) << 30);
    CU_ASSERT_NOT_EQUAL(ba_parse_size("17179869184G", &value, err), 0);
}

static void test_units(void) {
    char text[32];
    ba_print_bytes(text, sizeof text, 98362432);
    CU_ASSERT_STRING_EQUAL(text, "98.4 MB");
    ba_print_bytes(text, sizeof text, 999);
    CU_ASSERT_STRING_EQUAL(text, "999 B");
    ba_print_seconds(text, sizeof text, 0.0123456);
    CU_ASSERT_STRING_EQUAL(text, "12.3 ms");
    ba_print_seconds(text, sizeof text, 61);
    CU_ASSERT_STRING_EQUAL(text, "61 s");
    ba_print_seconds(text, sizeof text, 7000);
    CU_ASSERT_STRING_EQUAL(text, "117 min");
    ba_print_seconds(text, sizeof text, 125640);
    CU_ASSERT_STRING_EQUAL(text, "34.9 h");
}

/* Runs the program where it may start no thread. Root is not bound by the limit, so it runs as somebody else then. */
static program_end run_without_threads(const char *const *args) {
    enum { SOMEBODY = 65533 };
    char path[4096], *argv[PROGRAM_ARGS + 2] = {(char *)ba_test_program()};
    for (size_t i = 0; args[i] && i < PROGRAM_ARGS; i++) {
        argv[i + 1] = (char *)args[i];
    }
    CU_ASSERT_EQUAL_FATAL(chmod(ba_test_dir(), 0755), 0);
    CU_ASSERT_EQUAL_FATAL(chmod(program_path("tiny.gguf", path), 0644), 0);
    pid_t child = fork();
    if (child == 0) {
        const struct rlimit one = {1, 1};
        if (chdir(ba_test_dir()) || !freopen("stdout", "w", stdout) || !freopen("stderr", "w", stderr) ||
            (geteuid() == 0 && (setgid(SOMEBODY) || setuid(SOMEBODY))) || setrlimit(RLIMIT_NPROC, &one) ||
            setenv("ASAN_OPTIONS", "detect_leaks=0", 1)) { /* the search for leaks starts a thread */
            _exit(127);
        }
        execv(argv[0], argv);
        _exit(126);
    }
    return program_finish(child);
}

/* OpenBLAS starts threads before main and ended the program with SIGINT where it may not; and a backend that could not
 * start its threads was replaced by the slow one without a word. */
static void test_no_threads(void) {
    program_tiny();
    program_end o = run_without_threads((const char *const[]){"--version", NULL});
    if (o.status == 126 || o.status == 127) {
        ba_test_skip("no threads: the program cannot be run by another user");
        program_free(&o);
        return;
    }
    CU_ASSERT_EQUAL(o.status, 0);
    CU_ASSERT_STRING_EQUAL(o.err, "");
    program_free(&o);
    o = run_without_threads(
        (const char *const[]){"gate", "--model", "tiny.gguf", "--limit", "1", "--quiet", "--threads", "2", NULL});
    CU_ASSERT_EQUAL(o.status, 3);
    CU_ASSERT(program_is_one_line(o.err) && strstr(o.err, "2 threads cannot be started; use fewer (--threads)"));
    CU_ASSERT_STRING_EQUAL(o.out, "");
    program_free(&o);
    o = run_without_threads(
        (const char *const[]){"gate", "--model", "tiny.gguf", "--limit", "1", "--quiet", "--threads", "1", NULL});
    CU_ASSERT_EQUAL(o.status, 0);
    program_free(&o);
}

int ba_suite_cli(void) {
    CU_pSuite suite = CU_add_suite("cli", NULL, NULL);
    if (!suite || !CU_add_test(suite, "lists of sizes", test_sizes) ||
        !CU_add_test(suite, "numbers for people", test_units) ||
        !CU_add_test(suite, "progress within a prompt, a line every ten seconds", test_progress) ||
        !CU_add_test(suite, "more than 50 cases are announced", test_announced) ||
        !CU_add_test(suite, "more than 50 frames, questions or requests are announced", test_announced_streams) ||
        !CU_add_test(suite, "usage errors are one line and status 2", test_usage) ||
        !CU_add_test(suite, "help and version of every command", test_help) ||
        !CU_add_test(suite, "standard output on a full disk is status 3", test_full_disk) ||
        !CU_add_test(suite, "files that are no models are refused", test_model_files) ||
        !CU_add_test(suite, "requests of the wrong shape are refused", test_requests) ||
        !CU_add_test(suite, "unknown modes and parameters are refused", test_modes) ||
        !CU_add_test(suite, "gate over several files, and on with its trace", test_gate) ||
        !CU_add_test(suite, "files that are no traces or experiments are refused", test_traces_and_experiments) ||
        !CU_add_test(suite, "a trace that cannot be written is refused before the work", test_unwritable_trace) ||
        !CU_add_test(suite, "a limit on threads is one line", test_no_threads) ||
        !CU_add_test(suite, "Ctrl-C ends with status 130 and keeps what was measured", test_interrupt)) {
        return -1;
    }
    return 0;
}

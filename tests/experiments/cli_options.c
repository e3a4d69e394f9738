/* The table of options, as users meet it: what is refused and how, what is suggested, which traces are kept, how files
 * are found, and what is printed from the table. */
#include "experiments/cli/guess.h"
#include "experiments/cli/known_models.h"
#include "experiments/options/commands.h"
#include "sim/modes/modes.h"
#include "tests/support/program.h"
#include "tests/support/runner.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define NO_MODEL "--model", "absent.gguf"

/* A value out of range is refused with the option, what was given and what is allowed, before the model is looked for. */
static void test_ranges(void) {
    static const program_refusal rows[] = {
        {2,
         "--batch 1: needs a multiple of 2",
         {"tune", NO_MODEL, "--data", "d", "--steps", "1", "--save", "s", "--batch", "1"}},
        {2,
         "--batch 0: needs a whole number from 1 to",
         {"tune", NO_MODEL, "--data", "d", "--steps", "1", "--save", "s", "--batch", "0"}},
        {2,
         "--lora 5000: needs a whole number from 0 to 4096",
         {"tune", NO_MODEL, "--data", "d", "--steps", "1", "--save", "s", "--lora", "5000"}},
        {2, "--steps N is missing", {"tune", NO_MODEL, "--data", "d", "--save", "s"}},
        {2, "--temperature 1000: needs a number from 0 to 100", {"generate", NO_MODEL, "--temperature", "1000"}},
        {2, "--temperature nan: needs a number", {"generate", NO_MODEL, "--temperature", "nan"}},
        {2, "--min-agreement 1.5: needs a number from 0 to 1", {"gate", NO_MODEL, "--min-agreement", "1.5"}},
        {2, "--top 0: needs a whole number from 1 on", {"logits", NO_MODEL, "--top", "0"}},
        {2, "--passages 1: needs a whole number from 2 to 4096", {"eval", NO_MODEL, "--task", "kv", "--passages", "1"}},
        {2, "--change 0.1,2: needs a number from 0 to 1", {"game", NO_MODEL, "--change", "0.1,2"}},
        {2, "--block-tokens 0: needs a whole number from 1 to", {"ttft", NO_MODEL, "--block-tokens", "64,0"}},
        {2, "--peak-flops goes with --bandwidth", {"cost", "--peak-flops", "1e12"}},
        {2, "--zipf goes with --requests", {"cost", "--zipf", "1"}},
        {2, "--lengths and --requests exclude each other", {"cost", "--requests", "9", "--lengths", "64"}},
        {2, "--remark goes with --out", {"eval", NO_MODEL, "--task", "kv", "--remark", "busy"}},
        {2, "--hops goes with the task hops", {"eval", NO_MODEL, "--task", "kv", "--hops", "2"}},
        {2, "--length: no task of", {"eval", NO_MODEL, "--task", "nq", "--length", "4K"}},
        {2, "--length and --passages exclude", {"eval", NO_MODEL, "--task", "kv", "--length", "4K", "--passages", "9"}},
        {2, "one mode is needed", {"generate", NO_MODEL, "--mode", "full,block"}},
    };
    EXPECT_REFUSALS(rows);
}

/* A-B without a step used to start a case for every number between. */
static void test_steps(void) {
    static const program_refusal rows[] = {
        {2, "A-B*F", {"ttft", NO_MODEL, "--lengths", "1K-16K"}},
        {2, "A-B+S", {"ttft", NO_MODEL, "--lengths", "50,1K-16K,32K"}},
        {2, "1K-16K*2", {"cost", "--lengths", "1K-16K"}},
        {2, "1K-16K+1K", {"cost", "--lengths", "1K-16K"}},
    };
    EXPECT_REFUSALS(rows);
}

static void test_twice(void) {
    static const program_refusal rows[] = {
        {2, "--mode is given twice; a list has commas", {"ttft", "--mode", "full", "--mode", "block"}},
        {2, "--request is given twice", {"logits", "--request", "a", "--request=b"}},
        {2, "--threads is given twice", {"logits", "--threads", "1", "--thr", "2"}}, /* also if one is shortened */
        {2, "exclude each other", {"logits", "--request", "a", "--message", "b"}},
        {2, "exclude each other", {"export", "--csv", "--markdown", "x.h5"}},
    };
    EXPECT_REFUSALS(rows);
    program_tiny();
    program_end o = program_run((const char *const[]){
        "ttft", "--model", "tiny.gguf", "--lengths",  "60",      "--question", "16", "--block-tokens",
        "24",   "--mode",  "block",     "--executor", "place",   "--repeat",   "1",  "--min-time",
        "0",    "--cold",  "--warm",    "--quiet",    "--quiet", "--csv",      NULL});
    CU_ASSERT_EQUAL(o.status, 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(o.out, "\nblock,60,16,24,1,"));
    CU_ASSERT_PTR_NOT_NULL(strstr(o.out, "\nblock,60,16,24,0,"));
    program_free(&o);
}

/* An executor that cannot run a mode leaves its columns empty; the others are measured, and nothing fails late. */
static void test_executors(void) {
    program_tiny();
#define TTFT(executor, mode)                                                                                           \
    {"ttft", "--model",    "tiny.gguf", "--lengths", "60", "--question", "16", "--block-tokens", "24", "--mode",       \
     mode,   "--executor", executor,    "--repeat",  "1",  "--min-time", "0",  "--csv",          NULL}
    program_end o = program_run((const char *const[])TTFT("place,merge", "block,lego:k=2"));
    CU_ASSERT_EQUAL(o.status, 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(o.out, "\nblock,60,16,24,0,"));
    CU_ASSERT_PTR_NOT_NULL(strstr(o.out, "\nlego:k=2,60,16,24,0,"));
    CU_ASSERT_PTR_NOT_NULL(strstr(o.err, "the merging executor cannot run lego:k=2"));
    size_t rows = 0;
    for (const char *line = o.out; (line = strstr(line, "\nlego:k=2,")); line++) {
        rows++;
    }
    CU_ASSERT_EQUAL(rows, 2); /* cold and warm, in place */
    program_free(&o);
    static const program_refusal refused[] = {
        {2, "lego:k=2: the merging executor cannot run", TTFT("merge", "lego:k=2")}};
#undef TTFT
    EXPECT_REFUSALS(refused);
}

static void test_suggestions(void) {
    program_write("mean.json", "{\"command\": \"tfft\"}");
    static const program_refusal rows[] = {
        {2, "did you mean 'ttft'?", {"tfft"}},
        {2, "did you mean 'ttft'?", {"run", "mean.json"}},
        {2, "did you mean 'table3'?", {"run", "tabel3"}},
        {2, "did you mean '--lengths'?", {"ttft", "--lenghts", "5"}},
        {2, "did you mean 'lego'?", {"logits", NO_MODEL, "--mode", "legoo"}},
        {2, "did you mean 'block-nopos'?", {"gate", NO_MODEL, "--mode", "full,block-nops"}},
        {2, "did you mean 'scaffold'?", {"gate", NO_MODEL, "--mode", "promptcache:scafold=none"}},
        {2, "did you mean 'bf16'?", {"logits", NO_MODEL, "--dtype", "bf61"}},
        {2, "did you mean 'openblas'?", {"logits", NO_MODEL, "--backend", "openbals"}},
        {2, "did you mean 'hotpotqa'?", {"eval", NO_MODEL, "--task", "nq,hotpotaq"}},
        {2, "did you mean 'llama-3.1-8b'?", {"cost", "--shape", "lama-3.1-8b"}},
        {2, "did you mean 'llama-3.1-8b'?", {"plan", "--shape", "llama3.1-8b"}},
        {2, "did you mean 'holdem'?", {"game", NO_MODEL, "--world", "holdme"}},
        {2, "did you mean 'best-last'?", {"eval", NO_MODEL, "--task", "kv", "--order", "bestlast"}},
        {2, "did you mean 'musique'?", {"convert", "--from", "musiqe", "in.jsonl"}},
        {2, "did you mean 'verify'?", {"store", "verfy"}},
    };
    EXPECT_REFUSALS(rows);
    program_write("header.csv", "Question,Answer,Passage\nq,a,p\n");
    program_write("one.csv", "Question;Answer;Passage\nq;a;p\n");
    program_write("there.jsonl", "{}\n");
#define CSV(file, ...)                                                                                                 \
    { "convert", "--from", "csv", __VA_ARGS__, file }
#define COLUMNS "--answers", "Answer", "--documents", "Passage"
    static const program_refusal tables[] = {
        {2, "found: Question, Answer, Passage; did you mean 'Question'?",
         CSV("header.csv", "--question", "question", COLUMNS)},
        {2, "--delimiter says what parts them", CSV("one.csv", "--question", "Question", COLUMNS)},
        {2, "needs --question, --answers and --documents", CSV("header.csv", "--question", "Question")},
        {2, "--keep N", {"convert", "--from", "nq", "--documents", "3", "header.csv"}},
        {2, "there.jsonl: exists; --force", {"convert", "--from", "nq", "header.csv", "there.jsonl"}},
        {2, "is given twice", {"convert", "--from", "nq", "header.csv", "a.jsonl", "--out", "b.jsonl"}},
        {2, "--delimiter ab", CSV("header.csv", "--delimiter", "ab", "--question", "Question", COLUMNS)},
    };
#undef CSV
#undef COLUMNS
    EXPECT_REFUSALS(tables);
    program_end o = program_run((const char *const[]){"xyzzy", NULL}); /* near nothing */
    CU_ASSERT_PTR_NULL(strstr(o.err, "did you mean"));
    program_free(&o);
}

static void test_distance(void) {
    static const struct {
        const char *word, *known;
        size_t distance;
    } pair[] = {
        {"legoo", "lego", 1}, {"lgeo", "lego", 1}, {"block", "Block", 0}, {"ape", "pcw", 0}, {"blcok", "block", 1}};
    for (size_t i = 0; i < sizeof pair / sizeof *pair; i++) {
        ba_guess g = ba_guess_begin(pair[i].word, strlen(pair[i].word));
        ba_guess_offer(&g, pair[i].known);
        bool near = i != 3;
        CU_ASSERT_EQUAL(*g.text != '\0', near);
        CU_ASSERT_TRUE(!near || g.distance == pair[i].distance);
    }
    char longest[5000];
    memset(longest, 'a', sizeof longest);
    ba_guess g = ba_guess_begin(longest, sizeof longest);
    ba_guess_offer(&g, "a");
    CU_ASSERT_EQUAL(*g.text, '\0');
}

/* An option of every command of a model is understood by all, and one without effect is said to have none. */
static void test_no_effect(void) {
    program_tiny();
    program_end o =
        program_run((const char *const[]){"tokenize", "--model", "tiny.gguf", "--threads", "2", "--ids", "a", NULL});
    CU_ASSERT_EQUAL(o.status, 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(o.err, "--threads has no effect here"));
    program_free(&o);
    o = program_run((const char *const[]){"tokenize", "--help", NULL});
    CU_ASSERT_PTR_NULL(strstr(o.out, "--threads"));
    CU_ASSERT_PTR_NULL(strstr(o.out, "--mode "));
    CU_ASSERT_PTR_NOT_NULL(strstr(o.out, "--model"));
    program_free(&o);
}

/* ---- traces ---- */

static program_end cost_to(const char *file, const char *force) {
    return program_run((const char *const[]){"cost", "--lengths", "64", "--quiet", "--out", file, force, NULL});
}

/* What the file holds, [n] bytes; malloc'ed. */
static char *contents(const char *name, size_t *n) {
    char path[4096], err[BA_ERR_LEN], *text = NULL;
    CU_ASSERT_EQUAL_FATAL(ba_read_file(program_path(name, path), SIZE_MAX, &text, n, err), 0);
    return text;
}

static void test_kept_traces(void) {
    size_t n, m;
    program_end o = cost_to("kept.h5", NULL);
    CU_ASSERT_EQUAL_FATAL(o.status, 0);
    program_free(&o);
    char *before = contents("kept.h5", &n);
    static const program_refusal rows[] = {
        {2, "kept.h5: exists; --force overwrites it", {"cost", "--lengths", "64", "--out", "kept.h5"}},
        {2, "--force overwrites it, --resume continues it", {"gate", NO_MODEL, "--out", "kept.h5"}},
        {2, "--force overwrites it, --resume continues it", {"ttft", NO_MODEL, "--out", "kept.h5"}},
        {2, "--force overwrites it, --resume continues it", {"eval", NO_MODEL, "--task", "kv", "--out", "kept.h5"}},
        {2,
         "--force overwrites it, --resume continues it",
         {"tune", NO_MODEL, "--data", "d", "--steps", "1", "--save", "s", "--out", "kept.h5"}},
        {2, "--force overwrites it", {"game", NO_MODEL, "--out", "kept.h5"}},
        {2, "--force overwrites it", {"replay", NO_MODEL, "--data", "d", "--out", "kept.h5"}},
        {2, "--force overwrites it", {"cost", "--requests", "9", "--out", "kept.h5"}},
        {2, "--resume and --force exclude each other", {"gate", NO_MODEL, "--out", "kept.h5", "--resume", "--force"}},
    };
    EXPECT_REFUSALS(rows);
    char *after = contents("kept.h5", &m);
    CU_ASSERT_TRUE(n == m && memcmp(before, after, n) == 0);
    free(before);
    free(after);
    o = cost_to("kept.h5", "--force");
    CU_ASSERT_EQUAL(o.status, 0);
    program_free(&o);
    program_write("half.h5.partial", "of an interrupted run");
    o = cost_to("half.h5", NULL);
    CU_ASSERT_EQUAL(o.status, 2);
    CU_ASSERT_PTR_NOT_NULL(strstr(o.err, "half.h5.partial: exists"));
    program_free(&o);
}

/* While one process writes a trace, another one is refused at once, --force or not; afterwards nothing is left. */
static void test_one_writer(void) {
    char path[4096];
    program_tiny();
    pid_t first = program_start("first.out", (const char *const[]){"ttft", "--model", "tiny.gguf", "--lengths", "64,8K",
                                                                   "--repeat", "1000", "--out", "shared.h5", NULL});
    CU_ASSERT_FATAL(first > 0);
    for (int i = 0; i < 1000 && access(program_path("shared.h5.lock", path), F_OK) != 0; i++) {
        usleep(10000);
    }
    usleep(100000); /* between making the file and locking it */
    program_write("table.csv", "q,a,p\nwho,I,me\n");
    static const program_refusal rows[] = {
        {2, "shared.h5: another process is writing it", {"ttft", NO_MODEL, "--out", "shared.h5"}},
        {2, "shared.h5: another process is writing it", {"gate", NO_MODEL, "--out", "shared.h5", "--force"}},
        {2, "shared.h5: another process is writing it", {"cost", "--out", "shared.h5", "--force"}},
        {2, "shared.h5: another process is writing it", {"merge", "shared.h5", "kept.h5", "--force"}},
        {2,
         "shared.h5: another process is writing it",
         {"convert", "--from", "csv", "--question", "q", "--answers", "a", "--documents", "p", "table.csv",
          "shared.h5"}},
        {2,
         "shared.h5/: another process is writing it",
         {"tune", NO_MODEL, "--data", "d", "--steps", "1", "--save", "shared.h5/"}},
        {2, "shared.h5: another process is writing it", {"eval", NO_MODEL, "--task", "kv", "--dump", "shared.h5"}},
        {2,
         "./shared.h5: another process is writing it",
         {"eval", NO_MODEL, "--task", "kv", "--outputs", ".", "--label", "shared.h5"}},
        {2, "absent.gguf", {"eval", NO_MODEL, "--task", "kv", "--outputs", ".", "--label", "other"}},
        {2,
         "--dump new.h5: --out names the same file",
         {"eval", NO_MODEL, "--task", "kv", "--dump", "new.h5", "--out", "new.h5"}},
    };
    EXPECT_REFUSALS(rows);
    CU_ASSERT_EQUAL(kill(first, SIGINT), 0);
    int code;
    CU_ASSERT_EQUAL(waitpid(first, &code, 0), first);
    CU_ASSERT_TRUE(WIFEXITED(code) && WEXITSTATUS(code) == 130);
    CU_ASSERT_NOT_EQUAL(access(program_path("shared.h5.lock", path), F_OK), 0);
    program_write("stale.h5.lock", ""); /* of a killed process */
    program_end o = cost_to("stale.h5", NULL);
    CU_ASSERT_EQUAL(o.status, 0);
    program_free(&o);
    CU_ASSERT_NOT_EQUAL(access(program_path("stale.h5.lock", path), F_OK), 0);
}

/* ---- files ---- */

/* Experiment files are found by name and by their older path; options after -- take the place of the file's. A file of the
 * working folder that happens to be called like one of ours is not taken for it. */
static void test_found_by_name(void) {
    char stray[4096];
    FILE *f = fopen(program_path("hardware.json", stray), "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    fputs("{\"hardware\": []}", f);
    fclose(f);
    static const char *const names[] = {"requests_ram", "requests_ram.json", "experiments/requests_ram.json"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        program_end o =
            program_run((const char *const[]){"run", names[i], "--", "--requests", "50", "--corpus=2K", "--ram", "1G",
                                              "--out", "by-name.h5", "--force", "--csv", NULL});
        CU_ASSERT_EQUAL(o.status, 0);
        CU_ASSERT_PTR_NOT_NULL(strstr(o.out, ",2048,40,10,")); /* a fifth of the requests warms up */
        program_free(&o);
    }
    program_end o = program_run((const char *const[]){"export", "by-name.h5", NULL});
    CU_ASSERT_PTR_NOT_NULL(strstr(o.out, "--requests 50"));
    CU_ASSERT_PTR_NULL(strstr(o.out, "200000"));
    program_free(&o);
    static const program_refusal rows[] = {
        {2, "there is no such experiment file", {"run", "nowhere/none.json"}},
        {2, "absent.gguf", {"run", "table1-base", "--", NO_MODEL, "--task", "kv", "--out", "x.h5", "--force"}},
        {2, "absent.gguf", {"run", "game", "--", NO_MODEL, "--out", "x.h5"}}, /* its rules are found */
    };
    EXPECT_REFUSALS(rows);
}

/* Every experiment file names options that exist, with values that are allowed. */
static void test_experiment_files(void) {
    static const char *const names[] = {"figure4",
                                        "game",
                                        "game_grain",
                                        "game_holdem",
                                        "gate",
                                        "curves",
                                        "curves-accuracy",
                                        "gate50",
                                        "hops",
                                        "replay",
                                        "requests_corpus",
                                        "requests_ram",
                                        "requests_zipf",
                                        "sweep",
                                        "synthetic",
                                        "modes2026-rag",
                                        "modes2026-block-ft",
                                        "table1-base",
                                        "table1-rag",
                                        "table1-block-ft",
                                        "table2-base",
                                        "table2-rag",
                                        "table2-block-ft",
                                        "table3",
                                        "table3-gpu",
                                        "tune-rag",
                                        "tune-block-ft",
                                        "qwen-table1-base",
                                        "qwen-table1-rag",
                                        "qwen-table1-block-ft",
                                        "qwen-tune-rag",
                                        "qwen-tune-block-ft",
                                        "adapter-nq"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        /* All values before that of --threads are read, and then nothing is run. */
        program_end o = program_run((const char *const[]){"run", names[i], "--", "--threads", "0", NULL});
        bool right = o.status == 2 && strstr(o.err, "--threads 0: needs a whole number from 1 to 1024");
        CU_ASSERT_TRUE(right);
        if (!right) {
            printf("  %s: %s", names[i], o.err);
        }
        program_free(&o);
    }
}

static void copy_file(const char *from, const char *to) {
    char err[BA_ERR_LEN], *text = NULL;
    size_t n;
    CU_ASSERT_EQUAL_FATAL(ba_read_file(from, SIZE_MAX, &text, &n, err), 0);
    FILE *f = fopen(to, "wb");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    CU_ASSERT_EQUAL(fwrite(text, 1, n, f), n);
    CU_ASSERT_EQUAL(fclose(f), 0);
    CU_ASSERT_EQUAL(chmod(to, 0755), 0);
    free(text);
}

/* Installed, the program finds its data from any folder. */
static void test_installed(void) {
    char path[4096], program[4096], command[9000];
    static const char *const folders[] = {"prefix", "prefix/bin", "prefix/share", "prefix/share/blockattn"};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        CU_ASSERT_EQUAL(mkdir(program_path(folders[i], path), 0700), 0);
    }
    copy_file(ba_test_program(), program_path("prefix/bin/blockattn", program));
    copy_file("experiments/configs/requests_ram.json", program_path("prefix/share/blockattn/requests_ram.json", path));
    copy_file("experiments/configs/hardware.json", program_path("prefix/share/blockattn/hardware.json", path));
    snprintf(command, sizeof command,
             "cd / && '%s' run requests_ram -- --requests 50 --corpus 2K --out '%s' >/dev/null", program,
             program_path("installed.h5", path));
    CU_ASSERT_EQUAL(system(command), 0);
    CU_ASSERT_EQUAL(access(path, R_OK), 0);
}

/* ---- pages ---- */

static char *page(const char *name, const char *template) {
    program_end o = program_run((const char *const[]){"help-pages", name, template, NULL});
    CU_ASSERT_EQUAL(o.status, 0);
    CU_ASSERT_STRING_EQUAL(o.err, "");
    free(o.err);
    return o.out;
}

/* The manual page and the completions name every command and every option that a command reads. */
static void test_pages(void) {
    char template[4096], word[160];
    CU_ASSERT_PTR_NOT_NULL_FATAL(realpath("experiments/cli/blockattn.1.in", template));
    char *man = page("man", template), *bash = page("bash", NULL), *zsh = page("zsh", NULL);
    CU_ASSERT_TRUE(!strstr(man, "@COMMANDS@") && !strstr(man, "@OPTIONS@"));
    for (size_t i = 0; ba_commands[i]; i++) {
        const ba_command *c = ba_commands[i];
        if (c->hidden) {
            continue;
        }
        snprintf(word, sizeof word, "\n.B %s\n", c->name);
        CU_ASSERT_PTR_NOT_NULL(strstr(man, word));
        snprintf(word, sizeof word, "\n    %s)\n", c->name);
        const char *in_bash = strstr(bash, word), *in_zsh = strstr(zsh, word);
        CU_ASSERT_TRUE_FATAL(in_bash && in_zsh);
        for (const ba_option *o = c->own; o && o->name; o++) {
            snprintf(word, sizeof word, "--%s", o->name);
            CU_ASSERT_PTR_NOT_NULL(strstr(in_bash, word));
            snprintf(word, sizeof word, "'--%s[", o->name);
            CU_ASSERT_PTR_NOT_NULL(strstr(in_zsh, word));
        }
    }
    program_write("completion.bash", bash);
    char check[4200], path[4096];
    snprintf(check, sizeof check, "bash -n '%s'", program_path("completion.bash", path));
    CU_ASSERT_EQUAL(system(check), 0);
    free(man);
    free(bash);
    free(zsh);
}

/* ---- lists ---- */

/* What there is, as a list and as JSON; a page for every mode; a suggestion for a misspelt name. */
static void test_lists(void) {
    static const struct {
        const char *command, *name, *says, *json;
    } list[] = {{"modes", "lego", "must hold: ", "\"parameters\""},
                {"tasks", "nq", "published at", "\"metric\""},
                {"shapes", "qwen3-8b", "huggingface.co/Qwen/Qwen3-8B", "\"kv_heads\""},
                {"models", NULL, "qwen2.5-1.5b", "\"target\":\"qwen-small\""},
                {"backends", NULL, "ref", "\"dtype\""}};
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        program_end o = program_run((const char *const[]){list[i].command, NULL});
        CU_ASSERT_EQUAL(o.status, 0);
        CU_ASSERT_PTR_NOT_NULL(strstr(o.out, list[i].name ? list[i].name : list[i].says));
        program_free(&o);
        o = program_run((const char *const[]){list[i].command, list[i].name, NULL});
        CU_ASSERT_EQUAL(o.status, 0);
        CU_ASSERT_PTR_NOT_NULL(strstr(o.out, list[i].says));
        program_free(&o);
        o = program_run((const char *const[]){list[i].command, "--json", NULL});
        CU_ASSERT_EQUAL(o.status, 0);
        CU_ASSERT_TRUE(*o.out == '[' && program_is_one_line(o.out) && strstr(o.out, list[i].json));
        program_free(&o);
    }
    for (size_t i = 0; ba_mode_at(i); i++) {
        program_end o = program_run((const char *const[]){"modes", ba_mode_at(i)->name, NULL});
        CU_ASSERT_EQUAL(o.status, 0);
        CU_ASSERT_PTR_NOT_NULL(strstr(o.out, ba_mode_at(i)->source));
        CU_ASSERT_TRUE(strstr(o.out, "\nmask: a row a token") && strstr(o.out, " #")); /* drawn */
        program_free(&o);
    }
    program_end drawn = program_run((const char *const[]){"modes", "lego", NULL});
    static const char *const lines[] = {
        "\n   0 passage 1              ====\n   1 passage 2                  +===\n   2 question, task                 "
        "****\n",
        "\n   1 passage 2              #### #... ....\n                            .... ##.. ....\n"};
    for (size_t i = 0; i < 2;
         i++) { /* the first token of the second block is computed again, and sees the first block */
        CU_ASSERT_PTR_NOT_NULL(strstr(drawn.out, lines[i]));
    }
    program_free(&drawn);
    static const program_refusal rows[] = {
        {2, "did you mean 'lego'?", {"modes", "legoo"}},
        {2, "did you mean 'hotpotqa'?", {"tasks", "hotpot-qa"}},
        {2, "did you mean 'qwen3-8b'?", {"shapes", "qwen-8b"}},
        {2, "unexpected operand 'cpu'", {"backends", "cpu"}},
        {2, "did you mean 'qwen2.5-1.5b'?", {"info", "--model", "qwen2.5-1.5"}},
    };
    EXPECT_REFUSALS(rows);
}

/* A model's name is its file in the cache folder: refused with what gets it where the file is not there, or not whole;
 * and a file of that name comes first. */
static void test_model_names(void) {
    char path[4096];
    CU_ASSERT_EQUAL(mkdir(program_path("names", path), 0700), 0);
    setenv("XDG_CACHE_HOME", path, 1);
    CU_ASSERT_EQUAL(mkdir(program_path("names/blockattn", path), 0700), 0);
    const char *const ask[] = {"info", "--model", "qwen2.5-0.5b", NULL};
    program_end o = program_run(ask);
    CU_ASSERT_TRUE(o.status == 2 && strstr(o.err, "run 'make qwen-small'"));
    program_free(&o);
    program_write("names/blockattn/Qwen2.5-Coder-0.5B-Instruct.Q4_K_M.gguf", "half of it");
    o = program_run(ask);
    CU_ASSERT_TRUE(o.status == 2 && strstr(o.err, "run 'make qwen-small'"));
    program_free(&o);
    program_write("qwen2.5-0.5b", "a file of the user's");
    o = program_run(ask);
    CU_ASSERT_TRUE(o.status == 2 && !strstr(o.err, "make qwen-small"));
    program_free(&o);
    unsetenv("XDG_CACHE_HOME");
}

/* What set-up gets is what a name stands for: the same file and size in experiments/setup.sh. */
static void test_known_models(void) {
    char err[BA_ERR_LEN], row[256], *script;
    size_t n;
    CU_ASSERT_EQUAL_FATAL(ba_read_file("experiments/setup.sh", 1 << 20, &script, &n, err), 0);
    const ba_known_model *m;
    for (size_t i = 0; (m = ba_known_model_at(i)); i++) {
        snprintf(row, sizeof row, "    %s)\n        file=%s bytes=%zu\n", m->target, m->file, m->bytes);
        CU_ASSERT_PTR_NOT_NULL(strstr(script, row));
    }
    free(script);
}

/* Sizes of published models follow from their shapes: weights within 2 % of the published number. */
static void test_shapes(void) {
    static const struct {
        const char *name;
        double weights;
    } published[] = {{"llama-3.1-8b", 8.03e9}, {"llama-3.3-70b", 70.6e9}, {"qwen3-1.7b", 1.72e9},
                     {"qwen3-4b", 4.02e9},     {"qwen3-8b", 8.19e9},      {"qwen3-14b", 14.8e9},
                     {"qwen3-32b", 32.8e9},    {"gemma3-1b", 1.0e9},      {"gemma3-4b", 3.88e9},
                     {"gemma3-12b", 11.8e9},   {"gemma3-27b", 27.0e9},    {"smollm2-1.7b", 1.71e9}};
    for (size_t i = 0; i < sizeof published / sizeof *published; i++) {
        const ba_shape *s = ba_shape_by_name(published[i].name);
        CU_ASSERT_PTR_NOT_NULL_FATAL(s);
        double weights = (double)ba_shape_layer_weights(s) + (s->tied ? 1 : 2) * (double)ba_shape_head_weights(s);
        CU_ASSERT_DOUBLE_EQUAL(weights / published[i].weights, 1, 0.02);
        size_t global = 0;
        for (size_t layer = 0; layer < s->layers; layer++) {
            global += !s->local[layer];
        }
        CU_ASSERT_EQUAL(global, s->window ? s->layers / 6 : s->layers);
    }
}

/* --shape takes a config.json where it takes a name: the one that Llama 3.1 8B is published with costs the same. */
static void test_shape_files(void) {
    program_write("llama.json", "{\"model_type\": \"llama\", \"hidden_size\": 4096, \"intermediate_size\": 14336, "
                                "\"num_hidden_layers\": 32, \"num_attention_heads\": 32, \"num_key_value_heads\": 8, "
                                "\"vocab_size\": 128256, \"max_position_embeddings\": 131072, \"rms_norm_eps\": 1e-5, "
                                "\"rope_theta\": 5e5, \"tie_word_embeddings\": false}");
    program_write("broken.json", "{\"model_type\": \"llama\", \"hidden_size\": 4096}");
    program_end by_name =
        program_run((const char *const[]){"cost", "--shape", "llama-3.1-8b", "--lengths", "512,8K", "--csv", NULL});
    program_end by_file =
        program_run((const char *const[]){"cost", "--shape", "llama.json", "--lengths", "512,8K", "--csv", NULL});
    CU_ASSERT_TRUE(by_name.status == 0 && by_file.status == 0);
    for (const char *a = by_name.out, *b = by_file.out; *a && *b;
         a += strcspn(a, "\n") + 1, b += strcspn(b, "\n") + 1) {
        a += strcspn(a, ","), b += strcspn(b, ","); /* the first column is the shape's name */
        CU_ASSERT_EQUAL(strcspn(a, "\n"), strcspn(b, "\n"));
        CU_ASSERT_EQUAL(strncmp(a, b, strcspn(a, "\n")), 0);
    }
    program_free(&by_name);
    program_free(&by_file);
    program_end page = program_run((const char *const[]){"shapes", "llama.json", NULL});
    CU_ASSERT_TRUE(page.status == 0 && strstr(page.out, "32 heads of 128 over 8 KV heads"));
    program_free(&page);
    static const program_refusal rows[] = {
        {2, "broken.json: 'num_hidden_layers' is missing", {"cost", "--shape", "broken.json"}},
        {2, "absent.json: No such file", {"plan", "--shape", "absent.json"}},
        {2, "absent.json: No such file", {"cost", "--requests", "9", "--shape", "absent.json"}},
    };
    EXPECT_REFUSALS(rows);
}

/* Defaults of all commands fit their own rows: --help and the parser read the same table. */
static void test_tables(void) {
    for (size_t i = 0; ba_commands[i]; i++) {
        const ba_command *c = ba_commands[i];
        CU_ASSERT_TRUE(c->name && c->summary && c->usage && c->about && c->run);
        for (const ba_option *o = c->own; o && o->name; o++) {
            CU_ASSERT_TRUE(o->help && *o->help);
            CU_ASSERT_TRUE(o->at < c->size);
            CU_ASSERT_EQUAL(o->type == BA_FLAG, !o->value && !o->words && !o->word);
            for (const ba_option *p = c->own; p != o; p++) {
                CU_ASSERT_STRING_NOT_EQUAL(p->name, o->name);
            }
            for (const ba_shared_option *s = ba_shared_options; s->row.name; s++) {
                CU_ASSERT_FALSE(ba_command_takes(c, s) && strcmp(s->row.name, o->name) == 0);
            }
        }
    }
}

/* The drawn example of sim/README.md is what the program prints. */
static void test_concepts(void) {
    char path[4096], err[BA_ERR_LEN], *page;
    size_t len;
    ba_test_golden("../../sim/README.md", path, sizeof path);
    CU_ASSERT_EQUAL_FATAL(ba_read_file(path, 1 << 20, &page, &len, err), 0);
    program_end o = program_run((const char *const[]){"modes", "block", NULL});
    char *drawn = strstr(page, "```\nnodes\n"), *end = drawn ? strstr(drawn + 4, "```") : NULL;
    char *printed = strstr(o.out, "nodes\n");
    CU_ASSERT_FATAL(drawn && end && printed);
    *end = '\0';
    CU_ASSERT_STRING_EQUAL(drawn + 4, printed);
    program_free(&o);
    free(page);
}

/* ---- tables of traces ---- */

/* Every column of every table that a command writes is explained, with one unit wherever the name occurs. */
static void test_columns_are_explained(void) {
    size_t tables = 0;
    for (size_t c = 0; ba_commands[c]; c++) {
        for (const ba_table *t = ba_commands[c]->tables; t && t->name; t++, tables++) {
            CU_ASSERT_TRUE(t->row_size > 0 && *t->about);
            for (const ba_column *col = t->columns; col->name; col++) {
                const ba_meaning *m = ba_meaning_of(t->name, col->name);
                if (!m || (*col->unit && strcmp(col->unit, m->unit) != 0)) {
                    fprintf(stderr, "%s: %s.%s: unit '%s', explained as '%s'\n", ba_commands[c]->name, t->name,
                            col->name, col->unit, m ? m->unit : "nothing");
                }
                CU_ASSERT_PTR_NOT_NULL_FATAL(m);
                CU_ASSERT_TRUE(*m->about != '\0');
                CU_ASSERT_TRUE(!*col->unit || strcmp(col->unit, m->unit) == 0);
            }
        }
    }
    CU_ASSERT_TRUE(tables > 15);
    CU_ASSERT_PTR_NULL(ba_meaning_of("items", "no such column"));
}

/* results/COLUMNS.md is what the program prints. */
static void test_page_of_columns(void) {
    char *page = NULL, err[BA_ERR_LEN];
    size_t n;
    program_end o = program_run((const char *const[]){"export", "--schema", NULL});
    CU_ASSERT_EQUAL(o.status, 0);
    CU_ASSERT_EQUAL_FATAL(ba_read_file("results/COLUMNS.md", 1 << 20, &page, &n, err), 0);
    bool same = strcmp(page, o.out) == 0;
    if (!same) {
        fprintf(stderr, "build/blockattn export --schema > results/COLUMNS.md\n");
    }
    CU_ASSERT_TRUE(same);
    free(page);
    program_free(&o);
}

int ba_suite_cli_options(void) {
    CU_pSuite s = CU_add_suite("cli_options", NULL, NULL);
    return s && CU_add_test(s, "every row has a name of its own, help and a member", test_tables) &&
                   CU_add_test(s, "every column of a trace is explained, with one unit", test_columns_are_explained) &&
                   CU_add_test(s, "the page of columns is what the program prints", test_page_of_columns) &&
                   CU_add_test(s, "values out of range are refused before a model is read", test_ranges) &&
                   CU_add_test(s, "a range without a step is refused with both spellings", test_steps) &&
                   CU_add_test(s, "an option given twice is refused, --cold --warm is both", test_twice) &&
                   CU_add_test(s, "an executor that cannot run a mode leaves a gap", test_executors) &&
                   CU_add_test(s, "a misspelt word gets a suggestion", test_suggestions) &&
                   CU_add_test(s, "distances between words by hand", test_distance) &&
                   CU_add_test(s, "an option without effect is said to have none", test_no_effect) &&
                   CU_add_test(s, "an existing trace is kept unless --force or --resume is given", test_kept_traces) &&
                   CU_add_test(s, "one process writes a file at a time", test_one_writer) &&
                   CU_add_test(s, "experiment files are found by name", test_found_by_name) &&
                   CU_add_test(s, "every experiment file fits the options", test_experiment_files) &&
                   CU_add_test(s, "an installed program finds its data", test_installed) &&
                   CU_add_test(s, "modes, tasks, models, shapes and backends are listed", test_lists) &&
                   CU_add_test(s, "the example of sim/README.md is what modes prints", test_concepts) &&
                   CU_add_test(s, "a model's name is its file in the cache folder", test_model_names) &&
                   CU_add_test(s, "set-up gets the models that have names", test_known_models) &&
                   CU_add_test(s, "published shapes have the published number of weights", test_shapes) &&
                   CU_add_test(s, "--shape takes a config.json", test_shape_files) &&
                   CU_add_test(s, "manual page and completions name every option", test_pages)
               ? 0
               : -1;
}

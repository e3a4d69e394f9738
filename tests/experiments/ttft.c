/* `ttft`, `run` and `export` from end to end, on a tiny model that the test writes. */
#include "tests/support/runner.h"
#include "tests/support/tiny.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

enum { ARGS = 1 << 20, ROOM = 1 << 26 }; /* a fast machine takes many samples: their CSV must fit */

static char model[4200], trace[4200], output[ROOM];

/* Runs `blockattn ARGS`, standard error with it, into output. Returns the exit status. */
static int program(const char *before, const char *args) {
    static char line[2 * ARGS];
    snprintf(line, sizeof line, "%s '%s' %s 2>&1", before, ba_test_program(), args);
    FILE *f = popen(line, "r");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    size_t n = fread(output, 1, sizeof output - 1, f);
    output[n] = '\0';
    int status = pclose(f);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* `blockattn ttft` on the tiny model, with short prompts unless `more` has others: an option is given once. */
static int ttft(const char *before, const char *more) {
    static const char *const standard[][2] = {
        {"--question", "16"}, {"--block-tokens", "24"}, {"--lengths", "16,60,200"}, {"--threads", "2"}};
    static char args[ARGS];
    size_t used = (size_t)snprintf(args, sizeof args, "ttft --model '%s' %s", model, more);
    for (size_t i = 0; i < sizeof standard / sizeof *standard; i++) {
        if (!strstr(more, standard[i][0])) {
            used += (size_t)snprintf(args + used, sizeof args - used, " %s %s", standard[i][0], standard[i][1]);
        }
    }
    return program(before, args);
}

static int write_model(void) {
    snprintf(model, sizeof model, "%s/ttft.gguf", ba_test_dir());
    snprintf(trace, sizeof trace, "%s/ttft.h5", ba_test_dir());
    return ba_tiny_gguf(model, NULL);
}

/* Field of a CSV line by the header's name; "" if there is none. No field of these tables is quoted before it. */
static void field(const char *line, const char *name, char out[64]) {
    size_t column = 0, len = strlen(name);
    const char *at = output;
    while (strncmp(at, name, len) != 0 || (at[len] != ',' && at[len] != '\n')) {
        at += strcspn(at, ",\n");
        *out = '\0';
        if (*at++ != ',') {
            return;
        }
        column++;
    }
    for (; column > 0 && line; column--) {
        line = strchr(line, ',');
        line = line ? line + 1 : NULL;
    }
    snprintf(out, 64, "%.*s", line ? (int)strcspn(line, ",\n") : 0, line ? line : "");
}

static double number(const char *line, const char *name) {
    char text[64];
    field(line, name, text);
    return *text ? strtod(text, NULL) : -1;
}

static size_t lines(void) {
    size_t n = 0;
    for (const char *c = output; *c; c++) {
        n += *c == '\n';
    }
    return n;
}

static void every_check_passes(void) {
    CU_ASSERT_EQUAL_FATAL(write_model(), 0);
    CU_ASSERT_EQUAL(ttft("", "--repeat 2 --min-time 0.01 --csv --quiet"), 0);
    CU_ASSERT_EQUAL(lines(), 1 + 3 * (1 + 4)); /* full; block cold and warm in both executors */
    double full_200 = 0;
    for (const char *line = strchr(output, '\n') + 1; *line; line = strchr(line, '\n') + 1) {
        char check[64], mode[64];
        field(line, "check", check);
        field(line, "mode", mode);
        double length = number(line, "length"), stages = number(line, "other_s");
        CU_ASSERT_STRING_EQUAL(check, "pass");
        CU_ASSERT_TRUE(number(line, "n") >= 2);
        CU_ASSERT_TRUE(number(line, "ttft_s_min") > 0);
        CU_ASSERT_TRUE(number(line, "ttft_s_min") <= number(line, "ttft_s_median"));
        bool cold = number(line, "cold") == 1;
        CU_ASSERT_EQUAL(number(line, "n_computed"), cold ? length : 16);
        CU_ASSERT_EQUAL(number(line, "n_reused"), cold ? 0 : length - 16);
        CU_ASSERT_TRUE(stages < number(line, "ttft_s_median"));
        if (length == 200 && strcmp(mode, "full") == 0) {
            full_200 = number(line, "flops_exact");
        } else if (length == 200) {
            CU_ASSERT_TRUE(number(line, "flops_exact") < full_200);
        }
    }
}

static void a_trace_is_resumed_and_exported(void) {
    char more[8192];
    CU_ASSERT_EQUAL_FATAL(write_model(), 0);
    snprintf(more, sizeof more, "--repeat 2 --min-time 0 --quiet --out '%s'", trace);
    CU_ASSERT_EQUAL(ttft("", more), 0);
    snprintf(more, sizeof more, "export '%s' samples --csv", trace);
    CU_ASSERT_EQUAL(program("", more), 0);
    CU_ASSERT_EQUAL(lines(), 1 + 2 * 15);
    size_t before = lines();
    snprintf(more, sizeof more, "--repeat 2 --min-time 0 --quiet --resume --out '%s'", trace);
    CU_ASSERT_EQUAL(ttft("", more), 0);
    snprintf(more, sizeof more, "export '%s' samples --csv", trace);
    CU_ASSERT_EQUAL(program("", more), 0);
    CU_ASSERT_EQUAL(lines(), before); /* all was there */
    snprintf(more, sizeof more, "--repeat 3 --min-time 0 --quiet --resume --out '%s'", trace);
    CU_ASSERT_EQUAL(ttft("", more), 2);
    CU_ASSERT_PTR_NOT_NULL(strstr(output, "repeat"));
    snprintf(more, sizeof more, "export '%s' results", trace);
    CU_ASSERT_EQUAL(program("", more), 0);
    CU_ASSERT_EQUAL(lines(), 1 + 15);
    snprintf(more, sizeof more, "export '%s' nothing", trace);
    CU_ASSERT_EQUAL(program("", more), 2);
    CU_ASSERT_PTR_NOT_NULL(strstr(output, "results, samples, distances, cases, sessions"));
}

/* Interrupted, then resumed: the end is what one run would have made. */
static void interrupted_and_resumed(void) {
    char more[8192];
    CU_ASSERT_EQUAL_FATAL(write_model(), 0);
    snprintf(trace, sizeof trace, "%s/interrupted.h5", ba_test_dir());
    /* A slow machine (or a sanitizer) gets more time until the first samples are there. */
    size_t before = 0;
    for (int seconds = 3; seconds <= 48 && before <= 2; seconds *= 2) {
        char interrupt[64];
        remove(trace);
        snprintf(interrupt, sizeof interrupt, "timeout --preserve-status -s INT %d", seconds);
        snprintf(more, sizeof more, "--repeat 3 --min-time 0.3 --quiet --out '%s' --csv", trace);
        CU_ASSERT_EQUAL(ttft(interrupt, more), 130);
        snprintf(more, sizeof more, "export '%s' samples --csv", trace);
        before = program("", more) == 0 ? lines() : 0;
    }
    CU_ASSERT_TRUE(before > 2);
    snprintf(more, sizeof more, "--repeat 3 --min-time 0.3 --quiet --resume --out '%s'", trace);
    CU_ASSERT_EQUAL(ttft("", more), 0);
    snprintf(more, sizeof more, "export '%s' samples --csv", trace);
    CU_ASSERT_EQUAL(program("", more), 0);
    CU_ASSERT_TRUE(lines() > before);
    snprintf(more, sizeof more, "export '%s' results", trace);
    CU_ASSERT_EQUAL(program("", more), 0);
    CU_ASSERT_EQUAL(lines(), 1 + 15);
    CU_ASSERT_PTR_NULL(strstr(output, "fail"));
}

/* Every mode on the product of two lists, its distance from full attention beside its times. */
static void lists_make_a_product(void) {
    enum { MODES = 15, PROMPTS = 2 * 3 };
    char more[12288], args[16384];
    CU_ASSERT_EQUAL_FATAL(write_model(), 0);
    snprintf(trace, sizeof trace, "%s/sweep.h5", ba_test_dir());
    snprintf(
        more, sizeof more,
        "ttft --model '%s' --question 16 --passages 2,4,3 --block-tokens 24,12 --threads 2 --executor place --mode "
        "full,block,block-nopos,turborag,promptcache,pcw,ape,superposition:topk=2,lego:k=4,lego-0,cacheblend,"
        "kvlink,sink,selective,blockdist --repeat 1 --min-time 0 --distance --prompts 2 --quiet --csv --out '%s'",
        model, trace);
    CU_ASSERT_EQUAL(program("", more), 0);
    CU_ASSERT_EQUAL(lines(), 1 + PROMPTS * (2 * MODES - 1)); /* full has no warm case */
    size_t far = 0;
    for (const char *line = strchr(output, '\n') + 1; *line; line = strchr(line, '\n') + 1) {
        char check[64], name[64];
        field(line, "check", check);
        field(line, "mode", name);
        double length = number(line, "length"), block = number(line, "block_tokens"), n = number(line, "passages");
        double kl = number(line, "kl"), max_abs = number(line, "max_abs");
        CU_ASSERT_STRING_EQUAL(check, "pass");
        CU_ASSERT_EQUAL(length, 16 + n * block);
        CU_ASSERT_TRUE(n >= 2 && n <= 4 && (block == 12 || block == 24));
        bool same = strcmp(name, "full") == 0;
        bool close = strcmp(name, "promptcache") == 0 || strcmp(name, "cacheblend") == 0; /* of two layers: all rows */
        CU_ASSERT_TRUE(same    ? kl == 0 && max_abs == 0
                       : close ? kl >= 0 && max_abs < 1e-4
                               : kl > 1e-4 && max_abs > 1e-2);
        CU_ASSERT_TRUE(same ? number(line, "speedup") == -1 : number(line, "speedup") > 0);
        CU_ASSERT_EQUAL(number(line, "n_prompts"), 2);
        CU_ASSERT_EQUAL(number(line, "noise_kl"), 0); /* of fp32 */
        CU_ASSERT_TRUE(number(line, "kl_low") <= kl && kl <= number(line, "kl_high"));
        char reuse[64];
        field(line, "reuse", reuse);
        CU_ASSERT_STRING_EQUAL(reuse, same ? "none" : strcmp(name, "promptcache") == 0 ? "same set" : "passage");
        far += strcmp(name, "block") == 0 && number(line, "cold") == 0;
    }
    CU_ASSERT_EQUAL(far, PROMPTS);
    snprintf(args, sizeof args, "export '%s' distances --csv", trace);
    CU_ASSERT_EQUAL(program("", args), 0);
    CU_ASSERT_EQUAL(lines(), 1 + PROMPTS * 2 * MODES);
    snprintf(args, sizeof args, "export '%s' samples --csv", trace);
    CU_ASSERT_EQUAL(program("", args), 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(output, "\nblock-nopos,place,40,12,1,")); /* samples stand for themselves */
    size_t before = lines();
    snprintf(args, sizeof args, "%s --resume", more);
    CU_ASSERT_EQUAL(program("", args), 0);
    CU_ASSERT_EQUAL(lines(), 1 + PROMPTS * (2 * MODES - 1));
    for (const char *line = strchr(output, '\n') + 1; *line; line = strchr(line, '\n') + 1) {
        CU_ASSERT_TRUE(number(line, "kl") >= 0); /* still there, though nothing was run */
    }
    snprintf(args, sizeof args, "export '%s' samples --csv", trace);
    CU_ASSERT_EQUAL(program("", args), 0);
    CU_ASSERT_EQUAL(lines(), before);
}

/* Median, spread and n; one prompt has no interval; the paper stands beside block alone, and promptcache is marked. */
static void the_table_carries_its_uncertainty(void) {
    CU_ASSERT_EQUAL_FATAL(write_model(), 0);
    CU_ASSERT_EQUAL(
        ttft("", "--lengths 50,512 --question 50 --mode full,block,promptcache --repeat 2 --min-time 0 --distance "
                 "--quiet"),
        0);
    const char *block = strstr(output, "=== block against full ==="),
               *cache = strstr(output, "=== promptcache against full");
    CU_ASSERT_TRUE_FATAL(block && cache && block < cache);
    CU_ASSERT_PTR_NOT_NULL(strstr(block, "±"));
    CU_ASSERT_TRUE(strstr(block, "paper, 8B model (ms)") && strstr(block, "paper, 8B model (ms)") < cache);
    CU_ASSERT_PTR_NULL(strstr(cache, "8B model"));
    CU_ASSERT_TRUE(strstr(cache, "(reuses KV only for the same passages in the same order) ===") != NULL);
    CU_ASSERT_PTR_NOT_NULL(strstr(output, "KL: mean over n = 1 prompt, [low, high]: 95 % (one prompt has none"));
}

/* Without --distance the columns are there, and blank. */
static void distance_is_blank_unless_asked_for(void) {
    CU_ASSERT_EQUAL_FATAL(write_model(), 0);
    CU_ASSERT_EQUAL(ttft("", "--repeat 1 --min-time 0 --executor place --csv --quiet"), 0);
    CU_ASSERT_EQUAL(lines(), 1 + 3 * 3);
    for (const char *line = strchr(output, '\n') + 1; *line; line = strchr(line, '\n') + 1) {
        char kl[64], max_abs[64];
        field(line, "kl", kl);
        field(line, "max_abs", max_abs);
        CU_ASSERT_STRING_EQUAL(kl, "");
        CU_ASSERT_STRING_EQUAL(max_abs, "");
        double length = number(line, "length");
        CU_ASSERT_EQUAL(number(line, "passages"), length == 16 ? 0 : length == 60 ? 2 : 8);
    }
}

static void write_file(const char *path, const char *text) {
    FILE *f = fopen(path, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    fputs(text, f);
    fclose(f);
}

static void experiment_files(void) {
    char path[4200], text[8192], args[8192];
    CU_ASSERT_EQUAL_FATAL(write_model(), 0);
    snprintf(path, sizeof path, "%s/experiment.json", ba_test_dir());
    snprintf(args, sizeof args, "run '%s' -- --csv", path);
    snprintf(
        text, sizeof text,
        "{\"about\": \"a test\", \"command\": \"ttft\", \"options\": {\"model\": \"%s\", \"lengths\": [16, \"60\"], "
        "\"question\": 16, \"block-tokens\": 24, \"repeat\": 1, \"min-time\": 0, \"quiet\": true, \"warm\": false, "
        "\"executor\": \"place\"}}",
        model);
    write_file(path, text);
    CU_ASSERT_EQUAL(program("", args), 0);
    CU_ASSERT_EQUAL(lines(), 1 + 2 * 3);
    static const char *const wrong[][2] = {
        {"[]", "JSON object"},
        {"{\"command\": \"ttft\"", "malformed JSON"},
        {"{\"command\": \"nope\"}", "field command"},
        {"{\"command\": \"run\"}", "field command"},
        {"{\"command\": \"ttft\", \"optoins\": {}}", "field optoins"},
        {"{\"command\": \"ttft\", \"options\": 3}", "field options"},
        {"{\"command\": \"ttft\", \"options\": {\"lengths\": {}}}", "field options.lengths"},
        {"{\"command\": \"ttft\", \"options\": {\"lengths\": [[1]]}}", "field options.lengths"},
        {"{\"command\": \"ttft\", \"options\": {\"lenghts\": \"50\"}}", "--lenghts"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        write_file(path, wrong[i][0]);
        CU_ASSERT_EQUAL(program("", args), 2);
        CU_ASSERT_PTR_NOT_NULL(strstr(output, wrong[i][1]));
        CU_ASSERT_PTR_NOT_NULL(strstr(output, "experiment.json"));
        CU_ASSERT_EQUAL(lines(), 1);
    }
}

static void bad_input_is_one_line(void) {
    static const char *const wrong[][2] = {
        {"--lengths 8", "--lengths"},
        {"--executor fast", "--executor"},
        {"--repeat 0", "--repeat"},
        {"--min-time soon", "--min-time"},
        {"--mode full,full", "--mode"},
        {"--mode nope", "nope"},
        {"--resume", "--resume"},
        {"--store ram:1K", "--store"},
        {"--data /dev/null", "too short"},
        {"--block-tokens 0", "--block-tokens"},
        {"--block-tokens 1,", "--block-tokens"},
        {"--passages 2", "--passages"},
        {"--mode superposition --question 1", "task"},
        {"--out /dev/full", "/dev/full"},
        {"--out /none/ttft.h5", "/none/"},
        {"--threads 0", "--threads"},
    };
    CU_ASSERT_EQUAL_FATAL(write_model(), 0);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        CU_ASSERT_EQUAL(ttft("", wrong[i][0]), 2);
        CU_ASSERT_PTR_NOT_NULL(strstr(output, wrong[i][1]));
        CU_ASSERT_EQUAL(lines(), 1);
    }
    CU_ASSERT_EQUAL(ttft("", "--out /proc/ttft.h5"), 3);
    CU_ASSERT_EQUAL(lines(), 1);
}

/* A shape without files: ids, random weights named as such, and every check holds; another seed is another model. */
static void a_shape_with_random_weights(void) {
    char path[4200], hash[2][64], check[64];
    snprintf(path, sizeof path, "%s/ttft-config.json", ba_test_dir());
    FILE *f = fopen(path, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    fputs("{\"model_type\": \"qwen2\", \"num_hidden_layers\": 2, \"hidden_size\": 64, \"num_attention_heads\": 4,"
          " \"num_key_value_heads\": 2, \"intermediate_size\": 96, \"vocab_size\": 300, \"rms_norm_eps\": 1e-6,"
          " \"max_position_embeddings\": 512, \"tie_word_embeddings\": true}",
          f);
    fclose(f);
    for (int seed = 0; seed < 2; seed++) {
        char args[8192];
        snprintf(
            args, sizeof args,
            "ttft --shape '%s' --seed %d --question 16 --block-tokens 24 --lengths 100 --mode full,block,superposition "
            "--repeat 1 --min-time 0 --threads 2 --quiet --csv",
            path, seed);
        CU_ASSERT_EQUAL(program("", args), 0);
        CU_ASSERT_PTR_NOT_NULL(strstr(output, "weights: random, seed"));
        size_t rows = 0;
        for (const char *line = strchr(output, '\n') + 1; *line; line = strchr(line, '\n') + 1, rows++) {
            field(line, "check", check);
            CU_ASSERT_STRING_EQUAL(check, "pass");
            field(line, "model_hash", hash[seed]);
        }
        CU_ASSERT_EQUAL(rows, 9);
        snprintf(args, sizeof args, "ttft --shape '%s' --model x --lengths 100", path);
        CU_ASSERT_EQUAL(program("", args), 2);
        snprintf(args, sizeof args, "gate --shape '%s' --data x.jsonl", path);
        CU_ASSERT_EQUAL(program("", args), 2);
        CU_ASSERT_PTR_NOT_NULL(strstr(output, "no vocabulary"));
        snprintf(args, sizeof args, "generate --shape '%s' --length 60 --max-tokens 3 --json", path);
        CU_ASSERT_EQUAL(program("", args), 0);
        CU_ASSERT_PTR_NOT_NULL(strstr(output, "\"token_s_median\""));
    }
    CU_ASSERT_STRING_NOT_EQUAL(hash[0], hash[1]);
}

int ba_suite_ttft(void) {
    CU_pSuite s = CU_add_suite("ttft", NULL, NULL);
    if (!s || !CU_add_test(s, "every row passes its check on a tiny model", every_check_passes) ||
        !CU_add_test(s, "a trace is resumed and exported", a_trace_is_resumed_and_exported) ||
        !CU_add_test(s, "interrupted and resumed", interrupted_and_resumed) ||
        !CU_add_test(s, "lists make a product, distances beside it", lists_make_a_product) ||
        !CU_add_test(s, "the table carries its uncertainty", the_table_carries_its_uncertainty) ||
        !CU_add_test(s, "distance is blank unless asked for", distance_is_blank_unless_asked_for) ||
        !CU_add_test(s, "a shape with random weights", a_shape_with_random_weights) ||
        !CU_add_test(s, "experiment files, and what is wrong in them", experiment_files) ||
        !CU_add_test(s, "bad input is one line", bad_input_is_one_line)) {
        return -1;
    }
    return 0;
}

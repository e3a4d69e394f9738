/* What `make install` puts somewhere else: the program with its data, pages and figures, and the library as C and Python
 * programs use it. Errors of the library are tested in this process, on a tiny model. */
#include "library/blockattn.h"
#include "tests/support/program.h"
#include "tests/support/runner.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Absolute folders: the source tree, the build, and what is installed below PREFIX /opt/ba. */
typedef struct places {
    char source[4096], build[4096], root[4096];
} places;

/* Runs a line of shell in the tests' folder; standard output and error go to the file "said". Its exit status. */
static int shell(const char *format, ...) __attribute__((format(printf, 1, 2)));
static int shell(const char *format, ...) {
    char *line = NULL, *whole = NULL;
    va_list args;
    va_start(args, format);
    int n = vasprintf(&line, format, args);
    va_end(args);
    CU_ASSERT_FATAL(n > 0);
    CU_ASSERT_FATAL(asprintf(&whole, "cd %s && { %s; } >said 2>&1", ba_test_dir(), line) > 0);
    int status = system(whole);
    free(line);
    free(whole);
    return status;
}

static void find_places(places *p) {
    char golden[4096];
    ba_test_golden("../..", golden, sizeof golden);
    CU_ASSERT_PTR_NOT_NULL_FATAL(realpath(golden, p->source));
    snprintf(p->build, sizeof p->build, "%.*s", (int)(strrchr(ba_test_program(), '/') - ba_test_program()),
             ba_test_program());
    CU_ASSERT_FATAL((size_t)snprintf(p->root, sizeof p->root, "%s/root/opt/ba", ba_test_dir()) < sizeof p->root);
}

/* Installs what is built: -o keeps make from building it again. */
static int install(const places *p, const char *target) {
    return shell("unset MAKEFLAGS MAKELEVEL; make -s -C '%s' -o all %s BUILD='%s' PREFIX=/opt/ba DESTDIR=\"$PWD/root\"",
                 p->source, target, p->build);
}

/* Installs what is missing; false: this machine cannot, and the test is skipped. */
static bool installed(places *p) {
    find_places(p);
    char library[4200];
    snprintf(library, sizeof library, "%s/libblockattn.so.0", p->build);
    if (access(library, R_OK) != 0) {
        ba_test_skip("build/libblockattn.so.0 is not there: 'make' builds it");
        return false;
    }
    CU_ASSERT_EQUAL_FATAL(access(p->root, F_OK) == 0 ? 0 : install(p, "install"), 0);
    return true;
}

static void expect_said(const char *words) {
    char *text = program_text("said");
    CU_ASSERT_PTR_NOT_NULL(strstr(text, words));
    if (!strstr(text, words)) {
        printf("  no '%s' in: %s\n", words, text);
    }
    free(text);
}

/* From a folder that holds none of the program's data. */
static void test_program(void) {
    places p;
    if (!installed(&p)) {
        return;
    }
    CU_ASSERT_EQUAL(shell("%s/bin/blockattn --version", p.root), 0);
    expect_said(BLOCKATTN_VERSION);
    CU_ASSERT_EQUAL(shell("%s/bin/blockattn run requests_ram -- --requests 200 --force --out drawn.h5", p.root), 0);
    CU_ASSERT_EQUAL(shell("%s/bin/blockattn game --world holdem --frames 1 --model absent", p.root) == 0, false);
    expect_said("model 'absent': no such file");
    static const char *const files[] = {"share/man/man1/blockattn.1",
                                        "share/bash-completion/completions/blockattn",
                                        "share/zsh/site-functions/_blockattn",
                                        "lib/libblockattn.so",
                                        "include/blockattn.h",
                                        "share/blockattn/plots/draw.sh"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        CU_ASSERT_EQUAL(shell("test -s %s/%s", p.root, files[i]), 0);
    }
    CU_ASSERT_NOT_EQUAL(shell("%s/bin/blockattn draw drawn.h5 absent-folder", p.root), 0);
    expect_said("draw.sh: absent-folder: no such folder");
    if (shell("command -v gnuplot") != 0) {
        ba_test_skip("figures: gnuplot is missing");
        return;
    }
    CU_ASSERT_EQUAL(
        shell(
            "mkdir -p figures && cd figures && %s/bin/blockattn export ../drawn.h5 requests --csv >x-requests-1.csv &&"
            "cp x-requests-1.csv x-requests-2.csv && %s/bin/blockattn draw --set requests x-requests-1.csv "
            "x-requests-2.csv .",
            p.root, p.root),
        0);
    CU_ASSERT_EQUAL(shell("test -s figures/requests.png"), 0);
    /* In bf16, whose distances have a noise floor; and where every mode equals full attention. */
    static const char *const runs[] = {
        "ttft --dtype bf16 --mode full,promptcache --distance --lengths 178 --prompts 2 --repeat 1 "
        "--min-time 0.001",
        "gate --dtype bf16 --mode full,block,ape --length 300 --greedy 1 --probe 1 --limit 2"};
    static const char *const drawn[][2] = {{"sweep", "sweep_kl_length"}, {"gate", "ranking"}};
    for (size_t i = 0; i < sizeof runs / sizeof *runs; i++) {
        CU_ASSERT_EQUAL(shell("%s/bin/blockattn %s --shape %s/tests/golden/tiny/llama/config.json --out drawn-%s.h5",
                              p.root, runs[i], p.source, drawn[i][0]),
                        0);
        CU_ASSERT_EQUAL(shell("%s/bin/blockattn draw drawn-%s.h5 figures --set %s", p.root, drawn[i][0], drawn[i][0]),
                        0);
        CU_ASSERT_EQUAL(shell("test -s figures/%s.png", drawn[i][1]), 0);
    }
}

/* Only the functions of the header can be seen. */
static void test_symbols(void) {
    places p;
    if (!installed(&p)) {
        return;
    }
    CU_ASSERT_EQUAL(shell("nm -D --defined-only %s/lib/libblockattn.so | sed 's/.* //' | sort >seen", p.root), 0);
    CU_ASSERT_EQUAL(
        shell("grep -oE '\\<blockattn_[a-z_]+\\(' %s/include/blockattn.h | tr -d '(' | sort -u | diff - seen", p.root),
        0);
    CU_ASSERT_EQUAL(shell("readelf -d %s/lib/libblockattn.so | grep -q 'SONAME.*libblockattn.so.0'", p.root), 0);
}

static const char question[] = "Which river flows through Bern?";
static const char documents[] = "Bern is the capital of Switzerland.\n\nThe river Aare flows through Bern.\n";

/* What the program prints for the examples' request; freed with cJSON_Delete. */
static cJSON *printed(const char *command, const char *mode, const char *option) {
    program_end o =
        program_run((const char *[]){command, "--model", ba_test_model(), "--question", question, "--documents",
                                     "documents.txt", "--mode", mode, "--json", option, NULL});
    cJSON *root = cJSON_Parse(o.out);
    CU_ASSERT_PTR_NOT_NULL_FATAL(root);
    program_free(&o);
    return root;
}

static double number(const cJSON *o, const char *name) {
    const cJSON *value = cJSON_GetObjectItem(o, name);
    return value ? value->valuedouble : NAN;
}

/* A line of the examples for each of the n states of the store, as the program's own commands have it. */
static size_t expect_mode(char *text, size_t size, const char *mode, const char *const *state, size_t n) {
    cJSON *logits = printed("logits", mode, NULL), *plan = printed("plan", mode, "--cost");
    const cJSON *values = cJSON_GetObjectItem(cJSON_GetObjectItem(logits, "top"), "values");
    size_t used = 0;
    for (size_t i = 0; i < n; i++) {
        const cJSON *cost = cJSON_GetObjectItem(cJSON_GetObjectItem(plan, "cost"), state[i]);
        used += (size_t)snprintf(text + used, size - used,
                                 "%s: logit %.17g of id %.0f 'The'; %.0f FLOPs, %.0f of %.0f tokens reused\n", mode,
                                 cJSON_GetArrayItem(values, 0)->valuedouble, number(logits, "argmax"),
                                 number(cost, "flops_exact"), number(cost, "n_reused"), number(logits, "n_tokens"));
    }
    cJSON_Delete(logits);
    cJSON_Delete(plan);
    return used;
}

static void expect_example(void) {
    char expected[1024], *text = program_text("said");
    static const char *const state[] = {"cold", "warm"};
    program_write("documents.txt", documents);
    size_t used = expect_mode(expected, sizeof expected, "full", state, 1);
    expect_mode(expected + used, sizeof expected - used, "block", state, 2);
    CU_ASSERT_PTR_NOT_NULL(strstr(expected, "0 of 98 tokens reused"));
    CU_ASSERT_PTR_NOT_NULL(strstr(expected, "56 of 98 tokens reused"));
    CU_ASSERT_STRING_EQUAL(text, expected);
    if (strcmp(text, expected) != 0) {
        printf("  expected:\n%s  and not:\n%s", expected, text);
    }
    free(text);
}

static void test_c(void) {
    places p;
    if (!ba_test_model()) {
        ba_test_skip("the model is not cached");
        return;
    }
    if (!installed(&p)) {
        return;
    }
    const char *flags = BA_SANITIZED ? "-fsanitize=address,undefined" : "-Wall -Wextra -Wpedantic -Werror -std=c11";
    CU_ASSERT_EQUAL_FATAL(
        shell("export PKG_CONFIG_PATH=%s/lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$PWD/root; "
              "cc %s %s/share/doc/blockattn/example.c $(pkg-config --cflags --libs blockattn) -o example",
              p.root, flags, p.root),
        0);
    CU_ASSERT_EQUAL(shell("LD_LIBRARY_PATH=%s/lib ./example %s", p.root, ba_test_model()), 0);
    expect_example();
    CU_ASSERT_EQUAL(shell("test $(wc -l <%s/share/doc/blockattn/example.c) -le 45", p.root), 0);
}

static void test_python(void) {
    places p;
    if (!ba_test_model()) {
        ba_test_skip("the model is not cached");
        return;
    }
    if (BA_SANITIZED) {
        ba_test_skip("python3 cannot load a library with sanitizers");
        return;
    }
    if (shell("python3 -c 'import numpy'") != 0) {
        ba_test_skip("no python3 with numpy");
        return;
    }
    if (!installed(&p)) {
        return;
    }
    CU_ASSERT_EQUAL(shell("python3 %s/share/blockattn/python/blockattn.py %s", p.root, ba_test_model()), 0);
    expect_example();
    program_write("more.py",
                  "import sys, numpy, blockattn\n"
                  "m = blockattn.Model(sys.argv[1], threads=1)\n"
                  "r = m.ids([[1, 2, 3], numpy.arange(4, 9), [5], [7, 8]])\n"
                  "plan = r.plan('block')\n"
                  "mask = plan.mask()\n"
                  "assert mask.shape == (11, 11) and mask[3, :3].sum() == 0 and mask[10].all() and r.tokens == 11\n"
                  "cold = plan.counts()\n"
                  "run = plan.run(room=2)\n"
                  "before = run.logits()\n"
                  "counted = run.counts()\n"
                  "assert (counted.flops, counted.computed, counted.reused) == (cold.flops, 11, 0)\n"
                  "p = run.extend([9, 10])\n"
                  "assert abs(p[0] - (before[9] - numpy.logaddexp.reduce(before))) < 1e-9 and p[1] < 0\n"
                  "assert plan.run().counts().reused == 9 == plan.counts(stored=True).reused\n"
                  "del run\n" /* what a run uses is not forgotten */
                  "m.forget()\n"
                  "run = plan.run()\n"
                  "assert run.counts().reused == 0\n"
                  "for broken in (lambda: r.plan('blok'), lambda: m.ids([[-1]]), lambda: m.request({'blocks': 3}),\n"
                  "               lambda: run.extend([1]), lambda: blockattn.Model('absent.gguf')):\n"
                  "    try:\n"
                  "        broken()\n"
                  "    except blockattn.Error as e:\n"
                  "        print(e)\n"
                  "    else:\n"
                  "        sys.exit('not refused')\n");
    CU_ASSERT_EQUAL(
        shell("PYTHONPATH=%s/share/blockattn/python:$PYTHONPATH python3 more.py %s", p.root, ba_test_model()), 0);
    expect_said("unknown mode 'blok'");
    expect_said("absent.gguf: No such file");
}

/* Last of the suite: nothing that was installed stays. */
static void test_uninstall(void) {
    places p;
    if (!installed(&p)) {
        return;
    }
    CU_ASSERT_EQUAL(install(&p, "uninstall"), 0);
    CU_ASSERT_EQUAL(shell("test -z \"$(find root -not -type d)\" && test ! -d %s/share/blockattn", p.root), 0);
}

/* Every error is a line of text and leaves *out NULL; nothing is printed, and nothing has to be freed. */
static void test_errors(void) {
    static const int32_t ids[] = {5, 6, 7, 1 << 30};
    static const size_t length[] = {2, 1, 0, 1};
    static const char *const texts[] = {"The sky is blue.", "\xff"};
    char path[4096], err[BLOCKATTN_ERR_LEN];
    blockattn_model *m;
    blockattn_request *r = (blockattn_request *)path;
    blockattn_plan *plan;
    blockattn_run *run;
    double logprob[2];
    program_tiny();
    program_path("tiny.gguf", path);
    CU_ASSERT_NOT_EQUAL(blockattn_model_open("absent.gguf", NULL, &m, err), 0);
    CU_ASSERT(!m && strstr(err, "absent.gguf"));
    CU_ASSERT_NOT_EQUAL(blockattn_model_open(path, &(blockattn_options){.backend = "abacus"}, &m, err), 0);
    CU_ASSERT(!m && strstr(err, "abacus"));
    CU_ASSERT_EQUAL_FATAL(blockattn_model_open(path, &(blockattn_options){.threads = 1}, &m, err), 0);
    CU_ASSERT_NOT_EQUAL(blockattn_request_parse(m, "{\"blocks\": [\"a\"], \"colour\": 3}", &r, err), 0);
    CU_ASSERT(!r && strstr(err, "colour"));
    CU_ASSERT_NOT_EQUAL(blockattn_request_ids(m, ids, length, 0, &r, err), 0);
    CU_ASSERT(!r && strstr(err, "at least one segment"));
    CU_ASSERT_NOT_EQUAL(blockattn_request_ids(m, ids, length, 3, &r, err), 0);
    CU_ASSERT(!r && strstr(err, "segment 2 is empty"));
    CU_ASSERT_NOT_EQUAL(blockattn_request_ids(m, ids + 2, length, 1, &r, err), 0);
    CU_ASSERT(!r && strstr(err, "segment 0, id 1: 1073741824 is not a token id"));
    CU_ASSERT_NOT_EQUAL(blockattn_request_ask(m, "Why?", texts, 2, &r, err), 0);
    CU_ASSERT(!r && strstr(err, "document 1: byte 0 is no text in UTF-8"));
    CU_ASSERT_EQUAL_FATAL(blockattn_request_ids(m, ids, length, 2, &r, err), 0);
    CU_ASSERT_NOT_EQUAL(blockattn_plan_new(r, "blok", &plan, err), 0);
    CU_ASSERT(!plan && strstr(err, "block"));
    CU_ASSERT_EQUAL_FATAL(blockattn_plan_new(r, "lego:k=1", &plan, err), 0);
    CU_ASSERT_STRING_EQUAL(blockattn_plan_mode(plan), "lego:k=1");
    blockattn_request_free(r);
    CU_ASSERT_EQUAL_FATAL(blockattn_run_new(m, plan, 1, &run, err), 0);
    CU_ASSERT_NOT_EQUAL(blockattn_run_extend(run, ids, 2, logprob, err), 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(err, "room was made for 1"));
    CU_ASSERT_NOT_EQUAL(blockattn_run_extend(run, ids + 3, 1, logprob, err), 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(err, "is not a token id"));
    CU_ASSERT_EQUAL(blockattn_run_extend(run, ids, 1, logprob, err), 0);
    CU_ASSERT(logprob[0] < 0 && blockattn_run_logits(run, err));
    blockattn_run_free(run);
    blockattn_plan_free(plan);
    blockattn_model_close(m);
    blockattn_run_free(NULL);
    blockattn_plan_free(NULL);
    blockattn_request_free(NULL);
    blockattn_model_close(NULL);
}

/* A text is cut with its NUL, and the whole length is returned, however little room there is. */
static void test_text(void) {
    char path[4096], err[BLOCKATTN_ERR_LEN], text[8] = "unset";
    blockattn_model *m;
    const int32_t ids[] = {3 + 'a', 3 + 'b', 2, 3 + 'c', 1 << 30}; /* 2 is a control token */
    program_tiny();
    CU_ASSERT_EQUAL_FATAL(blockattn_model_open(program_path("tiny.gguf", path), NULL, &m, err), 0);
    CU_ASSERT_EQUAL(blockattn_model_text(m, ids, 5, NULL, 0), 3);
    CU_ASSERT_EQUAL(blockattn_model_text(m, ids, 5, text, 3), 3);
    CU_ASSERT_STRING_EQUAL(text, "ab");
    CU_ASSERT_EQUAL(blockattn_model_text(m, ids, 5, text, sizeof text), 3);
    CU_ASSERT_STRING_EQUAL(text, "abc");
    CU_ASSERT(blockattn_model_ends(m, 2) && !blockattn_model_ends(m, 3 + 'a'));
    blockattn_model_close(m);
}

int ba_suite_library(void) {
    CU_pSuite s = CU_add_suite("library", NULL, NULL);
    bool ok = s && CU_add_test(s, "errors are texts, and keep nothing", test_errors) &&
              CU_add_test(s, "texts fit their room", test_text) &&
              CU_add_test(s, "the installed program finds its data and draws", test_program) &&
              CU_add_test(s, "only the header's functions are visible", test_symbols) &&
              CU_add_test(s, "the C example gives what the program prints", test_c) &&
              CU_add_test(s, "so does Python", test_python) &&
              CU_add_test(s, "uninstall leaves nothing", test_uninstall);
    return ok ? 0 : -1;
}

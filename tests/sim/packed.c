/* Files of packed weights: a start from one computes the same bits, and a damaged or foreign one is never used. */
#include "tests/support/tiny.h"

#include "experiments/cli/cli.h"
#include "sim/files/packed.h"
#include "sim/modes/modes.h"
#include "tests/support/runner.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct scene {
    char folder[512];
    ba_model *model;
    ba_backend *be; /* one of those that have a packed form */
    double *logits; /* [vocab] of a start without a file */
    size_t vocab;
} scene;

/* Logits of one start. mapped: whether all weights came from the file. */
static void start(const scene *s, const char *hash, double *out, bool *mapped, char remark[BA_ERR_LEN]) {
    char err[BA_ERR_LEN] = "";
    ba_engine *engine = NULL;
    ba_plan *plan = NULL;
    ba_run *run = NULL;
    const int32_t ids[] = {5, 9, 2, 44, 17};
    ba_packed *packed = hash ? ba_packed_open(s->folder, hash, s->be) : NULL;
    ba_prompt *prompt = ba_prompt_new(NULL);
    CU_ASSERT_FATAL(prompt && ba_prompt_add(prompt, BA_ROLE_QUESTION, ids, 5) == 0);
    CU_ASSERT_EQUAL_FATAL(ba_engine_new_packed(s->model, s->be, NULL, NULL, packed, &engine, err), 0);
    CU_ASSERT_EQUAL_FATAL(ba_mode_plan("full", prompt, &plan, err), 0);
    CU_ASSERT_EQUAL_FATAL(ba_engine_run(engine, plan, NULL, 0, &run, err), 0);
    memcpy(out, ba_run_logits(run), s->vocab * sizeof *out);
    *mapped = ba_packed_mapped(packed);
    snprintf(remark, BA_ERR_LEN, "%s", ba_packed_remark(packed));
    ba_run_free(run);
    ba_plan_free(plan);
    ba_engine_free(engine);
    ba_packed_close(packed);
    ba_prompt_free(prompt);
}

/* A start must compute the same bits, with or without the file. */
static void expect(const scene *s, const char *hash, bool mapped, bool remark) {
    char line[BA_ERR_LEN];
    bool was;
    double *out = malloc(s->vocab * sizeof *out);
    CU_ASSERT_PTR_NOT_NULL_FATAL(out);
    start(s, hash, out, &was, line);
    CU_ASSERT_EQUAL(memcmp(out, s->logits, s->vocab * sizeof *out), 0);
    CU_ASSERT_EQUAL(was, mapped);
    CU_ASSERT_EQUAL(*line != '\0', remark);
    free(out);
}

static void skip(void) {
    ba_test_skip("no backend of this build keeps packed weights on this processor");
}

static void scene_close(scene *s) {
    free(s->logits);
    ba_backend_close(s->be);
    ba_model_close(s->model);
}

/* false: no further backend here has packed weights; if there is none at all, the test is skipped. */
static bool scene_open(scene *s, const char *name, size_t index) {
    char path[512], err[BA_ERR_LEN], unused[BA_ERR_LEN];
    const ba_backend_config cfg = {.threads = 2};
    bool mapped;
    *s = (scene){.be = NULL};
    for (size_t i = 0, found = 0; ba_backend_at(i) && !s->be; i++) {
        if (ba_backend_at(i)->packing && ba_backend_at(i)->open(&cfg, &s->be, err) == 0 && found++ < index) {
            ba_backend_close(s->be);
            s->be = NULL;
        }
    }
    if (!s->be) {
        return false;
    }
    snprintf(s->folder, sizeof s->folder, "%s/packed-%s-%zu/a/b", ba_test_dir(), name, index);
    snprintf(path, sizeof path, "%s/packed-%s.gguf", ba_test_dir(), name);
    CU_ASSERT_EQUAL_FATAL(ba_tiny_gguf(path, &(ba_tiny_options){.arch = "qwen2", .untied = true}), 0);
    CU_ASSERT_EQUAL_FATAL(ba_model_open(path, true, &s->model, err), 0);
    s->vocab = ba_model_shape(s->model)->vocab;
    s->logits = malloc(s->vocab * sizeof *s->logits);
    CU_ASSERT_PTR_NOT_NULL_FATAL(s->logits);
    start(s, NULL, s->logits, &mapped, unused);
    return true;
}

/* The only file in the folder. */
static void file_of(const scene *s, char *path, size_t size) {
    DIR *dir = opendir(s->folder);
    size_t n = 0;
    CU_ASSERT_PTR_NOT_NULL_FATAL(dir);
    for (struct dirent *e; (e = readdir(dir));) {
        if (e->d_name[0] != '.') {
            snprintf(path, size, "%s/%s", s->folder, e->d_name);
            n++;
        }
    }
    closedir(dir);
    CU_ASSERT_EQUAL_FATAL(n, 1);
}

static void test_start(void) {
    const char *hash = "0123456789abcdef0123456789abcdef";
    scene s;
    size_t n = 0;
    while (scene_open(&s, "start", n)) {
        char path[1024];
        expect(&s, hash, false, false);
        expect(&s, hash, true, false);
        file_of(&s, path, sizeof path);
        CU_ASSERT_EQUAL(unlink(path), 0);
        expect(&s, hash, false, false);
        expect(&s, hash, true, false);
        scene_close(&s);
        n++;
    }
    if (n == 0) {
        skip();
    }
}

static void change_byte(const char *path, off_t at) {
    unsigned char byte = 0;
    int fd = open(path, O_RDWR);
    CU_ASSERT_FATAL(fd >= 0 && pread(fd, &byte, 1, at) == 1);
    byte ^= 0x10;
    CU_ASSERT_FATAL(pwrite(fd, &byte, 1, at) == 1 && close(fd) == 0);
}

/* Which bytes are padding, on which nothing depends, cannot be seen from outside; so bytes that are not are tried. */
static void test_damage(void) {
    static const off_t in_head[] = {0, 7, 8, 40, 247, 248, 255, 256, 263, 264, 271, 272, 280, 288, 296};
    static const double cut[] = {0, 0.0001, 0.001, 0.3, 0.99, 0.9999};
    const char *hash = "0123456789abcdef0123456789abcdef";
    scene s;
    if (!scene_open(&s, "damage", 0)) {
        skip();
    } else {
        char path[1024];
        struct stat info;
        expect(&s, hash, false, false);
        file_of(&s, path, sizeof path);
        CU_ASSERT_EQUAL_FATAL(stat(path, &info), 0);
        for (size_t i = 0; i < sizeof in_head / sizeof *in_head; i++) {
            change_byte(path, in_head[i]);
            expect(&s, hash, false, true);
            expect(&s, hash, true, false);
        }
        change_byte(path, 4096 + 5); /* of the first weight */
        expect(&s, hash, false, true);
        expect(&s, hash, true, false);
        for (size_t i = 0; i < sizeof cut / sizeof *cut; i++) {
            CU_ASSERT_EQUAL_FATAL(truncate(path, (off_t)(cut[i] * (double)info.st_size)), 0);
            expect(&s, hash, false, true);
            expect(&s, hash, true, false);
        }
        CU_ASSERT_EQUAL_FATAL(truncate(path, info.st_size + 1), 0);
        expect(&s, hash, false, true);
        expect(&s, hash, true, false);
    }
    scene_close(&s);
}

/* The file of another model, renamed to this model's file. */
static void test_other_model(void) {
    const char *hash = "0123456789abcdef0123456789abcdef", *other = "0123456789abcdef0000000000000000";
    scene s;
    if (!scene_open(&s, "other", 0)) {
        skip();
    } else {
        char path[1024], moved[1024], mine[1024];
        expect(&s, hash, false, false);
        file_of(&s, mine, sizeof mine);
        snprintf(moved, sizeof moved, "%s/.other", s.folder);
        CU_ASSERT_EQUAL_FATAL(rename(mine, moved), 0);
        expect(&s, other, false, false);
        file_of(&s, path, sizeof path);
        CU_ASSERT_EQUAL_FATAL(rename(moved, path), 0);
        expect(&s, other, false, true);
        expect(&s, other, true, false);
    }
    scene_close(&s);
}

/* A folder cannot be made inside of a file; a file that another start is writing is left alone. */
static void test_not_writable(void) {
    const char *hash = "0123456789abcdef0123456789abcdef";
    scene s;
    if (!scene_open(&s, "locked", 0)) {
        skip();
    } else {
        char path[1024], part[1100], folder[512];
        expect(&s, hash, false, false);
        file_of(&s, path, sizeof path);
        snprintf(part, sizeof part, "%s.0badf00d.tmp", path);
        CU_ASSERT_EQUAL_FATAL(unlink(path), 0);
        int fd = open(part, O_RDWR | O_CREAT, 0600);
        CU_ASSERT_FATAL(fd >= 0 && flock(fd, LOCK_EX) == 0);
        expect(&s, hash, false, false);
        CU_ASSERT_EQUAL(access(path, F_OK), -1);
        close(fd); /* now it is what a start that was killed has left */
        expect(&s, hash, false, false);
        CU_ASSERT_EQUAL(access(part, F_OK), -1);
        expect(&s, hash, true, false);
        snprintf(folder, sizeof folder, "%s", s.folder);
        snprintf(s.folder, sizeof s.folder, "%.400s/packed-locked.gguf/c", ba_test_dir());
        expect(&s, hash, false, true);
        snprintf(s.folder, sizeof s.folder, "%s", folder);
    }
    scene_close(&s);
}

/* Names of the time before, and links and pipes under names like the temporary ones: none is opened or followed. */
static void test_planted(void) {
    static const char *const suffix[] = {"part", "tmp", "1f3c09ab.tmp"};
    const char *hash = "0123456789abcdef0123456789abcdef";
    scene s;
    if (!scene_open(&s, "planted", 0)) {
        skip();
    } else {
        char path[1024], planted[1100], victim[1100], text[16] = "";
        expect(&s, hash, false, false);
        file_of(&s, path, sizeof path);
        CU_ASSERT_EQUAL_FATAL(unlink(path), 0);
        snprintf(victim, sizeof victim, "%s/victim", s.folder);
        FILE *f = fopen(victim, "w");
        CU_ASSERT_FATAL(f && fputs("precious", f) >= 0 && fclose(f) == 0);
        for (size_t i = 0; i < sizeof suffix / sizeof *suffix; i++) {
            snprintf(planted, sizeof planted, "%s.%s", path, suffix[i]);
            CU_ASSERT_EQUAL_FATAL(symlink(victim, planted), 0);
        }
        snprintf(planted, sizeof planted, "%s.00000000.tmp", path);
        CU_ASSERT_EQUAL_FATAL(mkfifo(planted, 0600), 0);
        expect(&s, hash, false, false);
        expect(&s, hash, true, false);
        f = fopen(victim, "r");
        CU_ASSERT_PTR_NOT_NULL_FATAL(f);
        CU_ASSERT_PTR_NOT_NULL(fgets(text, sizeof text, f));
        CU_ASSERT_STRING_EQUAL(text, "precious");
        fclose(f);
    }
    scene_close(&s);
}

int ba_suite_packed(void) {
    CU_pSuite suite = CU_add_suite("packed", NULL, NULL);
    return !suite || !CU_add_test(suite, "a start from the file computes the same bits", test_start) ||
           !CU_add_test(suite, "a damaged file is refused, reported and written again", test_damage) ||
           !CU_add_test(suite, "the file of another model is refused", test_other_model) ||
           !CU_add_test(suite, "a file that cannot be written changes no result", test_not_writable) ||
           !CU_add_test(suite, "planted links and pipes are left alone", test_planted);
}

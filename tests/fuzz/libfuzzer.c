/* libFuzzer's door to the targets: `blockattn-fuzz --target=NAME CORPUS..`, or --list. The first corpus folder gets the
 * seeds. An input that breaks a promise aborts, as a crash does. */
#include "fuzz.h"

#include <ftw.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
const char *__lsan_default_suppressions(void); /* NOLINT(bugprone-reserved-identifier): the sanitizer's name */

/* libFuzzer's callbacks carry no argument of ours: what they need lives here. */
static struct {
    const ba_fuzz *target;
    void *state;
    char folder[BA_FUZZ_PATH];
} fuzzing;

/* HDF5 gives up on damaged files without freeing what it had begun; that is not ours to mend. */
const char *__lsan_default_suppressions(void) {
    return "leak:libhdf5";
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *walk) {
    (void)info, (void)kind, (void)walk;
    return remove(path);
}

static void clean_up(void) {
    fuzzing.target->close(fuzzing.state);
    nftw(fuzzing.folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void list_targets(void) {
    for (size_t i = 0; ba_fuzz_at(i); i++) {
        puts(ba_fuzz_at(i)->name);
    }
    exit(EXIT_SUCCESS);
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    static const char option[] = "--target=";
    const char *corpus = NULL, *name = "", *tmp = getenv("TMPDIR");
    for (int i = 1; i < *argc; i++) {
        const char *word = (*argv)[i];
        if (strncmp(word, option, sizeof option - 1) == 0) {
            name = word + sizeof option - 1;
        } else if (strcmp(word, "--list") == 0) {
            list_targets();
        } else if (*word != '-' && !corpus) {
            corpus = word;
        }
    }
    fuzzing.target = ba_fuzz_by_name(name);
    snprintf(fuzzing.folder, sizeof fuzzing.folder, "%s/blockattn-fuzz-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    struct stat info;
    bool folder = corpus && stat(corpus, &info) == 0 && S_ISDIR(info.st_mode);
    if (!fuzzing.target || !mkdtemp(fuzzing.folder) || (folder && fuzzing.target->seed(fuzzing.target, corpus) != 0) ||
        !(fuzzing.state = fuzzing.target->open(fuzzing.target, fuzzing.folder))) {
        fprintf(stderr, "fuzz: no target \"%s\", or its files cannot be written\n", name);
        exit(EXIT_FAILURE);
    }
    atexit(clean_up);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!fuzzing.target->take(fuzzing.state, data, size)) {
        abort();
    }
    return 0;
}

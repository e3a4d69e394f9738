/* Fuzzing: everything that reads bytes of strangers, as targets that libFuzzer (libfuzzer.c, `make fuzz`) and the test
 * runner (test_fuzz.c) feed alike. A target is one row of the table in fuzz.c and one file; targets that replace a file
 * of a model's folder share one.
 *
 * Seeds are written by the tests' own writers of models, traces and requests. An input that once did harm is kept in
 * tests/golden/fuzz/TARGET. */
#ifndef BA_FUZZ_H
#define BA_FUZZ_H

#include <stdbool.h>
#include <stddef.h>

typedef struct ba_fuzz ba_fuzz;

struct ba_fuzz {
    const char *name;
    const char *file; /* of a folder: what the input takes the place of; or NULL */
    /* Prepares what does not depend on the input; folder: an empty one of its own. NULL: that failed. */
    void *(*open)(const ba_fuzz *self, const char *folder);
    /* Any bytes. false: something that must hold does not, with a line on stderr. */
    bool (*take)(void *state, const unsigned char *data, size_t size);
    void (*close)(void *state);
    /* Writes seeds into an existing folder. 0 or -1. */
    int (*seed)(const ba_fuzz *self, const char *folder);
};

/* Table; NULL past the last. */
const ba_fuzz *ba_fuzz_at(size_t i);
const ba_fuzz *ba_fuzz_by_name(const char *name);

/* ---- shared by targets ---- */

#define BA_FUZZ_PATH 4096

/* Puts the bytes into folder/name. 0 or -1. */
int ba_fuzz_write(const char *folder, const char *name, const void *data, size_t size);

/* `held`, and a line on stderr if it is false. */
bool ba_fuzz_check(bool held, const char *what);

/* Opens a model and uses what it gives: tensors, names, tokenizer. A refusal must say why. */
bool ba_fuzz_model(const char *path);

#endif

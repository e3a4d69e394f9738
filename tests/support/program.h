/* Runs the real program in the tests' folder: its output, its exit status, and command lines that it must refuse. */
#ifndef BA_TESTS_PROGRAM_H
#define BA_TESTS_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum { PROGRAM_ARGS = 24 };

/* The outcome of a run of the program; text is malloc'ed. */
typedef struct program_end {
    int status; /* exit status, or 128 + signal */
    char *out, *err;
} program_end;

/* A command line that must be refused, and words that must occur in the line on standard error. */
typedef struct program_refusal {
    int status;
    const char *says;
    const char *args[PROGRAM_ARGS];
} program_refusal;

/* Starts the program; args end with NULL. Standard output goes to `out_path`. -1: failed. */
pid_t program_start(const char *out_path, const char *const *args);
program_end program_finish(pid_t child);
/* Start and finish; standard output goes to the file "stdout" or to out_path. */
program_end program_run(const char *const *args);
program_end program_run_to(const char *out_path, const char *const *args);
void program_free(program_end *o);

bool program_is_one_line(const char *text);
void program_expect_refusals(const program_refusal *row, size_t n);
#define EXPECT_REFUSALS(rows) program_expect_refusals(rows, sizeof(rows) / sizeof *(rows))

/* Files in the tests' folder: the path of one, its contents (freed with free), and writing one. */
const char *program_path(const char *name, char path[4096]);
char *program_text(const char *name);
void program_write(const char *name, const char *text);
/* Makes tiny.gguf, at the first call. */
void program_tiny(void);

#endif

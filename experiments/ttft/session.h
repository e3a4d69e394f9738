/* A whole measurement of `ttft`: cases made, visited, traced and reported. */
#ifndef BA_TTFT_SESSION_H
#define BA_TTFT_SESSION_H

#include "experiments/options/tables.h"
#include "ttft.h"

#include <stdbool.h>

/* Size of one prompt, tokens. */
typedef struct ba_ttft_size {
    size_t length; /* of the whole prompt, not below the question's */
    size_t block;  /* of a passage */
} ba_ttft_size;

/* What is measured: each mode on each prompt. Everything is borrowed. */
typedef struct ba_ttft_options {
    const char *lengths, *passages, *blocks, *modes, *executors; /* as written, for the record; or NULL */
    const ba_ttft_size *size;                                    /* [n_size] ascending, all different */
    size_t n_size;
    char *const *mode; /* [n_mode] */
    size_t n_mode;
    bool executor[2]; /* by ba_executor */
    bool cold, warm;
    size_t question; /* tokens */
    bool distance;   /* from full attention, of every prompt */
    size_t prompts;  /* of every size, for distances */
    bool no_noise;   /* distances without their noise floor */
    size_t repeat;
    double min_time;
    const char *data; /* path of a text, or NULL */
    bool profile;
} ba_ttft_options;

extern const ba_table ba_ttft_tables[];

/* Runs, writes the trace, prints. argv is for the record. Returns an exit status with its line printed. */
int ba_ttft_session(const ba_ttft_options *options, const ba_common *common, int argc, char **argv);

#endif

/* A whole measurement of `ttft`: cases made, visited, traced and reported. */
#ifndef BA_TTFT_SESSION_H
#define BA_TTFT_SESSION_H

#include "ttft.h"

#include <stdbool.h>

/* What is measured. Everything is borrowed. */
typedef struct ba_ttft_wish {
    const char *lengths, *modes, *executors; /* as written, for the record */
    const size_t *length;                    /* [n_length] ascending, no two alike, none below question */
    size_t n_length;
    char *const *mode; /* [n_mode] */
    size_t n_mode;
    bool executor[2]; /* by ba_executor */
    bool cold, warm;
    size_t question, block; /* tokens */
    size_t repeat;
    double min_time;
    const char *data;   /* path of a text, or NULL */
    const char *memory; /* as --memory, or NULL */
    bool resume, profile;
} ba_ttft_wish;

/* Runs, writes the trace, prints. argv is for the record. Returns an exit status with its line printed. */
int ba_ttft_session(const ba_ttft_wish *wish, const ba_common *common, int argc, char **argv);

#endif

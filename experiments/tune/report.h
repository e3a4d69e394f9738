/* What `tune` prints and records: one row per step, one row per validation. */
#ifndef BA_TUNE_REPORT_H
#define BA_TUNE_REPORT_H

#include "experiments/cli/cli.h"
#include "experiments/options/tables.h"
#include "sim/trace/trace.h"
#include "sim/train/tune.h"

typedef struct ba_tune_step_row {
    uint64_t step;
    double lr, loss, kl, grad_norm, seconds, tokens_per_s;
    uint64_t tokens, answer_tokens;
} ba_tune_step_row;

typedef struct ba_tune_validation_row {
    uint64_t step;
    char mode[64];
    double nll; /* nats a token of the response */
    uint64_t samples;
    double seconds;
} ba_tune_validation_row;

typedef struct ba_tune_report {
    ba_format format;
    ba_trace *trace;             /* or NULL */
    size_t steps, validation;    /* tables */
    uint64_t last, last_checked; /* steps that the resumed trace already has */
    bool begun;
} ba_tune_report;

extern const ba_table ba_tune_tables[];

/* 0, or BA_TRACE_REFUSED or BA_TRACE_MACHINE and err. path NULL: nothing is recorded. */
int ba_tune_report_open(ba_tune_report *r, ba_format format, const char *path, bool resume, char err[BA_ERR_LEN]);
int ba_tune_report_step(ba_tune_report *r, const ba_tune_row *row, double seconds, char err[BA_ERR_LEN]);
int ba_tune_report_validation(ba_tune_report *r, const ba_tune_validation_row *row, char err[BA_ERR_LEN]);
void ba_tune_report_close(ba_tune_report *r);

#endif

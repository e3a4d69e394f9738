/* What all commands share: the values of the shared options, how a command ends, an opened model, numbers as people
 * write and read them, progress and Ctrl-C. */
#ifndef BA_CLI_H
#define BA_CLI_H

#include "experiments/measure/intervals.h"
#include "kernels/backend.h"
#include "shard.h"
#include "sim/engine/engine.h"
#include "sim/model/model.h"
#include "sim/prompt/prompt.h"
#include "sim/store/store.h"
#include "sim/tokenizer/tokenizer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Exit statuses: done; a check that the command exists for did not hold; bad usage or bad input; the machine failed
 * (disk, memory, device); interrupted, and everything finished so far is kept. */
enum { BA_EXIT_OK = 0, BA_EXIT_CHECK = 1, BA_EXIT_USAGE = 2, BA_EXIT_MACHINE = 3, BA_EXIT_INTERRUPTED = 130 };

typedef enum ba_format { BA_FORMAT_TABLE, BA_FORMAT_JSON, BA_FORMAT_CSV } ba_format;

/* Values of the shared options (shared.c has their rows). Texts are borrowed from argv. */
typedef struct ba_common {
    const char *model, *adapter, *mode, *dtype, *backend, *out, *store, *store_key, *request, *message, *question,
        *documents, *chat, *chat_template, *shard;
    ba_shard part;        /* what --shard or mpirun says; count 0: all of the work */
    ba_named_shape shape; /* name NULL: a model */
    bool mode_given;      /* else mode is the command's default */
    size_t threads;       /* default: the processors available */
    uint64_t seed;
    unsigned executor;         /* a ba_executor */
    uint64_t memory;           /* bytes; 0: what is free */
    double margin, nll_margin; /* changes that are called equal: points of a score, nats a token */
    ba_format format;          /* from json and csv */
    bool json, csv, quiet, force, resume;
    bool no_packed; /* neither read nor write files of packed weights */
    bool help, version;
} ba_common;

/* Of --margin and --nll-margin. */
ba_margins ba_margins_of(const ba_common *c);

/* One line on stderr: "blockattn COMMAND: text". Control characters become '?'. Returns the exit status. */
int ba_cli_fail(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A whole file, or standard input for "-". malloc'ed, NUL-terminated. 0, or -1 and err. */
int ba_read_file(const char *path, size_t limit, char **text, size_t *len, char err[BA_ERR_LEN]);

/* "50,512,1K,2K-32K*2"; ranges are A-B*FACTOR and A-B+STEP. *list is malloc'ed. 0, or -1 and err. */
int ba_parse_sizes(const char *text, size_t **list, size_t *n, char err[BA_ERR_LEN]);
/* One size with K, M or G (powers of 1024); the whole text must match. */
int ba_parse_size(const char *text, uint64_t *value, char err[BA_ERR_LEN]);

/* Modes of a comma-separated list; commas inside a mode's parameters belong to it (key=value). NULL: out of memory. */
char **ba_modes_split(const char *list, size_t *n);
void ba_modes_free(char **mode);

/* Everything that a command which runs a model needs, opened in order and closed together. */
typedef struct ba_session {
    ba_model *model;
    ba_tokenizer *tok; /* NULL: the model is a shape with random weights, and prompts are ids */
    ba_backend *be;
    ba_store_spec tiers;
    ba_store *store;
    ba_packed *packed; /* or NULL */
    ba_engine *engine;
    double load_s; /* model opened, weights converted or mapped */
} ba_session;

/* Path of the model: --model, else $BLOCKATTN_MODEL (paths, or names of known_models.h), else the cached default model. */
int ba_model_path_of(const ba_common *c, char *path, size_t size, char err[BA_ERR_LEN]);
/* The model, with or without weights, and its tokenizer. 0, or -1 and err; NULL is what could not be opened. */
int ba_vocabulary_open(const ba_common *c, bool weights, ba_model **model, ba_tokenizer **tok, char err[BA_ERR_LEN]);
/* 0, or an exit status with the line already printed. */
int ba_session_open(const ba_common *c, ba_session *b);
void ba_session_close(ba_session *b);

/* Ctrl-C: installs the handler; from the first one on ba_interrupted() is true. More of them do not lose what the command
 * then keeps; the fifth ends at once. */
void ba_catch_interrupt(void);
bool ba_interrupted(void);

/* Progress and the time that is left, on stderr, unless --quiet: on a terminal a bar, from two seconds on; elsewhere a
 * line every ten seconds. */
typedef struct ba_progress {
    const char *label;
    double start, last;
    bool on, terminal, shown;
    double from, to, within; /* the part at hand, and how far its engine run is */
    size_t runs, run;
    uint64_t done;
} ba_progress;
void ba_progress_start(ba_progress *p, const char *label, bool quiet);
void ba_progress_update(ba_progress *p, double fraction);
void ba_progress_end(ba_progress *p);
/* The part [from, to] of the whole is next: about `runs` runs of the engine. ba_progress_run, as the engine's progress
 * with the bar as its argument, moves within it, and stops the run after Ctrl-C. */
void ba_progress_part(ba_progress *p, double from, double to, size_t runs);
int ba_progress_run(void *bar, ba_stage stage, uint64_t done, uint64_t total);

/* Sizes, counts and seconds for people: "12.6 MB", "7.22e12", "1.23 s". */
void ba_print_bytes(char *out, size_t size, double bytes);
void ba_print_seconds(char *out, size_t size, double s);

#endif

/* Several programs on the same work in turns: entrants, cases and samples.
 *
 * An entrant is a process that answers requests (experiments/peers/README.md), or a command whose whole run is timed. A
 * lane is one entrant on one case. The protocol of measure/protocol.h visits lanes one at a time, in a random order in
 * every round, while all other processes are stopped. Samples go to the trace as they are taken, so a race can be resumed. */
#ifndef BA_RACE_H
#define BA_RACE_H

#include "experiments/cli/environment.h"
#include "process.h"
#include "sim/trace/trace.h"

#include <stdbool.h>
#include <stdint.h>

enum { BA_MOST_ARGS = 12, BA_MOST_LANES = 256 };

typedef struct ba_entrant {
    char name[32];            /* "transformers bf16" */
    char *argv[BA_MOST_ARGS]; /* ends with NULL; borrowed */
    const char *setting;      /* "NAME=VALUE" or NULL */
    bool command;             /* answers no requests: its whole run is timed */
    char program[BA_ERR_LEN]; /* its own description, or why it is skipped */
    bool skipped;
    ba_process process;
} ba_entrant;

/* A row of the table `lanes`. */
typedef struct ba_lane {
    uint64_t item;
    char model[64], name[24], method[16]; /* name: of the case */
    char who[32];                         /* name of the entrant */
    uint64_t length, question, block, rounds;
    char note[256];      /* why it was not measured; "" */
    ba_entrant *entrant; /* not recorded */
} ba_lane;

/* A row of the table `samples`. */
typedef struct ba_race_sample {
    uint64_t item, visit, round, order, warmup;
    double start_s, seconds;
    int64_t token; /* the first one; -1: none */
} ba_race_sample;

typedef struct ba_race {
    ba_lane lane[BA_MOST_LANES];
    size_t n_lane;
    ba_race_sample *sample; /* [n_sample] of this call and earlier ones */
    size_t n_sample, room;
    ba_environment env;
    ba_trace *trace;
    size_t t_lane, t_sample;
    uint64_t seed;
    double min_time; /* seconds measured in a visit */
    bool quiet;
} ba_race;

/* Adds a lane of an entrant. The race has as many rounds as the lane with the most. */
int ba_race_add(ba_race *race, ba_entrant *entrant, const char *model, const char *name, const char *method,
                const size_t size[3], size_t rounds);

/* Opens the trace at path, resumed or new, with the race's environment and lanes. An exit status, 0 to go on. */
int ba_race_open(ba_race *race, const char *path, const char *schema, bool resume);

/* Starts the entrants, runs their lanes [first, n_lane), and ends them. label: for the progress bar; log: file for their
 * standard error. An exit status, 0 to go on. */
int ba_race_run(ba_race *race, size_t first, ba_entrant *entrant, size_t n_entrant, const char *label, const char *log);

/* Median of every visit of a lane into out [rounds], NaN where there is none; returns the number of medians. */
size_t ba_race_visits(const ba_race *race, const ba_lane *lane, double *out);
/* The lane of that model, case, entrant and method (NULL: any), or NULL. */
const ba_lane *ba_race_find(const ba_race *race, const char *model, const char *name, const char *who,
                            const char *method);

void ba_race_close(ba_race *race);

#endif

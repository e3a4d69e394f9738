/* Private parts of a measurement of `ttft`, shared by session.c, cases.c, measure.c, distances.c and trace.c. Functions return an exit
 * status and have printed its line. */
#ifndef BA_TTFT_INSIDE_H
#define BA_TTFT_INSIDE_H

#include "experiments/cli/environment.h"
#include "experiments/cli/tracing.h"
#include "experiments/options/tables.h"
#include "experiments/work/work.h"
#include "session.h"

#define BA_TTFT_SCHEMA "blockattn/ttft/3"

/* State of one call of the command. */
typedef struct ba_ttft_state {
    const ba_common *common;
    const ba_ttft_options *w;
    ba_session b;
    ba_engine_options opt;
    ba_environment env;
    ba_peak peak;
    ba_device device;       /* as it last was, if the backend has one */
    ba_ttft_prompt *prompt; /* [n_prompt] */
    size_t n_prompt;
    ba_ttft_unit *unit; /* [n_size * n_mode] */
    size_t n_unit;
    ba_ttft_case *cases; /* [n_case] */
    size_t *group;       /* [n_case] */
    size_t n_case;
    ba_ttft_sample *sample; /* [n_sample] samples of this and earlier sessions, in order */
    size_t n_sample, room;
    ba_ttft_sample last;
    ba_ttft_distance *distance; /* [n_unit * prompts] of this and earlier sessions, prompt by prompt; or NULL */
    size_t n_distance;
    ba_ttft_account *account; /* [n_case], or NULL: not requested */
    size_t held;              /* unit whose blocks are in the store; SIZE_MAX: none */
    double start;             /* clock: of the session */
    ba_trace *trace;          /* or NULL */
    size_t t_result, t_sample, t_distance, t_case, t_session;
    ba_work_list work; /* with --shard: its items are sizes of prompts, by their number */
    size_t only;       /* the size that is measured; SIZE_MAX: all */
    /* progress */
    ba_progress bar;
    double *weight; /* [n_case] expected seconds of a visit */
    size_t *order;  /* [repeat * n_case] */
    double done, now, total;
} ba_ttft_state;

/* cases.c: makes the list of cases in the order of measurement. text: of --data, or NULL. */
int ba_ttft_make_prompts(ba_ttft_state *s, const char *text, size_t text_len);
int ba_ttft_make_units(ba_ttft_state *s);
int ba_ttft_make_cases(ba_ttft_state *s);

/* cases.c: the list of work of a shard. A mode is timed on the same machine as the full attention it is compared with, and
 * finds the same blocks: all modes on a size of prompt are one item. */
int ba_ttft_plan_work(ba_ttft_state *s);
/* Number of the size that a unit's prompt has. */
size_t ba_ttft_size_of(const ba_ttft_state *s, size_t unit);

/* measure.c: takes the missing samples of s->only. */
int ba_ttft_measure(ba_ttft_state *s);
/* Appends a sample. */
int ba_ttft_remember(ba_ttft_state *s, const ba_ttft_sample *sample);
/* Exit status for what the engine returned, with its line printed. */
int ba_ttft_failed(const char *mode, size_t length, int rc, const char *err);

/* distances.c: room for all distances, and those that are missing. */
int ba_ttft_make_distances(ba_ttft_state *s);
int ba_ttft_measure_distances(ba_ttft_state *s);

/* trace.c: the root attributes hold every setting that decides what the rows mean; a resumed trace must have the same. */
int ba_ttft_describe(ba_ttft_state *s, int argc, char **argv, const char *text, size_t text_len);
/* Opens the trace and proves that it can be written before hours are spent. */
int ba_ttft_open_trace(ba_ttft_state *s);
int ba_ttft_write(ba_ttft_state *s, const ba_ttft_result *r, size_t n, bool complete);

#endif

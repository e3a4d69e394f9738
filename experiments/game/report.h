/* Rows of a game as tables, for people and for programs. */
#ifndef BA_GAME_REPORT_H
#define BA_GAME_REPORT_H

#include "experiments/cli/rows.h"
#include "play.h"

/* One way to cut one world, and its frames. */
typedef struct ba_game_case {
    const char *world, *mode;
    uint64_t max_tokens; /* limit of a block; UINT64_MAX: the rules' own */
    double change;       /* share asked for; NaN: recorded states */
} ba_game_case;

/* A frame in a trace. */
typedef struct ba_game_frame {
    ba_game_case c;
    ba_play_row r;
} ba_game_frame;

/* All frames of a case except the first, which starts with an empty store. Times in seconds; NaN: not measured. */
typedef struct ba_game_summary {
    ba_game_case c;
    uint64_t frames, measured;                     /* measured: with full prefill and prefix caching */
    double tokens, blocks;                         /* means */
    double changed_share, new_share, prefix_share; /* of the tokens; means */
    double new_bytes;                              /* of KV, mean */
    double cold_s;                                 /* the first frame, block mode */
    double block_p50, block_p90, block_p99, prefix_p50, prefix_p90, prefix_p99, full_p50, full_p90, full_p99;
    double over_prefix, over_full;                /* medians of the ratios within the frames measured */
    double over_prefix_cpu, over_full_cpu;        /* the same of processor time */
    double block_flops, prefix_flops, full_flops; /* means */
    double kl, agreement;                         /* means over the frames measured */
    double prefix_max_abs;                        /* the largest */
} ba_game_summary;

extern const ba_column ba_game_frame_columns[], ba_game_summary_columns[];

/* rows [n >= 1] of one case, the first frame first. 0, or -1: out of memory. */
int ba_game_summarise(const ba_game_case *c, const ba_play_row *rows, size_t n, ba_game_summary *out);

/* Prints one frame (head: with the table's head), and the summaries. */
void ba_game_print_frame(const ba_play_row *row, bool head);
void ba_game_print_summary(const ba_game_summary *s, size_t n);

#endif

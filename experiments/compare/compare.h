/* Attention modes on one prompt, each beside full attention on the same tokens. */
#ifndef BA_COMPARE_H
#define BA_COMPARE_H

#include "experiments/cli/ask.h"
#include "experiments/measure/distance.h"
#include "experiments/measure/stats.h"

/* What a mode made of the prompt. Counts are those of a first token with everything in the store that can be there. */
typedef struct ba_compared {
    const char *spelling;  /* as given, borrowed */
    char mode[64];         /* canonical */
    char why[BA_ERR_LEN];  /* why the mode cannot run on this prompt; empty: it did */
    char reuse[512];       /* what was reused, and why the rest was not: a sentence */
    bool stores;           /* some part can be stored */
    ba_logit_distance far; /* next-token distribution against full attention's */
    double nll;            /* of the answer, summed, nats; NaN: there is none */
    char first[64];        /* text of the likeliest first token, or its id where there is no vocabulary */
    char *text;            /* greedy continuation, UTF-8, owned */
    const char *stop;      /* why it ended: "eos" or "length" */
    ba_stats again, cold;  /* seconds to the first token: with the store full, and empty. Without anything to store
                              `again` is all that there is, and cold.n is 0 */
    uint64_t flops_exact, bytes_read, kv_bytes;
    double charged; /* ba_cost.charged */
    size_t n_prompt, n_computed, n_reused;
} ba_compared;

typedef struct ba_compare_options {
    size_t max_tokens, repeat; /* tokens of a text; timed first tokens of each case */
    uint64_t seed;             /* of the order of timing */
    bool quiet;
    ba_engine_options engine;
} ba_compare_options;

/* One prompt in modes [n]; row[0] is full attention. row[i].spelling is set, everything else is filled. The answer has
 * n_answer tokens (0: none). Returns an exit status with its line printed; after BA_EXIT_INTERRUPTED the rows hold what
 * was finished. Rows are freed in any case. */
int ba_compare_modes(const ba_session *b, const ba_asked *asked, const int32_t *answer, size_t n_answer,
                     const ba_compare_options *opt, ba_compared *row, size_t n);
void ba_compared_free(ba_compared *row, size_t n);

/* reuse.c: the sentence about a run with a full store. */
void ba_compare_reuse(const ba_plan *plan, const ba_run_stats *warm, char *out, size_t size);

/* difference.c: the words of two texts in one sequence: those of both, those of `a` alone, those of `b` alone. Words [*n]
 * point into the texts. NULL: out of memory. */
typedef struct ba_word {
    const char *at; /* [len] */
    size_t len;
    char from; /* '=', 'a' or 'b' */
} ba_word;
ba_word *ba_text_difference(const char *a, const char *b, size_t *n);

/* print.c. Both return an exit status. */
int ba_compare_print(const ba_session *b, const ba_common *c, const ba_compared *row, size_t n, size_t n_answer,
                     const ba_compare_options *opt);
int ba_compare_json(const ba_compared *row, size_t n, size_t n_answer);

#endif

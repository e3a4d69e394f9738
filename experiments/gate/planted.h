/* Contamination: does an answer tell what only another request's prompt held?
 *
 * Two requests about the passages of one item. Both ask for the code word of the item's subject. The donor's prompt
 * begins with one more passage, which says it: a made-up word, the secret. The recipient's prompt has the item's own
 * passages only, so that nothing in it tells the secret. The donor is answered first, and then the recipient, with the
 * KV that the mode reuses. A mode that takes KV of passages as they were in the donor's prompt (it has a parameter
 * `skip`: a passage that is encoded and not seen) is planned so; every other mode finds in the store what the donor left
 * there, and must give the bits that it gives with an empty store. */
#ifndef BA_PLANTED_H
#define BA_PLANTED_H

#include "experiments/cli/rows.h"
#include "experiments/data/rag.h"
#include "gate.h"

/* What one item is measured with. */
typedef struct ba_planted {
    ba_engine *engine;
    ba_store *store;
    const ba_tokenizer *tok;
    ba_engine_options opt;
    size_t max_tokens; /* of an answer, >= 1 */
    uint64_t seed;
} ba_planted;

/* One item under one mode. */
typedef struct ba_planted_row {
    uint64_t item;
    char id[64], mode[64];
    char secret_in[8]; /* "prompt": full attention that reads the secret, for comparison; "donor" */
    char secret[32];
    uint64_t leaks;          /* 1: the secret is in the greedy answer */
    uint64_t n_secret;       /* tokens */
    double nll, nll_without; /* of the secret after the prompt, nats, summed: with the donor, and without */
    char same
        [8]; /* a mode that takes nothing from a donor: logits with and without it are equal, "ok" or "FAIL"; else "-" */
} ba_planted_row;

extern const ba_column ba_planted_columns[];

/* A made-up word that is in none of the item's texts; the same for the same seed and number. */
void ba_planted_secret(const ba_item *item, uint64_t seed, size_t number, char out[32]);

/* The two requests about an item: *own with its passages, *donor with one more in front of them. What they do not borrow
 * from the item is freed by ba_planted_free. */
typedef struct ba_planted_pair {
    ba_item own, donor;
    char *question, *passage;
} ba_planted_pair;

/* 0, or -1 and err; free in either case. */
int ba_planted_pair_of(const ba_item *item, const char *secret, ba_planted_pair *out, char err[BA_ERR_LEN]);
void ba_planted_free(ba_planted_pair *pair);

/* The mode's spelling as it takes KV from a donor whose passage 0 it lacks, or an empty text if it cannot. 0, or -1 and
 * err: an unknown mode, or a spelling that says `skip` itself. */
int ba_planted_mode(const char *mode, char *out, size_t size, char err[BA_ERR_LEN]);

/* One item in n modes: row[0] is full attention with the secret in the prompt, row[1 + m] is mode m. 0; -1 and err;
 * BA_INTERRUPTED. */
int ba_planted_measure(const ba_planted *p, const ba_item *item, size_t number, char *const *mode, size_t n,
                       ba_planted_row *row, char err[BA_ERR_LEN]);

/* All items in one mode. Intervals of 95 %: Wilson's, and of the mean over items. */
typedef struct ba_planted_summary {
    char mode[64], secret_in[8];
    uint64_t n;
    double leaks, leaks_low, leaks_high;                      /* shares */
    double nll, nll_without, change, change_low, change_high; /* nats a token of the secret */
    char same[8];
} ba_planted_summary;

extern const ba_column ba_planted_summary_columns[];

/* Of n items, whose rows for one mode are `step` apart. room: scratch [3 n]. */
ba_planted_summary ba_planted_summarise(const ba_planted_row *first, size_t n, size_t step, double *room);

#endif

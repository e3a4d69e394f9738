/* From a request file to a plan: how logits, generate and plan begin. */
#ifndef BA_ASK_H
#define BA_ASK_H

#include "cli.h"
#include "sim/modes/modes.h"

typedef struct ba_asked {
    ba_prompt *prompt;
    char *answer; /* the first answer of a request that is an evaluation item, or NULL */
    ba_plan *plan;
    double tokenize_s;
    bool unworded; /* blocks or ids without any mark, for a model that has a chat template */
} ba_asked;

/* Reads and tokenises what --request names, or --message (plain text, cut into blocks as the paper does). 0, or an exit
 * status with the line already printed. */
int ba_ask(const ba_common *c, const ba_session *b, ba_asked *out);
/* The same for a command that has a tokenizer only (NULL is enough for a request of ids). */
int ba_read_prompt(const ba_common *c, const ba_tokenizer *tok, size_t n_vocab, ba_prompt **out, double *tokenize_s);
/* Builds the plan of a mode for it. Replaces an earlier one. */
int ba_ask_mode(ba_asked *a, const char *mode);
/* Says on stderr, unless --quiet, that blocks were taken without the model's chat template. */
void ba_asked_remark(const ba_common *c, const ba_asked *a);
void ba_asked_free(ba_asked *a);

/* Exit status for what an engine call returned, with its line printed. */
int ba_engine_exit(int rc, const char *err);
/* Options of a run, from --executor and --memory (default: the free memory). Ctrl-C stops it. */
ba_engine_options ba_run_options(const ba_common *c);

#endif

/* From a request file to a plan: what logits, generate and gate begin with. */
#ifndef BA_ASK_H
#define BA_ASK_H

#include "cli.h"
#include "sim/modes/modes.h"

typedef struct ba_asked {
    ba_prompt *prompt;
    ba_plan *plan;
    double tokenize_s;
    bool unworded; /* blocks or ids without any mark, for a model that has a chat template */
} ba_asked;

/* Reads and tokenises a request, or (if message is not NULL) a plain message that is cut into blocks as the paper does.
 * Paths, or "-". 0, or an exit status with the line already printed. */
int ba_ask(const ba_session *b, const char *request, const char *message, ba_asked *out);
/* The same for a command that has a tokenizer only (NULL if the request has ids). */
int ba_read_prompt(const char *request, const char *message, const ba_tokenizer *tok, size_t n_vocab, ba_prompt **out,
                   double *tokenize_s);
/* Builds the plan of a mode for it. Replaces an earlier one. */
int ba_ask_mode(ba_asked *a, const char *mode);
void ba_asked_free(ba_asked *a);

/* Modes of a comma-separated list; commas inside a mode's parameters belong to it (key=value). NULL: out of memory. */
char **ba_modes_split(const char *list, size_t *n);
void ba_modes_free(char **mode);

/* Exit status for what an engine call returned, with its line printed. */
int ba_engine_exit(int rc, const char *err);
/* Options of a run: Ctrl-C stops it, memory limited to what the machine has (or to `memory` bytes, if not NULL: "4G").
 */
int ba_run_options(const char *executor, const char *memory, ba_engine_options *out);

#endif

/* A game told to a model frame by frame: the state cut into blocks, and a question about it.
 *
 * The session remembers the ids of every text that it has tokenised, so that a frame costs what changed in it. Which
 * blocks are in the store already is the engine's business. */
#ifndef BA_SESSION_H
#define BA_SESSION_H

#include "cut.h"
#include "sim/prompt/prompt.h"

typedef struct ba_game_session ba_game_session;

/* tok and rules are borrowed. system: what the model is told first. NULL: out of memory. */
ba_game_session *ba_game_session_new(const ba_tokenizer *tok, const ba_rules *rules, const char *system);
void ba_game_session_free(ba_game_session *s);

/* A frame's prompt, in the model's chat format (plain text if it has none): system text, one passage per block, the
 * question, and as task the marks that open the answer. name: of the state, for messages. The caller frees the prompt.
 * 0, or -1 and err. */
int ba_game_session_frame(ba_game_session *s, const char *state, size_t len, const char *name, const char *question,
                          ba_prompt **out, char err[BA_ERR_LEN]);

/* The blocks of the frame last asked for; valid until the next. */
const ba_game_blocks *ba_game_session_blocks(const ba_game_session *s);

#endif

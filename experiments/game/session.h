/* The prompts of a game, frame by frame: the state cut into blocks, and a question about it.
 *
 * The session remembers the ids of every text it has tokenised, so only changed texts are tokenised again. The engine
 * finds out which blocks are stored. */
#ifndef BA_SESSION_H
#define BA_SESSION_H

#include "cut.h"
#include "sim/prompt/prompt.h"

typedef struct ba_game_session ba_game_session;

/* tok and rules are borrowed. system: the system text. NULL: out of memory. */
ba_game_session *ba_game_session_new(const ba_tokenizer *tok, const ba_rules *rules, const char *system);
void ba_game_session_free(ba_game_session *s);

/* The prompt of a frame in the model's chat format (plain text if it has none): system text, one passage per block, the
 * question, and as task the control tokens that open the answer. name: of the state, for messages. The caller frees the prompt.
 * 0, or -1 and err. */
int ba_game_session_frame(ba_game_session *s, const char *state, size_t len, const char *name, const char *question,
                          ba_prompt **out, char err[BA_ERR_LEN]);

/* The blocks of the last prompt; valid until the next call of ba_game_session_frame. */
const ba_game_blocks *ba_game_session_blocks(const ba_game_session *s);

#endif

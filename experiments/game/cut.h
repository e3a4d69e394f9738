/* Cuts a state into blocks by rules, so that a block stays the same while other parts of the state change.
 *
 * A block is the canonical text of one part with its JSON pointer in front: "/chips/p2: {"bet":10,"remain":990}\n".
 * A part that a rule names is a block; parts that no rule names share one block of their parent. The first rule of the
 * file that matches counts.
 *
 * A block over its limit is halved, and its halves again, by what its children are: by the bits of the hash of a name
 * (or key), by the bits of an index. So the block of a child depends on the child alone: a child that changes, appears or
 * disappears touches its own block, and no later boundary moves. A child that is too large is cut in turn; a text or
 * number of any size stays whole. The size of a block counts as the sum of its children's, each tokenised separately. */
#ifndef BA_CUT_H
#define BA_CUT_H

#include "rules.h"

#include <cjson/cJSON.h>

typedef struct ba_game_block {
    char *text; /* NUL-terminated, owned */
    size_t len;
    size_t label; /* bytes of text that are the pointer: "" for the whole state */
} ba_game_block;

typedef struct ba_game_blocks {
    ba_game_block *block; /* [n] in the order of the state */
    size_t n, cap;
} ba_game_blocks;

/* Tokens of a text; SIZE_MAX: out of memory. */
typedef size_t (*ba_count)(void *arg, const char *text, size_t len);

/* state: from ba_state_parse. 0, or -1 and err, which begins with `name`: an element without its key, out of memory. */
int ba_cut(const cJSON *state, const ba_rules *rules, ba_count count, void *arg, const char *name, ba_game_blocks *out,
           char err[BA_ERR_LEN]);
void ba_game_blocks_free(ba_game_blocks *blocks);

#endif

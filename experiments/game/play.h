/* One frame of a game, measured: in block mode with the store, against full prefill and against prefix caching.
 *
 * Block mode is timed from the state's JSON to the logits. Full prefill computes every token of the same prompt. Prefix
 * caching is the method of servers that keep the KV of the previous frame (llama.cpp's slots, vLLM's automatic prefix
 * caching): the common prefix of both frames is reused, all following tokens are computed. It runs as a plan of two
 * nodes, the stored prefix and the remaining tokens that see it; storing the prefix is not timed. Neither baseline is
 * charged for parsing and tokenising.
 *
 * A mode that continues from the KV of the last frame (editlocal) finds it in the store: putting it there, as a full
 * prefill of that frame has left it, is not timed either. */
#ifndef BA_PLAY_H
#define BA_PLAY_H

#include "session.h"
#include "sim/engine/engine.h"

typedef struct ba_play_row {
    uint64_t frame, tokens, blocks;
    uint64_t changed_tokens;         /* new tokens against the previous frame, independent of blocks */
    uint64_t new_blocks, new_tokens; /* encoded in this frame */
    uint64_t common_prefix;          /* tokens */
    uint64_t new_bytes, kv_bytes;    /* KV encoded in this frame; of the whole frame */
    double cut_s, lookup_s, encode_s, prefill_s, first_s, block_s; /* block_s: all of it */
    double full_s, prefix_s;                                       /* NaN: not measured in this frame */
    double block_cpu_s, full_cpu_s, prefix_cpu_s; /* processor time of the same, which other programs hardly change */
    uint64_t block_flops, full_flops, prefix_flops;
    double kl, top1;       /* of block against full; NaN with full_s */
    double prefix_max_abs; /* max |dlogit| of prefix caching against full: rounding only */
} ba_play_row;

typedef struct ba_player {
    ba_engine *engine;
    const ba_engine_options *opt;
    const char *mode, *question;
    uint64_t rng;      /* order of the measurements in a frame */
    ba_prompt *before; /* the last frame; owned */
    int32_t *previous; /* [n_previous] its ids; owned */
    size_t n_previous, frame;
} ba_player;

/* Plays one frame; measured: full prefill and prefix caching too. 0, -1 and err, or BA_INTERRUPTED. */
int ba_play(ba_player *p, ba_game_session *s, const char *state, size_t len, const char *name, bool measured,
            ba_play_row *out, char err[BA_ERR_LEN]);
void ba_player_end(ba_player *p);

#endif

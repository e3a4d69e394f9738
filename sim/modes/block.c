/* Block-Attention (Ma, Wang, Tian, arXiv 2409.15355, section 2) and the modes it is compared with there. */
#include "draft.h"

/* Local blocks: n of the mode's spelling, else those of the request, else all. */
static size_t local_blocks(const ba_draft *d, const ba_mode_args *args) {
    size_t last = ba_draft_last_block(d);
    size_t n = args->given[0] ? (size_t)args->number[0] : d->prompt->local_blocks;
    return n < last ? n : last;
}

#define LOCAL_BLOCKS                                                                                                   \
    {                                                                                                                  \
        "n", "all", NULL, 0, 1 << 30, true,                                                                            \
            "local blocks; all later ones become one with the last; all: as the request says"                          \
    }

/* Ordinary causal attention over the concatenation of all segments. */
static int build_full(ba_draft *d, const ba_mode_args *args, char err[BA_ERR_LEN]) {
    (void)args;
    (void)err;
    ba_draft_blocks(d, 0, false);
    return 0;
}

const ba_mode ba_mode_full = {"full",
                              "causal attention over everything",
                              "Vaswani et al. 2017",
                              {{0}},
                              build_full,
                              "splitting its plan anywhere changes no logit",
                              NULL};

/* Every block except the last is encoded alone, at positions from 0; the last one sees all blocks at their positions in
 * the prompt, and itself. The system text is a block like any other. Only the first n blocks are local; all later ones
 * are joined with the last: n = 0 is full attention, one node over the same tokens. */
static int build_block(ba_draft *d, const ba_mode_args *args, char err[BA_ERR_LEN]) {
    (void)err;
    ba_draft_blocks(d, local_blocks(d, args), false);
    return 0;
}

const ba_mode ba_mode_block = {
    "block",
    "each block alone; the last one sees all at their positions",
    "Ma et al., arXiv 2409.15355, section 2",
    {LOCAL_BLOCKS},
    build_block,
    "with one block, or n=0, it equals full; the KV of a block does not depend on its neighbours",
    NULL};

/* Without position re-encoding (Table 1, "w/o-pos"): every block, also the system text, keeps its positions from 0 when
 * the last block sees it; the last block has its true position. */
static int build_block_nopos(ba_draft *d, const ba_mode_args *args, char err[BA_ERR_LEN]) {
    (void)err;
    ba_draft_blocks(d, local_blocks(d, args), true);
    return 0;
}

const ba_mode ba_mode_block_nopos = {
    "block-nopos",
    "block, but all blocks keep positions from 0",
    "Ma et al., arXiv 2409.15355, table 1 (w/o-pos)",
    {LOCAL_BLOCKS},
    build_block_nopos,
    "with one block it equals full; the KV of a block does not depend on its neighbours",
    NULL};

/* TurboRAG: composite positions keep every chunk at positions from 0, reordered positions give it those of the prompt.
 * How documents are cut (512 tokens, overlap of 10) belongs to the data, not to the plan. */
static int build_turborag(ba_draft *d, const ba_mode_args *args, char err[BA_ERR_LEN]) {
    (void)err;
    ba_draft_blocks(d, local_blocks(d, args), args->choice[1] == 0);
    return 0;
}

const ba_mode ba_mode_turborag = {
    "turborag",
    "block-nopos, or block with order=reordered",
    "Lu et al., arXiv 2410.07590, section 3",
    {LOCAL_BLOCKS, {"order", "composite", "composite|reordered", 0, 0, false, "positions of the chunks"}},
    build_turborag,
    "order=reordered equals block, order=composite equals block-nopos",
    NULL};

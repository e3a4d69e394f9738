/* AgentKVShift (arXiv 2607.21604), from a public re-implementation: some rows of each passage are computed again, and
 * the others move by their mean change. */
#include "draft.h"

enum { R };

/* Layers 0 and 1 compute all rows again, as in cacheblend. At layer 1, d_K and d_V of a token are the Euclidean
 * distances of its fresh and its stored row, over heads and dimensions. In each passage of n tokens the ceil(r n) with
 * the largest d_K are its K-probes, those with the largest d_V its V-probes; all of them, and the question, are computed
 * in all later layers. There every other row of the passage gets K += min(d_K, 1) x the mean of fresh - stored K over
 * the K-probes, layer by layer and head by head, at its place; V the same with the V-probes. The prefix is exact, and
 * stays as it is stored. The 1 in min(d, 1) is a length in the model's own units: a model with larger K and V shifts
 * more of its rows in full, so r means the same only within a model. */
static int build(ba_draft *d, const ba_mode_args *args, char err[BA_ERR_LEN]) {
    (void)err;
    ba_parts p;
    ba_draft_loose_parts(d, &p);
    ba_node *question = ba_draft_choosing(d, &p, BA_SCORE_K_AND_V);
    question->choice.layer = 1;
    question->choice.shift = true;
    for (size_t i = 0; i < p.n_ctx && !d->no_memory; i++) {
        size_t probes = ba_draft_ceil(args->number[R], ba_draft_len(d, p.context + i));
        question->edge[p.context + i].quota = probes;
        question->choice.count += probes;
    }
    return 0;
}

const ba_mode ba_mode_kvshift = {
    "kvshift",
    "block; rows that changed most are recomputed, the others shifted by their mean change",
    "AgentKVShift, arXiv 2607.21604 (a public re-implementation)",
    {{"r", "0.1", NULL, 0, 1, false, "share of each passage's tokens in each of two lists, of K and of V"}},
    build,
    "with r=1 it equals full, with r=0 cacheblend:r=0; min(d, 1) is not scale-free",
    "r"};

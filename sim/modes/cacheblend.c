/* CacheBlend (Yao et al., arXiv 2405.16444, section 4): cached blocks, of which the tokens whose KV deviates most are
 * computed again. */
#include "draft.h"

enum { R, SCORE, MASK, N, BRLAYER };

/* The cached rows are those of Block-Attention: each segment alone. Layer 0 is computed again for all rows. At layer 1
 * K and V of all rows are fresh, and before its attention the count = int(n r) rows of the context with the largest
 * squared change of V (score=k: of K) are chosen; only these and the question continue, and from layer 2 on their fresh
 * K and V replace the cached ones. n counts all tokens of the prompt (n=context: without the question, as released).
 * mask=bottomright is the mask of released versions, which pass the chosen rows to a kernel that aligns a causal mask
 * at the bottom right: row i of m sees keys 0 .. i + n - m, from layer 1 (brlayer=2: from layer 2) on. */
static int build(ba_draft *d, const ba_mode_args *args, char err[BA_ERR_LEN]) {
    (void)err;
    size_t last = ba_draft_last_block(d), context = ba_draft_place(d, last), all = ba_draft_place(d, d->prompt->n_seg);
    double n = (double)(args->choice[N] == 0 ? all : context);
    size_t count = (size_t)(n * args->number[R]);
    ba_node *question = ba_draft_at(d, ba_draft_blocks(d, last, false));
    question->choice = (ba_choice){
        .on = last > 0,
        .count = count < context ? count : context,
        .window = 1,
        .layer = 1,
        .score = args->choice[SCORE] == 0 ? BA_SCORE_V : BA_SCORE_K,
        .bottom_right = args->choice[MASK] == 1,
        .bottom_right_from = (size_t)args->number[BRLAYER],
    };
    if (count >= context) {
        snprintf(d->plan->note, sizeof d->plan->note, "every row of the context is computed again: equals full");
    }
    return 0;
}

const ba_mode ba_mode_cacheblend = {
    "cacheblend",
    "block; the rows whose KV deviates most are recomputed",
    "Yao et al., arXiv 2405.16444, section 4",
    {{"r", "0.16", NULL, 0, 1, false, "share of the tokens that are recomputed"},
     {"score", "v", "v|k", 0, 0, false, "which deviation counts, of V or of K"},
     {"mask", "exact", "exact|bottomright", 0, 0, false, "causal by position, or as in released versions"},
     {"n", "all", "all|context", 0, 0, false, "which tokens r is a share of"},
     {"brlayer", "1", NULL, 1, 2, true, "first layer with the bottom-right mask"}},
    build,
    "with r=1 it equals full",
    "r"};

/* ProphetKV (ICML 2026, arXiv 2602.02579): stored blocks, of which the tokens that the question attends to most are
 * computed again. */
#include "draft.h"

enum { R, WINDOW, LAYERS };

/* The stored blocks are those of Block-Attention. Probe: question and task run through all layers over them, as in
 * block. In each layer that counts (all, or those listed), a stored token's score is its probability in the softmax over
 * all stored tokens, the prefix among them, as a mean over the question's rows and the query heads; its score is the
 * mean over layers. Task rows do not vote. Repair: the floor(r E) best of the E passage tokens, and question and task,
 * are computed from the embeddings through all layers under the causal mask of the whole prompt; all others keep their
 * stored K and V. window=w takes floor(r E) / w tokens, each with the w - 1 after it in its passage. */
static int build(ba_draft *d, const ba_mode_args *args, char err[BA_ERR_LEN]) {
    (void)err;
    ba_parts p;
    ba_draft_loose_parts(d, &p);
    ba_node *question = ba_draft_choosing(d, &p, BA_SCORE_ATTENTION);
    size_t budget = ba_draft_floor(args->number[R], p.place - p.prefix_len);
    question->choice.window = (size_t)args->number[WINDOW];
    question->choice.count = budget / question->choice.window;
    question->choice.layers = args->layers;
    question->choice.vote = 0;
    question->choice.n_vote = ba_draft_len(d, p.question);
    if (budget >= p.place - p.prefix_len && question->choice.window == 1) {
        snprintf(d->plan->note, sizeof d->plan->note, "every row of the passages is computed again: equals full");
    }
    return 0;
}

const ba_mode ba_mode_prophetkv = {
    "prophetkv",
    "block; the rows that the question attends to most are recomputed",
    "ProphetKV, ICML 2026, arXiv 2602.02579",
    {{"r", "0.2", NULL, 0, 1, false, "share of the passages' tokens that are recomputed"},
     {"window", "1", NULL, 1, 1 << 20, true, "tokens of a run that is recomputed together"},
     {"layers", "all", BA_LAYER_LIST, 0, BA_MOST_LAYERS - 1, true, "layers whose scores count"}},
    build,
    "with r=1 it equals full, with r=0 block; a probe makes r=0 cost the question twice",
    "r"};

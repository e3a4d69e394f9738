/* QCFuse (arXiv 2606.05875), in the simplified form of its public port: as ProphetKV, with one mean query and the budget
 * of lego-k. */
#include "draft.h"

enum { K, LAYERS, ROWS };

/* Probe as in prophetkv, but the queries, rotated to their places, are averaged over the last `rows` rows of question and
 * task and over the heads of each KV head before the softmax; scores are means over KV heads and over the middle third of
 * the layers, floor(L/3) .. floor(2L/3) - 1 (or those listed). Repair: the k P best tokens of all P passages together,
 * which is what lego-k computes again, unless a passage is shorter than k. */
static int build(ba_draft *d, const ba_mode_args *args, char err[BA_ERR_LEN]) {
    (void)err;
    ba_parts p;
    ba_draft_loose_parts(d, &p);
    ba_node *question = ba_draft_choosing(d, &p, BA_SCORE_MEAN_QUERY);
    size_t tokens = p.place - p.prefix_len, each = (size_t)args->number[K], rows = (size_t)args->number[ROWS];
    bool all = p.n_ctx && each >= (tokens + p.n_ctx - 1) / p.n_ctx;
    question->choice.count = all ? tokens : each * p.n_ctx;
    question->choice.layers = args->layers;
    question->choice.n_vote = rows < question->n ? rows : question->n;
    question->choice.vote = question->n - question->choice.n_vote;
    if (all) {
        snprintf(d->plan->note, sizeof d->plan->note, "every row of the passages is computed again: equals full");
    }
    return 0;
}

const ba_mode ba_mode_qcfuse = {
    "qcfuse",
    "block; the rows that the question's mean query attends to most are recomputed",
    "QCFuse, arXiv 2606.05875 (its public port)",
    {{"k", "16", NULL, 0, 1 << 30, true, "rows recomputed, times the number of passages"},
     {"layers", "middle", BA_LAYER_LIST, 0, BA_MOST_LAYERS - 1, true, "layers whose scores count"},
     {"rows", "64", NULL, 1, 1 << 30, true, "last rows of question and task that vote"}},
    build,
    "with k times the passages from their tokens on it equals full, with k=0 block",
    "k"};

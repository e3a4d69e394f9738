/* EPIC (Hu et al., arXiv 2410.15332): position-independent caching, made accurate by recomputing the first tokens of
 * each chunk, which are attention sinks. */
#include "draft.h"

static int need_bos(const ba_draft *d, char err[BA_ERR_LEN]) {
    return d->prompt->bos >= 0
               ? 0
               : ba_fail(err, "mode %s puts a BOS before chunks, and none is known: give a model that has one",
                         d->mode);
}

/* LegoLink-k: every chunk (prefix, passages, question) begins with a BOS, which counts as its first token and has a
 * position. Chunks are encoded alone; with the question, the first k tokens of every chunk except the first are
 * computed again, in all layers and under the exact causal mask over the whole sequence. qbos=no leaves out the
 * question's BOS. Its limit for large k is full attention over the sequence with the same BOS. */
enum { K, QBOS };

static int build_lego(ba_draft *d, const ba_mode_args *args, char err[BA_ERR_LEN]) {
    if (need_bos(d, err)) {
        return -1;
    }
    size_t k = (size_t)args->number[K], chunks = ba_draft_last_block(d), place = 0, left = 0;
    bool qbos = args->choice[QBOS] == 0;
    for (size_t i = 0; i < chunks; i++) {
        size_t chunk = ba_draft_node(d, i, 1, d->prompt->bos, 1, 0);
        ba_draft_at(d, chunk)->stored = true;
    }
    double after = (double)(ba_draft_place(d, chunks) + chunks);
    size_t question = ba_draft_node(d, chunks, d->prompt->n_seg - chunks, d->prompt->bos, qbos, after);
    for (size_t i = 0; i < chunks; i++) {
        size_t len = ba_draft_len(d, i) + 1;
        ba_edge *e = ba_draft_see(d, question, i, (double)place);
        e->refresh = i == 0 ? 0 : len < k ? len : k;
        left += i > 0 && len > k;
        place += len;
    }
    d->inserted = chunks + qbos;
    if (!left) {
        snprintf(d->plan->note, sizeof d->plan->note,
                 "k is not below any later chunk's length: equals full over the same tokens, BOS included");
    }
    return 0;
}

const ba_mode ba_mode_lego = {"lego",
                              "blocks with BOS; the first k tokens of each are recomputed",
                              "EPIC, Hu et al., arXiv 2410.15332 (LegoLink)",
                              {{"k", "16", NULL, 1, 1 << 30, true, "tokens recomputed in each chunk after the first"},
                               {"qbos", "yes", "yes|no", 0, 0, false, "whether the question begins with a BOS too"}},
                              build_lego,
                              "with k from the longest chunk on it equals full over the same tokens, BOS included",
                              "k"};

/* LegoLink-0: nothing is recomputed. Each chunk after the first is encoded after four BOS, which become the attention
 * sink and are dropped; its own first token has its position in the prompt. The first chunk keeps its one BOS, and the
 * question has none, as released. A prompt that is only a question stays as it is. */
enum { DUMMIES = 4 };

static int build_lego_0(ba_draft *d, const ba_mode_args *args, char err[BA_ERR_LEN]) {
    (void)args;
    if (need_bos(d, err)) {
        return -1;
    }
    size_t chunks = ba_draft_last_block(d), place = 0;
    for (size_t i = 0; i < chunks; i++) {
        ba_node *chunk = ba_draft_at(d, ba_draft_node(d, i, 1, d->prompt->bos, i == 0 ? 1 : DUMMIES, 0));
        chunk->stored = true;
        chunk->skip = i == 0 ? 0 : DUMMIES;
    }
    d->inserted = chunks > 0;
    double after = (double)(ba_draft_place(d, chunks) + d->inserted);
    size_t question = ba_draft_node(d, chunks, d->prompt->n_seg - chunks, 0, 0, after);
    for (size_t i = 0; i < chunks; i++) {
        size_t dropped = i == 0 ? 0 : DUMMIES, shown = ba_draft_len(d, i) + (i == 0);
        ba_edge *e = ba_draft_see(d, question, i, (double)place - (double)dropped);
        e->first = dropped;
        e->n = shown;
        place += shown;
    }
    return 0;
}

const ba_mode ba_mode_lego_0 = {"lego-0",
                                "blocks encoded after dummy BOS tokens that are dropped",
                                "EPIC, Hu et al., arXiv 2410.15332 (LegoLink-0)",
                                {{0}},
                                build_lego_0,
                                "the KV of a chunk does not depend on its neighbours",
                                NULL};

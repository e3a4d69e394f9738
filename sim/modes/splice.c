/* Blocks cut out of another request's KV cache, as engines do that reuse chunks of earlier prompts. */
#include "draft.h"

#include "sim/base/random.h"

#include <stdlib.h>

enum { DONOR, SEED };
enum { ROTATE, SHUFFLE, SELF };

/* order[i] = the passage that is i-th in the donor. */
static void order_of(const ba_mode_args *args, size_t *order, size_t n) {
    for (size_t i = 0; i < n; i++) {
        order[i] = args->choice[DONOR] == ROTATE ? (i + 1) % n : i;
    }
    if (args->choice[DONOR] == SHUFFLE) {
        uint64_t state = (uint64_t)args->number[SEED];
        ba_random_shuffle(&state, order, n);
    }
}

/* The donor is a full prefill of the same prefix and passages in another order: the second passage first and the first
 * one last (rotate), a random permutation (shuffle), or this prompt's own order (self). Each passage of it sees the
 * prefix and the passages before it, at the donor's positions. The last node sees every passage at its position in this
 * prompt, and none of them is computed again: what a passage took over from its neighbours in the donor stays in its
 * KV. */
static int build(ba_draft *d, const ba_mode_args *args, char err[BA_ERR_LEN]) {
    ba_parts p;
    if (ba_draft_parts(d, &p, err)) {
        return -1;
    }
    size_t prefix = ba_draft_prefix(d, &p), first = d->plan->n_node, place = p.prefix_len;
    size_t *order = calloc(p.n_ctx + 1, sizeof *order), *node = calloc(p.n_ctx + 1, sizeof *node);
    if (!order || !node) {
        d->no_memory = true;
        goto done;
    }
    order_of(args, order, p.n_ctx);
    for (size_t i = 0; i < p.n_ctx; i++) {
        size_t donor = node[order[i]] = ba_draft_stored(d, p.context + order[i], (double)place);
        ba_draft_see(d, donor, prefix, 0);
        for (size_t before = first; before < donor && !d->no_memory; before++) {
            ba_draft_see(d, donor, before, ba_draft_at(d, before)->pos);
        }
        place += ba_draft_len(d, p.context + order[i]);
    }
    size_t question = ba_draft_node(d, p.question, p.n_q, 0, 0, (double)p.place);
    ba_draft_see(d, question, prefix, 0);
    for (size_t i = 0; i < p.n_ctx; i++) {
        ba_draft_see(d, question, node[i], (double)ba_draft_place(d, p.context + i));
    }
done:
    free(order);
    free(node);
    return 0;
}

const ba_mode ba_mode_splice = {
    "splice",
    "passages cut out of a full prefill of another prompt, the donor",
    "chunk reuse across requests, as serving engines do it",
    {{"donor", "rotate", "rotate|shuffle|self", 0, 0, false, "the donor's order of the passages"},
     {"seed", "0", NULL, 0, 1 << 30, true, "of the permutation, with donor=shuffle"}},
    build,
    "with donor=self it equals full; a passage's KV depends on all that the donor has before it"};

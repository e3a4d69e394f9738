/* Blocks cut out of another request's KV cache, as engines do that reuse chunks of earlier prompts. */
#include "draft.h"

#include "sim/base/random.h"

#include <stdlib.h>

enum { DONOR, SEED, SKIP };
enum { ROTATE, SHUFFLE, SELF };

/* order[i] = the passage that is i-th in the donor; a skipped one is the first. */
static void order_of(const ba_mode_args *args, size_t skipped, size_t *order, size_t n) {
    size_t alone = skipped < n, *rest = order + alone, n_rest = n - alone;
    for (size_t i = 0; i < n_rest; i++) {
        rest[i] = args->choice[DONOR] == ROTATE ? (i + 1) % n_rest : i;
    }
    if (args->choice[DONOR] == SHUFFLE) {
        uint64_t state = (uint64_t)args->number[SEED];
        ba_random_shuffle(&state, rest, n_rest);
    }
    for (size_t i = 0; i < n_rest; i++) {
        rest[i] += rest[i] >= skipped;
    }
    if (alone) {
        order[0] = skipped;
    }
}

/* Nodes of the donor's passages in the donor's order; node[i] is that of passage i. */
static void add_donor(ba_draft *d, const ba_parts *p, size_t prefix, const size_t *order, size_t *node) {
    size_t first = d->plan->n_node, place = p->prefix_len;
    for (size_t i = 0; i < p->n_ctx; i++) {
        size_t donor = node[order[i]] = ba_draft_stored(d, p->context + order[i], (double)place);
        ba_draft_see(d, donor, prefix, 0);
        for (size_t before = first; before < donor && !d->no_memory; before++) {
            ba_draft_see(d, donor, before, ba_draft_at(d, before)->pos);
        }
        place += ba_draft_len(d, p->context + order[i]);
    }
}

/* The last node sees the prefix and all passages but a skipped one, at their places in the prompt without that one. */
static void add_question(ba_draft *d, const ba_parts *p, size_t prefix, size_t skipped, const size_t *node) {
    size_t gone = skipped < p->n_ctx ? ba_draft_len(d, p->context + skipped) : 0;
    size_t question = ba_draft_node(d, p->question, p->n_q, 0, 0, (double)(p->place - gone));
    ba_draft_see(d, question, prefix, 0);
    for (size_t i = 0; i < p->n_ctx; i++) {
        if (i != skipped) {
            size_t place = ba_draft_place(d, p->context + i) - (i > skipped ? gone : 0);
            ba_draft_see(d, question, node[i], (double)place);
        }
    }
}

/* The donor is a full prefill of the same prefix and passages in another order: the second passage first and the first
 * one last (rotate), a random permutation (shuffle), or this prompt's own order (self). Each passage of it sees the
 * prefix and the passages before it, at the donor's positions. The last node sees every passage at its position in this
 * prompt, and none of them is computed again: what a passage took over from its neighbours in the donor stays in its
 * KV. With skip the donor begins with a passage that is not part of this prompt: the last node does not see it, and the
 * order is that of the others. */
static int build(ba_draft *d, const ba_mode_args *args, char err[BA_ERR_LEN]) {
    ba_parts p;
    ba_draft_loose_parts(d, &p);
    size_t skipped = args->given[SKIP] ? (size_t)args->number[SKIP] : SIZE_MAX;
    if (skipped != SIZE_MAX && skipped >= p.n_ctx) {
        return ba_fail(err, "mode splice: skip=%zu, but there are %zu passages, counted from 0", skipped, p.n_ctx);
    }
    size_t *order = calloc(p.n_ctx + 1, sizeof *order), *node = calloc(p.n_ctx + 1, sizeof *node);
    d->no_memory |= !order || !node;
    if (order && node) {
        order_of(args, skipped, order, p.n_ctx);
        size_t prefix = ba_draft_prefix(d, &p);
        add_donor(d, &p, prefix, order, node);
        add_question(d, &p, prefix, skipped, node);
    }
    free(order);
    free(node);
    return 0;
}

const ba_mode ba_mode_splice = {
    "splice",
    "passages cut out of a full prefill of another prompt, the donor",
    "chunk reuse across requests, as serving engines do it",
    {{"donor", "rotate", "rotate|shuffle|self", 0, 0, false, "the donor's order of the passages"},
     {"seed", "0", NULL, 0, 1 << 30, true, "of the permutation, with donor=shuffle"},
     {"skip", "none", NULL, 0, 1 << 30, true, "passage (from 0) that only the donor has, before all others"}},
    build,
    "with donor=self it equals full; a passage's KV depends on all that the donor has before it",
    NULL};

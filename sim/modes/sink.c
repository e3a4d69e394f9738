/* Blocks that share a sink: all of them see one prefix, and nothing of each other. */
#include "draft.h"

/* prefix at 0; each context, behind n_head tokens `head` of the mode's own, is encoded right behind the prefix (global:
 * at its place), seeing it; the question sees all at their places. Without a prefix this is Block-Attention. */
static void build_sink(ba_draft *d, const ba_parts *p, int32_t head, size_t n_head, bool global) {
    size_t prefix = ba_draft_prefix(d, p), first = d->plan->n_node, place = p->prefix_len;
    for (size_t i = 0; i < p->n_ctx; i++) {
        size_t pos = prefix == BA_NO_NODE ? 0 : global ? place : p->prefix_len;
        size_t context = ba_draft_node(d, p->context + i, 1, head, n_head, (double)pos);
        ba_draft_at(d, context)->stored = true;
        ba_draft_see(d, context, prefix, 0);
        place += ba_draft_len(d, p->context + i) + n_head;
    }
    size_t question = ba_draft_node(d, p->question, p->n_q, 0, 0, (double)place);
    ba_draft_see(d, question, prefix, 0);
    place = p->prefix_len;
    for (size_t i = 0; i < p->n_ctx; i++) {
        ba_draft_see(d, question, first + i, (double)place);
        place += ba_draft_len(d, p->context + i) + n_head;
    }
}

/* Shared attention sink (Zhang et al., arXiv 2412.16545). encode=global encodes each
 * context at its place, at its distance from the prefix: then its KV depends on the place, and is shared less. */
static int build_plain(ba_draft *d, const ba_mode_args *args, char err[BA_ERR_LEN]) {
    ba_parts p;
    if (ba_draft_parts(d, &p, err)) {
        return -1;
    }
    build_sink(d, &p, 0, 0, args->choice[0] == 1);
    return 0;
}

const ba_mode ba_mode_sink = {
    "sink",
    "blocks that all see the prefix",
    "Zhang et al., arXiv 2412.16545 (shared sinks)",
    {{"encode", "local", "local|global", 0, 0, false, "right behind the prefix, or at its place"}},
    build_plain};

/* Block distillation (Li et al., arXiv 2605.15913): as sink, with four newline tokens at the head of every passage,
 * which stay and count. Four tokens, never merged into one. */
enum { NEWLINES = 4 };

static int build_blockdist(ba_draft *d, const ba_mode_args *args, char err[BA_ERR_LEN]) {
    (void)args;
    ba_parts p;
    if (ba_draft_parts(d, &p, err)) {
        return -1;
    }
    if (d->prompt->newline < 0) {
        return ba_fail(
            err, "mode blockdist puts newline tokens before passages, and none is known: give a model that has one");
    }
    d->inserted = NEWLINES * p.n_ctx;
    build_sink(d, &p, d->prompt->newline, NEWLINES, false);
    return 0;
}

const ba_mode ba_mode_blockdist = {"blockdist",
                                   "sink, with four newlines at the head of each passage",
                                   "Li et al., arXiv 2605.15913 (block distillation)",
                                   {{0}},
                                   build_blockdist};

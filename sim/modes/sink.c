/* Blocks that share an attention sink: all of them see one prefix, and nothing of each other. */
#include "draft.h"

/* The prefix is at 0. Each context, after n_head inserted tokens `head`, is encoded right after the prefix (global: at
 * its position in the prompt) and sees it; the question sees all contexts at their positions in the prompt. Without a
 * prefix this is Block-Attention. */
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

/* Shared attention sink (Zhang et al., arXiv 2412.16545). encode=global encodes each context at its distance from the
 * prefix in the prompt: then its KV depends on that distance, and is reused less often. */
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
    {{"encode", "local", "local|global", 0, 0, false, "right after the prefix, or at its position in the prompt"}},
    build_plain,
    "the KV of a passage depends on the prefix only",
    NULL};

/* Block distillation (Li et al., arXiv 2605.15913): like sink, with four newline tokens at the head of every passage,
 * which stay visible and have positions. They are four tokens, never merged into one. */
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
                                   build_blockdist,
                                   "the KV of a passage depends on the prefix only",
                                   NULL};

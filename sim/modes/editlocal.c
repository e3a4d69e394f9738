/* Local repair after an edit in place (arXiv 2609.17983): what an agent does that replaces a part of its prompt and keeps
 * the KV of what follows. */
#include "draft.h"

#include "kernels/base/sizes.h"

#include <stdlib.h>
#include <string.h>

enum { K };

/* The tokens before the last block of a prompt. */
typedef struct run {
    int32_t *ids; /* owned; NULL: out of memory */
    size_t n;
} run;

static run tokens_of(const ba_prompt *prompt, size_t last) {
    run r = {malloc((ba_prompt_tokens(prompt) + 1) * sizeof *r.ids), 0};
    for (size_t i = 0; r.ids && i < last; r.n += prompt->seg[i++].n) {
        memcpy(r.ids + r.n, prompt->seg[i].ids, prompt->seg[i].n * sizeof *r.ids);
    }
    return r;
}

/* What an edit has changed: `before` tokens are common at the beginning, `after` at the end. */
typedef struct edit {
    size_t before, after;
} edit;

static edit compare(run old, run now) {
    edit e = {0};
    size_t most = ba_min_size(old.n, now.n);
    while (e.before < most && old.ids[e.before] == now.ids[e.before]) {
        e.before++;
    }
    while (e.after < most - e.before && old.ids[old.n - 1 - e.after] == now.ids[now.n - 1 - e.after]) {
        e.after++;
    }
    return e;
}

/* Appends a node of n tokens at pos that sees two others (or BA_NO_NODE) at their positions; BA_NO_NODE if n is 0. */
static size_t add_node(ba_draft *d, const int32_t *ids, size_t n, size_t pos, bool stored, const size_t seen[2]) {
    if (!n) {
        return BA_NO_NODE;
    }
    size_t node = ba_draft_run(d, ids, n, (double)pos);
    ba_draft_at(d, node)->stored = stored;
    for (size_t i = 0; i < 2; i++) {
        ba_draft_see(d, node, seen[i], seen[i] == BA_NO_NODE ? 0 : ba_draft_at(d, seen[i])->pos);
    }
    return node;
}

static void build_edit(ba_draft *d, const run *old, const run *now, size_t k) {
    const edit e = compare(*old, *now);
    size_t seen[2] = {BA_NO_NODE, BA_NO_NODE}, gone = old->n - e.before - e.after, fresh = now->n - e.before - e.after;
    size_t before = seen[0] = add_node(d, now->ids, e.before, 0, true, seen);
    size_t span = add_node(d, now->ids + e.before, fresh, e.before, false, seen);
    seen[1] = add_node(d, old->ids + e.before, gone, e.before, true, seen);
    size_t after = add_node(d, now->ids + now->n - e.after, e.after, old->n - e.after, true, seen);
    size_t last = ba_draft_last_block(d);
    size_t question = ba_draft_node(d, last, d->prompt->n_seg - last, 0, 0, (double)now->n);
    ba_draft_see(d, question, before, 0);
    ba_draft_see(d, question, span, (double)e.before);
    if (after != BA_NO_NODE) {
        ba_draft_see(d, question, after, (double)(now->n - e.after))->refresh = ba_min_size(k, e.after);
    }
    d->plan->continues = true;
}

/* The prompt before this one had full attention, and an edit has replaced a span of its tokens: what is between the
 * longest common beginning and the longest common end of what comes before the question. The new span and the k tokens
 * after it are computed in place and see everything before them; what follows keeps the KV that it had when it saw the
 * old span, moved by rotation if the edit has changed the length. The last node sees all. Without an earlier prompt this
 * is full attention. */
static int build(ba_draft *d, const ba_mode_args *args, char err[BA_ERR_LEN]) {
    (void)err;
    const ba_prompt *previous = d->prompt->previous;
    if (!previous || !previous->n_seg) {
        ba_draft_blocks(d, 0, false);
        snprintf(d->plan->note, sizeof d->plan->note, "no earlier prompt: equals full");
        return 0;
    }
    run old = tokens_of(previous, ba_prompt_last_block(previous)), now = tokens_of(d->prompt, ba_draft_last_block(d));
    d->no_memory |= !old.ids || !now.ids;
    if (!d->no_memory) {
        build_edit(d, &old, &now, (size_t)args->number[K]);
    }
    free(old.ids);
    free(now.ids);
    return 0;
}

const ba_mode ba_mode_editlocal = {
    "editlocal",
    "after an edit, the new span and the k tokens after it; the rest keeps its KV",
    "arXiv 2609.17983 (local repair of edits)",
    {{"k", "32", NULL, 0, 1 << 30, true, "tokens after the edit that are recomputed"}},
    build,
    "with k from all that follows the edit on it equals full; for prompts that follow each other (game)",
    "k"};

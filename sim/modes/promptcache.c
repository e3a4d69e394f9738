/* PromptCache (Gim et al., arXiv 2311.04934, section 3): prompts over a schema of modules whose KV is encoded in
 * advance. */
#include "draft.h"

enum { SCAFFOLD, SKIP };
enum { JOINT, NONE };

/* Prefix and passages are modules of one scaffold, encoded together and causally; positions are fixed: the running
 * token count of the schema. The question begins after the schema and sees every imported module. A module that is not
 * imported leaves a gap: its positions stay reserved, and later modules have seen it. */
static void build_joint(ba_draft *d, const ba_parts *p, size_t skipped) {
    size_t schema = p->question ? ba_draft_node(d, 0, p->question, 0, 0, 0) : BA_NO_NODE;
    size_t question = ba_draft_node(d, p->question, p->n_q, 0, 0, (double)p->place);
    if (schema == BA_NO_NODE) {
        return;
    }
    ba_draft_at(d, schema)->stored = true;
    size_t gap = skipped < p->n_ctx ? ba_draft_place(d, p->context + skipped) : p->place;
    size_t after = skipped < p->n_ctx ? gap + ba_draft_len(d, p->context + skipped) : p->place;
    if (gap > 0) {
        ba_draft_see(d, question, schema, 0)->n = gap;
    }
    if (after < p->place) {
        ba_edge *e = ba_draft_see(d, question, schema, 0);
        e->first = after;
        e->n = p->place - after;
    }
}

/* Another reading, used as a baseline in other papers: every passage is a scaffold of its own that begins after the
 * prefix without seeing it (modules of one union); the question begins after the longest. */
static void build_apart(ba_draft *d, const ba_parts *p, size_t skipped) {
    size_t question = ba_draft_parallel(d, p, false);
    ba_node *q = ba_draft_at(d, question);
    if (skipped < p->n_ctx && !d->no_memory) {
        size_t gone = q->n_edge - p->n_ctx + skipped;
        for (size_t e = gone; e + 1 < q->n_edge; e++) {
            q->edge[e] = q->edge[e + 1];
        }
        q->n_edge--;
    }
}

static int build(ba_draft *d, const ba_mode_args *args, char err[BA_ERR_LEN]) {
    ba_parts p;
    if (ba_draft_parts(d, &p, err)) {
        return -1;
    }
    size_t skipped = args->given[SKIP] ? (size_t)args->number[SKIP] : SIZE_MAX;
    if (skipped != SIZE_MAX && skipped >= p.n_ctx) {
        return ba_fail(err, "mode promptcache: skip=%zu, but there are %zu passages, counted from 0", skipped, p.n_ctx);
    }
    (args->choice[SCAFFOLD] == JOINT ? build_joint : build_apart)(d, &p, skipped);
    return 0;
}

const ba_mode ba_mode_promptcache = {
    "promptcache",
    "modules of one scaffold, encoded together at fixed positions",
    "Gim et al., arXiv 2311.04934, section 3",
    {{"scaffold", "joint", "joint|none", 0, 0, false, "none: each passage alone after the prefix, not seeing it"},
     {"skip", "none", NULL, 0, 1 << 30, true, "passage (from 0) that is in the scaffold but not imported"}},
    build,
    "scaffold=joint reuses KV only for the same passages in the same order",
    NULL};

/* Superposition prompting (Merth et al., arXiv 2404.06910, section 3): the prompt as a graph of parallel paths. Each
 * path is the prefix, one context and its own copy of the question; all paths meet in the task. */
#include "draft.h"

enum { TOPK, POSITIONS, QFIRST };
enum { EQUILIBRIUM, MAX };

/* Path equilibrium (section 3.2): every path gets the same room S, the harmonic mean of the m context lengths l_i, so
 * that the question copies of all paths have the same positions: S = m / sum(1 / l_i). With positions=max the contexts
 * keep steps of 1, and all question copies begin after the longest. */
static double room_of(const ba_draft *d, const ba_parts *p, bool equilibrium) {
    double sum = 0;
    for (size_t i = 0; i < p->n_ctx; i++) {
        sum += 1 / (double)ba_draft_len(d, p->context + i);
    }
    return equilibrium ? (double)p->n_ctx / sum : (double)p->longest;
}

/* Lp: tokens of the prefix. Token j of context i, of length l, has position Lp + j S / l and sees the prefix; copy i of
 * the question begins at Lp + S, with step 1, and sees prefix and context i; the task follows the question and sees the
 * prefix and all paths. With topk, only the paths with the best scores stay visible to the task (section 3.3; the score
 * is defined at keep_paths in plan.h). qfirst=no leaves the question's first token out of the score, as released. */
static int build(ba_draft *d, const ba_mode_args *args, char err[BA_ERR_LEN]) {
    ba_parts p;
    if (ba_draft_parts(d, &p, err)) {
        return -1;
    }
    if (p.n_q < 2) {
        return ba_fail(err, "mode superposition needs a task segment after the question: the last role is 'task'");
    }
    if (!p.n_ctx) {
        return ba_fail(err, "mode superposition needs at least one passage: each makes a path");
    }
    bool equilibrium = args->choice[POSITIONS] == EQUILIBRIUM;
    double start = (double)p.prefix_len, room = room_of(d, &p, equilibrium);
    size_t prefix = ba_draft_prefix(d, &p), context = d->plan->n_node, copy = context + p.n_ctx;
    for (size_t i = 0; i < p.n_ctx; i++) {
        size_t c = ba_draft_stored(d, p.context + i, start);
        ba_draft_at(d, c)->step = equilibrium ? room / (double)ba_draft_len(d, p.context + i) : 1;
        ba_draft_at(d, c)->path = i + 1;
        ba_draft_see(d, c, prefix, 0);
    }
    for (size_t i = 0; i < p.n_ctx; i++) {
        size_t q = ba_draft_node(d, p.question, 1, 0, 0, start + room);
        ba_draft_at(d, q)->path = i + 1;
        ba_draft_see(d, q, prefix, 0);
        ba_draft_see(d, q, context + i, start);
    }
    double after = start + room + (double)ba_draft_len(d, p.question);
    size_t task = ba_draft_node(d, p.question + 1, 1, 0, 0, after);
    ba_draft_see(d, task, prefix, 0);
    for (size_t i = 0; i < p.n_ctx; i++) {
        ba_draft_see(d, task, context + i, start);
        ba_draft_see(d, task, copy + i, start + room);
    }
    size_t topk = args->given[TOPK] ? (size_t)args->number[TOPK] : p.n_ctx;
    d->plan->n_path = p.n_ctx;
    d->plan->keep_paths = topk < p.n_ctx ? topk : 0;
    d->plan->skip_first = args->choice[QFIRST] == 1;
    return 0;
}

const ba_mode ba_mode_superposition = {
    "superposition",
    "a question copy per passage, on parallel paths that meet in the task",
    "Merth et al., arXiv 2404.06910, section 3",
    {{"topk", "all", NULL, 1, 1 << 30, true, "paths that the task sees, by score"},
     {"positions", "equilibrium", "equilibrium|max", 0, 0, false,
      "room of a path: harmonic mean of the contexts, or the longest"},
     {"qfirst", "yes", "yes|no", 0, 0, false, "whether the question's first token counts in the score"}},
    build,
    "with one path it equals full",
    NULL};

/* Contexts side by side at the same positions: Parallel Context Windows, and methods built on it. */
#include "draft.h"

/* Parallel Context Windows (Ratner et al., arXiv 2212.10947, section 2): every context sees the prefix and itself and
 * begins right after the prefix; the question begins after the longest context and sees all of them. */
static int build_pcw(ba_draft *d, const ba_mode_args *args, char err[BA_ERR_LEN]) {
    (void)args;
    ba_parts p;
    if (ba_draft_parts(d, &p, err)) {
        return -1;
    }
    ba_draft_parallel(d, &p, true);
    return 0;
}

const ba_mode ba_mode_pcw = {"pcw",
                             "contexts side by side after the prefix, which they see",
                             "Ratner et al., arXiv 2212.10947, section 2",
                             {{0}},
                             build_pcw,
                             "with one context it equals full; the order of contexts changes no logit",
                             NULL};

/* APE (Yang et al., arXiv 2502.05431, section 4): like PCW, but for every row of question and answer the keys of all
 * contexts form one group. Its scores are divided by the temperature T, and its log-sum-exp lse_c is scaled before the
 * softmax with lse_o, that of prefix, question and answer:
 *   code   softmax([S T lse_c, lse_o])    as released
 *   paper  softmax([S lse_c, lse_o])      as printed */
enum { APE_T, APE_S, APE_FORM };

static int build_ape(ba_draft *d, const ba_mode_args *args, char err[BA_ERR_LEN]) {
    ba_parts p;
    if (ba_draft_parts(d, &p, err)) {
        return -1;
    }
    double t = args->number[APE_T], s = args->number[APE_S];
    size_t question = ba_draft_parallel(d, &p, true);
    double *scale = p.n_ctx ? ba_draft_groups(d, question, 1) : NULL;
    if (scale) {
        ba_node *q = ba_draft_at(d, question);
        *scale = args->choice[APE_FORM] == 0 ? s * t : s;
        for (size_t e = q->n_edge - p.n_ctx; e < q->n_edge; e++) {
            q->edge[e].inv_temp = 1 / t;
            q->edge[e].group = 1;
        }
    }
    return 0;
}

const ba_mode ba_mode_ape = {"ape",
                             "pcw, with a temperature and a scale for the contexts",
                             "Yang et al., arXiv 2502.05431, section 4",
                             {{"t", "0.9", NULL, 0.01, 100, false, "temperature of context scores"},
                              {"s", "0.9", NULL, 0.01, 100, false, "scale of their log-sum-exp"},
                              {"form", "code", "code|paper", 0, 0, false, "scale S T as released, or S as printed"}},
                             build_ape,
                             "with t=1, s=1 and one context it equals full",
                             NULL};

/* Selective attention (Zhang et al., arXiv 2412.16545): like PCW, but in every layer, for every query head and row of
 * question and answer, only the k best contexts are attended to. The score of a context is the sum of its five largest
 * probabilities in the ordinary softmax over everything visible; the probabilities of the others become 0, and all are
 * renormalised. agg=ht sums the scores over heads and rows first, and makes one choice per layer. */
enum { SELECTIVE_K, SELECTIVE_AGG };
enum { SELECTIVE_TOP = 5 };

static int build_selective(ba_draft *d, const ba_mode_args *args, char err[BA_ERR_LEN]) {
    ba_parts p;
    if (ba_draft_parts(d, &p, err)) {
        return -1;
    }
    ba_node *q = ba_draft_at(d, ba_draft_parallel(d, &p, true));
    q->select_k = (size_t)args->number[SELECTIVE_K];
    q->select_top = SELECTIVE_TOP;
    q->select_shared = args->choice[SELECTIVE_AGG] == 1;
    for (size_t e = q->n_edge - (q->n_edge ? p.n_ctx : 0); e < q->n_edge; e++) {
        q->edge[e].selectable = true;
    }
    if (q->select_k >= p.n_ctx) {
        snprintf(d->plan->note, sizeof d->plan->note, "k is not below the number of passages: nothing is left out");
    }
    return 0;
}

const ba_mode ba_mode_selective = {
    "selective",
    "pcw; each head and row attends to its best k contexts",
    "Zhang et al., arXiv 2412.16545 (selective attention)",
    {{"k", "2", NULL, 1, 1 << 30, true, "contexts that are attended to"},
     {"agg", "row", "row|ht", 0, 0, false, "row: one choice per head and row; ht: one per layer"}},
    build_selective,
    "with k from the number of contexts on it equals pcw",
    NULL};

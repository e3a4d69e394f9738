/* KVLink (Yang et al., arXiv 2502.16002, section 3): documents encoded alone, and trained link tokens behind each that
 * tie them together. */
#include "mode_draft.h"

enum { K };

/* [system][doc 1 links][doc 2 links]..[question]: a document sees itself only; links and question see everything before
 * them; positions are the places in the prompt. k links with trained embeddings go behind each document: k = 0, without
 * any, is Block-Attention on every model. Segments of role "link" in the request (tokens of a vocabulary that has such
 * ones) are links in this sense. */
static int build(ba_draft *d, const ba_mode_args *args, char err[BA_ERR_LEN]) {
    if (args->number[K] > 0) {
        return ba_fail(err,
                       "mode kvlink:k=%g needs trained link embeddings, which come with an adapter, and there is none; "
                       "k=0 works on any model",
                       args->number[K]);
    }
    size_t last = ba_draft_last_block(d);
    for (size_t i = 0; i <= last; i++) {
        bool sees = i == last || d->prompt->seg[i].role == BA_ROLE_LINK;
        size_t place = ba_draft_place(d, i), n_seg = i == last ? d->prompt->n_seg - last : 1;
        size_t node = sees ? ba_draft_node(d, i, n_seg, 0, 0, (double)place) : ba_draft_stored(d, i, 0);
        for (size_t j = 0; sees && j < i; j++) {
            ba_draft_see(d, node, j, (double)ba_draft_place(d, j));
        }
    }
    return 0;
}

const ba_mode ba_mode_kvlink = {"kvlink",
                                "block, with links between documents that see everything",
                                "Yang et al., arXiv 2502.16002, section 3",
                                {{"k", "0", NULL, 0, 64, true, "trained link tokens behind each document"}},
                                build};

/* KVLink (Yang et al., arXiv 2502.16002, section 3): documents encoded alone, each followed by trained link tokens that
 * connect it to all before. */
#include "draft.h"

enum { K };

/* Appends a node of the model's first k link tokens, at `place`. */
static size_t add_links(ba_draft *d, size_t k, size_t seg, size_t place) {
    size_t node = ba_draft_node(d, seg, 0, d->prompt->first_link, k, (double)place);
    for (size_t i = 0; !d->no_memory && i < k; i++) {
        ba_draft_at(d, node)->ids[i] = d->prompt->first_link + (int32_t)i;
    }
    return node;
}

/* Shows a node all nodes before it, one after the other. */
static void see_all(ba_draft *d, size_t node) {
    size_t place = 0;
    for (size_t j = 0; !d->no_memory && j < node; j++) {
        ba_draft_see(d, node, j, (double)place);
        place += ba_draft_at(d, j)->n;
    }
}

/* [system][doc 1 links][doc 2 links]..[question]: a document sees only itself; links and question see everything before
 * them; positions are those in the prompt, links included. Each document is followed by k links with trained
 * embeddings; k = 0 is Block-Attention and works on every model. Segments of role "link" in the request (where the
 * vocabulary itself has such tokens) are treated as links too. */
static int build(ba_draft *d, const ba_mode_args *args, char err[BA_ERR_LEN]) {
    size_t k = (size_t)args->number[K], last = ba_draft_last_block(d), place = 0;
    if (k > d->prompt->n_links) {
        return ba_fail(err,
                       "mode kvlink:k=%zu needs trained link embeddings, which come with an adapter (--adapter), and "
                       "there are %zu; k=0 works on any model",
                       k, d->prompt->n_links);
    }
    for (size_t i = 0; i <= last; i++) {
        ba_role role = d->prompt->seg[i].role;
        bool sees = i == last || role == BA_ROLE_LINK, document = !sees && role != BA_ROLE_SYSTEM;
        if (sees) {
            see_all(d, ba_draft_node(d, i, i == last ? d->prompt->n_seg - last : 1, 0, 0, (double)place));
        } else {
            ba_draft_stored(d, i, 0);
        }
        place += ba_draft_len(d, i);
        if (document && k) {
            see_all(d, add_links(d, k, i, place));
            place += k;
            d->inserted += k;
        }
    }
    return 0;
}

const ba_mode ba_mode_kvlink = {"kvlink",
                                "block, with link tokens that see everything before them",
                                "Yang et al., arXiv 2502.16002, section 3",
                                {{"k", "0", NULL, 0, 64, true, "trained link tokens after each document"}},
                                build,
                                "with k=0 it equals block",
                                NULL};

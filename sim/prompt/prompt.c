#include "prompt.h"

#include "kernels/base/sizes.h"

#include <stdlib.h>
#include <string.h>

static const char *const role_names[BA_ROLE_COUNT] = {
    [BA_ROLE_SYSTEM] = "system", [BA_ROLE_PASSAGE] = "passage",   [BA_ROLE_DEMONSTRATION] = "demonstration",
    [BA_ROLE_LINK] = "link",     [BA_ROLE_QUESTION] = "question", [BA_ROLE_TASK] = "task",
};

const char *ba_role_name(ba_role role) {
    return (unsigned)role < BA_ROLE_COUNT ? role_names[role] : "unknown";
}

ba_prompt *ba_prompt_new(const ba_tokenizer *tok) {
    ba_prompt *p = malloc(sizeof *p);
    if (p) {
        *p = (ba_prompt){.local_blocks = SIZE_MAX,
                         .bos = tok ? ba_tokenizer_vocab(tok)->bos : -1,
                         .newline = tok ? ba_token_newline(tok) : -1,
                         .first_link = tok ? ba_tokenizer_vocab(tok)->first_link : 0,
                         .n_links = tok ? ba_tokenizer_vocab(tok)->n_links : 0};
    }
    return p;
}

int ba_prompt_add(ba_prompt *p, ba_role role, const int32_t *ids, size_t n) {
    size_t bytes;
    if (!ba_multiply_sizes(n, sizeof *ids, &bytes)) {
        return -1;
    }
    if ((p->n_seg & (p->n_seg - 1)) == 0) { /* full: room is always the next power of two */
        size_t room;
        if (!ba_multiply_sizes(p->n_seg ? 2 * p->n_seg : 1, sizeof *p->seg, &room)) {
            return -1;
        }
        ba_segment *more = realloc(p->seg, room);
        if (!more) {
            return -1;
        }
        p->seg = more;
    }
    int32_t *copy = malloc(bytes ? bytes : 1);
    if (!copy) {
        return -1;
    }
    if (bytes) {
        memcpy(copy, ids, bytes);
    }
    p->seg[p->n_seg++] = (ba_segment){role, copy, n};
    return 0;
}

void ba_prompt_free(ba_prompt *p) {
    if (!p) {
        return;
    }
    for (size_t i = 0; i < p->n_seg; i++) {
        free(p->seg[i].ids);
    }
    free(p->seg);
    free(p);
}

size_t ba_prompt_tokens(const ba_prompt *p) {
    size_t n = 0;
    for (size_t i = 0; i < p->n_seg; i++) {
        n += p->seg[i].n;
    }
    return n;
}

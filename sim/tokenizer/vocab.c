/* What the readers of vocabularies share. */
#include "vocab.h"

#include <stdlib.h>
#include <string.h>

int ba_vocab_alloc(ba_vocab *v, size_t n) {
    v->token = calloc(n + 1, sizeof *v->token);
    v->type = calloc(n + 1, sizeof *v->type);
    if (!v->token || !v->type) {
        return -1;
    }
    for (size_t i = 0; i < n; i++) {
        v->token[i].s = "";
        v->type[i] = BA_TOKEN_UNUSED;
    }
    v->n = n;
    return 0;
}

void ba_vocab_free(ba_vocab *v) {
    free((char *)v->pre);
    free((char *)v->chat_template);
    free(v->chat);
    free(v->chat_why);
    free(v->token);
    free(v->score);
    free(v->type);
    free(v->merge);
    free(v->eog);
    ba_recipe_free(v->recipe);
    *v = (ba_vocab){0};
}

int ba_vocab_add_end(ba_vocab *v, int32_t id) {
    for (size_t i = 0; i < v->n_eog; i++) {
        if (v->eog[i] == id) {
            return 0;
        }
    }
    int32_t *grown = realloc(v->eog, (v->n_eog + 1) * sizeof *grown);
    if (!grown) {
        return -1;
    }
    v->eog = grown;
    v->eog[v->n_eog++] = id;
    return 0;
}

int ba_vocab_add_known_ends(ba_vocab *v) {
    static const char *const known[] = {"<|im_end|>", "<|eot_id|>",    "<|eom_id|>",
                                        "<|end|>",    "<end_of_turn>", "<|endoftext|>"};
    for (size_t i = 0; i < v->n; i++) {
        bool marker = v->type[i] == BA_TOKEN_CONTROL || v->type[i] == BA_TOKEN_USER;
        for (size_t k = 0; marker && k < sizeof known / sizeof *known; k++) {
            if (ba_span_is(v->token[i], known[k]) && ba_vocab_add_end(v, (int32_t)i) != 0) {
                return -1;
            }
        }
    }
    return 0;
}

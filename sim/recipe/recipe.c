#include "recipe.h"

#include "step.h"
#include <stdlib.h>

void ba_recipe_free(ba_recipe *r) {
    if (!r) {
        return;
    }
    for (size_t i = 0; i < r->n_normalizers; i++) {
        ba_step_free(&r->normalizer[i]);
    }
    for (size_t i = 0; i < r->n_pre_tokenizers; i++) {
        ba_step_free(&r->pre_tokenizer[i]);
    }
    free(r->normalizer);
    free(r->pre_tokenizer);
    free(r->added);
    free(r->merge);
    free(r->in_model);
    cJSON_free(r->digest_text);
    free(r);
}

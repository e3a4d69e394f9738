/* A request, and the plan that a mode makes of it. */
#include "targets.h"
#include "vocabulary.h"

#include "sim/modes/modes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *open_request(const ba_fuzz *self, const char *folder) {
    (void)self;
    return ba_fuzz_vocabulary_open(folder);
}

static bool plan(const ba_prompt *prompt, size_t which) {
    size_t modes = 1;
    while (ba_mode_at(modes)) {
        modes++;
    }
    char err[BA_ERR_LEN] = "";
    ba_plan *plan = NULL;
    if (ba_mode_plan(ba_mode_at(which % modes)->name, prompt, &plan, err) != 0) {
        return ba_fuzz_check(*err, "a mode that cannot be had says why");
    }
    bool held = ba_fuzz_check(ba_plan_check(plan, err) == 0, "a plan is well formed");
    ba_plan_hash(plan);
    ba_plan_free(plan);
    return held;
}

static bool parse(const ba_tokenizer *tok, const unsigned char *data, size_t size) {
    char err[BA_ERR_LEN] = "";
    ba_prompt *prompt = NULL;
    size_t n_vocab = tok ? ba_tokenizer_vocab(tok)->n : 0;
    if (ba_prompt_parse((const char *)data, size, tok, n_vocab, &prompt, err) != 0) {
        return ba_fuzz_check(*err && !prompt, "a request that is refused says why");
    }
    bool held = ba_fuzz_check(prompt->n_seg > 0, "a prompt has segments");
    for (size_t s = 0; s < prompt->n_seg; s++) {
        for (size_t i = 0; i < prompt->seg[s].n; i++) {
            int32_t id = prompt->seg[s].ids[i];
            held =
                ba_fuzz_check(id >= 0 && (n_vocab == 0 || (size_t)id < n_vocab), "ids are in the vocabulary") && held;
        }
    }
    held = plan(prompt, size) && held;
    ba_prompt_free(prompt);
    return held;
}

static bool take(void *state, const unsigned char *data, size_t size) {
    const ba_fuzz_vocabulary *v = state;
    bool bpe = parse(v->tok[0], data, size), spm = parse(v->tok[1], data, size);
    return parse(NULL, data, size) && bpe && spm;
}

static int seed(const ba_fuzz *self, const char *folder) {
    (void)self;
    static const char *const request[] = {
        "{\"blocks\": [\"You are kind.\", \"One.\", \"Two.\", \"What?\"], \"num_local_attention_blocks\": 2}",
        "{\"ids\": [[0, 5, 7], [9], [12, 13]], \"roles\": [\"passage\", \"question\", \"task\"]}",
        "{\"blocks\": [\"a\\u00e9\\n\", \"b\", \"c\"], \"roles\": [\"demonstration\", \"link\", \"question\"], "
        "\"special\": true}",
        "{\"messages\": [{\"role\": \"system\", \"content\": \"Be kind.\"}, {\"role\": \"user\", \"content\": "
        "\"a\\n\\nb\\n\\nWhat?\"}, {\"role\": \"assistant\", \"content\": \"c\"}, {\"role\": \"user\", \"content\": "
        "\"?\"}]}",
        "{\"ids\": [[1, 2, 3, 4, 5, 6, 7, 8], [9, 10, 11], [12, 13], [14]], "
        "\"roles\": [\"system\", \"passage\", \"passage\", \"question\"]}"};
    int rc = 0;
    for (size_t i = 0; i < sizeof request / sizeof *request; i++) {
        const char name[] = {'s', (char)('0' + i), 0};
        rc = ba_fuzz_write(folder, name, request[i], strlen(request[i])) ? -1 : rc;
    }
    return rc;
}

const ba_fuzz ba_fuzz_request = {"request", NULL, open_request, take, ba_fuzz_vocabulary_close, seed};

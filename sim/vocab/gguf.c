/* A vocabulary from GGUF metadata. */
#include "read.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define KEY "tokenizer.ggml."

enum { MAX_TOKENS = 1 << 24 };

static int no_memory(const ba_gguf *g, char err[BA_ERR_LEN]) {
    return ba_fail(err, "%s: out of memory", ba_gguf_path(g));
}

/* Owned copy of a string value; "" if the key is absent or NULL. */
static int copy_string(const ba_gguf *g, const char *key, const char **out, char err[BA_ERR_LEN]) {
    ba_span text = {"", 0};
    if (key && ba_gguf_string(g, key, &text, err) != 0) {
        return -1;
    }
    *out = strndup(text.s, text.n);
    return *out ? 0 : no_memory(g, err);
}

static int read_kind(const ba_gguf *g, ba_vocab_kind *kind, char err[BA_ERR_LEN]) {
    static const struct {
        const char *name;
        ba_vocab_kind kind;
    } models[] = {
        {"gpt2", BA_VOCAB_BPE}, {"llama", BA_VOCAB_SPM}, {"none", BA_VOCAB_NONE}, {"no_vocab", BA_VOCAB_NONE}};
    ba_span name = {"none", 4};
    if (ba_gguf_string(g, KEY "model", &name, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        if (ba_span_is(name, models[i].name)) {
            *kind = models[i].kind;
            return 0;
        }
    }
    return ba_fail(err,
                   "%s: " KEY "model is '%.*s', which is not supported; there is gpt2 (byte-level BPE) and llama "
                   "(SentencePiece BPE)",
                   ba_gguf_path(g), (int)(name.n < 32 ? name.n : 32), name.s);
}

/* ---- arrays ----------------------------------------------------------------------------------------------------- */

static int read_tokens(const ba_gguf *g, ba_vocab *v, char err[BA_ERR_LEN]) {
    const ba_gguf_value *tokens;
    if (ba_gguf_array(g, KEY "tokens", BA_GGUF_STRING, &tokens, err) != 0) {
        return -1;
    }
    if (!tokens || tokens->n == 0 || tokens->n > MAX_TOKENS) {
        return ba_fail(err, "%s: " KEY "tokens is missing, empty or longer than %d; convert the model again",
                       ba_gguf_path(g), MAX_TOKENS);
    }
    if (ba_vocab_alloc(v, tokens->n) != 0) {
        return no_memory(g, err);
    }
    ba_gguf_texts(tokens, v->token);
    memset(v->type, BA_TOKEN_NORMAL, v->n);
    return 0;
}

static int one_a_token(const ba_gguf *g, const ba_gguf_value *list, const ba_vocab *v, char err[BA_ERR_LEN]) {
    return list->n == v->n ? 0
                           : ba_fail(err, "%s: '%.*s' has %zu entries for %zu tokens; convert the model again",
                                     ba_gguf_path(g), (int)list->key.n, list->key.s, list->n, v->n);
}

static int read_types(const ba_gguf *g, ba_vocab *v, char err[BA_ERR_LEN]) {
    const ba_gguf_value *types;
    if (ba_gguf_array(g, KEY "token_type", BA_GGUF_I32, &types, err) != 0) {
        return -1;
    }
    if (!types) {
        return 0;
    }
    if (one_a_token(g, types, v, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < v->n; i++) {
        int32_t type;
        memcpy(&type, types->data + i * sizeof type, sizeof type);
        if (type < BA_TOKEN_NORMAL || type > BA_TOKEN_BYTE) {
            return ba_fail(err, "%s: " KEY "token_type of token %zu is %" PRId32 ", where 1 to 6 is possible",
                           ba_gguf_path(g), i, type);
        }
        v->type[i] = (uint8_t)type;
    }
    return 0;
}

static int read_scores(const ba_gguf *g, ba_vocab *v, char err[BA_ERR_LEN]) {
    const ba_gguf_value *scores;
    if (ba_gguf_array(g, KEY "scores", BA_GGUF_F32, &scores, err) != 0) {
        return -1;
    }
    if (!scores) {
        return v->kind == BA_VOCAB_SPM
                   ? ba_fail(err, "%s: " KEY "scores is missing; convert the model again", ba_gguf_path(g))
                   : 0;
    }
    if (one_a_token(g, scores, v, err) != 0) {
        return -1;
    }
    v->score = malloc(v->n * sizeof *v->score);
    if (!v->score) {
        return no_memory(g, err);
    }
    memcpy(v->score, scores->data, v->n * sizeof *v->score);
    for (size_t i = 0; i < v->n; i++) {
        if (isnan(v->score[i])) {
            return ba_fail(err, "%s: " KEY "scores of token %zu is no number", ba_gguf_path(g), i);
        }
    }
    return 0;
}

static int read_merges(const ba_gguf *g, ba_vocab *v, char err[BA_ERR_LEN]) {
    const ba_gguf_value *merges;
    if (ba_gguf_array(g, KEY "merges", BA_GGUF_STRING, &merges, err) != 0) {
        return -1;
    }
    if (!merges) {
        return v->kind == BA_VOCAB_BPE
                   ? ba_fail(err, "%s: " KEY "merges is missing; convert the model again", ba_gguf_path(g))
                   : 0;
    }
    v->merge = calloc(merges->n + 1, sizeof *v->merge);
    if (!v->merge) {
        return no_memory(g, err);
    }
    ba_gguf_texts(merges, v->merge);
    v->n_merge = merges->n;
    for (size_t i = 0; i < v->n_merge; i++) {
        const ba_span m = v->merge[i];
        if (m.n < 3 || !memchr(m.s + 1, ' ', m.n - 2)) {
            return ba_fail(err, "%s: " KEY "merges %zu is no pair 'left right'; convert the model again",
                           ba_gguf_path(g), i);
        }
    }
    return 0;
}

/* ---- special tokens --------------------------------------------------------------------------------------------- */

static int read_id(const ba_gguf *g, const char *key, const ba_vocab *v, int32_t *out, char err[BA_ERR_LEN]) {
    size_t id = UINT32_MAX; /* how files say "none" */
    *out = -1;
    if (ba_gguf_size(g, key, &id, err) != 0) {
        return -1;
    }
    if (id == UINT32_MAX) {
        return 0;
    }
    if (id >= v->n) {
        return ba_fail(err, "%s: '%s' is %zu, but there are %zu tokens; convert the model again", ba_gguf_path(g), key,
                       id, v->n);
    }
    *out = (int32_t)id;
    return 0;
}

static int read_specials(const ba_gguf *g, ba_vocab *v, char err[BA_ERR_LEN]) {
    static const char *const ends[] = {KEY "eos_token_id", KEY "eot_token_id", KEY "eom_token_id"};
    if (read_id(g, KEY "bos_token_id", v, &v->bos, err) != 0 || read_id(g, KEY "eos_token_id", v, &v->eos, err) != 0 ||
        read_id(g, KEY "unknown_token_id", v, &v->unk, err) != 0 ||
        read_id(g, KEY "padding_token_id", v, &v->pad, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        int32_t id;
        if (read_id(g, ends[i], v, &id, err) != 0) {
            return -1;
        }
        if (id >= 0 && ba_vocab_add_end(v, id) != 0) {
            return no_memory(g, err);
        }
    }
    return ba_vocab_add_known_ends(v) == 0 ? 0 : no_memory(g, err);
}

int ba_vocab_from_gguf(const ba_gguf *g, ba_vocab *v, char err[BA_ERR_LEN]) {
    *v = (ba_vocab){.bos = -1, .eos = -1, .unk = -1, .pad = -1};
    if (read_kind(g, &v->kind, err) != 0 ||
        copy_string(g, v->kind == BA_VOCAB_BPE ? KEY "pre" : NULL, &v->pre, err) != 0) {
        return -1;
    }
    if (v->kind == BA_VOCAB_NONE) {
        return 0;
    }
    if (read_tokens(g, v, err) != 0 || read_types(g, v, err) != 0 || read_scores(g, v, err) != 0 ||
        read_merges(g, v, err) != 0 || read_specials(g, v, err) != 0) {
        return -1;
    }
    /* What files mean that do not say: SentencePiece models do both, of the BPE families only Llama 3 begins with BOS.
     */
    v->add_bos = v->kind == BA_VOCAB_SPM || strcmp(v->pre, "llama-bpe") == 0;
    v->add_space_prefix = v->kind == BA_VOCAB_SPM;
    if (ba_gguf_bool(g, KEY "add_bos_token", &v->add_bos, err) != 0 ||
        ba_gguf_bool(g, KEY "add_space_prefix", &v->add_space_prefix, err) != 0) {
        return -1;
    }
    return ba_gguf_find(g, "tokenizer.chat_template")
               ? copy_string(g, "tokenizer.chat_template", &v->chat_template, err)
               : 0;
}

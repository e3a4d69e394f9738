#include "tokenizer.h"

#include "kernels/base/sizes.h"

#include "bpe.h"
#include "recipe_encode.h"
#include "special_tokens.h"
#include "spm.h"
#include <stdlib.h>
#include <string.h>

struct ba_tokenizer {
    const ba_vocab *vocab;
    ba_vocab_bytes pieces;
    ba_special_tokens marks[2]; /* [special]: user-defined tokens; these and control tokens */
    ba_bpe *bpe;                /* byte-level BPE without a recipe */
    ba_recipe_encoder *recipe;  /* NULL: by the vocabulary's kind */
    int32_t newline;
    ba_remembered *remembered; /* changes, and has its own lock */
};

/* Texts are remembered from this length on: a shorter one is tokenised in the time that finding it takes. 32 MB are
 * about 25,000 passages of 128 tokens. */
enum { WORTH_REMEMBERING = 64, REMEMBERED_BYTES = 32 << 20 };

static int32_t newline_token(const ba_vocab_bytes *p) {
    int32_t id = ba_vocab_bytes_find(p, "\n", 1);
    return id >= 0 && ba_vocab_bytes_plain(p, id) ? id : p->byte_id['\n'];
}

static int open_tokenizer(ba_tokenizer *t, char err[BA_ERR_LEN]) {
    if (ba_vocab_bytes_init(&t->pieces, t->vocab, err) != 0) {
        return -1;
    }
    t->newline = newline_token(&t->pieces);
    t->remembered = ba_remembered_new(REMEMBERED_BYTES);
    if (!t->remembered) {
        return ba_fail(err, "out of memory");
    }
    if (t->vocab->recipe) {
        return ba_recipe_encoder_new(&t->pieces, &t->recipe, err);
    }
    for (int special = 0; special < 2; special++) {
        if (ba_special_tokens_init(&t->marks[special], &t->pieces, special)) {
            return ba_fail(err, "out of memory");
        }
    }
    return t->vocab->kind == BA_VOCAB_BPE ? ba_bpe_new(&t->pieces, t->vocab->pre, NULL, &t->bpe, err) : 0;
}

int ba_tokenizer_new(const ba_vocab *vocab, ba_tokenizer **out, char err[BA_ERR_LEN]) {
    *out = NULL;
    if (vocab->kind == BA_VOCAB_NONE || vocab->n == 0) {
        return ba_fail(err, "it has no vocabulary; a folder needs its tokenizer.json, a GGUF file its tokenizer keys");
    }
    ba_tokenizer *t = calloc(1, sizeof *t);
    if (!t) {
        return ba_fail(err, "out of memory");
    }
    t->vocab = vocab;
    if (open_tokenizer(t, err) != 0) {
        ba_tokenizer_free(t);
        return -1;
    }
    *out = t;
    return 0;
}

void ba_tokenizer_free(ba_tokenizer *t) {
    if (t) {
        ba_remembered_free(t->remembered);
        ba_recipe_encoder_free(t->recipe);
        ba_bpe_free(t->bpe);
        ba_special_tokens_free(&t->marks[0]);
        ba_special_tokens_free(&t->marks[1]);
        ba_vocab_bytes_free(&t->pieces);
        free(t);
    }
}

/* Text between two marks; `opens`: it may get the space that some vocabularies put before a text. */
static int encode_plain(const ba_tokenizer *t, const char *text, size_t n, bool opens, ba_ids *out) {
    return t->bpe ? ba_bpe_encode(t->bpe, text, n, out)
                  : ba_spm_encode(&t->pieces, text, n, opens && t->vocab->add_space_prefix, out);
}

/* A text opens at its beginning and after control tokens; user-defined tokens are part of it. */
static int encode_by_kind(const ba_tokenizer *t, const char *text, size_t len, bool special, ba_ids *out) {
    bool opens = true;
    for (size_t from = 0; from < len;) {
        const ba_mark *found = NULL;
        size_t mark = ba_special_tokens_next(&t->marks[special], text, from, len, &found);
        bool user = mark < len && t->vocab->type[found->id] == BA_TOKEN_USER;
        if ((mark > from || user) && encode_plain(t, text + from, mark - from, opens, out)) {
            return -1;
        }
        if (mark == len) {
            break;
        }
        if (ba_ids_push(out, found->id)) {
            return -1;
        }
        opens = !user;
        from = mark + found->text.n;
    }
    return 0;
}

static int encode(const ba_tokenizer *t, const char *text, size_t len, bool special, ba_ids *out,
                  char err[BA_ERR_LEN]) {
    size_t lost = 0;
    if (t->recipe) {
        return ba_recipe_encode(t->recipe, text, len, special, out, &lost, err);
    }
    ba_fail(err, "out of memory"); /* the only reason below */
    if (t->bpe) {
        return encode_by_kind(t, text, len, special, out);
    }
    char *seen = malloc(len + 1);
    if (!seen) {
        return -1;
    }
    int rc = encode_by_kind(t, seen, ba_spm_normalise(text, len, seen), special, out);
    free(seen);
    return rc;
}

int ba_tokenize(const ba_tokenizer *t, const char *text, size_t len, bool special, int32_t **ids, size_t *n,
                char err[BA_ERR_LEN]) {
    ba_ids list = {0};
    bool worth = len >= WORTH_REMEMBERING;
    uint64_t hash = worth ? ba_remembered_hash(text, len, special) : 0;
    *ids = NULL;
    *n = 0;
    if (worth && ba_remembered_find(t->remembered, hash, text, len, special, ids, n)) {
        return 0;
    }
    if (encode(t, text, len, special, &list, err)) {
        free(list.id);
        return -1;
    }
    if (worth) {
        ba_remembered_add(t->remembered, hash, text, len, special, list.id, list.n);
    }
    *ids = list.id;
    *n = list.n;
    return 0;
}

void ba_tokenizer_forget(ba_tokenizer *t) {
    ba_remembered_forget(t->remembered);
}

ba_remembered_counts ba_tokenizer_remembered(const ba_tokenizer *t) {
    return ba_remembered_count(t->remembered);
}

size_t ba_tokenizer_lost(const ba_tokenizer *t, const char *text, size_t len) {
    size_t lost = 0;
    if (t->recipe && ba_recipe_complete(t->recipe)) {
        return 0;
    }
    if (t->recipe) {
        ba_ids list = {0};
        char err[BA_ERR_LEN];
        int rc = ba_recipe_encode(t->recipe, text, len, false, &list, &lost, err);
        free(list.id);
        return rc ? 0 : lost;
    }
    for (size_t i = 0; t->bpe && i < len; i++) {
        lost += t->pieces.byte_id[(unsigned char)text[i]] < 0;
    }
    return lost;
}

/* What a token contributes to text; nothing for an id that is none. */
static ba_span bytes_of(const ba_tokenizer *t, int32_t id, bool control) {
    if (id < 0 || (size_t)id >= t->vocab->n) {
        return (ba_span){"", 0};
    }
    uint8_t type = t->vocab->type[id];
    bool hidden = type == BA_TOKEN_CONTROL || type == BA_TOKEN_UNKNOWN;
    return hidden && !control ? (ba_span){"", 0} : t->pieces.bytes[id];
}

size_t ba_token_bytes(const ba_tokenizer *t, int32_t id, bool control, char *out, size_t size) {
    ba_span b = bytes_of(t, id, control);
    size_t n = b.n < size ? b.n : size;
    if (n) {
        memcpy(out, b.s, n);
    }
    return n;
}

char *ba_detokenize(const ba_tokenizer *t, const int32_t *ids, size_t n, bool control, size_t *len) {
    size_t total = 0;
    *len = 0;
    for (size_t i = 0; i < n; i++) {
        if (!ba_add_sizes(total, bytes_of(t, ids[i], control).n, &total)) {
            return NULL;
        }
    }
    char *text = total < SIZE_MAX ? malloc(total + 1) : NULL;
    if (!text) {
        return NULL;
    }
    for (size_t i = 0; i < n; i++) {
        *len += ba_token_bytes(t, ids[i], control, text + *len, total - *len);
    }
    text[total] = '\0';
    return text;
}

const ba_vocab *ba_tokenizer_vocab(const ba_tokenizer *t) {
    return t->vocab;
}

bool ba_token_ends(const ba_tokenizer *t, int32_t id) {
    for (size_t i = 0; i < t->vocab->n_eog; i++) {
        if (t->vocab->eog[i] == id) {
            return true;
        }
    }
    return id >= 0 && id == t->vocab->eos;
}

int32_t ba_token_newline(const ba_tokenizer *t) {
    return t->newline;
}

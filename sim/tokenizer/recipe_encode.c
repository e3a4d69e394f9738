#include "recipe_encode.h"

#include "added_tokens.h"
#include "bpe.h"
#include "sim/base/utf8.h"
#include "sim/recipe/pipeline.h"
#include "sim/recipe/read.h"
#include "word_bpe.h"
#include <stdlib.h>

struct ba_recipe_encoder {
    const ba_vocab *vocab;
    ba_added_tokens added[2]; /* found in the text, and in the normalised text */
    ba_bpe *bpe;              /* byte-level BPE of a known family */
    ba_word_bpe *words;       /* any other */
    const ba_vocab_bytes *pieces;
    bool byte_level; /* bytes are letters of GPT-2's alphabet */
    bool complete;   /* there is a token for everything */
};

/* ---- may the pieces of a known family be merged as bytes? -------------------------------------------------------- */

/* The vocabulary of bytes is the one of characters if no token has a character outside the alphabet, and if what added
 * tokens look like is what they are. */
static bool tokens_fit(const ba_vocab *v) {
    for (size_t i = 0; i < v->n; i++) {
        bool added = v->type[i] != BA_TOKEN_NORMAL;
        if (v->recipe->in_model[i] && !ba_is_byte_level(v->token[i], added)) {
            return false;
        }
    }
    return true;
}

/* Text that the special tokens are not found in first must not become one. */
static bool added_fit(const ba_recipe *r) {
    for (size_t i = 0; i < r->n_added; i++) {
        if (r->added[i].special && (r->added[i].single_word || r->added[i].normalized)) {
            return false;
        }
    }
    return r->n_normalizers == 0 || (r->n_normalizers == 1 && strcmp(r->normalizer[0].type->name, "NFC") == 0);
}

/* Where a byte has no token, it must be left out. */
static bool unknown_fits(const ba_vocab_bytes *p) {
    const ba_recipe *r = p->vocab->recipe;
    bool all = true;
    for (size_t i = 0; i < 256; i++) {
        all = all && p->byte_id[i] >= 0;
    }
    return !r->byte_fallback && (all || !r->has_unk) && r->prefix.n == 0 && r->suffix.n == 0;
}

/* No merge makes a special token: bytes are merged without such merges, characters with them. */
static bool merges_fit(const ba_vocab *v, const ba_span_table *specials, size_t longest) {
    const ba_recipe *r = v->recipe;
    char *scratch = malloc(longest + 1);
    bool fit = scratch != NULL;
    for (size_t i = 0; fit && i < r->n_merges; i++) {
        const ba_pair m = r->merge[i];
        if (m.left.n + m.right.n <= longest) {
            memcpy(mempcpy(scratch, m.left.s, m.left.n), m.right.s, m.right.n);
            fit = ba_span_table_find(specials, scratch, m.left.n + m.right.n) < 0;
        }
    }
    free(scratch);
    return fit;
}

static bool specials_fit(const ba_vocab *v) {
    ba_span_table specials;
    size_t longest = 0;
    if (ba_span_table_init(&specials, v->token, v->n)) {
        return false; /* the general way finds out that memory is short */
    }
    for (size_t i = 0; i < v->n; i++) {
        if (v->recipe->in_model[i] && (v->type[i] == BA_TOKEN_CONTROL || v->type[i] == BA_TOKEN_UNKNOWN)) {
            ba_span_table_add(&specials, (int32_t)i);
            longest = v->token[i].n > longest ? v->token[i].n : longest;
        }
    }
    bool fit = longest == 0 || merges_fit(v, &specials, longest);
    ba_span_table_free(&specials);
    return fit;
}

static bool family_fits(const ba_vocab_bytes *p) {
    const ba_vocab *v = p->vocab;
    return v->recipe->family && tokens_fit(v) && added_fit(v->recipe) && unknown_fits(p) && specials_fit(v);
}

/* ---- making ----------------------------------------------------------------------------------------------------- */

/* Is there a token for every byte, or one for what is unknown? */
static bool is_complete(const ba_recipe_encoder *e) {
    const ba_recipe *r = e->vocab->recipe;
    bool all = r->has_unk || e->byte_level || r->byte_fallback;
    for (int i = 0; !r->has_unk && all && i < 256; i++) {
        all = e->bpe ? e->pieces->byte_id[i] >= 0 : ba_word_bpe_has_byte(e->words, (unsigned char)i, e->byte_level);
    }
    return all && r->prefix.n + r->suffix.n == 0;
}

static int open_encoder(ba_recipe_encoder *e, const ba_vocab_bytes *pieces, char err[BA_ERR_LEN]) {
    const ba_recipe *r = pieces->vocab->recipe;
    e->vocab = pieces->vocab;
    e->pieces = pieces;
    e->byte_level = ba_recipe_has(r, "ByteLevel");
    if (ba_added_tokens_init(&e->added[0], r, false, err) != 0 ||
        ba_added_tokens_init(&e->added[1], r, true, err) != 0) {
        return -1;
    }
    if (family_fits(pieces)) {
        const ba_bpe_options options = {.whole_word_first = r->ignore_merges};
        if (ba_bpe_new(pieces, r->family, &options, &e->bpe, err) != 0) {
            return -1;
        }
    } else if (ba_word_bpe_new(e->vocab, &e->words, err) != 0) {
        return -1;
    }
    e->complete = is_complete(e);
    return 0;
}

int ba_recipe_encoder_new(const ba_vocab_bytes *pieces, ba_recipe_encoder **out, char err[BA_ERR_LEN]) {
    ba_recipe_encoder *e = calloc(1, sizeof *e);
    if (!e) {
        return ba_fail(err, "out of memory");
    }
    if (open_encoder(e, pieces, err) != 0) {
        ba_recipe_encoder_free(e);
        return -1;
    }
    *out = e;
    return 0;
}

void ba_recipe_encoder_free(ba_recipe_encoder *e) {
    if (!e) {
        return;
    }
    ba_added_tokens_free(&e->added[0]);
    ba_added_tokens_free(&e->added[1]);
    ba_bpe_free(e->bpe);
    ba_word_bpe_free(e->words);
    free(e);
}

/* One call of the encoder. */
typedef struct encoding {
    const ba_recipe_encoder *e;
    ba_pipeline pipeline;
    ba_merger merger;
    bool special;
    ba_ids *out;
    size_t *lost;
    const char *text; /* the valid stretch at hand */
    bool first;       /* it begins the input */
    const ba_line *line;
    char *err; /* [BA_ERR_LEN] */
} encoding;

static void count_lost(encoding *c, const char *text, size_t n) {
    for (size_t i = 0; i < n; i++) {
        *c->lost += c->e->pieces->byte_id[(unsigned char)text[i]] < 0;
    }
}

/* A token in the normal text, or normal text between two. */
static int encode_normal(void *to, size_t start, size_t end, int32_t id) {
    encoding *c = to;
    const ba_pieces *pieces;
    if (id >= 0) {
        return ba_ids_push(c->out, id);
    }
    if (c->e->bpe) {
        if (!c->e->complete) {
            count_lost(c, c->line->s + start, end - start);
        }
        return ba_bpe_encode(c->e->bpe, c->line->s + start, end - start, c->out);
    }
    if (ba_pipeline_split(&c->pipeline, c->line, start, end - start, &pieces, c->err)) {
        return -1;
    }
    for (size_t i = 0; i < pieces->n; i++) {
        const ba_piece *p = &pieces->item[i];
        if (ba_word_bpe_encode(c->e->words, &c->merger, pieces->line.s + p->at, p->n, c->special, c->out, c->lost)) {
            return -1;
        }
    }
    return 0;
}

/* A token in the text, or text between two. */
static int encode_text(void *to, size_t start, size_t end, int32_t id) {
    encoding *c = to;
    if (id >= 0) {
        return ba_ids_push(c->out, id);
    }
    if (ba_pipeline_normalise(&c->pipeline, c->text + start, end - start, c->first && start == 0, &c->line, c->err)) {
        return -1;
    }
    return ba_added_tokens_scan(&c->e->added[1], c->line->s, c->line->n, c->special, encode_normal, c);
}

static int encode_byte(encoding *c, char byte) {
    if (c->e->bpe) {
        count_lost(c, &byte, 1);
        return ba_bpe_encode(c->e->bpe, &byte, 1, c->out);
    }
    return ba_word_bpe_byte(c->e->words, (unsigned char)byte, c->e->byte_level, c->out, c->lost);
}

bool ba_recipe_complete(const ba_recipe_encoder *e) {
    return e->complete;
}

int ba_recipe_encode(const ba_recipe_encoder *e, const char *text, size_t n, bool special, ba_ids *out, size_t *lost,
                     char err[BA_ERR_LEN]) {
    encoding c = {.e = e, .special = special, .out = out, .lost = lost, .err = err};
    int rc = 0;
    ba_fail(err, "out of memory"); /* unless a step says otherwise */
    ba_pipeline_init(&c.pipeline, e->vocab->recipe, n);
    for (size_t i = 0, valid; !rc && i < n; i += valid) {
        valid = ba_utf8_valid(text + i, n - i);
        c.text = text + i;
        c.first = i == 0;
        if (valid) {
            rc = ba_added_tokens_scan(&e->added[0], c.text, valid, special, encode_text, &c);
        } else {
            valid = 1;
            rc = encode_byte(&c, text[i]);
        }
    }
    ba_pipeline_free(&c.pipeline);
    ba_merger_free(&c.merger);
    return rc;
}

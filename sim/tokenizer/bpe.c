#include "bpe.h"

#include "sim/base/utf8.h"
#include "sim/text/merge.h"
#include "sim/text/normal_form.h"
#include "sim/text/pair_rules.h"
#include "sim/text/pretokenize.h"
#include <stdlib.h>
#include <string.h>

struct ba_bpe {
    const ba_vocab_bytes *pieces;
    const ba_pre *pre;
    ba_bpe_options options;
    ba_pair_rules rules;
};

static bool join(const void *rules, const char *text, const ba_symbol *left, const ba_symbol *right,
                 ba_candidate *out) {
    (void)text;
    const ba_bpe *b = rules;
    const ba_rule *r = ba_pair_rules_find(&b->rules, left->id, right->id);
    if (r->left < 0) {
        return false;
    }
    out->order = r->rank;
    out->id = r->joined;
    return true;
}

/* Enters merge number `rank`, "left right". scratch has room for the bytes of any merge. */
static int add_rule(ba_bpe *b, size_t rank, char *scratch, char err[BA_ERR_LEN]) {
    ba_span m = b->pieces->vocab->merge[rank];
    const char *space = m.n > 2 ? memchr(m.s + 1, ' ', m.n - 2) : NULL;
    if (!space) {
        return ba_fail(err, "merge %zu of its tokenizer is not two tokens with a space between them", rank);
    }
    size_t cut = (size_t)(space - m.s);
    ba_span part[2] = {{m.s, cut}, {space + 1, m.n - cut - 1}};
    size_t n0 = ba_piece_decode(BA_VOCAB_BPE, BA_TOKEN_NORMAL, part[0], scratch);
    size_t n1 = ba_piece_decode(BA_VOCAB_BPE, BA_TOKEN_NORMAL, part[1], scratch + n0);
    ba_rule r = {ba_vocab_bytes_find(b->pieces, scratch, n0), ba_vocab_bytes_find(b->pieces, scratch + n0, n1),
                 ba_vocab_bytes_find(b->pieces, scratch, n0 + n1), (uint32_t)rank};
    if (r.left < 0 || r.right < 0 || r.joined < 0) {
        return ba_fail(err,
                       "merge %zu of its tokenizer, \"%.*s\": a part of it or the whole is not in the vocabulary; "
                       "use the tokenizer that belongs to the model",
                       rank, m.n < 64 ? (int)m.n : 64, m.s);
    }
    ba_rule *slot = ba_pair_rules_find(&b->rules, r.left, r.right);
    /* A pair that is listed twice: `tokenizers` takes the last, llama.cpp the first. */
    if ((slot->left < 0 || b->pieces->vocab->recipe) && ba_vocab_bytes_plain(b->pieces, r.joined)) {
        *slot = r;
    }
    return 0;
}

static int add_rules(ba_bpe *b, char err[BA_ERR_LEN]) {
    const ba_vocab *v = b->pieces->vocab;
    size_t longest = 0;
    int rc = 0;
    if (v->n_merge > UINT32_MAX / 4) {
        return ba_fail(err, "%zu merges: more than ids can name", v->n_merge);
    }
    for (size_t i = 0; i < v->n_merge; i++) {
        longest = v->merge[i].n > longest ? v->merge[i].n : longest;
    }
    char *scratch = malloc(longest + 1);
    if (!scratch || ba_pair_rules_init(&b->rules, v->n_merge)) {
        rc = ba_fail(err, "out of memory");
        goto done;
    }
    for (size_t i = 0; i < v->n_merge; i++) {
        if ((rc = add_rule(b, i, scratch, err)) != 0) {
            goto done;
        }
    }
done:
    free(scratch);
    return rc;
}

int ba_bpe_new(const ba_vocab_bytes *pieces, const char *family, const ba_bpe_options *options, ba_bpe **out,
               char err[BA_ERR_LEN]) {
    const ba_pre *pre = ba_pre_find(family, err);
    if (!pre) {
        return -1;
    }
    ba_bpe *b = calloc(1, sizeof *b);
    if (!b) {
        return ba_fail(err, "out of memory");
    }
    b->pieces = pieces;
    b->pre = pre;
    b->options = options ? *options : (ba_bpe_options){pre->whole_word_first, pre->nfc};
    if (add_rules(b, err)) {
        ba_bpe_free(b);
        return -1;
    }
    *out = b;
    return 0;
}

void ba_bpe_free(ba_bpe *b) {
    if (b) {
        ba_pair_rules_free(&b->rules);
        free(b);
    }
}

/* One piece of the pre-tokeniser. */
static int encode_piece(const ba_bpe *b, ba_merger *m, const char *text, size_t n, ba_ids *out) {
    if (b->options.whole_word_first) {
        int32_t id = ba_vocab_bytes_find(b->pieces, text, n);
        if (id >= 0 && ba_vocab_bytes_plain(b->pieces, id)) {
            return ba_ids_push(out, id);
        }
    }
    ba_merger_clear(m);
    for (size_t i = 0; i < n; i++) {
        int32_t id = b->pieces->byte_id[(unsigned char)text[i]];
        if (id >= 0 && ba_merger_add(m, i, 1, id)) {
            return -1;
        }
    }
    if (ba_merger_run(m, join, b, text)) {
        return -1;
    }
    for (size_t i = 0; i < m->n; i = m->sym[i].next) {
        if (ba_ids_push(out, m->sym[i].id)) {
            return -1;
        }
    }
    return 0;
}

/* Valid UTF-8. */
static int encode_valid(const ba_bpe *b, ba_merger *m, const char *text, size_t n, ba_ids *out) {
    int rc = 0;
    for (size_t len; !rc && n > 0; text += len, n -= len) {
        len = ba_pre_next(b->pre, text, n);
        rc = encode_piece(b, m, text, len, out);
    }
    return rc;
}

static int encode_normalised(const ba_bpe *b, ba_merger *m, const char *text, size_t n, ba_ids *out) {
    char *nfc;
    size_t len;
    if (ba_normal_form(BA_NFC, text, n, &nfc, &len, NULL)) {
        return -1;
    }
    int rc = encode_valid(b, m, nfc, len, out);
    free(nfc);
    return rc;
}

int ba_bpe_encode(const ba_bpe *b, const char *text, size_t n, ba_ids *out) {
    ba_merger m = {0};
    int rc = 0;
    for (size_t i = 0, valid; !rc && i < n; i += valid) {
        valid = ba_utf8_valid(text + i, n - i);
        if (valid) {
            rc = (b->options.nfc ? encode_normalised : encode_valid)(b, &m, text + i, valid, out);
        } else {
            valid = 1;
            rc = encode_piece(b, &m, text + i, 1, out);
        }
    }
    ba_merger_free(&m);
    return rc;
}

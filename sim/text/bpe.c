#include "bpe.h"

#include "merge.h"
#include "pretokenize.h"
#include "sim/base/utf8.h"
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

typedef struct rule {
    int32_t left, right, joined; /* left = -1: free slot */
    uint32_t rank;
} rule;

struct ba_bpe {
    const ba_vocab_bytes *pieces;
    const ba_pre *pre;
    rule *rule; /* [mask + 1] hash table by (left, right) */
    size_t mask;
};

static size_t find_rule(const ba_bpe *b, int32_t left, int32_t right) {
    uint64_t key = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    key *= UINT64_C(0x9e3779b97f4a7c15); /* Fibonacci hashing: the high half is well mixed */
    size_t i = (size_t)(key >> 32) & b->mask;
    while (b->rule[i].left >= 0 && (b->rule[i].left != left || b->rule[i].right != right)) {
        i = (i + 1) & b->mask;
    }
    return i;
}

static bool join(const void *rules, const char *text, const ba_symbol *left, const ba_symbol *right,
                 ba_candidate *out) {
    (void)text;
    const ba_bpe *b = rules;
    const rule *r = &b->rule[find_rule(b, left->id, right->id)];
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
    rule r = {ba_vocab_bytes_find(b->pieces, scratch, n0), ba_vocab_bytes_find(b->pieces, scratch + n0, n1),
              ba_vocab_bytes_find(b->pieces, scratch, n0 + n1), (uint32_t)rank};
    if (r.left < 0 || r.right < 0 || r.joined < 0) {
        return ba_fail(err,
                       "merge %zu of its tokenizer, \"%.*s\": a part of it or the whole is not in the vocabulary; "
                       "use the tokenizer that belongs to the model",
                       rank, m.n < 64 ? (int)m.n : 64, m.s);
    }
    rule *slot = &b->rule[find_rule(b, r.left, r.right)];
    if (slot->left < 0 && ba_vocab_bytes_plain(b->pieces, r.joined)) {
        *slot = r;
    }
    return 0;
}

static int add_rules(ba_bpe *b, char err[BA_ERR_LEN]) {
    const ba_vocab *v = b->pieces->vocab;
    size_t slots = 16, longest = 0;
    if (v->n_merge > UINT32_MAX / 4) {
        return ba_fail(err, "%zu merges: more than ids can name", v->n_merge);
    }
    while (slots < 2 * v->n_merge) {
        slots *= 2;
    }
    for (size_t i = 0; i < v->n_merge; i++) {
        longest = v->merge[i].n > longest ? v->merge[i].n : longest;
    }
    b->mask = slots - 1;
    b->rule = malloc(slots * sizeof *b->rule);
    char *scratch = malloc(longest + 1);
    int rc = b->rule && scratch ? 0 : ba_fail(err, "out of memory");
    for (size_t i = 0; !rc && i < slots; i++) {
        b->rule[i].left = -1;
    }
    for (size_t i = 0; !rc && i < v->n_merge; i++) {
        rc = add_rule(b, i, scratch, err);
    }
    free(scratch);
    return rc;
}

int ba_bpe_new(const ba_vocab_bytes *pieces, ba_bpe **out, char err[BA_ERR_LEN]) {
    const ba_pre *pre = ba_pre_find(pieces->vocab->pre, err);
    if (!pre) {
        return -1;
    }
    ba_bpe *b = calloc(1, sizeof *b);
    if (!b) {
        return ba_fail(err, "out of memory");
    }
    b->pieces = pieces;
    b->pre = pre;
    if (add_rules(b, err)) {
        ba_bpe_free(b);
        return -1;
    }
    *out = b;
    return 0;
}

void ba_bpe_free(ba_bpe *b) {
    if (b) {
        free(b->rule);
        free(b);
    }
}

/* One piece of the pre-tokeniser. */
static int encode_piece(const ba_bpe *b, ba_merger *m, const char *text, size_t n, ba_ids *out) {
    if (b->pre->whole_word_first) {
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
    utf8proc_uint8_t *nfc;
    utf8proc_ssize_t len =
        utf8proc_map((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)n, &nfc, UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    if (len < 0) {
        return -1;
    }
    int rc = encode_valid(b, m, (const char *)nfc, (size_t)len, out);
    free(nfc);
    return rc;
}

int ba_bpe_encode(const ba_bpe *b, const char *text, size_t n, ba_ids *out) {
    ba_merger m = {0};
    int rc = 0;
    for (size_t i = 0, valid; !rc && i < n; i += valid) {
        valid = ba_utf8_valid(text + i, n - i);
        if (valid) {
            rc = (b->pre->nfc ? encode_normalised : encode_valid)(b, &m, text + i, valid, out);
        } else {
            valid = 1;
            rc = encode_piece(b, &m, text + i, 1, out);
        }
    }
    ba_merger_free(&m);
    return rc;
}

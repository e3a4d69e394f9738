#include "word_bpe.h"

#include "sim/base/utf8.h"
#include "sim/recipe/recipe.h"
#include "sim/text/pair_rules.h"
#include "sim/text/span_table.h"
#include "sim/text/unicode.h"
#include "vocab_bytes.h"
#include <stdlib.h>
#include <string.h>

/* Code points below this one have their token in a table; byte-level text has no others. */
enum { DIRECT = 0x400 };

struct ba_word_bpe {
    const ba_vocab *vocab;
    const ba_recipe *recipe;
    ba_span_table tokens; /* of the model, by their text */
    ba_pair_rules rules;
    int32_t direct[DIRECT];
    int32_t byte[256]; /* token "<0xNN>", -1 if there is none */
    size_t longest;    /* token, in bytes */
};

/* What `join` needs. */
typedef struct joining {
    const ba_word_bpe *bpe;
    bool special;
} joining;

static bool plain(const ba_word_bpe *b, int32_t id) {
    return b->vocab->type[id] != BA_TOKEN_CONTROL;
}

static bool join(const void *rules, const char *text, const ba_symbol *left, const ba_symbol *right,
                 ba_candidate *out) {
    const joining *j = rules;
    (void)text;
    const ba_rule *r = ba_pair_rules_find(&j->bpe->rules, left->id, right->id);
    if (r->left < 0 || !(j->special || plain(j->bpe, r->joined))) {
        return false;
    }
    out->order = r->rank;
    out->id = r->joined;
    return true;
}

/* ---- making ----------------------------------------------------------------------------------------------------- */

/* Enters merge number `rank`. A pair that is listed twice counts where it comes last. */
static int add_rule(ba_word_bpe *b, size_t rank, char *scratch, char err[BA_ERR_LEN]) {
    const ba_pair m = b->recipe->merge[rank];
    const size_t cut = b->recipe->prefix.n;
    int32_t left = ba_span_table_find(&b->tokens, m.left.s, m.left.n);
    int32_t right = ba_span_table_find(&b->tokens, m.right.s, m.right.n), joined = -1;
    if (left >= 0 && right >= 0 && m.right.n >= cut) {
        memcpy(scratch, m.left.s, m.left.n);
        memcpy(scratch + m.left.n, m.right.s + cut, m.right.n - cut);
        joined = ba_span_table_find(&b->tokens, scratch, m.left.n + m.right.n - cut);
    }
    if (joined < 0) {
        return ba_fail(err,
                       "merge %zu of its tokenizer, \"%.*s %.*s\": a part of it or the whole is not in the vocabulary; "
                       "use the tokenizer that belongs to the model",
                       rank, m.left.n < 64 ? (int)m.left.n : 64, m.left.s, m.right.n < 64 ? (int)m.right.n : 64,
                       m.right.s);
    }
    *ba_pair_rules_find(&b->rules, left, right) = (ba_rule){left, right, joined, (uint32_t)rank};
    return 0;
}

static int add_rules(ba_word_bpe *b, char err[BA_ERR_LEN]) {
    const ba_recipe *r = b->recipe;
    if (r->n_merges > UINT32_MAX / 4) {
        return ba_fail(err, "%zu merges: more than ids can name", r->n_merges);
    }
    char *scratch = malloc(2 * b->longest + 1); /* parts are tokens */
    int rc = scratch && ba_pair_rules_init(&b->rules, r->n_merges) == 0 ? 0 : ba_fail(err, "out of memory");
    for (size_t i = 0; !rc && i < r->n_merges; i++) {
        rc = add_rule(b, i, scratch, err);
    }
    free(scratch);
    return rc;
}

static int add_tokens(ba_word_bpe *b, char err[BA_ERR_LEN]) {
    const ba_vocab *v = b->vocab;
    if (ba_span_table_init(&b->tokens, v->token, v->n)) {
        return ba_fail(err, "out of memory");
    }
    for (size_t i = 0; i < v->n; i++) {
        if (b->recipe->in_model[i] && ba_span_table_add(&b->tokens, (int32_t)i) >= 0) {
            return ba_fail(err, "its tokenizer lists the token '%.*s' twice",
                           v->token[i].n < 64 ? (int)v->token[i].n : 64, v->token[i].s);
        }
        b->longest = v->token[i].n > b->longest ? v->token[i].n : b->longest;
    }
    return 0;
}

static void fill_tables(ba_word_bpe *b) {
    char text[8];
    for (int32_t c = 0; c < DIRECT; c++) {
        b->direct[c] = ba_span_table_find(&b->tokens, text, ba_utf8_put(c, text));
    }
    for (int i = 0; i < 256; i++) {
        const char *hex = "0123456789ABCDEF";
        const char name[] = {'<', '0', 'x', hex[i >> 4], hex[i & 15], '>'};
        b->byte[i] = ba_span_table_find(&b->tokens, name, sizeof name);
    }
}

int ba_word_bpe_new(const ba_vocab *vocab, ba_word_bpe **out, char err[BA_ERR_LEN]) {
    ba_word_bpe *b = calloc(1, sizeof *b);
    if (!b) {
        return ba_fail(err, "out of memory");
    }
    b->vocab = vocab;
    b->recipe = vocab->recipe;
    if (add_tokens(b, err) || add_rules(b, err)) {
        ba_word_bpe_free(b);
        return -1;
    }
    fill_tables(b);
    *out = b;
    return 0;
}

void ba_word_bpe_free(ba_word_bpe *b) {
    if (b) {
        ba_span_table_free(&b->tokens);
        ba_pair_rules_free(&b->rules);
        free(b);
    }
}

/* ---- encoding --------------------------------------------------------------------------------------------------- */

/* A piece on its way: the merger's symbols, and an unknown stretch that has not become one yet. */
typedef struct word {
    const ba_word_bpe *bpe;
    ba_merger *merger;
    bool special;
    size_t unknown; /* bytes, 0: none */
    size_t at;
    size_t *lost;
} word;

static int32_t find(const word *w, const char *text, size_t n) {
    int32_t id = n <= w->bpe->longest ? ba_span_table_find(&w->bpe->tokens, text, n) : -1;
    return id >= 0 && (w->special || plain(w->bpe, id)) ? id : -1;
}

static int add_symbol(word *w, size_t n, int32_t id) {
    w->at += n;
    return ba_merger_add(w->merger, w->at - n, n, id);
}

static int end_unknown(word *w) {
    size_t n = w->unknown;
    w->unknown = 0;
    return n ? add_symbol(w, n, w->bpe->recipe->unk) : 0;
}

static bool all_bytes(const ba_word_bpe *b, const char *s, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (b->byte[(unsigned char)s[i]] < 0) {
            return false;
        }
    }
    return true;
}

/* A symbol (s, with prefix and suffix) that is no token, of n bytes of the piece. The unknown stretch before byte tokens
 * comes after them: that is what the library does. */
static int add_unknown(word *w, const char *s, size_t len, size_t n) {
    const ba_recipe *r = w->bpe->recipe;
    if (r->byte_fallback && all_bytes(w->bpe, s, len)) {
        for (size_t i = 0; i < len; i++) {
            if (add_symbol(w, 1, w->bpe->byte[(unsigned char)s[i]])) {
                return -1;
            }
        }
        return 0;
    }
    if (!r->has_unk) {
        *w->lost += n;
        return 0;
    }
    if (w->unknown && !r->fuse_unk && end_unknown(w)) {
        return -1;
    }
    w->unknown += n;
    return 0;
}

static int add_character(word *w, const char *s, size_t n, int32_t code, bool begins, bool ends) {
    const ba_recipe *r = w->bpe->recipe;
    const ba_span before = begins ? (ba_span){0} : r->prefix, after = ends ? r->suffix : (ba_span){0};
    char room[64], *text = room;
    size_t len = n;
    int32_t id;
    if (before.n + after.n == 0) {
        id = code < DIRECT ? w->bpe->direct[code] : find(w, s, n);
        id = id >= 0 && !w->special && !plain(w->bpe, id) ? -1 : id;
        text = (char *)s;
    } else {
        len = before.n + n + after.n;
        if (len > sizeof room && !(text = malloc(len))) {
            return -1;
        }
        memcpy(mempcpy(mempcpy(text, before.s ? before.s : "", before.n), s, n), after.s ? after.s : "", after.n);
        id = find(w, text, len);
    }
    int rc = id < 0 ? add_unknown(w, text, len, n) : end_unknown(w) || add_symbol(w, n, id) ? -1 : 0;
    if (text != room && text != s) {
        free(text);
    }
    return rc;
}

static int add_symbols(word *w, const char *piece, size_t n) {
    int32_t code;
    for (size_t i = 0, len; i < n; i += len) {
        len = ba_utf8_next(piece + i, n - i, &code);
        if (len == 0 || add_character(w, piece + i, len, code, i == 0, i + len == n)) {
            return -1;
        }
    }
    return end_unknown(w);
}

/* The merged symbols of a piece are in w->merger. `special`: control tokens may come of text. */
static int merge_piece(word *w, const char *piece, size_t n, bool special) {
    const joining j = {w->bpe, special};
    w->special = special;
    w->at = w->unknown = 0;
    ba_merger_clear(w->merger);
    int32_t whole = w->bpe->recipe->ignore_merges ? find(w, piece, n) : -1;
    if (whole >= 0) {
        return ba_merger_add(w->merger, 0, n, whole);
    }
    return add_symbols(w, piece, n) || ba_merger_run(w->merger, join, &j, piece) ? -1 : 0;
}

static bool all_plain(const ba_word_bpe *b, const ba_merger *m) {
    for (size_t i = 0; i < m->n; i = m->sym[i].next) {
        if (!plain(b, m->sym[i].id)) {
            return false;
        }
    }
    return true;
}

int ba_word_bpe_encode(const ba_word_bpe *b, ba_merger *m, const char *piece, size_t n, bool special, ba_ids *out,
                       size_t *lost) {
    size_t before = *lost;
    word w = {.bpe = b, .merger = m, .lost = lost};
    if (merge_piece(&w, piece, n, true)) {
        return -1;
    }
    if (!special && !all_plain(b, m)) {
        *lost = before;
        if (merge_piece(&w, piece, n, false)) {
            return -1;
        }
    }
    for (size_t i = 0; i < m->n; i = m->sym[i].next) {
        if (ba_ids_push(out, m->sym[i].id)) {
            return -1;
        }
    }
    return 0;
}

bool ba_word_bpe_has_byte(const ba_word_bpe *b, unsigned char byte, bool letter) {
    return letter ? b->direct[ba_byte_letter(byte)] >= 0 : b->recipe->byte_fallback && b->byte[byte] >= 0;
}

int ba_word_bpe_byte(const ba_word_bpe *b, unsigned char byte, bool letter, ba_ids *out, size_t *lost) {
    const ba_recipe *r = b->recipe;
    int32_t id = letter ? b->direct[ba_byte_letter(byte)] : r->byte_fallback ? b->byte[byte] : -1;
    id = id < 0 && r->has_unk ? r->unk : id;
    if (id < 0) {
        ++*lost;
        return 0;
    }
    return ba_ids_push(out, id);
}

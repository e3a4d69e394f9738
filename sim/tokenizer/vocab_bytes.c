#include "vocab_bytes.h"

#include "kernels/base/sizes.h"
#include "sim/base/utf8.h"
#include <stdlib.h>
#include <string.h>

#define SPM_SPACE "\xe2\x96\x81" /* U+2581 */

/* GPT-2's alphabet: printable Latin-1 bytes stand for themselves, the others for 256, 257, ... in their order. -1: the
 * code point is not in the alphabet. */
static int byte_of_code(int32_t code) {
    if ((code >= 33 && code <= 126) || (code >= 161 && code <= 255 && code != 173)) {
        return code;
    }
    int rank = code - 256;
    return rank < 0 ? -1 : rank < 33 ? rank : rank < 67 ? rank - 33 + 127 : rank == 67 ? 173 : -1;
}

/* A text with a character outside the alphabet is no byte-level text (added tokens are stored as they are). */
static size_t decode_byte_level(ba_span text, char *out) {
    size_t n = 0, len;
    int32_t code;
    for (size_t i = 0; i < text.n; i += len) {
        len = ba_utf8_next(text.s + i, text.n - i, &code);
        int byte = len ? byte_of_code(code) : -1;
        if (byte < 0) {
            memcpy(out, text.s, text.n);
            return text.n;
        }
        out[n++] = (char)byte;
    }
    return n;
}

bool ba_is_byte_level(ba_span text, bool plain) {
    int32_t code;
    for (size_t i = 0, len; i < text.n; i += len) {
        len = ba_utf8_next(text.s + i, text.n - i, &code);
        if (len == 0 || byte_of_code(code) < 0 || (plain && code > 126)) {
            return false;
        }
    }
    return true;
}

static int hex(char c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                  : -1;
}

static size_t decode_spm(ba_span text, char *out) {
    size_t n = 0;
    for (size_t i = 0; i < text.n;) {
        bool space = text.n - i >= 3 && memcmp(text.s + i, SPM_SPACE, 3) == 0;
        out[n++] = space ? ' ' : text.s[i];
        i += space ? 3 : 1;
    }
    return n;
}

size_t ba_piece_decode(ba_vocab_kind kind, ba_token_type type, ba_span text, char *out) {
    if (text.n == 0) {
        return 0;
    }
    if (type == BA_TOKEN_BYTE && text.n == 6 && memcmp(text.s, "<0x", 3) == 0 && hex(text.s[3]) >= 0 &&
        hex(text.s[4]) >= 0 && text.s[5] == '>') {
        out[0] = (char)(hex(text.s[3]) * 16 + hex(text.s[4]));
        return 1;
    }
    if (kind == BA_VOCAB_SPM) {
        return decode_spm(text, out);
    }
    if (type == BA_TOKEN_NORMAL) {
        return decode_byte_level(text, out);
    }
    memcpy(out, text.s, text.n);
    return text.n;
}

int32_t ba_vocab_bytes_find(const ba_vocab_bytes *p, const char *bytes, size_t n) {
    return n && n <= p->longest ? ba_span_table_find(&p->table, bytes, n) : -1;
}

bool ba_vocab_bytes_plain(const ba_vocab_bytes *p, int32_t id) {
    return p->vocab->type[id] == BA_TOKEN_NORMAL || p->vocab->type[id] == BA_TOKEN_USER;
}

/* Of several tokens with the same bytes the first counts. */
static void enter(ba_vocab_bytes *p, size_t id) {
    if (p->bytes[id].n) {
        ba_span_table_add(&p->table, (int32_t)id);
    }
}

static void fill_table(ba_vocab_bytes *p) {
    const ba_vocab *v = p->vocab;
    memset(p->byte_id, 0xff, sizeof p->byte_id);
    for (size_t id = 0; id < v->n; id++) {
        if (ba_vocab_bytes_plain(p, (int32_t)id)) {
            enter(p, id);
        }
    }
    for (size_t id = 0; id < v->n; id++) {
        if (v->type[id] == BA_TOKEN_BYTE && p->bytes[id].n == 1) {
            int32_t *of = &p->byte_id[(unsigned char)p->bytes[id].s[0]];
            *of = *of < 0 ? (int32_t)id : *of;
        } else {
            enter(p, id);
        }
    }
    for (int b = 0; v->kind == BA_VOCAB_BPE && b < 256; b++) {
        char byte = (char)b;
        int32_t id = ba_vocab_bytes_find(p, &byte, 1);
        p->byte_id[b] = id >= 0 && ba_vocab_bytes_plain(p, id) ? id : -1;
    }
}

int ba_vocab_bytes_init(ba_vocab_bytes *p, const ba_vocab *vocab, char err[BA_ERR_LEN]) {
    *p = (ba_vocab_bytes){.vocab = vocab};
    size_t total = 0;
    for (size_t i = 0; i < vocab->n; i++) {
        if (!ba_add_sizes(total, vocab->token[i].n, &total)) {
            return ba_fail(err, "the vocabulary is larger than memory");
        }
    }
    if (vocab->n > INT32_MAX) {
        return ba_fail(err, "a vocabulary of %zu tokens: ids have 31 bits", vocab->n);
    }
    p->bytes = calloc(vocab->n + 1, sizeof *p->bytes);
    p->arena = malloc(total + 1);
    if (!p->bytes || !p->arena || ba_span_table_init(&p->table, p->bytes, vocab->n)) {
        ba_vocab_bytes_free(p);
        return ba_fail(err, "out of memory");
    }
    char *end = p->arena;
    for (size_t i = 0; i < vocab->n; i++) {
        size_t n = ba_piece_decode(vocab->kind, (ba_token_type)vocab->type[i], vocab->token[i], end);
        p->bytes[i] = (ba_span){end, n};
        p->longest = n > p->longest ? n : p->longest;
        end += n;
    }
    fill_table(p);
    return 0;
}

void ba_vocab_bytes_free(ba_vocab_bytes *p) {
    free(p->bytes);
    free(p->arena);
    ba_span_table_free(&p->table);
    *p = (ba_vocab_bytes){0};
}

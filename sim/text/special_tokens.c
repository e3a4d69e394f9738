#include "special_tokens.h"

#include <stdlib.h>
#include <string.h>

static int by_bytes(const void *a, const void *b, void *pieces) {
    int32_t i = *(const int32_t *)a, j = *(const int32_t *)b;
    ba_span x = ((const ba_vocab_bytes *)pieces)->bytes[i], y = ((const ba_vocab_bytes *)pieces)->bytes[j];
    int order = memcmp(x.s, y.s, x.n < y.n ? x.n : y.n);
    if (order) {
        return order;
    }
    return x.n != y.n ? (x.n < y.n ? -1 : 1) : (i > j) - (i < j);
}

static bool is_mark(uint8_t type, bool control) {
    return type == BA_TOKEN_USER || (control && (type == BA_TOKEN_CONTROL || type == BA_TOKEN_UNKNOWN));
}

int ba_special_tokens_init(ba_special_tokens *m, const ba_vocab_bytes *pieces, bool control) {
    const ba_vocab *v = pieces->vocab;
    *m = (ba_special_tokens){.pieces = pieces};
    size_t n = 0;
    for (size_t i = 0; i < v->n; i++) {
        n += is_mark(v->type[i], control);
    }
    m->id = malloc((n + 1) * sizeof *m->id);
    if (!m->id) {
        return -1;
    }
    for (size_t i = 0; i < v->n; i++) {
        if (is_mark(v->type[i], control) && pieces->bytes[i].n) {
            m->id[m->n++] = (int32_t)i;
            m->begins[(unsigned char)pieces->bytes[i].s[0]] = true;
        }
    }
    qsort_r(m->id, m->n, sizeof *m->id, by_bytes, (void *)pieces);
    return 0;
}

void ba_special_tokens_free(ba_special_tokens *m) {
    free(m->id);
    *m = (ba_special_tokens){0};
}

/* First index in [lo, hi) whose byte at `depth` is at least `byte`; a mark that ends there comes before all. */
static size_t lower(const ba_special_tokens *m, size_t lo, size_t hi, size_t depth, int byte) {
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        ba_span t = m->pieces->bytes[m->id[mid]];
        if (t.n <= depth || (unsigned char)t.s[depth] < byte) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo;
}

/* Longest mark that text[0..n) begins with, or -1: the range of candidates is narrowed byte by byte. */
static int32_t longest_at(const ba_special_tokens *m, const char *text, size_t n) {
    int32_t found = -1;
    size_t lo = 0, hi = m->n;
    for (size_t depth = 0; depth < n && lo < hi; depth++) {
        unsigned char byte = (unsigned char)text[depth];
        lo = lower(m, lo, hi, depth, byte);
        hi = lower(m, lo, hi, depth, byte + 1);
        if (lo < hi && m->pieces->bytes[m->id[lo]].n == depth + 1) {
            found = m->id[lo];
        }
    }
    return found;
}

size_t ba_special_tokens_next(const ba_special_tokens *m, const char *text, size_t from, size_t n, int32_t *id) {
    for (size_t i = from; i < n; i++) {
        if (m->begins[(unsigned char)text[i]] && (*id = longest_at(m, text + i, n - i)) >= 0) {
            return i;
        }
    }
    return n;
}

#include "special_tokens.h"

#include "sim/base/grow.h"
#include <stdlib.h>
#include <string.h>

int ba_special_tokens_add(ba_special_tokens *m, ba_span text, int32_t id) {
    if (text.n == 0) {
        return 0;
    }
    if (ba_grow(&m->item, &m->cap, m->n + 1, sizeof *m->item)) {
        return -1;
    }
    m->item[m->n++] = (ba_mark){text, id};
    m->begins[(unsigned char)text.s[0]] = true;
    return 0;
}

static int by_bytes(const void *a, const void *b) {
    const ba_mark *i = a, *j = b;
    ba_span x = i->text, y = j->text;
    int order = memcmp(x.s, y.s, x.n < y.n ? x.n : y.n);
    if (order) {
        return order;
    }
    return x.n != y.n ? (x.n < y.n ? -1 : 1) : (i->id > j->id) - (i->id < j->id);
}

void ba_special_tokens_sort(ba_special_tokens *m) {
    if (m->n) {
        qsort(m->item, m->n, sizeof *m->item, by_bytes);
    }
}

static bool is_mark(uint8_t type, bool control) {
    return type == BA_TOKEN_USER || (control && (type == BA_TOKEN_CONTROL || type == BA_TOKEN_UNKNOWN));
}

int ba_special_tokens_init(ba_special_tokens *m, const ba_vocab_bytes *pieces, bool control) {
    const ba_vocab *v = pieces->vocab;
    *m = (ba_special_tokens){0};
    for (size_t i = 0; i < v->n; i++) {
        if (is_mark(v->type[i], control) && ba_special_tokens_add(m, pieces->bytes[i], (int32_t)i)) {
            return -1;
        }
    }
    ba_special_tokens_sort(m);
    return 0;
}

void ba_special_tokens_free(ba_special_tokens *m) {
    free(m->item);
    *m = (ba_special_tokens){0};
}

/* First index in [lo, hi) whose byte at `depth` is at least `byte`; a mark that ends there comes before all. */
static size_t lower(const ba_special_tokens *m, size_t lo, size_t hi, size_t depth, int byte) {
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        ba_span t = m->item[mid].text;
        if (t.n <= depth || (unsigned char)t.s[depth] < byte) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo;
}

/* Longest mark that text[0..n) begins with, or NULL: the range of candidates is narrowed byte by byte. */
static const ba_mark *longest_at(const ba_special_tokens *m, const char *text, size_t n) {
    const ba_mark *found = NULL;
    size_t lo = 0, hi = m->n;
    for (size_t depth = 0; depth < n && lo < hi; depth++) {
        unsigned char byte = (unsigned char)text[depth];
        lo = lower(m, lo, hi, depth, byte);
        hi = lower(m, lo, hi, depth, byte + 1);
        if (lo < hi && m->item[lo].text.n == depth + 1) {
            found = &m->item[lo];
        }
    }
    return found;
}

size_t ba_special_tokens_next(const ba_special_tokens *m, const char *text, size_t from, size_t n,
                              const ba_mark **found) {
    for (size_t i = from; i < n; i++) {
        if (m->begins[(unsigned char)text[i]] && (*found = longest_at(m, text + i, n - i))) {
            return i;
        }
    }
    return n;
}

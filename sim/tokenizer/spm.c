#include "spm.h"

#include "sim/base/utf8.h"
#include "sim/text/merge.h"
#include <stdlib.h>
#include <string.h>

static int32_t find_plain(const ba_vocab_bytes *p, const char *text, size_t n) {
    int32_t id = ba_vocab_bytes_find(p, text, n);
    return id >= 0 && ba_vocab_bytes_plain(p, id) ? id : -1;
}

static bool join(const void *rules, const char *text, const ba_symbol *left, const ba_symbol *right,
                 ba_candidate *out) {
    const ba_vocab_bytes *p = rules;
    out->id = find_plain(p, text + left->at, left->n + right->n);
    out->order = out->id >= 0 && p->vocab->score ? -(double)p->vocab->score[out->id] : 0;
    return out->id >= 0;
}

size_t ba_spm_normalise(const char *text, size_t n, char *out) {
    return ba_piece_decode(BA_VOCAB_SPM, BA_TOKEN_NORMAL, (ba_span){text, n}, out);
}

static int push_bytes(const ba_vocab_bytes *p, const char *text, size_t n, ba_ids *out) {
    for (size_t i = 0; i < n; i++) {
        int32_t id = p->byte_id[(unsigned char)text[i]], unk = p->vocab->unk;
        bool known = id >= 0;
        id = known ? id : unk;
        bool repeats = !known && out->n && out->id[out->n - 1] == unk;
        if (id >= 0 && !repeats && ba_ids_push(out, id)) {
            return -1;
        }
    }
    return 0;
}

static int encode(const ba_vocab_bytes *p, ba_merger *m, const char *text, size_t n, ba_ids *out) {
    int32_t code;
    for (size_t i = 0, len; i < n; i += len) {
        len = ba_utf8_next(text + i, n - i, &code);
        int32_t id = len ? find_plain(p, text + i, len) : -1;
        len += len == 0;
        if (ba_merger_add(m, i, len, id)) {
            return -1;
        }
    }
    if (ba_merger_run(m, join, p, text)) {
        return -1;
    }
    for (size_t i = 0; i < m->n; i = m->sym[i].next) {
        const ba_symbol *s = &m->sym[i];
        if (s->id >= 0 ? ba_ids_push(out, s->id) : push_bytes(p, text + s->at, s->n, out)) {
            return -1;
        }
    }
    return 0;
}

int ba_spm_encode(const ba_vocab_bytes *pieces, const char *text, size_t n, bool prefix, ba_ids *out) {
    ba_merger m = {0};
    char *copy = NULL;
    if (prefix) {
        if (!(copy = malloc(n + 1))) {
            return -1;
        }
        copy[0] = ' ';
        memcpy(copy + 1, text, n);
        text = copy;
        n++;
    }
    int rc = encode(pieces, &m, text, n, out);
    ba_merger_free(&m);
    free(copy);
    return rc;
}

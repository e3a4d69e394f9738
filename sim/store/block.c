#include "block.h"

#include "q8.h"

#define XXH_STATIC_LINKING_ONLY /* the state's size, to have it on the stack */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

static const char magic[8] = {'b', 'a', '-', 'b', 'l', 'o', 'c', 'k'};

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "stored numbers are little-endian");

const char *ba_coding_name(uint32_t coding) {
    static const char *const name[] = {[BA_CODING_EXACT] = "exact", [BA_CODING_Q8] = "q8"};
    return coding < sizeof name / sizeof *name ? name[coding] : "?";
}

ba_address ba_block_address(ba_address memory, ba_coding coding) {
    memory.form = (uint64_t)BA_KV_LAYOUT << 32 | (uint64_t)BA_BLOCK_VERSION << 16 | coding;
    return memory;
}

void ba_block_make(ba_block *out, const ba_origin *origin, const ba_address *address, ba_backend *be, ba_kv *kv,
                   const double *aux, size_t n_aux, const int32_t *ids, size_t n, double seconds) {
    void *part[2];
    size_t bytes[2];
    be->ops->kv_parts(be, kv, part, bytes);
    *out = (ba_block){.head = {.version = BA_BLOCK_VERSION,
                               .coding = BA_CODING_EXACT,
                               .address = ba_block_address(*address, BA_CODING_EXACT),
                               .layers = origin->layers,
                               .kv_heads = origin->kv_heads,
                               .head_dim = origin->head_dim,
                               .tokens = n,
                               .kv_bytes = bytes[0] + bytes[1],
                               .n_aux = n_aux,
                               .seconds = seconds}};
    out->be = be;
    out->kv = kv;
    memcpy(out->head.magic, magic, sizeof magic);
    snprintf(out->head.model, sizeof out->head.model, "%s", origin->model);
    snprintf(out->head.adapter, sizeof out->head.adapter, "%s", origin->adapter);
    snprintf(out->head.tokenizer, sizeof out->head.tokenizer, "%s", origin->tokenizer ? origin->tokenizer : "");
    snprintf(out->head.dtype, sizeof out->head.dtype, "%s", origin->dtype);
    const struct iovec all[BA_BLOCK_PARTS] = {{&out->head, sizeof out->head},
                                              {part[0], bytes[0]},
                                              {part[1], bytes[1]},
                                              {(void *)aux, n_aux * sizeof *aux},
                                              {(void *)ids, n * sizeof *ids}};
    memcpy(out->part, all, sizeof all);
}

int ba_block_shrink(ba_block *p, unsigned char **room) {
    ba_block_head *h = &p->head;
    const ba_q8_shape shape = {h->layers, h->kv_heads, h->head_dim, h->tokens};
    size_t bytes = ba_q8_bytes(&shape);
    *room = malloc(bytes);
    if (!*room || ba_q8_code(p->be, p->kv, &shape, *room)) {
        free(*room);
        *room = NULL;
        return -1;
    }
    h->coding = BA_CODING_Q8;
    h->address = ba_block_address(h->address, BA_CODING_Q8);
    h->kv_bytes = bytes;
    p->part[1] = (struct iovec){*room, bytes};
    p->part[2] = (struct iovec){*room + bytes, 0};
    return 0;
}

static uint64_t head_sum(const ba_block_head *head) {
    return XXH3_64bits(head, offsetof(ba_block_head, head_sum));
}

void ba_block_seal(ba_block *p) {
    XXH3_state_t state;
    XXH3_INITSTATE(&state);
    XXH3_64bits_reset(&state);
    for (size_t i = 1; i < BA_BLOCK_PARTS; i++) {
        XXH3_64bits_update(&state, p->part[i].iov_base, p->part[i].iov_len);
    }
    p->head.body_sum = XXH3_64bits_digest(&state);
    p->head.head_sum = head_sum(&p->head);
}

size_t ba_block_bytes(const ba_block *p) {
    size_t bytes = 0;
    for (size_t i = 0; i < BA_BLOCK_PARTS; i++) {
        bytes += p->part[i].iov_len;
    }
    return bytes;
}

int ba_block_look(const void *bytes, size_t n, ba_block_view *out, char err[BA_ERR_LEN]) {
    const ba_block_head *h = &out->head;
    *out = (ba_block_view){0};
    if (n < sizeof out->head) {
        return ba_fail(err, "%zu bytes are no block", n);
    }
    memcpy(&out->head, bytes, sizeof out->head);
    if (memcmp(h->magic, magic, sizeof magic) != 0) {
        return ba_fail(err, "this is no block: it does not begin with '%.*s'", (int)sizeof magic, magic);
    }
    if (h->head_sum != head_sum(h)) {
        return ba_fail(err, "the header's checksum is wrong");
    }
    if (h->version != BA_BLOCK_VERSION) {
        return ba_fail(err, "written in version %u, this program reads %d", (unsigned)h->version, BA_BLOCK_VERSION);
    }
    uint64_t aux, ids, body;
    if (__builtin_mul_overflow(h->n_aux, sizeof(double), &aux) ||
        __builtin_mul_overflow(h->tokens, sizeof(int32_t), &ids) || __builtin_add_overflow(aux, ids, &body) ||
        __builtin_add_overflow(body, h->kv_bytes, &body) || body != n - sizeof out->head) {
        return ba_fail(err, "%zu bytes are not what the header announces", n);
    }
    out->kv = (const unsigned char *)bytes + sizeof out->head;
    out->aux = out->kv + h->kv_bytes;
    out->ids = out->aux + aux;
    return 0;
}

bool ba_block_holds(const ba_block_view *v) {
    size_t body = (size_t)(v->ids - v->kv) + v->head.tokens * sizeof(int32_t);
    return XXH3_64bits(v->kv, body) == v->head.body_sum;
}

#include "block.h"

#include "q8.h"

#define XXH_STATIC_LINKING_ONLY /* the state's size, to have it on the stack */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

static const char magic[8] = {'b', 'a', '-', 'b', 'l', 'o', 'c', 'k'};

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "stored numbers are little-endian");

const char *ba_coding_name(uint32_t coding) {
    coding &= ~(uint32_t)BA_BLOCK_KEYED;
    static const char *const name[] = {[BA_CODING_EXACT] = "exact", [BA_CODING_Q8] = "q8"};
    return coding < sizeof name / sizeof *name ? name[coding] : "?";
}

ba_address ba_block_address(ba_address memory, ba_coding coding, const ba_store_key *key) {
    const uint64_t form = (uint64_t)BA_KV_LAYOUT << 32 | (uint64_t)BA_BLOCK_VERSION << 16 | coding;
    memory.form = key ? form ^ key->name : form;
    return memory;
}

void ba_block_settle(ba_block *p) {
    p->part[0].iov_base = &p->head;
    p->part[BA_BLOCK_PARTS - 1].iov_base = p->tag;
}

void ba_block_make(ba_block *out, const ba_origin *origin, const ba_address *address, ba_backend *be, ba_kv *kv,
                   const double *aux, size_t n_aux, const int32_t *ids, size_t n, double seconds) {
    void *part[2] = {NULL, NULL};
    size_t bytes[2];
    if (be->ops->kv_parts) {
        be->ops->kv_parts(be, kv, part, bytes);
    } else {
        bytes[0] = bytes[1] = be->ops->kv_bytes(be, origin->layers, origin->kv_heads, origin->head_dim, n) / 2;
    }
    *out = (ba_block){.head = {.version = BA_BLOCK_VERSION,
                               .coding = BA_CODING_EXACT,
                               .address = ba_block_address(*address, BA_CODING_EXACT, NULL),
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
    const struct iovec all[BA_BLOCK_PARTS] = {
        {&out->head, sizeof out->head}, {part[0], bytes[0]}, {part[1], bytes[1]}, {(void *)aux, n_aux * sizeof *aux},
        {(void *)ids, n * sizeof *ids}, {out->tag, 0}};
    memcpy(out->part, all, sizeof all);
}

size_t ba_block_away(const ba_block *p) {
    return p->part[1].iov_base ? 0 : (size_t)p->head.kv_bytes;
}

int ba_block_fetch(ba_block *p, void *room) {
    if (p->be->ops->kv_save(p->be, p->kv, room)) {
        return -1;
    }
    p->part[1].iov_base = room;
    p->part[2].iov_base = (unsigned char *)room + p->part[1].iov_len;
    return 0;
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
    h->kv_bytes = bytes;
    p->part[1] = (struct iovec){*room, bytes};
    p->part[2] = (struct iovec){*room + bytes, 0};
    return 0;
}

static uint64_t head_sum(const ba_block_head *head) {
    return XXH3_64bits(head, offsetof(ba_block_head, head_sum));
}

void ba_block_seal(ba_block *p, const ba_store_key *key) {
    XXH3_state_t state;
    XXH3_INITSTATE(&state);
    XXH3_64bits_reset(&state);
    for (size_t i = 1; i < BA_BLOCK_PARTS - 1; i++) {
        XXH3_64bits_update(&state, p->part[i].iov_base, p->part[i].iov_len);
    }
    p->head.address = ba_block_address(p->head.address, (ba_coding)p->head.coding, key);
    p->head.coding |= key ? BA_BLOCK_KEYED : 0;
    p->head.body_sum = XXH3_64bits_digest(&state);
    p->head.head_sum = head_sum(&p->head);
    p->part[BA_BLOCK_PARTS - 1].iov_len = key ? BA_TAG_BYTES : 0;
    if (key) {
        ba_store_key_tag(key, p->part, BA_BLOCK_PARTS - 1, p->tag);
    }
}

size_t ba_block_bytes(const ba_block *p) {
    size_t bytes = 0;
    for (size_t i = 0; i < BA_BLOCK_PARTS; i++) {
        bytes += p->part[i].iov_len;
    }
    return bytes;
}

/* A text from outside, made fit to be printed. */
static void make_printable(char *text, size_t room) {
    text[room - 1] = '\0';
    for (; *text; text++) {
        *text = *text >= ' ' && *text <= '~' ? *text : '?';
    }
}

/* Lengths of the parts after KV, whose sum with it must be `body`. */
static bool lengths_fit(const ba_block_head *h, uint64_t body, uint64_t *aux, uint64_t *ids) {
    const uint64_t tag = h->coding & BA_BLOCK_KEYED ? BA_TAG_BYTES : 0;
    uint64_t sum;
    return !__builtin_mul_overflow(h->n_aux, sizeof(double), aux) &&
           !__builtin_mul_overflow(h->tokens, sizeof(int32_t), ids) && !__builtin_add_overflow(*aux, *ids, &sum) &&
           !__builtin_add_overflow(sum, h->kv_bytes, &sum) && !__builtin_add_overflow(sum, tag, &sum) && sum == body;
}

int ba_block_look(const void *bytes, size_t n, ba_block_view *out, char err[BA_ERR_LEN]) {
    ba_block_head *h = &out->head;
    uint64_t aux, ids;
    *out = (ba_block_view){0};
    if (n < sizeof out->head) {
        return ba_fail(err, "%zu bytes are no block", n);
    }
    memcpy(h, bytes, sizeof *h);
    if (memcmp(h->magic, magic, sizeof magic) != 0) {
        return ba_fail(err, "this is no block: it does not begin with '%.*s'", (int)sizeof magic, magic);
    }
    if (h->head_sum != head_sum(h)) {
        return ba_fail(err, "the header's checksum is wrong");
    }
    if (h->version != BA_BLOCK_VERSION) {
        return ba_fail(err, "written in version %u, this program reads %d", (unsigned)h->version, BA_BLOCK_VERSION);
    }
    if (!lengths_fit(h, n - sizeof *h, &aux, &ids)) {
        return ba_fail(err, "%zu bytes are not what the header announces", n);
    }
    if (!isfinite(h->seconds) || h->seconds < 0) {
        return ba_fail(err, "its time of encoding is no time");
    }
    make_printable(h->model, sizeof h->model);
    make_printable(h->adapter, sizeof h->adapter);
    make_printable(h->tokenizer, sizeof h->tokenizer);
    make_printable(h->dtype, sizeof h->dtype);
    out->start = bytes;
    out->kv = out->start + sizeof *h;
    out->aux = out->kv + h->kv_bytes;
    out->ids = out->aux + aux;
    out->tag = h->coding & BA_BLOCK_KEYED ? out->ids + ids : NULL;
    return 0;
}

bool ba_block_holds(const ba_block_view *v, const ba_store_key *key) {
    const size_t body = (size_t)(v->ids - v->kv) + v->head.tokens * sizeof(int32_t);
    if (!key) {
        return XXH3_64bits(v->kv, body) == v->head.body_sum;
    }
    unsigned char tag[BA_TAG_BYTES];
    const struct iovec all = {(void *)v->start, sizeof v->head + body};
    ba_store_key_tag(key, &all, 1, tag);
    return v->tag && ba_store_key_equal(tag, v->tag);
}

size_t ba_block_need_bytes(const ba_block_need *need) {
    size_t aux, ids, sum = sizeof(ba_block_head) + (need->key ? BA_TAG_BYTES : 0);
    return __builtin_mul_overflow(need->n_aux, sizeof(double), &aux) ||
                   __builtin_mul_overflow(need->tokens, sizeof(int32_t), &ids) ||
                   __builtin_add_overflow(sum, aux, &sum) || __builtin_add_overflow(sum, ids, &sum) ||
                   __builtin_add_overflow(sum, need->kv_bytes, &sum)
               ? SIZE_MAX
               : sum;
}

int ba_block_check(const void *bytes, size_t n, const ba_block_need *need, bool proved, ba_block_view *out,
                   char err[BA_ERR_LEN]) {
    const ba_block_head *h = &out->head;
    const uint32_t coding = need->coding | (need->key ? BA_BLOCK_KEYED : 0);
    if (n != ba_block_need_bytes(need)) {
        return ba_fail(err, "it has %zu bytes, the plan's block has %zu", n, ba_block_need_bytes(need));
    }
    if (ba_block_look(bytes, n, out, err)) {
        return -1;
    }
    if (memcmp(&h->address, &need->address, sizeof h->address) != 0 || h->coding != coding ||
        h->tokens != need->tokens || h->layers != need->layers || h->kv_heads != need->kv_heads ||
        h->head_dim != need->head_dim || h->kv_bytes != need->kv_bytes || h->n_aux != need->n_aux) {
        return ba_fail(err, "the header is that of another block");
    }
    if (!proved && !ba_block_holds(out, need->key)) {
        return ba_fail(err, need->key ? "its tag was not made with this key" : "the checksum is wrong");
    }
    if (memcmp(out->ids, need->ids, need->tokens * sizeof *need->ids) != 0) {
        return ba_fail(err, "its tokens are others");
    }
    return 0;
}

/* A stored block: as it comes, and with both checksums made right, as whoever can write the store can make them. What is
 * accepted is the plan's block in every length, and all of it can be read. */
#include "targets.h"

#include "sim/store/block.h"
#include "sim/store/q8.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum { LAYERS = 2, HEADS = 1, DIM = 8, TOKENS = 3, AUX = 2 };

static const int32_t ids[TOKENS] = {5, 6, 7};
static const ba_origin origin = {
    .model = "model", .adapter = "", .dtype = "ref/f64", .layers = LAYERS, .kv_heads = HEADS, .head_dim = DIM};
static const ba_q8_shape shape = {LAYERS, HEADS, DIM, TOKENS};

static void *open_backend(const ba_fuzz *self, const char *folder) {
    (void)self, (void)folder;
    ba_backend *be = NULL;
    char err[BA_ERR_LEN];
    return ba_backend_open("ref", &(ba_backend_config){.threads = 1}, &be, err) ? NULL : be;
}

static void close_backend(void *be) {
    ba_backend_close(be);
}

static ba_store_key test_key(void) {
    static const char text[] = "sixteen bytes and more";
    ba_store_key key;
    char err[BA_ERR_LEN];
    if (ba_store_key_make(text, sizeof text - 1, &key, err)) {
        abort();
    }
    return key;
}

static ba_block_need need_of(ba_backend *be, ba_coding coding, const ba_store_key *key) {
    const ba_address memory = ba_address_of(&origin, (ba_key){1, 2}, ids, TOKENS);
    return (ba_block_need){.address = ba_block_address(memory, coding, key),
                           .coding = coding,
                           .layers = LAYERS,
                           .kv_heads = HEADS,
                           .head_dim = DIM,
                           .tokens = TOKENS,
                           .n_aux = AUX,
                           .kv_bytes = coding == BA_CODING_Q8 ? ba_q8_bytes(&shape)
                                                              : be->ops->kv_bytes(be, LAYERS, HEADS, DIM, TOKENS),
                           .key = key,
                           .ids = ids};
}

/* Reads every byte that a plan would. */
static bool use(ba_backend *be, const ba_block_need *need, const ba_block_view *v, const unsigned char *end) {
    double aux[AUX];
    int32_t seen[TOKENS];
    memcpy(aux, v->aux, sizeof aux);
    memcpy(seen, v->ids, sizeof seen);
    if (need->coding == BA_CODING_Q8) {
        ba_kv *kv = ba_q8_restore(be, &shape, v->kv);
        if (kv) {
            be->ops->kv_free(be, kv);
        }
    }
    return ba_fuzz_check(v->kv + need->kv_bytes == v->aux && v->aux + sizeof aux == v->ids &&
                             v->ids + sizeof seen + (need->key ? BA_TAG_BYTES : 0) == end,
                         "an accepted block has the plan's lengths");
}

static bool look(ba_backend *be, const unsigned char *bytes, size_t n) {
    const ba_store_key key = test_key();
    ba_block_view v;
    char err[BA_ERR_LEN] = "";
    if (ba_block_look(bytes, n, &v, err)) {
        return ba_fuzz_check(*err && !strchr(err, '\n'), "a refused block says why, in a line");
    }
    ba_block_holds(&v, NULL);
    ba_block_holds(&v, &key);
    bool held = true;
    for (int i = 0; i < 4; i++) {
        const ba_block_need need = need_of(be, i & 1 ? BA_CODING_Q8 : BA_CODING_EXACT, i & 2 ? &key : NULL);
        if (ba_block_check(bytes, n, &need, false, &v, err) == 0) {
            held = use(be, &need, &v, bytes + n) && held;
        }
    }
    return held;
}

static void make_sums_right(unsigned char *bytes, size_t n) {
    ba_block_head h;
    memcpy(&h, bytes, sizeof h);
    size_t tag = h.coding & BA_BLOCK_KEYED ? BA_TAG_BYTES : 0;
    tag = tag <= n - sizeof h ? tag : 0;
    h.body_sum = XXH3_64bits(bytes + sizeof h, n - sizeof h - tag);
    h.head_sum = XXH3_64bits(&h, offsetof(ba_block_head, head_sum));
    memcpy(bytes, &h, sizeof h);
}

static bool take(void *state, const unsigned char *data, size_t size) {
    bool held = look(state, data, size);
    unsigned char *copy = size >= sizeof(ba_block_head) ? malloc(size) : NULL;
    if (copy) {
        memcpy(copy, data, size);
        make_sums_right(copy, size);
        held = look(state, copy, size) && held;
    }
    free(copy);
    return held;
}

static int write_seed(ba_backend *be, const char *folder, ba_coding coding, const ba_store_key *key) {
    static const double aux[AUX] = {0.5, -1};
    const ba_address memory = ba_address_of(&origin, (ba_key){1, 2}, ids, TOKENS);
    ba_kv *kv = be->ops->kv_new(be, LAYERS, HEADS, DIM, TOKENS);
    unsigned char *room = NULL, *all = NULL;
    ba_block block;
    int rc = -1;
    if (!kv) {
        return -1;
    }
    ba_block_make(&block, &origin, &memory, be, kv, aux, AUX, ids, TOKENS, 0.25);
    if (coding == BA_CODING_EXACT || ba_block_shrink(&block, &room) == 0) {
        size_t used = 0;
        char name[32];
        ba_block_seal(&block, key);
        all = malloc(ba_block_bytes(&block));
        for (size_t i = 0; all && i < BA_BLOCK_PARTS; i++) {
            if (block.part[i].iov_len) {
                memcpy(all + used, block.part[i].iov_base, block.part[i].iov_len);
            }
            used += block.part[i].iov_len;
        }
        snprintf(name, sizeof name, "%s%s", ba_coding_name(coding), key ? "-keyed" : "");
        rc = all ? ba_fuzz_write(folder, name, all, used) : -1;
    }
    free(all);
    free(room);
    be->ops->kv_free(be, kv);
    return rc;
}

static int seed(const ba_fuzz *self, const char *folder) {
    const ba_store_key key = test_key();
    ba_backend *be = open_backend(self, folder);
    int rc = be ? 0 : -1;
    for (int i = 0; !rc && i < 4; i++) {
        rc = write_seed(be, folder, i & 1 ? BA_CODING_Q8 : BA_CODING_EXACT, i & 2 ? &key : NULL);
    }
    if (be) {
        ba_backend_close(be);
    }
    return rc;
}

const ba_fuzz ba_fuzz_block = {"block", NULL, open_backend, take, close_backend, seed};

/* Blocks from outside: a plan gets the block that it needs, or encodes it again, with any bytes in the store. */
#include "sim/base/mapping.h"
#include "sim/store/tiers.h"
#include "tests/support/runner.h"
#include "tests/support/shelf.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

/* ---- a tier that hands out bytes of the test's own -------------------------------------------------------------- */

typedef struct forgery {
    ba_tier base;
    unsigned char *bytes; /* [n] of the block that was put; or NULL */
    size_t n;
} forgery;

/* The table of operations has no argument of ours: what the tier hands out lives here. */
static forgery *forged;

static int forgery_open(const ba_tier_spec *spec, ba_remark remark, bool create, ba_tier **out, char err[BA_ERR_LEN]) {
    (void)create, (void)err;
    forged = calloc(1, sizeof *forged);
    CU_ASSERT_PTR_NOT_NULL_FATAL(forged);
    forged->base = (ba_tier){spec->ops, *spec, remark};
    *out = &forged->base;
    return 0;
}

static void forgery_close(ba_tier *t) {
    free(forged->bytes);
    free(t);
}

static size_t forgery_expect(ba_tier *t, ba_tier_ask *ask, size_t n) {
    (void)t, (void)ask;
    return n;
}

static ba_lookup forgery_get(ba_tier *t, const ba_tier_ask *ask, ba_tier_bytes *out) {
    (void)t, (void)ask;
    *out = (ba_tier_bytes){.at = forged->bytes, .n = forged->n};
    return forged->bytes ? BA_HIT : BA_MISS_NEW;
}

static void forgery_release(ba_tier *t, ba_tier_bytes *bytes) {
    (void)t, (void)bytes;
}

/* Keeps the first block. */
static void forgery_put(ba_tier *t, const ba_block *const *block, size_t n) {
    (void)t, (void)n;
    if (forged->bytes) {
        return;
    }
    unsigned char *to = malloc(ba_block_bytes(block[0]));
    size_t used = 0;
    for (size_t i = 0; to && i < BA_BLOCK_PARTS; i++) {
        memcpy(to + used, block[0]->part[i].iov_base, block[0]->part[i].iov_len);
        used += block[0]->part[i].iov_len;
    }
    forged->bytes = to;
    forged->n = used;
}

static int forgery_remove(ba_tier *t, const ba_address *a, char err[BA_ERR_LEN]) {
    (void)t, (void)a, (void)err;
    return 0;
}

static const ba_tier_ops forgery_ops = {.name = "forgery",
                                        .usage = "",
                                        .open = forgery_open,
                                        .close = forgery_close,
                                        .expect = forgery_expect,
                                        .get = forgery_get,
                                        .release = forgery_release,
                                        .put = forgery_put,
                                        .remove = forgery_remove};

static shelf open_forgery(ba_coding coding, ba_store_key *key) {
    shelf f = {0};
    char err[BA_ERR_LEN] = "";
    shelf_remarks = 0;
    CU_ASSERT_EQUAL_FATAL(ba_backend_open("ref", &(ba_backend_config){.threads = 1}, &f.be, err), 0);
    f.spec = (ba_store_spec){.ram = 1 << 20, .ram_policy = ba_policy_at(0), .n_tier = 1};
    f.spec.tier[0] = (ba_tier_spec){
        .ops = &forgery_ops, .place = strdup("x"), .policy = ba_policy_at(0), .coding = coding, .key = key};
    CU_ASSERT_EQUAL_FATAL(ba_store_open(f.be, &f.spec, shelf_remember, &f.store, err), 0);
    return f;
}

/* The block b of the shelf as bytes, [*n], malloc'ed. */
static unsigned char *bytes_of(int b, ba_coding coding, ba_store_key *key, size_t *n) {
    shelf f = open_forgery(coding, key);
    shelf_add(&f, b);
    ba_store_flush(f.store);
    CU_ASSERT_PTR_NOT_NULL_FATAL(forged->bytes);
    unsigned char *bytes = forged->bytes;
    *n = forged->n;
    forged->bytes = NULL;
    shelf_close(&f);
    return bytes;
}

/* What a store says that finds these bytes where block b should be; they are copied to their own size, so that the
 * address sanitizer sees the first byte after them. */
static ba_lookup meet(int b, ba_coding coding, ba_store_key *key, const unsigned char *bytes, size_t n) {
    shelf f = open_forgery(coding, key);
    forged->bytes = malloc(n ? n : 1);
    CU_ASSERT_PTR_NOT_NULL_FATAL(forged->bytes);
    memcpy(forged->bytes, bytes, n);
    forged->n = n;
    ba_finding found;
    ba_entry *e = shelf_find(&f, &shelf_origin, b, (uint64_t)b, &found);
    if (e) {
        size_t n_aux;
        ba_entry_aux(e, &n_aux);
        CU_ASSERT_EQUAL(n_aux, 2); /* what the plan reads */
    }
    CU_ASSERT_EQUAL(e == NULL, found.by_place[1] != BA_HIT);
    CU_ASSERT_EQUAL(shelf_remarks, found.by_place[1] == BA_MISS_DAMAGED);
    ba_store_release(f.store, e);
    ba_store_flush(f.store);
    shelf_close(&f);
    return found.by_place[1];
}

/* Makes both plain checksums right again, as whoever can write the store can. */
static void reseal(unsigned char *bytes, size_t n) {
    ba_block_head h;
    memcpy(&h, bytes, sizeof h);
    size_t tag = h.coding & BA_BLOCK_KEYED ? BA_TAG_BYTES : 0;
    h.body_sum = XXH3_64bits(bytes + sizeof h, n - sizeof h - tag);
    h.head_sum = XXH3_64bits(&h, offsetof(ba_block_head, head_sum));
    memcpy(bytes, &h, sizeof h);
}

/* A field of the header, and a value that it must not have. */
typedef struct wrong {
    size_t offset, bytes;
    union {
        uint64_t number;
        double real;
        uint32_t word;
    } value;
} wrong;

#define NUMBER(field, x)                                                                                               \
    {                                                                                                                  \
        offsetof(ba_block_head, field), 8, {                                                                           \
            .number = (x)                                                                                              \
        }                                                                                                              \
    }
#define REAL(field, x)                                                                                                 \
    {                                                                                                                  \
        offsetof(ba_block_head, field), 8, {                                                                           \
            .real = (x)                                                                                                \
        }                                                                                                              \
    }
#define WORD(field, x)                                                                                                 \
    {                                                                                                                  \
        offsetof(ba_block_head, field), 4, {                                                                           \
            .word = (x)                                                                                                \
        }                                                                                                              \
    }

static const wrong wrongs[] = {NUMBER(n_aux, 0),
                               NUMBER(n_aux, 1),
                               NUMBER(n_aux, 3),
                               NUMBER(n_aux, 4),
                               NUMBER(n_aux, UINT64_C(1) << 61),
                               NUMBER(n_aux, UINT64_MAX),
                               NUMBER(tokens, 0),
                               NUMBER(tokens, SHELF_TOKENS - 1),
                               NUMBER(tokens, SHELF_TOKENS + 1),
                               NUMBER(tokens, UINT64_C(1) << 62),
                               NUMBER(layers, SHELF_LAYERS + 1),
                               NUMBER(kv_heads, 2 * SHELF_HEADS),
                               NUMBER(head_dim, SHELF_DIM / 2),
                               NUMBER(kv_bytes, 8),
                               NUMBER(kv_bytes, UINT64_MAX - 7),
                               REAL(seconds, NAN),
                               REAL(seconds, INFINITY),
                               REAL(seconds, -1),
                               WORD(coding, BA_CODING_Q8),
                               WORD(coding, 7),
                               WORD(coding, BA_BLOCK_KEYED),
                               WORD(version, BA_BLOCK_VERSION + 1),
                               NUMBER(address.key, 99),
                               NUMBER(address.form, 99),
                               NUMBER(address.ids, 99),
                               NUMBER(address.model, 99)};

/* Both checksums right, one number wrong: alone, and with a body as long as the number says. */
static void forged_numbers_are_refused(void) {
    size_t n;
    unsigned char *bytes = bytes_of(1, BA_CODING_EXACT, NULL, &n), *copy = malloc(n + 64);
    CU_ASSERT_PTR_NOT_NULL_FATAL(copy);
    CU_ASSERT_EQUAL(meet(1, BA_CODING_EXACT, NULL, bytes, n), BA_HIT);
    for (size_t which = 0; which < sizeof wrongs / sizeof *wrongs; which++) {
        ba_block_head h;
        memcpy(copy, bytes, n);
        memset(copy + n, 0x11, 64);
        memcpy(copy + wrongs[which].offset, &wrongs[which].value, wrongs[which].bytes);
        memcpy(&h, copy, sizeof h);
        reseal(copy, n);
        CU_ASSERT_EQUAL(meet(1, BA_CODING_EXACT, NULL, copy, n), BA_MISS_DAMAGED);
        uint64_t fits = sizeof h + h.kv_bytes + 8 * h.n_aux + 4 * h.tokens;
        if (fits <= n + 64 && fits >= sizeof h) {
            reseal(copy, fits);
            CU_ASSERT_EQUAL(meet(1, BA_CODING_EXACT, NULL, copy, fits), BA_MISS_DAMAGED);
        }
    }
    for (size_t cut = 0; cut < n; cut += cut < sizeof(ba_block_head) + 64 ? 7 : 97) {
        CU_ASSERT_EQUAL(meet(1, BA_CODING_EXACT, NULL, bytes, cut), BA_MISS_DAMAGED);
    }
    free(copy);
    free(bytes);
    bytes = bytes_of(1, BA_CODING_Q8, NULL, &n);
    CU_ASSERT_EQUAL(meet(1, BA_CODING_Q8, NULL, bytes, n), BA_HIT);
    CU_ASSERT_EQUAL(meet(1, BA_CODING_EXACT, NULL, bytes, n), BA_MISS_DAMAGED);
    free(bytes);
}

/* Texts of a header come from outside and are printed by `store ls`: no NUL is missing, and no terminal obeys them. */
static void texts_are_made_printable(void) {
    size_t n;
    unsigned char *bytes = bytes_of(1, BA_CODING_EXACT, NULL, &n);
    ba_block_head h;
    ba_block_view v;
    char err[BA_ERR_LEN];
    memcpy(&h, bytes, sizeof h);
    memset(h.model, '\x1b', sizeof h.model);
    memset(h.dtype, 'x', sizeof h.dtype);
    memcpy(bytes, &h, sizeof h);
    reseal(bytes, n);
    CU_ASSERT_EQUAL_FATAL(ba_block_look(bytes, n, &v, err), 0);
    CU_ASSERT_EQUAL(strlen(v.head.model), sizeof h.model - 1);
    CU_ASSERT_PTR_NULL(strchr(v.head.model, '\x1b'));
    CU_ASSERT_EQUAL(strlen(v.head.dtype), sizeof h.dtype - 1);
    free(bytes);
}

static ba_store_key key_of(const char *text) {
    ba_store_key key;
    char err[BA_ERR_LEN] = "";
    CU_ASSERT_EQUAL_FATAL(ba_store_key_make(text, strlen(text), &key, err), 0);
    return key;
}

/* With a key, whoever can write the store but does not have it decides nothing. */
static void a_key_keeps_forgers_out(void) {
    static const ba_coding codings[] = {BA_CODING_EXACT, BA_CODING_Q8};
    ba_store_key key = key_of("sixteen bytes and more\n"), same = key_of("sixteen bytes and more"),
                 other = key_of("sixteen bytes and less");
    char err[BA_ERR_LEN] = "";
    CU_ASSERT_TRUE(key.name == same.name && key.name != other.name);
    for (size_t i = 0; i < 2; i++) {
        size_t n, m;
        unsigned char *bytes = bytes_of(1, codings[i], &key, &n), *plain = bytes_of(1, codings[i], NULL, &m);
        CU_ASSERT_EQUAL(n, m + BA_TAG_BYTES);
        CU_ASSERT_EQUAL(meet(1, codings[i], &key, bytes, n), BA_HIT);
        CU_ASSERT_EQUAL(meet(1, codings[i], &same, bytes, n), BA_HIT);
        CU_ASSERT_EQUAL(meet(1, codings[i], &other, bytes, n), BA_MISS_DAMAGED);
        CU_ASSERT_EQUAL(meet(1, codings[i], NULL, bytes, n), BA_MISS_DAMAGED);
        CU_ASSERT_EQUAL(meet(1, codings[i], &key, plain, m), BA_MISS_DAMAGED);
        for (size_t at = sizeof(ba_block_head); at < n; at += 61) {
            bytes[at] ^= 1;
            reseal(bytes, n);
            CU_ASSERT_EQUAL(meet(1, codings[i], &key, bytes, n), BA_MISS_DAMAGED);
            bytes[at] ^= 1;
        }
        reseal(bytes, n);
        CU_ASSERT_EQUAL(meet(1, codings[i], &key, bytes, n), BA_HIT);
        CU_ASSERT_EQUAL(meet(2, codings[i], &key, bytes, n), BA_MISS_DAMAGED); /* moved to another address */
        free(bytes);
        free(plain);
    }
    CU_ASSERT_EQUAL(ba_store_key_make("fifteen letters\n", 16, &key, err), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err, "16"));
}

/* Blocks of two keys, and of none, live side by side in one folder. */
static void keys_live_side_by_side(void) {
    ba_store_key key[2] = {key_of("the first key of two"), key_of("the second key of two")};
    for (int round = 0; round < 2; round++) {
        for (int k = 0; k < 3; k++) {
            shelf f = {0};
            char err[BA_ERR_LEN] = "";
            shelf_remarks = 0;
            CU_ASSERT_EQUAL_FATAL(ba_backend_open("ref", &(ba_backend_config){.threads = 1}, &f.be, err), 0);
            shelf_spec("ram:1M,lmdb:%s:16M", "keys", &f.spec);
            f.spec.tier[0].key = k < 2 ? &key[k] : NULL;
            CU_ASSERT_EQUAL_FATAL(ba_store_open(f.be, &f.spec, shelf_remember, &f.store, err), 0);
            ba_finding found = shelf_look(&f, 1);
            CU_ASSERT_EQUAL(found.by_place[1], round ? BA_HIT : k ? BA_MISS_FORM : BA_MISS_NEW);
            if (!round) {
                shelf_add(&f, 1);
            }
            CU_ASSERT_EQUAL(shelf_remarks, 0);
            shelf_close(&f);
        }
    }
}

/* ---- files that are shorter than they were ----------------------------------------------------------------------- */

static void path_in(const char *folder, char path[4200]) {
    snprintf(path, 4200, "%s/%s/data.mdb", ba_test_dir(), folder);
}

static void use_cut_store(void) {
    shelf f = {0};
    char err[BA_ERR_LEN] = "";
    CU_ASSERT_EQUAL_FATAL(ba_backend_open("ref", &(ba_backend_config){.threads = 1}, &f.be, err), 0);
    shelf_spec("ram:1M,lmdb:%s:16M", "cut", &f.spec);
    shelf_remarks = 0;
    if (ba_store_open(f.be, &f.spec, shelf_remember, &f.store, err)) {
        CU_ASSERT_TRUE(strstr(err, "cut") && !strchr(err, '\n'));
        return;
    }
    for (int b = 0; b < 20; b++) {
        shelf_look(&f, b);
    }
    shelf_close(&f);
}

/* data.mdb as a copy that stopped, or a disk that filled up, leaves it: cut anywhere, it is refused or it is whole. */
static void a_cut_store_is_found(void) {
    enum { CUTS = 25 };
    char path[4200];
    struct stat whole;
    shelf f = shelf_open("ref", "ram:1M,lmdb:%s:16M", "cut");
    for (int b = 0; b < 20; b++) {
        shelf_add(&f, b);
    }
    shelf_close(&f);
    path_in("cut", path);
    CU_ASSERT_EQUAL_FATAL(stat(path, &whole), 0);
    CU_ASSERT_EQUAL(shelf_in_child(use_cut_store, 0), 0);
    for (int i = CUTS; i > 0; i--) {
        CU_ASSERT_EQUAL_FATAL(truncate(path, (off_t)(whole.st_size * i / (CUTS + 1))), 0);
        CU_ASSERT_EQUAL(shelf_in_child(use_cut_store, 0), 0);
    }
}

static void leave(const char *path) {
    _exit(strstr(path, "data.mdb") ? 77 : strstr(path, "shrinks") ? 78 : 1);
}

static void read_what_shrinks(void) {
    char path[4200], err[BA_ERR_LEN] = "";
    ba_mapping m;
    snprintf(path, sizeof path, "%s/shrinks", ba_test_dir());
    FILE *file = fopen(path, "wb");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    for (int i = 0; i < 100000; i++) {
        fputc(i, file);
    }
    fclose(file);
    ba_mapping_on_lost(leave);
    CU_ASSERT_EQUAL_FATAL(ba_mapping_open(path, &m, err), 0);
    CU_ASSERT_EQUAL_FATAL(truncate(path, 5), 0);
    volatile unsigned char last = m.data[m.size - 1];
    (void)last;
}

static void look_up_what_shrinks(void) {
    char path[4200];
    ba_mapping_on_lost(leave);
    shelf f = shelf_open("ref", "ram:1M,lmdb:%s:16M", "shrinks-in-use");
    path_in("shrinks-in-use", path);
    CU_ASSERT_EQUAL_FATAL(truncate(path, 8192), 0);
    shelf_look(&f, 1);
}

static void a_file_that_shrinks_ends_with_a_line(void) {
    shelf f = shelf_open("ref", "ram:1M,lmdb:%s:16M", "shrinks-in-use");
    shelf_add(&f, 1);
    shelf_close(&f);
    CU_ASSERT_EQUAL(shelf_in_child(read_what_shrinks, 0), 78);
    CU_ASSERT_EQUAL(shelf_in_child(look_up_what_shrinks, 0), 77);
}

int ba_suite_blocks(void) {
    CU_pSuite s = CU_add_suite("blocks", NULL, NULL);
    return s && CU_add_test(s, "a forged number is refused, both checksums right", forged_numbers_are_refused) &&
                   CU_add_test(s, "texts of a header are printable", texts_are_made_printable) &&
                   CU_add_test(s, "a key keeps forgers out", a_key_keeps_forgers_out) &&
                   CU_add_test(s, "blocks of several keys live side by side", keys_live_side_by_side) &&
                   CU_add_test(s, "a store cut anywhere is found at opening", a_cut_store_is_found) &&
                   CU_add_test(s, "a file that shrinks while in use ends with a line",
                               a_file_that_shrinks_ends_with_a_line)
               ? 0
               : -1;
}

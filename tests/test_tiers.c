/* Tiers: what one process kept, another finds, bit for bit; what is damaged or foreign is never served; and why not. */
#include "../experiments/store_spec.h"
#include "../sim/store.h"
#include "runner.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LAYERS = 2, HEADS = 2, DIM = 16, TOKENS = 24, WIDTH = HEADS * DIM };

static const ba_origin origin = {.model = "model-a",
                                 .adapter = "",
                                 .dtype = "test",
                                 .tokenizer = "words",
                                 .layers = LAYERS,
                                 .kv_heads = HEADS,
                                 .head_dim = DIM};

/* A store on tiers as --store spells them, as one process has it. */
typedef struct fixture {
    ba_backend *be;
    ba_store_spec spec;
    ba_store *store;
} fixture;

static atomic_int remarks;
static char last_remark[BA_ERR_LEN];

static void remember(const char *line) {
    atomic_fetch_add(&remarks, 1);
    snprintf(last_remark, sizeof last_remark, "%s", line);
}

/* "%s" in tiers is a folder of the tests' own. */
static fixture open_store(const char *backend, const char *tiers, const char *folder) {
    fixture f = {0};
    char err[BA_ERR_LEN] = "", path[4096], text[5000];
    ba_backend_config cfg = {.threads = 1};
    snprintf(path, sizeof path, "%s/%s", ba_test_dir(), folder);
    snprintf(text, sizeof text, tiers, path); /* NOLINT: the tests' own formats */
    remarks = 0;
    CU_ASSERT_EQUAL_FATAL(ba_backend_open(backend, &cfg, &f.be, err), 0);
    CU_ASSERT_EQUAL_FATAL(ba_store_spec_parse(text, &f.spec, err), 0);
    if (ba_store_open(f.be, &f.spec, remember, &f.store, err)) {
        fprintf(stderr, "%s\n", err);
    }
    CU_ASSERT_PTR_NOT_NULL_FATAL(f.store);
    return f;
}

static void close_store(fixture *f) {
    ba_store_free(f->store);
    ba_store_spec_free(&f->spec);
    ba_backend_close(f->be);
}

/* Tokens of block b, and a KV that only it has. */
static void ids_of(int b, int32_t ids[TOKENS]) {
    for (int i = 0; i < TOKENS; i++) {
        ids[i] = 1000 * b + i;
    }
}

static double value_of(int b, size_t layer, size_t i, bool key) {
    return (double)(((size_t)b * 7919 + layer * 31 + i * 7 + key) % 251) / 64.0;
}

static ba_kv *kv_of(const fixture *f, int b) {
    const ba_backend_ops *ops = f->be->ops;
    double rows[TOKENS * WIDTH];
    ba_kv *kv = ops->kv_new(f->be, LAYERS, HEADS, DIM, TOKENS);
    ba_buf *k = ops->buf_new(f->be, TOKENS, WIDTH), *v = ops->buf_new(f->be, TOKENS, WIDTH);
    CU_ASSERT_FATAL(kv && k && v);
    for (size_t layer = 0; layer < LAYERS; layer++) {
        for (int key = 0; key < 2; key++) {
            for (size_t i = 0; i < TOKENS * WIDTH; i++) {
                rows[i] = value_of(b, layer, i, key);
            }
            ops->upload(f->be, (ba_view){key ? k : v, 0, 0}, TOKENS, WIDTH, rows);
        }
        ops->kv_write(f->be, kv, layer, 0, NULL, TOKENS, (ba_view){k, 0, 0}, (ba_view){v, 0, 0}, NULL, 0);
    }
    ops->buf_free(f->be, k);
    ops->buf_free(f->be, v);
    return kv;
}

static void add(fixture *f, int b) {
    int32_t ids[TOKENS];
    double aux[2] = {b, 0.5};
    ids_of(b, ids);
    size_t bytes = f->be->ops->kv_bytes(f->be, LAYERS, HEADS, DIM, TOKENS);
    ba_entry *e = ba_store_add(f->store, &origin, (ba_key){(uint64_t)b, 0}, ids, TOKENS, kv_of(f, b), bytes, aux, 2, 1);
    CU_ASSERT_PTR_NOT_NULL(e);
    ba_store_release(f->store, e);
}

static ba_entry *find(fixture *f, const ba_origin *from, int b, uint64_t key, ba_finding *found) {
    int32_t ids[TOKENS];
    ids_of(b, ids);
    ba_address a = ba_address_of(from, (ba_key){key, 0}, ids, TOKENS);
    ba_store_expect(f->store, &a, 1);
    return ba_store_find(f->store, from, (ba_key){key, 0}, ids, TOKENS, found);
}

/* Looks block b up: whether it is what was added, or why it is not there. */
static ba_finding look(fixture *f, int b) {
    ba_finding found;
    ba_entry *e = find(f, &origin, b, (uint64_t)b, &found);
    CU_ASSERT_EQUAL(e != NULL, found.why == BA_HIT);
    double k[TOKENS * WIDTH], v[TOKENS * WIDTH];
    size_t n;
    for (size_t layer = 0; e && layer < LAYERS; layer++) {
        f->be->ops->kv_read(f->be, ba_entry_kv(e), layer, 0, TOKENS, k, v);
        size_t wrong = 0;
        for (size_t i = 0; i < TOKENS * WIDTH; i++) {
            wrong += k[i] != value_of(b, layer, i, true) || v[i] != value_of(b, layer, i, false);
        }
        CU_ASSERT_EQUAL(wrong, 0);
    }
    if (e) {
        const double *aux = ba_entry_aux(e, &n);
        CU_ASSERT(n == 2 && aux[0] == b && aux[1] == 0.5);
    }
    ba_store_release(f->store, e);
    return found;
}

static void another_process_finds_it(void) {
    static const char *const backends[] = {"ref", "native", "bf16-plain"};
    for (size_t i = 0; i < sizeof backends / sizeof *backends; i++) {
        fixture f = open_store(backends[i], "ram:1M,lmdb:%s:16M", backends[i]);
        CU_ASSERT_EQUAL(look(&f, 1).why, BA_MISS_NEW);
        add(&f, 1);
        add(&f, 2);
        CU_ASSERT_EQUAL(look(&f, 1).place, 0);
        close_store(&f);
        f = open_store(backends[i], "ram:1M,lmdb:%s:16M", backends[i]);
        for (int again = 0; again < 2; again++) { /* the second time its checksum is known to hold */
            for (int b = 1; b <= 2; b++) {
                ba_finding found = look(&f, b);
                CU_ASSERT(found.why == BA_HIT && found.place == 1 && found.by_place[0] == BA_MISS_NEW);
                CU_ASSERT(found.load_bytes > 0);
            }
        }
        CU_ASSERT_EQUAL(look(&f, 3).why, BA_MISS_NEW);
        CU_ASSERT_EQUAL(ba_store_get_stats(f.store).bytes, 0); /* used where it lies */
        CU_ASSERT_EQUAL(remarks, 0);
        close_store(&f);
    }
}

static void every_place_says_why(void) {
    fixture f = open_store("ref", "ram:1M,lmdb:%s:16M", "why");
    add(&f, 1);
    close_store(&f);
    f = open_store("ref", "ram:1M,lmdb:%s:16M", "why");
    ba_origin model = origin, adapter = origin, dtype = origin;
    ba_finding found;
    model.model = "model-b";
    adapter.adapter = "lora";
    dtype.dtype = "other";
    CU_ASSERT_PTR_NULL(find(&f, &model, 1, 1, &found));
    CU_ASSERT(found.n_place == 2 && found.by_place[0] == BA_MISS_NEW && found.by_place[1] == BA_MISS_MODEL);
    CU_ASSERT_EQUAL(found.why, BA_MISS_MODEL);
    CU_ASSERT_PTR_NULL(find(&f, &adapter, 1, 1, &found));
    CU_ASSERT_EQUAL(found.by_place[1], BA_MISS_MODEL);
    CU_ASSERT_PTR_NULL(find(&f, &dtype, 1, 1, &found));
    CU_ASSERT_EQUAL(found.by_place[1], BA_MISS_DTYPE);
    CU_ASSERT_PTR_NULL(find(&f, &origin, 1, 9, &found));
    CU_ASSERT_EQUAL(found.by_place[1], BA_MISS_CONTEXT);
    ba_store_use_tiers(f.store, false);
    CU_ASSERT_EQUAL(look(&f, 1).n_place, 1);
    close_store(&f);
}

/* Blocks of 2 * 2 * 2 * 24 * 16 doubles and their trimmings take 7 pages of 4096 bytes. */
static void the_disk_has_a_budget(void) {
    fixture f = open_store("ref", "ram:1M,lmdb:%s:86016", "budget"); /* three blocks */
    for (int b = 1; b <= 3; b++) {
        add(&f, b);
        ba_store_flush(f.store);
    }
    close_store(&f);
    f = open_store("ref", "ram:0,lmdb:%s:86016", "budget");
    CU_ASSERT_EQUAL(look(&f, 1).place, 1); /* 2 is the oldest now */
    ba_store_flush(f.store);
    add(&f, 4);
    ba_store_flush(f.store);
    CU_ASSERT_EQUAL(look(&f, 2).by_place[1], BA_MISS_EVICTED);
    for (int b = 1; b <= 4; b++) {
        CU_ASSERT_EQUAL(look(&f, b).why, b == 2 ? BA_MISS_EVICTED : BA_HIT);
    }
    close_store(&f);
    f = open_store("ref", "ram:0,lmdb:%s:100", "small");
    add(&f, 1);
    ba_store_flush(f.store);
    ba_finding found = look(&f, 1);
    CU_ASSERT(found.by_place[0] == BA_MISS_TOO_LARGE && found.by_place[1] == BA_MISS_TOO_LARGE);
    CU_ASSERT_EQUAL(remarks, 0);
    close_store(&f);
}

int ba_suite_tiers(void) {
    CU_pSuite s = CU_add_suite("tiers", NULL, NULL);
    return s && CU_add_test(s, "another process finds what one kept, bit for bit", another_process_finds_it) &&
                   CU_add_test(s, "every place says why it missed", every_place_says_why) &&
                   CU_add_test(s, "the disk has a budget, and evicts by it", the_disk_has_a_budget)
               ? 0
               : -1;
}

/* The store: what it keeps, what it gives up, and why it missed. */
#include "../sim/store.h"
#include "runner.h"

#include <string.h>

enum { LAYERS = 2, HEADS = 1, DIM = 8, TOKENS = 4 };

static const ba_origin origin = {
    .model = "model-a", .adapter = "", .dtype = "ref/f64", .layers = LAYERS, .kv_heads = HEADS, .head_dim = DIM};
static const int32_t words[] = {11, 12, 13, 14, 15, 16, 17, 18};

typedef struct fixture {
    ba_backend *be;
    ba_store *store;
    uint64_t bytes; /* of one entry */
} fixture;

static fixture open_store(uint64_t entries) {
    fixture f = {0};
    char err[BA_ERR_LEN];
    ba_backend_config cfg = {.threads = 1};
    CU_ASSERT_EQUAL_FATAL(ba_backend_open("ref", &cfg, &f.be, err), 0);
    f.bytes = f.be->ops->kv_bytes(f.be, LAYERS, HEADS, DIM, TOKENS);
    f.store = ba_store_new(f.be, entries * f.bytes);
    CU_ASSERT_PTR_NOT_NULL_FATAL(f.store);
    return f;
}

static void close_store(fixture *f) {
    ba_store_free(f->store);
    ba_backend_close(f->be);
}

/* The entry of words[first..first + TOKENS) under a key of the test's own. */
static ba_entry *add(fixture *f, size_t first, uint64_t key, uint64_t bytes) {
    ba_kv *kv = f->be->ops->kv_new(f->be, LAYERS, HEADS, DIM, TOKENS);
    CU_ASSERT_PTR_NOT_NULL_FATAL(kv);
    double aux = (double)key;
    return ba_store_add(f->store, &origin, (ba_key){key, 0}, words + first, TOKENS, kv, bytes, &aux, 1, 1);
}

static ba_lookup look(fixture *f, const ba_origin *from, size_t first, uint64_t key) {
    ba_finding found;
    ba_entry *e = ba_store_find(f->store, from, (ba_key){key, 0}, words + first, TOKENS, &found);
    CU_ASSERT_EQUAL(e != NULL, found.why == BA_HIT);
    ba_store_release(f->store, e);
    return found.why;
}

static void hit_returns_what_was_added(void) {
    fixture f = open_store(4);
    ba_entry *e = add(&f, 0, 1, f.bytes);
    const ba_kv *kv = ba_entry_kv(e);
    ba_store_release(f.store, e);
    ba_finding found;
    ba_entry *again = ba_store_find(f.store, &origin, (ba_key){1, 0}, words, TOKENS, &found);
    size_t n;
    CU_ASSERT_EQUAL(found.why, BA_HIT);
    CU_ASSERT_PTR_EQUAL(ba_entry_kv(again), kv);
    CU_ASSERT_EQUAL(ba_entry_aux(again, &n)[0], 1.0);
    CU_ASSERT_EQUAL(n, 1);
    CU_ASSERT_EQUAL(ba_store_get_stats(f.store).pinned, 1);
    ba_store_release(f.store, again);
    CU_ASSERT_EQUAL(ba_store_get_stats(f.store).pinned, 0);
    close_store(&f);
}

static void every_miss_says_why(void) {
    fixture f = open_store(1);
    CU_ASSERT_EQUAL(look(&f, &origin, 0, 1), BA_MISS_NEW);
    ba_store_release(f.store, add(&f, 0, 1, f.bytes));
    CU_ASSERT_EQUAL(look(&f, &origin, 0, 1), BA_HIT);
    ba_origin model = origin, dtype = origin, adapter = origin;
    model.model = "model-b";
    adapter.adapter = "lora";
    dtype.dtype = "openblas/f32";
    CU_ASSERT_EQUAL(look(&f, &model, 0, 1), BA_MISS_MODEL);
    CU_ASSERT_EQUAL(look(&f, &adapter, 0, 1), BA_MISS_MODEL);
    CU_ASSERT_EQUAL(look(&f, &dtype, 0, 1), BA_MISS_DTYPE);
    CU_ASSERT_EQUAL(look(&f, &origin, 0, 2), BA_MISS_CONTEXT);
    CU_ASSERT_EQUAL(look(&f, &origin, 1, 1), BA_MISS_NEW);
    ba_store_release(f.store, add(&f, 1, 3, f.bytes));
    CU_ASSERT_EQUAL(look(&f, &origin, 0, 1), BA_MISS_EVICTED);
    ba_store_release(f.store, add(&f, 2, 4, 2 * f.bytes));
    CU_ASSERT_EQUAL(look(&f, &origin, 2, 4), BA_MISS_TOO_LARGE);
    ba_store_stats s = ba_store_get_stats(f.store);
    CU_ASSERT_EQUAL(s.lookups[BA_HIT], 1);
    CU_ASSERT_EQUAL(s.lookups[BA_MISS_MODEL], 2);
    close_store(&f);
}

static void least_recently_used_goes_first(void) {
    fixture f = open_store(2);
    ba_store_release(f.store, add(&f, 0, 1, f.bytes));
    ba_store_release(f.store, add(&f, 1, 2, f.bytes));
    CU_ASSERT_EQUAL(look(&f, &origin, 0, 1), BA_HIT); /* the other one is older now */
    ba_store_release(f.store, add(&f, 2, 3, f.bytes));
    CU_ASSERT_EQUAL(look(&f, &origin, 1, 2), BA_MISS_EVICTED);
    CU_ASSERT_EQUAL(look(&f, &origin, 0, 1), BA_HIT);
    CU_ASSERT_EQUAL(ba_store_get_stats(f.store).evictions, 1);
    CU_ASSERT_EQUAL(ba_store_get_stats(f.store).bytes, 2 * f.bytes);
    close_store(&f);
}

static void pinned_entries_stay(void) {
    fixture f = open_store(1);
    ba_entry *a = add(&f, 0, 1, f.bytes), *b = add(&f, 1, 2, f.bytes);
    CU_ASSERT_PTR_NOT_NULL(ba_entry_kv(a));
    CU_ASSERT_PTR_NOT_NULL(ba_entry_kv(b));
    CU_ASSERT_EQUAL(ba_store_get_stats(f.store).bytes, 2 * f.bytes);
    ba_store_clear(f.store);
    CU_ASSERT_PTR_NOT_NULL(ba_entry_kv(a));
    ba_store_release(f.store, a);
    ba_store_release(f.store, b);
    CU_ASSERT_EQUAL(ba_store_get_stats(f.store).bytes, f.bytes);
    CU_ASSERT_EQUAL(look(&f, &origin, 0, 1), BA_MISS_EVICTED);
    close_store(&f);
}

static void adding_twice_keeps_the_first(void) {
    fixture f = open_store(4);
    ba_entry *a = add(&f, 0, 1, f.bytes), *b = add(&f, 0, 1, f.bytes);
    CU_ASSERT_PTR_EQUAL(a, b);
    CU_ASSERT_EQUAL(ba_store_get_stats(f.store).entries, 1);
    ba_store_release(f.store, a);
    ba_store_release(f.store, b);
    ba_store_clear(f.store);
    CU_ASSERT_EQUAL(ba_store_get_stats(f.store).bytes, 0);
    CU_ASSERT_EQUAL(look(&f, &origin, 0, 1), BA_MISS_NEW);
    close_store(&f);
}

static void thousands_of_entries(void) {
    fixture f = open_store(100);
    for (uint64_t k = 0; k < 5000; k++) {
        int32_t ids[2] = {(int32_t)k, 7};
        ba_kv *kv = f.be->ops->kv_new(f.be, 1, 1, DIM, 2);
        ba_store_release(f.store, ba_store_add(f.store, &origin, (ba_key){k, 1}, ids, 2, kv, f.bytes, NULL, 0, 1));
    }
    size_t hits = 0;
    for (uint64_t k = 0; k < 5000; k++) {
        int32_t ids[2] = {(int32_t)k, 7};
        ba_finding found;
        ba_entry *e = ba_store_find(f.store, &origin, (ba_key){k, 1}, ids, 2, &found);
        CU_ASSERT_TRUE(found.why == BA_HIT || found.why == BA_MISS_EVICTED);
        hits += e != NULL;
        ba_store_release(f.store, e);
    }
    CU_ASSERT_EQUAL(hits, 100);
    close_store(&f);
}

int ba_suite_store(void) {
    CU_pSuite s = CU_add_suite("store", NULL, NULL);
    return s && CU_add_test(s, "a hit returns what was added", hit_returns_what_was_added) &&
                   CU_add_test(s, "every miss says why", every_miss_says_why) &&
                   CU_add_test(s, "the least recently used entry goes first", least_recently_used_goes_first) &&
                   CU_add_test(s, "pinned entries stay", pinned_entries_stay) &&
                   CU_add_test(s, "adding twice keeps the first", adding_twice_keeps_the_first) &&
                   CU_add_test(s, "thousands of entries", thousands_of_entries)
               ? 0
               : -1;
}

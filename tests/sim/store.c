/* The store: what it keeps, what it gives up, and why it missed. */
#include "sim/store/store.h"
#include "sim/base/random.h"
#include "tests/support/runner.h"

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
    ba_entry *e = ba_store_find(f->store, from, &(ba_wanted){{key, 0}, words + first, TOKENS, 1}, &found);
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
    ba_entry *again = ba_store_find(f.store, &origin, &(ba_wanted){{1, 0}, words, TOKENS, 1}, &found);
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
        ba_entry *e = ba_store_find(f.store, &origin, &(ba_wanted){{k, 1}, ids, 2, 0}, &found);
        CU_ASSERT_TRUE(found.why == BA_HIT || found.why == BA_MISS_EVICTED);
        hits += e != NULL;
        ba_store_release(f.store, e);
    }
    CU_ASSERT_EQUAL(hits, 100);
    close_store(&f);
}

/* Uses of three blocks, and who goes first by each policy. */
static void policies_differ(void) {
    static const struct {
        const char *policy;
        int first;
    } rows[] = {{"lru", 0}, {"lfu", 1}, {"cost", 2}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const ba_policy *p = ba_policy_find(rows[i].policy);
        ba_use use[3] = {{.bytes = 10, .seconds = 9}, {.bytes = 10, .seconds = 9}, {.bytes = 10, .seconds = 1}};
        static const int order[] = {0, 0, 0, 1, 2, 2}; /* 0 often, but long ago; 1 once; 2 cheap to encode */
        CU_ASSERT_PTR_NOT_NULL_FATAL(p);
        for (size_t t = 0; t < sizeof order / sizeof *order; t++) {
            ba_use_touch(&use[order[t]], p, t + 1, 0);
        }
        ba_victims v = {0};
        CU_ASSERT_EQUAL_FATAL(ba_victims_reserve(&v, 3), 0);
        for (int b = 0; b < 3; b++) {
            ba_victims_add(&v, &use[b]);
        }
        CU_ASSERT_PTR_EQUAL(ba_victims_first(&v), &use[rows[i].first]);
        ba_victims_free(&v);
    }
    CU_ASSERT_PTR_NULL(ba_policy_find("none"));
}

/* A block that was popular once goes after so many evictions, however often it was used. */
static void old_fame_fades(void) {
    const ba_policy *lfu = ba_policy_find("lfu");
    ba_use famous = {0}, passing = {0};
    uint64_t tick = 0;
    double age = 0;
    for (int i = 0; i < 50; i++) {
        ba_use_touch(&famous, lfu, ++tick, age);
    }
    size_t evictions = 0;
    for (;; evictions++) {
        passing = (ba_use){0};
        ba_use_touch(&passing, lfu, ++tick, age);
        if (ba_use_before(&famous, &passing)) {
            break;
        }
        age = passing.worth;
    }
    CU_ASSERT(evictions >= 40 && evictions <= 60);
}

/* Any order of adding and removing leaves the heap's first the least of what is in it. */
static void the_heap_keeps_its_order(void) {
    enum { N = 300 };
    ba_use use[N] = {{0}};
    bool in[N] = {false};
    ba_victims v = {0};
    uint64_t state = 5;
    CU_ASSERT_EQUAL_FATAL(ba_victims_reserve(&v, N), 0);
    for (int step = 0; step < 5000; step++) {
        uint64_t bits = ba_random_bits(&state);
        size_t i = (bits >> 8) % N;
        if (!in[i] || bits & 1) { /* a use, of what is in the heap or comes into it */
            use[i].worth += (double)(bits >> 24 & 15);
            use[i].last = (uint64_t)step;
        }
        if (!in[i]) {
            ba_victims_add(&v, &use[i]);
            in[i] = true;
        } else if (bits & 2) {
            ba_victims_remove(&use[i]);
            in[i] = false;
        }
        const ba_use *least = NULL;
        for (size_t j = 0; j < N; j++) {
            least = in[j] && (!least || ba_use_before(&use[j], least)) ? &use[j] : least;
        }
        CU_ASSERT_PTR_EQUAL(ba_victims_first(&v), least);
    }
    ba_victims_free(&v);
}

int ba_suite_store(void) {
    CU_pSuite s = CU_add_suite("store", NULL, NULL);
    return s && CU_add_test(s, "a hit returns what was added", hit_returns_what_was_added) &&
                   CU_add_test(s, "every miss says why", every_miss_says_why) &&
                   CU_add_test(s, "the least recently used entry goes first", least_recently_used_goes_first) &&
                   CU_add_test(s, "pinned entries stay", pinned_entries_stay) &&
                   CU_add_test(s, "adding twice keeps the first", adding_twice_keeps_the_first) &&
                   CU_add_test(s, "thousands of entries", thousands_of_entries) &&
                   CU_add_test(s, "policies differ", policies_differ) &&
                   CU_add_test(s, "old fame fades", old_fame_fades) &&
                   CU_add_test(s, "the heap keeps its order", the_heap_keeps_its_order)
               ? 0
               : -1;
}

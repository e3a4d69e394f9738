/* Tiers: what one process kept, another finds, bit for bit; what is damaged or foreign is never served; and why not. */
#include "sim/base/random.h"
#include "tests/support/rig.h"
#include "tests/support/runner.h"
#include "tests/support/shelf.h"

#include <math.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void another_process_finds_it(void) {
    static const char *const backends[] = {"ref", "cpu", "openblas", "cpu/bf16/plain", "cpu/bf16"};
    for (size_t i = 0; i < sizeof backends / sizeof *backends; i++) {
        ba_backend *be = rig_backend(backends[i], 1, NULL);
        if (!be) {
            continue; /* not for this processor, or not built in */
        }
        ba_backend_close(be);
        char folder[32];
        snprintf(folder, sizeof folder, "another-%zu", i);
        shelf f = shelf_open(backends[i], "ram:1M,lmdb:%s:16M", folder);
        CU_ASSERT_EQUAL(shelf_look(&f, 1).why, BA_MISS_NEW);
        shelf_add(&f, 1);
        shelf_add(&f, 2);
        CU_ASSERT_EQUAL(shelf_look(&f, 1).place, 0);
        shelf_close(&f);
        f = shelf_open(backends[i], "ram:1M,lmdb:%s:16M", folder);
        for (int again = 0; again < 2; again++) { /* the second time its checksum is known to hold */
            for (int b = 1; b <= 2; b++) {
                ba_finding found = shelf_look(&f, b);
                CU_ASSERT(found.why == BA_HIT && found.place == 1 && found.by_place[0] == BA_MISS_NEW);
                CU_ASSERT(found.load_bytes > 0);
            }
        }
        CU_ASSERT_EQUAL(shelf_look(&f, 3).why, BA_MISS_NEW);
        CU_ASSERT_EQUAL(ba_store_get_stats(f.store).bytes, 0); /* used in place */
        CU_ASSERT_EQUAL(shelf_remarks, 0);
        shelf_close(&f);
    }
}

static void every_place_says_why(void) {
    shelf f = shelf_open("ref", "ram:1M,lmdb:%s:16M", "why");
    shelf_add(&f, 1);
    shelf_close(&f);
    f = shelf_open("ref", "ram:1M,lmdb:%s:16M", "why");
    ba_origin model = shelf_origin, adapter = shelf_origin, dtype = shelf_origin;
    ba_finding found;
    model.model = "model-b";
    adapter.adapter = "lora";
    dtype.dtype = "other";
    CU_ASSERT_PTR_NULL(shelf_find(&f, &model, 1, 1, &found));
    CU_ASSERT(found.n_place == 2 && found.by_place[0] == BA_MISS_NEW && found.by_place[1] == BA_MISS_MODEL);
    CU_ASSERT_EQUAL(found.why, BA_MISS_MODEL);
    CU_ASSERT_PTR_NULL(shelf_find(&f, &adapter, 1, 1, &found));
    CU_ASSERT_EQUAL(found.by_place[1], BA_MISS_MODEL);
    CU_ASSERT_PTR_NULL(shelf_find(&f, &dtype, 1, 1, &found));
    CU_ASSERT_EQUAL(found.by_place[1], BA_MISS_DTYPE);
    CU_ASSERT_PTR_NULL(shelf_find(&f, &shelf_origin, 1, 9, &found));
    CU_ASSERT_EQUAL(found.by_place[1], BA_MISS_CONTEXT);
    ba_store_use_tiers(f.store, false);
    CU_ASSERT_EQUAL(shelf_look(&f, 1).n_place, 1);
    shelf_close(&f);
}

/* Blocks of 2 * 2 * 2 * 24 * 16 doubles and their trimmings take 7 pages of 4096 bytes. */
static void the_disk_has_a_budget(void) {
    shelf f = shelf_open("ref", "ram:1M,lmdb:%s:86016", "budget"); /* three blocks */
    for (int b = 1; b <= 3; b++) {
        shelf_add(&f, b);
        ba_store_flush(f.store);
    }
    shelf_close(&f);
    f = shelf_open("ref", "ram:0,lmdb:%s:86016", "budget");
    shelf_evicts_the_oldest(&f);
    shelf_close(&f);
    f = shelf_open("ref", "ram:0,lmdb:%s:100", "small");
    shelf_add(&f, 1);
    ba_store_flush(f.store);
    ba_finding found = shelf_look(&f, 1);
    CU_ASSERT(found.by_place[0] == BA_MISS_TOO_LARGE && found.by_place[1] == BA_MISS_TOO_LARGE);
    CU_ASSERT_EQUAL(shelf_remarks, 0);
    shelf_close(&f);
}

/* 8 bits: what comes back is close, is never taken for exact, and is never kept as exact. */
static void eight_bits_are_kept_apart(void) {
    const double half_a_step = 250.0 / 64 / 127 / 2;
    shelf f = shelf_open("cpu", "ram:1M,lmdb:%s:16M:q8", "eight");
    shelf_add(&f, 1);
    shelf_close(&f);
    f = shelf_open("cpu", "ram:1M,lmdb:%s:16M", "eight");
    CU_ASSERT_EQUAL(shelf_look(&f, 1).by_place[1], BA_MISS_FORM);
    shelf_close(&f);
    char tiers[5000];
    snprintf(tiers, sizeof tiers, "ram:1M,lmdb:%s/front:16M,lmdb:%%s:16M:q8", ba_test_dir());
    for (int again = 0; again < 2; again++) {
        f = shelf_open("cpu", tiers, "eight");
        ba_finding found;
        ba_entry *e = shelf_find(&f, &shelf_origin, 1, 1, &found);
        CU_ASSERT_PTR_NOT_NULL_FATAL(e);
        CU_ASSERT(found.place == 2 && found.by_place[1] == BA_MISS_NEW); /* never in the exact tier in front */
        double k[SHELF_TOKENS * SHELF_HEADS * SHELF_DIM], v[SHELF_TOKENS * SHELF_HEADS * SHELF_DIM], worst = 0;
        for (size_t layer = 0; layer < SHELF_LAYERS; layer++) {
            f.be->ops->kv_read(f.be, ba_entry_kv(e), layer, 0, SHELF_TOKENS, k, v);
            for (size_t i = 0; i < sizeof k / sizeof *k; i++) {
                worst = fmax(worst, fabs(k[i] - shelf_value(1, layer, i, true)));
                worst = fmax(worst, fabs(v[i] - shelf_value(1, layer, i, false)));
            }
        }
        CU_ASSERT(worst > 0 && worst <= half_a_step * 1.001);
        ba_store_release(f.store, e);
        shelf_close(&f);
    }
}

static int pin_it(void *arg, const ba_address *address, const void *bytes, size_t n, const ba_use *use) {
    ba_address *first = arg;
    (void)bytes, (void)n;
    CU_ASSERT_FALSE(ba_use_pinned(use));
    *first = *address;
    return 1;
}

/* Block 1, pinned on disk, stays there and in memory while the others, more than fit in either, come and go. */
static void pinned_blocks_stay(void) {
    shelf f = shelf_open("cpu", "ram:1M,lmdb:%s:16M:q8", "pinned"); /* 8 bits: comes into memory */
    shelf_add(&f, 1);
    shelf_close(&f);
    ba_store_spec spec;
    ba_tier *t;
    ba_address first;
    char err[BA_ERR_LEN];
    shelf_spec("lmdb:%s:16M:q8", "pinned", &spec);
    CU_ASSERT_EQUAL_FATAL(spec.tier[0].ops->open(&spec.tier[0], shelf_remember, false, &t, err), 0);
    CU_ASSERT_EQUAL(t->ops->each(t, pin_it, &first, err), 1);
    CU_ASSERT_EQUAL(t->ops->pin(t, &first, true, err), 0);
    t->ops->close(t);
    ba_store_spec_free(&spec);
    f = shelf_open("cpu", "ram:40000,lmdb:%s:20000:q8", "pinned"); /* three blocks, and two of 8 bits */
    ba_finding found;
    for (int b = 2; b < 20; b++) {
        ba_store_release(f.store, shelf_find(&f, &shelf_origin, 1, 1, &found));
        CU_ASSERT(found.why == BA_HIT && found.place == (b == 2)); /* loaded once */
        shelf_add(&f, b);
        ba_store_flush(f.store);
        for (int other = 2; other < b; other++) {
            ba_store_release(f.store, shelf_find(&f, &shelf_origin, other, (uint64_t)other, &found));
        }
    }
    CU_ASSERT(ba_store_get_stats(f.store).evictions > 10);
    shelf_close(&f);
    f = shelf_open("cpu", "ram:40000,lmdb:%s:20000:q8", "pinned");
    ba_store_release(f.store, shelf_find(&f, &shelf_origin, 1, 1, &found));
    CU_ASSERT(found.why == BA_HIT && found.place == 1);
    shelf_close(&f);
}

/* ---- faults ---------------------------------------------------------------------------------------------------- */

static int count_damaged(void *arg, const ba_address *address, const void *bytes, size_t n, const ba_use *use) {
    size_t *count = arg;
    ba_block_view v;
    char err[BA_ERR_LEN];
    (void)use;
    count[0]++;
    count[1] += ba_block_look(bytes, n, &v, err) || memcmp(&v.head.address, address, sizeof *address) != 0 ||
                !ba_block_holds(&v, NULL);
    return 0;
}

/* Blocks in the store's first tier, of which so many are damaged. */
static size_t verify(const char *tiers, const char *folder, size_t *damaged) {
    char err[BA_ERR_LEN];
    size_t count[2] = {0};
    ba_store_spec spec;
    ba_tier *t;
    shelf_spec(tiers, folder, &spec);
    CU_ASSERT_EQUAL_FATAL(spec.tier[0].ops->open(&spec.tier[0], shelf_remember, false, &t, err), 0);
    CU_ASSERT_EQUAL(t->ops->each(t, count_damaged, count, err), 0);
    ba_tier_stats sums;
    CU_ASSERT_EQUAL(t->ops->stats(t, &sums, err), 0);
    CU_ASSERT_EQUAL(sums.entries, count[0]);
    CU_ASSERT(!sums.budget || sums.bytes <= sums.budget);
    t->ops->close(t);
    ba_store_spec_free(&spec);
    *damaged = count[1];
    return count[0];
}

enum { BLOCKS = 60 };
static const char *const small_disk = "ram:64K,lmdb:%s:1M"; /* 36 of the 60 blocks */

static bool from_the_start; /* kills count from there, else from the first block on disk */

static void write_for_ever(void) {
    if (from_the_start) {
        shelf_ready();
    }
    shelf f = shelf_open("ref", small_disk, "killed");
    uint64_t state = (uint64_t)getpid();
    if (!from_the_start) {
        shelf_add(&f, BLOCKS - 1);
        ba_store_flush(f.store);
        shelf_ready();
    }
    for (;;) {
        int b = (int)(ba_random_below(&state, BLOCKS));
        if (shelf_look(&f, b).why != BA_HIT) {
            shelf_add(&f, b);
        }
    }
}

/* Whatever is found of blocks 0 .. BLOCKS is what was added; how much is found. */
static size_t find_all(const char *tiers, const char *folder, size_t reasons[BA_LOOKUP_COUNT]) {
    shelf f = shelf_open("ref", tiers, folder);
    for (int b = 0; b < BLOCKS; b++) {
        reasons[shelf_look(&f, b).why]++;
    }
    shelf_close(&f);
    return reasons[BA_HIT];
}

/* Killed at random moments: 10, or as many as $BLOCKATTN_KILLS says. */
static void killed_at_any_moment(void) {
    const char *options = getenv("BLOCKATTN_KILLS");
    size_t kills = options ? strtoul(options, NULL, 10) : 10, found = 0, killed = 0;
    uint64_t state = 1;
    for (size_t i = 0; i < kills; i++) {
        size_t damaged, reasons[BA_LOOKUP_COUNT] = {0};
        from_the_start = i % 4 == 0;
        killed += shelf_in_child(write_for_ever, 200 + ba_random_below(&state, 40000)) == -1;
        char path[4096];
        snprintf(path, sizeof path, "%s/killed/data.mdb", ba_test_dir());
        if (access(path, F_OK) != 0) { /* before it had begun */
            continue;
        }
        size_t blocks = verify(small_disk, "killed", &damaged);
        CU_ASSERT_EQUAL(damaged, 0);
        CU_ASSERT_EQUAL(find_all(small_disk, "killed", reasons), blocks);
        CU_ASSERT_EQUAL(reasons[BA_MISS_DAMAGED] + reasons[BA_MISS_AWAY], 0);
        found += blocks;
    }
    CU_ASSERT_EQUAL(killed, kills);
    CU_ASSERT(found > 0);
    if (options) {
        fprintf(stderr, "killed %zu times; %zu blocks were found afterwards, all of them whole\n", killed, found);
    }
}

/* Flips one bit of the n-th block in the file. */
static bool flip(const char *folder, size_t n, size_t offset, unsigned bit) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s/data.mdb", ba_test_dir(), folder);
    FILE *f = fopen(path, "r+b");
    char page[4096];
    for (size_t at = 0; f && fread(page, 1, sizeof page, f) == sizeof page; at += sizeof page) {
        if (memcmp(page + 16, "ba-block", 8) == 0 && n-- == 0) {
            unsigned char c;
            fseek(f, (long)(at + 16 + offset), SEEK_SET);
            bool done = fread(&c, 1, 1, f) == 1;
            c ^= (unsigned char)(1u << bit);
            fseek(f, (long)(at + 16 + offset), SEEK_SET);
            done = done && fwrite(&c, 1, 1, f) == 1;
            return fclose(f) == 0 && done;
        }
    }
    return false;
}

static void flipped_bits_are_found(void) {
    const char *tiers = "ram:1M,lmdb:%s:16M";
    shelf f = shelf_open("ref", tiers, "flipped");
    for (int b = 0; b < 20; b++) {
        shelf_add(&f, b);
    }
    size_t size = shelf_bytes(&f);
    shelf_close(&f);
    uint64_t state = 7;
    for (size_t i = 0; i < 20; i++) { /* the first ones in the header, which is smaller than the rest */
        size_t offset = i < 8 ? ba_random_below(&state, BA_BLOCK_HEAD) : ba_random_below(&state, size);
        CU_ASSERT_TRUE_FATAL(flip("flipped", i, offset < 8 ? 8 : offset, ba_random_below(&state, 8)));
    }
    size_t damaged;
    CU_ASSERT_EQUAL(verify(tiers, "flipped", &damaged), 20);
    CU_ASSERT_EQUAL(damaged, 20);
    f = shelf_open("ref", tiers, "flipped");
    for (int b = 0; b < 20; b++) {
        CU_ASSERT_EQUAL(shelf_look(&f, b).by_place[1], BA_MISS_DAMAGED);
        shelf_add(&f, b); /* encoded again */
    }
    CU_ASSERT_EQUAL(shelf_remarks, 20);
    CU_ASSERT_PTR_NOT_NULL(strstr(shelf_remark, "encoded again"));
    shelf_close(&f);
    size_t reasons[BA_LOOKUP_COUNT] = {0};
    CU_ASSERT_EQUAL(verify(tiers, "flipped", &damaged), 20);
    CU_ASSERT_EQUAL(damaged, 0);
    CU_ASSERT_EQUAL(find_all(tiers, "flipped", reasons), 20);
}

static void write_to_a_full_disk(void) {
    const struct rlimit limit = {200 << 10, 200 << 10};
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &limit);
    shelf f = shelf_open("ref", "ram:4M,lmdb:%s:16M", "full");
    for (int b = 0; b < BLOCKS; b++) {
        shelf_add(&f, b);
        ba_store_flush(f.store);
    }
    for (int b = 0; b < BLOCKS; b++) {
        CU_ASSERT_EQUAL(shelf_look(&f, b).place, 0);
    }
    CU_ASSERT_EQUAL(shelf_remarks, 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(shelf_remark, "cannot be written"));
    shelf_close(&f);
}

static void a_full_disk_loses_nothing(void) {
    size_t damaged, reasons[BA_LOOKUP_COUNT] = {0};
    CU_ASSERT_EQUAL(shelf_in_child(write_to_a_full_disk, 0), 0);
    size_t blocks = verify("lmdb:%s:16M", "full", &damaged);
    CU_ASSERT(blocks > 0 && blocks < BLOCKS && !damaged);
    CU_ASSERT_EQUAL(find_all("ram:4M,lmdb:%s:16M", "full", reasons), blocks);
}

static void write_all(void) {
    shelf f = shelf_open("ref", "ram:64K,lmdb:%s:16M", "shared");
    for (int b = 0; b < BLOCKS; b++) {
        if (shelf_look(&f, b).why != BA_HIT) {
            shelf_add(&f, b);
        }
        CU_ASSERT_EQUAL(shelf_look(&f, b).why, BA_HIT);
    }
    CU_ASSERT_EQUAL(shelf_remarks, 0);
    shelf_close(&f);
}

static void many_processes_write_at_once(void) {
    enum { WRITERS = 4 };
    pid_t child[WRITERS];
    for (int i = 0; i < WRITERS; i++) {
        fflush(NULL);
        child[i] = fork();
        if (child[i] == 0) {
            unsigned failures = CU_get_number_of_failures();
            write_all();
            _exit(CU_get_number_of_failures() != failures);
        }
    }
    for (int i = 0; i < WRITERS; i++) {
        int status = -1;
        CU_ASSERT_EQUAL(waitpid(child[i], &status, 0), child[i]);
        CU_ASSERT_EQUAL(status, 0);
    }
    size_t damaged, reasons[BA_LOOKUP_COUNT] = {0};
    CU_ASSERT_EQUAL(verify("lmdb:%s:16M", "shared", &damaged), BLOCKS);
    CU_ASSERT_EQUAL(damaged, 0);
    CU_ASSERT_EQUAL(find_all("ram:64K,lmdb:%s:16M", "shared", reasons), BLOCKS);
}

static bool forbid_writing(const char *folder) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", ba_test_dir(), folder);
    return unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount(path, path, NULL, MS_BIND, NULL) == 0 &&
           mount(NULL, path, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL) == 0;
}

static void use_what_cannot_be_written(void) {
    if (!forbid_writing("sealed")) {
        _exit(77);
    }
    shelf f = shelf_open("ref", "ram:1M,lmdb:%s:16M", "sealed");
    CU_ASSERT_EQUAL(shelf_look(&f, 1).place, 1);
    shelf_add(&f, 2);
    CU_ASSERT_EQUAL(shelf_look(&f, 2).place, 0);
    CU_ASSERT_EQUAL(shelf_remarks, 1);
    shelf_close(&f);
}

static void a_read_only_disk_is_read(void) {
    shelf f = shelf_open("ref", "ram:1M,lmdb:%s:16M", "sealed");
    shelf_add(&f, 1);
    shelf_close(&f);
    int status = shelf_in_child(use_what_cannot_be_written, 0);
    if (status == 77) {
        ba_test_skip("a folder cannot be mounted read-only here");
        return;
    }
    CU_ASSERT_EQUAL(status, 0);
}

static void what_is_no_store_is_refused(void) {
    char err[BA_ERR_LEN], path[4096], text[5000];
    ba_store_spec spec;
    ba_tier *t;
    snprintf(path, sizeof path, "%s/nonsense", ba_test_dir());
    mkdir(path, 0700);
    snprintf(text, sizeof text, "%s/data.mdb", path);
    FILE *file = fopen(text, "wb");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    for (int i = 0; i < 5000; i++) {
        fputs("nonsense", file);
    }
    fclose(file);
    snprintf(text, sizeof text, "lmdb:%s:1M", path);
    CU_ASSERT_EQUAL_FATAL(ba_store_spec_parse(text, NULL, &spec, err), 0);
    CU_ASSERT_EQUAL(spec.tier[0].ops->open(&spec.tier[0], shelf_remember, true, &t, err), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err, "give another folder"));
    ba_store_spec_free(&spec);
    snprintf(text, sizeof text, "lmdb:%s/data.mdb:1M", path);
    CU_ASSERT_EQUAL_FATAL(ba_store_spec_parse(text, NULL, &spec, err), 0);
    CU_ASSERT_EQUAL(spec.tier[0].ops->open(&spec.tier[0], shelf_remember, true, &t, err), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err, "not a folder"));
    ba_store_spec_free(&spec);
}

static void specs_are_checked(void) {
    static const char *const bad[] = {"ram",           "ram:",          "ram:x",       "ram:1G,ram:2G", "disk:/x:1G",
                                      "lmdb:",         "lmdb::1G",      "ram:1G:q8",   "ram:1G,",       ",",
                                      "lmdb:a,lmdb:a", "ram:1G:lru:no", "ram:1G:1G:1G"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ba_store_spec spec;
        char err[BA_ERR_LEN] = "";
        CU_ASSERT_EQUAL(ba_store_spec_parse(bad[i], NULL, &spec, err), -1);
        CU_ASSERT_PTR_NOT_NULL(strstr(err, "--store"));
        ba_store_spec_free(&spec);
    }
    ba_store_spec spec;
    char err[BA_ERR_LEN];
    CU_ASSERT_EQUAL_FATAL(ba_store_spec_parse("lmdb:/a:b/c:3G:cost:q8,ram:5M:lfu", NULL, &spec, err), 0);
    CU_ASSERT(spec.ram == 5 << 20 && !strcmp(spec.ram_policy->name, "lfu") && spec.n_tier == 1);
    CU_ASSERT_STRING_EQUAL(spec.tier[0].place, "/a:b/c");
    CU_ASSERT(spec.tier[0].size == UINT64_C(3) << 30 && spec.tier[0].coding == BA_CODING_Q8);
    CU_ASSERT_STRING_EQUAL(spec.tier[0].policy->name, "cost");
    ba_store_spec_free(&spec);
}

/* Servers as URLs: what they say, and that a password is in no message. */
static void logins_are_read_and_hidden(void) {
    static const struct {
        const char *text, *place, *user, *password;
    } good[] = {{"redis:host:1", "host", NULL, NULL},
                {"redis://host:1:q8", "host", NULL, NULL},
                {"redis://me:pw@host:1", "host", "me", "pw"},
                {"redis://:pw@host:1:lru", "host", "", "pw"},
                {"redis://pw@host:1", "host", NULL, "pw"},
                {"redis:me:pw@host:1", "host", "me", "pw"},
                {"redis://me:p%40%3a%2Cw%@host:1", "host", "me", "p@:,w%"},
                {"redis://me:a@b@host:1", "host", "me", "a@b"},
                {"redis://[::1]:1", "::1", NULL, NULL},
                {"redis://:pw@[::1]:1", "::1", "", "pw"}};
    static const struct {
        const char *text, *masked;
    } masks[] = {{"redis://me:secret@host:1", "redis://***@host:1"},
                 {"ram:1G,redis:secret@host:1:q8", "ram:1G,redis:***@host:1:q8"},
                 {"redis://a:s,e,c@h:1,redis://b:t@i:2,lmdb:x@y:3", "redis://***@h:1,redis://***@i:2,lmdb:x@y:3"},
                 {"redis://s@h:1", "redis://*@h:1"},
                 {"redis:host:1", "redis:host:1"},
                 {"redis://me:secret@", "redis://***@"}};
    ba_store_spec spec;
    char err[BA_ERR_LEN] = "", text[128];
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        CU_ASSERT_EQUAL_FATAL(ba_store_spec_parse(good[i].text, NULL, &spec, err), 0);
        const ba_tier_spec *t = &spec.tier[0];
        CU_ASSERT_STRING_EQUAL(t->place, good[i].place);
        CU_ASSERT(t->size == 1 && !t->user == !good[i].user && !t->password == !good[i].password);
        CU_ASSERT(!t->user || !strcmp(t->user, good[i].user));
        CU_ASSERT(!t->password || !strcmp(t->password, good[i].password));
        ba_store_spec_free(&spec);
    }
    for (size_t i = 0; i < sizeof masks / sizeof *masks; i++) {
        snprintf(text, sizeof text, "%s", masks[i].text);
        ba_store_spec_mask(text);
        CU_ASSERT_STRING_EQUAL(text, masks[i].masked);
    }
    CU_ASSERT_EQUAL(ba_store_spec_parse("redis://me:sec,ret@host:1", NULL, &spec, err), -1);
    CU_ASSERT_PTR_NULL(strstr(err, "sec"));
    ba_store_spec_free(&spec);
    CU_ASSERT_EQUAL(ba_store_spec_parse("redis://me:secret@host", NULL, &spec, err), -1);
    CU_ASSERT_PTR_NULL(strstr(err, "secret"));
    ba_store_spec_free(&spec);
}

int ba_suite_tiers(void) {
    CU_pSuite s = CU_add_suite("tiers", NULL, NULL);
    return s && CU_add_test(s, "another process finds what one kept, bit for bit", another_process_finds_it) &&
                   CU_add_test(s, "every place says why it missed", every_place_says_why) &&
                   CU_add_test(s, "the disk has a budget, and evicts by it", the_disk_has_a_budget) &&
                   CU_add_test(s, "8 bits are kept apart", eight_bits_are_kept_apart) &&
                   CU_add_test(s, "pinned blocks stay", pinned_blocks_stay) &&
                   CU_add_test(s, "specs are checked", specs_are_checked) &&
                   CU_add_test(s, "logins are read, and hidden in messages", logins_are_read_and_hidden) &&
                   CU_add_test(s, "killed at any moment, nothing wrong is served", killed_at_any_moment) &&
                   CU_add_test(s, "flipped bits are found, reported and encoded again", flipped_bits_are_found) &&
                   CU_add_test(s, "a full disk loses nothing", a_full_disk_loses_nothing) &&
                   CU_add_test(s, "many processes write at once", many_processes_write_at_once) &&
                   CU_add_test(s, "a read-only disk is read", a_read_only_disk_is_read) &&
                   CU_add_test(s, "what is no store is refused", what_is_no_store_is_refused)
               ? 0
               : -1;
}

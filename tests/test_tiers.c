/* Tiers: what one process kept, another finds, bit for bit; what is damaged or foreign is never served; and why not. */
#include "../experiments/store_spec.h"
#include "../sim/store.h"
#include "runner.h"

#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
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

/* ---- faults ---------------------------------------------------------------------------------------------------- */

static uint32_t next(uint32_t *state) {
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

static int count_damaged(void *arg, const ba_address *address, const void *bytes, size_t n, const ba_use *use) {
    size_t *count = arg;
    ba_parcel_view v;
    char err[BA_ERR_LEN];
    (void)use;
    count[0]++;
    count[1] += ba_parcel_look(bytes, n, &v, err) || memcmp(&v.head.address, address, sizeof *address) != 0 ||
                !ba_parcel_holds(&v);
    return 0;
}

/* Blocks in the store's first tier, of which so many are damaged. */
static size_t verify(const char *tiers, const char *folder, size_t *damaged) {
    char err[BA_ERR_LEN], path[4096], text[5000];
    size_t count[2] = {0};
    ba_store_spec spec;
    ba_tier *t;
    snprintf(path, sizeof path, "%s/%s", ba_test_dir(), folder);
    snprintf(text, sizeof text, tiers, path); /* NOLINT: the tests' own formats */
    CU_ASSERT_EQUAL_FATAL(ba_store_spec_parse(text, &spec, err), 0);
    CU_ASSERT_EQUAL_FATAL(spec.tier[0].ops->open(&spec.tier[0], remember, false, &t, err), 0);
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

/* Runs `body` in a process of its own, which may be killed after so many microseconds; its exit status, or -1 if it was
 * killed. */
static int in_child(void (*body)(void), useconds_t kill_after) {
    int ready[2];
    CU_ASSERT_EQUAL_FATAL(pipe(ready), 0);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        unsigned failures = CU_get_number_of_failures();
        close(ready[0]);
        close(ready[1]); /* it runs */
        body();
        _exit(CU_get_number_of_failures() != failures);
    }
    char byte;
    int status = 0;
    close(ready[1]);
    while (read(ready[0], &byte, 1) > 0) {
    }
    close(ready[0]);
    if (kill_after) {
        usleep(kill_after);
        kill(child, SIGKILL);
    }
    CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

enum { BLOCKS = 60 };
static const char *const small_disk = "ram:64K,lmdb:%s:1M"; /* 36 of the 60 blocks */

static void write_for_ever(void) {
    fixture f = open_store("ref", small_disk, "killed");
    uint32_t state = (uint32_t)getpid() * 2654435761u;
    for (;;) {
        int b = (int)(next(&state) % BLOCKS);
        if (look(&f, b).why != BA_HIT) {
            add(&f, b);
        }
    }
}

/* Whatever is found of blocks 0 .. BLOCKS is what was added; how much is found. */
static size_t find_all(const char *tiers, const char *folder, size_t reasons[BA_LOOKUP_COUNT]) {
    fixture f = open_store("ref", tiers, folder);
    for (int b = 0; b < BLOCKS; b++) {
        reasons[look(&f, b).why]++;
    }
    close_store(&f);
    return reasons[BA_HIT];
}

/* Killed at random moments: 10, or as many as $BLOCKATTN_KILLS says. */
static void killed_at_any_moment(void) {
    const char *wish = getenv("BLOCKATTN_KILLS");
    size_t kills = wish ? strtoul(wish, NULL, 10) : 10, found = 0, killed = 0;
    uint32_t state = 1;
    for (size_t i = 0; i < kills; i++) {
        size_t damaged, reasons[BA_LOOKUP_COUNT] = {0};
        killed += in_child(write_for_ever, 200 + next(&state) % 40000) == -1;
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
    if (wish) {
        fprintf(stderr, "killed %zu times; %zu blocks were found afterwards, all of them whole\n", killed, found);
    }
}

/* Flips one bit of the n-th parcel in the file. */
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
    fixture f = open_store("ref", tiers, "flipped");
    for (int b = 0; b < 20; b++) {
        add(&f, b);
    }
    size_t size = f.be->ops->kv_bytes(f.be, LAYERS, HEADS, DIM, TOKENS) + BA_PARCEL_HEAD + 2 * 8 + TOKENS * 4;
    close_store(&f);
    uint32_t state = 7;
    for (size_t i = 0; i < 20; i++) { /* the first ones in the header, which is smaller than the rest */
        size_t offset = i < 8 ? next(&state) % BA_PARCEL_HEAD : next(&state) % size;
        CU_ASSERT_TRUE_FATAL(flip("flipped", i, offset < 8 ? 8 : offset, next(&state) % 8));
    }
    size_t damaged;
    CU_ASSERT_EQUAL(verify(tiers, "flipped", &damaged), 20);
    CU_ASSERT_EQUAL(damaged, 20);
    f = open_store("ref", tiers, "flipped");
    for (int b = 0; b < 20; b++) {
        CU_ASSERT_EQUAL(look(&f, b).by_place[1], BA_MISS_DAMAGED);
        add(&f, b); /* encoded again */
    }
    CU_ASSERT_EQUAL(remarks, 20);
    CU_ASSERT_PTR_NOT_NULL(strstr(last_remark, "encoded again"));
    close_store(&f);
    size_t reasons[BA_LOOKUP_COUNT] = {0};
    CU_ASSERT_EQUAL(verify(tiers, "flipped", &damaged), 20);
    CU_ASSERT_EQUAL(damaged, 0);
    CU_ASSERT_EQUAL(find_all(tiers, "flipped", reasons), 20);
}

static void write_to_a_full_disk(void) {
    const struct rlimit limit = {200 << 10, 200 << 10};
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &limit);
    fixture f = open_store("ref", "ram:4M,lmdb:%s:16M", "full");
    for (int b = 0; b < BLOCKS; b++) {
        add(&f, b);
        ba_store_flush(f.store);
    }
    for (int b = 0; b < BLOCKS; b++) {
        CU_ASSERT_EQUAL(look(&f, b).place, 0);
    }
    CU_ASSERT_EQUAL(remarks, 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(last_remark, "cannot be written"));
    close_store(&f);
}

static void a_full_disk_loses_nothing(void) {
    size_t damaged, reasons[BA_LOOKUP_COUNT] = {0};
    CU_ASSERT_EQUAL(in_child(write_to_a_full_disk, 0), 0);
    size_t blocks = verify("lmdb:%s:16M", "full", &damaged);
    CU_ASSERT(blocks > 0 && blocks < BLOCKS && !damaged);
    CU_ASSERT_EQUAL(find_all("ram:4M,lmdb:%s:16M", "full", reasons), blocks);
}

static void write_all(void) {
    fixture f = open_store("ref", "ram:64K,lmdb:%s:16M", "shared");
    for (int b = 0; b < BLOCKS; b++) {
        if (look(&f, b).why != BA_HIT) {
            add(&f, b);
        }
        CU_ASSERT_EQUAL(look(&f, b).why, BA_HIT);
    }
    CU_ASSERT_EQUAL(remarks, 0);
    close_store(&f);
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
    fixture f = open_store("ref", "ram:1M,lmdb:%s:16M", "sealed");
    CU_ASSERT_EQUAL(look(&f, 1).place, 1);
    add(&f, 2);
    CU_ASSERT_EQUAL(look(&f, 2).place, 0);
    CU_ASSERT_EQUAL(remarks, 1);
    close_store(&f);
}

static void a_read_only_disk_is_read(void) {
    fixture f = open_store("ref", "ram:1M,lmdb:%s:16M", "sealed");
    add(&f, 1);
    close_store(&f);
    int status = in_child(use_what_cannot_be_written, 0);
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
    CU_ASSERT_EQUAL_FATAL(ba_store_spec_parse(text, &spec, err), 0);
    CU_ASSERT_EQUAL(spec.tier[0].ops->open(&spec.tier[0], remember, true, &t, err), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err, "give another folder"));
    ba_store_spec_free(&spec);
    snprintf(text, sizeof text, "lmdb:%s/data.mdb:1M", path);
    CU_ASSERT_EQUAL_FATAL(ba_store_spec_parse(text, &spec, err), 0);
    CU_ASSERT_EQUAL(spec.tier[0].ops->open(&spec.tier[0], remember, true, &t, err), -1);
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
        CU_ASSERT_EQUAL(ba_store_spec_parse(bad[i], &spec, err), -1);
        CU_ASSERT_PTR_NOT_NULL(strstr(err, "--store"));
        ba_store_spec_free(&spec);
    }
    ba_store_spec spec;
    char err[BA_ERR_LEN];
    CU_ASSERT_EQUAL_FATAL(ba_store_spec_parse("lmdb:/a:b/c:3G:cost:q8,ram:5M:lfu", &spec, err), 0);
    CU_ASSERT(spec.ram == 5 << 20 && !strcmp(spec.ram_policy->name, "lfu") && spec.n_tier == 1);
    CU_ASSERT_STRING_EQUAL(spec.tier[0].place, "/a:b/c");
    CU_ASSERT(spec.tier[0].size == UINT64_C(3) << 30 && spec.tier[0].coding == BA_CODING_Q8);
    CU_ASSERT_STRING_EQUAL(spec.tier[0].policy->name, "cost");
    ba_store_spec_free(&spec);
}

int ba_suite_tiers(void) {
    CU_pSuite s = CU_add_suite("tiers", NULL, NULL);
    return s && CU_add_test(s, "another process finds what one kept, bit for bit", another_process_finds_it) &&
                   CU_add_test(s, "every place says why it missed", every_place_says_why) &&
                   CU_add_test(s, "the disk has a budget, and evicts by it", the_disk_has_a_budget) &&
                   CU_add_test(s, "specs are checked", specs_are_checked) &&
                   CU_add_test(s, "killed at any moment, nothing wrong is served", killed_at_any_moment) &&
                   CU_add_test(s, "flipped bits are found, reported and encoded again", flipped_bits_are_found) &&
                   CU_add_test(s, "a full disk loses nothing", a_full_disk_loses_nothing) &&
                   CU_add_test(s, "many processes write at once", many_processes_write_at_once) &&
                   CU_add_test(s, "a read-only disk is read", a_read_only_disk_is_read) &&
                   CU_add_test(s, "what is no store is refused", what_is_no_store_is_refused)
               ? 0
               : -1;
}

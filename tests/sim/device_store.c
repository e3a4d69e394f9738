/* Blocks of a backend that keeps KV on a device: they leave it for the machine's memory and for tiers, and come back
 * bit for bit while it computes. */
#include "sim/engine/engine.h"
#include "sim/modes/modes.h"
#include "tests/support/plans.h"
#include "tests/support/rig.h"
#include "tests/support/runner.h"
#include "tests/support/shelf.h"
#include "tests/support/tiny.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 64, AWAY_MEMORY = 1 << 27 };

static struct {
    const ba_backend_ops *cpu;
    ba_backend_ops ops;
    struct {
        ba_kv *kv;
        const void *from;
    } load[MOST];
    size_t n;
    atomic_int host_news, kv_saves; /* calls that will fail */
    int attentions;                 /* so many calls from now, attention breaks the device; 0: never */
    bool broken;
} away;

static void copy_parts(ba_backend *be, ba_kv *kv, unsigned char *bytes, bool in) {
    void *part[2];
    size_t n[2];
    away.cpu->kv_parts(be, kv, part, n);
    memcpy(in ? part[0] : bytes, in ? bytes : part[0], n[0]);
    memcpy(in ? part[1] : bytes + n[0], in ? bytes + n[0] : part[1], n[1]);
}

static double loaded(ba_backend *be) {
    for (size_t i = 0; i < away.n; i++) {
        copy_parts(be, away.load[i].kv, (unsigned char *)away.load[i].from, true);
    }
    away.n = 0;
    return 1e-6;
}

static int load(ba_backend *be, ba_kv *kv, const void *from) {
    (void)be;
    if (away.n == MOST) {
        return -1;
    }
    away.load[away.n].kv = kv;
    away.load[away.n++].from = from;
    return 0;
}

static int save(ba_backend *be, const ba_kv *kv, void *to) {
    if (atomic_load(&away.kv_saves) > 0) {
        atomic_fetch_sub(&away.kv_saves, 1);
        return -1;
    }
    copy_parts(be, (ba_kv *)kv, to, false);
    return 0;
}

static void *host_new(ba_backend *be, size_t bytes) {
    (void)be;
    if (atomic_load(&away.host_news) > 0) {
        atomic_fetch_sub(&away.host_news, 1);
        return NULL;
    }
    return malloc(bytes ? bytes : 1);
}

static void host_free(ba_backend *be, void *at) {
    (void)be;
    free(at);
}

static void device(ba_backend *be, ba_device *out) {
    (void)be;
    *out = (ba_device){.name = "pretended", .memory = AWAY_MEMORY, .free_memory = AWAY_MEMORY};
}

/* The operations that read KV wait for it. */

static void kv_free(ba_backend *be, ba_kv *kv) {
    loaded(be);
    away.cpu->kv_free(be, kv);
}

static void kv_read(ba_backend *be, const ba_kv *kv, size_t layer, size_t first, size_t n, double *k, double *v) {
    loaded(be);
    away.cpu->kv_read(be, kv, layer, first, n, k, v);
}

static void kv_copy(ba_backend *be, ba_kv *dst, size_t at, const ba_kv *src, size_t first, size_t n, size_t layer,
                    const ba_rot *rot, size_t rot_row) {
    loaded(be);
    away.cpu->kv_copy(be, dst, at, src, first, n, layer, rot, rot_row);
}

static void attention(ba_backend *be, size_t layer, size_t heads, double scale, const ba_rot *rot,
                      const ba_attn_job *job, size_t n_jobs, ba_view q, ba_view out) {
    loaded(be);
    away.cpu->attention(be, layer, heads, scale, rot, job, n_jobs, q, out);
    away.broken |= away.attentions && --away.attentions == 0;
}

static const char *fault(const ba_backend *be) {
    (void)be;
    return away.broken ? "unspecified launch failure" : NULL;
}

/* The backend cpu as if its KV were on a device: no kv_parts, but kv_save and kv_load, whose copies happen as late as they
 * may. One at a time. */
static ba_backend *away_backend(void) {
    ba_backend *be = rig_backend("cpu/f32", 1, NULL);
    if (be) {
        away.cpu = be->ops;
        away.ops = *be->ops;
        away.n = 0;
        away.attentions = 0;
        away.broken = false;
        away.ops.fault = fault;
        away.ops.kv_parts = NULL;
        away.ops.kv_view = NULL;
        away.ops.host_new = host_new;
        away.ops.host_free = host_free;
        away.ops.kv_save = save;
        away.ops.kv_load = load;
        away.ops.kv_loaded = loaded;
        away.ops.kv_free = kv_free;
        away.ops.kv_read = kv_read;
        away.ops.kv_copy = kv_copy;
        away.ops.attention = attention;
        away.ops.device = device;
        be->ops = &away.ops;
    }
    return be;
}

/* KV that is still to be copied. */
static size_t away_waiting(void) {
    return away.n;
}

/* The next so many calls of host_new and kv_save fail. */
static void away_fail(int host_news, int kv_saves) {
    atomic_store(&away.host_news, host_news);
    atomic_store(&away.kv_saves, kv_saves);
}

static shelf open_away(const char *tiers, const char *folder) {
    return shelf_open_on(away_backend(), tiers, folder);
}

/* The same; %zu in tiers: the bytes of so many blocks, less a few. */
static shelf open_away_with_room(const char *tiers, size_t blocks, size_t less, const char *folder) {
    char text[64];
    shelf f = open_away("gpu:1M", folder);
    size_t bytes = shelf_bytes(&f);
    shelf_close(&f);
    snprintf(text, sizeof text, tiers, blocks * bytes - less);
    return open_away(text, folder);
}

static void blocks_come_back_from_every_place(void) {
    shelf f = open_away("gpu:1M,ram:1M,lmdb:%s:16M", "device");
    shelf_add(&f, 1);
    shelf_add(&f, 2);
    CU_ASSERT_EQUAL(shelf_look(&f, 1).place, 0);
    for (int again = 0; again < 2; again++) {
        ba_store_clear(f.store); /* writes what waits, and empties the device */
        ba_finding found = shelf_look(&f, 1);
        CU_ASSERT(found.why == BA_HIT && found.place == 1 && found.load_bytes > 0);
        CU_ASSERT_EQUAL(shelf_look(&f, 2).place, 1);
        CU_ASSERT_EQUAL(shelf_look(&f, 2).place, 0);
    }
    CU_ASSERT_EQUAL(shelf_remarks, 0);
    shelf_close(&f);
    f = open_away("gpu:1M,ram:1M,lmdb:%s:16M", "device");
    ba_finding found = shelf_look(&f, 1);
    CU_ASSERT(found.place == 2 && found.by_place[0] == BA_MISS_NEW && found.by_place[1] == BA_MISS_NEW);
    CU_ASSERT_EQUAL(ba_store_get_tier_stats(f.store, 0).written.blocks, 0); /* not before it is here */
    ba_store_clear(f.store);
    CU_ASSERT_EQUAL(shelf_look(&f, 1).place, 1); /* what the disk gave went up */
    shelf_close(&f);
}

/* A copy that is under way keeps its source, whatever else is put into the tier. */
static void what_is_being_copied_stays(void) {
    shelf f = open_away_with_room("gpu:1M,ram:%zu", 2, 0, "stays");
    shelf_add(&f, 1);
    ba_store_clear(f.store);
    ba_finding found;
    ba_entry *e = shelf_find(&f, &shelf_origin, 1, 1, &found);
    CU_ASSERT(e && found.place == 1 && away_waiting() == 1);
    shelf_add(&f, 2);
    shelf_add(&f, 3);
    shelf_add(&f, 4);
    CU_ASSERT_EQUAL(away_waiting(), 1);
    CU_ASSERT_EQUAL(shelf_look(&f, 1).why, BA_HIT); /* reads it: right to the bit */
    ba_store_release(f.store, e);
    CU_ASSERT(ba_store_land(f.store) > 0);
    CU_ASSERT_EQUAL(ba_store_land(f.store), 0);
    CU_ASSERT_EQUAL(away_waiting(), 0);
    shelf_close(&f);
}

static void the_tier_in_memory_has_a_budget(void) {
    shelf f = open_away_with_room("gpu:0,ram:%zu", 3, 0, "budget");
    for (int b = 1; b <= 3; b++) {
        shelf_add(&f, b);
        ba_store_flush(f.store);
    }
    shelf_evicts_the_oldest(&f);
    shelf_close(&f);
    f = open_away_with_room("gpu:0,ram:%zu", 1, 1, "budget");
    shelf_add(&f, 1);
    ba_store_flush(f.store);
    CU_ASSERT_EQUAL(shelf_look(&f, 1).by_place[1], BA_MISS_TOO_LARGE);
    shelf_close(&f);
}

/* Without page-locked memory, or with a device that fails, blocks are not kept; nothing wrong is. */
static void what_cannot_be_written_is_left_out(void) {
    shelf f = open_away("gpu:1M,ram:1M", "fails");
    away_fail(0, 1);
    shelf_add(&f, 1);
    ba_store_flush(f.store);
    away_fail(1, 0);
    shelf_add(&f, 2);
    ba_store_clear(f.store);
    CU_ASSERT_EQUAL(shelf_look(&f, 1).why, BA_MISS_NEW);
    away_fail(0, 0);
    shelf_add(&f, 1);
    ba_store_clear(f.store);
    CU_ASSERT_EQUAL(shelf_look(&f, 1).place, 1);
    shelf_close(&f);
}

static void a_store_must_fit_its_backend(void) {
    static const struct {
        const char *tiers;
        bool device;
        const char *says;
    } bad[] = {{"gpu:1M", false, "give ram:SIZE"}, {"gpu:1M,lmdb:%s:16M:q8", true, "leave :q8 out"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        shelf f = bad[i].device ? open_away("ram:1M", "fits") : shelf_open("cpu", "ram:1M", "fits");
        char err[BA_ERR_LEN] = "";
        ba_store *none;
        ba_store_spec spec;
        shelf_spec(bad[i].tiers, "fits", &spec);
        CU_ASSERT_EQUAL(ba_store_open(f.be, &spec, shelf_remember, &none, err), -1);
        CU_ASSERT_PTR_NULL(none);
        CU_ASSERT_PTR_NOT_NULL(strstr(err, bad[i].says));
        ba_store_spec_free(&spec);
        shelf_close(&f);
    }
    shelf f = open_away("ram:1M", "fits");
    CU_ASSERT_EQUAL(ba_store_get_stats(f.store).budget, AWAY_MEMORY / 2);
    shelf_close(&f);
}

/* ---- with an engine ---- */

typedef struct stop {
    int calls_left;
} stop;

static int stop_at(void *arg, ba_stage stage, uint64_t done, uint64_t total) {
    (void)stage, (void)done, (void)total;
    return ((stop *)arg)->calls_left-- <= 0;
}

/* Logits, malloc'ed; NULL: stopped. */
static double *logits_of(ba_engine *e, const ba_plan *plan, const ba_engine_options *opt, ba_run_stats *stats) {
    char err[BA_ERR_LEN] = "";
    ba_run *run = NULL;
    if (ba_engine_run(e, plan, opt, 0, &run, err)) {
        return NULL;
    }
    size_t bytes = ba_engine_shape(e)->vocab * sizeof(double);
    double *out = malloc(bytes);
    CU_ASSERT_PTR_NOT_NULL_FATAL(out);
    memcpy(out, ba_run_logits(run), bytes);
    *stats = *ba_run_get_stats(run);
    ba_run_free(run);
    return out;
}

/* Every mode that keeps blocks, from every place: the logits of a run that encoded them. A run that is stopped while its
 * blocks are under way spoils nothing. */
static void loaded_equals_encoded(void) {
    static const char *const modes[] = {"block", "lego", "cacheblend", "selective", "superposition"};
    char path[512], err[BA_ERR_LEN];
    ba_model *model;
    ba_engine *engine;
    snprintf(path, sizeof path, "%s/device.gguf", ba_test_dir());
    CU_ASSERT_EQUAL_FATAL(ba_tiny_gguf(path, &(ba_tiny_options){.layers = 4}), 0);
    CU_ASSERT_EQUAL_FATAL(ba_model_open(path, true, &model, err), 0);
    for (size_t m = 0; m < sizeof modes / sizeof *modes; m++) {
        shelf f = open_away("gpu:64M,ram:64M", "engine");
        CU_ASSERT_EQUAL_FATAL(ba_engine_new(model, f.be, f.store, NULL, &engine, err), 0);
        ba_prompt *p = ba_prompt_of(m == 4 ? "s7 p40 p33 p90 q9 t4" : "s7 p40 p33 p90 q9");
        ba_plan *plan = NULL;
        CU_ASSERT_EQUAL_FATAL(ba_mode_plan(modes[m], p, &plan, err), 0);
        ba_run_stats stats = {.copy_s = -1};
        double *cold = logits_of(engine, plan, NULL, &stats);
        CU_ASSERT_PTR_NOT_NULL_FATAL(cold);
        CU_ASSERT_EQUAL(stats.copy_s, 0);
        for (int stopped = 1; stopped >= 0; stopped--) {
            stop s = {1};
            const ba_engine_options opt = {.progress = stop_at, .arg = &s};
            ba_store_clear(f.store);
            double *loaded = logits_of(engine, plan, stopped ? &opt : NULL, &stats);
            CU_ASSERT_EQUAL(loaded == NULL, stopped);
            CU_ASSERT_EQUAL(away_waiting(), 0);
            if (loaded) {
                CU_ASSERT_EQUAL(memcmp(cold, loaded, ba_engine_shape(engine)->vocab * sizeof *cold), 0);
                CU_ASSERT(stats.copy_s > 0 && stats.load_bytes > 0 && stats.n_reused > 0);
            }
            free(loaded);
        }
        free(cold);
        ba_plan_free(plan);
        ba_prompt_free(p);
        ba_engine_free(engine);
        shelf_close(&f);
    }
    ba_model_close(model);
}

/* A device that fails while it encodes: the run says so, and no tier gets what it computed. */
static void a_failed_device_leaves_nothing(void) {
    char path[512], err[BA_ERR_LEN];
    ba_model *model;
    ba_engine *engine;
    ba_run *run = NULL;
    ba_plan *plan = NULL;
    snprintf(path, sizeof path, "%s/device.gguf", ba_test_dir());
    CU_ASSERT_EQUAL_FATAL(ba_tiny_gguf(path, &(ba_tiny_options){.layers = 4}), 0);
    CU_ASSERT_EQUAL_FATAL(ba_model_open(path, true, &model, err), 0);
    shelf f = open_away("gpu:64M,ram:64M", "failed");
    CU_ASSERT_EQUAL_FATAL(ba_engine_new(model, f.be, f.store, NULL, &engine, err), 0);
    ba_prompt *p = ba_prompt_of("s7 p40 p33 p90 q9");
    CU_ASSERT_EQUAL_FATAL(ba_mode_plan("block", p, &plan, err), 0);
    away.attentions = 2;
    CU_ASSERT_EQUAL(ba_engine_run(engine, plan, NULL, 0, &run, err), 0);
    CU_ASSERT(run && ba_run_check(run, err) == -1 && strstr(err, BA_DEVICE_FAILED));
    ba_run_free(run);
    ba_store_flush(f.store);
    CU_ASSERT_EQUAL(ba_store_get_tier_stats(f.store, 0).written.blocks, 0);
    ba_plan_free(plan);
    ba_prompt_free(p);
    ba_engine_free(engine);
    ba_model_close(model);
    shelf_close(&f);
}

/* Weights and the store's share must fit on the device together, before anything is loaded. */
static void a_full_device_is_refused(void) {
    static const struct {
        const char *tiers, *says;
    } rows[] = {{"gpu:128M", "and --store gpu: 0.1 GB"}, {"ram:1G", NULL}, {"gpu:64M", NULL}};
    char path[512], err[BA_ERR_LEN];
    ba_model *model;
    ba_engine *engine;
    snprintf(path, sizeof path, "%s/device.gguf", ba_test_dir());
    CU_ASSERT_EQUAL_FATAL(ba_tiny_gguf(path, &(ba_tiny_options){.layers = 4}), 0);
    CU_ASSERT_EQUAL_FATAL(ba_model_open(path, true, &model, err), 0);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        shelf f = open_away(rows[i].tiers, "full");
        int rc = ba_engine_new(model, f.be, f.store, NULL, &engine, err);
        CU_ASSERT_EQUAL(rc, rows[i].says ? -1 : 0);
        CU_ASSERT(!rows[i].says || (strstr(err, rows[i].says) && strstr(err, "are free: out of memory")));
        ba_engine_free(engine);
        shelf_close(&f);
    }
    ba_model_close(model);
}

int ba_suite_device_store(void) {
    CU_pSuite s = CU_add_suite("device_store", NULL, NULL);
    return s && CU_add_test(s, "blocks come back from every place", blocks_come_back_from_every_place) &&
                   CU_add_test(s, "what is being copied stays", what_is_being_copied_stays) &&
                   CU_add_test(s, "the tier in memory has a budget", the_tier_in_memory_has_a_budget) &&
                   CU_add_test(s, "what cannot be written is left out", what_cannot_be_written_is_left_out) &&
                   CU_add_test(s, "a store must fit its backend", a_store_must_fit_its_backend) &&
                   CU_add_test(s, "loaded equals encoded, to the bit", loaded_equals_encoded) &&
                   CU_add_test(s, "a failed device leaves nothing", a_failed_device_leaves_nothing) &&
                   CU_add_test(s, "a full device is refused", a_full_device_is_refused)
               ? 0
               : -1;
}

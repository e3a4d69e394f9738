/* Attention of the fp32 and bf16 backends, in every instruction set of this processor, against the oracle, and its
 * properties. */
#include "tests/support/rig.h"

#include "kernels/base/compare.h"
#include "kernels/cpu/bf16/bf16.h"
#include "sim/base/random.h"
#include "tests/support/runner.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* fp32 against double: scores and values are of order 1, so errors are a few units of 2^-24. bf16: scores and values of
 * order 1 are off by about 2^-9 each; this limit is for the worst of many thousands. */
#define LIMIT      2e-5
#define LIMIT_BF16 4e-2

static const struct {
    const char *backend, *isa;
    double limit;
} kind[] = {{"cpu", "plain", LIMIT},
            {"cpu", "avx2", LIMIT},
            {"cpu", "avx512", LIMIT},
            {"cpu/bf16", "plain", LIMIT_BF16},
            {"cpu/bf16", NULL, LIMIT_BF16},
            {"cpu/bf16", "avx512", LIMIT_BF16},
            {"cpu/bf16", RIG_AMX_PLAIN, LIMIT_BF16},
            {"cuda", NULL, LIMIT_BF16}};
enum { N_KIND = sizeof kind / sizeof *kind, BF16_PLAIN = 3 };

/* A sanitizer takes ten times as long and runs every fifth random trial. (5 has no factor in common with 3 and 4, by
 * which the trials vary the kinds of choice.) */
enum { STEP = BA_SANITIZED ? 5 : 1 };

/* Opened once for all tests. */
static ba_backend *ref, *fast[N_KIND];

static int suite_open(void) {
    ref = rig_backend("ref", 1, NULL);
    for (size_t i = 0; i < N_KIND; i++) {
        fast[i] = rig_backend(kind[i].backend, 2, kind[i].isa);
    }
    return !ref || !fast[0];
}

static int suite_close(void) {
    ba_backend_close(ref);
    for (size_t i = 0; i < N_KIND; i++) {
        ba_backend_close(fast[i]);
    }
    return 0;
}

static double *outputs(const scene *s) {
    double *out = malloc(s->rows * s->heads * s->dim * sizeof *out);
    CU_ASSERT_PTR_NOT_NULL_FATAL(out);
    return out;
}

/* Runs the jobs on the oracle and on every instruction set, compares results and counters. */
static void check_jobs(const scene *s, rig_job *job, size_t n_jobs) {
    size_t n = s->rows * s->heads * s->dim;
    double *want = outputs(s), *got = outputs(s);
    rig r;
    rig_open(&r, s, ref);
    ref->count = (ba_counters){0};
    rig_attend(&r, job, n_jobs, want);
    rig_close(&r);
    for (size_t i = 0; i < N_KIND; i++) {
        if (!fast[i] || (i >= BF16_PLAIN && job->job.select_k)) {
            continue; /* what bf16 chooses is compared in test_select */
        }
        rig_open(&r, s, fast[i]);
        fast[i]->count = (ba_counters){0};
        rig_attend(&r, job, n_jobs, got);
        rig_close(&r);
        ba_distance d = ba_compare(want, got, n);
        if (!d.finite || d.max_abs > kind[i].limit) {
            printf("\n  %s: dim %zu heads %zu/%zu rows %zu: off by %g at %zu\n", fast[i]->ops->describe(fast[i]),
                   s->dim, s->heads, s->kv_heads, s->rows, d.max_abs, d.worst);
        }
        CU_ASSERT(d.finite && d.max_abs <= kind[i].limit);
        CU_ASSERT_EQUAL(ref->count.flops_exact, fast[i]->count.flops_exact);
        CU_ASSERT_EQUAL(ref->count.flops_dense, fast[i]->count.flops_dense);
        if (fast[i]->kv_size == fast[i]->real_size) {
            CU_ASSERT_EQUAL(ref->count.bytes_read, 2 * fast[i]->count.bytes_read);
        }
        CU_ASSERT_EQUAL(ref->count.bytes_written, 2 * fast[i]->count.bytes_written);
    }
    free(want);
    free(got);
}

static rig_job whole_job(const scene *s) {
    rig_job j = {.job = {.rows = s->rows, .n_seg = 1}};
    j.seg[0] = (ba_kv_segment){.n = s->tokens[0], .rot_row = s->n_rot / 2, .score_scale = 1};
    return j;
}

static void check_length(size_t keys, size_t rows, size_t heads, size_t kv_heads, size_t dim) {
    uint64_t seed = keys + dim;
    scene s = {.heads = heads, .kv_heads = kv_heads, .dim = dim, .rows = rows, .n_kv = 1, .tokens = {keys}};
    scene_make(&s, &seed);
    rig_job j = whole_job(&s);
    check_jobs(&s, &j, 1);
    scene_free(&s);
}

static void test_every_length(void) {
    for (size_t keys = 1; keys <= 130; keys++) {
        check_length(keys, 1 + keys % 4, 3, 1, 64);
    }
    static const size_t dims[] = {8, 80, 96, 128, 256};
    for (size_t i = 0; i < sizeof dims / sizeof *dims; i++) {
        for (size_t keys = 1; keys <= 130; keys += 1 + keys / 3) {
            check_length(keys, 3, 2, 2, dims[i]);
        }
    }
    check_length(511, 5, 4, 2, 64);
    check_length(2049, 3, 9, 3, 64);
    check_length(4500, 2, 8, 1, 80);
}

/* On a processor with AMX the other tests must really have run its kernels. */
static void test_matrix_units(void) {
    if (!ba_bf16_has_amx()) {
        ba_test_skip("AMX: not of this processor, kernel or build; its kernel is tested over registers in plain C");
        return;
    }
    ba_backend *be = rig_backend("cpu/bf16", 2, NULL);
    CU_ASSERT_FATAL(be && ((ba_bf16 *)be)->isa.attend == ba_bf16_isa_amx.tile.attend);
    CU_ASSERT(((ba_bf16 *)be)->product == ba_bf16_product_amx);
    ba_backend_close(be);
}

static void test_every_group(void) {
    static const size_t groups[] = {1, 2, 3, 4, 5, 7, 8, 16, 100};
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
        check_length(77, 5, 2 * groups[i], 2, 64);
        check_length(200, 37, groups[i], 1, 32);
    }
}

/* Masks of a random job: about half of the segments have one; some rows see nothing of a segment, some nothing at all.
 */
static void random_range(uint64_t *seed, size_t rows, size_t n, int32_t *lo, int32_t *hi) {
    for (size_t r = 0; r < rows; r++) {
        lo[r] = ba_random_below(seed, 3) ? 0 : (int32_t)ba_random_below(seed, n + 1);
        hi[r] = ba_random_below(seed, 3) ? (int32_t)ba_random_below(seed, n + 1) : (int32_t)n;
    }
}

enum { MAX_ROWS = 64, RANDOM_SEGS = 16 };
typedef struct masks {
    int32_t lo[RIG_SEGS][MAX_ROWS], hi[RIG_SEGS][MAX_ROWS];
    double lse_scale[2];
} masks;

static void random_job(uint64_t *seed, const scene *s, size_t row0, size_t rows, masks *m, rig_job *j) {
    *j = (rig_job){.job = {.row0 = row0, .rows = rows, .n_seg = 1 + ba_random_below(seed, RANDOM_SEGS)}};
    if (ba_random_below(seed, 2)) {
        j->job.n_groups = 2;
        j->job.group_lse_scale = m->lse_scale;
        m->lse_scale[0] = 0.9;
        m->lse_scale[1] = 1.1;
    }
    for (size_t i = 0; i < j->job.n_seg; i++) {
        size_t kv = j->kv[i] = ba_random_below(seed, s->n_kv), first = ba_random_below(seed, s->tokens[kv]);
        ba_kv_segment *seg = &j->seg[i];
        *seg = (ba_kv_segment){.first = first,
                               .n = ba_random_below(seed, s->tokens[kv] - first + 1),
                               .rot_row = ba_random_below(seed, s->n_rot - rows),
                               .score_scale = ba_random_below(seed, 2) ? 1 : 1 / 0.9,
                               .score_bias = ba_random_below(seed, 2) ? 0 : rig_normal(seed),
                               .group = (int)ba_random_below(seed, j->job.n_groups + 1),
                               .selectable = ba_random_below(seed, 2)};
        if (ba_random_below(seed, 2)) {
            random_range(seed, rows, seg->n, m->lo[i], m->hi[i]);
            seg->lo = ba_random_below(seed, 2) ? m->lo[i] : NULL;
            seg->hi = m->hi[i];
        }
    }
}

static void random_scene(uint64_t *seed, scene *s) {
    static const size_t dims[] = {64, 80, 96, 128}, groups[] = {1, 3, 4, 8};
    *s = (scene){.kv_heads = 1 + ba_random_below(seed, 3), .dim = dims[ba_random_below(seed, 4)], .n_kv = RIG_KV};
    s->heads = s->kv_heads * groups[ba_random_below(seed, 4)];
    s->rows = 1 + ba_random_below(seed, 40);
    for (size_t i = 0; i < RIG_KV; i++) {
        s->tokens[i] = 1 + ba_random_below(seed, i == 3 ? 900 : 150);
    }
    scene_make(s, seed);
}

static void test_random_jobs(void) {
    for (uint64_t trial = 0; trial < 60; trial += STEP) {
        uint64_t seed = 1000 + trial;
        scene s;
        random_scene(&seed, &s);
        masks m[2];
        rig_job j[2];
        size_t cut = ba_random_below(&seed, s.rows);
        random_job(&seed, &s, 0, cut, &m[0], &j[0]);
        random_job(&seed, &s, cut, s.rows - cut, &m[1], &j[1]);
        check_jobs(&s, j, 2);
        scene_free(&s);
    }
}

/* Causal attention over many chunks, in few and in many rows. */
static void test_causal(void) {
    uint64_t seed = 3;
    scene s = {.heads = 6, .kv_heads = 2, .dim = 64, .rows = 300, .n_kv = 1, .tokens = {2300}};
    scene_make(&s, &seed);
    rig_job j = whole_job(&s);
    int32_t hi[300];
    for (size_t r = 0; r < s.rows; r++) {
        hi[r] = (int32_t)(s.tokens[0] - s.rows + r + 1);
    }
    j.seg[0].hi = hi;
    check_jobs(&s, &j, 1);
    scene_free(&s);
}

/* Choices compare sums of rounded numbers. The choice of the oracle is clear on random data, so it can be compared. */
static void test_select(void) {
    for (uint64_t trial = 0; trial < 30; trial += STEP) {
        uint64_t seed = 5000 + trial;
        scene s;
        random_scene(&seed, &s);
        masks m;
        rig_job j;
        random_job(&seed, &s, 0, s.rows, &m, &j);
        size_t n = s.rows * s.heads * j.job.n_seg;
        uint8_t *want = malloc(n), *got = malloc(n);
        double *probes = malloc(4 * n * sizeof *probes);
        CU_ASSERT_FATAL(want && got && probes);
        ba_attn_probe a = {probes, probes + n}, b = {probes + 2 * n, probes + 3 * n};
        j.job.select_k = trial % 4;
        j.job.select_top = 5;
        j.job.select_shared = trial % 3 == 0;
        check_jobs(&s, &j, 1);
        double *out = outputs(&s);
        rig r;
        j.job.chosen = want;
        j.job.probe = &a;
        rig_open(&r, &s, ref);
        rig_attend(&r, &j, 1, out);
        rig_close(&r);
        for (size_t i = 0; i < N_KIND; i++) {
            if (fast[i]) {
                j.job.chosen = got;
                j.job.probe = &b;
                rig_open(&r, &s, fast[i]);
                rig_attend(&r, &j, 1, out);
                rig_close(&r);
                if (i == BF16_PLAIN) { /* rounding may change a choice: fast bf16 is compared with plain bf16 */
                    memcpy(want, got, n);
                    memcpy(probes, probes + 2 * n, 2 * n * sizeof *probes);
                }
                CU_ASSERT(memcmp(want, got, n) == 0);
                for (size_t k = 0; k < 2 * n; k++) {
                    bool none = probes[k] == -INFINITY && probes[2 * n + k] == -INFINITY;
                    CU_ASSERT(none || fabs(probes[k] - probes[2 * n + k]) < kind[i].limit);
                }
            }
        }
        free(out);
        free(probes);
        free(want);
        free(got);
        scene_free(&s);
    }
}

/* More segments than a warp has lanes, of which each row and head, or all together, keep a few; the first and the last,
 * which is causal, are always kept. */
enum { KEPT_ROWS = 6, KEPT_TOKENS = 23, KEPT_K = 5 };

static rig_job many_segments(const int32_t *hi, bool shared) {
    rig_job j = {.job = {.rows = KEPT_ROWS, .n_seg = RIG_SEGS, .select_k = KEPT_K, .select_top = 3}};
    j.job.select_shared = shared;
    for (size_t i = 0; i < RIG_SEGS; i++) {
        j.seg[i] = (ba_kv_segment){.first = i * KEPT_TOKENS, .n = KEPT_TOKENS, .rot_row = 10, .score_scale = 1};
        j.seg[i].selectable = i > 0 && i < RIG_SEGS - 1;
    }
    j.seg[RIG_SEGS - 1].hi = hi;
    return j;
}

/* The oracle's attention of one row over the segments that one of its heads keeps, without a choice. */
static void attend_kept(const scene *s, const rig_job *all, size_t row, const uint8_t *kept, double *out) {
    rig_job j = {.job = {.row0 = row, .rows = 1}};
    for (size_t i = 0; i < all->job.n_seg; i++) {
        if (kept[i]) {
            ba_kv_segment *seg = &j.seg[j.job.n_seg++];
            *seg = all->seg[i];
            seg->rot_row += row;
            seg->hi += seg->hi ? row : 0;
        }
    }
    rig r;
    rig_open(&r, s, ref);
    rig_attend(&r, &j, 1, out);
    rig_close(&r);
}

static void check_kept(const scene *s, ba_backend *be, double limit, rig_job *j) {
    uint8_t kept[KEPT_ROWS * 4 * RIG_SEGS];
    double *got = outputs(s), *want = outputs(s);
    rig r;
    j->job.chosen = kept;
    rig_open(&r, s, be);
    rig_attend(&r, j, 1, got);
    rig_close(&r);
    for (size_t i = 0; i < s->rows * s->heads; i++) {
        const uint8_t *mine = kept + i * RIG_SEGS;
        size_t n = 0;
        for (size_t k = 0; k < RIG_SEGS; k++) {
            n += mine[k];
        }
        CU_ASSERT_EQUAL(n, KEPT_K + 2);
        CU_ASSERT(!j->job.select_shared || memcmp(mine, kept, RIG_SEGS) == 0);
        attend_kept(s, j, i / s->heads, mine, want);
        ba_distance d = ba_compare(want + i * s->dim, got + i * s->dim, s->dim);
        CU_ASSERT(d.finite && d.max_abs <= limit);
    }
    free(got);
    free(want);
}

static void test_kept(void) {
    int32_t hi[KEPT_ROWS];
    for (size_t row = 0; row < KEPT_ROWS; row++) {
        hi[row] = (int32_t)(KEPT_TOKENS - KEPT_ROWS + row + 1);
    }
    for (uint64_t trial = 0; trial < 4; trial++) {
        uint64_t seed = 6000 + trial;
        scene s = {
            .heads = 4, .kv_heads = 2, .dim = 32, .rows = KEPT_ROWS, .n_kv = 1, .tokens = {RIG_SEGS * KEPT_TOKENS}};
        scene_make(&s, &seed);
        rig_job j = many_segments(hi, trial % 2);
        for (size_t i = 0; i <= N_KIND; i++) {
            ba_backend *be = i < N_KIND ? fast[i] : ref;
            if (be) {
                check_kept(&s, be, i < N_KIND ? kind[i].limit : 1e-12, &j);
            }
        }
        scene_free(&s);
    }
}

/* What random rows attend to each key of random segments and masks: of every row and head, and of the mean query. The
 * largest sums are of order 1 (a probability) to the number of rows and heads. */
static double mass_of(ba_backend *be, const scene *s, rig_job *j, bool mean_query, double *out) {
    rig r;
    rig_open(&r, s, be);
    for (size_t i = 0; i < j->job.n_seg; i++) {
        j->seg[i].kv = r.kv[j->kv[i]];
    }
    j->job.seg = j->seg;
    ba_counters before = be->count;
    be->ops->key_mass(be, 0, s->heads, s->scale, r.rot, &j->job, (ba_view){r.q, 0, 0}, mean_query, out);
    double flops = (double)(be->count.flops_exact - before.flops_exact);
    rig_close(&r);
    return flops;
}

static void test_mass(void) {
    for (uint64_t trial = 0; trial < 40; trial += STEP) {
        uint64_t seed = 7000 + trial;
        scene s;
        random_scene(&seed, &s);
        masks m;
        rig_job j;
        size_t row0 = ba_random_below(&seed, s.rows), keys = 0;
        random_job(&seed, &s, row0, s.rows - row0, &m, &j);
        for (size_t i = 0; i < j.job.n_seg; i++) {
            keys += j.seg[i].n;
        }
        double *want = malloc((keys + 1) * sizeof *want), *got = malloc((keys + 1) * sizeof *got);
        CU_ASSERT_FATAL(want && got);
        bool mean = trial % 2;
        double flops = mass_of(ref, &s, &j, mean, want), total = 0, most = 0;
        for (size_t k = 0; k < keys; k++) {
            total += want[k];
            most = fmax(most, want[k]);
        }
        CU_ASSERT(total <= (double)(mean ? s.kv_heads : j.job.rows * s.heads) + 1e-9);
        for (size_t i = 0; i < N_KIND; i++) {
            if (fast[i]) {
                CU_ASSERT_EQUAL(mass_of(fast[i], &s, &j, mean, got), flops);
                for (size_t k = 0; k < keys; k++) {
                    CU_ASSERT(fabs(want[k] - got[k]) <= kind[i].limit * most);
                }
            }
        }
        free(want);
        free(got);
        scene_free(&s);
    }
}

/* ---- properties, to the bit ---- */

static void attend_with(const scene *s, rig_job *j, size_t n_jobs, size_t threads, size_t i, double *out) {
    ba_backend *be = rig_backend(kind[i].backend, threads, kind[i].isa);
    if (be) {
        rig r;
        rig_open(&r, s, be);
        rig_attend(&r, j, n_jobs, out);
        rig_close(&r);
        ba_backend_close(be);
    }
}

static bool same_bits(const double *a, const double *b, size_t n) {
    return memcmp(a, b, n * sizeof *a) == 0;
}

/* Long lists of segments, so that rows are cut into chunks that several threads compute. */
static void make_long(scene *s, rig_job *j, int32_t *hi, uint64_t seed) {
    *s = (scene){.heads = 6, .kv_heads = 2, .dim = 64, .rows = 50, .n_kv = 3, .tokens = {3000, 130, 2222}};
    scene_make(s, &seed);
    *j = (rig_job){.job = {.rows = s->rows, .n_seg = 6}};
    for (size_t i = 0; i < j->job.n_seg; i++) {
        j->kv[i] = i % 3;
        j->seg[i] = (ba_kv_segment){.first = i * 7, .rot_row = 40 * i, .score_scale = 1};
        j->seg[i].n = s->tokens[i % 3] - i * 7;
    }
    for (size_t r = 0; r < s->rows; r++) {
        hi[r] = (int32_t)(j->seg[5].n - s->rows + r + 1);
    }
    j->seg[5].hi = hi;
}

static void test_threads_agree(void) {
    scene s;
    rig_job j;
    int32_t hi[50];
    make_long(&s, &j, hi, 11);
    size_t n = s.rows * s.heads * s.dim;
    double *one = outputs(&s), *many = outputs(&s);
    check_jobs(&s, &j, 1);
    for (size_t i = 0; i < N_KIND; i++) {
        if (fast[i]) {
            attend_with(&s, &j, 1, 1, i, one);
            for (size_t threads = BA_SANITIZED ? 4 : 2; threads <= 4; threads++) {
                attend_with(&s, &j, 1, threads, i, many);
                CU_ASSERT(same_bits(one, many, n));
            }
        }
    }
    free(one);
    free(many);
    scene_free(&s);
}

/* Each row in a job of its own that sees the same keys. */
static void test_row_alone_agrees(void) {
    scene s;
    rig_job j;
    int32_t hi[50];
    if (BA_SANITIZED) {
        ba_test_skip("no sanitizer looks at bits");
        return;
    }
    make_long(&s, &j, hi, 12);
    size_t cols = s.heads * s.dim, n = s.rows * cols;
    double *together = outputs(&s), *alone = outputs(&s);
    rig_job *rows = calloc(s.rows, sizeof *rows);
    CU_ASSERT_PTR_NOT_NULL_FATAL(rows);
    for (size_t r = 0; r < s.rows; r++) {
        rows[r] = j;
        rows[r].job.row0 = r;
        rows[r].job.rows = 1;
        rows[r].seg[5].n = (size_t)hi[r]; /* the segment ends at the row's last key */
        rows[r].seg[5].hi = NULL;
        for (size_t i = 0; i < j.job.n_seg; i++) {
            rows[r].seg[i].rot_row += r;
        }
    }
    for (size_t i = 0; i < N_KIND; i++) {
        if (fast[i]) {
            rig r;
            rig_open(&r, &s, fast[i]);
            rig_attend(&r, &j, 1, together);
            rig_attend(&r, rows, s.rows, alone);
            CU_ASSERT(same_bits(together, alone, n));
            rig_attend(&r, rows + 17, 1, alone);
            CU_ASSERT(same_bits(together + 17 * cols, alone + 17 * cols, cols));
            rig_close(&r);
        }
    }
    free(rows);
    free(together);
    free(alone);
    scene_free(&s);
}

/* ---- properties, up to rounding ---- */

static void test_constant_values(void) {
    uint64_t seed = 21;
    scene s = {.heads = 4, .kv_heads = 2, .dim = 64, .rows = 9, .n_kv = 1, .tokens = {777}};
    scene_make(&s, &seed);
    for (size_t i = 0; i < s.tokens[0] * s.kv_heads * s.dim; i++) {
        s.v[0][i] = 3.25;
    }
    rig_job j = whole_job(&s);
    double *out = outputs(&s);
    for (size_t i = 0; i < N_KIND; i++) {
        if (fast[i]) {
            rig r;
            rig_open(&r, &s, fast[i]);
            rig_attend(&r, &j, 1, out);
            rig_close(&r);
            for (size_t k = 0; k < s.rows * s.heads * s.dim; k++) {
                CU_ASSERT(fabs(out[k] - 3.25) < 1e-5);
            }
        }
    }
    free(out);
    scene_free(&s);
}

/* Neither the order of segments nor a cut through a segment changes the result by more than rounding. */
static void test_permuted_and_split(void) {
    scene s;
    rig_job j, other;
    int32_t hi[50], hi0[50], lo1[50];
    make_long(&s, &j, hi, 13);
    size_t n = s.rows * s.heads * s.dim;
    double *a = outputs(&s), *b = outputs(&s);
    rig r;
    ba_backend *be = rig_backend("cpu", 2, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(be);
    rig_open(&r, &s, be);
    rig_attend(&r, &j, 1, a);
    other = j;
    for (size_t i = 0; i < 6; i++) {
        other.seg[i] = j.seg[5 - i];
        other.kv[i] = j.kv[5 - i];
    }
    rig_attend(&r, &other, 1, b);
    CU_ASSERT(ba_close(a, b, n, LIMIT));
    other = j; /* the last segment in two parts, the masked one second; 101 keys are in both, hidden in one */
    other.job.n_seg = 7;
    other.kv[6] = other.kv[5];
    other.seg[6] = other.seg[5];
    other.seg[5].n = 900;
    for (size_t i = 0; i < s.rows; i++) {
        hi0[i] = 900;
        lo1[i] = 101;
        hi[i] -= 900 - 101;
    }
    other.seg[5].hi = hi0;
    other.seg[6].first += 900 - 101;
    other.seg[6].n -= 900 - 101;
    other.seg[6].lo = lo1;
    rig_attend(&r, &other, 1, b);
    CU_ASSERT(ba_close(a, b, n, LIMIT));
    rig_close(&r);
    ba_backend_close(be);
    free(a);
    free(b);
    scene_free(&s);
}

/* Rotating the query by p - at equals rotating the keys by at, because only the difference matters. */
static void test_query_side_rotation(void) {
    uint64_t seed = 31;
    scene s = {.heads = 4, .kv_heads = 2, .dim = 64, .rows = 9, .n_kv = 2, .tokens = {150, 150}};
    scene_make(&s, &seed);
    rig_job j = whole_job(&s), moved = j;
    double *a = outputs(&s), *b = outputs(&s);
    ba_backend *be = rig_backend("cpu", 1, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(be);
    rig r;
    rig_open(&r, &s, be);
    rig_attend(&r, &j, 1, a);
    /* Keys of KV 1 = those of KV 0, 60 positions further on; so is the query. */
    ba_rot *by = be->ops->rot_new(be, 150, 32);
    double pos[150];
    for (size_t i = 0; i < 150; i++) {
        pos[i] = 60;
    }
    be->ops->rot_fill(be, by, 0, 150, pos, r.freqs);
    be->ops->kv_copy(be, r.kv[1], 0, r.kv[0], 0, 150, 0, by, 0);
    moved.kv[0] = 1;
    moved.seg[0].rot_row += 60;
    rig_attend(&r, &moved, 1, b);
    CU_ASSERT(ba_close(a, b, s.rows * s.heads * s.dim, LIMIT));
    be->ops->rot_free(be, by);
    rig_close(&r);
    ba_backend_close(be);
    free(a);
    free(b);
    scene_free(&s);
}

/* A row that sees no key yields zeros; a NaN that a row sees reaches its result. */
static void test_nothing_and_nan(void) {
    uint64_t seed = 41;
    scene s = {.heads = 2, .kv_heads = 1, .dim = 64, .rows = 2, .n_kv = 1, .tokens = {40}};
    scene_make(&s, &seed);
    rig_job j = whole_job(&s);
    int32_t hi[2] = {0, 40};
    j.seg[0].hi = hi;
    check_jobs(&s, &j, 1);
    s.k[0][5] = NAN;
    double *out = outputs(&s);
    for (size_t i = 0; i <= N_KIND; i++) {
        ba_backend *be = i < N_KIND ? fast[i] : ref;
        if (be) {
            rig r;
            rig_open(&r, &s, be);
            rig_attend(&r, &j, 1, out);
            rig_close(&r);
            CU_ASSERT_EQUAL(out[0], 0);
            CU_ASSERT(isnan(out[s.heads * s.dim]));
            CU_ASSERT_FALSE(ba_compare(out, out, s.rows * s.heads * s.dim).finite);
        }
    }
    free(out);
    scene_free(&s);
}

int ba_suite_attention(void) {
    CU_pSuite suite = CU_add_suite("attention", suite_open, suite_close);
    return !suite ||
           !CU_add_test(suite, "every key length and head size within the limit of the oracle", test_every_length) ||
           !CU_add_test(suite, "every group of query heads within the limit of the oracle", test_every_group) ||
           !CU_add_test(suite, "AMX is used where the processor has it", test_matrix_units) ||
           !CU_add_test(suite, "random segments, masks and groups agree with the oracle", test_random_jobs) ||
           !CU_add_test(suite, "a causal mask over many chunks agrees with the oracle", test_causal) ||
           !CU_add_test(suite, "choices of segments and probes agree with the oracle", test_select) ||
           !CU_add_test(suite, "rows attend to what they keep, and to nothing else", test_kept) ||
           !CU_add_test(suite, "what rows attend to each key agrees with the oracle", test_mass) ||
           !CU_add_test(suite, "any thread count gives the same bits", test_threads_agree) ||
           !CU_add_test(suite, "a row alone gives the same bits", test_row_alone_agrees) ||
           !CU_add_test(suite, "constant values come out constant", test_constant_values) ||
           !CU_add_test(suite, "permuting and splitting segments changes nothing", test_permuted_and_split) ||
           !CU_add_test(suite, "rotating the query equals rotating the keys", test_query_side_rotation) ||
           !CU_add_test(suite, "a row without keys is zero, a NaN is not lost", test_nothing_and_nan);
}

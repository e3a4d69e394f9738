/* Weight formats against golden vectors, the thread pool, comparisons, and every operation but attention of every
 * backend against the oracle. */
#include "tests/support/rig.h"

#include "kernels/base/compare.h"
#include "kernels/base/dtype.h"
#include "kernels/base/half.h"
#include "kernels/base/pool.h"
#include "kernels/base/random_weight.h"
#include "tests/support/runner.h"

#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- weight formats ---- */

static uint32_t bits_of(float f) {
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

static FILE *open_golden(void) {
    char path[4096];
    ba_test_golden("dtype/dtype.txt", path, sizeof path);
    return fopen(path, "r");
}

/* Next `digits` hexadecimal digits of a file, spaces skipped. */
static uint32_t read_hex(FILE *file, int digits) {
    char text[9] = "", format[8], *end;
    snprintf(format, sizeof format, " %%%dc", digits);
    CU_ASSERT_FATAL(digits <= 8 && fscanf(file, format, text) == 1);
    uint32_t value = (uint32_t)strtoul(text, &end, 16);
    CU_ASSERT_FATAL(*end == 0);
    return value;
}

/* One line "NAME hex", one line of fp32 bit patterns; see make.py beside the file. */
static void test_golden_formats(void) {
    FILE *file = open_golden();
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    char name[16];
    size_t vectors = 0;
    bool seen[BA_DTYPE_COUNT] = {false};
    while (fscanf(file, "%15s", name) == 1) {
        size_t t = 0;
        while (t < BA_DTYPE_COUNT && strcmp(name, ba_dtype_get((ba_dtype)t)->name) != 0) {
            t++;
        }
        CU_ASSERT_FATAL(t < BA_DTYPE_COUNT);
        const ba_dtype_info *type = ba_dtype_get((ba_dtype)t);
        /* At an odd address, with an end that a sanitizer guards. */
        uint8_t *block = malloc(type->bytes + 1);
        float *values = malloc(type->block * sizeof *values);
        CU_ASSERT_FATAL(block && values);
        for (size_t i = 0; i < type->bytes; i++) {
            block[1 + i] = (uint8_t)read_hex(file, 2);
        }
        type->decode(block + 1, values, type->block);
        for (size_t i = 0; i < type->block; i++) {
            CU_ASSERT_EQUAL(bits_of(values[i]), read_hex(file, 8));
        }
        free(block);
        free(values);
        seen[t] = true;
        vectors++;
    }
    fclose(file);
    CU_ASSERT(vectors == 2 * BA_DTYPE_COUNT);
    for (size_t t = 0; t < BA_DTYPE_COUNT; t++) {
        CU_ASSERT(seen[t]);
    }
}

static void test_format_names(void) {
    ba_dtype type;
    CU_ASSERT(ba_dtype_by_ggml(3, &type) == 0 && type == BA_Q4_1);
    CU_ASSERT(ba_dtype_by_ggml(30, &type) == 0 && type == BA_BF16);
    CU_ASSERT(ba_dtype_by_ggml(16, &type) == -1);
    CU_ASSERT_STRING_EQUAL(ba_dtype_ggml_name(16), "IQ2_XXS");
    CU_ASSERT_STRING_EQUAL(ba_dtype_ggml_name(14), "Q6_K");
    CU_ASSERT_PTR_NULL(ba_dtype_ggml_name(4711));
}

/* Every half is the same after conversion to fp32 and back; halfway cases round to even. */
static void test_scalar_conversions(void) {
    for (uint32_t h = 0; h < 0x10000; h++) {
        bool nan16 = (h & 0x7c00) == 0x7c00 && (h & 0x3ff), nan_b = (h & 0x7f80) == 0x7f80 && (h & 0x7f);
        float f = ba_f16_to_f32((uint16_t)h), b = ba_bf16_to_f32((uint16_t)h);
        CU_ASSERT(nan16 ? isnan(f) != 0 : ba_f32_to_f16(f) == h);
        CU_ASSERT(nan_b ? isnan(b) != 0 : ba_f32_to_bf16(b) == h);
    }
    CU_ASSERT_EQUAL(ba_f16_to_f32(0x3555), 0x1.554p-2f);
    CU_ASSERT_EQUAL(ba_f32_to_f16(65519.0f), 0x7bff);
    CU_ASSERT_EQUAL(ba_f32_to_f16(65520.0f), 0x7c00);
    CU_ASSERT_EQUAL(ba_f32_to_f16(0x1p-25f), 0);   /* half of the smallest: to even */
    CU_ASSERT_EQUAL(ba_f32_to_f16(0x1.8p-24f), 2); /* one and a half of it: to even */
    CU_ASSERT_EQUAL(ba_f32_to_f16(0x1.002p0f), 0x3c00);
    CU_ASSERT_EQUAL(ba_f32_to_f16(0x1.006p0f), 0x3c02);
    CU_ASSERT_EQUAL(ba_f32_to_bf16(0x1.01p0f), 0x3f80);
    CU_ASSERT_EQUAL(ba_f32_to_bf16(0x1.03p0f), 0x3f82);
    CU_ASSERT((ba_f32_to_f16(NAN) & 0x7fff) > 0x7c00);
    CU_ASSERT((ba_f32_to_bf16(NAN) & 0x7fff) > 0x7f80);
}

/* ---- comparisons ---- */

static void test_compare(void) {
    double a[4] = {1, 2, 3, 4}, b[4] = {1, 2.5, 3, 4};
    ba_distance d = ba_compare(a, b, 4);
    CU_ASSERT(d.finite && d.max_abs == 0.5 && d.worst == 1 && fabs(d.nmse - 0.25 / 30) < 1e-15);
    CU_ASSERT(ba_close(a, b, 4, 0.5));
    CU_ASSERT_FALSE(ba_close(a, b, 4, 0.49));
    b[2] = NAN;
    d = ba_compare(a, b, 4);
    CU_ASSERT(!d.finite && d.worst == 2 && d.max_abs == INFINITY);
    CU_ASSERT_FALSE(ba_close(a, b, 4, INFINITY));
    CU_ASSERT_FALSE(ba_close(b, b, 4, INFINITY)); /* two NaN are not equal */
    a[0] = b[0] = INFINITY;
    CU_ASSERT(!ba_close(a, b, 4, INFINITY) && ba_compare(a, b, 4).worst == 0);
    double zero[2] = {0, 0}, some[2] = {0, 1};
    CU_ASSERT(ba_compare(zero, zero, 2).nmse == 0 && ba_compare(zero, some, 2).nmse == INFINITY);
}

/* ---- pool ---- */

typedef struct tally {
    atomic_uint times[1000];
    atomic_uint bad_worker;
    size_t threads;
} tally;

static void tally_task(void *arg, size_t index, size_t worker) {
    tally *t = arg;
    atomic_fetch_add(&t->times[index], 1);
    if (worker >= t->threads) {
        atomic_fetch_add(&t->bad_worker, 1);
    }
}

static void test_pool(void) {
    for (size_t threads = 1; threads <= 5; threads++) {
        ba_pool *pool = ba_pool_new(threads);
        CU_ASSERT_PTR_NOT_NULL_FATAL(pool);
        CU_ASSERT_EQUAL(ba_pool_threads(pool), threads);
        tally t = {.threads = threads};
        unsigned want[1000] = {0};
        for (size_t run = 0; run < 300; run++) {
            size_t n = run % 7 == 0 ? 1000 : run % 5;
            ba_pool_run(pool, n, tally_task, &t);
            for (size_t i = 0; i < n; i++) {
                want[i]++;
            }
        }
        for (size_t i = 0; i < 1000; i++) {
            CU_ASSERT_EQUAL(atomic_load(&t.times[i]), want[i]);
        }
        CU_ASSERT_EQUAL(atomic_load(&t.bad_worker), 0);
        ba_pool_free(pool);
    }
}

/* ---- backends ---- */

static void test_open(void) {
    char err[BA_ERR_LEN] = "";
    ba_backend *be = NULL;
    CU_ASSERT(ba_backend_open("abacus", &(ba_backend_config){.threads = 1}, &be, err) == -1);
    CU_ASSERT(be == NULL && strstr(err, "abacus") && strstr(err, "openblas") && strstr(err, "ref"));
    CU_ASSERT(ba_backend_open("ref", &(ba_backend_config){.threads = 0}, &be, err) == -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err, "threads"));
    CU_ASSERT_PTR_NULL(rig_backend("openblas", 1, "abacus"));
    for (size_t i = 0; ba_backend_at(i); i++) {
        be = rig_backend_at(i, 3, NULL);
        if (!be) {
            continue; /* not for this processor */
        }
        CU_ASSERT(be->ops == ba_backend_at(i) && strlen(be->ops->describe(be)) > 0);
        CU_ASSERT(be->count.flops_exact == 0 && be->count.bytes_read == 0);
        ba_backend_close(be);
    }
    ba_backend_close(NULL);
}

/* A name finds a row of its own element type, "auto" the first that fits, and old names say their new spelling. */
static void test_find(void) {
    static const struct {
        const char *name, *dtype, *found, *now; /* found: NAME/TYPE, or NULL if there is none */
    } cases[] = {
        {"auto", "auto", "cpu/f32", ""},
        {NULL, NULL, "cpu/f32", ""},
        {"cpu", "auto", "cpu/f32", ""},
        {"cpu", "bf16", "cpu/bf16", ""},
        {"auto", "bf16", "cpu/bf16", ""},
        {"auto", "f64", "ref/f64", ""},
        {"openblas", "f32", "openblas/f32", ""},
        {"openblas", "bf16", NULL, ""},
        {"native", "auto", "cpu/f32", "--backend cpu --dtype f32"},
        {"native", "bf16", NULL, ""},
        {"native-bf16", "bf16", "cpu/bf16", "--backend cpu --dtype bf16"},
        {"onednn", "auto", "cpu/bf16", "--backend cpu --dtype bf16"},
        {"bf16-plain", "auto", "cpu/bf16", "BLOCKATTN_ISA=plain"},
        {"abacus", "auto", NULL, ""},
        {"auto", "f16", NULL, ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char remark[BA_ERR_LEN], err[BA_ERR_LEN] = "", found[32] = "";
        const ba_backend_ops *ops = ba_backend_find(cases[i].name, cases[i].dtype, remark, err);
        if (ops) {
            snprintf(found, sizeof found, "%s/%s", ops->name, ops->dtype);
        }
        CU_ASSERT_STRING_EQUAL(found, cases[i].found ? cases[i].found : "");
        CU_ASSERT_EQUAL(*remark != 0, *cases[i].now != 0);
        CU_ASSERT_PTR_NOT_NULL(strstr(remark, cases[i].now));
        CU_ASSERT(ops || strstr(err, "cpu (f32), openblas (f32), cpu (bf16), ref (f64)"));
    }
    ba_backend *plain = rig_backend("bf16-plain", 1, NULL), *same = rig_backend("cpu/bf16/plain", 1, NULL);
    CU_ASSERT(plain && same && plain->ops == same->ops && !plain->ops->train);
    ba_backend_close(plain);
    ba_backend_close(same);
}

/* To train, bf16 comes before fp32, and backends that cannot train are refused. */
static void test_open_to_train(void) {
    char err[BA_ERR_LEN] = "";
    ba_backend *be = NULL;
    ba_backend_config cfg = {.threads = 1};
    CU_ASSERT_EQUAL_FATAL(ba_backend_open_to_train("auto", &cfg, &be, err), 0);
    ba_backend *bf16 = rig_backend("cpu/bf16", 1, NULL);
    CU_ASSERT(be->ops->train && (!bf16 || be->ops == bf16->ops));
    ba_backend_close(bf16);
    ba_backend_close(be);
    cfg.dtype = "f32";
    CU_ASSERT_EQUAL_FATAL(ba_backend_open_to_train("auto", &cfg, &be, err), 0);
    CU_ASSERT_STRING_EQUAL(be->ops->name, "openblas");
    ba_backend_close(be);
    CU_ASSERT_EQUAL(ba_backend_open_to_train("cpu", &cfg, &be, err), -1);
    CU_ASSERT(be == NULL && strstr(err, "--backend cpu --dtype f32: no such backend trains"));
    CU_ASSERT_EQUAL(ba_backend_open_to_train("bf16-plain", &(ba_backend_config){.threads = 1}, &be, err), -1);
}

/* A matrix in a backend, wider and longer than the view that the test uses; the surroundings hold a sentinel that
 * must not change. */
typedef struct matrix {
    ba_backend *be;
    ba_buf *buf;
    size_t rows, cols;
} matrix;

enum { ROW0 = 2, COL0 = 16, AROUND = 32 };
static const double SENTINEL = 77.25;

static ba_view view_of(const matrix *m) {
    return (ba_view){m->buf, ROW0, COL0};
}

static matrix matrix_new(ba_backend *be, size_t rows, size_t cols, const double *x) {
    matrix m = {be, be->ops->buf_new(be, rows + 2 * ROW0, cols + AROUND), rows, cols};
    size_t n = (rows + 2 * ROW0) * (cols + AROUND);
    double *all = malloc(n * sizeof *all);
    CU_ASSERT_FATAL(m.buf && all);
    for (size_t i = 0; i < n; i++) {
        all[i] = SENTINEL;
    }
    be->ops->upload(be, (ba_view){m.buf, 0, 0}, rows + 2 * ROW0, cols + AROUND, all);
    if (x) {
        be->ops->upload(be, view_of(&m), rows, cols, x);
    }
    free(all);
    return m;
}

/* Contents (freed by the caller); the surroundings are checked, the matrix is freed. */
static double *matrix_take(matrix m) {
    size_t cols = m.cols + AROUND, rows = m.rows + 2 * ROW0;
    double *all = malloc(rows * cols * sizeof *all), *x = malloc((m.rows * m.cols + 1) * sizeof *x);
    CU_ASSERT_FATAL(all && x);
    m.be->ops->download(m.be, (ba_view){m.buf, 0, 0}, rows, cols, all);
    m.be->ops->download(m.be, view_of(&m), m.rows, m.cols, x);
    size_t changed = 0;
    for (size_t r = 0; r < rows; r++) {
        for (size_t c = 0; c < cols; c++) {
            bool inside = r >= ROW0 && r < ROW0 + m.rows && c >= COL0 && c < COL0 + m.cols;
            changed += !inside && all[r * cols + c] != SENTINEL;
        }
    }
    CU_ASSERT_EQUAL(changed, 0);
    m.be->ops->buf_free(m.be, m.buf);
    free(all);
    return x;
}

/* fp32: `limit`. bf16: its rounding, 2^-9 of each factor, against the largest sum of products; errors of a sum's terms
 * mostly cancel, so half of that is generous. */
static double limit_of(const ba_backend *be, double limit, const double *want, size_t n) {
    double most = 0;
    for (size_t i = 0; i < n; i++) {
        most = fmax(most, fabs(want[i]));
    }
    return be->weight_size == 2 ? limit + most * 0x1p-8 : limit;
}

/* Calls `apply` on the oracle and on all other backends, and compares what it returns ([n], freed here). */
static void against_oracle(double *(*apply)(ba_backend *be, const void *arg, size_t *n), const void *arg,
                           double limit) {
    ba_backend *ref = rig_backend("ref", 1, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(ref);
    size_t n = 0;
    double *want = apply(ref, arg, &n);
    for (size_t i = 0; ba_backend_at(i); i++) {
        if (ba_backend_at(i) == ref->ops) {
            continue;
        }
        static const char *const isas[] = {"plain", "avx2", "avx512", RIG_AMX_PLAIN};
        for (size_t k = 0; k < sizeof isas / sizeof *isas; k++) {
            ba_backend *be = rig_backend_at(i, 2, isas[k]);
            if (!be) {
                continue;
            }
            size_t n_got = 0;
            double *got = apply(be, arg, &n_got);
            CU_ASSERT_EQUAL_FATAL(n_got, n);
            ba_distance d = ba_compare(want, got, n);
            double most = limit_of(be, limit, want, n);
            if (!d.finite || d.max_abs > most) {
                printf("\n  %s in %s, %s: off by %g at %zu of %zu, limit %g\n", be->ops->name, be->ops->dtype, isas[k],
                       d.max_abs, d.worst, n, most);
            }
            CU_ASSERT(d.finite && d.max_abs <= most);
            CU_ASSERT_EQUAL(ref->count.flops_exact, be->count.flops_exact);
            CU_ASSERT_EQUAL(ref->count.flops_dense, be->count.flops_dense);
            free(got);
            ba_backend_close(be);
        }
    }
    free(want);
    ba_backend_close(ref);
}

typedef struct linear_case {
    size_t rows, in, out;
    bool add, stable, bias;
    const double *x, *w, *old;
} linear_case;

static ba_weight *weight_of(ba_backend *be, size_t out, size_t in, const double *w, bool bias) {
    char err[BA_ERR_LEN];
    float *data = malloc(out * in * sizeof *data), *b = malloc(out * sizeof *b);
    CU_ASSERT_FATAL(data && b);
    for (size_t i = 0; i < out * in; i++) {
        data[i] = (float)w[i];
    }
    for (size_t i = 0; i < out; i++) {
        b[i] = (float)i / 64;
    }
    ba_weight_src src = {.type = BA_F32, .rows = out, .cols = in, .data = data, .bias = bias ? b : NULL};
    ba_weight *weight = be->ops->weight_new(be, &src, 1, err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(weight);
    free(data);
    free(b);
    return weight;
}

static double *apply_linear(ba_backend *be, const void *arg, size_t *n) {
    const linear_case *c = arg;
    ba_weight *w = weight_of(be, c->out, c->in, c->w, c->bias);
    matrix x = matrix_new(be, c->rows, c->in, c->x), out = matrix_new(be, c->rows, c->out, c->old);
    ba_counters before = be->count;
    be->ops->linear(be, w, view_of(&x), c->rows, view_of(&out), c->add, c->stable);
    uint64_t m = c->rows, k = c->in, o = c->out;
    CU_ASSERT_EQUAL(be->count.flops_exact - before.flops_exact, 2 * m * k * o);
    CU_ASSERT_EQUAL(be->count.bytes_read - before.bytes_read,
                    m * k * be->real_size + o * k * be->weight_size + (c->add ? m * o * be->real_size : 0));
    CU_ASSERT_EQUAL(be->count.bytes_written - before.bytes_written, m * o * be->real_size);
    be->ops->weight_free(be, w);
    free(matrix_take(x));
    *n = c->rows * c->out;
    return matrix_take(out);
}

static void test_linear(void) {
    static const size_t shapes[][3] = {{1, 64, 48},   {1, 576, 960},  {3, 64, 64},    {47, 576, 576}, {50, 576, 960},
                                       {49, 64, 200}, {130, 576, 96}, {500, 96, 320}, {97, 400, 290}, {530, 288, 672}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        uint64_t seed = i;
        size_t rows = shapes[i][0], in = shapes[i][1], out = shapes[i][2];
        double *x = rig_normals(&seed, rows * in), *w = rig_normals(&seed, in * out);
        double *old = rig_normals(&seed, rows * out);
        for (int flags = 0; flags < 8;
             flags += BA_SANITIZED ? 7 : 1) { /* a sanitizer needs only the first and the last */
            linear_case c = {rows, in, out, flags & 1, flags & 2, flags & 4, x, w, old};
            against_oracle(apply_linear, &c, 2e-6 * (double)in);
        }
        free(x);
        free(w);
        free(old);
    }
}

/* The bits of a row of a product depend neither on the other rows nor on the threads. most: largest weight. */
static void check_linear_invariant(const char *backend, const char *isa, size_t most) {
    static const size_t shapes[][2] = {{576, 960}, {576, 3072}, {1536, 576}, {64, 192}, {288, 100}, {77, 130}};
    static const size_t counts[] = {1, 2, 7, 47, 48, 49, 50, 95, 97, 193, 479, 481, 500, 700};
    enum { MOST = 700 };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        uint64_t seed = i;
        size_t in = shapes[i][0], out = shapes[i][1];
        if (in * out > most) {
            continue;
        }
        double *x = rig_normals(&seed, MOST * in), *w = rig_normals(&seed, in * out);
        double *whole = malloc(MOST * out * sizeof *whole), *part = malloc(MOST * out * sizeof *part);
        CU_ASSERT_FATAL(whole && part);
        for (size_t threads = 1; threads <= 3; threads++) {
            ba_backend *be = rig_backend(backend, threads, isa);
            if (!be) {
                break; /* not for this processor */
            }
            ba_weight *weight = weight_of(be, out, in, w, false);
            ba_buf *from = be->ops->buf_new(be, MOST, in), *to = be->ops->buf_new(be, MOST, out);
            CU_ASSERT_FATAL(from && to);
            be->ops->upload(be, (ba_view){from, 0, 0}, MOST, in, x);
            if (threads == 1) {
                be->ops->linear(be, weight, (ba_view){from, 0, 0}, MOST, (ba_view){to, 0, 0}, false, true);
                be->ops->download(be, (ba_view){to, 0, 0}, MOST, out, whole);
            }
            for (size_t k = 0; k < sizeof counts / sizeof *counts; k++) {
                size_t first = k % 3 == 0 ? 0 : MOST - counts[k];
                be->ops->linear(be, weight, (ba_view){from, first, 0}, counts[k], (ba_view){to, 0, 0}, false, true);
                be->ops->download(be, (ba_view){to, 0, 0}, counts[k], out, part);
                CU_ASSERT(memcmp(part, whole + first * out, counts[k] * out * sizeof *part) == 0);
            }
            be->ops->buf_free(be, from);
            be->ops->buf_free(be, to);
            be->ops->weight_free(be, weight);
            ba_backend_close(be);
        }
        free(x);
        free(w);
        free(whole);
        free(part);
    }
}

static void test_linear_invariant(void) {
    const size_t most = BA_SANITIZED ? 30000 : SIZE_MAX; /* a sanitizer does not look at bits */
    check_linear_invariant("cpu", NULL, most);
    check_linear_invariant("openblas", NULL, most);
    check_linear_invariant("cpu/bf16", NULL, most);
    check_linear_invariant("cpu/bf16", "avx512", most);
    check_linear_invariant("cpu/bf16", RIG_AMX_PLAIN, 30000);
    check_linear_invariant("cuda", NULL, most);
}

/* Two sources of different types, one with its rows in another order, one with a bias; embed reads single rows. */
static double *apply_sources(ba_backend *be, const void *arg, size_t *n) {
    (void)arg;
    enum { IN = 64, A = 5, B = 3 };
    char err[BA_ERR_LEN];
    uint8_t q8[A][IN / 32][34];
    uint16_t half[B][IN];
    for (size_t r = 0; r < A; r++) {
        for (size_t b = 0; b < IN / 32; b++) {
            uint16_t d = ba_f32_to_f16((float)(r + 1) / 512);
            memcpy(q8[r][b], &d, sizeof d);
            for (size_t i = 0; i < 32; i++) {
                q8[r][b][2 + i] = (uint8_t)(r * 37 + b * 11 + i * 5);
            }
        }
    }
    for (size_t r = 0; r < B; r++) {
        for (size_t i = 0; i < IN; i++) {
            half[r][i] = ba_f32_to_f16((float)(r + i) / 32 - 1);
        }
    }
    uint32_t order[A] = {4, 2, 0, 1, 3};
    float bias[A] = {1, 2, 3, 4, 5};
    ba_weight_src src[] = {{BA_Q8_0, A, IN, q8, bias, order, 0}, {BA_F16, B, IN, half, NULL, NULL, 0}};
    ba_weight *w = be->ops->weight_new(be, src, 2, err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(w);
    CU_ASSERT(be->ops->weight_bytes(w) >= (A + B) * IN * be->weight_size);
    double x[IN], *out = malloc((A + B + 3 * IN) * sizeof *out);
    CU_ASSERT_PTR_NOT_NULL_FATAL(out);
    for (size_t i = 0; i < IN; i++) {
        x[i] = (double)i / 64 - 0.5;
    }
    matrix from = matrix_new(be, 1, IN, x), to = matrix_new(be, 1, A + B, NULL), rows = matrix_new(be, 3, IN, NULL);
    be->ops->linear(be, w, view_of(&from), 1, view_of(&to), false, true);
    int32_t ids[3] = {0, 7, 4};
    be->ops->embed(be, w, ids, 3, 1.5, view_of(&rows));
    double *product = matrix_take(to), *embedded = matrix_take(rows);
    memcpy(out, product, (A + B) * sizeof *out);
    memcpy(out + A + B, embedded, (size_t)3 * IN * sizeof *out);
    free(matrix_take(from));
    free(product);
    free(embedded);
    be->ops->weight_free(be, w);
    *n = A + B + 3 * IN;
    return out;
}

static void test_sources(void) {
    against_oracle(apply_sources, NULL, 1e-4);
    ba_backend *be = rig_backend("auto", 1, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(be);
    char err[BA_ERR_LEN] = "";
    float data[64] = {0};
    ba_weight_src uneven[] = {{BA_F32, 1, 32, data, NULL, NULL, 0}, {BA_F32, 1, 16, data, NULL, NULL, 0}};
    CU_ASSERT_PTR_NULL(be->ops->weight_new(be, uneven, 2, err));
    CU_ASSERT_PTR_NOT_NULL(strstr(err, "stacked"));
    ba_weight_src cut = {BA_Q4_K, 1, 32, data, NULL, NULL, 0};
    CU_ASSERT_PTR_NULL(be->ops->weight_new(be, &cut, 1, err));
    CU_ASSERT_PTR_NOT_NULL(strstr(err, "Q4_K"));
    ba_backend_close(be);
}

/* A backend that makes weights by itself makes those that the engine makes for the others. */
static void test_made_weights(void) {
    enum { ROWS = 5, COLS = 36 };
    const ba_backend_ops *ops;
    size_t makers = 0;
    for (size_t i = 0; (ops = ba_backend_at(i)); i++) {
        ba_backend *be = ops->makes_weights ? rig_backend_at(i, 2, NULL) : NULL;
        if (!be) {
            continue;
        }
        char err[BA_ERR_LEN];
        const ba_weight_src src[] = {{.type = BA_BF16, .rows = ROWS, .cols = COLS, .seed = 3},
                                     {.type = BA_BF16, .rows = ROWS, .cols = COLS, .seed = 4}};
        ba_weight *w = be->ops->weight_new(be, src, 2, err);
        CU_ASSERT_PTR_NOT_NULL_FATAL(w);
        matrix rows = matrix_new(be, 2, COLS, NULL);
        be->ops->embed(be, w, (const int32_t[]){1, ROWS + 1}, 2, 1, view_of(&rows));
        double *got = matrix_take(rows);
        for (size_t k = 0; k < 2 * (size_t)COLS; k++) {
            float value = ba_random_weight(3 + k / COLS, COLS + k % COLS, ba_random_weight_scale(COLS));
            CU_ASSERT_EQUAL(got[k], (double)ba_bf16_to_f32(ba_f32_to_bf16(value)));
        }
        free(got);
        be->ops->weight_free(be, w);
        ba_backend_close(be);
        makers++;
    }
    if (!makers) {
        ba_test_skip("no backend here makes weights by itself");
    }
}

typedef struct rows_case {
    size_t rows, cols;
    const double *x, *y;
} rows_case;

static double *apply_rmsnorm(ba_backend *be, const void *arg, size_t *n) {
    const rows_case *c = arg;
    matrix x = matrix_new(be, c->rows, 3 * c->cols, c->x);
    ba_buf *gain = be->ops->buf_new(be, 1, c->cols);
    CU_ASSERT_PTR_NOT_NULL_FATAL(gain);
    be->ops->upload(be, (ba_view){gain, 0, 0}, 1, c->cols, c->y);
    be->ops->rmsnorm(be, view_of(&x), c->rows, 3, c->cols, gain, 1e-5, view_of(&x)); /* in place */
    be->ops->buf_free(be, gain);
    *n = c->rows * 3 * c->cols;
    return matrix_take(x);
}

static double *apply_add(ba_backend *be, const void *arg, size_t *n) {
    const rows_case *c = arg;
    matrix x = matrix_new(be, c->rows, c->cols, c->x), y = matrix_new(be, c->rows, c->cols, c->y);
    be->ops->add(be, view_of(&x), view_of(&y), c->rows, c->cols);
    free(matrix_take(y));
    *n = c->rows * c->cols;
    return matrix_take(x);
}

static double *glu_with(ba_backend *be, const rows_case *c, size_t *n, ba_act act, bool in_place) {
    matrix x = matrix_new(be, c->rows, 2 * c->cols, c->x), out = matrix_new(be, c->rows, c->cols, NULL);
    be->ops->glu(be, act, view_of(&x), c->rows, c->cols, in_place ? view_of(&x) : view_of(&out));
    double *y = matrix_take(out);
    *n = c->rows * c->cols;
    if (in_place) {
        be->ops->download(be, view_of(&x), c->rows, c->cols, y);
    }
    free(matrix_take(x));
    return y;
}

static double *apply_silu(ba_backend *be, const void *arg, size_t *n) {
    return glu_with(be, arg, n, BA_ACT_SILU, false);
}

static double *apply_gelu(ba_backend *be, const void *arg, size_t *n) {
    return glu_with(be, arg, n, BA_ACT_GELU_TANH, true);
}

static double *apply_gather(ba_backend *be, const void *arg, size_t *n) {
    const rows_case *c = arg;
    matrix x = matrix_new(be, c->rows, c->cols, c->x), out = matrix_new(be, c->rows, c->cols, NULL);
    size_t *row = malloc(c->rows * sizeof *row);
    CU_ASSERT_PTR_NOT_NULL_FATAL(row);
    for (size_t i = 0; i < c->rows; i++) {
        row[i] = (i * 7 + 3) % c->rows;
    }
    be->ops->gather(be, view_of(&x), row, c->rows, c->cols, view_of(&out));
    free(row);
    free(matrix_take(x));
    *n = c->rows * c->cols;
    return matrix_take(out);
}

static void test_row_operations(void) {
    static const size_t shapes[][2] = {{1, 1}, {1, 576}, {5, 64}, {3, 100}, {200, 1536}, {33, 17}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        uint64_t seed = 70 + i;
        size_t rows = shapes[i][0], cols = shapes[i][1];
        double *x = rig_normals(&seed, rows * cols * 3), *y = rig_normals(&seed, rows * cols);
        x[0] = -100; /* where the exponential underflows */
        if (cols > 2) {
            x[1] = 100;
            x[2] = 0;
        }
        rows_case c = {rows, cols, x, y};
        against_oracle(apply_rmsnorm, &c, 1e-5);
        against_oracle(apply_add, &c, 4e-6);  /* half an ulp of 100 */
        against_oracle(apply_silu, &c, 1e-4); /* values up to 500 */
        against_oracle(apply_gelu, &c, 1e-4);
        against_oracle(apply_gather, &c, 0);
        free(x);
        free(y);
    }
}

/* Keys and values through write (by place and by token), rotation, copy and read; distances; shifts. */
static double *apply_kv(ba_backend *be, const void *arg, size_t *n) {
    const rows_case *c = arg;
    enum { HEADS = 2, DIM = 40, WIDTH = HEADS * DIM, CAP = 200, LAYERS = 2 };
    size_t rows = c->rows;
    double freq[DIM / 2], *pos = malloc(3 * CAP * sizeof *pos);
    CU_ASSERT_PTR_NOT_NULL_FATAL(pos);
    for (size_t i = 0; i < DIM / 2; i++) {
        freq[i] = pow(10000, -2.0 * (double)i / DIM);
    }
    for (size_t i = 0; i < 3 * CAP; i++) { /* negative, fractional, whole, far */
        pos[i] = i < CAP ? (double)i - 20 : i < 2 * CAP ? (double)i * 0.37 : (double)i * 700;
    }
    ba_freqs *f = be->ops->freqs_new(be, freq, DIM / 2, 1.25);
    ba_rot *rot = be->ops->rot_new(be, 3 * CAP, DIM / 2);
    ba_kv *a = be->ops->kv_new(be, LAYERS, HEADS, DIM, CAP), *b = be->ops->kv_new(be, LAYERS, HEADS, DIM, CAP);
    CU_ASSERT_FATAL(f && rot && a && b);
    be->ops->rot_fill(be, rot, 0, 3 * CAP, pos, f);
    matrix k = matrix_new(be, rows, WIDTH, c->x), v = matrix_new(be, rows, WIDTH, c->y);
    ba_counters before = be->count;
    be->ops->kv_write(be, a, 1, 13, NULL, rows, view_of(&k), view_of(&v), rot, CAP - 5);
    int32_t *token = malloc(rows * sizeof *token);
    CU_ASSERT_PTR_NOT_NULL_FATAL(token);
    for (size_t i = 0; i < rows; i++) {
        token[i] = (int32_t)(CAP - 1 - 2 * i);
    }
    be->ops->kv_write(be, b, 1, 0, token, rows, view_of(&k), view_of(&v), NULL, 0);
    be->ops->kv_copy(be, b, 3, a, 10, rows, 1, rot, 2 * CAP);
    CU_ASSERT_EQUAL(be->count.bytes_written - before.bytes_written, 3 * 2 * rows * WIDTH * be->kv_size);
    size_t each = CAP * WIDTH;
    double *out = malloc((6 * each + 2 * CAP) * sizeof *out);
    CU_ASSERT_PTR_NOT_NULL_FATAL(out);
    be->ops->kv_read(be, a, 1, 0, CAP, out, NULL);
    be->ops->kv_read(be, a, 1, 0, CAP, NULL, out + each);
    be->ops->kv_read(be, b, 1, 0, CAP, out + 2 * each, out + 3 * each);
    be->ops->kv_distance(be, BA_KV_K, 1, a, 10, b, 3, CAP - 10, out + 4 * each);
    be->ops->kv_distance(be, BA_KV_V, 1, a, 0, b, 0, CAP, out + 4 * each + CAP - 10);
    /* Two spans of keys, whose factors have others between them, and one of values. */
    double from[CAP + 3] = {[20] = 0.25, [28] = 0.75, [36] = 1}, to[CAP + 3] = {[5] = 1, [28] = 0.5, [43] = 0.125};
    const ba_kv_span two[] = {{a, b, 0, 30, 0}, {a, b, 30, CAP - 30, 33}}, one = {a, b, 7, CAP - 7, 1};
    be->ops->kv_shift(be, BA_KV_K, 1, two, 2, from, to);
    be->ops->kv_shift(be, BA_KV_V, 1, &one, 1, from, to);
    be->ops->kv_read(be, a, 1, 0, CAP, out + 4 * each + 2 * CAP - 10, out + 5 * each + 2 * CAP - 10);
    CU_ASSERT(be->ops->kv_bytes(be, LAYERS, HEADS, DIM, CAP) >= LAYERS * 2 * each * be->kv_size);
    free(token);
    free(pos);
    free(matrix_take(k));
    free(matrix_take(v));
    be->ops->kv_free(be, a);
    be->ops->kv_free(be, b);
    be->ops->rot_free(be, rot);
    be->ops->freqs_free(be, f);
    *n = 6 * each + 2 * CAP - 10;
    return out;
}

static void test_kv(void) {
    uint64_t seed = 90;
    double *x = rig_normals(&seed, 100 * 80), *y = rig_normals(&seed, 100 * 80);
    for (size_t rows = 1; rows <= 97; rows += 32) {
        rows_case c = {rows, 80, x, y};
        against_oracle(apply_kv, &c, 2e-4); /* distances sum 80 squares of order 10 */
    }
    free(x);
    free(y);
}

/* Angles are exact at large positions too: up to 10^6, against long double. */
static void test_rotation_angles(void) {
    for (size_t i = 0; ba_backend_at(i / 2); i++) {
        ba_backend *be = rig_backend_at(i / 2, 2, i % 2 ? "plain" : NULL);
        if (!be) {
            continue;
        }
        double freq[1] = {0.7306}, pos[] = {0, 1, 1023, 1024, 70000, 1e6, -3, 0.5, 131071, 131072};
        enum { N = sizeof pos / sizeof *pos };
        ba_freqs *f = be->ops->freqs_new(be, freq, 1, 1);
        ba_rot *rot = be->ops->rot_new(be, N, 1);
        ba_kv *kv = be->ops->kv_new(be, 1, 1, 2, N);
        double ones[2 * N], k[2 * N];
        for (size_t j = 0; j < N; j++) {
            ones[2 * j] = 1;
            ones[2 * j + 1] = 0;
        }
        matrix x = matrix_new(be, N, 2, ones);
        CU_ASSERT_FATAL(f && rot && kv);
        double limit = be->kv_size == 2 ? 0x1p-9 : 1e-7;
        for (int again = 0; again < 2; again++) {
            be->ops->rot_fill(be, rot, 0, N, pos, f);
            be->ops->kv_write(be, kv, 0, 0, NULL, N, view_of(&x), view_of(&x), rot, 0);
            be->ops->kv_read(be, kv, 0, 0, N, k, NULL);
            for (size_t j = 0; j < N; j++) {
                long double angle = (long double)pos[j] * 0.7306L;
                CU_ASSERT(fabs(k[2 * j] - (double)cosl(angle)) < limit);
                CU_ASSERT(fabs(k[2 * j + 1] - (double)sinl(angle)) < limit);
            }
        }
        free(matrix_take(x));
        be->ops->kv_free(be, kv);
        be->ops->rot_free(be, rot);
        be->ops->freqs_free(be, f);
        ba_backend_close(be);
    }
}

/* Sizes that overflow are refused, not wrapped around. */
static void test_absurd_sizes(void) {
    for (size_t i = 0; ba_backend_at(i / 2); i++) {
        ba_backend *be = rig_backend_at(i / 2, 1, i % 2 ? "plain" : NULL);
        if (!be) {
            continue;
        }
        CU_ASSERT_PTR_NULL(be->ops->buf_new(be, SIZE_MAX / 4, 8));
        CU_ASSERT_PTR_NULL(be->ops->buf_new(be, SIZE_MAX - 8, 1));
        CU_ASSERT_PTR_NULL(be->ops->rot_new(be, SIZE_MAX / 2, 64));
        CU_ASSERT_PTR_NULL(be->ops->kv_new(be, SIZE_MAX / 2, 8, 64, 4096));
        CU_ASSERT_PTR_NULL(be->ops->kv_new(be, 30, 8, 64, SIZE_MAX / 64));
        ba_backend_close(be);
    }
}

int ba_suite_kernels(void) {
    CU_pSuite suite = CU_add_suite("kernels", NULL, NULL);
    return !suite || !CU_add_test(suite, "weight formats decode to golden vectors", test_golden_formats) ||
           !CU_add_test(suite, "weight formats are found by name and number", test_format_names) ||
           !CU_add_test(suite, "conversions to 16 bits and back round to even", test_scalar_conversions) ||
           !CU_add_test(suite, "a NaN is never close", test_compare) ||
           !CU_add_test(suite, "pool: every task runs once, on any number of threads", test_pool) ||
           !CU_add_test(suite, "every backend opens, an unknown one is refused", test_open) ||
           !CU_add_test(suite, "names of backends and element types, old names too", test_find) ||
           !CU_add_test(suite, "to train, the first backend that can is opened", test_open_to_train) ||
           !CU_add_test(suite, "linear agrees with the oracle", test_linear) ||
           !CU_add_test(suite, "linear: a row's bits are its own", test_linear_invariant) ||
           !CU_add_test(suite, "stacked sources and embed agree with the oracle", test_sources) ||
           !CU_add_test(suite, "weights made by a backend are those that the engine makes", test_made_weights) ||
           !CU_add_test(suite, "row operations agree with the oracle", test_row_operations) ||
           !CU_add_test(suite, "keys and values are read as they were written", test_kv) ||
           !CU_add_test(suite, "rotation angles are exact at large positions", test_rotation_angles) ||
           !CU_add_test(suite, "sizes that overflow are refused", test_absurd_sizes);
}

#include "bf16.h"

#include "kernels/count.h"

#include <stdlib.h>
#include <string.h>
#if defined(__x86_64__) && defined(__linux__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

bool ba_bf16_has_avx512(void) {
#if defined(__x86_64__)
    return ba_bf16_isa_avx512.tile.attend && __builtin_cpu_supports("avx512bf16") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl");
#else
    return false;
#endif
}

#if defined(__x86_64__) && defined(__linux__)
bool ba_bf16_has_amx(void) {
    enum { ASK_PERMISSION = 0x1023, TILE_DATA = 18 }; /* ARCH_REQ_XCOMP_PERM; state component, from Linux 5.16 on */
    unsigned a, b, c, d;
    bool cpu = ba_bf16_isa_amx.tile.attend && __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d >> 22 & 1) &&
               (d >> 24 & 1); /* AMX-BF16, AMX-TILE */
    return cpu && syscall(SYS_arch_prctl, ASK_PERMISSION, TILE_DATA) == 0;
}
#else
bool ba_bf16_has_amx(void) {
    return false;
}
#endif

int ba_bf16_open(ba_bf16 *be, const ba_backend_config *cfg, const ba_bf16_isa *isa, char err[BA_ERR_LEN]) {
    if (ba_cpu_open(&be->cpu, cfg, err)) {
        return -1;
    }
    be->cpu.base.weight_size = be->cpu.base.kv_size = sizeof(uint16_t);
    if (!isa) {
        const char *options = getenv("BLOCKATTN_ISA");
        bool plain = be->cpu.isa == &ba_isa_plain || !ba_bf16_has_avx512(), vectors = options && *options;
        isa = plain ? &ba_bf16_isa_plain : vectors || !ba_bf16_has_amx() ? &ba_bf16_isa_avx512 : &ba_bf16_isa_amx;
    }
    be->isa = *be->cpu.isa;
    be->isa.name = isa->tile.name;
    be->isa.attend = isa->tile.attend;
    be->isa.scores = isa->tile.scores;
    be->isa.rotate = isa->tile.rotate;
    be->isa.values = isa->tile.values;
    be->cpu.isa = &be->isa;
    be->cpu.round = isa->round;
    be->product = isa->product;
    be->strip = isa->strip;
    return 0;
}

void ba_bf16_close(ba_bf16 *be) {
    ba_cpu_close(&be->cpu);
    free(be->x);
}

ba_buf *ba_bf16_buf_new(ba_backend *be, size_t rows, size_t cols) {
    ba_bf16 *bf16 = (ba_bf16 *)be;
    size_t padded, n;
    if (__builtin_add_overflow(rows, (size_t)BA_PAD_ROWS, &padded) || __builtin_mul_overflow(padded, cols, &n)) {
        return NULL;
    }
    n += padded; /* rows of an odd depth are rounded up to pairs */
    if (n > bf16->n_x) {
        uint16_t *x = ba_cpu_alloc(n, 1, 1, sizeof *x);
        if (!x) {
            return NULL;
        }
        free(bf16->x);
        bf16->x = x;
        bf16->n_x = n;
    }
    return ba_cpu_buf_new(be, rows, cols);
}

/* Rows of an odd length would have to be filled up: they are rounded before every product instead. */
ba_buf *ba_bf16_operand_new(ba_backend *be, size_t rows, size_t cols) {
    return cols % 2 ? ba_bf16_buf_new(be, rows, cols) : ba_cpu_buf_as(rows, cols, true);
}

typedef struct rounding {
    const ba_bf16 *be;
    ba_view x;
    size_t cols, depth;
} rounding;

static void round_some(const void *arg, size_t first, size_t last) {
    const rounding *r = arg;
    for (size_t i = first; i < last; i++) {
        uint16_t *to = r->be->x + i * r->depth;
        r->be->cpu.round(ba_cpu_row(r->x, i), r->cols, to);
        if (r->depth > r->cols) {
            to[r->cols] = 0;
        }
    }
}

const uint16_t *ba_bf16_operand(ba_bf16 *be, ba_view x, size_t rows, size_t cols, size_t depth) {
    if (x.buf->half) {
        return ba_cpu_half_row(x, 0);
    }
    rounding r = {be, x, cols, depth};
    ba_cpu_for(&be->cpu, rows, cols, round_some, &r);
    return be->x;
}

void ba_bf16_store(const float *restrict sum, const float *restrict bias, size_t n, bool add, float *restrict out) {
    for (size_t i = 0; i < n; i++) {
        float x = bias ? sum[i] + bias[i] : sum[i];
        out[i] = add ? out[i] + x : x;
    }
}

/* ---- keys and values ---- */

/* A write of rows or a copy of tokens; rot NULL: keys stay as they are. */
typedef struct transfer {
    const ba_cpu *cpu;
    const ba_kv *from; /* of a copy */
    size_t first;
    ba_view k, v; /* of a write */
    const int32_t *token;
    ba_kv *to;
    size_t at, layer;
    const ba_rot *rot;
    size_t rot_row;
} transfer;

static void rotate(const float *restrict x, size_t half, const float *restrict rot, float *restrict out) {
    for (size_t d = 0; d < half; d++) {
        out[d] = x[d] * rot[d] - x[d + half] * rot[half + d];
        out[d + half] = x[d + half] * rot[d] + x[d] * rot[half + d];
    }
}

/* Stores a key [dim], rotated by row i's angle in fp32. */
static void store_key(const transfer *t, size_t i, const float *k, uint16_t *keys, size_t token) {
    size_t dim = t->to->dim;
    uint16_t *to = keys + ba_bf16_key_at(dim, token, 0), rounded[BA_MOST_DIM];
    float rotated[BA_MOST_DIM];
    if (t->rot) {
        rotate(k, dim / 2, t->rot->at + (t->rot_row + i) * dim, rotated);
    }
    t->cpu->round(t->rot ? rotated : k, dim, rounded);
    for (size_t d = 0; d < dim; d += 2) {
        memcpy(to + d * BA_KEYS, rounded + d, 2 * sizeof *to);
    }
}

static void store_value(const transfer *t, const float *v, uint16_t *values, size_t token) {
    uint16_t *to = values + ba_bf16_value_at(t->to->v_stride, token, 0), rounded[BA_MOST_DIM];
    t->cpu->round(v, t->to->dim, rounded);
    for (size_t d = 0; d < t->to->dim; d++) {
        to[2 * d] = rounded[d];
    }
}

static void write_tokens(const void *arg, size_t first, size_t last) {
    const transfer *t = arg;
    size_t dim = t->to->dim;
    for (size_t h = 0; h < t->to->kv_heads; h++) {
        uint16_t *keys = ba_cpu_keys(t->to, t->layer, h), *values = ba_cpu_values(t->to, t->layer, h);
        for (size_t i = first; i < last; i++) {
            size_t token = t->token ? (size_t)t->token[i] : t->at + i;
            store_key(t, i, ba_cpu_row(t->k, i) + h * dim, keys, token);
            store_value(t, ba_cpu_row(t->v, i) + h * dim, values, token);
        }
    }
}

void ba_bf16_kv_write(ba_backend *be, ba_kv *kv, size_t layer, size_t at, const int32_t *token, size_t n, ba_view k,
                      ba_view v, const ba_rot *rot, size_t rot_row) {
    transfer t = {.cpu = (ba_cpu *)be,
                  .k = k,
                  .v = v,
                  .token = token,
                  .to = kv,
                  .at = at,
                  .layer = layer,
                  .rot = rot,
                  .rot_row = rot_row};
    size_t width = kv->kv_heads * kv->dim;
    ba_cpu_for((ba_cpu *)be, n, 4 * width, write_tokens, &t);
    ba_count_kv_write(be, 2 * n * width);
}

static void copy_tokens(const void *arg, size_t first, size_t last) {
    const transfer *t = arg;
    size_t dim = t->to->dim, stride = t->to->v_stride, half = dim / 2;
    for (size_t h = 0; h < t->to->kv_heads; h++) {
        const uint16_t *from_k = ba_cpu_keys(t->from, t->layer, h), *from_v = ba_cpu_values(t->from, t->layer, h);
        uint16_t *to_k = ba_cpu_keys(t->to, t->layer, h), *to_v = ba_cpu_values(t->to, t->layer, h);
        for (size_t i = first; i < last; i++) {
            const float *rot = t->rot ? t->rot->at + (t->rot_row + i) * dim : NULL;
            size_t from = t->first + i, to = t->at + i;
            for (size_t d = 0; d < half; d++) {
                uint16_t x = from_k[ba_bf16_key_at(dim, from, d)], y = from_k[ba_bf16_key_at(dim, from, d + half)];
                if (rot) {
                    float a = ba_bf16_wide(x), b = ba_bf16_wide(y);
                    x = ba_bf16_round(a * rot[d] - b * rot[half + d]);
                    y = ba_bf16_round(b * rot[d] + a * rot[half + d]);
                }
                to_k[ba_bf16_key_at(dim, to, d)] = x;
                to_k[ba_bf16_key_at(dim, to, d + half)] = y;
            }
            for (size_t d = 0; d < dim; d++) {
                to_v[ba_bf16_value_at(stride, to, d)] = from_v[ba_bf16_value_at(stride, from, d)];
            }
        }
    }
}

void ba_bf16_kv_copy(ba_backend *be, ba_kv *dst, size_t at, const ba_kv *src, size_t first, size_t n, size_t layer,
                     const ba_rot *rot, size_t rot_row) {
    transfer t = {.from = src, .first = first, .to = dst, .at = at, .layer = layer, .rot = rot, .rot_row = rot_row};
    size_t width = src->kv_heads * src->dim;
    ba_cpu_for((ba_cpu *)be, n, 4 * width, copy_tokens, &t);
    ba_count_kv_copy(be, 2 * n * width);
}

static double key_of(const ba_kv *kv, size_t layer, size_t head, size_t token, size_t d) {
    const uint16_t *keys = ba_cpu_keys(kv, layer, head);
    return (double)ba_bf16_wide(keys[ba_bf16_key_at(kv->dim, token, d)]);
}

static double value_of(const ba_kv *kv, size_t layer, size_t head, size_t token, size_t d) {
    const uint16_t *values = ba_cpu_values(kv, layer, head);
    return (double)ba_bf16_wide(values[ba_bf16_value_at(kv->v_stride, token, d)]);
}

void ba_bf16_kv_read(ba_backend *be, const ba_kv *kv, size_t layer, size_t first, size_t n, double *k, double *v) {
    (void)be;
    for (size_t i = 0; i < n; i++) {
        for (size_t h = 0; h < kv->kv_heads; h++) {
            size_t to = (i * kv->kv_heads + h) * kv->dim;
            for (size_t d = 0; k && d < kv->dim; d++) {
                k[to + d] = key_of(kv, layer, h, first + i, d);
            }
            for (size_t d = 0; v && d < kv->dim; d++) {
                v[to + d] = value_of(kv, layer, h, first + i, d);
            }
        }
    }
}

void ba_bf16_kv_distance(ba_backend *be, ba_kv_part part, size_t layer, const ba_kv *a, size_t first_a, const ba_kv *b,
                         size_t first_b, size_t n, double *out) {
    (void)be;
    double (*of)(const ba_kv *, size_t, size_t, size_t, size_t) = part == BA_KV_K ? key_of : value_of;
    for (size_t i = 0; i < n; i++) {
        double sum = 0;
        for (size_t h = 0; h < a->kv_heads; h++) {
            for (size_t d = 0; d < a->dim; d++) {
                double e = of(a, layer, h, first_a + i, d) - of(b, layer, h, first_b + i, d);
                sum += e * e;
            }
        }
        out[i] = sum;
    }
}

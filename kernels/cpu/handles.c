/* Memory, work shared out to threads, buffers and rotations. */
#include "cpu.h"

#include "kernels/base/sizes.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Rows of a large matrix are on different small pages, and a panel of a product's result touches more pages than the
 * processor's page cache holds. Large arrays therefore ask for huge pages; only for whole ones, so none is wasted. */
enum { HUGE_PAGE = 2 << 20, HUGE_FROM = 2 * HUGE_PAGE };

void *ba_cpu_alloc(size_t a, size_t b, size_t c, size_t size) {
    size_t n;
    if (!ba_array_bytes(a, b, c, size, &n)) {
        return NULL;
    }
    n = (n + 64) / 64 * 64;
    bool large = n >= HUGE_FROM;
    void *at = aligned_alloc(large ? HUGE_PAGE : 64, large ? (n + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE : n);
    if (at && large) {
        madvise(at, n / HUGE_PAGE * HUGE_PAGE, MADV_HUGEPAGE); /* a refusal only means small pages */
    }
    return at ? memset(at, 0, n) : NULL;
}

typedef struct pieces {
    void (*body)(const void *arg, size_t first, size_t last);
    const void *arg;
    size_t n, size;
} pieces;

static void run_piece(void *arg, size_t index, size_t worker) {
    (void)worker;
    const pieces *p = arg;
    size_t first = index * p->size, last = first + p->size;
    p->body(p->arg, first, last < p->n ? last : p->n);
}

void ba_cpu_for(ba_cpu *cpu, size_t n, size_t cost, void (*body)(const void *arg, size_t first, size_t last),
                const void *arg) {
    enum { WORTH = 16384 }; /* elements: some microseconds of work, a few times the cost of handing it to a thread */
    size_t size = WORTH / (cost ? cost : 1) + 1;
    pieces p = {body, arg, n, size};
    ba_pool_run(cpu->pool, (n + size - 1) / size, run_piece, &p);
}

/* ---- buffers ---- */

ba_buf *ba_cpu_buf_as(size_t rows, size_t cols, bool half) {
    ba_buf *buf = malloc(sizeof *buf);
    size_t padded;
    if (!buf || !ba_add_sizes(rows, BA_PAD_ROWS, &padded)) {
        free(buf);
        return NULL;
    }
    *buf = (ba_buf){.cols = cols};
    void *at = ba_cpu_alloc(padded, cols, 1, half ? sizeof *buf->half : sizeof *buf->at);
    if (!at) {
        free(buf);
        return NULL;
    }
    if (half) {
        buf->half = at;
    } else {
        buf->at = at;
    }
    return buf;
}

ba_buf *ba_cpu_buf_new(ba_backend *be, size_t rows, size_t cols) {
    (void)be;
    return ba_cpu_buf_as(rows, cols, false);
}

void ba_cpu_buf_free(ba_backend *be, ba_buf *buf) {
    (void)be;
    if (buf) {
        free(buf->at);
        free(buf->half);
        free(buf->packing);
        free(buf);
    }
}

void ba_cpu_upload(ba_backend *be, ba_view dst, size_t rows, size_t cols, const double *src) {
    (void)be;
    for (size_t r = 0; r < rows; r++) {
        float *to = ba_cpu_row(dst, r);
        for (size_t i = 0; i < cols; i++) {
            to[i] = (float)src[r * cols + i];
        }
    }
}

void ba_cpu_download(ba_backend *be, ba_view src, size_t rows, size_t cols, double *dst) {
    (void)be;
    for (size_t r = 0; r < rows; r++) {
        const float *from = ba_cpu_row(src, r);
        for (size_t i = 0; i < cols; i++) {
            dst[r * cols + i] = from[i];
        }
    }
}

/* ---- rotations ---- */

ba_freqs *ba_cpu_freqs_new(ba_backend *be, const double *freq, size_t half_dim, double magnitude) {
    ba_freqs *f = malloc(sizeof *f);
    if (!f) {
        return NULL;
    }
    *f = (ba_freqs){half_dim, magnitude, ba_cpu_alloc(half_dim, 1, 1, sizeof *freq), calloc(1, sizeof *f->cache)};
    if (!f->freq || !f->cache) {
        ba_cpu_freqs_free(be, f);
        return NULL;
    }
    memcpy(f->freq, freq, half_dim * sizeof *freq);
    return f;
}

void ba_cpu_freqs_free(ba_backend *be, ba_freqs *f) {
    (void)be;
    if (f) {
        if (f->cache) {
            free(f->cache->at);
        }
        free(f->cache);
        free(f->freq);
        free(f);
    }
}

ba_rot *ba_cpu_rot_new(ba_backend *be, size_t rows, size_t half_dim) {
    (void)be;
    ba_rot *rot = malloc(sizeof *rot);
    if (!rot) {
        return NULL;
    }
    *rot = (ba_rot){half_dim, ba_cpu_alloc(rows, 2, half_dim, sizeof *rot->at)};
    if (!rot->at) {
        free(rot);
        return NULL;
    }
    return rot;
}

void ba_cpu_rot_free(ba_backend *be, ba_rot *rot) {
    (void)be;
    if (rot) {
        free(rot->at);
        free(rot);
    }
}

static void rotation(const ba_freqs *f, double pos, float *at) {
    for (size_t i = 0; i < f->half; i++) {
        at[i] = (float)(cos(pos * f->freq[i]) * f->magnitude);
        at[f->half + i] = (float)(sin(pos * f->freq[i]) * f->magnitude);
    }
}

typedef struct rotations {
    const ba_freqs *f;
    const double *pos; /* NULL: the position is the row */
    float *at;
} rotations;

static bool in_cache(const ba_freqs *f, double pos) {
    return pos >= 0 && pos < (double)f->cache->n && pos == floor(pos);
}

static void fill_rotations(const void *arg, size_t first, size_t last) {
    const rotations *r = arg;
    size_t row = 2 * r->f->half;
    for (size_t i = first; i < last; i++) {
        double pos = r->pos ? r->pos[i] : (double)i;
        if (r->pos && in_cache(r->f, pos)) {
            memcpy(r->at + i * row, r->f->cache->at + (size_t)pos * row, row * sizeof *r->at);
        } else {
            rotation(r->f, pos, r->at + i * row);
        }
    }
}

enum { SINE_COST = 64 }; /* cost of a sine and a cosine in double, in elements of a simple loop */

/* Extends the cache to the largest position, up to a limit. Without memory for that, it keeps its size. */
static void grow_cache(ba_cpu *cpu, const ba_freqs *f, const double *pos, size_t n) {
    enum { FIRST = 1024, LIMIT = 1 << 17 };
    double max = 0;
    for (size_t i = 0; i < n; i++) {
        max = pos[i] > max ? pos[i] : max;
    }
    size_t want = FIRST;
    while (want < LIMIT && (double)want <= max) {
        want *= 2;
    }
    float *at = want > f->cache->n ? ba_cpu_alloc(want, 2, f->half, sizeof *at) : NULL;
    if (at) {
        rotations all = {f, NULL, at};
        ba_cpu_for(cpu, want, f->half * SINE_COST, fill_rotations, &all);
        free(f->cache->at);
        *f->cache = (ba_rot_cache){at, want};
    }
}

void ba_cpu_rot_fill(ba_backend *be, ba_rot *rot, size_t row0, size_t n, const double *pos, const ba_freqs *f) {
    grow_cache((ba_cpu *)be, f, pos, n);
    rotations r = {f, pos, rot->at + row0 * 2 * rot->half};
    ba_cpu_for((ba_cpu *)be, n, 2 * rot->half, fill_rotations, &r);
}

#include "train.h"

#include <stdlib.h>
#include <string.h>

/* ---- what training adds to a backend ---- */

/* Asks for the instruction set of fp32, because that of a bf16 backend has another name. */
static const ba_train_lanes *choose_lanes(void) {
    char unused[BA_ERR_LEN];
    const ba_isa *isa = ba_isa_choose(unused);
    static const ba_train_lanes *const all[] = {&ba_train_lanes_avx512, &ba_train_lanes_avx2};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (isa && !strcmp(isa->name, all[i]->name) && all[i]->dot) {
            return all[i];
        }
    }
    return &ba_train_lanes_plain;
}

static void train_close(ba_train_cpu *t) {
    if (t) {
        if (t->state) {
            t->product->close(t->state);
        }
        free(t->space);
        free(t);
    }
}

/* What training adds to the backend, made with its first parameter or mask; NULL and err. */
static ba_train_cpu *train_of(ba_backend *be, const ba_train_product *product, char err[BA_ERR_LEN]) {
    ba_cpu *cpu = (ba_cpu *)be;
    if (cpu->train) {
        return cpu->train;
    }
    ba_train_cpu *t = calloc(1, sizeof *t);
    if (!t) {
        ba_fail(err, "out of memory");
        return NULL;
    }
    *t = (ba_train_cpu){.product = product, .lanes = choose_lanes(), .threads = ba_pool_threads(cpu->pool)};
    if (product->open(t->threads, &t->state, err)) {
        train_close(t);
        return NULL;
    }
    cpu->train = t;
    cpu->train_close = train_close;
    return t;
}

float *ba_train_space(ba_backend *be, size_t n) {
    ba_train_cpu *t = ((ba_cpu *)be)->train;
    if (n > t->n_space) {
        free(t->space);
        t->space = ba_cpu_alloc(n, 1, 1, sizeof *t->space);
        t->n_space = t->space ? n : 0;
    }
    be->no_memory = be->no_memory || !t->space;
    return t->space;
}

ba_train_mask *ba_train_cpu_mask_new(ba_backend *be, const ba_train_product *product, const ba_train_job *job,
                                     size_t n_jobs, size_t rows, size_t rot_rows) {
    char err[BA_ERR_LEN];
    return train_of(be, product, err) ? ba_train_mask_new(be, job, n_jobs, rows, rot_rows) : NULL;
}

/* ---- parameters ---- */

void ba_train_param_free(ba_backend *be, ba_param *p) {
    (void)be;
    if (p) {
        free(p->value);
        free(p->grad);
        free(p->mean);
        free(p->variance);
        free(p->half);
        free(p);
    }
}

/* A change of a parameter's value, by blocks of rows. */
typedef struct change {
    const ba_backend *be;
    ba_param *p;
    const ba_adamw *cfg; /* the step to make; NULL: the value has been changed already */
    double bias1, bias2;
} change;

static size_t blocks_of(const ba_param *p) {
    return (p->rows + BA_TRAIN_UNIT - 1) / BA_TRAIN_UNIT;
}

/* The copy for products is written directly after the value, while that is in the cache. */
static void change_blocks(const void *arg, size_t first_block, size_t last_block) {
    const change *c = arg;
    const ba_train_cpu *t = ((const ba_cpu *)c->be)->train;
    ba_param *p = c->p;
    for (size_t b = first_block; b < last_block; b++) {
        size_t first = b * BA_TRAIN_UNIT, left = p->rows - first,
               last = left < BA_TRAIN_UNIT ? p->rows : first + BA_TRAIN_UNIT;
        size_t at = first * p->cols, n = (last - first) * p->cols;
        if (c->cfg) {
            t->lanes->adamw(c->cfg, c->bias1, c->bias2, n, p->grad + at, p->mean + at, p->variance + at, p->value + at);
        }
        if (p->half) {
            t->product->renew(c->be, p, first, last);
        }
    }
}

static void renew(ba_backend *be, ba_param *p) {
    const change c = {.be = be, .p = p};
    if (p->half) {
        ba_cpu_for((ba_cpu *)be, blocks_of(p), BA_TRAIN_UNIT * p->cols, change_blocks, &c);
    }
}

/* half: elements of the copy for products; 0: none. */
static int allocate(ba_param *p, bool trained, size_t half) {
    float **part[] = {&p->value, &p->grad, &p->mean, &p->variance};
    for (size_t i = 0; i < (trained ? 4 : 1); i++) {
        *part[i] = ba_cpu_alloc(p->rows, p->cols, 1, sizeof(float));
        if (!*part[i]) {
            return -1;
        }
    }
    p->half = half ? ba_cpu_alloc(half, 1, 1, sizeof *p->half) : NULL;
    return half && !p->half ? -1 : 0;
}

ba_param *ba_train_param_new(ba_backend *be, const ba_train_product *product, const ba_weight_src *src, bool trained,
                             char err[BA_ERR_LEN]) {
    const ba_train_cpu *t = train_of(be, product, err);
    ba_param shape = {0};
    if (!t || ba_weight_shape(src, 1, &shape.rows, &shape.cols, err)) {
        return NULL;
    }
    ba_param *p = calloc(1, sizeof *p);
    if (p) {
        *p = shape;
    }
    if (!p || allocate(p, trained, t->product->copy_size && p->rows > 1 ? t->product->copy_size(p) : 0)) {
        ba_train_param_free(be, p);
        ba_fail(err, "parameter of %zu x %zu: out of memory", shape.rows, shape.cols);
        return NULL;
    }
    const ba_dtype_info *type = ba_dtype_get(src->type);
    for (size_t r = 0; r < p->rows; r++) {
        size_t from = src->row_order ? src->row_order[r] : r;
        type->decode((const uint8_t *)src->data + from * (p->cols / type->block * type->bytes), p->value + r * p->cols,
                     p->cols);
    }
    renew(be, p);
    return p;
}

static float *part_of(const ba_param *p, ba_param_part part) {
    float *const parts[] = {p->value, p->grad, p->mean, p->variance};
    return parts[part];
}

void ba_train_param_read(ba_backend *be, const ba_param *p, ba_param_part part, double *dst) {
    (void)be;
    const float *from = part_of(p, part);
    bool zero = part == BA_PARAM_GRAD && p->no_grad_yet;
    for (size_t i = 0; i < p->rows * p->cols; i++) {
        dst[i] = zero ? 0 : from[i];
    }
}

void ba_train_param_write(ba_backend *be, ba_param *p, ba_param_part part, const double *src) {
    float *to = part_of(p, part);
    for (size_t i = 0; i < p->rows * p->cols; i++) {
        to[i] = (float)src[i];
    }
    if (part == BA_PARAM_VALUE) {
        renew(be, p);
    } else if (part == BA_PARAM_GRAD) {
        p->no_grad_yet = false;
    }
}

/* ---- gradients ---- */

static void zero_rows(const void *arg, size_t first, size_t last) {
    const ba_param *p = arg;
    memset(p->grad + first * p->cols, 0, (last - first) * p->cols * sizeof *p->grad);
}

float *ba_train_grad(ba_backend *be, ba_param *p) {
    if (p->no_grad_yet) {
        ba_cpu_for((ba_cpu *)be, p->rows, p->cols, zero_rows, p);
        p->no_grad_yet = false;
    }
    return p->grad;
}

/* Only sets a flag: most gradients are the result of a product, which then overwrites instead of adding to zeros. */
void ba_train_grad_zero(ba_backend *be, ba_param *const *p, size_t n) {
    (void)be;
    for (size_t k = 0; k < n; k++) {
        p[k]->no_grad_yet = true;
    }
}

typedef struct squares {
    const ba_train_lanes *lanes;
    const ba_param *p;
    double *sum; /* [rows] */
} squares;

static void square_rows(const void *arg, size_t first, size_t last) {
    const squares *s = arg;
    for (size_t r = first; r < last; r++) {
        s->sum[r] = s->lanes->square_sum(s->p->grad + r * s->p->cols, s->p->cols);
    }
}

/* The sums of rows are added in order, so the result does not depend on the threads. */
double ba_train_grad_norm(ba_backend *be, ba_param *const *p, size_t n) {
    ba_cpu *cpu = (ba_cpu *)be;
    double sum = 0;
    for (size_t k = 0; k < n; k++) {
        float *space = ba_train_space(be, p[k]->rows * (sizeof(double) / sizeof(float)));
        if (!space) {
            return NAN;
        }
        const squares s = {cpu->train->lanes, p[k], (double *)(void *)space};
        ba_train_grad(be, p[k]);
        ba_cpu_for(cpu, p[k]->rows, p[k]->cols, square_rows, &s);
        for (size_t r = 0; r < p[k]->rows; r++) {
            sum += s.sum[r];
        }
    }
    return sqrt(sum);
}

/* ---- optimiser ---- */

void ba_train_adamw(ba_backend *be, ba_param *const *p, size_t n, const ba_adamw *cfg) {
    double bias1 = 1 - pow(cfg->beta1, (double)cfg->step), bias2 = 1 - pow(cfg->beta2, (double)cfg->step);
    for (size_t k = 0; k < n; k++) {
        const change c = {be, p[k], cfg, bias1, bias2};
        ba_train_grad(be, p[k]);
        ba_cpu_for((ba_cpu *)be, blocks_of(p[k]), BA_TRAIN_UNIT * p[k]->cols * 4, change_blocks, &c);
    }
}

/* Operations that compute each row by itself, in parallel over rows. The arithmetic of a row is in the table of the
 * instruction set or in a plain loop. */
#include "cpu.h"

#include <string.h>

typedef struct rows_op {
    ba_cpu *cpu;
    ba_view x, y, out;
    size_t cols, groups;
    const float *gain;
    float eps;
    ba_act act;
} rows_op;

static size_t part_of(size_t left) {
    return left < BA_PART ? left : BA_PART;
}

static void rmsnorm_rows(const void *arg, size_t first, size_t last) {
    const rows_op *op = arg;
    const ba_isa *isa = op->cpu->isa;
    float part[BA_PART];
    for (size_t r = first; r < last; r++) {
        for (size_t g = 0; g < op->groups; g++) {
            const float *x = ba_cpu_row(op->x, r) + g * op->cols;
            float factor = isa->rms_factor(x, op->cols, op->eps);
            for (size_t i = 0, n; i < op->cols; i += n) {
                n = part_of(op->cols - i);
                float *to = ba_cpu_room(op->out, r, g * op->cols + i, part);
                isa->scale(x + i, n, factor, op->gain + i, to);
                ba_cpu_put(op->cpu, op->out, r, g * op->cols + i, n, to);
            }
        }
    }
}

void ba_cpu_rmsnorm(ba_backend *be, ba_view x, size_t rows, size_t groups, size_t cols, const ba_buf *gain, double eps,
                    ba_view out) {
    ba_cpu *cpu = (ba_cpu *)be;
    rows_op op = {.cpu = cpu, .x = x, .out = out, .cols = cols, .groups = groups, .gain = gain->at, .eps = (float)eps};
    ba_cpu_for(cpu, rows, groups * cols, rmsnorm_rows, &op);
}

static void add_rows(const void *arg, size_t first, size_t last) {
    const rows_op *op = arg;
    for (size_t r = first; r < last; r++) {
        float *restrict x = ba_cpu_row(op->x, r);
        const float *restrict y = ba_cpu_row(op->y, r);
        for (size_t i = 0; i < op->cols; i++) {
            x[i] += y[i];
        }
    }
}

void ba_cpu_add(ba_backend *be, ba_view x, ba_view y, size_t rows, size_t cols) {
    rows_op op = {.x = x, .y = y, .cols = cols};
    ba_cpu_for((ba_cpu *)be, rows, cols, add_rows, &op);
}

static void glu_rows(const void *arg, size_t first, size_t last) {
    const rows_op *op = arg;
    float part[BA_PART];
    for (size_t r = first; r < last; r++) {
        const float *gate = ba_cpu_row(op->x, r), *up = gate + op->cols;
        for (size_t i = 0, n; i < op->cols; i += n) {
            n = part_of(op->cols - i);
            float *to = ba_cpu_room(op->out, r, i, part);
            op->cpu->isa->glu(op->act, gate + i, up + i, n, to);
            ba_cpu_put(op->cpu, op->out, r, i, n, to);
        }
    }
}

void ba_cpu_glu(ba_backend *be, ba_act act, ba_view x, size_t rows, size_t cols, ba_view out) {
    ba_cpu *cpu = (ba_cpu *)be;
    rows_op op = {.cpu = cpu, .x = x, .out = out, .cols = cols, .act = act};
    ba_cpu_for(cpu, rows, 4 * cols, glu_rows, &op); /* each element takes an exponential and a division */
}

/* One thread, because rows may move within one buffer, and then the order matters. */
void ba_cpu_gather(ba_backend *be, ba_view src, const size_t *row, size_t n, size_t cols, ba_view dst) {
    (void)be;
    for (size_t i = 0; i < n; i++) {
        memmove(ba_cpu_row(dst, i), ba_cpu_row(src, row[i]), cols * sizeof(float));
    }
}

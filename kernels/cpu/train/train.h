/* Inside of training on the CPU, on the buffers and rotations of cpu.h. Everything is in fp32, except the operands of
 * products, which the bf16 table rounds to bf16. Shared by both tables: train.c (parameters, optimiser), rows.c (row
 * operations and loss), attention.c. Products in fp32: openblas*.c. Products in bf16: bf16*.c, packing*.c. */
#ifndef BA_TRAIN_CPU_H
#define BA_TRAIN_CPU_H

#include "kernels/backends.h"
#include "kernels/cpu/cpu.h"
#include "kernels/train_mask.h"
#include "lanes.h"

enum { BA_TRAIN_UNIT = 64 /* rows of a parameter that one thread updates together */ };

typedef struct ba_train_multiply ba_train_multiply; /* attention.h */

/* How a table of operations multiplies. */
typedef struct ba_train_product {
    const ba_train_multiply *attention;
    /* The copy of a parameter that products read: its number of elements, and writing the part that follows from rows
     * [first, last) of the value, in one thread; first is a multiple of BA_TRAIN_UNIT. NULL: there is no copy. */
    size_t (*copy_size)(const ba_param *p);
    void (*renew)(const ba_backend *be, const ba_param *p, size_t first, size_t last);
    /* Makes its work space, ba_train_cpu.state. 0, or -1 and err. */
    int (*open)(size_t threads, void **state, char err[BA_ERR_LEN]);
    void (*close)(void *state);
} ba_train_product;

extern const ba_train_multiply ba_train_multiply_openblas, ba_train_multiply_bf16;

/* What training adds to an open backend. Made with its first parameter or mask, freed with the backend. */
typedef struct ba_train_cpu {
    const ba_train_product *product;
    void *state;
    const ba_train_lanes *lanes;
    size_t threads;
    float *space; /* [n_space] work space of row operations and attention; grow-only */
    size_t n_space;
} ba_train_cpu;

struct ba_param {
    size_t rows, cols;
    float *value, *grad, *mean, *variance; /* [rows, cols]; the last three NULL if not trained */
    uint16_t *half;                        /* the copy that products read, or NULL */
    bool no_grad_yet;                      /* the gradient is zero and grad is not written yet: see ba_train_grad */
};

/* n floats, valid until the next call. NULL: out of memory, and no_memory of the backend is set. */
float *ba_train_space(ba_backend *be, size_t n);

/* The gradient, written if it was not yet, to be read or added to; NULL if p is not trained. */
float *ba_train_grad(ba_backend *be, ba_param *p);

/* Operations of the table, as documented in train.h. */
ba_param *ba_train_param_new(ba_backend *be, const ba_train_product *product, const ba_weight_src *src, bool trained,
                             char err[BA_ERR_LEN]);
void ba_train_param_free(ba_backend *be, ba_param *p);
void ba_train_param_read(ba_backend *be, const ba_param *p, ba_param_part part, double *dst);
void ba_train_param_write(ba_backend *be, ba_param *p, ba_param_part part, const double *src);
ba_train_mask *ba_train_cpu_mask_new(ba_backend *be, const ba_train_product *product, const ba_train_job *job,
                                     size_t n_jobs, size_t rows, size_t rot_rows);
double ba_train_grad_norm(ba_backend *be, ba_param *const *p, size_t n);
void ba_train_grad_zero(ba_backend *be, ba_param *const *p, size_t n);
void ba_train_adamw(ba_backend *be, ba_param *const *p, size_t n, const ba_adamw *cfg);

void ba_train_copy(ba_backend *be, ba_view src, size_t rows, size_t cols, ba_view dst);
void ba_train_zero(ba_backend *be, ba_view x, size_t rows, size_t cols);
void ba_train_scatter(ba_backend *be, ba_view src, const size_t *row, size_t n, size_t cols, ba_view dst);
void ba_train_embed(ba_backend *be, const ba_param *p, const int32_t *ids, size_t n, double scale, ba_view out);
void ba_train_embed_back(ba_backend *be, ba_param *p, const int32_t *ids, size_t n, double scale, ba_view dout);
void ba_train_bias(ba_backend *be, const ba_param *p, size_t rows, ba_view out);
void ba_train_bias_grad(ba_backend *be, ba_param *p, ba_view dout, size_t rows);
void ba_train_rmsnorm(ba_backend *be, ba_view x, size_t rows, size_t groups, size_t cols, const ba_param *gain,
                      double eps, ba_view out);
void ba_train_rmsnorm_back(ba_backend *be, ba_view x, size_t rows, size_t groups, size_t cols, ba_param *gain,
                           double eps, ba_view dout, bool add, ba_view dx);
void ba_train_rotate(ba_backend *be, ba_view x, size_t rows, size_t heads, size_t head_dim, const ba_rot *rot,
                     size_t rot_row, bool back, ba_view out);
void ba_train_glu_back(ba_backend *be, ba_act act, ba_view x, ba_view dout, size_t rows, size_t cols, ba_view dgate,
                       ba_view dup);
void ba_train_cross_entropy(ba_backend *be, ba_view logits, size_t n, size_t vocab, const int32_t *target,
                            double weight, ba_view teacher, double kl_weight, double sum[2]);

/* Operations of the bf16 table only, in bf16_operand.c. */
ba_buf *ba_train_bf16_operand_new(ba_backend *be, size_t rows, size_t cols);
void ba_train_bf16_rmsnorm(ba_backend *be, ba_view x, size_t rows, size_t groups, size_t cols, const ba_param *gain,
                           double eps, ba_view out);
void ba_train_bf16_glu(ba_backend *be, ba_act act, ba_view x, size_t rows, size_t cols, ba_view out);
void ba_train_bf16_glu_back(ba_backend *be, ba_act act, ba_view x, ba_view dout, size_t rows, size_t cols,
                            ba_view dgate, ba_view dup);

void ba_train_attention_forward(ba_backend *be, const ba_train_attention *a);
void ba_train_attention_back(ba_backend *be, const ba_train_attention *a, ba_view dout, ba_view dq, ba_view dk,
                             ba_view dv);

/* Rows that both tables of training on the CPU share. */
#define BA_TRAIN_CPU_SHARED                                                                                            \
    .param_free = ba_train_param_free, .param_read = ba_train_param_read, .param_write = ba_train_param_write,         \
    .mask_free = ba_train_mask_free, .copy = ba_train_copy, .zero = ba_train_zero, .scatter = ba_train_scatter,        \
    .embed = ba_train_embed, .embed_back = ba_train_embed_back, .bias = ba_train_bias,                                 \
    .bias_grad = ba_train_bias_grad, .rmsnorm_back = ba_train_rmsnorm_back, .rotate = ba_train_rotate,                 \
    .attention = ba_train_attention_forward, .attention_back = ba_train_attention_back,                                \
    .cross_entropy = ba_train_cross_entropy, .grad_norm = ba_train_grad_norm, .grad_zero = ba_train_grad_zero,         \
    .adamw = ba_train_adamw

#endif

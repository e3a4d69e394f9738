/* Buffers for operands of products, and the gated product: they give the same bits as ordinary buffers and separate
 * operations, in every backend. */
#include "tests/support/rig.h"

#include "tests/support/runner.h"

#include <stdlib.h>
#include <string.h>

/* A feed-forward layer: norm of x [rows, in], gated product to [rows, gates], product to [rows, out]. */
typedef struct feed_case {
    size_t rows, in, gates, out;
    bool bias;
    ba_act act;
} feed_case;

typedef struct feed {
    const feed_case *c;
    ba_backend *be;
    ba_buf *gain, *x;
    ba_weight *both, *down;
} feed;

static ba_weight *weight_of(ba_backend *be, uint64_t *seed, size_t out, size_t in, bool bias) {
    char err[BA_ERR_LEN];
    float *data = malloc((out * in + out) * sizeof *data);
    CU_ASSERT_PTR_NOT_NULL_FATAL(data);
    for (size_t i = 0; i < out * in + out; i++) {
        data[i] = (float)rig_normal(seed) / 8;
    }
    ba_weight_src src = {.type = BA_F32, .rows = out, .cols = in, .data = data, .bias = bias ? data + out * in : NULL};
    ba_weight *w = be->ops->weight_new(be, &src, 1, err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(w);
    free(data);
    return w;
}

static ba_buf *filled(ba_backend *be, uint64_t *seed, size_t rows, size_t cols) {
    ba_buf *buf = be->ops->buf_new(be, rows, cols);
    double *x = rig_normals(seed, rows * cols);
    CU_ASSERT_PTR_NOT_NULL_FATAL(buf);
    be->ops->upload(be, (ba_view){buf, 0, 0}, rows, cols, x);
    free(x);
    return buf;
}

static feed feed_open(ba_backend *be, const feed_case *c) {
    uint64_t seed = c->rows + 31 * c->in + 7 * c->gates;
    feed f = {c, be, filled(be, &seed, 1, c->in), filled(be, &seed, c->rows, c->in), NULL, NULL};
    f.both = weight_of(be, &seed, 2 * c->gates, c->in, c->bias);
    f.down = weight_of(be, &seed, c->out, c->gates, c->bias);
    return f;
}

static void feed_close(feed *f) {
    f->be->ops->buf_free(f->be, f->gain);
    f->be->ops->buf_free(f->be, f->x);
    f->be->ops->weight_free(f->be, f->both);
    f->be->ops->weight_free(f->be, f->down);
    ba_backend_close(f->be);
}

/* Rows [first, first + rows) of the layer's result. fused: through operands, and the gated product where there is one;
 * else through ordinary buffers, step by step. */
static double *feed_run(const feed *f, size_t first, size_t rows, bool fused) {
    const feed_case *c = f->c;
    const ba_backend_ops *ops = f->be->ops;
    ba_buf *(*room)(ba_backend *, size_t, size_t) = fused ? ops->operand_new : ops->buf_new;
    ba_buf *h = room(f->be, c->rows, c->in), *act = room(f->be, c->rows, c->gates);
    ba_buf *wide = ops->buf_new(f->be, c->rows, 2 * c->gates), *out = ops->buf_new(f->be, c->rows, c->out);
    double *y = malloc(rows * c->out * sizeof *y);
    CU_ASSERT_FATAL(h && act && wide && out && y);
    ba_view vx = {f->x, first, 0}, vh = {h, first, 0}, va = {act, first, 0}, vw = {wide, first, 0},
            vy = {out, first, 0};
    ops->rmsnorm(f->be, vx, rows, 1, c->in, f->gain, 1e-5, vh);
    if (fused && ops->gated) {
        ops->gated(f->be, c->act, f->both, vh, rows, va, true);
    } else {
        ops->linear(f->be, f->both, vh, rows, vw, false, true);
        ops->glu(f->be, c->act, vw, rows, c->gates, va);
    }
    ops->linear(f->be, f->down, va, rows, vy, false, true);
    ops->download(f->be, vy, rows, c->out, y);
    ops->buf_free(f->be, h);
    ops->buf_free(f->be, act);
    ops->buf_free(f->be, wide);
    ops->buf_free(f->be, out);
    return y;
}

static const struct variant {
    const char *backend, *isa;
    size_t most; /* rows that do not take too long */
} variants[] = {
    {"ref", NULL, 40},       {"cpu", NULL, 700},          {"openblas", NULL, 700}, {"cpu/bf16", "plain", 40},
    {"cpu/bf16", NULL, 700}, {"cpu/bf16", "avx512", 700}, {"cuda", NULL, 700},     {"cpu/bf16", RIG_AMX_PLAIN, 40},
};

/* Sizes: those of SmolLM2; halves that end inside a panel, begin inside one, or fit into one; an odd depth. */
static void test_feed(void) {
    static const feed_case cases[] = {
        {700, 576, 1536, 576, false, BA_ACT_SILU}, {530, 576, 64, 96, true, BA_ACT_SILU},
        {40, 96, 128, 64, true, BA_ACT_GELU_TANH}, {33, 64, 100, 10, true, BA_ACT_SILU},
        {7, 77, 33, 130, true, BA_ACT_GELU_TANH},  {1, 64, 5, 3, false, BA_ACT_SILU},
        {19, 34, 95, 7, false, BA_ACT_SILU},
    };
    for (size_t v = 0; v < sizeof variants / sizeof *variants; v++) {
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            const feed_case *c = &cases[i];
            for (size_t threads = 1; threads <= 3 && c->rows <= variants[v].most; threads += 2) {
                ba_backend *be = rig_backend(variants[v].backend, threads, variants[v].isa);
                if (!be) {
                    continue; /* not for this processor */
                }
                feed f = feed_open(be, c);
                double *plain = feed_run(&f, 0, c->rows, false), *fused = feed_run(&f, 0, c->rows, true);
                CU_ASSERT_EQUAL(memcmp(plain, fused, c->rows * c->out * sizeof *plain), 0);
                double *last = feed_run(&f, c->rows - 1, 1, true);
                CU_ASSERT_EQUAL(memcmp(last, plain + (c->rows - 1) * c->out, c->out * sizeof *plain), 0);
                free(plain);
                free(fused);
                free(last);
                feed_close(&f);
            }
        }
    }
}

/* Attention into an operand, then a product, against attention into an ordinary buffer. */
static double *attend(ba_backend *be, const scene *s, rig_job *job, bool fused) {
    rig r;
    uint64_t seed = 5;
    size_t cols = s->heads * s->dim;
    ba_weight *w = weight_of(be, &seed, 40, cols, false);
    rig_open(&r, s, be);
    for (size_t i = 0; i < job->job.n_seg; i++) {
        job->seg[i].kv = r.kv[job->kv[i]];
    }
    job->job.seg = job->seg;
    ba_buf *o = fused ? be->ops->operand_new(be, s->rows, cols) : be->ops->buf_new(be, s->rows, cols);
    ba_buf *out = be->ops->buf_new(be, s->rows, 40);
    double *y = malloc(s->rows * 40 * sizeof *y);
    CU_ASSERT_FATAL(o && out && y);
    ba_view q = {r.q, 0, 0}, to = {o, 0, 0}, result = {out, 0, 0};
    be->ops->attention(be, 0, s->heads, s->scale, r.rot, &job->job, 1, q, to);
    be->ops->linear(be, w, to, s->rows, result, false, true);
    be->ops->download(be, result, s->rows, 40, y);
    be->ops->buf_free(be, o);
    be->ops->buf_free(be, out);
    be->ops->weight_free(be, w);
    rig_close(&r);
    return y;
}

static void test_attention(void) {
    for (size_t v = 0; v < sizeof variants / sizeof *variants; v++) {
        for (size_t select = 0; select < 2; select++) {
            uint64_t seed = 11 + select;
            scene s = {.heads = 9, .kv_heads = 3, .dim = 64, .rows = 21, .n_kv = 3, .tokens = {70, 33, 130}};
            scene_make(&s, &seed);
            rig_job job = {.job = {.rows = s.rows, .n_seg = 3, .select_k = select, .select_top = 5}};
            for (size_t i = 0; i < 3; i++) {
                job.kv[i] = i;
                job.seg[i] = (ba_kv_segment){.n = s.tokens[i], .score_scale = 1, .selectable = true};
            }
            ba_backend *be = rig_backend(variants[v].backend, 2, variants[v].isa);
            if (be) {
                double *plain = attend(be, &s, &job, false), *fused = attend(be, &s, &job, true);
                CU_ASSERT_EQUAL(memcmp(plain, fused, s.rows * 40 * sizeof *plain), 0);
                free(plain);
                free(fused);
                ba_backend_close(be);
            }
            scene_free(&s);
        }
    }
}

int ba_suite_operands(void) {
    CU_pSuite suite = CU_add_suite("operands", NULL, NULL);
    return !suite || !CU_add_test(suite, "feed-forward layer: fused and step by step give the same bits", test_feed) ||
           !CU_add_test(suite, "attention: into an operand or a buffer gives the same bits", test_attention);
}

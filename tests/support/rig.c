#include "rig.h"

#include "amx_twin.h"
#include "runner.h"
#include "sim/base/random.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

double rig_normal(uint64_t *seed) {
    double sum = -6;
    for (int i = 0; i < 12; i++) {
        sum += ba_random_real(seed);
    }
    return sum;
}

double *rig_normals(uint64_t *seed, size_t n) {
    double *x = malloc((n + 1) * sizeof *x);
    CU_ASSERT_PTR_NOT_NULL_FATAL(x);
    for (size_t i = 0; i < n; i++) {
        x[i] = (float)rig_normal(seed);
    }
    return x;
}

void scene_make(scene *s, uint64_t *seed) {
    s->q = rig_normals(seed, s->rows * s->heads * s->dim);
    s->n_rot = s->rows;
    for (size_t i = 0; i < s->n_kv; i++) {
        size_t n = s->tokens[i] * s->kv_heads * s->dim;
        s->k[i] = rig_normals(seed, n);
        s->v[i] = rig_normals(seed, n);
        s->n_rot = s->tokens[i] > s->n_rot ? s->tokens[i] : s->n_rot;
    }
    s->n_rot *= 2;
    s->pos = malloc(s->n_rot * sizeof *s->pos);
    CU_ASSERT_PTR_NOT_NULL_FATAL(s->pos);
    for (size_t i = 0; i < s->n_rot; i++) {
        s->pos[i] = (double)i;
    }
    s->scale = 1 / sqrt((double)s->dim);
}

void scene_free(scene *s) {
    free(s->q);
    free(s->pos);
    for (size_t i = 0; i < s->n_kv; i++) {
        free(s->k[i]);
        free(s->v[i]);
    }
}

void rig_open(rig *r, const scene *s, ba_backend *be) {
    const ba_backend_ops *ops = be->ops;
    size_t q_cols = s->heads * s->dim, kv_cols = s->kv_heads * s->dim, most = 1;
    double freq[256];
    CU_ASSERT_FATAL(s->dim / 2 <= 256);
    for (size_t i = 0; i < s->dim / 2; i++) {
        freq[i] = pow(10000, -2.0 * (double)i / (double)s->dim);
    }
    *r = (rig){.s = s, .be = be};
    r->q = ops->buf_new(be, s->rows, q_cols);
    r->out = ops->buf_new(be, s->rows, q_cols);
    r->freqs = ops->freqs_new(be, freq, s->dim / 2, 1);
    r->rot = ops->rot_new(be, s->n_rot, s->dim / 2);
    CU_ASSERT_FATAL(r->q && r->out && r->freqs && r->rot);
    ops->upload(be, (ba_view){r->q, 0, 0}, s->rows, q_cols, s->q);
    ops->rot_fill(be, r->rot, 0, s->n_rot, s->pos, r->freqs);
    for (size_t i = 0; i < s->n_kv; i++) {
        most = s->tokens[i] > most ? s->tokens[i] : most;
    }
    ba_buf *k = ops->buf_new(be, most, kv_cols), *v = ops->buf_new(be, most, kv_cols);
    CU_ASSERT_FATAL(k && v);
    for (size_t i = 0; i < s->n_kv; i++) {
        r->kv[i] = ops->kv_new(be, 1, s->kv_heads, s->dim, s->tokens[i]);
        CU_ASSERT_PTR_NOT_NULL_FATAL(r->kv[i]);
        ops->upload(be, (ba_view){k, 0, 0}, s->tokens[i], kv_cols, s->k[i]);
        ops->upload(be, (ba_view){v, 0, 0}, s->tokens[i], kv_cols, s->v[i]);
        ops->kv_write(be, r->kv[i], 0, 0, NULL, s->tokens[i], (ba_view){k, 0, 0}, (ba_view){v, 0, 0}, r->rot, 0);
    }
    ops->buf_free(be, k);
    ops->buf_free(be, v);
}

void rig_close(rig *r) {
    const ba_backend_ops *ops = r->be->ops;
    ops->buf_free(r->be, r->q);
    ops->buf_free(r->be, r->out);
    ops->freqs_free(r->be, r->freqs);
    ops->rot_free(r->be, r->rot);
    for (size_t i = 0; i < r->s->n_kv; i++) {
        ops->kv_free(r->be, r->kv[i]);
    }
}

void rig_attend(rig *r, rig_job *job, size_t n_jobs, double *out) {
    const ba_backend_ops *ops = r->be->ops;
    size_t cols = r->s->heads * r->s->dim;
    ba_attn_job *jobs = calloc(n_jobs, sizeof *jobs);
    CU_ASSERT_PTR_NOT_NULL_FATAL(jobs);
    for (size_t j = 0; j < n_jobs; j++) {
        jobs[j] = job[j].job;
        jobs[j].seg = job[j].seg;
        for (size_t i = 0; i < jobs[j].n_seg; i++) {
            job[j].seg[i].kv = r->kv[job[j].kv[i]];
        }
    }
    for (size_t i = 0; i < r->s->rows * cols; i++) {
        out[i] = NAN;
    }
    ops->upload(r->be, (ba_view){r->out, 0, 0}, r->s->rows, cols, out);
    ops->attention(r->be, 0, r->s->heads, r->s->scale, r->rot, jobs, n_jobs, (ba_view){r->q, 0, 0},
                   (ba_view){r->out, 0, 0});
    ops->download(r->be, (ba_view){r->out, 0, 0}, r->s->rows, cols, out);
    free(jobs);
}

static ba_backend *amx_plain(const char *name, size_t threads) {
    ba_backend *be = strcmp(name, "cpu/bf16") ? NULL : rig_backend(name, threads, NULL);
    if (be) {
        ba_bf16 *bf16 = (ba_bf16 *)be;
        bf16->isa.attend = ba_bf16_isa_amx_plain.tile.attend;
        bf16->isa.scores = ba_bf16_isa_amx_plain.tile.scores;
        bf16->isa.name = RIG_AMX_PLAIN;
        bf16->product = ba_bf16_isa_amx_plain.product;
        bf16->strip = ba_bf16_isa_amx_plain.strip;
    }
    return be;
}

ba_backend *rig_backend(const char *name, size_t threads, const char *isa) {
    if (isa && !strcmp(isa, RIG_AMX_PLAIN)) {
        return amx_plain(name, threads);
    }
    char err[BA_ERR_LEN], part[3][16] = {{0}};
    sscanf(name, "%15[^/]/%15[^/]/%15s", part[0], part[1], part[2]);
    ba_backend_config cfg = {.threads = threads, .dtype = *part[1] ? part[1] : NULL};
    ba_backend *be = NULL;
    char *old = getenv("BLOCKATTN_ISA");
    old = old ? strdup(old) : NULL;
    isa = isa || !*part[2] ? isa : part[2];
    if (isa) {
        setenv("BLOCKATTN_ISA", isa, 1);
    }
    int status = ba_backend_open(part[0], &cfg, &be, err);
    if (isa && old) {
        setenv("BLOCKATTN_ISA", old, 1);
    } else if (isa) {
        unsetenv("BLOCKATTN_ISA");
    }
    free(old);
    return status ? NULL : be;
}

ba_backend *rig_backend_at(size_t i, size_t threads, const char *isa) {
    char name[32];
    snprintf(name, sizeof name, "%s/%s", ba_backend_at(i)->name, ba_backend_at(i)->dtype);
    return rig_backend(name, threads, isa);
}

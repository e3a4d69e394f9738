/* For the tests of kernels/: random data, and one scene of attention that can be set up in any backend. */
#ifndef BA_KERNEL_RIG_H
#define BA_KERNEL_RIG_H

#include "kernels/backend.h"

enum { RIG_KV = 4, RIG_SEGS = 40 };

/* Queries [rows, heads * dim], keys and values of several KVs [tokens, kv_heads * dim], and a rot table of n_rot
 * positions. Data by seed; freed with scene_free. */
typedef struct scene {
    size_t heads, kv_heads, dim, rows, n_kv, tokens[RIG_KV], n_rot;
    double *q, *k[RIG_KV], *v[RIG_KV], *pos;
    double scale;
} scene;

void scene_make(scene *s, uint64_t *seed);
void scene_free(scene *s);

/* A scene inside a backend. */
typedef struct rig {
    const scene *s;
    ba_backend *be;
    ba_buf *q, *out;
    ba_freqs *freqs;
    ba_rot *rot;
    ba_kv *kv[RIG_KV];
} rig;

/* Keys are stored rotated by rows [0, tokens) of the rot table. */
void rig_open(rig *r, const scene *s, ba_backend *be);
void rig_close(rig *r);

/* A job whose segments give their KV as an index; rig_attend sets the pointers. */
typedef struct rig_job {
    ba_attn_job job;
    ba_kv_segment seg[RIG_SEGS];
    size_t kv[RIG_SEGS];
} rig_job;

/* Runs the jobs; out [rows, heads * dim] of the whole scene (rows that belong to no job stay NaN). */
void rig_attend(rig *r, rig_job *job, size_t n_jobs, double *out);

double rig_normal(uint64_t *seed);             /* about normal, |x| < 6 */
double *rig_normals(uint64_t *seed, size_t n); /* freed with free; values are exact in fp32 */

/* As an instruction set: the AMX kernels over matrix registers in plain C; for cpu/bf16 only. */
#define RIG_AMX_PLAIN "amx in plain C"

/* name: NAME, NAME/TYPE or NAME/TYPE/ISA, for instance "cpu/bf16". isa: value for BLOCKATTN_ISA, RIG_AMX_PLAIN, or NULL
 * for the best or the one in the name. NULL if it cannot be opened, for instance because the processor lacks it. */
ba_backend *rig_backend(const char *name, size_t threads, const char *isa);
/* The same for row i of the table, ba_backend_at(i). */
ba_backend *rig_backend_at(size_t i, size_t threads, const char *isa);

#endif

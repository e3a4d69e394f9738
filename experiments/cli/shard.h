/* One command on several machines: which part of its work a process does. A shard is fixed beforehand (`--shard I/N`); a
 * rank of an MPI job (ranks.h) takes work while it runs. Either writes a trace of its own, and `merge` joins them. */
#ifndef BA_SHARD_H
#define BA_SHARD_H

#include "kernels/base/error.h"

#include <stdbool.h>
#include <stddef.h>

struct ba_ranks;

enum { BA_MAX_SHARDS = 1 << 16 };

/* Zeroed: all of the work. */
typedef struct ba_shard {
    size_t index, count;    /* shard index of count, from 0; or rank index of a job of count ranks */
    struct ba_ranks *ranks; /* borrowed; NULL: a shard */
} ba_shard;

/* "3/8" is the third of eight. "slurm" asks the environment: the position of SLURM_ARRAY_TASK_ID between
 * SLURM_ARRAY_TASK_MIN and _MAX in steps of _STEP, of SLURM_ARRAY_TASK_COUNT; outside of an array SLURM_PROCID of
 * SLURM_NTASKS, as `srun` sets them. 0, or -1 and err. */
int ba_shard_parse(const char *text, ba_shard *out, char err[BA_ERR_LEN]);

/* "3/8" or "rank 2", as the trace keeps it. */
void ba_shard_name(const ba_shard *s, char out[64]);

/* "results/a.h5" -> "results/a.shard-3-of-8.h5" or "results/a.rank-2.h5". 0, or -1 and err: too long. */
int ba_shard_path(const ba_shard *s, const char *path, char *out, size_t size, char err[BA_ERR_LEN]);

#endif

#include "shard.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A whole number of decimal digits. 0, or -1. */
static int parse_number(const char *text, size_t len, size_t *out) {
    enum { DIGITS = 9 };
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9' || i >= DIGITS) {
            return -1;
        }
        n = n * 10 + (size_t)(text[i] - '0');
    }
    *out = n;
    return len ? 0 : -1;
}

/* The variable as a number. 0, or -1: not set or no number. */
static int from_environment(const char *name, size_t *out) {
    const char *text = getenv(name);
    return text ? parse_number(text, strlen(text), out) : -1;
}

/* The position of this task in its array. A list with gaps, as --array=1,3,7, does not say. */
static int of_array(ba_shard *out, char err[BA_ERR_LEN]) {
    size_t id, count, min, max, step;
    if (from_environment("SLURM_ARRAY_TASK_ID", &id) || from_environment("SLURM_ARRAY_TASK_COUNT", &count) ||
        from_environment("SLURM_ARRAY_TASK_MIN", &min) || from_environment("SLURM_ARRAY_TASK_MAX", &max)) {
        return ba_fail(err, "--shard slurm: SLURM_ARRAY_TASK_ID, _COUNT, _MIN and _MAX must be set to numbers");
    }
    if (from_environment("SLURM_ARRAY_TASK_STEP", &step)) {
        step = 1;
    }
    if (!count || count > BA_MAX_SHARDS || !step || id < min || id > max || (id - min) % step ||
        (max - min) / step + 1 != count) {
        return ba_fail(err,
                       "--shard slurm: task %zu of an array of %zu tasks from %zu to %zu in steps of %zu: give the "
                       "array as --array=1-N, or repeat single tasks with --shard I/N",
                       id, count, min, max, step);
    }
    *out = (ba_shard){.index = (id - min) / step, .count = count};
    return 0;
}

static int of_slurm(ba_shard *out, char err[BA_ERR_LEN]) {
    size_t rank, count;
    if (getenv("SLURM_ARRAY_TASK_ID")) {
        return of_array(out, err);
    }
    if (from_environment("SLURM_PROCID", &rank) || from_environment("SLURM_NTASKS", &count) || rank >= count ||
        count > BA_MAX_SHARDS) {
        return ba_fail(err,
                       "--shard slurm: neither SLURM_ARRAY_TASK_ID nor SLURM_PROCID and SLURM_NTASKS are set: start "
                       "it by sbatch --array=1-N or by srun, or give --shard I/N");
    }
    *out = (ba_shard){.index = rank, .count = count};
    return 0;
}

int ba_shard_parse(const char *text, ba_shard *out, char err[BA_ERR_LEN]) {
    const char *slash = strchr(text, '/');
    size_t index, count;
    if (strcmp(text, "slurm") == 0) {
        return of_slurm(out, err);
    }
    if (!slash || parse_number(text, (size_t)(slash - text), &index) ||
        parse_number(slash + 1, strlen(slash + 1), &count) || !index || index > count || count > BA_MAX_SHARDS) {
        return ba_fail(err, "--shard %.100s: needs I/N with I from 1 to N and N up to %d, as 3/8, or slurm", text,
                       BA_MAX_SHARDS);
    }
    *out = (ba_shard){.index = index - 1, .count = count};
    return 0;
}

void ba_shard_name(const ba_shard *s, char out[64]) {
    if (s->ranks) {
        snprintf(out, 64, "rank %zu", s->index);
    } else {
        snprintf(out, 64, "%zu/%zu", s->index + 1, s->count);
    }
}

int ba_shard_path(const ba_shard *s, const char *path, char *out, size_t size, char err[BA_ERR_LEN]) {
    size_t len = strlen(path);
    bool ends = len > 3 && strcmp(path + len - 3, ".h5") == 0;
    int stem = (int)(ends ? len - 3 : len);
    int n = s->ranks ? snprintf(out, size, "%.*s.rank-%zu.h5", stem, path, s->index)
                     : snprintf(out, size, "%.*s.shard-%zu-of-%zu.h5", stem, path, s->index + 1, s->count);
    return n < 0 || (size_t)n >= size ? ba_fail(err, "--out: the name is too long") : 0;
}

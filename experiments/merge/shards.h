/* Shards of one run, made one trace of that run: as one process would have written it, but for times, and with the table
 * `work`, which says what ran where. */
#ifndef BA_MERGE_SHARDS_H
#define BA_MERGE_SHARDS_H

#include "experiments/measure/intervals.h"
#include "sim/trace/trace.h"

typedef struct ba_shards_options {
    bool partial; /* items may be missing */
    const ba_margins *margins;
    void (*remark)(const char *line);
} ba_shards_options;

/* Whether the file is the trace of a shard. 0 or 1, or what the trace returned and err. */
int ba_shards_is(const char *path, char err[BA_ERR_LEN]);

/* Writes `out` from the traces in[n]. Refused by name: a file that cannot be read, another model or other settings or work,
 * an item that two shards have finished, and (unless partial) items that none has. Another commit is remarked. What the
 * trace returned. */
int ba_shards_merge(const char *out, char **in, size_t n, const ba_shards_options *opt, char err[BA_ERR_LEN]);

/* summaries.c: the derived tables of a merged trace. What the trace returned. */
int ba_shards_summarise(ba_trace *t, const char *schema, const ba_margins *margins, char err[BA_ERR_LEN]);

#endif

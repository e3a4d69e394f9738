/* The list of work of a sharded command, known before anything runs and the same in every process: items with their
 * predicted cost. Items that share blocks form a group, which stays in one shard as long as it is at most a quarter of a
 * shard's part. Groups go, the costliest first, to the shard that has least so far; ranks take the costliest item that
 * nobody has. The trace of a part says what the list is (attributes `shard`, `work`, `work_items`) and which items are
 * finished (table `work`). */
#ifndef BA_WORK_H
#define BA_WORK_H

#include "experiments/cli/cli.h"
#include "experiments/cli/shard.h"
#include "sim/trace/trace.h"

typedef struct ba_work_item {
    char task[64];  /* with index: what names the item in the rows of its command */
    uint64_t index; /* "" and the number of a prompt where there are no tasks */
    uint64_t hash;  /* of what it says */
    double flops;   /* predicted, of a cold run */
    size_t group;
    bool done; /* finished by an earlier session: of this shard, or of any rank */
} ba_work_item;

/* A block that an item has. */
typedef struct ba_work_block {
    uint64_t hash;
    size_t item;
} ba_work_block;

/* Zeroed is empty. */
typedef struct ba_work_list {
    ba_work_item *item; /* [n] */
    size_t n, cap;
    ba_work_block *block; /* [n_block] */
    size_t n_block, block_cap;
    size_t *order; /* [n_order] items of this shard, or for ranks all, in the order of work */
    size_t n_order, at;
    ba_shard shard;
    uint64_t hash; /* of the whole list */
    size_t table;  /* in the trace */
    double since;  /* clock: when the item at hand was taken */
} ba_work_list;

extern const ba_column ba_work_columns[];

/* One finished item. */
typedef struct ba_work_row {
    uint64_t item; /* in the whole list */
    char task[64];
    uint64_t index, done; /* done: 1 */
    double flops, seconds;
    char finished[32]; /* UTC, by the clock of the machine */
    char machine[64];  /* ba_machine_name */
} ba_work_row;

/* Adds an item of a known cost; or a prompt, whose cost is that of all modes and whose passages are its blocks. 0, or -1:
 * out of memory. */
int ba_work_add(ba_work_list *w, const char *task, uint64_t index, uint64_t hash, double flops);
int ba_work_add_prompt(ba_work_list *w, const ba_session *b, const ba_prompt *prompt, const char *const *mode,
                       size_t n_mode, const char *task, uint64_t index);
/* Decides who does what; modes: as the trace spells them, part of what the list is. 0, or -1: out of memory. */
int ba_work_plan(ba_work_list *w, const ba_shard *shard, const char *modes);
void ba_work_free(ba_work_list *w);

/* The next item to do, which is then this process's; SIZE_MAX: none is left. 0, or -1 and err: the job's counter cannot
 * be reached. */
int ba_work_next(ba_work_list *w, size_t *item, char err[BA_ERR_LEN]);

/* The shard's attributes, and the items that its trace has finished. declared: index of the table `work`. With resume, a
 * rank also reads what the other ranks' traces beside `out` have finished. What the trace returned. */
int ba_work_begin(ba_work_list *w, ba_trace *t, size_t declared, const char *out, bool resume, char err[BA_ERR_LEN]);
/* Records that an item is finished; the caller commits. What the trace returned. */
int ba_work_finish(ba_work_list *w, ba_trace *t, size_t item, char err[BA_ERR_LEN]);

/* "1f9c0a7b Intel(R) Xeon(R) .., 2 processors": a hash of the machine's id and name, which nobody can read from it. */
void ba_machine_name(char out[64]);

#endif

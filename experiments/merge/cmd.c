/* blockattn merge: the traces of several runs into one file, or the shards of one run into its trace. */
#include "experiments/cli/tracing.h"
#include "experiments/cli/writer.h"
#include "experiments/options/options.h"
#include "shards.h"
#include "sim/trace/merged.h"

#include <errno.h>

static int add(void *arg, const char *name, const ba_trace *t, char err[BA_ERR_LEN]) {
    return ba_trace_add(arg, name, t, err);
}

static int merge_runs(const char *out, char **in, size_t n, char err[BA_ERR_LEN]) {
    ba_trace *t;
    int status = ba_trace_create(out, BA_TRACE_MERGED_SCHEMA, &t, err);
    if (status) {
        return status;
    }
    for (size_t i = 0; i < n && !status; i++) {
        status = ba_trace_each(in[i], add, t, err);
    }
    if (!status) {
        status = ba_trace_finish(t, err);
    }
    ba_trace_close(t);
    return status;
}

static void remark(const char *line) {
    fprintf(stderr, "%s: %s\n", program_invocation_short_name, line);
}

typedef struct options {
    bool force, partial;
} options;

/* Shards, if the first trace is one. */
static int merge(const char *out, char **in, size_t n, bool partial, const ba_common *c, char err[BA_ERR_LEN]) {
    const ba_margins margins = ba_margins_of(c);
    const ba_shards_options opt = {.partial = partial, .margins = &margins, .remark = remark};
    int kind = ba_shards_is(in[0], err);
    for (size_t i = 1; kind >= 0 && i < n; i++) {
        int other = ba_shards_is(in[i], err);
        if (other >= 0 && other != kind) {
            ba_fail(err, "%s: is %s, and %s is not: shards are merged by themselves", in[kind ? 0 : i],
                    "a shard of a run", in[kind ? i : 0]);
            other = BA_TRACE_REFUSED;
        }
        kind = other;
    }
    return kind < 0 ? kind : kind ? ba_shards_merge(out, in, n, &opt, err) : merge_runs(out, in, n, err);
}

static int run(const ba_call *call) {
    const options *opt = call->options;
    char err[BA_ERR_LEN];
    if (call->n_operand < 2) {
        return ba_cli_fail(BA_EXIT_USAGE, "needs a file to write and at least one trace: OUT.h5 TRACE.h5...");
    }
    const char *out = call->operand[0];
    ba_writer_lock lock;
    int status = ba_writer_lock_take(&lock, out);
    status = status ? status : ba_out_check(&(ba_common){.out = out, .force = opt->force}, false);
    if (status) {
        ba_writer_lock_drop(&lock);
        return status;
    }
    int rc = merge(out, call->operand + 1, call->n_operand - 1, opt->partial, call->common, err);
    ba_writer_lock_drop(&lock);
    if (rc) {
        return ba_tracing_exit(rc, err);
    }
    printf("%s\n", out);
    return BA_EXIT_OK;
}

static const ba_option own[] = {
    {"force", NULL, BA_FLAG, .at = offsetof(options, force), .help = "overwrite OUT, if it is a merged trace"},
    {"partial", NULL, BA_FLAG, .at = offsetof(options, partial),
     .help = "merge shards although some of the work is not finished, and say how much"},
    {.name = NULL}};

const ba_command ba_command_merge = {
    .name = "merge",
    .summary = "the traces of several runs into one file",
    .usage = "OUT.h5 TRACE.h5... [--partial] [--force]",
    .about =
        "Copies the traces of several runs into one file, each under the name of its own file; the runs of a merged "
        "trace keep their names. report and export read such files, also gzipped. The shards of one run (--shard, "
        "mpirun) "
        "become one trace, as one process would have written it; its table work says what ran on which machine.",
    .example = "blockattn merge results/all.h5 results/table1-*.h5\n"
               "blockattn merge results/sweep.h5 results/sweep.shard-*-of-8.h5\n"
               "blockattn export results/all.h5 table1-base/items",
    .own = own,
    .size = sizeof(options),
    .takes = BA_TAKES_MARGINS,
    .operands = SIZE_MAX,
    .run = run,
};

/* Copies the traces of several runs into one file. */
#include "experiments/cli/cli.h"
#include "experiments/cli/commands.h"
#include "sim/trace/merged.h"

#include <unistd.h>

static int add(void *arg, const char *name, const ba_trace *t, char err[BA_ERR_LEN]) {
    return ba_trace_add(arg, name, t, err);
}

static int merge(const char *out, char **in, size_t n, char err[BA_ERR_LEN]) {
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

int ba_cmd_merge(int argc, char **argv) {
    bool force = false;
    const ba_option own[] = {{"force", NULL, "overwrite OUT, if it is a merged trace", NULL, &force}, {0}};
    int first,
        status = ba_cli_parse(argc, argv, "OUT.h5 TRACE.h5... [--force]",
                              "Copies the traces of several runs into one file, each under the name of its own file; "
                              "the runs of a merged trace keep their names. report and export read such files, "
                              "gzipped, too.\n"
                              "Examples\n"
                              "  blockattn merge results/all.h5 results/table1-*.h5\n"
                              "  blockattn export results/all.h5 table1-base/items",
                              own, NULL, &first);
    if (status >= 0) {
        return status;
    }
    if (argc - first < 2) {
        return ba_cli_fail(BA_EXIT_USAGE, "needs a file to write and at least one trace: OUT.h5 TRACE.h5...");
    }
    if (!force && access(argv[first], F_OK) == 0) {
        return ba_cli_fail(BA_EXIT_USAGE, "%s: exists; --force overwrites it", argv[first]);
    }
    char err[BA_ERR_LEN];
    status = merge(argv[first], argv + first + 1, (size_t)(argc - first - 1), err);
    if (status) {
        return ba_cli_fail(status == BA_TRACE_MACHINE ? BA_EXIT_MACHINE : BA_EXIT_USAGE, "%s", err);
    }
    printf("%s\n", argv[first]);
    return BA_EXIT_OK;
}

/* blockattn export: what is in a trace. */
#include "experiments/cli/guess.h"
#include "experiments/cli/rows.h"
#include "experiments/options/options.h"
#include "sim/trace/merged.h"

#include <stdlib.h>
#include <string.h>

enum { BATCH_BYTES = 1 << 20, PAGE = 100 };

static int print_table(const ba_trace *t, size_t table, ba_rows_format format) {
    size_t row_size, n = ba_trace_rows(t, table);
    const ba_column *columns = ba_trace_columns(t, table, &row_size);
    size_t batch = BATCH_BYTES / row_size + 1;
    char err[BA_ERR_LEN], *rows = malloc(batch * row_size);
    if (!rows) {
        return ba_cli_fail(BA_EXIT_MACHINE, "out of memory");
    }
    ba_rows_begin(stdout, format, columns);
    for (size_t done = 0; done < n;) {
        size_t now = n - done < batch ? n - done : batch;
        if (ba_trace_read(t, table, done, now, rows, err)) {
            free(rows);
            return ba_cli_fail(BA_EXIT_USAGE, "%s", err);
        }
        for (size_t i = 0; i < now; i++) {
            ba_rows_print(stdout, format, columns, rows + i * row_size, done + i == 0);
        }
        ba_trace_release(t, table, rows, now);
        done += now;
    }
    ba_rows_end(stdout, format);
    free(rows);
    return BA_EXIT_OK;
}

static int print_fact(void *arg, const char *key, const char *value) {
    (void)arg;
    printf("%-22s %s\n", key, value);
    return 0;
}

static int print_json_fact(void *arg, const char *key, const char *value) {
    bool *first = arg;
    fputs(*first ? "" : ",\n", stdout);
    *first = false;
    ba_print_json_text(stdout, key);
    fputs(": ", stdout);
    ba_print_json_text(stdout, value);
    return 0;
}

/* What is in the file, for people. */
static int print_contents(const ba_trace *t) {
    ba_trace_attributes(t, print_fact, NULL);
    for (size_t i = 0; i < ba_trace_tables(t); i++) {
        size_t row_size;
        const ba_column *columns = ba_trace_columns(t, i, &row_size);
        printf("\ntable %s: %zu rows", ba_trace_table_name(t, i), ba_trace_rows(t, i));
        for (size_t used = PAGE; columns->name; columns++) {
            size_t len = strlen(columns->name) + strlen(columns->unit) + 5;
            used = used + len > PAGE ? 0 : used;
            printf(used ? "  %s" : "\n  %s", columns->name);
            printf(*columns->unit ? " [%s]" : "%s", columns->unit);
            used += len;
        }
        putchar('\n');
    }
    return BA_EXIT_OK;
}

/* A line a run of a merged trace: its tables with their rows. A single trace says nothing here. */
static int print_run(void *arg, const char *name, const ba_trace *t, char err[BA_ERR_LEN]) {
    (void)err;
    if (!*(const bool *)arg) {
        return 0;
    }
    printf("run %s:", name);
    for (size_t i = 0; i < ba_trace_tables(t); i++) {
        printf("%s %s (%zu rows)", i ? "," : "", ba_trace_table_name(t, i), ba_trace_rows(t, i));
    }
    putchar('\n');
    return 0;
}

static int print_runs(const ba_trace *t, const char *path) {
    char err[BA_ERR_LEN];
    bool merged = ba_trace_tables(t) == 0;
    return ba_trace_each(path, print_run, &merged, err) ? ba_cli_fail(BA_EXIT_USAGE, "%s", err) : BA_EXIT_OK;
}

/* Opens the trace that a table is named of: "RUN/TABLE" of a merged one, else "TABLE", which *name then points to. */
static int open_named(const char *path, const char **name, ba_trace **out, char err[BA_ERR_LEN]) {
    const char *slash = *name ? strchr(*name, '/') : NULL;
    if (!slash) {
        return ba_trace_open(path, out, err);
    }
    char *run = strndup(*name, (size_t)(slash - *name));
    *name = slash[1] ? slash + 1 : NULL;
    if (!run) {
        ba_fail(err, "out of memory");
        return -1;
    }
    int rc = ba_trace_open_run(path, run, out, err);
    free(run);
    return rc;
}

static int print_everything(const ba_trace *t) {
    bool first = true;
    fputs("{\"attributes\": {\n", stdout);
    ba_trace_attributes(t, print_json_fact, &first);
    fputs("\n}, \"tables\": {", stdout);
    int status = BA_EXIT_OK;
    for (size_t i = 0; i < ba_trace_tables(t) && !status; i++) {
        fputs(i ? ",\n" : "\n", stdout);
        ba_print_json_text(stdout, ba_trace_table_name(t, i));
        fputs(": ", stdout);
        status = print_table(t, i, BA_ROWS_JSON);
    }
    fputs("}}\n", stdout);
    return status;
}

static int unknown_table(const ba_trace *t, const char *path, const char *name) {
    char list[1024] = "";
    ba_guess g = ba_guess_begin(name, strlen(name));
    for (size_t i = 0, used = 0; i < ba_trace_tables(t) && used < sizeof list; i++) {
        ba_guess_offer(&g, ba_trace_table_name(t, i));
        used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", ba_trace_table_name(t, i));
    }
    return ba_cli_fail(BA_EXIT_USAGE, "%s: no table %s; there is %s%s", path, name, *list ? list : "none", g.text);
}

typedef struct options {
    bool csv, json, jsonl, markdown, schema;
} options;

/* The page on all tables that commands of this program write. */
static int print_schema(const ba_command *const *all) {
    fputs("# Tables and columns of traces\n\n"
          "What `--out` of a command writes, printed by `blockattn export --schema`. Every table is a data set of rows "
          "in HDF5; "
          "units and meanings are in its attributes `unit.COLUMN` and `about.COLUMN`, too. A trace's root attributes "
          "say what it "
          "depends on: `schema`, `commit`, `command`, `model` and `model_hash`, `cpu`, `isa`, `cores`, `threads`, "
          "`backend`, "
          "`libraries`, and the command's settings; texts are UTF-8 strings, numbers are numbers. Blank figures are "
          "NaN. `_low` "
          "and `_high` are the ends of an interval of 95 %.\n\n"
          "    import h5py, matplotlib.pyplot as plt\n"
          "    with h5py.File(\"results/table3.h5\") as trace:\n"
          "        samples = trace[\"samples\"][:]\n"
          "        title = trace.attrs[\"model\"]\n"
          "    for mode in (b\"full\", b\"block\"):\n"
          "        of = samples[(samples[\"mode\"] == mode) & (samples[\"cold\"] == (mode == b\"full\")) & "
          "(samples[\"warmup\"] == 0)]\n"
          "        plt.loglog(of[\"length\"], of[\"ttft_s\"], \"o\", label=str(mode, \"utf-8\"))\n"
          "    plt.title(title); plt.xlabel(\"tokens\"); plt.ylabel(\"time to first token (s)\"); plt.legend()\n"
          "    plt.savefig(\"ttft.png\")\n",
          stdout);
    for (; all && *all; all++) {
        if ((*all)->tables) {
            ba_tables_print(stdout, (*all)->name, (*all)->tables);
        }
    }
    return BA_EXIT_OK;
}

/* name NULL: no table is named. */
static int print(const ba_trace *t, const options *opt, const char *path, const char *name) {
    ba_rows_format format = opt->json       ? BA_ROWS_JSON
                            : opt->jsonl    ? BA_ROWS_JSONL
                            : opt->markdown ? BA_ROWS_MARKDOWN
                                            : BA_ROWS_CSV;
    size_t table = 0;
    if (!name && opt->json) {
        return print_everything(t);
    }
    if (!name && !opt->csv && !opt->jsonl && !opt->markdown) {
        int status = print_contents(t);
        return status ? status : print_runs(t, path);
    }
    while (name && table < ba_trace_tables(t) && strcmp(ba_trace_table_name(t, table), name) != 0) {
        table++;
    }
    return table < ba_trace_tables(t) ? print_table(t, table, format) : unknown_table(t, path, name ? name : "at all");
}

static int run(const ba_call *call) {
    char err[BA_ERR_LEN];
    ba_trace *t;
    const options *opt = call->options;
    if (opt->schema) {
        return print_schema(call->all);
    }
    if (!call->n_operand || call->n_operand > 2) {
        return ba_cli_fail(BA_EXIT_USAGE, "needs a trace and at most one table: FILE.h5 [[RUN/]TABLE]");
    }
    const char *path = call->operand[0], *name = call->n_operand > 1 ? call->operand[1] : NULL;
    if (open_named(path, &name, &t, err)) {
        return ba_cli_fail(BA_EXIT_USAGE, "%s", err);
    }
    int status = print(t, opt, path, name);
    ba_trace_close(t);
    return status;
}

#define AT(member) .at = offsetof(options, member)

static const ba_option own[] = {
    {"csv", NULL, BA_FLAG, AT(csv), .help = "as CSV, with a header (default if a table is named)"},
    {"json", NULL, BA_FLAG, AT(json), .against = "csv", .help = "as JSON; without a table, everything in the file"},
    {"jsonl", NULL, BA_FLAG, AT(jsonl), .against = "csv,json", .help = "as JSON Lines, an object a row"},
    {"markdown", NULL, BA_FLAG, AT(markdown), .against = "csv,json,jsonl", .help = "as a Markdown table"},
    {"schema", NULL, BA_FLAG, AT(schema),
     .help = "without a trace: all tables and columns that commands write, with units and meanings"},
    {.name = NULL}};

const ba_command ba_command_export = {
    .name = "export",
    .summary = "a trace as CSV, JSON, JSON Lines or Markdown",
    .usage = "FILE.h5 [[RUN/]TABLE] | --schema",
    .about = "Prints a table of a trace. Without a table: what the file contains, or its first table if a format is "
             "asked for. Blank figures are empty (null in JSON). A merged trace lists its runs; RUN/ alone shows what "
             "one of them "
             "contains.",
    .example = "blockattn export results/table3.h5\n"
               "blockattn export results/table3.h5 samples --csv > samples.csv\n"
               "blockattn export results/traces/tune.h5.gz tune-block-ft/steps",
    .own = own,
    .size = sizeof(options),
    .operands = SIZE_MAX,
    .run = run,
};

/* blockattn report: from the traces of `eval` to one page, with the paper's tables beside ours. */
#include "experiments/options/data.h"
#include "experiments/options/options.h"
#include "inputs.h"
#include "report.h"
#include "sim/base/whole_file.h"

#include <stdlib.h>
#include <string.h>

typedef struct options {
    const char *spec, *scores, *page, *folder;
} options;

/* Opens FOLDER/NAME. */
static int open_data(const char *folder, const char *name, ba_whole_file *file, char err[BA_ERR_LEN]) {
    char *path = NULL;
    if (asprintf(&path, "%s/%s", folder, name) < 0) {
        return ba_fail(err, "out of memory");
    }
    int rc = ba_whole_file_open(path, file, err);
    free(path);
    return rc;
}

/* The data of both figures, and how many points each has. */
static int write_figures(const options *opt, const ba_report_spec *spec, const ba_report_inputs *in, size_t *pareto,
                         size_t *steps, char err[BA_ERR_LEN]) {
    ba_whole_file file = {0};
    if (open_data(opt->folder, "pareto.csv", &file, err)) {
        return -1;
    }
    *pareto = ba_report_pareto(file.f, spec, &in->rows);
    int rc = ba_whole_file_finish(&file, err);
    ba_whole_file_close(&file);
    if (rc || open_data(opt->folder, "figure4.csv", &file, err)) {
        return -1;
    }
    *steps = ba_report_steps(file.f, spec, &in->rows, &in->checks);
    rc = ba_whole_file_finish(&file, err);
    ba_whole_file_close(&file);
    return rc;
}

static int write_page(const options *opt, const ba_margins *margins, const ba_report_spec *spec,
                      const ba_report_inputs *in, char err[BA_ERR_LEN]) {
    size_t pareto = 0, steps = 0;
    ba_whole_file page;
    if (write_figures(opt, spec, in, &pareto, &steps, err) || ba_whole_file_open(opt->page, &page, err)) {
        return -1;
    }
    int rc = ba_report_print(page.f, spec, &in->rows, margins, in->remarks) ? ba_fail(err, "out of memory") : 0;
    if (!rc) {
        fputs(
            pareto
                ? "\n## What is lost for what is saved\n\n![accuracy and NLL lost against FLOPs of full](pareto.svg)\n"
                : "",
            page.f);
        fputs(steps ? "\n## Figure 4\n\n![both modes against the training step](figure4.svg)\n" : "", page.f);
        fprintf(page.f, "\n## What was run\n\n%s", in->runs);
        rc = ba_whole_file_finish(&page, err);
    }
    ba_whole_file_close(&page);
    return rc;
}

/* Everything is read before anything is written. */
static int make(const options *opt, const ba_margins *margins, char **trace, size_t n, char err[BA_ERR_LEN]) {
    ba_report_spec spec;
    ba_report_inputs in;
    char path[4096];
    if (ba_report_spec_read(ba_data_find(opt->spec, path, sizeof path), &spec, err)) {
        return -1;
    }
    int rc = -1;
    if (ba_report_inputs_begin(&in, err)) {
        goto done;
    }
    for (size_t i = 0; i < n; i++) {
        if (ba_report_inputs_trace(&in, trace[i], err)) {
            goto done;
        }
    }
    if (ba_report_inputs_end(&in, err) || (opt->scores && ba_report_inputs_scores(&in, opt->scores, err))) {
        goto done;
    }
    rc = write_page(opt, margins, &spec, &in, err);
done:
    ba_report_inputs_free(&in);
    ba_report_spec_free(&spec);
    return rc;
}

static int run(const ba_call *call) {
    const options *opt = call->options;
    const ba_margins margins = ba_margins_of(call->common);
    char err[BA_ERR_LEN];
    if (!call->n_operand) {
        return ba_cli_fail(BA_EXIT_USAGE, "no trace given; eval --out makes them");
    }
    if (make(opt, &margins, call->operand, call->n_operand, err)) {
        return ba_cli_fail(strstr(err, "out of memory") ? BA_EXIT_MACHINE : BA_EXIT_USAGE, "%s", err);
    }
    printf("%s\n", opt->page);
    return BA_EXIT_OK;
}

#define AT(member) .at = offsetof(options, member)

static const ba_option own[] = {
    {"tables", "FILE", BA_FILE, AT(spec), .standard = "experiments/configs/report.json",
     .help = "tables, the paper's figures and claims"},
    {"scores", "FILE", BA_FILE, AT(scores),
     .help = "scores of other programs, JSON Lines {\"label\", \"task\", \"mode\", \"id\", \"score\"}"},
    {"page", "FILE", BA_FILE, AT(page), .standard = "results/REPORT.md", .help = "the page to write"},
    {"folder", "DIR", BA_FOLDER, AT(folder), .standard = "results",
     .help = "where the figures' data go: pareto.csv and figure4.csv"},
    {.name = NULL}};

const ba_command ba_command_report = {
    .name = "report",
    .summary = "from traces of eval to one page, beside the paper's tables",
    .usage = "TRACE.h5... [--page FILE] [--folder DIR]",
    .about =
        "From traces of eval, of several models, sessions and machines, to one page: each table beside the paper's, "
        "intervals, costs, what agrees.",
    .example = "blockattn report results/table1-base.h5 results/table1-rag.h5",
    .own = own,
    .size = sizeof(options),
    .takes = BA_TAKES_MARGINS,
    .operands = SIZE_MAX,
    .run = run,
};

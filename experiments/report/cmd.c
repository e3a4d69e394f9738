/* blockattn report: from the traces of `eval` to one page, with the paper's tables beside ours. */
#include "experiments/cli/commands.h"
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
static int write_figures(const options *w, const ba_report_spec *spec, const ba_report_inputs *in, size_t *pareto,
                         size_t *steps, char err[BA_ERR_LEN]) {
    ba_whole_file file = {0};
    if (open_data(w->folder, "pareto.csv", &file, err)) {
        return -1;
    }
    *pareto = ba_report_pareto(file.f, spec, &in->rows);
    int rc = ba_whole_file_finish(&file, err);
    ba_whole_file_close(&file);
    if (rc || open_data(w->folder, "figure4.csv", &file, err)) {
        return -1;
    }
    *steps = ba_report_steps(file.f, spec, &in->rows, &in->checks);
    rc = ba_whole_file_finish(&file, err);
    ba_whole_file_close(&file);
    return rc;
}

static int write_page(const options *w, const ba_report_spec *spec, const ba_report_inputs *in, char err[BA_ERR_LEN]) {
    size_t pareto = 0, steps = 0;
    ba_whole_file page;
    if (write_figures(w, spec, in, &pareto, &steps, err) || ba_whole_file_open(w->page, &page, err)) {
        return -1;
    }
    int rc = ba_report_print(page.f, spec, &in->rows, in->remarks) ? ba_fail(err, "out of memory") : 0;
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
static int make(const options *w, char **trace, size_t n, char err[BA_ERR_LEN]) {
    ba_report_spec spec;
    ba_report_inputs in;
    if (ba_report_spec_read(w->spec, &spec, err)) {
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
    if (ba_report_inputs_end(&in, err) || (w->scores && ba_report_inputs_scores(&in, w->scores, err))) {
        goto done;
    }
    rc = write_page(w, &spec, &in, err);
done:
    ba_report_inputs_free(&in);
    ba_report_spec_free(&spec);
    return rc;
}

int ba_cmd_report(int argc, char **argv) {
    options w = {.spec = "experiments/configs/report.json", .page = "results/REPORT.md", .folder = "results"};
    const ba_option own[] = {
        {"tables", "FILE", "tables, the paper's figures, claims (experiments/configs/report.json)", &w.spec, NULL},
        {"scores", "FILE", "scores of other programs, JSON Lines {\"label\", \"task\", \"mode\", \"id\", \"score\"}",
         &w.scores, NULL},
        {"page", "FILE", "the page to write (results/REPORT.md)", &w.page, NULL},
        {"folder", "DIR", "where the figures' data go: pareto.csv, figure4.csv (results)", &w.folder, NULL},
        {NULL, NULL, NULL, NULL, NULL}};
    int first,
        status = ba_cli_parse(argc, argv, "TRACE.h5... [--page FILE] [--folder DIR]",
                              "From traces of eval, of several models, sittings and machines, to one page: each table "
                              "beside the paper's, intervals, costs, what agrees.\n"
                              "Example\n"
                              "  blockattn report results/table1-base.h5 results/table1-rag.h5",
                              own, NULL, &first);
    if (status >= 0) {
        return status;
    }
    if (first == argc) {
        return ba_cli_fail(BA_EXIT_USAGE, "no trace given; eval --out makes them");
    }
    char err[BA_ERR_LEN];
    if (make(&w, argv + first, (size_t)(argc - first), err)) {
        return ba_cli_fail(strstr(err, "out of memory") ? BA_EXIT_MACHINE : BA_EXIT_USAGE, "%s", err);
    }
    printf("%s\n", w.page);
    return BA_EXIT_OK;
}

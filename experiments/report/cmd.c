/* blockattn report: from the traces of `eval` to pages, with the paper's tables beside ours. */
#include "claims.h"
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

static int finish(ba_whole_file *file, int failed, char err[BA_ERR_LEN]) {
    int rc = failed ? ba_fail(err, "out of memory") : ba_whole_file_finish(file, err);
    ba_whole_file_close(file);
    return rc;
}

/* The data of all figures. */
static int write_figures(const options *opt, const ba_report_spec *spec, const ba_report_inputs *in,
                         char err[BA_ERR_LEN]) {
    ba_whole_file file = {0};
    for (size_t i = 0; i < spec->n_table; i++) {
        const ba_report_table *t = &spec->table[i];
        if (!t->points) {
            continue;
        }
        if (open_data(opt->folder, t->points, &file, err)) {
            return -1;
        }
        ba_report_points(file.f, t, &in->rows);
        if (finish(&file, 0, err)) {
            return -1;
        }
    }
    if (open_data(opt->folder, "figure4.csv", &file, err)) {
        return -1;
    }
    ba_report_steps(file.f, spec, &in->rows, &in->checks);
    return finish(&file, 0, err);
}

/* What the pages are made from. */
typedef struct contents {
    const options *opt;
    const ba_margins *margins;
    const ba_report_spec *spec;
    const ba_report_inputs *in;
    ba_report_data data;
} contents;

/* Page number `page`: the tables, then the gaps, then the runs. */
static int print_page(FILE *out, const contents *c, size_t page) {
    if (page < c->spec->n_table) {
        return ba_report_table_page(out, c->spec, page, &c->data, c->in->remarks);
    }
    if (page == c->spec->n_table) {
        ba_report_gaps(out, c->spec, &c->in->rows);
    } else {
        fprintf(out, "# What was run\n\n%s", c->in->runs);
    }
    return 0;
}

static int write_pages(const contents *c, char err[BA_ERR_LEN]) {
    ba_whole_file page = {.f = NULL};
    if (write_figures(c->opt, c->spec, c->in, err)) {
        return -1;
    }
    for (size_t i = 0; i < c->spec->n_table + 2; i++) {
        const char *name = i < c->spec->n_table    ? c->spec->table[i].page
                           : i == c->spec->n_table ? BA_REPORT_GAPS_PAGE
                                                   : BA_REPORT_RUNS_PAGE;
        if (open_data(c->opt->folder, name, &page, err) || finish(&page, print_page(page.f, c, i), err)) {
            return -1;
        }
    }
    return ba_whole_file_open(c->opt->page, &page, err)
               ? -1
               : finish(&page, ba_report_first_page(page.f, c->spec, &c->in->rows, c->margins), err);
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
    contents all = {.opt = opt, .margins = margins, .spec = &spec, .in = &in};
    rc = ba_report_data_make(&spec, &in.rows, margins, &all.data) ? ba_fail(err, "out of memory")
                                                                  : write_pages(&all, err);
    ba_report_data_free(&all.data);
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
    {"page", "FILE", BA_FILE, AT(page), .standard = "results/REPORT.md",
     .help = "the first page; the others are written to --folder"},
    {"folder", "DIR", BA_FOLDER, AT(folder), .standard = "results",
     .help = "where the pages of tables go, and the figures' data: figure4.csv and what the tables name"},
    {.name = NULL}};

const ba_command ba_command_report = {
    .name = "report",
    .summary = "from traces of eval to one page of findings, and a page a table beside the paper's",
    .usage = "TRACE.h5... [--page FILE] [--folder DIR]",
    .about = "From traces of eval, of several models, sessions and machines, to one page of "
             "findings, and a page a table: beside the paper's, with intervals, costs, what agrees.",
    .example = "blockattn report results/table1-base.h5 results/table1-rag.h5",
    .own = own,
    .size = sizeof(options),
    .takes = BA_TAKES_MARGINS,
    .operands = SIZE_MAX,
    .run = run,
};

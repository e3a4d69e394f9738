/* The derived tables of a merged trace, made as their commands make them. */
#include "experiments/eval/trace.h"
#include "experiments/gate/trace.h"
#include "shards.h"

#include <stdlib.h>
#include <string.h>

static int summarise_eval(ba_trace *t, const ba_margins *margins, char err[BA_ERR_LEN]) {
    ba_eval_rows rows = {0};
    size_t n = 0, table;
    int rc = ba_eval_rows_read(t, &rows, err);
    ba_eval_summary *s = rc ? NULL : ba_eval_summarise(&rows, margins, &n);
    if (!rc && !s) {
        ba_fail(err, "out of memory");
        rc = BA_TRACE_MACHINE;
    }
    rc = rc ? rc : ba_table_declare_named(t, ba_eval_tables, "summary", &table, err);
    for (size_t i = 0; !rc && i < n; i++) {
        rc = ba_trace_append(t, table, &s[i], err);
    }
    free(s);
    ba_eval_rows_free(&rows);
    return rc;
}

int ba_shards_summarise(ba_trace *t, const char *schema, const ba_margins *margins, char err[BA_ERR_LEN]) {
    if (strncmp(schema, "blockattn/eval/", 15) == 0) {
        return summarise_eval(t, margins, err);
    }
    return strncmp(schema, "blockattn/gate/", 15) == 0 ? ba_gate_trace_summarise(t, margins, err) : 0;
}

/* Where the time to first token goes, operation by operation: `ttft --profile`. */
#include "ttft.h"

#include <math.h>
#include <string.h>

const ba_column ba_ttft_operation_columns[] = {
    BA_COLUMN_AS("case_index", ba_ttft_operation, item, BA_COLUMN_U64, ""),
    BA_COLUMN(ba_ttft_operation, operation, BA_COLUMN_TEXT, ""),
    BA_COLUMN(ba_ttft_operation, n, BA_COLUMN_U64, ""),
    BA_COLUMN(ba_ttft_operation, seconds, BA_COLUMN_F64, "s"),
    BA_COLUMN(ba_ttft_operation, share, BA_COLUMN_F64, ""),
    BA_COLUMN(ba_ttft_operation, flops, BA_COLUMN_F64, "FLOP"),
    BA_COLUMN(ba_ttft_operation, bytes, BA_COLUMN_F64, "B"),
    BA_COLUMNS_END,
};

ba_ttft_operation ba_ttft_operation_of(const ba_ttft_account *a, uint64_t item, ba_op op) {
    const struct ba_op_cost *cost = &a->profile.op[op];
    double n = (double)a->n;
    ba_ttft_operation out = {.item = item,
                             .n = a->n,
                             .seconds = cost->seconds / n,
                             .share = cost->seconds / a->seconds,
                             .flops = (double)cost->flops / n,
                             .bytes = (double)cost->bytes / n};
    snprintf(out.operation, sizeof out.operation, "%s", ba_op_name(op));
    return out;
}

static const ba_op FIRST = BA_OP_NORMS; /* operations printed; the smaller ones are summed up */

static void print_case(const ba_ttft_result *r, const ba_ttft_account *a) {
    char name[48];
    double rest = 1;
    snprintf(name, sizeof name, "%.11s %s %s", r->mode, r->cold ? "cold" : "warm", r->executor);
    printf("%7.0f  %-22s", (double)r->length, name);
    for (ba_op op = FIRST; op < BA_OP_COUNT; op++) {
        ba_ttft_operation o = ba_ttft_operation_of(a, 0, op);
        rest -= o.share;
        printf("%8.1f%%", 100 * o.share);
    }
    printf("%6.1f%%\n%31s", 100 * rest, "GFLOP/s");
    for (ba_op op = FIRST; op < BA_OP_COUNT; op++) {
        ba_ttft_operation o = ba_ttft_operation_of(a, 0, op);
        if (o.flops > 0 && o.seconds > 0) {
            printf("%8.0f ", o.flops / o.seconds / 1e9);
        } else {
            printf("%8s ", "");
        }
    }
    putchar('\n');
}

void ba_ttft_print_profile(const ba_ttft_result *r, const ba_ttft_account *a, size_t n) {
    static const char *const head[BA_OP_COUNT] = {
        [BA_OP_NORMS] = "norms",       [BA_OP_QKV] = "q,k,v", [BA_OP_KV_WRITE] = "kv write",
        [BA_OP_ATTENTION] = "attend",  [BA_OP_OUT] = "out",   [BA_OP_GATE_UP] = "gate,up",
        [BA_OP_ACTIVATION] = "activ.", [BA_OP_DOWN] = "down", [BA_OP_HEAD] = "head",
    };
    puts("\nOperations, share of the time to first token of all samples of this call");
    printf(" length  %-22s", "case");
    for (ba_op op = FIRST; op < BA_OP_COUNT; op++) {
        printf("%8s ", head[op]);
    }
    puts("  rest");
    for (size_t i = 0; i < n; i++) {
        if (a[i].n > 0 && a[i].seconds > 0) {
            print_case(&r[i], &a[i]);
        }
    }
}

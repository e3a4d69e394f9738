#include "rows.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

ba_merge_rule ba_merge_rule_of(const char *schema, const char *table) {
    static const struct {
        const char *schema, *table; /* the schema without its version; "": every one */
        ba_merge_rule rule;
    } rules[] = {
        {"", "work", BA_MERGE_WORK},
        {"", "sessions", BA_MERGE_ALL},
        {"blockattn/eval/", "items", BA_MERGE_BY_TASK},
        {"blockattn/eval/", "summary", BA_MERGE_ANEW},
        {"blockattn/gate/", "prompts", BA_MERGE_BY_PROMPT},
        {"blockattn/gate/", "layers", BA_MERGE_BY_PROMPT},
        {"blockattn/gate/", "mass", BA_MERGE_BY_PROMPT},
        {"blockattn/gate/", "choices", BA_MERGE_BY_PROMPT},
        {"blockattn/gate/", "modes", BA_MERGE_ANEW},
        {"blockattn/ttft/", "cases", BA_MERGE_ONCE},
        {"blockattn/ttft/", "samples", BA_MERGE_BY_SIZE},
        {"blockattn/ttft/", "distances", BA_MERGE_BY_SIZE},
        {"blockattn/ttft/", "results", BA_MERGE_BY_SIZE},
    };
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        if (strcmp(rules[i].table, table) == 0 && strncmp(schema, rules[i].schema, strlen(rules[i].schema)) == 0) {
            return rules[i].rule;
        }
    }
    return BA_MERGE_UNKNOWN;
}

int ba_merge_by_name(const void *a, const void *b) {
    const ba_work_row *x = a, *y = b;
    int order = strncmp(x->task, y->task, sizeof x->task);
    return order ? order : (x->index > y->index) - (x->index < y->index);
}

/* A count of a row; 0 if there is no such column. */
static uint64_t count_of(const ba_column *c, const void *row, const char *name) {
    uint64_t value = 0;
    for (; c->name; c++) {
        if (strcmp(c->name, name) == 0 && c->type == BA_COLUMN_U64) {
            memcpy(&value, (const char *)row + c->offset, sizeof value);
        }
    }
    return value;
}

static void text_of(const ba_column *c, const void *row, const char *name, char out[64]) {
    for (; c->name; c++) {
        if (strcmp(c->name, name) == 0 && c->type == BA_COLUMN_TEXT) {
            snprintf(out, 64, "%.*s", (int)(c->size < 63 ? c->size : 63), (const char *)row + c->offset);
        }
    }
}

size_t ba_merge_item(ba_merge_rule rule, const ba_column *columns, const void *row, const ba_work_row *work, size_t n) {
    ba_work_row key = {.index = 0};
    const ba_work_row *found = NULL;
    switch (rule) {
    case BA_MERGE_WORK:
        return count_of(columns, row, "item");
    case BA_MERGE_BY_TASK:
        text_of(columns, row, "task", key.task);
        key.index = count_of(columns, row, "index");
        break;
    case BA_MERGE_BY_PROMPT:
        key.index = count_of(columns, row, "prompt");
        break;
    case BA_MERGE_BY_SIZE:
        snprintf(key.task, sizeof key.task, "%" PRIu64 "/%" PRIu64, count_of(columns, row, "length"),
                 count_of(columns, row, "block_tokens"));
        for (size_t i = 0; i < n; i++) { /* there are few sizes, and a row does not know their numbers */
            if (strcmp(work[i].task, key.task) == 0) {
                return work[i].item;
            }
        }
        return SIZE_MAX;
    case BA_MERGE_ONCE:
    case BA_MERGE_ALL:
    case BA_MERGE_ANEW:
    case BA_MERGE_UNKNOWN:
        return 0;
    }
    found = n ? bsearch(&key, work, n, sizeof *work, ba_merge_by_name) : NULL;
    return found ? found->item : SIZE_MAX;
}

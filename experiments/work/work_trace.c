/* What the trace of a shard says about the work. */
#include "work.h"

#include "experiments/cli/environment.h"
#include "kernels/base/clock.h"

#include <glob.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>

const ba_column ba_work_columns[] = {BA_COLUMN(ba_work_row, item, BA_COLUMN_U64, ""),
                                     BA_COLUMN(ba_work_row, task, BA_COLUMN_TEXT, ""),
                                     BA_COLUMN(ba_work_row, index, BA_COLUMN_U64, ""),
                                     BA_COLUMN(ba_work_row, done, BA_COLUMN_U64, ""),
                                     BA_COLUMN(ba_work_row, flops, BA_COLUMN_F64, "FLOP"),
                                     BA_COLUMN(ba_work_row, seconds, BA_COLUMN_F64, "s"),
                                     BA_COLUMN(ba_work_row, finished, BA_COLUMN_TEXT, ""),
                                     BA_COLUMN(ba_work_row, machine, BA_COLUMN_TEXT, ""),
                                     BA_COLUMNS_END};

void ba_machine_name(char out[64]) {
    char id[320] = "", cpu[256];
    FILE *f = fopen("/etc/machine-id", "r");
    size_t n = f ? fread(id, 1, 64, f) : 0;
    if (f) {
        fclose(f);
    }
    if (gethostname(id + n, sizeof id - n - 1)) { /* nodes that start from one image share their id */
        id[n] = '\0';
    }
    ba_environment_cpu(cpu, sizeof cpu);
    snprintf(out, 64, "%08x %.34s, %ld processors", (unsigned)XXH3_64bits(id, strlen(id)), cpu,
             sysconf(_SC_NPROCESSORS_ONLN));
}

/* Marks what a trace has finished. An item that the list lacks is of other work. */
static int read_done(ba_work_list *w, const ba_trace *t, size_t table, char err[BA_ERR_LEN]) {
    int rc = ba_trace_has_columns(t, table, ba_work_columns, err);
    for (size_t i = 0; !rc && i < ba_trace_rows(t, table); i++) {
        ba_work_row row;
        size_t size;
        const ba_column *have = ba_trace_columns(t, table, &size);
        char *raw = calloc(1, size);
        if (!raw) {
            ba_fail(err, "out of memory");
            return BA_TRACE_MACHINE;
        }
        rc = ba_trace_read(t, table, i, 1, raw, err);
        if (!rc) {
            ba_trace_convert(have, raw, ba_work_columns, &row);
            ba_trace_release(t, table, raw, 1);
        }
        free(raw);
        if (!rc && (row.item >= w->n || strcmp(row.task, w->item[row.item].task) != 0 ||
                    row.index != w->item[row.item].index)) {
            ba_fail(err, "table work: row %zu is no item of this run; leave out --resume", i);
            rc = BA_TRACE_REFUSED;
        }
        if (!rc) {
            w->item[row.item].done = true;
        }
    }
    return rc;
}

typedef struct list_of {
    char hash[32];
    bool same;
} list_of;

static int compare_list(void *arg, const char *key, const char *value) {
    list_of *l = arg;
    l->same = l->same || (strcmp(key, "work") == 0 && strcmp(value, l->hash) == 0);
    return 0;
}

/* What another rank's trace has finished; files that are no trace of this work are refused. */
static int read_other(ba_work_list *w, const char *path, char err[BA_ERR_LEN]) {
    ba_trace *t;
    list_of list = {.same = false};
    int rc = ba_trace_open(path, &t, err);
    if (rc) {
        return rc;
    }
    snprintf(list.hash, sizeof list.hash, "%016" PRIx64, w->hash);
    ba_trace_attributes(t, compare_list, &list);
    if (!list.same) {
        ba_fail(err, "%s: is of other work (attribute work); remove it, or leave out --resume", path);
        rc = BA_TRACE_REFUSED;
    }
    for (size_t table = 0; !rc && table < ba_trace_tables(t); table++) {
        rc = strcmp(ba_trace_table_name(t, table), "work") == 0 ? read_done(w, t, table, err) : 0;
    }
    ba_trace_close(t);
    return rc;
}

/* The traces of all ranks: "NAME.rank-*.h5" beside this one, also of ranks that this job does not have. */
static int read_others(ba_work_list *w, const char *out, char err[BA_ERR_LEN]) {
    const char *tail = strstr(out, ".rank-");
    char *pattern = NULL;
    glob_t found;
    for (const char *next = tail; next; next = strstr(next + 1, ".rank-")) {
        tail = next;
    }
    if (!tail || asprintf(&pattern, "%.*s.rank-[0-9]*.h5", (int)(tail - out), out) < 0) {
        return tail ? BA_TRACE_MACHINE : 0;
    }
    int rc = 0;
    if (glob(pattern, 0, NULL, &found) == 0) {
        for (size_t i = 0; !rc && i < found.gl_pathc; i++) {
            rc = strcmp(found.gl_pathv[i], out) == 0 ? 0 : read_other(w, found.gl_pathv[i], err);
        }
        globfree(&found);
    }
    free(pattern);
    return rc;
}

int ba_work_begin(ba_work_list *w, ba_trace *t, size_t declared, const char *out, bool resume, char err[BA_ERR_LEN]) {
    char name[64], hash[32];
    ba_shard_name(&w->shard, name);
    snprintf(hash, sizeof hash, "%016" PRIx64, w->hash);
    w->table = declared;
    int rc = ba_trace_set(t, "shard", name, err);
    rc = rc ? rc : ba_trace_set(t, "work", hash, err);
    rc = rc ? rc : ba_trace_set_count(t, "work_items", w->n, err);
    rc = rc ? rc : read_done(w, t, declared, err);
    rc = rc || !resume || !w->shard.ranks ? rc : read_others(w, out, err);
    w->since = ba_now();
    return rc;
}

int ba_work_finish(ba_work_list *w, ba_trace *t, size_t item, char err[BA_ERR_LEN]) {
    const ba_work_item *one = &w->item[item];
    const double now = ba_now();
    const time_t seconds = time(NULL);
    struct tm utc;
    ba_work_row row = {.item = item, .index = one->index, .done = 1, .flops = one->flops, .seconds = now - w->since};
    memcpy(row.task, one->task, sizeof row.task);
    ba_machine_name(row.machine);
    if (gmtime_r(&seconds, &utc)) {
        strftime(row.finished, sizeof row.finished, "%Y-%m-%dT%H:%M:%SZ", &utc);
    }
    w->since = now;
    w->item[item].done = true;
    return ba_trace_append(t, w->table, &row, err);
}

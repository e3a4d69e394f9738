/* Results of `blockattn reload` as a table, JSON or CSV. */
#include "reload.h"

#include "experiments/cli/json.h"
#include "experiments/cli/rows.h"
#include "experiments/measure/protocol.h"
#include "experiments/measure/stats.h"

#include <math.h>

static const struct {
    const char *name, *about;
} states[BA_RELOAD_STATES] = {
    [BA_RELOAD_COLD] = {"cold", "encoded"},
    [BA_RELOAD_WRITING] = {"kept", "encoded, then written in the background"},
    [BA_RELOAD_BUSY] = {"busy", "in memory, while blocks are written"},
    [BA_RELOAD_MEMORY] = {"memory", "in memory: the device's, if there is one"},
    [BA_RELOAD_RAM] = {"ram", "in the machine's memory, not on the device"},
    [BA_RELOAD_DISK] = {"disk", "another process, file not in the page cache"},
    [BA_RELOAD_LOAD] = {"load", "another process"},
    [BA_RELOAD_AGAIN] = {"again", "that process once more"},
};

const char *ba_reload_state_name(ba_reload_state s) {
    return states[s].name;
}

typedef double (*field)(const ba_reload_sample *);

static ba_stats stats_of(const ba_reload_result *r, ba_reload_state s, field f) {
    double x[BA_RELOAD_MOST];
    for (size_t i = 0; i < r->n; i++) {
        x[i] = f(&r->taken[i][s]);
    }
    return ba_stats_of(x, r->n);
}

static double median_of(const ba_reload_result *r, ba_reload_state s, field f) {
    return stats_of(r, s, f).median;
}

static double total(const ba_reload_sample *s) {
    return s->seconds;
}
static double load(const ba_reload_sample *s) {
    return s->stage[BA_STAGE_LOAD];
}
static double copy(const ba_reload_sample *s) {
    return s->copy_s;
}
static double encode(const ba_reload_sample *s) {
    return s->stage[BA_STAGE_ENCODE];
}
static double prefill(const ba_reload_sample *s) {
    return s->stage[BA_STAGE_PREFILL];
}
/* Of the slower of the two ways: out of a tier, and to a device. */
static double rate(const ba_reload_sample *s) {
    return s->load_bytes ? (double)s->load_bytes / fmax(s->stage[BA_STAGE_LOAD], s->copy_s) : (double)NAN;
}
static double bytes(const ba_reload_sample *s) {
    return (double)s->load_bytes;
}
static double computed(const ba_reload_sample *s) {
    return (double)s->computed;
}
static double max_abs(const ba_reload_sample *s) {
    return s->off.max_abs;
}
static double kl(const ba_reload_sample *s) {
    return s->off.kl;
}

double ba_reload_loaded_bytes(const ba_reload_result *r, ba_reload_state s) {
    return median_of(r, s, bytes);
}

static bool is_taken(const ba_reload_result *r, ba_reload_state s) {
    return !r->taken[0][s].absent;
}

static bool same_bits(const ba_reload_result *r, ba_reload_state s) {
    for (size_t i = 0; i < r->n; i++) {
        if (!r->taken[i][s].same) {
            return false;
        }
    }
    return true;
}

static cJSON *json_of_state(const ba_reload_result *r, ba_reload_state s) {
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "blocks", states[s].name);
    ba_json_add_number(o, "ttft_s_median", median_of(r, s, total));
    ba_json_add_number(o, "ttft_s_mad", stats_of(r, s, total).mad);
    ba_json_add_number(o, "load_s_median", median_of(r, s, load));
    ba_json_add_number(o, "copy_s_median", median_of(r, s, copy));
    ba_json_add_number(o, "encode_s_median", median_of(r, s, encode));
    ba_json_add_number(o, "prefill_s_median", median_of(r, s, prefill));
    ba_json_add_number(o, "load_bytes", median_of(r, s, bytes));
    ba_json_add_number(o, "load_bytes_per_s", median_of(r, s, rate));
    ba_json_add_number(o, "n_computed", median_of(r, s, computed));
    cJSON_AddBoolToObject(o, "same_logits", same_bits(r, s));
    ba_json_add_number(o, "max_dlogit", median_of(r, s, max_abs));
    ba_json_add_number(o, "kl", median_of(r, s, kl));
    return o;
}

static int print_json(const ba_reload_result *r) {
    cJSON *o = cJSON_CreateObject(), *rows = cJSON_CreateArray();
    for (ba_reload_state s = 0; s < BA_RELOAD_STATES; s++) {
        if (is_taken(r, s)) {
            cJSON_AddItemToArray(rows, json_of_state(r, s));
        }
    }
    cJSON_AddStringToObject(o, "mode", r->mode);
    cJSON_AddNumberToObject(o, "n_prompt", (double)r->taken[0][BA_RELOAD_COLD].prompt);
    cJSON_AddNumberToObject(o, "n", (double)r->n);
    ba_json_add_number(o, "disk_bytes_per_s", r->disk_rate);
    cJSON_AddItemToObject(o, "rows", rows);
    return ba_json_print(o);
}

typedef struct row {
    char mode[64], blocks[16];
    uint64_t length, question, block_tokens, n;
    double ttft_s_median, ttft_s_mad, load_s_median, copy_s_median, encode_s_median, prefill_s_median, load_bytes,
        load_bytes_per_s;
    uint64_t same_logits;
} row;

#define F64(name, unit) BA_COLUMN(row, name, BA_COLUMN_F64, unit)
#define U64(name)       BA_COLUMN(row, name, BA_COLUMN_U64, "")

static const ba_column columns[] = {BA_COLUMN(row, mode, BA_COLUMN_TEXT, ""),
                                    BA_COLUMN(row, blocks, BA_COLUMN_TEXT, ""),
                                    U64(length),
                                    U64(question),
                                    U64(block_tokens),
                                    U64(n),
                                    F64(ttft_s_median, "s"),
                                    F64(ttft_s_mad, "s"),
                                    F64(load_s_median, "s"),
                                    F64(copy_s_median, "s"),
                                    F64(encode_s_median, "s"),
                                    F64(prefill_s_median, "s"),
                                    F64(load_bytes, "B"),
                                    F64(load_bytes_per_s, "B/s"),
                                    U64(same_logits),
                                    BA_COLUMNS_END};

void ba_reload_begin(const ba_common *c) {
    if (c->format == BA_FORMAT_CSV) {
        ba_rows_begin(stdout, BA_ROWS_CSV, columns);
    }
}

static void print_csv(const ba_reload_result *r) {
    for (ba_reload_state s = 0; s < BA_RELOAD_STATES; s++) {
        if (!is_taken(r, s)) {
            continue;
        }
        const ba_stats ttft = stats_of(r, s, total);
        row out = {.length = r->length,
                   .question = r->question,
                   .block_tokens = r->block,
                   .n = r->n,
                   .ttft_s_median = ttft.median,
                   .ttft_s_mad = ttft.mad,
                   .load_s_median = median_of(r, s, load),
                   .copy_s_median = median_of(r, s, copy),
                   .encode_s_median = median_of(r, s, encode),
                   .prefill_s_median = median_of(r, s, prefill),
                   .load_bytes = median_of(r, s, bytes),
                   .load_bytes_per_s = median_of(r, s, rate),
                   .same_logits = same_bits(r, s)};
        snprintf(out.mode, sizeof out.mode, "%s", r->mode);
        snprintf(out.blocks, sizeof out.blocks, "%s", states[s].name);
        ba_rows_print(stdout, BA_ROWS_CSV, columns, &out, false);
    }
}

static void print_state(const ba_reload_result *r, ba_reload_state s) {
    static const field shown[] = {total, load, copy, encode, prefill};
    char per_s[48] = "", number[32];
    double speed = median_of(r, s, rate);
    printf("%-13s", states[s].name);
    for (size_t i = 0; i < sizeof shown / sizeof *shown; i++) {
        ba_print_seconds(number, sizeof number, median_of(r, s, shown[i]));
        printf("  %10s", number);
    }
    if (isfinite(speed)) {
        ba_print_bytes(number, sizeof number, speed);
        snprintf(per_s, sizeof per_s, "%s/s", number);
    }
    printf("  %12s  %8.2g  %8.2g  %s\n", per_s, median_of(r, s, max_abs), median_of(r, s, kl), states[s].about);
}

static void print_table(const ba_reload_result *r, bool all_same) {
    char loaded[32], speed[32];
    double most = 0;
    printf("%zu prompt tokens, passages of %zu, question of %zu, mode %s; medians of %zu\n\n",
           r->taken[0][BA_RELOAD_COLD].prompt, r->block, r->question, r->mode, r->n);
    printf("%-13s  %10s  %10s  %10s  %10s  %10s  %12s  %8s  %8s\n", "blocks", "TTFT", "load", "copy", "encode",
           "prefill", "loaded", "|dlogit|", "KL");
    for (ba_reload_state s = 0; s < BA_RELOAD_STATES; s++) {
        if (is_taken(r, s)) {
            print_state(r, s);
            most = fmax(most, median_of(r, s, bytes));
        }
    }
    ba_print_bytes(loaded, sizeof loaded, most);
    ba_print_bytes(speed, sizeof speed, r->disk_rate);
    printf("\n%s loaded; logits are %s", loaded,
           all_same ? "the same to the bit in every line" : "NOT the same to the bit");
    printf(isfinite(r->disk_rate) ? "; the disk gives %s/s of the same file past the page cache\n" : "\n", speed);
}

int ba_reload_print(const ba_common *c, const ba_reload_result *r) {
    bool all_same = true;
    int status = 0;
    for (ba_reload_state s = 0; s < BA_RELOAD_STATES; s++) {
        all_same &= !is_taken(r, s) || same_bits(r, s);
    }
    switch (c->format) {
    case BA_FORMAT_TABLE:
        print_table(r, all_same);
        break;
    case BA_FORMAT_JSON:
        status = print_json(r);
        break;
    case BA_FORMAT_CSV:
        print_csv(r);
        break;
    }
    return status ? status : all_same || !r->exact ? BA_EXIT_OK : BA_EXIT_CHECK;
}

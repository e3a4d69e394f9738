/* The screen of `compare`, 100 columns, and its JSON. */
#include "compare.h"

#include "experiments/cli/json.h"
#include "sim/base/utf8.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PAGE = 100 };

/* ---- texts ------------------------------------------------------------------------------------------------------ */

/* Text that wraps with an indent. */
typedef struct paragraph {
    size_t indent, column;
} paragraph;

static size_t width_of(const char *text, size_t len) {
    size_t n = 0;
    int32_t code;
    for (size_t at = 0, k; at < len; at += k ? k : 1, n++) {
        k = ba_utf8_next(text + at, len - at, &code);
    }
    return n;
}

static void new_line(paragraph *p) {
    printf("\n%*s", (int)p->indent, "");
    p->column = p->indent;
}

/* Characters that may break anywhere; control characters become '?'. */
static void put_bytes(paragraph *p, const char *text, size_t len) {
    int32_t code;
    for (size_t at = 0, k; at < len; at += k, p->column++) {
        k = ba_utf8_next(text + at, len - at, &code);
        k = k ? k : 1;
        if (p->column == PAGE) {
            new_line(p);
        }
        if (k == 1 && (code < 0x20 || code == 0x7f)) {
            putchar('?');
        } else {
            fwrite(text + at, 1, k, stdout);
        }
    }
}

/* A word with what belongs to it before and after; broken only if it is longer than a line. */
static void put_word(paragraph *p, const char *before, const char *word, size_t len, const char *after) {
    size_t width = strlen(before) + width_of(word, len) + strlen(after);
    if (p->column > p->indent && p->column + 1 + width > PAGE) {
        new_line(p);
    } else if (p->column > p->indent) {
        putchar(' ');
        p->column++;
    }
    put_bytes(p, before, strlen(before));
    put_bytes(p, word, len);
    put_bytes(p, after, strlen(after));
}

static void put_text(paragraph *p, const char *text) {
    for (const char *s = text + strspn(text, " \t\r\n"); *s; s += strspn(s, " \t\r\n")) {
        size_t len = strcspn(s, " \t\r\n");
        put_word(p, "", s, len, "");
        s += len;
    }
}

/* `text` with what differs from full attention's, marked as git marks words. */
static int put_difference(paragraph *p, const char *full, const char *text) {
    size_t n;
    ba_word *word = ba_text_difference(full, text, &n);
    if (!word) {
        return ba_cli_fail(BA_EXIT_MACHINE, "out of memory");
    }
    for (size_t i = 0; i < n; i++) {
        bool begins = i == 0 || word[i - 1].from != word[i].from, ends = i + 1 == n || word[i + 1].from != word[i].from;
        bool here = word[i].from == 'b', marked = word[i].from != '=';
        put_word(p, marked && begins ? here ? "{+" : "[-" : "", word[i].at, word[i].len,
                 marked && ends ? here ? "+}" : "-]" : "");
    }
    free(word);
    return 0;
}

static int print_texts(const ba_compared *row, size_t n, size_t indent, size_t max_tokens) {
    int status = 0;
    printf("\nanswer, greedy, at most %zu tokens: [-words of full attention only-], {+words of this mode only+}\n",
           max_tokens);
    for (size_t i = 0; i < n && !status; i++) {
        if (!row[i].text) {
            continue;
        }
        paragraph p = {indent, indent};
        printf("%-*s", (int)indent, row[i].mode);
        if (i == 0 || !*row[i].text) {
            put_text(&p, *row[i].text ? row[i].text : "(the first token ends it)");
        } else if (strcmp(row[i].text, row[0].text) == 0) {
            put_text(&p, "(the same)");
        } else {
            status = put_difference(&p, row[0].text, row[i].text);
        }
        putchar('\n');
    }
    return status;
}

static void print_reuse(const ba_compared *row, size_t n, size_t indent) {
    puts("\nreused once the passages were seen (the question is always computed: it sees what is before it)");
    for (size_t i = 0; i < n; i++) {
        paragraph p = {indent, indent};
        printf("%-*s", (int)indent, row[i].mode);
        put_text(&p, *row[i].why ? "cannot run on this prompt:" : row[i].reuse);
        put_text(&p, row[i].why);
        putchar('\n');
    }
}

/* ---- numbers ---------------------------------------------------------------------------------------------------- */

static void print_flops(char out[16], double flops) {
    char text[32];
    snprintf(text, sizeof text, "%.2e", flops);
    char *e = strchr(text, 'e');
    snprintf(out, 16, "%.*se%ld", e ? (int)(e - text) : 4, text, e ? strtol(e + 1, NULL, 10) : 0);
}

static void print_time(char out[32], const ba_stats *s, double value) {
    snprintf(out, 32, "-");
    if (s->n) {
        ba_print_seconds(out, 32, value);
    }
}

/* Likeliest first token, quoted, cut to eight bytes that are whole characters. */
static void print_first(char out[32], const char *token) {
    size_t n = 0, k;
    int32_t code;
    while (n < 8 && (k = ba_utf8_next(token + n, strlen(token + n), &code)) && code >= 0x20 && n + k <= 8) {
        n += k;
    }
    snprintf(out, 32, "\"%.*s%s\"", (int)n, token, token[n] ? "~" : "");
}

/* Columns after the mode: 82 characters with the space before each. */
enum { KL, LIKELIEST, NLL, MEDIAN, SPREAD, NEW, FLOPS, READ, CHARGED, CELLS };
static const size_t cell_width[CELLS] = {7, 11, 8, 8, 8, 10, 7, 7, 7};

/* Padded by hand: printf counts bytes, not characters. */
static void print_cells(const char *mode, size_t indent, const char *const cell[CELLS]) {
    printf("%-*s", (int)indent, mode);
    for (size_t i = 0; i < CELLS; i++) {
        size_t width = width_of(cell[i], strlen(cell[i]));
        printf(" %*s%s", (int)(width < cell_width[i] ? cell_width[i] - width : 0), "", cell[i]);
    }
    putchar('\n');
}

static void print_row(const ba_compared *r, bool is_full, size_t indent) {
    static const char *const none[CELLS] = {"-", "-", "-", "-", "-", "-", "-", "-", "-"};
    char kl[16] = "-", nll[16] = "-", first[32], again[32], spread[32], cold[32], flops[16], bytes[32], charged[16];
    if (*r->why) {
        print_cells(r->mode, indent, none);
        return;
    }
    if (!is_full) {
        snprintf(kl, sizeof kl, r->far.kl < 1e-3 && r->far.kl > 0 ? "%.1e" : "%.3f", r->far.kl);
    }
    if (isfinite(r->nll)) {
        snprintf(nll, sizeof nll, "%.3f", r->nll);
    }
    print_first(first, r->first);
    print_time(again, &r->again, r->again.median);
    print_time(spread, &(ba_stats){.n = r->again.n > 1}, r->again.mad);
    print_time(cold, &r->cold, r->cold.median);
    print_flops(flops, (double)r->flops_exact);
    ba_print_bytes(bytes, sizeof bytes, (double)r->bytes_read);
    snprintf(charged, sizeof charged, "%.2f", r->charged);
    print_cells(r->mode, indent,
                (const char *const[CELLS]){[KL] = kl,
                                           [LIKELIEST] = !is_full && r->far.top1 ? "same" : first,
                                           [NLL] = nll,
                                           [MEDIAN] = again,
                                           [SPREAD] = spread,
                                           [NEW] = r->stores ? cold : "same",
                                           [FLOPS] = flops,
                                           [READ] = bytes,
                                           [CHARGED] = charged});
}

static void print_numbers(const ba_compared *row, size_t n, size_t indent, size_t repeat) {
    char times[48];
    snprintf(times, sizeof times, "time to first token, n = %zu", repeat);
    printf("\n%*s %19s %8s %28s %23s\n", (int)indent, "", "first token", "answer", times, "work");
    print_cells("mode", indent,
                (const char *const[CELLS]){"KL, nat", "likeliest", "NLL, nat", "median", "+-MAD", "new prompt", "FLOPs",
                                           "read", "charged"});
    for (size_t i = 0; i < n; i++) {
        print_row(&row[i], i == 0, indent);
    }
}

int ba_compare_print(const ba_session *b, const ba_common *c, const ba_compared *row, size_t n, size_t n_answer,
                     const ba_compare_options *opt) {
    size_t indent = 8;
    for (size_t i = 0; i < n; i++) {
        size_t len = strlen(row[i].mode) + 1;
        indent = len > indent ? len : indent;
    }
    indent = indent > 18 ? 18 : indent;
    printf("%s, %s/%s, %zu thread%s; prompt of %zu tokens", ba_model_name(b->model), b->be->ops->name,
           b->be->ops->dtype, c->threads, c->threads == 1 ? "" : "s", row[0].n_prompt);
    printf(n_answer ? ", answer of %zu\n" : "\n", n_answer);
    print_numbers(row, n, indent, opt->repeat);
    int status = print_texts(row, n, indent, opt->max_tokens);
    print_reuse(row, n, indent);
    return status;
}

/* ---- for programs ----------------------------------------------------------------------------------------------- */

static cJSON *json_of(const ba_compared *r, bool is_full, size_t n_answer) {
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "mode", r->mode);
    if (*r->why) {
        cJSON_AddStringToObject(o, "error", r->why);
        return o;
    }
    cJSON_AddStringToObject(o, "text", r->text ? r->text : "");
    cJSON_AddStringToObject(o, "stop", r->stop ? r->stop : "");
    ba_json_add_number(o, "kl", is_full ? 0 : r->far.kl);
    cJSON_AddBoolToObject(o, "top1", is_full || r->far.top1);
    ba_json_add_bytes(o, "first", r->first, strlen(r->first));
    ba_json_add_number(o, "nll", r->nll);
    cJSON_AddNumberToObject(o, "n_answer_tokens", (double)n_answer);
    ba_json_add_number(o, "ttft_s", r->again.median);
    ba_json_add_number(o, "ttft_s_mad", r->again.mad);
    cJSON_AddNumberToObject(o, "n", (double)r->again.n);
    ba_json_add_number(o, "ttft_new_s", r->cold.n ? r->cold.median : r->again.median);
    ba_json_add_number(o, "ttft_new_s_mad", r->cold.n ? r->cold.mad : r->again.mad);
    cJSON_AddNumberToObject(o, "flops_exact", (double)r->flops_exact);
    ba_json_add_number(o, "charged", r->charged);
    cJSON_AddNumberToObject(o, "bytes_read", (double)r->bytes_read);
    cJSON_AddNumberToObject(o, "kv_bytes", (double)r->kv_bytes);
    cJSON_AddNumberToObject(o, "n_prompt", (double)r->n_prompt);
    cJSON_AddNumberToObject(o, "n_computed", (double)r->n_computed);
    cJSON_AddNumberToObject(o, "n_reused", (double)r->n_reused);
    cJSON_AddStringToObject(o, "reuse", r->reuse);
    return o;
}

int ba_compare_json(const ba_compared *row, size_t n, size_t n_answer) {
    cJSON *o = cJSON_CreateObject(), *modes = cJSON_AddArrayToObject(o, "modes");
    for (size_t i = 0; i < n; i++) {
        cJSON_AddItemToArray(modes, json_of(&row[i], i == 0, n_answer));
    }
    return ba_json_print(o);
}

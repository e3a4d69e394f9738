#include "csv.h"

#include "field.h"
#include "lines.h"
#include "sim/base/grow.h"

#include <csv.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_RECORD = 1 << 28, MAX_COLUMNS = 1 << 16 };

typedef struct cell {
    char *text; /* [n], NUL after it */
    size_t n;
} cell;

struct ba_csv {
    ba_lines *lines;
    struct csv_parser parser;
    char *path;
    cell *column; /* [n_column] the header */
    size_t n_column;
    cell *field; /* [n_field] of the record at hand */
    size_t n_field, cap;
    size_t records;       /* that ended in the line at hand */
    size_t number, bytes; /* of the record: its first line, and how much of it was read */
    bool open, no_memory; /* open: the parser was set up */
};

static void clear(cell *c, size_t n) {
    for (size_t i = 0; i < n; i++) {
        free(c[i].text);
    }
}

/* A cell was read. */
static void on_cell(void *text, size_t n, void *arg) {
    ba_csv *c = arg;
    char *copy = malloc(n + 1);
    if (!copy || c->n_field == MAX_COLUMNS || ba_grow(&c->field, &c->cap, c->n_field + 1, sizeof *c->field)) {
        c->no_memory = true;
        free(copy);
        return;
    }
    memcpy(copy, text, n);
    copy[n] = '\0';
    c->field[c->n_field++] = (cell){copy, n};
}

static void on_record(int end, void *arg) {
    ba_csv *c = arg;
    (void)end;
    c->records++;
}

static int broken(const ba_csv *c, size_t line, const char *why, char err[BA_ERR_LEN]) {
    return ba_fail(err, "%s: line %zu: %s", c->path, line, why);
}

static int check_line(const ba_csv *c, bool parsed, char err[BA_ERR_LEN]) {
    if (c->no_memory) {
        return ba_fail(err, "out of memory");
    }
    if (!parsed) {
        return broken(c, ba_lines_number(c->lines),
                      "a quotation mark in the middle of a cell; put the cell into quotation marks, and double those "
                      "inside",
                      err);
    }
    if (c->records > 1) {
        return broken(c, ba_lines_number(c->lines), "several records in one line, parted by carriage returns", err);
    }
    return c->bytes > MAX_RECORD ? broken(c, c->number, "the record that begins here has more than 256 MB", err) : 0;
}

/* The next record into field. 1, 0: there is none, or -1 and err. */
static int read_record(ba_csv *c, char err[BA_ERR_LEN]) {
    const char *line;
    size_t n;
    int got;
    clear(c->field, c->n_field);
    c->n_field = c->records = c->bytes = 0;
    while ((got = ba_lines_raw(c->lines, &line, &n, err)) > 0) {
        bool marked = ba_lines_number(c->lines) == 1 && n >= 3 && memcmp(line, "\xef\xbb\xbf", 3) == 0;
        line += marked ? 3 : 0;
        n -= marked ? 3 : 0;
        c->number = c->bytes ? c->number : ba_lines_number(c->lines);
        c->bytes += n + 1;
        bool parsed = csv_parse(&c->parser, line, n, on_cell, on_record, c) == n &&
                      csv_parse(&c->parser, "\n", 1, on_cell, on_record, c) == 1;
        if (check_line(c, parsed, err)) {
            return -1;
        }
        if (c->records) {
            return 1;
        }
        c->bytes = c->n_field || c->parser.pstate ? c->bytes : 0; /* a blank line begins nothing */
    }
    if (got == 0 && csv_fini(&c->parser, on_cell, on_record, c)) {
        return broken(c, c->number, "the record that begins here has a quotation mark that is never closed", err);
    }
    return got;
}

static int read_header(ba_csv *c, char err[BA_ERR_LEN]) {
    int got = read_record(c, err);
    if (got <= 0) {
        return got < 0 ? -1 : ba_fail(err, "%s: holds no record, not even a header", c->path);
    }
    c->column = c->field;
    c->n_column = c->n_field;
    c->field = NULL;
    c->n_field = c->cap = 0;
    for (size_t i = 0; i < c->n_column; i++) {
        char why[BA_ERR_LEN];
        if (ba_text_check(c->column[i].text, c->column[i].n, c->number, why)) {
            return ba_fail(err, "%s: %s", c->path, why);
        }
        for (size_t k = 0; k < i; k++) {
            if (strcmp(c->column[k].text, c->column[i].text) == 0) {
                return ba_fail(err, "%s: line %zu: columns %zu and %zu have the same name '%.100s'", c->path, c->number,
                               k + 1, i + 1, c->column[i].text);
            }
        }
    }
    return 0;
}

int ba_csv_open(const char *path, char delimiter, ba_csv **out, char err[BA_ERR_LEN]) {
    ba_csv *c = calloc(1, sizeof *c);
    *out = NULL;
    if (!c || !(c->path = strdup(path)) || csv_init(&c->parser, CSV_STRICT | CSV_STRICT_FINI | CSV_APPEND_NULL) != 0) {
        ba_csv_close(c);
        return ba_fail(err, "out of memory");
    }
    c->open = true;
    csv_set_delim(&c->parser, (unsigned char)delimiter);
    if (ba_lines_open(path, &c->lines, err) || read_header(c, err)) {
        ba_csv_close(c);
        return -1;
    }
    *out = c;
    return 0;
}

void ba_csv_close(ba_csv *c) {
    if (!c) {
        return;
    }
    if (c->open) {
        csv_free(&c->parser);
    }
    clear(c->column, c->n_column);
    clear(c->field, c->n_field);
    free(c->column);
    free(c->field);
    ba_lines_close(c->lines);
    free(c->path);
    free(c);
}

const char *ba_csv_column(const ba_csv *c, size_t i) {
    return i < c->n_column ? c->column[i].text : NULL;
}

size_t ba_csv_number(const ba_csv *c) {
    return c->number;
}

int ba_csv_next(ba_csv *c, cJSON **object, char err[BA_ERR_LEN]) {
    char why[BA_ERR_LEN];
    int got = read_record(c, err);
    if (got <= 0) {
        return got;
    }
    if (c->n_field != c->n_column) {
        ba_fail(err, "%zu cell%s, where the header has %zu", c->n_field, c->n_field == 1 ? "" : "s", c->n_column);
        return BA_LINE_BAD;
    }
    size_t line = c->number;
    for (size_t i = 0; i < c->n_field; i++) {
        const cell *f = &c->field[i];
        if (ba_text_check(f->text, f->n, line, why)) {
            ba_fail(err, "column '%.100s', %s", c->column[i].text, why);
            return BA_LINE_BAD;
        }
        for (const char *s = f->text; (s = strchr(s, '\n')); s++) {
            line++;
        }
    }
    cJSON *o = cJSON_CreateObject();
    for (size_t i = 0; i < c->n_field; i++) {
        if (!cJSON_AddStringToObject(o, c->column[i].text, c->field[i].text)) {
            cJSON_Delete(o);
            return ba_fail(err, "out of memory");
        }
    }
    *object = o;
    return 1;
}

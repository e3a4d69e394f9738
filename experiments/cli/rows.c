#include "rows.h"

#include <cjson/cJSON.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The shortest text that reads back as the same number. */
static void print_real(FILE *out, double x) {
    char text[32];
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, x);
        if (strtod(text, NULL) == x) {
            break;
        }
    }
    fputs(text, out);
}

/* RFC 4180: quoted if it holds a comma, a quote or a line break. */
static void print_csv_text(FILE *out, const char *s) {
    if (!strpbrk(s, ",\"\r\n")) {
        fputs(s, out);
        return;
    }
    putc('"', out);
    for (; *s; s++) {
        if (*s == '"') {
            putc('"', out);
        }
        putc(*s, out);
    }
    putc('"', out);
}

static void print_markdown_text(FILE *out, const char *s) {
    for (; *s; s++) {
        if (*s == '|') {
            putc('\\', out);
        }
        putc(*s == '\n' || *s == '\r' ? ' ' : *s, out);
    }
}

void ba_print_json_text(FILE *out, const char *text) {
    cJSON *string = cJSON_CreateStringReference(text);
    char *quoted = string ? cJSON_PrintUnformatted(string) : NULL;
    fputs(quoted ? quoted : "null", out);
    cJSON_free(quoted);
    cJSON_Delete(string);
}

static bool is_json(ba_rows_format format) {
    return format == BA_ROWS_JSON || format == BA_ROWS_JSONL;
}

static void print_text(FILE *out, ba_rows_format format, const char *s) {
    if (is_json(format)) {
        ba_print_json_text(out, s);
    } else if (format == BA_ROWS_CSV) {
        print_csv_text(out, s);
    } else {
        print_markdown_text(out, s);
    }
}

static void print_blank(FILE *out, ba_rows_format format) {
    fputs(is_json(format) ? "null" : "", out);
}

static void print_cell(FILE *out, ba_rows_format format, const ba_column *c, const char *row) {
    const char *at = row + c->offset;
    int64_t i;
    uint64_t u;
    double x;
    const char *s;
    char *copy;
    switch (c->type) {
    case BA_COLUMN_I64:
        memcpy(&i, at, sizeof i);
        fprintf(out, "%" PRId64, i);
        break;
    case BA_COLUMN_U64:
        memcpy(&u, at, sizeof u);
        fprintf(out, "%" PRIu64, u);
        break;
    case BA_COLUMN_F64:
        memcpy(&x, at, sizeof x);
        if (isfinite(x)) {
            print_real(out, x);
        } else {
            print_blank(out, format);
        }
        break;
    case BA_COLUMN_TEXT: /* in a damaged file the end may be missing */
        copy = strndup(at, c->size);
        print_text(out, format, copy ? copy : "");
        free(copy);
        break;
    case BA_COLUMN_STRING:
        memcpy(&s, at, sizeof s);
        if (s) {
            print_text(out, format, s);
        } else {
            print_blank(out, format);
        }
        break;
    }
}

void ba_rows_begin(FILE *out, ba_rows_format format, const ba_column *columns) {
    if (is_json(format)) {
        fputs(format == BA_ROWS_JSON ? "[" : "", out);
        return;
    }
    const char *edge = format == BA_ROWS_MARKDOWN ? "| " : "", *between = format == BA_ROWS_MARKDOWN ? " | " : ",";
    for (const ba_column *c = columns; c->name; c++) {
        fputs(c == columns ? edge : between, out);
        print_text(out, format, c->name);
        if (format == BA_ROWS_MARKDOWN && *c->unit) {
            fprintf(out, " (%s)", c->unit);
        }
    }
    fputs(format == BA_ROWS_MARKDOWN ? " |\n" : "\n", out);
    for (const ba_column *c = columns; format == BA_ROWS_MARKDOWN && c->name; c++) {
        bool text = c->type == BA_COLUMN_TEXT || c->type == BA_COLUMN_STRING;
        fprintf(out, "%s%s%s", c == columns ? "|" : "", text ? "---" : "---:", c[1].name ? "|" : "|\n");
    }
}

void ba_rows_print(FILE *out, ba_rows_format format, const ba_column *columns, const void *row, bool first) {
    static const char *const open[] = {"", "\n{", "| ", "{"}, *const between[] = {",", ", ", " | ", ", "},
                             *const close[] = {"\n", "}", " |\n", "}\n"};
    if (format == BA_ROWS_JSON && !first) {
        putc(',', out);
    }
    for (const ba_column *c = columns; c->name; c++) {
        fputs(c == columns ? open[format] : between[format], out);
        if (is_json(format)) {
            ba_print_json_text(out, c->name);
            fputs(": ", out);
        }
        print_cell(out, format, c, row);
    }
    fputs(close[format], out);
}

void ba_rows_end(FILE *out, ba_rows_format format) {
    if (format == BA_ROWS_JSON) {
        fputs("\n]\n", out);
    }
}

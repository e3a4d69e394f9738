/* Rows of any table (described by the columns of a trace) as CSV, JSON, JSON Lines or Markdown: one way to print for every command
 * and for `export`. Blank is an empty field in CSV and Markdown, null in JSON. Numbers read back as the same number. */
#ifndef BA_ROWS_H
#define BA_ROWS_H

#include "sim/trace/trace.h"

#include <stdio.h>

/* JSONL: an object a line. */
typedef enum ba_rows_format { BA_ROWS_CSV, BA_ROWS_JSON, BA_ROWS_MARKDOWN, BA_ROWS_JSONL } ba_rows_format;

/* Header, then rows [n], each row_size bytes apart, then the end: a JSON list in one piece may be printed in parts,
 * `first` telling whether the row is the list's first. */
void ba_rows_begin(FILE *out, ba_rows_format format, const ba_column *columns);
void ba_rows_print(FILE *out, ba_rows_format format, const ba_column *columns, const void *row, bool first);
void ba_rows_end(FILE *out, ba_rows_format format);

/* A JSON string, quoted. */
void ba_print_json_text(FILE *out, const char *text);

#endif

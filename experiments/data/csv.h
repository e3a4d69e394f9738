/* CSV with a header (RFC 4180), plain or gzipped, by libcsv: one object of texts a record, by the names of the columns.
 * Cells may hold line ends. Every record is either an object or reported with its line, so that none disappears. */
#ifndef BA_CSV_H
#define BA_CSV_H

#include "kernels/base/error.h"

#include <cjson/cJSON.h>
#include <stddef.h>

typedef struct ba_csv ba_csv;

/* Reads the header. 0, or -1 and err naming the file. */
int ba_csv_open(const char *path, char delimiter, ba_csv **out, char err[BA_ERR_LEN]);
void ba_csv_close(ba_csv *c);

/* As ba_lines_next: 1 and *object; 0; BA_LINE_BAD and err: a record with another number of cells than the header, or a
 * cell that is no text; -1 and err naming the file and the line: quotation marks that cannot be understood. */
int ba_csv_next(ba_csv *c, cJSON **object, char err[BA_ERR_LEN]);

/* Names of the columns; NULL past the last. */
const char *ba_csv_column(const ba_csv *c, size_t i);

/* The line on which the last record began, from 1. */
size_t ba_csv_number(const ba_csv *c);

#endif

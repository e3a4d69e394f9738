/* The tables of traces: which command writes them, and what their columns mean. Names, units and meanings of all columns are
 * in one table (columns.c), so that a name means the same everywhere. */
#ifndef BA_TABLES_H
#define BA_TABLES_H

#include "sim/trace/trace.h"

#include <stdio.h>

/* A table of a trace; a command lists its own in its row. */
typedef struct ba_table {
    const char *name;         /* NULL ends a list */
    const ba_column *columns; /* without meanings, which the dictionary has */
    size_t row_size;
    const char *about; /* what one row is, a phrase */
} ba_table;

/* What a column means, for every table that has it. */
typedef struct ba_meaning {
    const char *name, *unit, *about;
} ba_meaning;

/* Of a column in a table; NULL: the dictionary lacks it. */
const ba_meaning *ba_meaning_of(const char *table, const char *column);

/* Declares a table with the units and meanings of its columns; *index gets its number. What the trace returned. */
int ba_table_declare(ba_trace *t, const ba_table *table, size_t *index, char err[BA_ERR_LEN]);
/* The same for the table of that name in a list. */
int ba_table_declare_named(ba_trace *t, const ba_table *list, const char *name, size_t *index, char err[BA_ERR_LEN]);

/* A Markdown section on the tables of one command: names, types, units and meanings of all columns. */
void ba_tables_print(FILE *out, const char *command, const ba_table *list);

#endif

/* Lines of a text, plain or gzipped, and JSON Lines, one object at a time, with the numbers of the lines. Blank lines are passed over; every
 * other line is either an object or reported as bad, so that no line disappears. A line has at most 256 MB. */
#ifndef BA_LINES_H
#define BA_LINES_H

#include "kernels/base/error.h"

#include <cjson/cJSON.h>
#include <stddef.h>

typedef struct ba_lines ba_lines;

/* 0, or -1 and err naming the file. */
int ba_lines_open(const char *path, ba_lines **out, char err[BA_ERR_LEN]);
void ba_lines_close(ba_lines *l);

/* 1: *object is the next line's, the caller's to delete; 0: there are no more; BA_LINE_BAD and err: this line holds no
 * valid JSON object, and reading goes on with the next one; -1 and err naming the file: reading cannot go on. */
enum { BA_LINE_BAD = 2 };
int ba_lines_next(ba_lines *l, cJSON **object, char err[BA_ERR_LEN]);

/* The next line as it is, without its end; valid until the next call. 1; 0: there are no more; -1 and err naming the file. */
int ba_lines_raw(ba_lines *l, const char **line, size_t *n, char err[BA_ERR_LEN]);

/* Number of the line that was read last, from 1. */
size_t ba_lines_number(const ba_lines *l);

#endif

/* What HDF5 1.10 takes on trust when it reads rows, checked ahead: sizes of chunks, and places of texts. */
#ifndef BA_TRACE_WHOLE_H
#define BA_TRACE_WHOLE_H

#include <hdf5.h>
#include <stdbool.h>

/* Whether rows [first, first + n) of a table, n > 0, can be read without going astray. file: a file opened by driver sec2
 * or core, or a group of one. False too if memory is out. */
bool ba_trace_rows_hold(hid_t file, hid_t data, hsize_t first, hsize_t n);

/* The text of a scalar attribute that holds a text of any length, malloc'ed, read from its place in the file; NULL: the place
 * does not hold it, it is longer than `most` bytes, or memory is out. */
char *ba_trace_attribute_text(hid_t attribute, size_t most);

#endif

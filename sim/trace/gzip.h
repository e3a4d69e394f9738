/* A trace may be gzipped as a whole, to be kept: HDF5's own filters leave texts of any length as they are, which are
 * most of it. Such a file is read, never gone on with. */
#ifndef BA_TRACE_GZIP_H
#define BA_TRACE_GZIP_H

#include "kernels/base/error.h"

#include <stdbool.h>
#include <stddef.h>

/* Whether a file begins as gzip's do. */
bool ba_trace_is_gzip(const char *path);

/* What is in it, [*n] bytes, malloc'ed. 0, or BA_TRACE_REFUSED (damaged, cut off, or of more than 256 MiB) or
 * BA_TRACE_MACHINE, with err. */
int ba_trace_gunzip(const char *path, char **bytes, size_t *n, char err[BA_ERR_LEN]);

#endif

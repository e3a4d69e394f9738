/* Several traces in one file, to be kept together: a group of the file for each, named after its run and laid out as a
 * trace of its own (attributes, `schema` included, and tables). The file's root has only the attribute `schema`. */
#ifndef BA_TRACE_MERGED_H
#define BA_TRACE_MERGED_H

#include "trace.h"

#define BA_TRACE_MERGED_SCHEMA "blockattn/merged/1"

/* Called with each trace of a file, and the name of its run. The trace is borrowed. Returns 0 to go on. */
typedef int ba_trace_visit(void *arg, const char *name, const ba_trace *t, char err[BA_ERR_LEN]);

/* Visits every trace of a merged file in the order of merging. Any other trace is visited itself, under its file's name
 * without folder, .gz and .h5. 0; what a visit returned; or BA_TRACE_REFUSED or BA_TRACE_MACHINE, with err. */
int ba_trace_each(const char *path, ba_trace_visit *visit, void *arg, char err[BA_ERR_LEN]);

/* Opens one run of a merged file, for reading only; a file without it is refused. Close it with ba_trace_close. */
int ba_trace_open_run(const char *path, const char *name, ba_trace **out, char err[BA_ERR_LEN]);

/* Copies the attributes and rows of a trace into a new group of a trace that was begun with the schema above. A name
 * that the file has already is refused. */
int ba_trace_add(ba_trace *merged, const char *name, const ba_trace *from, char err[BA_ERR_LEN]);

#endif

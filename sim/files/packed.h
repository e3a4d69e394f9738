/* Weights in a backend's packed form in a file, so that a start maps them instead of converting the model.
 *
 * A file is named after the model's hash and the backend's layout, library and instruction set; its head repeats both.
 * It is a cache: safe to delete, and not trusted. Head, table and every weight have an XXH3 checksum, and all of them
 * are checked at every start (13 ms for 253 MB; the first token touches these pages anyway). A file that is damaged, cut
 * short or made for something else is made again from the model, under a temporary name until it is whole. If it cannot
 * be written, a remark is all that happens. */
#ifndef BA_PACKED_H
#define BA_PACKED_H

#include "kernels/backend.h"

typedef struct ba_packed ba_packed;

/* folder: is made if need be. NULL: out of memory, or the backend has no packed form; then all is as without. */
ba_packed *ba_packed_open(const char *folder, const char *model_hash, ba_backend *be);
/* Weights borrow from it: after the last of them. NULL is allowed. */
void ba_packed_close(ba_packed *p);

/* The next weight of the model, in the same order at every start: mapped, or as weight_new of the backend makes it. p may
 * be NULL. Errors as there. */
ba_weight *ba_packed_weight(ba_packed *p, ba_backend *be, const ba_weight_src *src, size_t n_src, char err[BA_ERR_LEN]);

/* When all weights are there, and none is freed: writes the file if this start could not use it. p may be NULL. */
void ba_packed_keep(ba_packed *p);

/* Whether every weight came from the file. */
bool ba_packed_mapped(const ba_packed *p);
/* One line for the user about a file that was refused, written, or could not be written; "": none. */
const char *ba_packed_remark(const ba_packed *p);

#endif

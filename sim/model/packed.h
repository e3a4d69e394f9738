/* Weights in a backend's packed form in a file, so that a start maps them instead of converting the model.
 *
 * A file is named after the model's hash and what the backend says of its layout, library and instruction set; both
 * stand in its head. It is a cache and nothing more: safe to delete, and not trusted. Head, table and every weight have
 * an XXH3 checksum, and all of them are checked at every start: that costs 13 ms for 253 MB at hand, and the pages
 * have to be touched for the first token anyway. What is damaged, cut short or made for something else is converted
 * from the model and written anew, under another name that is renamed when it is whole. If it cannot be written,
 * nothing happens but the remark. */
#ifndef BA_PACKED_H
#define BA_PACKED_H

#include "kernels/backend.h"

typedef struct ba_packed ba_packed;

/* folder: is made if need be. NULL: out of memory, or the backend has no packed form; then all is as without. */
ba_packed *ba_packed_open(const char *folder, const char *model_hash, ba_backend *be);
/* Weights borrow from it: after the last of them. NULL is allowed. */
void ba_packed_close(ba_packed *p);

/* Next weight of the model, in the same order at every start: mapped, or as weight_new of the backend makes it. p may
 * be NULL. Errors as there. */
ba_weight *ba_packed_weight(ba_packed *p, ba_backend *be, const ba_weight_src *src, size_t n_src, char err[BA_ERR_LEN]);

/* When all weights are there, and none is freed: writes the file if this start could not use it. p may be NULL. */
void ba_packed_keep(ba_packed *p);

/* Whether every weight came from the file. */
bool ba_packed_mapped(const ba_packed *p);
/* One line for the user about what was refused, written or not to be written; "": nothing to tell. */
const char *ba_packed_remark(const ba_packed *p);

#endif

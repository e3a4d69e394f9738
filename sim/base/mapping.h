/* A whole file in memory, read-only, through mmap. The size is the one at opening. When another program shortens the file
 * later, reading past its new end raises SIGBUS; ba_mapping_on_lost turns that signal into a call, for every mapped file
 * of the process (a model, packed weights, a store's data.mdb). */
#ifndef BA_MAPPING_H
#define BA_MAPPING_H

#include "kernels/base/error.h"

#include <stddef.h>

typedef struct ba_mapping {
    const unsigned char *data; /* [size] */
    size_t size;               /* bytes, >= 1 */
} ba_mapping;

/* A regular file that is not empty. 0, or -1 and err with the path. */
int ba_mapping_open(const char *path, ba_mapping *out, char err[BA_ERR_LEN]);
/* A zeroed mapping is allowed. */
void ba_mapping_close(ba_mapping *m);

/* Installs the handler of SIGBUS; main calls it once. `lost` gets the path of the file that became shorter. It runs
 * inside the signal handler, so it may only call what is async-signal-safe, and must end the process. */
void ba_mapping_on_lost(void (*lost)(const char *path));

#endif

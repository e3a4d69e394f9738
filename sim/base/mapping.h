/* A whole file in memory, read-only, through mmap. The size is that at opening: if another program shortens the file
 * while it is mapped, this one ends with SIGBUS, as with any mapping. */
#ifndef BA_MAPPING_H
#define BA_MAPPING_H

#include "kernels/base/error.h"

#include <stddef.h>

typedef struct ba_mapping {
    const unsigned char *data; /* [size] */
    size_t size;               /* bytes, >= 1 */
} ba_mapping;

/* The file must be regular and not empty. 0, or -1 and err with the path. */
int ba_mapping_open(const char *path, ba_mapping *out, char err[BA_ERR_LEN]);
/* A zeroed mapping is allowed. */
void ba_mapping_close(ba_mapping *m);

#endif

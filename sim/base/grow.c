#include "grow.h"

#include "kernels/base/sizes.h"

#include <stdlib.h>
#include <string.h>

int ba_grow(void *array, size_t *cap, size_t need, size_t size) {
    if (need <= *cap) {
        return 0;
    }
    size_t room = *cap > 8 ? *cap : 8, bytes;
    while (room < need) {
        if (!ba_multiply_sizes(room, 2, &room)) {
            return -1;
        }
    }
    if (!ba_multiply_sizes(room, size, &bytes)) {
        return -1;
    }
    void *old, *more;
    memcpy(&old, array, sizeof old); /* a pointer to any type */
    more = realloc(old, bytes);
    if (!more) {
        return -1;
    }
    memcpy(array, &more, sizeof more);
    *cap = room;
    return 0;
}

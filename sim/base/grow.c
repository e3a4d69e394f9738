#include "grow.h"

#include <stdlib.h>
#include <string.h>

int ba_grow(void *array, size_t *cap, size_t need, size_t size) {
    if (need <= *cap) {
        return 0;
    }
    size_t room = *cap > 8 ? *cap : 8, bytes;
    while (room < need) {
        if (__builtin_mul_overflow(room, (size_t)2, &room)) {
            return -1;
        }
    }
    if (__builtin_mul_overflow(room, size, &bytes)) {
        return -1;
    }
    void *old, *more;
    memcpy(&old, array, sizeof old); /* the pointer's own type is the caller's business */
    more = realloc(old, bytes);
    if (!more) {
        return -1;
    }
    memcpy(array, &more, sizeof more);
    *cap = room;
    return 0;
}

/* Arrays that grow while they are filled. */
#ifndef BA_GROW_H
#define BA_GROW_H

#include <stddef.h>

/* Makes room for at least `need` elements of `size` bytes in an array with room for *cap; array is the address of its
 * pointer. The room doubles, so that filling takes linear time. 0, or -1: out of memory, and nothing has changed. */
int ba_grow(void *array, size_t *cap, size_t need, size_t size);

#endif

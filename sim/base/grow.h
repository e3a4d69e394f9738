/* Arrays that grow as they are filled. */
#ifndef BA_GROW_H
#define BA_GROW_H

#include <stddef.h>

/* Room for at least `need` elements of `size` bytes in *array, of which *cap fit now; doubles, so that filling is
 * linear. 0, or -1: out of memory (everything is as before). `array` is the address of the pointer. */
int ba_grow(void *array, size_t *cap, size_t need, size_t size);

#endif

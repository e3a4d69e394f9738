/* Worlds that generate the states of a game: one row of a table and one file each. A world makes its frames one after
 * another from a seed. */
#ifndef BA_WORLD_H
#define BA_WORLD_H

#include <stddef.h>
#include <stdint.h>

typedef struct ba_world {
    const char *name, *summary;
    const char *system, *question;                  /* system text and question */
    size_t size;                                    /* entities to begin with; 0: this world has one size only */
    void *(*begin)(size_t entities, uint64_t seed); /* the first frame; NULL: out of memory */
    char *(*state)(void *game);                     /* the frame as JSON, malloc'ed; NULL: out of memory */
    void (*step)(void *game,
                 size_t characters); /* goes to the next frame; changes about that many characters of the text */
    void (*end)(void *game);
} ba_world;

/* Table; NULL past the last. */
const ba_world *ba_world_at(size_t i);
const ba_world *ba_world_find(const char *name);

#endif

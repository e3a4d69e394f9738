#include "world.h"

#include <string.h>

extern const ba_world ba_world_holdem, ba_world_strategy;

static const ba_world *const worlds[] = {&ba_world_holdem, &ba_world_strategy};

const ba_world *ba_world_at(size_t i) {
    return i < sizeof worlds / sizeof *worlds ? worlds[i] : NULL;
}

const ba_world *ba_world_find(const char *name) {
    for (size_t i = 0; i < sizeof worlds / sizeof *worlds; i++) {
        if (strcmp(worlds[i]->name, name) == 0) {
            return worlds[i];
        }
    }
    return NULL;
}

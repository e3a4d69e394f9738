/* Where the frames of a game come from: a world that makes them, or a file of recorded states, one JSON a line. */
#ifndef BA_FRAMES_H
#define BA_FRAMES_H

#include "kernels/base/error.h"
#include "world.h"

#include <stdbool.h>

typedef struct ba_frames ba_frames;

/* From a world: entities (0: the world's own number). NULL: out of memory. */
ba_frames *ba_frames_of_world(const ba_world *world, size_t entities, uint64_t seed);
/* From a file (- for standard input). 0, or -1 and err. */
int ba_frames_of_file(const char *path, ba_frames **out, char err[BA_ERR_LEN]);
void ba_frames_free(ba_frames *f);

/* The frame, valid until the next step; its length and a name for messages ("states.jsonl: line 3"). NULL: out of
 * memory. */
const char *ba_frames_state(ba_frames *f, size_t *len, const char **name);
/* Goes to the next frame; a world changes about that many characters. false: there is none. */
bool ba_frames_step(ba_frames *f, size_t characters);

#endif

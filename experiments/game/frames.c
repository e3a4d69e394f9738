#include "frames.h"

#include "experiments/cli/cli.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_FILE = 1 << 30 };

struct ba_frames {
    const ba_world *world; /* NULL: from a file */
    void *game;
    char *state; /* of the world's frame */
    char *text, *path;
    size_t len, at, line; /* of the file: where the frame begins */
    char name[512];
};

ba_frames *ba_frames_of_world(const ba_world *world, size_t entities, uint64_t seed) {
    ba_frames *f = calloc(1, sizeof *f);
    if (f) {
        f->world = world;
        f->game = world->begin(entities ? entities : world->size, seed);
    }
    if (!f || !f->game) {
        free(f);
        return NULL;
    }
    return f;
}

static size_t line_length(const ba_frames *f) {
    const char *end = memchr(f->text + f->at, '\n', f->len - f->at);
    return end ? (size_t)(end - f->text) - f->at : f->len - f->at;
}

/* Skips empty lines up to the next frame; false: there is none. */
static bool find_frame(ba_frames *f) {
    while (f->at < f->len) {
        size_t n = line_length(f);
        if (strspn(f->text + f->at, " \t\r") < n) {
            return true;
        }
        f->at += n + 1;
        f->line++;
    }
    return false;
}

int ba_frames_of_file(const char *path, ba_frames **out, char err[BA_ERR_LEN]) {
    ba_frames *f = *out = calloc(1, sizeof *f);
    if (!f || !(f->path = strdup(strcmp(path, "-") ? path : "standard input"))) {
        ba_frames_free(f);
        *out = NULL;
        return ba_fail(err, "out of memory");
    }
    f->line = 1;
    int rc = ba_read_file(path, MAX_FILE, &f->text, &f->len, err);
    if (!rc && !find_frame(f)) {
        rc = ba_fail(err, "%s: no states; one JSON a line is needed", f->path);
    }
    if (rc) {
        ba_frames_free(f);
        *out = NULL;
    }
    return rc;
}

void ba_frames_free(ba_frames *f) {
    if (!f) {
        return;
    }
    if (f->game) {
        f->world->end(f->game);
    }
    free(f->state);
    free(f->text);
    free(f->path);
    free(f);
}

const char *ba_frames_state(ba_frames *f, size_t *len, const char **name) {
    *name = f->name;
    if (!f->world) {
        snprintf(f->name, sizeof f->name, "%s: line %zu", f->path, f->line);
        *len = line_length(f);
        return f->text + f->at;
    }
    snprintf(f->name, sizeof f->name, "%s", f->world->name);
    free(f->state);
    f->state = f->world->state(f->game);
    *len = f->state ? strlen(f->state) : 0;
    return f->state;
}

bool ba_frames_step(ba_frames *f, size_t characters) {
    if (f->world) {
        f->world->step(f->game, characters);
        return true;
    }
    f->at += line_length(f) + 1;
    f->line++;
    return find_frame(f);
}

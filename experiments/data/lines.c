#include "lines.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

struct ba_lines {
    gzFile file;
    char *path, *line;
    size_t cap, number;
};

enum { FIRST_CAP = 1 << 16, MAX_LINE = 1 << 28 };

int ba_lines_open(const char *path, ba_lines **out, char err[BA_ERR_LEN]) {
    ba_lines *l = calloc(1, sizeof *l);
    if (!l || !(l->path = strdup(path)) || !(l->line = malloc(l->cap = FIRST_CAP))) {
        ba_lines_close(l);
        return ba_fail(err, "out of memory");
    }
    l->file = gzopen(path, "rb");
    if (!l->file) {
        ba_lines_close(l);
        return ba_fail(err, "%s: %s", path, strerror(errno ? errno : ENOMEM));
    }
    *out = l;
    return 0;
}

void ba_lines_close(ba_lines *l) {
    if (l) {
        if (l->file) {
            gzclose(l->file);
        }
        free(l->line);
        free(l->path);
        free(l);
    }
}

size_t ba_lines_number(const ba_lines *l) {
    return l->number;
}

/* Fills l->line without its end. 1, 0 at the end of the file, or -1: damaged, too long or out of memory. */
static int read_line(ba_lines *l) {
    size_t len = 0;
    while (gzgets(l->file, l->line + len, (int)(l->cap - len))) {
        len += strlen(l->line + len);
        if (len && l->line[len - 1] == '\n') {
            l->line[len - 1] = 0;
            return 1;
        }
        if (len + 1 >= l->cap) {
            char *longer = l->cap < MAX_LINE ? realloc(l->line, l->cap * 2) : NULL;
            if (!longer) {
                return -1;
            }
            l->line = longer;
            l->cap *= 2;
        }
    }
    int code;
    gzerror(l->file, &code);
    return code != Z_OK && code != Z_STREAM_END ? -1 : len > 0;
}

int ba_lines_next(ba_lines *l, cJSON **object, char err[BA_ERR_LEN]) {
    int got;
    do {
        l->number++;
        got = read_line(l);
    } while (got > 0 && !l->line[strspn(l->line, " \t\r")]);
    if (got < 0) {
        return ba_fail(err, "%s: cannot be read to the end (damaged, or a line of more than 256 MB)", l->path);
    }
    if (!got) {
        return 0;
    }
    *object = cJSON_Parse(l->line);
    if (!cJSON_IsObject(*object)) {
        cJSON_Delete(*object);
        *object = NULL;
        ba_fail(err, "not a JSON object");
        return BA_LINE_BAD;
    }
    return 1;
}

#include "gzip.h"

#include "trace.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { FIRST_ROOM = 1 << 20, MAX_BYTES = 1 << 28 };

bool ba_trace_is_gzip(const char *path) {
    char head[2] = "";
    FILE *f = fopen(path, "rb");
    bool is = f && fread(head, 1, 2, f) == 2 && memcmp(head, "\x1f\x8b", 2) == 0;
    if (f) {
        fclose(f);
    }
    return is;
}

int ba_trace_gunzip(const char *path, char **bytes, size_t *n, char err[BA_ERR_LEN]) {
    size_t room = FIRST_ROOM;
    int got = 0;
    char *image = malloc(room);
    gzFile f = gzopen(path, "rb");
    *n = 0;
    while (image && f && *n <= MAX_BYTES && (got = gzread(f, image + *n, (unsigned)(room - *n))) > 0) {
        *n += (size_t)got;
        if (*n == room) {
            char *more = realloc(image, room *= 2);
            if (!more) {
                free(image);
            }
            image = more;
        }
    }
    /* A stream that was cut off shows when it is closed. */
    bool large = *n > MAX_BYTES, whole = f && gzclose(f) == Z_OK && got == 0;
    if (!image || !f) {
        free(image);
        ba_fail(err, "%s: out of memory, or cannot be read", path);
        return BA_TRACE_MACHINE;
    }
    if (!whole || large) {
        free(image);
        ba_fail(err, "%s: %s", path, large ? "holds more than 256 MiB" : "damaged gzip file");
        return BA_TRACE_REFUSED;
    }
    *bytes = image;
    return 0;
}

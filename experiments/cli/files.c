/* Whole files into memory. */
#include "cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Reads all of `in`; *text is malloc'ed also on failure, so that the caller frees it in one place. */
static int read_all(FILE *in, size_t limit, char **text, size_t *len, const char **why) {
    size_t room = 0;
    *text = NULL;
    *len = 0;
    for (;;) {
        if (*len + 1 >= room) {
            room = room ? room * 2 : 1 << 14;
            char *more = realloc(*text, room);
            if (!more) {
                *why = "out of memory";
                return -1;
            }
            *text = more;
        }
        errno = 0;
        size_t got = fread(*text + *len, 1, room - *len - 1, in);
        *len += got;
        if (ferror(in)) { /* at once: a further fread may read past the fault and change errno */
            *why = strerror(errno);
            return -1;
        }
        if (*len > limit) {
            *why = "larger than anything this program reads there";
            return -1;
        }
        if (got) {
            continue;
        }
        (*text)[*len] = '\0';
        return 0;
    }
}

int ba_read_file(const char *path, size_t limit, char **text, size_t *len, char err[BA_ERR_LEN]) {
    bool standard = strcmp(path, "-") == 0;
    FILE *in = standard ? stdin : fopen(path, "rb");
    if (!in) {
        return ba_fail(err, "%s: %s", path, strerror(errno));
    }
    const char *why = NULL;
    int rc = read_all(in, limit, text, len, &why);
    if (!standard) {
        fclose(in);
    }
    if (rc == 0) {
        return 0;
    }
    free(*text);
    *text = NULL;
    return ba_fail(err, "%s: %s", standard ? "standard input" : path, why);
}

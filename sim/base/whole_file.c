#include "whole_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

/* "PATH.1f3c09ab.tmp", malloc'ed; NULL: no memory, or no randomness. */
static char *random_name(const char *path) {
    uint32_t number;
    char *name = NULL;
    if (getrandom(&number, sizeof number, 0) != sizeof number ||
        asprintf(&name, "%s.%08" PRIx32 ".tmp", path, number) < 0) {
        return NULL;
    }
    return name;
}

int ba_temporary_open(const char *path, char **name) {
    enum { TRIES = 8 };
    int fd = -1;
    errno = EEXIST;
    *name = NULL;
    for (int i = 0; i < TRIES && fd < 0 && errno == EEXIST; i++) {
        free(*name);
        if (!(*name = random_name(path))) {
            errno = ENOMEM;
            return -1;
        }
        fd = open(*name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    }
    if (fd < 0) {
        int why = errno;
        free(*name);
        *name = NULL;
        errno = why;
    }
    return fd;
}

int ba_temporary_finish(const char *name, bool failed, const char *path) {
    failed = failed || rename(name, path);
    if (failed) {
        int why = errno;
        unlink(name);
        errno = why;
    }
    return failed ? -1 : 0;
}

int ba_whole_file_open(const char *path, ba_whole_file *out, char err[BA_ERR_LEN]) {
    *out = (ba_whole_file){.path = strdup(path)};
    if (!out->path) {
        return ba_fail(err, "out of memory");
    }
    int fd = ba_temporary_open(path, &out->temporary);
    out->f = fd < 0 ? NULL : fdopen(fd, "w");
    if (!out->f) {
        ba_fail(err, "%s: cannot be written: %s", path, strerror(errno));
        if (fd >= 0) {
            close(fd);
            unlink(out->temporary);
        }
        ba_whole_file_close(out);
        return -1;
    }
    return 0;
}

int ba_whole_file_finish(ba_whole_file *w, char err[BA_ERR_LEN]) {
    bool failed = fflush(w->f) || ferror(w->f) || fsync(fileno(w->f));
    int why = errno;
    if (fclose(w->f) && !failed) {
        failed = true;
        why = errno;
    }
    w->f = NULL;
    errno = why;
    if (ba_temporary_finish(w->temporary, failed, w->path)) {
        return ba_fail(err, "%s: cannot be written: %s; free space or choose another name", w->path, strerror(errno));
    }
    return 0;
}

void ba_whole_file_close(ba_whole_file *w) {
    if (w->f) {
        unlink(w->temporary);
        fclose(w->f);
    }
    free(w->path);
    free(w->temporary);
    *w = (ba_whole_file){0};
}

#include "whole_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

int ba_open_alone(const char *temporary) {
    struct stat opened, named;
    int fd = open(temporary, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0) {
        return -1;
    }
    /* Some network file systems have no locks: then nothing is locked. Another program may have renamed the file just
     * before it was locked here: then it is complete, and must not be changed. */
    bool ours = !(flock(fd, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK) && !fstat(fd, &opened) &&
                !stat(temporary, &named) && opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
    if (!ours) {
        errno = EWOULDBLOCK;
    }
    if (!ours || ftruncate(fd, 0)) {
        int why = errno;
        close(fd);
        errno = why;
        return -1;
    }
    return fd;
}

int ba_take_name(int lock, bool failed, const char *temporary, const char *path) {
    failed = failed || rename(temporary, path);
    int why = errno;
    if (failed) {
        unlink(temporary);
    }
    if (lock >= 0) {
        close(lock);
    }
    errno = why;
    return failed ? -1 : 0;
}

int ba_whole_file_open(const char *path, ba_whole_file *out, char err[BA_ERR_LEN]) {
    *out = (ba_whole_file){.path = strdup(path)};
    if (!out->path || asprintf(&out->temporary, "%s.tmp", path) < 0) {
        out->temporary = NULL;
        ba_whole_file_close(out);
        return ba_fail(err, "out of memory");
    }
    int fd = ba_open_alone(out->temporary);
    out->f = fd < 0 ? NULL : fdopen(fd, "w");
    if (!out->f) {
        ba_fail(err, "%s: cannot be written: %s", out->temporary,
                errno == EWOULDBLOCK ? "another program writes it, too" : strerror(errno));
        if (fd >= 0) {
            close(fd);
        }
        ba_whole_file_close(out);
        return -1;
    }
    return 0;
}

int ba_whole_file_finish(ba_whole_file *w, char err[BA_ERR_LEN]) {
    bool failed = fflush(w->f) || ferror(w->f) || fsync(fileno(w->f));
    int why = errno, lock = dup(fileno(w->f));
    if (fclose(w->f) && !failed) {
        failed = true;
        why = errno;
    }
    w->f = NULL;
    errno = why;
    if (ba_take_name(lock, failed, w->temporary, w->path)) {
        return ba_fail(err, "%s: cannot be written: %s; free space or choose another name", w->path, strerror(errno));
    }
    return 0;
}

void ba_whole_file_close(ba_whole_file *w) {
    if (w->f) {
        unlink(w->temporary); /* while it is locked */
        fclose(w->f);
    }
    free(w->path);
    free(w->temporary);
    *w = (ba_whole_file){0};
}

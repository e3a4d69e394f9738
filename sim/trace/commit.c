/* How a trace reaches its file. */
#include "parts.h"

#include "kernels/base/clock.h"
#include "sim/base/whole_file.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A commit is due a second after the last one, or REST times as long as that took. */
enum { REST = 20 };

/* The file at the place of commits; zeros: there is none. */
static struct stat look(const ba_trace *t) {
    struct stat now;
    return stat(t->live, &now) ? (struct stat){0} : now;
}

/* Whether another program has written there since this one last looked. */
static bool taken(const ba_trace *t) {
    struct stat now = look(t);
    return now.st_ino &&
           (now.st_ino != t->seen.st_ino || now.st_dev != t->seen.st_dev || now.st_size != t->seen.st_size ||
            now.st_mtim.tv_sec != t->seen.st_mtim.tv_sec || now.st_mtim.tv_nsec != t->seen.st_mtim.tv_nsec);
}

int ba_trace_settle(ba_trace *t, const char *path, const char *suffix, char err[BA_ERR_LEN]) {
    char *real = realpath(path, NULL);
    char *final = strdup(real ? real : path);
    free(real);
    free(t->path);
    t->path = final;
    t->live = final ? ba_trace_join(final, suffix) : NULL;
    if (!t->live) {
        return ba_trace_no_memory(err);
    }
    t->seen = look(t);
    return 0;
}

static int write_all(int fd, const char *bytes, size_t n) {
    while (n > 0) {
        ssize_t done = write(fd, bytes, n);
        if (done < 0 && errno != EINTR) {
            return -1;
        }
        if (done > 0) {
            bytes += done;
            n -= (size_t)done;
        }
    }
    return 0;
}

/* Writes under a temporary name and renames: readers see the old file or the new one, never part of one. Another
 * program may have written while this one did, so that is checked once more just before the name is taken. */
static int replace_file(const ba_trace *t, const char *bytes, size_t n) {
    char *temporary;
    int fd = ba_temporary_open(t->live, &temporary);
    if (fd < 0) {
        return -1;
    }
    bool failed = write_all(fd, bytes, n) != 0;
    int why = errno;
    if (close(fd) && !failed) {
        failed = true;
        why = errno;
    }
    if (!failed && taken(t)) {
        failed = true;
        why = EWOULDBLOCK;
    }
    errno = why;
    int rc = ba_temporary_finish(temporary, failed, t->live);
    why = errno;
    free(temporary);
    errno = why;
    return rc;
}

/* The error of a commit that failed with errno `why`. */
static int not_written(const ba_trace *t, int why, char err[BA_ERR_LEN]) {
    if (why == EWOULDBLOCK) {
        ba_fail(err, "%s: another program writes it, too; give each run an --out of its own", t->live);
        return BA_TRACE_REFUSED;
    }
    bool full = why == ENOSPC || why == EDQUOT || why == EFBIG;
    ba_fail(err, "%s: cannot write: %s; %s", t->live, strerror(why),
            full ? "free space and go on with --resume" : "choose another --out");
    return BA_TRACE_MACHINE;
}

/* The file as HDF5 would write it, malloc'ed. */
static int make_image(ba_trace *t, char **image, size_t *n, char err[BA_ERR_LEN]) {
    H5Fflush(t->file, H5F_SCOPE_GLOBAL);
    ssize_t size = H5Fget_file_image(t->file, NULL, 0);
    if (size <= 0) {
        return ba_trace_hdf5_failed(t, "make a file image", err);
    }
    char *bytes = malloc((size_t)size);
    if (!bytes) {
        return ba_trace_no_memory(err);
    }
    if (H5Fget_file_image(t->file, bytes, (size_t)size) != size) {
        free(bytes);
        return ba_trace_hdf5_failed(t, "make a file image", err), BA_TRACE_MACHINE;
    }
    *image = bytes;
    *n = (size_t)size;
    return 0;
}

int ba_trace_commit(ba_trace *t, char err[BA_ERR_LEN]) {
    double start = ba_now();
    char *image = NULL;
    size_t n = 0;
    if (taken(t)) {
        return not_written(t, EWOULDBLOCK, err);
    }
    int status = make_image(t, &image, &n, err);
    if (status) {
        return status;
    }
    if (replace_file(t, image, n)) {
        status = not_written(t, errno, err);
    } else {
        t->seen = look(t);
    }
    free(image);
    t->committed = ba_now();
    t->took = t->committed - start;
    return status;
}

int ba_trace_commit_due(ba_trace *t, char err[BA_ERR_LEN]) {
    return ba_now() - t->committed > fmax(1, REST * t->took) ? ba_trace_commit(t, err) : 0;
}

int ba_trace_finish(ba_trace *t, char err[BA_ERR_LEN]) {
    int status = ba_trace_commit(t, err);
    if (status || strcmp(t->live, t->path) == 0) {
        return status;
    }
    if (rename(t->live, t->path)) {
        return ba_fail(err, "%s: cannot take the name %s: %s", t->live, t->path, strerror(errno)), BA_TRACE_MACHINE;
    }
    t->live[strlen(t->path)] = '\0';
    return 0;
}

const char *ba_trace_path(const ba_trace *t) {
    return t->live;
}

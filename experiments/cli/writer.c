#include "writer.h"

#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* Opens and locks the file, and makes sure that it is still the one of this name: the last owner may have removed it in
 * between. 0, or -1 and errno; EAGAIN: try again. */
static int try_once(ba_writer_lock *lock) {
    struct stat opened, named;
    lock->fd = open(lock->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (lock->fd < 0) {
        return -1;
    }
    if (flock(lock->fd, LOCK_EX | LOCK_NB) == 0 && fstat(lock->fd, &opened) == 0) {
        if (lstat(lock->path, &named) == 0 && named.st_ino == opened.st_ino && named.st_dev == opened.st_dev) {
            return 0;
        }
        errno = EAGAIN;
    } else if (errno == EWOULDBLOCK) {
        errno = EBUSY;
    }
    int why = errno;
    close(lock->fd);
    lock->fd = -1;
    errno = why;
    return -1;
}

int ba_writer_lock_take(ba_writer_lock *lock, const char *path) {
    enum { TRIES = 10 };
    *lock = (ba_writer_lock){.fd = -1};
    size_t n = path ? strlen(path) : 0;
    while (n > 1 && path[n - 1] == '/') { /* of a folder */
        n--;
    }
    if (!n || (size_t)snprintf(lock->path, sizeof lock->path, "%.*s.lock", (int)n, path) >= sizeof lock->path) {
        return 0;
    }
    int rc = -1;
    for (int i = 0; rc && i < TRIES; i++) {
        rc = try_once(lock);
        if (rc && errno != EAGAIN) {
            break;
        }
    }
    return rc && errno == EBUSY
               ? ba_cli_fail(BA_EXIT_USAGE, "%s: another process is writing it; wait for it, or choose another name",
                             path)
               : 0;
}

void ba_writer_lock_drop(ba_writer_lock *lock) {
    if (lock->fd >= 0) {
        unlink(lock->path); /* first, so that nobody locks a file that is about to go */
        close(lock->fd);
        lock->fd = -1;
    }
}

#include "timing_lock.h"

#include "experiments/cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

/* The socket of a processor; 0 where the kernel does not say. */
static int socket_of(int cpu) {
    char path[128], text[32] = "";
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/physical_package_id", cpu);
    FILE *f = fopen(path, "r");
    if (!f) {
        return 0;
    }
    long socket = fgets(text, sizeof text, f) ? strtol(text, NULL, 10) : 0;
    fclose(f);
    return socket > 0 ? (int)(socket % BA_MAX_SOCKETS) : 0;
}

/* Opens a file that another user may have made. */
static int open_lock(const char *path) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    return fd >= 0 || errno != ENOENT ? fd : open(path, O_RDONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
}

static int take(ba_timing_lock *lock, const char *what, bool quiet, char err[BA_ERR_LEN]) {
    enum { MICROSECONDS = 100000 };
    char path[512];
    snprintf(path, sizeof path, "/tmp/blockattn-timing-%.200s.lock", what);
    int fd = open_lock(path);
    if (fd < 0) {
        return ba_fail(err, "%s: %s; it keeps two timings from one %s", path, strerror(errno), what);
    }
    lock->fd[lock->n++] = fd;
    for (bool said = quiet; flock(fd, LOCK_EX | LOCK_NB); said = true) {
        if (errno != EWOULDBLOCK && errno != EINTR) {
            return ba_fail(err, "%s: %s", path, strerror(errno));
        }
        if (!said) {
            fprintf(stderr, "%s: waits for another timing on %s\n", program_invocation_short_name, what);
        }
        if (ba_interrupted()) {
            return 1;
        }
        usleep(MICROSECONDS);
    }
    return 0;
}

/* In ascending order, so that two processes never wait for each other. */
int ba_timing_lock_take(ba_timing_lock *lock, const ba_backend *be, bool quiet, char err[BA_ERR_LEN]) {
    bool used[BA_MAX_SOCKETS] = {false};
    char what[300];
    cpu_set_t mine;
    *lock = (ba_timing_lock){.n = 0};
    if (sched_getaffinity(0, sizeof mine, &mine)) {
        return ba_fail(err, "the processors of this process are not known: %s", strerror(errno));
    }
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET(cpu, &mine)) {
            used[socket_of(cpu)] = true;
        }
    }
    int rc = 0;
    for (int s = 0; !rc && s < BA_MAX_SOCKETS; s++) {
        snprintf(what, sizeof what, "socket-%d", s);
        rc = used[s] ? take(lock, what, quiet, err) : 0;
    }
    if (!rc && be->ops->device) {
        const char *visible = getenv("CUDA_VISIBLE_DEVICES");
        snprintf(what, sizeof what, "card-%.64s", visible && !strchr(visible, '/') ? visible : "0");
        rc = take(lock, what, quiet, err);
    }
    if (rc) {
        ba_timing_lock_drop(lock);
    }
    return rc;
}

void ba_timing_lock_drop(ba_timing_lock *lock) {
    while (lock->n) {
        close(lock->fd[--lock->n]);
    }
}

#include "mapping.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static int map(const char *path, int fd, ba_mapping *out, char err[BA_ERR_LEN]) {
    struct stat info;
    if (fstat(fd, &info) != 0) {
        return ba_fail(err, "%s: %s", path, strerror(errno));
    }
    if (!S_ISREG(info.st_mode)) {
        return ba_fail(err, "%s: %s, where a file is needed", path,
                       S_ISDIR(info.st_mode) ? "a folder" : "not a regular file");
    }
    if (info.st_size <= 0) {
        return ba_fail(err, "%s: the file is empty; download it again", path);
    }
    if ((uintmax_t)info.st_size > SIZE_MAX) {
        return ba_fail(err, "%s: too large for this machine's addresses", path);
    }
    void *data = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED) {
        return ba_fail(err, "%s: cannot be mapped: %s", path, strerror(errno));
    }
    *out = (ba_mapping){data, (size_t)info.st_size};
    return 0;
}

int ba_mapping_open(const char *path, ba_mapping *out, char err[BA_ERR_LEN]) {
    *out = (ba_mapping){0};
    /* Without O_NONBLOCK a named pipe would wait for a writer before it can be refused. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        return ba_fail(err, "%s: %s", path, strerror(errno));
    }
    int rc = map(path, fd, out, err);
    close(fd);
    return rc;
}

void ba_mapping_close(ba_mapping *m) {
    if (m->data) {
        munmap((void *)m->data, m->size);
    }
    *m = (ba_mapping){0};
}

/* ---- files that become shorter ---- */

/* A signal handler reaches nothing but globals. */
static void (*on_lost)(const char *path);

/* Hexadecimal digits at *s; *s moves past them. */
static uintptr_t take_hex(const char **s) {
    uintptr_t value = 0;
    for (;; (*s)++) {
        const char c = **s;
        if (c >= '0' && c <= '9') {
            value = value << 4 | (uintptr_t)(c - '0');
        } else if (c >= 'a' && c <= 'f') {
            value = value << 4 | (uintptr_t)(c - 'a' + 10);
        } else {
            return value;
        }
    }
}

/* The path at the end of a line of /proc/self/maps ("from-to flags offset device inode path") if the line's range holds
 * the address; else NULL. */
static const char *path_at(const char *line, uintptr_t address) {
    uintptr_t from = take_hex(&line);
    line += *line == '-';
    uintptr_t to = take_hex(&line);
    return address >= from && address < to ? strchr(line, '/') : NULL;
}

/* The mapped file that holds the address, in `line`; NULL: none. The kernel's table is read, since LMDB does not
 * say where it maps its file. Only system calls: this runs in a signal handler. */
static const char *find_path(uintptr_t address, char *line, size_t room) {
    char block[1024];
    const char *path = NULL;
    size_t used = 0;
    int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    for (ssize_t n; fd >= 0 && !path && (n = read(fd, block, sizeof block)) > 0;) {
        for (ssize_t i = 0; i < n && !path; i++) {
            const bool end = block[i] == '\n';
            line[used] = end ? '\0' : block[i];
            used += used + 1 < room;
            if (end) {
                path = path_at(line, address);
                used = 0;
            }
        }
    }
    if (fd >= 0) {
        close(fd);
    }
    return path;
}

static void on_bus_error(int number, siginfo_t *info, void *context) {
    (void)context;
    static char line[4096 + 128];
    const char *path = find_path((uintptr_t)info->si_addr, line, sizeof line);
    if (path) {
        on_lost(path);
    }
    signal(number, SIG_DFL); /* not a file's fault: the instruction is tried again, and the process ends */
}

void ba_mapping_on_lost(void (*lost)(const char *path)) {
    struct sigaction action = {.sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO};
    sigemptyset(&action.sa_mask);
    on_lost = lost;
    sigaction(SIGBUS, &action, NULL);
}

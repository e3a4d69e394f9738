#include "mapping.h"

#include <errno.h>
#include <fcntl.h>
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

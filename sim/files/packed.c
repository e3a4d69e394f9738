#include "packed.h"

#include "sim/base/mapping.h"
#include "sim/base/whole_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

/* The file: head, table, weights. Weights begin at multiples of ALIGN, and the last one ends ALIGN before the end, so
 * that a kernel may read a little past it. */
enum { ALIGN = 4096, MOST_WEIGHTS = 1 << 20 };

static const char magic[8] = "BAPACK1";

typedef struct head {
    char magic[8];
    char origin[240];  /* model, backend and its packing; NUL-terminated and filled up with zeros */
    uint64_t size, n;  /* bytes of the file, weights */
    uint64_t checksum; /* of this head with 0 in here, then the table */
} head;

typedef struct entry {
    uint64_t offset, size, layout, checksum;
} entry;

struct ba_packed {
    char *path;
    head head;          /* as the file's must be, but for size, n and checksum */
    ba_mapping map;     /* empty: there is no file to use */
    ba_weight **weight; /* [n] that were made so far */
    size_t n, room, n_mapped;
    char remark[BA_ERR_LEN];
    ba_backend *be;
};

static uint64_t round_up(uint64_t x) {
    return (x + ALIGN - 1) / ALIGN * ALIGN;
}

/* ---- reading ---- */

static const entry *table_of(const ba_packed *p) {
    return (const entry *)(const void *)(p->map.data + sizeof(head));
}

static uint64_t checksum_of(head h, const entry *table) {
    h.checksum = 0;
    return XXH3_64bits_withSeed(table, h.n * sizeof *table, XXH3_64bits(&h, sizeof h));
}

/* What is wrong with the mapped file's head and table; NULL: nothing. */
static const char *fault_of(const ba_packed *p) {
    head h;
    if (p->map.size < sizeof h) {
        return "it is cut short";
    }
    memcpy(&h, p->map.data, sizeof h);
    if (memcmp(h.magic, magic, sizeof magic) != 0 || memcmp(h.origin, p->head.origin, sizeof h.origin) != 0) {
        return "it was made for something else";
    }
    if (h.size != p->map.size || h.n > MOST_WEIGHTS || h.n * sizeof(entry) > h.size - sizeof h) {
        return "it is cut short";
    }
    return checksum_of(h, table_of(p)) == h.checksum ? NULL : "its checksum does not fit";
}

/* The file is of no use: what was mapped stays mapped, the rest is converted, and all is written anew. */
static void refuse(ba_packed *p, const char *why) {
    ba_fail(p->remark, "%s: %s; weights are converted from the model", p->path, why);
    p->head.n = 0;
}

static void map_file(ba_packed *p) {
    char err[BA_ERR_LEN];
    if (access(p->path, F_OK) != 0) {
        return;
    }
    if (ba_mapping_open(p->path, &p->map, err) != 0) {
        ba_fail(p->remark, "%s; weights are converted from the model", err);
        return;
    }
    const char *why = fault_of(p);
    if (why) {
        refuse(p, why);
    } else {
        memcpy(&p->head, p->map.data, sizeof p->head);
    }
}

/* The weight of that index from the file; NULL: it is not there, or not as it should be. */
static ba_weight *from_file(ba_packed *p, size_t index, const ba_weight_src *src, size_t n_src) {
    if (index >= p->head.n) {
        return NULL;
    }
    entry e = table_of(p)[index];
    bool inside = e.offset % ALIGN == 0 && e.offset <= p->map.size && e.size <= p->map.size - e.offset;
    ba_packed_view view = {p->map.data + (inside ? e.offset : 0), e.size, e.layout};
    if (!inside || XXH3_64bits(view.data, view.size) != e.checksum) {
        refuse(p, "the checksum of a weight does not fit");
        return NULL;
    }
    ba_weight *w = p->be->ops->weight_mapped(p->be, src, n_src, view);
    if (!w) {
        refuse(p, "it holds a weight in another layout");
    }
    return w;
}

ba_weight *ba_packed_weight(ba_packed *p, ba_backend *be, const ba_weight_src *src, size_t n_src,
                            char err[BA_ERR_LEN]) {
    if (!p) {
        return be->ops->weight_new(be, src, n_src, err);
    }
    if (p->n == p->room) {
        size_t room = p->room ? 2 * p->room : 256;
        ba_weight **more = realloc(p->weight, room * sizeof *more);
        if (!more) {
            ba_fail(err, "out of memory while loading weights");
            return NULL;
        }
        p->weight = more;
        p->room = room;
    }
    ba_weight *w = from_file(p, p->n, src, n_src);
    p->n_mapped += w != NULL;
    w = w ? w : be->ops->weight_new(be, src, n_src, err);
    p->weight[p->n] = w;
    p->n += w != NULL;
    return w;
}

/* ---- writing ---- */

/* 0, or -1 and errno. */
static int write_at(int fd, const void *data, size_t size, uint64_t at) {
    const char *from = data;
    while (size > 0) {
        ssize_t done = pwrite(fd, from, size, (off_t)at);
        if (done < 0 && errno == EINTR) {
            continue;
        }
        if (done <= 0) {
            errno = done == 0 ? ENOSPC : errno;
            return -1;
        }
        from += done;
        at += (uint64_t)done;
        size -= (size_t)done;
    }
    return 0;
}

static int make_folders(const char *path) {
    char *copy = strdup(path);
    int status = copy ? 0 : -1;
    for (char *slash = copy ? strchr(copy + 1, '/') : NULL; slash && status == 0; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        status = mkdir(copy, 0777) == 0 || errno == EEXIST ? 0 : -1;
        *slash = '/';
    }
    free(copy);
    return status;
}

/* Whether NAME in the folder is a file that no start is writing: a start locks what it writes. */
static bool is_left(int folder, const char *name, bool *locked) {
    struct stat is;
    int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    bool file = fd >= 0 && fstat(fd, &is) == 0 && S_ISREG(is.st_mode);
    *locked = file && flock(fd, LOCK_EX | LOCK_NB) != 0;
    if (fd >= 0) {
        close(fd);
    }
    return file && !*locked;
}

/* Takes away what a start that was killed has left of this file. 0, or -1 and errno; EWOULDBLOCK: another start is
 * writing it. */
static int clear_parts(const ba_packed *p) {
    char *folder = strdup(p->path), *slash = folder ? strrchr(folder, '/') : NULL;
    const char *name = slash ? slash + 1 : folder;
    bool locked = false;
    if (!folder) {
        return -1;
    }
    size_t n = strlen(name);
    if (slash) {
        *slash = '\0';
    }
    DIR *d = opendir(slash ? folder : ".");
    for (struct dirent *e; d && !locked && (e = readdir(d));) {
        size_t len = strlen(e->d_name);
        if (len > n + 4 && memcmp(e->d_name, name, n) == 0 && e->d_name[n] == '.' &&
            strcmp(e->d_name + len - 4, ".tmp") == 0 && is_left(dirfd(d), e->d_name, &locked)) {
            unlinkat(dirfd(d), e->d_name, 0);
        }
    }
    if (d) {
        closedir(d);
    }
    free(folder);
    errno = EWOULDBLOCK;
    return locked ? -1 : 0;
}

/* Opens what is renamed to path at the end; *name as from ba_temporary_open. -1 and errno. */
static int open_part(const ba_packed *p, char **name) {
    struct stat opened;
    if (make_folders(p->path) != 0 || clear_parts(p) != 0) {
        return -1;
    }
    int fd = ba_temporary_open(p->path, name);
    if (fd < 0) {
        return -1;
    }
    /* Between open and lock another start may have taken it for what a killed one has left. */
    if (flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &opened) == 0 && opened.st_nlink == 1) {
        return fd;
    }
    close(fd);
    unlink(*name);
    errno = EWOULDBLOCK;
    return -1;
}

/* The whole file into fd. 0, or -1 and errno. */
static int write_all(ba_packed *p, int fd, entry *table) {
    uint64_t at = round_up(sizeof(head) + p->n * sizeof *table);
    for (size_t i = 0; i < p->n; i++) {
        ba_packed_view view = p->be->ops->weight_packed(p->weight[i]);
        table[i] = (entry){at, view.size, view.layout, XXH3_64bits(view.data, view.size)};
        at = round_up(at + view.size);
    }
    head h = p->head;
    h.n = p->n;
    h.size = at + ALIGN;
    h.checksum = checksum_of(h, table);
    int status = posix_fallocate(fd, 0, (off_t)h.size); /* a full disk says so before anything is written */
    errno = status;
    for (size_t i = 0; i < p->n && status == 0; i++) {
        ba_packed_view view = p->be->ops->weight_packed(p->weight[i]);
        status = write_at(fd, view.data, view.size, table[i].offset);
    }
    status = status ? -1 : write_at(fd, &h, sizeof h, 0);
    status = status ? -1 : write_at(fd, table, p->n * sizeof *table, sizeof h);
    return status ? -1 : fsync(fd);
}

void ba_packed_keep(ba_packed *p) {
    if (!p || ba_packed_mapped(p)) {
        return;
    }
    char *name = NULL;
    entry *table = calloc(p->n + 1, sizeof *table);
    int fd = table ? open_part(p, &name) : -1;
    bool failed = fd < 0 || write_all(p, fd, table) != 0;
    if (fd >= 0) {
        failed = ba_temporary_finish(name, failed, p->path) != 0;
        int why = errno;
        close(fd);
        errno = why;
    }
    if (failed && errno != EWOULDBLOCK) {
        ba_fail(p->remark, "packed weights are not kept for the next start: %s: %s", p->path, strerror(errno));
    }
    free(name);
    free(table);
}

/* ---- */

ba_packed *ba_packed_open(const char *folder, const char *model_hash, ba_backend *be) {
    if (!be->ops->packing) {
        return NULL;
    }
    ba_packed *p = calloc(1, sizeof *p);
    if (!p) {
        return NULL;
    }
    p->be = be;
    memcpy(p->head.magic, magic, sizeof magic);
    int n =
        snprintf(p->head.origin, sizeof p->head.origin, "%s; %s; %s", model_hash, be->ops->name, be->ops->packing(be));
    unsigned long long key = XXH3_64bits(p->head.origin, sizeof p->head.origin);
    if (n < 0 || (size_t)n >= sizeof p->head.origin ||
        asprintf(&p->path, "%s/%.16s-%s-%016llx.packed", folder, model_hash, be->ops->name, key) < 0) {
        p->path = NULL;
        ba_packed_close(p);
        return NULL;
    }
    map_file(p);
    return p;
}

void ba_packed_close(ba_packed *p) {
    if (p) {
        ba_mapping_close(&p->map);
        free(p->weight);
        free(p->path);
        free(p);
    }
}

bool ba_packed_mapped(const ba_packed *p) {
    return p && p->n > 0 && p->n_mapped == p->n;
}

const char *ba_packed_remark(const ba_packed *p) {
    return p ? p->remark : "";
}

#include "faults.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

/* Names that the linker's --wrap prescribes: a call of NAME becomes one of __wrap_NAME, and __real_NAME is the
 * library's function. NOLINTBEGIN(bugprone-reserved-identifier) */
void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *at, size_t n);
void *__real_aligned_alloc(size_t alignment, size_t n);
void __real_free(void *at);
char *__real_strdup(const char *s);
char *__real_strndup(const char *s, size_t n);
FILE *__real_fopen(const char *path, const char *mode);
int __real_fclose(FILE *f);
int __real_open(const char *path, int flags, ...);
int __real_close(int fd);
ssize_t __real_write(int fd, const void *data, size_t n);
int __real_rename(const char *from, const char *to);

void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *at, size_t n);
void *__wrap_aligned_alloc(size_t alignment, size_t n);
void __wrap_free(void *at);
char *__wrap_strdup(const char *s);
char *__wrap_strndup(const char *s, size_t n);
FILE *__wrap_fopen(const char *path, const char *mode);
int __wrap_fclose(FILE *f);
int __wrap_open(const char *path, int flags, ...);
FILE *__wrap_fopen64(const char *path, const char *mode);
int __wrap_open64(const char *path, int flags, ...);
int __wrap_close(int fd);
ssize_t __wrap_write(int fd, const void *data, size_t n);
int __wrap_rename(const char *from, const char *to);
/* NOLINTEND(bugprone-reserved-identifier) */

enum { SLOTS = 1 << 16, FEW = 100 };

/* Replacements of library functions get no argument of ours, so their state is global. */
static struct {
    pthread_mutex_t lock;
    ba_fault fault;
    size_t n, calls;
    bool came, watch, pause;
    void *live[SLOTS]; /* hash set with linear probing */
    size_t n_live;
} faults = {.lock = PTHREAD_MUTEX_INITIALIZER};

void ba_fault_order(ba_fault fault, size_t n) {
    pthread_mutex_lock(&faults.lock);
    faults.fault = fault;
    faults.n = n;
    faults.calls = 0;
    faults.came = false;
    pthread_mutex_unlock(&faults.lock);
}

void ba_fault_pause(bool on) {
    pthread_mutex_lock(&faults.lock);
    faults.pause = on;
    pthread_mutex_unlock(&faults.lock);
}

bool ba_fault_came(void) {
    pthread_mutex_lock(&faults.lock);
    bool came = faults.came;
    faults.fault = BA_FAULT_NONE;
    pthread_mutex_unlock(&faults.lock);
    return came;
}

/* Whether this call is to fail; onwards: or comes after the one that is to fail. */
static bool fails(ba_fault fault, bool onwards) {
    pthread_mutex_lock(&faults.lock);
    bool due = faults.fault == fault && !faults.pause;
    size_t call = due ? faults.calls++ : 0;
    bool now = due && (onwards ? call >= faults.n : call == faults.n);
    faults.came = faults.came || now;
    pthread_mutex_unlock(&faults.lock);
    return now;
}

/* ---- recorded allocations ---- */

static size_t slot_of(const void *at) {
    return (size_t)(((uintptr_t)at >> 4) * UINT64_C(0x9e3779b97f4a7c15) >> 48) % SLOTS;
}

static void *enter(void *at) {
    pthread_mutex_lock(&faults.lock);
    if (faults.watch && at && faults.n_live < SLOTS / 2) {
        size_t i = slot_of(at);
        while (faults.live[i]) {
            i = (i + 1) % SLOTS;
        }
        faults.live[i] = at;
        faults.n_live++;
    }
    pthread_mutex_unlock(&faults.lock);
    return at;
}

/* A pointer that is not recorded was allocated inside of a library, or before the recording began. */
static void leave(const void *at) {
    pthread_mutex_lock(&faults.lock);
    size_t i = slot_of(at);
    while (faults.live[i] && faults.live[i] != at) {
        i = (i + 1) % SLOTS;
    }
    if (at && faults.live[i]) {
        /* Closes the gap: moves up later entries that hash to a slot at or before it. */
        for (size_t j = (i + 1) % SLOTS; faults.live[j]; j = (j + 1) % SLOTS) {
            size_t options = slot_of(faults.live[j]);
            if ((j - options) % SLOTS >= (j - i) % SLOTS) {
                faults.live[i] = faults.live[j];
                i = j;
            }
        }
        faults.live[i] = NULL;
        faults.n_live--;
    }
    pthread_mutex_unlock(&faults.lock);
}

void ba_fault_watch(void) {
    pthread_mutex_lock(&faults.lock);
    memset(faults.live, 0, sizeof faults.live);
    faults.n_live = 0;
    faults.watch = true;
    pthread_mutex_unlock(&faults.lock);
}

size_t ba_fault_leaks(void) {
    pthread_mutex_lock(&faults.lock);
    faults.watch = false;
    size_t n = faults.n_live;
    memset(faults.live, 0, sizeof faults.live);
    faults.n_live = 0;
    pthread_mutex_unlock(&faults.lock);
    return n;
}

/* ---- memory ---- */

static bool no_memory(void) {
    if (fails(BA_FAULT_MEMORY, false)) {
        errno = ENOMEM;
        return true;
    }
    return false;
}

void *__wrap_malloc(size_t n) {
    return no_memory() ? NULL : enter(__real_malloc(n));
}

void *__wrap_calloc(size_t n, size_t size) {
    return no_memory() ? NULL : enter(__real_calloc(n, size));
}

void *__wrap_realloc(void *at, size_t n) {
    if (no_memory()) {
        return NULL;
    }
    leave(at);
    void *to = __real_realloc(at, n);
    enter(to ? to : at);
    return to;
}

void *__wrap_aligned_alloc(size_t alignment, size_t n) {
    return no_memory() ? NULL : enter(__real_aligned_alloc(alignment, n));
}

void __wrap_free(void *at) {
    leave(at);
    __real_free(at);
}

char *__wrap_strdup(const char *s) {
    return no_memory() ? NULL : enter(__real_strdup(s));
}

char *__wrap_strndup(const char *s, size_t n) {
    return no_memory() ? NULL : enter(__real_strndup(s, n));
}

/* ---- files ---- */

static int failing(int error) {
    errno = error;
    return -1;
}

static bool is_short(void) {
    pthread_mutex_lock(&faults.lock);
    bool now = faults.fault == BA_FAULT_SHORT;
    faults.came = faults.came || now;
    pthread_mutex_unlock(&faults.lock);
    return now;
}

/* Reads of a stream opened by fopen. */
static ssize_t read_stream(void *cookie, char *to, size_t n) {
    if (fails(BA_FAULT_INTERRUPTED, false)) {
        return failing(EINTR);
    }
    if (fails(BA_FAULT_BROKEN, false)) {
        return failing(EIO);
    }
    return (ssize_t)fread(to, 1, is_short() && n > FEW ? FEW : n, cookie);
}

static int close_stream(void *cookie) {
    return fclose(cookie);
}

FILE *__wrap_fopen(const char *path, const char *mode) {
    FILE *f = __real_fopen(path, mode);
    pthread_mutex_lock(&faults.lock);
    bool faulty =
        faults.fault == BA_FAULT_SHORT || faults.fault == BA_FAULT_INTERRUPTED || faults.fault == BA_FAULT_BROKEN;
    pthread_mutex_unlock(&faults.lock);
    if (!f || *mode != 'r' || !faulty) {
        return f;
    }
    FILE *stream = fopencookie(f, mode, (cookie_io_functions_t){.read = read_stream, .close = close_stream});
    if (!stream) {
        fclose(f);
    }
    return stream;
}

int __wrap_fclose(FILE *f) {
    int rc = __real_fclose(f);
    return fails(BA_FAULT_FCLOSE, false) ? failing(EIO) : rc;
}

int __wrap_open(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    int mode = flags & O_CREAT ? va_arg(rest, int) : 0;
    va_end(rest);
    return fails(BA_FAULT_OPEN, false) ? failing(EMFILE) : __real_open(path, flags, mode);
}

/* The names of fopen and open with -D_FILE_OFFSET_BITS=64, which some libraries' flags set. */
FILE *__wrap_fopen64(const char *path, const char *mode) {
    return __wrap_fopen(path, mode);
}

int __wrap_open64(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    int mode = flags & O_CREAT ? va_arg(rest, int) : 0;
    va_end(rest);
    return __wrap_open(path, flags, mode);
}

int __wrap_close(int fd) {
    int rc = __real_close(fd);
    return fails(BA_FAULT_CLOSE, false) ? failing(EIO) : rc;
}

ssize_t __wrap_write(int fd, const void *data, size_t n) {
    if (fails(BA_FAULT_FULL, true)) {
        return failing(ENOSPC);
    }
    if (is_short()) {
        pthread_mutex_lock(&faults.lock);
        bool interrupted = faults.calls++ % 2;
        pthread_mutex_unlock(&faults.lock);
        return interrupted ? failing(EINTR) : __real_write(fd, data, n < FEW ? n : FEW);
    }
    return __real_write(fd, data, n);
}

int __wrap_rename(const char *from, const char *to) {
    return fails(BA_FAULT_RENAME, false) ? failing(EACCES) : __real_rename(from, to);
}

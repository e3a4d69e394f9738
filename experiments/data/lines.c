#include "lines.h"

#include "sim/base/json_read.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

struct ba_lines {
    gzFile file;
    char *path, *data; /* data[begin..end): read, not yet given */
    size_t cap, begin, end, number;
};

enum { FIRST_CAP = 1 << 16, MAX_LINE = 1 << 28 };

int ba_lines_open(const char *path, ba_lines **out, char err[BA_ERR_LEN]) {
    ba_lines *l = calloc(1, sizeof *l);
    if (!l || !(l->path = strdup(path)) || !(l->data = malloc(l->cap = FIRST_CAP))) {
        ba_lines_close(l);
        return ba_fail(err, "out of memory");
    }
    l->file = gzopen(path, "rb");
    if (!l->file) {
        ba_lines_close(l);
        return ba_fail(err, "%s: %s", path, strerror(errno ? errno : ENOMEM));
    }
    *out = l;
    return 0;
}

void ba_lines_close(ba_lines *l) {
    if (l) {
        if (l->file) {
            gzclose(l->file);
        }
        free(l->data);
        free(l->path);
        free(l);
    }
}

size_t ba_lines_number(const ba_lines *l) {
    return l->number;
}

/* Reads more after data[end), moving or enlarging what is held. 1, 0 at the end of the file, or -1. */
static int read_more(ba_lines *l) {
    if (l->begin) {
        memmove(l->data, l->data + l->begin, l->end - l->begin);
        l->end -= l->begin;
        l->begin = 0;
    }
    if (l->end == l->cap) {
        char *longer = l->cap < MAX_LINE ? realloc(l->data, l->cap * 2) : NULL;
        if (!longer) {
            return -1;
        }
        l->data = longer;
        l->cap *= 2;
    }
    int got = gzread(l->file, l->data + l->end, (unsigned)(l->cap - l->end)), code = Z_OK;
    if (got > 0) {
        l->end += (size_t)got;
        return 1;
    }
    gzerror(l->file, &code);
    return got < 0 || (code != Z_OK && code != Z_STREAM_END) ? -1 : 0;
}

/* The next line without its end, valid until the next call. 1, 0 at the end of the file, or -1. A NUL is a byte of the
 * line like any other: it neither ends the line nor joins it to the next one. */
static int read_line(ba_lines *l, const char **line, size_t *n) {
    for (size_t seen = 0;;) {
        char *end = memchr(l->data + l->begin + seen, '\n', l->end - l->begin - seen);
        *line = l->data + l->begin;
        if (end) {
            *n = (size_t)(end - *line);
            l->begin += *n + 1;
            return 1;
        }
        seen = l->end - l->begin;
        int got = read_more(l);
        if (got < 0) {
            return -1;
        }
        if (got == 0) {
            *line = l->data + l->begin;
            *n = seen;
            l->begin = l->end;
            return seen > 0;
        }
    }
}

static bool is_blank(const char *line, size_t n) {
    while (n && (line[n - 1] == ' ' || line[n - 1] == '\t' || line[n - 1] == '\r')) {
        n--;
    }
    return n == 0;
}

int ba_lines_raw(ba_lines *l, const char **line, size_t *n, char err[BA_ERR_LEN]) {
    l->number++;
    int got = read_line(l, line, n);
    if (got < 0) {
        ba_fail(err, "%s: cannot be read to the end (damaged, or a line of more than 256 MB)", l->path);
        return -1;
    }
    return got;
}

/* Whether an object begins in the line that does not end there. */
static bool is_cut(const char *line, size_t n) {
    while (n && (line[n - 1] == ' ' || line[n - 1] == '\t' || line[n - 1] == '\r')) {
        n--;
    }
    return n && line[0] == '{' && line[n - 1] != '}';
}

int ba_lines_next(ba_lines *l, cJSON **object, char err[BA_ERR_LEN]) {
    const char *line;
    size_t n = 0;
    int got;
    do {
        got = ba_lines_raw(l, &line, &n, err);
    } while (got > 0 && is_blank(line, n));
    if (got <= 0) {
        return got;
    }
    char why[BA_ERR_LEN];
    if (ba_json_parse(line, n, object, why) != 0) {
        ba_fail(err, "not a JSON object: %s%s", why,
                is_cut(line, n) ? "; an object takes one line, and line ends in its texts are written \\n" : "");
        return BA_LINE_BAD;
    }
    if (!cJSON_IsObject(*object)) {
        cJSON_Delete(*object);
        *object = NULL;
        ba_fail(err, "not a JSON object");
        return BA_LINE_BAD;
    }
    return 1;
}

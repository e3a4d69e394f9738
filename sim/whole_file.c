#include "whole_file.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int ba_whole_file_open(const char *path, ba_whole_file *out, char err[BA_ERR_LEN]) {
    *out = (ba_whole_file){.path = strdup(path)};
    if (!out->path || asprintf(&out->temporary, "%s.tmp", path) < 0) {
        out->temporary = NULL;
        ba_whole_file_close(out);
        return ba_fail(err, "out of memory");
    }
    out->f = fopen(out->temporary, "w");
    if (!out->f) {
        ba_fail(err, "%s: cannot be written: %s", out->temporary, strerror(errno));
        ba_whole_file_close(out);
        return -1;
    }
    return 0;
}

int ba_whole_file_finish(ba_whole_file *w, char err[BA_ERR_LEN]) {
    bool failed = fflush(w->f) || ferror(w->f) || fsync(fileno(w->f));
    int why = errno;
    failed = fclose(w->f) || failed;
    w->f = NULL;
    if (failed || rename(w->temporary, w->path)) {
        ba_fail(err, "%s: cannot be written: %s; free space or choose another name", w->path,
                strerror(failed ? why : errno));
        unlink(w->temporary);
        return -1;
    }
    return 0;
}

void ba_whole_file_close(ba_whole_file *w) {
    if (w->f) {
        fclose(w->f);
        unlink(w->temporary);
    }
    free(w->path);
    free(w->temporary);
    *w = (ba_whole_file){0};
}

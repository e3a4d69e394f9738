#include "error.h"

#include <stdarg.h>
#include <stdio.h>

int ba_fail(char err[BA_ERR_LEN], const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(err, BA_ERR_LEN, format, args);
    va_end(args);
    /* The text may come from an untrusted file: keep it on one line and free of terminal commands. */
    for (char *c = err; *c; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7f) {
            *c = '?';
        }
    }
    return -1;
}

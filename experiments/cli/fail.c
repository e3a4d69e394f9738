#include "cli.h"

#include <errno.h>
#include <stdarg.h>

int ba_cli_fail(int status, const char *format, ...) {
    char line[4 * BA_ERR_LEN];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    /* What was printed so far comes first; and the message stays one line, even if a file name holds line feeds. */
    fflush(stdout);
    for (char *c = line; *c; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7f) {
            *c = '?';
        }
    }
    fprintf(stderr, "%s: %s\n", program_invocation_short_name, line);
    return status;
}

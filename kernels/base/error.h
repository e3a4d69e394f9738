/* How every library function reports: an int (0 done, negative failed) and one line of text in the caller's buffer. */
#ifndef BA_ERROR_H
#define BA_ERROR_H

#define BA_ERR_LEN 512

/* Returned by a long call that stopped because its caller asked it to, through a callback. */
enum { BA_INTERRUPTED = -2 };

/* Writes the line (cut to BA_ERR_LEN, control characters made '?') and returns -1. */
int ba_fail(char err[BA_ERR_LEN], const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif

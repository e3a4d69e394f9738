/* Timing needs the machine for itself: a process that times holds a lock on each socket whose processors it may use, and
 * on its card, so that ranks and shards of one machine time one after the other. */
#ifndef BA_TIMING_LOCK_H
#define BA_TIMING_LOCK_H

#include "kernels/backend.h"

#include <stdbool.h>

enum { BA_MAX_SOCKETS = 64 };

typedef struct ba_timing_lock {
    int fd[BA_MAX_SOCKETS + 1]; /* [n] */
    int n;
} ba_timing_lock;

/* Waits for the locks (files of /tmp), and says on standard error that it does, unless quiet. 0; 1: interrupted; -1: a
 * lock cannot be made, with a reason in err. */
int ba_timing_lock_take(ba_timing_lock *lock, const ba_backend *be, bool quiet, char err[BA_ERR_LEN]);
void ba_timing_lock_drop(ba_timing_lock *lock);

#endif

/* One writer at a time: what a command writes over a longer time is locked until the command ends. */
#ifndef BA_CLI_WRITER_H
#define BA_CLI_WRITER_H

typedef struct ba_writer_lock {
    int fd; /* -1: nothing is locked */
    char path[4096];
} ba_writer_lock;

/* Locks PATH (NULL: nothing) by a file PATH.lock, which is empty and goes with the lock; a killed process leaves an
 * unlocked one, which does no harm. Where no such file can be made, what is written next says why. 0, or an exit status
 * with its line printed: another process is writing there. */
int ba_writer_lock_take(ba_writer_lock *lock, const char *path);
void ba_writer_lock_drop(ba_writer_lock *lock);

#endif

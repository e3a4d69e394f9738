/* Faults on demand. The test runner is linked so that the program's own calls of memory and file functions go through
 * faults.c (Makefile: --wrap); calls inside of libraries do not. They only fail after ba_fault_order. */
#ifndef BA_FAULTS_H
#define BA_FAULTS_H

#include <stdbool.h>
#include <stddef.h>

typedef enum ba_fault {
    BA_FAULT_NONE,
    BA_FAULT_MEMORY,      /* the n-th allocation fails, once */
    BA_FAULT_SHORT,       /* a read or write takes a few bytes at a time, every other write none (EINTR) */
    BA_FAULT_INTERRUPTED, /* the n-th read fails with EINTR */
    BA_FAULT_BROKEN,      /* the n-th read fails with EIO */
    BA_FAULT_FULL,        /* from the n-th write on there is no space (ENOSPC) */
    BA_FAULT_OPEN,        /* the n-th open fails with EMFILE */
    BA_FAULT_CLOSE,       /* the n-th close fails with EIO */
    BA_FAULT_FCLOSE,      /* the n-th fclose fails with EIO */
    BA_FAULT_RENAME,      /* the n-th rename fails with EACCES */
} ba_fault;

/* Orders a fault, in place of the last one; n counts from 0. */
void ba_fault_order(ba_fault fault, size_t n);
/* During a pause calls are not counted and do not fail. */
void ba_fault_pause(bool on);
/* Whether the fault has occurred; ends the order. */
bool ba_fault_came(void);

/* Begins to record allocations. */
void ba_fault_watch(void);
/* How many recorded allocations were not freed; ends the recording. */
size_t ba_fault_leaks(void);

#endif

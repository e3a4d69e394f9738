/* A child program that answers requests line by line. It is stopped (SIGSTOP) while it has no request, so that the timed
 * program has the machine to itself. It ends with its parent, however the parent ends. */
#ifndef BA_PROCESS_H
#define BA_PROCESS_H

#include "kernels/base/error.h"

#include <stddef.h>
#include <stdio.h>
#include <sys/types.h>

typedef struct ba_process {
    pid_t pid; /* 0: not running */
    FILE *to, *from;
} ba_process;

/* argv ends with NULL; setting: "NAME=VALUE" for its environment, or NULL; log: where its standard error goes
 * (appended). 0, or -1 and err. */
int ba_process_start(char *const *argv, const char *setting, const char *log, ba_process *out, char err[BA_ERR_LEN]);
/* Sends question (NULL: none) and reads one line, without its end. 0; -1: it ended, or was interrupted. */
int ba_process_ask(ba_process *p, const char *question, char *answer, size_t size);
void ba_process_end(ba_process *p);

/* Runs a program to its end and measures the time; its output is discarded. 0, or -1: it failed. */
int ba_process_time(char *const *argv, double *seconds);

#endif

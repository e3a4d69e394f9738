/* A thread pool. The calling thread takes part in the work, so a pool of 1 starts no thread. Tasks are handed out one
 * by one in the order of their index; the result of a task must not depend on the thread that runs it. */
#ifndef BA_POOL_H
#define BA_POOL_H

#include "error.h"

#include <stddef.h>

typedef struct ba_pool ba_pool;

/* Processors that this process may run on; at least 1. */
size_t ba_processors(void);

/* 0 if so many threads can run beside each other; else -1 and err, which says what limits them. */
int ba_pool_check(size_t threads, char err[BA_ERR_LEN]);

/* threads >= 1. NULL if a thread cannot be started. */
ba_pool *ba_pool_new(size_t threads);
void ba_pool_free(ba_pool *pool);
size_t ba_pool_threads(const ba_pool *pool);

/* Calls task(arg, index, worker) for every index in [0, n); worker in [0, threads). Returns when all are done. */
void ba_pool_run(ba_pool *pool, size_t n, void (*task)(void *arg, size_t index, size_t worker), void *arg);

#endif

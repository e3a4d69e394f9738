#include "pool.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

/* Inside a layer, runs follow each other within microseconds: a waiting thread polls this often before it sleeps. */
enum { SPINS = 4000 };

typedef struct worker {
    ba_pool *pool;
    size_t index;
    pthread_t thread;
} worker;

struct ba_pool {
    size_t threads;
    worker *worker; /* [threads - 1]; the caller is the last one */
    size_t started;

    /* The run in progress: written before `round` is increased, and read after that. */
    void (*task)(void *arg, size_t index, size_t worker);
    void *arg;
    size_t n;

    atomic_size_t round; /* number of runs so far: a change is the signal to start */
    atomic_size_t next;  /* first index not yet handed out */
    atomic_size_t busy;  /* workers that have not finished this run */
    atomic_bool stop;

    pthread_mutex_t lock; /* for sleeping and waking up only */
    pthread_cond_t start, done;
};

static void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
}

static void work(ba_pool *pool, size_t self) {
    for (;;) {
        size_t i = atomic_fetch_add_explicit(&pool->next, 1, memory_order_relaxed);
        if (i >= pool->n) {
            return;
        }
        pool->task(pool->arg, i, self);
    }
}

static void await_round(ba_pool *pool, size_t last) {
    for (size_t i = 0; i < SPINS; i++) {
        if (atomic_load(&pool->round) != last) {
            return;
        }
        relax();
    }
    pthread_mutex_lock(&pool->lock);
    while (atomic_load(&pool->round) == last) {
        pthread_cond_wait(&pool->start, &pool->lock);
    }
    pthread_mutex_unlock(&pool->lock);
}

static void await_done(ba_pool *pool) {
    for (size_t i = 0; i < SPINS; i++) {
        if (atomic_load(&pool->busy) == 0) {
            return;
        }
        relax();
    }
    pthread_mutex_lock(&pool->lock);
    while (atomic_load(&pool->busy) != 0) {
        pthread_cond_wait(&pool->done, &pool->lock);
    }
    pthread_mutex_unlock(&pool->lock);
}

static void *worker_main(void *arg) {
    worker *w = arg;
    ba_pool *pool = w->pool;
    for (size_t round = 1;; round++) {
        await_round(pool, round - 1);
        if (atomic_load(&pool->stop)) {
            return NULL;
        }
        work(pool, w->index);
        if (atomic_fetch_sub(&pool->busy, 1) == 1) {
            pthread_mutex_lock(&pool->lock);
            pthread_cond_signal(&pool->done);
            pthread_mutex_unlock(&pool->lock);
        }
    }
}

static void begin_round(ba_pool *pool) {
    pthread_mutex_lock(&pool->lock);
    atomic_fetch_add(&pool->round, 1);
    pthread_cond_broadcast(&pool->start);
    pthread_mutex_unlock(&pool->lock);
}

ba_pool *ba_pool_new(size_t threads) {
    ba_pool *pool = calloc(1, sizeof *pool);
    worker *workers = calloc(threads, sizeof *workers);
    if (!pool || !workers) {
        free(pool);
        free(workers);
        return NULL;
    }
    pool->threads = threads;
    pool->worker = workers;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->start, NULL);
    pthread_cond_init(&pool->done, NULL);
    for (size_t i = 0; i + 1 < threads; i++) {
        workers[i] = (worker){.pool = pool, .index = i};
        if (pthread_create(&workers[i].thread, NULL, worker_main, &workers[i])) {
            ba_pool_free(pool);
            return NULL;
        }
        pool->started++;
    }
    return pool;
}

void ba_pool_free(ba_pool *pool) {
    if (!pool) {
        return;
    }
    atomic_store(&pool->stop, true);
    begin_round(pool);
    for (size_t i = 0; i < pool->started; i++) {
        pthread_join(pool->worker[i].thread, NULL);
    }
    pthread_cond_destroy(&pool->done);
    pthread_cond_destroy(&pool->start);
    pthread_mutex_destroy(&pool->lock);
    free(pool->worker);
    free(pool);
}

int ba_pool_check(size_t threads, char err[BA_ERR_LEN]) {
    ba_pool *pool = ba_pool_new(threads);
    if (!pool) {
        return ba_fail(err,
                       "%zu threads cannot be started; use fewer (--threads), raise the limit of processes "
                       "(ulimit -u), or free memory",
                       threads);
    }
    ba_pool_free(pool);
    return 0;
}

size_t ba_pool_threads(const ba_pool *pool) {
    return pool->threads;
}

void ba_pool_run(ba_pool *pool, size_t n, void (*task)(void *arg, size_t index, size_t worker), void *arg) {
    size_t self = pool->threads - 1;
    if (n <= 1 || pool->threads == 1) {
        for (size_t i = 0; i < n; i++) {
            task(arg, i, self);
        }
        return;
    }
    pool->task = task;
    pool->arg = arg;
    pool->n = n;
    atomic_store(&pool->next, 0);
    atomic_store(&pool->busy, pool->threads - 1);
    begin_round(pool);
    work(pool, self);
    await_done(pool);
}

size_t ba_processors(void) {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0) {
        return 1;
    }
    int n = CPU_COUNT(&set);
    return n > 0 ? (size_t)n : 1;
}

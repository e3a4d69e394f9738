/* The counter of an MPI job; see README.md. */
#include "ranks_module.h"

#include <mpi.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* The window, words of 64 bits: the counter, how the job ends, then a heartbeat of each rank. */
enum { COUNTER, ENDING, BEATS };
enum { RUNNING, ALL_CAME, SOME_DIED };
enum { MICROSECONDS = 20000, BEATS_EVERY = 50, PATIENCE_S = 30 };
#define LEFT UINT64_MAX /* heartbeat of a rank that has no work left */

typedef struct job {
    int rank, size;
    MPI_Win window;
    uint64_t *words;
    pthread_mutex_t lock; /* one call of MPI at a time */
    pthread_t thread;
    bool stop; /* under lock */
} job;

/* A process is in one job: MPI itself is one for each process. */
static job *the_job(void) {
    static job one;
    return &one;
}

static uint64_t fetch(job *j, MPI_Aint word, uint64_t value, MPI_Op op, bool *failed) {
    uint64_t got = 0;
    pthread_mutex_lock(&j->lock);
    bool bad = MPI_Fetch_and_op(&value, &got, MPI_UINT64_T, 0, word, op, j->window) != MPI_SUCCESS ||
               MPI_Win_flush(0, j->window) != MPI_SUCCESS;
    pthread_mutex_unlock(&j->lock);
    if (failed) {
        *failed = bad;
    }
    return got;
}

/* Beats, and lets requests of other ranks through. */
static void *attend(void *arg) {
    job *j = arg;
    uint64_t beat = 0;
    for (bool stop = false; !stop;) {
        if (beat++ % BEATS_EVERY == 0) {
            fetch(j, BEATS + j->rank, beat, MPI_REPLACE, NULL);
        }
        int waiting;
        pthread_mutex_lock(&j->lock);
        MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, &waiting, MPI_STATUS_IGNORE);
        stop = j->stop;
        pthread_mutex_unlock(&j->lock);
        usleep(MICROSECONDS);
    }
    return NULL;
}

static int join(size_t *rank, size_t *size, char *err) {
    job *j = the_job();
    int level;
    if (MPI_Init_thread(NULL, NULL, MPI_THREAD_MULTIPLE, &level) != MPI_SUCCESS || level < MPI_THREAD_MULTIPLE) {
        snprintf(err, 512, "this MPI does not start with threads (MPI_THREAD_MULTIPLE)");
        return -1;
    }
    MPI_Comm_rank(MPI_COMM_WORLD, &j->rank);
    MPI_Comm_size(MPI_COMM_WORLD, &j->size);
    MPI_Aint bytes = j->rank ? 0 : (MPI_Aint)sizeof(uint64_t) * (BEATS + j->size);
    if (MPI_Win_allocate(bytes, sizeof(uint64_t), MPI_INFO_NULL, MPI_COMM_WORLD, &j->words, &j->window) !=
        MPI_SUCCESS) {
        snprintf(err, 512, "MPI gives no window of memory (MPI_Win_allocate)");
        return -1;
    }
    MPI_Win_set_errhandler(j->window, MPI_ERRORS_RETURN);
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    for (int i = 0; !j->rank && i < BEATS + j->size; i++) {
        j->words[i] = 0;
    }
    MPI_Barrier(MPI_COMM_WORLD);
    MPI_Win_lock_all(0, j->window);
    pthread_mutex_init(&j->lock, NULL);
    if (pthread_create(&j->thread, NULL, attend, j)) {
        snprintf(err, 512, "no thread can be started (ulimit -u)");
        return -1;
    }
    *rank = (size_t)j->rank;
    *size = (size_t)j->size;
    return 0;
}

static int take(uint64_t *ticket, char *err) {
    bool failed;
    *ticket = fetch(the_job(), COUNTER, 1, MPI_SUM, &failed);
    if (failed) {
        snprintf(err, 512, "the counter of rank 0 cannot be reached; --resume does what is left");
    }
    return failed ? -1 : 0;
}

/* Whether a rank's heart has stopped: its last beat, and how many looks in a row have found no other. */
typedef struct pulse {
    uint64_t beat;
    unsigned still;
} pulse;

static bool is_dead(job *j, int rank, pulse *p) {
    bool failed;
    uint64_t beat = fetch(j, BEATS + rank, 0, MPI_NO_OP, &failed);
    p->still = beat != p->beat || beat == LEFT ? 0 : p->still + 1;
    p->beat = beat;
    return failed || p->still > PATIENCE_S;
}

/* Rank 0: looks once a second until every other rank has left or is dead. */
static uint64_t wait_for_all(job *j) {
    pulse *p = calloc((size_t)j->size, sizeof *p);
    uint64_t ending = RUNNING;
    while (p && ending == RUNNING) {
        int left = 1, dead = 0;
        for (int r = 1; r < j->size; r++) {
            bool died = is_dead(j, r, &p[r]);
            left += p[r].beat == LEFT;
            dead += died;
        }
        ending = left == j->size ? ALL_CAME : left + dead == j->size ? SOME_DIED : RUNNING;
        sleep(ending == RUNNING ? 1 : 0);
    }
    free(p);
    ending = ending == RUNNING ? SOME_DIED : ending;
    fetch(j, ENDING, ending, MPI_REPLACE, NULL);
    return ending;
}

/* Others: until rank 0 says how the job ends, or is dead itself. */
static uint64_t wait_for_first(job *j) {
    pulse first = {0};
    uint64_t ending;
    while ((ending = fetch(j, ENDING, 0, MPI_NO_OP, NULL)) == RUNNING) {
        if (is_dead(j, 0, &first)) {
            return SOME_DIED;
        }
        sleep(1);
    }
    return ending;
}

static void stop_thread(job *j) {
    pthread_mutex_lock(&j->lock);
    j->stop = true;
    pthread_mutex_unlock(&j->lock);
    pthread_join(j->thread, NULL);
}

static void leave(void) {
    job *j = the_job();
    if (j->rank) { /* rank 0 goes on beating while others wait for it */
        stop_thread(j);
        fetch(j, BEATS + j->rank, LEFT, MPI_REPLACE, NULL);
    }
    uint64_t ending = j->rank ? wait_for_first(j) : wait_for_all(j);
    if (!j->rank) {
        if (ending == SOME_DIED) {
            fprintf(stderr, "blockattn: a rank was lost; --resume does what it left\n");
            sleep(3); /* for the others to read it */
        }
        stop_thread(j);
    }
    if (ending == ALL_CAME) {
        MPI_Win_unlock_all(j->window);
        MPI_Win_free(&j->window);
        MPI_Finalize();
    }
}

extern const ba_ranks_ops ba_ranks_module;
__attribute__((visibility("default"))) const ba_ranks_ops ba_ranks_module = {BA_RANKS_VERSION, join, take, leave};

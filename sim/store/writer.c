#include "writer.h"

#include "kernels/base/clock.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/* What one call of the tier takes at most: short enough to be over soon when a request arrives. */
enum { BATCH = 32, BATCH_BYTES = 16 << 20 };
/* From the end of prefill to the first token. */
static const double grace_s = 0.05;

typedef enum job_kind { PUT, TOUCH, REMOVE } job_kind;

typedef struct job {
    struct job *next;
    job_kind kind;
    ba_address address;
    ba_block block;
    uint64_t bytes;
    void *token;
} job;

struct ba_writer {
    ba_tier *tier;
    uint64_t limit, waiting; /* bytes */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t work, idle;
    job *first, **last;     /* to do */
    job *done, **last_done; /* puts whose tokens were not fetched yet */
    bool busy, hold, hurry, stop;
    double not_before;
    ba_writer_stats stats;
    ba_backend *host; /* the thread's own: room for KV from a device, which this backend gave */
    void *room;
    size_t room_size;
};

/* Waits until there is something to do and it is a good time; false: the end. Locked. */
static bool wait_for_work(ba_writer *b) {
    while (b->first || !b->stop) {
        const double at = b->not_before;
        if (!b->first || (b->hold && !b->hurry)) {
            pthread_cond_wait(&b->work, &b->lock);
        } else if (b->hurry || at <= ba_now()) {
            return true;
        } else {
            const struct timespec until = {(time_t)at, (long)((at - (double)(time_t)at) * 1e9)};
            pthread_cond_timedwait(&b->work, &b->lock, &until);
        }
    }
    return false;
}

/* Jobs of one kind from the head of the queue. Locked. */
static size_t take(ba_writer *b, job *batch[BATCH]) {
    size_t n = 0;
    uint64_t bytes = 0;
    while (b->first && n < BATCH &&
           (!n || (b->first->kind == batch[0]->kind && bytes + b->first->bytes <= BATCH_BYTES))) {
        job *j = batch[n++] = b->first;
        bytes += j->bytes;
        b->first = j->next;
    }
    if (!b->first) {
        b->last = &b->first;
    }
    return n;
}

static void *grow_room(ba_writer *b, ba_backend *be, size_t bytes) {
    if (bytes > b->room_size) {
        be->ops->host_free(be, b->room);
        b->host = be;
        b->room = be->ops->host_new(be, bytes);
        b->room_size = b->room ? bytes : 0;
    }
    return b->room;
}

/* Brings KV of a device into memory; blocks that did not come are left out. How many came. */
static size_t fetch(ba_writer *b, job *batch[BATCH], size_t n) {
    size_t bytes = 0, m = 0;
    for (size_t i = 0; i < n; i++) {
        bytes += ba_block_away(&batch[i]->block);
    }
    unsigned char *room = bytes ? grow_room(b, batch[0]->block.be, bytes) : NULL;
    for (size_t i = 0; i < n; i++) {
        const size_t away = ba_block_away(&batch[i]->block);
        if (!away || (room && !ba_block_fetch(&batch[i]->block, room))) {
            batch[m++] = batch[i];
            room += away;
        }
    }
    return m;
}

static void put(ba_writer *b, job *const given[BATCH], size_t n) {
    const ba_block *block[BATCH];
    unsigned char *room[BATCH];
    job *batch[BATCH];
    size_t m = 0;
    memcpy(batch, given, n * sizeof(job *));
    n = fetch(b, batch, n);
    for (size_t i = 0; i < n; i++) {
        room[m] = NULL;
        if (b->tier->spec.coding == BA_CODING_EXACT || !ba_block_shrink(&batch[i]->block, &room[m])) {
            ba_block_seal(&batch[i]->block, b->tier->spec.key);
            block[m++] = &batch[i]->block;
        }
    }
    b->tier->ops->put(b->tier, block, m);
    for (size_t i = 0; i < m; i++) {
        free(room[i]);
    }
}

static void carry_out(ba_writer *b, job *batch[BATCH], size_t n) {
    ba_address address[BATCH];
    char err[BA_ERR_LEN];
    for (size_t i = 0; i < n; i++) {
        address[i] = batch[i]->address;
    }
    switch (batch[0]->kind) {
    case PUT:
        put(b, batch, n);
        break;
    case TOUCH:
        if (b->tier->ops->touch) {
            b->tier->ops->touch(b->tier, address, n);
        }
        break;
    case REMOVE:
        for (size_t i = 0; i < n; i++) {
            if (b->tier->ops->remove(b->tier, &address[i], err)) {
                b->tier->remark(err);
            }
        }
        break;
    }
}

static void *work(void *arg) {
    ba_writer *b = arg;
    job *batch[BATCH];
    setpriority(PRIO_PROCESS, (id_t)gettid(), 19); /* of this thread; a hint */
    pthread_mutex_lock(&b->lock);
    while (wait_for_work(b)) {
        size_t n = take(b, batch);
        b->busy = true;
        pthread_mutex_unlock(&b->lock);
        double start = ba_now();
        carry_out(b, batch, n);
        pthread_mutex_lock(&b->lock);
        b->stats.seconds += ba_now() - start;
        for (size_t i = 0; i < n; i++) {
            b->waiting -= batch[i]->bytes;
            b->stats.bytes += batch[i]->bytes;
            b->stats.blocks += batch[i]->kind == PUT;
            if (batch[i]->kind == PUT) {
                batch[i]->next = NULL;
                *b->last_done = batch[i];
                b->last_done = &batch[i]->next;
            } else {
                free(batch[i]);
            }
        }
        b->busy = false;
        if (!b->first) {
            pthread_cond_broadcast(&b->idle);
        }
    }
    pthread_mutex_unlock(&b->lock);
    return NULL;
}

ba_writer *ba_writer_new(ba_tier *tier, uint64_t limit) {
    ba_writer *b = calloc(1, sizeof *b);
    pthread_condattr_t monotonic;
    if (!b) {
        return NULL;
    }
    b->tier = tier;
    b->limit = limit;
    b->last = &b->first;
    b->last_done = &b->done;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&b->lock, NULL);
    pthread_cond_init(&b->work, &monotonic);
    pthread_cond_init(&b->idle, NULL);
    pthread_condattr_destroy(&monotonic);
    if (pthread_create(&b->thread, NULL, work, b) != 0) {
        pthread_cond_destroy(&b->work);
        pthread_cond_destroy(&b->idle);
        pthread_mutex_destroy(&b->lock);
        free(b);
        return NULL;
    }
    return b;
}

void ba_writer_free(ba_writer *b) {
    if (!b) {
        return;
    }
    pthread_mutex_lock(&b->lock);
    b->stop = b->hurry = true;
    pthread_cond_signal(&b->work);
    pthread_mutex_unlock(&b->lock);
    pthread_join(b->thread, NULL);
    while (ba_writer_done(b)) {
    }
    if (b->room) {
        b->host->ops->host_free(b->host, b->room);
    }
    pthread_cond_destroy(&b->work);
    pthread_cond_destroy(&b->idle);
    pthread_mutex_destroy(&b->lock);
    free(b);
}

static bool enqueue(ba_writer *b, job *j) {
    pthread_mutex_lock(&b->lock);
    bool taken = b->waiting + j->bytes <= b->limit;
    if (taken) {
        j->next = NULL;
        *b->last = j;
        b->last = &j->next;
        b->waiting += j->bytes;
        pthread_cond_signal(&b->work);
    } else {
        b->stats.refused++;
    }
    pthread_mutex_unlock(&b->lock);
    if (!taken) {
        free(j);
    }
    return taken;
}

bool ba_writer_put(ba_writer *b, const ba_block *block, void *token) {
    job *j = malloc(sizeof *j);
    if (!j) {
        return false;
    }
    *j = (job){
        .kind = PUT, .address = block->head.address, .block = *block, .bytes = ba_block_bytes(block), .token = token};
    ba_block_settle(&j->block);
    return enqueue(b, j);
}

static void ask(ba_writer *b, job_kind kind, const ba_address *address) {
    job *j = malloc(sizeof *j);
    if (j) {
        *j = (job){.kind = kind, .address = *address};
        enqueue(b, j);
    }
}

void ba_writer_touch(ba_writer *b, const ba_address *address) {
    ask(b, TOUCH, address);
}

void ba_writer_remove(ba_writer *b, const ba_address *address) {
    ask(b, REMOVE, address);
}

void *ba_writer_done(ba_writer *b) {
    pthread_mutex_lock(&b->lock);
    job *j = b->done;
    if (j) {
        b->done = j->next;
        b->last_done = b->done ? b->last_done : &b->done;
    }
    pthread_mutex_unlock(&b->lock);
    void *token = j ? j->token : NULL;
    free(j);
    return token;
}

void ba_writer_hold(ba_writer *b, bool on) {
    pthread_mutex_lock(&b->lock);
    b->hold = on;
    if (!on) {
        b->not_before = ba_now() + grace_s;
        pthread_cond_signal(&b->work);
    }
    pthread_mutex_unlock(&b->lock);
}

void ba_writer_flush(ba_writer *b) {
    pthread_mutex_lock(&b->lock);
    b->hurry = true;
    pthread_cond_signal(&b->work);
    while (b->first || b->busy) {
        pthread_cond_wait(&b->idle, &b->lock);
    }
    b->hurry = false;
    pthread_mutex_unlock(&b->lock);
}

ba_writer_stats ba_writer_get_stats(ba_writer *b) {
    pthread_mutex_lock(&b->lock);
    ba_writer_stats s = b->stats;
    pthread_mutex_unlock(&b->lock);
    return s;
}

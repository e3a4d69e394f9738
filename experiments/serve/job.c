#include "job.h"

#include <pthread.h>
#include <stdlib.h>

struct ba_queue {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    ba_job *first, *last;
    size_t n, limit;
    bool closed;
};

ba_job *ba_job_new(ba_form form) {
    ba_job *job = calloc(1, sizeof *job);
    if (job) {
        job->form = form;
        job->socket = -1;
    }
    return job;
}

void ba_job_free(ba_job *job) {
    if (job) {
        free(job->body);
        free(job->answer);
        free(job);
    }
}

ba_queue *ba_queue_new(size_t limit) {
    ba_queue *q = calloc(1, sizeof *q);
    if (q) {
        q->limit = limit;
        pthread_mutex_init(&q->lock, NULL);
        pthread_cond_init(&q->changed, NULL);
    }
    return q;
}

void ba_queue_free(ba_queue *q) {
    if (q) {
        pthread_mutex_destroy(&q->lock);
        pthread_cond_destroy(&q->changed);
        free(q);
    }
}

int ba_queue_put(ba_queue *q, ba_job *job) {
    pthread_mutex_lock(&q->lock);
    int status = q->closed ? 503 : q->n >= q->limit ? 429 : 0;
    if (!status) {
        job->next = NULL;
        *(q->first ? &q->last->next : &q->first) = job;
        q->last = job;
        q->n++;
        pthread_cond_signal(&q->changed);
    }
    pthread_mutex_unlock(&q->lock);
    return status;
}

ba_job *ba_queue_take(ba_queue *q) {
    pthread_mutex_lock(&q->lock);
    while (!q->first && !q->closed) {
        pthread_cond_wait(&q->changed, &q->lock);
    }
    ba_job *job = q->first;
    if (job) {
        q->first = job->next;
        q->n--;
    }
    pthread_mutex_unlock(&q->lock);
    return job;
}

void ba_queue_close(ba_queue *q) {
    pthread_mutex_lock(&q->lock);
    q->closed = true;
    pthread_cond_broadcast(&q->changed);
    pthread_mutex_unlock(&q->lock);
}

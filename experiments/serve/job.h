/* One request on its way through the server, and the queue between those who read requests and the one who answers them. */
#ifndef BA_JOB_H
#define BA_JOB_H

#include <stdbool.h>
#include <stddef.h>

/* What a body asks for. */
typedef enum ba_form {
    BA_FORM_OFFICIAL, /* POST /generate of the paper's server */
    BA_FORM_COMPLETION,
    BA_FORM_CHAT
} ba_form;

typedef struct ba_job {
    ba_form form;
    char *body; /* [len], NUL-terminated, owned; NULL while it is empty */
    size_t len, cap;
    bool too_large;
    int socket;          /* of the client, to see that it has left */
    int status;          /* of HTTP; 0: not answered yet */
    char *answer;        /* JSON, owned */
    void *connection;    /* NULL until the body is whole */
    struct ba_job *next; /* in the queue */
} ba_job;

/* NULL: out of memory. */
ba_job *ba_job_new(ba_form form);
void ba_job_free(ba_job *job);

typedef struct ba_queue ba_queue;

/* limit: jobs that may wait. NULL: out of memory. */
ba_queue *ba_queue_new(size_t limit);
void ba_queue_free(ba_queue *q);
/* Appends a job, which stays the caller's. 0; 429: the queue is full; 503: it is closed. */
int ba_queue_put(ba_queue *q, ba_job *job);
/* Waits for the next job; NULL: the queue is closed, and empty. */
ba_job *ba_queue_take(ba_queue *q);
/* No job is taken in any more; those that wait are still handed out. */
void ba_queue_close(ba_queue *q);

#endif

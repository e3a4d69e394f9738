/* The HTTP server: one thread reads requests (http.c), one thread answers them in order with the one engine (answer.c),
 * and the command waits for the signal that ends both (cmd.c). */
#ifndef BA_SERVER_H
#define BA_SERVER_H

#include "job.h"

#include "experiments/cli/ask.h"

#include <cjson/cJSON.h>
#include <stdatomic.h>

typedef struct ba_server {
    const ba_common *common;   /* --mode is the mode of a request that names none */
    const ba_session *session; /* used by the thread that answers, alone */
    ba_queue *queue;
    char *key;                 /* clients must send it; NULL: none is asked for */
    uint64_t body, max_tokens; /* bytes of a body, tokens of an answer, at most */
    double seconds;            /* that a request may compute */
    atomic_bool abandon;       /* what is being computed stops */
    atomic_size_t open;        /* requests whose answer has not been sent */
    uint64_t answered;         /* numbers the answers; of the thread that answers */
} ba_server;

/* Computes the answer of a job: fills its status and its answer. */
void ba_server_answer(ba_server *s, ba_job *job);
/* Fills them with an error, {"error": {"message", "type", "code"}}; for the official form also "ret" and "message". */
void ba_server_refuse(ba_job *job, int status, const char *message);

typedef struct ba_http ba_http;
/* Listens on an IPv4 address; port 0 is any free one, and *port is then the one. 0, or -1 and err. */
int ba_http_start(ba_server *s, const char *address, uint16_t *port, ba_http **out, char err[BA_ERR_LEN]);
/* The answer of a job that was in the queue is there; the job is not the caller's any more. */
void ba_http_send(ba_job *job);
/* Stops listening; connections stay. */
void ba_http_quiesce(ba_http *h);
/* Ends all connections. No job may be in the queue, or in the hands of the thread that answers. */
void ba_http_stop(ba_http *h);

#endif

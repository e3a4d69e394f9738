/* HTTP by libmicrohttpd: reads bodies, checks keys and sizes, and sends what the other thread has answered. */
#include "server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>

enum { CONNECTIONS = 1000, IDLE_SECONDS = 30 };

struct ba_http {
    struct MHD_Daemon *daemon;
    ba_server *server;
};

static enum MHD_Result send_json(struct MHD_Connection *connection, int status, const char *json) {
    static const char none[] =
        "{\"error\": {\"message\": \"out of memory\", \"type\": \"server_error\", \"code\": 500}}";
    size_t n = strlen(json ? json : none);
    char *copy = malloc(n); /* MHD frees it, and takes no constant */
    if (!copy) {
        return MHD_NO;
    }
    memcpy(copy, json ? json : none, n);
    struct MHD_Response *r = MHD_create_response_from_buffer(n, copy, MHD_RESPMEM_MUST_FREE);
    if (!r) {
        free(copy);
        return MHD_NO;
    }
    MHD_add_response_header(r, "Content-Type", "application/json");
    if (status == 429) {
        MHD_add_response_header(r, "Retry-After", "1");
    }
    enum MHD_Result rc = MHD_queue_response(connection, json ? (unsigned)status : 500, r);
    MHD_destroy_response(r);
    return rc;
}

static enum MHD_Result send_error(struct MHD_Connection *connection, int status, const char *message) {
    ba_job error = {.form = BA_FORM_COMPLETION};
    ba_server_refuse(&error, status, message);
    enum MHD_Result rc = send_json(connection, status, error.answer);
    free(error.answer);
    return rc;
}

/* Takes the same time wherever two keys of one length differ. */
static bool key_is_right(const ba_server *s, struct MHD_Connection *connection) {
    const char *given = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Authorization");
    if (!s->key) {
        return true;
    }
    if (!given || strncmp(given, "Bearer ", 7) != 0 || strlen(given + 7) != strlen(s->key)) {
        return false;
    }
    unsigned char differs = 0;
    for (size_t i = 0; s->key[i]; i++) {
        differs |= (unsigned char)(s->key[i] ^ given[7 + i]);
    }
    return !differs;
}

static enum MHD_Result send_models(const ba_server *s, struct MHD_Connection *connection) {
    cJSON *o = cJSON_CreateObject(), *model = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "object", "list");
    cJSON_AddItemToArray(cJSON_AddArrayToObject(o, "data"), model);
    cJSON_AddStringToObject(model, "id", ba_model_name(s->session->model));
    cJSON_AddStringToObject(model, "object", "model");
    cJSON_AddStringToObject(model, "owned_by", "blockattn");
    cJSON_AddNumberToObject(model, "max_model_len", (double)ba_model_shape(s->session->model)->ctx);
    char *text = cJSON_PrintUnformatted(o);
    enum MHD_Result rc = send_json(connection, 200, text);
    free(text);
    cJSON_Delete(o);
    return rc;
}

typedef struct route {
    const char *path;
    ba_form form;
} route;

static const route *route_of(const char *path) {
    static const route routes[] = {{"/generate", BA_FORM_OFFICIAL},
                                   {"/v1/completions", BA_FORM_COMPLETION},
                                   {"/v1/chat/completions", BA_FORM_CHAT}};
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
        if (strcmp(path, routes[i].path) == 0) {
            return &routes[i];
        }
    }
    return NULL;
}

/* The first call for a request: either it is answered at once, or a job will collect its body. */
static enum MHD_Result begin(ba_server *s, struct MHD_Connection *connection, const char *path, const char *method,
                             void **state) {
    const route *to = route_of(path);
    bool get = strcmp(method, "GET") == 0;
    if (get && strcmp(path, "/health") == 0) {
        return send_json(connection, 200, "{\"status\": \"ok\"}");
    }
    if (!key_is_right(s, connection)) {
        return send_error(connection, 401, "the API key is missing or wrong: send \"Authorization: Bearer KEY\"");
    }
    if (get && strcmp(path, "/v1/models") == 0) {
        return send_models(s, connection);
    }
    if (!to) {
        return send_error(connection, 404,
                          "no such path; there is GET /health, GET /v1/models, POST /generate, POST /v1/completions, "
                          "POST /v1/chat/completions");
    }
    if (strcmp(method, "POST") != 0) {
        return send_error(connection, 405, "this path takes POST only");
    }
    const char *length = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Content-Length");
    if (length && strtoull(length, NULL, 10) > s->body) {
        return send_error(connection, 413, "the body is larger than --max-body allows");
    }
    ba_job *job = ba_job_new(to->form);
    *state = job;
    return job ? MHD_YES : MHD_NO;
}

/* Part of a body. One that grows too large is thrown away, and refused at its end. */
static enum MHD_Result collect(const ba_server *s, ba_job *job, const char *bytes, size_t n) {
    if (job->too_large || n > s->body - job->len) {
        free(job->body);
        job->body = NULL;
        job->len = job->cap = 0;
        job->too_large = true;
        return MHD_YES;
    }
    if (job->len + n + 1 > job->cap) {
        size_t cap = 2 * (job->len + n + 1);
        char *more = realloc(job->body, cap);
        if (!more) {
            return MHD_NO;
        }
        job->body = more;
        job->cap = cap;
    }
    memcpy(job->body + job->len, bytes, n);
    job->len += n;
    job->body[job->len] = 0;
    return MHD_YES;
}

/* The body is whole. The connection sleeps until ba_http_send, which may come before this returns. */
static enum MHD_Result enqueue(ba_server *s, ba_job *job, struct MHD_Connection *connection) {
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    if (job->too_large) {
        return send_error(connection, 413, "the body is larger than --max-body allows");
    }
    job->socket = info ? info->connect_fd : -1;
    job->connection = connection;
    atomic_fetch_add(&s->open, 1);
    MHD_suspend_connection(connection);
    int refused = ba_queue_put(s->queue, job);
    if (refused) {
        ba_server_refuse(job, refused,
                         refused == 429 ? "the queue is full; try again later" : "the server is stopping");
        ba_http_send(job);
    }
    return MHD_YES;
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *connection, const char *path, const char *method,
                                  const char *version, const char *bytes, size_t *n, void **state) {
    ba_http *h = arg;
    ba_job *job = *state;
    (void)version;
    if (!job) {
        return begin(h->server, connection, path, method, state);
    }
    if (*n) {
        enum MHD_Result rc = collect(h->server, job, bytes, *n);
        *n = 0;
        return rc;
    }
    return job->status ? send_json(connection, job->status, job->answer) : enqueue(h->server, job, connection);
}

static void on_completed(void *arg, struct MHD_Connection *connection, void **state,
                         enum MHD_RequestTerminationCode code) {
    ba_http *h = arg;
    (void)connection, (void)code;
    ba_job *job = *state;
    if (job && job->connection) {
        atomic_fetch_sub(&h->server->open, 1);
    }
    ba_job_free(job);
    *state = NULL;
}

int ba_http_start(ba_server *s, const char *address, uint16_t *port, ba_http **out, char err[BA_ERR_LEN]) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(*port)};
    if (inet_pton(AF_INET, address, &at.sin_addr) != 1) {
        return ba_fail(err, "--address: \"%s\" is no IPv4 address, as 127.0.0.1", address);
    }
    ba_http *h = calloc(1, sizeof *h);
    if (!h) {
        return ba_fail(err, "out of memory");
    }
    h->server = s;
    errno = 0;
    h->daemon = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL | MHD_ALLOW_SUSPEND_RESUME, *port, NULL,
                                 NULL, on_request, h, MHD_OPTION_SOCK_ADDR, (struct sockaddr *)&at,
                                 MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT,
                                 (unsigned)IDLE_SECONDS, MHD_OPTION_NOTIFY_COMPLETED, on_completed, h, MHD_OPTION_END);
    if (!h->daemon) {
        int why = errno;
        free(h);
        return ba_fail(err, "cannot listen on %s, port %u: %s; choose another with --port", address, *port,
                       why ? strerror(why) : "unknown reason");
    }
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_BIND_PORT);
    *port = info ? info->port : *port;
    *out = h;
    return 0;
}

void ba_http_send(ba_job *job) {
    MHD_resume_connection(job->connection);
}

void ba_http_quiesce(ba_http *h) {
    MHD_socket s = MHD_quiesce_daemon(h->daemon);
    if (s != MHD_INVALID_SOCKET) {
        shutdown(s, SHUT_RDWR);
    }
}

void ba_http_stop(ba_http *h) {
    if (h) {
        MHD_stop_daemon(h->daemon);
        free(h);
    }
}

/* blockattn serve: a model over HTTP, for the paper's client and those of OpenAI's form. */
#include "server.h"

#include "experiments/options/options.h"
#include "kernels/base/clock.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { KEY_BYTES = 4096 };

typedef struct options {
    const char *address, *key_file;
    uint64_t port, queue, body, max_tokens;
    double seconds;
} options;

static void *work(void *arg) {
    ba_server *s = arg;
    ba_job *job;
    while ((job = ba_queue_take(s->queue))) {
        ba_server_answer(s, job);
        ba_http_send(job);
    }
    return NULL;
}

/* Whether one of the signals came within that many seconds; < 0: without end. */
static bool signalled(const sigset_t *signals, double seconds) {
    struct timespec t = {.tv_sec = (time_t)seconds, .tv_nsec = (long)(1e9 * (seconds - (double)(time_t)seconds))};
    int which;
    return seconds < 0 ? sigwait(signals, &which) == 0 : sigtimedwait(signals, NULL, &t) > 0;
}

/* After the first signal: what waits is still answered, unless a second one comes. */
static void drain(ba_server *s, const sigset_t *signals, ba_http *h, pthread_t worker) {
    enum { SEND_SECONDS = 5 };
    struct timespec soon = {.tv_nsec = 1000000};
    double sent = 0;
    ba_queue_close(s->queue);
    ba_http_quiesce(h);
    while (atomic_load(&s->open) && (!sent || ba_now() < sent)) {
        if (signalled(signals, 0.02)) {
            atomic_store(&s->abandon, true);
            sent = ba_now() + SEND_SECONDS;
        }
    }
    pthread_join(worker, NULL);
    for (sent = ba_now() + SEND_SECONDS; atomic_load(&s->open) && ba_now() < sent;) {
        nanosleep(&soon, NULL);
    }
}

static int serve(ba_server *s, const options *opt, const sigset_t *signals) {
    char err[BA_ERR_LEN];
    uint16_t port = (uint16_t)opt->port;
    pthread_t worker;
    ba_http *h;
    if (ba_http_start(s, opt->address, &port, &h, err)) {
        return ba_cli_fail(BA_EXIT_USAGE, "%s", err);
    }
    if (pthread_create(&worker, NULL, work, s)) {
        ba_http_stop(h);
        return ba_cli_fail(BA_EXIT_MACHINE, "no thread can be started");
    }
    printf("listening on http://%s:%u\n", opt->address, port);
    fflush(stdout);
    signalled(signals, -1);
    drain(s, signals, h, worker);
    ba_http_stop(h);
    return BA_EXIT_OK;
}

/* The first line of the file. 0, or an exit status. */
static int read_key(const char *path, char **key) {
    char err[BA_ERR_LEN];
    size_t len;
    if (ba_read_file(path, KEY_BYTES, key, &len, err)) {
        return ba_cli_fail(BA_EXIT_USAGE, "--api-key: %s", err);
    }
    (*key)[strcspn(*key, "\r\n")] = 0;
    return **key ? 0 : ba_cli_fail(BA_EXIT_USAGE, "--api-key: the first line of %s is empty", path);
}

static int start(const ba_call *call, ba_server *s) {
    const options *opt = call->options;
    ba_session b;
    sigset_t signals;
    if (opt->key_file && read_key(opt->key_file, &s->key)) {
        return BA_EXIT_USAGE;
    }
    if (!s->key && strncmp(opt->address, "127.", 4) != 0) {
        return ba_cli_fail(BA_EXIT_USAGE, "--address %s: others than loopback (127.0.0.1) need --api-key FILE",
                           opt->address);
    }
    if (!(s->queue = ba_queue_new(opt->queue))) {
        return ba_cli_fail(BA_EXIT_MACHINE, "out of memory");
    }
    /* Before there are threads, so that every one of them leaves the signals to this one. */
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    int status = ba_session_open(call->common, &b);
    if (status == BA_EXIT_OK) {
        s->session = &b;
        status = serve(s, opt, &signals);
        ba_session_close(&b);
    }
    return status;
}

static int run(const ba_call *call) {
    const options *opt = call->options;
    ba_server s = {.common = call->common, .body = opt->body, .max_tokens = opt->max_tokens, .seconds = opt->seconds};
    int status = start(call, &s);
    ba_queue_free(s.queue);
    free(s.key);
    return status;
}

#define AT(member) .at = offsetof(options, member)

static const ba_option own[] = {
    {"address", "IP", BA_TEXT, AT(address), .standard = "127.0.0.1",
     .help = "IPv4 address to listen on; others than loopback need --api-key"},
    {"port", "N", BA_COUNT, AT(port), .standard = "8000", .most = 65535, .help = "to listen on; 0 is any free one"},
    {"api-key", "FILE", BA_FILE, AT(key_file), .help = "clients must send the first line of this file"},
    {"queue", "N", BA_COUNT, AT(queue), .standard = "64", .least = 1, .most = 1000,
     .help = "requests that may wait; others get 429"},
    {"max-body", "BYTES", BA_COUNT, AT(body), .standard = "16M", .least = 1, .most = 1 << 30, .help = "of a request"},
    {"max-tokens", "N", BA_COUNT, AT(max_tokens), .standard = "4096", .least = 1, .most = 1 << 20,
     .help = "that a request may ask for"},
    {"max-seconds", "S", BA_REAL, AT(seconds), .standard = "600", .least = 0.001, .most = 86400,
     .help = "that a request may compute; it ends with 504"},
    {.name = NULL}};

const ba_command ba_command_serve = {
    .name = "serve",
    .summary = "a model over HTTP",
    .usage = "[--port N] [--mode MODE] [--address IP --api-key FILE]",
    .about = "Answers POST /generate as the paper's server does, and POST /v1/completions and /v1/chat/completions as "
             "OpenAI's, one after the other; GET /health and /v1/models. A request may name its \"mode\". INT and TERM "
             "let it finish what waits; a second one does not.",
    .example = "blockattn serve --port 8000 --mode block\n"
               "curl -s localhost:8000/generate -d '{\"blocks\": [\"Bern is a city. \", \"Where is Bern?\"]}'",
    .own = own,
    .size = sizeof(options),
    .takes = BA_TAKES_ENGINE | BA_TAKES_MODE | BA_TAKES_SEED | BA_TAKES_CHAT | BA_TAKES_EXECUTOR | BA_TAKES_MEMORY,
    .mode = "block",
    .hint = "requests come by HTTP",
    .run = run,
};

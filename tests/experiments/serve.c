/* The server over real sockets: what it answers is what `generate` prints, and what is wrong is refused by the right code. */
#include "tests/support/program.h"
#include "tests/support/runner.h"

#include <arpa/inet.h>
#include <cjson/cJSON.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

typedef struct server {
    pid_t child;
    int port;
} server;

static void wait_ms(long ms) {
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

/* Waits for the line that names the port. */
static server start(const char *const *args) {
    server s = {.port = 0};
    program_tiny();
    program_write("stdout", "");
    s.child = program_start("stdout", args);
    for (int i = 0; i < 600 && !s.port; i++) {
        char *text = program_text("stdout"), *colon = strrchr(text, ':');
        if (strchr(text, '\n') && colon) {
            s.port = (int)strtol(colon + 1, NULL, 10);
        }
        free(text);
        wait_ms(50);
    }
    CU_ASSERT_TRUE_FATAL(s.port > 0);
    return s;
}

static void stop(server s) {
    kill(s.child, SIGTERM);
    program_end o = program_finish(s.child);
    CU_ASSERT_EQUAL(o.status, 0);
    CU_ASSERT_STRING_EQUAL(o.err, "");
    program_free(&o);
}

static int open_socket(server s) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)s.port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CU_ASSERT_EQUAL_FATAL(connect(fd, (struct sockaddr *)&at, sizeof at), 0);
    return fd;
}

/* Sends a POST; the answer is not waited for. */
static int post_open(server s, const char *path, const char *headers, const char *body) {
    char head[1024];
    int fd = open_socket(s);
    int n =
        snprintf(head, sizeof head, "POST %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%sContent-Length: %zu\r\n\r\n",
                 path, headers, strlen(body));
    CU_ASSERT_EQUAL(send(fd, head, (size_t)n, MSG_NOSIGNAL), n);
    CU_ASSERT_EQUAL(send(fd, body, strlen(body), MSG_NOSIGNAL), (ssize_t)strlen(body));
    return fd;
}

/* Status and body of what comes until the connection closes; 0 if nothing comes. Freed with free. */
static int receive(int fd, char **body) {
    enum { ROOM = 1 << 20 };
    char *all = calloc(1, ROOM);
    size_t n = 0;
    ssize_t got;
    CU_ASSERT_PTR_NOT_NULL_FATAL(all);
    while (n < ROOM - 1 && poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, 60000) > 0 &&
           (got = recv(fd, all + n, ROOM - 1 - n, 0)) > 0) {
        n += (size_t)got;
    }
    close(fd);
    char *gap = strstr(all, "\r\n\r\n");
    int status = strncmp(all, "HTTP/1.1 ", 9) == 0 ? (int)strtol(all + 9, NULL, 10) : 0;
    *body = strdup(gap ? gap + 4 : "");
    free(all);
    return status;
}

/* The answer as JSON, deleted by the caller; what its status must be. */
static cJSON *post(server s, const char *path, const char *headers, const char *body, int status) {
    char *text;
    int got = receive(post_open(s, path, headers, body), &text);
    cJSON *root = cJSON_Parse(text);
    if (got != status) {
        printf("         %.200s: %d, expected %d: %s\n", body, got, status, text);
    }
    CU_ASSERT_EQUAL(got, status);
    CU_ASSERT_PTR_NOT_NULL_FATAL(root);
    free(text);
    return root;
}

static const char *text_at(const cJSON *o, const char *name) {
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItem(o, name));
    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    return text;
}

#define SERVE(...) ((const char *const[]){"serve", "--model", "tiny.gguf", "--port", "0", "--quiet", __VA_ARGS__, NULL})
#define BLOCKS     "\"blocks\": [\"Rain fell in Bern. \", \"The sun shone in Rome. \", \"Where?\"]"

/* What `generate` prints for a request in a mode. */
static cJSON *generated(const char *request, const char *mode) {
    program_write("request.json", request);
    program_end o = program_run_to("generated", (const char *const[]){"generate", "--model", "tiny.gguf", "--request",
                                                                      "request.json", "--mode", mode, "--max-tokens",
                                                                      "12", "--json", "--quiet", NULL});
    char *text = program_text("generated");
    cJSON *root = cJSON_Parse(text);
    CU_ASSERT_EQUAL(o.status, 0);
    CU_ASSERT_PTR_NOT_NULL_FATAL(root);
    program_free(&o);
    free(text);
    return root;
}

static void answers_are_those_of_generate(void) {
    static const char *const mode[] = {"full", "block", "turborag"};
    server s = start(SERVE("--mode", "full"));
    for (size_t i = 0; i < sizeof mode / sizeof *mode; i++) {
        char body[512];
        snprintf(body, sizeof body, "{" BLOCKS ", \"mode\": \"%s\", \"max_tokens\": 12, \"unknown\": 1}", mode[i]);
        cJSON *expected = generated("{" BLOCKS "}", mode[i]);
        cJSON *official = post(s, "/generate", "", body, 200), *ours = post(s, "/v1/completions", "", body, 200);
        const cJSON *choice = cJSON_GetArrayItem(cJSON_GetObjectItem(ours, "choices"), 0);
        const cJSON *usage = cJSON_GetObjectItem(ours, "usage");
        const cJSON *cached = cJSON_GetObjectItem(cJSON_GetObjectItem(usage, "prompt_tokens_details"), "cached_tokens");
        CU_ASSERT_STRING_EQUAL(text_at(official, "generated"), text_at(expected, "text"));
        CU_ASSERT_EQUAL(cJSON_GetObjectItem(official, "ret")->valueint, 0);
        CU_ASSERT_STRING_EQUAL(text_at(choice, "text"), text_at(expected, "text"));
        CU_ASSERT_EQUAL(cJSON_GetObjectItem(usage, "prompt_tokens")->valueint,
                        cJSON_GetObjectItem(expected, "n_prompt")->valueint);
        /* The first request has left its blocks in the store. */
        CU_ASSERT_EQUAL(cached->valueint > 0, strcmp(mode[i], "full") != 0);
        cJSON_Delete(expected);
        cJSON_Delete(official);
        cJSON_Delete(ours);
    }
    stop(s);
}

static void conversations_are_worded(void) {
    static const char messages[] = "{\"messages\": [{\"role\": \"user\", \"content\": \"Where is Bern?\"}]}";
    server s = start(SERVE("--mode", "block"));
    char body[512];
    snprintf(body, sizeof body, "%.*s, \"max_tokens\": 12}", (int)strlen(messages) - 1, messages);
    cJSON *expected = generated(messages, "block"), *chat = post(s, "/v1/chat/completions", "", body, 200);
    const cJSON *choice = cJSON_GetArrayItem(cJSON_GetObjectItem(chat, "choices"), 0);
    CU_ASSERT_STRING_EQUAL(text_at(cJSON_GetObjectItem(choice, "message"), "content"), text_at(expected, "text"));
    cJSON_Delete(expected);
    cJSON_Delete(chat);
    stop(s);
}

static void bad_requests_are_refused(void) {
    static const struct {
        const char *path, *body;
        int status;
        const char *says;
    } row[] = {
        {"/generate", "", 400, ""},
        {"/generate", "{\"blocks\": ", 400, ""},
        {"/generate", "[]", 400, "object"},
        {"/generate", "{}", 400, "blocks"},
        {"/generate", "{\"blocks\": 7}", 400, "blocks"},
        {"/generate", "{" BLOCKS ", \"mode\": \"nosuch\"}", 400, "nosuch"},
        {"/generate", "{" BLOCKS ", \"mode\": 7}", 400, "mode"},
        {"/generate", "{" BLOCKS ", \"max_tokens\": 0}", 400, "max_tokens"},
        {"/generate", "{" BLOCKS ", \"max_tokens\": 2040}", 400, "context"},
        {"/v1/completions", "{\"prompt\": [\"a\", \"b\"]}", 400, "several"},
        {"/v1/completions", "{\"prompt\": \"a\", \"stream\": true}", 400, "stream"},
        {"/v1/completions", "{\"prompt\": \"a\", \"echo\": true}", 400, "echo"},
        {"/v1/completions", "{\"prompt\": \"a\", \"n\": 2}", 400, "\"n\""},
        {"/v1/completions", "{\"prompt\": \"a\", \"stop\": \"\"}", 400, "stop"},
        {"/v1/completions", "{\"prompt\": \"a\", \"temperature\": -1}", 400, "temperature"},
        {"/v1/completions", "{\"prompt\": [99999999]}", 400, ""},
        {"/v1/chat/completions", "{\"prompt\": \"a\"}", 400, "messages"},
        {"/nosuch", "{}", 404, "/generate"},
        {"/health", "{}", 404, ""},
    };
    server s = start(SERVE("--max-body", "1K"));
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        cJSON *root = post(s, row[i].path, "", row[i].body, row[i].status);
        const char *message = text_at(cJSON_GetObjectItem(root, "error"), "message");
        if (!strstr(message, row[i].says)) {
            printf("         %s: %s\n", row[i].body, message);
        }
        CU_ASSERT_TRUE(*message && strstr(message, row[i].says));
        cJSON_Delete(root);
    }
    char large[3000] = "", *text;
    memset(large, ' ', sizeof large - 1);
    CU_ASSERT_EQUAL(receive(post_open(s, "/generate", "", large), &text), 413);
    free(text);
    cJSON_Delete(post(s, "/generate", "", "{" BLOCKS ", \"max_tokens\": 1}", 200));
    stop(s);
}

static void a_key_is_asked_for(void) {
    program_tiny();
    program_write("key", "secret\n");
    server s = start(SERVE("--api-key", "key"));
    static const char body[] = "{" BLOCKS ", \"max_tokens\": 1}";
    cJSON_Delete(post(s, "/generate", "", body, 401));
    cJSON_Delete(post(s, "/generate", "Authorization: Bearer secreT\r\n", body, 401));
    cJSON_Delete(post(s, "/generate", "Authorization: Bearer secret\r\n", body, 200));
    stop(s);
    static const program_refusal refused[] = {
        {2, "--api-key", {"serve", "--model", "tiny.gguf", "--address", "0.0.0.0"}},
        {2, "IPv4", {"serve", "--model", "tiny.gguf", "--address", "127.0.0"}},
    };
    EXPECT_REFUSALS(refused);
}

/* Many at once with little room: each is answered or gets 429; and the signal lets those
 * that wait finish. */
static void a_full_queue_says_so(void) {
    enum { CLIENTS = 60 };
    int fd[CLIENTS], answered = 0, refused = 0;
    server s = start(SERVE("--queue", "4"));
    for (int i = 0; i < CLIENTS; i++) {
        fd[i] = post_open(s, "/generate", "", "{" BLOCKS ", \"max_tokens\": 200}");
    }
    for (int i = 0; i < CLIENTS; i++) {
        char *text;
        int status = receive(fd[i], &text);
        answered += status == 200;
        refused += status == 429;
        free(text);
    }
    CU_ASSERT_EQUAL(answered + refused, CLIENTS);
    CU_ASSERT_TRUE(answered >= 4);
    CU_ASSERT_TRUE(refused > 0);
    for (int i = 0; i < 3; i++) {
        fd[i] = post_open(s, "/generate", "", "{" BLOCKS ", \"max_tokens\": 400}");
    }
    wait_ms(100);
    kill(s.child, SIGTERM);
    for (int i = 0; i < 3; i++) {
        char *text;
        CU_ASSERT_EQUAL(receive(fd[i], &text), 200);
        free(text);
    }
    program_end o = program_finish(s.child);
    CU_ASSERT_EQUAL(o.status, 0);
    program_free(&o);
}

/* The answers to those that have left are not computed, so that one who stays does not wait for them. */
static void clients_may_leave(void) {
    server s = start(SERVE("--max-tokens", "2K"));
    for (int i = 0; i < 40; i++) {
        close(post_open(s, "/generate", "", "{" BLOCKS ", \"max_tokens\": 1900}"));
    }
    int half = open_socket(s);
    CU_ASSERT_EQUAL(send(half, "POST /generate HTTP/1.1\r\nContent-Le", 35, MSG_NOSIGNAL), 35);
    struct timespec a, b;
    clock_gettime(CLOCK_MONOTONIC, &a);
    cJSON_Delete(post(s, "/generate", "", "{" BLOCKS ", \"max_tokens\": 1}", 200));
    clock_gettime(CLOCK_MONOTONIC, &b);
    CU_ASSERT_TRUE(b.tv_sec - a.tv_sec < 20);
    close(half);
    stop(s);
}

int ba_suite_serve(void) {
    CU_pSuite s = CU_add_suite("serve", NULL, NULL);
    return !s || !CU_add_test(s, "answers are those of generate", answers_are_those_of_generate) ||
           !CU_add_test(s, "conversations are worded as generate words them", conversations_are_worded) ||
           !CU_add_test(s, "bad requests are refused by name", bad_requests_are_refused) ||
           !CU_add_test(s, "a key is asked for", a_key_is_asked_for) ||
           !CU_add_test(s, "a full queue says so, and a signal drains it", a_full_queue_says_so) ||
           !CU_add_test(s, "clients may leave", clients_may_leave);
}

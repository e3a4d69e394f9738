/* The tier on Redis: against a server made here that misbehaves in every way, and against the real one. */
#include "kernels/base/clock.h"
#include "tests/support/runner.h"
#include "tests/support/shelf.h"

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

typedef enum manner {
    HANGS,    /* takes the connection and says nothing */
    HANGS_UP, /* at once */
    CUTS,     /* hangs up in the middle of a value */
    DRIPS,    /* sends a value byte by byte */
    GARBAGE,  /* what is no protocol */
    TYPES,    /* an answer of another type */
    ERRORS,   /* the server's own error */
    HUGE,     /* announces more than there can be */
    FOREIGN,  /* a value that is no block */
    LONGER,   /* announces 500 MB, and sends for ever */
    FIELDS,   /* two million fields of the text */
    DEEP,     /* lists within lists */
    LOCKED,   /* wants a password */
    MANNERS
} manner;

/* The same piece again and again, until nobody listens any more. */
static void send_for_ever(int fd, const char *first, const char *piece, size_t n) {
    static char block[1 << 16];
    size_t used = 0;
    for (; used + n <= sizeof block; used += n) {
        memcpy(block + used, piece, n);
    }
    send(fd, first, strlen(first), MSG_NOSIGNAL);
    while (send(fd, block, used, MSG_NOSIGNAL) > 0) {
    }
}

static void answer(int fd, manner how) {
    static const char cut[] = "$30000\r\nba-block and a little more", huge[] = "$9223372036854775807\r\nx";
    static const char garbage[] = "\x80\xff\x00garbage\r\n\r\n", types[] = ":5\r\n:5\r\n";
    static const char errors[] = "-LOADING not yet\r\n-LOADING not yet\r\n";
    static const char locked[] = "-NOAUTH Authentication required.\r\n-NOAUTH Authentication required.\r\n";
    static const char foreign[] = "$9\r\nba-block!\r\n*0\r\n";
    switch (how) {
    case HANGS:
        pause();
        break;
    case CUTS:
        send(fd, cut, sizeof cut - 1, MSG_NOSIGNAL);
        break;
    case DRIPS:
        for (size_t i = 0; send(fd, i < 8 ? cut + i : "x", 1, MSG_NOSIGNAL) == 1; i++) {
            usleep(20000);
        }
        break;
    case GARBAGE:
        send(fd, garbage, sizeof garbage - 1, MSG_NOSIGNAL);
        break;
    case TYPES:
        send(fd, types, sizeof types - 1, MSG_NOSIGNAL);
        break;
    case ERRORS:
        send(fd, errors, sizeof errors - 1, MSG_NOSIGNAL);
        break;
    case HUGE:
        send(fd, huge, sizeof huge - 1, MSG_NOSIGNAL);
        pause();
        break;
    case FOREIGN:
        send(fd, foreign, sizeof foreign - 1, MSG_NOSIGNAL);
        break;
    case LONGER:
        send_for_ever(fd, "$500000000\r\n", "q", 1);
        break;
    case FIELDS:
        send_for_ever(fd, "$-1\r\n*2000000\r\n", "$4\r\nword\r\n", 10);
        break;
    case DEEP:
        send_for_ever(fd, "", "*1\r\n", 4);
        break;
    case LOCKED:
        send(fd, locked, sizeof locked - 1, MSG_NOSIGNAL);
        break;
    case HANGS_UP:
    case MANNERS:
        break;
    }
}

/* Serves one connection after the other until it is killed. */
static void serve(int listener, manner how) {
    char request[65536];
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGCHLD, SIG_IGN);
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        if (fd >= 0 && fork() == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            while (how != HANGS_UP && recv(fd, request, sizeof request, 0) > 0) {
                answer(fd, how);
                if (how == CUTS) {
                    break;
                }
            }
            _exit(0);
        }
        close(fd);
    }
}

/* A port of this machine that nobody listens at; *listener is bound to it. */
static int free_port(int *listener) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof at;
    *listener = socket(AF_INET, SOCK_STREAM, 0);
    CU_ASSERT_FATAL(bind(*listener, (struct sockaddr *)&at, n) == 0 &&
                    getsockname(*listener, (struct sockaddr *)&at, &n) == 0);
    return ntohs(at.sin_port);
}

/* What a store does whose server is no good: it says so once, and does without, quickly. */
static void do_without(int port, manner how, ba_lookup why) {
    char tiers[64];
    snprintf(tiers, sizeof tiers, "ram:1M,redis:127.0.0.1:%d", port);
    shelf r = shelf_open("ref", tiers, "");
    double start = ba_now();
    ba_finding found = shelf_look(&r, 1);
    CU_ASSERT(ba_now() - start < 2); /* given up after half a second, on a machine that may be busy */
    CU_ASSERT_EQUAL(found.by_place[1], why);
    shelf_add(&r, 1);
    ba_store_flush(r.store);
    found = shelf_look(&r, 1);
    CU_ASSERT(found.why == BA_HIT && found.place == 0);
    CU_ASSERT(shelf_remarks >= 1 && shelf_remarks <= 3);
    CU_ASSERT(how != LOCKED || (shelf_remarks == 1 && strstr(shelf_remark, "REDISCLI_AUTH")));
    start = ba_now();
    for (int b = 2; b < 200; b++) {
        CU_ASSERT_EQUAL(shelf_look(&r, b).by_place[1], why);
    }
    CU_ASSERT(ba_now() - start < 2); /* left alone, or still answering */
    shelf_close(&r);
}

static void servers_may_misbehave(void) {
    for (manner how = 0; how < MANNERS; how++) {
        int listener, port = free_port(&listener);
        CU_ASSERT_EQUAL_FATAL(listen(listener, 8), 0);
        fflush(NULL);
        pid_t server = fork();
        if (server == 0) {
            serve(listener, how);
        }
        close(listener);
        do_without(port, how, how == FOREIGN ? BA_MISS_DAMAGED : BA_MISS_AWAY);
        kill(server, SIGKILL);
        waitpid(server, NULL, 0);
    }
}

static void servers_may_be_gone(void) {
    int listener, port = free_port(&listener);
    do_without(port, MANNERS, BA_MISS_AWAY); /* bound, but nobody listens */
    close(listener);
}

/* ---- looking after a server that misbehaves ---------------------------------------------------------------------- */

/* Answers each request with the next of two texts, over and over. */
static void serve_texts(int listener, const char *const text[2]) {
    char request[65536];
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int fd = accept(listener, NULL, NULL);
    for (size_t i = 0; recv(fd, request, sizeof request, 0) > 0; i++) {
        send(fd, text[i % 2], strlen(text[i % 2]), MSG_NOSIGNAL);
    }
    _exit(0);
}

/* A walk over the blocks of a server that never comes to an end, or answers nonsense, is ended with its reason. */
static void walks_end(void) {
    static const struct {
        const char *text[2], *says;
    } servers[] = {
        {{"*2\r\n$1\r\n7\r\n*0\r\n", "*2\r\n$1\r\n7\r\n*0\r\n"}, "does not end"},
        {{"*2\r\n$1\r\n7\r\n*0\r\n", "*2\r\n$1\r\n8\r\n*0\r\n"}, "does not end"},
        {{"*2\r\n$5\r\n12x45\r\n*0\r\n", ""}, "SCAN"},
        {{"*2\r\n$30\r\n999999999999999999999999999999\r\n*0\r\n", ""}, "SCAN"},
        {{"*3\r\n$-1\r\n:5\r\n*0\r\n", ""}, "SCAN"},
        {{"*1000000000\r\n", ""}, "memory"},
        {{"-NOAUTH Authentication required.\r\n", ""}, "REDISCLI_AUTH"},
        {{"-ERR \x1b[31m\r\n", ""}, "ERR ?[31m"},
    };
    for (size_t i = 0; i < sizeof servers / sizeof *servers; i++) {
        int listener, port = free_port(&listener);
        CU_ASSERT_EQUAL_FATAL(listen(listener, 8), 0);
        fflush(NULL);
        pid_t server = fork();
        if (server == 0) {
            serve_texts(listener, servers[i].text);
        }
        close(listener);
        ba_store_spec spec;
        ba_tier *t;
        ba_tier_stats stats;
        char text[64], err[BA_ERR_LEN] = "";
        snprintf(text, sizeof text, "redis:127.0.0.1:%d", port);
        shelf_spec(text, "", &spec);
        shelf_remarks = 0;
        CU_ASSERT_EQUAL_FATAL(spec.tier[0].ops->open(&spec.tier[0], shelf_remember, false, &t, err), 0);
        CU_ASSERT_EQUAL(t->ops->stats(t, &stats, err), -1);
        if (!strstr(err, servers[i].says)) {
            printf("         %zu: %s\n", i, err);
        }
        CU_ASSERT_PTR_NOT_NULL(strstr(err, servers[i].says));
        CU_ASSERT_EQUAL(shelf_remarks, 0); /* the caller prints err */
        t->ops->close(t);
        ba_store_spec_free(&spec);
        kill(server, SIGKILL);
        waitpid(server, NULL, 0);
    }
}

/* ---- the real one ---------------------------------------------------------------------------------------------- */

typedef struct server {
    pid_t pid;
    int port;
} server;

static bool answers(int port) {
    struct sockaddr_in at = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    bool yes = connect(fd, (struct sockaddr *)&at, sizeof at) == 0;
    close(fd);
    return yes;
}

/* password: NULL is none. false: there is no server on this machine. */
static bool start_server(server *s, const char *max_memory, const char *password) {
    int listener;
    char port[16];
    s->port = free_port(&listener);
    close(listener);
    snprintf(port, sizeof port, "%d", s->port);
    fflush(NULL);
    s->pid = fork();
    if (s->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (!freopen("/dev/null", "w", stdout) || chdir(ba_test_dir()) != 0) {
            _exit(127);
        }
        execlp("redis-server", "redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--maxmemory",
               max_memory, password ? "--requirepass" : (char *)NULL, password, (char *)NULL);
        _exit(127);
    }
    for (int i = 0; i < 500; i++) {
        int status;
        if (waitpid(s->pid, &status, WNOHANG) == s->pid) {
            return false;
        }
        if (answers(s->port)) {
            return true;
        }
        usleep(20000);
    }
    return false;
}

static void stop_server(const server *s) {
    kill(s->pid, SIGKILL);
    waitpid(s->pid, NULL, 0);
}

static void a_real_server_shares_blocks(void) {
    server s;
    if (!start_server(&s, "0", NULL)) {
        ba_test_skip("redis-server is not installed");
        return;
    }
    char alone[64], both[128];
    snprintf(alone, sizeof alone, "ram:1M,redis:127.0.0.1:%d", s.port);
    snprintf(both, sizeof both, "ram:1M,lmdb:%%s:16M,redis:127.0.0.1:%d", s.port);
    shelf r = shelf_open("ref", alone, "");
    for (int b = 0; b < 20; b++) {
        shelf_add(&r, b);
    }
    shelf_close(&r);
    r = shelf_open("ref", both, "beside-redis");
    ba_finding found = shelf_look(&r, 3);
    CU_ASSERT(found.place == 2 && found.by_place[1] == BA_MISS_NEW && found.load_bytes == shelf_bytes(&r));
    CU_ASSERT_EQUAL(shelf_look(&r, 3).place, 0); /* came into memory */
    ba_origin model = shelf_origin;
    model.model = "model-b";
    CU_ASSERT_PTR_NULL(shelf_find(&r, &model, 3, 3, &found));
    CU_ASSERT_EQUAL(found.by_place[2], BA_MISS_MODEL);
    CU_ASSERT_PTR_NULL(shelf_find(&r, &shelf_origin, 3, 4, &found));
    CU_ASSERT_EQUAL(found.by_place[2], BA_MISS_CONTEXT);
    CU_ASSERT_EQUAL(shelf_look(&r, 99).why, BA_MISS_NEW);
    CU_ASSERT_EQUAL(shelf_remarks, 0);
    shelf_close(&r);
    r = shelf_open("ref", both, "beside-redis");
    CU_ASSERT_EQUAL(shelf_look(&r, 3).place, 1); /* and to the disk */
    CU_ASSERT_EQUAL(shelf_look(&r, 4).place, 2);
    stop_server(&s);
    CU_ASSERT_EQUAL(shelf_look(&r, 5).by_place[2], BA_MISS_AWAY);
    CU_ASSERT_EQUAL(shelf_look(&r, 4).place, 0);
    CU_ASSERT(shelf_remarks >= 1 && shelf_remarks <= 2);
    shelf_close(&r);
}

static void a_full_server_is_no_harm(void) {
    server s;
    if (!start_server(&s, "1000000", NULL)) {
        ba_test_skip("redis-server is not installed");
        return;
    }
    char tiers[64];
    snprintf(tiers, sizeof tiers, "ram:8M,redis:127.0.0.1:%d", s.port);
    shelf r = shelf_open("ref", tiers, "");
    for (int b = 0; b < 60; b++) {
        shelf_add(&r, b);
        ba_store_flush(r.store);
        CU_ASSERT_EQUAL(shelf_look(&r, b).place, 0);
    }
    CU_ASSERT(shelf_remarks >= 1 && strstr(shelf_remark, "OOM"));
    shelf_close(&r);
    stop_server(&s);
}

static void a_password_is_shown(void) {
    server s;
    if (!start_server(&s, "0", "se@cr,et:1")) {
        ba_test_skip("redis-server is not installed");
        return;
    }
    static const struct {
        const char *login;
        bool right;
    } logins[] = {
        {"default:se%40cr%2cet:1@", true}, {":se%40cr%2Cet%3a1@", true}, {"default:wrong@", false}, {"", false}};
    for (size_t i = 0; i < sizeof logins / sizeof *logins; i++) {
        char tiers[128];
        snprintf(tiers, sizeof tiers, "ram:1M,redis://%s127.0.0.1:%d", logins[i].login, s.port);
        shelf r = shelf_open("ref", tiers, "");
        ba_finding found = shelf_look(&r, 1);
        CU_ASSERT_EQUAL(found.by_place[1], !logins[i].right ? BA_MISS_AWAY : i ? BA_HIT : BA_MISS_NEW);
        if (found.why != BA_HIT) {
            shelf_add(&r, 1);
        }
        ba_store_flush(r.store);
        CU_ASSERT_EQUAL(shelf_remarks, !logins[i].right);
        CU_ASSERT(logins[i].right || (strstr(shelf_remark, "REDISCLI_AUTH") && !strstr(shelf_remark, "wrong@")));
        shelf_close(&r);
    }
    stop_server(&s);
}

int ba_suite_redis(void) {
    CU_pSuite s = CU_add_suite("redis", NULL, NULL);
    return s && CU_add_test(s, "servers may misbehave", servers_may_misbehave) &&
                   CU_add_test(s, "servers may be gone", servers_may_be_gone) &&
                   CU_add_test(s, "a real server shares blocks", a_real_server_shares_blocks) &&
                   CU_add_test(s, "walks over a server end", walks_end) &&
                   CU_add_test(s, "a password is shown, and a wrong one said once", a_password_is_shown) &&
                   CU_add_test(s, "a full server is no harm", a_full_server_is_no_harm)
               ? 0
               : -1;
}

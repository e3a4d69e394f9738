#include "process.h"

#include "experiments/measure/protocol.h"
#include "kernels/base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* In the child: never returns. */
static void become(char *const *argv, const char *setting, int in, int out, int errors) {
    setpgid(0, 0); /* Ctrl-C goes to the parent only */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (setting) {
        putenv((char *)setting);
    }
    if (dup2(in, STDIN_FILENO) >= 0 && dup2(out, STDOUT_FILENO) >= 0 && dup2(errors, STDERR_FILENO) >= 0) {
        execvp(argv[0], argv);
    }
    _exit(127);
}

int ba_process_start(char *const *argv, const char *setting, const char *log, ba_process *out, char err[BA_ERR_LEN]) {
    int to[2] = {-1, -1}, from[2] = {-1, -1}, errors = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    *out = (ba_process){0};
    bool ready = errors >= 0 && pipe2(to, O_CLOEXEC) == 0 && pipe2(from, O_CLOEXEC) == 0;
    pid_t pid = ready ? fork() : -1;
    if (pid == 0) {
        become(argv, setting, to[0], from[1], errors);
    }
    int why = errno;
    const int done[] = {to[0], from[1], errors};
    for (size_t i = 0; i < 3; i++) {
        if (done[i] >= 0) {
            close(done[i]);
        }
    }
    *out = (ba_process){pid > 0 ? pid : 0, to[1] >= 0 ? fdopen(to[1], "w") : NULL,
                        from[0] >= 0 ? fdopen(from[0], "r") : NULL};
    if (pid <= 0 || !out->to || !out->from) {
        ba_process_end(out);
        return ba_fail(err, "%s: cannot be started: %s", argv[0], strerror(why));
    }
    signal(SIGPIPE, SIG_IGN); /* a program that ended is noticed by its missing answer */
    return 0;
}

int ba_process_ask(ba_process *p, const char *question, char *answer, size_t size) {
    if (!p->pid) {
        return -1;
    }
    kill(p->pid, SIGCONT);
    bool sent = !question || (fprintf(p->to, "%s\n", question) > 0 && fflush(p->to) == 0);
    bool got = sent && fgets(answer, (int)size, p->from);
    kill(p->pid, SIGSTOP);
    if (!got) {
        return -1;
    }
    answer[strcspn(answer, "\n")] = '\0';
    return 0;
}

void ba_process_end(ba_process *p) {
    if (p->to) {
        fclose(p->to);
    }
    if (p->from) {
        fclose(p->from);
    }
    if (p->pid) {
        kill(p->pid, SIGKILL);
        waitpid(p->pid, NULL, 0);
    }
    *p = (ba_process){0};
}

int ba_process_time(char *const *argv, double *seconds) {
    int status = -1, null = open("/dev/null", O_RDWR | O_CLOEXEC);
    double start = ba_now();
    pid_t pid = null >= 0 ? fork() : -1;
    if (pid == 0) {
        become(argv, NULL, null, null, null);
    }
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    *seconds = ba_now() - start;
    if (null >= 0) {
        close(null);
    }
    return pid > 0 && status == 0 ? 0 : -1;
}

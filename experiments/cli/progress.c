/* What a person at a terminal sees and presses: the progress bar, and Ctrl-C. */
#include "cli.h"
#include "experiments/measure/protocol.h"
#include "kernels/base/clock.h"

#include <signal.h>
#include <unistd.h>

/* A signal handler can reach nothing but a global. */
static volatile sig_atomic_t interrupted;

enum { PATIENCE = 5 };

/* SA_RESTART only after the first one: that must end a wait for input, but the next ones must not cut off a write. */
static void listen_for(void (*handler)(int), int flags) {
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
}

/* An impatient second Ctrl-C must not lose what is being kept because of the first one; the fifth ends at once. */
static void on_interrupt(int signal_number) {
    (void)signal_number;
    interrupted++;
    listen_for(interrupted < PATIENCE - 1 ? on_interrupt : SIG_DFL, SA_RESTART);
}

void ba_catch_interrupt(void) {
    listen_for(on_interrupt, 0);
}

bool ba_interrupted(void) {
    return interrupted != 0;
}

void ba_progress_start(ba_progress *p, const char *label, bool quiet) {
    double t = ba_now();
    *p = (ba_progress){.label = label, .start = t, .last = t, .on = !quiet, .terminal = isatty(STDERR_FILENO)};
}

static void draw_bar(const ba_progress *p, double fraction, const char *left) {
    enum { WIDTH = 30 };
    char bar[WIDTH + 1] = {0};
    for (int i = 0; i < WIDTH; i++) {
        bar[i] = i < (int)(fraction * WIDTH) ? '#' : '.';
    }
    fprintf(stderr, "\r\033[K%s [%s] %3.0f%%%s%s", p->label, bar, 100 * fraction, *left ? ", left: " : "", left);
    fflush(stderr);
}

void ba_progress_update(ba_progress *p, double fraction) {
    double t = ba_now(), passed = t - p->start;
    if (!p->on || (p->terminal ? passed < 2 || t - p->last < 0.1 : t - p->last < 10)) {
        return;
    }
    p->last = t;
    fraction = fraction < 0 ? 0 : fraction > 1 ? 1 : fraction;
    char left[32] = "";
    if (fraction > 0) {
        ba_print_seconds(left, sizeof left, passed * (1 - fraction) / fraction);
    }
    if (p->terminal) {
        draw_bar(p, fraction, left);
        p->shown = true;
    } else {
        fprintf(stderr, "%s: %.0f%% after %.0f s%s%s\n", p->label, 100 * fraction, passed, *left ? ", left: " : "",
                left);
    }
}

void ba_progress_part(ba_progress *p, double from, double to, size_t runs) {
    p->from = from;
    p->to = to;
    p->runs = runs;
    p->run = 0;
    p->within = 0;
    p->done = 0;
    ba_progress_update(p, from);
}

int ba_progress_run(void *bar, ba_stage stage, uint64_t done, uint64_t total) {
    ba_progress *p = bar;
    double within = total ? (double)done / (double)total : 0;
    (void)stage;
    if (done < p->done) { /* another run has begun; tokens that are appended to one go on with its count */
        p->run += p->run + 1 < p->runs;
        p->within = 0;
    }
    p->done = done;
    p->within = within > p->within ? within : p->within;
    ba_progress_update(p, p->from + (p->to - p->from) * ((double)p->run + p->within) / (double)p->runs);
    return ba_interrupted();
}

void ba_progress_end(ba_progress *p) {
    if (p->shown) {
        fputs("\r\033[K", stderr);
    }
    p->on = p->shown = false;
}

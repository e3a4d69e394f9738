/* What has to happen before the libraries are initialised.
 *
 * OpenBLAS starts a thread for every processor as it is loaded, and ends the program with three lines and SIGINT if it
 * may not (`ulimit -u`): before main, so that main cannot say what is wrong. The program never uses these threads (its
 * own threads call OpenBLAS, kernels/cpu/openblas.c). OpenBLAS counts the processors that the process may run on, so for
 * the time in which libraries are initialised it is one. Neither setenv here nor an option at link time does: libc takes
 * its environment afterwards, and which build of OpenBLAS is loaded is the system's choice. */
#include <sched.h>
#include <stdbool.h>

/* Written before main, by the two functions below, and never after it. */
static struct {
    cpu_set_t allowed;
    bool narrowed;
} processors;

/* Functions of this section run before all initialisers of libraries. */
static void narrow(int argc, char **argv, char **envp) {
    (void)argc, (void)argv, (void)envp;
    if (sched_getaffinity(0, sizeof processors.allowed, &processors.allowed)) {
        return;
    }
    cpu_set_t one;
    CPU_ZERO(&one);
    for (int i = 0; i < CPU_SETSIZE; i++) {
        if (CPU_ISSET(i, &processors.allowed)) {
            CPU_SET(i, &one);
            break;
        }
    }
    processors.narrowed = sched_setaffinity(0, sizeof one, &one) == 0;
}

__attribute__((section(".preinit_array"), used)) static void (*const before_libraries)(int, char **, char **) = narrow;

/* Initialisers of the program itself run after those of the libraries. */
__attribute__((constructor)) static void widen(void) {
    if (processors.narrowed) {
        sched_setaffinity(0, sizeof processors.allowed, &processors.allowed);
    }
}

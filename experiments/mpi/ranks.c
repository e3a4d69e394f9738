#include "ranks.h"

#include "ranks_module.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct ba_ranks {
    void *module;
    const ba_ranks_ops *ops;
};

static size_t number_of(const char *name) {
    const char *text = getenv(name);
    return text ? strtoul(text, NULL, 10) : 0;
}

bool ba_ranks_started(void) {
    return number_of("OMPI_COMM_WORLD_SIZE") > 1 || number_of("PMI_SIZE") > 1;
}

/* Beside the program, or in PREFIX/lib of PREFIX/bin/blockattn. NULL: neither is there, or it cannot be loaded (err). */
static void *load(char err[BA_ERR_LEN]) {
    static const char *const places[] = {"blockattn-mpi.so", "../lib/blockattn-mpi.so"};
    char program[4096], path[4200];
    ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
    program[n > 0 ? n : 0] = '\0';
    char *slash = strrchr(program, '/');
    if (slash) {
        slash[1] = '\0';
    }
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        snprintf(path, sizeof path, "%s%s", program, places[i]);
        if (access(path, F_OK) != 0) {
            continue;
        }
        void *module = dlopen(path, RTLD_NOW | RTLD_GLOBAL); /* global: Open MPI's own plugins look for its symbols */
        if (!module) {
            ba_fail(err, "%.300s", dlerror());
        }
        return module;
    }
    ba_fail(err,
            "started by mpirun, but there is no blockattn-mpi.so beside the program: install libopenmpi-dev and run "
            "'make', or give each process its part by --shard I/N");
    return NULL;
}

int ba_ranks_open(ba_ranks **out, size_t *rank, size_t *size, char err[BA_ERR_LEN]) {
    ba_ranks *r = calloc(1, sizeof *r);
    if (!r) {
        return ba_fail(err, "out of memory");
    }
    if (!(r->module = load(err))) {
        free(r);
        return -1;
    }
    r->ops = dlsym(r->module, BA_RANKS_SYMBOL);
    if (!r->ops || r->ops->version != BA_RANKS_VERSION) {
        free(r);
        return ba_fail(err, "blockattn-mpi.so is of another version of the program: run 'make'");
    }
    if (r->ops->join(rank, size, err)) {
        free(r);
        return -1;
    }
    *out = r;
    return 0;
}

int ba_ranks_take(ba_ranks *r, uint64_t *ticket, char err[BA_ERR_LEN]) {
    return r->ops->take(ticket, err);
}

void ba_ranks_close(ba_ranks *r) {
    if (r) {
        r->ops->leave(); /* the module stays loaded: MPI's own threads may still be in it */
        free(r);
    }
}

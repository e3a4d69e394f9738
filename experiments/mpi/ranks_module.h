/* What the module blockattn-mpi.so offers, as the symbol `ba_ranks_module`. Functions return 0, or -1 and a text in err
 * [512]. */
#ifndef BA_RANKS_MODULE_H
#define BA_RANKS_MODULE_H

#include <stddef.h>
#include <stdint.h>

#define BA_RANKS_SYMBOL "ba_ranks_module"

typedef struct ba_ranks_ops {
    uint32_t version; /* BA_RANKS_VERSION */
    int (*join)(size_t *rank, size_t *size, char *err);
    int (*take)(uint64_t *ticket, char *err);
    void (*leave)(void);
} ba_ranks_ops;

enum { BA_RANKS_VERSION = 1 };

#endif

/* The ranks of an MPI job (`mpirun -n 8 blockattn ..`), which take tickets 0, 1, 2 .. from one counter. MPI is reached
 * through a module, blockattn-mpi.so, that is loaded only in such a job, so that nobody else needs MPI. */
#ifndef BA_RANKS_H
#define BA_RANKS_H

#include "kernels/base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct ba_ranks ba_ranks;

/* Whether mpirun started this process as one of several ranks, by its environment. */
bool ba_ranks_started(void);

/* Joins the job. 0, or -1 and err. */
int ba_ranks_open(ba_ranks **out, size_t *rank, size_t *size, char err[BA_ERR_LEN]);
/* The next number that no other rank has taken. 0, or -1 and err. */
int ba_ranks_take(ba_ranks *r, uint64_t *ticket, char err[BA_ERR_LEN]);
/* Leaves the job: rank 0, which keeps the counter, stays until no other rank is left. NULL is allowed. */
void ba_ranks_close(ba_ranks *r);

#endif

/* A plan as people read it: what `plan` and `modes NAME` share. */
#ifndef BA_PLAN_PAGE_H
#define BA_PLAN_PAGE_H

#include "sim/plan/plan.h"

/* Each node, and what it sees from where. 0, or an exit status with its line printed: out of memory. */
int ba_plan_print_nodes(const ba_plan *plan);

/* The mask: a row of 0 and 1 for each token. 0, or an exit status with its line printed: it has too many rows. */
int ba_plan_print_mask(const ba_plan *plan);

#endif

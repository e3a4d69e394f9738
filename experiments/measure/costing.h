/* The cost of a plan, cold and warm, for elements of some size or on an engine. */
#ifndef BA_COSTING_H
#define BA_COSTING_H

#include "sim/engine/engine.h"
#include "sim/plan/cost.h"
#include "sim/prompt/prompt.h"

#include <stdio.h>

/* Bytes per element of --dtype f64, f32 or bf16; `automatic` for auto. 0, or -1 and err. */
int ba_sizes_of(const char *dtype, size_t automatic, ba_sizes *out, char err[BA_ERR_LEN]);

/* Cost up to the first token: cold (the store is empty), or warm (every node that can be stored is). 0, or -1 and err. */
int ba_cost_up_to_first(const ba_shape *shape, const ba_plan *plan, ba_sizes sizes, bool warm, size_t max_rows,
                        ba_cost *out, char err[BA_ERR_LEN]);

/* The same for a run on an engine, with what was chosen in it; chosen NULL: as estimated. */
int ba_cost_of_run(ba_engine *e, const ba_plan *plan, bool warm, const ba_chosen *chosen, ba_cost *out,
                   char err[BA_ERR_LEN]);

/* The schedule of a plan with an empty store, or (warm) with every node that can be stored. NULL: out of memory. */
ba_schedule *ba_schedule_of(const ba_plan *plan, bool warm, size_t max_rows);

/* What a later prompt must share with this one to find its KV in the store: "none" (nothing is stored), "passage" (any prompt with
 * one of the passages, in any order), or "same set" (the same passages in the same order: some stored node holds or sees
 * two or more). NULL: out of memory. */
#define BA_REUSE_NONE    "none"
#define BA_REUSE_PASSAGE "passage"
#define BA_REUSE_SET     "same set"
const char *ba_reuse_of(const ba_prompt *prompt, const ba_plan *plan);

/* The fields of a cost by name, in order; NULL past the last. */
typedef struct ba_cost_field {
    const char *name, *label;
    uint64_t value;
} ba_cost_field;
enum { BA_COST_FIELDS = 9 };
void ba_cost_fields(const ba_cost *cost, ba_cost_field field[BA_COST_FIELDS]);

#endif

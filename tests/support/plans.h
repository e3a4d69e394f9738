/* Prompts in shorthand, random plans, and which keys a row sees, key by key from the definitions in plan.h: the tests
 * of plans, modes and cost compare the closed forms with it. */
#ifndef BA_PLANS_H
#define BA_PLANS_H

#include "sim/plan/plan.h"
#include "sim/prompt/prompt.h"

/* "s2 p3 p4=a q2 t1": segments by role (system, passage, demonstration, link, question, task) and length. Segments with
 * the same label have the same tokens, all others differ in every token. BOS is 1, line feed 2, other ids from 100. */
ba_prompt *ba_prompt_of(const char *text);

/* A well-formed plan of up to 2 + seed / 8 nodes, with ranges, steps, repeated nodes, refreshed rows and a choice of every kind: all
 * that a plan can have, except paths. Small seeds make small plans, so the first seed that fails is a small case. */
ba_plan *ba_random_plan(uint64_t seed);

/* The content address of one node (ba_plan_keys). */
ba_key ba_key_of(const ba_plan *plan, size_t node);

/* Whether row `row` of the node that segment `from` of the viewer shows (n_edge: the viewer itself) sees key `key` of
 * the node that segment `to` shows. window 0: none. */
bool ba_sees(const ba_plan *plan, size_t viewer, size_t from, size_t row, size_t to, size_t key, size_t window);

#endif

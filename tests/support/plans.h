/* Prompts in short hand, random plans, and what a row sees by the words of plan.h, key by key: what the tests of plans,
 * modes and cost check the closed forms against. */
#ifndef BA_PLANS_H
#define BA_PLANS_H

#include "sim/plan/plan.h"
#include "sim/prompt/prompt.h"

/* "s2 p3 p4=a q2 t1": segments by role (system, passage, demonstration, link, question, task) and length. Segments
 * with one label have one content, all others differ in every token. BOS is 1, line feed 2; tokens count from 100. */
ba_prompt *ba_prompt_of(const char *text);

/* A well-formed plan of up to 2 + seed / 8 nodes: ranges, steps, repeated nodes, refreshed rows, a choice, everything
 * that a plan can say but paths. Small seeds make small plans, so the first seed that fails is a small case. */
ba_plan *ba_random_plan(uint64_t seed);

/* Row `row` of the node behind segment `from` of the viewer (n_edge: the viewer itself) sees key `key` of the node
 * behind segment `to`. window 0: none. */
bool ba_sees(const ba_plan *plan, size_t viewer, size_t from, size_t row, size_t to, size_t key, size_t window);

#endif

/* A small plan as a drawing: for people who want to see what a mode does. */
#ifndef BA_DRAWING_H
#define BA_DRAWING_H

#include "sim/plan/plan.h"
#include "sim/prompt/prompt.h"

/* For each node that sees others: which keys are at which place before its own tokens, a line an edge. Then the mask: a row
 * a token, in groups by node. For plans of a few dozen tokens; places beyond 60 are left out. */
void ba_plan_draw(const ba_plan *plan, const ba_prompt *prompt);

#endif

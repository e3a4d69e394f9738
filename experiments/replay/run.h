/* A replayed request, really run: in the mode with the store as the accounts say it is, with prefix caching, in full.
 */
#ifndef BA_REPLAY_RUN_H
#define BA_REPLAY_RUN_H

#include "replay.h"
#include "sim/engine/engine.h"

/* Fills the measured times of a row made by ba_replay_next, which gave plan and have. The three are run in an order of
 * chance (*rng); what has to be in the store is put there before, not timed. Clears the store. 0, -1 and err, or
 * BA_INTERRUPTED. */
int ba_replay_run(ba_engine *e, ba_store *store, const ba_prompt *prompt, const ba_plan *plan, const uint8_t *have,
                  const ba_engine_options *opt, uint64_t *rng, ba_replay_row *row, char err[BA_ERR_LEN]);

#endif

/* Runs a replayed request on the model: in the mode with the store in the accounted state, with prefix caching, and in
 * full attention. */
#ifndef BA_REPLAY_RUN_H
#define BA_REPLAY_RUN_H

#include "replay.h"
#include "sim/engine/engine.h"

/* Fills the measured times of a row made by ba_replay_next, which gave plan and have. The three are run in an order of
 * random order (*rng); filling the store beforehand is not timed. Clears the store. 0, -1 and err, or
 * BA_INTERRUPTED. */
int ba_replay_run(ba_engine *e, ba_store *store, const ba_prompt *prompt, const ba_plan *plan, const uint8_t *have,
                  const ba_engine_options *opt, uint64_t *rng, ba_replay_row *row, char err[BA_ERR_LEN]);

#endif

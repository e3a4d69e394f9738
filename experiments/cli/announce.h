/* What a long measurement is about to do, said before it starts. */
#ifndef BA_ANNOUNCE_H
#define BA_ANNOUNCE_H

#include "cli.h"

/* One line on stderr, unless --quiet: only if there are more than 50 cases, or if they take more than two minutes. what:
 * "cases"; seconds NaN: nobody knows; kept: Ctrl-C loses nothing. */
void ba_announce(size_t n, const char *what, double seconds, bool kept, bool quiet);

/* The same for n cases of `flops` operations together, with the time that they take at two thirds of the processor's
 * measured peak, which prefill in fp32 reaches. On a GPU the time is not known. */
void ba_announce_work(const ba_session *b, const ba_common *c, size_t n, const char *what, double flops, bool kept);

/* Operations up to the first token of a prompt in a mode, with nothing stored, by the cost model. 0 if the mode cannot plan
 * the prompt. */
double ba_prompt_flops(const ba_session *b, const ba_prompt *prompt, const char *mode);

#endif

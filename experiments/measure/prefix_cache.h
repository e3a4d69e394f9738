/* Prefix caching: what servers do that keep the KV of earlier requests by their beginning. The tokens that a request
 * and an earlier one begin with are taken over, everything behind them is computed. */
#ifndef BA_PREFIX_H
#define BA_PREFIX_H

#include "sim/plan/plan.h"
#include "sim/prompt/prompt.h"

/* Tokens that both sequences begin with. */
size_t ba_common_prefix(const int32_t *a, size_t n_a, const int32_t *b, size_t n_b);

/* All tokens of a prompt in one piece, malloc'ed; NULL: out of memory. */
int32_t *ba_prompt_ids(const ba_prompt *prompt, size_t *n);

/* Full attention over ids [n], of which the first `common` (< n) are a node for the store. NULL: out of memory. */
ba_plan *ba_prefix_plan(const int32_t *ids, size_t n, size_t common);

/* All requests so far by their beginnings, in steps of 16 tokens, as vLLM's automatic prefix caching keeps them: a hash
 * of 16 tokens and of the hash before them. Nothing is ever thrown out. */
typedef struct ba_prefixes ba_prefixes;
ba_prefixes *ba_prefixes_new(void);
void ba_prefixes_free(ba_prefixes *p);
/* Tokens at the beginning of ids [n] that are there, fewer than n; the request's own are added. SIZE_MAX: out of
 * memory.
 */
size_t ba_prefixes_take(ba_prefixes *p, const int32_t *ids, size_t n);

#endif

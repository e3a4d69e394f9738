/* Prefix caching, the baseline of servers: the longest beginning that a request shares with an earlier one is taken from
 * the cache, and all following tokens are computed. */
#ifndef BA_PREFIX_H
#define BA_PREFIX_H

#include "sim/plan/plan.h"
#include "sim/prompt/prompt.h"

/* Length of the common prefix, tokens. */
size_t ba_common_prefix(const int32_t *a, size_t n_a, const int32_t *b, size_t n_b);

/* All token ids of a prompt as one array, malloc'ed; NULL: out of memory. */
int32_t *ba_prompt_ids(const ba_prompt *prompt, size_t *n);

/* Plan of full attention over ids [n] whose first `common` (< n) ids are a node that the store may hold. NULL: out of memory. */
ba_plan *ba_prefix_plan(const int32_t *ids, size_t n, size_t common);

/* The prefixes of all requests so far, in steps of 16 tokens, as in vLLM's automatic prefix caching: each hash covers 16
 * tokens and the hash of the step before. Nothing is evicted. */
typedef struct ba_prefixes ba_prefixes;
ba_prefixes *ba_prefixes_new(void);
void ba_prefixes_free(ba_prefixes *p);
/* Number of leading ids of [n] that are cached, less than n; then adds the request's own prefixes. SIZE_MAX: out of memory. */
size_t ba_prefixes_take(ba_prefixes *p, const int32_t *ids, size_t n);

#endif

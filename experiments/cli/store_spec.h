/* The option --store: "ram:2G,lmdb:PATH:100G,redis:HOST:PORT". Tiers in the order they are asked; behind each, ":lru",
 * ":lfu" or ":cost" for what goes first, and ":q8" for KV in 8 bits. */
#ifndef BA_STORE_SPEC_H
#define BA_STORE_SPEC_H

#include "sim/store/tier.h"

/* NULL: memory alone, half of the machine's. 0, or -1 and err: the tier, what is wrong with it, and what there is.
 * Freed also after an error. */
int ba_store_spec_parse(const char *text, ba_store_spec *out, char err[BA_ERR_LEN]);
void ba_store_spec_free(ba_store_spec *spec);

#endif

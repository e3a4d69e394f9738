/* The options --store ("ram:2G,lmdb:PATH:100G,redis://[USER]:PASSWORD@HOST:PORT") and --store-key. Tiers in the order in
 * which they are asked; each may end with ":lru", ":lfu" or ":cost" (what is evicted first) and ":q8" (KV in 8 bits). */
#ifndef BA_STORE_SPEC_H
#define BA_STORE_SPEC_H

#include "sim/store/tier.h"

/* text: NULL is memory alone, half of the machine's. key_file: NULL is plain checksums. 0, or -1 and err: the tier, what
 * is wrong with it, and what there is; a password is never in it. Freed also after an error. */
int ba_store_spec_parse(const char *text, const char *key_file, ba_store_spec *out, char err[BA_ERR_LEN]);
void ba_store_spec_free(ba_store_spec *spec);

/* Replaces user and password of every Redis server in a text by "***", in place, for messages and records. */
void ba_store_spec_mask(char *text);

#endif

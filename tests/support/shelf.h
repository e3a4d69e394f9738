/* Blocks with known contents, and a store on tiers to put them in: what the tests of tiers share. */
#ifndef BA_SHELF_H
#define BA_SHELF_H

#include "experiments/cli/store_spec.h"
#include "sim/store/store.h"

#include <stdatomic.h>

enum { SHELF_LAYERS = 2, SHELF_HEADS = 2, SHELF_DIM = 16, SHELF_TOKENS = 24 };

extern const ba_origin shelf_origin;

/* A store on tiers as --store spells them, as one process has it. */
typedef struct shelf {
    ba_backend *be;
    ba_store_spec spec;
    ba_store *store;
} shelf;

/* Lines that the store said since the last shelf_open, and the last of them. */
extern atomic_int shelf_remarks;
extern char shelf_remark[BA_ERR_LEN];
void shelf_remember(const char *line);

/* "%s" in tiers becomes a folder in the tests' own. */
void shelf_spec(const char *tiers, const char *folder, ba_store_spec *out);
shelf shelf_open(const char *backend, const char *tiers, const char *folder);
/* On a backend that the shelf closes. */
shelf shelf_open_on(ba_backend *be, const char *tiers, const char *folder);
void shelf_close(shelf *r);

/* Element i of a layer's K or V, [SHELF_TOKENS, SHELF_HEADS * SHELF_DIM], in block b. */
double shelf_value(int b, size_t layer, size_t i, bool key);
/* Puts block b into the store: tokens and KV that only it has. */
void shelf_add(shelf *r, int b);
/* Its entry under another origin or key, or NULL. */
ba_entry *shelf_find(shelf *r, const ba_origin *from, int b, uint64_t key, ba_finding *found);
/* Looks block b up, and asserts that what is found is what was added. */
ba_finding shelf_look(shelf *r, int b);
/* Of blocks 1 to 3, which a tier in second place has room for: asserts that it evicts the one that was used least lately. */
void shelf_evicts_the_oldest(shelf *r);
/* Bytes of a stored block. */
size_t shelf_bytes(const shelf *r);

/* Runs `body` in a process of its own, which is killed so many microseconds after it called shelf_ready unless they are
 * 0. Its exit status, 0 if no assertion failed in it; -1 if it was killed. */
void shelf_ready(void);
int shelf_in_child(void (*body)(void), unsigned kill_after);

#endif

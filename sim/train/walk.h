/* Forward and backward through the layers for the rows of a pack. Knows no mode and no schedule. */
#ifndef BA_TRAIN_WALK_H
#define BA_TRAIN_WALK_H

#include "pack.h"

typedef struct ba_train_walk ba_train_walk; /* work space; grows with the largest pack */

/* memory: bytes that activations may take. What fits is kept from forward to backward; if not all layers do, only their
 * inputs are, and each layer is computed again on the way back. */
ba_train_walk *ba_train_walk_new(ba_train_net *net, uint64_t memory);
void ba_train_walk_free(ba_train_walk *w);

/* Fills nll and kl of the pack's items and, if `backward`, adds to the gradients of
 *   sum of nll of all items + kl_weight * sum of kl of those that have a teacher.
 * Teachers are in the same pack and get no gradient from the second term. step: called between layers, non-zero stops
 * (then gradients are incomplete); may be NULL. 0; BA_INTERRUPTED (engine.h); -1 and err: out of memory. */
int ba_train_walk_run(ba_train_walk *w, ba_pack *pack, bool backward, double kl_weight, int (*step)(void *arg),
                      void *arg, char err[BA_ERR_LEN]);

#endif

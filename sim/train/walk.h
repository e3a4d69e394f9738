/* Forward and backward through the layers for the rows of a pack.
 *
 *   walk.c      one walk
 *   loss.c      cross-entropy and KL
 *   backward.c  a layer backward
 *   forward.c   a layer forward
 *   embed.c     embeddings, both ways
 *   space.c     buffers */
#ifndef BA_TRAIN_WALK_H
#define BA_TRAIN_WALK_H

#include "pack.h"

typedef struct ba_train_walk ba_train_walk; /* work space of walks; grows with the largest pack */

/* memory: bytes that activations may take. If those of all layers fit, they are kept from forward to backward; else
 * only the layers' inputs are kept, and each layer is computed again on the way back. net is borrowed. NULL: out of
 * memory. */
ba_train_walk *ba_train_walk_new(ba_train_net *net, uint64_t memory);
void ba_train_walk_free(ba_train_walk *w);

/* Fills nll and kl of the pack's items. backward: also adds the gradients of
 *   sum of nll of all items + kl_weight * sum of kl of the items that have a teacher.
 * Teachers are in the same pack and get no gradient from the second term. step: called between layers; non-zero stops,
 * and then gradients are incomplete; may be NULL. 0; BA_INTERRUPTED; -1 and err: out of memory;
 * BA_WALK_NOT_FINITE and err, which names a logit: a loss is not finite. */
enum { BA_WALK_NOT_FINITE = -4 };
int ba_train_walk_run(ba_train_walk *w, ba_pack *pack, bool backward, double kl_weight, int (*step)(void *arg),
                      void *arg, char err[BA_ERR_LEN]);

#endif

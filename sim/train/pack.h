/* Plans with their answers, side by side: the rows that go through the layers together in training, what they see, and
 * what they are to predict. The plan is the training mask: a node's rows see the node itself causally, and through each
 * edge a run of rows of the seen node, at the edge's place. The answer continues the last node. */
#ifndef BA_TRAIN_PACK_H
#define BA_TRAIN_PACK_H

#include "params.h"
#include "sim/plan/plan.h"

#define BA_NO_TEACHER SIZE_MAX

/* One plan with its answer. */
typedef struct ba_pack_item {
    size_t row0, rows; /* in the pack */
    size_t target0, n; /* targets [target0, target0 + n), one per token of the answer */
    size_t teacher;    /* item of the pack whose distributions this one also learns to match, or BA_NO_TEACHER */
    double nll, kl;    /* out, nats: sums over the answer's tokens */
} ba_pack_item;

typedef struct ba_pack {
    size_t rows;
    int32_t *ids;      /* [rows]; vocab + i is link token i */
    double *key_place; /* [rows] place of each row in its own node, in positions: angle of its key's rotation */
    double *place;     /* [n_place] places of viewers in the frames of what they see; these are rotations rows, .. */
    size_t n_place;
    size_t *target_row; /* [n_target] row that predicts */
    int32_t *target;    /* [n_target] the token it is to predict */
    size_t n_target;
    ba_pack_item *item;
    size_t n_item;
    struct ba_pack_parts *parts; /* arrays under construction */
} ba_pack;

/* NULL: out of memory. */
ba_pack *ba_pack_new(void);
void ba_pack_free(ba_pack *pack);

/* 0 if a plan can be trained; else -1, and err says what in it cannot. */
int ba_pack_check(const ba_plan *plan, char err[BA_ERR_LEN]);

/* Appends a plan with its answer (n > 0 tokens); both are copied. window: of sliding layers, 0 if there are none. 0, or
 * -1: out of memory. */
int ba_pack_add(ba_pack *pack, const ba_plan *plan, const int32_t *answer, size_t n, size_t window, size_t teacher);

/* The mask of layers with a sliding window (local) or without; freed with mask_free of train.h. NULL: out of memory. */
ba_train_mask *ba_pack_mask(const ba_pack *pack, const ba_train_net *net, bool local);

#endif

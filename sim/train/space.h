/* Inside of a walk: its work space, and what its files share. Each part below is one file, and calls only files further
 * down; walk.c puts them together. */
#ifndef BA_WALK_SPACE_H
#define BA_WALK_SPACE_H

#include "walk.h"

enum { BA_HEAD_ROWS = 64 }; /* rows that go through the LM head together */

/* What the backward pass of a layer needs of its forward pass, besides its input. Columns as in ba_columns. */
typedef struct ba_kept {
    ba_buf *qkv, *att, *mid, *gate_up; /* [rows, q + 2 kv], [rows, q], [rows, d], [rows, 2 ff] */
    ba_buf *lse;                       /* [rows, heads] log-sum-exp of scores */
    ba_buf *attn_h, *ffn_h, *ff;       /* operands: [rows, d] normed inputs of both halves, [rows, ff] gated units */
    ba_buf *o_out, *down_out;          /* [rows, d] before the norms that some architectures have there; else NULL */
} ba_kept;

struct ba_train_walk {
    ba_train_net *net;
    uint64_t memory;
    size_t rows, rot_rows; /* room for so many */
    bool keeps_all;
    ba_buf **x;     /* [layers + 1] inputs of the layers, then of the head: [rows, d] */
    ba_kept *layer; /* [layers], or one that all layers share */
    /* Scratch of one layer, [rows, ..]. */
    ba_buf *h, *q, *k, *dff, *d, *dh, *datt, *dqkv, *low;
    ba_buf *dgate, *dup; /* operands, [rows, ff]; NULL: these gradients overwrite gate_up */
    /* Scratch of the head, [BA_HEAD_ROWS, ..]. */
    ba_buf *head_x, *head_h, *head_d, *logits, *teacher;
    ba_rot *rot, *rot_local;
    /* Of the pack that is walked: borrowed, and its masks. */
    ba_pack *pack;
    ba_train_mask *mask, *mask_local;
};

/* Columns of a row: of x; of queries; of keys, and of values; of the gated units; of LoRA's A. */
typedef struct ba_columns {
    size_t d, q, kv, ff, rank;
} ba_columns;

static inline ba_view ba_whole(ba_buf *buf) {
    return (ba_view){buf, 0, 0};
}

static inline ba_view ba_from_column(ba_buf *buf, size_t column) {
    return (ba_view){buf, 0, column};
}

/* --- loss.c --- */

/* Fills nll and kl of all items; backward: also d with the gradients of the last layer's output. */
void ba_walk_loss(const ba_train_walk *w, bool backward, double kl_weight);
/* After it: which logit of the pack made a loss that is not finite. -1 and err. */
int ba_walk_refuse(const ba_train_walk *w, char err[BA_ERR_LEN]);

/* --- backward.c --- */

/* w->d: the gradient of a layer's output becomes that of its input. Gradients of what is trained are added. */
void ba_walk_backward(const ba_train_walk *w, size_t layer);
/* --- forward.c --- */

/* x[layer + 1] from x[layer], and what is kept of the layer. */
void ba_walk_forward(const ba_train_walk *w, size_t layer);

/* For backward.c: the arguments of a layer's attention, with norms of q and k and the rotation of k computed; and that
 * several products will take this operand (steady in train.h). */
ba_train_attention ba_walk_attention(const ba_train_walk *w, size_t layer);
void ba_walk_steady(const ba_train_walk *w, ba_train_role role, ba_view x);
ba_act ba_walk_act(const ba_train_walk *w);

/* --- embed.c --- */

/* Embeddings of all rows into x[0]; backward: adds their gradients, from d. 0, or -1: out of memory. */
int ba_walk_embed(const ba_train_walk *w, bool backward);

/* --- space.c --- */

ba_columns ba_walk_columns(const ba_train_walk *w);
ba_kept *ba_walk_kept(const ba_train_walk *w, size_t layer);
/* Space, rotations and masks for a pack; the pack is borrowed until ba_walk_leave. 0, or -1: out of memory; leave must
 * follow either way. */
int ba_walk_enter(ba_train_walk *w, ba_pack *pack);
void ba_walk_leave(ba_train_walk *w);

#endif

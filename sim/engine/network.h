/* The network itself: weights in the backend's form, work space, and one walk of some rows through the layers. What the
 * rows are and what they see is a batch (batch.h); why, is not known here. */
#ifndef BA_LAYERS_H
#define BA_LAYERS_H

#include "batch.h"
#include "kernels/backend.h"
#include "profile.h"
#include "sim/model/model.h"
#include "sim/model/packed.h"
#include "sim/plan/schedule.h"

typedef struct ba_layer {
    ba_weight *qkv, *o, *gate_up, *down;
    ba_buf *attn_norm, *ffn_norm; /* gains */
    ba_buf *q_norm, *k_norm;      /* NULL unless the shape says so */
    ba_buf *post_attn_norm, *post_ffn_norm;
} ba_layer;

typedef struct ba_network {
    const ba_shape *shape;
    ba_backend *be;
    ba_profile *profile;     /* where the walk is accounted for: borrowed, set for every run, or NULL */
    ba_packed *packed;       /* borrowed, or NULL */
    ba_weight *embed, *head; /* the same handle if tied and without link tokens */
    size_t n_links;          /* ids behind the vocabulary that have an embedding */
    ba_buf *final_norm;
    ba_layer *layer;               /* [shape->layers] */
    ba_freqs *freqs, *freqs_local; /* freqs_local NULL without sliding-window layers */
    uint64_t weight_bytes;
    /* Work space for `rows` rows. */
    size_t rows;
    ba_buf *x, *qkv;       /* [rows, d], [rows, (heads + 2 kv) hd] */
    ba_buf *h, *att, *act; /* operands of products: [rows, d], [rows, heads hd], [rows, ff] */
    ba_buf *ff;            /* [rows, 2 ff], or NULL: the backend does without */
    ba_buf *branch;        /* [rows, d]: what a norm takes before it is added to x, or NULL */
    ba_buf *x2, *qkv2;     /* where rows that go on after a choice are gathered: as x and qkv, or NULL */
    ba_rot *rot, *rot_local;
    size_t rot_rows;
    ba_buf *hn, *logits; /* [BA_SCORE_ROWS, d], [BA_SCORE_ROWS, vocab] */
} ba_network;

/* packed: where weights may come from and be kept, or NULL; must outlive the network. */
int ba_network_open(ba_network *net, ba_model *model, ba_backend *be, ba_packed *packed, char err[BA_ERR_LEN]);
void ba_network_close(ba_network *net);

/* Work space for that many rows, of which some may be chosen to go on alone. 0, or -1: out of memory. */
int ba_network_reserve(ba_network *net, size_t rows, bool choice);
uint64_t ba_network_work_bytes(const ba_network *net, size_t rows, bool choice);
/* The batch's rotations, filled into the network's tables. 0, or -1: out of memory. */
int ba_network_rotate(ba_network *net, const double *place, size_t n);

/* Whether an operation of the walk, since embed, had no memory: its rows are NaN. */
bool ba_network_starved(const ba_network *net);

/* One walk. embed: x = embedding of the batch's ids. keys: norm, Q K V and their store. attend: attention and its
 * output product. feed: the feed-forward half. They work on net->x. */
void ba_network_embed(ba_network *net, const ba_batch *b);
void ba_network_keys(ba_network *net, const ba_batch *b, size_t layer, bool stable);
void ba_network_attend(ba_network *net, const ba_batch *b, size_t layer, bool stable);
void ba_network_feed(ba_network *net, size_t rows, size_t layer, bool stable);

/* From here on only these rows go on: x and qkv keep row[0..n) (ascending). */
void ba_network_keep(ba_network *net, const size_t *row, size_t n);

/* Final norm and LM head of n <= BA_SCORE_ROWS rows of `from`: logits [n, vocab] into out. */
void ba_network_head(ba_network *net, ba_view from, const size_t *row, size_t n, bool stable, double *out);

#endif

/* The network itself: weights in the backend's form, work space, and one walk of a batch's rows through the layers
 * (batch.h: which rows these are, and what they see).
 *
 *   network.c   opening, closing, work space, rotations
 *   weights.c   the weights of a model
 *   layers.c    the operations of a walk */
#ifndef BA_NETWORK_H
#define BA_NETWORK_H

#include "batch.h"
#include "kernels/backend.h"
#include "profile.h"
#include "sim/files/packed.h"
#include "sim/model/model.h"
#include "sim/plan/schedule.h"

typedef struct ba_layer {
    ba_weight *qkv, *o, *gate_up, *down;
    ba_buf *attn_norm, *ffn_norm; /* gains */
    ba_buf *q_norm, *k_norm;      /* NULL unless the shape has them */
    ba_buf *post_attn_norm, *post_ffn_norm;
} ba_layer;

typedef struct ba_network {
    const ba_shape *shape;   /* borrowed from the model */
    ba_backend *be;          /* borrowed; NULL: not open */
    ba_profile *profile;     /* where operations are timed: borrowed, set for every run, or NULL */
    ba_packed *packed;       /* borrowed, or NULL */
    ba_weight *embed, *head; /* one handle for both if the model ties them and has no link tokens */
    size_t n_links;          /* token ids after the vocabulary that have an embedding */
    ba_buf *final_norm;
    ba_layer *layer;               /* [shape->layers] */
    ba_freqs *freqs, *freqs_local; /* freqs_local NULL without sliding-window layers */
    uint64_t weight_bytes;
    /* Work space for `rows` rows. */
    size_t rows;
    ba_buf *x, *qkv;       /* [rows, d_model], [rows, (heads + 2 kv_heads) head_dim] */
    ba_buf *h, *att, *act; /* operands of products: [rows, d_model], [rows, heads head_dim], [rows, d_ff] */
    ba_buf *ff;            /* [rows, 2 d_ff], or NULL: the backend does without */
    ba_buf *branch;        /* [rows, d_model] half of a layer before the norm that follows it, or NULL: no such norms */
    ba_buf *x2, *qkv2;     /* like x and qkv: where ba_network_keep gathers rows, or NULL */
    ba_rot *rot, *rot_local;
    size_t rot_rows;
    ba_buf *hn, *logits; /* [BA_SCORE_ROWS, d_model], [BA_SCORE_ROWS, vocab] */
} ba_network;

/* packed: a file that weights are taken from and kept in, or NULL; must outlive the network. kept: bytes of the backend's
 * device that are meant for KV, and must be free beside the weights. 0, or -1 and err. */
int ba_network_open(ba_network *net, ba_model *model, ba_backend *be, ba_packed *packed, uint64_t kept,
                    char err[BA_ERR_LEN]);
void ba_network_close(ba_network *net);

/* For ba_network_open and ba_network_close. After a failed load, free takes what there is. */
int ba_weights_load(ba_network *net, const ba_model *model, uint64_t kept, char err[BA_ERR_LEN]);
void ba_weights_free(ba_network *net);

/* Work space for that many rows. choice: with room for ba_network_keep. 0, or -1: out of memory. */
int ba_network_reserve(ba_network *net, size_t rows, bool choice);
uint64_t ba_network_work_bytes(const ba_network *net, size_t rows, bool choice);
/* Fills the network's tables with a batch's rotations; place [n], in positions. 0, or -1: out of memory. */
int ba_network_rotate(ba_network *net, const double *place, size_t n);

/* Whether an operation had no memory since the last ba_network_embed: then rows are NaN. */
bool ba_network_starved(const ba_network *net);

/* One walk: embed, then keys, attend and feed for every layer, all on net->x. embed: x = embeddings of the batch's ids.
 * keys: norm, Q K V, and K and V written to the batch's KV. attend: attention and its output product. feed: the
 * feed-forward half. stable: as in backend.h. */
void ba_network_embed(ba_network *net, const ba_batch *b);
void ba_network_keys(ba_network *net, const ba_batch *b, size_t layer, bool stable);
void ba_network_attend(ba_network *net, const ba_batch *b, size_t layer, bool stable);
/* mass: what the rows of a job of the batch attend to each key; see key_mass in backend.h. After keys. */
void ba_network_mass(ba_network *net, const ba_attn_job *job, size_t layer, bool mean_query, double *out);
void ba_network_feed(ba_network *net, size_t rows, size_t layer, bool stable);

/* Drops all rows of x and qkv but row[0..n), ascending. */
void ba_network_keep(ba_network *net, const size_t *row, size_t n);

/* Final norm and LM head of n <= BA_SCORE_ROWS rows of `from`: logits [n, vocab] into out. */
void ba_network_head(ba_network *net, ba_view from, const size_t *row, size_t n, bool stable, double *out);

/* Columns of the queries, and of queries, keys and values side by side. */
static inline size_t ba_q_cols(const ba_shape *s) {
    return s->heads * s->head_dim;
}

static inline size_t ba_qkv_cols(const ba_shape *s) {
    return (s->heads + 2 * s->kv_heads) * s->head_dim;
}

#endif

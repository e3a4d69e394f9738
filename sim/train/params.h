/* A model's weights as parameters of training: which are trained, under which names they are saved, and LoRA.
 *
 * Full fine-tuning trains every tensor. LoRA (Hu et al., arXiv 2106.09685) freezes the model, and every linear layer of
 * the stack becomes y = W x + (alpha / rank) B A x with A [rank, in] and B [out, rank], where B is zero at the start.
 * Both train the embeddings of link tokens (KVLink), if there are any. */
#ifndef BA_TRAIN_NET_H
#define BA_TRAIN_NET_H

#include "kernels/train.h"
#include "sim/model/model.h"

typedef struct ba_projection {
    ba_param *w, *bias; /* [out, in]; [1, out] or NULL */
    ba_param *a, *b;    /* LoRA, or NULL */
} ba_projection;

typedef struct ba_train_layer {
    ba_projection q, k, v, o, gate, up, down;
    ba_param *attn_norm, *ffn_norm;
    ba_param *q_norm, *k_norm, *post_attn_norm, *post_ffn_norm; /* NULL unless the shape has them */
} ba_train_layer;

/* A trained parameter and its name in a file. */
typedef struct ba_trained {
    ba_param *p;
    size_t rows, cols; /* a vector has rows = 1 */
    char name[120];
} ba_trained;

typedef struct ba_train_options {
    size_t rank;    /* 0: all weights */
    double alpha;   /* of LoRA */
    size_t n_links; /* link tokens, ids vocab, vocab + 1, .. */
    uint64_t seed;  /* of the first values of A and of link embeddings */
} ba_train_options;

typedef struct ba_train_net {
    ba_model *model;
    const ba_shape *shape;
    ba_backend *be;
    const ba_train_ops *ops;
    ba_train_options opt;
    double lora_scale;
    ba_param *embed, *head, *final_norm; /* head is embed itself if tied */
    ba_param *links;                     /* [n_links, d_model], or NULL */
    ba_train_layer *layer;               /* [shape->layers] */
    ba_freqs *freqs, *freqs_local;       /* freqs_local NULL without sliding-window layers */
    ba_trained *trained;                 /* [n_trained] in the order of the model, links last */
    ba_param **list;                     /* [n_trained] the same parameters, for the optimiser */
    size_t n_trained;
} ba_train_net;

/* The backend must be able to train (be->ops->train); model and backend are borrowed. 0, or -1 and err. */
int ba_train_net_open(ba_train_net *net, ba_model *model, ba_backend *be, const ba_train_options *opt,
                      char err[BA_ERR_LEN]);
void ba_train_net_close(ba_train_net *net);

/* How many numbers are trained. */
uint64_t ba_train_net_size(const ba_train_net *net);

#endif

/* Does reuse equal recompute, and how far is a mode from full attention: one prompt at a time.
 *
 * Identities that must hold:
 *   cached  logits of a prompt answered from the store equal those of one computed now, bit for bit
 *   batch   so do the logits of a prompt whose blocks were encoded in passes of another size
 *   folded  block mode without a local block has the logits of full attention, bit for bit
 *   merge   concatenated and rotated keys (the paper's way) against queries rotated in place: max |dlogit| within
 *           ba_merge_limit
 *   switch  the next turn of the conversation, run in the mode, in full and in the mode again on one store, has the logits
 *           of fresh runs, bit for bit
 *   count   FLOPs counted in the kernels equal the closed form of the plan exactly */
#ifndef BA_GATE_H
#define BA_GATE_H

#include "experiments/measure/distance.h"
#include "sim/engine/engine.h"
#include "sim/prompt/prompt.h"

typedef enum ba_identity {
    BA_ID_CACHED,
    BA_ID_BATCH,
    BA_ID_FOLDED,
    BA_ID_MERGE,
    BA_ID_SWITCH,
    BA_ID_COUNT,
    BA_IDENTITIES
} ba_identity;
const char *ba_identity_name(ba_identity i);

typedef enum ba_verdict { BA_NOT_ASKED, BA_HELD, BA_BROKEN } ba_verdict;

/* One prompt in full attention: the reference that every mode is compared with. */
typedef struct ba_reference {
    const ba_prompt *prompt;
    const int32_t *answer; /* [n_answer] gold answer, or n_answer = 0 */
    size_t n_answer;
    double *logits;  /* [vocab] */
    int32_t *greedy; /* [n_greedy] */
    size_t n_greedy;
    double nll; /* of the answer, nats, summed */
    uint64_t flops;
} ba_reference;

typedef struct ba_gate_row {
    char mode[64];
    size_t n_tokens;
    ba_verdict held[BA_IDENTITIES];
    double merge_max_abs;
    ba_logit_distance far;
    double noise_kl;      /* of full at hand from full in fp32, nats, the same for every mode; NaN: not measured */
    char reuse[16];       /* what a later prompt must share to find its KV stored: ba_reuse_of */
    size_t diverges;      /* first greedy token that differs; n_greedy if none does */
    double nll, nll_full; /* of the answer, nats, summed */
    size_t n_answer;
    uint64_t flops, flops_full; /* warm; of full attention */
    double charged;             /* ba_cost.charged of this run */
} ba_gate_row;

/* 0, -1 and err, or BA_INTERRUPTED. The reference owns its arrays; prompt and answer are borrowed. */
int ba_reference_make(ba_engine *e, const ba_prompt *prompt, const int32_t *answer, size_t n_answer, size_t n_greedy,
                      const ba_engine_options *opt, ba_reference *out, char err[BA_ERR_LEN]);
void ba_reference_free(ba_reference *r);

/* Measures one mode. With identities it also clears the store. */
int ba_gate_mode(ba_engine *e, ba_store *store, const ba_reference *ref, const char *mode, bool identities,
                 const ba_engine_options *opt, ba_gate_row *out, char err[BA_ERR_LEN]);

#endif

/* Predicts how long a machine takes for a request whose blocks are stored in tiers, from the cost of its plans.
 *
 * Computing takes the longer of FLOPs at the machine's rate and bytes at its memory bandwidth. Reading from a tier takes
 * its latency plus the bytes at its bandwidth. Reading, encoding and the prefill of the question run one after another. */
#ifndef BA_SERVICE_H
#define BA_SERVICE_H

#include "hardware.h"
#include "sim/plan/cost.h"

/* Where a block is found, in the order of tiers. BA_NOWHERE: it has to be encoded. */
typedef enum ba_place { BA_IN_RAM, BA_ON_DISK, BA_ON_NETWORK, BA_NOWHERE, BA_PLACES } ba_place;
const char *ba_place_name(ba_place p);

typedef struct ba_service {
    const ba_shape *shape;
    ba_sizes sizes;
    ba_hardware hw;
    size_t tokens, question; /* of a passage; of the question */
    uint64_t kv_bytes;       /* of a passage */
    double weight_bytes;
    double encode_flops;               /* a passage alone */
    double prefill_flops, per_passage; /* the question without passages; what each passage adds to it */
} ba_service;

typedef struct ba_served {
    double load_s, encode_s, prefill_s; /* together the time to the first token */
    double flops, read_bytes;           /* read from disk and network */
} ba_served;

/* 0, or -1 and err. */
int ba_service_begin(ba_service *s, const ba_shape *shape, ba_sizes sizes, const ba_hardware *hw, size_t tokens,
                     size_t question, char err[BA_ERR_LEN]);

/* Time of a request with this many passages found in each place. */
ba_served ba_serve(const ba_service *s, const size_t found[BA_PLACES]);
/* The same request in full attention. 0, or -1 and err. */
int ba_serve_full(const ba_service *s, size_t passages, ba_served *out, char err[BA_ERR_LEN]);

/* One passage alone: read from a place, or (BA_NOWHERE) encoded. */
double ba_passage_seconds(const ba_service *s, ba_place p);

#endif

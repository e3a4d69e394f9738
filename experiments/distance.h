/* How far the next-token distribution of one run is from that of another. */
#ifndef BA_DISTANCE_H
#define BA_DISTANCE_H

#include <stdbool.h>
#include <stddef.h>

typedef struct ba_logit_distance {
    bool finite;    /* false: NaN or Inf in either; nothing else counts then */
    double max_abs; /* max |dlogit| */
    double kl;      /* KL(reference || other), nats */
    bool top1;      /* same argmax */
    double top5;    /* share of the reference's five most likely tokens among the other's five */
} ba_logit_distance;

/* a is the reference; n logits each, n >= 5. */
ba_logit_distance ba_logit_compare(const double *a, const double *b, size_t n);

#endif

/* The one refusal of numbers that are not finite. */
#ifndef BA_FINITE_H
#define BA_FINITE_H

#include "kernels/base/error.h"

#include <stddef.h>

/* 0 if logits [n] are finite; else -1 and err, which names the first that is not: every command that computes logits
 * says this line and uses none of them. */
int ba_logits_check(const double *logits, size_t n, char err[BA_ERR_LEN]);
/* That refusal for logit i. -1. */
int ba_logit_refuse(size_t i, char err[BA_ERR_LEN]);

#endif

/* How many tokens of a sequence are new, compared with an earlier one. */
#ifndef BA_CHANGES_H
#define BA_CHANGES_H

#include <stddef.h>
#include <stdint.h>

/* Tokens of b that a longest common subsequence with a does not have (Myers, "An O(ND) difference algorithm and its
 * variations", 1986, section 3). SIZE_MAX: out of memory. */
size_t ba_changed_tokens(const int32_t *a, size_t n_a, const int32_t *b, size_t n_b);

#endif

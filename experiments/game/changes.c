#include "changes.h"

#include "experiments/measure/prefix_cache.h"

#include <stdlib.h>

/* Length of the shortest script of single deletions and insertions that makes b of a. SIZE_MAX: out of memory. */
static size_t script_length(const int32_t *a, ptrdiff_t n, const int32_t *b, ptrdiff_t m) {
    ptrdiff_t most = n + m;
    ptrdiff_t *reach = calloc((size_t)(2 * most + 3), sizeof *reach); /* farthest x on diagonal k = x - y */
    if (!reach) {
        return SIZE_MAX;
    }
    ptrdiff_t *v = reach + most + 1, d = 0;
    for (;; d++) {
        for (ptrdiff_t k = -d; k <= d; k += 2) {
            ptrdiff_t x = k == -d || (k != d && v[k - 1] < v[k + 1]) ? v[k + 1] : v[k - 1] + 1;
            while (x < n && x - k < m && a[x] == b[x - k]) {
                x++;
            }
            v[k] = x;
            if (x >= n && x - k >= m) {
                free(reach);
                return (size_t)d;
            }
        }
    }
}

size_t ba_changed_tokens(const int32_t *a, size_t n_a, const int32_t *b, size_t n_b) {
    size_t same = ba_common_prefix(a, n_a, b, n_b);
    a += same, n_a -= same;
    b += same, n_b -= same;
    while (n_a && n_b && a[n_a - 1] == b[n_b - 1]) {
        n_a--, n_b--;
    }
    size_t d = script_length(a, (ptrdiff_t)n_a, b, (ptrdiff_t)n_b);
    return d == SIZE_MAX ? d : (d + n_b - n_a) / 2; /* insertions - deletions = n_b - n_a */
}

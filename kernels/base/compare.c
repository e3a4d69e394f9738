#include "compare.h"

#include <math.h>

ba_distance ba_compare(const double *a, const double *b, size_t n) {
    ba_distance d = {.finite = true};
    double difference = 0, reference = 0;
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(a[i]) || !isfinite(b[i])) {
            return (ba_distance){.finite = false, .max_abs = INFINITY, .nmse = INFINITY, .worst = i};
        }
        double e = fabs(a[i] - b[i]);
        if (e > d.max_abs) {
            d.max_abs = e;
            d.worst = i;
        }
        difference += e * e;
        reference += a[i] * a[i];
    }
    /* From a reference that is zero everywhere, any difference is infinite in relative terms. */
    d.nmse = difference == 0 ? 0 : difference / reference;
    return d;
}

bool ba_close(const double *a, const double *b, size_t n, double limit) {
    ba_distance d = ba_compare(a, b, n);
    return d.finite && d.max_abs <= limit;
}

/* What a row sees of a segment, as kernels/count.h says it. */
#ifndef BA_CUDA_SEGMENTS_CUH
#define BA_CUDA_SEGMENTS_CUH

#include "device.h"

namespace ba {

/* The maximum over nothing: finite, so that differences are never NaN. */
#define NO_SCORE (-1e30f)

/* Scores are kept in units of log 2. */
#define LOG2E 1.44269504088896340736f

/* Keys [lo, hi) of the segment that a row of its job sees. */
__device__ __forceinline__ void see_range(const ba_dev_attention &a, const ba_dev_segment &seg, int row, int &lo,
                                          int &hi) {
    lo = seg.lo < 0 ? 0 : max(a.bound[seg.lo + row], 0);
    hi = seg.hi < 0 ? seg.n : min(max(a.bound[seg.hi + row], 0), seg.n);
}

} // namespace ba

#endif

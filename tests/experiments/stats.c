/* Statistics against values worked out by hand; shuffles against their promises. */
#include "experiments/measure/stats.h"
#include "experiments/measure/intervals.h"
#include "sim/base/random.h"
#include "tests/support/runner.h"

#include <math.h>
#include <string.h>

static void odd_count(void) {
    double x[] = {9, 1, 4, 2, 7}; /* sorted 1 2 4 7 9; distances from 4: 3 2 0 3 5 */
    ba_stats s = ba_stats_of(x, 5);
    CU_ASSERT_EQUAL(s.n, 5);
    CU_ASSERT_EQUAL(s.median, 4);
    CU_ASSERT_EQUAL(s.min, 1);
    CU_ASSERT_EQUAL(s.mad, 3);
    CU_ASSERT_EQUAL(s.n_outliers, 0);
    CU_ASSERT_EQUAL(x[4], 9); /* sorted in place */
}

static void even_count(void) {
    double x[] = {10, 1, 2, 3}; /* median 2.5; distances 1.5 0.5 0.5 7.5 */
    ba_stats s = ba_stats_of(x, 4);
    CU_ASSERT_EQUAL(s.median, 2.5);
    CU_ASSERT_EQUAL(s.mad, 1.0);
    CU_ASSERT_EQUAL(s.min, 1);
}

static void small_counts(void) {
    double x[] = {3, 5};
    ba_stats none = ba_stats_of(x, 0), one = ba_stats_of(x, 1), two = ba_stats_of(x, 2);
    CU_ASSERT_TRUE(isnan(none.median) && isnan(none.min) && isnan(none.mad));
    CU_ASSERT_EQUAL(none.n, 0);
    CU_ASSERT_EQUAL(one.median, 3);
    CU_ASSERT_EQUAL(one.mad, 0);
    CU_ASSERT_EQUAL(two.median, 4);
    CU_ASSERT_EQUAL(two.mad, 1);
}

static void quantiles(void) {
    double x[100];
    for (size_t i = 0; i < 100; i++) {
        x[i] = (double)(100 - i);
    }
    CU_ASSERT_EQUAL(ba_quantile(x, 100, 0.99), 99);
    CU_ASSERT_TRUE(isnan(ba_quantile(x, 99, 0.99))); /* nothing would be beyond it */
    CU_ASSERT_TRUE(ba_quantile(x, 10, 0.9) == 9 && isnan(ba_quantile(x, 9, 0.9)));
    CU_ASSERT_TRUE(ba_quantile(x, 1, 0.5) == 1 && ba_quantile(x, 3, 1) == 3 && isnan(ba_quantile(x, 0, 0.5)));
}

/* Times that a third set cannot be told from: by hand, t of the logs is 0.7 and 12. */
static void told_apart(void) {
    const double a[] = {1.0, 1.1, 0.9}, b[] = {1.1, 1.0, 1.1}, c[] = {2.0, 2.1, 1.9};
    CU_ASSERT_FALSE(ba_told_apart(a, 3, b, 3));
    CU_ASSERT_TRUE(ba_told_apart(a, 3, c, 3) && ba_told_apart(c, 3, a, 3));
    CU_ASSERT_FALSE(ba_told_apart(a, 1, c, 3)); /* one sample has no spread */
    CU_ASSERT_FALSE(ba_told_apart(a, 3, a, 3));
}

static void outliers(void) {
    double x[] = {10, 11, 9, 10, 12, 8, 30}; /* median 10; MAD 1; limit 4.4478 */
    ba_stats s = ba_stats_of(x, 7);
    CU_ASSERT_EQUAL(s.mad, 1);
    CU_ASSERT_EQUAL(s.n_outliers, 1);
    CU_ASSERT_EQUAL(s.n, 7); /* flagged, not dropped */
    CU_ASSERT_TRUE(ba_is_outlier(&s, 30));
    CU_ASSERT_FALSE(ba_is_outlier(&s, 14.4));
    CU_ASSERT_TRUE(ba_is_outlier(&s, 14.5));
    CU_ASSERT_TRUE(ba_is_outlier(&s, 5.5));
}

/* The one-pass MAD against its definition. */
static void mad_by_definition(void) {
    uint64_t rng = 7;
    for (size_t n = 1; n <= 40; n++) {
        double x[40], d[40];
        for (size_t i = 0; i < n; i++) {
            x[i] = (double)ba_random_below(&rng, 20);
        }
        ba_stats s = ba_stats_of(x, n);
        for (size_t i = 0; i < n; i++) {
            d[i] = fabs(x[i] - s.median);
        }
        CU_ASSERT_EQUAL(s.mad, ba_stats_of(d, n).median);
    }
}

static void shuffles(void) {
    enum { N = 50 };
    size_t a[N], b[N], seen[N] = {0}, moved = 0;
    for (size_t i = 0; i < N; i++) {
        a[i] = b[i] = i;
    }
    uint64_t one = 1, again = 1, other = 2;
    ba_random_shuffle(&one, a, N);
    ba_random_shuffle(&again, b, N);
    CU_ASSERT_EQUAL(memcmp(a, b, sizeof a), 0);
    ba_random_shuffle(&other, b, N);
    CU_ASSERT_NOT_EQUAL(memcmp(a, b, sizeof a), 0);
    for (size_t i = 0; i < N; i++) {
        seen[a[i]]++;
        moved += a[i] != i;
    }
    for (size_t i = 0; i < N; i++) {
        CU_ASSERT_EQUAL(seen[i], 1);
    }
    CU_ASSERT_TRUE(moved > N / 2);
}

static void uniform(void) {
    size_t count[6] = {0};
    uint64_t rng = 3;
    for (size_t i = 0; i < 6000; i++) {
        size_t r = ba_random_below(&rng, 6);
        CU_ASSERT_TRUE_FATAL(r < 6);
        count[r]++;
    }
    for (size_t i = 0; i < 6; i++) {
        CU_ASSERT_TRUE(count[i] > 850 && count[i] < 1150); /* five standard deviations are 144 */
    }
}

static void ratios(void) {
    const double a[] = {2, 4.2, NAN, 6, 8, 20}, b[] = {1, 2, 5, 3, 4, 0}, same[] = {3, 3.1, 2.9, 3, 3.05};
    ba_ratio r = ba_ratio_of(a, b, 6, 1);
    CU_ASSERT_EQUAL(r.n, 4); /* without the NaN and the zero: 2, 2.1, 2, 2 */
    CU_ASSERT_EQUAL(r.median, 2);
    CU_ASSERT(r.lo == 2 && r.hi >= 2 && r.hi <= 2.1 && !r.sure);
    r = ba_ratio_of(same, same, 5, 1);
    CU_ASSERT(r.median == 1 && r.lo == 1 && r.hi == 1);
    r = ba_ratio_of(same, b + 2, 1, 1);
    CU_ASSERT(r.n == 1 && r.lo == r.median && r.hi == r.median);
    r = ba_ratio_of(a + 2, b, 1, 1);
    CU_ASSERT(r.n == 0 && isnan(r.median) && isnan(r.lo) && isnan(r.hi));
}

/* Of noise of 10 % around a true ratio of 1.2 the interval holds the truth in about 95 of 100 runs, and is narrow. */
static void interval(void) {
    enum { N = 25, RUNS = 200 };
    uint64_t rng = 9;
    size_t held = 0, narrow = 0;
    for (size_t run = 0; run < RUNS; run++) {
        double a[N], b[N];
        for (size_t i = 0; i < N; i++) {
            a[i] = 1.2 * (0.9 + 0.2 * (double)ba_random_below(&rng, 1000) / 999);
            b[i] = 1;
        }
        ba_ratio r = ba_ratio_of(a, b, N, run);
        CU_ASSERT(r.sure);
        held += r.lo <= 1.2 && 1.2 <= r.hi;
        narrow += r.hi - r.lo < 0.15;
    }
    CU_ASSERT(held > RUNS * 88 / 100 && held < RUNS);
    CU_ASSERT(narrow > RUNS * 9 / 10);
}

int ba_suite_stats(void) {
    CU_pSuite s = CU_add_suite("stats", NULL, NULL);
    if (!s || !CU_add_test(s, "median, min and MAD of an odd count", odd_count) ||
        !CU_add_test(s, "median, min and MAD of an even count", even_count) ||
        !CU_add_test(s, "none, one and two samples", small_counts) ||
        !CU_add_test(s, "outliers are flagged, not dropped", outliers) ||
        !CU_add_test(s, "quantiles need samples beyond them", quantiles) ||
        !CU_add_test(s, "times that can and cannot be told apart", told_apart) ||
        !CU_add_test(s, "MAD equals its definition", mad_by_definition) ||
        !CU_add_test(s, "ratios, pair by pair", ratios) || !CU_add_test(s, "95 % intervals hold the truth", interval) ||
        !CU_add_test(s, "a shuffle is a permutation that its seed decides", shuffles) ||
        !CU_add_test(s, "numbers below n are evenly spread", uniform)) {
        return -1;
    }
    return 0;
}

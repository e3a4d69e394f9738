/* How certain a figure is: means with intervals of 95 %, tests of a difference, and whether a difference is small enough to
 * be called none. Every command takes its intervals and verdicts from here. Pure functions. */
#ifndef BA_INTERVALS_H
#define BA_INTERVALS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct ba_interval {
    double low, high; /* NaN: not enough data */
} ba_interval;

/* A mean with its interval of 95 %: centre +- t sqrt(variance), Student's t with df degrees of freedom. The centre is the
 * mean, but for changes of scores (see there). n = 0: everything NaN; n = 1: a mean without an interval. */
typedef struct ba_mean {
    double mean, low, high;
    double centre, variance, df;
    size_t n;
} ba_mean;

/* 97.5 % quantile of Student's t with df > 0 degrees of freedom: exact for 1 and 2, else Abramowitz and Stegun 26.7.5 on
 * tabulated values below 10; wrong by less than 1e-3. */
double ba_student(double df);

/* Of sum(x) / sum(weight), a ratio linearised (Cochran, Sampling Techniques, 6.4); weight NULL: the mean of x [n]. */
ba_mean ba_mean_of(const double *x, const double *weight, size_t n);

/* Of scores x[n] in 0..1: Wilson's interval if all are 0 or 1, else that of the mean, cut to 0..1. */
ba_mean ba_mean_score(const double *x, size_t n);

/* Of paired changes d[n] of scores, each in -1..1: the interval of Bonett and Price (2012), which adds one item that gained
 * and one that lost, so that two items without a change do not prove that there is none. For graded scores the same. */
ba_mean ba_mean_change(const double *d, size_t n);

/* Of the means m[n] with equal weights (tasks of a table); degrees of freedom by Welch and Satterthwaite. Means of no
 * items are passed over; n of the result: the items of all. */
ba_mean ba_mean_over(const ba_mean *m, size_t n);

/* The interval cut to what the quantity can be. */
ba_mean ba_mean_within(ba_mean m, double least, double most);

/* Is a change none, for practical purposes? An interval of the change decides (two one-sided tests, Schuirmann 1987, at
 * 2.5 % each): all of it within -margin..margin is equal; else all of it on one side of zero is worse or better; everything
 * else is undecided, and so is a change without an interval. */
typedef enum ba_equivalence { BA_UNDECIDED, BA_EQUAL, BA_WORSE, BA_BETTER } ba_equivalence;
ba_equivalence ba_equivalence_of(double low, double high, double margin, bool more_is_better);
/* "undecided", "equal", "worse", "better" */
const char *ba_equivalence_name(ba_equivalence e);

/* "42.5 [38.1, 47.0]": scale * x and its interval, each by the printf format of one double; x alone where low is NaN, "-"
 * where x is. Cut to size. */
void ba_interval_text(char *out, size_t size, const char *format, double scale, double x, double low, double high);

/* Whether two sets of positive measurements a [n_a], b [n_b] differ by a factor: Welch's t of their logarithms, two-sided,
 * 5 %. false with fewer than two of either. */
bool ba_told_apart(const double *a, size_t n_a, const double *b, size_t n_b);

/* Largest changes that are called none: of a score in 0..1, of an NLL in nats a token. */
typedef struct ba_margins {
    double score, nll;
} ba_margins;

/* Of a share of hits among n (Wilson's score interval, 1927; no continuity correction). */
ba_interval ba_wilson(size_t hits, size_t n);

/* Of sum(top) / sum(bottom) over n items, where the bottom may come near zero (shares of a gap): percentiles of
 * `BA_RESAMPLES` draws of n items with replacement, which the seed decides. bottom NULL: of the mean. NaN also if memory ran
 * out. */
enum { BA_RESAMPLES = 4000, BA_INTERVAL_SEED = 20250424 }; /* every interval from the same draws */
ba_interval ba_bootstrap(const double *top, const double *bottom, size_t n, uint64_t seed);

/* Exact two-sided p of McNemar's test: a alone is right on `only_a` items, b alone on `only_b`. */
double ba_mcnemar(size_t only_a, size_t only_b);

#endif

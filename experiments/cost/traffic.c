#include "traffic.h"

#include "sim/base/json_read.h"
#include "sim/base/random.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* --- Zipf's law by rejection-inversion: W. Hoermann, G. Derflinger, "Rejection-inversion to generate variates from
 * monotone discrete distributions", ACM TOMACS 6(3), 1996 -----------------------------------------------------------
 */

/* Integral of x^-s from 1, and its inverse, in forms that keep precision near s = 1. */
static double integral(double s, double x) {
    double log_x = log(x), t = (1 - s) * log_x;
    return fabs(t) < 1e-8 ? log_x * (1 + t / 2) : log_x * expm1(t) / t;
}

static double inverse(double s, double y) {
    double t = y * (1 - s);
    return fabs(t) < 1e-8 ? exp(y * (1 - t / 2)) : exp(log1p(t > -1 ? t : -1 + 1e-16) / (1 - s));
}

static double uniform(uint64_t *rng) {
    return ((double)(ba_random_bits(rng) >> 11) + 0.5) * 0x1p-53;
}

static uint32_t popular(ba_traffic *t) {
    for (;;) {
        double u = t->b + uniform(&t->rng) * (t->a - t->b), x = inverse(t->zipf, u);
        double k = floor(x + 0.5);
        k = k < 1 ? 1 : k > (double)t->corpus ? (double)t->corpus : k;
        if (u >= integral(t->zipf, k + 0.5) - pow(k, -t->zipf)) {
            return (uint32_t)(k - 1);
        }
    }
}

void ba_traffic_begin(ba_traffic *t, size_t corpus, size_t passages, double zipf, double rate, uint64_t seed) {
    *t = (ba_traffic){.corpus = corpus, .passages = passages, .zipf = zipf, .rate = rate, .rng = seed};
    t->b = integral(zipf, 1.5) - 1;
    t->a = integral(zipf, (double)corpus + 0.5);
}

/* --- files ------------------------------------------------------------------------------------------------------- */

int ba_traffic_open(ba_traffic *t, const char *path, size_t corpus, char err[BA_ERR_LEN]) {
    *t = (ba_traffic){.corpus = corpus};
    return ba_lines_open(path, &t->lines, err);
}

void ba_traffic_end(ba_traffic *t) {
    ba_lines_close(t->lines);
    t->lines = NULL;
}

static int parse(ba_traffic *t, const cJSON *o, ba_arrival *out, char err[BA_ERR_LEN]) {
    const cJSON *list = ba_json_get(o, "passages"), *item;
    size_t line = ba_lines_number(t->lines);
    out->time = t->now;
    if (ba_json_real(o, "time", &out->time, "traffic", err) || !cJSON_IsArray(list) || out->time < t->now) {
        return ba_fail(err, "line %zu: needs \"time\", not before the last one, and a list \"passages\"", line);
    }
    cJSON_ArrayForEach(item, list) {
        size_t number;
        if (!ba_json_whole(item, &number) || number >= t->corpus || out->n == BA_MAX_PASSAGES) {
            return ba_fail(err, "line %zu: passages are numbers from 0 to below %zu, at most %d a request", line,
                           t->corpus, BA_MAX_PASSAGES);
        }
        for (size_t i = 0; i < out->n; i++) {
            if (out->passage[i] == number) {
                return ba_fail(err, "line %zu: passage %zu occurs twice", line, number);
            }
        }
        out->passage[out->n++] = (uint32_t)number;
    }
    t->now = out->time;
    return out->n ? 1 : ba_fail(err, "line %zu: no passages", line);
}

static int read_next(ba_traffic *t, ba_arrival *out, char err[BA_ERR_LEN]) {
    char why[BA_ERR_LEN];
    cJSON *o = NULL;
    int got = ba_lines_next(t->lines, &o, why);
    if (got == BA_LINE_BAD) {
        return ba_fail(err, "line %zu: %s", ba_lines_number(t->lines), why);
    }
    if (got != 1) {
        return got == 0 ? 0 : ba_fail(err, "%s", why);
    }
    got = parse(t, o, out, err);
    cJSON_Delete(o);
    return got;
}

int ba_traffic_next(ba_traffic *t, ba_arrival *out, char err[BA_ERR_LEN]) {
    out->n = 0;
    if (t->lines) {
        return read_next(t, out, err);
    }
    out->time = t->now -= log(uniform(&t->rng)) / t->rate;
    while (out->n < t->passages) {
        uint32_t number = popular(t);
        size_t i = 0;
        while (i < out->n && out->passage[i] != number) {
            i++;
        }
        out->n += i == out->n;
        out->passage[i] = number;
    }
    return 1;
}

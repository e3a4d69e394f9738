/* Scorers against values of their official scripts, run once on the texts below; intervals and tests of a difference
 * against published tables and values worked out by hand. */
#include "../experiments/intervals.h"
#include "../experiments/tasks/score_text.h"
#include "runner.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Expected: normalize_answer of the SQuAD v1.1 evaluation script (the one in rag_eval.py). */
static void squad_normalisation(void) {
    static const char *const pair[][2] = {
        {"The Eiffel-Tower, (in) Paris!", "eiffeltower in paris"},
        {"  An apple a  day\tkeeps the\u00a0doctor away ", "apple day keeps doctor away"},
        {"Beyonc\u00e9's \u216b \u201cquoted\u201d the", "beyonc\u00e9s \u217b \u201cquoted\u201d"},
        {"\u00c0\u00c9\u00ce Stra\u00dfe theatre", "\u00e0\u00e9\u00ee stra\u00dfe theatre"},
        {"a.the an", "athe"},
        {"the", ""},
        {"A-Team", "ateam"},
        {"U.S.A. \u2014 the land", "usa \u2014 land"},
        {"1,000.50 the 3rd", "100050 3rd"},
        {"an\u3000the \u00c7A", "\u00e7a"},
        {"_the_ the_a", "thea"},
        {"\u201cthe\u201d \u2018a\u2019", "\u201c \u201d \u2018 \u2019"},
    };
    for (size_t i = 0; i < sizeof pair / sizeof *pair; i++) {
        char *got = ba_squad_normalise(pair[i][0]);
        CU_ASSERT_PTR_NOT_NULL_FATAL(got);
        CU_ASSERT_STRING_EQUAL(got, pair[i][1]);
        free(got);
    }
    char *broken = ba_squad_normalise("caf\xc3 the \xff"); /* no UTF-8: what is broken is left out */
    CU_ASSERT_PTR_NOT_NULL_FATAL(broken);
    CU_ASSERT_STRING_EQUAL(broken, "caf");
    free(broken);
}

static void squad_scores(void) {
    static const struct {
        const char *output, *answer;
        double f1, em, subspan;
    } row[] = {
        {"The cat sat on the mat", "a cat on mat", 0.8571428571428571, 0, 0},
        {"to be or not to be", "be be be", 0.4444444444444444, 0, 0},
        {"Paris, France", "paris", 0.6666666666666666, 0, 1},
        {"x", "y", 0, 0, 0},
        {"in the year 1998 in", "1998", 0.4, 0, 1},
        {"The Beatles.", "beatles", 1, 1, 1},
        {"It was 14 December 1972 UTC", "14 December 1972", 0.6666666666666666, 0, 1},
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        char *answers[] = {(char *)"never", (char *)row[i].answer};
        CU_ASSERT_DOUBLE_EQUAL(ba_squad_f1(row[i].output, answers, 2), row[i].f1, 1e-12);
        CU_ASSERT_EQUAL(ba_squad_em(row[i].output, answers, 2), row[i].em);
        CU_ASSERT_EQUAL(ba_subspan_em(row[i].output, answers, 2), row[i].subspan);
    }
    CU_ASSERT_EQUAL(ba_subspan_em("anything", NULL, 0), 0);
}

/* Newcombe, Statistics in Medicine 17 (1998), table I, method 3. */
static void wilson(void) {
    static const struct {
        size_t hits, n;
        double low, high;
    } row[] = {{81, 263, 0.2553, 0.3662}, {15, 148, 0.0624, 0.1605}, {0, 20, 0.0000, 0.1611}, {1, 29, 0.0061, 0.1718}};
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        ba_interval got = ba_wilson(row[i].hits, row[i].n);
        CU_ASSERT_DOUBLE_EQUAL(got.low, row[i].low, 5e-5);
        CU_ASSERT_DOUBLE_EQUAL(got.high, row[i].high, 5e-5);
    }
    CU_ASSERT_TRUE(isnan(ba_wilson(0, 0).low));
}

/* By hand: 2 (C(9,0) + C(9,1)) / 2^9; 2 (1 + 10 + 45) / 2^10; and sides that are equal. */
static void mcnemar(void) {
    CU_ASSERT_DOUBLE_EQUAL(ba_mcnemar(1, 8), 20.0 / 512, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(ba_mcnemar(8, 2), 112.0 / 1024, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(ba_mcnemar(0, 6), 2.0 / 64, 1e-12);
    CU_ASSERT_EQUAL(ba_mcnemar(5, 5), 1);
    CU_ASSERT_EQUAL(ba_mcnemar(0, 0), 1);
    CU_ASSERT_TRUE(ba_mcnemar(3000, 2000) < 1e-40 && ba_mcnemar(3000, 2000) > 0);
}

/* Of a mean of many values the percentile interval comes close to mean +- 1.96 s / sqrt(n). */
static void bootstrap(void) {
    enum { N = 400 };
    double top[N], bottom[N];
    for (size_t i = 0; i < N; i++) {
        top[i] = i % 10 < 3;
        bottom[i] = 2;
    }
    ba_interval mean = ba_bootstrap(top, NULL, N, 7), half = ba_bootstrap(top, bottom, N, 7),
                again = ba_bootstrap(top, NULL, N, 7);
    double width = 1.96 * sqrt(0.3 * 0.7 / N);
    CU_ASSERT_DOUBLE_EQUAL(mean.low, 0.3 - width, 0.1 * width);
    CU_ASSERT_DOUBLE_EQUAL(mean.high, 0.3 + width, 0.1 * width);
    CU_ASSERT_EQUAL(half.low, mean.low / 2);
    CU_ASSERT_TRUE(again.low == mean.low && again.high == mean.high);
    double same[] = {4, 4, 4};
    CU_ASSERT_TRUE(ba_bootstrap(same, NULL, 3, 1).low == 4 && ba_bootstrap(same, NULL, 3, 1).high == 4);
    CU_ASSERT_TRUE(isnan(ba_bootstrap(NULL, NULL, 0, 1).low));
}

int ba_suite_scores(void) {
    CU_pSuite s = CU_add_suite("scores", NULL, NULL);
    return s && CU_add_test(s, "SQuAD normalisation", squad_normalisation) &&
                   CU_add_test(s, "subspan, exact match and F1", squad_scores) &&
                   CU_add_test(s, "Wilson intervals as published", wilson) &&
                   CU_add_test(s, "McNemar's exact p by hand", mcnemar) &&
                   CU_add_test(s, "bootstrap intervals", bootstrap)
               ? 0
               : -1;
}

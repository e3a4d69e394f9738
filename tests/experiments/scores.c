/* Scorers against values of their official scripts, run once on the texts below; intervals and tests of a difference
 * against published tables and values worked out by hand. */
#include "experiments/data/score_text.h"
#include "experiments/measure/intervals.h"
#include "experiments/tasks/score_drop.h"
#include "experiments/tasks/score_math.h"
#include "experiments/tasks/tasks.h"
#include "tests/support/runner.h"

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
        {"\u0130stanbul", "i\u0307stanbul"},
        {"\u039f\u0394\u039f\u03a3, \u03a3\u0391\u03a3.", "\u03bf\u03b4\u03bf\u03c2 \u03c3\u03b1\u03c2"},
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

/* Expected: the regular expression of openai/grade-school-math; and the last number where there is no mark. */
static void gsm8k_numbers(void) {
    static const char *const row[][3] = {{"so 9*2\n#### 18", "18", "18"},
                                         {"#### 1,234 then 5", "1234", "5"},
                                         {"#### -5.", "-5.", "-5"},
                                         {"no mark 18", "", "18"},
                                         {"####18", "", "18"},
                                         {"#### $18\n#### 7", "7", "7"},
                                         {"He pays $1,234.50.", "", "1234.50"},
                                         {"it is -3, or", "", "-3"},
                                         {"10-3 apples", "", "3"},
                                         {"it is -$5.", "", "-5"},
                                         {"a loss of \u2212$1,234.50", "", "-1234.50"},
                                         {"it is \u22125", "", "-5"},
                                         {"$-5 or -\u20ac7", "", "-7"},
                                         {"10-$3", "", "3"},
                                         {"10\u22123", "", "3"},
                                         {"none", "", ""}};
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        char *marked = ba_gsm8k_marked(row[i][0]), *last = ba_last_number(row[i][0]);
        CU_ASSERT_STRING_EQUAL(marked, row[i][1]);
        CU_ASSERT_STRING_EQUAL(last, row[i][2]);
        free(marked);
        free(last);
    }
}

/* Expected: _strip_string of hendrycks/math. */
static void math_normalisation(void) {
    static const char *const row[][2] = {
        {"\\frac12", "\\frac{1}{2}"},
        {"\\frac1{72}", "\\frac{1}{72}"},
        {"\\dfrac{9}{7}", "\\frac{9}{7}"},
        {"0.5", "\\frac{1}{2}"},
        {".25", "0.25"},
        {"x = 3", "3"},
        {"k=5", "5"},
        {"3/4", "\\frac{3}{4}"},
        {"-3/4", "\\frac{-3}{4}"},
        {"a/b", "a/b"},
        {"\\sqrt3+\\sqrt{5}", "\\sqrt{3}+\\sqrt{5}"},
        {"10\\text{ cm}", "10"},
        {"50\\%", "50"},
        {"90^\\circ", "90"},
        {"90^{\\circ}", "90"},
        {"\\left( 3, \\frac{\\pi}{2} \\right)", "(3,\\frac{\\pi}{2})"},
        {"\\$32,000", "32,000"},
        {"{.5}", "{0.5}"},
        {"1 000", "1000"},
        {"\\tfrac{-1}3", "\\frac{-1}3"},
        {"x=y=2", "x=y=2"},
        {"", ""},
        {"abc = 4", "abc=4"},
        {"2 .5", "20.5"},
        {"\\begin{pmatrix}1\\\\2\\end{pmatrix}", "\\begin{pmatrix}1\\2\\end{pmatrix}"},
        {"\\frac{1}2", "\\frac{1}2"},
        {"3\\frac34", "3\\frac{3}{4}"},
        {"\\frac", "\\frac"}, /* there the script fails, and compares the texts as they are */
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        char *got = ba_math_normalise(row[i][0]);
        CU_ASSERT_PTR_NOT_NULL_FATAL(got);
        CU_ASSERT_STRING_EQUAL(got, row[i][1]);
        free(got);
    }
}

static void math_answers(void) {
    static const char *const row[][2] = {
        {"so \\boxed{\\frac{1}{2}} and \\boxed{x^{2}}.", "x^{2}"},
        {"is $\\boxed{24}.$\nFinal Answer: The final answer is $25$. I hope it is correct.", "24"},
        {"Final Answer: The final answer is $[2,5)$. I hope it is correct.", "[2,5)"},
        {"The final answer is 7.", "7"},
        {"\\boxed{1 + \\frac{2", ""},
        {"so $\\boxed 5$ it is", "5"},
        {"\\boxed 5 and \\boxed{7}", "5 and \\boxed{7}"},
        {"first \\boxed{7}, then \\boxed", ""},
        {"The final answer is $5$. I hope it is correct. \\boxed", "5"},
        {"\\boxed and {3}", "and {3}"},
        {"\\boxed, {3}", ""},
        {"\\boxed{", ""},
        {"no answer", ""},
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        char *got = ba_math_answer(row[i][0]);
        CU_ASSERT_PTR_NOT_NULL_FATAL(got);
        CU_ASSERT_STRING_EQUAL(got, row[i][1]);
        free(got);
    }
    CU_ASSERT_TRUE(ba_math_equal("0.5", "\\dfrac12"));
    CU_ASSERT_TRUE(ba_math_equal("1,000", "1000.0"));
    CU_ASSERT_TRUE(ba_math_equal("\u22125", "-5.0"));
    CU_ASSERT_FALSE(ba_math_equal("\u22125", "5"));
    CU_ASSERT_TRUE(ba_math_equal("\\frac{3}{4}", ".75"));
    CU_ASSERT_TRUE(ba_math_equal("-\\frac{3}{4}", "-3/4"));
    CU_ASSERT_FALSE(ba_math_equal("1,2", "12"));
    CU_ASSERT_FALSE(ba_math_equal("99999999999999999999/3", "33333333333333333333"));
    CU_ASSERT_FALSE(ba_math_equal("", ""));
    CU_ASSERT_FALSE(ba_math_equal("x", "2"));
}

static void bbh_answers(void) {
    static const struct {
        const char *output, *target;
        double score;
    } row[] = {{"A = False. So the answer is False.", "False", 1},
               {"So the answer is (B).\nQ: next", "(B)", 1},
               {"So the answer is (B", "(B)", 0},
               {"the answer is 5. the answer is 6.", "6", 0},
               {"True", "True", 1},
               {"So the answer is } ]", "} ]", 1}};
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        char *answer[] = {(char *)row[i].target};
        CU_ASSERT_EQUAL(ba_bbh_score(&(ba_task_item){.answer = answer, .n_answer = 1}, row[i].output).score,
                        row[i].score);
    }
}

/* Expected: drop_eval.py of AllenNLP, spans of one. */
static void drop_scores(void) {
    static const struct {
        const char *output, *answer;
        double em, f1;
    } row[] = {{"30-27", "30-27", 1, 1},
               {"The Steelers", "Steelers", 1, 1},
               {"a 36-yard field goal", "36", 0, 0.4},
               {"36", "36.0", 1, 1},
               {"about 35 yards", "36", 0, 0},
               {"LaGarrette Blount and Ben", "Ben Roethlisberger", 0, 0.33},
               {"", "x", 0, 0},
               {"$1,000", "1000", 1, 1},
               {"1.50", "1.5", 1, 1},
               {"25 October 1720", "October 1720", 0, 0.8},
               {"the", "a", 1, 1},
               {"twenty-two men", "twenty two women", 0, 0.67},
               {"36\u00a0", "36", 1, 1},
               {"36\u00a0yards", "36 yards", 0, 0},
               {"1_000", "1000", 1, 1},
               {"1__000", "1_000", 1, 1},
               {"_1", "1", 1, 1},
               {"\u0663\u0666", "36", 1, 1},
               {"\uff13\uff16.\uff10", "36", 1, 1},
               {"0x24", "36", 0, 0},
               {"-nan", "nan", 1, 1},
               {"1e16", "10000000000000000", 1, 1}};
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        double em, f1;
        char *answer[] = {(char *)row[i].answer};
        ba_drop_score(row[i].output, answer, 1, &em, &f1);
        CU_ASSERT_EQUAL(em, row[i].em);
        CU_ASSERT_DOUBLE_EQUAL(f1, row[i].f1, 1e-12);
    }
    double em, f1;
    ba_drop_score("yes", (char *[]){(char *)"no", (char *)"yes"}, 2, &em, &f1);
    CU_ASSERT_TRUE(em == 1 && f1 == 1);
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

/* 97.5 % quantiles of Student's t, from tables. */
static void student(void) {
    static const double row[][2] = {{1, 12.7062},  {2, 4.30265},  {5, 2.57058},   {9, 2.26216},       {10, 2.22814},
                                    {12, 2.17881}, {30, 2.04227}, {100, 1.98397}, {HUGE_VAL, 1.95996}};
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        CU_ASSERT_DOUBLE_EQUAL(ba_student(row[i][0]), row[i][1], 5e-4);
    }
    CU_ASSERT_DOUBLE_EQUAL(ba_student(2.5), 3.56, 0.1); /* R: qt(.975, 2.5) */
    CU_ASSERT_TRUE(isnan(ba_student(0)) && isnan(ba_student(NAN)));
}

/* Mean 4 with s = 2 of three: 4 +- 4.303 x 2 / sqrt(3). Ratio (1 + 5) / (1 + 2) = 2, rests -1 and 1. */
static void means(void) {
    const double x[] = {2, 4, 6}, top[] = {1, 5}, weight[] = {1, 2};
    ba_mean m = ba_mean_of(x, NULL, 3);
    CU_ASSERT_EQUAL(m.mean, 4);
    CU_ASSERT_DOUBLE_EQUAL(m.high - 4, 4.302653 * 2 / sqrt(3), 1e-6);
    CU_ASSERT_DOUBLE_EQUAL(4 - m.low, 4.302653 * 2 / sqrt(3), 1e-6);
    m = ba_mean_of(top, weight, 2);
    CU_ASSERT_EQUAL(m.mean, 2);
    CU_ASSERT_DOUBLE_EQUAL(m.variance, 2 * 2.0 / 1 / 9, 1e-12);
    m = ba_mean_of(x, NULL, 1);
    CU_ASSERT_TRUE(m.mean == 2 && isnan(m.low) && isnan(m.high)); /* one value has no interval */
    CU_ASSERT_TRUE(isnan(ba_mean_of(x, NULL, 0).mean));
    m = ba_mean_within(ba_mean_of(x, NULL, 3), 0, 1e9);
    CU_ASSERT_TRUE(m.low == 0 && m.mean == 4);
    /* Scores of 0 and 1 have Wilson's interval, graded ones that of the mean. */
    const double hit[] = {1, 0, 1, 1}, graded[] = {0.2, 0.8, 1};
    CU_ASSERT_EQUAL(ba_mean_score(hit, 4).low, ba_wilson(3, 4).low);
    CU_ASSERT_EQUAL(ba_mean_score(graded, 3).high, 1);
}

/* One item gained and seven lost of 21: (1 - 7) / 23 +- 1.96 sqrt((10 / 23 - (6 / 23)^2) / 23), as in Fagerland, Lydersen
 * and Laake, Statistics in Medicine 33 (2014), the airway example: -0.51 to -0.013. */
static void changes(void) {
    double d[21] = {1, -1, -1, -1, -1, -1, -1, -1};
    ba_mean m = ba_mean_change(d, 21);
    CU_ASSERT_DOUBLE_EQUAL(m.mean, -6.0 / 21, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(m.low, -0.5084, 5e-4);
    CU_ASSERT_DOUBLE_EQUAL(m.high, -0.0134, 5e-4);
    /* Over two tasks of equal weight the variances add up, a quarter each. */
    const ba_mean two[] = {m, m, ba_mean_change(d, 0)};
    ba_mean all = ba_mean_over(two, 3);
    CU_ASSERT_EQUAL(all.n, 42);
    CU_ASSERT_DOUBLE_EQUAL(all.mean, m.mean, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(all.variance, m.variance / 2, 1e-12);
}

static void equivalence(void) {
    static const struct {
        double low, high;
        ba_equivalence score, nll;
    } row[] = {{-0.01, 0.015, BA_EQUAL, BA_EQUAL},        {0.005, 0.015, BA_EQUAL, BA_EQUAL},
               {-0.03, 0.01, BA_UNDECIDED, BA_UNDECIDED}, {-0.03, -0.001, BA_WORSE, BA_BETTER},
               {0.01, 0.5, BA_BETTER, BA_WORSE},          {-0.02, 0.02, BA_UNDECIDED, BA_UNDECIDED},
               {NAN, NAN, BA_UNDECIDED, BA_UNDECIDED}};
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        CU_ASSERT_EQUAL(ba_equivalence_of(row[i].low, row[i].high, 0.02, true), row[i].score);
        CU_ASSERT_EQUAL(ba_equivalence_of(row[i].low, row[i].high, 0.02, false), row[i].nll);
    }
    /* Two items never show that a score has not changed, whether they did or not; 300 without a change do. */
    const double lost[] = {-1, -1}, none[300] = {0};
    ba_mean two = ba_mean_change(lost, 2), same = ba_mean_change(none, 2), many = ba_mean_change(none, 300);
    CU_ASSERT_EQUAL(ba_equivalence_of(two.low, two.high, 0.02, true), BA_UNDECIDED);
    CU_ASSERT_EQUAL(ba_equivalence_of(same.low, same.high, 0.02, true), BA_UNDECIDED);
    CU_ASSERT_EQUAL(ba_equivalence_of(many.low, many.high, 0.02, true), BA_EQUAL);
    CU_ASSERT_STRING_EQUAL(ba_equivalence_name(BA_WORSE), "worse");
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
                   CU_add_test(s, "GSM8K numbers", gsm8k_numbers) &&
                   CU_add_test(s, "MATH normalisation", math_normalisation) &&
                   CU_add_test(s, "MATH answers and equality", math_answers) &&
                   CU_add_test(s, "BBH answers", bbh_answers) && CU_add_test(s, "DROP scores", drop_scores) &&
                   CU_add_test(s, "Wilson intervals as published", wilson) &&
                   CU_add_test(s, "quantiles of Student's t as tabulated", student) &&
                   CU_add_test(s, "means and their intervals by hand", means) &&
                   CU_add_test(s, "changes of scores as published", changes) &&
                   CU_add_test(s, "equal, worse, better or undecided", equivalence) &&
                   CU_add_test(s, "McNemar's exact p by hand", mcnemar) &&
                   CU_add_test(s, "bootstrap intervals", bootstrap)
               ? 0
               : -1;
}

/* Answers that are numbers or formulas: GSM8K's "#### 18", MATH's \boxed{..}, compared as their official scripts do,
 * and by value where that decides. */
#ifndef BA_SCORE_MATH_H
#define BA_SCORE_MATH_H

#include <stdbool.h>

/* GSM8K: the number after the first "####", as the official regular expression takes it (commas taken out); "" if
 * there is none. malloc'ed; NULL: out of memory. */
char *ba_gsm8k_marked(const char *output);
/* The last number of a text without currency signs, commas and a final point; "" if there is none. Its sign counts in
 * "-$5" too, and as U+2212. */
char *ba_last_number(const char *output);

/* MATH: what the last \boxed{..} (or \fbox{..}) holds, or "\boxed 5"; where nothing is boxed, what follows "final answer
 * is" without $ signs and the point (the form of the few-shot solutions); "" if there is neither. malloc'ed; NULL: out of
 * memory. */
char *ba_math_answer(const char *output);
/* The official normalisation (hendrycks/math, _strip_string). malloc'ed; NULL: out of memory. */
char *ba_math_normalise(const char *answer);
/* Equal when normalised, or equal as numbers (decimals, fractions, thousands separators). */
bool ba_math_equal(const char *a, const char *b);

#endif

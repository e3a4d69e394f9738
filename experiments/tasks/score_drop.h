/* DROP's exact match and F1 (its evaluation script, in AllenNLP): bags of words without case, punctuation and articles,
 * numbers by value; an answer with numbers counts only if one of them was given. */
#ifndef BA_SCORE_DROP_H
#define BA_SCORE_DROP_H

#include <stddef.h>

/* The best over the accepted answers [n], each of one span. F1 in hundredths, as the script rounds it. NaN: out of
 * memory. */
void ba_drop_score(const char *output, char *const *answers, size_t n, double *em, double *f1);

#endif

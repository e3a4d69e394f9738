/* Answers in words, as the SQuAD evaluation script normalises and compares them: lower case, without punctuation,
 * without articles, single spaces. Tested against that script's and rag_eval.py's values. */
#ifndef BA_SCORE_TEXT_H
#define BA_SCORE_TEXT_H

#include <stddef.h>

/* malloc'ed; NULL: out of memory. What is no UTF-8 is left out. */
char *ba_squad_normalise(const char *text);

/* Of the output against the accepted answers [n]; NaN: out of memory. */
double ba_subspan_em(const char *output, char *const *answers, size_t n); /* 1: a normalised answer is in the output */
double ba_squad_em(const char *output, char *const *answers, size_t n);   /* 1: it is the output */
double ba_squad_f1(const char *output, char *const *answers, size_t n);   /* the best F1 over words */

#endif

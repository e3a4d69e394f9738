/* Answers in words, as the SQuAD evaluation script normalises and compares them: lower case, without punctuation,
 * without articles, single spaces. Tested against that script's and rag_eval.py's values. */
#ifndef BA_SCORE_TEXT_H
#define BA_SCORE_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* Both malloc'ed; NULL: out of memory. What is not UTF-8 is left out. */
char *ba_squad_normalise(const char *text);
/* Lower case as Python's str.lower makes it; punctuation: ASCII's (string.punctuation) stays. */
char *ba_text_lower(const char *text, bool punctuation);

/* Whether Python's float() takes the text (digits of any script, underscores between digits, spaces of any kind around it),
 * and its value. */
bool ba_python_float(const char *text, double *out);

/* Of the output against the accepted answers [n]; NaN: out of memory. */
double ba_subspan_em(const char *output, char *const *answers, size_t n); /* 1: a normalised answer is in the output */
double ba_squad_em(const char *output, char *const *answers, size_t n);   /* 1: it is the output */
double ba_squad_f1(const char *output, char *const *answers, size_t n);   /* the best F1 over words */

#endif

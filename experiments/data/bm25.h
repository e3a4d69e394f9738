/* Which of a few passages fits a question best: BM25 (Robertson and Zaragoza 2009; k1 0.9, b 0.4) over the words that
 * SQuAD's normalisation leaves, with the frequencies of just these passages. */
#ifndef BA_BM25_H
#define BA_BM25_H

#include <stddef.h>

/* score[n] of the passages. 0, or -1: out of memory. */
int ba_bm25(const char *question, const char *const *passage, size_t n, double *score);

#endif

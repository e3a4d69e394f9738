/* Table 3 of the paper as printed (Ma et al., arXiv 2409.15355): Llama-3.1-8B shapes, a question of 50 tokens, KV of
 * all passages in memory. Its FLOPs are cut off, not rounded: see ba_cut. */
#ifndef BA_PAPER_ROW_H
#define BA_PAPER_ROW_H

#include <stddef.h>
#include <stdint.h>

typedef struct ba_paper_row {
    size_t length; /* of the prompt, question included */
    double ttft_full_ms, ttft_block_ms;
    const char *flops_full, *flops_block, *reduction; /* as printed */
} ba_paper_row;

#define BA_PAPER_SHAPE "llama-3.1-8b"
enum { BA_PAPER_QUESTION = 50 };

/* NULL if the paper has no such length. */
const ba_paper_row *ba_paper_row_at(size_t length);

/* A number in the paper's manner: the first `digits` digits, the others cut off. */
typedef struct ba_cut {
    uint64_t lead; /* the digits as a whole number, 10^(digits - 1) <= lead < 10^digits, or 0 */
    int exponent;  /* value = lead x 10^exponent */
    int digits;
} ba_cut;
ba_cut ba_cut_off(uint64_t x, int digits);
/* "7.5e11" */
void ba_cut_print(ba_cut c, char *out, size_t size);
/* Digits of a figure such as "2.45e14": 3. */
int ba_digits_of(const char *figure);
/* 1 - part / whole in tenths of a per cent, cut off, computed from the cut numbers. part <= whole, whole > 0. */
unsigned ba_cut_reduction(ba_cut whole, ba_cut part);

#endif

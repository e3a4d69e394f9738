/* Questions about code points, answered as the Python library `tokenizers` 0.23 answers them. utf8proc's categories are
 * the base; unicode_tables.h lists where the library, whose parts have older and newer Unicode versions, differs. */
#ifndef BA_UNICODE_H
#define BA_UNICODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

bool ba_is_white(int32_t code);       /* White_Space: what Strip, WhitespaceSplit and \s mean */
bool ba_is_letter(int32_t code);      /* \p{L} in a regular expression */
bool ba_is_number(int32_t code);      /* \p{N} in a regular expression */
bool ba_is_numeric(int32_t code);     /* what Digits means */
bool ba_is_punctuation(int32_t code); /* what Punctuation and BertPreTokenizer mean */
bool ba_is_word(int32_t code);        /* \w in Whitespace and in an added token's single_word */
bool ba_is_mark(int32_t code);        /* what StripAccents removes */
bool ba_is_control(int32_t code);     /* what BertNormalizer's clean_text removes, tab and line ends excepted */
bool ba_is_nonspacing(int32_t code);  /* what BertNormalizer's strip_accents removes */

/* Code points that the library's normal forms do not know: they neither decompose nor compose nor change place. */
bool ba_is_young(int32_t code);

/* Lower case of one code point into out[0..2); returns how many code points it is, 1 or 2. */
size_t ba_lower(int32_t code, int32_t out[2]);

/* Writes the code point as UTF-8 into out[0..4); returns its length. */
size_t ba_utf8_put(int32_t code, char *out);

/* The character of a byte in GPT-2's alphabet: printable Latin-1 maps to itself, the others follow from U+0100. */
int32_t ba_byte_letter(unsigned char byte);

#endif

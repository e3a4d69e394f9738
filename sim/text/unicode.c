#include "unicode.h"

#include "unicode_tables.h"
#include <utf8proc.h>

#define COUNT(table) (sizeof(table) / sizeof *(table))

static bool listed(const span *table, size_t n, int32_t code) {
    size_t lo = 0, hi = n;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (code > table[mid].last) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo < n && code >= table[lo].first && code <= table[lo].last;
}

#define LISTED(table, code) listed(table, COUNT(table), code)

static uint32_t category_bit(int32_t code) {
    return UINT32_C(1) << utf8proc_category(code);
}

#define BIT(name)   (UINT32_C(1) << UTF8PROC_CATEGORY_##name)
#define LETTERS     (BIT(LU) | BIT(LL) | BIT(LT) | BIT(LM) | BIT(LO))
#define MARKS       (BIT(MN) | BIT(MC) | BIT(ME))
#define NUMBERS     (BIT(ND) | BIT(NL) | BIT(NO))
#define PUNCTUATION (BIT(PC) | BIT(PD) | BIT(PS) | BIT(PE) | BIT(PI) | BIT(PF) | BIT(PO))

bool ba_is_white(int32_t c) {
    if (c < 0x85) {
        return c == ' ' || (c >= 9 && c <= 13);
    }
    return c == 0x85 || (category_bit(c) & (BIT(ZS) | BIT(ZL) | BIT(ZP)));
}

static bool ascii_letter(int32_t c) {
    return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
}

bool ba_is_letter(int32_t c) {
    return c < 0x80 ? ascii_letter(c) : (category_bit(c) & LETTERS) || LISTED(letter_more, c);
}

bool ba_is_number(int32_t c) {
    return c < 0x80 ? c >= '0' && c <= '9' : (category_bit(c) & NUMBERS) || LISTED(number_more, c);
}

bool ba_is_numeric(int32_t c) {
    return c < 0x80 ? c >= '0' && c <= '9' : (category_bit(c) & NUMBERS) || LISTED(numeric_more, c);
}

bool ba_is_punctuation(int32_t c) {
    if (c < 0x80) {
        return c > 32 && c < 127 && !ascii_letter(c) && !(c >= '0' && c <= '9');
    }
    return (category_bit(c) & PUNCTUATION) ? !LISTED(punctuation_less, c) : LISTED(punctuation_more, c);
}

/* Alphabetic though neither letter nor mark (circled and squared letters), and the two joiners. */
static bool is_word_extra(int32_t c) {
    return (c >= 0x24b6 && c <= 0x24e9) || (c >= 0x1f130 && c <= 0x1f149) || (c >= 0x1f150 && c <= 0x1f169) ||
           (c >= 0x1f170 && c <= 0x1f189) || c == 0x200c || c == 0x200d;
}

bool ba_is_word(int32_t c) {
    if (c < 0x80) {
        return ascii_letter(c) || (c >= '0' && c <= '9') || c == '_';
    }
    return (category_bit(c) & (LETTERS | MARKS | BIT(ND) | BIT(NL) | BIT(PC))) || is_word_extra(c) ||
           LISTED(word_more, c);
}

bool ba_is_mark(int32_t c) {
    return (category_bit(c) & MARKS) ? !LISTED(mark_less, c) : LISTED(mark_more, c);
}

bool ba_is_control(int32_t c) {
    return c != '\t' && c != '\n' && c != '\r' && (category_bit(c) & (BIT(CC) | BIT(CF) | BIT(CS) | BIT(CO))) &&
           !LISTED(control_less, c);
}

bool ba_is_nonspacing(int32_t c) {
    return (category_bit(c) & BIT(MN)) ? !LISTED(nonspacing_less, c) : LISTED(nonspacing_more, c);
}

bool ba_is_young(int32_t c) {
    return c >= young[0].first && LISTED(young, c);
}

size_t ba_lower(int32_t c, int32_t out[2]) {
    out[0] = c;
    if (c < 0x80) {
        out[0] = c >= 'A' && c <= 'Z' ? c | 0x20 : c;
        return 1;
    }
    if (c == 0x130) { /* the only code point whose lower case is two */
        out[0] = 'i';
        out[1] = 0x307;
        return 2;
    }
    for (size_t i = 0; i < COUNT(lower); i++) {
        if (lower[i].first == c) {
            out[0] = lower[i].last;
            return 1;
        }
    }
    out[0] = utf8proc_tolower(c);
    return 1;
}

size_t ba_utf8_put(int32_t code, char *out) {
    return (size_t)utf8proc_encode_char(code, (utf8proc_uint8_t *)out);
}

int32_t ba_byte_letter(unsigned char byte) {
    if ((byte >= 33 && byte <= 126) || byte >= 174 || (byte >= 161 && byte <= 172)) {
        return byte;
    }
    return byte < 33 ? 256 + byte : byte < 161 ? 256 + 33 + byte - 127 : 256 + 67;
}

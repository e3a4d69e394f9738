/* Normalisers: one function each, and the table. */
#include "sim/base/utf8.h"
#include "sim/text/normal_form.h"
#include "sim/text/unicode.h"
#include "step.h"
#include <stdlib.h>
#include <string.h>

/* Bytes of `in` from the beginning of the input. */
static size_t top_bytes(const ba_line *in) {
    size_t n = 0;
    while (n < in->n && in->top[n]) {
        n++;
    }
    return n;
}

/* The normal form of `in`, text[0..n). As many of its characters come from the beginning of the input as the normal form
 * of that beginning has by itself: what follows is composed with its last character, or comes after it. */
static int put_form(ba_form form, const ba_line *in, ba_line *out, const char *text, size_t n) {
    char *beginning = NULL;
    size_t n_beginning = 0, top = top_bytes(in), i = 0, len;
    int32_t code;
    if (ba_line_put(out, text, n, false)) {
        return -1;
    }
    if (top && ba_normal_form(form, in->s, top, &beginning, &n_beginning, NULL)) {
        return -1;
    }
    for (size_t at = 0; (len = ba_utf8_next(beginning + at, n_beginning - at, &code)) > 0; at += len) {
        size_t have = ba_line_next(out, i, &code);
        memset(out->top + i, 1, have);
        i += have;
    }
    free(beginning);
    return 0;
}

static int normal_form(ba_form form, const ba_line *in, ba_line *out) {
    char *text;
    size_t n, i = 0;
    while (i < in->n && !((unsigned char)in->s[i] & 0x80)) {
        i++;
    }
    if (i == in->n) { /* ASCII is in every form */
        return ba_line_copy(out, in, 0, in->n);
    }
    if (ba_normal_form(form, in->s, in->n, &text, &n, NULL)) {
        return -1;
    }
    int rc = n == in->n && memcmp(text, in->s, n) == 0 ? ba_line_copy(out, in, 0, n) : put_form(form, in, out, text, n);
    free(text);
    return rc;
}

static int nfc(const ba_step *s, const ba_line *in, bool first, ba_line *out) {
    (void)s, (void)first;
    return normal_form(BA_NFC, in, out);
}

static int nfd(const ba_step *s, const ba_line *in, bool first, ba_line *out) {
    (void)s, (void)first;
    return normal_form(BA_NFD, in, out);
}

static int nfkc(const ba_step *s, const ba_line *in, bool first, ba_line *out) {
    (void)s, (void)first;
    return normal_form(BA_NFKC, in, out);
}

static int nfkd(const ba_step *s, const ba_line *in, bool first, ba_line *out) {
    (void)s, (void)first;
    return normal_form(BA_NFKD, in, out);
}

/* Appends what one character becomes. */
typedef int (*map_character)(const ba_step *s, int32_t code, bool top, ba_line *out);

static int map(const ba_step *s, const ba_line *in, ba_line *out, map_character one) {
    int32_t code;
    for (size_t i = 0, len; (len = ba_line_next(in, i, &code)) > 0; i += len) {
        if (one(s, code, in->top[i], out)) {
            return -1;
        }
    }
    return 0;
}

static int lower_one(const ba_step *s, int32_t code, bool top, ba_line *out) {
    int32_t low[2];
    size_t n = ba_lower(code, low);
    (void)s;
    return ba_line_put_code(out, low[0], top) || (n > 1 && ba_line_put_code(out, low[1], top)) ? -1 : 0;
}

static int lowercase(const ba_step *s, const ba_line *in, bool first, ba_line *out) {
    (void)first;
    return map(s, in, out, lower_one);
}

static int unaccented_one(const ba_step *s, int32_t code, bool top, ba_line *out) {
    (void)s;
    return ba_is_mark(code) ? 0 : ba_line_put_code(out, code, top);
}

static int strip_accents(const ba_step *s, const ba_line *in, bool first, ba_line *out) {
    (void)first;
    return map(s, in, out, unaccented_one);
}

/* The character map of SentencePiece's "nmt" rule. */
static int nmt_one(const ba_step *s, int32_t c, bool top, ba_line *out) {
    (void)s;
    if ((c >= 1 && c <= 8) || c == 0xb || (c >= 0xe && c <= 0x1f) || c == 0x7f || c == 0x8f || c == 0x9f) {
        return 0;
    }
    bool space = c == 9 || c == 0xa || c == 0xc || c == 0xd || c == 0x1680 || (c >= 0x200b && c <= 0x200f) ||
                 c == 0x2028 || c == 0x2029 || c == 0x2581 || c == 0xfeff || c == 0xfffd;
    return ba_line_put_code(out, space ? ' ' : c, top);
}

static int nmt(const ba_step *s, const ba_line *in, bool first, ba_line *out) {
    (void)first;
    return map(s, in, out, nmt_one);
}

static int byte_level(const ba_step *s, const ba_line *in, bool first, ba_line *out) {
    (void)s, (void)first;
    return ba_line_byte_level(in, 0, in->n, out);
}

/* yes[0]: left; yes[1]: right. */
static int strip(const ba_step *s, const ba_line *in, bool first, ba_line *out) {
    size_t start = 0, end = 0, len;
    int32_t code;
    (void)first;
    while (s->yes[0] && (len = ba_line_next(in, start, &code)) > 0 && ba_is_white(code)) {
        start += len;
    }
    for (size_t i = start; (len = ba_line_next(in, i, &code)) > 0; i += len) {
        end = ba_is_white(code) ? end : i + len;
    }
    end = s->yes[1] ? end : in->n;
    return start < end ? ba_line_copy(out, in, start, end - start) : 0;
}

static int prepend(const ba_step *s, const ba_line *in, bool first, ba_line *out) {
    (void)first;
    if (in->n == 0) {
        return 0;
    }
    return ba_line_put(out, s->with.s, s->with.n, in->top[0]) || ba_line_copy(out, in, 0, in->n) ? -1 : 0;
}

static const char *check_prepend(const ba_step *s) {
    return s->with.n ? NULL : "'prepend' is empty, with which the library breaks the text";
}

/* Where a pattern matches no text at the very beginning, the library (0.23) loses track of which character comes from
 * which: later steps then repeat text or panic. There is no right value to agree with. */
static const char empty_match[] = "its pattern matches the empty text at the beginning, which is not supported: the "
                                  "library breaks the text with it";

static int note_match(void *to, size_t start, size_t end) {
    (void)start, (void)end;
    *(bool *)to = true;
    return 0;
}

static const char *check_replace(const ba_step *s) {
    bool found = false;
    return ba_step_scan(s, "", 0, note_match, &found) == 0 && found ? empty_match : NULL;
}

/* A replacement in progress: text up to `done` is in `out`. */
typedef struct replacing {
    const ba_step *step;
    const ba_line *in;
    ba_line *out;
    size_t done;
} replacing;

static int replace_match(void *to, size_t start, size_t end) {
    replacing *r = to;
    if (end == 0) {
        r->out->why = empty_match;
        return -1;
    }
    bool top = r->in->top[end - 1];
    if (ba_line_copy(r->out, r->in, r->done, start - r->done) ||
        ba_line_put(r->out, r->step->with.s, r->step->with.n, top)) {
        return -1;
    }
    r->done = end;
    return 0;
}

static int replace(const ba_step *s, const ba_line *in, bool first, ba_line *out) {
    replacing r = {s, in, out, 0};
    (void)first;
    if (in->n == 0) {
        return 0;
    }
    return ba_step_scan(s, in->s, in->n, replace_match, &r) || ba_line_copy(out, in, r.done, in->n - r.done) ? -1 : 0;
}

static int clean_one(const ba_step *s, int32_t c, bool top, ba_line *out) {
    (void)s;
    if (c == 0 || c == 0xfffd || ba_is_control(c)) {
        return 0;
    }
    return ba_line_put_code(out, ba_is_white(c) ? ' ' : c, top);
}

static bool is_chinese(int32_t c) {
    return (c >= 0x4e00 && c <= 0x9fff) || (c >= 0x3400 && c <= 0x4dbf) || (c >= 0x20000 && c <= 0x2a6df) ||
           (c >= 0x2a700 && c <= 0x2b73f) || (c >= 0x2b740 && c <= 0x2b81f) || (c >= 0x2b920 && c <= 0x2ceaf) ||
           (c >= 0xf900 && c <= 0xfaff) || (c >= 0x2f800 && c <= 0x2fa1f);
}

static int space_chinese_one(const ba_step *s, int32_t c, bool top, ba_line *out) {
    (void)s;
    if (!is_chinese(c)) {
        return ba_line_put_code(out, c, top);
    }
    return ba_line_put(out, " ", 1, top) || ba_line_put_code(out, c, top) || ba_line_put(out, " ", 1, top) ? -1 : 0;
}

static int spacing_one(const ba_step *s, int32_t c, bool top, ba_line *out) {
    (void)s;
    return ba_is_nonspacing(c) ? 0 : ba_line_put_code(out, c, top);
}

/* Slots of yes[]. Without strip_accents in the file, accents go if letters become lower case. */
enum { CLEAN, CHINESE, LOWER, ACCENTS, ACCENTS_GIVEN };

static int bert(const ba_step *s, const ba_line *in, bool first, ba_line *out) {
    bool lower = s->yes[LOWER], strip_marks = s->yes[ACCENTS_GIVEN] ? s->yes[ACCENTS] : lower;
    struct {
        bool on, decompose;
        map_character one;
    } part[] = {{s->yes[CLEAN], false, clean_one},
                {s->yes[CHINESE], false, space_chinese_one},
                {strip_marks, true, NULL},
                {strip_marks, false, spacing_one},
                {lower, false, lower_one}};
    ba_line line[2] = {{0}, {0}}; /* read and written in turns */
    int rc = ba_line_copy(&line[0], in, 0, in->n), now = 0;
    (void)first;
    for (size_t i = 0; !rc && i < sizeof part / sizeof *part; i++) {
        if (part[i].on) {
            ba_line *from = &line[now], *to = &line[!now];
            ba_line_clear(to);
            rc = part[i].decompose ? normal_form(BA_NFD, from, to) : map(s, from, to, part[i].one);
            now = !now;
        }
    }
    rc = rc || ba_line_copy(out, &line[now], 0, line[now].n) ? -1 : 0;
    ba_line_free(&line[0]);
    ba_line_free(&line[1]);
    return rc;
}

static const ba_step_type types[] = {
    {.name = "NFC", .normalise = nfc},
    {.name = "NFD", .normalise = nfd},
    {.name = "NFKC", .normalise = nfkc},
    {.name = "NFKD", .normalise = nfkd},
    {.name = "Lowercase", .normalise = lowercase},
    {.name = "StripAccents", .normalise = strip_accents},
    {.name = "Nmt", .normalise = nmt},
    {.name = "ByteLevel", .normalise = byte_level},
    {.name = "Strip",
     .field = {{"strip_left", BA_VALUE_FLAG, 0, true}, {"strip_right", BA_VALUE_FLAG, 1, true}},
     .normalise = strip},
    {.name = "Prepend", .field = {{"prepend", BA_VALUE_TEXT, 0, true}}, .check = check_prepend, .normalise = prepend},
    {.name = "Replace",
     .field = {{"pattern", BA_VALUE_PATTERN, 0, true}, {"content", BA_VALUE_TEXT, 0, true}},
     .check = check_replace,
     .normalise = replace},
    {.name = "BertNormalizer",
     .field = {{"clean_text", BA_VALUE_FLAG, CLEAN, true},
               {"handle_chinese_chars", BA_VALUE_FLAG, CHINESE, true},
               {"strip_accents", BA_VALUE_MAYBE, ACCENTS, false},
               {"lowercase", BA_VALUE_FLAG, LOWER, true}},
     .normalise = bert},
    {.name = "Precompiled", .refused = "its map of characters is in SentencePiece's own binary format"},
};

const ba_step_type *ba_normalizer_at(size_t i) {
    return i < sizeof types / sizeof *types ? &types[i] : NULL;
}

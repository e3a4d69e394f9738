#include "score_math.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Every `from` becomes `to`. Frees text; NULL: out of memory, also if text was NULL. */
static char *replace(char *text, const char *from, const char *to) {
    char *out = NULL, *next;
    size_t size = 0;
    FILE *f = text ? open_memstream(&out, &size) : NULL;
    if (!f) {
        free(text);
        return NULL;
    }
    char *at = text;
    while ((next = strstr(at, from))) {
        fwrite(at, 1, (size_t)(next - at), f);
        fputs(to, f);
        at = next + strlen(from);
    }
    fputs(at, f);
    if (fclose(f)) {
        free(out);
        out = NULL;
    }
    free(text);
    return out;
}

/* ---- numbers in running text ------------------------------------------------------------------------------------ */

char *ba_gsm8k_marked(const char *output) {
    for (const char *mark = output; (mark = strstr(mark, "#### ")); mark++) {
        const char *at = mark + 5;
        size_t n = *at == '-';
        size_t digits = strspn(at + n, "0123456789.,");
        if (digits) {
            return replace(strndup(at, n + digits), ",", "");
        }
    }
    return strdup("");
}

/* Length of the sign of currency that ends at s; 0: none ends there. */
static size_t currency_before(const char *text, const char *s) {
    static const char *const signs[] = {"$", "\xc2\xa3", "\xc2\xa5", "\xe2\x82\xac"}; /* pound, yen, euro */
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++) {
        size_t n = strlen(signs[i]);
        if ((size_t)(s - text) >= n && memcmp(s - n, signs[i], n) == 0) {
            return n;
        }
    }
    return 0;
}

static const char minus_sign[] = "\xe2\x88\x92"; /* U+2212 */

/* Whether the number at s is negative: a minus in front of it, or of its sign of currency, that is none between two
 * words or numbers. */
static bool is_negative(const char *text, const char *s) {
    s -= currency_before(text, s);
    size_t n = s > text && s[-1] == '-' ? 1 : strlen(minus_sign);
    if ((size_t)(s - text) < n || (n > 1 && memcmp(s - n, minus_sign, n) != 0)) {
        return false;
    }
    s -= n;
    return s == text || !isalnum((unsigned char)s[-1]);
}

char *ba_last_number(const char *output) {
    const char *best = "", *sign = "";
    size_t len = 0;
    for (const char *s = output; *s; s++) {
        if (!isdigit((unsigned char)*s)) {
            continue;
        }
        size_t n = strspn(s, "0123456789.,");
        best = s;
        len = n;
        if (s > output && s[-1] == '.' && (s - 1 == output || !isalnum((unsigned char)s[-2]))) {
            best--;
            len++;
        }
        sign = is_negative(output, best) ? "-" : "";
        s += n - 1;
    }
    while (len && strchr(".,", best[len - 1])) {
        len--;
    }
    char *number = NULL;
    if (asprintf(&number, "%s%.*s", len ? sign : "", (int)len, best) < 0) {
        return NULL;
    }
    return replace(number, ",", "");
}

/* ---- MATH ------------------------------------------------------------------------------------------------------- */

static const char *find_last(const char *text, const char *what) {
    const char *last = NULL;
    for (const char *s = text; (s = strstr(s, what)); s++) {
        last = s;
    }
    return last;
}

/* What the braces hold that follow a box directly, to the one that closes them; NULL: nothing does, or out of memory. */
static char *braced(const char *box, size_t name) {
    size_t depth = 0;
    for (const char *c = box + name; *c == '{' || depth > 0; c++) {
        depth += *c == '{';
        if (!*c) {
            return NULL;
        }
        if (*c == '}' && --depth == 0) {
            return strndup(box + name + 1, (size_t)(c - box - name - 1));
        }
    }
    return NULL;
}

/* As the published scorer takes it (last_boxed_only_string of hendrycks/math, as lm-evaluation-harness has it): "\\boxed 5"
 * holds what follows, up to the next $; else what the braces of the last box hold. NULL: there is none. */
static char *boxed(const char *output) {
    static const char open[] = "\\boxed ";
    const char *box = find_last(output, open);
    if (box) {
        box += strlen(open);
        return strndup(box, strcspn(box, "$"));
    }
    box = find_last(output, "\\boxed");
    if (box) {
        return braced(box, strlen("\\boxed"));
    }
    box = find_last(output, "\\fbox");
    return box ? braced(box, strlen("\\fbox")) : NULL;
}

static char *stated(const char *output) {
    static const char mark[] = "final answer is";
    const char *at = find_last(output, mark);
    if (!at) {
        return strdup("");
    }
    at += strlen(mark);
    at += strspn(at, " :");
    const char *hope = strstr(at, ". I hope");
    size_t n = hope ? (size_t)(hope - at) : strcspn(at, "\n");
    while (n && strchr(". ", at[n - 1])) {
        n--;
    }
    if (n > 1 && *at == '$' && at[n - 1] == '$') {
        at++;
        n -= 2;
    }
    return strndup(at, n);
}

char *ba_math_answer(const char *output) {
    char *answer = boxed(output);
    if (answer && *answer) {
        return answer;
    }
    free(answer); /* a box that was only begun holds no answer */
    return stated(output);
}

/* "\sqrt3" becomes "\sqrt{3}". */
static char *brace_roots(char *text) {
    char *out = NULL;
    size_t size = 0;
    FILE *f = text ? open_memstream(&out, &size) : NULL;
    for (const char *s = text; f && *s;) {
        if (strncmp(s, "\\sqrt", 5) == 0 && s[5] && s[5] != '{') {
            fprintf(f, "\\sqrt{%c}", s[5]);
            s += 6;
        } else {
            putc(*s++, f);
        }
    }
    free(text);
    return f && !fclose(f) ? out : NULL;
}

/* "\frac12" becomes "\frac{1}{2}", "\frac1{72}" becomes "\frac{1}{72}"; one that is cut short leaves the text unchanged. */
static char *brace_fractions(char *text) {
    char *out = NULL;
    size_t size = 0;
    FILE *f = text ? open_memstream(&out, &size) : NULL;
    bool whole = true;
    for (const char *s = text; f && *s;) {
        if (strncmp(s, "\\frac", 5) != 0 || s[5] == '{') {
            putc(*s++, f);
            continue;
        }
        if (!s[5] || !s[6] || strncmp(s + 5, "\\frac", 5) == 0) {
            whole = false;
            break;
        }
        fprintf(f, s[6] == '{' ? "\\frac{%c}" : "\\frac{%c}{%c}", s[5], s[6]);
        s += s[6] == '{' ? 6 : 7;
    }
    if (!f || fclose(f)) {
        free(text);
        return NULL;
    }
    free(whole ? text : out);
    return whole ? out : text;
}

/* Reads a whole number at *s, which moves past it. false: there is none, or it is too large. */
static bool take_whole(const char **s, long *out) {
    char *end;
    errno = 0;
    *out = strtol(*s, &end, 10);
    bool taken = end > *s && errno == 0;
    *s = end;
    return taken;
}

/* Whether `text` is at *s, which then moves past it. */
static bool take_text(const char **s, const char *text) {
    size_t n = strlen(text);
    bool taken = strncmp(*s, text, n) == 0;
    *s += taken ? n : 0;
    return taken;
}

/* "3/4", of whole numbers and nothing else, becomes "\frac{3}{4}". */
static char *write_fraction(char *text) {
    long a, b;
    char same[64], *out = NULL;
    const char *at = text;
    if (!text || !take_whole(&at, &a) || !take_text(&at, "/") || !take_whole(&at, &b)) {
        return text;
    }
    snprintf(same, sizeof same, "%ld/%ld", a, b);
    if (strcmp(same, text) != 0) {
        return text;
    }
    free(text);
    return asprintf(&out, "\\frac{%ld}{%ld}", a, b) < 0 ? NULL : out;
}

char *ba_math_normalise(const char *answer) {
    static const char *const change[][2] = {{"\n", ""},        {"\\!", ""},    {"\\\\", "\\"},  {"tfrac", "frac"},
                                            {"dfrac", "frac"}, {"\\left", ""}, {"\\right", ""}, {"^{\\circ}", ""},
                                            {"^\\circ", ""},   {"\\$", ""}};
    char *s = strdup(answer);
    for (size_t i = 0; i < sizeof change / sizeof *change; i++) {
        s = replace(s, change[i][0], change[i][1]);
    }
    char *unit = s ? strstr(s, "\\text{ ") : NULL;
    if (unit) {
        *unit = 0;
    }
    s = replace(replace(replace(s, "\\%", ""), " .", " 0."), "{.", "{0.");
    char *more = NULL;
    if (s && *s == '.') {
        more = asprintf(&more, "0%s", s) < 0 ? NULL : more;
        free(s);
        s = more;
    }
    char *equals = s ? strchr(s, '=') : NULL;
    if (equals && !strchr(equals + 1, '=') && equals - s <= 2) {
        memmove(s, equals + 1, strlen(equals + 1) + 1);
    }
    s = brace_fractions(replace(brace_roots(s), " ", ""));
    if (s && strcmp(s, "0.5") == 0) {
        free(s);
        s = strdup("\\frac{1}{2}");
    }
    return write_fraction(s);
}

/* A decimal with or without thousands separators, or a fraction of two whole numbers. */
static bool number_of(const char *text, double *out) {
    char plain[64];
    size_t n = 0;
    if (strncmp(text, minus_sign, strlen(minus_sign)) == 0) {
        plain[n++] = '-';
        text += strlen(minus_sign);
    }
    for (const char *s = text; *s; s++) {
        bool separator = *s == ',' && s > text && isdigit((unsigned char)s[-1]) && isdigit((unsigned char)s[1]) &&
                         isdigit((unsigned char)s[2]) && isdigit((unsigned char)s[3]) && !isdigit((unsigned char)s[4]);
        if (n + 1 == sizeof plain || (*s == ',' && !separator)) {
            return false;
        }
        if (!separator) {
            plain[n++] = *s;
        }
    }
    plain[n] = 0;
    long top, bottom;
    const char *at = plain;
    double sign = take_text(&at, "-") ? -1 : 1;
    if (take_text(&at, "\\frac{") && take_whole(&at, &top) && take_text(&at, "}{") && take_whole(&at, &bottom) &&
        take_text(&at, "}") && !*at && bottom != 0) {
        *out = sign * (double)top / (double)bottom;
        return true;
    }
    char *end;
    *out = strtod(plain, &end);
    return n > 0 && !*end && strspn(plain, "+-.0123456789eE") == n && isfinite(*out);
}

bool ba_math_equal(const char *a, const char *b) {
    char *x = ba_math_normalise(a), *y = ba_math_normalise(b);
    double p, q;
    bool equal = x && y && *x && strcmp(x, y) == 0;
    if (x && y && !equal && number_of(x, &p) && number_of(y, &q)) {
        equal = fabs(p - q) <= 1e-9 * fmax(fabs(p), fabs(q));
    }
    free(x);
    free(y);
    return equal;
}

#include "added_tokens.h"

#include "sim/base/utf8.h"
#include "sim/recipe/pipeline.h"
#include "sim/text/unicode.h"
#include <stdlib.h>
#include <string.h>

static int add(ba_added_tokens *a, const ba_recipe *recipe, size_t i, char err[BA_ERR_LEN]) {
    const ba_added_token *t = &recipe->added[i];
    if (!t->normalized) {
        return ba_special_tokens_add(&a->marks, t->text, (int32_t)i) ? ba_fail(err, "out of memory") : 0;
    }
    ba_line line = {0};
    int rc = -1;
    if (ba_normalise(recipe, t->text.s, t->text.n, &line, err) != 0) {
        goto done;
    }
    if (line.n == 0) {
        ba_fail(err, "its added token '%.*s' is empty once normalised", t->text.n < 64 ? (int)t->text.n : 64,
                t->text.s);
    } else {
        char *text = malloc(line.n);
        rc = text && ba_special_tokens_add(&a->marks, (ba_span){memcpy(text, line.s, line.n), line.n}, (int32_t)i) == 0
                 ? 0
                 : ba_fail(err, "out of memory");
        if (rc) {
            free(text);
        }
    }
done:
    ba_line_free(&line);
    return rc;
}

int ba_added_tokens_init(ba_added_tokens *a, const ba_recipe *recipe, bool normalized, char err[BA_ERR_LEN]) {
    *a = (ba_added_tokens){.of = recipe->added, .normalized = normalized};
    for (size_t i = 0; i < recipe->n_added; i++) {
        if (recipe->added[i].normalized == normalized && add(a, recipe, i, err) != 0) {
            return -1;
        }
    }
    ba_special_tokens_sort(&a->marks);
    for (size_t i = 1; i < a->marks.n; i++) {
        const ba_span x = a->marks.item[i - 1].text, y = a->marks.item[i].text;
        if (x.n == y.n && memcmp(x.s, y.s, x.n) == 0) {
            return ba_fail(err, "two of its added tokens are '%.*s' once normalised", x.n < 64 ? (int)x.n : 64, x.s);
        }
    }
    return 0;
}

void ba_added_tokens_free(ba_added_tokens *a) {
    for (size_t i = 0; a->normalized && i < a->marks.n; i++) {
        free((char *)a->marks.item[i].text.s);
    }
    ba_special_tokens_free(&a->marks);
    *a = (ba_added_tokens){0};
}

/* Code point that ends at text[at), at > 0. */
static int32_t code_before(const char *text, size_t at, size_t *len) {
    int32_t code = 0;
    size_t start = at - 1;
    while (start > 0 && ((unsigned char)text[start] & 0xc0) == 0x80) {
        start--;
    }
    *len = at - start;
    ba_utf8_next(text + start, at - start, &code);
    return code;
}

static bool alone(const char *text, size_t n, size_t start, size_t end) {
    int32_t code;
    size_t len;
    return !(start > 0 && ba_is_word(code_before(text, start, &len))) &&
           !(end < n && ba_utf8_next(text + end, n - end, &code) && ba_is_word(code));
}

/* First of the white space that ends at `at`, not before `least`. */
static size_t white_before(const char *text, size_t least, size_t at) {
    for (size_t len; at > least && ba_is_white(code_before(text, at, &len));) {
        at -= len;
    }
    return at;
}

/* End of the white space that begins at `at`. *seen remembers a stretch that was walked before, so that many tokens in
 * one stretch do not each walk to its end. */
static size_t white_after(const char *text, size_t n, size_t at, size_t seen[2]) {
    size_t from = at, len;
    int32_t code;
    if (at >= seen[0] && at < seen[1]) {
        return seen[1];
    }
    while ((len = ba_utf8_next(text + at, n - at, &code)) > 0 && ba_is_white(code)) {
        at += len;
    }
    seen[0] = from;
    seen[1] = at;
    return at;
}

int ba_added_tokens_scan(const ba_added_tokens *a, const char *text, size_t n, bool special, ba_segment each,
                         void *to) {
    size_t done = 0, seen[2] = {0, 0};
    const ba_mark *mark;
    for (size_t from = 0, at; (at = ba_special_tokens_next(&a->marks, text, from, n, &mark)) < n;) {
        const ba_added_token *t = &a->of[mark->id];
        size_t start = at, end = at + mark->text.n;
        from = end;
        if ((t->special && !special) || (t->single_word && !alone(text, n, start, end))) {
            continue;
        }
        if (t->lstrip) { /* a token before this one may have taken the white space already */
            size_t white = start > done ? white_before(text, done, start) : done;
            start = white > done ? white : done;
        }
        end = t->rstrip ? white_after(text, n, end, seen) : end;
        /* A token that is white space itself may be left with none: then it is not there. */
        if ((done < start && each(to, done, start, -1)) || (start < end && each(to, start, end, t->id))) {
            return -1;
        }
        done = end;
    }
    return done < n ? each(to, done, n, -1) : 0;
}

#include "regex.h"

#include "sim/base/utf8.h"
#include <oniguruma.h>
#include <pthread.h>
#include <stdlib.h>

struct ba_regex {
    regex_t *onig;
};

static void initialise(void) {
    OnigEncoding encoding = ONIG_ENCODING_UTF8;
    onig_initialize(&encoding, 1);
}

int ba_regex_new(ba_span pattern, ba_regex **out, char err[BA_ERR_LEN]) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, initialise);
    const OnigUChar *s = (const OnigUChar *)pattern.s;
    OnigErrorInfo info;
    ba_regex *r = calloc(1, sizeof *r);
    if (!r) {
        return ba_fail(err, "out of memory");
    }
    int rc = onig_new(&r->onig, s, s + pattern.n, ONIG_OPTION_NONE, ONIG_ENCODING_UTF8, ONIG_SYNTAX_DEFAULT, &info);
    if (rc != ONIG_NORMAL) {
        OnigUChar why[ONIG_MAX_ERROR_MESSAGE_LEN];
        int n = onig_error_code_to_str(why, rc, &info);
        free(r);
        return ba_fail(err, "%.*s", n, (const char *)why);
    }
    *out = r;
    return 0;
}

void ba_regex_free(ba_regex *r) {
    if (r) {
        onig_free(r->onig);
        free(r);
    }
}

int ba_regex_scan(const ba_regex *r, const char *text, size_t n, ba_match found, void *to) {
    const OnigUChar *s = (const OnigUChar *)text;
    OnigRegion *region = onig_region_new();
    int rc = region ? 0 : -1;
    size_t last = SIZE_MAX; /* end of the last match */
    for (size_t from = 0; !rc && from <= n;) {
        int at = onig_search(r->onig, s, s + n, s + from, s + n, region, ONIG_OPTION_NONE);
        if (at < 0) {
            rc = at == ONIG_MISMATCH ? 0 : -1;
            break;
        }
        size_t start = (size_t)region->beg[0], end = (size_t)region->end[0];
        if (start == end && end == last) { /* on by one character, or the search would stay here */
            int32_t code;
            size_t len = ba_utf8_next(text + from, n - from, &code);
            from += len ? len : 1;
            continue;
        }
        from = last = end;
        rc = found(to, start, end);
    }
    onig_region_free(region, 1);
    return rc;
}

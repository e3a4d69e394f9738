/* Lists of attention modes on the command line. */
#include "sim/modes/modes.h"
#include "experiments/cli/guess.h"
#include "options.h"

#include <stdlib.h>
#include <string.h>

char **ba_modes_split(const char *list, size_t *n) {
    char *copy = strdup(list), **mode = calloc(strlen(list) + 2, sizeof *mode);
    *n = 0;
    if (!copy || !mode) {
        free(copy);
        free(mode);
        return NULL;
    }
    mode[(*n)++] = copy;
    for (char *c = strchr(copy, ','); c; c = strchr(c + 1, ',')) {
        size_t word = strcspn(c + 1, ",=:");
        if (c[1 + word] != '=') {
            *c = 0;
            mode[(*n)++] = c + 1;
        }
    }
    return mode;
}

void ba_modes_free(char **mode) {
    if (mode) {
        free(mode[0]);
        free(mode);
    }
}

/* What a refused spelling may have meant: another mode, or another parameter of its mode. */
static ba_guess guess_spelling(const char *spelling) {
    size_t name = strcspn(spelling, ":");
    const ba_mode *m = ba_mode_of(spelling), *other;
    ba_guess g = ba_guess_begin(spelling, name);
    for (size_t i = 0; !m && (other = ba_mode_at(i)); i++) {
        ba_guess_offer(&g, other->name);
    }
    for (const char *s = spelling + name; m && *s && !*g.text; s += strcspn(s, ",")) {
        size_t key = strcspn(++s, "=,");
        bool known = false;
        g = ba_guess_begin(s, key);
        for (const ba_mode_param *p = m->param; p->key; p++) {
            known |= strlen(p->key) == key && strncmp(p->key, s, key) == 0;
        }
        for (const ba_mode_param *p = m->param; p->key && !known; p++) {
            ba_guess_offer(&g, p->key);
        }
    }
    return g;
}

int ba_modes_check(const char *list, bool single, char err[BA_ERR_LEN]) {
    char canonical[256], why[BA_ERR_LEN];
    size_t n = 0;
    char **mode = ba_modes_split(list, &n);
    int rc = mode ? 0 : ba_fail(err, "out of memory");
    if (mode && single && n > 1) {
        rc = ba_fail(err, "--mode %s: one mode is needed here, not a list", list);
    }
    for (size_t i = 0; !rc && i < n; i++) {
        if (ba_mode_check(mode[i], canonical, sizeof canonical, why)) {
            rc = ba_fail(err, "--mode: %.*s%s", BA_ERR_LEN - 100, why, guess_spelling(mode[i]).text);
        }
    }
    ba_modes_free(mode);
    return rc;
}

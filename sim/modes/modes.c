/* The table of modes, how they are spelled, and building a plan. */
#include "modes.h"

#include "draft.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* One line a mode. */
#define MODES(M)                                                                                                       \
    M(full)                                                                                                            \
    M(block)                                                                                                           \
    M(block_nopos)                                                                                                     \
    M(turborag)                                                                                                        \
    M(promptcache)                                                                                                     \
    M(pcw)                                                                                                             \
    M(ape)                                                                                                             \
    M(superposition)                                                                                                   \
    M(lego)                                                                                                            \
    M(lego_0)                                                                                                          \
    M(cacheblend)                                                                                                      \
    M(kvlink)                                                                                                          \
    M(sink)                                                                                                            \
    M(selective)                                                                                                       \
    M(blockdist)                                                                                                       \
    M(splice)                                                                                                          \
    M(prophetkv)                                                                                                       \
    M(qcfuse)                                                                                                          \
    M(kvshift)                                                                                                         \
    M(editlocal)

#define DECLARE(name) extern const ba_mode ba_mode_##name;
#define LIST(name)    &ba_mode_##name,
MODES(DECLARE)
static const ba_mode *const table[] = {MODES(LIST)};

enum { COUNT = sizeof table / sizeof *table };

const ba_mode *ba_mode_at(size_t i) {
    return i < COUNT ? table[i] : NULL;
}

/* --- spelling --------------------------------------------------------------------------------------------------- */

/* Text to which more is appended, cut at the end of its buffer. */
typedef struct text {
    char *s;
    size_t size, n;
} text;

static void append(text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void append(text *t, const char *format, ...) {
    va_list args;
    va_start(args, format);
    int n = vsnprintf(t->s + t->n, t->size - t->n, format, args);
    va_end(args);
    t->n = n < 0 ? t->n : t->n + (size_t)n < t->size ? t->n + (size_t)n : t->size - 1;
}

static int unknown_mode(const char *name, int len, char err[BA_ERR_LEN]) {
    char list[BA_ERR_LEN] = "";
    text t = {list, sizeof list, 0};
    for (size_t i = 0; i < COUNT; i++) {
        append(&t, "%s%s", i ? ", " : "", table[i]->name);
    }
    return ba_fail(err, "unknown mode '%.*s'; there is: %s", len < 64 ? len : 64, name, list);
}

static bool is_layers(const ba_mode_param *p) {
    return p->choices && strcmp(p->choices, BA_LAYER_LIST) == 0;
}

static void append_range(text *t, const ba_mode_param *p) {
    if (is_layers(p)) {
        append(t, "all, middle or up to %d layers of 0..%.10g joined by +, each once", BA_MOST_LISTED, p->max);
    } else if (p->choices) {
        append(t, "%s", p->choices);
    } else {
        append(t, "%.10g..%.10g", p->min, p->max);
    }
}

static int unknown_param(const ba_mode *m, const char *key, int len, char err[BA_ERR_LEN]) {
    char list[BA_ERR_LEN] = "";
    text t = {list, sizeof list, 0};
    for (const ba_mode_param *p = m->param; p->key; p++) {
        append(&t, "%s%s (", p == m->param ? "" : ", ", p->key);
        append_range(&t, p);
        append(&t, ", default %s)", p->standard);
    }
    return ba_fail(err, "mode %s has no parameter '%.*s'; %s%s", m->name, len < 64 ? len : 64, key,
                   t.n ? "it has " : "it has none", list);
}

static int bad_value(const ba_mode *m, const ba_mode_param *p, const char *value, int len, char err[BA_ERR_LEN]) {
    char range[256] = "";
    text t = {range, sizeof range, 0};
    append_range(&t, p);
    return ba_fail(err, "mode %s: %s=%.*s is not %s%s", m->name, p->key, len < 64 ? len : 64, value,
                   is_layers(p) ? ""
                   : p->choices ? "one of "
                   : p->integer ? "a whole number of "
                                : "a number of ",
                   range);
}

/* Index of a word in "a|b|c"; SIZE_MAX if it is not there. */
static size_t word_index(const char *choices, const char *word, size_t len) {
    size_t index = 0;
    for (const char *c = choices;; index++) {
        size_t n = strcspn(c, "|");
        if (n == len && strncmp(c, word, n) == 0) {
            return index;
        }
        if (!c[n]) {
            return SIZE_MAX;
        }
        c += n + 1;
    }
}

static bool same(const char *s, size_t len, const char *word) {
    return strlen(word) == len && strncmp(s, word, len) == 0;
}

/* "a+b+c", each a layer and different from the others. */
static bool parse_list(const ba_mode_param *p, const char *value, size_t len, ba_layer_set *set) {
    *set = (ba_layer_set){.kind = BA_LAYERS_LISTED};
    for (size_t i = 0, n = 0; i < len; n++) {
        size_t layer = 0, digits = 0;
        for (; i < len && value[i] >= '0' && value[i] <= '9' && digits < 4; i++, digits++) {
            layer = 10 * layer + (size_t)(value[i] - '0');
        }
        bool ends = i == len || (value[i] == '+' && i + 1 < len);
        if (!digits || !ends || (double)layer > p->max || n == BA_MOST_LISTED ||
            (set->listed[layer / 64] >> layer % 64 & 1)) {
            return false;
        }
        set->listed[layer / 64] |= UINT64_C(1) << layer % 64;
        i++;
    }
    return len > 0;
}

static bool parse_layers(const ba_mode_param *p, const char *value, size_t len, ba_layer_set *set) {
    if (same(value, len, "all") || same(value, len, "middle")) {
        *set = (ba_layer_set){.kind = *value == 'a' ? BA_LAYERS_ALL : BA_LAYERS_MIDDLE};
        return true;
    }
    return parse_list(p, value, len, set);
}

static int parse_value(const ba_mode *m, size_t i, const char *value, size_t len, ba_mode_args *args,
                       char err[BA_ERR_LEN]) {
    const ba_mode_param *p = &m->param[i];
    if (is_layers(p)) {
        args->given[i] = !same(value, len, p->standard);
        return parse_layers(p, value, len, &args->layers) ? 0 : bad_value(m, p, value, (int)len, err);
    }
    if (p->choices) {
        args->choice[i] = word_index(p->choices, value, len);
        args->given[i] = !same(value, len, p->standard);
        return args->choice[i] == SIZE_MAX ? bad_value(m, p, value, (int)len, err) : 0;
    }
    char number[64], *end = number;
    if (same(value, len, p->standard)) {
        return 0;
    }
    if (len && len < sizeof number) {
        memcpy(number, value, len);
        number[len] = '\0';
        args->number[i] = strtod(number, &end);
    }
    double x = args->number[i];
    if (end == number || *end || !(x >= p->min && x <= p->max) || (p->integer && x != floor(x))) {
        return bad_value(m, p, value, (int)len, err);
    }
    char *tail;
    double standard = strtod(p->standard, &tail);
    args->given[i] = *tail || x != standard;
    return 0;
}

static void set_defaults(const ba_mode *m, ba_mode_args *args) {
    *args = (ba_mode_args){0};
    for (size_t i = 0; m->param[i].key; i++) {
        const ba_mode_param *p = &m->param[i];
        if (is_layers(p)) {
            parse_layers(p, p->standard, strlen(p->standard), &args->layers);
        } else if (p->choices) {
            args->choice[i] = word_index(p->choices, p->standard, strlen(p->standard));
        } else {
            args->number[i] = strtod(p->standard, NULL);
        }
    }
}

/* One "key=value". */
static int parse_param(const ba_mode *m, const char *s, size_t len, bool *spelled, ba_mode_args *args,
                       char err[BA_ERR_LEN]) {
    size_t key = 0;
    while (key < len && s[key] != '=') {
        key++;
    }
    for (size_t i = 0; m->param[i].key; i++) {
        if (same(s, key, m->param[i].key)) {
            if (key == len) {
                return ba_fail(err, "mode %s: parameter %s needs a value, %s=%s", m->name, m->param[i].key,
                               m->param[i].key, m->param[i].standard);
            }
            if (spelled[i]) {
                return ba_fail(err, "mode %s: parameter %s is given twice", m->name, m->param[i].key);
            }
            spelled[i] = true;
            return parse_value(m, i, s + key + 1, len - key - 1, args, err);
        }
    }
    return unknown_param(m, s, (int)key, err);
}

const ba_mode *ba_mode_of(const char *spelling) {
    size_t name = strcspn(spelling, ":");
    for (size_t i = 0; i < COUNT; i++) {
        if (same(spelling, name, table[i]->name)) {
            return table[i];
        }
    }
    return NULL;
}

static int parse(const char *spelling, const ba_mode **mode, ba_mode_args *args, char err[BA_ERR_LEN]) {
    size_t name = strcspn(spelling, ":");
    bool spelled[BA_MODE_MAX_PARAMS] = {0};
    *mode = ba_mode_of(spelling);
    if (!*mode) {
        return unknown_mode(spelling, (int)(name < 64 ? name : 64), err);
    }
    set_defaults(*mode, args);
    for (const char *s = spelling + name; *s;) {
        size_t len = strcspn(++s, ",");
        if (parse_param(*mode, s, len, spelled, args, err)) {
            return -1;
        }
        s += len;
    }
    return 0;
}

/* Fewest digits that read back as x. */
static void append_number(text *t, double x) {
    char digits[40];
    int precision = 1;
    do {
        snprintf(digits, sizeof digits, "%.*g", precision, x);
    } while (strtod(digits, NULL) != x && precision++ < 17);
    append(t, "%s", digits);
}

static void append_layers(text *t, const ba_layer_set *set) {
    const char *mark = "";
    if (set->kind != BA_LAYERS_LISTED) {
        append(t, set->kind == BA_LAYERS_ALL ? "all" : "middle");
        return;
    }
    for (size_t l = 0; l < BA_MOST_LAYERS; l++) {
        if (set->listed[l / 64] >> l % 64 & 1) {
            append(t, "%s%zu", mark, l);
            mark = "+";
        }
    }
}

static void spell(const ba_mode *m, const ba_mode_args *args, char *out, size_t size) {
    text t = {out, size, 0};
    append(&t, "%s", m->name);
    char separator = ':';
    for (size_t i = 0; m->param[i].key; i++) {
        if (!args->given[i]) {
            continue;
        }
        append(&t, "%c%s=", separator, m->param[i].key);
        separator = ',';
        if (is_layers(&m->param[i])) {
            append_layers(&t, &args->layers);
        } else if (m->param[i].choices) {
            const char *word = m->param[i].choices;
            for (size_t skip = args->choice[i]; skip; skip--) {
                word += strcspn(word, "|") + 1;
            }
            append(&t, "%.*s", (int)strcspn(word, "|"), word);
        } else {
            append_number(&t, args->number[i]);
        }
    }
}

int ba_mode_check(const char *spelling, char *canonical, size_t size, char err[BA_ERR_LEN]) {
    const ba_mode *m;
    ba_mode_args args;
    if (parse(spelling, &m, &args, err)) {
        return -1;
    }
    spell(m, &args, canonical, size);
    if (strlen(canonical) + 1 >= size) {
        return ba_fail(err, "mode %s: its parameters take more than %zu characters", m->name, size - 2);
    }
    return 0;
}

void ba_mode_budget(const char *spelling, char *out, size_t size) {
    const ba_mode *m;
    ba_mode_args args;
    char err[BA_ERR_LEN];
    text t = {out, size, 0};
    *out = '\0';
    if (parse(spelling, &m, &args, err) || !m->budget) {
        return;
    }
    for (size_t i = 0; m->param[i].key; i++) {
        if (strcmp(m->param[i].key, m->budget) == 0) {
            append(&t, "%s=", m->budget);
            append_number(&t, args.number[i]);
        }
    }
}

/* --- plans ------------------------------------------------------------------------------------------------------ */

static int check_prompt(const ba_prompt *prompt, char err[BA_ERR_LEN]) {
    if (!prompt->n_seg) {
        return ba_fail(err, "the prompt has no segments");
    }
    for (size_t i = 0; i < prompt->n_seg; i++) {
        if (!prompt->seg[i].n) {
            return ba_fail(err, "segment %zu (%s) has no tokens; leave it out", i, ba_role_name(prompt->seg[i].role));
        }
    }
    return 0;
}

static size_t *places_of(const ba_prompt *prompt) {
    size_t *place = calloc(prompt->n_seg + 1, sizeof *place);
    for (size_t i = 0; place && i < prompt->n_seg; i++) {
        place[i + 1] = place[i] + prompt->seg[i].n;
    }
    return place;
}

static int build(const ba_mode *m, const ba_mode_args *args, ba_draft *d, char err[BA_ERR_LEN]) {
    if (!d->plan || !d->place) {
        return ba_fail(err, "out of memory");
    }
    int rc = m->build(d, args, err);
    if (d->no_memory) {
        return ba_fail(err, "out of memory");
    }
    if (rc) {
        return rc;
    }
    d->plan->n_tokens = d->place[d->prompt->n_seg] + d->inserted;
    d->plan->question = ba_draft_last_block(d);
    d->plan->n_question = d->place[d->prompt->n_seg] - d->place[d->plan->question];
    return ba_plan_check(d->plan, err);
}

int ba_mode_plan(const char *spelling, const ba_prompt *prompt, ba_plan **out, char err[BA_ERR_LEN]) {
    const ba_mode *m;
    ba_mode_args args;
    char canonical[256];
    *out = NULL;
    if (parse(spelling, &m, &args, err) || check_prompt(prompt, err)) {
        return -1;
    }
    spell(m, &args, canonical, sizeof canonical);
    size_t *place = places_of(prompt);
    ba_draft d = {.prompt = prompt, .place = place, .mode = m->name, .plan = ba_plan_new(canonical)};
    int rc = build(m, &args, &d, err);
    free(place);
    if (rc) {
        ba_plan_free(d.plan);
        return -1;
    }
    *out = d.plan;
    return 0;
}

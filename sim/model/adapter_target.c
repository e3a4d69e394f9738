#include "adapter_target.h"

#include "sim/base/json_read.h"

#include <math.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A value for the modules whose name matches. */
typedef struct pattern {
    regex_t regex;
    double value;
} pattern;

typedef struct patterns {
    pattern *at; /* [n] in the file's order; the first match counts */
    size_t n;
} patterns;

struct ba_adapter_target {
    const ba_adapter_fields *f;
    const char *path;
    regex_t targets, excluded;
    bool by_targets, by_excluded; /* whether these two are compiled */
    patterns ranks, alphas;
};

/* ---- regular expressions ---------------------------------------------------------------------------------------- */

/* Escapes of Python that have a POSIX spelling; a backslash before punctuation means the same in both. */
static const char *escape(char c) {
    static const char plain[] = ".*+?()[]{}|^$\\/-_";
    switch (c) {
    case 'd':
        return "[0-9]";
    case 'D':
        return "[^0-9]";
    case 'w':
        return "[A-Za-z0-9_]";
    case 'W':
        return "[^A-Za-z0-9_]";
    default:
        return c && strchr(plain, c) ? "" : NULL;
    }
}

/* Length of "{3}", "{1,2}" or "{2,}" at p; 0: none is there. */
static size_t count_at(const char *p) {
    size_t first = strspn(p + 1, "0123456789"), n = 1 + first;
    n += p[n] == ',' ? 1 + strspn(p + n + 1, "0123456789") : 0;
    return first && p[n] == '}' ? n + 1 : 0;
}

/* Length of a bracket expression without escapes and without brackets in it; 0: none is there. */
static size_t bracket_at(const char *p) {
    size_t n = 1 + (p[1] == '^');
    if (!p[n]) {
        return 0;
    }
    n += 1 + strcspn(p + n + 1, "]"); /* a bracket that comes first is one of the characters */
    return p[n] == ']' && !memchr(p, '\\', n) && !memchr(p + 1, '[', n - 1) ? n + 1 : 0;
}

/* A Python expression as an extended POSIX one, into out (12 bytes for one of the source). false: it uses something
 * that POSIX has not, or that means something else there. Only whole matches are asked for, so that lazy repeats accept
 * the same as greedy ones. */
static bool translate(const char *p, char *out) {
    bool repeatable = false; /* whether a repeat may follow */
    while (*p) {
        size_t n = 1;
        bool repeat = false;
        const char *as = *p == '\\' ? escape(p[1]) : NULL;
        if (*p == '\\') {
            n = 2;
        } else if (*p == '[') {
            n = bracket_at(p);
        } else if (*p == '{') {
            n = count_at(p);
            repeat = true;
        } else if (strchr("*+?", *p)) {
            repeat = true;
        } else if (*p == '(' && p[1] == '?') {
            n = p[2] == ':' ? 3 : 0; /* no look-around, flags, names */
            as = "(";
        }
        if (n == 0 || (*p == '\\' && !as) || (repeat && !repeatable) || *p == '}') {
            return false;
        }
        if (as && *as) {
            out = stpcpy(out, as);
        } else {
            memcpy(out, p, n);
            out += n;
        }
        repeatable = !repeat && (*p == '\\' || !strchr("(|^$", *p));
        p += n;
        p += repeat && *p == '?';
    }
    *out = '\0';
    return true;
}

/* Compiles a Python expression between two pieces of POSIX ones. */
static int compile(const char *front, const char *python, const char *back, const char *path, const char *field,
                   regex_t *out, char err[BA_ERR_LEN]) {
    size_t n = strlen(python);
    char *posix = malloc(12 * n + 1), *whole = NULL;
    bool done = posix && translate(python, posix) && asprintf(&whole, "%s%s%s", front, posix, back) >= 0 &&
                regcomp(out, whole, REG_EXTENDED | REG_NOSUB) == 0;
    free(posix);
    free(whole);
    return done ? 0
                : ba_fail(err,
                          "%s: '%s' holds the regular expression '%.80s', which cannot be read here; list the modules",
                          path, field, python);
}

static void free_patterns(patterns *p) {
    for (size_t i = 0; i < p->n; i++) {
        regfree(&p->at[i].regex);
    }
    free(p->at);
}

static int compile_patterns(const cJSON *object, bool whole, const char *path, const char *field, patterns *out,
                            char err[BA_ERR_LEN]) {
    out->at = calloc((size_t)cJSON_GetArraySize(object) + 1, sizeof *out->at);
    if (!out->at) {
        return ba_fail(err, "%s: out of memory", path);
    }
    const cJSON *item;
    cJSON_ArrayForEach(item, object) {
        size_t number;
        if (!cJSON_IsNumber(item) || !isfinite(item->valuedouble) || (whole && !ba_json_whole(item, &number))) {
            return ba_fail(err, "%s: '%s' must map names to %s", path, field, whole ? "whole numbers" : "numbers");
        }
        if (compile("^(.*\\.)?(", item->string, ")$", path, field, &out->at[out->n].regex, err) != 0) {
            return -1;
        }
        out->at[out->n++].value = item->valuedouble;
    }
    return 0;
}

/* ---- rules ------------------------------------------------------------------------------------------------------ */

/* Whether it is a text or a list of texts. */
static int check_names(const cJSON *item, const char *field, const char *path, char err[BA_ERR_LEN]) {
    const cJSON *name;
    if (cJSON_IsArray(item)) {
        cJSON_ArrayForEach(name, item) {
            if (!cJSON_IsString(name)) {
                return ba_fail(err, "%s: '%s' must hold names only", path, field);
            }
        }
    }
    return 0;
}

static bool is_empty(const cJSON *item) {
    return !ba_is_set(item) || (cJSON_IsArray(item) && !item->child) || (cJSON_IsString(item) && !*item->valuestring);
}

static int check_layers(const ba_adapter_target *t, char err[BA_ERR_LEN]) {
    const cJSON *layers = t->f->layers_to_transform, *names = t->f->layers_pattern, *one;
    size_t number;
    if (cJSON_IsString(t->f->target_modules) && (ba_is_set(layers) || ba_is_set(names))) {
        return ba_fail(err, "%s: 'layers_to_transform' and 'layers_pattern' need a list of 'target_modules'", t->path);
    }
    if (!is_empty(names) && !ba_is_set(layers)) {
        return ba_fail(err, "%s: 'layers_pattern' needs 'layers_to_transform'", t->path);
    }
    if (cJSON_IsNumber(layers)) {
        layers = NULL; /* checked by its type */
    }
    cJSON_ArrayForEach(one, layers) {
        if (!ba_json_whole(one, &number)) {
            return ba_fail(err, "%s: 'layers_to_transform' must hold numbers of layers", t->path);
        }
    }
    if (is_empty(names)) {
        return 0;
    }
    one = cJSON_IsArray(names) ? names->child : names;
    return strcmp(one->valuestring, "layers") == 0 && !(one != names && one->next)
               ? 0
               : ba_fail(err, "%s: 'layers_pattern' must be 'layers', which is what the models here call them",
                         t->path);
}

static bool all_linear(const cJSON *targets) {
    return cJSON_IsString(targets) && strcasecmp(targets->valuestring, "all-linear") == 0;
}

static int compile_rules(ba_adapter_target *t, char err[BA_ERR_LEN]) {
    const ba_adapter_fields *f = t->f;
    if (check_names(f->target_modules, "target_modules", t->path, err) != 0 ||
        check_names(f->exclude_modules, "exclude_modules", t->path, err) != 0 ||
        check_names(f->layers_pattern, "layers_pattern", t->path, err) != 0 || check_layers(t, err) != 0) {
        return -1;
    }
    if (cJSON_IsString(f->target_modules) && !all_linear(f->target_modules)) {
        if (compile("^(", f->target_modules->valuestring, ")$", t->path, "target_modules", &t->targets, err) != 0) {
            return -1;
        }
        t->by_targets = true;
    }
    if (cJSON_IsString(f->exclude_modules) && *f->exclude_modules->valuestring) {
        if (compile("^(", f->exclude_modules->valuestring, ")$", t->path, "exclude_modules", &t->excluded, err) != 0) {
            return -1;
        }
        t->by_excluded = true;
    }
    if (compile_patterns(f->rank_pattern, true, t->path, "rank_pattern", &t->ranks, err) != 0) {
        return -1;
    }
    return compile_patterns(f->alpha_pattern, false, t->path, "alpha_pattern", &t->alphas, err);
}

int ba_adapter_target_new(const ba_adapter_fields *f, const char *path, ba_adapter_target **out, char err[BA_ERR_LEN]) {
    ba_adapter_target *t = *out = calloc(1, sizeof *t);
    if (!t) {
        return ba_fail(err, "%s: out of memory", path);
    }
    t->f = f;
    t->path = path;
    if (compile_rules(t, err) != 0) {
        ba_adapter_target_free(t);
        *out = NULL;
        return -1;
    }
    return 0;
}

void ba_adapter_target_free(ba_adapter_target *t) {
    if (!t) {
        return;
    }
    if (t->by_targets) {
        regfree(&t->targets);
    }
    if (t->by_excluded) {
        regfree(&t->excluded);
    }
    free_patterns(&t->ranks);
    free_patterns(&t->alphas);
    free(t);
}

/* ---- questions -------------------------------------------------------------------------------------------------- */

/* Whether a list names the module: as a whole, or by the last parts of its name. */
static bool is_listed(const cJSON *list, const char *module) {
    size_t n = strlen(module);
    const cJSON *name;
    cJSON_ArrayForEach(name, list) {
        size_t k = strlen(name->valuestring);
        if (k <= n && strcmp(module + n - k, name->valuestring) == 0 && (k == n || module[n - k - 1] == '.')) {
            return true;
        }
    }
    return false;
}

/* The number in "model.layers.N.". */
static bool layer_of(const char *module, size_t *layer) {
    static const char before[] = "model.layers.";
    const char *digits = module + sizeof before - 1;
    char *end;
    if (strncmp(module, before, sizeof before - 1) != 0 || *digits < '0' || *digits > '9') {
        return false;
    }
    *layer = strtoul(digits, &end, 10);
    return *end == '.';
}

/* Whether the layer that the name holds is one of those to transform; a module outside of layers never is. */
static bool in_layers(const cJSON *layers, const char *module) {
    size_t layer, wanted;
    const cJSON *one;
    if (!ba_is_set(layers) || (cJSON_IsArray(layers) && !layers->child)) {
        return true;
    }
    if (!layer_of(module, &layer)) {
        return false;
    }
    if (cJSON_IsNumber(layers)) {
        return ba_whole_or(layers, 0) == layer;
    }
    cJSON_ArrayForEach(one, layers) {
        if (ba_json_whole(one, &wanted) && wanted == layer) {
            return true;
        }
    }
    return false;
}

bool ba_adapter_targets(const ba_adapter_target *t, const char *module, bool linear) {
    const ba_adapter_fields *f = t->f;
    if (t->by_excluded ? regexec(&t->excluded, module, 0, NULL, 0) == 0 : is_listed(f->exclude_modules, module)) {
        return false;
    }
    if (all_linear(f->target_modules)) {
        return linear;
    }
    if (t->by_targets) {
        return regexec(&t->targets, module, 0, NULL, 0) == 0;
    }
    bool listed = is_listed(f->target_modules, module);
    if (!ba_is_set(f->target_modules)) { /* what PEFT assumes for every model type that there is here */
        size_t n = strlen(module);
        listed = n > 7 && (strcmp(module + n - 7, ".q_proj") == 0 || strcmp(module + n - 7, ".v_proj") == 0);
    }
    return listed && in_layers(f->layers_to_transform, module);
}

static double value_of(const patterns *p, const char *module, double otherwise) {
    for (size_t i = 0; i < p->n; i++) {
        if (regexec(&p->at[i].regex, module, 0, NULL, 0) == 0) {
            return p->at[i].value;
        }
    }
    return otherwise;
}

void ba_adapter_scale(const ba_adapter_target *t, const char *module, size_t *rank, double *scale) {
    double r = value_of(&t->ranks, module, (double)ba_whole_or(t->f->rank, 8));
    double alpha = value_of(&t->alphas, module, ba_real_or(t->f->alpha, 8));
    *rank = (size_t)r;
    *scale = alpha / (ba_bool_or(t->f->use_rslora, false) ? sqrt(r) : r);
}

/* Expressions of the Jinja of chat templates, in the order of its grammar. */
#include "jinja_parts.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

cJSON ba_jinja_undefined;

cJSON *ba_jinja_fail(ba_jinja *j, const char *format, ...) {
    if (!j->failed) {
        va_list args;
        char line[BA_ERR_LEN];
        va_start(args, format);
        vsnprintf(line, sizeof line, format, args);
        va_end(args);
        ba_fail(j->err, "%s", line);
        j->failed = true;
    }
    j->at = j->end; /* nothing more is read */
    return BA_JINJA_UNDEFINED;
}

cJSON *ba_jinja_keep(ba_jinja *j, cJSON *value) {
    if (!value || !cJSON_AddItemToArray(j->kept, value)) {
        cJSON_Delete(value);
        return ba_jinja_fail(j, "out of memory");
    }
    return value;
}

void ba_jinja_put(ba_jinja *j, cJSON *object, const char *name, cJSON *value) {
    if (!value || !cJSON_AddItemToObject(object, name, value)) {
        cJSON_Delete(value);
        ba_jinja_fail(j, "out of memory");
    }
}

void ba_jinja_append(ba_jinja *j, cJSON *list, cJSON *value) {
    if (!value || !cJSON_AddItemToArray(list, value)) {
        cJSON_Delete(value);
        ba_jinja_fail(j, "out of memory");
    }
}

static cJSON *boolean(ba_jinja *j, bool value) {
    return ba_jinja_keep(j, cJSON_CreateBool(value));
}

static cJSON *number(ba_jinja *j, double value) {
    return ba_jinja_keep(j, cJSON_CreateNumber(value));
}

static cJSON *string(ba_jinja *j, const char *text, size_t n) {
    if ((j->made += n) > BA_JINJA_MADE) {
        return ba_jinja_fail(j, "it takes too much work");
    }
    char *copy = strndup(text, n);
    cJSON *value = copy ? cJSON_CreateString(copy) : NULL;
    free(copy);
    return ba_jinja_keep(j, value);
}

static bool is_undefined(const cJSON *value) {
    return value == BA_JINJA_UNDEFINED;
}

bool ba_jinja_true(const cJSON *v) {
    return cJSON_IsTrue(v) || (cJSON_IsNumber(v) && v->valuedouble != 0) || (cJSON_IsString(v) && *v->valuestring) ||
           ((cJSON_IsArray(v) || cJSON_IsObject(v)) && v->child);
}

const char *ba_jinja_text(ba_jinja *j, cJSON *v) {
    char digits[32];
    if (cJSON_IsString(v)) {
        return v->valuestring;
    }
    if (is_undefined(v)) {
        return "";
    }
    if (cJSON_IsNumber(v) && v->valuedouble == (double)(long)v->valuedouble) {
        int n = snprintf(digits, sizeof digits, "%ld", (long)v->valuedouble);
        return string(j, digits, (size_t)n)->valuestring;
    }
    if (cJSON_IsBool(v) || cJSON_IsNull(v)) {
        return cJSON_IsTrue(v) ? "True" : cJSON_IsFalse(v) ? "False" : "None";
    }
    ba_jinja_fail(j, "it prints a list or an object");
    return NULL;
}

/* ---- words ------------------------------------------------------------------------------------------------------ */

static void skip_space(ba_jinja *j) {
    while (j->at < j->end && isspace((unsigned char)*j->at)) {
        j->at++;
    }
}

static bool is_word(char c) {
    return isalnum((unsigned char)c) || c == '_';
}

bool ba_jinja_accept(ba_jinja *j, const char *word) {
    size_t n = strlen(word);
    skip_space(j);
    if ((size_t)(j->end - j->at) < n || memcmp(j->at, word, n) != 0) {
        return false;
    }
    char next = j->at + n < j->end ? j->at[n] : ' ';
    if (is_word(word[0]) && is_word(next)) {
        return false; /* the beginning of a longer name */
    }
    if ((*word == '<' || *word == '>') && n == 1 && next == '=') {
        return false;
    }
    j->at += n;
    return true;
}

bool ba_jinja_name(ba_jinja *j, char *out, size_t size) {
    size_t n = 0;
    skip_space(j);
    if (j->at >= j->end || !(isalpha((unsigned char)*j->at) || *j->at == '_')) {
        return false;
    }
    for (; j->at < j->end && is_word(*j->at); j->at++) {
        if (n + 1 >= size) {
            ba_jinja_fail(j, "a name is too long");
            return false;
        }
        out[n++] = *j->at;
    }
    out[n] = '\0';
    return true;
}

static void need(ba_jinja *j, const char *word) {
    if (!j->failed && !ba_jinja_accept(j, word)) {
        ba_jinja_fail(j, "'%s' is missing near '%.*s'", word, (int)(j->end - j->at < 20 ? j->end - j->at : 20), j->at);
    }
}

bool ba_jinja_set(ba_jinja *j, const char *name, cJSON *value) {
    for (size_t i = j->scope; i < j->n_variable; i++) {
        if (strcmp(j->variable[i].name, name) == 0) {
            j->variable[i].value = value;
            return true;
        }
    }
    if (j->n_variable == BA_JINJA_VARIABLES || strlen(name) >= sizeof j->variable->name) {
        ba_jinja_fail(j, "too many variables");
        return false;
    }
    ba_jinja_variable *v = &j->variable[j->n_variable++];
    snprintf(v->name, sizeof v->name, "%s", name);
    v->value = value;
    return true;
}

static cJSON *variable(const ba_jinja *j, const char *name) {
    for (size_t i = j->n_variable; i > 0; i--) {
        if (strcmp(j->variable[i - 1].name, name) == 0) {
            return j->variable[i - 1].value;
        }
    }
    return BA_JINJA_UNDEFINED;
}

/* ---- literals --------------------------------------------------------------------------------------------------- */

static cJSON *quoted(ba_jinja *j) {
    char quote = *j->at++, *text = malloc((size_t)(j->end - j->at) + 1);
    size_t n = 0;
    cJSON *value = NULL;
    static const char names[] = "ntr\\'\"", meanings[] = "\n\t\r\\'\"";
    for (; text && j->at < j->end && *j->at != quote; j->at++) {
        const char *escaped = *j->at == '\\' && j->at + 1 < j->end ? strchr(names, j->at[1]) : NULL;
        if (*j->at == '\\' && (!escaped || !*escaped)) {
            break;
        }
        j->at += escaped != NULL;
        text[n++] = escaped ? meanings[escaped - names] : *j->at;
    }
    if (j->at >= j->end || *j->at != quote) {
        value = ba_jinja_fail(j, "a string with an unknown escape, or without an end");
    } else {
        j->at++;
        value = string(j, text, n);
    }
    free(text);
    return value;
}

/* A copy, which may become a member of another value. */
static cJSON *copy_of(const cJSON *v) {
    return is_undefined(v) ? cJSON_CreateNull() : cJSON_Duplicate(v, true);
}

static cJSON *list_literal(ba_jinja *j, const char *close) {
    cJSON *list = ba_jinja_keep(j, cJSON_CreateArray());
    while (!j->failed && !ba_jinja_accept(j, close)) {
        ba_jinja_append(j, list, copy_of(ba_jinja_expression(j)));
        if (!ba_jinja_accept(j, ",")) {
            need(j, close);
            break;
        }
    }
    return list;
}

static cJSON *object_literal(ba_jinja *j) {
    cJSON *object = ba_jinja_keep(j, cJSON_CreateObject());
    while (!j->failed && !ba_jinja_accept(j, "}")) {
        cJSON *key = ba_jinja_expression(j);
        need(j, ":");
        cJSON *value = ba_jinja_expression(j);
        if (!cJSON_IsString(key)) {
            return ba_jinja_fail(j, "a key that is no string");
        }
        ba_jinja_put(j, object, key->valuestring, copy_of(value));
        if (!ba_jinja_accept(j, ",")) {
            need(j, "}");
            break;
        }
    }
    return object;
}

/* ---- calls ------------------------------------------------------------------------------------------------------ */

enum { MAX_ARGUMENTS = 8 };

typedef struct arguments {
    cJSON *at[MAX_ARGUMENTS];
    char name[MAX_ARGUMENTS][48]; /* "" for one without a name */
    size_t n;
} arguments;

static void read_arguments(ba_jinja *j, arguments *a) {
    a->n = 0;
    while (!j->failed && !ba_jinja_accept(j, ")")) {
        if (a->n == MAX_ARGUMENTS) {
            ba_jinja_fail(j, "too many arguments");
            return;
        }
        const char *back = j->at;
        a->name[a->n][0] = '\0';
        if (!ba_jinja_name(j, a->name[a->n], sizeof a->name[0]) || ba_jinja_accept(j, "==") ||
            !ba_jinja_accept(j, "=")) {
            a->name[a->n][0] = '\0';
            j->at = j->failed ? j->end : back;
        }
        a->at[a->n++] = ba_jinja_expression(j);
        if (!ba_jinja_accept(j, ",")) {
            need(j, ")");
            break;
        }
    }
}

static cJSON *call(ba_jinja *j, const char *name, const arguments *a) {
    if (strcmp(name, "namespace") == 0 || strcmp(name, "dict") == 0) {
        cJSON *space = ba_jinja_keep(j, cJSON_CreateObject());
        for (size_t i = 0; i < a->n && !j->failed; i++) {
            ba_jinja_put(j, space, a->name[i], copy_of(a->at[i]));
        }
        return space;
    }
    if (strcmp(name, "raise_exception") == 0 && a->n == 1) {
        const char *text = ba_jinja_text(j, a->at[0]);
        return ba_jinja_fail(j, "it raises '%.120s'", text ? text : "");
    }
    if (strcmp(name, "range") == 0 && a->n == 1 && cJSON_IsNumber(a->at[0])) {
        cJSON *list = ba_jinja_keep(j, cJSON_CreateArray());
        for (int i = 0; i < a->at[0]->valuedouble && i < 1000; i++) {
            ba_jinja_append(j, list, cJSON_CreateNumber(i));
        }
        return list;
    }
    if (strcmp(name, "strftime_now") == 0) {
        return ba_jinja_fail(j, "it writes today's date, with which a result could not be repeated");
    }
    return ba_jinja_fail(j, "function '%s' is unknown", name);
}

/* ---- strings ---------------------------------------------------------------------------------------------------- */

static bool in_set(char c, const char *set) {
    return set ? c && strchr(set, c) : isspace((unsigned char)c);
}

/* set NULL: white space. */
static cJSON *strip(ba_jinja *j, const char *s, bool left, bool right, const char *set) {
    size_t n = strlen(s);
    for (; left && n && in_set(*s, set); s++, n--) {
    }
    for (; right && n && in_set(s[n - 1], set); n--) {
    }
    return string(j, s, n);
}

static cJSON *replace(ba_jinja *j, const char *s, const char *old, const char *new) {
    size_t n = strlen(s), k = strlen(old), room = k ? (n / k + 1) * strlen(new) + n + 1 : 0;
    char *text = k && room < BA_JINJA_OUTPUT ? malloc(room) : NULL, *end = text;
    for (const char *found; text && (found = strstr(s, old)); s = found + k) {
        end = stpcpy(mempcpy(end, s, (size_t)(found - s)), new);
    }
    if (!text) {
        return ba_jinja_fail(j, "replace is given too much, or nothing");
    }
    end = stpcpy(end, s);
    cJSON *value = string(j, text, (size_t)(end - text));
    free(text);
    return value;
}

static cJSON *split(ba_jinja *j, const char *s, const char *by) {
    cJSON *list = ba_jinja_keep(j, cJSON_CreateArray());
    if (!*by) {
        return ba_jinja_fail(j, "split by nothing");
    }
    for (const char *found;; s = found + strlen(by)) {
        found = strstr(s, by);
        char *part = strndup(s, found ? (size_t)(found - s) : strlen(s));
        ba_jinja_append(j, list, cJSON_CreateString(part ? part : ""));
        free(part);
        if (!found) {
            return list;
        }
    }
}

static cJSON *change_case(ba_jinja *j, const char *s, bool upper) {
    cJSON *value = string(j, s, strlen(s));
    for (char *c = cJSON_IsString(value) ? value->valuestring : NULL; c && *c; c++) {
        if ((unsigned char)*c >= 0x80) {
            return ba_jinja_fail(j, "upper and lower case of letters that are not ASCII");
        }
        *c = (char)(upper ? toupper((unsigned char)*c) : tolower((unsigned char)*c));
    }
    return value;
}

static bool begins(const char *s, const char *with) {
    return strncmp(s, with, strlen(with)) == 0;
}

static bool ends(const char *s, const char *with) {
    size_t n = strlen(s), k = strlen(with);
    return k <= n && strcmp(s + n - k, with) == 0;
}

static cJSON *string_method(ba_jinja *j, const char *s, const char *name, const arguments *a) {
    const char *one = a->n > 0 && cJSON_IsString(a->at[0]) ? a->at[0]->valuestring : NULL;
    const char *two = a->n > 1 && cJSON_IsString(a->at[1]) ? a->at[1]->valuestring : NULL;
    bool left = strcmp(name, "lstrip") == 0, right = strcmp(name, "rstrip") == 0, both = strcmp(name, "strip") == 0;
    if ((left || right || both) && (a->n == 0 || (a->n == 1 && one))) {
        return strip(j, s, !right, !left, one);
    }
    if (strcmp(name, "startswith") == 0 && a->n == 1 && one) {
        return boolean(j, begins(s, one));
    }
    if (strcmp(name, "endswith") == 0 && a->n == 1 && one) {
        return boolean(j, ends(s, one));
    }
    if (strcmp(name, "split") == 0 && a->n == 1 && one) {
        return split(j, s, one);
    }
    if (strcmp(name, "replace") == 0 && a->n == 2 && one && two) {
        return replace(j, s, one, two);
    }
    if ((strcmp(name, "upper") == 0 || strcmp(name, "lower") == 0) && a->n == 0) {
        return change_case(j, s, *name == 'u');
    }
    return ba_jinja_fail(j, "method '%s' of a string is unknown", name);
}

static cJSON *method(ba_jinja *j, cJSON *v, const char *name, const arguments *a) {
    if (cJSON_IsString(v)) {
        return string_method(j, v->valuestring, name, a);
    }
    if (cJSON_IsObject(v) && strcmp(name, "get") == 0 && a->n >= 1 && a->n <= 2 && cJSON_IsString(a->at[0])) {
        cJSON *found = cJSON_GetObjectItemCaseSensitive(v, a->at[0]->valuestring);
        return found ? found : a->n == 2 ? a->at[1] : ba_jinja_keep(j, cJSON_CreateNull());
    }
    return ba_jinja_fail(j, "method '%s' is unknown", name);
}

/* ---- filters and tests ------------------------------------------------------------------------------------------ */

static cJSON *length(ba_jinja *j, const cJSON *v) {
    size_t n = 0;
    if (cJSON_IsString(v)) {
        for (const char *c = v->valuestring; *c; c++) {
            n += ((unsigned char)*c & 0xc0) != 0x80;
        }
        return number(j, (double)n);
    }
    return cJSON_IsArray(v) || cJSON_IsObject(v) ? number(j, cJSON_GetArraySize(v))
                                                 : ba_jinja_fail(j, "the length of what has none");
}

static cJSON *filter(ba_jinja *j, cJSON *v, const char *name, const arguments *a) {
    if ((strcmp(name, "length") == 0 || strcmp(name, "count") == 0) && a->n == 0) {
        return length(j, v);
    }
    if ((strcmp(name, "default") == 0 || strcmp(name, "d") == 0) && a->n == 1) {
        return is_undefined(v) ? a->at[0] : v;
    }
    if ((strcmp(name, "first") == 0 || strcmp(name, "last") == 0) && cJSON_IsArray(v) && v->child) {
        return *name == 'f' ? v->child : v->child->prev; /* cJSON: the first one's prev is the last */
    }
    if ((strcmp(name, "list") == 0 && cJSON_IsArray(v)) || strcmp(name, "safe") == 0) {
        return v;
    }
    const char *text = ba_jinja_text(j, v);
    if (!text) {
        return BA_JINJA_UNDEFINED;
    }
    if (strcmp(name, "trim") == 0 && a->n == 0) {
        return strip(j, text, true, true, NULL);
    }
    if (strcmp(name, "string") == 0 && a->n == 0) {
        return string(j, text, strlen(text));
    }
    if (strcmp(name, "upper") == 0 || strcmp(name, "lower") == 0 || strcmp(name, "replace") == 0) {
        return string_method(j, text, name, a);
    }
    return ba_jinja_fail(j, "filter '%s' is unknown", name);
}

static cJSON *test(ba_jinja *j, const cJSON *v, const char *name) {
    const struct {
        const char *name;
        bool holds;
    } tests[] = {
        {"defined", !is_undefined(v)},
        {"undefined", is_undefined(v)},
        {"none", cJSON_IsNull(v)},
        {"string", cJSON_IsString(v)},
        {"mapping", cJSON_IsObject(v)},
        {"iterable", cJSON_IsArray(v) || cJSON_IsObject(v) || cJSON_IsString(v)},
        {"sequence", cJSON_IsArray(v) || cJSON_IsObject(v) || cJSON_IsString(v)},
        {"boolean", cJSON_IsBool(v)},
        {"number", cJSON_IsNumber(v) || cJSON_IsBool(v)},
        {"true", cJSON_IsTrue(v)},
        {"false", cJSON_IsFalse(v)},
    };
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) {
        if (strcmp(tests[i].name, name) == 0) {
            return boolean(j, tests[i].holds);
        }
    }
    return ba_jinja_fail(j, "test '%s' is unknown", name);
}

/* ---- grammar ---------------------------------------------------------------------------------------------------- */

static cJSON *member(ba_jinja *j, cJSON *v, const char *name) {
    if (is_undefined(v)) {
        return ba_jinja_fail(j, "'%s' of what is undefined", name);
    }
    cJSON *found = cJSON_IsObject(v) ? cJSON_GetObjectItemCaseSensitive(v, name) : NULL;
    return found ? found : BA_JINJA_UNDEFINED;
}

/* A bound of a slice, counted from the front. */
static int bound(const cJSON *v, int n, int otherwise) {
    int i = cJSON_IsNumber(v) ? v->valueint : otherwise;
    i = i < 0 ? i + n : i;
    return i < 0 ? 0 : i > n ? n : i;
}

static cJSON *slice(ba_jinja *j, cJSON *v, const cJSON *from, const cJSON *to, const cJSON *step) {
    cJSON *out = ba_jinja_keep(j, cJSON_CreateArray());
    if (!cJSON_IsArray(v)) {
        return ba_jinja_fail(j, "a slice of what is no list");
    }
    int n = cJSON_GetArraySize(v), first = bound(from, n, 0), last = bound(to, n, n);
    bool reversed = cJSON_IsNumber(step) && step->valueint == -1;
    if ((step && !reversed && !(cJSON_IsNumber(step) && step->valueint == 1)) || (reversed && (from || to))) {
        return ba_jinja_fail(j, "a slice with a step");
    }
    for (int i = first; i < last; i++) {
        const cJSON *item = cJSON_GetArrayItem(v, reversed ? n - 1 - i : i);
        ba_jinja_append(j, out, cJSON_Duplicate(item, true));
    }
    return out;
}

static cJSON *subscript(ba_jinja *j, cJSON *v) {
    cJSON *part[3] = {NULL, NULL, NULL};
    size_t n = 0;
    bool sliced = false;
    while (!j->failed && !ba_jinja_accept(j, "]")) {
        if (ba_jinja_accept(j, ":")) {
            sliced = true;
            if (++n > 2) {
                return ba_jinja_fail(j, "a slice with too many parts");
            }
        } else {
            part[n] = ba_jinja_expression(j);
        }
        if (j->at >= j->end) {
            return ba_jinja_fail(j, "']' is missing");
        }
    }
    if (j->failed || sliced) {
        return j->failed ? BA_JINJA_UNDEFINED : slice(j, v, part[0], part[1], part[2]);
    }
    if (cJSON_IsString(part[0])) {
        return member(j, v, part[0]->valuestring);
    }
    if (cJSON_IsArray(v) && cJSON_IsNumber(part[0])) {
        int i = part[0]->valueint, size = cJSON_GetArraySize(v);
        cJSON *found = cJSON_GetArrayItem(v, i < 0 ? i + size : i);
        return found ? found : BA_JINJA_UNDEFINED;
    }
    return ba_jinja_fail(j, "a subscript of this kind");
}

static cJSON *name_or_call(ba_jinja *j) {
    char name[48];
    if (!ba_jinja_name(j, name, sizeof name)) {
        return ba_jinja_fail(j, "near '%.*s'", (int)(j->end - j->at < 20 ? j->end - j->at : 20), j->at);
    }
    if (strcasecmp(name, "true") == 0 || strcasecmp(name, "false") == 0) {
        return boolean(j, tolower((unsigned char)*name) == 't');
    }
    if (strcasecmp(name, "none") == 0) {
        return ba_jinja_keep(j, cJSON_CreateNull());
    }
    if (ba_jinja_accept(j, "(")) {
        arguments a;
        read_arguments(j, &a);
        return j->failed ? BA_JINJA_UNDEFINED : call(j, name, &a);
    }
    return variable(j, name);
}

static cJSON *primary(ba_jinja *j) {
    skip_space(j);
    if (j->at >= j->end) {
        return ba_jinja_fail(j, "an expression ends too early");
    }
    if (*j->at == '\'' || *j->at == '"') {
        return quoted(j);
    }
    if (isdigit((unsigned char)*j->at)) {
        double value = 0;
        for (; j->at < j->end && isdigit((unsigned char)*j->at); j->at++) {
            value = value * 10 + (*j->at - '0');
        }
        return j->at < j->end && *j->at == '.' ? ba_jinja_fail(j, "a number with a point") : number(j, value);
    }
    if (ba_jinja_accept(j, "(")) {
        cJSON *v = ba_jinja_expression(j);
        need(j, ")");
        return v;
    }
    if (ba_jinja_accept(j, "[")) {
        return list_literal(j, "]");
    }
    return ba_jinja_accept(j, "{") ? object_literal(j) : name_or_call(j);
}

static cJSON *named_member(ba_jinja *j, cJSON *v) {
    char name[48];
    arguments a;
    if (!ba_jinja_name(j, name, sizeof name)) {
        return ba_jinja_fail(j, "a name is missing after a point");
    }
    if (!ba_jinja_accept(j, "(")) {
        return member(j, v, name);
    }
    read_arguments(j, &a);
    return j->failed ? BA_JINJA_UNDEFINED : method(j, v, name, &a);
}

static cJSON *filtered(ba_jinja *j, cJSON *v) {
    char name[48];
    arguments a = {.n = 0};
    if (!ba_jinja_name(j, name, sizeof name)) {
        return ba_jinja_fail(j, "the name of a filter is missing");
    }
    if (ba_jinja_accept(j, "(")) {
        read_arguments(j, &a);
    }
    return j->failed ? BA_JINJA_UNDEFINED : filter(j, v, name, &a);
}

static cJSON *tested(ba_jinja *j, cJSON *v) {
    char name[48];
    bool not = ba_jinja_accept(j, "not");
    if (!ba_jinja_name(j, name, sizeof name)) {
        return ba_jinja_fail(j, "the name of a test is missing");
    }
    cJSON *holds = test(j, v, name);
    return not &&!j->failed ? boolean(j, !cJSON_IsTrue(holds)) : holds;
}

static cJSON *postfix(ba_jinja *j) {
    cJSON *v = primary(j);
    while (!j->failed) {
        if (ba_jinja_accept(j, ".")) {
            v = named_member(j, v);
        } else if (ba_jinja_accept(j, "[")) {
            v = subscript(j, v);
        } else if (ba_jinja_accept(j, "|")) {
            v = filtered(j, v);
        } else if (ba_jinja_accept(j, "is")) {
            v = tested(j, v);
        } else {
            break;
        }
    }
    return v;
}

/* One level deeper into the expression; false: too deep. */
static bool enter(ba_jinja *j) {
    if (++j->depth > BA_JINJA_DEPTH || ++j->steps > BA_JINJA_STEPS) {
        ba_jinja_fail(j, "it takes too much work");
    }
    return !j->failed;
}

static cJSON *unary(ba_jinja *j) {
    if (!ba_jinja_accept(j, "-")) {
        return postfix(j);
    }
    cJSON *v = enter(j) ? unary(j) : BA_JINJA_UNDEFINED;
    j->depth--;
    return cJSON_IsNumber(v) ? number(j, -v->valuedouble) : ba_jinja_fail(j, "minus of what is no number");
}

static cJSON *product(ba_jinja *j) {
    cJSON *v = unary(j);
    while (!j->failed && ba_jinja_accept(j, "%")) {
        cJSON *w = unary(j);
        if (!cJSON_IsNumber(v) || !cJSON_IsNumber(w) || w->valueint <= 0 || v->valueint < 0) {
            return ba_jinja_fail(j, "a remainder of what is no number");
        }
        v = number(j, v->valueint % w->valueint);
    }
    skip_space(j);
    return j->at < j->end && (*j->at == '*' || *j->at == '/') ? ba_jinja_fail(j, "'%c' is unknown", *j->at) : v;
}

static cJSON *joined(ba_jinja *j, cJSON *v, cJSON *w) {
    const char *a = ba_jinja_text(j, v), *b = a ? ba_jinja_text(j, w) : NULL;
    size_t n = b ? strlen(a) + strlen(b) : 0;
    char *text = b && n < BA_JINJA_OUTPUT ? malloc(n + 1) : NULL;
    if (!text) {
        return ba_jinja_fail(j, "it renders too much");
    }
    stpcpy(stpcpy(text, a), b);
    cJSON *value = string(j, text, n);
    free(text);
    return value;
}

static cJSON *concatenation(ba_jinja *j) {
    cJSON *v = product(j);
    while (!j->failed && ba_jinja_accept(j, "~")) {
        v = joined(j, v, product(j));
    }
    return v;
}

static cJSON *sum(ba_jinja *j) {
    cJSON *v = concatenation(j);
    while (!j->failed) {
        bool plus = ba_jinja_accept(j, "+"), minus = !plus && ba_jinja_accept(j, "-");
        if (!plus && !minus) {
            break;
        }
        cJSON *w = concatenation(j);
        if (cJSON_IsNumber(v) && cJSON_IsNumber(w)) {
            v = number(j, plus ? v->valuedouble + w->valuedouble : v->valuedouble - w->valuedouble);
        } else if (plus && cJSON_IsString(v) && cJSON_IsString(w)) {
            v = joined(j, v, w);
        } else {
            return ba_jinja_fail(j, "a sum of unlike values");
        }
    }
    return v;
}

static bool same(const cJSON *a, const cJSON *b) {
    if (is_undefined(a) || is_undefined(b)) {
        return a == b;
    }
    return cJSON_Compare(a, b, true);
}

static cJSON *contains(ba_jinja *j, const cJSON *in, const cJSON *v) {
    const cJSON *item;
    if (cJSON_IsString(in) && cJSON_IsString(v)) {
        return boolean(j, strstr(in->valuestring, v->valuestring) != NULL);
    }
    if (cJSON_IsObject(in) && cJSON_IsString(v)) {
        return boolean(j, cJSON_GetObjectItemCaseSensitive(in, v->valuestring) != NULL);
    }
    if (!cJSON_IsArray(in)) {
        return ba_jinja_fail(j, "'in' of what holds nothing");
    }
    cJSON_ArrayForEach(item, in) {
        if (same(item, v)) {
            return boolean(j, true);
        }
    }
    return boolean(j, false);
}

static cJSON *ordered(ba_jinja *j, const cJSON *v, const cJSON *w, const char *sign) {
    if (!cJSON_IsNumber(v) || !cJSON_IsNumber(w)) {
        return ba_jinja_fail(j, "an order of what are no numbers");
    }
    double d = v->valuedouble - w->valuedouble;
    return boolean(j, sign[1] ? (*sign == '<' ? d <= 0 : d >= 0) : (*sign == '<' ? d < 0 : d > 0));
}

static cJSON *comparison(ba_jinja *j) {
    static const char *const orders[] = {"<=", ">=", "<", ">"};
    cJSON *v = sum(j);
    while (!j->failed) {
        const char *back = j->at;
        size_t k = 0;
        if (ba_jinja_accept(j, "==")) {
            v = boolean(j, same(v, sum(j)));
        } else if (ba_jinja_accept(j, "!=")) {
            v = boolean(j, !same(v, sum(j)));
        } else if (ba_jinja_accept(j, "in")) {
            v = contains(j, sum(j), v);
        } else if (ba_jinja_accept(j, "not") && ba_jinja_accept(j, "in")) {
            v = boolean(j, !cJSON_IsTrue(contains(j, sum(j), v)));
        } else {
            j->at = back;
            while (k < 4 && !ba_jinja_accept(j, orders[k])) {
                k++;
            }
            if (k == 4) {
                break;
            }
            v = ordered(j, v, sum(j), orders[k]);
        }
    }
    return v;
}

static cJSON *negation(ba_jinja *j) {
    if (!ba_jinja_accept(j, "not")) {
        return comparison(j);
    }
    cJSON *v = enter(j) ? negation(j) : BA_JINJA_UNDEFINED;
    j->depth--;
    return boolean(j, !ba_jinja_true(v));
}

/* Where an operand ends that is not computed: the words that may follow one of this level. */
typedef enum level { OF_AND, OF_OR, OF_IF } level;

static bool ends_operand(ba_jinja *j, level of) {
    static const char *const words[] = {"if", "else", ",", "or", "and"};
    const char *back = j->at;
    for (size_t i = 0; i < (of == OF_AND ? 5 : of == OF_OR ? 4 : 3); i++) {
        if (ba_jinja_accept(j, words[i])) {
            j->at = back;
            return true;
        }
    }
    j->at = back;
    return false;
}

/* Passes over an operand whose value is not asked for: Python does not compute it, so it must not fail. */
static void skip_operand(ba_jinja *j, level of) {
    int open = 0;
    char quote = 0;
    for (; j->at < j->end; j->at++) {
        char c = *j->at;
        if (quote) {
            j->at += c == '\\';
            quote = c == quote ? '\0' : quote;
        } else if (c == '\'' || c == '"') {
            quote = c;
        } else if (strchr("([{", c)) {
            open++;
        } else if (strchr(")]}", c)) {
            if (open-- == 0) {
                return;
            }
        } else if (open == 0 && !is_word(j->at[-1]) && ends_operand(j, of)) {
            return;
        }
    }
    j->at = j->end;
}

static cJSON *conjunction(ba_jinja *j) {
    cJSON *v = negation(j);
    while (!j->failed && ba_jinja_accept(j, "and")) {
        if (ba_jinja_true(v)) {
            v = negation(j);
        } else {
            skip_operand(j, OF_AND);
        }
    }
    return v;
}

cJSON *ba_jinja_operand(ba_jinja *j) {
    cJSON *v = conjunction(j);
    while (!j->failed && ba_jinja_accept(j, "or")) {
        if (ba_jinja_true(v)) {
            skip_operand(j, OF_OR);
        } else {
            v = conjunction(j);
        }
    }
    return v;
}

/* "a if condition else b": the condition decides which of the two is computed. */
static cJSON *choice(ba_jinja *j) {
    const char *first = j->at;
    skip_operand(j, OF_IF);
    if (!ba_jinja_accept(j, "if")) {
        j->at = first;
        return ba_jinja_operand(j);
    }
    bool holds = ba_jinja_true(ba_jinja_operand(j));
    const char *rest = j->at;
    if (holds && !j->failed) {
        j->at = first;
        cJSON *v = ba_jinja_operand(j);
        if (!j->failed) {
            j->at = rest;
            if (ba_jinja_accept(j, "else")) {
                skip_operand(j, OF_IF);
                if (ba_jinja_accept(j, "if")) {
                    return ba_jinja_fail(j, "a choice within a choice");
                }
            }
        }
        return v;
    }
    return ba_jinja_accept(j, "else") ? ba_jinja_expression(j) : BA_JINJA_UNDEFINED;
}

cJSON *ba_jinja_expression(ba_jinja *j) {
    cJSON *v = enter(j) ? choice(j) : BA_JINJA_UNDEFINED;
    j->depth--;
    return j->failed ? BA_JINJA_UNDEFINED : v;
}

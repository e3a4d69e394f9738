#include "jinja_parts.h"

#include "sim/base/grow.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

typedef enum kind { TEXT, PRINT, STATEMENT } kind;

typedef struct chunk {
    kind kind;
    const char *from, *to; /* of the text, or between the braces */
} chunk;

typedef struct program {
    ba_jinja j;
    chunk *chunk; /* [n] */
    size_t n, cap;
    char *out;
    size_t len, room;
} program;

/* ---- cutting ---------------------------------------------------------------------------------------------------- */

static bool is_space(char c) {
    return isspace((unsigned char)c);
}

static int add(program *p, kind k, const char *from, const char *to) {
    if (from >= to && k == TEXT) {
        return 0;
    }
    if (ba_grow(&p->chunk, &p->cap, p->n + 1, sizeof *p->chunk)) {
        ba_jinja_fail(&p->j, "out of memory");
        return -1;
    }
    p->chunk[p->n++] = (chunk){k, from, to};
    return 0;
}

/* The end of a tag that begins at s: outside of strings and brackets. NULL: there is none. */
static const char *tag_end(const char *s, const char *end, char sign) {
    int open = 0;
    char quote = 0;
    for (; s + 1 < end; s++) {
        if (quote) {
            s += *s == '\\';
            quote = *s == quote ? '\0' : quote;
        } else if (open == 0 && *s == sign && s[1] == '}') {
            return s;
        } else if (sign == '#') {
            continue;
        } else if (*s == '\'' || *s == '"') {
            quote = *s;
        } else if (strchr("([{", *s)) {
            open++;
        } else if (strchr(")]}", *s)) {
            open--;
        }
    }
    return NULL;
}

/* The end of the text before a tag at `tag`: "-" takes all white space, and a block alone on its line what is before
 * it. start: of the template. */
static const char *text_end(const char *start, const char *from, const char *tag) {
    const char *end = tag, *line = tag;
    if (tag[2] == '-') {
        while (end > from && is_space(end[-1])) {
            end--;
        }
        return end;
    }
    while (line > from && (line[-1] == ' ' || line[-1] == '\t')) {
        line--;
    }
    bool starts_line = line == start || line[-1] == '\n';
    return tag[1] != '{' && tag[2] != '+' && starts_line ? line : end;
}

static const char *next_tag(const char *s, const char *end) {
    for (; s + 1 < end; s++) {
        if (*s == '{' && (s[1] == '{' || s[1] == '%' || s[1] == '#')) {
            return s;
        }
    }
    return NULL;
}

static int cut(program *p, const char *source) {
    size_t n = strlen(source);
    const char *end = source + n - (n && source[n - 1] == '\n'), *from = source, *tag;
    if (memchr(source, '\r', n)) {
        ba_jinja_fail(&p->j, "it holds carriage returns");
        return -1;
    }
    while ((tag = next_tag(from, end))) {
        char sign = tag[1] == '{' ? '}' : tag[1];
        const char *close = tag_end(tag + 2, end, sign), *inner = tag + 2;
        if (!close) {
            ba_jinja_fail(&p->j, "a tag has no end");
            return -1;
        }
        inner += inner < close && (*inner == '-' || *inner == '+');
        bool strips = close > inner && close[-1] == '-', keeps = close > inner && close[-1] == '+';
        if (add(p, TEXT, from, text_end(source, from, tag)) != 0 ||
            (sign != '#' && add(p, sign == '%' ? STATEMENT : PRINT, inner, close - (strips || keeps)) != 0)) {
            return -1;
        }
        from = close + 2;
        if (strips) {
            while (from < end && is_space(*from)) {
                from++;
            }
        } else if (sign != '}' && !keeps && from < end && *from == '\n') {
            from++;
        }
    }
    return add(p, TEXT, from, end);
}

/* ---- running ---------------------------------------------------------------------------------------------------- */

static void run(program *p, size_t from, size_t to);

static void print(program *p, const char *text, size_t n) {
    if (p->j.failed) {
        return;
    }
    if (p->len + n > BA_JINJA_OUTPUT || ba_grow(&p->out, &p->room, p->len + n + 1, 1)) {
        ba_jinja_fail(&p->j, "it renders too much");
        return;
    }
    if (n) {
        memcpy(p->out + p->len, text, n);
    }
    p->len += n;
    p->out[p->len] = '\0';
}

/* Makes the chunk the expression at hand. */
static void look_at(program *p, size_t i) {
    p->j.at = p->chunk[i].from;
    p->j.end = p->chunk[i].to;
}

static bool is_statement(program *p, size_t i, const char *word) {
    if (p->chunk[i].kind != STATEMENT) {
        return false;
    }
    look_at(p, i);
    return ba_jinja_accept(&p->j, word);
}

static bool at_end(ba_jinja *j) {
    while (j->at < j->end && is_space(*j->at)) {
        j->at++;
    }
    return j->at >= j->end;
}

static void need_end(ba_jinja *j) {
    if (!j->failed && !at_end(j)) {
        ba_jinja_fail(j, "near '%.*s'", (int)(j->end - j->at < 20 ? j->end - j->at : 20), j->at);
    }
}

/* "set name" without a value encloses one. */
static bool is_block_set(program *p, size_t i) {
    char name[48];
    return is_statement(p, i, "set") && ba_jinja_name(&p->j, name, sizeof name) && at_end(&p->j);
}

/* The next of the words at the level of chunk i's block, from i on; `to`: there is none. */
static size_t find(program *p, size_t i, size_t to, const char *const *words) {
    size_t depth = 0;
    for (; i < to; i++) {
        for (size_t k = 0; depth == 0 && words[k]; k++) {
            if (is_statement(p, i, words[k])) {
                return i;
            }
        }
        if (is_statement(p, i, "if") || is_statement(p, i, "for") || is_block_set(p, i)) {
            depth++;
        } else if (is_statement(p, i, "endif") || is_statement(p, i, "endfor") || is_statement(p, i, "endset")) {
            if (depth-- == 0) {
                break;
            }
        }
    }
    ba_jinja_fail(&p->j, "'%s' is missing", words[0]);
    return to;
}

static size_t run_if(program *p, size_t i, size_t to) {
    static const char *const parts[] = {"endif", "elif", "else", NULL};
    bool done = false, otherwise = false;
    while (!p->j.failed) {
        bool holds = otherwise;
        if (!otherwise && !done) {
            holds = ba_jinja_true(ba_jinja_expression(&p->j));
            need_end(&p->j);
        }
        size_t next = find(p, i + 1, to, parts);
        if (holds && !done && !p->j.failed) {
            run(p, i + 1, next);
            done = true;
        }
        if (p->j.failed || is_statement(p, next, "endif")) {
            return next;
        }
        otherwise = is_statement(p, next, "else");
        if (!otherwise) {
            is_statement(p, next, "elif"); /* the condition follows */
        }
        i = next;
    }
    return to;
}

static void set_loop(program *p, const cJSON *list, size_t at, size_t n) {
    ba_jinja *j = &p->j;
    cJSON *loop = ba_jinja_keep(j, cJSON_CreateObject());
    if (j->failed) {
        return;
    }
    const struct {
        const char *name;
        double value;
    } number[] = {{"index", (double)at + 1},
                  {"index0", (double)at},
                  {"length", (double)n},
                  {"revindex", (double)(n - at)},
                  {"revindex0", (double)(n - at - 1)}};
    for (size_t i = 0; i < sizeof number / sizeof *number; i++) {
        ba_jinja_put(j, loop, number[i].name, cJSON_CreateNumber(number[i].value));
    }
    ba_jinja_put(j, loop, "first", cJSON_CreateBool(at == 0));
    ba_jinja_put(j, loop, "last", cJSON_CreateBool(at + 1 == n));
    if (at > 0) {
        ba_jinja_put(j, loop, "previtem", cJSON_Duplicate(cJSON_GetArrayItem(list, (int)at - 1), true));
    }
    if (at + 1 < n) {
        ba_jinja_put(j, loop, "nextitem", cJSON_Duplicate(cJSON_GetArrayItem(list, (int)at + 1), true));
    }
    if (j->failed) {
        return;
    }
    ba_jinja_set(j, "loop", loop);
}

/* The items for which the condition at `from` .. `to` holds. */
static cJSON *chosen(program *p, const cJSON *list, const char *name, const char *from, const char *to) {
    ba_jinja *j = &p->j;
    cJSON *out = ba_jinja_keep(j, cJSON_CreateArray()), *item;
    cJSON_ArrayForEach(item, list) {
        j->at = from;
        j->end = to;
        if (!ba_jinja_set(j, name, item)) {
            break;
        }
        if (ba_jinja_true(ba_jinja_expression(j)) && !j->failed) {
            ba_jinja_append(j, out, cJSON_Duplicate(item, true));
        }
    }
    return out;
}

static size_t run_for(program *p, size_t i, size_t to) {
    static const char *const parts[] = {"endfor", "else", NULL};
    ba_jinja *j = &p->j;
    char name[48];
    size_t scope = j->scope, variables = j->n_variable;
    if (!ba_jinja_name(j, name, sizeof name) || !ba_jinja_accept(j, "in")) {
        ba_jinja_fail(j, "a loop of this kind");
        return to;
    }
    cJSON *list = ba_jinja_operand(j);
    bool filtered = ba_jinja_accept(j, "if");
    const char *from = j->at, *until = j->end;
    size_t end = find(p, i + 1, to, parts);
    if (!j->failed && (!cJSON_IsArray(list) || is_statement(p, end, "else"))) {
        ba_jinja_fail(j, "a loop over what is no list, or with an else");
    }
    j->scope = variables;
    if (filtered && !j->failed) {
        list = chosen(p, list, name, from, until);
    } else {
        j->at = from;
        j->end = until;
        need_end(j);
    }
    size_t n = j->failed ? 0 : (size_t)cJSON_GetArraySize(list), at = 0;
    for (cJSON *item = n ? list->child : NULL; item && !j->failed; item = item->next, at++) {
        j->n_variable = variables;
        set_loop(p, list, at, n);
        if (ba_jinja_set(j, name, item)) {
            run(p, i + 1, end);
        }
    }
    j->scope = scope;
    j->n_variable = variables;
    return end;
}

/* A member of a namespace gets a new value; the old one stays alive, as a variable may show it. */
static void set_member(ba_jinja *j, const char *space, const char *member, const cJSON *value) {
    cJSON *object = NULL;
    for (size_t i = j->n_variable; i > 0 && !object; i--) {
        object = strcmp(j->variable[i - 1].name, space) == 0 ? j->variable[i - 1].value : NULL;
    }
    if (!cJSON_IsObject(object)) {
        ba_jinja_fail(j, "'%s' is no namespace", space);
        return;
    }
    cJSON *copy = value == BA_JINJA_UNDEFINED ? cJSON_CreateNull() : cJSON_Duplicate(value, true);
    cJSON *old = cJSON_DetachItemFromObjectCaseSensitive(object, member);
    if (old) {
        ba_jinja_keep(j, old);
    }
    ba_jinja_put(j, object, member, copy);
}

static size_t run_set(program *p, size_t i, size_t to) {
    static const char *const parts[] = {"endset", NULL};
    ba_jinja *j = &p->j;
    char name[48], member[48] = "";
    if (is_block_set(p, i)) {
        look_at(p, i);
        ba_jinja_accept(j, "set");
        ba_jinja_name(j, name, sizeof name);
        size_t end = find(p, i + 1, to, parts), before = p->len;
        run(p, i + 1, end);
        if (!j->failed) {
            ba_jinja_set(j, name, ba_jinja_keep(j, cJSON_CreateString(p->len > before ? p->out + before : "")));
            p->len = before;
        }
        return end;
    }
    look_at(p, i);
    ba_jinja_accept(j, "set");
    if (!ba_jinja_name(j, name, sizeof name) || (ba_jinja_accept(j, ".") && !ba_jinja_name(j, member, sizeof member)) ||
        !ba_jinja_accept(j, "=")) {
        ba_jinja_fail(j, "a 'set' of this kind");
        return to;
    }
    cJSON *value = ba_jinja_expression(j);
    need_end(j);
    if (j->failed) {
        return to;
    }
    if (*member) {
        set_member(j, name, member, value);
    } else {
        ba_jinja_set(j, name, value);
    }
    return i;
}

/* The chunk where the statement ends. */
static size_t run_statement(program *p, size_t i, size_t to) {
    if (is_statement(p, i, "if")) {
        return run_if(p, i, to);
    }
    if (is_statement(p, i, "for")) {
        return run_for(p, i, to);
    }
    if (is_statement(p, i, "set")) {
        return run_set(p, i, to);
    }
    if (is_statement(p, i, "generation") || is_statement(p, i, "endgeneration")) {
        return i; /* marks for training, which render as nothing */
    }
    look_at(p, i);
    ba_jinja_fail(&p->j, "statement '%.*s' is unknown", (int)(p->j.end - p->j.at < 20 ? p->j.end - p->j.at : 20),
                  p->j.at);
    return to;
}

static void run(program *p, size_t from, size_t to) {
    ba_jinja *j = &p->j;
    if (++j->depth > BA_JINJA_DEPTH) {
        ba_jinja_fail(j, "it takes too much work");
    }
    for (size_t i = from; i < to && !j->failed; i++) {
        const chunk *c = &p->chunk[i];
        if (++j->steps > BA_JINJA_STEPS) {
            ba_jinja_fail(j, "it takes too much work");
        } else if (c->kind == TEXT) {
            print(p, c->from, (size_t)(c->to - c->from));
        } else if (c->kind == STATEMENT) {
            i = run_statement(p, i, to);
        } else {
            look_at(p, i);
            cJSON *value = ba_jinja_expression(j);
            need_end(j);
            const char *text = j->failed ? NULL : ba_jinja_text(j, value);
            print(p, text ? text : "", text ? strlen(text) : 0);
        }
    }
    j->depth--;
}

int ba_jinja_render(const char *source, const cJSON *context, char **out, char err[BA_ERR_LEN]) {
    program *p = calloc(1, sizeof *p);
    *out = NULL;
    if (!p || !(p->j.kept = cJSON_CreateArray())) {
        free(p);
        return ba_fail(err, "out of memory");
    }
    p->j.err = err;
    cJSON *item;
    cJSON_ArrayForEach(item, context) {
        ba_jinja_set(&p->j, item->string, item);
    }
    print(p, "", 0);
    if (cut(p, source) == 0) {
        run(p, 0, p->n);
    }
    int rc = p->j.failed ? -1 : 0;
    if (rc == 0) {
        *out = p->out;
        p->out = NULL;
    }
    free(p->out);
    free(p->chunk);
    cJSON_Delete(p->j.kept);
    free(p);
    return rc;
}

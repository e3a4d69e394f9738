#include "cut.h"

#include "sim/base/grow.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

typedef struct cutter {
    const ba_rules *rules;
    ba_count count;
    void *arg;
    const char *name;
    ba_game_blocks *out;
    char *err;
} cutter;

/* A child of a container that is halved. */
typedef struct part {
    const cJSON *item;
    char *text;    /* owned; canonical, with the member's name in front in an object */
    size_t size;   /* tokens of the text by itself, and of a comma */
    uint64_t bits; /* decide the half, highest bit first */
} part;

static int fail_memory(const cutter *c) {
    return ba_fail(c->err, "out of memory");
}

/* --- names ------------------------------------------------------------------------------------------------------ */

/* The name of an element: the text of its key, or its index. malloc'ed; NULL and err. */
static char *element_name(const cutter *c, const cJSON *element, size_t index, const char *key) {
    char *name = NULL;
    const cJSON *k = key ? cJSON_GetObjectItemCaseSensitive(element, key) : NULL;
    if (key && !cJSON_IsString(k) && !cJSON_IsRaw(k)) {
        ba_fail(c->err, "%s: element %zu has no text or number \"%s\", which the rule names as its key", c->name, index,
                key);
        return NULL;
    }
    if ((k ? asprintf(&name, "%s", k->valuestring) : asprintf(&name, "%zu", index)) < 0) {
        name = NULL;
        fail_memory(c);
    }
    return name;
}

static char *child_name(const cutter *c, const cJSON *child, size_t index, const char *key) {
    char *name;
    if (!child->string) {
        return element_name(c, child, index, key);
    }
    if (!(name = strdup(child->string))) {
        fail_memory(c);
    }
    return name;
}

/* label/name, with ~ and / of the name escaped. */
static char *join(const char *label, const char *name) {
    char *out = malloc(strlen(label) + 2 * strlen(name) + 2), *end = out;
    if (!out) {
        return NULL;
    }
    end = stpcpy(end, label);
    *end++ = '/';
    for (; *name; name++) {
        if (*name == '~' || *name == '/') {
            *end++ = '~';
            *end++ = *name == '~' ? '0' : '1';
        } else {
            *end++ = *name;
        }
    }
    *end = 0;
    return out;
}

/* --- blocks ----------------------------------------------------------------------------------------------------- */

/* Takes the text. */
static int push(cutter *c, char *text, size_t label) {
    ba_game_blocks *b = c->out;
    if (!text || ba_grow(&b->block, &b->cap, b->n + 1, sizeof *b->block)) {
        free(text);
        return fail_memory(c);
    }
    b->block[b->n++] = (ba_game_block){text, strlen(text), label};
    return 0;
}

static char *block_text(const char *label, const char *value) {
    char *text;
    return value && asprintf(&text, "%s%s%s\n", label, *label ? ": " : "", value) >= 0 ? text : NULL;
}

/* 1: within the limit, 0: not, -1: out of memory. A token has at least one byte, so short texts need no count. */
static int fits(const cutter *c, const char *text, size_t limit) {
    size_t len = strlen(text);
    if (len <= limit) {
        return 1;
    }
    size_t n = c->count(c->arg, text, len);
    return n == SIZE_MAX ? fail_memory(c) : n <= limit;
}

static int cut_value(cutter *c, const cJSON *item, const char *label, size_t limit, const char *key);

/* "[a,b]" or "{"x":a,"y":b}" of some children, as a block. Parts of an array without a key carry their indices. */
static char *parts_text(const cJSON *whole, const char *label, bool all, bool indexed, const part *p, size_t n) {
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    if (!f) {
        return NULL;
    }
    fputs(label, f);
    if (indexed && !all) {
        fprintf(f, "[%" PRIu64 "..%" PRIu64 "]", p[0].bits, p[n - 1].bits);
    }
    fputs(*label || (indexed && !all) ? ": " : "", f);
    bool object = cJSON_IsObject(whole);
    fputc(object ? '{' : '[', f);
    for (size_t i = 0; i < n; i++) {
        fputs(i ? "," : "", f);
        fputs(p[i].text, f);
    }
    fputs(object ? "}\n" : "]\n", f);
    if (fclose(f)) {
        free(text);
        return NULL;
    }
    return text;
}

typedef struct halving {
    const cJSON *whole;
    const char *label, *key;
    size_t limit, n_all;
    size_t frame; /* tokens of a block without its children */
    bool indexed;
    part *spare; /* [n_all] */
} halving;

/* Parts in the order of the state that agree in all bits above `bit`. */
static int halve(cutter *c, const halving *h, part *p, size_t n, int bit) {
    size_t size = h->frame;
    for (size_t i = 0; i < n; i++) {
        size += p[i].size;
    }
    if (n > 1 && size > h->limit && bit >= 0) {
        size_t low = 0, high = 0;
        for (size_t i = 0; i < n; i++) {
            if (p[i].bits >> bit & 1) {
                h->spare[high++] = p[i];
            } else {
                p[low++] = p[i];
            }
        }
        memcpy(p + low, h->spare, high * sizeof *p);
        int rc = low ? halve(c, h, p, low, bit - 1) : 0;
        return rc || !high ? rc : halve(c, h, p + low, high, bit - 1);
    }
    char *text = parts_text(h->whole, h->label, n == h->n_all, h->indexed, p, n);
    if (n > 1 || !p->item->child) {
        return push(c, text, strlen(h->label));
    }
    int within = text ? fits(c, text, h->limit) : fail_memory(c);
    if (within) {
        return within > 0 ? push(c, text, strlen(h->label)) : (free(text), -1);
    }
    free(text);
    char *name = p->item->string ? strdup(p->item->string) : element_name(c, p->item, (size_t)p->bits, h->key);
    char *label = name ? join(h->label, name) : NULL;
    int rc = label ? cut_value(c, p->item, label, h->limit, NULL) : -1;
    if (name && !label) {
        fail_memory(c);
    }
    free(name);
    free(label);
    return rc;
}

static int make_part(const cutter *c, const cJSON *child, size_t index, const char *key, part *p) {
    char *value = cJSON_PrintUnformatted(child), *name = NULL;
    p->item = child;
    p->bits = index;
    if (value && child->string) {
        cJSON *quoted = cJSON_CreateString(child->string);
        char *q = cJSON_PrintUnformatted(quoted);
        if (!q || asprintf(&p->text, "%s:%s", q, value) < 0) {
            p->text = NULL;
        }
        cJSON_Delete(quoted);
        free(q);
        free(value);
    } else {
        p->text = value;
    }
    if (!p->text) {
        return fail_memory(c);
    }
    if (child->string || key) {
        if (!(name = child_name(c, child, index, key))) {
            return -1;
        }
        p->bits = XXH3_64bits(name, strlen(name));
        free(name);
    }
    size_t n = c->count(c->arg, p->text, strlen(p->text));
    p->size = n + 1;
    return n == SIZE_MAX ? fail_memory(c) : 0;
}

/* Tokens of an empty part of a container of n. SIZE_MAX: out of memory. */
static size_t frame_tokens(const cutter *c, const char *label, bool indexed, size_t n) {
    char *text;
    if (asprintf(&text, indexed ? "%s[0..%zu]: []\n" : "%s: {}\n", label, n - 1) < 0) {
        return SIZE_MAX;
    }
    size_t tokens = c->count(c->arg, text, strlen(text));
    free(text);
    return tokens;
}

/* Number of bits of n indices. */
static int index_bits(size_t n) {
    int bits = 0;
    while (n > 1 && (n - 1) >> bits) {
        bits++;
    }
    return bits;
}

static int cut_container(cutter *c, const cJSON *item, const char *label, size_t limit, const char *key) {
    size_t n = (size_t)cJSON_GetArraySize(item), made = 0;
    bool indexed = cJSON_IsArray(item) && !key;
    part *p = calloc(n, sizeof *p);
    halving h = {item, label, key, limit, n, frame_tokens(c, label, indexed, n), indexed, calloc(n, sizeof *h.spare)};
    int rc = p && h.spare && h.frame != SIZE_MAX ? 0 : fail_memory(c);
    for (const cJSON *child = item->child; child && !rc; child = child->next) {
        rc = make_part(c, child, made, key, &p[made]);
        made++;
    }
    if (!rc) {
        rc = halve(c, &h, p, n, indexed ? index_bits(n) - 1 : 63);
    }
    for (size_t i = 0; p && i < n; i++) {
        free(p[i].text);
    }
    free(p);
    free(h.spare);
    return rc;
}

static int cut_value(cutter *c, const cJSON *item, const char *label, size_t limit, const char *key) {
    char *value = cJSON_PrintUnformatted(item), *text = block_text(label, value);
    free(value);
    int within = text ? fits(c, text, limit) : fail_memory(c);
    if (within > 0 || (!within && !item->child)) {
        return push(c, text, strlen(label));
    }
    free(text);
    return within ? -1 : cut_container(c, item, label, limit, key);
}

/* --- rules ------------------------------------------------------------------------------------------------------ */

/* Of the rules in `live`, those whose next reference token is this name. */
static uint64_t follow(const ba_rules *rules, uint64_t live, size_t depth, const char *name) {
    uint64_t out = 0;
    for (size_t i = 0; i < rules->n; i++) {
        const ba_rule *r = &rules->rule[i];
        bool on = live >> i & 1 && r->n_part > depth && (!r->part[depth] || !strcmp(r->part[depth], name));
        out |= (uint64_t)on << i;
    }
    return out;
}

static int walk(cutter *c, const cJSON *item, const char *label, uint64_t live, size_t depth);

/* One child of a container that rules look into: followed, or joined to the rest. */
static int walk_child(cutter *c, const cJSON *child, const char *label, const char *name, uint64_t live, size_t depth,
                      cJSON *rest) {
    if (!live) {
        cJSON *copy = cJSON_Duplicate(child, true);
        bool added = copy && (child->string ? cJSON_AddItemToObject(rest, child->string, copy)
                                            : cJSON_AddItemToArray(rest, copy));
        return added ? 0 : fail_memory(c);
    }
    char *longer = join(label, name);
    int rc = longer ? walk(c, child, longer, live, depth + 1) : fail_memory(c);
    free(longer);
    return rc;
}

/* The rule whose path ends at this depth; NULL: none. */
static const ba_rule *rule_at(const ba_rules *rules, uint64_t live, size_t depth) {
    for (size_t i = 0; i < rules->n; i++) {
        if (live >> i & 1 && rules->rule[i].n_part == depth) {
            return &rules->rule[i];
        }
    }
    return NULL;
}

static int walk_children(cutter *c, const cJSON *item, const char *label, uint64_t live, size_t depth) {
    uint64_t below = 0; /* rules that may name a child */
    for (size_t i = 0; i < c->rules->n; i++) {
        below |= live & (uint64_t)(c->rules->rule[i].n_part == depth + 1) << i;
    }
    const ba_rule *named = rule_at(c->rules, below, depth + 1), *here = rule_at(c->rules, live, depth);
    const char *key = named ? named->key : NULL;
    cJSON *rest = cJSON_IsObject(item) ? cJSON_CreateObject() : cJSON_CreateArray();
    int rc = rest ? 0 : fail_memory(c);
    size_t index = 0;
    for (const cJSON *child = item->child; child && !rc; child = child->next) {
        char *name = child_name(c, child, index++, key);
        rc = name ? walk_child(c, child, label, name, follow(c->rules, live, depth, name), depth, rest) : -1;
        free(name);
    }
    if (!rc && rest->child) {
        rc = cut_value(c, rest, label, here ? here->max_tokens : c->rules->max_tokens, NULL);
    }
    cJSON_Delete(rest);
    return rc;
}

/* The first matching rule of the file decides: its path ends here, or continues below. */
static int walk(cutter *c, const cJSON *item, const char *label, uint64_t live, size_t depth) {
    size_t first = 0;
    while (first < c->rules->n && !(live >> first & 1)) {
        first++;
    }
    const ba_rule *r = first < c->rules->n ? &c->rules->rule[first] : NULL;
    if (r && r->n_part > depth && item->child) {
        return walk_children(c, item, label, live, depth);
    }
    r = rule_at(c->rules, live, depth);
    return cut_value(c, item, label, r ? r->max_tokens : c->rules->max_tokens, r ? r->key : NULL);
}

int ba_cut(const cJSON *state, const ba_rules *rules, ba_count count, void *arg, const char *name, ba_game_blocks *out,
           char err[BA_ERR_LEN]) {
    cutter c = {rules, count, arg, name, out, err};
    uint64_t all = rules->n == 64 ? UINT64_MAX : (UINT64_C(1) << rules->n) - 1;
    *out = (ba_game_blocks){0};
    if (walk(&c, state, "", all, 0)) {
        ba_game_blocks_free(out);
        return -1;
    }
    return 0;
}

void ba_game_blocks_free(ba_game_blocks *blocks) {
    for (size_t i = 0; i < blocks->n; i++) {
        free(blocks->block[i].text);
    }
    free(blocks->block);
    *blocks = (ba_game_blocks){0};
}

/* Tokens and merges of a tokenizer.json. Ids are given as `tokenizers` gives them: an added token that the model has
 * keeps the model's id, any other gets the next one. */
#include "parts.h"
#include "sim/base/json_read.h"
#include "sim/recipe/fields.h"
#include "sim/text/span_table.h"

#include <stdlib.h>
#include <string.h>

int ba_vocab_no_memory(const ba_vocab_reader *r) {
    return ba_fail(r->err, "%s: out of memory", r->path);
}

int32_t ba_vocab_id_of(const ba_vocab *v, const char *text) {
    for (size_t i = 0; text && i < v->n; i++) {
        if (ba_span_is(v->token[i], text)) {
            return (int32_t)i;
        }
    }
    return -1;
}

/* ---- the model's tokens ----------------------------------------------------------------------------------------- */

static int bad_id(const ba_vocab_reader *r, const char *text) {
    return ba_fail(
        r->err,
        "%s: the id of token '%.40s' is no whole number below %zu, the vocabulary size of config.json, or is "
        "taken by another token; use the tokenizer that belongs to the model",
        r->path, text, r->v->n);
}

/* "<0x0A>" */
static bool is_byte_token(const char *text) {
    const char *hex = "0123456789ABCDEF";
    return strlen(text) == 6 && strncmp(text, "<0x", 3) == 0 && strchr(hex, text[3]) && strchr(hex, text[4]) &&
           text[5] == '>';
}

static int read_model_tokens(const ba_vocab_reader *r, const cJSON *model, size_t *n) {
    const cJSON *vocab = ba_json_get(model, "vocab"), *entry;
    if (!cJSON_IsObject(vocab) || !vocab->child) {
        return ba_fail(r->err, "%s: 'model.vocab' must be an object of tokens and ids", r->path);
    }
    r->v->recipe->in_model = calloc(r->v->n + 1, sizeof *r->v->recipe->in_model);
    if (!r->v->recipe->in_model) {
        return ba_vocab_no_memory(r);
    }
    cJSON_ArrayForEach(entry, vocab) {
        size_t id;
        if (!ba_json_whole(entry, &id) || id >= r->v->n || r->v->recipe->in_model[id]) {
            return bad_id(r, entry->string);
        }
        bool byte = r->v->kind == BA_VOCAB_SPM && is_byte_token(entry->string);
        r->v->token[id] = (ba_span){entry->string, strlen(entry->string)};
        r->v->type[id] = byte ? BA_TOKEN_BYTE : BA_TOKEN_NORMAL;
        r->v->recipe->in_model[id] = true;
        ++*n;
    }
    return 0;
}

static int read_unknown(const ba_vocab_reader *r, const cJSON *model) {
    const char *unk = NULL;
    if (ba_json_string(model, "unk_token", &unk, r->path, r->err) != 0) {
        return -1;
    }
    r->v->unk = ba_vocab_id_of(r->v, unk);
    if (unk && r->v->unk < 0) {
        return ba_fail(r->err, "%s: 'model.unk_token' is '%.40s', which is not in 'model.vocab'", r->path, unk);
    }
    r->v->recipe->has_unk = unk != NULL;
    r->v->recipe->unk = r->v->unk;
    return 0;
}

/* ---- added tokens ----------------------------------------------------------------------------------------------- */

/* tokenizer_config.json's members for special tokens, and its lists of more. */
static const char *const named[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                    "pad_token", "cls_token", "mask_token"};
static const char *const lists[] = {"extra_special_tokens", "additional_special_tokens"};
enum { NAMED = sizeof named / sizeof *named };

/* While added tokens are entered, in the order in which the library does it. */
typedef struct adding {
    const ba_vocab_reader *r;
    const cJSON *config;    /* tokenizer_config.json, or NULL */
    ba_span_table in_model; /* of the model's tokens */
    ba_span_table have;     /* of the added tokens so far: their indices */
    ba_span *text;          /* [room] of the added tokens */
    size_t room;
    const char *name[NAMED]; /* what tokenizer_config.json calls bos_token, ..., or NULL */
    size_t next;             /* id of the next token that the model does not have */
} adding;

static ba_added_token *find_added(const adding *a, const char *text) {
    int32_t i = ba_span_table_find(&a->have, text, strlen(text));
    return i < 0 ? NULL : &a->r->v->recipe->added[i];
}

/* Gives the token its id and its place among the vocabulary's; one that is there already gets the new options. */
static int add_token(adding *a, ba_added_token t) {
    ba_recipe *recipe = a->r->v->recipe;
    ba_vocab *v = a->r->v;
    ba_added_token *have = find_added(a, t.text.s);
    int32_t of_model = ba_span_table_find(&a->in_model, t.text.s, t.text.n);
    if (!have) {
        if (a->next > INT32_MAX || recipe->n_added == a->room) {
            return ba_vocab_no_memory(a->r);
        }
        a->text[recipe->n_added] = t.text;
        ba_span_table_add(&a->have, (int32_t)recipe->n_added);
        have = &recipe->added[recipe->n_added++];
        t.id = of_model >= 0 ? of_model : (int32_t)a->next++;
    } else {
        t.id = have->id;
    }
    *have = t;
    if ((size_t)t.id >= v->n) { /* the model has no embedding for it */
        return t.special ? 0 : bad_id(a->r, t.text.s);
    }
    if (v->token[t.id].n && of_model < 0 &&
        !(v->token[t.id].n == t.text.n && !memcmp(v->token[t.id].s, t.text.s, t.text.n))) {
        return bad_id(a->r, t.text.s);
    }
    v->token[t.id] = t.text;
    v->type[t.id] = t.special ? BA_TOKEN_CONTROL : BA_TOKEN_USER;
    return 0;
}

static int read_flags(const ba_vocab_reader *r, const cJSON *entry, ba_added_token *t) {
    return ba_json_bool(entry, "special", &t->special, r->path, r->err) != 0 ||
                   ba_json_bool(entry, "single_word", &t->single_word, r->path, r->err) != 0 ||
                   ba_json_bool(entry, "lstrip", &t->lstrip, r->path, r->err) != 0 ||
                   ba_json_bool(entry, "rstrip", &t->rstrip, r->path, r->err) != 0 ||
                   ba_json_bool(entry, "normalized", &t->normalized, r->path, r->err) != 0
               ? -1
               : 0;
}

/* The id of the file must be the one that the library gives the token. */
static int check_id(const adding *a, const char *text, size_t id) {
    const ba_added_token *t = find_added(a, text);
    return !t || (size_t)t->id == id
               ? 0
               : ba_fail(a->r->err,
                         "%s: the id of token '%.40s' is %zu in the file, but %d to the library, which numbers added "
                         "tokens from the end of the vocabulary",
                         a->r->path, text, id, (int)t->id);
}

static int read_added(adding *a, const cJSON *list) {
    const ba_vocab_reader *r = a->r;
    const cJSON *entry;
    char why[BA_ERR_LEN];
    cJSON_ArrayForEach(entry, list) {
        const cJSON *content = ba_json_get(entry, "content");
        ba_added_token t = {0};
        size_t id;
        if (!cJSON_IsString(content)) {
            return ba_fail(r->err, "%s: an entry of 'added_tokens' has no 'content'", r->path);
        }
        if (ba_recipe_check_members(entry, "added_tokens[].", why) != 0) {
            return ba_fail(r->err, "%s: %s", r->path, why);
        }
        if (!ba_json_whole(ba_json_get(entry, "id"), &id)) {
            return bad_id(r, content->valuestring);
        }
        t.text = (ba_span){content->valuestring, strlen(content->valuestring)};
        if (t.text.n == 0) {
            continue; /* the library leaves it out */
        }
        if (read_flags(r, entry, &t) != 0 || add_token(a, t) != 0 || check_id(a, content->valuestring, id) != 0) {
            return -1;
        }
    }
    return 0;
}

/* ---- tokenizer_config.json: transformers adds the tokens that it lists ------------------------------------------- */

static const char *text_of(const cJSON *item) {
    const cJSON *text = cJSON_IsObject(item) ? ba_json_get(item, "content") : item;
    return cJSON_IsString(text) && text->valuestring[0] ? text->valuestring : NULL;
}

static bool is_named(const adding *a, const char *text) {
    for (size_t i = 0; i < NAMED; i++) {
        if (a->name[i] && strcmp(a->name[i], text) == 0) {
            return true;
        }
    }
    return false;
}

/* "added_tokens_decoder": {"ID": {"content": ..., flags}} */
static int read_decoder_tokens(adding *a) {
    const cJSON *entry;
    cJSON_ArrayForEach(entry, ba_json_get(a->config, "added_tokens_decoder")) {
        const char *text = text_of(entry);
        ba_added_token t = {.normalized = true};
        if (!text) {
            continue;
        }
        t.text = (ba_span){text, strlen(text)};
        if (read_flags(a->r, entry, &t) != 0) {
            return -1;
        }
        t.special = t.special || is_named(a, text);
        if (add_token(a, t) != 0 || check_id(a, text, strtoull(entry->string, NULL, 10)) != 0) {
            return -1;
        }
    }
    return 0;
}

/* A special token by name, unless it is an added token already. */
static int read_special(adding *a, const cJSON *item) {
    const char *text = text_of(item);
    ba_added_token t = {.special = true, .normalized = cJSON_IsObject(item)};
    if (!text || find_added(a, text)) {
        return 0;
    }
    t.text = (ba_span){text, strlen(text)};
    if (cJSON_IsObject(item) && read_flags(a->r, item, &t) != 0) {
        return -1;
    }
    t.special = true;
    return add_token(a, t);
}

static int read_config_tokens(adding *a) {
    const cJSON *each;
    if (cJSON_IsTrue(ba_json_get(a->config, "split_special_tokens"))) {
        return ba_fail(a->r->err, "%s: 'split_special_tokens' in tokenizer_config.json is not supported", a->r->path);
    }
    if (read_decoder_tokens(a) != 0) {
        return -1;
    }
    for (size_t i = 0; i < NAMED; i++) {
        if (read_special(a, ba_json_get(a->config, named[i])) != 0) {
            return -1;
        }
    }
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        cJSON_ArrayForEach(each, ba_json_get(a->config, lists[i])) {
            if (read_special(a, each) != 0) {
                return -1;
            }
        }
    }
    return 0;
}

/* Room for all added tokens that the files list. 0, or -1: out of memory. */
static int open_adding(adding *a, const cJSON *added) {
    const cJSON *config = a->config;
    size_t room = NAMED + (size_t)cJSON_GetArraySize(added) +
                  (size_t)cJSON_GetArraySize(ba_json_get(config, "added_tokens_decoder"));
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        room += (size_t)cJSON_GetArraySize(ba_json_get(config, lists[i]));
    }
    for (size_t i = 0; i < NAMED; i++) {
        a->name[i] = text_of(ba_json_get(config, named[i]));
    }
    a->room = room;
    a->text = calloc(room, sizeof *a->text);
    a->r->v->recipe->added = calloc(room, sizeof *a->r->v->recipe->added);
    if (!a->text || !a->r->v->recipe->added || ba_span_table_init(&a->have, a->text, room) ||
        ba_span_table_init(&a->in_model, a->r->v->token, a->r->v->n)) {
        return -1;
    }
    a->have.steps = a->in_model.steps = a->r->steps;
    for (size_t i = 0; i < a->r->v->n; i++) {
        if (a->r->v->recipe->in_model[i]) {
            ba_span_table_add(&a->in_model, (int32_t)i);
        }
    }
    return 0;
}

int ba_vocab_read_tokens(const ba_vocab_reader *r, const cJSON *root, const cJSON *tokenizer_config) {
    const cJSON *model = ba_json_get(root, "model"), *added = ba_json_get(root, "added_tokens");
    adding a = {.r = r, .config = tokenizer_config};
    if (read_model_tokens(r, model, &a.next) != 0 || read_unknown(r, model) != 0) {
        return -1;
    }
    int rc = open_adding(&a, added) == 0 ? read_added(&a, added) : ba_vocab_no_memory(r);
    rc = rc ? rc : read_config_tokens(&a);
    ba_span_table_free(&a.in_model);
    ba_span_table_free(&a.have);
    free(a.text);
    if (!rc && r->v->unk >= 0) {
        r->v->type[r->v->unk] = BA_TOKEN_UNKNOWN;
    }
    return rc;
}

/* ---- merges ----------------------------------------------------------------------------------------------------- */

/* Left and right part of a merge: "left right", or ["left", "right"] since tokenizers 0.20. */
static bool merge_parts(const cJSON *entry, ba_pair *out) {
    if (cJSON_IsString(entry)) {
        const char *s = entry->valuestring, *space = strchr(s, ' ');
        if (!space || strchr(space + 1, ' ')) {
            return false;
        }
        *out = (ba_pair){{s, (size_t)(space - s)}, {space + 1, strlen(space + 1)}};
    } else {
        const cJSON *a = cJSON_GetArrayItem(entry, 0), *b = cJSON_GetArrayItem(entry, 1);
        if (cJSON_GetArraySize(entry) != 2 || !cJSON_IsString(a) || !cJSON_IsString(b)) {
            return false;
        }
        *out = (ba_pair){{a->valuestring, strlen(a->valuestring)}, {b->valuestring, strlen(b->valuestring)}};
    }
    return out->left.n && out->right.n;
}

/* The first line of merges.txt, which old files carried over. */
static bool is_version_line(const cJSON *entry) {
    return cJSON_IsString(entry) && strncmp(entry->valuestring, "#version", 8) == 0;
}

static int read_pairs(const ba_vocab_reader *r, const cJSON *merges, size_t *bytes) {
    ba_recipe *recipe = r->v->recipe;
    const cJSON *entry;
    size_t n = (size_t)cJSON_GetArraySize(merges);
    recipe->merge = calloc(n + 1, sizeof *recipe->merge);
    if (!recipe->merge) {
        return ba_vocab_no_memory(r);
    }
    cJSON_ArrayForEach(entry, merges) {
        ba_pair *pair = &recipe->merge[recipe->n_merges];
        if (is_version_line(entry)) {
            continue;
        }
        if (!merge_parts(entry, pair)) {
            return ba_fail(r->err, "%s: merge %zu is no pair of tokens", r->path, recipe->n_merges);
        }
        *bytes += pair->left.n + pair->right.n + 1; /* at most the file's size */
        recipe->n_merges++;
    }
    return 0;
}

int ba_vocab_read_merges(const ba_vocab_reader *r, const cJSON *model, char **texts) {
    const cJSON *merges = ba_json_get(model, "merges");
    ba_recipe *recipe = r->v->recipe;
    size_t bytes = 0;
    if (!cJSON_IsArray(merges)) {
        return ba_fail(r->err, "%s: 'model.merges' must be a list of pairs", r->path);
    }
    if (read_pairs(r, merges, &bytes) != 0) {
        return -1;
    }
    r->v->merge = calloc(recipe->n_merges + 1, sizeof *r->v->merge);
    char *p = *texts = malloc(bytes + 1);
    if (!p || !r->v->merge) {
        return ba_vocab_no_memory(r);
    }
    for (size_t i = 0; i < recipe->n_merges; i++) {
        const ba_pair *pair = &recipe->merge[i];
        r->v->merge[r->v->n_merge++] = (ba_span){p, pair->left.n + 1 + pair->right.n};
        p = mempcpy(p, pair->left.s, pair->left.n);
        *p++ = ' ';
        p = mempcpy(p, pair->right.s, pair->right.n);
    }
    return 0;
}

#include "read.h"

#include "fields.h"
#include "sim/base/json_read.h"
#include "step.h"
#include <stdlib.h>
#include <string.h>

enum { DEEPEST = 8 };

/* Steps of one part of the file, collected from sequences in sequences. */
typedef struct collecting {
    const char *where, *list; /* "normalizer", "normalizers" */
    const ba_step_type *(*table)(size_t i);
    ba_step *step;
    size_t n, cap;
    char *err;
} collecting;

static bool is_sequence(const cJSON *json) {
    const cJSON *type = ba_json_get(json, "type");
    return cJSON_IsString(type) && strcmp(type->valuestring, "Sequence") == 0;
}

static int count_steps(const collecting *c, const cJSON *json, size_t depth, size_t *n) {
    const cJSON *list = ba_json_get(json, c->list), *each;
    if (!is_sequence(json)) {
        ++*n;
        return 0;
    }
    if (depth == DEEPEST || !cJSON_IsArray(list) || cJSON_GetArraySize(json) != 2) {
        return ba_fail(c->err, "%s: a Sequence must have the one field '%s', a list; at most %d inside each other",
                       c->where, c->list, DEEPEST);
    }
    cJSON_ArrayForEach(each, list) {
        if (count_steps(c, each, depth + 1, n) != 0) {
            return -1;
        }
    }
    return 0;
}

/* Ends with the first step that fails: `n` counts those that must be freed. */
static int parse_steps(collecting *c, const cJSON *json) {
    const cJSON *each;
    if (!is_sequence(json)) {
        int rc = ba_step_parse(json, c->where, c->table, &c->step[c->n], c->err);
        c->n += rc == 0;
        return rc;
    }
    cJSON_ArrayForEach(each, ba_json_get(json, c->list)) {
        if (parse_steps(c, each) != 0) {
            return -1;
        }
    }
    return 0;
}

static int read_steps(collecting *c, const cJSON *json) {
    size_t n = 0;
    if (!json) {
        return 0;
    }
    if (count_steps(c, json, 0, &n) != 0) {
        return -1;
    }
    c->step = calloc(n + 1, sizeof *c->step);
    return c->step ? parse_steps(c, json) : ba_fail(c->err, "out of memory");
}

static int read_text(const cJSON *model, const char *name, ba_span *out, char err[BA_ERR_LEN]) {
    const char *text = NULL;
    if (ba_json_string(model, name, &text, "model", err) != 0) {
        return -1;
    }
    *out = text ? (ba_span){text, strlen(text)} : (ba_span){"", 0};
    return 0;
}

static int read_options(const cJSON *model, ba_recipe *r, char err[BA_ERR_LEN]) {
    if (ba_json_bool(model, "ignore_merges", &r->ignore_merges, "model", err) != 0 ||
        ba_json_bool(model, "byte_fallback", &r->byte_fallback, "model", err) != 0 ||
        ba_json_bool(model, "fuse_unk", &r->fuse_unk, "model", err) != 0) {
        return -1;
    }
    return read_text(model, "continuing_subword_prefix", &r->prefix, err) == 0 &&
                   read_text(model, "end_of_word_suffix", &r->suffix, err) == 0
               ? 0
               : -1;
}

static int check_type(const cJSON *model, char err[BA_ERR_LEN]) {
    const cJSON *type = ba_json_get(model, "type");
    if ((cJSON_IsString(type) && strcmp(type->valuestring, "BPE") == 0) || (!type && ba_json_get(model, "merges"))) {
        return 0;
    }
    return ba_fail(err, "its model is not BPE but '%.40s'; only byte-level and SentencePiece BPE are supported",
                   cJSON_IsString(type) ? type->valuestring : "");
}

/* A decoder changes no id, but the text of ids, which knows two alphabets: that of bytes, and U+2581 for a space. */
static int check_decoder(const cJSON *decoder, char err[BA_ERR_LEN]) {
    static const char *const fine[] = {"ByteLevel", "Metaspace", "Replace", "ByteFallback", "Fuse", "Strip"};
    const cJSON *type = ba_json_get(decoder, "type"), *each;
    if (!decoder) {
        return 0;
    }
    if (is_sequence(decoder)) {
        cJSON_ArrayForEach(each, ba_json_get(decoder, "decoders")) {
            if (check_decoder(each, err) != 0) {
                return -1;
            }
        }
        return 0;
    }
    for (size_t i = 0; cJSON_IsString(type) && i < sizeof fine / sizeof *fine; i++) {
        if (strcmp(type->valuestring, fine[i]) == 0) {
            return 0;
        }
    }
    return ba_fail(err, "decoder: a step of type '%.40s' is not supported",
                   cJSON_IsString(type) ? type->valuestring : "");
}

static int check_version(const cJSON *root, char err[BA_ERR_LEN]) {
    const cJSON *version = ba_json_get(root, "version");
    return !version || (cJSON_IsString(version) && strcmp(version->valuestring, "1.0") == 0)
               ? 0
               : ba_fail(err, "'version' is not \"1.0\"");
}

static bool add_copy(cJSON *to, const char *name, const cJSON *item) {
    cJSON *copy = item ? cJSON_Duplicate(item, true) : cJSON_CreateNull();
    if (copy && cJSON_AddItemToObject(to, name, copy)) {
        return true;
    }
    cJSON_Delete(copy);
    return false;
}

/* What decides ids, as one text: tokens and merges are hashed by themselves. */
static int make_digest(const cJSON *root, ba_recipe *r, char err[BA_ERR_LEN]) {
    static const char *const parts[] = {"normalizer", "pre_tokenizer", "added_tokens"};
    const cJSON *option;
    cJSON *copy = cJSON_CreateObject();
    bool whole = copy != NULL;
    for (size_t i = 0; whole && i < sizeof parts / sizeof *parts; i++) {
        whole = add_copy(copy, parts[i], ba_json_get(root, parts[i]));
    }
    cJSON_ArrayForEach(option, ba_json_get(root, "model")) {
        bool large = strcmp(option->string, "vocab") == 0 || strcmp(option->string, "merges") == 0;
        whole = whole && (large || add_copy(copy, option->string, option));
    }
    r->digest_text = whole ? cJSON_PrintUnformatted(copy) : NULL;
    cJSON_Delete(copy);
    return r->digest_text ? 0 : ba_fail(err, "out of memory");
}

int ba_recipe_read(const cJSON *root, ba_recipe *r, char err[BA_ERR_LEN]) {
    const cJSON *model = ba_json_get(root, "model");
    if (check_type(model, err) != 0 || check_version(root, err) != 0 || ba_recipe_check_members(root, "", err) != 0 ||
        ba_recipe_check_members(model, "model.", err) != 0 || read_options(model, r, err) != 0 ||
        check_decoder(ba_json_get(root, "decoder"), err) != 0) {
        return -1;
    }
    collecting normal = {.where = "normalizer", .list = "normalizers", .table = ba_normalizer_at, .err = err};
    collecting pre = {.where = "pre_tokenizer", .list = "pretokenizers", .table = ba_pre_tokenizer_at, .err = err};
    int rc = read_steps(&normal, ba_json_get(root, "normalizer"));
    r->normalizer = normal.step;
    r->n_normalizers = normal.n;
    rc = rc ? rc : read_steps(&pre, ba_json_get(root, "pre_tokenizer"));
    r->pre_tokenizer = pre.step;
    r->n_pre_tokenizers = pre.n;
    return rc ? rc : make_digest(root, r, err);
}

bool ba_recipe_has(const ba_recipe *r, const char *type) {
    for (size_t i = 0; i < r->n_normalizers + r->n_pre_tokenizers; i++) {
        const ba_step *s = i < r->n_normalizers ? &r->normalizer[i] : &r->pre_tokenizer[i - r->n_normalizers];
        if (strcmp(s->type->name, type) == 0) {
            return true;
        }
    }
    return false;
}

bool ba_recipe_prepends(const ba_recipe *r) {
    for (size_t i = 0; i < r->n_pre_tokenizers; i++) {
        const ba_step *s = &r->pre_tokenizer[i];
        if (strcmp(s->type->name, "Metaspace") == 0 && s->choice != BA_PREPEND_NEVER) {
            return true;
        }
    }
    return ba_recipe_has(r, "Prepend");
}

static bool is_step(const ba_recipe *r, size_t i, const char *type) {
    return i < r->n_pre_tokenizers && strcmp(r->pre_tokenizer[i].type->name, type) == 0;
}

/* The last step is ByteLevel without a space in front, cutting or not. */
static bool ends_in_bytes(const ba_recipe *r, size_t i, bool cuts) {
    return i + 1 == r->n_pre_tokenizers && is_step(r, i, "ByteLevel") && !r->pre_tokenizer[i].yes[0] &&
           r->pre_tokenizer[i].yes[1] == cuts;
}

const char *ba_recipe_family(const ba_recipe *r) {
    const ba_step *s = r->pre_tokenizer;
    if (ends_in_bytes(r, 0, true)) {
        return "gpt-2";
    }
    if (is_step(r, 0, "Digits") && s[0].yes[0] && ends_in_bytes(r, 1, true)) {
        return "smollm";
    }
    bool keeps = is_step(r, 0, "Split") &&
                 (s[0].yes[0] ? s[0].choice == BA_REMOVED || s[0].choice == BA_ISOLATED : s[0].choice == BA_ISOLATED);
    return keeps && s[0].family && ends_in_bytes(r, 1, false) ? s[0].family->name : NULL;
}

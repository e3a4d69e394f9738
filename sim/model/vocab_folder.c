/* A vocabulary from tokenizer.json and its neighbours in a Hugging Face folder. */
#include "sim/base/json_read.h"
#include "vocab_read.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* U+2581, which stands for a space in SentencePiece. */
#define SPACE_MARK "\xe2\x96\x81"

typedef struct reader {
    const char *path; /* of tokenizer.json */
    ba_vocab *v;
    char *err;
} reader;

static int no_memory(const reader *r) {
    return ba_fail(r->err, "%s: out of memory", r->path);
}

static bool path_in(const char *folder, const char *name, char *path, size_t size) {
    int n = snprintf(path, size, "%s/%s", folder, name);
    return n > 0 && (size_t)n < size;
}

static bool has_type(const cJSON *object, const char *type) {
    const cJSON *t = ba_json_get(object, "type");
    return cJSON_IsString(t) && strcmp(t->valuestring, type) == 0;
}

/* The first step of that type: the object itself, or a member of a sequence of them. */
static const cJSON *find_step(const cJSON *object, const char *list, const char *type) {
    if (has_type(object, type)) {
        return object;
    }
    const cJSON *step;
    cJSON_ArrayForEach(step, ba_json_get(object, list)) {
        if (has_type(step, type)) {
            return step;
        }
    }
    return NULL;
}

static int32_t id_of(const ba_vocab *v, const char *text) {
    for (size_t i = 0; text && i < v->n; i++) {
        if (ba_span_is(v->token[i], text)) {
            return (int32_t)i;
        }
    }
    return -1;
}

/* ---- family ----------------------------------------------------------------------------------------------------- */

#define LLAMA3_PATTERN(digits)                                                                                         \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" digits                                               \
    "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

/* Pre-tokenisers by the pattern that they split at. */
static const struct {
    const char *pattern, *pre;
} families[] = {
    {LLAMA3_PATTERN("\\p{N}{1,3}"), "llama-bpe"},
    {LLAMA3_PATTERN("\\p{N}"), "qwen2"},
};

static int set_byte_level(const reader *r, const cJSON *steps) {
    const cJSON *split = find_step(steps, "pretokenizers", "Split");
    const cJSON *digits = find_step(steps, "pretokenizers", "Digits");
    const cJSON *byte_level = find_step(steps, "pretokenizers", "ByteLevel");
    const char *pre = NULL;
    if (cJSON_IsTrue(ba_json_get(byte_level, "add_prefix_space"))) {
        return ba_fail(r->err, "%s: a byte-level pre-tokeniser with 'add_prefix_space' is not supported", r->path);
    }
    if (split) {
        const cJSON *regex = ba_json_get(ba_json_get(split, "pattern"), "Regex");
        for (size_t i = 0; cJSON_IsString(regex) && i < sizeof families / sizeof *families; i++) {
            pre = strcmp(regex->valuestring, families[i].pattern) == 0 ? families[i].pre : pre;
        }
    } else if (digits) {
        pre = cJSON_IsTrue(ba_json_get(digits, "individual_digits")) ? "smollm" : NULL;
    } else if (!cJSON_IsFalse(ba_json_get(byte_level, "use_regex"))) {
        pre = "gpt-2";
    }
    if (!pre) {
        return ba_fail(r->err, "%s: its pre_tokenizer is of no known family; there is gpt-2, smollm, llama-bpe, qwen2",
                       r->path);
    }
    r->v->kind = BA_VOCAB_BPE;
    r->v->pre = strdup(pre);
    return r->v->pre ? 0 : no_memory(r);
}

static bool prepends_space(const cJSON *normalizer, const cJSON *pre) {
    const cJSON *metaspace = find_step(pre, "pretokenizers", "Metaspace");
    const cJSON *scheme = ba_json_get(metaspace, "prepend_scheme");
    if (metaspace) {
        return cJSON_IsString(scheme) ? strcmp(scheme->valuestring, "never") != 0
                                      : !cJSON_IsFalse(ba_json_get(metaspace, "add_prefix_space"));
    }
    return find_step(normalizer, "normalizers", "Prepend") != NULL;
}

static int set_family(const reader *r, const cJSON *root, const cJSON *model) {
    const cJSON *pre = ba_json_get(root, "pre_tokenizer"), *normalizer = ba_json_get(root, "normalizer");
    if (!has_type(model, "BPE") && !(ba_json_get(model, "merges") && !ba_json_get(model, "type"))) {
        return ba_fail(r->err, "%s: its model is not BPE; only byte-level and SentencePiece BPE are supported",
                       r->path);
    }
    if (find_step(pre, "pretokenizers", "ByteLevel")) {
        return set_byte_level(r, pre);
    }
    if (!cJSON_IsTrue(ba_json_get(model, "byte_fallback"))) {
        return ba_fail(r->err, "%s: neither byte-level BPE nor SentencePiece BPE with byte_fallback", r->path);
    }
    r->v->kind = BA_VOCAB_SPM;
    r->v->add_space_prefix = prepends_space(normalizer, pre);
    r->v->pre = strdup("");
    return r->v->pre ? 0 : no_memory(r);
}

/* ---- tokens ----------------------------------------------------------------------------------------------------- */

static int bad_id(const reader *r, const char *text) {
    return ba_fail(
        r->err,
        "%s: the id of token '%.40s' is no whole number below %zu, the vocabulary size of config.json, or is "
        "taken by another token; use the tokenizer that belongs to the model",
        r->path, text, r->v->n);
}

static int set_token(const reader *r, const char *text, const cJSON *id, ba_token_type type) {
    size_t i;
    if (!ba_json_whole(id, &i) || i >= r->v->n) {
        return bad_id(r, text);
    }
    ba_span *token = &r->v->token[i];
    if (token->n && !ba_span_is(*token, text)) {
        return bad_id(r, text);
    }
    *token = (ba_span){text, strlen(text)};
    r->v->type[i] = (uint8_t)type;
    return 0;
}

/* "<0x0A>" */
static bool is_byte_token(const char *text) {
    const char *hex = "0123456789ABCDEF";
    return strlen(text) == 6 && strncmp(text, "<0x", 3) == 0 && strchr(hex, text[3]) && strchr(hex, text[4]) &&
           text[5] == '>';
}

static int read_tokens(const reader *r, const cJSON *root, const cJSON *model) {
    const cJSON *vocab = ba_json_get(model, "vocab"), *entry;
    const char *unk = NULL;
    if (!cJSON_IsObject(vocab) || !vocab->child) {
        return ba_fail(r->err, "%s: 'model.vocab' must be an object of tokens and ids", r->path);
    }
    cJSON_ArrayForEach(entry, vocab) {
        bool byte = r->v->kind == BA_VOCAB_SPM && is_byte_token(entry->string);
        if (set_token(r, entry->string, entry, byte ? BA_TOKEN_BYTE : BA_TOKEN_NORMAL) != 0) {
            return -1;
        }
    }
    cJSON_ArrayForEach(entry, ba_json_get(root, "added_tokens")) {
        const cJSON *content = ba_json_get(entry, "content");
        bool control = cJSON_IsTrue(ba_json_get(entry, "special"));
        if (!cJSON_IsString(content)) {
            return ba_fail(r->err, "%s: an entry of 'added_tokens' has no 'content'", r->path);
        }
        if (set_token(r, content->valuestring, ba_json_get(entry, "id"), control ? BA_TOKEN_CONTROL : BA_TOKEN_USER) !=
            0) {
            return -1;
        }
    }
    if (ba_json_string(model, "unk_token", &unk, r->path, r->err) != 0) {
        return -1;
    }
    r->v->unk = id_of(r->v, unk);
    if (r->v->unk >= 0) {
        r->v->type[r->v->unk] = BA_TOKEN_UNKNOWN;
    }
    return 0;
}

/* ---- merges ----------------------------------------------------------------------------------------------------- */

/* Left and right part of a merge: "left right", or ["left", "right"] since tokenizers 0.20. */
static bool merge_parts(const cJSON *entry, ba_span *left, ba_span *right) {
    if (cJSON_IsString(entry)) {
        const char *s = entry->valuestring, *space = *s ? strchr(s + 1, ' ') : NULL;
        *left = (ba_span){s, space ? (size_t)(space - s) : 0};
        *right = (ba_span){space ? space + 1 : "", space ? strlen(space + 1) : 0};
    } else {
        const cJSON *a = cJSON_GetArrayItem(entry, 0), *b = cJSON_GetArrayItem(entry, 1);
        if (cJSON_GetArraySize(entry) != 2 || !cJSON_IsString(a) || !cJSON_IsString(b)) {
            return false;
        }
        *left = (ba_span){a->valuestring, strlen(a->valuestring)};
        *right = (ba_span){b->valuestring, strlen(b->valuestring)};
    }
    return left->n && right->n;
}

static int read_merges(const reader *r, const cJSON *model, char **texts) {
    const cJSON *merges = ba_json_get(model, "merges"), *entry;
    ba_span left, right;
    size_t n = 0, bytes = 0;
    cJSON_ArrayForEach(entry, merges) {
        if (!merge_parts(entry, &left, &right)) {
            return ba_fail(r->err, "%s: merge %zu is no pair of tokens", r->path, n);
        }
        bytes += left.n + right.n + 1; /* at most the file's size */
        n++;
    }
    r->v->merge = calloc(n + 1, sizeof *r->v->merge);
    char *p = *texts = malloc(bytes + 1);
    if (!p || !r->v->merge) {
        return no_memory(r);
    }
    cJSON_ArrayForEach(entry, merges) {
        merge_parts(entry, &left, &right);
        r->v->merge[r->v->n_merge++] = (ba_span){p, left.n + 1 + right.n};
        p = mempcpy(p, left.s, left.n);
        *p++ = ' ';
        p = mempcpy(p, right.s, right.n);
    }
    return 0;
}

/* ---- scores ----------------------------------------------------------------------------------------------------- */

typedef struct by_text {
    ba_span text;
    size_t id;
} by_text;

static int compare_texts(const void *a, const void *b) {
    const ba_span x = ((const by_text *)a)->text, y = ((const by_text *)b)->text;
    int order = memcmp(x.s, y.s, x.n < y.n ? x.n : y.n);
    return order ? order : (x.n > y.n) - (x.n < y.n);
}

static bool one_character(ba_span t) {
    size_t starts = 0;
    for (size_t i = 0; i < t.n; i++) {
        starts += ((unsigned char)t.s[i] & 0xc0) != 0x80;
    }
    return starts == 1;
}

/* SentencePiece joins the two neighbours whose union has the best score; here the first merge that makes a token is its
 * score, which is the order that the merges were derived from. A token that no merge makes must not arise from two
 * neighbours: it is UNUSED. */
static void score_tokens(ba_vocab *v, by_text *index, char *joined) {
    for (size_t i = 0; i < v->n; i++) {
        index[i] = (by_text){v->token[i], i};
        v->score[i] = -INFINITY;
    }
    qsort(index, v->n, sizeof *index, compare_texts);
    for (size_t m = 0; m < v->n_merge; m++) {
        const ba_span pair = v->merge[m];
        const char *space = memchr(pair.s + 1, ' ', pair.n - 1);
        size_t left = (size_t)(space - pair.s);
        memcpy(joined, pair.s, left);
        memcpy(joined + left, space + 1, pair.n - left - 1);
        const by_text key = {{joined, pair.n - 1}, 0};
        const by_text *found = bsearch(&key, index, v->n, sizeof *index, compare_texts);
        if (found && isinf(v->score[found->id])) {
            v->score[found->id] = -(float)m;
        }
    }
    for (size_t i = 0; i < v->n; i++) {
        if (v->type[i] == BA_TOKEN_NORMAL && isinf(v->score[i]) && !one_character(v->token[i])) {
            v->type[i] = BA_TOKEN_UNUSED;
        }
        v->score[i] = isinf(v->score[i]) ? -(float)v->n_merge : v->score[i];
    }
}

static int set_scores(const reader *r) {
    size_t longest = 0;
    for (size_t m = 0; m < r->v->n_merge; m++) {
        longest = r->v->merge[m].n > longest ? r->v->merge[m].n : longest;
    }
    by_text *index = malloc((r->v->n + 1) * sizeof *index);
    char *joined = malloc(longest + 1);
    r->v->score = malloc((r->v->n + 1) * sizeof *r->v->score);
    int rc = index && joined && r->v->score ? 0 : no_memory(r);
    if (rc == 0) {
        score_tokens(r->v, index, joined);
    }
    free(index);
    free(joined);
    return rc;
}

/* ---- special tokens --------------------------------------------------------------------------------------------- */

static int take_id(const reader *r, const cJSON *item, const char *name, int32_t *out) {
    size_t id;
    if (!item) {
        return 0;
    }
    if (!ba_json_whole(item, &id) || id >= r->v->n) {
        return ba_fail(r->err, "%s: '%s' in config.json or generation_config.json is no id below %zu", r->path, name,
                       r->v->n);
    }
    *out = (int32_t)id;
    return 0;
}

/* An id, or a list of them of which the first counts; all are ends if `ends`. */
static int take_ids(const reader *r, const cJSON *object, const char *name, bool ends, int32_t *out) {
    const cJSON *item = ba_json_get(object, name), *each;
    int32_t id = -1;
    if (!cJSON_IsArray(item)) {
        if (take_id(r, item, name, &id) != 0) {
            return -1;
        }
        *out = id >= 0 ? id : *out;
        return ends && id >= 0 && ba_vocab_add_end(r->v, id) != 0 ? no_memory(r) : 0;
    }
    cJSON_ArrayForEach(each, item) {
        if (take_id(r, each, name, &id) != 0) {
            return -1;
        }
        *out = each == item->child ? id : *out;
        if (ends && ba_vocab_add_end(r->v, id) != 0) {
            return no_memory(r);
        }
    }
    return 0;
}

/* A token given by its text, or by an object that holds it. */
static void take_text(const reader *r, const cJSON *config, const char *name, int32_t *out) {
    const cJSON *item = ba_json_get(config, name);
    const cJSON *text = cJSON_IsObject(item) ? ba_json_get(item, "content") : item;
    int32_t id = cJSON_IsString(text) ? id_of(r->v, text->valuestring) : -1;
    *out = id >= 0 ? id : *out;
}

/* Whether the post-processor puts BOS in front of a text. */
static bool template_adds_bos(const reader *r, const cJSON *root) {
    const cJSON *step = find_step(ba_json_get(root, "post_processor"), "processors", "TemplateProcessing");
    const cJSON *first = cJSON_GetArrayItem(ba_json_get(step, "single"), 0);
    const cJSON *id = ba_json_get(ba_json_get(first, "SpecialToken"), "id");
    return cJSON_IsString(id) && r->v->bos >= 0 && ba_span_is(r->v->token[r->v->bos], id->valuestring);
}

static int read_specials(const reader *r, const cJSON *root, const cJSON *config, const cJSON *generation,
                         const cJSON *tokenizer_config) {
    const cJSON *sources[] = {config, generation};
    for (size_t i = 0; i < 2; i++) {
        if (take_ids(r, sources[i], "bos_token_id", false, &r->v->bos) != 0 ||
            take_ids(r, sources[i], "eos_token_id", true, &r->v->eos) != 0 ||
            take_ids(r, sources[i], "pad_token_id", false, &r->v->pad) != 0) {
            return -1;
        }
    }
    take_text(r, tokenizer_config, "bos_token", &r->v->bos);
    take_text(r, tokenizer_config, "eos_token", &r->v->eos);
    if (r->v->eos >= 0 && ba_vocab_add_end(r->v, r->v->eos) != 0) {
        return no_memory(r);
    }
    r->v->add_bos = template_adds_bos(r, root);
    if (ba_json_bool(tokenizer_config, "add_bos_token", &r->v->add_bos, r->path, r->err) != 0) {
        return -1;
    }
    return ba_vocab_add_known_ends(r->v) == 0 ? 0 : no_memory(r);
}

/* ---- the folder ------------------------------------------------------------------------------------------------- */

/* A file that may be absent: then *out is NULL. */
static int read_optional(const char *folder, const char *name, cJSON **out, char err[BA_ERR_LEN]) {
    char path[4096];
    *out = NULL;
    return path_in(folder, name, path, sizeof path) && access(path, F_OK) == 0 ? ba_json_read(path, out, err) : 0;
}

/* In a file of its own, or in tokenizer_config.json: one text, or a list of named ones. */
static int read_template(const reader *r, const char *folder, const cJSON *tokenizer_config) {
    char path[4096];
    ba_mapping file;
    if (path_in(folder, "chat_template.jinja", path, sizeof path) && access(path, F_OK) == 0) {
        if (ba_mapping_open(path, &file, r->err) != 0) {
            return -1;
        }
        r->v->chat_template = strndup((const char *)file.data, file.size);
        ba_mapping_close(&file);
        return r->v->chat_template ? 0 : no_memory(r);
    }
    const cJSON *item = ba_json_get(tokenizer_config, "chat_template"), *each;
    cJSON_ArrayForEach(each, item) {
        const cJSON *name = ba_json_get(each, "name");
        if (cJSON_IsString(name) && strcmp(name->valuestring, "default") == 0) {
            item = ba_json_get(each, "template");
            break;
        }
    }
    r->v->chat_template = cJSON_IsString(item) ? strdup(item->valuestring) : NULL;
    return cJSON_IsString(item) && !r->v->chat_template ? no_memory(r) : 0;
}

static int read_all(const reader *r, const char *folder, const cJSON *config, size_t size, ba_vocab_source *source,
                    const cJSON *generation, const cJSON *tokenizer_config) {
    const cJSON *root = source->tokenizer, *model = ba_json_get(root, "model");
    if (ba_vocab_alloc(r->v, size) != 0) {
        return no_memory(r);
    }
    if (set_family(r, root, model) != 0 || read_tokens(r, root, model) != 0 ||
        read_merges(r, model, &source->merges) != 0 || (r->v->kind == BA_VOCAB_SPM && set_scores(r) != 0)) {
        return -1;
    }
    return read_specials(r, root, config, generation, tokenizer_config) == 0
               ? read_template(r, folder, tokenizer_config)
               : -1;
}

int ba_vocab_from_folder(const char *folder, const cJSON *config, size_t size, ba_vocab *v, ba_vocab_source *source,
                         char err[BA_ERR_LEN]) {
    char path[4096];
    cJSON *generation = NULL, *tokenizer_config = NULL;
    *v = (ba_vocab){.bos = -1, .eos = -1, .unk = -1, .pad = -1};
    *source = (ba_vocab_source){0};
    const reader r = {path, v, err};
    if (!path_in(folder, "tokenizer.json", path, sizeof path)) {
        return ba_fail(err, "%s: the path is too long", folder);
    }
    if (access(path, F_OK) != 0) {
        return (v->pre = strdup("")) ? 0 : no_memory(&r);
    }
    int rc = ba_json_read(path, &source->tokenizer, err);
    rc = rc ? rc : read_optional(folder, "generation_config.json", &generation, err);
    rc = rc ? rc : read_optional(folder, "tokenizer_config.json", &tokenizer_config, err);
    rc = rc ? rc : read_all(&r, folder, config, size, source, generation, tokenizer_config);
    cJSON_Delete(generation);
    cJSON_Delete(tokenizer_config);
    return rc;
}

void ba_vocab_source_free(ba_vocab_source *s) {
    cJSON_Delete(s->tokenizer);
    free(s->merges);
    *s = (ba_vocab_source){0};
}

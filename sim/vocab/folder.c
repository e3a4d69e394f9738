/* A vocabulary from tokenizer.json and its neighbours in a Hugging Face folder. */
#include "parts.h"
#include "sim/base/json_read.h"
#include "sim/recipe/read.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool path_in(const char *folder, const char *name, char *path, size_t size) {
    int n = snprintf(path, size, "%s/%s", folder, name);
    return n > 0 && (size_t)n < size;
}

/* ---- special tokens --------------------------------------------------------------------------------------------- */

static int take_id(const ba_vocab_reader *r, const cJSON *item, const char *name, int32_t *out) {
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
static int take_ids(const ba_vocab_reader *r, const cJSON *object, const char *name, bool ends, int32_t *out) {
    const cJSON *item = ba_json_get(object, name), *each;
    int32_t id = -1;
    if (!cJSON_IsArray(item)) {
        if (take_id(r, item, name, &id) != 0) {
            return -1;
        }
        *out = id >= 0 ? id : *out;
        return ends && id >= 0 && ba_vocab_add_end(r->v, id) != 0 ? ba_vocab_no_memory(r) : 0;
    }
    cJSON_ArrayForEach(each, item) {
        if (take_id(r, each, name, &id) != 0) {
            return -1;
        }
        *out = each == item->child ? id : *out;
        if (ends && ba_vocab_add_end(r->v, id) != 0) {
            return ba_vocab_no_memory(r);
        }
    }
    return 0;
}

/* A token given by its text, or by an object that holds it. */
static void take_text(const ba_vocab_reader *r, const cJSON *config, const char *name, int32_t *out) {
    const cJSON *item = ba_json_get(config, name);
    const cJSON *text = cJSON_IsObject(item) ? ba_json_get(item, "content") : item;
    int32_t id = cJSON_IsString(text) ? ba_vocab_id_of(r->v, text->valuestring) : -1;
    *out = id >= 0 ? id : *out;
}

/* The first step of that type: the object itself, or a member of a sequence of them. */
static const cJSON *find_step(const cJSON *object, const char *list, const char *type) {
    const cJSON *t = ba_json_get(object, "type"), *step;
    if (cJSON_IsString(t) && strcmp(t->valuestring, type) == 0) {
        return object;
    }
    cJSON_ArrayForEach(step, ba_json_get(object, list)) {
        t = ba_json_get(step, "type");
        if (cJSON_IsString(t) && strcmp(t->valuestring, type) == 0) {
            return step;
        }
    }
    return NULL;
}

/* Whether the post-processor puts BOS in front of a text. */
static bool template_adds_bos(const ba_vocab_reader *r, const cJSON *root) {
    const cJSON *step = find_step(ba_json_get(root, "post_processor"), "processors", "TemplateProcessing");
    const cJSON *first = cJSON_GetArrayItem(ba_json_get(step, "single"), 0);
    const cJSON *id = ba_json_get(ba_json_get(first, "SpecialToken"), "id");
    return cJSON_IsString(id) && r->v->bos >= 0 && ba_span_is(r->v->token[r->v->bos], id->valuestring);
}

static int read_specials(const ba_vocab_reader *r, const cJSON *root, const cJSON *config, const cJSON *generation,
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
        return ba_vocab_no_memory(r);
    }
    r->v->add_bos = template_adds_bos(r, root);
    if (ba_json_bool(tokenizer_config, "add_bos_token", &r->v->add_bos, r->path, r->err) != 0) {
        return -1;
    }
    return ba_vocab_add_known_ends(r->v) == 0 ? 0 : ba_vocab_no_memory(r);
}

/* ---- the folder ------------------------------------------------------------------------------------------------- */

/* A file that may be absent: then *out is NULL. */
static int read_optional(const char *folder, const char *name, cJSON **out, char err[BA_ERR_LEN]) {
    char path[4096];
    *out = NULL;
    return path_in(folder, name, path, sizeof path) && access(path, F_OK) == 0 ? ba_json_read(path, out, err) : 0;
}

/* In a file of its own, or in tokenizer_config.json: one text, or a list of named ones. */
static int read_template(const ba_vocab_reader *r, const char *folder, const cJSON *tokenizer_config) {
    char path[4096];
    ba_mapping file;
    if (path_in(folder, "chat_template.jinja", path, sizeof path) && access(path, F_OK) == 0) {
        if (ba_mapping_open(path, &file, r->err) != 0) {
            return -1;
        }
        r->v->chat_template = strndup((const char *)file.data, file.size);
        ba_mapping_close(&file);
        return r->v->chat_template ? 0 : ba_vocab_no_memory(r);
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
    return cJSON_IsString(item) && !r->v->chat_template ? ba_vocab_no_memory(r) : 0;
}

/* How bytes and text of tokens go together: GPT-2's alphabet of bytes, or SentencePiece's sign for a space. */
static int set_kind(const ba_vocab_reader *r, const cJSON *root) {
    const ba_recipe *recipe = r->v->recipe;
    bool bytes = ba_recipe_has(recipe, "ByteLevel") || find_step(ba_json_get(root, "decoder"), "decoders", "ByteLevel");
    r->v->kind = bytes ? BA_VOCAB_BPE : BA_VOCAB_SPM;
    r->v->add_space_prefix = !bytes && ba_recipe_prepends(recipe);
    r->v->pre = strdup(recipe->family ? recipe->family : "");
    return r->v->pre ? 0 : ba_vocab_no_memory(r);
}

/* Before the tokens, whose types depend on the kind. */
static int read_recipe(const ba_vocab_reader *r, const cJSON *root, size_t size) {
    char why[BA_ERR_LEN];
    if (ba_vocab_alloc(r->v, size) != 0 || !(r->v->recipe = calloc(1, sizeof *r->v->recipe))) {
        return ba_vocab_no_memory(r);
    }
    if (ba_recipe_read(root, r->v->recipe, why) != 0) {
        return ba_fail(r->err, "%s: %s", r->path, why);
    }
    r->v->recipe->family = ba_recipe_family(r->v->recipe);
    return set_kind(r, root);
}

static int read_all(const ba_vocab_reader *r, const char *folder, const cJSON *config, size_t size,
                    ba_vocab_source *source, const cJSON *generation) {
    const cJSON *root = source->tokenizer, *extra = source->tokenizer_config;
    if (read_recipe(r, root, size) != 0 || ba_vocab_read_tokens(r, root, extra) != 0 ||
        ba_vocab_read_merges(r, ba_json_get(root, "model"), &source->merges) != 0) {
        return -1;
    }
    return read_specials(r, root, config, generation, extra) == 0 ? read_template(r, folder, extra) : -1;
}

int ba_vocab_from_folder(const char *folder, const cJSON *config, size_t size, ba_vocab *v, ba_vocab_source *source,
                         char err[BA_ERR_LEN]) {
    char path[4096];
    cJSON *generation = NULL;
    *v = (ba_vocab){.bos = -1, .eos = -1, .unk = -1, .pad = -1};
    *source = (ba_vocab_source){0};
    const ba_vocab_reader r = {path, v, err, NULL};
    if (!path_in(folder, "tokenizer.json", path, sizeof path)) {
        return ba_fail(err, "%s: the path is too long", folder);
    }
    if (access(path, F_OK) != 0) {
        return (v->pre = strdup("")) ? 0 : ba_vocab_no_memory(&r);
    }
    int rc = ba_json_read(path, &source->tokenizer, err);
    rc = rc ? rc : read_optional(folder, "generation_config.json", &generation, err);
    rc = rc ? rc : read_optional(folder, "tokenizer_config.json", &source->tokenizer_config, err);
    rc = rc ? rc : read_all(&r, folder, config, size, source, generation);
    cJSON_Delete(generation);
    return rc;
}

void ba_vocab_source_free(ba_vocab_source *s) {
    cJSON_Delete(s->tokenizer);
    cJSON_Delete(s->tokenizer_config);
    free(s->merges);
    *s = (ba_vocab_source){0};
}

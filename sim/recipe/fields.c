#include "fields.h"

#include "read.h"
#include "step.h"
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define FILE_NAME "tokenizer.json"

/* Before the rows of the steps' own fields, which come from their tables. */
static const ba_field rows[] = {
    {FILE_NAME, "version", "honoured", "must be \"1.0\""},
    {FILE_NAME, "truncation", "refused", "texts are never cut here"},
    {FILE_NAME, "padding", "refused", "texts are never padded here"},
    {FILE_NAME, "added_tokens", "honoured", ""},
    {FILE_NAME, "added_tokens[].id", "honoured", "must be the id that the library gives the token"},
    {FILE_NAME, "added_tokens[].content", "honoured", ""},
    {FILE_NAME, "added_tokens[].single_word", "honoured", ""},
    {FILE_NAME, "added_tokens[].lstrip", "honoured", ""},
    {FILE_NAME, "added_tokens[].rstrip", "honoured", ""},
    {FILE_NAME, "added_tokens[].normalized", "honoured", ""},
    {FILE_NAME, "added_tokens[].special", "honoured", "special tokens are parsed only where the caller says so"},
    {FILE_NAME, "normalizer", "honoured", "a step or a Sequence of steps"},
    {FILE_NAME, "pre_tokenizer", "honoured", "a step or a Sequence of steps"},
    {FILE_NAME, "post_processor", "honoured", "only whether it begins with BOS; segments are tokenised without it"},
    {FILE_NAME, "decoder", "honoured", "ByteLevel, or U+2581 as a space; other decoders are refused"},
    {FILE_NAME, "model", "honoured", ""},
    {FILE_NAME, "model.type", "honoured", "must be BPE; Unigram, WordPiece and WordLevel are refused"},
    {FILE_NAME, "model.dropout", "refused", "merges at random"},
    {FILE_NAME, "model.unk_token", "honoured", ""},
    {FILE_NAME, "model.continuing_subword_prefix", "honoured", ""},
    {FILE_NAME, "model.end_of_word_suffix", "honoured", ""},
    {FILE_NAME, "model.fuse_unk", "honoured", ""},
    {FILE_NAME, "model.byte_fallback", "honoured", ""},
    {FILE_NAME, "model.ignore_merges", "honoured", ""},
    {FILE_NAME, "model.vocab", "honoured", ""},
    {FILE_NAME, "model.merges", "honoured", "exactly the listed pairs"},
};

enum { ROWS = sizeof rows / sizeof *rows, MOST = 160, NAME = 64 };

static const ba_field *find(const char *prefix, const char *name) {
    size_t n = strlen(prefix);
    for (size_t i = 0; i < ROWS; i++) {
        if (strncmp(rows[i].field, prefix, n) == 0 && strcmp(rows[i].field + n, name) == 0) {
            return &rows[i];
        }
    }
    return NULL;
}

static bool has_effect(const cJSON *item) {
    return !(cJSON_IsNull(item) || cJSON_IsFalse(item) || (cJSON_IsNumber(item) && item->valuedouble == 0));
}

int ba_recipe_check_members(const cJSON *object, const char *prefix, char err[BA_ERR_LEN]) {
    const cJSON *member;
    cJSON_ArrayForEach(member, object) {
        const ba_field *row = find(prefix, member->string ? member->string : "");
        if (!row) {
            return ba_fail(err, "the field '%s%.60s' is not known; it might change ids", prefix, member->string);
        }
        if (strcmp(row->verdict, "refused") == 0 && has_effect(member)) {
            return ba_fail(err, "'%s' is not supported: %s", row->field, row->why);
        }
    }
    return 0;
}

/* ---- the printed table: the rows above, and a row for each step and each of its fields --------------------------- */

static ba_field table[MOST];
static char names[MOST][NAME];
static size_t n_rows;

static void add(const char *where, const char *type, const char *field, const char *verdict, const char *why) {
    if (n_rows + 1 < MOST) {
        snprintf(names[n_rows], NAME, "%s.%s%s%s", where, type, field ? "." : "", field ? field : "");
        table[n_rows] = (ba_field){FILE_NAME, names[n_rows], verdict, why};
        n_rows++;
    }
}

static void add_steps(const char *where, const ba_step_type *(*at)(size_t i)) {
    const ba_step_type *type;
    for (size_t i = 0; (type = at(i)); i++) {
        add(where, type->name, NULL, type->refused ? "refused" : "honoured", type->refused ? type->refused : "");
        for (size_t k = 0; k < BA_STEP_FIELDS && type->field[k].name; k++) {
            bool harmless = type->field[k].value == BA_VALUE_HARMLESS;
            add(where, type->name, type->field[k].name, harmless ? "harmless" : "honoured",
                harmless ? "changes no id" : "");
        }
    }
}

static void fill_table(void) {
    memcpy(table, rows, sizeof rows);
    n_rows = ROWS;
    add_steps("normalizer", ba_normalizer_at);
    add_steps("pre_tokenizer", ba_pre_tokenizer_at);
}

const ba_field *ba_tokenizer_fields(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, fill_table);
    return table;
}

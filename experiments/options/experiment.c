#include "experiment.h"

#include "sim/base/json_read.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int ba_words_add(ba_words *words, const char *prefix, const char *text) {
    if (words->argc == BA_MAX_WORDS || asprintf(&words->argv[words->argc], "%s%s", prefix, text) < 0) {
        words->argv[words->argc] = NULL; /* which a failed asprintf leaves undefined */
        return -1;
    }
    words->is_option[words->argc] = *prefix != '\0';
    words->argv[++words->argc] = NULL;
    return 0;
}

void ba_words_drop(ba_words *words, const char *name, size_t len) {
    for (int i = 0; i < words->argc; i++) {
        if (!words->is_option[i] || strncmp(words->argv[i] + 2, name, len) != 0 || words->argv[i][2 + len]) {
            continue;
        }
        int n = i + 1 < words->argc && !words->is_option[i + 1] ? 2 : 1;
        for (int k = i; k < i + n; k++) {
            free(words->argv[k]);
        }
        size_t left = (size_t)(words->argc - i - n);
        memmove(&words->argv[i], &words->argv[i + n], (left + 1) * sizeof *words->argv);
        memmove(&words->is_option[i], &words->is_option[i + n], left * sizeof *words->is_option);
        words->argc -= n;
        return;
    }
}

void ba_words_free(ba_words *words) {
    for (int i = 0; i < words->argc; i++) {
        free(words->argv[i]);
    }
    words->argc = 0;
}

/* Text of a scalar into f. -1: neither text nor number. */
static int put_scalar(FILE *f, const cJSON *value) {
    if (cJSON_IsString(value)) {
        fputs(value->valuestring, f);
        return 0;
    }
    char *number = cJSON_IsNumber(value) ? cJSON_PrintUnformatted(value) : NULL;
    if (number) {
        fputs(number, f);
    }
    cJSON_free(number);
    return number ? 0 : -1;
}

/* Text of an option's value, malloc'ed; NULL if it has none of the allowed forms. */
static char *value_text(const cJSON *value) {
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    if (!f) {
        return NULL;
    }
    int failed = 0;
    if (cJSON_IsArray(value) && value->child) {
        for (const cJSON *item = value->child; item && !failed; item = item->next) {
            failed = put_scalar(f, item);
            fputs(item->next ? "," : "", f);
        }
    } else {
        failed = put_scalar(f, value);
    }
    if (fclose(f) || failed) {
        free(text);
        return NULL;
    }
    return text;
}

static int add_option(ba_words *words, const char *path, const cJSON *option, char err[BA_ERR_LEN]) {
    if (cJSON_IsFalse(option)) {
        return 0;
    }
    char *text = cJSON_IsTrue(option) ? NULL : value_text(option);
    if (!text && !cJSON_IsTrue(option)) {
        return ba_fail(err, "%s: field options.%s: must be a text, a number, a list of them, true or false", path,
                       option->string);
    }
    int failed = ba_words_add(words, "--", option->string) || (text && ba_words_add(words, "", text));
    free(text);
    return failed ? ba_fail(err, "%s: field options: more than %d words", path, BA_MAX_WORDS) : 0;
}

/* Checks the document and turns it into words. */
static int words_of(const cJSON *doc, const char *path, ba_words *words, char err[BA_ERR_LEN]) {
    if (!cJSON_IsObject(doc)) {
        return ba_fail(err, "%s: must be a JSON object with the fields command and options", path);
    }
    for (const cJSON *field = doc->child; field; field = field->next) {
        if (strcmp(field->string, "about") != 0 && strcmp(field->string, "command") != 0 &&
            strcmp(field->string, "options") != 0) {
            return ba_fail(err, "%s: field %s: unknown; there is about, command, options", path, field->string);
        }
    }
    const cJSON *command = cJSON_GetObjectItemCaseSensitive(doc, "command");
    const cJSON *options = cJSON_GetObjectItemCaseSensitive(doc, "options");
    if (!cJSON_IsString(command) || strcmp(command->valuestring, "run") == 0) {
        return ba_fail(err, "%s: field command: must name a command, as in \"command\": \"ttft\"", path);
    }
    if (options && !cJSON_IsObject(options)) {
        return ba_fail(err, "%s: field options: must be an object, as in {\"lengths\": \"50,1K\"}", path);
    }
    if (ba_words_add(words, "", command->valuestring) != 0) {
        return ba_fail(err, "%s: out of memory", path);
    }
    int rc = 0;
    for (const cJSON *option = options ? options->child : NULL; option && rc == 0; option = option->next) {
        rc = add_option(words, path, option, err);
    }
    return rc;
}

int ba_experiment_parse(const char *text, size_t len, const char *path, ba_words *out, char err[BA_ERR_LEN]) {
    char why[BA_ERR_LEN];
    cJSON *doc;
    *out = (ba_words){.argc = 0};
    if (ba_json_parse(text, len, &doc, why) != 0) {
        return ba_fail(err, "%s: %s", path, why);
    }
    int rc = words_of(doc, path, out, err);
    cJSON_Delete(doc);
    return rc;
}

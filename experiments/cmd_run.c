/* An experiment file is a command and its options as data:
 *   {"about": "what it shows", "command": "ttft", "options": {"lengths": ["50", "512"], "repeat": 3, "cold": true}}
 * An option is a text or a number (its value), a list of them (joined by commas), true (a flag) or false (left out). */
#include "cli.h"
#include "commands.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_ARGS = 256, LIMIT = 1 << 20 };

typedef struct arguments {
    char *argv[MAX_ARGS + 1]; /* owned, NULL past the last, as a program gets them */
    int argc;
} arguments;

static int push(arguments *a, const char *prefix, const char *text) {
    if (a->argc == MAX_ARGS || asprintf(&a->argv[a->argc], "%s%s", prefix, text) < 0) {
        return -1;
    }
    a->argv[++a->argc] = NULL;
    return 0;
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

static int add_option(arguments *a, const char *path, const cJSON *option) {
    if (cJSON_IsFalse(option)) {
        return 0;
    }
    char *text = cJSON_IsTrue(option) ? NULL : value_text(option);
    if (!text && !cJSON_IsTrue(option)) {
        return ba_cli_fail(BA_EXIT_USAGE,
                           "%s: field options.%s: must be a text, a number, a list of them, true or false", path,
                           option->string);
    }
    int failed = push(a, "--", option->string) || (text && push(a, "", text));
    free(text);
    return failed ? ba_cli_fail(BA_EXIT_USAGE, "%s: field options: more than %d words", path, MAX_ARGS) : 0;
}

/* Checks the document and turns it into arguments. 0, or an exit status with the line printed. */
static int arguments_of(const cJSON *doc, const char *path, arguments *a) {
    if (!cJSON_IsObject(doc)) {
        return ba_cli_fail(BA_EXIT_USAGE, "%s: must be a JSON object with the fields command and options", path);
    }
    for (const cJSON *field = doc->child; field; field = field->next) {
        if (strcmp(field->string, "about") != 0 && strcmp(field->string, "command") != 0 &&
            strcmp(field->string, "options") != 0) {
            return ba_cli_fail(BA_EXIT_USAGE, "%s: field %s: unknown; there is about, command, options", path,
                               field->string);
        }
    }
    const cJSON *command = cJSON_GetObjectItemCaseSensitive(doc, "command");
    const cJSON *options = cJSON_GetObjectItemCaseSensitive(doc, "options");
    if (!cJSON_IsString(command) || strcmp(command->valuestring, "run") == 0 ||
        !ba_command_find(command->valuestring)) {
        return ba_cli_fail(BA_EXIT_USAGE, "%s: field command: must name a command, as in \"command\": \"ttft\"", path);
    }
    if (options && !cJSON_IsObject(options)) {
        return ba_cli_fail(BA_EXIT_USAGE, "%s: field options: must be an object, as in {\"lengths\": \"50,1K\"}", path);
    }
    int status = push(a, "", command->valuestring) ? BA_EXIT_MACHINE : 0;
    for (const cJSON *option = options ? options->child : NULL; option && !status; option = option->next) {
        status = add_option(a, path, option);
    }
    return status;
}

static int read_experiment(const char *path, arguments *a) {
    char *text, err[BA_ERR_LEN];
    size_t len;
    if (ba_read_file(path, LIMIT, &text, &len, err)) {
        return ba_cli_fail(BA_EXIT_USAGE, "%s", err);
    }
    const char *end = NULL;
    cJSON *doc = cJSON_ParseWithLengthOpts(text, len, &end, false);
    if (doc) {
        end += strspn(end, " \t\r\n");
    }
    int status;
    if (!doc || (size_t)(end - text) < len) {
        size_t at = end ? (size_t)(end - text) : 0, line = 1;
        for (size_t i = 0; i < at && i < len; i++) {
            line += text[i] == '\n';
        }
        status = ba_cli_fail(BA_EXIT_USAGE, "%s: line %zu: not JSON", path, line);
    } else {
        status = arguments_of(doc, path, a);
    }
    cJSON_Delete(doc);
    free(text);
    return status;
}

int ba_cmd_run(int argc, char **argv) {
    int first, status = ba_cli_parse(argc, argv, "FILE.json [-- OPTION...]",
                                     "Runs an experiment file: a command and its options as data. Options behind -- "
                                     "come on top of the file's and win.\n"
                                     "Examples\n"
                                     "  blockattn run experiments/table3.json\n"
                                     "  blockattn run experiments/table3.json -- --threads 1 --out one-thread.h5",
                                     (const ba_option[]){{0}}, NULL, &first);
    if (status >= 0) {
        return status;
    }
    if (first == argc) {
        return ba_cli_fail(BA_EXIT_USAGE, "no experiment file given; experiments/ has one per table and figure");
    }
    const char *path = argv[first];
    arguments a = {.argc = 0};
    status = read_experiment(path, &a);
    for (int i = first + 1; i < argc && !status; i++) {
        status = push(&a, "", argv[i]) ? ba_cli_fail(BA_EXIT_USAGE, "more than %d words", MAX_ARGS) : 0;
    }
    if (!status) {
        /* What the command complains about stands in this file: messages begin with its name. */
        char *before = program_invocation_short_name, identity[512];
        snprintf(identity, sizeof identity, "blockattn run %s", path);
        program_invocation_short_name = identity;
        status = ba_command_find(a.argv[0])->run(a.argc, a.argv);
        program_invocation_short_name = before;
    }
    for (int i = 0; i < a.argc; i++) {
        free(a.argv[i]);
    }
    return status;
}

/* Request JSON to a prompt: nothing in it is trusted, and every error names the field. */
#include "prompt.h"

#include "sim/base/json_read.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The parsed form takes up to 32 times the text: a limit that keeps a mistaken file from eating the machine. */
enum { MAX_REQUEST = 128 << 20 };

typedef enum field { BLOCKS, IDS, MESSAGES, ROLES, LOCAL, SPECIAL, FIELD_COUNT } field;
static const char *const field_names[FIELD_COUNT] = {"blocks", "ids", "messages", "roles", "num_local_attention_blocks",
                                                     "special"};

typedef struct request {
    const cJSON *field[FIELD_COUNT]; /* NULL if absent */
    const cJSON *segments;           /* the list under "blocks" or "ids" */
    size_t n;
    const ba_tokenizer *tok;
    size_t n_vocab;
} request;

/* "a, b, c" */
static void join_names(char *out, size_t size, const char *(*name)(size_t i), size_t n) {
    size_t used = 0;
    *out = '\0';
    for (size_t i = 0; i < n && used < size; i++) {
        used += (size_t)snprintf(out + used, size - used, "%s%s", i ? ", " : "", name(i));
    }
}

static const char *field_name(size_t i) {
    return field_names[i];
}

static const char *role_name(size_t i) {
    return ba_role_name((ba_role)i);
}

/* The whole text as one JSON value, or NULL and err. */
static cJSON *parse(const char *json, size_t len, char err[BA_ERR_LEN]) {
    char why[BA_ERR_LEN];
    cJSON *root;
    if (len > MAX_REQUEST) {
        ba_fail(err, "request: %zu bytes; at most %d are read", len, MAX_REQUEST);
        return NULL;
    }
    if (ba_json_parse(json, len, &root, why) != 0) {
        ba_fail(err, "request: %s", why);
        return NULL;
    }
    return root;
}

static int find_fields(const cJSON *root, request *r, char err[BA_ERR_LEN]) {
    char list[256];
    if (!cJSON_IsObject(root)) {
        return ba_fail(err, "request: not a JSON object like {\"blocks\": [\"passage\", \"question\"]}");
    }
    const cJSON *v;
    cJSON_ArrayForEach(v, root) {
        size_t f = 0;
        while (f < FIELD_COUNT && strcmp(v->string, field_names[f]) != 0) {
            f++;
        }
        if (f == FIELD_COUNT) {
            join_names(list, sizeof list, field_name, FIELD_COUNT);
            return ba_fail(err, "request: unknown field \"%.64s\"; there is %s", v->string, list);
        }
        if (r->field[f]) {
            return ba_fail(err, "request: field \"%s\" is there twice", field_names[f]);
        }
        r->field[f] = v;
    }
    int forms = !!r->field[BLOCKS] + !!r->field[IDS] + !!r->field[MESSAGES];
    if (forms != 1) {
        return ba_fail(err, "request: needs either \"blocks\" (texts) or \"ids\" (token ids)%s, or \"messages\"",
                       forms > 1 ? ", not both" : "");
    }
    if (r->field[MESSAGES] && (r->field[ROLES] || r->field[SPECIAL])) {
        return ba_fail(err, "request: field \"%s\" has no meaning beside \"messages\"",
                       r->field[ROLES] ? "roles" : "special");
    }
    return 0;
}

/* A whole number from 0 to `most`. */
static bool is_whole(const cJSON *v, double most) {
    return cJSON_IsNumber(v) && v->valuedouble >= 0 && v->valuedouble <= most &&
           v->valuedouble == (double)(uint64_t)v->valuedouble;
}

static int check_shapes(request *r, char err[BA_ERR_LEN]) {
    const char *name = r->field[BLOCKS] ? "blocks" : r->field[IDS] ? "ids" : "messages";
    r->segments = r->field[BLOCKS] ? r->field[BLOCKS] : r->field[IDS] ? r->field[IDS] : r->field[MESSAGES];
    if (!cJSON_IsArray(r->segments)) {
        return ba_fail(err, "request: field \"%s\" is not a list", name);
    }
    r->n = (size_t)cJSON_GetArraySize(r->segments);
    if (r->n == 0) {
        return ba_fail(err, "request: field \"%s\" is empty; the last entry is the question", name);
    }
    if (!r->field[IDS] && !r->tok) {
        return ba_fail(err, "request: without a vocabulary the %s must come as \"ids\"", name);
    }
    if (r->field[ROLES] && !cJSON_IsArray(r->field[ROLES])) {
        return ba_fail(err, "request: field \"roles\" is not a list");
    }
    if (r->field[ROLES] && (size_t)cJSON_GetArraySize(r->field[ROLES]) != r->n) {
        return ba_fail(err, "request: field \"roles\" has %d entries for %zu %s", cJSON_GetArraySize(r->field[ROLES]),
                       r->n, name);
    }
    if (r->field[SPECIAL] && !cJSON_IsBool(r->field[SPECIAL])) {
        return ba_fail(err, "request: field \"special\" is not true or false");
    }
    const double most = 9007199254740991.0; /* 2^53 - 1: larger ones are not exact in JSON */
    if (r->field[LOCAL] && !is_whole(r->field[LOCAL], most)) {
        return ba_fail(err, "request: field \"num_local_attention_blocks\" is not a whole number >= 0");
    }
    return 0;
}

/* Role of segment i; `given` is its entry in "roles" or NULL. */
static int role_of(const request *r, size_t i, const cJSON *given, ba_role *role, char err[BA_ERR_LEN]) {
    if (!given) {
        *role = i + 1 == r->n ? BA_ROLE_QUESTION : i == 0 && r->n >= 3 ? BA_ROLE_SYSTEM : BA_ROLE_PASSAGE;
        return 0;
    }
    for (size_t k = 0; cJSON_IsString(given) && k < BA_ROLE_COUNT; k++) {
        if (strcmp(given->valuestring, role_name(k)) == 0) {
            *role = (ba_role)k;
            return 0;
        }
    }
    char list[128];
    join_names(list, sizeof list, role_name, BA_ROLE_COUNT);
    return ba_fail(err, "request: \"roles\"[%zu] %s%.64s%s; there is %s", i,
                   cJSON_IsString(given) ? "\"" : "is no text", cJSON_IsString(given) ? given->valuestring : "",
                   cJSON_IsString(given) ? "\" is unknown" : "", list);
}

static int text_ids(const request *r, size_t i, const cJSON *text, ba_role role, int32_t **ids, size_t *n,
                    char err[BA_ERR_LEN]) {
    if (!cJSON_IsString(text)) {
        return ba_fail(err, "request: \"blocks\"[%zu] is not a text", i);
    }
    bool special =
        r->field[SPECIAL] ? cJSON_IsTrue(r->field[SPECIAL]) : role == BA_ROLE_SYSTEM || role == BA_ROLE_QUESTION;
    return ba_tokenize(r->tok, text->valuestring, strlen(text->valuestring), special, ids, n, err);
}

static int listed_ids(const request *r, size_t i, const cJSON *list, int32_t **ids, size_t *n, char err[BA_ERR_LEN]) {
    if (!cJSON_IsArray(list)) {
        return ba_fail(err, "request: \"ids\"[%zu] is not a list", i);
    }
    double last = r->n_vocab && r->n_vocab <= INT32_MAX ? (double)r->n_vocab - 1 : INT32_MAX;
    *ids = malloc(((size_t)cJSON_GetArraySize(list) + 1) * sizeof **ids);
    if (!*ids) {
        return ba_fail(err, "out of memory");
    }
    const cJSON *v;
    cJSON_ArrayForEach(v, list) {
        if (!is_whole(v, last)) {
            return ba_fail(err, "request: \"ids\"[%zu][%zu] is not a token id: a whole number from 0 to %.0f", i, *n,
                           last);
        }
        (*ids)[(*n)++] = (int32_t)v->valuedouble;
    }
    return 0;
}

static int add_segment(const request *r, size_t i, const cJSON *segment, const cJSON *given, ba_prompt *p,
                       char err[BA_ERR_LEN]) {
    ba_role role = BA_ROLE_PASSAGE;
    int32_t *ids = NULL;
    size_t n = 0;
    if (role_of(r, i, given, &role, err)) {
        return -1;
    }
    int rc = r->field[BLOCKS] ? text_ids(r, i, segment, role, &ids, &n, err) : listed_ids(r, i, segment, &ids, &n, err);
    if (rc != 0) {
        goto done;
    }
    if (n == 0) {
        rc = ba_fail(err, "request: \"%s\"[%zu] is empty: a block needs at least one token",
                     r->field[BLOCKS] ? "blocks" : "ids", i);
        goto done;
    }
    rc = ba_prompt_add(p, role, ids, n) == 0 ? 0 : ba_fail(err, "out of memory");
done:
    free(ids);
    return rc;
}

static int add_segments(const request *r, ba_prompt *p, char err[BA_ERR_LEN]) {
    const cJSON *segment, *given = r->field[ROLES] ? r->field[ROLES]->child : NULL;
    size_t i = 0;
    cJSON_ArrayForEach(segment, r->segments) {
        if (add_segment(r, i++, segment, given, p, err)) {
            return -1;
        }
        given = given ? given->next : NULL;
    }
    return 0;
}

/* The text of a message's member; NULL and err. */
static const char *member_text(const cJSON *message, const char *name, size_t i, char err[BA_ERR_LEN]) {
    const cJSON *text = cJSON_GetObjectItemCaseSensitive(message, name);
    if (!cJSON_IsString(text)) {
        ba_fail(err, "request: \"messages\"[%zu] has no text \"%s\"", i, name);
        return NULL;
    }
    return text->valuestring;
}

static int read_messages(const request *r, ba_prompt **out, char err[BA_ERR_LEN]) {
    char why[BA_ERR_LEN];
    ba_message *list = calloc(r->n, sizeof *list);
    const cJSON *entry, *member;
    size_t i = 0;
    int rc = -1;
    if (!list) {
        return ba_fail(err, "out of memory");
    }
    cJSON_ArrayForEach(entry, r->segments) {
        cJSON_ArrayForEach(member, entry) {
            if (!member->string || (strcmp(member->string, "role") != 0 && strcmp(member->string, "content") != 0)) {
                ba_fail(err, "request: \"messages\"[%zu] has a field \"%.64s\"; there is role, content", i,
                        member->string ? member->string : "");
                goto done;
            }
        }
        if (!(list[i].role = member_text(entry, "role", i, err)) ||
            !(list[i].content = member_text(entry, "content", i, err))) {
            goto done;
        }
        i++;
    }
    rc = ba_prompt_from_messages(list, r->n, r->tok, out, why);
    if (rc != 0) {
        ba_fail(err, "request: %s", why);
    }
done:
    free(list);
    return rc;
}

static int read_segments(const request *r, ba_prompt **out, char err[BA_ERR_LEN]) {
    ba_prompt *p = ba_prompt_new(r->tok);
    if (!p) {
        return ba_fail(err, "out of memory");
    }
    if (add_segments(r, p, err) != 0) {
        ba_prompt_free(p);
        return -1;
    }
    *out = p;
    return 0;
}

int ba_prompt_parse(const char *json, size_t len, const ba_tokenizer *tok, size_t n_vocab, ba_prompt **out,
                    char err[BA_ERR_LEN]) {
    request r = {.tok = tok, .n_vocab = n_vocab};
    *out = NULL;
    cJSON *root = parse(json, len, err);
    int rc = -1;
    if (!root || find_fields(root, &r, err) != 0 || check_shapes(&r, err) != 0) {
        goto done;
    }
    rc = r.field[MESSAGES] ? read_messages(&r, out, err) : read_segments(&r, out, err);
    if (rc == 0 && r.field[LOCAL]) {
        (*out)->local_blocks = (size_t)r.field[LOCAL]->valuedouble;
    }
done:
    cJSON_Delete(root);
    return rc;
}

int ba_prompt_from_blocks(const char *const *block, size_t n, const ba_tokenizer *tok, ba_prompt **out,
                          char err[BA_ERR_LEN]) {
    request r = {.tok = tok, .n = n};
    cJSON *list = cJSON_CreateStringArray((const char *const *)block, (int)n);
    *out = NULL;
    if (!list) {
        return ba_fail(err, "out of memory");
    }
    r.field[BLOCKS] = r.segments = list;
    int rc = read_segments(&r, out, err);
    cJSON_Delete(list);
    return rc;
}

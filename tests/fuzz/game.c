/* A game's state, cut by rules: the first line of the input is the rules, the rest the state. */
#include "targets.h"

#include "experiments/game/cut.h"
#include "experiments/game/state.h"

#include <stdlib.h>
#include <string.h>

static void *open_nothing(const ba_fuzz *self, const char *folder) {
    (void)folder;
    return strdup(self->name);
}

/* A token a byte. */
static size_t count(void *arg, const char *text, size_t len) {
    (void)arg, (void)text;
    return len;
}

static bool refused(const char *err, const char *name) {
    return ba_fuzz_check(strncmp(err, name, strlen(name)) == 0 && !strchr(err, '\n'),
                         "what is refused is named in a line that says why");
}

/* What was printed is read as the same state. */
static bool is_canonical(const cJSON *state, const char *name) {
    char err[BA_ERR_LEN] = "", *text = cJSON_PrintUnformatted(state), *twice = NULL;
    cJSON *again = NULL;
    if (text && ba_state_parse(text, strlen(text), name, &again, err) == 0) {
        twice = cJSON_PrintUnformatted(again);
    }
    bool held = !text || (twice && strcmp(text, twice) == 0);
    free(text);
    free(twice);
    cJSON_Delete(again);
    return ba_fuzz_check(held, "a canonical state is its own canonical state");
}

static bool cut(const cJSON *state, const ba_rules *rules, const char *name) {
    char err[BA_ERR_LEN] = "";
    ba_game_blocks blocks = {0};
    bool held = true;
    if (ba_cut(state, rules, count, NULL, name, &blocks, err) != 0) {
        held = refused(err, name);
    }
    for (size_t i = 0; i < blocks.n; i++) {
        const ba_game_block *b = &blocks.block[i];
        held = held && b->len > b->label && strlen(b->text) == b->len && b->text[b->len - 1] == '\n';
    }
    ba_game_blocks_free(&blocks);
    return ba_fuzz_check(held, "a block is a label, a value and the end of a line");
}

static bool take(void *name, const unsigned char *data, size_t size) {
    const char *text = (const char *)data, *end = size ? memchr(text, '\n', size) : NULL;
    size_t first = end ? (size_t)(end - text) : size, rest = end ? first + 1 : size;
    char err[BA_ERR_LEN] = "";
    ba_rules rules;
    cJSON *state = NULL;
    if (ba_rules_parse(text, first, name, &rules, err) != 0) {
        return refused(err, name);
    }
    bool held;
    if (ba_state_parse(text + rest, size - rest, name, &state, err) != 0) {
        held = refused(err, name);
    } else {
        held = is_canonical(state, name) && cut(state, &rules, name);
    }
    cJSON_Delete(state);
    ba_rules_free(&rules);
    return held;
}

static int seed(const ba_fuzz *self, const char *folder) {
    (void)self;
    static const char *const input[] = {
        "{\"about\": \"cards\", \"rules\": [{\"at\": \"/players/*\"}, {\"at\": \"/chips/*\", \"max_tokens\": 64}]}\n"
        "{\"players\": [\"p1\", \"p2\"], \"chips\": {\"p1\": {\"bet\": 10, \"remain\": 990}, \"p2\": {\"bet\": 2.50}}, "
        "\"pot\": 30}",
        "{\"max_tokens\": 24, \"rules\": [{\"at\": \"/units\", \"key\": \"id\"}, {\"at\": \"/log/0/a~1b\"}]}\n"
        "{\"units\": [{\"id\": 7, \"hp\": 1e2}, {\"id\": 9, \"hp\": -0, \"at\": [1, 2]}], \"log\": [{\"a/b\": null}], "
        "\"tick\": 12345678901234567890}",
        "{\"max_tokens\": 8, \"rules\": []}\n[[1, 2, [3, \"\\u00e9\\n\"]], true, {\"x\": {\"y\": {}}}]"};
    int rc = 0;
    for (size_t i = 0; i < sizeof input / sizeof *input; i++) {
        const char name[] = {'s', (char)('0' + i), 0};
        rc = ba_fuzz_write(folder, name, input[i], strlen(input[i])) ? -1 : rc;
    }
    return rc;
}

const ba_fuzz ba_fuzz_game = {"game", NULL, open_nothing, take, free, seed};

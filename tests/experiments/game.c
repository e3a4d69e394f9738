/* Games: canonical states, cutting by rules, what changes between frames, and that reuse from frame to frame is exact.
 */
#include "experiments/game/changes.h"
#include "experiments/game/frames.h"
#include "experiments/game/play.h"
#include "experiments/game/state.h"
#include "experiments/measure/prefix_cache.h"
#include "sim/base/random.h"
#include "sim/modes/modes.h"
#include "tests/support/runner.h"
#include "tests/support/tiny.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- states ----------------------------------------------------------------------------------------------------- */

static void state_is(const char *text, const char *canonical) {
    char err[BA_ERR_LEN] = "";
    cJSON *state;
    CU_ASSERT_EQUAL_FATAL(ba_state_parse(text, strlen(text), "s", &state, err), 0);
    char *got = cJSON_PrintUnformatted(state);
    CU_ASSERT_STRING_EQUAL(got, canonical);
    free(got);
    cJSON_Delete(state);
}

static void state_fails(const char *text, const char *why) {
    char err[BA_ERR_LEN] = "";
    cJSON *state;
    CU_ASSERT_EQUAL_FATAL(ba_state_parse(text, strlen(text), "s", &state, err), -1);
    CU_ASSERT_PTR_NULL(state);
    CU_ASSERT_EQUAL(strncmp(err, "s: ", 3), 0);
    CU_ASSERT_PTR_NULL(strchr(err, '\n'));
    CU_ASSERT_PTR_NOT_NULL(strstr(err, why));
}

static void states_are_canonical(void) {
    state_is(" {\"b\" : [1, 2 ],\n\"a\":null} ", "{\"a\":null,\"b\":[1,2]}");
    state_is("{\"x\":{\"d\":1,\"c\":{\"b\":2,\"a\":3}}}", "{\"x\":{\"c\":{\"a\":3,\"b\":2},\"d\":1}}");
    state_is("[1.50,-0,1e400,1E-400,12345678901234567890,9007199254740993,-0.0e+1]",
             "[1.50,-0,1e400,1E-400,12345678901234567890,9007199254740993,-0.0e+1]");
    state_is("{\"1\":\"2\\\"3\",\"a\":[\"-4\",5,{\"6\":7}]}", "{\"1\":\"2\\\"3\",\"a\":[\"-4\",5,{\"6\":7}]}");
    state_is("17", "17");
    state_is("\"x\"", "\"x\"");
}

static void bad_states_say_why(void) {
    state_fails("{\"a\":{\"k\":1,\"k\":1}}", "\"k\" occurs twice");
    state_fails("", "not JSON");
    state_fails("{\"a\":1", "not JSON");
    state_fails("{\"a\":1} x", "not JSON");
    state_fails("hello", "not JSON");
    state_fails("{\"a\":\"\\u0000\"}", "\\u0000 is not supported");
    state_fails("{\"a\":\"\\u00zz\"}", "four hexadecimal digits");
    state_fails("{\"a\":\"\xff\"}", "is not UTF-8");
    char deep[2 * BA_STATE_DEPTH + 8] = {0}, number[BA_STATE_NUMBER + 8];
    memset(deep, '[', BA_STATE_DEPTH + 1);
    memset(deep + BA_STATE_DEPTH + 1, ']', BA_STATE_DEPTH + 1);
    state_fails(deep, "deeper than 256");
    deep[2 * BA_STATE_DEPTH + 1] = 0;
    state_is(deep + 1, deep + 1); /* one level less */
    memset(number, '7', sizeof number);
    number[BA_STATE_NUMBER + 1] = 0;
    state_fails(number, "a number of 64 characters");
    number[BA_STATE_NUMBER] = 0;
    state_is(number, number);
}

/* --- cutting ---------------------------------------------------------------------------------------------------- */

/* A token a byte: limits can be checked by hand. */
static size_t bytes(void *arg, const char *text, size_t len) {
    (void)arg, (void)text;
    return len;
}

static ba_rules rules_of(const char *text) {
    char err[BA_ERR_LEN] = "";
    ba_rules rules;
    CU_ASSERT_EQUAL_FATAL(ba_rules_parse(text, strlen(text), "r", &rules, err), 0);
    return rules;
}

static ba_game_blocks cut(const char *text, const char *rule_text) {
    char err[BA_ERR_LEN] = "";
    ba_rules rules = rules_of(rule_text);
    ba_game_blocks out;
    cJSON *state;
    CU_ASSERT_EQUAL_FATAL(ba_state_parse(text, strlen(text), "s", &state, err), 0);
    CU_ASSERT_EQUAL_FATAL(ba_cut(state, &rules, bytes, NULL, "s", &out, err), 0);
    cJSON_Delete(state);
    ba_rules_free(&rules);
    return out;
}

static void cut_is(const char *text, const char *rules, const char *blocks) {
    ba_game_blocks b = cut(text, rules);
    char all[1024] = "";
    for (size_t i = 0; i < b.n; i++) {
        strncat(all, b.block[i].text, sizeof all - strlen(all) - 1);
        CU_ASSERT_EQUAL(b.block[i].len, strlen(b.block[i].text));
    }
    CU_ASSERT_STRING_EQUAL(all, blocks);
    ba_game_blocks_free(&b);
}

static void rules_cut(void) {
    const char *state = "{\"chips\":{\"p1\":{\"bet\":5},\"p2\":{\"bet\":10}},\"deck\":[1,2],\"turn\":3}";
    cut_is(state, "{}", "{\"chips\":{\"p1\":{\"bet\":5},\"p2\":{\"bet\":10}},\"deck\":[1,2],\"turn\":3}\n");
    cut_is(state, "{\"rules\":[{\"at\":\"/chips/*\"}]}",
           "/chips/p1: {\"bet\":5}\n/chips/p2: {\"bet\":10}\n{\"deck\":[1,2],\"turn\":3}\n");
    cut_is(state, "{\"rules\":[{\"at\":\"/chips/p2\"},{\"at\":\"/deck\"}]}",
           "/chips/p2: {\"bet\":10}\n/chips: {\"p1\":{\"bet\":5}}\n/deck: [1,2]\n{\"turn\":3}\n");
    cut_is(state, "{\"rules\":[{\"at\":\"/*\"}]}",
           "/chips: {\"p1\":{\"bet\":5},\"p2\":{\"bet\":10}}\n/deck: [1,2]\n/turn: 3\n");
    cut_is(state, "{\"rules\":[{\"at\":\"/chips/p1\"},{\"at\":\"/chips\"}]}", /* the first one looks further down */
           "/chips/p1: {\"bet\":5}\n/chips: {\"p2\":{\"bet\":10}}\n{\"deck\":[1,2],\"turn\":3}\n");
    cut_is(state, "{\"rules\":[{\"at\":\"/chips\"},{\"at\":\"/chips/p1\"}]}",
           "/chips: {\"p1\":{\"bet\":5},\"p2\":{\"bet\":10}}\n{\"deck\":[1,2],\"turn\":3}\n");
    cut_is("{\"a/b\":{\"c~d\":1}}", "{\"rules\":[{\"at\":\"/a~1b/c~0d\"}]}", "/a~1b/c~0d: 1\n");
    cut_is("{\"a\":5}", "{\"rules\":[{\"at\":\"/a/*/x\"}]}", "/a: 5\n"); /* nothing to look into */
    cut_is("{\"u\":[{\"id\":7,\"x\":1},{\"id\":\"k\",\"x\":2}]}", "{\"rules\":[{\"at\":\"/u/*\",\"key\":\"id\"}]}",
           "/u/7: {\"id\":7,\"x\":1}\n/u/k: {\"id\":\"k\",\"x\":2}\n");
    cut_is("{\"u\":[8,9]}", "{\"rules\":[{\"at\":\"/u/*\"}]}", "/u/0: 8\n/u/1: 9\n");
    cut_is("{}", "{\"max_tokens\":1}", "{}\n");
    cut_is("[]", "{\"rules\":[{\"at\":\"/a\"}]}", "[]\n");
}

static void limits_cut(void) {
    cut_is("[100,200,300,400,500]", "{\"max_tokens\":20}", "[0..1]: [100,200]\n[2..3]: [300,400]\n[4..4]: [500]\n");
    cut_is("{\"log\":[100,200,300,400]}", "{\"rules\":[{\"at\":\"/log\",\"max_tokens\":23}]}",
           "/log[0..1]: [100,200]\n/log[2..3]: [300,400]\n");
    cut_is("[[1,2],[3,4]]", "{\"max_tokens\":1}", "/0[0..0]: [1]\n/0[1..1]: [2]\n/1[0..0]: [3]\n/1[1..1]: [4]\n");
    cut_is("{\"text\":\"longer than the limit\"}", "{\"max_tokens\":4}", "{\"text\":\"longer than the limit\"}\n");
}

static void bad_rules_say_why(void) {
    static const char *const bad[][2] = {{"[1]", "object"},
                                         {"{", "not JSON"},
                                         {"{\"rules\":[{\"at\":\"/x\\u0000y\"}]}", "\\u0000 is not supported"},
                                         {"{\"rule\":[]}", "field rule: unknown"},
                                         {"{\"rules\":{}}", "list"},
                                         {"{\"rules\":[3]}", "list of objects"},
                                         {"{\"rules\":[{}]}", "without \"at\""},
                                         {"{\"rules\":[{\"at\":\"x\"}]}", "JSON pointer"},
                                         {"{\"rules\":[{\"at\":\"/x\",\"max\":1}]}", "field max: unknown"},
                                         {"{\"max_tokens\":0}", "1 or more"},
                                         {"{\"max_tokens\":1.5}", "whole number"},
                                         {"{\"rules\":[{\"at\":\"/x\",\"key\":3}]}", "string"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char err[BA_ERR_LEN] = "";
        ba_rules rules;
        CU_ASSERT_EQUAL(ba_rules_parse(bad[i][0], strlen(bad[i][0]), "r", &rules, err), -1);
        CU_ASSERT_PTR_NOT_NULL(strstr(err, bad[i][1]));
        CU_ASSERT_EQUAL(strncmp(err, "r: ", 3), 0);
    }
}

static void an_element_without_its_key_is_refused(void) {
    char err[BA_ERR_LEN] = "";
    ba_rules rules = rules_of("{\"rules\":[{\"at\":\"/u/*\",\"key\":\"id\"}]}");
    ba_game_blocks out;
    cJSON *state;
    const char *text = "{\"u\":[{\"id\":1},{\"ID\":2}]}";
    CU_ASSERT_EQUAL_FATAL(ba_state_parse(text, strlen(text), "s", &state, err), 0);
    CU_ASSERT_EQUAL(ba_cut(state, &rules, bytes, NULL, "s", &out, err), -1);
    CU_ASSERT_STRING_EQUAL(err, "s: element 1 has no text or number \"id\", which the rule names as its key");
    cJSON_Delete(state);
    ba_rules_free(&rules);
}

static bool has(const ba_game_blocks *b, const char *text) {
    for (size_t i = 0; i < b->n; i++) {
        if (strcmp(b->block[i].text, text) == 0) {
            return true;
        }
    }
    return false;
}

static size_t new_blocks(const ba_game_blocks *before, const ba_game_blocks *after) {
    size_t n = 0;
    for (size_t i = 0; i < after->n; i++) {
        n += !has(before, after->block[i].text);
    }
    return n;
}

/* A list of units, one of them changed or left out (SIZE_MAX: none). */
static char *units(size_t n, size_t changed, size_t gone, bool keyed) {
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    fputs(keyed ? "[" : "{", f);
    const char *comma = "";
    for (size_t i = 0; i < n; i++) {
        if (i != gone) {
            fprintf(f, keyed ? "%s{\"id\":%zu,\"hp\":%d}" : "%s\"u%zu\":{\"hp\":%d}", comma, i,
                    i == changed ? 1234 : 50);
            comma = ",";
        }
    }
    fputs(keyed ? "]" : "}", f);
    fclose(f);
    return text;
}

/* What one unit does touches the block it is in, wherever the unit is in the state. */
static void blocks_are_stable(void) {
    enum { UNITS = 100 };
    static const char *const rules[] = {"{\"max_tokens\":60}",
                                        "{\"rules\":[{\"at\":\"\",\"key\":\"id\",\"max_tokens\":60}]}"};
    for (int keyed = 0; keyed < 2; keyed++) {
        char *text = units(UNITS, SIZE_MAX, SIZE_MAX, keyed);
        ba_game_blocks before = cut(text, rules[keyed]);
        free(text);
        CU_ASSERT_TRUE(before.n > 20);
        for (size_t i = 0; i < UNITS; i += 7) {
            for (int gone = 0; gone < 2; gone++) {
                text = units(UNITS, gone ? SIZE_MAX : i, gone ? i : SIZE_MAX, keyed);
                ba_game_blocks after = cut(text, rules[keyed]);
                free(text);
                CU_ASSERT_TRUE(new_blocks(&before, &after) <= 2); /* 2: a block that grew over its limit */
                ba_game_blocks_free(&after);
            }
        }
        ba_game_blocks_free(&before);
    }
}

/* --- changes ---------------------------------------------------------------------------------------------------- */

/* Length of the longest common subsequence, by the textbook. */
static size_t common(const int32_t *a, size_t n, const int32_t *b, size_t m) {
    size_t best[16][16] = {{0}};
    for (size_t i = 1; i <= n; i++) {
        for (size_t j = 1; j <= m; j++) {
            size_t skip = best[i - 1][j] > best[i][j - 1] ? best[i - 1][j] : best[i][j - 1];
            best[i][j] = a[i - 1] == b[j - 1] ? best[i - 1][j - 1] + 1 : skip;
        }
    }
    return best[n][m];
}

static void changes_are_counted(void) {
    uint64_t rng = 3;
    for (int round = 0; round < 500; round++) {
        int32_t a[15], b[15];
        size_t n = ba_random_below(&rng, 15), m = ba_random_below(&rng, 15);
        for (size_t i = 0; i < 15; i++) {
            a[i] = (int32_t)ba_random_below(&rng, 3);
            b[i] = (int32_t)ba_random_below(&rng, 3);
        }
        CU_ASSERT_EQUAL(ba_changed_tokens(a, n, b, m), m - common(a, n, b, m));
    }
    const int32_t x[] = {1, 2, 3}, y[] = {1, 2, 4};
    CU_ASSERT_EQUAL(ba_common_prefix(x, 3, y, 3), 2);
    CU_ASSERT_EQUAL(ba_common_prefix(x, 3, x, 2), 2);
}

/* --- worlds and play --------------------------------------------------------------------------------------------- */

static char *copy_state(ba_frames *f) {
    size_t len;
    const char *name, *state = ba_frames_state(f, &len, &name);
    CU_ASSERT_PTR_NOT_NULL_FATAL(state);
    return strdup(state);
}

static void worlds_repeat_and_change(void) {
    const ba_world *world;
    for (size_t i = 0; (world = ba_world_at(i)); i++) {
        ba_frames *a = ba_frames_of_world(world, 0, 5), *b = ba_frames_of_world(world, 0, 5);
        for (int frame = 0; frame < 30; frame++) {
            char *x = copy_state(a), *y = copy_state(b);
            CU_ASSERT_STRING_EQUAL(x, y);
            free(y);
            ba_frames_step(a, 40);
            ba_frames_step(b, 40);
            y = copy_state(a);
            CU_ASSERT_STRING_NOT_EQUAL(x, y);
            free(x);
            free(y);
        }
        ba_frames_free(a);
        ba_frames_free(b);
    }
}

/* The paper's appendix A: from state N - 1 to N only chips.p2 changes, from {bet: 10, remain: 990} to {50, 950}. */
static void holdem_is_the_papers(void) {
    const char *rules = "{\"rules\":[{\"at\":\"/chips/*\"}]}";
    ba_frames *f = ba_frames_of_world(ba_world_find("holdem"), 0, 1);
    char *first = copy_state(f);
    ba_frames_step(f, 0);
    char *second = copy_state(f);
    ba_game_blocks a = cut(first, rules), b = cut(second, rules);
    CU_ASSERT_EQUAL(new_blocks(&a, &b), 1);
    CU_ASSERT_TRUE(has(&a, "/chips/p2: {\"bet\":10,\"remain\":990}\n"));
    CU_ASSERT_TRUE(has(&b, "/chips/p2: {\"bet\":50,\"remain\":950}\n"));
    ba_game_blocks_free(&a);
    ba_game_blocks_free(&b);
    free(first);
    free(second);
    ba_frames_free(f);
}

typedef struct fixture {
    ba_model *model;
    ba_tokenizer *tok;
    ba_backend *be;
    ba_store *store;
    ba_engine *engine;
} fixture;

static fixture open_all(void) {
    fixture f = {0};
    char path[512], err[BA_ERR_LEN];
    ba_backend_config cfg = {.threads = 2};
    snprintf(path, sizeof path, "%s/game.gguf", ba_test_dir());
    CU_ASSERT_EQUAL_FATAL(ba_tiny_gguf(path, NULL), 0);
    CU_ASSERT_EQUAL_FATAL(ba_model_open(path, true, &f.model, err), 0);
    CU_ASSERT_EQUAL_FATAL(ba_tokenizer_new(ba_model_vocab(f.model), &f.tok, err), 0);
    CU_ASSERT_EQUAL_FATAL(ba_backend_open("auto", &cfg, &f.be, err), 0);
    f.store = ba_store_new(f.be, UINT64_C(1) << 30);
    CU_ASSERT_EQUAL_FATAL(ba_engine_new(f.model, f.be, f.store, NULL, &f.engine, err), 0);
    return f;
}

static void close_all(fixture *f) {
    ba_engine_free(f->engine);
    ba_store_free(f->store);
    ba_backend_close(f->be);
    ba_tokenizer_free(f->tok);
    ba_model_close(f->model);
}

/* A frame answered with the store of the frames before it is a frame answered with nothing in the store, to the bit:
 * then its distances from full are the same to the bit, too. */
static void a_frame_is_what_it_would_be_alone(void) {
    fixture f = open_all();
    char err[BA_ERR_LEN] = "";
    ba_engine_options opt = {0};
    ba_rules rules = rules_of("{\"rules\":[{\"at\":\"/chips/*\"},{\"at\":\"/players/*\"},{\"at\":\"/board\"}]}");
    ba_game_session *s = ba_game_session_new(f.tok, &rules, "You play.\n");
    ba_frames *frames = ba_frames_of_world(ba_world_find("holdem"), 0, 1);
    ba_player p = {.engine = f.engine, .opt = &opt, .mode = "block", .question = "What now?"};
    for (int i = 0; i < 4; i++) {
        char *state = copy_state(frames);
        ba_play_row row, alone;
        CU_ASSERT_EQUAL_FATAL(ba_play(&p, s, state, strlen(state), "s", true, &row, err), 0);
        CU_ASSERT_EQUAL(row.new_blocks, i ? 1 : row.blocks + 1); /* and the system text */
        CU_ASSERT_EQUAL(row.blocks, 14);
        CU_ASSERT_TRUE(i == 0 || (row.changed_tokens > 0 && row.changed_tokens < row.new_tokens));
        CU_ASSERT_TRUE(row.prefix_max_abs < 1e-3);
        CU_ASSERT_TRUE(row.block_s > 0 && row.full_s > 0 && row.prefix_s > 0);
        CU_ASSERT_TRUE(i == 0 || (row.block_flops < row.prefix_flops && row.prefix_flops < row.full_flops));
        ba_store_clear(f.store);
        ba_player q = {.engine = f.engine, .opt = &opt, .mode = "block", .question = "What now?"};
        CU_ASSERT_EQUAL_FATAL(ba_play(&q, s, state, strlen(state), "s", true, &alone, err), 0);
        CU_ASSERT_EQUAL(alone.new_blocks, alone.blocks + 1);
        CU_ASSERT_EQUAL(alone.kl, row.kl);
        ba_player_end(&q);
        CU_ASSERT_EQUAL_FATAL(ba_play(&p, s, state, strlen(state), "s", false, &alone, err), 0);
        CU_ASSERT_EQUAL(alone.new_blocks, 0);
        CU_ASSERT_TRUE(isnan(alone.full_s) && isnan(alone.full_cpu_s) && isnan(alone.prefix_cpu_s) && isnan(alone.kl));
        free(state);
        ba_frames_step(frames, 0);
    }
    ba_player_end(&p);
    ba_frames_free(frames);
    ba_game_session_free(s);
    ba_rules_free(&rules);
    close_all(&f);
}

int ba_suite_game(void) {
    CU_pSuite s = CU_add_suite("game", NULL, NULL);
    return s && CU_add_test(s, "states are canonical and numbers keep their spelling", states_are_canonical) &&
                   CU_add_test(s, "bad states say why", bad_states_say_why) && CU_add_test(s, "rules cut", rules_cut) &&
                   CU_add_test(s, "limits cut", limits_cut) && CU_add_test(s, "bad rules say why", bad_rules_say_why) &&
                   CU_add_test(s, "an element without its key is refused", an_element_without_its_key_is_refused) &&
                   CU_add_test(s, "what one part does leaves the other blocks alone", blocks_are_stable) &&
                   CU_add_test(s, "changed tokens are counted", changes_are_counted) &&
                   CU_add_test(s, "worlds repeat by seed and change by frame", worlds_repeat_and_change) &&
                   CU_add_test(s, "Hold'em is the paper's", holdem_is_the_papers) &&
                   CU_add_test(s, "a frame is what it would be alone", a_frame_is_what_it_would_be_alone)
               ? 0
               : -1;
}

/* Requests to prompts: defaults, every error by name, sizes; and the paper's segmentation. */
#include "tests/support/golden_tokens.h"
#include "tests/support/runner.h"

#include "sim/chat/chat.h"
#include "sim/prompt/prompt.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* CUnit's callbacks carry no argument of ours: what they need lives here. */
static struct {
    ba_golden_tokens *small; /* the small gpt-2 vocabulary of the golden files */
    ba_tokenizer *tok;
} state;

static int set_up(void) {
    char err[BA_ERR_LEN];
    state.small = ba_golden_tokens_open("gpt-2");
    if (!state.small || ba_chat_choose(&state.small->vocab, "chatml", NULL, err) != 0) {
        return -1;
    }
    return ba_tokenizer_new(&state.small->vocab, &state.tok, err);
}

static int clean_up(void) {
    ba_tokenizer_free(state.tok);
    free(state.small->vocab.chat);
    ba_golden_tokens_close(state.small);
    return 0;
}

static ba_prompt *accept_bytes(const char *json, size_t len) {
    char err[BA_ERR_LEN] = "";
    ba_prompt *p = NULL;
    if (ba_prompt_parse(json, len, state.tok, state.small->vocab.n, &p, err)) {
        printf("         refused: %s\n", err);
    }
    CU_ASSERT_PTR_NOT_NULL_FATAL(p);
    return p;
}

static ba_prompt *accept(const char *json) {
    return accept_bytes(json, strlen(json));
}

static void refuse_bytes(const char *json, size_t len, const char *why) {
    char err[BA_ERR_LEN] = "";
    ba_prompt *p;
    CU_ASSERT_EQUAL(ba_prompt_parse(json, len, state.tok, state.small->vocab.n, &p, err), -1);
    CU_ASSERT_PTR_NULL(p);
    if (!strstr(err, why)) {
        printf("         %.80s: said \"%s\", not \"%s\"\n", json, err, why);
        CU_FAIL("another line was expected");
    }
}

static void refuse(const char *json, const char *why) {
    refuse_bytes(json, strlen(json), why);
}

static void check_roles(const char *json, const char *roles) {
    ba_prompt *p = accept(json);
    char got[256] = "", *end = got;
    CU_ASSERT_FATAL(p->n_seg <= 8);
    for (size_t i = 0; i < p->n_seg; i++) {
        end += sprintf(end, "%s%s", i ? " " : "", ba_role_name(p->seg[i].role));
    }
    CU_ASSERT_STRING_EQUAL(got, roles);
    ba_prompt_free(p);
}

static void test_roles(void) {
    check_roles("{\"blocks\": [\"a\"]}", "question");
    check_roles("{\"blocks\": [\"a\", \"b\"]}", "passage question");
    check_roles("{\"blocks\": [\"a\", \"b\", \"c\", \"d\"]}", "system passage passage question");
    check_roles("{\"ids\": [[1], [2], [3]], \"roles\": [\"passage\", \"question\", \"task\"]}",
                "passage question task");
    check_roles("{\"blocks\": [\"a\", \"b\", \"c\"], \"roles\": [\"demonstration\", \"link\", \"question\"]}",
                "demonstration link question");
}

static void test_values(void) {
    ba_prompt *p = accept(" {\"ids\": [[1, 2], [3]], \"num_local_attention_blocks\": 10000} \n");
    CU_ASSERT_EQUAL(p->local_blocks, 10000);
    CU_ASSERT(p->n_seg == 2 && p->seg[0].n == 2 && p->seg[0].ids[1] == 2 && p->seg[1].ids[0] == 3);
    CU_ASSERT_EQUAL(ba_prompt_tokens(p), 3);
    CU_ASSERT_EQUAL(p->newline, ba_token_newline(state.tok));
    ba_prompt_free(p);

    p = accept("{\"ids\": [[0]], \"num_local_attention_blocks\": 0}");
    CU_ASSERT_EQUAL(p->local_blocks, 0);
    ba_prompt_free(p);
    p = accept("{\"ids\": [[0]]}");
    CU_ASSERT_EQUAL(p->local_blocks, SIZE_MAX);
    ba_prompt_free(p);
}

/* Each block is tokenised by itself; text that cJSON would cut without an error is refused. */
static void test_text(void) {
    ba_prompt *p = accept("{\"blocks\": [\"caf\\u00e9 \", \"\\ud83d\\ude00 it's\"]}");
    const char *want[] = {"café ", "\xf0\x9f\x98\x80 it's"};
    for (size_t i = 0; i < 2; i++) {
        char err[BA_ERR_LEN];
        int32_t *ids;
        size_t n, len;
        CU_ASSERT_EQUAL_FATAL(ba_tokenize(state.tok, want[i], strlen(want[i]), false, &ids, &n, err), 0);
        CU_ASSERT(p->seg[i].n == n && memcmp(p->seg[i].ids, ids, n * sizeof *ids) == 0);
        char *text = ba_detokenize(state.tok, p->seg[i].ids, p->seg[i].n, false, &len);
        CU_ASSERT(text && len == strlen(want[i]) && memcmp(text, want[i], len) == 0);
        free(text);
        free(ids);
    }
    ba_prompt_free(p);
    refuse("{\"blocks\": [\"caf\xff\"]}", "byte 16 is not UTF-8");
    refuse("{\"blocks\": [\"a\\uZZZZb\"]}", "byte 14: \\u needs four hexadecimal digits");
    refuse("{\"blocks\": [\"a\\u00\"]}", "byte 14: \\u needs four");
    refuse("{\"blocks\": [\"a\\x\"]}", "byte 14: invalid escape");
    refuse("{\"blocks\": [\"a\nb\"]}", "byte 14: a control character");
    refuse("{\"blocks\": [\"\\udc00\\ud800\"]}", "half of a surrogate pair");
}

/* A conversation becomes the text that the chat template renders, a segment a turn; a long turn is cut. */
static void test_messages(void) {
    static const struct {
        const char *json, *text;
        size_t n_seg;
    } row[] = {
        {"{\"messages\": [{\"role\": \"user\", \"content\": \"Hi?\"}]}",
         "<|im_start|>user\nHi?<|im_end|>\n<|im_start|>assistant\n", 1},
        {"{\"messages\": [{\"role\": \"system\", \"content\": \"Be kind.\"}, {\"role\": \"user\", \"content\": "
         "\"One.\\n\\nTwo.\\n\\nWhat?\"}], \"num_local_attention_blocks\": 7}",
         "<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\nOne.\n\nTwo.\n\nWhat?<|im_end|>\n"
         "<|im_start|>assistant\n",
         4},
        {"{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}, {\"role\": \"assistant\", \"content\": \"b\"}, "
         "{\"role\": \"user\", \"content\": \"c\"}]}",
         "<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\nb<|im_end|>\n<|im_start|>user\nc<|im_end|>\n"
         "<|im_start|>assistant\n",
         3},
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        ba_prompt *p = accept(row[i].json);
        char text[512] = "";
        size_t used = 0;
        for (size_t k = 0; k < p->n_seg; k++) {
            size_t len;
            char *one = ba_detokenize(state.tok, p->seg[k].ids, p->seg[k].n, true, &len);
            used += (size_t)snprintf(text + used, sizeof text - used, "%s", one);
            free(one);
        }
        CU_ASSERT_STRING_EQUAL(text, row[i].text);
        CU_ASSERT_EQUAL(p->n_seg, row[i].n_seg);
        CU_ASSERT_EQUAL(p->seg[p->n_seg - 1].role, BA_ROLE_QUESTION);
        ba_prompt_free(p);
    }
    ba_prompt *p = accept("{\"messages\": [{\"role\": \"user\", \"content\": \"<|im_end|>\"}]}");
    size_t marks = 0;
    for (size_t i = 0; i < p->seg[0].n; i++) {
        marks += state.small->vocab.type[p->seg[0].ids[i]] == BA_TOKEN_CONTROL;
    }
    CU_ASSERT_EQUAL(marks, 3); /* those of the template; what people say never is one */
    ba_prompt_free(p);
    refuse("{\"messages\": []}", "is empty");
    refuse("{\"messages\": [{\"role\": \"user\"}]}", "\"messages\"[0] has no text \"content\"");
    refuse("{\"messages\": [{\"role\": \"tool\", \"content\": \"x\"}, {\"role\": \"user\", \"content\": \"y\"}]}",
           "message 1 is of role 'tool'");
    refuse("{\"messages\": [{\"role\": \"user\", \"content\": \"x\"}, {\"role\": \"user\", \"content\": \"y\"}]}",
           "message 2 is of role 'user'");
    refuse("{\"messages\": [{\"role\": \"assistant\", \"content\": \"x\"}]}", "the last message must be the user's");
    refuse("{\"messages\": [{\"role\": \"user\", \"content\": \"x\", \"name\": \"n\"}]}", "has a field \"name\"");
    refuse("{\"messages\": [{\"role\": \"user\", \"content\": \"x\"}], \"special\": true}", "no meaning beside");
    refuse("{\"messages\": [{\"role\": \"user\", \"content\": \"x\"}], \"ids\": [[1]]}", "not both");
}

static bool has_control(const ba_segment *s) {
    for (size_t i = 0; i < s->n; i++) {
        if (state.small->vocab.type[s->ids[i]] == BA_TOKEN_CONTROL) {
            return true;
        }
    }
    return false;
}

static void check_special(const char *rest, const char *which) {
    char json[512];
    snprintf(json, sizeof json,
             "{\"blocks\": [\"<|im_end|>\", \"<|im_end|>\", \"<|im_end|>\", \"<|im_end|>\", \"<|im_end|>\"], "
             "\"roles\": [\"system\", \"passage\", \"demonstration\", \"question\", \"task\"]%s}",
             rest);
    ba_prompt *p = accept(json);
    for (size_t i = 0; i < p->n_seg; i++) {
        CU_ASSERT_EQUAL(has_control(&p->seg[i]), which[i] == '1');
    }
    ba_prompt_free(p);
}

static void test_special(void) {
    check_special("", "10010");
    check_special(", \"special\": true", "11111");
    check_special(", \"special\": false", "00000");
}

static void test_malformed(void) {
    refuse("", "malformed JSON at byte 0");
    refuse("{\"blocks\": [\"a\", ]}", "malformed JSON at byte 17 of 19");
    refuse("{\"blocks\": [\"a\"]", "malformed JSON at byte 1");
    refuse("{\"blocks\": [\"\\ud800\"]}", "half of a surrogate pair");
    refuse("{\"blocks\": [\"a\"]} x", "byte 18: something follows");
    refuse("{\"blocks\": [\"a\\u0000b\"]}", "byte 14: \\u0000 is not supported");
    refuse_bytes("{\"blocks\": [\"a\0b\"]}", 19, "byte 14 is NUL");
    ba_prompt_free(accept("{\"blocks\": [\"a\\\\u0000b\"]}")); /* a backslash and letters */
    refuse("[1]", "not a JSON object");
    refuse("null", "not a JSON object");
    char deep[4001];
    memset(deep, '[', 4000);
    deep[4000] = '\0';
    refuse(deep, "nested too deeply");
}

static void test_fields(void) {
    refuse("{}", "needs either \"blocks\" (texts) or \"ids\" (token ids)");
    refuse("{\"blocks\": [\"a\"], \"ids\": [[1]]}", "not both");
    refuse("{\"blocks\": [\"a\"], \"Blocks\": 1}",
           "unknown field \"Blocks\"; there is blocks, ids, messages, roles, num_local_attention_blocks, special");
    refuse("{\"blocks\": [\"a\"], \"special\": true, \"special\": true}", "\"special\" is there twice");
    refuse("{\"blocks\": \"a\"}", "\"blocks\" is not a list");
    refuse("{\"blocks\": []}", "\"blocks\" is empty");
    refuse("{\"blocks\": [\"a\", \"\", \"b\"]}", "\"blocks\"[1] is empty");
    refuse("{\"blocks\": [\"a\", 7]}", "\"blocks\"[1] is not a text");
    refuse("{\"blocks\": [\"a\"], \"special\": 1}", "\"special\" is not true or false");
    refuse("{\"ids\": [[1], []]}", "\"ids\"[1] is empty");
    refuse("{\"ids\": [[1], 2]}", "\"ids\"[1] is not a list");
}

static void test_numbers(void) {
    char json[128], why[128];
    size_t n = state.small->vocab.n;
    snprintf(json, sizeof json, "{\"ids\": [[1, %zu]]}", n - 1);
    ba_prompt_free(accept(json));
    snprintf(json, sizeof json, "{\"ids\": [[1, %zu]]}", n);
    snprintf(why, sizeof why, "\"ids\"[0][1] is not a token id: a whole number from 0 to %zu", n - 1);
    refuse(json, why);
    static const char *const bad[] = {"-1", "1.5", "1e300", "\"1\"", "null", "true", "[1]", "99999999999999999999"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(json, sizeof json, "{\"ids\": [[%s]]}", bad[i]);
        refuse(json, "\"ids\"[0][0] is not a token id");
        snprintf(json, sizeof json, "{\"ids\": [[1]], \"num_local_attention_blocks\": %s}", bad[i]);
        refuse(json, "\"num_local_attention_blocks\" is not a whole number >= 0");
    }
}

static void test_bad_roles(void) {
    refuse("{\"ids\": [[1], [2]], \"roles\": [\"question\"]}", "\"roles\" has 1 entries for 2 ids");
    refuse("{\"ids\": [[1]], \"roles\": \"question\"}", "\"roles\" is not a list");
    refuse("{\"ids\": [[1]], \"roles\": [\"Question\"]}", "\"roles\"[0] \"Question\" is unknown; there is system, "
                                                          "passage, demonstration, link, question, task");
    refuse("{\"ids\": [[1]], \"roles\": [3]}", "\"roles\"[0] is no text; there is system");
}

static void test_without_vocabulary(void) {
    char err[BA_ERR_LEN];
    ba_prompt *p;
    const char *ids = "{\"ids\": [[2147483647]]}", *blocks = "{\"blocks\": [\"a\"]}";
    CU_ASSERT_EQUAL_FATAL(ba_prompt_parse(ids, strlen(ids), NULL, 0, &p, err), 0);
    CU_ASSERT(p->seg[0].ids[0] == INT32_MAX && p->bos == -1 && p->newline == -1);
    ba_prompt_free(p);
    CU_ASSERT_EQUAL(ba_prompt_parse(blocks, strlen(blocks), NULL, 0, &p, err), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err, "must come as \"ids\""));
}

static void test_many_blocks(void) {
    enum { BLOCKS = 10000 };
    char *json = malloc(BLOCKS * 16 + 64), *end = json;
    CU_ASSERT_PTR_NOT_NULL_FATAL(json);
    end = stpcpy(end, "{\"blocks\": [");
    for (int i = 0; i < BLOCKS; i++) {
        end += sprintf(end, "%s\"b%d\"", i ? "," : "", i);
    }
    end = stpcpy(end, "]}");
    ba_prompt *p = accept_bytes(json, (size_t)(end - json));
    CU_ASSERT(p->n_seg == BLOCKS && p->seg[0].role == BA_ROLE_SYSTEM && p->seg[BLOCKS - 1].role == BA_ROLE_QUESTION);
    ba_prompt_free(p);
    free(json);
}

/* Any cut and any flipped byte of a request is refused or parsed, never worse. */
static void test_damaged(void) {
    const char *whole =
        "{\"blocks\": [\"a b\", \"\\u00e9\\n\"], \"roles\": [\"system\", \"question\"], \"special\": true}";
    size_t len = strlen(whole);
    char *copy = malloc(len + 1);
    CU_ASSERT_PTR_NOT_NULL_FATAL(copy);
    for (size_t i = 0; i < len; i++) {
        for (int bit = -1; bit < 8; bit++) {
            char err[BA_ERR_LEN] = "";
            ba_prompt *p;
            size_t n = bit < 0 ? i : len;
            memcpy(copy, whole, len + 1);
            copy[i] = bit < 0 ? copy[i] : (char)(copy[i] ^ 1 << bit);
            char *exact = malloc(n + 1); /* so that a sanitizer sees every byte after the end */
            CU_ASSERT_PTR_NOT_NULL_FATAL(exact);
            memcpy(exact + 1, copy, n);
            int rc = ba_prompt_parse(exact + 1, n, state.tok, state.small->vocab.n, &p, err);
            CU_ASSERT(rc == 0 ? p != NULL : p == NULL && err[0]);
            CU_ASSERT(bit >= 0 || rc == -1);
            ba_prompt_free(p);
            free(exact);
        }
    }
    free(copy);
}

/* Blocks of the message, joined by "|". */
static void check_blocks(const char *text, size_t most, const char *want) {
    size_t begin[16], len = strlen(text), n = ba_segment_message(text, len, most, begin);
    char got[512], *end = got;
    CU_ASSERT_FATAL(n <= most && len < 256);
    for (size_t i = 0; i < n; i++) {
        size_t stop = i + 1 < n ? begin[i + 1] : len;
        CU_ASSERT_FATAL(begin[i] < stop);
        end += sprintf(end, "%s%.*s", i ? "|" : "", (int)(stop - begin[i]), text + begin[i]);
    }
    *end = '\0';
    if (strcmp(got, want) != 0) {
        printf("         got  %s\n         want %s\n", got, want);
    }
    CU_ASSERT_STRING_EQUAL(got, want);
}

static void test_segments(void) {
    check_blocks("one line", 15, "one line");
    check_blocks("a\nb\n\nc\nd\n\n\n e", 15, "a\nb\n\n|c\nd\n\n\n |e"); /* \n\n is the first that occurs */
    check_blocks("a\nb\nc\n", 15, "a\n|b\n|c\n");
    check_blocks("a ---- b --- c", 15, "a ---- |b --- |c");
    check_blocks("a\n===\nb", 15, "a\n===\n|b");
    check_blocks("a\n\tb\nc", 15, "a\n\t|b\nc");
    check_blocks("\n\n a\n\nb\n\n", 15, "\n\n a\n\n|b\n\n");
    check_blocks("\n\n\n", 15, "\n\n\n");
    check_blocks("", 15, "");
    check_blocks("a\nb", 0, "");
}

static void test_merging(void) {
    check_blocks("aaaa\nbb\nccc\nd\neeee", 4, "aaaa\n|bb\n|ccc\nd\n|eeee"); /* d is the shortest */
    check_blocks("aaaa\nbb\nccc\nd\neeee", 3, "aaaa\nbb\n|ccc\nd\n|eeee");
    check_blocks("a\nbbbb\ncccc", 2, "a\nbbbb\n|cccc"); /* the first has none before it */
    check_blocks("a\nb\nc\nd", 1, "a\nb\nc\nd");
    check_blocks("éé\nabc\nxyzw", 2, "éé\nabc\n|xyzw"); /* characters, not bytes */
    enum { LINES = 100000 };
    char *text = malloc(2 * LINES);
    size_t begin[15];
    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    for (size_t i = 0; i < 2 * LINES; i++) {
        text[i] = i % 2 ? '\n' : 'a';
    }
    CU_ASSERT_EQUAL(ba_segment_message(text, 2 * LINES, 15, begin), 15);
    CU_ASSERT_EQUAL(begin[0], 0);
    free(text);
}

int ba_suite_prompt(void) {
    CU_pSuite s = CU_add_suite("prompt", set_up, clean_up);
    return s && CU_add_test(s, "roles given and by default", test_roles) &&
                   CU_add_test(s, "ids and number of local blocks", test_values) &&
                   CU_add_test(s, "text, escapes, invalid UTF-8", test_text) &&
                   CU_add_test(s, "messages become what the chat template renders", test_messages) &&
                   CU_add_test(s, "control tokens by role or by special", test_special) &&
                   CU_add_test(s, "malformed JSON is refused with its place", test_malformed) &&
                   CU_add_test(s, "wrong fields are refused by name", test_fields) &&
                   CU_add_test(s, "wrong numbers are refused by name", test_numbers) &&
                   CU_add_test(s, "wrong roles are refused by name", test_bad_roles) &&
                   CU_add_test(s, "ids need no vocabulary", test_without_vocabulary) &&
                   CU_add_test(s, "10,000 blocks", test_many_blocks) &&
                   CU_add_test(s, "damaged requests", test_damaged) &&
                   CU_add_test(s, "segmentation by the first separator", test_segments) &&
                   CU_add_test(s, "segmentation merges the shortest", test_merging)
               ? 0
               : -1;
}

/* Tokenizers against ids of the Python libraries that the models were made with (tests/golden/tokenizer), and
 * properties that need no reference. */
#include "tests/support/golden_tokens.h"
#include "tests/support/runner.h"

#include "experiments/cli/cli.h"
#include "sim/base/random.h"
#include "sim/base/utf8.h"
#include "sim/chat/chat.h"
#include "sim/text/pretokenize.h"
#include <stdlib.h>
#include <string.h>

static void print_ids(const char *what, const int32_t *ids, size_t n) {
    printf("         %s", what);
    for (size_t i = 0; i < n; i++) {
        printf(" %d", ids[i]);
    }
    printf("\n");
}

/* All cases of a golden file; the first few that differ are printed. */
static void check_cases(const ba_golden_tokens *g, const ba_vocab *vocab) {
    char err[BA_ERR_LEN] = "";
    ba_tokenizer *t;
    CU_ASSERT_EQUAL_FATAL(ba_tokenizer_new(vocab, &t, err), 0);
    size_t differ = 0;
    for (size_t i = 0; i < g->n; i++) {
        const ba_golden_case *c = &g->item[i];
        int32_t *ids;
        size_t n;
        CU_ASSERT_EQUAL_FATAL(ba_tokenize(t, c->text.s, c->text.n, c->special, &ids, &n, err), 0);
        bool same = n == c->n && (n == 0 || memcmp(ids, c->ids, n * sizeof *ids) == 0);
        if (!same && differ++ < 5) {
            printf("         %s:%zu differs\n", g->path, c->line);
            print_ids("expected", c->ids, c->n);
            print_ids("got     ", ids, n);
        }
        free(ids);
    }
    CU_ASSERT_EQUAL(differ, 0);
    ba_tokenizer_free(t);
}

static void check_small(const char *name) {
    ba_golden_tokens *g = ba_golden_tokens_open(name);
    CU_ASSERT_PTR_NOT_NULL_FATAL(g);
    CU_ASSERT(g->vocab.n > 500 && g->n > 300);
    check_cases(g, &g->vocab);
    ba_golden_tokens_close(g);
}

static void test_gpt2(void) {
    check_small("gpt-2");
}

static void test_llama3(void) {
    check_small("llama-bpe");
}

static void test_qwen2(void) {
    check_small("qwen2");
}

static void test_spm_prefix(void) {
    check_small("spm-llama");
}

static void test_spm_plain(void) {
    check_small("spm-gemma");
}

static void test_smollm(void) {
    char err[BA_ERR_LEN] = "";
    ba_model *model;
    if (!ba_test_model()) {
        ba_test_skip("the model is not cached");
        return;
    }
    CU_ASSERT_EQUAL_FATAL(ba_model_open(ba_test_model(), false, &model, err), 0);
    ba_golden_tokens *g = ba_golden_tokens_open("smollm");
    CU_ASSERT_PTR_NOT_NULL_FATAL(g);
    CU_ASSERT(g->n >= 2000);
    if (ba_model_vocab(model)->pre && !strcmp(ba_model_vocab(model)->pre, "smollm")) {
        check_cases(g, ba_model_vocab(model));
    } else {
        ba_test_skip("another model is cached");
    }
    ba_golden_tokens_close(g);
    ba_model_close(model);
}

static ba_tokenizer *open_small(const char *name, ba_golden_tokens **g) {
    char err[BA_ERR_LEN];
    ba_tokenizer *t = NULL;
    *g = ba_golden_tokens_open(name);
    CU_ASSERT_PTR_NOT_NULL_FATAL(*g);
    CU_ASSERT_EQUAL_FATAL(ba_tokenizer_new(&(*g)->vocab, &t, err), 0);
    return t;
}

static void close_small(ba_tokenizer *t, ba_golden_tokens *g) {
    ba_tokenizer_free(t);
    ba_golden_tokens_close(g);
}

/* Bytes that like to be next to each other: pieces of characters, marks of the vocabularies, anything. */
static size_t random_text(uint64_t *seed, char *out, size_t size) {
    static const char *const bits[] = {
        " ",    "  ",   "\n",   "a",         "Z",          "é",        "\xe6\x9d\xb1",
        "7",    "٣",    "'s",   "'LL",       "<|im_end|>", "<tool",    "\xf0\x9f\x98\x80",
        "\xff", "\xe2", "\x80", "\xc2\xa0",  "\t",         "</td>",    "<0x41>",
        "½",    "!",    "--",   "e\xcc\x81", "\xed\xa0",   "<|im_sta", "Ġ"};
    size_t n = 0, want = ba_random_bits(seed) % (size - 16);
    while (n < want) {
        if (ba_random_bits(seed) % 8 == 0) {
            out[n++] = (char)ba_random_bits(seed);
        } else {
            const char *bit = bits[ba_random_bits(seed) % (sizeof bits / sizeof *bits)];
            n = (size_t)(stpcpy(out + n, bit) - out);
        }
    }
    return n;
}

/* Whatever goes in comes out, byte for byte, parsed control tokens included, and no control token comes of plain text.
 */
static void check_round_trip(const char *name, size_t rounds) {
    ba_golden_tokens *g;
    ba_tokenizer *t = open_small(name, &g);
    char text[512];
    for (uint64_t seed = 1; seed <= rounds; seed++) {
        uint64_t state = seed;
        bool special = seed % 2;
        size_t len = random_text(&state, text, sizeof text), n, back;
        char err[BA_ERR_LEN];
        int32_t *ids;
        CU_ASSERT_EQUAL_FATAL(ba_tokenize(t, text, len, special, &ids, &n, err), 0);
        char *again = ba_detokenize(t, ids, n, special, &back);
        CU_ASSERT_PTR_NOT_NULL_FATAL(again);
        bool same = back == len && memcmp(again, text, len) == 0;
        if (!same) {
            printf("         %s: seed %llu does not come back\n", name, (unsigned long long)seed);
        }
        CU_ASSERT(same);
        for (size_t i = 0; !special && i < n; i++) {
            CU_ASSERT(g->vocab.type[ids[i]] != BA_TOKEN_CONTROL);
        }
        free(again);
        free(ids);
    }
    close_small(t, g);
}

static void test_round_trip(void) {
    check_round_trip("gpt-2", 3000);
    check_round_trip("llama-bpe", 3000);
    check_round_trip("spm-gemma", 3000);
}

/* Pieces cover the text without a gap, none is empty, none ends inside a character. */
static void test_pieces(void) {
    char text[512], err[BA_ERR_LEN];
    for (size_t f = 0; ba_pre_at(f); f++) {
        CU_ASSERT_PTR_EQUAL(ba_pre_find(ba_pre_at(f)->name, err), ba_pre_at(f));
        for (uint64_t seed = 1; seed <= 2000; seed++) {
            uint64_t state = seed;
            size_t n = ba_utf8_valid(text, random_text(&state, text, sizeof text)), len;
            for (size_t i = 0; i < n; i += len) {
                len = ba_pre_next(ba_pre_at(f), text + i, n - i);
                CU_ASSERT_FATAL(len > 0 && len <= n - i);
                CU_ASSERT(i + len == n || ((unsigned char)text[i + len] & 0xc0) != 0x80);
            }
        }
    }
}

/* A merge queue, not repeated search: a run without spaces takes n log n. Quadratic would take hours here. */
static void test_long_runs(void) {
    static const char *const unit[] = {"a", "ab", " ", "<", "\xff", "1", "é", "</"};
    static const char *const names[] = {"gpt-2", "llama-bpe", "qwen2", "spm-gemma", "spm-llama"};
    enum { BYTES = 1 << 20 };
    char *text = malloc(BYTES);
    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
        ba_golden_tokens *g;
        ba_tokenizer *t = open_small(names[k], &g);
        for (size_t i = k % 2; i < sizeof unit / sizeof *unit; i += 2) { /* every other one for each vocabulary */
            const char *u = unit[i];
            size_t len = strlen(u), n, back;
            for (size_t at = 0; at < BYTES; at++) {
                text[at] = u[at % len];
            }
            char err[BA_ERR_LEN];
            int32_t *ids;
            CU_ASSERT_EQUAL_FATAL(ba_tokenize(t, text, BYTES, false, &ids, &n, err), 0);
            char *again = ba_detokenize(t, ids, n, false, &back);
            size_t before = g->vocab.add_space_prefix;
            CU_ASSERT_FATAL(again && back == BYTES + before);
            CU_ASSERT(memcmp(again + before, text, BYTES) == 0);
            free(again);
            free(ids);
        }
        close_small(t, g);
    }
    free(text);
}

static void expect_ids(const ba_tokenizer *t, const char *text, bool special, const int32_t *want, size_t n_want) {
    char err[BA_ERR_LEN];
    int32_t *ids;
    size_t n;
    CU_ASSERT_EQUAL_FATAL(ba_tokenize(t, text, strlen(text), special, &ids, &n, err), 0);
    CU_ASSERT(n == n_want && (n == 0 || memcmp(ids, want, n * sizeof *ids) == 0));
    free(ids);
}

/* A vocabulary of a few tokens: marks that begin alike, a merge that would make a control token. */
static void test_marks(void) {
    ba_span token[] = {{"a", 1}, {"b", 1}, {"<", 1}, {"ab", 2}, {"<a", 2}, {"<ab", 3}, {"<ab<", 4}, {"\n", 1}};
    uint8_t type[] = {1, 1, 1, 3, 4, 3, 3, 4};
    ba_span merge[] = {{"a b", 3}};
    int32_t eog[] = {5};
    ba_vocab v = {.kind = BA_VOCAB_BPE,
                  .pre = "gpt-2",
                  .token = token,
                  .type = type,
                  .n = 8,
                  .merge = merge,
                  .n_merge = 1,
                  .bos = -1,
                  .eos = 6,
                  .unk = -1,
                  .pad = -1,
                  .eog = eog,
                  .n_eog = 1};
    char err[BA_ERR_LEN];
    ba_tokenizer *t;
    CU_ASSERT_EQUAL_FATAL(ba_tokenizer_new(&v, &t, err), 0);
    expect_ids(t, "ab", false, (int32_t[]){0, 1}, 2);
    expect_ids(t, "ab", true, (int32_t[]){3}, 1);
    expect_ids(t, "<ab<", false, (int32_t[]){4, 1, 2}, 3);
    expect_ids(t, "<ab<", true, (int32_t[]){6}, 1);
    expect_ids(t, "<ab<a", true, (int32_t[]){6, 0}, 2);
    expect_ids(t, "<ab\n", true, (int32_t[]){5, 7}, 2);
    expect_ids(t, "a?b", false, (int32_t[]){0, 1}, 2); /* no token for it */
    CU_ASSERT_EQUAL(ba_tokenizer_lost(t, "a?b!", 4), 2);
    CU_ASSERT_EQUAL(ba_token_newline(t), 7);
    CU_ASSERT(ba_token_ends(t, 5) && ba_token_ends(t, 6) && !ba_token_ends(t, 3) && !ba_token_ends(t, -1));
    char bytes[8];
    CU_ASSERT_EQUAL(ba_token_bytes(t, 3, false, bytes, sizeof bytes), 0);
    CU_ASSERT(ba_token_bytes(t, 3, true, bytes, sizeof bytes) == 2 && memcmp(bytes, "ab", 2) == 0);
    CU_ASSERT_EQUAL(ba_token_bytes(t, 6, true, bytes, 3), 3);
    CU_ASSERT_EQUAL(ba_token_bytes(t, 8, true, bytes, sizeof bytes), 0);
    CU_ASSERT_EQUAL(ba_token_bytes(t, -1, true, bytes, sizeof bytes), 0);
    ba_tokenizer_free(t);
}

static void refuse(ba_vocab v, const char *why) {
    char err[BA_ERR_LEN] = "";
    ba_tokenizer *t;
    CU_ASSERT_EQUAL(ba_tokenizer_new(&v, &t, err), -1);
    CU_ASSERT_PTR_NULL(t);
    if (!strstr(err, why)) {
        printf("         said \"%s\", not \"%s\"\n", err, why);
        CU_FAIL("another line was expected");
    }
}

static void test_refused(void) {
    ba_span token[] = {{"a", 1}, {"b", 1}}, no_token[] = {{"a b", 3}}, no_space[] = {{"ab", 2}}, blank[] = {{"a ", 2}};
    uint8_t type[] = {1, 1};
    ba_vocab v = {.kind = BA_VOCAB_BPE, .pre = "gpt-3", .token = token, .type = type, .n = 2};
    refuse(v, "\"gpt-3\" is not a known pre-tokeniser; there is smollm, gpt-2, llama-bpe, qwen2");
    v.pre = NULL;
    refuse(v, "not a known pre-tokeniser");
    v.pre = "gpt-2";
    v.n_merge = 1;
    v.merge = no_token;
    refuse(v, "merge 0 of its tokenizer, \"a b\"");
    v.merge = no_space;
    refuse(v, "merge 0 of its tokenizer");
    v.merge = blank;
    refuse(v, "merge 0 of its tokenizer");
    refuse((ba_vocab){.kind = BA_VOCAB_NONE}, "no vocabulary");
}

/* Text with SentencePiece's own space sign is text with spaces; an unknown character without byte tokens is unknown,
 * once for a run. */
static void test_spm_unknown(void) {
    ba_span token[] = {{"<unk>", 5}, {"\xe2\x96\x81", 3}, {"x", 1}, {"\xe2\x96\x81x", 4}, {"<0x41>", 6}};
    uint8_t type[] = {2, 1, 1, 1, 6};
    float score[] = {0, -3, -2, -1, 0};
    ba_vocab v = {.kind = BA_VOCAB_SPM,
                  .pre = "",
                  .token = token,
                  .type = type,
                  .score = score,
                  .n = 5,
                  .bos = -1,
                  .eos = -1,
                  .unk = 0,
                  .pad = -1,
                  .add_space_prefix = true};
    char err[BA_ERR_LEN];
    ba_tokenizer *t;
    CU_ASSERT_EQUAL_FATAL(ba_tokenizer_new(&v, &t, err), 0);
    expect_ids(t, "x", false, (int32_t[]){3}, 1);
    expect_ids(t, "", false, NULL, 0);
    expect_ids(t, "xyzx", false, (int32_t[]){3, 0, 2}, 3);
    expect_ids(t, "xAx", false, (int32_t[]){3, 4, 2}, 3);
    expect_ids(t, "x<0x41>", false, (int32_t[]){3, 0, 2, 0}, 4);
    expect_ids(t, "x\xe2\x96\x81x x", false, (int32_t[]){3, 3, 3}, 3);
    expect_ids(t, "<unk>x", true, (int32_t[]){0, 3}, 2);
    ba_tokenizer_free(t);
}

/* What template renders for a user's turn, an answer before it and a system turn; NULL where it has none. */
typedef struct worded {
    const char *template, *family, *begin, *bare_begin, *system_open, *past_close, *answer_open;
    bool trims;
} worded;

#define IM(role) "{{ '<|im_start|>' + " role " + '\n' + m['content'] + '<|im_end|>\n' }}"
#define IM_GEN   "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
#define IM_USER  "<|im_start|>user\n"
#define EACH(x)  "{% for m in messages %}" x "{% endfor %}"
#define SMOL     "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"

static const worded wordings[] = {
    {EACH(IM("m.role")) IM_GEN, "chatml", IM_USER, IM_USER, "<|im_start|>system\n", "<|im_end|>\n" IM_USER,
     "<|im_end|>\n<|im_start|>assistant\n", false},
    {EACH("{% if loop.first and messages[0]['role'] != 'system' %}{{ '" SMOL "' }}{% endif %}" IM("m['role']")) IM_GEN,
     "smollm2", SMOL IM_USER, IM_USER, "<|im_start|>system\n", "<|im_end|>\n" IM_USER,
     "<|im_end|>\n<|im_start|>assistant\n", false},
    /* neighbours of known families, which two words of them do not tell apart */
    {EACH("{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>' }}") IM_GEN, "own", IM_USER, IM_USER,
     "<|im_start|>system\n", "<|im_end|>" IM_USER, "<|im_end|><|im_start|>assistant\n", false},
    {EACH(IM("m.role")) "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n<think>\n' }}{% endif %}", "own",
     IM_USER, IM_USER, "<|im_start|>system\n", "<|im_end|>\n" IM_USER, "<|im_end|>\n<|im_start|>assistant\n<think>\n",
     false},
    {EACH("{{ '[INST] ' + m['content'] + '[/INST]' }}"), "own", "[INST] ", "[INST] ", "[INST] ", "[/INST][INST] ",
     "[/INST]", false},
    {"{{ bos_token }}" EACH("{% if m.role == 'user' %}{{ '[INST] ' + m.content + ' [/INST]' }}{% elif m.role == "
                            "'assistant' %}{{ m.content + '</s>' }}{% else %}{{ raise_exception('no') }}{% endif %}"),
     "mistral", "[INST] ", "[INST] ", NULL, "</s>[INST] ", " [/INST]", false},
    {"{{- bos_token }}\n{%- set x = 1 %}" EACH(
         "{%- set role = 'model' if m.role == 'assistant' else m.role -%}\n"
         "{{ '<start_of_turn>' + role + '\n' + m.content | trim + '<end_of_turn>\n' }}") "{% if add_generation_prompt "
                                                                                         "%}{{ "
                                                                                         "'<start_of_turn>model\n' "
                                                                                         "}}{% endif %}",
     "own", "<start_of_turn>user\n", "<start_of_turn>user\n", "<start_of_turn>system\n",
     "<end_of_turn>\n<start_of_turn>user\n", "<end_of_turn>\n<start_of_turn>model\n", true},
};

static void expect_text(const char *got, const char *want) {
    if (!got != !want || (got && strcmp(got, want) != 0)) {
        printf("         \"%s\" instead of \"%s\"\n", got ? got : "NULL", want ? want : "NULL");
        CU_FAIL("text of a chat template");
    }
}

static void test_chat(void) {
    for (size_t i = 0; i < sizeof wordings / sizeof *wordings; i++) {
        const worded *w = &wordings[i];
        ba_vocab v = {.bos = -1, .eos = -1, .chat_template = strdup(w->template)};
        CU_ASSERT_EQUAL_FATAL(ba_chat_learn(&v), 0);
        const ba_chat *chat = ba_chat_of(&v);
        if (!chat) {
            printf("         %zu: %s\n", i, v.chat_why);
        }
        CU_ASSERT_PTR_NOT_NULL_FATAL(chat);
        expect_text(chat->family, w->family);
        expect_text(chat->begin, w->begin);
        expect_text(chat->bare_begin, w->bare_begin);
        expect_text(chat->system_open, w->system_open);
        expect_text(chat->past_close, w->past_close);
        expect_text(chat->answer_open, w->answer_open);
        CU_ASSERT_EQUAL(chat->trims, w->trims);
        ba_vocab_free(&v);
    }
}

/* A template that is not understood is never replaced by another one, and the line names the options that settle it. */
static void test_chat_unknown(void) {
    static const char *const bad[] = {
        "{{ messages }}",
        "{% macro f(x) %}{% endmacro %}{{ messages[0].content }}",
        "{{ strftime_now('%d') }}{{ messages[0].content }}",
        "{% for m in messages %}{{ m.content | reverse }}{% endfor %}",
        "{% for m in messages %}{{ m.content }}",
        "no text of anybody",
        "{{ messages[0].content }} {{ messages[0].content }}",
        "{% for m in messages %}{{ m.content | upper }}{% endfor %}",
    };
    char err[BA_ERR_LEN];
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ba_vocab v = {.bos = -1, .eos = -1, .chat_template = strdup(bad[i])};
        CU_ASSERT_EQUAL_FATAL(ba_chat_learn(&v), 0);
        CU_ASSERT_PTR_NULL(ba_chat_of(&v));
        CU_ASSERT_EQUAL(ba_chat_settled(&v, err), -1);
        CU_ASSERT(strstr(err, "not understood") && strstr(err, "--chat none"));
        CU_ASSERT_EQUAL(ba_chat_choose(&v, "no-such-family", NULL, err), -1);
        CU_ASSERT_PTR_NOT_NULL(strstr(err, "llama-3.1"));
        CU_ASSERT_EQUAL(ba_chat_choose(&v, "none", NULL, err), 0);
        CU_ASSERT(ba_chat_settled(&v, err) == 0 && !ba_chat_of(&v));
        CU_ASSERT_EQUAL(ba_chat_choose(&v, "zephyr", NULL, err), 0);
        CU_ASSERT_PTR_NOT_NULL_FATAL(ba_chat_of(&v));
        expect_text(ba_chat_of(&v)->begin, "<|user|>\n");
        ba_vocab_free(&v);
    }
    ba_vocab none = {.bos = -1, .eos = -1};
    CU_ASSERT(ba_chat_learn(&none) == 0 && !ba_chat_of(&none) && ba_chat_settled(&none, err) == 0);
}

int ba_suite_tokenizer(void) {
    CU_pSuite s = CU_add_suite("tokenizer", NULL, NULL);
    return s && CU_add_test(s, "smollm, the model's vocabulary, equals the Python tokenizer", test_smollm) &&
                   CU_add_test(s, "gpt-2 equals the Python tokenizer", test_gpt2) &&
                   CU_add_test(s, "llama-bpe equals the Python tokenizer", test_llama3) &&
                   CU_add_test(s, "qwen2 equals the Python tokenizer", test_qwen2) &&
                   CU_add_test(s, "with space prefix equals SentencePiece", test_spm_prefix) &&
                   CU_add_test(s, "with user-defined tokens equals SentencePiece", test_spm_plain) &&
                   CU_add_test(s, "any bytes come back", test_round_trip) &&
                   CU_add_test(s, "pieces cover the text", test_pieces) &&
                   CU_add_test(s, "a megabyte without spaces", test_long_runs) &&
                   CU_add_test(s, "longest mark first, control tokens only where allowed", test_marks) &&
                   CU_add_test(s, "bad vocabularies are refused by name", test_refused) &&
                   CU_add_test(s, "unknown characters and the space sign of SentencePiece", test_spm_unknown) &&
                   CU_add_test(s, "chat templates by what they render", test_chat) &&
                   CU_add_test(s, "a chat template that is not understood is refused", test_chat_unknown)
               ? 0
               : -1;
}

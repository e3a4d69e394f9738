/* `compare` against the commands that measure the same things one by one, and its screen. */
#include "experiments/compare/compare.h"
#include "tests/support/program.h"
#include "tests/support/runner.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ITEM                                                                                                           \
    "{\"id\": \"1\", \"gold\": [0], \"has_answer\": true, \"source\": \"csv\", \"question\": \"Where does the river "  \
    "go?\", \"answers\": [\"to the sea\"], \"documents\": "                                                            \
    "[{\"title\": \"Rivers\", \"text\": \"Every river goes down to the sea.\"}, \"Lakes stay where they are.\"]}"

static void write_item(void) {
    program_tiny();
    program_write("item.json", ITEM);
}

static cJSON *json_of(const char *const *args) {
    program_end o = program_run(args);
    CU_ASSERT_EQUAL_FATAL(o.status, 0);
    cJSON *root = cJSON_Parse(o.out);
    CU_ASSERT_PTR_NOT_NULL_FATAL(root);
    program_free(&o);
    return root;
}

static const cJSON *mode_at(const cJSON *root, int i) {
    return cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(root, "modes"), i);
}

static double number_of(const cJSON *o, const char *name) {
    const cJSON *x = cJSON_GetObjectItemCaseSensitive(o, name);
    CU_ASSERT_TRUE(cJSON_IsNumber(x));
    return cJSON_IsNumber(x) ? x->valuedouble : (double)NAN;
}

static const char *text_of(const cJSON *o, const char *name) {
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, name));
    CU_ASSERT_PTR_NOT_NULL(text);
    return text ? text : "";
}

#define COMPARE(...)                                                                                                   \
    ((const char *const[]){"compare", "--model", "tiny.gguf", "--request", "item.json", __VA_ARGS__, NULL})

/* Every figure equals that of the command which is about it. */
static void test_same_figures(void) {
    write_item();
    cJSON *root = json_of(COMPARE("--mode", "block,lego:k=2", "--max-tokens", "6", "--repeat", "2", "--json"));
    CU_ASSERT_STRING_EQUAL(text_of(mode_at(root, 0), "mode"), "full"); /* first, although it was not asked for */
    CU_ASSERT_EQUAL(number_of(mode_at(root, 0), "kl"), 0);
    CU_ASSERT_EQUAL(number_of(mode_at(root, 0), "n_reused"), 0);
    static const char *const modes[] = {"full", "block", "lego:k=2"};
    for (int i = 0; i < 3; i++) {
        const cJSON *row = mode_at(root, i);
        CU_ASSERT_EQUAL(number_of(row, "n"), 2);
        CU_ASSERT_TRUE(i == 2 ? number_of(row, "charged") > 0 : number_of(row, "charged") == !i);
        CU_ASSERT_TRUE(number_of(row, "ttft_s") > 0 && number_of(row, "ttft_new_s") > 0);
        cJSON *text = json_of((const char *const[]){"generate", "--model", "tiny.gguf", "--request", "item.json",
                                                    "--mode", modes[i], "--max-tokens", "6", "--json", NULL});
        CU_ASSERT_STRING_EQUAL(text_of(row, "text"), text_of(text, "text"));
        CU_ASSERT_STRING_EQUAL(text_of(row, "stop"), text_of(text, "stop"));
        CU_ASSERT_EQUAL(number_of(row, "n_prompt"), number_of(text, "n_prompt"));
        cJSON_Delete(text);
        cJSON *plan = json_of((const char *const[]){"plan", "--model", "tiny.gguf", "--request", "item.json", "--mode",
                                                    modes[i], "--cost", "--json", NULL});
        const cJSON *costs = cJSON_GetObjectItemCaseSensitive(plan, "cost");
        const cJSON *warm = cJSON_GetObjectItemCaseSensitive(costs, "warm");
        CU_ASSERT_EQUAL(number_of(row, "flops_exact"), number_of(warm, "flops_exact"));
        CU_ASSERT_EQUAL(number_of(row, "n_reused"), number_of(warm, "n_reused"));
        cJSON_Delete(plan);
        if (i) {
            cJSON *gate = json_of((const char *const[]){"gate", "--model", "tiny.gguf", "--request", "item.json",
                                                        "--identities", "0", "--mode", modes[i], "--json", NULL});
            const cJSON *far = cJSON_GetArrayItem(gate, 0);
            CU_ASSERT_DOUBLE_EQUAL(number_of(row, "kl"), number_of(far, "kl"), 1e-12);
            CU_ASSERT_EQUAL(cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(row, "top1")), number_of(far, "top1") == 1);
            cJSON_Delete(gate);
        }
    }
    cJSON_Delete(root);
}

/* The request's answer counts unless another one is given; without any there is no NLL. */
static void test_answers(void) {
    write_item();
    cJSON *own = json_of(COMPARE("--mode", "block", "--repeat", "1", "--json"));
    cJSON *given = json_of(COMPARE("--mode", "block", "--repeat", "1", "--answer", "to the sea", "--json"));
    cJSON *other = json_of(COMPARE("--mode", "block", "--repeat", "1", "--answer", "up", "--json"));
    for (int i = 0; i < 2; i++) {
        CU_ASSERT_TRUE(number_of(mode_at(own, i), "nll") > 0);
        CU_ASSERT_EQUAL(number_of(mode_at(own, i), "nll"), number_of(mode_at(given, i), "nll"));
        CU_ASSERT_NOT_EQUAL(number_of(mode_at(own, i), "nll"), number_of(mode_at(other, i), "nll"));
    }
    cJSON_Delete(own);
    cJSON_Delete(given);
    cJSON_Delete(other);
    program_write("passages.txt", "One passage.\n\nAnother passage.\n");
    cJSON *none = json_of((const char *const[]){"compare", "--model", "tiny.gguf", "--question", "q", "--documents",
                                                "passages.txt", "--json", NULL});
    CU_ASSERT_TRUE(cJSON_IsNull(cJSON_GetObjectItemCaseSensitive(mode_at(none, 0), "nll")));
    cJSON_Delete(none);
    program_write("bytes.txt", "One passage\nof two lines.\n\nAn\xff other.\n");
    program_write("answers.json", "{\"question\": \"q\", \"documents\": [\"d\"], \"answers\": \"no list\"}");
    static const program_refusal rows[] = {
        {2, "a prompt is needed", {"compare", "--model", "tiny.gguf"}},
        {2,
         "field \"answers\" is the text \"no list\", where a list of texts is needed",
         {"compare", "--model", "tiny.gguf", "--request", "answers.json"}},
        {2,
         "bytes.txt: line 4: byte 3 is no text in UTF-8",
         {"compare", "--model", "tiny.gguf", "--question", "q", "--documents", "bytes.txt"}},
        {2, "--repeat 0", {"compare", "--model", "tiny.gguf", "--request", "item.json", "--repeat", "0"}},
    };
    EXPECT_REFUSALS(rows);
}

/* A shape with random weights answers with ids. */
static void test_shape(void) {
    program_write("shape.json", "{\"model_type\": \"llama\", \"hidden_size\": 32, \"intermediate_size\": 64, "
                                "\"num_hidden_layers\": 2, \"num_attention_heads\": 2, \"vocab_size\": 50, "
                                "\"max_position_embeddings\": 256}");
    program_write("ids.json", "{\"ids\": [[1, 2, 3, 4], [5, 6, 7], [8, 9]]}");
    cJSON *root = json_of((const char *const[]){"compare", "--shape", "shape.json", "--request", "ids.json", "--mode",
                                                "block", "--max-tokens", "3", "--json", NULL});
    CU_ASSERT_EQUAL(strspn(text_of(mode_at(root, 1), "text"), "0123456789 "),
                    strlen(text_of(mode_at(root, 1), "text")));
    CU_ASSERT_TRUE(number_of(mode_at(root, 1), "kl") > 0);
    cJSON_Delete(root);
    static const program_refusal rows[] = {
        {2,
         "--answer: the model has no vocabulary",
         {"compare", "--shape", "shape.json", "--request", "ids.json", "--answer", "a"}},
    };
    EXPECT_REFUSALS(rows);
}

/* A mode that cannot run says why, and the others are measured. */
static void test_refused_mode(void) {
    write_item();
    cJSON *root = json_of(COMPARE("--mode", "kvlink:k=3,block", "--repeat", "1", "--json"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text_of(mode_at(root, 1), "error"), "link embeddings"));
    CU_ASSERT_PTR_NULL(cJSON_GetObjectItemCaseSensitive(mode_at(root, 1), "kl"));
    CU_ASSERT_TRUE(number_of(mode_at(root, 2), "kl") >= 0);
    cJSON_Delete(root);
}

/* 100 columns, and everything that the screen promises. */
static void test_screen(void) {
    write_item();
    program_end o = program_run(COMPARE("--mode", "block,kvlink:k=3", "--repeat", "3", "--max-tokens", "40"));
    CU_ASSERT_EQUAL(o.status, 0);
    static const char *const says[] = {"KL, nat",
                                       "NLL, nat",
                                       "+-MAD",
                                       "new prompt",
                                       "FLOPs",
                                       "n = 3",
                                       "charged",
                                       "\nfull ",
                                       "\nblock ",
                                       "the same",
                                       "cannot run on this prompt: mode kvlink:k=3",
                                       "in 3 blocks",
                                       "nothing: every token sees all before it"};
    for (size_t i = 0; i < sizeof says / sizeof *says; i++) {
        bool there = strstr(o.out, says[i]) != NULL || (i == 9 && strstr(o.out, "{+"));
        CU_ASSERT_TRUE(there);
        if (!there) {
            printf("  lacks '%s':\n%s", says[i], o.out);
        }
    }
    for (const char *line = o.out; *line; line += strcspn(line, "\n") + 1) {
        size_t n = 0;
        for (const char *c = line; *c != '\n'; c++) {
            n += ((unsigned char)*c & 0xc0) != 0x80;
        }
        CU_ASSERT_TRUE(n <= 100);
    }
    program_free(&o);
}

static void test_difference(void) {
    static const struct {
        const char *a, *b, *want;
    } rows[] = {
        {"one two three", "one three", "=one atwo =three "},
        {"", "new words", "bnew bwords "},
        {"a b c", "x y z", "aa ab ac bx by bz "},
        {" spaces\nand  ends ", "spaces and ends", "=spaces =and =ends "},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char got[200] = "";
        size_t n, used = 0;
        ba_word *word = ba_text_difference(rows[i].a, rows[i].b, &n);
        CU_ASSERT_PTR_NOT_NULL_FATAL(word);
        for (size_t k = 0; k < n; k++) {
            used +=
                (size_t)snprintf(got + used, sizeof got - used, "%c%.*s ", word[k].from, (int)word[k].len, word[k].at);
        }
        CU_ASSERT_STRING_EQUAL(got, rows[i].want);
        free(word);
    }
}

int ba_suite_cli_compare(void) {
    CU_pSuite s = CU_add_suite("cli_compare", NULL, NULL);
    return s && CU_add_test(s, "figures are those of generate, plan and gate", test_same_figures) &&
                   CU_add_test(s, "NLL of the request's answer or of --answer", test_answers) &&
                   CU_add_test(s, "a shape with random weights answers with ids", test_shape) &&
                   CU_add_test(s, "a mode that cannot run says why", test_refused_mode) &&
                   CU_add_test(s, "the screen has 100 columns and every figure", test_screen) &&
                   CU_add_test(s, "words in which two texts differ", test_difference)
               ? 0
               : -1;
}

/* How a prompt is asked for on the command line: a question over documents, how a conversation is worded, and the table
 * of fields that says what the readers of a model do. */
#include "tests/support/program.h"
#include "tests/support/runner.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static cJSON *json_of(const char *const *args) {
    program_end o = program_run(args);
    cJSON *root = cJSON_Parse(o.out);
    if (o.status || !root) {
        printf("         %s: %s\n", args[0], o.err);
    }
    CU_ASSERT_EQUAL_FATAL(o.status, 0);
    CU_ASSERT_PTR_NOT_NULL_FATAL(root);
    program_free(&o);
    return root;
}

/* The ids of a prompt of one node, or of a tokenised text, as text. Freed with free. */
static char *ids_of(const cJSON *list) {
    char *text = cJSON_PrintUnformatted(list);
    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    return text;
}

static char *plan_ids(const char *const *args) {
    cJSON *root = json_of(args);
    const cJSON *nodes = cJSON_GetObjectItem(root, "nodes");
    CU_ASSERT_EQUAL(cJSON_GetArraySize(nodes), 1);
    char *text = ids_of(cJSON_GetObjectItem(cJSON_GetArrayItem(nodes, 0), "ids"));
    cJSON_Delete(root);
    return text;
}

static char *text_ids(const char *text) {
    cJSON *root =
        json_of((const char *const[]){"tokenize", text, "--model", "tiny.gguf", "--ids", "--special", "--quiet", NULL});
    char *ids = ids_of(root);
    cJSON_Delete(root);
    return ids;
}

static void write_requests(void) {
    program_tiny();
    program_write("documents.txt", "Rain fell in Bern.\n\nThe sun shone.\n");
    program_write("documents.json", "[\"Rain fell in Bern.\", \"The sun shone.\"]");
    program_write("question.json",
                  "{\"question\": \"Where?\", \"documents\": [\"Rain fell in Bern.\", \"The sun shone.\"]}");
    program_write("messages.json", "{\"messages\": [{\"role\": \"user\", \"content\": \"Where?\"}]}");
}

#define PLAN(...) ((const char *const[]){"plan", "--model", "tiny.gguf", "--json", "--quiet", __VA_ARGS__, NULL})

static void same_plan(const char *const *a, const char *const *b, bool same) {
    cJSON *x = json_of(a), *y = json_of(b);
    const char *left = cJSON_GetStringValue(cJSON_GetObjectItem(x, "hash"));
    const char *right = cJSON_GetStringValue(cJSON_GetObjectItem(y, "hash"));
    CU_ASSERT_FATAL(left && right);
    CU_ASSERT_EQUAL(strcmp(left, right) == 0, same);
    cJSON_Delete(x);
    cJSON_Delete(y);
}

/* A question and its documents are one prompt, whichever way they are given. */
static void test_question(void) {
    write_requests();
    for (int i = 0; i < 2; i++) {
        const char *mode = i ? "block" : "full";
        same_plan(PLAN("--question", "Where?", "--documents", "documents.txt", "--mode", mode),
                  PLAN("--request", "question.json", "--mode", mode), true);
    }
    same_plan(PLAN("--question", "Where?", "--documents", "documents.json"), PLAN("--request", "question.json"), true);
    same_plan(PLAN("--question", "When?", "--documents", "documents.txt"), PLAN("--request", "question.json"), false);
    program_write("empty.txt", "\n\n");
    const program_refusal rows[] = {
        {2, "--question goes with --documents", {"plan", "--model", "tiny.gguf", "--question", "Where?"}},
        {2, "--documents goes with --question", {"plan", "--model", "tiny.gguf", "--documents", "documents.txt"}},
        {2,
         "--request and --question exclude each other",
         {"plan", "--model", "tiny.gguf", "--question", "Where?", "--documents", "documents.txt", "--request", "a"}},
        {2, "none.txt: No such file", {"plan", "--model", "tiny.gguf", "--question", "a", "--documents", "none.txt"}},
        {2, "empty.txt", {"plan", "--model", "tiny.gguf", "--question", "a", "--documents", "empty.txt"}},
    };
    EXPECT_REFUSALS(rows);
}

/* --chat: the model's template, a family's, or none; the ids are those of the text that each stands for. */
static void test_chat(void) {
    static const struct {
        const char *chat, *text;
    } rows[] = {{"auto", "<|im_start|>user\nWhere?<|im_end|>\n<|im_start|>assistant\n"},
                {"chatml", "<|im_start|>user\nWhere?<|im_end|>\n<|im_start|>assistant\n"},
                {"zephyr", "<|user|>\nWhere?</s>\n<|assistant|>\n"},
                {"none", "Where?\n"}};
    write_requests();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *got = plan_ids(PLAN("--request", "messages.json", "--chat", rows[i].chat)),
             *want = text_ids(rows[i].text);
        if (strcmp(got, want) != 0) {
            printf("         --chat %s: %s, not %s\n", rows[i].chat, got, want);
            CU_FAIL("other ids were expected");
        }
        free(got);
        free(want);
    }
    const program_refusal bad[] = {
        {2,
         "--chat llama3: unknown; there is auto, none, chatml",
         {"plan", "--model", "tiny.gguf", "--chat", "llama3", "--request", "messages.json"}},
    };
    EXPECT_REFUSALS(bad);
}

/* --chat-template: a file in the place of the model's template. */
static void test_chat_template(void) {
    write_requests();
    program_write("own.jinja", "{% for m in messages %}[{{ m['role'] }}] {{ m['content'] }}!{% endfor %}"
                               "{% if add_generation_prompt %}[assistant] {% endif %}");
    program_write("broken.jinja", "{% for m in %}");
    program_write("silent.jinja", "Good day.");
    char *got = plan_ids(PLAN("--request", "messages.json", "--chat-template", "own.jinja"));
    char *want = text_ids("[user] Where?![assistant] ");
    CU_ASSERT_STRING_EQUAL(got, want);
    free(got);
    free(want);
    const program_refusal bad[] = {
        {2,
         "none.jinja: No such file",
         {"plan", "--model", "tiny.gguf", "--request", "messages.json", "--chat-template", "none.jinja"}},
        {2,
         "broken.jinja: this template is not understood",
         {"plan", "--model", "tiny.gguf", "--request", "messages.json", "--chat-template", "broken.jinja"}},
        {2,
         "silent.jinja: this template is not understood",
         {"plan", "--model", "tiny.gguf", "--request", "messages.json", "--chat-template", "silent.jinja"}},
    };
    EXPECT_REFUSALS(bad);
}

/* --fields: every row names a file and a field once, and has one of three verdicts; those that are refused say why. */
static void test_fields(void) {
    static const char *const files[] = {"config.json", "adapter_config.json", "tokenizer.json"};
    static const char *const some[][3] = {{"config.json", "rope_theta", "honoured"},
                                          {"config.json", "torch_dtype", "harmless"},
                                          {"adapter_config.json", "alora_invocation_tokens", "refused"},
                                          {"tokenizer.json", "model.dropout", "refused"},
                                          {"tokenizer.json", "normalizer.Replace.content", "honoured"}};
    cJSON *root = json_of((const char *const[]){"info", "--fields", "--json", NULL});
    size_t n = 0, of_file[3] = {0}, found = 0;
    const cJSON *row, *other;
    cJSON_ArrayForEach(row, root) {
        const char *file = cJSON_GetStringValue(cJSON_GetObjectItem(row, "file"));
        const char *field = cJSON_GetStringValue(cJSON_GetObjectItem(row, "field"));
        const char *verdict = cJSON_GetStringValue(cJSON_GetObjectItem(row, "verdict"));
        const char *why = cJSON_GetStringValue(cJSON_GetObjectItem(row, "why"));
        CU_ASSERT_FATAL(file && field && verdict && why);
        bool refused = strcmp(verdict, "refused") == 0;
        CU_ASSERT(refused || strcmp(verdict, "honoured") == 0 || strcmp(verdict, "harmless") == 0);
        CU_ASSERT(!refused || *why);
        for (size_t i = 0; i < 3; i++) {
            of_file[i] += strncmp(file, files[i], strlen(files[i])) == 0; /* "config.json rope_parameters" */
        }
        for (size_t i = 0; i < sizeof some / sizeof *some; i++) {
            found += !strcmp(file, some[i][0]) && !strcmp(field, some[i][1]) && !strcmp(verdict, some[i][2]);
        }
        for (other = row->next; other;
             other = other->next) { /* twice only with other verdicts: of other architectures */
            CU_ASSERT_FALSE(strcmp(file, cJSON_GetStringValue(cJSON_GetObjectItem(other, "file"))) == 0 &&
                            strcmp(field, cJSON_GetStringValue(cJSON_GetObjectItem(other, "field"))) == 0 &&
                            strcmp(verdict, cJSON_GetStringValue(cJSON_GetObjectItem(other, "verdict"))) == 0);
        }
        n++;
    }
    cJSON_Delete(root);
    CU_ASSERT_EQUAL(of_file[0] + of_file[1] + of_file[2], n);
    CU_ASSERT(of_file[0] > 100 && of_file[1] > 20 && of_file[2] > 40);
    CU_ASSERT_EQUAL(found, sizeof some / sizeof *some);
    program_end o = program_run((const char *const[]){"info", "--fields", NULL});
    size_t lines = 0;
    for (const char *at = o.out; (at = strchr(at, '\n')); at++) {
        lines++;
    }
    CU_ASSERT_EQUAL(o.status, 0);
    CU_ASSERT_EQUAL(lines, n);
    program_free(&o);
}

int ba_suite_cli_ask(void) {
    CU_pSuite suite = CU_add_suite("cli ask", NULL, NULL);
    return !suite ||
           !CU_add_test(suite, "a question over documents is one prompt however it is given", test_question) ||
           !CU_add_test(suite, "--chat words a conversation as it says", test_chat) ||
           !CU_add_test(suite, "--chat-template takes the place of the model's", test_chat_template) ||
           !CU_add_test(suite, "--fields lists each field once, with a verdict", test_fields);
}

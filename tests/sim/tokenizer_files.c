/* tokenizer.json files as models publish them and as a generator makes them, against ids of the Python library
 * (tests/golden/tokenizer/files.jsonl, written by tests/differential/tokenizer_files.py), and that work grows with the text. */
#include "tests/support/runner.h"

#include "experiments/cli/cli.h"
#include "sim/base/json_read.h"
#include "sim/recipe/read.h"
#include "sim/text/normal_form.h"
#include "sim/vocab/parts.h"
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ---- golden files ----------------------------------------------------------------------------------------------- */

enum { VOCABULARIES = 8 };

typedef struct files {
    char *text, *line; /* the golden file, and what is left of it */
    cJSON *vocabulary[VOCABULARIES];
    size_t n_vocabularies;
    char folder[512];
} files;

static cJSON *next_line(files *f) {
    char *end = strchr(f->line, '\n');
    if (!end) {
        return NULL;
    }
    *end = '\0';
    cJSON *json = cJSON_Parse(f->line);
    f->line = end + 1;
    return json;
}

static void open_files(files *f) {
    char path[4096], err[BA_ERR_LEN];
    size_t n;
    *f = (files){0};
    ba_test_golden("tokenizer/files.jsonl", path, sizeof path);
    CU_ASSERT_EQUAL_FATAL(ba_read_file(path, 1 << 24, &f->text, &n, err), 0);
    f->line = f->text;
    snprintf(f->folder, sizeof f->folder, "%s/tokenizer-files", ba_test_dir());
    mkdir(f->folder, 0700);
}

static void close_files(files *f) {
    for (size_t i = 0; i < f->n_vocabularies; i++) {
        cJSON_Delete(f->vocabulary[i]);
    }
    free(f->text);
}

static void write_file(const files *f, const char *name, const cJSON *json) {
    char path[600];
    char *text = cJSON_PrintUnformatted(json);
    snprintf(path, sizeof path, "%s/%s", f->folder, name);
    FILE *out = fopen(path, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(out);
    fputs(text, out);
    fclose(out);
    free(text);
}

static void write_config(const files *f, double vocab_size) {
    cJSON *c = cJSON_Parse("{\"model_type\":\"llama\",\"hidden_size\":16,\"intermediate_size\":32,\"head_dim\":8,"
                           "\"num_hidden_layers\":1,\"num_attention_heads\":2,\"num_key_value_heads\":2,"
                           "\"rms_norm_eps\":1e-5,\"max_position_embeddings\":64,\"rope_theta\":10000.0}");
    cJSON_AddNumberToObject(c, "vocab_size", vocab_size);
    write_file(f, "config.json", c);
    cJSON_Delete(c);
}

static bool is_left_out(const cJSON *without, int i) {
    const cJSON *each;
    cJSON_ArrayForEach(each, without) {
        if (each->valueint == i) {
            return true;
        }
    }
    return false;
}

/* Puts the vocabulary that the file names in its place; returns how many ids there are. */
static double fill_in(const files *f, cJSON *file, const cJSON *without) {
    cJSON *model = cJSON_GetObjectItem(file, "model"), *vocab = cJSON_CreateObject();
    const cJSON *from = NULL, *each;
    double n = 0;
    int i = 0;
    for (size_t k = 0; k < f->n_vocabularies; k++) {
        const char *name = cJSON_GetStringValue(cJSON_GetObjectItem(f->vocabulary[k], "vocabulary"));
        from = strcmp(name, cJSON_GetStringValue(cJSON_GetObjectItem(model, "vocab"))) == 0 ? f->vocabulary[k] : from;
    }
    CU_ASSERT_PTR_NOT_NULL_FATAL(from);
    cJSON_ArrayForEach(each, cJSON_GetObjectItem(from, "tokens")) {
        if (!is_left_out(without, i++)) {
            cJSON_AddNumberToObject(vocab, each->valuestring, n++);
        }
    }
    cJSON_ReplaceItemInObject(model, "vocab", vocab);
    cJSON_ReplaceItemInObject(model, "merges", cJSON_Duplicate(cJSON_GetObjectItem(from, "merges"), true));
    cJSON_ArrayForEach(each, cJSON_GetObjectItem(file, "added_tokens")) {
        double id = cJSON_GetNumberValue(cJSON_GetObjectItem(each, "id"));
        n = id >= n ? id + 1 : n;
    }
    return n;
}

static bool same_ids(const ba_tokenizer *tok, const cJSON *text) {
    const char *line = cJSON_GetStringValue(cJSON_GetArrayItem(text, 1));
    const cJSON *want = cJSON_GetArrayItem(text, 2), *each;
    char err[BA_ERR_LEN];
    int32_t *ids;
    size_t n, i = 0;
    CU_ASSERT_EQUAL_FATAL(
        ba_tokenize(tok, line, strlen(line), cJSON_IsTrue(cJSON_GetArrayItem(text, 0)), &ids, &n, err), 0);
    bool same = n == (size_t)cJSON_GetArraySize(want);
    cJSON_ArrayForEach(each, want) {
        same = same && ids[i++] == each->valueint;
    }
    free(ids);
    return same;
}

/* A file that the program refuses must have a step that it does not have. */
static void check_refusal(const char *name, const char *err) {
    bool fine = strstr(err, "is not supported") || strstr(err, "once normalised") || strstr(err, "'prepend' is empty");
    if (!fine) {
        printf("         %s: %s\n", name, err);
    }
    CU_ASSERT_TRUE(fine);
}

/* 1: equal; 0: refused; counts as failed if any ids differ. */
static int check_file(const files *f, const cJSON *line) {
    const char *name = cJSON_GetStringValue(cJSON_GetObjectItem(line, "name"));
    const ba_common common = {.model = f->folder};
    const cJSON *text;
    char err[BA_ERR_LEN];
    ba_model *model;
    ba_tokenizer *tok;
    bool same = true;
    if (ba_vocabulary_open(&common, false, &model, &tok, err) != 0) {
        check_refusal(name, err);
        ba_model_close(model);
        return 0;
    }
    cJSON_ArrayForEach(text, cJSON_GetObjectItem(line, "texts")) {
        same = same_ids(tok, text) && same;
    }
    if (!same) {
        printf("         %s: ids differ\n", name);
    }
    CU_ASSERT_TRUE(same);
    ba_tokenizer_free(tok);
    ba_model_close(model);
    return 1;
}

static void test_files(void) {
    files f;
    size_t equal = 0, refused = 0;
    open_files(&f);
    for (cJSON *line; (line = next_line(&f));) {
        if (cJSON_GetObjectItem(line, "vocabulary")) {
            CU_ASSERT_FATAL(f.n_vocabularies < VOCABULARIES);
            f.vocabulary[f.n_vocabularies++] = line;
            continue;
        }
        cJSON *file = cJSON_GetObjectItem(line, "file");
        write_config(&f, fill_in(&f, file, cJSON_GetObjectItem(line, "without")));
        write_file(&f, "tokenizer.json", file);
        *(check_file(&f, line) ? &equal : &refused) += 1;
        cJSON_Delete(line);
    }
    printf("         %zu files equal, %zu refused\n", equal, refused);
    CU_ASSERT_TRUE(equal >= 60);
    CU_ASSERT_TRUE(refused <= equal / 5);
    close_files(&f);
}

/* ---- refusals --------------------------------------------------------------------------------------------------- */

#define MODEL "\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"ab\":2},\"merges\":[\"a b\"]"

/* A field that is not known, or that would be ignored, is refused by its name. */
static void test_refused(void) {
    static const struct {
        const char *text, *want;
    } rows[] = {
        {"{" MODEL ",\"dropout\":0.1}}", "'model.dropout' is not supported"},
        {"{" MODEL ",\"max_input_chars\":7}}", "the field 'model.max_input_chars' is not known"},
        {"{" MODEL ",\"unk_token\":\"?\"}}", "'model.unk_token' is '?', which is not in 'model.vocab'"},
        {"{" MODEL "},\"truncation\":{\"max_length\":4}}", "'truncation' is not supported"},
        {"{" MODEL "},\"padding\":{}}", "'padding' is not supported"},
        {"{" MODEL "},\"tail\":1}", "the field 'tail' is not known"},
        {"{" MODEL "},\"version\":\"2.0\"}", "'version' is not \"1.0\""},
        {"{" MODEL "},\"normalizer\":{\"type\":\"Precompiled\"}}", "normalizer: a step of type 'Precompiled'"},
        {"{" MODEL "},\"normalizer\":{\"type\":\"NFC\",\"only\":1}}", "normalizer NFC: 'only' is not known"},
        {"{" MODEL "},\"normalizer\":{\"type\":\"Strip\",\"strip_left\":1}}", "'strip_left' must be true or false"},
        {"{" MODEL "},\"pre_tokenizer\":{\"type\":\"Magic\"}}", "pre_tokenizer: a step of type 'Magic'"},
        {"{" MODEL "},\"pre_tokenizer\":{\"type\":\"FixedLength\",\"length\":0}}", "a whole number above 0"},
        {"{" MODEL "},\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"__\"}}", "must be one character"},
        {"{" MODEL "},\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"_\",\"add_prefix_space\":false}}",
         "'prepend_scheme' says otherwise"},
        {"{" MODEL "},\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"(\"},\"behavior\":\"Isolated\","
         "\"invert\":false}}",
         "is not a regular expression"},
        {"{" MODEL "},\"normalizer\":{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"a*\"},\"content\":\"b\"}}",
         "normalizer Replace: its pattern matches the empty text"},
        {"{" MODEL "},\"normalizer\":{\"type\":\"Replace\",\"pattern\":{\"String\":\"\"},\"content\":\"b\"}}",
         "normalizer Replace: its pattern matches the empty text"},
        {"{" MODEL "},\"decoder\":{\"type\":\"CTC\"}}", "decoder: a step of type 'CTC'"},
        {"{" MODEL "},\"added_tokens\":[{\"id\":5,\"content\":\"<s>\",\"special\":true}]}",
         "the id of token '<s>' is 5 in the file, but 3 to the library"},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1},\"merges\":[\"a b\"]}}", "merge 0 of its tokenizer"},
        {"{\"model\":{\"type\":\"WordPiece\",\"vocab\":{\"a\":0}}}", "not BPE but 'WordPiece'"},
    };
    files f = {0};
    snprintf(f.folder, sizeof f.folder, "%s/tokenizer-refused", ba_test_dir());
    mkdir(f.folder, 0700);
    write_config(&f, 4);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const ba_common common = {.model = f.folder};
        char err[BA_ERR_LEN] = "";
        ba_model *model;
        ba_tokenizer *tok;
        cJSON *json = cJSON_Parse(rows[i].text);
        CU_ASSERT_PTR_NOT_NULL_FATAL(json);
        write_file(&f, "tokenizer.json", json);
        cJSON_Delete(json);
        CU_ASSERT_EQUAL(ba_vocabulary_open(&common, false, &model, &tok, err), -1);
        if (!strstr(err, rows[i].want)) {
            printf("         said \"%s\", not \"%s\"\n", err, rows[i].want);
            CU_FAIL("another line was expected");
        }
        ba_model_close(model);
    }
}

/* ---- growth ----------------------------------------------------------------------------------------------------- */

static void open_file(const files *f, const char *text, ba_model **model, ba_tokenizer **tok) {
    const ba_common common = {.model = f->folder};
    char err[BA_ERR_LEN];
    cJSON *json = cJSON_Parse(text);
    CU_ASSERT_PTR_NOT_NULL_FATAL(json);
    write_file(f, "tokenizer.json", json);
    cJSON_Delete(json);
    if (ba_vocabulary_open(&common, false, model, tok, err) != 0) {
        printf("         %s\n", err);
        CU_FAIL_FATAL("the file is read");
    }
}

/* Opens a folder whose tokenizer.json has the model above and these members. */
static void open_members(const files *f, const char *members, ba_model **model, ba_tokenizer **tok) {
    char *text;
    CU_ASSERT_FATAL(asprintf(&text, "{" MODEL "},%s}", members) > 0);
    open_file(f, text, model, tok);
    free(text);
}

/* `times` steps that each make the text longer. */
static char *sequence_of(const char *member, const char *list, const char *step, size_t times) {
    char *text = malloc(128 + (strlen(step) + 1) * times), *at = text;
    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    at += sprintf(at, "\"%s\":{\"type\":\"Sequence\",\"%s\":[", member, list);
    for (size_t i = 0; i < times; i++) {
        at = stpcpy(stpcpy(at, i ? "," : ""), step);
    }
    stpcpy(at, "]}");
    return text;
}

#define DOUBLE "{\"type\":\"Replace\",\"pattern\":{\"String\":\"a\"},\"content\":\"aa\"}"
#define AFTER  "{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"(?<=[ab])\"},\"content\":\"b\"}"
#define BEFORE "{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"(?=a)\"},\"content\":\"b\"}"
#define BYTES  "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":false}"

/* Steps that multiply a text end with a line that names the one over the limit, before the memory is used. */
static void test_growth(void) {
    static const struct {
        const char *member, *list, *step, *unit;
        size_t times;
        const char *want; /* NULL: tokenised */
    } rows[] = {
        {"normalizer", "normalizers", DOUBLE, "a", 6, NULL},
        {"normalizer", "normalizers", DOUBLE, "a", 40, "step 8 of 'normalizer' (Replace) makes the text too long"},
        {"normalizer", "normalizers", AFTER, "a", 40, "step 8 of 'normalizer' (Replace) makes the text too long"},
        {"normalizer", "normalizers", BEFORE, "a", 1,
         "step 1 of 'normalizer' (Replace): its pattern matches the empty"},
        {"normalizer", "normalizers", BEFORE, "b", 1, NULL},
        {"pre_tokenizer", "pretokenizers", BYTES, "é", 40, "'pre_tokenizer' (ByteLevel) makes the text too long"},
    };
    enum { LENGTH = 1000 };
    files f = {0};
    snprintf(f.folder, sizeof f.folder, "%s/tokenizer-growth", ba_test_dir());
    mkdir(f.folder, 0700);
    write_config(&f, 4);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[2 * LENGTH + 1] = "", err[BA_ERR_LEN] = "", *end = text;
        char *members = sequence_of(rows[i].member, rows[i].list, rows[i].step, rows[i].times);
        ba_model *model;
        ba_tokenizer *tok;
        int32_t *ids = NULL;
        size_t n;
        open_members(&f, members, &model, &tok);
        for (size_t k = 0; k < LENGTH; k++) {
            end = stpcpy(end, rows[i].unit);
        }
        int rc = ba_tokenize(tok, text, strlen(text), false, &ids, &n, err);
        CU_ASSERT_EQUAL(rc, rows[i].want ? -1 : 0);
        if (rows[i].want && !strstr(err, rows[i].want)) {
            printf("         said \"%s\", not \"%s\"\n", err, rows[i].want);
            CU_FAIL("another line was expected");
        }
        CU_ASSERT_TRUE(rc != 0 || n == LENGTH * (rows[i].times == 6 ? 64 : 1));
        free(ids);
        free(members);
        ba_tokenizer_free(tok);
        ba_model_close(model);
    }
}

/* Many short texts between tokens may not grow more than one long text. */
static void test_growth_of_pieces(void) {
    enum { LONG = 5000, TIMES = 200 };
    files f = {0};
    ba_model *model;
    ba_tokenizer *tok;
    int32_t *ids = NULL;
    size_t n;
    char *members, text[4 * TIMES + 1] = "", err[BA_ERR_LEN] = "", prefix[LONG + 1], *end = text;
    snprintf(f.folder, sizeof f.folder, "%s/tokenizer-growth", ba_test_dir());
    mkdir(f.folder, 0700);
    write_config(&f, 4);
    memset(prefix, 'b', LONG);
    prefix[LONG] = '\0';
    CU_ASSERT_FATAL(asprintf(&members,
                             "\"added_tokens\":[{\"id\":3,\"content\":\"<s>\",\"special\":true}],"
                             "\"normalizer\":{\"type\":\"Prepend\",\"prepend\":\"%s\"}",
                             prefix) > 0);
    open_members(&f, members, &model, &tok);
    free(members);
    for (size_t i = 0; i < TIMES; i++) {
        end = stpcpy(end, "a<s>");
    }
    CU_ASSERT_EQUAL(ba_tokenize(tok, text, strlen(text), true, &ids, &n, err), -1);
    CU_ASSERT_PTR_NOT_NULL(
        strstr(err, "step 1 of 'normalizer' (Prepend) makes the text too long: the limit is 64 times"));
    free(ids);
    CU_ASSERT_EQUAL(ba_tokenize(tok, text, 4, true, &ids, &n, err), 0);
    CU_ASSERT_EQUAL(n, LONG + 2);
    free(ids);
    ba_tokenizer_free(tok);
    ba_model_close(model);
}

/* ---- the beginning of a text ------------------------------------------------------------------------------------ */

#define MARKS                                                                                                             \
    "\"model\":{\"type\":\"BPE\",\"vocab\":{\"▁\":0,\"e\":1,\"\u0301\":2,\"f\":3,\"i\":4,\"x\":5,\"é\":6},\"merges\":" \
    "[]}"

/* Metaspace with the scheme "first" marks every piece that comes from the first character, also where that was
 * decomposed and cut. Ids are those of tokenizers 0.23.3. */
static void test_first_character(void) {
    static const struct {
        const char *form, *cut, *text;
        int32_t ids[8];
        size_t n;
    } rows[] = {{"NFD", "\u0301", "é", {0, 1, 0, 2}, 4},  {"NFD", "\u0301", "ée", {0, 1, 0, 2, 1}, 5},
                {"NFKC", "i", "ﬁx", {0, 3, 0, 4, 5}, 5},  {"NFKD", "i", "ﬁx", {0, 3, 0, 4, 5}, 5},
                {"NFC", "x", "e\u0301x", {0, 6, 5}, 3},   {"NFC", "x", "xé", {0, 5, 6}, 3},
                {"NFD", "e", "e\u0301e", {0, 1, 2, 1}, 4}};
    files f = {0};
    snprintf(f.folder, sizeof f.folder, "%s/tokenizer-first", ba_test_dir());
    mkdir(f.folder, 0700);
    write_config(&f, 7);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *file, err[BA_ERR_LEN];
        ba_model *model;
        ba_tokenizer *tok;
        int32_t *ids = NULL;
        size_t n;
        CU_ASSERT_FATAL(asprintf(&file,
                                 "{" MARKS ",\"normalizer\":{\"type\":\"%s\"},\"pre_tokenizer\":{\"type\":\"Sequence\","
                                 "\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":{\"String\":\"%s\"},"
                                 "\"behavior\":\"Isolated\",\"invert\":false},{\"type\":\"Metaspace\",\"replacement\":"
                                 "\"▁\",\"prepend_scheme\":\"first\",\"split\":false}]}}",
                                 rows[i].form, rows[i].cut) > 0);
        open_file(&f, file, &model, &tok);
        free(file);
        CU_ASSERT_EQUAL_FATAL(ba_tokenize(tok, rows[i].text, strlen(rows[i].text), false, &ids, &n, err), 0);
        bool same = n == rows[i].n && memcmp(ids, rows[i].ids, n * sizeof *ids) == 0;
        if (!same) {
            printf("         %s of %s: other ids\n", rows[i].form, rows[i].text);
        }
        CU_ASSERT_TRUE(same);
        free(ids);
        ba_tokenizer_free(tok);
        ba_model_close(model);
    }
}

/* ---- the table of fields ---------------------------------------------------------------------------------------- */

/* The printed table has every step and every verdict is one of three words. */
static void test_fields(void) {
    const ba_field *row = ba_tokenizer_fields();
    size_t honoured = 0, refused = 0, harmless = 0, n = 0;
    bool precompiled = false;
    for (; row[n].file; n++) {
        honoured += strcmp(row[n].verdict, "honoured") == 0;
        refused += strcmp(row[n].verdict, "refused") == 0;
        harmless += strcmp(row[n].verdict, "harmless") == 0;
        precompiled = precompiled || strcmp(row[n].field, "normalizer.Precompiled") == 0;
    }
    CU_ASSERT_TRUE(n > 60 && precompiled);
    CU_ASSERT_EQUAL(honoured + refused + harmless, n);
    CU_ASSERT_TRUE(refused >= 3 && harmless >= 2);
}

/* ---- work ------------------------------------------------------------------------------------------------------- */

static size_t steps_for(ba_form form, const char *unit, size_t times) {
    size_t len = strlen(unit), n, steps = 0;
    char *text = malloc(len * times + 1), *out;
    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    char *end = text;
    for (size_t i = 0; i < times; i++) {
        end = stpcpy(end, unit);
    }
    CU_ASSERT_EQUAL_FATAL(ba_normal_form(form, text, len * times, &out, &n, &steps), 0);
    free(out);
    free(text);
    return steps;
}

/* Marks that must change places over the whole length of a run once took quadratic time. */
static void test_normal_form_is_linear(void) {
    static const char *const unit[] = {
        "\u0301\u0323", "\u0323\u0301", "a\u0301\u0323\u0334",           "\u1112\u1161\u11ab",
        "\u0344",       "\ufdfa",       "\u0315\u0300\u05ae\u0338\u0345"};
    for (size_t i = 0; i < sizeof unit / sizeof *unit; i++) {
        for (int form = BA_NFC; form <= BA_NFKD; form++) {
            size_t once = steps_for((ba_form)form, unit[i], 20000), twice = steps_for((ba_form)form, unit[i], 40000);
            CU_ASSERT_TRUE(once > 0 && twice <= 2 * once + once / 100);
            CU_ASSERT_TRUE(twice < 40000 * 40 * 4);
        }
    }
}

/* Slots looked at while n added tokens are read from both files, of which tokenizer_config.json repeats all. */
static size_t steps_of_added(size_t n) {
    cJSON *root = cJSON_Parse("{" MODEL "}}"), *config = cJSON_CreateObject();
    cJSON *added = cJSON_AddArrayToObject(root, "added_tokens");
    cJSON *decoder = cJSON_AddObjectToObject(config, "added_tokens_decoder");
    char err[BA_ERR_LEN] = "", content[32], id[32];
    ba_vocab v = {.bos = -1, .eos = -1, .unk = -1, .pad = -1};
    size_t steps = 0;
    for (size_t i = 0; i < n; i++) {
        cJSON *token = cJSON_CreateObject();
        snprintf(content, sizeof content, "<|%zu|>", i);
        snprintf(id, sizeof id, "%zu", i + 3);
        cJSON_AddNumberToObject(token, "id", (double)(i + 3));
        cJSON_AddStringToObject(token, "content", content);
        cJSON_AddItemToArray(added, token);
        cJSON_AddStringToObject(cJSON_AddObjectToObject(decoder, id), "content", content);
    }
    CU_ASSERT_EQUAL_FATAL(ba_vocab_alloc(&v, n + 3), 0);
    CU_ASSERT_PTR_NOT_NULL_FATAL(v.recipe = calloc(1, sizeof *v.recipe));
    const ba_vocab_reader reader = {"tokenizer.json", &v, err, &steps};
    CU_ASSERT_EQUAL(ba_vocab_read_tokens(&reader, root, config), 0);
    CU_ASSERT_EQUAL(v.recipe->n_added, n);
    CU_ASSERT(n == 0 || ba_span_is(v.token[n + 2], content));
    ba_vocab_free(&v);
    cJSON_Delete(root);
    cJSON_Delete(config);
    return steps;
}

static void test_added_tokens_are_linear(void) {
    size_t once = steps_of_added(5000), twice = steps_of_added(10000), four = steps_of_added(20000);
    CU_ASSERT_TRUE(once >= 10000); /* each is looked for and found */
    CU_ASSERT_TRUE(four < 20000 * 20);
    CU_ASSERT_TRUE(twice < 3 * once && four < 3 * twice); /* how full a table is depends on its size */
}

int ba_suite_tokenizer_files(void) {
    CU_pSuite s = CU_add_suite("tokenizer files", NULL, NULL);
    return s && CU_add_test(s, "ids are those of the Python library, or the file is refused", test_files) &&
                   CU_add_test(s, "a field that would be ignored is refused by name", test_refused) &&
                   CU_add_test(s, "steps that multiply a text are stopped at the limit, by name", test_growth) &&
                   CU_add_test(s, "the limit is for the whole input", test_growth_of_pieces) &&
                   CU_add_test(s, "pieces of the first character are the first", test_first_character) &&
                   CU_add_test(s, "every field has a verdict", test_fields) &&
                   CU_add_test(s, "added tokens are read in work in proportion", test_added_tokens_are_linear) &&
                   CU_add_test(s, "normal forms of long runs of marks take work in proportion",
                               test_normal_form_is_linear)
               ? 0
               : -1;
}

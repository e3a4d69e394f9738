/* Published formats to items: one record of each, the order of documents, and records that cannot be used. */
#include "experiments/data/convert.h"
#include "experiments/data/bm25.h"
#include "experiments/data/csv.h"
#include "experiments/data/lines.h"
#include "experiments/data/rag.h"
#include "tests/support/runner.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const ba_columns no_columns;

/* The item of a record's text, or NULL and err. */
static cJSON *item_of(const char *format, const char *record, size_t most, char err[BA_ERR_LEN]) {
    cJSON *o = cJSON_Parse(record);
    CU_ASSERT_PTR_NOT_NULL_FATAL(o);
    cJSON *item = ba_convert(ba_format_by_name(format), &no_columns, o, 7, most, err);
    cJSON_Delete(o);
    return item;
}

static const char *at(const cJSON *item, const char *list, int i, const char *field) {
    const cJSON *v = cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(item, list), i);
    v = field ? cJSON_GetObjectItemCaseSensitive(v, field) : v;
    return cJSON_IsString(v) ? v->valuestring : "";
}

static int gold(const cJSON *item, int i) {
    const cJSON *v = cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(item, "gold"), i);
    return cJSON_IsNumber(v) ? v->valueint : -1;
}

/* What comes out is what eval reads. */
static void is_an_item(cJSON *item) {
    ba_item read;
    char err[BA_ERR_LEN];
    CU_ASSERT_EQUAL_FATAL(ba_item_parse(item, &read, err), 0);
    ba_item_free(&read);
    cJSON_Delete(item);
}

static void multihop(void) {
    char err[BA_ERR_LEN];
    cJSON *item =
        item_of("hotpotqa",
                "{\"_id\": \"5a\", \"question\": \"Which river crosses Bern?\", \"answer\": \"Aare\", "
                "\"supporting_facts\": [[\"Bern\", 0]], \"context\": [[\"Bern\", [\"Bern is a city.\", \" The river "
                "Aare crosses Bern.\"]], [\"Rome\", [\"Rome is old.\", \"It has hills.\"]]]}",
                0, err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(item);
    CU_ASSERT_STRING_EQUAL(at(item, "documents", 0, "title"), "Rome"); /* fits less, so it comes first */
    CU_ASSERT_STRING_EQUAL(at(item, "documents", 0, "text"), "Rome is old. It has hills.");
    CU_ASSERT_STRING_EQUAL(at(item, "documents", 1, "text"), "Bern is a city. The river Aare crosses Bern.");
    CU_ASSERT_EQUAL(gold(item, 0), 1);
    CU_ASSERT_TRUE(cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(item, "has_answer")));
    is_an_item(item);
    item = item_of(
        "2wiki", "{\"_id\": \"x\", \"question\": \"q\", \"answer\": \"yes\", \"context\": [[\"T\", [\"s\"]]]}", 0, err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(item);
    CU_ASSERT_TRUE(cJSON_IsNull(cJSON_GetObjectItemCaseSensitive(item, "has_answer")));
    is_an_item(item);
}

static void retrieved(void) {
    char err[BA_ERR_LEN];
    /* Without scores the list is the retriever's: the best first. */
    cJSON *item =
        item_of("nq",
                "{\"question\": \"q\", \"answers\": [\"a\", \"b\"], \"ctxs\": [{\"title\": \"one\", \"text\": \"b\", "
                "\"isgold\": true}, {\"title\": \"two\", \"text\": \"x\", \"isgold\": false}, {\"title\": \"three\", "
                "\"text\": \"y\", \"isgold\": false}]}",
                2, err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(item);
    CU_ASSERT_STRING_EQUAL(at(item, "documents", 0, "title"), "two");
    CU_ASSERT_STRING_EQUAL(at(item, "documents", 1, "title"), "one");
    CU_ASSERT_EQUAL(gold(item, 0), 1);
    CU_ASSERT_STRING_EQUAL(cJSON_GetObjectItemCaseSensitive(item, "id")->valuestring, "nq-7");
    is_an_item(item);
    /* With scores, as numbers or text, they decide. */
    item = item_of(
        "triviaqa",
        "{\"question\": \"q\", \"answers\": [\"zebra\"], \"ctxs\": [{\"title\": \"low\", \"text\": \"x\", \"score\": "
        "\"1.5\"}, {\"title\": \"high\", \"text\": \"y\", \"score\": \"80.25\"}]}",
        0, err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(item);
    CU_ASSERT_STRING_EQUAL(at(item, "documents", 1, "title"), "high");
    CU_ASSERT_TRUE(cJSON_IsFalse(cJSON_GetObjectItemCaseSensitive(item, "has_answer")));
    is_an_item(item);
    item = item_of("official",
                   "{\"prompt\": \"\", \"question\": \"q\", \"answers\": [\"a\"], \"generated\": \"\", \"documents\": "
                   "[{\"title\": \"best\", \"text\": \"a\", \"score\": 0.9}, {\"title\": \"next\", \"text\": \"y\", "
                   "\"score\": 0.2}]}",
                   0, err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(item);
    CU_ASSERT_STRING_EQUAL(at(item, "documents", 1, "title"), "best");
    is_an_item(item);
}

static void musique(void) {
    char err[BA_ERR_LEN];
    cJSON *item =
        item_of("musique",
                "{\"id\": \"2hop__1\", \"question\": \"who wrote it\", \"answer\": \"Ann\", \"answer_aliases\": "
                "[\"Anna\"], \"answerable\": true, \"paragraphs\": [{\"idx\": 0, \"title\": \"T\", \"paragraph_text\": "
                "\"Ann wrote it\", \"is_supporting\": true}, {\"idx\": 1, \"title\": \"U\", \"paragraph_text\": "
                "\"nothing\", \"is_supporting\": false}]}",
                0, err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(item);
    CU_ASSERT_STRING_EQUAL(at(item, "answers", 1, NULL), "Anna");
    CU_ASSERT_EQUAL(gold(item, 0), 1);
    is_an_item(item);
}

/* The columns of Hugging Face: a sequence of objects is an object of lists there, or a list of objects. */
static void hugging_face(void) {
    char err[BA_ERR_LEN];
    static const char *const hotpotqa[] = {
        "{\"id\": \"5a\", \"question\": \"Which river crosses Bern?\", \"answer\": \"Aare\", \"type\": \"bridge\", "
        "\"level\": "
        "\"easy\", \"supporting_facts\": {\"title\": [\"Bern\"], \"sent_id\": [1]}, \"context\": {\"title\": "
        "[\"Bern\", "
        "\"Rome\"], \"sentences\": [[\"Bern is a city.\", \" The river Aare crosses Bern.\"], [\"Rome is old.\"]]}}",
        "{\"id\": \"5a\", \"question\": \"Which river crosses Bern?\", \"answer\": \"Aare\", \"supporting_facts\": "
        "[{\"title\": \"Bern\", \"sent_id\": 1}], \"context\": [{\"title\": \"Bern\", \"content\": [\"Bern is a "
        "city.\", "
        "\"The river Aare crosses Bern.\"]}, {\"title\": \"Rome\", \"content\": [\"Rome is old.\"]}]}"};
    for (size_t i = 0; i < 2; i++) {
        cJSON *item = item_of(i ? "2wiki" : "hotpotqa", hotpotqa[i], 0, err);
        CU_ASSERT_PTR_NOT_NULL_FATAL(item);
        CU_ASSERT_STRING_EQUAL(at(item, "documents", 0, "title"), "Rome");
        CU_ASSERT_STRING_EQUAL(at(item, "documents", 1, "text"), "Bern is a city. The river Aare crosses Bern.");
        CU_ASSERT_EQUAL(gold(item, 0), 1);
        is_an_item(item);
    }
    cJSON *item =
        item_of("squad",
                "{\"id\": \"s1\", \"title\": \"Bern\", \"context\": \"The Aare crosses Bern.\", \"question\": "
                "\"What crosses Bern?\", \"answers\": {\"text\": [\"The Aare\", \"Aare\", \"Aare\"], "
                "\"answer_start\": [0, 4, 4]}}",
                0, err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(item);
    CU_ASSERT_STRING_EQUAL(at(item, "documents", 0, "text"), "The Aare crosses Bern.");
    CU_ASSERT_STRING_EQUAL(at(item, "answers", 1, NULL), "Aare");
    CU_ASSERT_STRING_EQUAL(at(item, "answers", 2, NULL), ""); /* each once */
    is_an_item(item);
    CU_ASSERT_PTR_NULL(item_of("squad",
                               "{\"id\": \"s2\", \"title\": \"t\", \"context\": \"c\", \"question\": \"q\", "
                               "\"answers\": {\"text\": [], \"answer_start\": []}}",
                               0, err));
    CU_ASSERT_STRING_EQUAL(err, "no answer"); /* unanswerable, in SQuAD 2 */
}

/* Natural Questions with its whole page: top-level candidates are the passages, without their tags. */
static void natural_questions(void) {
    static const char tokens_as_columns[] = "{\"token\": [\"<p>\", \"Google\", \"was\", \"founded\", \"by\", "
                                            "\"Larry\", \"</p>\", \"<p>\", \"Bern\", \"is\", "
                                            "\"old\", \"</p>\"], \"is_html\": [true, false, false, false, false, "
                                            "false, true, true, false, false, false, true]}";
    char err[BA_ERR_LEN], record[2000];
    snprintf(
        record, sizeof record,
        "{\"id\": \"797\", \"document\": {\"title\": \"Google\", \"tokens\": %s}, \"question\": {\"text\": \"who "
        "founded google\", \"tokens\": []}, \"long_answer_candidates\": {\"start_token\": [0, 1, 7], \"end_token\": "
        "[7, 3, 12], \"top_level\": [true, false, true]}, \"annotations\": {\"id\": [\"1\", \"2\"], \"long_answer\": "
        "[{\"start_token\": 0, \"end_token\": 7}, {\"start_token\": -1, \"end_token\": -1}], \"short_answers\": "
        "[{\"start_token\": [5], \"text\": [\"Larry\"]}, {\"start_token\": [], \"text\": []}], \"yes_no_answer\": [-1, "
        "-1]}}",
        tokens_as_columns);
    cJSON *item = item_of("nq", record, 0, err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(item);
    CU_ASSERT_STRING_EQUAL(at(item, "documents", 0, "text"), "Bern is old");
    CU_ASSERT_STRING_EQUAL(at(item, "documents", 1, "text"), "Google was founded by Larry");
    CU_ASSERT_STRING_EQUAL(at(item, "documents", 2, "text"), ""); /* what is inside of another one is none */
    CU_ASSERT_STRING_EQUAL(at(item, "answers", 0, NULL), "Larry");
    CU_ASSERT_EQUAL(gold(item, 0), 1);
    is_an_item(item);
}

/* Any table: where the texts of an item come from. */
static void tables(void) {
    static const ba_columns columns = {.question = "q", .answers = "a,meta.more", .documents = "p1,p2", .titles = "t1"};
    char err[BA_ERR_LEN];
    cJSON *o =
        cJSON_Parse("{\"q\": \"Who?\", \"a\": 1889, \"meta\": {\"more\": [\"x\", \"y\"]}, \"t1\": \"T\", \"p1\": "
                    "\"one\\ntwo 1889\", \"p2\": \"[{\\\"title\\\": \\\"U\\\", \\\"text\\\": \\\"three\\\"}, "
                    "\\\"four\\\"]\", \"id\": 7}");
    cJSON *item = ba_convert(ba_format_by_name("jsonl"), &columns, o, 3, 0, err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(item);
    CU_ASSERT_STRING_EQUAL(cJSON_GetStringValue(cJSON_GetObjectItem(item, "id")), "7");
    CU_ASSERT_STRING_EQUAL(at(item, "answers", 0, NULL), "1889");
    CU_ASSERT_STRING_EQUAL(at(item, "answers", 2, NULL), "y");
    static const char *const want[][2] = {{"T", "one\ntwo 1889"}, {"U", "three"}, {"", "four"}};
    for (int i = 0; i < 3; i++) { /* the order of the table */
        CU_ASSERT_STRING_EQUAL(at(item, "documents", i, "title"), want[i][0]);
        CU_ASSERT_STRING_EQUAL(at(item, "documents", i, "text"), want[i][1]);
    }
    CU_ASSERT_PTR_NULL(cJSON_GetObjectItem(cJSON_GetArrayItem(cJSON_GetObjectItem(item, "documents"), 0), "score"));
    is_an_item(item);
    ba_columns turned = columns;
    turned.order = BA_FOUND_BEST_FIRST;
    turned.separator = "\n";
    item = ba_convert(ba_format_by_name("jsonl"), &turned, o, 3, 2, err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(item);
    CU_ASSERT_STRING_EQUAL(at(item, "documents", 0, "text"), "two 1889"); /* the best two, the best last */
    CU_ASSERT_STRING_EQUAL(at(item, "documents", 1, "text"), "one");
    is_an_item(item);
    cJSON_Delete(o);
}

static void bad_tables(void) {
    static const ba_columns columns = {.question = "q", .answers = "a", .documents = "p"};
    static const char *const bad[][2] = {
        {"{\"Q\": \"x\", \"a\": \"y\", \"p\": \"z\"}", "field \"q\" is missing; found: Q, a, p"},
        {"{\"q\": \"\", \"a\": \"y\", \"p\": \"z\"}", "holds no question"},
        {"{\"q\": \"x\", \"a\": \"\", \"p\": \"z\"}", "no answer"},
        {"{\"q\": \"x\", \"a\": \"y\", \"p\": \" \"}", "no document"},
        {"{\"q\": \"x\", \"a\": \"y\", \"p\": \"['one', 'two']\"}",
         "as JSON it is [\"a\", \"b\"]"}, /* Python's spelling */
        {"{\"q\": \"x\", \"a\": [true], \"p\": \"z\"}", "something else than texts"},
        {"{\"q\": \"x\", \"a\": \"y\", \"p\": [{\"body\": \"z\"}]}", "field \"text\" is missing; found: body"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char err[BA_ERR_LEN] = "";
        cJSON *o = cJSON_Parse(bad[i][0]);
        CU_ASSERT_PTR_NOT_NULL_FATAL(o);
        CU_ASSERT_PTR_NULL(ba_convert(ba_format_by_name("csv"), &columns, o, 1, 0, err));
        CU_ASSERT_PTR_NOT_NULL(strstr(err, bad[i][1]));
        cJSON_Delete(o);
    }
}

static void write_bytes(const char *name, const char *text, size_t n, char path[4300]) {
    snprintf(path, 4300, "%s/%s", ba_test_dir(), name);
    FILE *f = fopen(path, "wb");
    CU_ASSERT_FATAL(f && fwrite(text, 1, n, f) == n && fclose(f) == 0);
}

/* Line ends, quotation marks and commas inside of cells; and every record that is no text is named by its line. */
static void test_csv(void) {
    static const char text[] =
        "\xef\xbb\xbfq,\"a, b\"\r\n\"two\nlines, \"\"quoted\"\"\",x\r\n\r\n1,2,3\nb\xff,y\n\"ok\n\xff\",y\n"
        "n\0l,y\nlast,\"\"";
    static const struct {
        int got;
        size_t number;
        const char *says;
    } row[] = {{1, 2, "two\nlines, \"quoted\""},
               {BA_LINE_BAD, 5, "3 cells, where the header has 2"},
               {BA_LINE_BAD, 6, "column 'q', line 6: byte 2 is no text in UTF-8"},
               {BA_LINE_BAD, 7, "column 'q', line 8: byte 1 is no text in UTF-8"},
               {BA_LINE_BAD, 9, "column 'q', line 9: byte 2 is NUL"},
               {1, 10, "last"},
               {0, 0, ""}};
    char path[4300], err[BA_ERR_LEN];
    ba_csv *csv;
    write_bytes("table.csv", text, sizeof text - 1, path);
    CU_ASSERT_EQUAL_FATAL(ba_csv_open(path, ',', &csv, err), 0);
    CU_ASSERT_STRING_EQUAL(ba_csv_column(csv, 0), "q"); /* without the mark of byte order */
    CU_ASSERT_STRING_EQUAL(ba_csv_column(csv, 1), "a, b");
    CU_ASSERT_PTR_NULL(ba_csv_column(csv, 2));
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        cJSON *o = NULL;
        CU_ASSERT_EQUAL(ba_csv_next(csv, &o, err), row[i].got);
        CU_ASSERT_TRUE(!row[i].got || ba_csv_number(csv) == row[i].number);
        CU_ASSERT_TRUE(row[i].got != 1 || strcmp(cJSON_GetObjectItem(o, "q")->valuestring, row[i].says) == 0);
        CU_ASSERT_TRUE(row[i].got != BA_LINE_BAD || strstr(err, row[i].says));
        cJSON_Delete(o);
    }
    ba_csv_close(csv);
    static const char *const broken[][2] = {
        {"a,b\n1,\"x\n2,3\n", "line 2: the record that begins here has a quotation mark"},
        {"a,b\n1,2\n3,4\"5\"\n", "line 3: a quotation mark in the middle"},
        {"a,a\n1,2\n", "columns 1 and 2 have the same name 'a'"},
        {"a,b\r1,2\r", "several records in one line"},
        {"", "not even a header"}};
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        cJSON *o = NULL;
        write_bytes("broken.csv", broken[i][0], strlen(broken[i][0]), path);
        int rc = ba_csv_open(path, ',', &csv, err);
        for (int got = 1; rc == 0 && got > 0;) {
            got = ba_csv_next(csv, &o, err);
            rc = got < 0 ? 1 : rc;
            cJSON_Delete(o);
            o = NULL;
        }
        CU_ASSERT_NOT_EQUAL(rc, 0);
        CU_ASSERT_PTR_NOT_NULL(strstr(err, broken[i][1]));
        if (rc == 1) {
            ba_csv_close(csv);
        }
    }
}

/* A context with numbered passages is cut there; any other one after whole sentences, and no word is lost. */
static void longbench(void) {
    char err[BA_ERR_LEN], text[4000] = "", record[5000], joined[4000] = "";
    cJSON *item =
        item_of("longbench",
                "{\"input\": \"Which river crosses Bern?\", \"context\": \"Passage 1:\\nRome\\nRome is old. See "
                "Passage 2: below.\\n\\nPassage 2:\\nBern\\nThe Aare crosses Bern.\", \"answers\": [\"Aare\", "
                "\"the Aare\"], \"length\": 12, \"dataset\": \"hotpotqa\", \"language\": \"en\", \"all_classes\": "
                "null, \"_id\": \"3e81\"}",
                0, err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(item);
    CU_ASSERT_STRING_EQUAL(at(item, "documents", 0, "title"), "Passage 1");
    CU_ASSERT_STRING_EQUAL(at(item, "documents", 0, "text"), "Rome\nRome is old. See Passage 2: below.");
    CU_ASSERT_STRING_EQUAL(at(item, "documents", 1, "title"), "Passage 2");
    CU_ASSERT_STRING_EQUAL(at(item, "documents", 1, "text"), "Bern\nThe Aare crosses Bern.");
    CU_ASSERT_STRING_EQUAL(at(item, "answers", 1, NULL), "the Aare");
    CU_ASSERT_STRING_EQUAL(cJSON_GetStringValue(cJSON_GetObjectItem(item, "id")), "3e81");
    is_an_item(item);
    for (int i = 0; i < 60; i++) { /* sentences of 7 words: 15 of them reach 100 */
        snprintf(text + strlen(text), sizeof text - strlen(text), "%sIn year %d the mill was built.", i ? " " : "", i);
    }
    snprintf(record, sizeof record, "{\"input\": \"When?\", \"context\": \"%s\", \"answers\": [\"59\"]}", text);
    item = item_of("longbench", record, 0, err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(item);
    const cJSON *d;
    cJSON_ArrayForEach(d, cJSON_GetObjectItem(item, "documents")) {
        const char *piece = cJSON_GetStringValue(cJSON_GetObjectItem(d, "text"));
        snprintf(joined + strlen(joined), sizeof joined - strlen(joined), "%s%s", *joined ? " " : "", piece);
        CU_ASSERT(strncmp(piece, "In year", 7) == 0 && piece[strlen(piece) - 1] == '.');
    }
    CU_ASSERT_STRING_EQUAL(joined, text);
    CU_ASSERT_EQUAL(cJSON_GetArraySize(cJSON_GetObjectItem(item, "documents")), 4);
    is_an_item(item);
    CU_ASSERT_PTR_NULL(item_of("longbench", "{\"input\": \"\", \"context\": \"c\", \"answers\": [\"s\"]}", 0, err));
    CU_ASSERT_PTR_NOT_NULL(strstr(err, "this task asks no question"));
}

/* Needles: the last line asks, and all values are asked for. Questions over documents: the instruction is repeated, and
 * the answers are alternatives. */
static void ruler(void) {
    char err[BA_ERR_LEN];
    cJSON *item =
        item_of("ruler",
                "{\"index\": 4, \"input\": \"Some numbers are hidden in this text.\\nGrass grows. One number of red "
                "is: 17. The sky turns.\\nOne number of red is: 23.\\nWhich are the numbers of red?\", "
                "\"outputs\": [\"17\", \"23\"], \"length\": 40, \"answer_prefix\": \" They are\"}",
                0, err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(item);
    CU_ASSERT_STRING_EQUAL(cJSON_GetStringValue(cJSON_GetObjectItem(item, "question")),
                           "Which are the numbers of red?");
    CU_ASSERT_STRING_EQUAL(
        at(item, "documents", 0, "text"),
        "Some numbers are hidden in this text.\nGrass grows. One number of red is: 17. The sky turns.\n"
        "One number of red is: 23.");
    CU_ASSERT_STRING_EQUAL(cJSON_GetStringValue(cJSON_GetObjectItem(item, "id")), "4");
    CU_ASSERT_TRUE(cJSON_IsTrue(cJSON_GetObjectItem(item, "all")));
    is_an_item(item);
    item =
        item_of("ruler",
                "{\"index\": 0, \"input\": \"Answer the question from the documents.\\n\\nHere they are.\\n\\nDocument "
                "1:\\nRome is old.\\n\\nDocument 2:\\nThe Aare crosses Bern.\\n\\nAnswer the question from the "
                "documents.\\n\\nQuestion: What crosses Bern?\\n\", \"outputs\": [\"Aare\", \"the Aare\"]}",
                0, err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(item);
    CU_ASSERT_STRING_EQUAL(cJSON_GetStringValue(cJSON_GetObjectItem(item, "question")),
                           "Answer the question from the documents.\n\nQuestion: What crosses Bern?");
    CU_ASSERT_STRING_EQUAL(at(item, "documents", 0, "text"),
                           "Answer the question from the documents.\n\nHere they are.");
    CU_ASSERT_STRING_EQUAL(at(item, "documents", 2, "title"), "Document 2");
    CU_ASSERT_STRING_EQUAL(at(item, "documents", 2, "text"), "The Aare crosses Bern.");
    CU_ASSERT_PTR_NULL(cJSON_GetObjectItem(item, "all"));
    is_an_item(item);
    CU_ASSERT_PTR_NULL(item_of("ruler", "{\"input\": \"only a question\", \"outputs\": [\"x\"]}", 0, err));
    CU_ASSERT_PTR_NOT_NULL(strstr(err, "no text in front of its last line"));
    CU_ASSERT_PTR_NULL(item_of("ruler", "{\"input\": \"a\\nb\", \"outputs\": []}", 0, err));
}

/* Every question of a conversation is an item; sessions are documents in the order of time. */
static void locomo(void) {
    static const char record[] =
        "{\"sample_id\": \"conv-1\", \"conversation\": {\"speaker_a\": \"Ann\", \"speaker_b\": \"Bob\", "
        "\"session_1_date_time\": \"3 May 2023\", \"session_1\": [{\"speaker\": \"Ann\", \"dia_id\": \"D1:1\", "
        "\"text\": "
        "\"I moved to Bern in 2021.\"}, {\"speaker\": \"Bob\", \"dia_id\": \"D1:2\", \"text\": \"Look!\", \"img_url\": "
        "[\"x\"], \"blip_caption\": \"a red boat\"}], \"session_2_date_time\": \"4 May 2023\", \"session_2\": [], "
        "\"session_3_date_time\": \"9 May 2023\", \"session_3\": [{\"speaker\": \"Bob\", \"dia_id\": \"D3:1\", "
        "\"text\": "
        "\"I sold it.\"}]}, \"qa\": [{\"question\": \"When did Ann move?\", \"answer\": 2021, \"evidence\": "
        "[\"D1:1\"], "
        "\"category\": 2}, {\"question\": \"What did Bob sell?\", \"answer\": \"a boat\", \"evidence\": [\"D1:2; "
        "D3:1\"], "
        "\"category\": 1}, {\"question\": \"What did Ann sell?\", \"adversarial_answer\": \"a boat\", \"evidence\": "
        "[], "
        "\"category\": 5}]}";
    char err[BA_ERR_LEN];
    const ba_format_row *format = ba_format_by_name("locomo");
    cJSON *o = cJSON_Parse(record);
    CU_ASSERT_EQUAL_FATAL(ba_convert_parts(format, o), 3);
    CU_ASSERT_EQUAL(ba_convert_parts(ba_format_by_name("nq"), o), 1);
    cJSON *item = ba_convert_part(format, &no_columns, o, 1, 0, 0, err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(item);
    CU_ASSERT_STRING_EQUAL(cJSON_GetStringValue(cJSON_GetObjectItem(item, "id")), "conv-1-1");
    CU_ASSERT_STRING_EQUAL(at(item, "answers", 0, NULL), "2021");
    CU_ASSERT_STRING_EQUAL(at(item, "documents", 0, "title"), "3 May 2023");
    CU_ASSERT_STRING_EQUAL(at(item, "documents", 0, "text"),
                           "Ann: I moved to Bern in 2021.\nBob: Look! [picture: a red boat]");
    CU_ASSERT_STRING_EQUAL(at(item, "documents", 1, "title"), "9 May 2023");
    CU_ASSERT(gold(item, 0) == 0 && gold(item, 1) == -1);
    is_an_item(item);
    item = ba_convert_part(format, &no_columns, o, 1, 1, 0, err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(item);
    CU_ASSERT(gold(item, 0) == 0 && gold(item, 1) == 1);
    is_an_item(item);
    CU_ASSERT_PTR_NULL(ba_convert_part(format, &no_columns, o, 1, 2, 0, err));
    CU_ASSERT_STRING_EQUAL(err, "question 3 has no answer (adversarial)");
    cJSON_Delete(o);
    CU_ASSERT_PTR_NULL(item_of("locomo", "{\"qa\": [{\"question\": \"q\", \"answer\": \"a\"}]}", 0, err));
    CU_ASSERT_PTR_NOT_NULL(strstr(err, "\"conversation\""));
    CU_ASSERT_PTR_NULL(
        item_of("locomo", "{\"qa\": [{\"question\": \"q\", \"answer\": \"a\"}], \"conversation\": {}}", 0, err));
    CU_ASSERT_PTR_NOT_NULL(strstr(err, "no session_1"));
}

static void refused(void) {
    static const char *const bad[][3] = {
        {"hotpotqa", "{\"_id\": \"x\", \"question\": \"q\", \"answer\": \"a\", \"context\": []}", "field \"context\""},
        {"hotpotqa", "{\"_id\": \"x\", \"question\": \"q\", \"answer\": \"a\", \"context\": [[1, []]]}",
         "field \"context\""},
        {"hotpotqa", "{\"question\": \"q\", \"answer\": \"a\", \"context\": [[\"t\", [\"s\"]]]}", "field \"_id\""},
        {"nq", "{\"question\": \"q\", \"answers\": [], \"ctxs\": [{\"title\": \"t\", \"text\": \"x\"}]}", "no answer"},
        {"nq", "{\"question\": \"q\", \"answers\": [1], \"ctxs\": [{\"title\": \"t\", \"text\": \"x\"}]}",
         "field \"answers\""},
        {"nq", "{\"question\": \"q\", \"answers\": [\"a\"], \"ctxs\": [{\"title\": \"t\"}]}", "field \"text\""},
        {"musique",
         "{\"id\": \"i\", \"question\": \"q\", \"answer\": \"a\", \"answerable\": false, \"paragraphs\": [{\"title\": "
         "\"t\", \"paragraph_text\": \"x\"}]}",
         "no answer"},
        {"official", "[]", "not a JSON object"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char err[BA_ERR_LEN] = "";
        CU_ASSERT_PTR_NULL(item_of(bad[i][0], bad[i][1], 0, err));
        CU_ASSERT_PTR_NOT_NULL(strstr(err, bad[i][2]));
    }
    CU_ASSERT_PTR_NULL(ba_format_by_name("squadron"));
}

/* Two passages of 3 and 5 words, mean 4. "river" occurs once in the first only: idf ln(1 + 1.5 / 1.5) = ln 2, and
 * f (k1 + 1) / (f + k1 (1 - b + b 3 / 4)) = 1.9 / (1 + 0.9 (0.6 + 0.3)). */
static void bm25_by_hand(void) {
    const char *const passage[] = {"river runs deep", "hills rise over old Rome"};
    double score[2];
    CU_ASSERT_EQUAL(ba_bm25("The river?", passage, 2, score), 0);
    CU_ASSERT_DOUBLE_EQUAL(score[0], log(2) * 1.9 / 1.81, 1e-12);
    CU_ASSERT_EQUAL(score[1], 0);
}

/* A NUL, an invalid escape and bytes that are not UTF-8 make a line bad; none of them joins or hides another line. */
static void test_lines(void) {
    static const char text[] = "{\"id\": \"a\"}\n{\"id\": \"b\0\"}\n{\"id\": \"\\u00zz\"}\n\n{\"id\": \"\xff\"}\n"
                               "{\"id\": \"\\u0000\"}\n{\"id\": \"g\"}";
    static const struct {
        int got;
        size_t number;
        const char *says;
    } row[] = {{1, 1, "a"},
               {BA_LINE_BAD, 2, "is NUL"},
               {BA_LINE_BAD, 3, "hexadecimal"},
               {BA_LINE_BAD, 5, "UTF-8"},
               {BA_LINE_BAD, 6, "\\u0000"},
               {1, 7, "g"},
               {0, 8, ""}};
    char path[4300], err[BA_ERR_LEN];
    ba_lines *lines;
    snprintf(path, sizeof path, "%s/lines.jsonl", ba_test_dir());
    FILE *f = fopen(path, "wb");
    CU_ASSERT_FATAL(f && fwrite(text, 1, sizeof text - 1, f) == sizeof text - 1 && fclose(f) == 0);
    CU_ASSERT_EQUAL_FATAL(ba_lines_open(path, &lines, err), 0);
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        cJSON *o = NULL;
        CU_ASSERT_EQUAL(ba_lines_next(lines, &o, err), row[i].got);
        CU_ASSERT_EQUAL(ba_lines_number(lines), row[i].number);
        if (row[i].got == 1) {
            CU_ASSERT_STRING_EQUAL(cJSON_GetObjectItem(o, "id")->valuestring, row[i].says);
        } else if (row[i].got == BA_LINE_BAD) {
            CU_ASSERT_PTR_NOT_NULL(strstr(err, row[i].says));
        }
        cJSON_Delete(o);
    }
    ba_lines_close(lines);
}

int ba_suite_convert(void) {
    CU_pSuite s = CU_add_suite("convert", NULL, NULL);
    return s && CU_add_test(s, "HotpotQA and 2Wiki", multihop) && CU_add_test(s, "retrievers' lists", retrieved) &&
                   CU_add_test(s, "MuSiQue", musique) &&
                   CU_add_test(s, "HotpotQA, 2Wiki and SQuAD in the columns of Hugging Face", hugging_face) &&
                   CU_add_test(s, "whole pages of Natural Questions", natural_questions) &&
                   CU_add_test(s, "any table", tables) && CU_add_test(s, "tables that are refused", bad_tables) &&
                   CU_add_test(s, "CSV: cells of several lines, and records that are no text", test_csv) &&
                   CU_add_test(s, "LongBench", longbench) && CU_add_test(s, "RULER", ruler) &&
                   CU_add_test(s, "LoCoMo", locomo) && CU_add_test(s, "records that are refused", refused) &&
                   CU_add_test(s, "BM25 by hand", bm25_by_hand) &&
                   CU_add_test(s, "no line is joined or hidden by a NUL or an invalid escape", test_lines)
               ? 0
               : -1;
}

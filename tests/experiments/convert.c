/* Published formats to items: one record of each, the order of documents, and records that cannot be used. */
#include "experiments/data/convert.h"
#include "experiments/data/bm25.h"
#include "experiments/data/lines.h"
#include "experiments/data/rag.h"
#include "tests/support/runner.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The item of a record's text, or NULL and err. */
static cJSON *item_of(const char *format, const char *record, size_t most, char err[BA_ERR_LEN]) {
    cJSON *o = cJSON_Parse(record);
    CU_ASSERT_PTR_NOT_NULL_FATAL(o);
    cJSON *item = ba_convert(ba_format_by_name(format), o, 7, most, err);
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
    CU_ASSERT_PTR_NULL(ba_format_by_name("squad"));
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
                   CU_add_test(s, "MuSiQue", musique) && CU_add_test(s, "records that are refused", refused) &&
                   CU_add_test(s, "BM25 by hand", bm25_by_hand) &&
                   CU_add_test(s, "no line is joined or hidden by a NUL or an invalid escape", test_lines)
               ? 0
               : -1;
}

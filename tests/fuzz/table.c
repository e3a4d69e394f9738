/* A table of somebody, as CSV and as JSON Lines: every record is an item, or is refused with a reason. */
#include "targets.h"

#include "experiments/data/convert.h"
#include "experiments/data/csv.h"
#include "experiments/data/lines.h"
#include "experiments/data/rag.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const ba_columns columns = {
    .question = "q", .answers = "a,b.c", .documents = "p,p2", .titles = "t", .separator = ";"};

static void *open_folder(const ba_fuzz *self, const char *folder) {
    (void)self;
    return strdup(folder);
}

/* What comes out of a record is what eval reads. */
static bool take_record(const char *format, const cJSON *record, size_t number) {
    char err[BA_ERR_LEN] = "";
    ba_item item;
    cJSON *o = ba_convert(ba_format_by_name(format), &columns, record, number, 0, err);
    if (!o) {
        return ba_fuzz_check(*err, "a record that is refused says why");
    }
    bool held = ba_fuzz_check(ba_item_parse(o, &item, err) == 0, "a converted record is an item");
    if (held) {
        ba_item_free(&item);
    }
    cJSON_Delete(o);
    return held;
}

static bool take_csv(const char *path) {
    char err[BA_ERR_LEN] = "";
    ba_csv *csv;
    if (ba_csv_open(path, ',', &csv, err) != 0) {
        return ba_fuzz_check(*err, "a CSV that is refused says why");
    }
    bool held = true;
    size_t before = ba_csv_number(csv);
    for (int got = 1; held && got > 0;) {
        cJSON *record = NULL;
        *err = '\0';
        got = ba_csv_next(csv, &record, err);
        held = got != 1 || take_record("csv", record, ba_csv_number(csv));
        held = held && ba_fuzz_check(got == 0 || got == 1 || *err, "a record that is passed over says why");
        held = held && ba_fuzz_check(got <= 0 || ba_csv_number(csv) > before, "records have ascending lines");
        before = ba_csv_number(csv);
        cJSON_Delete(record);
    }
    ba_csv_close(csv);
    return held;
}

static bool take_lines(const char *path) {
    static const char *const formats[] = {"jsonl", "hotpotqa", "squad", "nq", "musique", "official"};
    char err[BA_ERR_LEN] = "";
    ba_lines *lines;
    if (ba_lines_open(path, &lines, err) != 0) {
        return ba_fuzz_check(*err, "a file that is refused says why");
    }
    bool held = true;
    for (int got = 1; held && got > 0;) {
        cJSON *record = NULL;
        got = ba_lines_next(lines, &record, err);
        for (size_t i = 0; got == 1 && i < sizeof formats / sizeof *formats; i++) {
            held = take_record(formats[i], record, ba_lines_number(lines)) && held;
        }
        cJSON_Delete(record);
    }
    ba_lines_close(lines);
    return held;
}

static bool take(void *state, const unsigned char *data, size_t size) {
    char path[BA_FUZZ_PATH];
    if (ba_fuzz_write(state, "table", data, size) != 0) {
        return ba_fuzz_check(false, "the input can be written");
    }
    snprintf(path, sizeof path, "%s/table", (const char *)state);
    return take_csv(path) && take_lines(path);
}

static int seed(const ba_fuzz *self, const char *folder) {
    (void)self;
    static const char *const text[] = {
        "q,a,b.c,t,p,p2\r\n\"who, \"\"said\"\"\",x;y,z,T,\"one\ntwo\",\"[\"\"three\"\"]\"\r\n",
        "{\"q\": \"who\", \"a\": [\"x\", 2], \"b\": {\"c\": \"y\"}, \"t\": \"T\", \"p\": \"one;two\", \"p2\": "
        "[{\"title\": \"U\", \"text\": \"v\"}]}\n",
        "{\"id\": \"1\", \"question\": \"q\", \"answer\": \"a\", \"answers\": {\"text\": [\"a\"]}, \"title\": \"t\", "
        "\"context\": {\"title\": [\"t\"], \"sentences\": [[\"s\"]]}, \"supporting_facts\": {\"title\": [\"t\"]}}\n",
        "{\"id\": \"1\", \"document\": {\"title\": \"t\", \"tokens\": {\"token\": [\"a\", \"b\"], \"is_html\": [true, "
        "false]}}, \"question\": {\"text\": \"q\"}, \"long_answer_candidates\": {\"start_token\": [0], \"end_token\": "
        "[2], \"top_level\": [true]}, \"annotations\": {\"long_answer\": [{\"start_token\": 0}], \"short_answers\": "
        "[{\"text\": [\"b\"]}], \"yes_no_answer\": [-1]}}\n"};
    int rc = 0;
    for (size_t i = 0; i < sizeof text / sizeof *text; i++) {
        char name[32];
        snprintf(name, sizeof name, "table-%zu", i);
        rc = ba_fuzz_write(folder, name, text[i], strlen(text[i])) ? -1 : rc;
    }
    return rc;
}

const ba_fuzz ba_fuzz_table = {"table", NULL, open_folder, take, free, seed};

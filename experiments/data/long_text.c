/* Readers of sets whose context is one long text: LongBench (Bai et al. 2024) and RULER (Hsieh et al. 2024). The text is
 * cut into passages, and every word of it stays in one. */
#include "convert.h"
#include "field.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Words of a passage where the text has no passages of its own: it ends with the sentence or line that reaches LEAST. */
enum { LEAST_WORDS = 100, MOST_WORDS = 200 };

static bool is_space(char c) {
    return isspace((unsigned char)c) != 0;
}

/* text[0..n) without white space around it as a document; nothing if there is no more. */
static int add_piece(ba_record *r, const char *title, const char *text, size_t n, char err[BA_ERR_LEN]) {
    while (n && is_space(*text)) {
        text++, n--;
    }
    while (n && is_space(text[n - 1])) {
        n--;
    }
    return n ? ba_record_document(r, title, strndup(text, n), (double)NAN, -1, err) : 0;
}

/* Bytes of the first piece of a text: whole words, to the end of a sentence or a line if one comes in time. */
static size_t piece_of(const char *text, size_t n) {
    size_t words = 0, at = 0;
    while (at < n) {
        while (at < n && is_space(text[at])) {
            at++;
        }
        while (at < n && !is_space(text[at])) {
            at++;
        }
        words++;
        bool ends = at == n || text[at] == '\n' || (at && strchr(".?!", text[at - 1]));
        if ((ends && words >= LEAST_WORDS) || words >= MOST_WORDS) {
            return at;
        }
    }
    return n;
}

static int add_pieces(ba_record *r, const char *text, size_t n, char err[BA_ERR_LEN]) {
    for (size_t at = 0, step; at < n; at += step) {
        step = piece_of(text + at, n - at);
        if (add_piece(r, NULL, text + at, step, err)) {
            return -1;
        }
    }
    return 0;
}

/* The line "Passage 3:" of a text, or "Paragraph", or "Document", with that number: where it begins, and *after it. NULL:
 * there is none. */
static const char *find_mark(const char *text, const char *end, size_t number, const char **after) {
    static const char *const names[] = {"Passage", "Paragraph", "Document"};
    const char *first = NULL;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char mark[48];
        int n = snprintf(mark, sizeof mark, "%s %zu:", names[i], number);
        for (const char *s = text; s < end && (s = memmem(s, (size_t)(end - s), mark, (size_t)n)); s++) {
            if (s == text || s[-1] == '\n') {
                if (!first || s < first) {
                    first = s;
                    *after = s + n;
                }
                break;
            }
        }
    }
    return first;
}

/* A context: its own numbered passages if it has at least two, else pieces of it. */
static int add_context(ba_record *r, const char *text, size_t n, char err[BA_ERR_LEN]) {
    const char *end = text + n, *after = NULL, *next_after = NULL;
    const char *mark = find_mark(text, end, 1, &after), *next = mark ? find_mark(after, end, 2, &next_after) : NULL;
    if (!next) {
        return add_pieces(r, text, n, err);
    }
    int rc = add_piece(r, NULL, text, (size_t)(mark - text), err);
    for (size_t number = 2; mark && rc == 0; number++) {
        const char *title = ba_record_keep(r, mark, (size_t)(after - mark) - 1);
        next = find_mark(after, end, number, &next_after);
        rc = title ? add_piece(r, title, after, (size_t)((next ? next : end) - after), err)
                   : ba_fail(err, "out of memory");
        mark = next;
        after = next_after;
    }
    return rc;
}

/* {"input": question, "context", "answers": [..], "dataset", "_id", "language", "length", "all_classes"}. Tasks without a
 * question (summaries) have an empty input. */
int ba_read_longbench(const cJSON *o, const ba_columns *columns, ba_record *r, char err[BA_ERR_LEN]) {
    (void)columns;
    const char *context = ba_field_text(o, "context", err);
    const cJSON *answers = context ? ba_field_list(o, "answers", "answers", err) : NULL,
                *id = cJSON_GetObjectItemCaseSensitive(o, "_id");
    if (!answers || !(r->question = ba_field_text(o, "input", err))) {
        return -1;
    }
    if (!r->question[strspn(r->question, " \t\r\n")]) {
        return ba_fail(err, "field \"input\" is empty: this task asks no question");
    }
    r->id = cJSON_GetStringValue(id);
    r->order = BA_FOUND_AS_IS;
    return ba_record_answers(r, answers, "answers", err) || add_context(r, context, strlen(context), err) ? -1 : 0;
}

/* Where the question of a RULER prompt begins: the last line that begins with "Question:", else the last line. The
 * instruction that opens a prompt of questions over documents is repeated in front of the question, and belongs to it. */
static size_t question_at(const char *text, size_t n) {
    const char *found = NULL;
    for (const char *s = text; (s = strstr(s, "\nQuestion:")) && s < text + n; s++) {
        found = s;
    }
    size_t at = found ? (size_t)(found - text) : n;
    while (!found && at && text[at - 1] != '\n') {
        at--;
    }
    size_t first = strcspn(text, "\n"), end = at;
    while (end && is_space(text[end - 1])) {
        end--;
    }
    bool repeated = first && end > 2 * first && strncmp(text + end - first, text, first) == 0;
    return repeated ? end - first : at;
}

/* {"index", "input", "outputs": [..], "length", "answer_prefix", "token_position_answer"}. The outputs of questions over
 * documents are alternatives; those of every other task are all asked for, as RULER scores them. */
int ba_read_ruler(const cJSON *o, const ba_columns *columns, ba_record *r, char err[BA_ERR_LEN]) {
    (void)columns;
    const char *input = ba_field_text(o, "input", err);
    const cJSON *outputs = input ? ba_field_list(o, "outputs", "answers", err) : NULL,
                *index = cJSON_GetObjectItemCaseSensitive(o, "index");
    if (!outputs) {
        return -1;
    }
    size_t n = strlen(input);
    while (n && is_space(input[n - 1])) {
        n--;
    }
    size_t at = question_at(input, n), from = at;
    while (from < n && is_space(input[from])) {
        from++;
    }
    if (at == 0 || from == n) {
        return ba_fail(err, "field \"input\" holds no text in front of its last line, the question");
    }
    char id[32];
    int len = cJSON_IsNumber(index) ? snprintf(id, sizeof id, "%.0f", index->valuedouble) : 0;
    r->question = ba_record_keep(r, input + from, n - from);
    r->id = len ? ba_record_keep(r, id, (size_t)len) : NULL;
    if (!r->question || (len && !r->id)) {
        return ba_fail(err, "out of memory");
    }
    r->order = BA_FOUND_AS_IS;
    r->all = cJSON_GetArraySize(outputs) > 1 && strncmp(input, "Answer the question", 19) != 0;
    return ba_record_answers(r, outputs, "outputs", err) || add_context(r, input, at, err) ? -1 : 0;
}

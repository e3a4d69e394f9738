#include "convert.h"

#include "bm25.h"
#include "score_text.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int ba_record_answer(ba_record *r, const char *answer, char err[BA_ERR_LEN]) {
    const char **more = realloc(r->answer, (r->n_answer + 1) * sizeof *more);
    if (!more) {
        return ba_fail(err, "out of memory");
    }
    r->answer = more;
    r->answer[r->n_answer++] = answer;
    return 0;
}

int ba_record_answers(ba_record *r, const cJSON *list, const char *field, char err[BA_ERR_LEN]) {
    const cJSON *a;
    cJSON_ArrayForEach(a, list) {
        if (!cJSON_IsString(a)) {
            return ba_fail(err, "field \"%s\" holds something that is not a string", field);
        }
        if (ba_record_answer(r, a->valuestring, err)) {
            return -1;
        }
    }
    return 0;
}

int ba_record_document(ba_record *r, const char *title, char *text, double score, int gold, char err[BA_ERR_LEN]) {
    ba_found *more = text ? realloc(r->doc, (r->n_doc + 1) * sizeof *more) : NULL;
    if (!more) {
        free(text);
        return ba_fail(err, "out of memory");
    }
    r->doc = more;
    r->doc[r->n_doc++] = (ba_found){title, text, score, gold};
    return 0;
}

const char *ba_record_keep(ba_record *r, const char *text, size_t n) {
    char *copy = strndup(text, n);
    r->scratch = r->scratch ? r->scratch : cJSON_CreateArray();
    cJSON *item = copy ? cJSON_CreateString(copy) : NULL;
    free(copy);
    if (!item || !cJSON_AddItemToArray(r->scratch, item)) {
        cJSON_Delete(item);
        return NULL;
    }
    return item->valuestring;
}

/* ---- to an item ------------------------------------------------------------------------------------------------- */

/* Gives every document a score: the file's, or the place in a retriever's list, or BM25. */
static int give_scores(ba_record *r, char err[BA_ERR_LEN]) {
    bool all = true;
    for (size_t i = 0; i < r->n_doc; i++) {
        all = all && isfinite(r->doc[i].score);
    }
    if (all || r->order == BA_FOUND_AS_IS) {
        return 0;
    }
    const char **text = calloc(r->n_doc, sizeof *text);
    double *score = calloc(r->n_doc, sizeof *score);
    int rc = -1;
    if (!text || !score) {
        goto done;
    }
    for (size_t i = 0; i < r->n_doc; i++) {
        text[i] = r->doc[i].text;
    }
    if (r->order == BA_FOUND_BM25 && ba_bm25(r->question, text, r->n_doc, score) != 0) {
        goto done;
    }
    for (size_t i = 0; i < r->n_doc; i++) {
        r->doc[i].score = r->order == BA_FOUND_BEST_FIRST ? (double)(r->n_doc - i) : score[i];
    }
    rc = 0;
done:
    free(text);
    free(score);
    return rc == 0 ? 0 : ba_fail(err, "out of memory");
}

/* Ascending score; of equals the later one in the file comes first, so that the first is the most relevant. */
static void put_in_order(ba_record *r) {
    for (size_t i = 1; i < r->n_doc; i++) {
        ba_found d = r->doc[i];
        size_t at = i;
        for (; at > 0 && r->doc[at - 1].score >= d.score; at--) {
            r->doc[at] = r->doc[at - 1];
        }
        r->doc[at] = d;
    }
}

static bool holds_answer(const ba_record *r, size_t from) {
    for (size_t i = from; i < r->n_doc; i++) {
        if (ba_subspan_em(r->doc[i].text, (char *const *)r->answer, r->n_answer) > 0 ||
            (r->doc[i].title && ba_subspan_em(r->doc[i].title, (char *const *)r->answer, r->n_answer) > 0)) {
            return true;
        }
    }
    return false;
}

static cJSON *item_of(const ba_format_row *format, const ba_record *r, size_t number, size_t most) {
    char made[64];
    snprintf(made, sizeof made, "%s-%zu", format->name, number);
    size_t from = most && most < r->n_doc ? r->n_doc - most : 0;
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "id", r->id ? r->id : made);
    cJSON_AddStringToObject(o, "question", r->question);
    cJSON *answers = cJSON_AddArrayToObject(o, "answers"), *documents = cJSON_AddArrayToObject(o, "documents"),
          *gold = cJSON_AddArrayToObject(o, "gold");
    for (size_t i = 0; i < r->n_answer; i++) {
        cJSON_AddItemToArray(answers, cJSON_CreateString(r->answer[i]));
    }
    for (size_t i = from; i < r->n_doc; i++) {
        cJSON *d = cJSON_CreateObject();
        if (r->doc[i].title) {
            cJSON_AddStringToObject(d, "title", r->doc[i].title);
        }
        cJSON_AddStringToObject(d, "text", r->doc[i].text);
        if (isfinite(r->doc[i].score)) {
            cJSON_AddNumberToObject(d, "score", r->doc[i].score);
        }
        cJSON_AddItemToArray(documents, d);
        if (r->doc[i].gold == 1) {
            cJSON_AddItemToArray(gold, cJSON_CreateNumber((double)(i - from)));
        }
    }
    if (r->all) {
        cJSON_AddTrueToObject(o, "all");
    }
    if (!strcmp(r->answer[0], "yes") || !strcmp(r->answer[0], "no")) {
        cJSON_AddNullToObject(o, "has_answer");
    } else {
        cJSON_AddBoolToObject(o, "has_answer", holds_answer(r, from));
    }
    cJSON_AddStringToObject(o, "source", format->name);
    return o;
}

size_t ba_convert_parts(const ba_format_row *format, const cJSON *record) {
    size_t n = format->parts && cJSON_IsObject(record) ? format->parts(record) : 1;
    return n ? n : 1;
}

cJSON *ba_convert(const ba_format_row *format, const ba_columns *columns, const cJSON *record, size_t number,
                  size_t most, char err[BA_ERR_LEN]) {
    return ba_convert_part(format, columns, record, number, 0, most, err);
}

cJSON *ba_convert_part(const ba_format_row *format, const ba_columns *columns, const cJSON *record, size_t number,
                       size_t part, size_t most, char err[BA_ERR_LEN]) {
    ba_record r = {.part = part};
    cJSON *out = NULL;
    if (!cJSON_IsObject(record)) {
        ba_fail(err, "not a JSON object");
        return NULL;
    }
    if (format->read(record, columns, &r, err) != 0) {
        goto done;
    }
    if (!r.n_answer) {
        ba_fail(err, "no answer");
        goto done;
    }
    if (give_scores(&r, err) != 0) {
        goto done;
    }
    if (r.n_doc && isfinite(r.doc[0].score)) {
        put_in_order(&r);
    }
    out = item_of(format, &r, number, most);
done:
    for (size_t i = 0; i < r.n_doc; i++) {
        free(r.doc[i].text);
    }
    free(r.doc);
    free(r.answer);
    cJSON_Delete(r.scratch);
    return out;
}

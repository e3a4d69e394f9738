#include "convert.h"

#include "bm25.h"
#include "score_text.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- fields ----------------------------------------------------------------------------------------------------- */

/* A text; NULL and err if it is missing. The other name is tried as well, if there is one. */
static const char *text_of(const cJSON *o, const char *field, const char *other, char err[BA_ERR_LEN]) {
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, field);
    v = cJSON_IsString(v) || !other ? v : cJSON_GetObjectItemCaseSensitive(o, other);
    if (!cJSON_IsString(v)) {
        ba_fail(err, "field \"%s\" is missing or not a string", field);
        return NULL;
    }
    return v->valuestring;
}

static const cJSON *list_of(const cJSON *o, const char *field, char err[BA_ERR_LEN]) {
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, field);
    if (!cJSON_IsArray(v) || cJSON_GetArraySize(v) == 0) {
        ba_fail(err, "field \"%s\" is missing or an empty list", field);
        return NULL;
    }
    return v;
}

static int add_answer(ba_record *r, const char *answer, char err[BA_ERR_LEN]) {
    const char **more = realloc(r->answer, (r->n_answer + 1) * sizeof *more);
    if (!more) {
        return ba_fail(err, "out of memory");
    }
    r->answer = more;
    r->answer[r->n_answer++] = answer;
    return 0;
}

static int add_answers(ba_record *r, const cJSON *list, const char *field, char err[BA_ERR_LEN]) {
    const cJSON *a;
    cJSON_ArrayForEach(a, list) {
        if (!cJSON_IsString(a)) {
            return ba_fail(err, "field \"%s\" holds something that is not a string", field);
        }
        if (add_answer(r, a->valuestring, err)) {
            return -1;
        }
    }
    return 0;
}

static int add_document(ba_record *r, const char *title, char *text, double score, int gold, char err[BA_ERR_LEN]) {
    ba_found *more = text ? realloc(r->doc, (r->n_doc + 1) * sizeof *more) : NULL;
    if (!more) {
        free(text);
        return ba_fail(err, "out of memory");
    }
    r->doc = more;
    r->doc[r->n_doc++] = (ba_found){title, text, score, gold};
    return 0;
}

/* ---- formats ---------------------------------------------------------------------------------------------------- */

/* Sentences as one text: with a space between them where the file has none. */
static char *join(const cJSON *sentences) {
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    const cJSON *s;
    bool first = true;
    cJSON_ArrayForEach(s, sentences) {
        if (f && cJSON_IsString(s)) {
            fprintf(f, "%s%s", first || s->valuestring[0] == ' ' ? "" : " ", s->valuestring);
            first = false;
        }
    }
    return f && !fclose(f) ? text : NULL;
}

static bool supports(const cJSON *facts, const char *title) {
    const cJSON *fact;
    cJSON_ArrayForEach(fact, facts) {
        const cJSON *t = cJSON_GetArrayItem(fact, 0);
        if (cJSON_IsString(t) && strcmp(t->valuestring, title) == 0) {
            return true;
        }
    }
    return false;
}

/* {"_id", "question", "answer", "context": [[title, [sentence..]]..], "supporting_facts": [[title, n]..]} */
static int read_multihop(const cJSON *o, ba_record *r, char err[BA_ERR_LEN]) {
    const cJSON *context = list_of(o, "context", err), *facts = cJSON_GetObjectItemCaseSensitive(o, "supporting_facts"),
                *d;
    const char *answer = context ? text_of(o, "answer", NULL, err) : NULL;
    if (!answer || !(r->question = text_of(o, "question", NULL, err)) || !(r->id = text_of(o, "_id", "id", err)) ||
        add_answer(r, answer, err)) {
        return -1;
    }
    cJSON_ArrayForEach(d, context) {
        const cJSON *title = cJSON_GetArrayItem(d, 0), *sentences = cJSON_GetArrayItem(d, 1);
        if (!cJSON_IsString(title) || !cJSON_IsArray(sentences)) {
            return ba_fail(err, "field \"context\" holds something else than [title, [sentence, ..]]");
        }
        int gold = cJSON_IsArray(facts) ? supports(facts, title->valuestring) : -1;
        if (add_document(r, title->valuestring, join(sentences), NAN, gold, err)) {
            return -1;
        }
    }
    return 0;
}

/* {"question", "answers": [..], "ctxs": [{"title", "text", ["score"], ["isgold"]}..]}, a retriever's list */
static int read_retrieved(const cJSON *o, ba_record *r, const char *list, char err[BA_ERR_LEN]) {
    const cJSON *documents = list_of(o, list, err), *answers = cJSON_GetObjectItemCaseSensitive(o, "answers"), *d;
    const cJSON *id = cJSON_GetObjectItemCaseSensitive(o, "id");
    r->id = cJSON_IsString(id) ? id->valuestring : NULL;
    if (!documents || !(r->question = text_of(o, "question", NULL, err))) {
        return -1;
    }
    if (!cJSON_IsArray(answers)) {
        return ba_fail(err, "field \"answers\" is missing or not a list");
    }
    if (add_answers(r, answers, "answers", err)) {
        return -1;
    }
    cJSON_ArrayForEach(d, documents) {
        const char *title = text_of(d, "title", NULL, err), *text = title ? text_of(d, "text", NULL, err) : NULL;
        const cJSON *score = cJSON_GetObjectItemCaseSensitive(d, "score"),
                    *gold = cJSON_GetObjectItemCaseSensitive(d, "isgold");
        /* Some retrievers' files have scores as text. */
        double value = cJSON_IsNumber(score)                          ? score->valuedouble
                       : cJSON_IsString(score) && *score->valuestring ? strtod(score->valuestring, NULL)
                                                                      : NAN;
        if (!text || add_document(r, title, strdup(text), value, cJSON_IsBool(gold) ? cJSON_IsTrue(gold) : -1, err)) {
            return -1;
        }
    }
    return 0;
}

static int read_ctxs(const cJSON *o, ba_record *r, char err[BA_ERR_LEN]) {
    return read_retrieved(o, r, "ctxs", err);
}

static int read_official(const cJSON *o, ba_record *r, char err[BA_ERR_LEN]) {
    return read_retrieved(o, r, "documents", err);
}

/* {"id", "question", "answer", "answer_aliases", "answerable", "paragraphs": [{"title", "paragraph_text",
 * "is_supporting"}..]} */
static int read_musique(const cJSON *o, ba_record *r, char err[BA_ERR_LEN]) {
    const cJSON *paragraphs = list_of(o, "paragraphs", err), *d;
    const char *answer = paragraphs ? text_of(o, "answer", NULL, err) : NULL;
    if (!answer || !(r->question = text_of(o, "question", NULL, err)) || !(r->id = text_of(o, "id", NULL, err))) {
        return -1;
    }
    if (cJSON_IsFalse(cJSON_GetObjectItemCaseSensitive(o, "answerable"))) {
        return 0;
    }
    if (add_answer(r, answer, err) ||
        add_answers(r, cJSON_GetObjectItemCaseSensitive(o, "answer_aliases"), "answer_aliases", err)) {
        return -1;
    }
    cJSON_ArrayForEach(d, paragraphs) {
        const char *title = text_of(d, "title", NULL, err),
                   *text = title ? text_of(d, "paragraph_text", NULL, err) : NULL;
        const cJSON *gold = cJSON_GetObjectItemCaseSensitive(d, "is_supporting");
        if (!text || add_document(r, title, strdup(text), NAN, cJSON_IsBool(gold) ? cJSON_IsTrue(gold) : -1, err)) {
            return -1;
        }
    }
    return 0;
}

static const ba_format_row formats[] = {
    {"hotpotqa", "HotpotQA's JSON (distractor or fullwiki)", 0, read_multihop},
    {"2wiki", "2WikiMultihopQA's JSON", 0, read_multihop},
    {"nq", "NQ-open with retrieved passages (lost-in-the-middle, DPR): question, answers, ctxs", 1, read_ctxs},
    {"triviaqa", "TriviaQA with retrieved passages (DPR, FiD): question, answers, ctxs", 1, read_ctxs},
    {"musique", "MuSiQue's JSON Lines", 0, read_musique},
    {"official", "JSON Lines of the paper's repository: question, answers, documents", 1, read_official},
    {0},
};

const ba_format_row *ba_format_at(size_t i) {
    return formats[i].name ? &formats[i] : NULL;
}

const ba_format_row *ba_format_by_name(const char *name) {
    for (const ba_format_row *f = formats; f->name; f++) {
        if (strcmp(f->name, name) == 0) {
            return f;
        }
    }
    return NULL;
}

/* ---- to an item ------------------------------------------------------------------------------------------------- */

/* Gives every document a score: the file's, or the place in a retriever's list, or BM25. */
static int give_scores(ba_record *r, bool best_first, char err[BA_ERR_LEN]) {
    bool all = true;
    for (size_t i = 0; i < r->n_doc; i++) {
        all = all && isfinite(r->doc[i].score);
    }
    if (all) {
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
    if (!best_first && ba_bm25(r->question, text, r->n_doc, score) != 0) {
        goto done;
    }
    for (size_t i = 0; i < r->n_doc; i++) {
        r->doc[i].score = best_first ? (double)(r->n_doc - i) : score[i];
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
            ba_subspan_em(r->doc[i].title, (char *const *)r->answer, r->n_answer) > 0) {
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
        cJSON_AddStringToObject(d, "title", r->doc[i].title);
        cJSON_AddStringToObject(d, "text", r->doc[i].text);
        cJSON_AddNumberToObject(d, "score", r->doc[i].score);
        cJSON_AddItemToArray(documents, d);
        if (r->doc[i].gold == 1) {
            cJSON_AddItemToArray(gold, cJSON_CreateNumber((double)(i - from)));
        }
    }
    if (!strcmp(r->answer[0], "yes") || !strcmp(r->answer[0], "no")) {
        cJSON_AddNullToObject(o, "has_answer");
    } else {
        cJSON_AddBoolToObject(o, "has_answer", holds_answer(r, from));
    }
    cJSON_AddStringToObject(o, "source", format->name);
    return o;
}

cJSON *ba_convert(const ba_format_row *format, const cJSON *record, size_t number, size_t most, char err[BA_ERR_LEN]) {
    ba_record r = {0};
    cJSON *out = NULL;
    if (!cJSON_IsObject(record)) {
        ba_fail(err, "not a JSON object");
        return NULL;
    }
    if (format->read(record, &r, err) != 0) {
        goto done;
    }
    if (!r.n_answer) {
        ba_fail(err, "no answer");
        goto done;
    }
    if (give_scores(&r, format->best_first, err) != 0) {
        goto done;
    }
    put_in_order(&r);
    out = item_of(format, &r, number, most);
done:
    for (size_t i = 0; i < r.n_doc; i++) {
        free(r.doc[i].text);
    }
    free(r.doc);
    free(r.answer);
    return out;
}

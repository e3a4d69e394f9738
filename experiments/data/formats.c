/* Readers of published data sets: as their authors publish them, and in the columns that Hugging Face has for them
 * (`datasets`, to_json). */
#include "convert.h"
#include "field.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- columns of Hugging Face ------------------------------------------------------------------------------------ */

/* A sequence of objects is either a list of objects, or an object of lists. One member of all of them: [*n], NULL where
 * it is missing; malloc'ed. NULL: out of memory, or it is no sequence (*n = 0). */
static const cJSON **column_of(const cJSON *sequence, const char *member, size_t *n) {
    const cJSON *list = cJSON_IsObject(sequence) ? cJSON_GetObjectItemCaseSensitive(sequence, member) : sequence, *item;
    *n = 0;
    if (!cJSON_IsArray(list)) {
        return NULL;
    }
    const cJSON **out = calloc((size_t)cJSON_GetArraySize(list) + 1, sizeof *out);
    cJSON_ArrayForEach(item, list) {
        if (out) {
            out[(*n)++] = list == sequence ? cJSON_GetObjectItemCaseSensitive(item, member) : item;
        }
    }
    return out;
}

/* Texts of a member as answers, each once. */
static int add_texts(ba_record *r, const cJSON *sequence, const char *member, char err[BA_ERR_LEN]) {
    size_t n;
    const cJSON **text = column_of(sequence, member, &n);
    int rc = 0;
    for (size_t i = 0; !rc && i < n; i++) {
        bool known = !cJSON_IsString(text[i]) || !*text[i]->valuestring;
        for (size_t k = 0; !known && k < r->n_answer; k++) {
            known = strcmp(r->answer[k], text[i]->valuestring) == 0;
        }
        rc = known ? 0 : ba_record_answer(r, text[i]->valuestring, err);
    }
    free(text);
    return rc;
}

/* ---- HotpotQA and 2Wiki ----------------------------------------------------------------------------------------- */

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

/* Facts are [[title, n]..], or a sequence with the member "title". */
static bool supports(const cJSON *facts, const char *title) {
    const cJSON *list = cJSON_IsObject(facts) ? cJSON_GetObjectItemCaseSensitive(facts, "title") : facts, *fact;
    cJSON_ArrayForEach(fact, list) {
        const cJSON *t = cJSON_IsObject(fact)  ? cJSON_GetObjectItemCaseSensitive(fact, "title")
                         : cJSON_IsArray(fact) ? cJSON_GetArrayItem(fact, 0)
                                               : fact;
        if (cJSON_IsString(t) && strcmp(t->valuestring, title) == 0) {
            return true;
        }
    }
    return false;
}

static int add_paragraph(ba_record *r, const cJSON *title, const cJSON *sentences, const cJSON *facts,
                         char err[BA_ERR_LEN]) {
    if (!cJSON_IsString(title) || !cJSON_IsArray(sentences)) {
        return ba_fail(err, "field \"context\" holds something else than [title, [sentence, ..]], or a title and "
                            "sentences of each document");
    }
    int gold = cJSON_IsArray(facts) || cJSON_IsObject(facts) ? supports(facts, title->valuestring) : -1;
    return ba_record_document(r, title->valuestring, join(sentences), NAN, gold, err);
}

/* {"title": [..], "sentences": [[..]..]}, or a list of objects; 2Wiki has "content" in place of "sentences". */
static int add_columns(ba_record *r, const cJSON *context, const cJSON *facts, char err[BA_ERR_LEN]) {
    static const char *const names[] = {"sentences", "content"};
    size_t n_title = 0, n = 0;
    const cJSON **title = column_of(context, "title", &n_title), **text = NULL;
    for (size_t i = 0; i < 2 && (!text || (n && !text[0])); i++) {
        free(text);
        text = column_of(context, names[i], &n);
    }
    int rc = title && text && n == n_title && n
                 ? 0
                 : ba_fail(err, "field \"context\" is not a title and sentences of each document");
    for (size_t i = 0; !rc && i < n; i++) {
        rc = add_paragraph(r, title[i], text[i], facts, err);
    }
    free(title);
    free(text);
    return rc;
}

/* {"_id", "question", "answer", "context": [[title, [sentence..]]..], "supporting_facts": [[title, n]..]} */
static int read_multihop(const cJSON *o, const ba_columns *columns, ba_record *r, char err[BA_ERR_LEN]) {
    const cJSON *context = cJSON_GetObjectItemCaseSensitive(o, "context"),
                *facts = cJSON_GetObjectItemCaseSensitive(o, "supporting_facts"), *d;
    const char *id = cJSON_GetObjectItemCaseSensitive(o, "id") ? "id" : "_id", *answer = NULL;
    (void)columns;
    if (!cJSON_IsObject(context) && !ba_field_list(o, "context", "documents", err)) {
        return -1;
    }
    if (!(answer = ba_field_text(o, "answer", err)) || !(r->question = ba_field_text(o, "question", err)) ||
        !(r->id = ba_field_text(o, id, err)) || ba_record_answer(r, answer, err)) {
        return -1;
    }
    r->order = BA_FOUND_BM25;
    if (cJSON_IsObject(context) || cJSON_IsObject(context->child)) {
        return add_columns(r, context, facts, err);
    }
    cJSON_ArrayForEach(d, context) {
        if (add_paragraph(r, cJSON_GetArrayItem(d, 0), cJSON_GetArrayItem(d, 1), facts, err)) {
            return -1;
        }
    }
    return 0;
}

/* ---- retrievers' lists ------------------------------------------------------------------------------------------ */

/* {"question", "answers": [..], "ctxs": [{"title", "text", ["score"], ["isgold"]}..]}, a retriever's list */
static int read_retrieved(const cJSON *o, ba_record *r, const char *list, char err[BA_ERR_LEN]) {
    const cJSON *documents = ba_field_list(o, list, "documents", err),
                *answers = cJSON_GetObjectItemCaseSensitive(o, "answers"), *d;
    const cJSON *id = cJSON_GetObjectItemCaseSensitive(o, "id");
    r->id = cJSON_IsString(id) ? id->valuestring : NULL;
    r->order = BA_FOUND_BEST_FIRST;
    if (!documents || !(r->question = ba_field_text(o, "question", err))) {
        return -1;
    }
    if (!cJSON_IsArray(answers)) {
        return ba_field_wrong(o, "answers", "a list of texts", err);
    }
    if (ba_record_answers(r, answers, "answers", err)) {
        return -1;
    }
    cJSON_ArrayForEach(d, documents) {
        const char *title = ba_field_text(d, "title", err), *text = title ? ba_field_text(d, "text", err) : NULL;
        const cJSON *score = cJSON_GetObjectItemCaseSensitive(d, "score"),
                    *gold = cJSON_GetObjectItemCaseSensitive(d, "isgold");
        /* Some retrievers' files have scores as text. */
        double value = cJSON_IsNumber(score)                          ? score->valuedouble
                       : cJSON_IsString(score) && *score->valuestring ? strtod(score->valuestring, NULL)
                                                                      : NAN;
        if (!text ||
            ba_record_document(r, title, strdup(text), value, cJSON_IsBool(gold) ? cJSON_IsTrue(gold) : -1, err)) {
            return -1;
        }
    }
    return 0;
}

static int read_ctxs(const cJSON *o, const ba_columns *columns, ba_record *r, char err[BA_ERR_LEN]) {
    (void)columns;
    return read_retrieved(o, r, "ctxs", err);
}

static int read_official(const cJSON *o, const ba_columns *columns, ba_record *r, char err[BA_ERR_LEN]) {
    (void)columns;
    return read_retrieved(o, r, "documents", err);
}

/* ---- SQuAD ------------------------------------------------------------------------------------------------------ */

/* {"id", "title", "context", "question", "answers": {"text": [..], "answer_start": [..]}}: one document */
static int read_squad(const cJSON *o, const ba_columns *columns, ba_record *r, char err[BA_ERR_LEN]) {
    (void)columns;
    const char *text = ba_field_text(o, "context", err);
    const cJSON *answers = cJSON_GetObjectItemCaseSensitive(o, "answers"),
                *title = cJSON_GetObjectItemCaseSensitive(o, "title"), *id = cJSON_GetObjectItemCaseSensitive(o, "id");
    r->id = cJSON_IsString(id) ? id->valuestring : NULL;
    if (!text || !(r->question = ba_field_text(o, "question", err))) {
        return -1;
    }
    if (!cJSON_IsObject(answers) && !cJSON_IsArray(answers)) {
        return ba_field_wrong(o, "answers", "an object with the list \"text\"", err);
    }
    return add_texts(r, answers, "text", err) ||
                   ba_record_document(r, cJSON_GetStringValue(title), strdup(text), NAN, 1, err)
               ? -1
               : 0;
}

/* ---- Natural Questions ------------------------------------------------------------------------------------------ */

/* The words of a page in [start, end), without its tags. */
static char *page_text(const cJSON *const *token, const cJSON *const *is_html, size_t n, const cJSON *start,
                       const cJSON *end) {
    char *text = NULL;
    size_t size, from = start && start->valuedouble > 0 ? (size_t)start->valuedouble : 0;
    size_t to = end && end->valuedouble > 0 ? (size_t)end->valuedouble : 0;
    FILE *f = open_memstream(&text, &size);
    bool first = true;
    for (size_t i = from; f && i < to && i < n; i++) {
        if (cJSON_IsString(token[i]) && !cJSON_IsTrue(is_html[i])) {
            fprintf(f, "%s%s", first ? "" : " ", token[i]->valuestring);
            first = false;
        }
    }
    return f && !fclose(f) ? text : NULL;
}

/* Whether an annotator's long answer begins at this token. */
static bool is_long_answer(const cJSON *const *answer, size_t n, const cJSON *start) {
    for (size_t i = 0; i < n; i++) {
        const cJSON *at = cJSON_GetObjectItemCaseSensitive(answer[i], "start_token");
        if (cJSON_IsNumber(at) && at->valuedouble == start->valuedouble) {
            return true;
        }
    }
    return false;
}

/* The top-level candidates of a page are its passages. */
static int add_candidates(ba_record *r, const cJSON *o, const cJSON *page, char err[BA_ERR_LEN]) {
    const cJSON *tokens = cJSON_GetObjectItemCaseSensitive(page, "tokens"),
                *candidates = cJSON_GetObjectItemCaseSensitive(o, "long_answer_candidates"),
                *title = cJSON_GetObjectItemCaseSensitive(page, "title");
    enum { TOKEN, HTML, START, END, TOP, LONG, COLUMNS };
    size_t n[COLUMNS];
    const cJSON **column[COLUMNS] = {
        column_of(tokens, "token", &n[TOKEN]),
        column_of(tokens, "is_html", &n[HTML]),
        column_of(candidates, "start_token", &n[START]),
        column_of(candidates, "end_token", &n[END]),
        column_of(candidates, "top_level", &n[TOP]),
        column_of(cJSON_GetObjectItemCaseSensitive(o, "annotations"), "long_answer", &n[LONG])};
    int rc = n[TOKEN] && n[TOKEN] == n[HTML] && n[START] && n[START] == n[END] && n[START] == n[TOP]
                 ? 0
                 : ba_fail(err, "\"document.tokens\" or \"long_answer_candidates\" is not as Natural Questions has it");
    for (size_t i = 0; !rc && i < n[START]; i++) {
        bool top = cJSON_IsTrue(column[TOP][i]) && cJSON_IsNumber(column[START][i]);
        char *text = top ? page_text(column[TOKEN], column[HTML], n[TOKEN], column[START][i], column[END][i]) : NULL;
        if (top && (!text || *text)) {
            rc = ba_record_document(r, cJSON_GetStringValue(title), text, NAN,
                                    is_long_answer(column[LONG], n[LONG], column[START][i]), err);
        } else {
            free(text); /* a table without words */
        }
    }
    for (size_t i = 0; i < COLUMNS; i++) {
        free(column[i]);
    }
    return rc;
}

/* {"id", "document": {"title", "tokens"}, "question": {"text"}, "long_answer_candidates", "annotations"}: a whole page */
static int read_page(const cJSON *o, const cJSON *page, ba_record *r, char err[BA_ERR_LEN]) {
    const cJSON *question = cJSON_GetObjectItemCaseSensitive(o, "question"), *answer,
                *id = cJSON_GetObjectItemCaseSensitive(o, "id");
    size_t n;
    r->id = cJSON_IsString(id) ? id->valuestring : NULL;
    r->order = BA_FOUND_BM25;
    if (!cJSON_IsObject(question)) {
        return ba_field_wrong(o, "question", "an object with the text \"text\"", err);
    }
    if (!(r->question = ba_field_text(question, "text", err))) {
        return -1;
    }
    const cJSON *annotations = cJSON_GetObjectItemCaseSensitive(o, "annotations");
    const cJSON **answers = column_of(annotations, "short_answers", &n);
    int rc = 0;
    for (size_t i = 0; !rc && i < n; i++) {
        rc = add_texts(r, answers[i], "text", err);
    }
    free(answers);
    answers = column_of(annotations, "yes_no_answer", &n);
    for (size_t i = 0; !rc && i < n && !r->n_answer; i++) {
        answer = answers[i];
        bool yes = cJSON_IsNumber(answer) && answer->valuedouble == 1,
             no = cJSON_IsNumber(answer) && answer->valuedouble == 0;
        rc = yes || no ? ba_record_answer(r, yes ? "yes" : "no", err) : 0;
    }
    free(answers);
    return rc ? rc : add_candidates(r, o, page, err);
}

/* A retriever's list, a whole page, or a page's passage as in SQuAD. */
static int read_nq(const cJSON *o, const ba_columns *columns, ba_record *r, char err[BA_ERR_LEN]) {
    const cJSON *page = cJSON_GetObjectItemCaseSensitive(o, "document");
    bool retrieved = cJSON_GetObjectItemCaseSensitive(o, "ctxs") != NULL;
    if (cJSON_IsObject(page)) {
        return read_page(o, page, r, err);
    }
    return !retrieved && cJSON_GetObjectItemCaseSensitive(o, "context") ? read_squad(o, columns, r, err)
                                                                        : read_retrieved(o, r, "ctxs", err);
}

/* ---- MuSiQue ---------------------------------------------------------------------------------------------------- */

/* {"id", "question", "answer", "answer_aliases", "answerable", "paragraphs": [{"title", "paragraph_text",
 * "is_supporting"}..]} */
static int read_musique(const cJSON *o, const ba_columns *columns, ba_record *r, char err[BA_ERR_LEN]) {
    (void)columns;
    const cJSON *paragraphs = ba_field_list(o, "paragraphs", "documents", err), *d;
    const char *answer = paragraphs ? ba_field_text(o, "answer", err) : NULL;
    r->order = BA_FOUND_BM25;
    if (!answer || !(r->question = ba_field_text(o, "question", err)) || !(r->id = ba_field_text(o, "id", err))) {
        return -1;
    }
    if (cJSON_IsFalse(cJSON_GetObjectItemCaseSensitive(o, "answerable"))) {
        return 0;
    }
    if (ba_record_answer(r, answer, err) ||
        ba_record_answers(r, cJSON_GetObjectItemCaseSensitive(o, "answer_aliases"), "answer_aliases", err)) {
        return -1;
    }
    cJSON_ArrayForEach(d, paragraphs) {
        const char *title = ba_field_text(d, "title", err),
                   *text = title ? ba_field_text(d, "paragraph_text", err) : NULL;
        const cJSON *gold = cJSON_GetObjectItemCaseSensitive(d, "is_supporting");
        if (!text ||
            ba_record_document(r, title, strdup(text), NAN, cJSON_IsBool(gold) ? cJSON_IsTrue(gold) : -1, err)) {
            return -1;
        }
    }
    return 0;
}

/* ---- the list --------------------------------------------------------------------------------------------------- */

static const ba_format_row formats[] = {
    {"csv", "any CSV with a header: --question, --answers and --documents name its columns", true, true, ba_read_table,
     NULL},
    {"jsonl", "any JSON Lines or JSON list of objects, with the same three options", true, false, ba_read_table, NULL},
    {"hotpotqa", "HotpotQA (distractor or fullwiki), also in Hugging Face's columns", false, false, read_multihop,
     NULL},
    {"2wiki", "2WikiMultihopQA, also in Hugging Face's columns", false, false, read_multihop, NULL},
    {"squad", "SQuAD in Hugging Face's columns: one document an item", false, false, read_squad, NULL},
    {"nq", "NQ with retrieved passages (ctxs), or Natural Questions in Hugging Face's columns", false, false, read_nq,
     NULL},
    {"triviaqa", "TriviaQA with retrieved passages (DPR, FiD): question, answers, ctxs", false, false, read_ctxs, NULL},
    {"musique", "MuSiQue's JSON Lines", false, false, read_musique, NULL},
    {"official", "JSON Lines of the paper's repository: question, answers, documents", false, false, read_official,
     NULL},
    {"longbench", "LongBench's JSON Lines: input, context, answers; the context is cut into passages", false, false,
     ba_read_longbench, NULL},
    {"ruler", "RULER's JSON Lines: input, outputs; the input is cut into passages and the question", false, false,
     ba_read_ruler, NULL},
    {"locomo", "LoCoMo's JSON list of conversations: a session is a document, a question an item", false, false,
     ba_read_locomo, ba_locomo_parts},
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

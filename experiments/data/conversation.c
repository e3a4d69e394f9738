/* Reader of LoCoMo (Maharana et al. 2024): long conversations of two people, with questions about them. */
#include "convert.h"
#include "field.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

size_t ba_locomo_parts(const cJSON *record) {
    return (size_t)cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(record, "qa"));
}

/* "Name: text" lines of a session; a shared picture is its caption. malloc'ed; NULL and err. */
static char *words_of(const cJSON *session, char err[BA_ERR_LEN]) {
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    const cJSON *turn;
    bool right = f != NULL;
    if (!right) {
        ba_fail(err, "out of memory");
    }
    cJSON_ArrayForEach(turn, session) {
        const char *speaker = right ? ba_field_text(turn, "speaker", err) : NULL,
                   *said = speaker ? ba_field_text(turn, "text", err) : NULL;
        const cJSON *picture = cJSON_GetObjectItemCaseSensitive(turn, "blip_caption");
        right = right && said;
        if (right) {
            fprintf(f, "%s%s: %s", turn == session->child ? "" : "\n", speaker, said);
            if (cJSON_IsString(picture)) {
                fprintf(f, " [picture: %s]", picture->valuestring);
            }
        }
    }
    if (f && fclose(f)) {
        right = false;
        ba_fail(err, "out of memory");
    }
    if (!right) {
        free(text);
        return NULL;
    }
    return text;
}

/* Whether a turn of the session is named as evidence: "D3:12" is turn 12 of session 3. */
static bool is_evidence(const cJSON *evidence, size_t session) {
    const cJSON *e;
    char start[32];
    int n = snprintf(start, sizeof start, "D%zu:", session);
    cJSON_ArrayForEach(e, evidence) {
        for (const char *s = cJSON_GetStringValue(e); s && (s = strstr(s, start)); s += n) {
            if (s == e->valuestring || strchr(" ;,", s[-1])) {
                return true;
            }
        }
    }
    return false;
}

static int add_sessions(ba_record *r, const cJSON *conversation, const cJSON *evidence, char err[BA_ERR_LEN]) {
    for (size_t i = 1;; i++) {
        char name[32], date[48];
        snprintf(name, sizeof name, "session_%zu", i);
        snprintf(date, sizeof date, "session_%zu_date_time", i);
        const cJSON *session = cJSON_GetObjectItemCaseSensitive(conversation, name),
                    *when = cJSON_GetObjectItemCaseSensitive(conversation, date);
        if (!session && !when) {
            return r->n_doc ? 0 : ba_fail(err, "field \"conversation\" holds no session_1");
        }
        if (!cJSON_GetArraySize(session)) {
            continue; /* some have a date and nothing said */
        }
        char *text = words_of(session, err);
        if (!text ||
            ba_record_document(r, cJSON_GetStringValue(when), text, (double)NAN, is_evidence(evidence, i), err)) {
            return -1;
        }
    }
}

/* A text, or a number as the text of it. NULL and err. */
static const char *answer_of(ba_record *r, const cJSON *question, char err[BA_ERR_LEN]) {
    const cJSON *answer = cJSON_GetObjectItemCaseSensitive(question, "answer");
    char number[32];
    if (!answer && cJSON_GetObjectItemCaseSensitive(question, "adversarial_answer")) {
        ba_fail(err, "question %zu has no answer (adversarial)", r->part + 1);
        return NULL;
    }
    if (!cJSON_IsNumber(answer)) {
        return ba_field_text(question, "answer", err);
    }
    int n = snprintf(number, sizeof number, "%.15g", answer->valuedouble);
    const char *text = ba_record_keep(r, number, (size_t)n);
    return text ? text : (ba_fail(err, "out of memory"), NULL);
}

/* {"sample_id", "conversation": {"speaker_a", "speaker_b", "session_1_date_time", "session_1": [{"speaker", "dia_id",
 * "text", ["blip_caption"]}..], ..}, "qa": [{"question", "answer", "evidence": ["D1:3"..], "category"}..]}. Sessions
 * stay in the order of time. */
int ba_read_locomo(const cJSON *o, const ba_columns *columns, ba_record *r, char err[BA_ERR_LEN]) {
    (void)columns;
    const cJSON *conversation = cJSON_GetObjectItemCaseSensitive(o, "conversation"),
                *questions = ba_field_list(o, "qa", "questions", err),
                *question = cJSON_GetArrayItem(questions, (int)r->part),
                *sample = cJSON_GetObjectItemCaseSensitive(o, "sample_id");
    char id[128];
    if (!questions) {
        return -1;
    }
    if (!cJSON_IsObject(conversation)) {
        return ba_field_wrong(o, "conversation", "an object with session_1, session_2, ..", err);
    }
    const char *answer = answer_of(r, question, err);
    if (!answer || !(r->question = ba_field_text(question, "question", err)) || ba_record_answer(r, answer, err)) {
        return -1;
    }
    int n = snprintf(id, sizeof id, "%.90s-%zu", cJSON_IsString(sample) ? sample->valuestring : "conversation",
                     r->part + 1);
    r->order = BA_FOUND_AS_IS;
    if (!(r->id = ba_record_keep(r, id, (size_t)n))) {
        return ba_fail(err, "out of memory");
    }
    return add_sessions(r, conversation, cJSON_GetObjectItemCaseSensitive(question, "evidence"), err);
}

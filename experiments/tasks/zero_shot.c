/* Tasks without demonstrations: MMLU by the likelihood of its letters; IFEval and HumanEval, whose outputs official
 * programs score (experiments/scorers). With one segment every mode is full attention. */
#include "experiments/data/field.h"
#include "tasks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int question(const ba_task_source *from, const char *task, const ba_prompt_field *fields, ba_task_item *out,
                    char err[BA_ERR_LEN]) {
    return ba_task_part(out, BA_ROLE_QUESTION, ba_prompts_fill(from->prompts, task, "question", fields, err), err);
}

int ba_mmlu_parse(const ba_task_source *from, const ba_shots *shots, const cJSON *line, ba_task_item *out,
                  char err[BA_ERR_LEN]) {
    (void)shots;
    static const char *const letter[] = {"A", "B", "C", "D"};
    const cJSON *choices = cJSON_GetObjectItemCaseSensitive(line, "choices");
    const char *subject = ba_field_text(line, "subject", err), *text = ba_field_text(line, "question", err),
               *target = ba_field_text(line, "target", err), *choice[4];
    if (!subject || !text || !target) {
        return -1;
    }
    for (int i = 0; i < 4; i++) {
        const cJSON *c = cJSON_GetArrayItem(choices, i);
        if (!cJSON_IsString(c) || cJSON_GetArraySize(choices) != 4) {
            return ba_fail(err, "field \"choices\" is not a list of four strings");
        }
        choice[i] = c->valuestring;
    }
    if (strlen(target) != 1 || *target < 'A' || *target > 'D') {
        return ba_fail(err, "field \"target\" is not A, B, C or D");
    }
    char topic[128];
    snprintf(topic, sizeof topic, "%s", subject);
    for (char *c = topic; *c; c++) {
        *c = *c == '_' ? ' ' : *c;
    }
    const ba_prompt_field fields[] = {{"subject", topic},
                                      {"question", text},
                                      {"a", choice[0]},
                                      {"b", choice[1]},
                                      {"c", choice[2]},
                                      {"d", choice[3]},
                                      {0}};
    if (question(from, "mmlu", fields, out, err) || ba_task_answer(out, target, err)) {
        return -1;
    }
    if (!(out->choice = calloc(4, sizeof *out->choice))) {
        return ba_fail(err, "out of memory");
    }
    for (; out->n_choice < 4; out->n_choice++) {
        if (!(out->choice[out->n_choice] = strdup(letter[out->n_choice]))) {
            return ba_fail(err, "out of memory");
        }
    }
    out->correct = (size_t)(*target - 'A');
    return 0;
}

int ba_ifeval_parse(const ba_task_source *from, const ba_shots *shots, const cJSON *line, ba_task_item *out,
                    char err[BA_ERR_LEN]) {
    (void)shots;
    const char *text = ba_field_text(line, "prompt", err);
    const cJSON *key = cJSON_GetObjectItemCaseSensitive(line, "key");
    if (!text) {
        return -1;
    }
    if (!cJSON_IsNumber(key)) {
        return ba_field_wrong(line, "key", "a number", err);
    }
    if (asprintf(&out->id, "%.0f", key->valuedouble) < 0) {
        out->id = NULL;
        return ba_fail(err, "out of memory");
    }
    const ba_prompt_field fields[] = {{"question", text}, {0}};
    return question(from, "ifeval", fields, out, err);
}

int ba_humaneval_parse(const ba_task_source *from, const ba_shots *shots, const cJSON *line, ba_task_item *out,
                       char err[BA_ERR_LEN]) {
    (void)shots;
    const char *text = ba_field_text(line, "prompt", err), *id = ba_field_text(line, "task_id", err);
    if (!text || !id) {
        return -1;
    }
    if (!(out->id = strdup(id))) {
        return ba_fail(err, "out of memory");
    }
    /* Where only likelihoods are wanted, the reference solution is the gold answer. */
    const char *solution = ba_field_text(line, "canonical_solution", err);
    const ba_prompt_field fields[] = {{"question", text}, {0}};
    return !solution || question(from, "humaneval", fields, out, err) || ba_task_answer(out, solution, err) ? -1 : 0;
}

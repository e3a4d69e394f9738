/* Tasks with demonstrations, each a block of its own, and the question as the last one: GSM8K, MATH, BBH, DROP. */
#include "experiments/data/field.h"
#include "experiments/data/lines.h"
#include "score_drop.h"
#include "score_math.h"
#include "sim/base/json_read.h"
#include "tasks.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The first n lines of a file of question and solution as demonstrations of a task. */
static int first_lines(const ba_task_source *from, const char *path, const char *task, size_t n, ba_shots *out,
                       char err[BA_ERR_LEN]) {
    ba_lines *lines;
    if (ba_lines_open(path, &lines, err)) {
        return -1;
    }
    int rc = 0;
    while (!rc && out->n < n) {
        cJSON *o = NULL;
        char why[BA_ERR_LEN];
        int got = ba_lines_next(lines, &o, why);
        const char *question = got == 1 ? ba_field_text(o, "question", why) : NULL;
        const char *answer = question ? ba_field_text(o, "solution", why) : NULL;
        if (got == 0) {
            rc = ba_fail(err, "%s: holds fewer than %zu demonstrations", path, n);
        } else if (!answer) {
            rc = ba_fail(err, "%s: line %zu: %s", path, ba_lines_number(lines), why);
        } else {
            const ba_prompt_field fields[] = {{"question", question}, {"answer", answer}, {0}};
            rc = ba_shots_add(out, "", BA_ROLE_DEMONSTRATION,
                              ba_prompts_fill(from->prompts, task, "demonstration", fields, err), err);
        }
        cJSON_Delete(o);
    }
    ba_lines_close(lines);
    return rc;
}

/* Demonstrations, then the question; `target` is the accepted answer. */
static int question_and_target(const ba_task_source *from, const ba_shots *shots, const cJSON *line, const char *task,
                               ba_task_item *out, char err[BA_ERR_LEN]) {
    const char *question = ba_field_text(line, "question", err);
    const char *target = question ? ba_field_text(line, "target", err) : NULL;
    if (!target || ba_task_shots(out, shots, "", err)) {
        return -1;
    }
    const ba_prompt_field fields[] = {{"question", question}, {0}};
    return ba_task_part(out, BA_ROLE_QUESTION, ba_prompts_fill(from->prompts, task, "question", fields, err), err) ||
                   ba_task_answer(out, target, err)
               ? -1
               : 0;
}

/* ---- GSM8K ------------------------------------------------------------------------------------------------------ */

int ba_gsm8k_shots(const ba_task_source *from, const char *path, ba_shots *out, char err[BA_ERR_LEN]) {
    return first_lines(from, path, "gsm8k", 4, out, err);
}

int ba_gsm8k_parse(const ba_task_source *from, const ba_shots *shots, const cJSON *line, ba_task_item *out,
                   char err[BA_ERR_LEN]) {
    return question_and_target(from, shots, line, "gsm8k", out, err);
}

/* Score: the marked number, or the last one where nothing is marked; em: the marked one, as the official script. */
ba_scores ba_gsm8k_score(const ba_task_item *item, const char *output) {
    char *marked = ba_gsm8k_marked(output), *last = ba_last_number(output);
    ba_scores s = {NAN, NAN, NAN};
    if (marked && last) {
        s.em = strcmp(marked, item->answer[0]) == 0;
        s.score = ba_math_equal(*marked ? marked : last, item->answer[0]);
    }
    free(marked);
    free(last);
    return s;
}

/* ---- MATH ------------------------------------------------------------------------------------------------------- */

int ba_math_shots(const ba_task_source *from, const char *path, ba_shots *out, char err[BA_ERR_LEN]) {
    return first_lines(from, path, "math", 4, out, err);
}

int ba_math_parse(const ba_task_source *from, const ba_shots *shots, const cJSON *line, ba_task_item *out,
                  char err[BA_ERR_LEN]) {
    return question_and_target(from, shots, line, "math", out, err);
}

ba_scores ba_math_score(const ba_task_item *item, const char *output) {
    char *answer = ba_math_answer(output);
    ba_scores s = {answer ? ba_math_equal(answer, item->answer[0]) : NAN, NAN, NAN};
    free(answer);
    return s;
}

/* ---- BBH -------------------------------------------------------------------------------------------------------- */

/* {task: {"cot_fewshot": {"description", "samples": [{"input", "target"} x 3]}}} */
int ba_bbh_shots(const ba_task_source *from, const char *path, ba_shots *out, char err[BA_ERR_LEN]) {
    cJSON *root;
    if (ba_json_read(path, &root, err)) {
        return -1;
    }
    int rc = 0;
    for (const cJSON *t = root->child; t && !rc; t = t->next) {
        const cJSON *shots = ba_json_get(t, "cot_fewshot");
        const char *description = NULL, *input = NULL, *target = NULL;
        rc = ba_json_string(shots, "description", &description, path, err);
        const ba_prompt_field about[] = {{"description", description ? description : ""}, {0}};
        rc = rc ? rc
                : ba_shots_add(out, t->string, BA_ROLE_SYSTEM,
                               ba_prompts_fill(from->prompts, "bbh", "system", about, err), err);
        const cJSON *sample;
        cJSON_ArrayForEach(sample, ba_json_get(shots, "samples")) {
            input = target = NULL;
            if (rc || ba_json_string(sample, "input", &input, path, err) ||
                ba_json_string(sample, "target", &target, path, err)) {
                rc = -1;
                break;
            }
            const ba_prompt_field fields[] = {{"question", input ? input : ""}, {"answer", target ? target : ""}, {0}};
            rc = ba_shots_add(out, t->string, BA_ROLE_DEMONSTRATION,
                              ba_prompts_fill(from->prompts, "bbh", "demonstration", fields, err), err);
        }
    }
    cJSON_Delete(root);
    return rc;
}

int ba_bbh_parse(const ba_task_source *from, const ba_shots *shots, const cJSON *line, ba_task_item *out,
                 char err[BA_ERR_LEN]) {
    const char *task = ba_field_text(line, "task", err);
    const char *input = task ? ba_field_text(line, "input", err) : NULL;
    const char *target = input ? ba_field_text(line, "target", err) : NULL;
    if (!target || ba_task_shots(out, shots, task, err)) {
        return -1;
    }
    const ba_prompt_field fields[] = {{"question", input}, {0}};
    return ba_task_part(out, BA_ROLE_QUESTION, ba_prompts_fill(from->prompts, "bbh", "question", fields, err), err) ||
                   ba_task_answer(out, target, err)
               ? -1
               : 0;
}

/* Exact match with what follows the first "the answer is", without the point that ends the sentence. */
ba_scores ba_bbh_score(const ba_task_item *item, const char *output) {
    static const char mark[] = "the answer is ";
    const char *said = strstr(output, mark);
    said = said ? said + strlen(mark) : output;
    size_t n = strcspn(said, "\n");
    while (n && strchr(". ", said[n - 1])) {
        n--;
    }
    return (ba_scores){n == strlen(item->answer[0]) && !memcmp(said, item->answer[0], n), NAN, NAN};
}

/* ---- DROP ------------------------------------------------------------------------------------------------------- */

static char *drop_text(const ba_task_source *from, const char *part, const char *passage, const char *question,
                       const char *answer, char err[BA_ERR_LEN]) {
    const ba_prompt_field fields[] = {{"passage", passage}, {"question", question}, {"answer", answer}, {0}};
    return ba_prompts_fill(from->prompts, "drop", part, fields, err);
}

/* Three items of the training file (RAG format) with their gold passages. */
int ba_drop_shots(const ba_task_source *from, const char *path, ba_shots *out, char err[BA_ERR_LEN]) {
    ba_items items;
    if (ba_items_read(path, 3, &items, err)) {
        return -1;
    }
    int rc = items.n < 3 ? ba_fail(err, "%s: holds fewer than 3 demonstrations", path) : 0;
    for (size_t i = 0; !rc && i < items.n; i++) {
        const ba_item *it = &items.item[i];
        /* The gold passage is the most relevant one, which is the last. */
        rc = it->n_answer ? ba_shots_add(out, "", BA_ROLE_DEMONSTRATION,
                                         drop_text(from, "demonstration", it->doc[it->n_doc - 1].text, it->question,
                                                   it->answers[0], err),
                                         err)
                          : ba_fail(err, "%s: item %zu has no answer", path, i);
    }
    ba_items_free(&items);
    return rc;
}

int ba_drop_parse(const ba_task_source *from, const ba_shots *shots, const cJSON *line, ba_task_item *out,
                  char err[BA_ERR_LEN]) {
    const char *passage = ba_field_text(line, "passage", err);
    const char *question = passage ? ba_field_text(line, "question", err) : NULL;
    const cJSON *answers = cJSON_GetObjectItemCaseSensitive(line, "answers"), *a;
    if (!question || ba_task_shots(out, shots, "", err) ||
        ba_task_part(out, BA_ROLE_QUESTION, drop_text(from, "question", passage, question, "", err), err)) {
        return -1;
    }
    cJSON_ArrayForEach(a, answers) {
        if (!cJSON_IsString(a)) {
            return ba_fail(err, "field \"answers\" holds something that is not a string");
        }
        if (ba_task_answer(out, a->valuestring, err)) {
            return -1;
        }
    }
    return 0;
}

ba_scores ba_drop_score_item(const ba_task_item *item, const char *output) {
    ba_scores s = {NAN, NAN, NAN};
    ba_drop_score(output, item->answer, item->n_answer, &s.em, &s.f1);
    s.score = s.f1;
    return s;
}

#include "outputs.h"

#include "experiments/cli/json.h"
#include "sim/base/whole_file.h"
#include "trace.h"

#include <stdlib.h>
#include <string.h>

static cJSON *object_of(const ba_task *task, const ba_task_item *item, const char *text) {
    cJSON *o = cJSON_CreateObject();
    if (task->output_key) {
        bool by_prompt = strcmp(task->output_key, "prompt") == 0;
        cJSON_AddStringToObject(o, task->output_key, by_prompt ? item->part[item->n_part - 1].text : item->id);
    } else {
        cJSON_AddStringToObject(o, "id", item->id);
        cJSON *answers = cJSON_AddArrayToObject(o, "answers");
        for (size_t i = 0; i < item->n_answer; i++) {
            cJSON_AddItemToArray(answers, cJSON_CreateString(item->answer[i]));
        }
    }
    ba_json_add_bytes(o, task->output_key ? task->output_text : "generated", text, strlen(text));
    return o;
}

int ba_eval_outputs(const char *folder, const ba_task *task, const ba_task_items *items, const ba_eval_rows *rows,
                    const char *label, const char *name, const char *mode, char err[BA_ERR_LEN]) {
    char *path = NULL;
    ba_whole_file file;
    if (asprintf(&path, "%s/%s.%s.%s.jsonl", folder, label, name, mode) < 0) {
        return ba_fail(err, "out of memory");
    }
    int rc = ba_whole_file_open(path, &file, err);
    free(path);
    for (size_t i = 0; !rc && i < items->n; i++) {
        ba_eval_row like = {.index = i};
        snprintf(like.label, sizeof like.label, "%s", label);
        snprintf(like.task, sizeof like.task, "%s", name);
        snprintf(like.mode, sizeof like.mode, "%s", mode);
        const ba_eval_row *row = ba_eval_rows_find(rows, &like);
        if (!row || !row->text) {
            continue;
        }
        cJSON *o = object_of(task, &items->item[i], row->text);
        char *line = cJSON_PrintUnformatted(o);
        if (line) {
            fprintf(file.f, "%s\n", line);
        } else {
            rc = ba_fail(err, "out of memory");
        }
        cJSON_free(line);
        cJSON_Delete(o);
    }
    rc = rc ? rc : ba_whole_file_finish(&file, err);
    ba_whole_file_close(&file);
    return rc;
}

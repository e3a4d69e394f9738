#include "dump.h"

#include "sim/base/whole_file.h"

#include <stdlib.h>

struct ba_dump {
    ba_whole_file file;
};

int ba_dump_begin(const char *path, ba_dump **out, char err[BA_ERR_LEN]) {
    ba_dump *d = calloc(1, sizeof *d);
    if (!d) {
        return ba_fail(err, "out of memory");
    }
    if (ba_whole_file_open(path, &d->file, err)) {
        free(d);
        return -1;
    }
    *out = d;
    return 0;
}

static cJSON *id_list(const int32_t *ids, size_t n) {
    cJSON *list = cJSON_CreateArray();
    for (size_t i = 0; i < n; i++) {
        cJSON_AddItemToArray(list, cJSON_CreateNumber(ids[i]));
    }
    return list;
}

int ba_dump_item(ba_dump *d, const char *task, const ba_task_item *item, const ba_tokenizer *tok,
                 char err[BA_ERR_LEN]) {
    int32_t *answer = NULL;
    size_t n = 0;
    ba_prompt *p = ba_parts_prompt(item->part, item->n_part, tok, err);
    if (!p || (item->n_answer && ba_answer_ids(item->answer[0], tok, &answer, &n, err) != 0)) {
        ba_prompt_free(p);
        return -1;
    }
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "task", task);
    cJSON_AddStringToObject(o, "id", item->id);
    cJSON *request = cJSON_AddObjectToObject(o, "request"), *ids = cJSON_AddArrayToObject(request, "ids"),
          *roles = cJSON_AddArrayToObject(request, "roles");
    for (size_t i = 0; i < p->n_seg; i++) {
        cJSON_AddItemToArray(ids, id_list(p->seg[i].ids, p->seg[i].n));
        cJSON_AddItemToArray(roles, cJSON_CreateString(ba_role_name(p->seg[i].role)));
    }
    cJSON_AddItemToObject(o, "answer_ids", id_list(answer, n));
    char *line = cJSON_PrintUnformatted(o);
    if (line) {
        fprintf(d->file.f, "%s\n", line);
    }
    cJSON_free(line);
    cJSON_Delete(o);
    free(answer);
    ba_prompt_free(p);
    return line ? 0 : ba_fail(err, "out of memory");
}

int ba_dump_finish(ba_dump *d, char err[BA_ERR_LEN]) {
    return ba_whole_file_finish(&d->file, err);
}

void ba_dump_close(ba_dump *d) {
    if (d) {
        ba_whole_file_close(&d->file);
        free(d);
    }
}

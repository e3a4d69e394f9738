/* What parsers of all families need: parts, answers and demonstrations of an item. */
#include "sim/base/grow.h"
#include "tasks.h"

#include <stdlib.h>
#include <string.h>

int ba_task_part(ba_task_item *item, ba_role role, char *text, char err[BA_ERR_LEN]) {
    if (!text || !*text) {
        free(text);
        return text ? 0 : -1;
    }
    ba_part *more = realloc(item->part, (item->n_part + 1) * sizeof *more);
    if (!more) {
        free(text);
        return ba_fail(err, "out of memory");
    }
    item->part = more;
    item->part[item->n_part++] = (ba_part){role, text};
    return 0;
}

int ba_task_answer(ba_task_item *item, const char *answer, char err[BA_ERR_LEN]) {
    char **more = realloc(item->answer, (item->n_answer + 1) * sizeof *more);
    if (more) {
        item->answer = more;
    }
    if (!more || !(item->answer[item->n_answer] = strdup(answer))) {
        return ba_fail(err, "out of memory");
    }
    item->n_answer++;
    return 0;
}

int ba_shots_add(ba_shots *shots, const char *topic, ba_role role, char *text, char err[BA_ERR_LEN]) {
    if (!text) {
        return -1;
    }
    char *copy = strdup(topic);
    if (!copy || ba_grow(&shots->shot, &shots->cap, shots->n + 1, sizeof *shots->shot)) {
        free(copy);
        free(text);
        return ba_fail(err, "out of memory");
    }
    shots->shot[shots->n++] = (struct ba_shot){copy, {role, text}};
    return 0;
}

int ba_task_shots(ba_task_item *item, const ba_shots *shots, const char *topic, char err[BA_ERR_LEN]) {
    for (size_t i = 0; i < shots->n; i++) {
        const struct ba_shot *s = &shots->shot[i];
        if (strcmp(s->topic, topic) == 0) {
            char *copy = strdup(s->part.text);
            if (!copy) {
                return ba_fail(err, "out of memory");
            }
            if (ba_task_part(item, s->part.role, copy, err)) {
                return -1;
            }
        }
    }
    return 0;
}

void ba_shots_free(ba_shots *shots) {
    for (size_t i = 0; i < shots->n; i++) {
        free(shots->shot[i].topic);
        free(shots->shot[i].part.text);
    }
    free(shots->shot);
    *shots = (ba_shots){0};
}

#include "agenda.h"

#include "grow.h"

static bool before(const ba_candidate *a, const ba_candidate *b) {
    return a->order != b->order ? a->order < b->order : a->at < b->at;
}

int ba_agenda_push(ba_agenda *a, ba_candidate c) {
    if (ba_grow(&a->item, &a->cap, a->n + 1, sizeof *a->item)) {
        return -1;
    }
    size_t i = a->n++;
    for (size_t up; i > 0 && before(&c, &a->item[up = (i - 1) / 2]); i = up) {
        a->item[i] = a->item[up];
    }
    a->item[i] = c;
    return 0;
}

bool ba_agenda_pop(ba_agenda *a, ba_candidate *out) {
    if (a->n == 0) {
        return false;
    }
    *out = a->item[0];
    ba_candidate c = a->item[--a->n];
    size_t i = 0;
    for (size_t down; (down = 2 * i + 1) < a->n; i = down) {
        down += down + 1 < a->n && before(&a->item[down + 1], &a->item[down]);
        if (!before(&a->item[down], &c)) {
            break;
        }
        a->item[i] = a->item[down];
    }
    a->item[i] = c;
    return true;
}

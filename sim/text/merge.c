#include "merge.h"

#include "sim/base/grow.h"
#include <stdlib.h>

int ba_merger_add(ba_merger *m, size_t at, size_t n, int32_t id) {
    if (ba_grow(&m->sym, &m->cap, m->n + 1, sizeof *m->sym)) {
        return -1;
    }
    m->sym[m->n] = (ba_symbol){.at = at, .n = n, .id = id, .prev = m->n - 1, .next = m->n + 1};
    m->n++;
    return 0;
}

/* Puts the pair that begins at symbol `left` on the agenda, if a rule joins it. */
static int consider(ba_merger *m, size_t left, ba_join join, const void *rules, const char *text) {
    if (left >= m->n || m->sym[left].next >= m->n) { /* prev of the first wraps around to SIZE_MAX */
        return 0;
    }
    const ba_symbol *l = &m->sym[left], *r = &m->sym[l->next];
    ba_candidate c = {.at = left, .n = l->n + r->n};
    return join(rules, text, l, r, &c) ? ba_agenda_push(&m->agenda, c) : 0;
}

int ba_merger_run(ba_merger *m, ba_join join, const void *rules, const char *text) {
    for (size_t i = 0; i + 1 < m->n; i++) {
        if (consider(m, i, join, rules, text)) {
            return -1;
        }
    }
    for (ba_candidate c; ba_agenda_pop(&m->agenda, &c);) {
        ba_symbol *left = &m->sym[c.at];
        ba_symbol *right = left->n && left->next < m->n ? &m->sym[left->next] : NULL;
        if (!right || left->n + right->n != c.n) {
            continue; /* one of the two has been joined to something else since */
        }
        left->n = c.n;
        left->id = c.id;
        left->next = right->next;
        right->n = 0;
        if (left->next < m->n) {
            m->sym[left->next].prev = c.at;
        }
        if (consider(m, left->prev, join, rules, text) || consider(m, c.at, join, rules, text)) {
            return -1;
        }
    }
    return 0;
}

void ba_merger_clear(ba_merger *m) {
    m->n = 0;
    m->agenda.n = 0;
}

void ba_merger_free(ba_merger *m) {
    free(m->sym);
    free(m->agenda.item);
    *m = (ba_merger){0};
}

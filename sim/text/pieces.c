#include "pieces.h"

#include "sim/base/grow.h"
#include "sim/base/utf8.h"
#include <stdlib.h>

int ba_cuts_add(ba_cuts *c, size_t start, size_t end, bool match) {
    if (ba_grow(&c->item, &c->cap, c->n + 1, sizeof *c->item)) {
        return -1;
    }
    c->item[c->n++] = (ba_cut){start, end, match};
    return 0;
}

int ba_cuts_by_character(ba_cuts *c, const char *text, size_t n, bool (*is)(int32_t code)) {
    size_t last = 0, len;
    int32_t code;
    for (size_t i = 0; (len = ba_utf8_next(text + i, n - i, &code)) > 0; i += len) {
        if (is(code)) {
            if ((last < i && ba_cuts_add(c, last, i, false)) || ba_cuts_add(c, i, i + len, true)) {
                return -1;
            }
            last = i + len;
        }
    }
    return last < n ? ba_cuts_add(c, last, n, false) : 0;
}

void ba_cuts_invert(ba_cuts *c) {
    for (size_t i = 0; i < c->n; i++) {
        c->item[i].match = !c->item[i].match;
    }
}

/* Joins cut i to the one kept last where `joins` says so; keeps the others. */
static void join_left(ba_cuts *c, bool (*joins)(bool match, bool previous)) {
    size_t kept = 0;
    bool previous = false;
    for (size_t i = 0; i < c->n; i++) {
        ba_cut cut = c->item[i];
        if (joins(cut.match, previous) && kept) {
            c->item[kept - 1].end = cut.end;
        } else {
            c->item[kept++] = (ba_cut){cut.start, cut.end, false};
        }
        previous = cut.match;
    }
    c->n = kept;
}

/* The same from the right. */
static void join_right(ba_cuts *c, bool (*joins)(bool match, bool previous)) {
    size_t kept = c->n; /* cuts [kept, n) are done */
    bool previous = false;
    for (size_t i = c->n; i-- > 0;) {
        ba_cut cut = c->item[i];
        if (joins(cut.match, previous) && kept < c->n) {
            c->item[kept].start = cut.start;
        } else {
            c->item[--kept] = (ba_cut){cut.start, cut.end, false};
        }
        previous = cut.match;
    }
    for (size_t i = 0; kept + i < c->n; i++) {
        c->item[i] = c->item[kept + i];
    }
    c->n -= kept;
}

static bool same(bool match, bool previous) {
    return match == previous;
}

static bool lone_match(bool match, bool previous) {
    return match && !previous;
}

void ba_cuts_apply(ba_cuts *c, ba_behaviour behaviour) {
    switch (behaviour) {
    case BA_REMOVED:
        break;
    case BA_ISOLATED:
        for (size_t i = 0; i < c->n; i++) {
            c->item[i].match = false;
        }
        break;
    case BA_CONTIGUOUS:
        join_left(c, same);
        break;
    case BA_MERGED_PREVIOUS:
        join_left(c, lone_match);
        break;
    case BA_MERGED_NEXT:
        join_right(c, lone_match);
        break;
    }
}

void ba_cuts_free(ba_cuts *c) {
    free(c->item);
    *c = (ba_cuts){0};
}

int ba_pieces_open(ba_pieces *p, bool first) {
    if (ba_grow(&p->item, &p->cap, p->n + 1, sizeof *p->item)) {
        return -1;
    }
    p->item[p->n++] = (ba_piece){p->line.n, 0, first};
    return 0;
}

void ba_pieces_close(ba_pieces *p) {
    ba_piece *last = &p->item[p->n - 1];
    last->n = p->line.n - last->at;
}

int ba_pieces_add(ba_pieces *p, const ba_line *in, size_t at, size_t n, bool first) {
    if (n == 0) {
        return 0;
    }
    if (ba_pieces_open(p, first) || ba_line_copy(&p->line, in, at, n)) {
        return -1;
    }
    ba_pieces_close(p);
    return 0;
}

int ba_pieces_cut(ba_pieces *p, const ba_line *in, size_t at, size_t n) {
    return n ? ba_pieces_add(p, in, at, n, in->top[at]) : 0;
}

void ba_pieces_clear(ba_pieces *p) {
    p->n = 0;
    ba_line_clear(&p->line);
}

void ba_pieces_free(ba_pieces *p) {
    ba_line_free(&p->line);
    free(p->item);
    *p = (ba_pieces){0};
}

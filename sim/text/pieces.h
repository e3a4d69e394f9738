/* What a pre-tokeniser cuts a text into, and how it cuts: matches of a pattern, and what becomes of them. */
#ifndef BA_PIECES_H
#define BA_PIECES_H

#include "line.h"

typedef struct ba_piece {
    size_t at, n; /* bytes line.s[at .. at + n), n > 0 */
    bool first;   /* began at the beginning of the input when it was cut out */
} ba_piece;

typedef struct ba_pieces {
    ba_line line;
    ba_piece *item; /* [n], one after the other in the line */
    size_t n, cap;
} ba_pieces;

/* What happens to a match: dropped, a piece by itself, joined to the piece before or after it, or joined to the matches
 * next to it. Names and meaning are those of `tokenizers`. */
typedef enum ba_behaviour { BA_REMOVED, BA_ISOLATED, BA_MERGED_PREVIOUS, BA_MERGED_NEXT, BA_CONTIGUOUS } ba_behaviour;

typedef struct ba_cut {
    size_t start, end;
    bool match; /* after ba_cuts_apply: drop it */
} ba_cut;

/* Matches and the text between them, which together cover a text. */
typedef struct ba_cuts {
    ba_cut *item; /* [n] */
    size_t n, cap;
} ba_cuts;

/* Appends; 0, or -1: out of memory. */
int ba_cuts_add(ba_cuts *c, size_t start, size_t end, bool match);
/* Every character that `is` says yes to is a match. */
int ba_cuts_by_character(ba_cuts *c, const char *text, size_t n, bool (*is)(int32_t code));
void ba_cuts_invert(ba_cuts *c);
/* Joins and marks the cuts as the behaviour says. */
void ba_cuts_apply(ba_cuts *c, ba_behaviour behaviour);
void ba_cuts_free(ba_cuts *c);

/* Appends in->line[at .. at + n) as a piece, if n > 0. `first` as given, or by its first byte: ba_pieces_cut. */
int ba_pieces_add(ba_pieces *p, const ba_line *in, size_t at, size_t n, bool first);
int ba_pieces_cut(ba_pieces *p, const ba_line *in, size_t at, size_t n);
/* A piece whose text the caller appends to p->line between the two calls. */
int ba_pieces_open(ba_pieces *p, bool first);
void ba_pieces_close(ba_pieces *p);
void ba_pieces_clear(ba_pieces *p); /* keeps the memory */
void ba_pieces_free(ba_pieces *p);

#endif

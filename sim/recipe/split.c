/* Pre-tokenisers: one function each, and the table. */
#include "sim/base/utf8.h"
#include "sim/text/unicode.h"
#include "step.h"
#include <string.h>

/* Puts the pieces that the cuts of in->line[at..) make into `out`. */
static int put_cuts(const ba_cuts *c, const ba_line *in, size_t at, ba_pieces *out) {
    for (size_t i = 0; i < c->n; i++) {
        if (!c->item[i].match && ba_pieces_cut(out, in, at + c->item[i].start, c->item[i].end - c->item[i].start)) {
            return -1;
        }
    }
    return 0;
}

/* Cuts in->line[at .. at + n) at every character that `is` says yes to. */
static int split_at(ba_step_room *room, const ba_line *in, size_t at, size_t n, bool (*is)(int32_t code),
                    ba_behaviour behaviour, ba_pieces *out) {
    room->cuts.n = 0;
    if (ba_cuts_by_character(&room->cuts, in->s + at, n, is)) {
        return -1;
    }
    ba_cuts_apply(&room->cuts, behaviour);
    return put_cuts(&room->cuts, in, at, out);
}

static int split_piece(ba_step_room *room, const ba_pieces *in, size_t i, bool (*is)(int32_t code),
                       ba_behaviour behaviour, ba_pieces *out) {
    return split_at(room, &in->line, in->item[i].at, in->item[i].n, is, behaviour, out);
}

static int whitespace_split(const ba_step *s, ba_step_room *room, const ba_pieces *in, size_t i, ba_pieces *out) {
    (void)s;
    return split_piece(room, in, i, ba_is_white, BA_REMOVED, out);
}

static int punctuation(const ba_step *s, ba_step_room *room, const ba_pieces *in, size_t i, ba_pieces *out) {
    return split_piece(room, in, i, ba_is_punctuation, (ba_behaviour)s->choice, out);
}

static int digits(const ba_step *s, ba_step_room *room, const ba_pieces *in, size_t i, ba_pieces *out) {
    return split_piece(room, in, i, ba_is_numeric, s->yes[0] ? BA_ISOLATED : BA_CONTIGUOUS, out);
}

/* White space is removed, and every punctuation character is a piece of its own. */
static int bert(const ba_step *s, ba_step_room *room, const ba_pieces *in, size_t i, ba_pieces *out) {
    const ba_piece *p = &in->item[i];
    size_t start = 0, len;
    int32_t code;
    (void)s;
    for (size_t at = 0; at < p->n; at += len) {
        len = ba_utf8_next(in->line.s + p->at + at, p->n - at, &code);
        bool white = ba_is_white(code), last = at + len == p->n;
        size_t end = white ? at : at + len;
        if ((white || last) && start < end &&
            split_at(room, &in->line, p->at + start, end - start, ba_is_punctuation, BA_ISOLATED, out)) {
            return -1;
        }
        start = white ? at + len : start;
    }
    return 0;
}

/* \w+|[^\w\s]+ : runs of word characters and runs of others; white space goes. */
static int whitespace(const ba_step *s, ba_step_room *room, const ba_pieces *in, size_t i, ba_pieces *out) {
    const ba_piece *p = &in->item[i];
    size_t start = 0, at = 0, len;
    int32_t code;
    int kind = 0; /* of the run [start, at): 0 white, 1 word, 2 other */
    (void)s, (void)room;
    while ((len = ba_utf8_next(in->line.s + p->at + at, p->n - at, &code)) > 0) {
        int now = ba_is_white(code) ? 0 : ba_is_word(code) ? 1 : 2;
        if (now != kind) {
            if (kind && ba_pieces_cut(out, &in->line, p->at + start, at - start)) {
                return -1;
            }
            start = at;
            kind = now;
        }
        at += len;
    }
    return kind ? ba_pieces_cut(out, &in->line, p->at + start, at - start) : 0;
}

static int fixed_length(const ba_step *s, ba_step_room *room, const ba_pieces *in, size_t i, ba_pieces *out) {
    const ba_piece *p = &in->item[i];
    size_t start = 0, at = 0, len, count = 0;
    int32_t code;
    (void)room;
    while ((len = ba_utf8_next(in->line.s + p->at + at, p->n - at, &code)) > 0) {
        at += len;
        if (++count == s->count) {
            if (ba_pieces_cut(out, &in->line, p->at + start, at - start)) {
                return -1;
            }
            start = at;
            count = 0;
        }
    }
    return ba_pieces_cut(out, &in->line, p->at + start, at - start);
}

/* ---- patterns --------------------------------------------------------------------------------------------------- */

typedef struct matches {
    ba_cuts *cuts;
    size_t done;
} matches;

static int add_match(void *to, size_t start, size_t end) {
    matches *m = to;
    if ((start > m->done && ba_cuts_add(m->cuts, m->done, start, false)) || ba_cuts_add(m->cuts, start, end, true)) {
        return -1;
    }
    m->done = end;
    return 0;
}

static int find_matches(const ba_step *s, ba_cuts *cuts, const char *text, size_t n) {
    matches m = {cuts, 0};
    cuts->n = 0;
    return ba_step_scan(s, text, n, add_match, &m) || (m.done < n && ba_cuts_add(cuts, m.done, n, false)) ? -1 : 0;
}

static int split(const ba_step *s, ba_step_room *room, const ba_pieces *in, size_t i, ba_pieces *out) {
    const ba_piece *p = &in->item[i];
    if (find_matches(s, &room->cuts, in->line.s + p->at, p->n)) {
        return -1;
    }
    if (s->yes[0]) {
        ba_cuts_invert(&room->cuts);
    }
    ba_cuts_apply(&room->cuts, (ba_behaviour)s->choice);
    return put_cuts(&room->cuts, &in->line, p->at, out);
}

/* ---- steps that change the text, too ---------------------------------------------------------------------------- */

/* Spaces become the mark; one is put in front where the scheme says so and none is there. */
static int metaspace(const ba_step *s, ba_step_room *room, const ba_pieces *in, size_t i, ba_pieces *out) {
    const ba_piece *p = &in->item[i];
    const char *text = in->line.s + p->at;
    bool marked = text[0] == ' ' || (p->n >= s->text.n && memcmp(text, s->text.s, s->text.n) == 0);
    ba_line *line = &room->line;
    ba_line_clear(line);
    if (!marked && (s->choice == BA_PREPEND_ALWAYS || (s->choice == BA_PREPEND_FIRST && p->first)) &&
        ba_line_put(line, s->text.s, s->text.n, in->line.top[p->at])) {
        return -1;
    }
    for (size_t at = 0, end; at < p->n; at = end) {
        const char *space = memchr(text + at, ' ', p->n - at);
        end = space ? (size_t)(space - text) : p->n;
        if (ba_line_copy(line, &in->line, p->at + at, end - at) ||
            (space && ba_line_put(line, s->text.s, s->text.n, in->line.top[p->at + end]))) {
            return -1;
        }
        end += space != NULL;
    }
    if (!s->yes[0]) {
        return ba_pieces_add(out, line, 0, line->n, p->first);
    }
    if (find_matches(s, &room->cuts, line->s, line->n)) {
        return -1;
    }
    ba_cuts_apply(&room->cuts, BA_MERGED_NEXT);
    return put_cuts(&room->cuts, line, 0, out);
}

static const char *check_metaspace(const ba_step *s) {
    bool given = s->yes[2], prefix = s->yes[1];
    return given && !prefix && s->choice != BA_PREPEND_NEVER
               ? "'add_prefix_space' is false, but 'prepend_scheme' says otherwise"
               : NULL;
}

int ba_line_byte_level(const ba_line *in, size_t at, size_t n, ba_line *out) {
    for (size_t i = at; i < at + n; i++) {
        if (ba_line_put_code(out, ba_byte_letter((unsigned char)in->s[i]), in->top[i])) {
            return -1;
        }
    }
    return 0;
}

/* A piece of in[at .. at + n), n > 0, in the alphabet of bytes. */
static int put_bytes(const ba_line *in, size_t at, size_t n, bool first, ba_pieces *out) {
    if (ba_pieces_open(out, first) || ba_line_byte_level(in, at, n, &out->line)) {
        return -1;
    }
    ba_pieces_close(out);
    return 0;
}

/* yes[0]: a space in front; yes[1]: cut by GPT-2's regular expression. */
static int byte_level(const ba_step *s, ba_step_room *room, const ba_pieces *in, size_t i, ba_pieces *out) {
    const ba_piece *p = &in->item[i];
    ba_line *line = &room->line;
    char err[BA_ERR_LEN];
    const ba_pre *gpt2 = ba_pre_find("gpt-2", err);
    ba_line_clear(line);
    if ((s->yes[0] && in->line.s[p->at] != ' ' && ba_line_put(line, " ", 1, in->line.top[p->at])) ||
        ba_line_copy(line, &in->line, p->at, p->n)) {
        return -1;
    }
    if (!s->yes[1]) {
        return put_bytes(line, 0, line->n, p->first, out);
    }
    for (size_t at = 0, len; at < line->n; at += len) {
        len = ba_pre_next(gpt2, line->s + at, line->n - at);
        if (put_bytes(line, at, len, line->top[at], out)) {
            return -1;
        }
    }
    return 0;
}

static const ba_step_type types[] = {
    {.name = "Whitespace", .split = whitespace},
    {.name = "WhitespaceSplit", .split = whitespace_split},
    {.name = "BertPreTokenizer", .split = bert},
    {.name = "Digits", .field = {{"individual_digits", BA_VALUE_FLAG, 0, true}}, .split = digits},
    {.name = "Punctuation",
     .field = {{"behavior", BA_VALUE_BEHAVIOUR, 0, false}},
     .start = {.choice = BA_ISOLATED},
     .split = punctuation},
    {.name = "Split",
     .field = {{"pattern", BA_VALUE_PATTERN, 0, true},
               {"behavior", BA_VALUE_BEHAVIOUR, 0, true},
               {"invert", BA_VALUE_FLAG, 0, true}},
     .split = split},
    {.name = "CharDelimiterSplit",
     .field = {{"delimiter", BA_VALUE_CHARACTER, 0, true}},
     .start = {.choice = BA_REMOVED},
     .split = split},
    {.name = "FixedLength",
     .field = {{"length", BA_VALUE_COUNT, 0, false}},
     .start = {.count = 5},
     .split = fixed_length},
    {.name = "Metaspace",
     .field = {{"replacement", BA_VALUE_CHARACTER, 0, true},
               {"prepend_scheme", BA_VALUE_SCHEME, 0, false},
               {"split", BA_VALUE_FLAG, 0, false},
               {"add_prefix_space", BA_VALUE_MAYBE, 1, false},
               {"str_rep", BA_VALUE_HARMLESS, 0, false}},
     .start = {.yes = {true}, .choice = BA_PREPEND_ALWAYS},
     .check = check_metaspace,
     .split = metaspace},
    {.name = "ByteLevel",
     .field = {{"add_prefix_space", BA_VALUE_FLAG, 0, false},
               {"use_regex", BA_VALUE_FLAG, 1, false},
               {"trim_offsets", BA_VALUE_HARMLESS, 0, false}},
     .start = {.yes = {false, true}},
     .split = byte_level},
    {.name = "UnicodeScripts", .refused = "its table of scripts is not here"},
};

const ba_step_type *ba_pre_tokenizer_at(size_t i) {
    return i < sizeof types / sizeof *types ? &types[i] : NULL;
}

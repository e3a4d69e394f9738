#include "workload.h"

#include "sim/base/random.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_WORD = 256, TASK = 8 };
/* Few strings are one token in every vocabulary: the likeliest come first, then characters that rarely merge. */
static const char *const filler[] = {" a", ".", ",", ";", ":"};

/* Where words come from. */
typedef struct words {
    const char *text, *end; /* what is left of the file; NULL: words are generated */
    uint64_t rng;
} words;

/* A text that grows word by word. */
typedef struct draft {
    char *s;
    size_t n, room;
} draft;

/* Pronounceable words, so that a tokenizer splits them much like language. */
static size_t made_up_word(uint64_t *rng, char *out) {
    static const char consonant[] = "bcdfghklmnprstvw", vowel[] = "aeiou";
    size_t n = 0;
    out[n++] = ' ';
    for (size_t syllable = 1 + ba_random_below(rng, 3); syllable > 0; syllable--) {
        out[n++] = consonant[ba_random_below(rng, sizeof consonant - 1)];
        out[n++] = vowel[ba_random_below(rng, sizeof vowel - 1)];
        if (ba_random_below(rng, 3) == 0) {
            out[n++] = consonant[ba_random_below(rng, sizeof consonant - 1)];
        }
    }
    return n;
}

/* The next word with the space before it, cut to MAX_WORD bytes at a character; 0: the text is used up. */
static size_t next_word(words *w, const char **word, char room[MAX_WORD]) {
    if (!w->text) {
        *word = room;
        return made_up_word(&w->rng, room);
    }
    const char *s = w->text;
    while (s < w->end && isspace((unsigned char)*s)) {
        s++;
    }
    while (s < w->end && !isspace((unsigned char)*s) && s - w->text < MAX_WORD) {
        s++;
    }
    while (s < w->end && ((unsigned char)*s & 0xc0) == 0x80 && s > w->text) {
        s--; /* not in the middle of a UTF-8 sequence */
    }
    *word = w->text;
    size_t n = (size_t)(s - w->text);
    w->text = s;
    return n;
}

static int append(draft *d, const char *s, size_t n) {
    if (d->n + n + 1 > d->room) {
        size_t room = 2 * (d->n + n + 1);
        char *more = realloc(d->s, room);
        if (!more) {
            return -1;
        }
        d->s = more;
        d->room = room;
    }
    memcpy(d->s + d->n, s, n);
    d->n += n;
    d->s[d->n] = '\0';
    return 0;
}

/* Tokens of a text, or SIZE_MAX and err. */
static size_t count(const ba_tokenizer *tok, const char *s, size_t n, char err[BA_ERR_LEN]) {
    int32_t *ids;
    size_t n_ids;
    if (ba_tokenize(tok, s, n, false, &ids, &n_ids, err) != 0) {
        return SIZE_MAX;
    }
    free(ids);
    return n_ids;
}

/* A text of exactly `want` tokens: whole words while they fit, then fillers. Words are counted one by one, which is
 * exact for tokenizers that never merge across a space; for the others the whole text is counted at the end, and fillers
 * make up the difference. */
static int compose(const ba_tokenizer *tok, words *w, size_t want, char **out, char err[BA_ERR_LEN]) {
    draft d = {0};
    ba_fail(err, "out of memory"); /* unless the tokenizer says otherwise */
    char room[MAX_WORD];
    const char *word;
    size_t have = 0, n = 0;
    int failed = 0;
    words before = *w;
    while (!failed && (n = next_word(w, &word, room)) > 0) {
        size_t tokens = count(tok, word, n, err);
        if (tokens == SIZE_MAX) {
            failed = 1;
        } else if (tokens <= want - have) {
            have += tokens;
            failed = append(&d, word, n);
        } else if (
            have > 0 ||
            !w->text) {  /* generated words never end; fillers complete a passage that no further word fits into */
            *w = before; /* the next passage begins with this word */
            break;
        } /* a word longer than a whole passage is left out */
        before = *w;
    }
    if (!failed && n == 0 && have < want) {
        free(d.s);
        return ba_fail(err, "the text is too short for a prompt of this length");
    }
    bool overshot = false;
    for (size_t tries = 0; !failed && tries < 2 * want + 16; tries++) {
        have = count(tok, d.s ? d.s : "", d.n, err);
        if (have == want) {
            *out = d.s;
            return 0;
        }
        if (have > want && have != SIZE_MAX && d.n > 0) {
            overshot = true;
            while (d.n > 0 && d.s[--d.n] != ' ') {
            }
            d.s[d.n] = '\0';
        } else {
            const char *more = filler[overshot ? 1 + tries % 4 : 0];
            failed = have == SIZE_MAX || append(&d, more, strlen(more));
        }
    }
    free(d.s);
    return failed ? -1 : ba_fail(err, "this tokenizer cannot make a text of exactly %zu tokens", want);
}

static int32_t *draw(uint64_t *rng, size_t n, size_t vocab) {
    int32_t *ids = malloc(n * sizeof *ids);
    for (size_t i = 0; ids && i < n; i++) {
        ids[i] = (int32_t)ba_random_below(rng, vocab);
    }
    return ids;
}

static int make_part(const ba_tokenizer *tok, words *w, size_t want, size_t vocab, ba_workload_part *out,
                     char err[BA_ERR_LEN]) {
    out->n = want;
    if (tok) {
        return compose(tok, w, want, &out->text, err);
    }
    return (out->ids = draw(&w->rng, want, vocab)) ? 0 : ba_fail(err, "out of memory");
}

int ba_workload_new(const ba_tokenizer *tok, const ba_workload_spec *spec, ba_workload *out, char err[BA_ERR_LEN]) {
    size_t passages = spec->length - spec->question;
    size_t n = passages / spec->block + (passages % spec->block != 0);
    *out = (ba_workload){.part = calloc(n + 1, sizeof *out->part)};
    if (!out->part) {
        return ba_fail(err, "out of memory");
    }
    words question = {.rng = spec->seed ^ UINT64_MAX};
    words passage = {.text = spec->text, .end = spec->text ? spec->text + spec->text_len : NULL, .rng = spec->seed};
    for (size_t i = 0; i <= n; i++) {
        size_t left = passages - (i < n ? i * spec->block : passages);
        size_t want = i == n ? spec->question : left < spec->block ? left : spec->block;
        if (make_part(tok, i < n ? &passage : &question, want, spec->vocab, &out->part[i], err)) {
            ba_workload_free(out);
            return -1;
        }
        out->n++;
    }
    return 0;
}

void ba_workload_free(ba_workload *w) {
    for (size_t i = 0; i < w->n; i++) {
        free(w->part[i].text);
        free(w->part[i].ids);
    }
    free(w->part);
    *w = (ba_workload){0};
}

static int add_question(ba_prompt *p, const int32_t *ids, size_t n) {
    size_t task = n / 2 < TASK ? n / 2 : TASK; /* a single token has none */
    return ba_prompt_add(p, BA_ROLE_QUESTION, ids, n - task) ||
           (task && ba_prompt_add(p, BA_ROLE_TASK, ids + n - task, task));
}

ba_prompt *ba_workload_prompt(const ba_tokenizer *tok, const ba_workload *w, char err[BA_ERR_LEN]) {
    ba_prompt *p = ba_prompt_new(tok);
    ba_fail(err, "out of memory"); /* unless the tokenizer says otherwise */
    if (p && !tok) {
        p->bos = 0;
        p->newline = 1;
    }
    for (size_t i = 0; p && i < w->n; i++) {
        const ba_workload_part *part = &w->part[i];
        int32_t *made = NULL;
        size_t n = part->n;
        int failed = part->text && ba_tokenize(tok, part->text, strlen(part->text), false, &made, &n, err);
        const int32_t *ids = part->text ? made : part->ids;
        failed = failed || (i + 1 < w->n ? ba_prompt_add(p, BA_ROLE_PASSAGE, ids, n) : add_question(p, ids, n));
        free(made);
        if (failed) {
            ba_prompt_free(p);
            p = NULL;
        }
    }
    return p;
}

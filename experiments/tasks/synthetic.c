/* Tasks made from a seed, in the manner of RULER (Hsieh et al. 2024): they need no data, and say by construction what a
 * mode must carry from one passage to another.
 *
 *   needle    one passage holds a number; the question asks for it
 *   needles   every passage holds one, of another town; the question asks for one of them
 *   kv        every passage holds pairs of key and value; the question gives a key
 *   hops      a value is handed on from variable to variable (--hops times), each in a passage of its own: blocks that
 *             see only themselves leave the whole chain to the question
 *   compare   two passages hold a number each; which town has the larger one (by likelihood of the two names) */
#include "sim/base/random.h"
#include "tasks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const towns[] = {"Arden",  "Bellun", "Corvay", "Dunmar",  "Estwick", "Falmor", "Gravia",  "Hestel",
                                    "Ilmen",  "Jorvik", "Kelso",  "Lorient", "Mandal",  "Norden", "Ostrava", "Paldis",
                                    "Quenby", "Rivona", "Selmer", "Torvald", "Ulmen",   "Vargas", "Wexford", "Yarrow"};
enum { TOWNS = sizeof towns / sizeof *towns };

static const char *const subjects[] = {"The harbour", "A baker",    "The old mill", "The library",
                                       "A gardener",  "The ferry",  "The museum",   "A clerk",
                                       "The orchard", "The bridge", "A teacher",    "The market"};
static const char *const verbs[] = {"opens early in",      "is busy during", "was repaired before",
                                    "rests at the end of", "is quiet in",    "looks well after"};
static const char *const times[] = {"the spring",   "the long winter", "the harvest",
                                    "a dry summer", "the first snow",  "the morning"};

#define PICK(rng, list) (list)[ba_random_below((rng), sizeof(list) / sizeof *(list))]

/* Everything about one item while it is made. */
typedef struct maker {
    const ba_task_source *from;
    uint64_t rng;
    size_t n;            /* passages */
    char (*fact)[256];   /* [n] a sentence for each passage, or "" */
    size_t order[TOWNS]; /* towns in random order */
} maker;

static int maker_open(maker *m, const ba_task_source *from, size_t number, const char *kind, char err[BA_ERR_LEN]) {
    *m = (maker){.from = from, .rng = from->seed * 0x9e3779b97f4a7c15u + number, .n = from->passages};
    for (const char *c = kind; *c; c++) { /* another sequence for every kind */
        m->rng = m->rng * 31 + (unsigned char)*c;
    }
    m->fact = calloc(m->n, sizeof *m->fact);
    for (size_t i = 0; i < TOWNS; i++) {
        m->order[i] = i;
    }
    ba_random_shuffle(&m->rng, m->order, TOWNS);
    return m->fact ? 0 : ba_fail(err, "out of memory");
}

static const char *town(const maker *m, size_t i) {
    return towns[m->order[i % TOWNS]];
}

static unsigned long number_of_digits(maker *m, size_t digits) {
    unsigned long low = 1;
    while (--digits) {
        low *= 10;
    }
    return low + ba_random_below(&m->rng, 9 * low);
}

static size_t count_words(const char *s) {
    size_t n = *s != 0;
    for (; *s; s++) {
        n += *s == ' ';
    }
    return n;
}

/* Sentences up to the wanted number of words, with the fact at a random place among them. malloc'ed, or NULL. */
static char *passage_text(maker *m, const char *fact) {
    char *text = NULL;
    size_t size = 0, used = count_words(fact), want = m->from->words;
    FILE *f = open_memstream(&text, &size);
    if (!f) {
        return NULL;
    }
    size_t sentences = want > used ? (want - used) / 7 : 0, at = ba_random_below(&m->rng, sentences + 1);
    for (size_t i = 0; i <= sentences; i++) {
        if (i == at && *fact) {
            fprintf(f, "%s ", fact);
        }
        if (i < sentences) {
            fprintf(f, "%s ", PICK(&m->rng, subjects));
            fprintf(f, "%s ", PICK(&m->rng, verbs));
            fprintf(f, "%s. ", PICK(&m->rng, times));
        }
    }
    if (fclose(f)) {
        free(text);
        return NULL;
    }
    while (*text && text[strlen(text) - 1] == ' ') {
        text[strlen(text) - 1] = 0;
    }
    return text;
}

static int add_part(const ba_task_source *from, ba_role role, const char *part, const ba_prompt_field *fields,
                    ba_task_item *out, char err[BA_ERR_LEN]) {
    return ba_task_part(out, role, ba_prompts_fill(from->prompts, "synthetic", part, fields, err), err);
}

/* The item of the maker's facts; frees the maker. */
static int finish(maker *m, size_t number, const char *question, const char *answer, ba_task_item *out,
                  char err[BA_ERR_LEN]) {
    const ba_prompt_field none[] = {{0}}, asked[] = {{"question", question}, {0}};
    int rc = add_part(m->from, BA_ROLE_SYSTEM, "system", none, out, err);
    for (size_t i = 0; !rc && i < m->n; i++) {
        char *text = passage_text(m, m->fact[i]);
        const ba_prompt_field fields[] = {{"text", text ? text : ""}, {0}};
        rc = text ? add_part(m->from, BA_ROLE_PASSAGE, "passage", fields, out, err) : ba_fail(err, "out of memory");
        free(text);
    }
    rc = rc ? rc : add_part(m->from, BA_ROLE_QUESTION, "question", asked, out, err);
    rc = rc ? rc : ba_task_answer(out, answer, err);
    if (!rc && asprintf(&out->id, "%llu-%zu", (unsigned long long)m->from->seed, number) < 0) {
        out->id = NULL;
        rc = ba_fail(err, "out of memory");
    }
    free(m->fact);
    return rc;
}

/* The number of one town, among `others` numbers of other towns in the other passages. */
static int needle(const ba_task_source *from, size_t number, const char *kind, bool others, ba_task_item *out,
                  char err[BA_ERR_LEN]) {
    maker m;
    if (maker_open(&m, from, number, kind, err)) {
        return -1;
    }
    size_t at = ba_random_below(&m.rng, m.n);
    char question[256], answer[32] = "";
    for (size_t i = 0; i < m.n; i++) {
        unsigned long code = number_of_digits(&m, 5);
        if (i == at || (others && i < TOWNS)) {
            snprintf(m.fact[i], sizeof *m.fact, "The secret number of %s is %lu.", town(&m, i), code);
        }
        if (i == at) {
            snprintf(answer, sizeof answer, "%lu", code);
        }
    }
    snprintf(question, sizeof question, "What is the secret number of %s?", town(&m, at));
    return finish(&m, number, question, answer, out, err);
}

int ba_needle_make(const ba_task_source *from, size_t number, ba_task_item *out, char err[BA_ERR_LEN]) {
    return needle(from, number, "needle", false, out, err);
}

int ba_needles_make(const ba_task_source *from, size_t number, ba_task_item *out, char err[BA_ERR_LEN]) {
    return needle(from, number, "needles", true, out, err);
}

int ba_kv_make(const ba_task_source *from, size_t number, ba_task_item *out, char err[BA_ERR_LEN]) {
    enum { PAIRS = 3 };
    maker m;
    if (maker_open(&m, from, number, "kv", err)) {
        return -1;
    }
    size_t wanted = ba_random_below(&m.rng, m.n * PAIRS);
    char question[256] = "", answer[32] = "";
    for (size_t i = 0; i < m.n * PAIRS; i++) {
        unsigned long key = number_of_digits(&m, 4) * 10000 + i, value = number_of_digits(&m, 5);
        char *fact = m.fact[i / PAIRS];
        size_t used = strlen(fact);
        snprintf(fact + used, sizeof *m.fact - used, "%sKey %08lu has the value %lu.", used ? " " : "", key, value);
        if (i == wanted) {
            snprintf(question, sizeof question, "Which value has the key %08lu?", key);
            snprintf(answer, sizeof answer, "%lu", value);
        }
    }
    return finish(&m, number, question, answer, out, err);
}

/* A value, handed on from link to link: link k is in passage place[k], and its variable is the town first + k. */
static unsigned long make_chain(maker *m, size_t first, const size_t *place, size_t links) {
    unsigned long value = number_of_digits(m, 5);
    for (size_t k = 0; k < links; k++) {
        const char *me = town(m, first + k);
        char *fact = m->fact[place[k]];
        if (k == 0) {
            snprintf(fact, sizeof *m->fact, "The number of %s is %lu.", me, value);
        } else {
            snprintf(fact, sizeof *m->fact, "The number of %s is the same as the number of %s.", me,
                     town(m, first + k - 1));
        }
    }
    return value;
}

/* Two chains of variables through the passages: one with the value that is asked for, one that is in the way. */
int ba_hops_make(const ba_task_source *from, size_t number, ba_task_item *out, char err[BA_ERR_LEN]) {
    maker m;
    if (maker_open(&m, from, number, "hops", err)) {
        return -1;
    }
    size_t links = from->hops ? from->hops + 1 : m.n / 2 < 4 ? m.n / 2 : 4, *order = calloc(m.n, sizeof *order);
    char question[256], answer[32] = "";
    if (!order || 2 * links > m.n || 2 * links > TOWNS) {
        int rc = order ? ba_fail(err, "task hops: %zu hops need at least %zu passages, and are at most %d", links - 1,
                                 2 * links, TOWNS / 2 - 1)
                       : ba_fail(err, "out of memory");
        free(order);
        free(m.fact);
        return rc;
    }
    for (size_t i = 0; i < m.n; i++) {
        order[i] = i;
    }
    ba_random_shuffle(&m.rng, order, m.n);
    snprintf(answer, sizeof answer, "%lu", make_chain(&m, 0, order, links));
    make_chain(&m, links, order + links, links);
    free(order);
    snprintf(question, sizeof question, "What is the number of %s?", town(&m, links - 1));
    return finish(&m, number, question, answer, out, err);
}

int ba_compare_make(const ba_task_source *from, size_t number, ba_task_item *out, char err[BA_ERR_LEN]) {
    maker m;
    if (maker_open(&m, from, number, "compare", err)) {
        return -1;
    }
    size_t a = ba_random_below(&m.rng, m.n), b = (a + 1 + ba_random_below(&m.rng, m.n - 1)) % m.n;
    unsigned long people[2] = {number_of_digits(&m, 3), number_of_digits(&m, 3) + 1000};
    size_t larger = ba_random_below(&m.rng, 2);
    char question[256], name[2][32];
    for (size_t i = 0; i < 2; i++) {
        snprintf(name[i], sizeof name[i], "%s", town(&m, i));
        snprintf(m.fact[i ? b : a], sizeof *m.fact, "The town of %s has %lu people.", name[i], people[i == larger]);
    }
    snprintf(question, sizeof question, "Which town has more people, %s or %s?", name[0], name[1]);
    if (finish(&m, number, question, name[larger], out, err)) {
        return -1;
    }
    if (!(out->choice = calloc(2, sizeof *out->choice))) {
        return ba_fail(err, "out of memory");
    }
    for (; out->n_choice < 2; out->n_choice++) {
        if (!(out->choice[out->n_choice] = strdup(name[out->n_choice]))) {
            return ba_fail(err, "out of memory");
        }
    }
    out->correct = larger;
    return 0;
}

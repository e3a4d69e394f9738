#include "planted.h"

#include "experiments/cli/decode.h"
#include "experiments/data/score_text.h"
#include "experiments/measure/answer.h"
#include "experiments/measure/intervals.h"
#include "sim/base/random.h"
#include "sim/modes/modes.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ROW(member, type, unit) BA_COLUMN(ba_planted_row, member, type, unit)

const ba_column ba_planted_columns[] = {BA_COLUMN_AS("index", ba_planted_row, item, BA_COLUMN_U64, ""),
                                        ROW(id, BA_COLUMN_TEXT, ""),
                                        ROW(mode, BA_COLUMN_TEXT, ""),
                                        ROW(secret_in, BA_COLUMN_TEXT, ""),
                                        ROW(secret, BA_COLUMN_TEXT, ""),
                                        ROW(leaks, BA_COLUMN_U64, ""),
                                        ROW(n_secret, BA_COLUMN_U64, "token"),
                                        ROW(nll, BA_COLUMN_F64, "nat"),
                                        ROW(nll_without, BA_COLUMN_F64, "nat"),
                                        ROW(same, BA_COLUMN_TEXT, ""),
                                        BA_COLUMNS_END};

#define SUMMARY(member, type, unit) BA_COLUMN(ba_planted_summary, member, type, unit)

const ba_column ba_planted_summary_columns[] = {SUMMARY(mode, BA_COLUMN_TEXT, ""),
                                                SUMMARY(secret_in, BA_COLUMN_TEXT, ""),
                                                SUMMARY(n, BA_COLUMN_U64, ""),
                                                SUMMARY(leaks, BA_COLUMN_F64, ""),
                                                SUMMARY(leaks_low, BA_COLUMN_F64, ""),
                                                SUMMARY(leaks_high, BA_COLUMN_F64, ""),
                                                SUMMARY(nll, BA_COLUMN_F64, "nat/token"),
                                                SUMMARY(nll_without, BA_COLUMN_F64, "nat/token"),
                                                SUMMARY(change, BA_COLUMN_F64, "nat/token"),
                                                SUMMARY(change_low, BA_COLUMN_F64, "nat/token"),
                                                SUMMARY(change_high, BA_COLUMN_F64, "nat/token"),
                                                SUMMARY(same, BA_COLUMN_TEXT, ""),
                                                BA_COLUMNS_END};

/* ---- the secret -------------------------------------------------------------------------------------------------- */

/* A word of three syllables, capitalised. */
static void make_word(uint64_t *rng, char out[16]) {
    static const char *const onset[] = {"b", "d", "f", "g", "k", "l", "m", "n", "p", "r", "s", "t", "v", "z"};
    static const char *const rhyme[] = {"a", "e", "i", "o", "u", "an", "el", "ir", "om", "us"};
    size_t used = 0;
    for (size_t i = 0; i < 3; i++) {
        used += (size_t)snprintf(out + used, 16 - used, "%s%s", onset[ba_random_below(rng, 14)],
                                 rhyme[ba_random_below(rng, 10)]);
    }
    out[0] = (char)(out[0] - 'a' + 'A');
}

static bool is_in_item(const ba_item *item, const char *word) {
    bool found = strcasestr(item->question, word) != NULL;
    for (size_t i = 0; i < item->n_doc && !found; i++) {
        const ba_document *d = &item->doc[i];
        found = strcasestr(d->text, word) || (d->title && strcasestr(d->title, word));
    }
    for (size_t i = 0; i < item->n_answer && !found; i++) {
        found = strcasestr(item->answers[i], word) != NULL;
    }
    return found;
}

void ba_planted_secret(const ba_item *item, uint64_t seed, size_t number, char out[32]) {
    uint64_t rng = seed * UINT64_C(0x9e3779b97f4a7c15) + number;
    char word[16];
    do {
        make_word(&rng, word);
    } while (is_in_item(item, word));
    snprintf(out, 32, "%s", word);
}

/* The title of the most relevant document that has one. */
static char *subject_of(const ba_item *item) {
    static char none[] = "this collection";
    char *subject = none;
    for (size_t i = 0; i < item->n_doc; i++) {
        subject = item->doc[i].title && *item->doc[i].title ? item->doc[i].title : subject;
    }
    return subject;
}

int ba_planted_pair_of(const ba_item *item, const char *secret, ba_planted_pair *out, char err[BA_ERR_LEN]) {
    char *subject = subject_of(item);
    *out = (ba_planted_pair){.own = *item, .donor = *item};
    if (asprintf(&out->question, "What is the code word of %s?", subject) < 0) {
        out->question = NULL;
    }
    if (asprintf(&out->passage, "The code word of %s is %s. Remember it: the code word is %s.", subject, secret,
                 secret) < 0) {
        out->passage = NULL;
    }
    out->donor.doc = calloc(item->n_doc + 1, sizeof *out->donor.doc);
    if (!out->question || !out->passage || !out->donor.doc) {
        return ba_fail(err, "out of memory");
    }
    out->own.question = out->donor.question = out->question;
    out->donor.doc[0] = (ba_document){.title = subject, .text = out->passage};
    for (size_t i = 0; i < item->n_doc; i++) {
        out->donor.doc[1 + i] = item->doc[i];
    }
    out->donor.n_doc++;
    return 0;
}

void ba_planted_free(ba_planted_pair *pair) {
    free(pair->question);
    free(pair->passage);
    free(pair->donor.doc);
    *pair = (ba_planted_pair){.question = NULL};
}

/* ---- modes ------------------------------------------------------------------------------------------------------- */

int ba_planted_mode(const char *mode, char *out, size_t size, char err[BA_ERR_LEN]) {
    char canonical[128];
    *out = '\0';
    if (ba_mode_check(mode, canonical, sizeof canonical, err) != 0) {
        return -1;
    }
    if (strstr(canonical, "skip=")) {
        return ba_fail(err, "mode %s: a planted passage is what is skipped; leave skip out", canonical);
    }
    for (const ba_mode_param *p = ba_mode_of(canonical)->param; p->key; p++) {
        if (strcmp(p->key, "skip") == 0) {
            snprintf(out, size, "%s%cskip=0", canonical, strchr(canonical, ':') ? ',' : ':');
        }
    }
    return 0;
}

/* ---- one item ---------------------------------------------------------------------------------------------------- */

/* The two prompts of an item, and the secret in tokens. */
typedef struct pair {
    const ba_planted *p;
    ba_prompt *own, *donor;
    int32_t *secret; /* [n] */
    size_t n;
    char *word;
} pair;

/* What a run says about the secret. logits [vocab]: of the first token; leaks NULL: no answer is decoded. */
static int run_plan(const pair *a, const ba_plan *plan, double *logits, double *nll, uint64_t *leaks,
                    char err[BA_ERR_LEN]) {
    const ba_planted *p = a->p;
    const ba_decode_options how = {.max_tokens = p->max_tokens};
    ba_run *run = NULL;
    ba_decoded answer = {0};
    int rc = ba_engine_run(p->engine, plan, &p->opt, a->n > p->max_tokens ? a->n : p->max_tokens, &run, err);
    if (rc || (rc = ba_run_check(run, err))) {
        goto done;
    }
    memcpy(logits, ba_run_logits(run), ba_engine_shape(p->engine)->vocab * sizeof *logits);
    rc = ba_answer_nll(run, a->secret, a->n, nll, err);
    if (!rc && leaks && !(rc = ba_decode(p->engine, p->tok, run, &how, &answer, err))) {
        *leaks = ba_subspan_em(answer.text, &a->word, 1) > 0;
    }
    ba_decoded_free(&answer);
done:
    ba_run_free(run);
    return rc;
}

/* Answers the donor's request, so that the store holds what it leaves there. */
static int run_donor(const pair *a, const char *mode, char err[BA_ERR_LEN]) {
    ba_plan *plan = NULL;
    ba_run *run = NULL;
    int rc = ba_mode_plan(mode, a->donor, &plan, err);
    rc = rc ? rc : ba_engine_run(a->p->engine, plan, &a->p->opt, 0, &run, err);
    ba_run_free(run);
    ba_plan_free(plan);
    return rc;
}

/* logits: scratch [2, vocab]. */
static int measure_mode(const pair *a, const char *mode, double *logits, ba_planted_row *row, char err[BA_ERR_LEN]) {
    const size_t vocab = ba_engine_shape(a->p->engine)->vocab;
    char spliced[128];
    ba_plan *own = NULL, *taken = NULL;
    int rc = ba_planted_mode(mode, spliced, sizeof spliced, err);
    rc = rc ? rc : ba_mode_plan(mode, a->own, &own, err);
    rc = rc || !*spliced ? rc : ba_mode_plan(spliced, a->donor, &taken, err);
    if (rc) {
        goto done;
    }
    snprintf(row->mode, sizeof row->mode, "%s", own->mode);
    snprintf(row->secret_in, sizeof row->secret_in, "donor");
    ba_store_clear(a->p->store);
    if ((rc = run_plan(a, own, logits, &row->nll_without, NULL, err))) {
        goto done;
    }
    ba_store_clear(a->p->store);
    rc = taken ? 0 : run_donor(a, mode, err);
    rc = rc ? rc : run_plan(a, taken ? taken : own, logits + vocab, &row->nll, &row->leaks, err);
    bool same = !rc && memcmp(logits, logits + vocab, vocab * sizeof *logits) == 0;
    snprintf(row->same, sizeof row->same, "%s", taken ? "-" : same ? "ok" : "FAIL");
done:
    ba_plan_free(own);
    ba_plan_free(taken);
    return rc;
}

/* Full attention, with the secret in the prompt and without. */
static int measure_reader(const pair *a, double *logits, ba_planted_row *row, char err[BA_ERR_LEN]) {
    ba_plan *reads = NULL, *own = NULL;
    int rc = ba_mode_plan("full", a->donor, &reads, err) || ba_mode_plan("full", a->own, &own, err) ? -1 : 0;
    snprintf(row->mode, sizeof row->mode, "full");
    snprintf(row->secret_in, sizeof row->secret_in, "prompt");
    snprintf(row->same, sizeof row->same, "-");
    rc = rc ? rc : run_plan(a, own, logits, &row->nll_without, NULL, err);
    rc = rc ? rc : run_plan(a, reads, logits, &row->nll, &row->leaks, err);
    ba_plan_free(reads);
    ba_plan_free(own);
    return rc;
}

static int open_pair(pair *a, const ba_item *item, char *secret, char err[BA_ERR_LEN]) {
    ba_planted_pair asked;
    int rc = ba_planted_pair_of(item, secret, &asked, err);
    rc = rc ? rc : ba_item_prompt(&asked.own, a->p->tok, &a->own, err);
    rc = rc ? rc : ba_item_prompt(&asked.donor, a->p->tok, &a->donor, err);
    rc = rc ? rc : ba_answer_ids(secret, a->p->tok, &a->secret, &a->n, err);
    a->word = secret;
    ba_planted_free(&asked);
    return rc;
}

int ba_planted_measure(const ba_planted *p, const ba_item *item, size_t number, char *const *mode, size_t n,
                       ba_planted_row *row, char err[BA_ERR_LEN]) {
    char secret[32];
    pair a = {.p = p};
    double *logits = malloc(2 * ba_engine_shape(p->engine)->vocab * sizeof *logits);
    ba_planted_secret(item, p->seed, number, secret);
    int rc = logits ? open_pair(&a, item, secret, err) : ba_fail(err, "out of memory");
    for (size_t m = 0; m <= n && rc == 0; m++) {
        row[m] = (ba_planted_row){.item = number, .n_secret = a.n};
        snprintf(row[m].id, sizeof row[m].id, "%s", item->id ? item->id : "");
        snprintf(row[m].secret, sizeof row[m].secret, "%s", secret);
        rc = m ? measure_mode(&a, mode[m - 1], logits, &row[m], err) : measure_reader(&a, logits, &row[m], err);
    }
    ba_prompt_free(a.own);
    ba_prompt_free(a.donor);
    free(a.secret);
    free(logits);
    return rc;
}

/* ---- all items --------------------------------------------------------------------------------------------------- */

ba_planted_summary ba_planted_summarise(const ba_planted_row *first, size_t n, size_t step, double *room) {
    ba_planted_summary s = {.n = n};
    double *leaks = room, *change = room + n, *tokens = room + 2 * n;
    bool broken = false;
    memcpy(s.mode, first->mode, sizeof s.mode);
    memcpy(s.secret_in, first->secret_in, sizeof s.secret_in);
    for (size_t i = 0; i < n; i++) {
        const ba_planted_row *row = &first[i * step];
        leaks[i] = (double)row->leaks;
        change[i] = row->nll - row->nll_without;
        tokens[i] = (double)row->n_secret;
        s.nll += row->nll;
        s.nll_without += row->nll_without;
        broken = broken || strcmp(row->same, "FAIL") == 0;
    }
    ba_mean share = ba_mean_score(leaks, n), moved = ba_mean_of(change, tokens, n);
    double all = 0;
    for (size_t i = 0; i < n; i++) {
        all += tokens[i];
    }
    s.nll /= all;
    s.nll_without /= all;
    s.leaks = share.mean, s.leaks_low = share.low, s.leaks_high = share.high;
    s.change = moved.mean, s.change_low = moved.low, s.change_high = moved.high;
    snprintf(s.same, sizeof s.same, "%s", broken ? "FAIL" : first->same);
    return s;
}

/* Ids of texts that came before: the same ids, within the bound, never those of another text. */
#include "sim/tokenizer/tokenizer.h"
#include "tests/support/golden_tokens.h"
#include "tests/support/runner.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool has(ba_remembered *r, uint64_t hash, const char *text, bool special, int32_t first, size_t n) {
    int32_t *ids = NULL;
    size_t got = 99;
    bool found = ba_remembered_find(r, hash, text, strlen(text), special, &ids, &got);
    bool same = found && got == n && (n == 0 || ids[0] == first);
    free(ids);
    return same;
}

static void test_found(void) {
    ba_remembered *r = ba_remembered_new(1 << 16);
    CU_ASSERT_PTR_NOT_NULL_FATAL(r);
    const int32_t a[] = {1, 2}, b[] = {7};
    ba_remembered_add(r, 5, "one", 3, false, a, 2);
    ba_remembered_add(r, 5, "two", 3, false, b, 1); /* another text with the same hash */
    ba_remembered_add(r, 5, "one", 3, true, b, 1);  /* the same text with its marks parsed */
    ba_remembered_add(r, 5, "", 0, false, NULL, 0);
    CU_ASSERT(has(r, 5, "one", false, 1, 2));
    CU_ASSERT(has(r, 5, "two", false, 7, 1));
    CU_ASSERT(has(r, 5, "one", true, 7, 1));
    CU_ASSERT(has(r, 5, "", false, 0, 0));
    CU_ASSERT_FALSE(has(r, 5, "three", false, 0, 0));
    CU_ASSERT_FALSE(has(r, 6, "one", false, 1, 2));
    ba_remembered_add(r, 5, "one", 3, false, b, 1); /* is remembered: nothing changes */
    CU_ASSERT(has(r, 5, "one", false, 1, 2));
    CU_ASSERT_EQUAL(ba_remembered_count(r).texts, 4);
    ba_remembered_forget(r);
    CU_ASSERT_FALSE(has(r, 5, "one", false, 1, 2));
    CU_ASSERT_EQUAL(ba_remembered_count(r).bytes, 0);
    ba_remembered_free(r);
}

/* The text that was asked for longest ago goes first, and the bound holds after every one. */
static void test_bound(void) {
    enum { MOST = 20000, TEXTS = 3000, LENGTH = 100 };
    ba_remembered *r = ba_remembered_new(MOST);
    CU_ASSERT_PTR_NOT_NULL_FATAL(r);
    char text[LENGTH + 1], *long_text = calloc(1, MOST);
    int32_t ids[25] = {3};
    size_t most = 0;
    for (size_t i = 0; i < TEXTS; i++) {
        snprintf(text, sizeof text, "%0*zu", LENGTH, i);
        ba_remembered_add(r, i, text, LENGTH, false, ids, 25);
        ba_remembered_counts count = ba_remembered_count(r);
        CU_ASSERT_FATAL(count.bytes <= MOST && count.texts >= 1);
        CU_ASSERT_FATAL(count.bytes >= count.texts * (LENGTH + sizeof ids));
        most = count.texts > most ? count.texts : most;
        snprintf(text, sizeof text, "%0*d", LENGTH, 0);
        CU_ASSERT_FATAL(has(r, 0, text, false, 3, 25)); /* asked for every time */
    }
    CU_ASSERT(most > 50 && ba_remembered_count(r).texts == most);
    snprintf(text, sizeof text, "%0*d", LENGTH, 1);
    CU_ASSERT_FALSE(has(r, 1, text, false, 3, 25));
    snprintf(text, sizeof text, "%0*d", LENGTH, TEXTS - 1);
    CU_ASSERT(has(r, TEXTS - 1, text, false, 3, 25));
    ba_remembered_add(r, 9, long_text, MOST - 1, false, ids, 1); /* would take the place of all others */
    CU_ASSERT_EQUAL(ba_remembered_count(r).texts, most);
    free(long_text);
    ba_remembered_free(r);
}

enum { JOINED = 30 }; /* the golden texts are short; so many together are long enough to be remembered */

/* Golden texts [first, first + JOINED) in one; freed with free. */
static char *joined(const ba_golden_tokens *g, size_t first, size_t *len) {
    size_t room = 0;
    for (size_t i = first; i < first + JOINED; i++) {
        room += g->item[i].text.n;
    }
    char *text = malloc(room + 1), *end = text;
    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    for (size_t i = first; i < first + JOINED; i++) {
        end = mempcpy(end, g->item[i].text.s, g->item[i].text.n);
    }
    *len = room;
    return text;
}

static bool same(const int32_t *a, size_t n_a, const int32_t *b, size_t n_b) {
    return n_a == n_b && (n_a == 0 || memcmp(a, b, n_a * sizeof *a) == 0);
}

/* A tokenizer gives the same ids the second time, in every family, and does not compute them again. */
static void test_same_ids(void) {
    static const char *const names[] = {"gpt-2", "llama-bpe", "qwen2", "spm-gemma", "spm-llama"};
    for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
        char err[BA_ERR_LEN];
        ba_tokenizer *t = NULL;
        ba_golden_tokens *g = ba_golden_tokens_open(names[k]);
        CU_ASSERT_PTR_NOT_NULL_FATAL(g);
        CU_ASSERT_EQUAL_FATAL(ba_tokenizer_new(&g->vocab, &t, err), 0);
        size_t texts = 0;
        for (size_t i = 0; i + JOINED <= g->n; i += JOINED, texts++) {
            size_t len, n[3];
            int32_t *ids[3];
            char *text = joined(g, i, &len);
            bool special = texts % 2;
            for (int round = 0; round < 3; round++) {
                if (round == 2) {
                    ba_tokenizer_forget(t);
                }
                CU_ASSERT_EQUAL_FATAL(ba_tokenize(t, text, len, special, &ids[round], &n[round], err), 0);
            }
            CU_ASSERT(n[0] > 0 && same(ids[0], n[0], ids[1], n[1]) && same(ids[0], n[0], ids[2], n[2]));
            for (int round = 0; round < 3; round++) {
                free(ids[round]);
            }
            free(text);
        }
        ba_remembered_counts count = ba_tokenizer_remembered(t);
        CU_ASSERT(texts >= 10 && count.found == texts && count.missed == 2 * texts && count.texts == 1);
        ba_tokenizer_free(t);
        ba_golden_tokens_close(g);
    }
}

typedef struct job {
    const ba_tokenizer *t;
    char *const *text;
    const size_t *len;
    int32_t *const *ids;
    const size_t *n;
    size_t texts, differ;
} job;

static void *tokenize_all(void *arg) {
    job *j = arg;
    char err[BA_ERR_LEN];
    for (size_t i = 0; i < 40 * j->texts; i++) {
        size_t n = 0, k = i % j->texts;
        int32_t *ids = NULL;
        int rc = ba_tokenize(j->t, j->text[k], j->len[k], false, &ids, &n, err);
        j->differ += rc != 0 || !same(ids, n, j->ids[k], j->n[k]);
        free(ids);
    }
    return NULL;
}

/* Several threads share a tokenizer. */
static void test_threads(void) {
    enum { THREADS = 4, TEXTS = 10 };
    char err[BA_ERR_LEN], *text[TEXTS];
    size_t len[TEXTS], n[TEXTS];
    int32_t *ids[TEXTS];
    ba_tokenizer *t = NULL;
    ba_golden_tokens *g = ba_golden_tokens_open("qwen2");
    pthread_t thread[THREADS];
    job jobs[THREADS];
    CU_ASSERT_FATAL(g && g->n >= TEXTS * JOINED);
    CU_ASSERT_EQUAL_FATAL(ba_tokenizer_new(&g->vocab, &t, err), 0);
    for (size_t i = 0; i < TEXTS; i++) {
        text[i] = joined(g, i * JOINED, &len[i]);
        CU_ASSERT_EQUAL_FATAL(ba_tokenize(t, text[i], len[i], false, &ids[i], &n[i], err), 0);
    }
    ba_tokenizer_forget(t);
    for (size_t i = 0; i < THREADS; i++) {
        jobs[i] = (job){t, text, len, ids, n, TEXTS, 0};
        CU_ASSERT_EQUAL_FATAL(pthread_create(&thread[i], NULL, tokenize_all, &jobs[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(thread[i], NULL);
        CU_ASSERT_EQUAL(jobs[i].differ, 0);
    }
    CU_ASSERT_EQUAL(ba_tokenizer_remembered(t).texts, TEXTS);
    for (size_t i = 0; i < TEXTS; i++) {
        free(text[i]);
        free(ids[i]);
    }
    ba_tokenizer_free(t);
    ba_golden_tokens_close(g);
}

int ba_suite_remembered(void) {
    CU_pSuite s = CU_add_suite("remembered", NULL, NULL);
    return s && CU_add_test(s, "a text is found by itself and by nothing else", test_found) &&
                   CU_add_test(s, "the bound holds, and what is asked for stays", test_bound) &&
                   CU_add_test(s, "the second time gives the same ids", test_same_ids) &&
                   CU_add_test(s, "threads share a tokenizer", test_threads)
               ? 0
               : -1;
}

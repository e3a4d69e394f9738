/* Tasks as text: what each family makes of a line, demonstrations, and that generated items can be answered. */
#include "experiments/tasks/tasks.h"
#include "tests/support/runner.h"
#include "tests/support/tiny.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

typedef struct fixture {
    ba_model *model;
    ba_tokenizer *tok;
    ba_prompts *prompts;
    char folder[4096], said[BA_ERR_LEN * 2];
    size_t reports;
    ba_task_source from;
} fixture;

static void on_report(void *arg, const char *line) {
    fixture *f = arg;
    f->reports++;
    snprintf(f->said, sizeof f->said, "%s", line);
}

static void put(const fixture *f, const char *name, const char *text) {
    char path[5000];
    snprintf(path, sizeof path, "%s/%s", f->folder, name);
    FILE *out = fopen(path, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(out);
    fputs(text, out);
    fclose(out);
}

static void open_all(fixture *f) {
    char path[4096], err[BA_ERR_LEN];
    *f = (fixture){0};
    snprintf(path, sizeof path, "%s/tasks.gguf", ba_test_dir());
    CU_ASSERT_EQUAL_FATAL(ba_tiny_gguf(path, NULL), 0);
    CU_ASSERT_EQUAL_FATAL(ba_model_open(path, false, &f->model, err), 0);
    CU_ASSERT_EQUAL_FATAL(ba_tokenizer_new(ba_model_vocab(f->model), &f->tok, err), 0);
    CU_ASSERT_EQUAL_FATAL(ba_prompts_open(NULL, f->tok, &f->prompts, err), 0);
    snprintf(f->folder, sizeof f->folder, "%s/tasks", ba_test_dir());
    static const char *const part[] = {"", "/rag", "/icl"};
    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s%s", f->folder, part[i]);
        mkdir(path, 0700);
    }
    f->from = (ba_task_source){
        .prompts = f->prompts, .folder = f->folder, .passages = 6, .words = 30, .report = on_report, .arg = f};
    put(f, "rag/nq.eval.jsonl",
        "{\"id\": \"a\", \"question\": \"who\", \"answers\": [\"Ann\"], \"documents\": [{\"title\": \"far\", "
        "\"text\": \"rain\"}, {\"title\": \"near\", \"text\": \"it was Ann\"}]}\n");
    put(f, "icl/gsm8k.test.jsonl", "{\"question\": \"two and two\", \"target\": \"4\"}\n");
    put(f, "icl/gsm8k.train.jsonl",
        "{\"question\": \"q1\", \"solution\": \"#### 1\"}\n{\"question\": \"q2\", \"solution\": "
        "\"#### 2\"}\n{\"question\": \"q3\", \"solution\": \"#### 3\"}\n{\"question\": \"q4\", "
        "\"solution\": \"#### 4\"}\n");
    put(f, "icl/bbh.jsonl", "{\"task\": \"two\", \"input\": \"x\", \"target\": \"y\"}\n");
    put(f, "icl/bbh_fewshot.json",
        "{\"one\": {\"cot_fewshot\": {\"description\": \"d1\", \"samples\": [{\"input\": \"i1\", "
        "\"target\": \"t1\"}]}}, \"two\": {\"cot_fewshot\": {\"description\": \"d2\", \"samples\": "
        "[{\"input\": \"i2\", \"target\": \"t2\"}, {\"input\": \"i3\", \"target\": \"t3\"}]}}}");
    put(f, "icl/mmlu.test.jsonl",
        "{\"subject\": \"high_school_x\", \"question\": \"q\", \"choices\": [\"p\", \"q\", \"r\", \"s\"], \"target\": "
        "\"C\"}\n"
        "{\"subject\": \"x\", \"question\": \"q\", \"choices\": [\"p\", \"q\", \"r\"], \"target\": \"C\"}\n"
        "{\"subject\": \"x\", \"question\": \"q\", \"choices\": [\"p\", \"q\", \"r\", \"s\"], \"target\": \"E\"}\n");
    put(f, "icl/ifeval.jsonl",
        "{\"key\": 1000, \"prompt\": \"no commas\", \"instruction_id_list\": [], \"kwargs\": []}\n");
}

static void close_all(fixture *f) {
    ba_prompts_close(f->prompts);
    ba_tokenizer_free(f->tok);
    ba_model_close(f->model);
}

static size_t count(const ba_task_item *item, ba_role role) {
    size_t n = 0;
    for (size_t i = 0; i < item->n_part; i++) {
        n += item->part[i].role == role;
    }
    return n;
}

static ba_task_items read_or_die(const fixture *f, const char *name) {
    const ba_task *task;
    ba_task_items items;
    char err[BA_ERR_LEN] = "";
    int rc = ba_task_read(name, &f->from, &task, &items, err);
    if (rc) {
        fprintf(stderr, "%s\n", err);
    }
    CU_ASSERT_EQUAL_FATAL(rc, 0);
    return items;
}

static void rag_items(void) {
    fixture f;
    open_all(&f);
    ba_task_items items = read_or_die(&f, "nq");
    const ba_task_item *it = &items.item[0];
    CU_ASSERT_EQUAL_FATAL(it->n_part, 4);
    CU_ASSERT_STRING_EQUAL(it->part[1].text, "- Title: far\nrain\n");
    CU_ASSERT_STRING_EQUAL(it->part[2].text, "- Title: near\nit was Ann\n");
    CU_ASSERT_STRING_EQUAL(
        it->part[3].text,
        "\n\nPlease write a high-quality answer for the given question using only the provided search "
        "documents (some of which might be irrelevant).\nQuestion: who");
    CU_ASSERT_PTR_NULL(it->note);
    uint64_t hash = it->hash;
    ba_task_items_free(&items);
    f.from.order = BA_BEST_FIRST;
    items = read_or_die(&f, "nq");
    CU_ASSERT_STRING_EQUAL(items.item[0].part[1].text, "- Title: near\nit was Ann\n");
    CU_ASSERT_TRUE(items.item[0].hash != hash);
    ba_task_items_free(&items);
    close_all(&f);
}

static void demonstrations_are_blocks(void) {
    fixture f;
    open_all(&f);
    ba_task_items items = read_or_die(&f, "gsm8k");
    CU_ASSERT_EQUAL(count(&items.item[0], BA_ROLE_DEMONSTRATION), 4);
    CU_ASSERT_STRING_EQUAL(items.item[0].part[3].text, "Question: q4\nAnswer: #### 4\n\n");
    CU_ASSERT_STRING_EQUAL(items.item[0].part[4].text, "Question: two and two\nAnswer:");
    ba_task_items_free(&items);
    items = read_or_die(&f, "bbh"); /* the demonstrations of its own task only */
    CU_ASSERT_EQUAL(count(&items.item[0], BA_ROLE_DEMONSTRATION), 2);
    CU_ASSERT_STRING_EQUAL(items.item[0].part[0].text, "d2\n\n");
    ba_task_items_free(&items);
    close_all(&f);
}

static void choices_and_bad_lines(void) {
    fixture f;
    open_all(&f);
    ba_task_items items = read_or_die(&f, "mmlu");
    CU_ASSERT_EQUAL(items.n, 1);
    CU_ASSERT_EQUAL(items.n_bad, 2);
    CU_ASSERT_EQUAL(f.reports, 2);
    CU_ASSERT_PTR_NOT_NULL(strstr(f.said, "line 3: field \"target\""));
    CU_ASSERT_EQUAL(items.item[0].n_choice, 4);
    CU_ASSERT_EQUAL(items.item[0].correct, 2);
    CU_ASSERT_PTR_NOT_NULL(strstr(items.item[0].part[0].text, "about high school x."));
    ba_task_items_free(&items);
    f.from.strict = true;
    const ba_task *task;
    char err[BA_ERR_LEN];
    CU_ASSERT_EQUAL(ba_task_read("mmlu", &f.from, &task, &items, err), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err, "line 2: field \"choices\""));
    CU_ASSERT_EQUAL(ba_task_read("drop", &f.from, &task, &items, err), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err, "published at"));
    CU_ASSERT_EQUAL(ba_task_read("no-such", &f.from, &task, &items, err), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err, "hotpotqa"));
    items = read_or_die(&f, "ifeval");
    CU_ASSERT_STRING_EQUAL(items.item[0].id, "1000");
    CU_ASSERT_STRING_EQUAL(items.item[0].part[0].text, "no commas");
    ba_task_items_free(&items);
    close_all(&f);
}

static size_t passages_with(const ba_task_item *item, const char *what) {
    size_t n = 0;
    for (size_t i = 0; i < item->n_part; i++) {
        n += item->part[i].role == BA_ROLE_PASSAGE && strstr(item->part[i].text, what);
    }
    return n;
}

/* The name that a question ends with: "... of NAME? Answer with ..." */
static char *asked_name(const ba_task_item *item, const char *before) {
    const char *text = item->part[item->n_part - 1].text, *at = strstr(text, before);
    CU_ASSERT_PTR_NOT_NULL_FATAL(at);
    at += strlen(before);
    return strndup(at, strcspn(at, "?"));
}

static void generated_items(void) {
    static const char *const name[] = {"needle", "needles", "kv", "hops", "compare"};
    fixture f;
    open_all(&f);
    f.from.limit = 20;
    for (size_t k = 0; k < 5; k++) {
        f.from.seed = 0;
        ba_task_items a = read_or_die(&f, name[k]), b = read_or_die(&f, name[k]);
        f.from.seed = 1;
        ba_task_items c = read_or_die(&f, name[k]);
        CU_ASSERT_EQUAL_FATAL(a.n, 20);
        for (size_t i = 0; i < a.n; i++) {
            CU_ASSERT_EQUAL(a.item[i].hash, b.item[i].hash);
            CU_ASSERT_NOT_EQUAL(a.item[i].hash, c.item[i].hash);
            CU_ASSERT_EQUAL(count(&a.item[i], BA_ROLE_PASSAGE), 6);
            CU_ASSERT_EQUAL(passages_with(&a.item[i], a.item[i].answer[0]), 1);
            CU_ASSERT_TRUE(a.item[i].n_choice == 0 ||
                           !strcmp(a.item[i].choice[a.item[i].correct], a.item[i].answer[0]));
        }
        ba_task_items_free(&a);
        ba_task_items_free(&b);
        ba_task_items_free(&c);
    }
    close_all(&f);
}

/* Of an item that asks for all its answers the score is the share that is found; of any other one is enough. */
static void all_answers_are_asked_for(void) {
    char *answers[] = {"17", "23", "41", "5"};
    ba_task_item item = {.answer = answers, .n_answer = 4};
    const ba_task *task = ba_task_rag_file();
    CU_ASSERT_EQUAL(task->score(&item, "They are 23 and 17.").score, 1);
    item.all = true;
    ba_scores s = task->score(&item, "They are 23 and 17.");
    CU_ASSERT(s.score == 0.5 && isnan(s.em) && isnan(s.f1));
    CU_ASSERT_EQUAL(task->score(&item, "none").score, 0);
}

/* Following the chain from the question leads to the answer; returns over how many passages. */
static size_t follow(const ba_task_item *it) {
    char *name = asked_name(it, "the number of ");
    size_t links = 0;
    for (bool more = true; more && links < 20; links++) {
        char is[128], same[128];
        snprintf(is, sizeof is, "number of %s is %s.", name, it->answer[0]);
        snprintf(same, sizeof same, "number of %s is the same as the number of ", name);
        more = false;
        for (size_t p = 0; p < it->n_part; p++) {
            const char *at = strstr(it->part[p].text, same);
            if (at) {
                free(name);
                at += strlen(same);
                name = strndup(at, strcspn(at, "."));
                more = true;
                break;
            }
        }
        CU_ASSERT_TRUE(more || passages_with(it, is) == 1);
    }
    free(name);
    return links;
}

/* By itself a chain is as long as six passages allow; --hops makes it longer, and is refused where it cannot. */
static void hops_can_be_followed(void) {
    static const size_t hops[] = {0, 1, 5, 11}, passages[] = {6, 6, 12, 24}, links[] = {3, 2, 6, 12};
    char err[BA_ERR_LEN] = "";
    const ba_task *task;
    ba_task_items items;
    fixture f;
    open_all(&f);
    f.from.limit = 20;
    for (size_t k = 0; k < 4; k++) {
        f.from.hops = hops[k];
        f.from.passages = passages[k];
        items = read_or_die(&f, "hops");
        for (size_t i = 0; i < items.n; i++) {
            CU_ASSERT_EQUAL(follow(&items.item[i]), links[k]);
        }
        ba_task_items_free(&items);
    }
    f.from.passages = 23;
    CU_ASSERT_EQUAL(ba_task_read("hops", &f.from, &task, &items, err), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err, "11 hops need at least 24 passages"));
    close_all(&f);
}

/* One passage more would be too long, and a length that holds no chain is refused. */
static void generated_items_fit_a_length(void) {
    static const char *const name[] = {"needle", "kv", "hops"};
    char err[BA_ERR_LEN] = "";
    fixture f;
    open_all(&f);
    f.from.limit = 1;
    for (size_t k = 0; k < 3; k++) {
        const ba_task *task = ba_task_by_name(name[k]);
        size_t tokens[2];
        CU_ASSERT_EQUAL_FATAL(ba_task_fit(task, &f.from, f.tok, 4096, err), 0);
        for (size_t more = 0; more < 2; more++, f.from.passages++) {
            ba_task_items items = read_or_die(&f, name[k]);
            tokens[more] = ba_task_tokens(&items.item[0], f.tok, err);
            ba_task_items_free(&items);
        }
        CU_ASSERT(tokens[0] <= 4096 && tokens[1] > 4096);
    }
    f.from.hops = 11;
    CU_ASSERT_EQUAL(ba_task_fit(ba_task_by_name("hops"), &f.from, f.tok, 1024, err), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err, "24 passages"));
    close_all(&f);
}

int ba_suite_tasks(void) {
    CU_pSuite s = CU_add_suite("tasks", NULL, NULL);
    return s && CU_add_test(s, "RAG items in the paper's words", rag_items) &&
                   CU_add_test(s, "demonstrations are blocks", demonstrations_are_blocks) &&
                   CU_add_test(s, "choices, and malformed lines", choices_and_bad_lines) &&
                   CU_add_test(s, "generated items", generated_items) &&
                   CU_add_test(s, "all answers are asked for", all_answers_are_asked_for) &&
                   CU_add_test(s, "hops can be followed", hops_can_be_followed) &&
                   CU_add_test(s, "generated items fit a length", generated_items_fit_a_length)
               ? 0
               : -1;
}

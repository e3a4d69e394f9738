/* Tasks: what is asked and what counts as right, as text. One row of tasks.c per task, one file per family.
 *
 * A task's items are read from a file of the data folder (or any RAG file), line by line, or made from a seed. Each item is
 * a list of parts that become segments of a prompt, the accepted answers, and in some tasks choices. */
#ifndef BA_TASKS_H
#define BA_TASKS_H

#include "experiments/data/prompts.h"
#include "experiments/data/rag.h"

#include <cjson/cJSON.h>

typedef struct ba_task_item {
    char *id;
    ba_part *part; /* [n_part] */
    size_t n_part;
    char **answer; /* [n_answer] accepted; the first is the gold answer, whose NLL is taken */
    size_t n_answer;
    bool all;      /* every answer is asked for: the score is the share that the output has */
    char **choice; /* [n_choice] the likeliest is taken for the answer; none: the answer is generated */
    size_t n_choice, correct;
    uint64_t hash;    /* of everything above */
    const char *note; /* a remark that is counted ("no answer is in the documents"); or NULL */
} ba_task_item;

/* Where items come from. */
typedef struct ba_task_source {
    const ba_prompts *prompts;
    const char *folder; /* the data folder */
    ba_order order;
    size_t limit; /* items at most; 0: all */
    bool strict;  /* a malformed line is an error; otherwise it is reported and skipped */
    uint64_t seed;
    size_t passages, words; /* of a generated item: passages, words a passage */
    size_t hops;            /* of the task hops: how often a value is handed on; 0: up to 3, as the passages allow */
    void (*report)(void *arg, const char *line); /* lines that are skipped */
    void *arg;
} ba_task_source;

/* Demonstrations by topic ("" if all items have the same ones), in the order of the prompt. */
typedef struct ba_shots {
    struct ba_shot {
        char *topic;
        ba_part part;
    } * shot; /* [n] */
    size_t n, cap;
} ba_shots;

/* Of one output; NaN where a task has no such score. */
typedef struct ba_scores {
    double score, em, f1;
} ba_scores;

typedef struct ba_task {
    const char *name, *file; /* file in the data folder; NULL: generated */
    const char *shots_file;  /* demonstrations; NULL: none */
    const char *origin;      /* where the set is published */
    const char *metric;      /* what `score` is */
    /* Fills an item from a line's object (or, of a generated task, from its number). 0, or -1 and err. */
    int (*parse)(const ba_task_source *from, const ba_shots *shots, const cJSON *line, ba_task_item *out,
                 char err[BA_ERR_LEN]);
    int (*make)(const ba_task_source *from, size_t number, ba_task_item *out, char err[BA_ERR_LEN]);
    int (*shots)(const ba_task_source *from, const char *path, ba_shots *out, char err[BA_ERR_LEN]);
    /* NULL: choices are compared, or another program scores the outputs. */
    ba_scores (*score)(const ba_task_item *item, const char *output);
    const char *const *stop; /* texts that end an output, NULL past the last; or NULL */
    size_t max_tokens;
    const char *output_key, *output_text; /* fields of a line in the official form of outputs */
} ba_task;

/* Table; NULL past the last. */
const ba_task *ba_task_at(size_t i);
const ba_task *ba_task_by_name(const char *name);
/* The task of a file in the RAG format that has no row of its own. */
const ba_task *ba_task_rag_file(void);

typedef struct ba_task_items {
    ba_task_item *item; /* [n] */
    size_t n, n_bad;    /* n_bad: malformed lines */
} ba_task_items;

/* Items of a task: `name` is a row's name or the path of a file in the RAG format. *task gets the row. 0, or -1 and err
 * (no such task: lists what there is; a missing file: says where the set is published). */
int ba_task_read(const char *name, const ba_task_source *from, const ba_task **task, ba_task_items *out,
                 char err[BA_ERR_LEN]);
void ba_task_items_free(ba_task_items *items);

/* Tokens of an item's prompt; 0 and err: it cannot be made. */
size_t ba_task_tokens(const ba_task_item *item, const ba_tokenizer *tok, char err[BA_ERR_LEN]);
/* Sets from->passages so that item 0 of a generated task is the longest of at most `length` tokens. 0, or -1 and err: not
 * even two passages fit. */
int ba_task_fit(const ba_task *task, ba_task_source *from, const ba_tokenizer *tok, size_t length,
                char err[BA_ERR_LEN]);

/* For parsers. A part is appended to an item (text owned from now on, freed on failure; NULL is a failure whose err is
 * filled; an empty text adds nothing). */
int ba_task_part(ba_task_item *item, ba_role role, char *text, char err[BA_ERR_LEN]);
int ba_task_answer(ba_task_item *item, const char *answer, char err[BA_ERR_LEN]);
int ba_shots_add(ba_shots *shots, const char *topic, ba_role role, char *text, char err[BA_ERR_LEN]);
/* Appends copies of the demonstrations of a topic. */
int ba_task_shots(ba_task_item *item, const ba_shots *shots, const char *topic, char err[BA_ERR_LEN]);
void ba_shots_free(ba_shots *shots);

/* Families: rag_qa.c, few_shot.c, zero_shot.c, synthetic.c. */
#define BA_TASK_PARSE(name)                                                                                            \
    int name(const ba_task_source *from, const ba_shots *shots, const cJSON *line, ba_task_item *out,                  \
             char err[BA_ERR_LEN])
#define BA_TASK_SHOTS(name) int name(const ba_task_source *from, const char *path, ba_shots *out, char err[BA_ERR_LEN])
#define BA_TASK_MAKE(name)  int name(const ba_task_source *from, size_t number, ba_task_item *out, char err[BA_ERR_LEN])
BA_TASK_PARSE(ba_rag_parse);
ba_scores ba_rag_score(const ba_task_item *item, const char *output);
BA_TASK_PARSE(ba_gsm8k_parse);
BA_TASK_SHOTS(ba_gsm8k_shots);
ba_scores ba_gsm8k_score(const ba_task_item *item, const char *output);
BA_TASK_PARSE(ba_math_parse);
BA_TASK_SHOTS(ba_math_shots);
ba_scores ba_math_score(const ba_task_item *item, const char *output);
BA_TASK_PARSE(ba_bbh_parse);
BA_TASK_SHOTS(ba_bbh_shots);
ba_scores ba_bbh_score(const ba_task_item *item, const char *output);
BA_TASK_PARSE(ba_drop_parse);
BA_TASK_SHOTS(ba_drop_shots);
ba_scores ba_drop_score_item(const ba_task_item *item, const char *output);
BA_TASK_PARSE(ba_mmlu_parse);
BA_TASK_PARSE(ba_ifeval_parse);
BA_TASK_PARSE(ba_humaneval_parse);
BA_TASK_MAKE(ba_needle_make);
BA_TASK_MAKE(ba_needles_make);
BA_TASK_MAKE(ba_kv_make);
BA_TASK_MAKE(ba_hops_make);
BA_TASK_MAKE(ba_compare_make);

#endif

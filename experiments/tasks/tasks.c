#include "tasks.h"

#include "experiments/data/lines.h"
#include "sim/base/grow.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RAG(task_name, task_file, task_origin)                                                                         \
    {                                                                                                                  \
        .name = (task_name), .file = (task_file), .origin = (task_origin), .metric = "best_subspan_em",                \
        .parse = ba_rag_parse, .score = ba_rag_score, .max_tokens = 200                                                \
    }

/* Generated; the answer is a number, or one of two names. */
#define MADE(task_name, maker)                                                                                         \
    {                                                                                                                  \
        .name = (task_name), .origin = "", .metric = "answer in output", .make = (maker), .score = ba_rag_score,       \
        .stop = line_end, .max_tokens = 24                                                                             \
    }

static const char *const line_end[] = {"\n", NULL}, *const next_question[] = {"\nQuestion:", NULL},
                         *const next_problem[] = {"\nProblem:", NULL}, *const next_q[] = {"\nQ:", NULL};

/* One row a task. */
static const ba_task tasks[] = {
    RAG("nq", "rag/nq.eval.jsonl", "https://github.com/nelson-liu/lost-in-the-middle (convert --from nq)"),
    RAG("2wiki", "rag/2wiki.eval.jsonl", "https://github.com/Alab-NII/2wikimultihop (convert --from 2wiki)"),
    RAG("hotpotqa", "rag/hotpotqa.eval.jsonl", "https://hotpotqa.github.io (convert --from hotpotqa)"),
    RAG("triviaqa", "rag/triviaqa.eval.jsonl", "https://nlp.cs.washington.edu/triviaqa (convert --from triviaqa)"),
    RAG("triviaqa_pool", "rag/triviaqa_pool.eval.jsonl", "https://nlp.cs.washington.edu/triviaqa"),
    RAG("popqa", "rag/popqa.eval.jsonl", "https://github.com/AlexTMallen/adaptive-retrieval"),
    RAG("musique", "rag/musique.eval.jsonl", "https://github.com/StonyBrookNLP/musique (convert --from musique)"),
    RAG("hotpotqa_fullwiki_miss", "rag/hotpotqa_fullwiki_miss.eval.jsonl", "https://hotpotqa.github.io"),
    {.name = "gsm8k",
     .file = "icl/gsm8k.test.jsonl",
     .shots_file = "icl/gsm8k.train.jsonl",
     .origin = "https://github.com/openai/grade-school-math",
     .metric = "number equal",
     .parse = ba_gsm8k_parse,
     .shots = ba_gsm8k_shots,
     .score = ba_gsm8k_score,
     .stop = next_question,
     .max_tokens = 400},
    {.name = "math",
     .file = "icl/math.test.jsonl",
     .shots_file = "icl/math_fewshot.jsonl",
     .origin = "https://github.com/hendrycks/math",
     .metric = "formula equal",
     .parse = ba_math_parse,
     .shots = ba_math_shots,
     .score = ba_math_score,
     .stop = next_problem,
     .max_tokens = 512},
    {.name = "bbh",
     .file = "icl/bbh.jsonl",
     .shots_file = "icl/bbh_fewshot.json",
     .origin = "https://github.com/suzgunmirac/BIG-Bench-Hard",
     .metric = "exact match",
     .parse = ba_bbh_parse,
     .shots = ba_bbh_shots,
     .score = ba_bbh_score,
     .stop = next_q,
     .max_tokens = 512},
    {.name = "drop",
     .file = "icl/drop.eval.jsonl",
     .shots_file = "rag/drop.train.jsonl",
     .origin = "https://allenai.org/data/drop",
     .metric = "F1",
     .parse = ba_drop_parse,
     .shots = ba_drop_shots,
     .score = ba_drop_score_item,
     .stop = line_end,
     .max_tokens = 32},
    {.name = "mmlu",
     .file = "icl/mmlu.test.jsonl",
     .origin = "https://github.com/hendrycks/test",
     .metric = "letter most likely",
     .parse = ba_mmlu_parse,
     .max_tokens = 1},
    {.name = "ifeval",
     .file = "icl/ifeval.jsonl",
     .origin = "https://github.com/google-research/google-research/tree/master/instruction_following_eval",
     .metric = "scored elsewhere",
     .parse = ba_ifeval_parse,
     .max_tokens = 1280,
     .output_key = "prompt",
     .output_text = "response"},
    {.name = "humaneval",
     .file = "icl/humaneval.jsonl",
     .origin = "https://github.com/openai/human-eval",
     .metric = "scored elsewhere",
     .parse = ba_humaneval_parse,
     .max_tokens = 512,
     .output_key = "task_id",
     .output_text = "completion"},
    MADE("needle", ba_needle_make),
    MADE("needles", ba_needles_make),
    MADE("kv", ba_kv_make),
    MADE("hops", ba_hops_make),
    MADE("compare", ba_compare_make),
    {0},
};

static const ba_task rag_file = RAG("file", NULL, "");

const ba_task *ba_task_at(size_t i) {
    return &tasks[i];
}

const ba_task *ba_task_by_name(const char *name) {
    for (const ba_task *t = tasks; t->name; t++) {
        if (strcmp(t->name, name) == 0) {
            return t;
        }
    }
    return NULL;
}

/* ---- for parsers ------------------------------------------------------------------------------------------------ */

int ba_task_part(ba_task_item *item, ba_role role, char *text, char err[BA_ERR_LEN]) {
    if (!text || !*text) {
        free(text);
        return text ? 0 : -1;
    }
    ba_part *more = realloc(item->part, (item->n_part + 1) * sizeof *more);
    if (!more) {
        free(text);
        return ba_fail(err, "out of memory");
    }
    item->part = more;
    item->part[item->n_part++] = (ba_part){role, text};
    return 0;
}

int ba_task_answer(ba_task_item *item, const char *answer, char err[BA_ERR_LEN]) {
    char **more = realloc(item->answer, (item->n_answer + 1) * sizeof *more);
    if (more) {
        item->answer = more;
    }
    if (!more || !(item->answer[item->n_answer] = strdup(answer))) {
        return ba_fail(err, "out of memory");
    }
    item->n_answer++;
    return 0;
}

const char *ba_task_text(const cJSON *object, const char *field, char err[BA_ERR_LEN]) {
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(object, field);
    if (!cJSON_IsString(v)) {
        ba_fail(err, "field \"%s\" is missing or not a string", field);
        return NULL;
    }
    return v->valuestring;
}

int ba_shots_add(ba_shots *shots, const char *topic, ba_role role, char *text, char err[BA_ERR_LEN]) {
    if (!text) {
        return -1;
    }
    char *copy = strdup(topic);
    if (!copy || ba_grow(&shots->shot, &shots->cap, shots->n + 1, sizeof *shots->shot)) {
        free(copy);
        free(text);
        return ba_fail(err, "out of memory");
    }
    shots->shot[shots->n++] = (struct ba_shot){copy, {role, text}};
    return 0;
}

int ba_task_shots(ba_task_item *item, const ba_shots *shots, const char *topic, char err[BA_ERR_LEN]) {
    for (size_t i = 0; i < shots->n; i++) {
        const struct ba_shot *s = &shots->shot[i];
        if (strcmp(s->topic, topic) == 0) {
            char *copy = strdup(s->part.text);
            if (!copy) {
                return ba_fail(err, "out of memory");
            }
            if (ba_task_part(item, s->part.role, copy, err)) {
                return -1;
            }
        }
    }
    return 0;
}

static void shots_free(ba_shots *shots) {
    for (size_t i = 0; i < shots->n; i++) {
        free(shots->shot[i].topic);
        free(shots->shot[i].part.text);
    }
    free(shots->shot);
    *shots = (ba_shots){0};
}

/* ---- items ------------------------------------------------------------------------------------------------------ */

static void item_free(ba_task_item *item) {
    for (size_t i = 0; i < item->n_answer; i++) {
        free(item->answer[i]);
    }
    for (size_t i = 0; i < item->n_choice; i++) {
        free(item->choice[i]);
    }
    ba_parts_free(item->part, item->n_part);
    free(item->answer);
    free(item->choice);
    free(item->id);
    *item = (ba_task_item){0};
}

void ba_task_items_free(ba_task_items *items) {
    for (size_t i = 0; i < items->n; i++) {
        item_free(&items->item[i]);
    }
    free(items->item);
    *items = (ba_task_items){0};
}

/* FNV-1a over a text and its end. */
static uint64_t hash_text(uint64_t h, const char *s) {
    do {
        h = (h ^ (unsigned char)*s) * 0x100000001b3u;
    } while (*s++);
    return h;
}

static uint64_t hash_item(const ba_task_item *item) {
    uint64_t h = hash_text(0xcbf29ce484222325u, item->id);
    for (size_t i = 0; i < item->n_part; i++) {
        h = hash_text(h, item->part[i].text);
    }
    for (size_t i = 0; i < item->n_answer; i++) {
        h = hash_text(h, item->answer[i]);
    }
    for (size_t i = 0; i < item->n_choice; i++) {
        h = hash_text(h, item->choice[i]);
    }
    return h;
}

static int keep(ba_task_items *out, size_t *cap, ba_task_item *item, char err[BA_ERR_LEN]) {
    if (ba_grow(&out->item, cap, out->n + 1, sizeof *out->item)) {
        item_free(item);
        return ba_fail(err, "out of memory");
    }
    item->hash = hash_item(item);
    out->item[out->n++] = *item;
    return 0;
}

/* A line that cannot be used: an error if lines must all be right, else reported and counted. */
static int pass_over(const ba_task_source *from, const char *path, size_t number, const char *why, ba_task_items *out,
                     char err[BA_ERR_LEN]) {
    char line[2 * BA_ERR_LEN];
    snprintf(line, sizeof line, "%s: line %zu: %s", path, number, why);
    if (from->strict) {
        return ba_fail(err, "%s", line);
    }
    out->n_bad++;
    if (from->report) {
        from->report(from->arg, line);
    }
    return 0;
}

static int read_file(const ba_task *t, const char *path, const ba_task_source *from, const ba_shots *shots,
                     ba_task_items *out, char err[BA_ERR_LEN]) {
    ba_lines *lines;
    if (ba_lines_open(path, &lines, err)) {
        return -1;
    }
    size_t cap = 0;
    int rc = 0, got;
    char why[BA_ERR_LEN];
    cJSON *o = NULL;
    while (!rc && (!from->limit || out->n < from->limit) && (got = ba_lines_next(lines, &o, why)) != 0) {
        ba_task_item item = {0};
        if (got < 0) {
            rc = ba_fail(err, "%s", why);
        } else if (got == BA_LINE_BAD || t->parse(from, shots, o, &item, why)) {
            rc = strcmp(why, "out of memory") ? pass_over(from, path, ba_lines_number(lines), why, out, err)
                                              : ba_fail(err, "%s", why);
            item_free(&item);
        } else {
            char number[32];
            snprintf(number, sizeof number, "%zu", ba_lines_number(lines) - 1);
            if (!item.id && !(item.id = strdup(number))) {
                item_free(&item);
                rc = ba_fail(err, "out of memory");
            } else {
                rc = keep(out, &cap, &item, err);
            }
        }
        cJSON_Delete(o);
        o = NULL;
    }
    ba_lines_close(lines);
    return rc || out->n ? rc : ba_fail(err, "%s: no items", path);
}

/* FOLDER/FILE, or the same with .gz behind it; malloc'ed. NULL and err. */
static char *find_file(const ba_task *t, const char *folder, const char *file, char err[BA_ERR_LEN]) {
    char *path = NULL;
    static const char *const end[] = {"", ".gz"};
    for (size_t i = 0; i < 2; i++) {
        if (asprintf(&path, "%s/%s%s", folder, file, end[i]) < 0) {
            ba_fail(err, "out of memory");
            return NULL;
        }
        if (access(path, R_OK) == 0) {
            return path;
        }
        free(path);
    }
    ba_fail(err,
            "task %s: there is no %s (or .gz) in the data folder %s; give --data DIR or $BLOCKATTN_DATA; the set is "
            "published at %s",
            t->name, file, folder, t->origin);
    return NULL;
}

static int read_task(const ba_task *t, const ba_task_source *from, ba_task_items *out, char err[BA_ERR_LEN]) {
    ba_shots shots = {0};
    char *shots_path = NULL, *path = find_file(t, from->folder, t->file, err);
    int rc = path ? 0 : -1;
    if (!rc && t->shots_file) {
        shots_path = find_file(t, from->folder, t->shots_file, err);
        rc = shots_path ? t->shots(from, shots_path, &shots, err) : -1;
    }
    rc = rc ? rc : read_file(t, path, from, &shots, out, err);
    shots_free(&shots);
    free(shots_path);
    free(path);
    return rc;
}

static int make_items(const ba_task *t, const ba_task_source *from, ba_task_items *out, char err[BA_ERR_LEN]) {
    size_t cap = 0, n = from->limit ? from->limit : 100;
    int rc = 0;
    for (size_t i = 0; !rc && i < n; i++) {
        ba_task_item item = {0};
        rc = t->make(from, i, &item, err);
        if (rc) {
            item_free(&item);
        } else {
            rc = keep(out, &cap, &item, err);
        }
    }
    return rc;
}

static int unknown(const char *name, char err[BA_ERR_LEN]) {
    char list[BA_ERR_LEN] = "";
    size_t used = 0;
    for (const ba_task *t = tasks; t->name && used < sizeof list; t++) {
        used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", used ? ", " : "", t->name);
    }
    return ba_fail(err, "--task %s: neither a file nor a task; there is %s", name, list);
}

int ba_task_read(const char *name, const ba_task_source *from, const ba_task **task, ba_task_items *out,
                 char err[BA_ERR_LEN]) {
    *out = (ba_task_items){0};
    *task = ba_task_by_name(name);
    int rc;
    if (*task) {
        rc = (*task)->file ? read_task(*task, from, out, err) : make_items(*task, from, out, err);
    } else if (access(name, F_OK) == 0) {
        *task = &rag_file;
        rc = read_file(*task, name, from, NULL, out, err);
    } else {
        rc = unknown(name, err);
    }
    if (rc) {
        ba_task_items_free(out);
    }
    return rc;
}

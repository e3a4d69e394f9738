/* The table of tasks. */
#include "tasks.h"

#include <string.h>

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

const ba_task *ba_task_at(size_t i) {
    return i + 1 < sizeof tasks / sizeof *tasks ? &tasks[i] : NULL;
}

const ba_task *ba_task_by_name(const char *name) {
    for (const ba_task *t = tasks; t->name; t++) {
        if (strcmp(t->name, name) == 0) {
            return t;
        }
    }
    return NULL;
}

const ba_task *ba_task_rag_file(void) {
    static const ba_task rag_file = RAG("file", NULL, "");
    return &rag_file;
}

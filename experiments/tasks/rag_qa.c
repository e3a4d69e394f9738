/* Questions over retrieved passages, one block each: the paper's Table 1. */
#include "experiments/data/score_text.h"
#include "tasks.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Whether a passage holds the answer, both normalised. */
static bool in_documents(const ba_item *rag) {
    for (size_t i = 0; i < rag->n_doc; i++) {
        if (ba_subspan_em(rag->doc[i].text, rag->answers, rag->n_answer) > 0 ||
            (rag->doc[i].title && ba_subspan_em(rag->doc[i].title, rag->answers, rag->n_answer) > 0)) {
            return true;
        }
    }
    return false;
}

int ba_rag_parse(const ba_task_source *from, const ba_shots *shots, const cJSON *line, ba_task_item *out,
                 char err[BA_ERR_LEN]) {
    (void)shots;
    ba_item rag;
    if (ba_item_parse(line, &rag, err)) {
        return -1;
    }
    int rc = ba_item_parts(&rag, from->prompts, from->order, &out->part, &out->n_part, err);
    out->id = rag.id;
    rag.id = NULL;
    bool yes_no = rag.n_answer && (!strcmp(rag.answers[0], "yes") || !strcmp(rag.answers[0], "no"));
    out->note = rag.n_answer && !yes_no && !in_documents(&rag) ? "no answer is in the documents" : NULL;
    out->answer = rag.answers;
    out->n_answer = rag.n_answer;
    out->all = rag.all;
    rag.answers = NULL;
    rag.n_answer = 0;
    ba_item_free(&rag);
    return rc;
}

/* As RULER scores: the share of the answers that the output has. */
static double share_found(const ba_task_item *item, const char *output) {
    double found = 0;
    for (size_t i = 0; i < item->n_answer; i++) {
        found += ba_subspan_em(output, &item->answer[i], 1);
    }
    return found / (double)item->n_answer;
}

ba_scores ba_rag_score(const ba_task_item *item, const char *output) {
    if (item->all && item->n_answer) {
        return (ba_scores){share_found(item, output), (double)NAN, (double)NAN};
    }
    return (ba_scores){ba_subspan_em(output, item->answer, item->n_answer),
                       ba_squad_em(output, item->answer, item->n_answer),
                       ba_squad_f1(output, item->answer, item->n_answer)};
}

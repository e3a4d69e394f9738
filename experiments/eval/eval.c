#include "eval.h"

#include "experiments/cli/decode.h"
#include "experiments/measure/answer.h"
#include "sim/base/utf8.h"
#include "sim/modes/modes.h"
#include "sim/plan/cost.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const ba_column ba_eval_columns[] = {BA_COLUMN(ba_eval_row, label, BA_COLUMN_TEXT, ""),
                                     BA_COLUMN(ba_eval_row, task, BA_COLUMN_TEXT, ""),
                                     BA_COLUMN(ba_eval_row, mode, BA_COLUMN_TEXT, ""),
                                     BA_COLUMN(ba_eval_row, index, BA_COLUMN_U64, ""),
                                     BA_COLUMN(ba_eval_row, hash, BA_COLUMN_U64, ""),
                                     BA_COLUMN(ba_eval_row, id, BA_COLUMN_STRING, ""),
                                     BA_COLUMN(ba_eval_row, state, BA_COLUMN_STRING, ""),
                                     BA_COLUMN(ba_eval_row, nll, BA_COLUMN_F64, "nat"),
                                     BA_COLUMN(ba_eval_row, n_answer_tokens, BA_COLUMN_U64, "token"),
                                     BA_COLUMN(ba_eval_row, text, BA_COLUMN_STRING, ""),
                                     BA_COLUMN(ba_eval_row, stop, BA_COLUMN_STRING, ""),
                                     BA_COLUMN(ba_eval_row, score, BA_COLUMN_F64, ""),
                                     BA_COLUMN(ba_eval_row, em, BA_COLUMN_F64, ""),
                                     BA_COLUMN(ba_eval_row, f1, BA_COLUMN_F64, ""),
                                     BA_COLUMN(ba_eval_row, n_prompt, BA_COLUMN_U64, "token"),
                                     BA_COLUMN(ba_eval_row, n_computed, BA_COLUMN_U64, "token"),
                                     BA_COLUMN(ba_eval_row, n_reused, BA_COLUMN_U64, "token"),
                                     BA_COLUMN(ba_eval_row, n_generated, BA_COLUMN_U64, "token"),
                                     BA_COLUMN(ba_eval_row, ttft_s, BA_COLUMN_F64, "s"),
                                     BA_COLUMN(ba_eval_row, ttft_cold_s, BA_COLUMN_F64, "s"),
                                     BA_COLUMN(ba_eval_row, flops, BA_COLUMN_F64, "FLOP"),
                                     BA_COLUMN(ba_eval_row, charged, BA_COLUMN_F64, ""),
                                     BA_COLUMNS_END};

/* Ids of a text that continues the prompt. */
typedef struct continuation {
    int32_t *ids;
    size_t n;
} continuation;

const char *ba_eval_mode(const ba_prompt *prompt, const char *mode) {
    for (size_t i = 0; i < prompt->n_seg; i++) {
        if (prompt->seg[i].role == BA_ROLE_PASSAGE || prompt->seg[i].role == BA_ROLE_DEMONSTRATION) {
            return mode;
        }
    }
    return "full";
}

/* Prefill up to the first logits, timed. */
static int prefill(const ba_session *b, const ba_plan *plan, const ba_engine_options *opt, size_t room, ba_run **run,
                   double *seconds, char err[BA_ERR_LEN]) {
    int rc = ba_engine_run(b->engine, plan, opt, room, run, err);
    if (rc) {
        return rc;
    }
    ba_run_logits(*run);
    *seconds = 0;
    for (ba_stage i = 0; i < BA_STAGE_COUNT; i++) {
        *seconds += ba_run_get_stats(*run)->stage[i];
    }
    return ba_run_check(*run, err);
}

/* Whether the run had to encode something that it has now stored. */
static bool was_cold(const ba_run *run) {
    const ba_run_stats *s = ba_run_get_stats(run);
    for (size_t i = 0; i < s->n_lookup; i++) {
        if (s->lookup[i].found.why != BA_HIT) {
            return true;
        }
    }
    return false;
}

/* The likeliest choice against the right one. */
static int choose(ba_run *run, const ba_task_item *item, const continuation *choice, ba_eval_row *out,
                  char err[BA_ERR_LEN]) {
    size_t best = 0;
    double least = INFINITY;
    for (size_t i = 0; i < item->n_choice; i++) {
        double nll;
        int rc = ba_answer_nll(run, choice[i].ids, choice[i].n, &nll, err);
        if (rc) {
            return rc;
        }
        if (nll < least) {
            least = nll;
            best = i;
        }
    }
    out->score = best == item->correct;
    char *said = strdup(item->choice[best]);
    out->text = said;
    return said ? 0 : ba_fail(err, "out of memory");
}

static int generate(const ba_session *b, ba_run *run, const ba_task *task, const ba_task_item *item, ba_eval_row *out,
                    char err[BA_ERR_LEN]) {
    ba_decoded d;
    ba_decode_options how = {.max_tokens = task->max_tokens, .stop = task->stop};
    int rc = ba_decode(b->engine, b->tok, run, &how, &d, err);
    if (!rc) {
        out->n_generated = d.n;
        out->stop = d.stop;
        out->text = ba_utf8_text(d.text, d.len);
        rc = out->text ? 0 : ba_fail(err, "out of memory");
        if (!rc && task->score) {
            ba_scores s = task->score(item, out->text);
            out->score = s.score;
            out->em = s.em;
            out->f1 = s.f1;
        }
    }
    ba_decoded_free(&d);
    return rc;
}

/* cont[0]: the gold answer; cont[1..]: the choices. */
static int run_item(const ba_session *b, const ba_task *task, const ba_task_item *item, const ba_plan *plan,
                    size_t room, const continuation *cont, const ba_eval_options *opt, ba_eval_row *out,
                    char err[BA_ERR_LEN]) {
    ba_run *run = NULL;
    int rc = prefill(b, plan, opt->engine, room, &run, &out->ttft_cold_s, err);
    out->ttft_s = out->ttft_cold_s;
    if (!rc && was_cold(run)) {
        ba_run_free(run);
        run = NULL;
        rc = prefill(b, plan, opt->engine, room, &run, &out->ttft_s, err);
    }
    if (!rc) {
        const ba_run_stats *s = ba_run_get_stats(run);
        out->n_prompt = s->n_prompt;
        out->n_computed = s->n_computed;
        out->n_reused = s->n_reused;
        out->flops = (double)s->count.flops_exact;
        out->n_answer_tokens = cont[0].n;
        const ba_chosen chosen = {s->chosen_row, s->n_chosen_row, s->path_kept};
        rc = ba_cost_charged(ba_engine_shape(b->engine), plan, &chosen, &out->charged, err);
    }
    if (!rc) {
        rc = ba_answer_nll(run, cont[0].ids, cont[0].n, &out->nll, err);
    }
    if (!rc && item->n_choice) {
        rc = choose(run, item, cont + 1, out, err);
    } else if (!rc && opt->generate) {
        rc = generate(b, run, task, item, out, err);
    }
    ba_run_free(run);
    return rc;
}

/* Gold answer and choices as ids, and the longest of them. */
static int continuations(const ba_session *b, const ba_task_item *item, continuation *cont, size_t *longest,
                         char err[BA_ERR_LEN]) {
    *longest = 0;
    for (size_t i = 0; i <= item->n_choice; i++) {
        const char *text = i ? item->choice[i - 1] : item->n_answer ? item->answer[0] : NULL;
        if (text && ba_answer_ids(text, b->tok, &cont[i].ids, &cont[i].n, err) != 0) {
            return -1;
        }
        *longest = cont[i].n > *longest ? cont[i].n : *longest;
    }
    return 0;
}

int ba_eval_item(const ba_session *b, const ba_task *task, const ba_task_item *item, const char *mode,
                 const ba_eval_options *opt, ba_eval_row *out, char err[BA_ERR_LEN]) {
    bool generates = opt->generate && !item->n_choice;
    out->text = out->stop = NULL;
    out->nll = out->score = out->em = out->f1 = out->ttft_s = out->ttft_cold_s = out->flops = out->charged = NAN;
    snprintf(out->mode, sizeof out->mode, "%s", mode);
    if (!(out->id = strdup(item->id))) {
        return ba_fail(err, "out of memory");
    }
    if (!item->n_answer && (task->score || !generates)) {
        out->state = "no answer";
        return 0;
    }
    ba_plan *plan = NULL;
    size_t room = 0;
    continuation *cont = calloc(item->n_choice + 1, sizeof *cont);
    ba_prompt *prompt = ba_parts_prompt(item->part, item->n_part, b->tok, err);
    int rc = !prompt ? -1 : cont ? continuations(b, item, cont, &room, err) : ba_fail(err, "out of memory");
    rc = rc ? rc : ba_mode_plan(ba_eval_mode(prompt, mode), prompt, &plan, err);
    room = generates && task->max_tokens > room ? task->max_tokens : room;
    if (!rc && plan->n_tokens + room > ba_engine_shape(b->engine)->ctx) {
        out->state = "too long";
        out->n_prompt = plan->n_tokens;
    } else if (!rc) {
        out->state = "done";
        rc = run_item(b, task, item, plan, room, cont, opt, out, err);
    }
    for (size_t i = 0; cont && i <= item->n_choice; i++) {
        free(cont[i].ids);
    }
    free(cont);
    ba_plan_free(plan);
    ba_prompt_free(prompt);
    if (rc) {
        ba_eval_row_free(out);
    }
    return rc;
}

void ba_eval_row_free(ba_eval_row *row) {
    free((char *)row->id);
    free((char *)row->text);
    row->id = row->text = NULL;
}

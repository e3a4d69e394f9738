#include "compare.h"

#include "experiments/cli/announce.h"
#include "experiments/cli/decode.h"
#include "experiments/measure/answer.h"
#include "experiments/measure/costing.h"
#include "experiments/measure/protocol.h"
#include "kernels/base/clock.h"
#include "sim/base/utf8.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A timed case: a mode with the store full or empty. */
typedef struct timed {
    size_t row;
    bool cold;
    double *seconds; /* [repeat] */
    size_t n;
} timed;

typedef struct job {
    const ba_session *b;
    const ba_compare_options *opt;
    const ba_asked *asked;
    const int32_t *answer;
    size_t n_answer;
    ba_compared *row;
    size_t n;
    ba_plan **plan; /* [n]; NULL: the mode cannot run */
    double *full;   /* [vocab] logits of full attention */
    timed *cases;   /* [2 n], those of a mode next to each other */
    size_t *group, n_case;
    ba_engine_options engine; /* the caller's, with the bar */
    ba_progress bar;
    double estimate, done; /* seconds that the timing takes; of them measured */
} job;

/* ---- answers and distances -------------------------------------------------------------------------------------- */

/* Whether a mode alone is at fault, so that the others can go on. */
static bool is_refusal(int rc, const char *err) {
    return rc == -1 && !strstr(err, "out of memory") && !ba_interrupted();
}

static int prefill(const job *j, size_t i, size_t room, ba_run **run, double *seconds, char err[BA_ERR_LEN]) {
    double start = ba_now();
    int rc = ba_engine_run(j->b->engine, j->plan[i], &j->engine, room, run, err);
    if (!rc) {
        rc = ba_run_check(*run, err);
    }
    *seconds = j->asked->tokenize_s + ba_now() - start;
    return rc;
}

static int keep_text(const job *j, ba_run *run, ba_compared *row, char err[BA_ERR_LEN]) {
    ba_decoded d;
    const ba_decode_options how = {.max_tokens = j->opt->max_tokens};
    int rc = ba_decode(j->b->engine, j->b->tok, run, &how, &d, err);
    if (!rc) {
        row->stop = d.stop;
        row->text = ba_utf8_text(d.text, d.len);
        rc = row->text ? 0 : ba_fail(err, "out of memory");
    }
    ba_decoded_free(&d);
    return rc;
}

/* Everything about a run but times. */
static int inspect(job *j, size_t i, ba_run *run, char err[BA_ERR_LEN]) {
    ba_compared *row = &j->row[i];
    size_t vocab = ba_engine_shape(j->b->engine)->vocab;
    const ba_run_stats *s = ba_run_get_stats(run);
    const double *logits = ba_run_logits(run);
    row->n_prompt = s->n_prompt;
    row->n_computed = s->n_computed;
    row->n_reused = s->n_reused;
    row->flops_exact = s->count.flops_exact;
    row->bytes_read = s->count.bytes_read;
    row->kv_bytes = s->kv_bytes;
    ba_compare_reuse(j->plan[i], s, row->reuse, sizeof row->reuse);
    if (i == 0) {
        memcpy(j->full, logits, vocab * sizeof *logits);
    }
    row->far = ba_logit_compare(j->full, logits, vocab);
    int32_t id = ba_sample(logits, vocab, 0, NULL);
    if (j->b->tok) {
        row->first[ba_token_bytes(j->b->tok, id, true, row->first, sizeof row->first - 1)] = '\0';
    } else {
        snprintf(row->first, sizeof row->first, "%d", (int)id);
    }
    const ba_chosen chosen = {s->chosen_row, s->n_chosen_row, s->path_kept};
    int rc = ba_cost_charged(ba_engine_shape(j->b->engine), j->plan[i], &chosen, &row->charged, err);
    rc = rc ? rc : ba_answer_nll(run, j->answer, j->n_answer, &row->nll, err);
    return rc ? rc : keep_text(j, run, row, err);
}

/* The mode with an empty store, then with what that left there. 0, or what the engine returned and err. */
static int answer_twice(job *j, size_t i, char err[BA_ERR_LEN]) {
    size_t room = j->n_answer > j->opt->max_tokens ? j->n_answer : j->opt->max_tokens;
    double cold, again = 0;
    ba_run *run = NULL;
    ba_store_clear(j->b->store);
    int rc = prefill(j, i, room, &run, &cold, err);
    if (!rc && j->row[i].stores) {
        ba_run_free(run);
        run = NULL;
        rc = prefill(j, i, room, &run, &again, err);
    }
    rc = rc ? rc : inspect(j, i, run, err);
    ba_run_free(run);
    j->estimate += (cold + again) * (double)j->opt->repeat;
    return rc;
}

static int plan_mode(job *j, size_t i, char err[BA_ERR_LEN]) {
    ba_compared *row = &j->row[i];
    snprintf(row->mode, sizeof row->mode, "%s", row->spelling);
    row->nll = row->far.kl = (double)NAN;
    if (ba_mode_plan(row->spelling, j->asked->prompt, &j->plan[i], err)) {
        return -1;
    }
    snprintf(row->mode, sizeof row->mode, "%s", j->plan[i]->mode);
    for (size_t k = 0; k < j->plan[i]->n_node; k++) {
        row->stores |= j->plan[i]->node[k].stored;
    }
    return 0;
}

/* A mode that cannot run on this prompt is a row that says why. Full attention can always. */
static int answer_all(job *j) {
    for (size_t i = 0; i < j->n; i++) {
        char err[BA_ERR_LEN] = "";
        ba_progress_part(&j->bar, (double)i / (double)j->n / 2, (double)(i + 1) / (double)j->n / 2, 2);
        int rc = plan_mode(j, i, err);
        rc = rc ? rc : answer_twice(j, i, err);
        if (rc && (i == 0 || !is_refusal(rc, err))) {
            return ba_engine_exit(ba_interrupted() ? BA_INTERRUPTED : rc, err);
        }
        if (rc) {
            snprintf(j->row[i].why, sizeof j->row[i].why, "%s", err);
            ba_plan_free(j->plan[i]);
            j->plan[i] = NULL;
        }
    }
    return 0;
}

/* ---- times ------------------------------------------------------------------------------------------------------ */

/* A warm case comes after the cold one of its mode, which left its blocks in the store. */
static int prepare(void *arg, size_t item) {
    job *j = arg;
    if (j->cases[item].cold) {
        ba_store_clear(j->b->store);
    }
    return 0;
}

static int take(void *arg, size_t item, double *seconds) {
    job *j = arg;
    char err[BA_ERR_LEN] = "";
    ba_run *run = NULL;
    int rc = prefill(j, j->cases[item].row, 0, &run, seconds, err);
    ba_run_free(run);
    return ba_engine_exit(rc, err);
}

static int keep(void *arg, const ba_timing *t) {
    job *j = arg;
    timed *c = &j->cases[t->item];
    c->seconds[c->n++] = t->seconds;
    j->done += t->seconds;
    return ba_interrupted() ? BA_EXIT_INTERRUPTED : 0;
}

static void visited(void *arg, size_t visit, size_t total) {
    job *j = arg;
    (void)visit, (void)total;
    ba_progress_part(&j->bar, 0.5 + j->done / j->estimate / 2, 0.5 + j->done / j->estimate / 2, 1);
}

static int add_case(job *j, size_t row, bool cold) {
    timed *c = &j->cases[j->n_case];
    *c = (timed){.row = row, .cold = cold, .seconds = calloc(j->opt->repeat, sizeof *c->seconds)};
    j->group[j->n_case++] = row;
    return c->seconds ? 0 : -1;
}

static int make_cases(job *j) {
    j->cases = calloc(2 * j->n, sizeof *j->cases);
    j->group = calloc(2 * j->n, sizeof *j->group);
    int rc = j->cases && j->group ? 0 : -1;
    for (size_t i = 0; !rc && i < j->n; i++) {
        if (j->plan[i]) {
            rc = j->row[i].stores ? add_case(j, i, true) : 0;
            rc = rc ? rc : add_case(j, i, false);
        }
    }
    return rc ? ba_cli_fail(BA_EXIT_MACHINE, "out of memory") : 0;
}

static int time_all(job *j) {
    int status = make_cases(j);
    if (status) {
        return status;
    }
    const ba_measure m = {.repeat = j->opt->repeat,
                          .seed = j->opt->seed,
                          .group = j->group,
                          .n = j->n_case,
                          .prepare = prepare,
                          .take = take,
                          .keep = keep,
                          .visited = visited,
                          .arg = j};
    ba_announce(j->n_case * m.repeat, "timed first tokens", j->estimate, true, j->opt->quiet);
    status = ba_measure_run(&m, NULL);
    for (size_t i = 0; i < j->n_case; i++) {
        const timed *c = &j->cases[i];
        *(c->cold ? &j->row[c->row].cold : &j->row[c->row].again) = ba_stats_of(c->seconds, c->n);
    }
    return status < 0 ? ba_cli_fail(BA_EXIT_MACHINE, "out of memory") : status;
}

/* ---- all together ----------------------------------------------------------------------------------------------- */

int ba_compare_modes(const ba_session *b, const ba_asked *asked, const int32_t *answer, size_t n_answer,
                     const ba_compare_options *opt, ba_compared *row, size_t n) {
    job j = {.b = b, .opt = opt, .asked = asked, .answer = answer, .n_answer = n_answer, .row = row, .n = n};
    j.plan = calloc(n, sizeof *j.plan);
    j.full = calloc(ba_engine_shape(b->engine)->vocab, sizeof *j.full);
    int status = j.plan && j.full ? 0 : ba_cli_fail(BA_EXIT_MACHINE, "out of memory");
    j.engine = opt->engine;
    j.engine.progress = ba_progress_run;
    j.engine.arg = &j.bar;
    ba_progress_start(&j.bar, "compare", opt->quiet);
    status = status ? status : answer_all(&j);
    status = status ? status : time_all(&j);
    ba_progress_end(&j.bar);
    for (size_t i = 0; i < j.n_case; i++) {
        free(j.cases[i].seconds);
    }
    for (size_t i = 0; j.plan && i < n; i++) {
        ba_plan_free(j.plan[i]);
    }
    free(j.cases);
    free(j.group);
    free(j.plan);
    free(j.full);
    return status;
}

void ba_compared_free(ba_compared *row, size_t n) {
    for (size_t i = 0; i < n; i++) {
        free(row[i].text);
        row[i].text = NULL;
    }
}

/* What is measured: modes on prompts, cold and warm, by each executor. */
#include "parts.h"

#include <stdio.h>
#include <stdlib.h>

/* A warm case needs a store that holds the whole prompt. */
static int check_store(const ba_ttft_state *s, const ba_ttft_unit *u) {
    double reused = (double)u->warm.n_reused, all = reused + (double)u->warm.n_computed;
    double needed = (double)u->warm.kv_bytes * reused / all, budget = (double)ba_store_get_stats(s->b.store).budget;
    if (!s->w->warm || needed <= budget) {
        return 0;
    }
    char want[32], have[32];
    ba_print_bytes(want, sizeof want, needed);
    ba_print_bytes(have, sizeof have, budget);
    return ba_cli_fail(BA_EXIT_USAGE, "--store holds %s, the passages of %zu tokens in mode %s take %s: raise it", have,
                       u->prompt->length, u->mode, want);
}

int ba_ttft_make_prompts(ba_ttft_state *s, const char *text, size_t text_len) {
    const ba_ttft_options *w = s->w;
    char err[BA_ERR_LEN];
    if (!(s->prompt = calloc(w->n_size, sizeof *s->prompt))) {
        return ba_cli_fail(BA_EXIT_MACHINE, "out of memory");
    }
    for (size_t i = 0; i < w->n_size; i++) {
        size_t length = w->size[i].length, block = w->size[i].block;
        const ba_workload_spec spec = {
            length, w->question, block, text, text_len, s->common->seed, ba_engine_shape(s->b.engine)->vocab};
        ba_ttft_prompt *p = &s->prompt[s->n_prompt++];
        *p = (ba_ttft_prompt){.length = length, .block = block};
        if (ba_workload_new(s->b.tok, &spec, &p->text, err)) {
            return ba_cli_fail(BA_EXIT_USAGE, "%s%s%zu tokens in passages of %zu: %s", w->data ? w->data : "",
                               w->data ? ": " : "", length, block, err);
        }
    }
    return 0;
}

int ba_ttft_make_units(ba_ttft_state *s) {
    const ba_ttft_options *w = s->w;
    char err[BA_ERR_LEN];
    if (!(s->unit = calloc(w->n_size * w->n_mode, sizeof *s->unit))) {
        return ba_cli_fail(BA_EXIT_MACHINE, "out of memory");
    }
    for (size_t i = 0; i < w->n_size * w->n_mode; i++) {
        ba_ttft_unit *u = &s->unit[s->n_unit++];
        u->mode = w->mode[i % w->n_mode];
        u->prompt = &s->prompt[i / w->n_mode];
        if (ba_ttft_unit_plan(&s->b, u, err)) {
            return ba_cli_fail(BA_EXIT_USAGE, "%s, %zu tokens: %s", u->mode, u->prompt->length, err);
        }
        int status = check_store(s, u);
        if (status) {
            return status;
        }
    }
    return 0;
}

static void add_case(ba_ttft_state *s, size_t unit, ba_executor how, bool cold) {
    ba_ttft_case *c = &s->cases[s->n_case];
    const ba_ttft_prompt *p = s->unit[unit].prompt;
    *c = (ba_ttft_case){.item = s->n_case,
                        .length = p->length,
                        .question = s->w->question,
                        .block_tokens = p->block,
                        .passages = p->text.n - 1,
                        .cold = cold,
                        .timing_only = p->length > ba_engine_shape(s->b.engine)->ctx,
                        .unit = unit,
                        .how = how};
    snprintf(c->mode, sizeof c->mode, "%s", s->unit[unit].mode);
    snprintf(c->executor, sizeof c->executor, "%s", how == BA_MERGE_KEYS ? "merge" : "place");
    s->group[s->n_case++] = unit;
}

/* Whether a mode stores anything is decided at the longest length: a prompt that is only a question stores nothing in any
 * mode, but is still measured. */
int ba_ttft_make_cases(ba_ttft_state *s) {
    const ba_ttft_options *w = s->w;
    size_t most = 4 * s->n_unit;
    s->cases = calloc(most, sizeof *s->cases);
    s->group = calloc(most, sizeof *s->group);
    s->account = s->w->profile ? calloc(most, sizeof *s->account) : NULL;
    if (!s->cases || !s->group || (s->w->profile && !s->account)) {
        return ba_cli_fail(BA_EXIT_MACHINE, "out of memory");
    }
    for (size_t unit = 0; unit < s->n_unit; unit++) {
        size_t longest = s->n_unit - w->n_mode + unit % w->n_mode;
        if (!s->unit[longest].stores) {
            add_case(s, unit, BA_IN_PLACE, true);
            continue;
        }
        for (int how = BA_IN_PLACE; how <= BA_MERGE_KEYS; how++) {
            if (w->executor[how] && w->cold) {
                add_case(s, unit, (ba_executor)how, true);
            }
            if (w->executor[how] && w->warm) {
                add_case(s, unit, (ba_executor)how, false);
            }
        }
    }
    return 0;
}

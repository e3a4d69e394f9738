/* What is measured: modes on prompts, cold and warm, by each executor. */
#include "experiments/cli/announce.h"
#include "parts.h"

#include <errno.h>
#include <math.h>
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

/* Where part k of n of a text begins: at a blank, so that no character is cut. */
static size_t part_of(const char *text, size_t len, size_t k, size_t n) {
    size_t at = len / n * k;
    while (k && at < len && text[at] != ' ' && text[at] != '\n') {
        at++;
    }
    return at;
}

/* Prompt number k of a size. Of a text each takes its own part; words and ids are drawn by another seed. */
static int make_prompt(ba_ttft_state *s, const ba_ttft_prompt *p, size_t k, const char *text, size_t text_len,
                       ba_workload *out) {
    const ba_ttft_options *w = s->w;
    char err[BA_ERR_LEN];
    size_t from = text ? part_of(text, text_len, k, w->prompts) : 0;
    const ba_workload_spec spec = {.length = p->length,
                                   .question = w->question,
                                   .block = p->block,
                                   .text = text ? text + from : NULL,
                                   .text_len = text ? text_len - from : 0,
                                   .seed = s->common->seed + k * UINT64_C(0x9E3779B97F4A7C15),
                                   .vocab = ba_engine_shape(s->b.engine)->vocab};
    if (ba_workload_new(s->b.tok, &spec, out, err)) {
        return ba_cli_fail(BA_EXIT_USAGE, "%s%s%zu tokens in passages of %zu: %s", w->data ? w->data : "",
                           w->data ? ": " : "", p->length, p->block, err);
    }
    return 0;
}

int ba_ttft_make_prompts(ba_ttft_state *s, const char *text, size_t text_len) {
    const ba_ttft_options *w = s->w;
    ba_announce(w->n_size, "prompts are made first", (double)NAN, false, s->common->quiet);
    if (!(s->prompt = calloc(w->n_size, sizeof *s->prompt))) {
        return ba_cli_fail(BA_EXIT_MACHINE, "out of memory");
    }
    for (size_t i = 0; i < w->n_size; i++) {
        ba_ttft_prompt *p = &s->prompt[s->n_prompt++];
        *p = (ba_ttft_prompt){.length = w->size[i].length, .block = w->size[i].block};
        int status = make_prompt(s, p, 0, text, text_len, &p->text);
        const size_t more = w->distance ? w->prompts - 1 : 0;
        if (!status && !(p->more = calloc(more + 1, sizeof *p->more))) {
            return ba_cli_fail(BA_EXIT_MACHINE, "out of memory");
        }
        while (!status && p->n_more < more) {
            status = make_prompt(s, p, p->n_more + 1, text, text_len, &p->more[p->n_more]);
            p->n_more += !status;
        }
        if (status) {
            return status;
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

/* The cases of a unit, by each executor that can run it. A mode that none of those asked for can run is refused. */
static int add_cases(ba_ttft_state *s, size_t unit) {
    const ba_ttft_options *w = s->w;
    const ba_ttft_unit *u = &s->unit[unit];
    size_t before = s->n_case;
    for (int how = BA_IN_PLACE; how <= BA_MERGE_KEYS; how++) {
        if (w->executor[how] && u->can[how] && w->cold) {
            add_case(s, unit, (ba_executor)how, true);
        }
        if (w->executor[how] && u->can[how] && w->warm) {
            add_case(s, unit, (ba_executor)how, false);
        }
    }
    if (s->n_case == before) {
        return ba_cli_fail(BA_EXIT_USAGE,
                           "%s: the merging executor cannot run this mode on this model; --executor place can",
                           u->mode);
    }
    if (unit < w->n_mode && w->executor[BA_MERGE_KEYS] && !u->can[BA_MERGE_KEYS] && !s->common->quiet) {
        fprintf(stderr, "%s: the merging executor cannot run %s on this model; its columns of merge are -\n",
                program_invocation_short_name, u->mode);
    }
    return 0;
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
        int status = 0;
        if (s->unit[longest].stores) {
            status = add_cases(s, unit);
        } else {
            add_case(s, unit, BA_IN_PLACE, true);
        }
        if (status) {
            return status;
        }
    }
    return 0;
}

size_t ba_ttft_size_of(const ba_ttft_state *s, size_t unit) {
    return unit / s->w->n_mode;
}

int ba_ttft_plan_work(ba_ttft_state *s) {
    const ba_ttft_options *w = s->w;
    bool failed = false;
    if (!s->common->part.count) {
        return 0;
    }
    for (size_t i = 0; i < w->n_size && !failed; i++) {
        char name[64];
        double flops = 0;
        uint64_t hash = 0;
        for (size_t m = 0; m < w->n_mode; m++) {
            const ba_ttft_unit *u = &s->unit[i * w->n_mode + m];
            flops += (double)u->cold.flops_exact * (double)w->repeat;
            hash = hash * UINT64_C(0x9E3779B97F4A7C15) + u->hash.lo;
        }
        snprintf(name, sizeof name, "%zu/%zu", w->size[i].length, w->size[i].block);
        failed = ba_work_add(&s->work, name, i, hash, flops) != 0;
    }
    failed = failed || ba_work_plan(&s->work, &s->common->part, w->modes);
    return failed ? ba_cli_fail(BA_EXIT_MACHINE, "out of memory") : 0;
}

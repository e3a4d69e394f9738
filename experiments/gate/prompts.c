#include "prompts.h"

#include "experiments/cli/ask.h"
#include "experiments/data/rag.h"
#include "experiments/measure/workload.h"

#include <stdlib.h>
#include <string.h>

void ba_gate_prompts_free(ba_gate_prompts *all) {
    for (size_t i = 0; i < all->n; i++) {
        ba_prompt_free(all->p[i].prompt);
        free(all->p[i].answer);
    }
    free(all->p);
    *all = (ba_gate_prompts){0};
}

void ba_gate_prompts_place(ba_gate_prompts *all, size_t number, size_t at) {
    size_t from = at;
    while (from < all->n && all->p[from].number != number) {
        from++;
    }
    if (from < all->n) {
        ba_gate_prompt p = all->p[from];
        all->p[from] = all->p[at];
        all->p[at] = p;
    }
}

/* The first `limit` items of every file of the list. */
static int read_prompts(const ba_session *b, const char *list, size_t limit, ba_gate_prompts *out) {
    char err[BA_ERR_LEN];
    ba_items items;
    if (ba_items_read_list(list, limit, &items, err)) {
        return ba_cli_fail(BA_EXIT_USAGE, "%s", err);
    }
    out->p = calloc(items.n, sizeof *out->p);
    int status = out->p ? 0 : ba_cli_fail(BA_EXIT_MACHINE, "out of memory");
    for (size_t i = 0; !status && i < items.n; i++) {
        ba_gate_prompt *p = &out->p[out->n++];
        p->number = i;
        snprintf(p->name, sizeof p->name, "%s", items.item[i].id);
        if (ba_item_prompt(&items.item[i], b->tok, &p->prompt, err) ||
            ba_item_answer(&items.item[i], b->tok, &p->answer, &p->n_answer, err)) {
            status = ba_cli_fail(BA_EXIT_USAGE, "%s", err);
        }
    }
    ba_items_free(&items);
    return status;
}

/* Without data: generated words, or random ids, in passages of 128 tokens. */
static int make_prompts(const ba_session *b, size_t length, size_t limit, uint64_t seed, ba_gate_prompts *out) {
    char err[BA_ERR_LEN];
    size_t n = limit ? limit : 1;
    out->p = calloc(n, sizeof *out->p);
    int status = out->p ? 0 : ba_cli_fail(BA_EXIT_MACHINE, "out of memory");
    for (size_t i = 0; !status && i < n; i++) {
        const ba_workload_spec spec = {
            .length = length, .question = 50, .block = 128, .seed = seed + i, .vocab = ba_model_shape(b->model)->vocab};
        ba_workload work = {0};
        if (ba_workload_new(b->tok, &spec, &work, err)) {
            return ba_cli_fail(BA_EXIT_USAGE, "%s", err);
        }
        out->p[out->n].number = i;
        out->p[out->n].prompt = ba_workload_prompt(b->tok, &work, err);
        status = out->p[out->n++].prompt ? 0 : ba_cli_fail(BA_EXIT_USAGE, "%s", err);
        ba_workload_free(&work);
    }
    return status;
}

int ba_gate_prompts_read(const ba_session *b, const char *request, const char *data, size_t length, size_t limit,
                         uint64_t seed, ba_gate_prompts *out) {
    *out = (ba_gate_prompts){0};
    if (request) {
        ba_asked a;
        int status = ba_ask(&(ba_common){.request = request}, b, &a);
        if (!status && !(out->p = calloc(1, sizeof *out->p))) {
            status = ba_cli_fail(BA_EXIT_MACHINE, "out of memory");
        }
        if (!status) {
            out->p[out->n++].prompt = a.prompt;
            a.prompt = NULL;
        }
        ba_asked_free(&a);
        return status;
    }
    if (data && !b->tok) {
        return ba_cli_fail(BA_EXIT_USAGE,
                           "--data: a shape has no vocabulary for texts; give --length, or a request of ids");
    }
    return data ? read_prompts(b, data, limit, out) : make_prompts(b, length, limit, seed, out);
}

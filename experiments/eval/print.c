#include "print.h"

#include "experiments/cli/json.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static void add_text(cJSON *o, const char *key, const char *text) {
    if (text) {
        ba_json_add_bytes(o, key, text, strlen(text));
    } else {
        cJSON_AddNullToObject(o, key);
    }
}

int ba_eval_print_row(const ba_eval_row *r) {
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "task", r->task);
    add_text(o, "id", r->id);
    cJSON_AddStringToObject(o, "mode", r->mode);
    cJSON_AddNumberToObject(o, "index", (double)r->index);
    cJSON_AddStringToObject(o, "label", r->label);
    add_text(o, "state", r->state);
    ba_json_add_number(o, "nll", r->nll);
    cJSON_AddNumberToObject(o, "n_answer_tokens", (double)r->n_answer_tokens);
    add_text(o, "text", r->text);
    add_text(o, "stop", r->stop);
    ba_json_add_number(o, "score", r->score);
    ba_json_add_number(o, "em", r->em);
    ba_json_add_number(o, "f1", r->f1);
    cJSON_AddNumberToObject(o, "n_prompt", (double)r->n_prompt);
    cJSON_AddNumberToObject(o, "n_computed", (double)r->n_computed);
    cJSON_AddNumberToObject(o, "n_reused", (double)r->n_reused);
    cJSON_AddNumberToObject(o, "n_generated", (double)r->n_generated);
    ba_json_add_number(o, "ttft_s", r->ttft_s);
    ba_json_add_number(o, "ttft_cold_s", r->ttft_cold_s);
    ba_json_add_number(o, "flops", r->flops);
    return ba_json_print(o);
}

/* Every column of the summary under its name. */
int ba_eval_print_summary(const ba_eval_summary *s) {
    cJSON *root = cJSON_CreateObject(), *o = cJSON_AddObjectToObject(root, "summary");
    for (const ba_column *c = ba_eval_summary_columns; c->name; c++) {
        const char *at = (const char *)s + c->offset;
        uint64_t whole;
        double real;
        if (c->type == BA_COLUMN_TEXT) {
            add_text(o, c->name, at);
        } else if (c->type == BA_COLUMN_U64) {
            memcpy(&whole, at, sizeof whole);
            cJSON_AddNumberToObject(o, c->name, (double)whole);
        } else {
            memcpy(&real, at, sizeof real);
            ba_json_add_number(o, c->name, real);
        }
    }
    return ba_json_print(root);
}

/* "42.5 [38.1, 47.0]" in units of 1 / scale; "-" if there is none. */
static const char *with_interval(char out[48], double x, double low, double high, double scale, int digits) {
    if (isnan(x)) {
        snprintf(out, 48, "-");
    } else {
        snprintf(out, 48, "%.*f [%.*f, %.*f]", digits, scale * x, digits, scale * low, digits, scale * high);
    }
    return out;
}

void ba_eval_print_table(const ba_eval_summary *s, size_t n) {
    printf("%-14s %-26s %5s  %-20s %-22s %-22s %-6s %7s %8s %9s\n", "task", "mode", "items", "score %", "NLL a token",
           "score - full", "p", "equal", "TTFT s", "FLOPs");
    for (size_t i = 0; i < n; i++, s++) {
        char score[48], nll[48], change[48], p[16] = "-", ttft[16] = "-", flops[16] = "-";
        if (!isnan(s->p)) {
            snprintf(p, sizeof p, "%.3f", s->p);
        }
        if (!isnan(s->ttft_s)) {
            snprintf(ttft, sizeof ttft, "%.3f", s->ttft_s);
            snprintf(flops, sizeof flops, "%.2e", s->flops);
        }
        printf("%-14s %-26s %5llu  %-20s %-22s %-22s %-6s %7s %8s %9s\n", s->task, s->mode, (unsigned long long)s->n,
               with_interval(score, s->score, s->score_low, s->score_high, 100, 1),
               with_interval(nll, s->nll, s->nll_low, s->nll_high, 1, 3),
               with_interval(change, s->score_change, s->score_change_low, s->score_change_high, 100, 1), p,
               *s->equal ? s->equal : "-", ttft, flops);
        if (s->n_long || s->n_no_answer) {
            printf("%-14s %llu items longer than the context and %llu without an answer are left out\n", "",
                   (unsigned long long)s->n_long, (unsigned long long)s->n_no_answer);
        }
    }
    printf(
        "\nintervals of 95 %%: Wilson for scores, paired bootstrap over items for the rest; p: McNemar, exact; equal: "
        "cannot be told from full\nTTFT: median, with all passages that can be stored in the store; FLOPs: of that "
        "first token\n");
}

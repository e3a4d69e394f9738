#include "print.h"

#include "experiments/cli/json.h"
#include "experiments/measure/intervals.h"

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
    ba_json_add_number(o, "charged", r->charged);
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

static const char *with_interval(char out[48], double x, double low, double high, double scale, const char *format) {
    ba_interval_text(out, 48, format, scale, x, low, high);
    return out;
}

static const char *or_dash(const char *text) {
    return *text ? text : "-";
}

static void print_row(const ba_eval_summary *s) {
    char score[48], nll[48], change[48], nll_change[48], ttft[16] = "-", flops[16] = "-", charged[16] = "-";
    bool full = strcmp(s->mode, "full") == 0;
    if (!isnan(s->ttft_s)) {
        snprintf(ttft, sizeof ttft, "%.3f", s->ttft_s);
        snprintf(flops, sizeof flops, "%.1e", s->flops);
    }
    if (!isnan(s->charged)) {
        snprintf(charged, sizeof charged, "%.3f", s->charged);
    }
    printf("%-24s %5llu  %-18s %-19s %-9s  %-20s %-23s %-9s %7s %8s %7s %7s\n", s->mode, (unsigned long long)s->n,
           with_interval(score, s->score, s->score_low, s->score_high, 100, "%.1f"),
           with_interval(change, full ? NAN : s->score_change, s->score_change_low, s->score_change_high, 100, "%.1f"),
           or_dash(s->verdict), with_interval(nll, s->nll, s->nll_low, s->nll_high, 1, "%.3f"),
           with_interval(nll_change, full ? NAN : s->nll_change, s->nll_change_low, s->nll_change_high, 1, "%.3f"),
           or_dash(s->nll_verdict), ttft, flops, or_dash(s->budget), charged);
    if (s->n_long || s->n_no_answer) {
        printf("  %llu items longer than the context and %llu without an answer are left out\n",
               (unsigned long long)s->n_long, (unsigned long long)s->n_no_answer);
    }
}

void ba_eval_print_table(const ba_eval_summary *s, size_t n, const ba_margins *margins) {
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || strcmp(s[i].task, s[i - 1].task) != 0 || strcmp(s[i].label, s[i - 1].label) != 0) {
            printf("%s=== %s, model %s\n%-24s %5s  %-18s %-19s %-9s  %-20s %-23s %-9s %7s %8s %7s %7s\n", i ? "\n" : "",
                   s[i].task, s[i].label, "mode", "items", "score %", "minus full", "is", "NLL a token", "minus full",
                   "is", "TTFT s", "FLOPs", "budget", "charged");
        }
        print_row(&s[i]);
    }
    printf(
        "\nintervals of 95 %%: Wilson for scores, Bonett and Price for their paired changes, Student's t over items "
        "for NLL\nis: the whole interval of the change is within %g points or %g nats of none (equal), or on one side "
        "of it (worse, better); else more items are needed (undecided); --margin and --nll-margin set the limits\n"
        "TTFT: median, with all passages that can be stored in the store; FLOPs: of that first token; budget: as the "
        "mode is "
        "spelled; charged: share of the reusable tokens computed again over all layers, probes paid in full\n",
        100 * margins->score, margins->nll);
}

/* blockattn modes: the attention modes that there are, and a page for each. */
#include "drawing.h"
#include "experiments/cli/guess.h"
#include "experiments/cli/json.h"
#include "experiments/options/options.h"
#include "plan_page.h"
#include "sim/modes/modes.h"

#include <string.h>

/* ---- for programs ------------------------------------------------------------------------------------------------ */

static cJSON *json_of_param(const ba_mode_param *p) {
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "name", p->key);
    cJSON_AddStringToObject(o, "default", p->standard);
    cJSON_AddStringToObject(o, "help", p->help);
    if (p->choices) {
        cJSON_AddStringToObject(o, "choices", p->choices);
        return o;
    }
    ba_json_add_number(o, "least", p->min);
    ba_json_add_number(o, "most", p->max);
    cJSON_AddBoolToObject(o, "whole", p->integer);
    return o;
}

static cJSON *json_of_mode(const ba_mode *m) {
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "name", m->name);
    cJSON_AddStringToObject(o, "summary", m->summary);
    cJSON_AddStringToObject(o, "source", m->source);
    cJSON_AddStringToObject(o, "holds", m->holds);
    cJSON *params = cJSON_AddArrayToObject(o, "parameters");
    for (const ba_mode_param *p = m->param; p->key; p++) {
        cJSON_AddItemToArray(params, json_of_param(p));
    }
    return o;
}

static int print_json(const ba_mode *only) {
    const ba_mode *m;
    if (only) {
        return ba_json_print(json_of_mode(only));
    }
    cJSON *all = cJSON_CreateArray();
    for (size_t i = 0; (m = ba_mode_at(i)); i++) {
        cJSON_AddItemToArray(all, json_of_mode(m));
    }
    return ba_json_print(all);
}

/* ---- for people -------------------------------------------------------------------------------------------------- */

static void print_params(const ba_mode *m) {
    for (const ba_mode_param *p = m->param; p->key; p++) {
        fputs(p == m->param ? "\nparameters\n" : "", stdout);
        if (p->choices) {
            printf("  %-9s %s (%s; default %s)\n", p->key, p->help, p->choices, p->standard);
        } else {
            printf("  %-9s %s (%s%.10g to %.10g; default %s)\n", p->key, p->help, p->integer ? "whole, " : "", p->min,
                   p->max, p->standard);
        }
    }
}

/* Two passages of three tokens, a question of two, a task of one: what every mode can plan. */
static ba_prompt *example_prompt(void) {
    static const int32_t ids[] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
    ba_prompt *p = ba_prompt_new(NULL);
    if (!p) {
        return NULL;
    }
    p->bos = p->newline = 0;
    if (ba_prompt_add(p, BA_ROLE_PASSAGE, ids, 3) || ba_prompt_add(p, BA_ROLE_PASSAGE, ids + 3, 3) ||
        ba_prompt_add(p, BA_ROLE_QUESTION, ids + 6, 2) || ba_prompt_add(p, BA_ROLE_TASK, ids + 8, 1)) {
        ba_prompt_free(p);
        return NULL;
    }
    return p;
}

/* The mode as its example is planned: with a k of 1 where the default is longer than a passage of the example. */
static void spell_example(const ba_mode *m, char out[64]) {
    const ba_mode_param *p = m->param;
    bool shorten = p->key && strcmp(p->key, "k") == 0 && strlen(p->standard) > 1;
    snprintf(out, 64, shorten ? "%s:k=1" : "%s", m->name);
}

static int print_plan(const ba_mode *m) {
    char err[BA_ERR_LEN], spelling[64];
    ba_plan *plan = NULL;
    ba_prompt *p = example_prompt();
    if (!p) {
        return ba_cli_fail(BA_EXIT_MACHINE, "out of memory");
    }
    int status = 0;
    spell_example(m, spelling);
    if (ba_mode_plan(spelling, p, &plan, err)) {
        status = ba_cli_fail(BA_EXIT_USAGE, "%s", err);
        goto done;
    }
    printf("\nplan of %s for two passages of 3 tokens, a question of 2 and a task of 1\n", spelling);
    status = ba_plan_print_nodes(plan);
    if (!status) {
        ba_plan_draw(plan, p);
    }
done:
    ba_plan_free(plan);
    ba_prompt_free(p);
    return status;
}

static int print_page(const ba_mode *m) {
    printf("%s: %s\nsource: %s\nmust hold: %s\n", m->name, m->summary, m->source, m->holds);
    print_params(m);
    return print_plan(m);
}

static int print_list(void) {
    const ba_mode *m;
    for (size_t i = 0; (m = ba_mode_at(i)); i++) {
        printf("%-14s %s\n", m->name, m->summary);
    }
    puts("\n'blockattn modes NAME' shows a mode's parameters, source and plan.");
    return BA_EXIT_OK;
}

/* ---- the command ------------------------------------------------------------------------------------------------- */

/* NULL: there is none, and the line is printed. */
static const ba_mode *find(const char *name) {
    ba_guess g = ba_guess_begin(name, strlen(name));
    const ba_mode *m;
    for (size_t i = 0; (m = ba_mode_at(i)); i++) {
        if (strcmp(m->name, name) == 0) {
            return m;
        }
        ba_guess_offer(&g, m->name);
    }
    ba_cli_fail(BA_EXIT_USAGE, "no mode '%s'; 'blockattn modes' lists them%s", name, g.text);
    return NULL;
}

static int run(const ba_call *call) {
    const ba_mode *only = call->n_operand ? find(call->operand[0]) : NULL;
    if (call->n_operand && !only) {
        return BA_EXIT_USAGE;
    }
    if (call->common->format == BA_FORMAT_JSON) {
        return print_json(only);
    }
    return only ? print_page(only) : print_list();
}

const ba_command ba_command_modes = {
    .name = "modes",
    .summary = "the attention modes: a list, and a page for each",
    .usage = "[NAME]",
    .about = "Lists the attention modes, or shows one: what it does, its parameters, its paper, what must hold, and "
             "its plan "
             "for a prompt of two passages.",
    .example = "blockattn modes\nblockattn modes lego",
    .takes = BA_TAKES_JSON,
    .operands = 1,
    .run = run,
};

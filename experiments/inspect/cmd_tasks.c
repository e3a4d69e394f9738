/* blockattn tasks: what eval can measure. */
#include "experiments/cli/guess.h"
#include "experiments/cli/json.h"
#include "experiments/options/options.h"
#include "experiments/tasks/tasks.h"

#include <string.h>

static cJSON *json_of_task(const ba_task *t) {
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "name", t->name);
    cJSON_AddStringToObject(o, "metric", t->metric ? t->metric : "");
    cJSON_AddStringToObject(o, "file", t->file ? t->file : "");
    cJSON_AddStringToObject(o, "demonstrations", t->shots_file ? t->shots_file : "");
    cJSON_AddStringToObject(o, "origin", t->origin ? t->origin : "");
    cJSON_AddNumberToObject(o, "max_tokens", (double)t->max_tokens);
    return o;
}

static int print_json(const ba_task *only) {
    const ba_task *t;
    if (only) {
        return ba_json_print(json_of_task(only));
    }
    cJSON *all = cJSON_CreateArray();
    for (size_t i = 0; (t = ba_task_at(i)); i++) {
        cJSON_AddItemToArray(all, json_of_task(t));
    }
    return ba_json_print(all);
}

static void print_page(const ba_task *t) {
    printf("%s\n  score           %s\n", t->name, t->metric ? t->metric : "another program's");
    if (t->file) {
        printf("  file            %s in the data folder (--data, $BLOCKATTN_DATA)\n", t->file);
    } else {
        puts("  file            none: items are made from --seed");
    }
    if (t->shots_file) {
        printf("  demonstrations  %s\n", t->shots_file);
    }
    if (t->origin) {
        printf("  published at    %s\n", t->origin);
    }
    printf("  generates       at most %zu tokens\n", t->max_tokens);
}

static void print_list(void) {
    const ba_task *t;
    printf("%-24s %-18s %s\n", "task", "score", "file in the data folder");
    for (size_t i = 0; (t = ba_task_at(i)); i++) {
        printf("%-24s %-18s %s\n", t->name, t->metric ? t->metric : "", t->file ? t->file : "(made from a seed)");
    }
    puts("\n'blockattn tasks NAME' shows where a task is published.");
}

static int run(const ba_call *call) {
    const char *name = call->n_operand ? call->operand[0] : NULL;
    const ba_task *only = name ? ba_task_by_name(name) : NULL, *t;
    if (name && !only) {
        ba_guess g = ba_guess_begin(name, strlen(name));
        for (size_t i = 0; (t = ba_task_at(i)); i++) {
            ba_guess_offer(&g, t->name);
        }
        return ba_cli_fail(BA_EXIT_USAGE, "no task '%s'; 'blockattn tasks' lists them%s", name, g.text);
    }
    if (call->common->format == BA_FORMAT_JSON) {
        return print_json(only);
    }
    if (only) {
        print_page(only);
    } else {
        print_list();
    }
    return BA_EXIT_OK;
}

const ba_command ba_command_tasks = {
    .name = "tasks",
    .summary = "the tasks of eval: a list, and a page for each",
    .usage = "[NAME]",
    .about =
        "Lists the tasks that eval knows by name, or shows one: its score, its data file and where it is published.",
    .example = "blockattn tasks\nblockattn tasks hotpotqa",
    .takes = BA_TAKES_JSON,
    .operands = 1,
    .run = run,
};

/* blockattn models: the models that --model knows by name, and which of them the cache folder holds. */
#include "experiments/cli/json.h"
#include "experiments/cli/known_models.h"
#include "experiments/options/options.h"

static int print_json(void) {
    const ba_known_model *m;
    char path[4096];
    cJSON *all = cJSON_CreateArray();
    for (size_t i = 0; (m = ba_known_model_at(i)); i++) {
        cJSON *o = cJSON_CreateObject();
        cJSON_AddStringToObject(o, "name", m->name);
        cJSON_AddStringToObject(o, "about", m->about);
        cJSON_AddNumberToObject(o, "bytes", (double)m->bytes);
        cJSON_AddBoolToObject(o, "here", ba_known_model_path(m, path, sizeof path));
        cJSON_AddStringToObject(o, "path", path);
        cJSON_AddStringToObject(o, "target", m->target);
        cJSON_AddItemToArray(all, o);
    }
    return ba_json_print(all);
}

static int run(const ba_call *call) {
    const ba_known_model *m;
    char path[4096];
    if (call->common->format == BA_FORMAT_JSON) {
        return print_json();
    }
    printf("%-14s %9s  %-36s %s\n", "model", "MB", "what it is", "where");
    for (size_t i = 0; (m = ba_known_model_at(i)); i++) {
        bool here = ba_known_model_path(m, path, sizeof path);
        printf("%-14s %9.0f  %-36s %s%s%s\n", m->name, (double)m->bytes / 1e6, m->about, here ? path : "'make ",
               here ? "" : m->target, here ? "" : "' gets it");
    }
    puts("\n--model takes one of these names, or the path of a GGUF file or Hugging Face folder.");
    return BA_EXIT_OK;
}

const ba_command ba_command_models = {
    .name = "models",
    .summary = "the models that --model knows by name, and which are here",
    .usage = "",
    .about =
        "Lists the models that --model knows by name, with what gets them and where they are. Any other GGUF file or "
        "Hugging Face folder is named by its path; 'blockattn info --model NAME' shows one.",
    .example = "blockattn models\nblockattn info --model qwen2.5-0.5b",
    .takes = BA_TAKES_JSON,
    .run = run,
};

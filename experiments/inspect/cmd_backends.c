/* blockattn backends: the arithmetic that this build has. */
#include "experiments/cli/json.h"
#include "experiments/options/options.h"

static int print_json(void) {
    const ba_backend_ops *ops;
    cJSON *all = cJSON_CreateArray();
    for (size_t i = 0; (ops = ba_backend_at(i)); i++) {
        cJSON *o = cJSON_CreateObject();
        cJSON_AddStringToObject(o, "name", ops->name);
        cJSON_AddStringToObject(o, "dtype", ops->dtype);
        cJSON_AddStringToObject(o, "summary", ops->summary);
        cJSON_AddBoolToObject(o, "trains", ops->train != NULL);
        cJSON_AddItemToArray(all, o);
    }
    return ba_json_print(all);
}

static int run(const ba_call *call) {
    const ba_backend_ops *ops;
    if (call->common->format == BA_FORMAT_JSON) {
        return print_json();
    }
    printf("%-10s %-6s %-7s %s\n", "--backend", "--dtype", "trains", "");
    for (size_t i = 0; (ops = ba_backend_at(i)); i++) {
        printf("%-10s %-7s %-7s %s\n", ops->name, ops->dtype, ops->train ? "yes" : "", ops->summary);
    }
    return BA_EXIT_OK;
}

const ba_command ba_command_backends = {
    .name = "backends",
    .summary = "the arithmetic that this build has",
    .usage = "[--json]",
    .about = "Lists the backends of this build, with the element type of each. --backend and --dtype choose one; auto "
             "is the "
             "first that the machine can run.",
    .takes = BA_TAKES_JSON,
    .run = run,
};

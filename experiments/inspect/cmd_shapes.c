/* blockattn shapes: published model shapes, whose cost is known without weights. */
#include "experiments/cli/json.h"
#include "experiments/options/options.h"

/* Weights of the layers' products, the embedding and an LM head of its own. */
static double weights_of(const ba_shape *s) {
    return (double)ba_shape_layer_weights(s) + (s->tied ? 1 : 2) * (double)ba_shape_head_weights(s);
}

/* Bytes of K and V of a token, in elements of 16 bits. */
static double kv_bytes(const ba_shape *s) {
    return 2.0 * 2 * (double)(s->layers * s->kv_heads * s->head_dim);
}

/* "8.03 billion", "134 million". */
static void print_count(char out[32], double n) {
    if (n < 1e6) {
        snprintf(out, 32, "%.0f", n);
    } else {
        snprintf(out, 32, n < 1e9 ? "%.3g million" : "%.4g billion", n / (n < 1e9 ? 1e6 : 1e9));
    }
}

static cJSON *json_of_shape(const ba_named_shape *n) {
    const ba_shape *s = &n->shape;
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "name", n->name);
    cJSON_AddStringToObject(o, "source", n->source ? n->source : n->name);
    cJSON_AddStringToObject(o, "architecture", s->arch);
    cJSON_AddNumberToObject(o, "layers", (double)s->layers);
    cJSON_AddNumberToObject(o, "d_model", (double)s->d_model);
    cJSON_AddNumberToObject(o, "heads", (double)s->heads);
    cJSON_AddNumberToObject(o, "kv_heads", (double)s->kv_heads);
    cJSON_AddNumberToObject(o, "head_dim", (double)s->head_dim);
    cJSON_AddNumberToObject(o, "d_ff", (double)s->d_ff);
    cJSON_AddNumberToObject(o, "vocab", (double)s->vocab);
    cJSON_AddNumberToObject(o, "context", (double)s->ctx);
    cJSON_AddNumberToObject(o, "window", (double)s->window);
    cJSON_AddBoolToObject(o, "tied", s->tied);
    cJSON_AddNumberToObject(o, "weights", weights_of(s));
    cJSON_AddNumberToObject(o, "kv_bytes_per_token_16bit", kv_bytes(s));
    return o;
}

static int print_json(const ba_named_shape *only) {
    const ba_named_shape *n;
    if (only) {
        return ba_json_print(json_of_shape(only));
    }
    cJSON *all = cJSON_CreateArray();
    for (size_t i = 0; (n = ba_named_shape_at(i)); i++) {
        cJSON_AddItemToArray(all, json_of_shape(n));
    }
    return ba_json_print(all);
}

static void print_page(const ba_named_shape *n) {
    const ba_shape *s = &n->shape;
    char bytes[32], weights[32];
    ba_print_bytes(bytes, sizeof bytes, kv_bytes(s));
    print_count(weights, weights_of(s));
    printf(n->source ? "%s\n  source        https://huggingface.co/%s (config.json)\n" : "%s\n", n->name, n->source);
    printf("  architecture  %s, %s head\n", s->arch, s->tied ? "tied" : "untied");
    printf("  layers        %zu\n  width         %zu, feed-forward %zu\n", s->layers, s->d_model, s->d_ff);
    printf("  attention     %zu heads of %zu over %zu KV heads\n", s->heads, s->head_dim, s->kv_heads);
    if (s->window) {
        printf("  window        %zu tokens in some layers\n", s->window);
    }
    printf("  vocabulary    %zu tokens\n  context       %zu tokens\n", s->vocab, s->ctx);
    printf("  weights       %s\n  KV of a token %s in 16 bits\n", weights, bytes);
}

static void print_list(void) {
    const ba_named_shape *n;
    printf("%-16s %8s %6s %6s %12s %9s  %s\n", "shape", "weights", "layers", "width", "heads of KV", "KV/token",
           "source");
    for (size_t i = 0; (n = ba_named_shape_at(i)); i++) {
        const ba_shape *s = &n->shape;
        char bytes[32], heads[32];
        ba_print_bytes(bytes, sizeof bytes, kv_bytes(s));
        snprintf(heads, sizeof heads, "%zu of %zu", s->kv_heads, s->head_dim);
        printf("%-16s %7.2fB %6zu %6zu %12s %9s  %s\n", n->name, weights_of(s) / 1e9, s->layers, s->d_model, heads,
               bytes, n->source);
    }
    puts("\n--shape takes one of these names, or the path of a config.json; 'blockattn shapes NAME' shows all sizes.");
}

static int run(const ba_call *call) {
    char err[BA_ERR_LEN];
    ba_named_shape chosen;
    const ba_named_shape *only = call->n_operand ? &chosen : NULL;
    if (only && ba_shape_choose(call->operand[0], &chosen, err)) {
        return ba_cli_fail(BA_EXIT_USAGE, "%s", err);
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

const ba_command ba_command_shapes = {
    .name = "shapes",
    .summary = "published model shapes: a list, and a page for each",
    .usage = "[NAME | config.json]",
    .about =
        "Lists the published model shapes that --shape knows by name, or shows one, with its source. The path of a "
        "config.json, or of a folder that holds one, is a shape too: neither weights nor a tokenizer are needed.",
    .example = "blockattn shapes\nblockattn shapes qwen3-8b\nblockattn shapes ~/models/mine/config.json",
    .takes = BA_TAKES_JSON,
    .operands = 1,
    .run = run,
};

/* blockattn plan: what a mode makes of a request, without running it. */
#include "experiments/cli/ask.h"
#include "experiments/cli/json.h"
#include "experiments/measure/costing.h"
#include "experiments/options/options.h"
#include "plan_page.h"
#include "sim/modes/modes.h"
#include "sim/plan/schedule.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Everything that is asked about one request. */
typedef struct question {
    ba_model *model; /* vocabulary, or NULL */
    ba_tokenizer *tok;
    ba_prompt *prompt;
    ba_plan *plan;
    const ba_shape *shape; /* NULL unless the cost is asked for */
    ba_sizes sizes;
    size_t max_rows;
} question;

/* --- for people ------------------------------------------------------------------------------------------------- */

static void print_segments(const ba_prompt *p) {
    size_t place = 0;
    printf("\nsegments\n%4s  %-13s %8s %8s\n", "#", "role", "tokens", "place");
    for (size_t i = 0; i < p->n_seg; i++) {
        printf("%4zu  %-13s %8zu %8zu\n", i, ba_role_name(p->seg[i].role), p->seg[i].n, place);
        place += p->seg[i].n;
    }
}

static int print_passes(const question *q, bool warm) {
    ba_schedule *s = ba_schedule_of(q->plan, warm, q->max_rows);
    if (!s) {
        return ba_cli_fail(BA_EXIT_MACHINE, "out of memory");
    }
    printf("\npasses, %s\n%4s  %-8s %8s  %s\n", warm ? "everything stored" : "nothing stored", "#", "stage", "rows",
           "nodes");
    for (size_t p = 0; p < s->n_pass; p++) {
        const ba_pass *pass = &s->pass[p];
        const ba_work *first = &s->work[pass->work0], *last = first + pass->n_work - 1;
        printf("%4zu  %-8s %8zu  ", p, pass->online ? "prefill" : "encode", pass->rows);
        printf(first->node == last->node ? "%zu" : "%zu..%zu", first->node, last->node);
        if (first->refreshed) {
            printf(" (%zu rows of other nodes)", first->refreshed);
        }
        putchar('\n');
    }
    ba_schedule_free(s);
    return BA_EXIT_OK;
}

static void print_cost(const question *q, const ba_cost cost[2]) {
    ba_cost_field cold[BA_COST_FIELDS], warm[BA_COST_FIELDS];
    ba_cost_fields(&cost[0], cold);
    ba_cost_fields(&cost[1], warm);
    printf("\ncost up to the first token, elements of %zu bytes\n%-22s %20s %20s\n", q->sizes.real, "",
           "nothing stored", "everything stored");
    for (size_t i = 0; i < BA_COST_FIELDS; i++) {
        printf("%-22s %20" PRIu64 " %20" PRIu64 "\n", cold[i].label, cold[i].value, warm[i].value);
    }
}

static int print_page(const question *q, const ba_cost cost[2]) {
    ba_key hash = ba_plan_hash(q->plan);
    printf("mode %s: %zu tokens, %zu nodes, plan %016" PRIx64 "%016" PRIx64 "\n", q->plan->mode, q->plan->n_tokens,
           q->plan->n_node, hash.hi, hash.lo);
    if (q->plan->note[0]) {
        printf("note: %s\n", q->plan->note);
    }
    print_segments(q->prompt);
    int status = ba_plan_print_nodes(q->plan);
    status = status ? status : print_passes(q, false);
    status = status ? status : print_passes(q, true);
    if (!status && q->shape) {
        print_cost(q, cost);
    }
    return status;
}

/* --- for programs ----------------------------------------------------------------------------------------------- */

static void add_size(cJSON *o, const char *name, uint64_t value) {
    char digits[32];
    snprintf(digits, sizeof digits, "%" PRIu64, value); /* all digits: a double has 53 bits */
    cJSON_AddRawToObject(o, name, digits);
}

static void add_key(cJSON *o, const char *name, ba_key key) {
    char hex[40];
    snprintf(hex, sizeof hex, "%016" PRIx64 "%016" PRIx64, key.hi, key.lo);
    cJSON_AddStringToObject(o, name, hex);
}

static void add_edge(cJSON *list, const ba_edge *e) {
    cJSON *o = cJSON_CreateObject();
    add_size(o, "node", e->seen);
    add_size(o, "first", e->first);
    add_size(o, "n", e->n);
    cJSON_AddNumberToObject(o, "at", e->at);
    add_size(o, "refresh", e->refresh);
    cJSON_AddNumberToObject(o, "inv_temp", e->inv_temp);
    cJSON_AddNumberToObject(o, "bias", e->bias);
    cJSON_AddNumberToObject(o, "group", e->group);
    cJSON_AddBoolToObject(o, "selectable", e->selectable);
    cJSON_AddItemToArray(list, o);
}

static void add_choice(cJSON *node, const ba_choice *choice) {
    static const char *const score[] = {"v", "k", "k and v", "attention", "mean query"};
    cJSON *c = cJSON_AddObjectToObject(node, "choice");
    cJSON_AddStringToObject(c, "score", score[choice->score]);
    add_size(c, "count", choice->count);
    add_size(c, "window", choice->window);
    if (ba_choice_by_attention(choice)) {
        add_size(c, "vote", choice->vote);
        add_size(c, "n_vote", choice->n_vote);
        return;
    }
    add_size(c, "layer", choice->layer);
    cJSON_AddStringToObject(c, "mask", choice->bottom_right ? "bottomright" : "exact");
    cJSON_AddBoolToObject(c, "shift", choice->shift);
}

static void add_node(cJSON *list, const ba_plan *plan, size_t i, ba_key key) {
    const ba_node *v = &plan->node[i];
    cJSON *o = cJSON_CreateObject();
    add_size(o, "segment", v->seg);
    add_size(o, "n_segments", v->n_seg);
    cJSON_AddItemToObject(o, "ids", cJSON_CreateIntArray(v->ids, (int)v->n));
    add_size(o, "skip", v->skip);
    cJSON_AddNumberToObject(o, "place", v->pos);
    cJSON_AddNumberToObject(o, "step", v->step);
    cJSON_AddBoolToObject(o, "stored", v->stored);
    if (v->stored) {
        add_key(o, "key", key);
    }
    add_size(o, "path", v->path);
    cJSON *edges = cJSON_AddArrayToObject(o, "edges");
    for (size_t e = 0; e < v->n_edge; e++) {
        add_edge(edges, &v->edge[e]);
    }
    cJSON_AddItemToObject(o, "lse_scale", cJSON_CreateDoubleArray(v->lse_scale, (int)v->n_group));
    add_size(o, "select_k", v->select_k);
    cJSON_AddBoolToObject(o, "select_shared", v->select_shared);
    if (v->choice.on) {
        add_choice(o, &v->choice);
    }
    cJSON_AddItemToArray(list, o);
}

static int print_json(const question *q, const ba_cost cost[2]) {
    static const char *const state[2] = {"cold", "warm"};
    const ba_plan *plan = q->plan;
    ba_key *key = calloc(plan->n_node, sizeof *key);
    if (!key) {
        return ba_cli_fail(BA_EXIT_MACHINE, "out of memory");
    }
    ba_plan_keys(plan, key);
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "mode", plan->mode);
    add_size(o, "n_tokens", plan->n_tokens);
    add_key(o, "hash", ba_plan_hash(plan));
    cJSON_AddStringToObject(o, "note", plan->note);
    cJSON *segments = cJSON_AddArrayToObject(o, "segments"), *nodes = cJSON_AddArrayToObject(o, "nodes");
    for (size_t i = 0, place = 0; i < q->prompt->n_seg; place += q->prompt->seg[i++].n) {
        cJSON *s = cJSON_CreateObject();
        cJSON_AddStringToObject(s, "role", ba_role_name(q->prompt->seg[i].role));
        add_size(s, "n", q->prompt->seg[i].n);
        add_size(s, "place", place);
        cJSON_AddItemToArray(segments, s);
    }
    for (size_t i = 0; i < plan->n_node; i++) {
        add_node(nodes, plan, i, key[i]);
    }
    free(key);
    add_size(o, "n_paths", plan->n_path);
    add_size(o, "keep_paths", plan->keep_paths);
    cJSON *costs = q->shape ? cJSON_AddObjectToObject(o, "cost") : NULL;
    for (size_t i = 0; costs && i < 2; i++) {
        ba_cost_field field[BA_COST_FIELDS];
        cJSON *c = cJSON_AddObjectToObject(costs, state[i]);
        ba_cost_fields(&cost[i], field);
        for (size_t f = 0; f < BA_COST_FIELDS; f++) {
            add_size(c, field[f].name, field[f].value);
        }
    }
    return ba_json_print(o);
}

/* --- opening ---------------------------------------------------------------------------------------------------- */

typedef struct options {
    ba_named_shape shape;
    size_t max_rows;
    bool mask, cost;
} options;

/* Token ids need no model; if there is one, its BOS and line feed serve the modes that insert them. */
static int read_request(const ba_common *c, question *q) {
    char err[BA_ERR_LEN];
    double seconds;
    if (ba_vocabulary_open(c, false, &q->model, &q->tok, err) && (c->model || c->message)) {
        return ba_cli_fail(BA_EXIT_USAGE, "%s", err);
    }
    return ba_read_prompt(c, q->tok, q->tok ? ba_model_vocab(q->model)->n : 0, &q->prompt, &seconds);
}

/* The shape that the cost is for: of --shape, else of the model. 0, or -1 and err. */
static int find_shape(question *q, const ba_named_shape *given, char err[BA_ERR_LEN]) {
    if (!given->name && !q->model) {
        return ba_fail(err, "--cost needs a shape: give --shape NAME or --model PATH");
    }
    q->shape = given->name ? &given->shape : ba_model_shape(q->model);
    return 0;
}

static int answer(const ba_common *c, const options *opt, question *q) {
    char err[BA_ERR_LEN];
    ba_cost costs[2];
    if (ba_mode_plan(c->mode, q->prompt, &q->plan, err)) {
        return ba_cli_fail(BA_EXIT_USAGE, "%s", err);
    }
    if (opt->mask) {
        return ba_plan_print_mask(q->plan);
    }
    if ((opt->cost || opt->shape.name) && find_shape(q, &opt->shape, err)) {
        return ba_cli_fail(BA_EXIT_USAGE, "%s", err);
    }
    for (size_t warm = 0; q->shape && warm < 2; warm++) {
        if (ba_cost_up_to_first(q->shape, q->plan, q->sizes, warm, q->max_rows, &costs[warm], err)) {
            return ba_cli_fail(BA_EXIT_USAGE, "%s", err);
        }
    }
    return c->format == BA_FORMAT_JSON ? print_json(q, costs) : print_page(q, costs);
}

static int run(const ba_call *call) {
    const options *opt = call->options;
    question q = {.max_rows = opt->max_rows};
    char err[BA_ERR_LEN];
    if (opt->mask && call->common->format != BA_FORMAT_TABLE) {
        return ba_cli_fail(BA_EXIT_USAGE, "a plan is printed as a page, as --json, or as a --mask of 0 and 1 alone");
    }
    if (ba_sizes_of(call->common->dtype, sizeof(float), &q.sizes, err)) {
        return ba_cli_fail(BA_EXIT_USAGE, "%s", err);
    }
    int status = read_request(call->common, &q);
    status = status ? status : answer(call->common, opt, &q);
    ba_plan_free(q.plan);
    ba_prompt_free(q.prompt);
    ba_tokenizer_free(q.tok);
    ba_model_close(q.model);
    return status;
}

#define AT(member) .at = offsetof(options, member)

static const ba_option own[] = {
    {"mask", NULL, BA_FLAG, AT(mask),
     .help = "print which token sees which: a row of 0 and 1 a token, and nothing else"},
    {"cost", NULL, BA_FLAG, AT(cost), .help = "add FLOPs and bytes, with nothing stored and with everything stored"},
    {"shape", "NAME", BA_SHAPE, AT(shape), .word = ba_shape_word,
     .help = "cost for this shape instead of the model's: a config.json, or a published one"},
    {"max-rows", "N", BA_COUNT, AT(max_rows), .standard = "1024", .least = 1, .most = INT32_MAX,
     .help = "rows of one pass"},
    {.name = NULL}};
_Static_assert(BA_PASS_ROWS == 1024, "the default of --max-rows");

const ba_command ba_command_plan = {
    .name = "plan",
    .summary = "the plan of a mode: segments, edges, mask, cost",
    .usage = "--request FILE [--mode MODE] [--mask | --cost]",
    .about =
        "The plan of a mode for a request: segments, nodes, which node sees which keys at which positions, passes, "
        "cost. Runs nothing and needs no weights; a request of token ids needs no model at all.",
    .example = "echo '{\"ids\": [[1,2,3],[4,5],[6,7]]}' | blockattn plan --request - --mode block --mask",
    .own = own,
    .size = sizeof(options),
    .takes = BA_TAKES_MODEL | BA_TAKES_MODE | BA_TAKES_DTYPE | BA_TAKES_REQUEST | BA_TAKES_CHAT | BA_TAKES_JSON,
    .mode = "full",
    .hint = "a request is given by --request",
    .run = run,
};

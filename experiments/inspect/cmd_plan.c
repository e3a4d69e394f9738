/* blockattn plan: what a mode makes of a request, without running it. */
#include "experiments/cli/ask.h"
#include "experiments/cli/commands.h"
#include "experiments/measure/costing.h"
#include "sim/modes/modes.h"
#include "sim/plan/schedule.h"

#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_MASK = 4096 };

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

static void print_edge(const ba_edge *e) {
    printf("%22s sees node %zu, keys %zu..%zu, first at %.10g", "", e->seen, e->first, e->first + e->n - 1,
           e->at + (double)e->first);
    if (e->refresh) {
        printf(", computes the first %zu again", e->refresh);
    }
    if (e->inv_temp != 1) {
        printf(", scores x %.6g", e->inv_temp);
    }
    if (e->bias != 0) {
        printf(", scores + %.6g", e->bias);
    }
    if (e->group) {
        printf(", group %d", e->group);
    }
    printf(e->selectable ? ", selectable\n" : "\n");
}

static void print_modifiers(const ba_node *v) {
    for (size_t g = 0; g < v->n_group; g++) {
        printf("%22s log-sum-exp of group %zu x %.6g\n", "", g + 1, v->lse_scale[g]);
    }
    if (v->select_k) {
        printf("%22s keeps the best %zu selectable per layer%s, by the sum of %zu probabilities\n", "", v->select_k,
               v->select_shared ? "" : ", head and row", v->select_top);
    }
    if (v->choice.on) {
        printf("%22s computes all rows again below layer %zu, from there on the %zu whose %s changed most%s\n", "",
               v->choice.layer, v->choice.count, v->choice.score == BA_SCORE_V ? "V" : "K",
               v->choice.bottom_right ? "; bottom-right mask" : "");
    }
}

static void print_nodes(const ba_plan *plan) {
    printf("\nnodes\n%4s  %-9s %8s %10s %8s  %s\n", "#", "segments", "tokens", "place", "step", "key");
    for (size_t i = 0; i < plan->n_node; i++) {
        const ba_node *v = &plan->node[i];
        char segments[48];
        snprintf(segments, sizeof segments, v->n_seg > 1 ? "%zu-%zu" : "%zu", v->seg, v->seg + v->n_seg - 1);
        printf("%4zu  %-9s %8zu %10.6g %8.6g  ", i, segments, v->n, v->pos, v->step);
        if (v->stored) {
            ba_key key = ba_plan_node_key(plan, i);
            printf("stored %016" PRIx64 "%016" PRIx64, key.hi, key.lo);
        } else {
            printf("computed each time");
        }
        if (v->path) {
            printf(", path %zu", v->path);
        }
        if (v->skip) {
            printf(", nobody sees the first %zu", v->skip);
        }
        putchar('\n');
        for (size_t e = 0; e < v->n_edge; e++) {
            print_edge(&v->edge[e]);
        }
        print_modifiers(v);
    }
    if (plan->keep_paths) {
        printf("of %zu paths the last node sees the best %zu\n", plan->n_path, plan->keep_paths);
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
    print_nodes(q->plan);
    int status = print_passes(q, false);
    status = status ? status : print_passes(q, true);
    if (!status && q->shape) {
        print_cost(q, cost);
    }
    return status;
}

static int print_row(void *arg, size_t row, const uint8_t *flags, size_t n) {
    (void)row;
    char *line = arg;
    for (size_t i = 0; i < n; i++) {
        line[2 * i] = flags[i] ? '1' : '0';
        line[2 * i + 1] = i + 1 < n ? ' ' : '\n';
    }
    return fwrite(line, 1, 2 * n, stdout) != 2 * n;
}

static int print_mask(const ba_plan *plan) {
    size_t n = 0;
    for (size_t i = 0; i < plan->n_node; i++) {
        n += plan->node[i].n - plan->node[i].skip;
    }
    if (n > MAX_MASK) {
        return ba_cli_fail(BA_EXIT_USAGE, "the mask has %zu rows; at most %d are printed: give a shorter request", n,
                           MAX_MASK);
    }
    char *line = malloc(2 * n);
    bool done = line && (ba_plan_mask(plan, print_row, line) == n || ferror(stdout));
    free(line);
    return done ? BA_EXIT_OK : ba_cli_fail(BA_EXIT_MACHINE, "out of memory");
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

static void add_node(cJSON *list, const ba_plan *plan, size_t i) {
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
        add_key(o, "key", ba_plan_node_key(plan, i));
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
        cJSON *c = cJSON_AddObjectToObject(o, "choice");
        add_size(c, "count", v->choice.count);
        add_size(c, "layer", v->choice.layer);
        cJSON_AddStringToObject(c, "score", v->choice.score == BA_SCORE_V ? "v" : "k");
        cJSON_AddStringToObject(c, "mask", v->choice.bottom_right ? "bottomright" : "exact");
    }
    cJSON_AddItemToArray(list, o);
}

static int print_json(const question *q, const ba_cost cost[2]) {
    static const char *const state[2] = {"cold", "warm"};
    const ba_plan *plan = q->plan;
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
        add_node(nodes, plan, i);
    }
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
    char *text = cJSON_PrintUnformatted(o);
    cJSON_Delete(o);
    if (!text) {
        return ba_cli_fail(BA_EXIT_MACHINE, "out of memory");
    }
    puts(text);
    free(text);
    return BA_EXIT_OK;
}

/* --- opening ---------------------------------------------------------------------------------------------------- */

/* Token ids need no model; when there is one, its BOS and line feed serve the modes that insert them. */
static int read_request(const ba_common *c, const char *request, const char *message, question *q) {
    char err[BA_ERR_LEN];
    double seconds;
    if (ba_vocabulary_open(c, false, &q->model, &q->tok, err) && (c->model || message)) {
        return ba_cli_fail(BA_EXIT_USAGE, "%s", err);
    }
    return ba_read_prompt(request, message, q->tok, q->tok ? ba_model_vocab(q->model)->n : 0, &q->prompt, &seconds);
}

static int answer(const ba_common *c, question *q, const char *shape, bool mask, bool cost) {
    char err[BA_ERR_LEN];
    ba_cost costs[2];
    if (ba_mode_plan(c->mode, q->prompt, &q->plan, err)) {
        return ba_cli_fail(BA_EXIT_USAGE, "%s", err);
    }
    if (mask) {
        return print_mask(q->plan);
    }
    if (cost || shape) {
        q->shape = shape ? ba_shape_named(shape, err) : q->model ? ba_model_shape(q->model) : NULL;
        if (!q->shape && !shape) {
            ba_fail(err, "--cost needs a shape: give --shape NAME or --model PATH");
        }
        if (!q->shape) {
            return ba_cli_fail(BA_EXIT_USAGE, "%s", err);
        }
    }
    for (size_t warm = 0; q->shape && warm < 2; warm++) {
        if (ba_cost_up_to_first(q->shape, q->plan, q->sizes, warm, q->max_rows, &costs[warm], err)) {
            return ba_cli_fail(BA_EXIT_USAGE, "%s", err);
        }
    }
    return c->format == BA_FORMAT_JSON ? print_json(q, costs) : print_page(q, costs);
}

int ba_cmd_plan(int argc, char **argv) {
    const char *request = NULL, *message = NULL, *shape = NULL, *max_rows = NULL;
    bool mask = false, cost = false;
    const ba_option own[] = {
        {"request", "FILE", "request JSON, - for standard input", &request, NULL},
        {"message", "FILE", "instead: plain text, cut into blocks as the paper does; the last is the question",
         &message, NULL},
        {"mask", NULL, "print who sees whom: one row of 0 and 1 for each token, and nothing else", NULL, &mask},
        {"cost", NULL, "add FLOPs and bytes, with nothing stored and with everything", NULL, &cost},
        {"shape", "NAME", "cost for a published shape instead of the model's", &shape, NULL},
        {"max-rows", "N", "rows of one pass (1024)", &max_rows, NULL},
        {NULL, NULL, NULL, NULL, NULL}};
    ba_common c;
    question q = {.max_rows = BA_PASS_ROWS};
    char err[BA_ERR_LEN];
    uint64_t rows = BA_PASS_ROWS;
    int first, status = ba_cli_parse(argc, argv, "--request FILE [--mode MODE] [--mask | --cost]",
                                     "The plan of a mode for a request: segments, nodes, what sees what from where, "
                                     "passes, cost. Runs nothing and needs no weights; a request of token ids needs no "
                                     "model at all.\n\nExample\n"
                                     "  echo '{\"ids\": [[1,2,3],[4,5],[6,7]]}' | blockattn plan --request - --mode "
                                     "block --mask",
                                     own, &c, &first);
    if (status >= 0) {
        return status;
    }
    if (first < argc) {
        return ba_cli_fail(BA_EXIT_USAGE, "unexpected operand '%s'; a request is given by --request", argv[first]);
    }
    if (max_rows && (ba_parse_size(max_rows, &rows, err) || rows < 1 || rows > INT32_MAX)) {
        return ba_cli_fail(BA_EXIT_USAGE, "--max-rows %s: needs a whole number from 1 to %d", max_rows, INT32_MAX);
    }
    if (c.format == BA_FORMAT_CSV || (mask && c.format != BA_FORMAT_TABLE)) {
        return ba_cli_fail(BA_EXIT_USAGE, "a plan is printed as a page, as --json, or as a --mask of 0 and 1 alone");
    }
    q.max_rows = (size_t)rows;
    if (ba_sizes_of(c.dtype, sizeof(float), &q.sizes, err)) {
        return ba_cli_fail(BA_EXIT_USAGE, "%s", err);
    }
    status = read_request(&c, request, message, &q);
    status = status ? status : answer(&c, &q, shape, mask, cost);
    ba_plan_free(q.plan);
    ba_prompt_free(q.prompt);
    ba_tokenizer_free(q.tok);
    ba_model_close(q.model);
    return status;
}

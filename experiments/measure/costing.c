#include "costing.h"

#include <stdlib.h>
#include <string.h>

int ba_sizes_of(const char *dtype, size_t automatic, ba_sizes *out, char err[BA_ERR_LEN]) {
    static const struct {
        const char *name;
        size_t bytes;
    } known[] = {{"f64", 8}, {"f32", 4}, {"bf16", 2}};
    size_t bytes = strcmp(dtype, "auto") == 0 ? automatic : 0;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        bytes = strcmp(dtype, known[i].name) == 0 ? known[i].bytes : bytes;
    }
    *out = (ba_sizes){bytes, bytes, bytes};
    return bytes ? 0 : ba_fail(err, "--dtype %s: it is auto, f64, f32 or bf16", dtype);
}

ba_schedule *ba_schedule_of(const ba_plan *plan, bool warm, size_t max_rows) {
    uint8_t *have = calloc(plan->n_node, 1);
    for (size_t i = 0; have && warm && i < plan->n_node; i++) {
        have[i] = plan->node[i].stored;
    }
    ba_schedule *s = have ? ba_schedule_new(plan, have, max_rows) : NULL;
    free(have);
    return s;
}

int ba_cost_up_to_first(const ba_shape *shape, const ba_plan *plan, ba_sizes sizes, bool warm, size_t max_rows,
                        ba_cost *out, char err[BA_ERR_LEN]) {
    ba_schedule *s = ba_schedule_of(plan, warm, max_rows);
    int rc = s ? ba_cost_plan(shape, plan, s, sizes, 1, out, err) : ba_fail(err, "out of memory");
    ba_schedule_free(s);
    return rc;
}

int ba_cost_of_run(ba_engine *e, const ba_plan *plan, bool warm, const ba_chosen *chosen, ba_cost *out,
                   char err[BA_ERR_LEN]) {
    const ba_backend *be = ba_engine_backend(e);
    const ba_sizes sizes = {be->real_size, be->weight_size, be->kv_size};
    ba_schedule *s = ba_schedule_of(plan, warm, BA_PASS_ROWS);
    int rc = s ? ba_cost_run(ba_engine_shape(e), plan, s, sizes, 1, chosen, out, err) : ba_fail(err, "out of memory");
    ba_schedule_free(s);
    return rc;
}

static bool is_shared(const ba_segment *s) {
    return s->role == BA_ROLE_PASSAGE || s->role == BA_ROLE_DEMONSTRATION;
}

enum { NO_PASSAGE = 0, TWO = -1 };

/* The union of what two runs of keys depend on: nothing, one passage (its index + 1), or two or more. */
static int64_t both(int64_t a, int64_t b) {
    return a == b || b == NO_PASSAGE ? a : a == NO_PASSAGE ? b : TWO;
}

/* of[i]: the passages that the KV of node i depends on. A node comes after all that it sees. */
static void passages_of(const ba_prompt *prompt, const ba_plan *plan, int64_t *of) {
    for (size_t i = 0; i < plan->n_node; i++) {
        const ba_node *n = &plan->node[i];
        of[i] = NO_PASSAGE;
        for (size_t s = n->seg; s < n->seg + n->n_seg; s++) {
            of[i] = both(of[i], is_shared(&prompt->seg[s]) ? (int64_t)s + 1 : NO_PASSAGE);
        }
        for (size_t e = 0; e < n->n_edge; e++) {
            of[i] = both(of[i], of[n->edge[e].seen]);
        }
    }
}

const char *ba_reuse_of(const ba_prompt *prompt, const ba_plan *plan) {
    int64_t *of = malloc((plan->n_node + 1) * sizeof *of);
    const char *reuse = of ? BA_REUSE_NONE : NULL;
    if (of) {
        passages_of(prompt, plan, of);
    }
    for (size_t i = 0; of && i < plan->n_node && strcmp(reuse, BA_REUSE_SET) != 0; i++) {
        if (plan->node[i].stored) {
            reuse = of[i] == TWO ? BA_REUSE_SET : BA_REUSE_PASSAGE;
        }
    }
    free(of);
    return reuse;
}

void ba_cost_fields(const ba_cost *c, ba_cost_field field[BA_COST_FIELDS]) {
    const ba_cost_field all[BA_COST_FIELDS] = {
        {"n_computed", "rows computed", c->n_computed},
        {"n_reused", "tokens reused", c->n_reused},
        {"flops_exact", "FLOPs, exact", c->flops_exact},
        {"flops_attention", "  of that, attention", c->flops_attention},
        {"flops_dense", "FLOPs, dense kernels", c->flops_dense},
        {"flops_paper", "FLOPs, paper's count", c->flops_paper},
        {"bytes_read", "bytes read", c->bytes_read},
        {"bytes_written", "bytes written", c->bytes_written},
        {"kv_bytes", "bytes of KV", c->kv_bytes},
    };
    memcpy(field, all, sizeof all);
}

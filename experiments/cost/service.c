#include "service.h"

#include "experiments/measure/costing.h"
#include "sim/modes/modes.h"

#include <math.h>
#include <stdlib.h>

const char *ba_place_name(ba_place p) {
    static const char *const name[BA_PLACES] = {"ram", "disk", "network", "nowhere"};
    return (unsigned)p < BA_PLACES ? name[p] : "?";
}

/* Passages of one length and a question, in a mode. NULL and err. */
static ba_plan *plan_of(const ba_service *s, const char *mode, size_t passages, char err[BA_ERR_LEN]) {
    size_t longest = s->tokens > s->question ? s->tokens : s->question;
    int32_t *ids = malloc(longest * sizeof *ids);
    ba_prompt *p = ba_prompt_new(NULL);
    ba_plan *plan = NULL;
    int rc = ids && p ? 0 : -1;
    for (size_t i = 0; i <= passages && !rc; i++) {
        for (size_t t = 0; t < longest; t++) {
            ids[t] = (int32_t)(i * longest + t); /* makes all passages different */
        }
        rc = ba_prompt_add(p, i < passages ? BA_ROLE_PASSAGE : BA_ROLE_QUESTION, ids,
                           i < passages ? s->tokens : s->question);
    }
    if (rc) {
        ba_fail(err, "out of memory");
    } else {
        p->local_blocks = SIZE_MAX;
        rc = ba_mode_plan(mode, p, &plan, err);
    }
    ba_prompt_free(p);
    free(ids);
    return rc ? NULL : plan;
}

static int cost_of(const ba_service *s, const char *mode, size_t passages, bool warm, ba_cost *out,
                   char err[BA_ERR_LEN]) {
    ba_plan *plan = plan_of(s, mode, passages, err);
    int rc = plan ? ba_cost_up_to_first(s->shape, plan, s->sizes, warm, BA_PASS_ROWS, out, err) : -1;
    ba_plan_free(plan);
    return rc;
}

/* FLOPs of block attention are sums over passages, so two plans give them for any number of passages. With a sliding
 * window this overestimates the question's attention to distant passages. */
int ba_service_begin(ba_service *s, const ba_shape *shape, ba_sizes sizes, const ba_hardware *hw, size_t tokens,
                     size_t question, char err[BA_ERR_LEN]) {
    ba_cost none, warm, cold;
    *s = (ba_service){.shape = shape, .sizes = sizes, .hw = *hw, .tokens = tokens, .question = question};
    if (cost_of(s, "block", 0, true, &none, err) || cost_of(s, "block", 1, true, &warm, err) ||
        cost_of(s, "block", 1, false, &cold, err)) {
        return -1;
    }
    s->kv_bytes = 2 * (uint64_t)shape->layers * shape->kv_heads * shape->head_dim * sizes.kv * tokens;
    s->weight_bytes = (double)((ba_shape_layer_weights(shape) + ba_shape_head_weights(shape)) * sizes.weight);
    s->encode_flops = (double)(cold.flops_exact - warm.flops_exact);
    s->prefill_flops = (double)none.flops_exact;
    s->per_passage = (double)(warm.flops_exact - none.flops_exact);
    return 0;
}

static double work(const ba_service *s, double flops, double bytes) {
    return flops > 0 ? fmax(flops / s->hw.flops, bytes / s->hw.memory_bandwidth) : 0;
}

static double reading(double passages, double bytes, double latency, double bandwidth) {
    return passages > 0 ? latency + passages * bytes / bandwidth : 0;
}

ba_served ba_serve(const ba_service *s, const size_t found[BA_PLACES]) {
    double kv = (double)s->kv_bytes, missing = (double)found[BA_NOWHERE];
    double disk = (double)found[BA_ON_DISK], network = (double)found[BA_ON_NETWORK];
    double all = missing + disk + network + (double)found[BA_IN_RAM];
    double encode = missing * s->encode_flops, prefill = s->prefill_flops + all * s->per_passage;
    return (ba_served){.load_s = reading(disk, kv, s->hw.disk_latency, s->hw.disk_bandwidth) +
                                 reading(network, kv, s->hw.network_latency, s->hw.network_bandwidth),
                       .encode_s = work(s, encode, s->weight_bytes + missing * kv),
                       .prefill_s = work(s, prefill, s->weight_bytes + all * kv),
                       .flops = encode + prefill,
                       .read_bytes = (disk + network) * kv};
}

int ba_serve_full(const ba_service *s, size_t passages, ba_served *out, char err[BA_ERR_LEN]) {
    ba_cost c;
    if (cost_of(s, "full", passages, false, &c, err)) {
        return -1;
    }
    double flops = (double)c.flops_exact;
    *out = (ba_served){.prefill_s = work(s, flops, s->weight_bytes + (double)passages * (double)s->kv_bytes),
                       .flops = flops};
    return 0;
}

double ba_passage_seconds(const ba_service *s, ba_place p) {
    size_t one[BA_PLACES] = {0};
    one[p] = 1;
    ba_served served = ba_serve(s, one);
    return served.load_s + served.encode_s;
}

/* Opening and closing an engine. */
#include "engine.h"

#include "run.h"

#include <stdlib.h>
#include <string.h>

const char *ba_stage_name(ba_stage s) {
    static const char *const name[BA_STAGE_COUNT] = {
        [BA_STAGE_TOKENIZE] = "tokenize", [BA_STAGE_LOOKUP] = "lookup", [BA_STAGE_LOAD] = "load",
        [BA_STAGE_ENCODE] = "encode",     [BA_STAGE_MERGE] = "merge",   [BA_STAGE_PREFILL] = "prefill",
        [BA_STAGE_FIRST] = "first_token",
    };
    return (unsigned)s < BA_STAGE_COUNT ? name[s] : "?";
}

/* Name of the element type under which KV is stored: all that decides its bits, so without the number of threads, which
 * is after the last semicolon of the description. NULL: out of memory. */
static char *dtype_of(const ba_backend *be) {
    const char *made_by = be->ops->describe(be), *threads = strrchr(made_by, ';');
    size_t size = strlen(be->ops->name) + strlen(be->ops->dtype) + strlen(made_by) + 3;
    char *dtype = malloc(size);
    if (dtype) {
        int n = threads ? (int)(threads - made_by) : (int)strlen(made_by);
        snprintf(dtype, size, "%s/%s %.*s", be->ops->name, be->ops->dtype, n, made_by);
    }
    return dtype;
}

int ba_engine_new_packed(ba_model *model, ba_backend *be, ba_store *store, const char *adapter, ba_packed *packed,
                         ba_engine **out, char err[BA_ERR_LEN]) {
    ba_engine *e = calloc(1, sizeof *e);
    *out = NULL;
    if (!e || !(e->adapter = strdup(adapter ? adapter : "")) || !(e->dtype = dtype_of(be))) {
        ba_fail(err, "out of memory");
        goto fail;
    }
    if (ba_network_open(&e->net, model, be, packed, store ? ba_store_asked(store) : 0, err)) {
        goto fail;
    }
    e->own_store = !store;
    e->store = store ? store : ba_store_new(be, 0);
    if (!e->store) {
        ba_fail(err, "out of memory");
        goto fail;
    }
    const ba_shape *s = e->net.shape;
    e->origin = (ba_origin){.model = ba_model_hash(model),
                            .adapter = e->adapter,
                            .dtype = e->dtype,
                            .tokenizer = ba_model_vocab_hash(model),
                            .layers = s->layers,
                            .kv_heads = s->kv_heads,
                            .head_dim = s->head_dim};
    *out = e;
    return 0;
fail:
    ba_engine_free(e);
    return -1;
}

int ba_engine_new(ba_model *model, ba_backend *be, ba_store *store, const char *adapter, ba_engine **out,
                  char err[BA_ERR_LEN]) {
    return ba_engine_new_packed(model, be, store, adapter, NULL, out, err);
}

void ba_engine_free(ba_engine *e) {
    if (!e) {
        return;
    }
    if (e->own_store) {
        ba_store_free(e->store);
    }
    if (e->net.be) {
        ba_network_close(&e->net);
    }
    free(e->adapter);
    free(e->dtype);
    free(e);
}

const ba_shape *ba_engine_shape(const ba_engine *e) {
    return e->net.shape;
}

ba_backend *ba_engine_backend(const ba_engine *e) {
    return e->net.be;
}

uint64_t ba_engine_weight_bytes(const ba_engine *e) {
    return e->net.weight_bytes;
}

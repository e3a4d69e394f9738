#include "kernels/base/pool.h"
#include "parts.h"
#include "sim/model/adapter.h"

#include <stdlib.h>
#include <string.h>

const char *blockattn_version(void) {
    return BLOCKATTN_VERSION;
}

static const char *or_auto(const char *text) {
    return text && *text ? text : "auto";
}

static int open_weights(blockattn_model *m, const char *path, const blockattn_options *o, char *err) {
    char why[BA_ERR_LEN];
    if (ba_model_open(path, true, &m->model, err) != 0 ||
        (o->adapter && ba_adapter_merge(o->adapter, m->model, err) != 0) ||
        ba_model_choose_chat(m->model, or_auto(o->chat), o->chat_template, err) != 0) {
        return -1;
    }
    if (ba_tokenizer_new(ba_model_vocab(m->model), &m->tok, why) != 0) {
        return ba_fail(err, "%s: %s", path, why);
    }
    return 0;
}

static int open_engine(blockattn_model *m, const blockattn_options *o, char *err) {
    enum { KV_BYTES = 1 << 30 };
    const ba_backend_config config = {.threads = o->threads ? o->threads : ba_processors(), .dtype = or_auto(o->dtype)};
    if (ba_backend_open(or_auto(o->backend), &config, &m->be, err) != 0) {
        return -1;
    }
    m->store = ba_store_new(m->be, o->kv_bytes ? o->kv_bytes : KV_BYTES);
    m->adapter = o->adapter ? strdup(o->adapter) : NULL;
    if (!m->store || (o->adapter && !m->adapter)) {
        return ba_fail(err, "out of memory");
    }
    m->packed = o->packed && !o->adapter ? ba_packed_open(o->packed, ba_model_hash(m->model), m->be) : NULL;
    m->run_bytes = o->run_bytes;
    return ba_engine_new_packed(m->model, m->be, m->store, m->adapter, m->packed, &m->engine, err);
}

int blockattn_model_open(const char *path, const blockattn_options *options, blockattn_model **out, char *err) {
    static const blockattn_options standard = {.backend = NULL};
    const blockattn_options *o = options ? options : &standard;
    blockattn_model *m = calloc(1, sizeof *m);
    *out = NULL;
    if (!m) {
        return ba_fail(err, "out of memory");
    }
    if (open_weights(m, path, o, err) != 0 || open_engine(m, o, err) != 0) {
        blockattn_model_close(m);
        return -1;
    }
    *out = m;
    return 0;
}

void blockattn_model_close(blockattn_model *m) {
    if (!m) {
        return;
    }
    ba_engine_free(m->engine);
    ba_packed_close(m->packed);
    if (m->store) {
        ba_store_free(m->store);
    }
    ba_backend_close(m->be);
    ba_tokenizer_free(m->tok);
    ba_model_close(m->model);
    free(m->adapter);
    free(m);
}

size_t blockattn_model_vocab(const blockattn_model *m) {
    return ba_engine_shape(m->engine)->vocab;
}

void blockattn_model_forget(blockattn_model *m) {
    ba_store_clear(m->store);
}

size_t blockattn_model_text(const blockattn_model *m, const int32_t *ids, size_t n, char *text, size_t size) {
    size_t used = 0;
    for (size_t i = 0; i < n; i++) {
        char one[1024];
        size_t bytes = ba_token_bytes(m->tok, ids[i], false, one, sizeof one);
        size_t room = used + 1 < size ? size - 1 - used : 0;
        if (room) {
            memcpy(text + used, one, bytes < room ? bytes : room);
        }
        used += bytes;
    }
    if (size) {
        text[used < size ? used : size - 1] = '\0';
    }
    return used;
}

int blockattn_model_ends(const blockattn_model *m, int32_t id) {
    return ba_token_ends(m->tok, id);
}

#include "settings.h"

#include "sim/base/mapping.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

/* An adapter by what it holds, not by where it is: "none", or 16 hex digits. 0, or -1: out of memory. */
static int name_adapter(const char *folder, char out[17]) {
    static const char *const files[] = {"adapter_config.json", "adapter_model.safetensors", "adapter_model.bin"};
    uint64_t hash = 0;
    snprintf(out, 17, "none");
    for (size_t i = 0; folder && i < sizeof files / sizeof *files; i++) {
        char *path = NULL, err[BA_ERR_LEN];
        ba_mapping m;
        if (asprintf(&path, "%s/%s", folder, files[i]) < 0) {
            return -1;
        }
        if (ba_mapping_open(path, &m, err) == 0) {
            hash = XXH3_64bits_withSeed(m.data, m.size, hash + i);
            ba_mapping_close(&m);
        }
        free(path);
        snprintf(out, 17, "%016llx", (unsigned long long)hash);
    }
    return 0;
}

static const char *coding_of(const ba_store_spec *tiers) {
    for (size_t i = 0; tiers && i < tiers->n_tier; i++) {
        if (tiers->tier[i].coding != BA_CODING_EXACT) {
            return ba_coding_name(tiers->tier[i].coding);
        }
    }
    return ba_coding_name(BA_CODING_EXACT);
}

typedef struct search {
    const char *key;
    bool found;
} search;

static int look(void *arg, const char *key, const char *value) {
    search *s = arg;
    (void)value;
    s->found = s->found || strcmp(key, s->key) == 0;
    return s->found;
}

int ba_settings_hold(ba_trace *t, const char *name, const ba_settings *s, bool fresh, char err[BA_ERR_LEN]) {
    char adapter[17], *text = NULL, *key = NULL;
    int rc = BA_TRACE_MACHINE;
    if (name_adapter(s->adapter, adapter) || asprintf(&key, "settings%s%s", *name ? " of " : "", name) < 0 ||
        asprintf(&text, "element type %s, stored KV %s, adapter %s%s%s, model %.16s", s->be->ops->dtype,
                 coding_of(s->tiers), adapter, s->more ? ", " : "", s->more ? s->more : "",
                 ba_model_hash(s->model)) < 0) {
        ba_fail(err, "out of memory");
        goto done;
    }
    search known = {.key = key};
    ba_trace_attributes(t, look, &known);
    if (!known.found && !fresh) {
        ba_fail(err,
                "%s: has rows, but does not say with which element type and store they were made; leave out "
                "--resume to begin anew",
                ba_trace_path(t));
        rc = BA_TRACE_REFUSED;
        goto done;
    }
    rc = ba_trace_set(t, key, text, err);
done:
    free(key);
    free(text);
    return rc;
}

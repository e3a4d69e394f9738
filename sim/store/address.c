#include "address.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

const char *ba_lookup_name(ba_lookup why) {
    static const char *const name[BA_LOOKUP_COUNT] = {
        [BA_HIT] = "hit",
        [BA_MISS_DAMAGED] = "damaged",
        [BA_MISS_EVICTED] = "evicted",
        [BA_MISS_TOO_LARGE] = "larger than the budget",
        [BA_MISS_CONTEXT] = "same tokens, other context",
        [BA_MISS_FORM] = "other layout or coding",
        [BA_MISS_DTYPE] = "other backend or dtype",
        [BA_MISS_MODEL] = "other model or adapter",
        [BA_MISS_AWAY] = "tier does not answer",
        [BA_MISS_NEW] = "never seen",
    };
    return (unsigned)why < BA_LOOKUP_COUNT ? name[why] : "?";
}

static uint64_t hash_text(const char *text) {
    return XXH3_64bits(text, strlen(text));
}

ba_address ba_address_of(const ba_origin *origin, ba_key key, const int32_t *ids, size_t n) {
    XXH128_hash_t text = XXH3_128bits(ids, n * sizeof *ids);
    return (ba_address){.ids = {text.high64, text.low64},
                        .key = {key.hi, key.lo},
                        .model = hash_text(origin->model),
                        .adapter = hash_text(origin->adapter),
                        .dtype = hash_text(origin->dtype)};
}

ba_lookup ba_address_compare(const ba_address *wanted, const ba_address *other) {
    if (memcmp(wanted->ids, other->ids, sizeof wanted->ids) != 0) {
        return BA_MISS_NEW;
    }
    if (wanted->model != other->model || wanted->adapter != other->adapter) {
        return BA_MISS_MODEL;
    }
    if (wanted->dtype != other->dtype) {
        return BA_MISS_DTYPE;
    }
    if (wanted->form != other->form) {
        return BA_MISS_FORM;
    }
    return memcmp(wanted->key, other->key, sizeof wanted->key) != 0 ? BA_MISS_CONTEXT : BA_HIT;
}

void ba_address_name(const ba_address *a, char out[17]) {
    snprintf(out, 17, "%016" PRIx64, XXH3_64bits(a, sizeof *a));
}

#include "key.h"

#include <sodium.h>
#include <string.h>

int ba_store_key_make(const char *text, size_t n, ba_store_key *out, char err[BA_ERR_LEN]) {
    static const unsigned char name[] = "blockattn store key";
    while (n && (text[n - 1] == '\n' || text[n - 1] == '\r')) {
        n--;
    }
    if (n < BA_KEY_LEAST || n > BA_KEY_MOST) {
        return ba_fail(err,
                       "a key has %d to %d bytes, this one has %zu; make one with 'head -c 32 /dev/urandom | base64'",
                       BA_KEY_LEAST, BA_KEY_MOST, n);
    }
    if (sodium_init() < 0) {
        return ba_fail(err, "libsodium cannot be initialised");
    }
    unsigned char tag[BA_TAG_BYTES];
    crypto_generichash(out->secret, sizeof out->secret, (const unsigned char *)text, n, NULL, 0);
    crypto_generichash(tag, sizeof tag, name, sizeof name, out->secret, sizeof out->secret);
    memcpy(&out->name, tag, sizeof out->name);
    return 0;
}

void ba_store_key_tag(const ba_store_key *key, const struct iovec *part, size_t n, unsigned char tag[BA_TAG_BYTES]) {
    crypto_generichash_state state;
    crypto_generichash_init(&state, key->secret, sizeof key->secret, BA_TAG_BYTES);
    for (size_t i = 0; i < n; i++) {
        crypto_generichash_update(&state, part[i].iov_base, part[i].iov_len);
    }
    crypto_generichash_final(&state, tag, BA_TAG_BYTES);
}

bool ba_store_key_equal(const unsigned char a[BA_TAG_BYTES], const unsigned char b[BA_TAG_BYTES]) {
    return sodium_memcmp(a, b, BA_TAG_BYTES) == 0;
}

void ba_store_key_wipe(ba_store_key *key) {
    sodium_memzero(key, sizeof *key);
}

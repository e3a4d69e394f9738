/* A keyed checksum of blocks (option --store-key). The plain checksums of a block find accidents: whoever can write to
 * the store can also compute them. With a key, a block is used only if it carries a tag that needs the key to make:
 * BLAKE2b-256 in keyed mode (RFC 7693, libsodium's crypto_generichash) over everything in front of the tag. */
#ifndef BA_STORE_KEY_H
#define BA_STORE_KEY_H

#include "kernels/base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

enum { BA_TAG_BYTES = 32, BA_KEY_LEAST = 16, BA_KEY_MOST = 4096 };

/* A value; zeroed after use by its owner. */
typedef struct ba_store_key {
    unsigned char secret[32]; /* BLAKE2b-256 of the file's text */
    uint64_t name;            /* of the key, part of a block's address: blocks under another key are never met */
} ba_store_key;

/* Makes the key from a text of BA_KEY_LEAST to BA_KEY_MOST bytes; line ends at its end do not count. 0, or -1 and err. */
int ba_store_key_make(const char *text, size_t n, ba_store_key *out, char err[BA_ERR_LEN]);
/* The tag of n pieces of memory in order. */
void ba_store_key_tag(const ba_store_key *key, const struct iovec *part, size_t n, unsigned char tag[BA_TAG_BYTES]);
/* Compares in constant time, so that the time does not tell how much of a forged tag is right. */
bool ba_store_key_equal(const unsigned char a[BA_TAG_BYTES], const unsigned char b[BA_TAG_BYTES]);
void ba_store_key_wipe(ba_store_key *key);

#endif

/* A block as it is stored outside of memory: a header that says what it is, KV in the backend's layout, the numbers that
 * belong to it, its tokens, and (with a key) a tag. The header has checksums of itself and of the body (XXH3); with a
 * key (key.h) the tag covers both. Nothing in a block is used before they are checked.
 *
 *   header  ba_block_head, BA_BLOCK_HEAD bytes
 *   KV      as kv_parts shows it (coding exact), or quantised (q8.h)
 *   aux     n_aux doubles
 *   ids     tokens int32
 *   tag     BA_TAG_BYTES, if the header's coding has BA_BLOCK_KEYED
 *
 * All numbers are little-endian. An LMDB value begins 16 bytes after a multiple of 64; the header's size then puts KV at
 * a multiple of 64, so that it is used directly from the mapping. */
#ifndef BA_BLOCK_H
#define BA_BLOCK_H

#include "address.h"
#include "kernels/backend.h"
#include "key.h"

#include <sys/uio.h>

enum { BA_BLOCK_VERSION = 1, BA_BLOCK_PARTS = 6, BA_BLOCK_KEYED = 0x100 };

typedef enum ba_coding { BA_CODING_EXACT, BA_CODING_Q8 } ba_coding;

/* "exact", "q8"; of a header's field too. */
const char *ba_coding_name(uint32_t coding);

typedef struct ba_block_head {
    char magic[8];
    uint32_t version, coding; /* coding: ba_coding, and BA_BLOCK_KEYED */
    ba_address address;
    uint64_t layers, kv_heads, head_dim, tokens;
    uint64_t kv_bytes; /* as stored */
    uint64_t n_aux;
    double seconds; /* that encoding took */
    /* For people; cut to fit. */
    char model[40], adapter[40], tokenizer[40], dtype[96];
    uint64_t body_sum, head_sum; /* head_sum covers everything in front of it */
} ba_block_head;

enum { BA_BLOCK_HEAD = 368 };
_Static_assert(sizeof(ba_block_head) == BA_BLOCK_HEAD, "the header has no padding");
_Static_assert((BA_BLOCK_HEAD + 16) % BA_KV_ALIGN == 0, "KV is aligned in a page of LMDB");

/* A block to be stored: borrowed memory, in order. */
typedef struct ba_block {
    ba_block_head head;
    struct iovec part[BA_BLOCK_PARTS]; /* header (of this struct), keys, values, aux, ids, tag (of this struct) */
    unsigned char tag[BA_TAG_BYTES];
    ba_backend *be;
    const ba_kv *kv;
} ba_block;

/* Describes a block in memory or on the backend's device, without checksums. kv, aux and ids are borrowed. `out` points into itself: after copying
 * the struct call ba_block_settle on the copy. */
void ba_block_make(ba_block *out, const ba_origin *origin, const ba_address *address, ba_backend *be, ba_kv *kv,
                   const double *aux, size_t n_aux, const int32_t *ids, size_t n, double seconds);
void ba_block_settle(ba_block *p);
/* Bytes of KV that are on a device; 0: they are in memory. */
size_t ba_block_away(const ba_block *p);
/* Copies them to `room`, [ba_block_away], borrowed from here on. 0, or -1: the device failed. */
int ba_block_fetch(ba_block *p, void *room);
/* Replaces the block's KV by KV in 8 bits: `*room` is malloc'ed, and freed by the caller after the block's last use. 0,
 * or -1: out of memory. */
int ba_block_shrink(ba_block *p, unsigned char **room);
/* Computes the checksums and, unless key is NULL, the tag: the slow part, for a thread that has time. */
void ba_block_seal(ba_block *p, const ba_store_key *key);
size_t ba_block_bytes(const ba_block *p);

/* A stored block, looked at in place. */
typedef struct ba_block_view {
    ba_block_head head; /* copied, since it may have any alignment; its texts end with NUL and are printable */
    const unsigned char *start, *kv, *aux, *ids, *tag; /* tag: NULL without one */
} ba_block_view;

/* Checks everything in n bytes except the body's checksum and the tag. 0, or -1 and err: what is wrong. */
int ba_block_look(const void *bytes, size_t n, ba_block_view *out, char err[BA_ERR_LEN]);
/* Whether the body is what was stored: by the tag if there is a key, else by the plain checksum. */
bool ba_block_holds(const ba_block_view *v, const ba_store_key *key);
/* Address of the block in a tier with this coding and key (or NULL). */
ba_address ba_block_address(ba_address memory, ba_coding coding, const ba_store_key *key);

/* What a plan needs a stored block to be. */
typedef struct ba_block_need {
    ba_address address; /* in the tier */
    ba_coding coding;
    size_t layers, kv_heads, head_dim, tokens, n_aux;
    size_t kv_bytes; /* in this coding */
    const ba_store_key *key;
    const int32_t *ids; /* [tokens] */
} ba_block_need;

/* Bytes of such a block; SIZE_MAX if that is no size. */
size_t ba_block_need_bytes(const ba_block_need *need);
/* Whether n bytes are that block, every length and count of it, before any of it is used. proved: its body was checked
 * before in this process, at the same place. 0 and *out, or -1 and err. */
int ba_block_check(const void *bytes, size_t n, const ba_block_need *need, bool proved, ba_block_view *out,
                   char err[BA_ERR_LEN]);

#endif

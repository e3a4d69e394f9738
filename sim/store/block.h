/* A block as it is stored outside of memory: a header that says what it is, KV in the backend's layout, the numbers
 * that were kept with it, and its tokens. The header carries checksums of itself and of the body (XXH3), and nothing
 * in a block is believed before they hold.
 *
 *   header  ba_block_head, BA_BLOCK_HEAD bytes
 *   KV      as kv_parts shows it (coding exact), or quantised (q8.h)
 *   aux     n_aux doubles
 *   ids     tokens int32
 *
 * All numbers little-endian. The header's size puts KV at a multiple of 64 where the block itself begins 16 bytes
 * behind one, as values do in LMDB's pages: there it is used from the mapping. */
#ifndef BA_BLOCK_H
#define BA_BLOCK_H

#include "address.h"
#include "kernels/backend.h"

#include <sys/uio.h>

enum { BA_BLOCK_VERSION = 1, BA_BLOCK_PARTS = 5 };

typedef enum ba_coding { BA_CODING_EXACT, BA_CODING_Q8 } ba_coding;

/* "exact", "q8". */
const char *ba_coding_name(uint32_t coding);

typedef struct ba_block_head {
    char magic[8];
    uint32_t version, coding;
    ba_address address;
    uint64_t layers, kv_heads, head_dim, tokens;
    uint64_t kv_bytes; /* as stored */
    uint64_t n_aux;
    double seconds; /* that encoding took */
    /* For people; cut to fit. */
    char model[40], adapter[40], tokenizer[40], dtype[96];
    uint64_t body_sum, head_sum; /* the last: of everything in front of it */
} ba_block_head;

enum { BA_BLOCK_HEAD = 368 };
_Static_assert(sizeof(ba_block_head) == BA_BLOCK_HEAD, "the header has no padding");
_Static_assert((BA_BLOCK_HEAD + 16) % BA_KV_ALIGN == 0, "KV is aligned in a page of LMDB");

/* A block to be stored: borrowed memory, in order. */
typedef struct ba_block {
    ba_block_head head;
    struct iovec part[BA_BLOCK_PARTS]; /* header (of this struct), keys, values, aux, ids */
    ba_backend *be;
    const ba_kv *kv;
} ba_block;

/* Describes a block in memory, without checksums; `out` must not move afterwards. kv, aux and ids are borrowed. */
void ba_block_make(ba_block *out, const ba_origin *origin, const ba_address *address, ba_backend *be, ba_kv *kv,
                   const double *aux, size_t n_aux, const int32_t *ids, size_t n, double seconds);
/* Puts KV in 8 bits in its place: `*room` is malloc'ed, and freed by the caller when the block is done with. 0, or -1:
 * out of memory. */
int ba_block_shrink(ba_block *p, unsigned char **room);
/* Computes both checksums: the slow part, for a thread that has time. */
void ba_block_seal(ba_block *p);
size_t ba_block_bytes(const ba_block *p);

/* A stored block, looked at where it lies. */
typedef struct ba_block_view {
    ba_block_head head; /* copied: any alignment */
    const unsigned char *kv, *aux, *ids;
} ba_block_view;

/* Checks everything in n bytes but the body's checksum. 0, or -1 and err: what is wrong. */
int ba_block_look(const void *bytes, size_t n, ba_block_view *out, char err[BA_ERR_LEN]);
/* Whether the body is what was stored. */
bool ba_block_holds(const ba_block_view *v);
/* Address of the block in a tier that codes KV this way. */
ba_address ba_block_address(ba_address memory, ba_coding coding);

#endif

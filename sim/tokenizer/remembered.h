/* Ids of texts that were tokenised before, so that a passage that comes with every request is tokenised once. Bounded in
 * bytes: the text that was asked for longest ago goes first. A text is found by its hash and then compared, so that two
 * texts with one hash never get each other's ids. May be used by several threads at once. */
#ifndef BA_REMEMBERED_H
#define BA_REMEMBERED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct ba_remembered ba_remembered;

typedef struct ba_remembered_counts {
    size_t bytes, texts; /* held now: all memory of their entries */
    uint64_t found, missed;
} ba_remembered_counts;

/* Holds at most `most` bytes. NULL: out of memory. */
ba_remembered *ba_remembered_new(size_t most);
void ba_remembered_free(ba_remembered *r); /* NULL is fine */
void ba_remembered_forget(ba_remembered *r);
ba_remembered_counts ba_remembered_count(ba_remembered *r);

uint64_t ba_remembered_hash(const char *text, size_t len, bool special);
/* A copy of the ids of a text, malloc'ed (NULL if n is 0); hash: as above. false: it is not remembered, or there is no
 * memory for the copy. */
bool ba_remembered_find(ba_remembered *r, uint64_t hash, const char *text, size_t len, bool special, int32_t **ids,
                        size_t *n);
/* Remembers copies. Does nothing if the text is remembered, too long (an eighth of `most`), or there is no memory. */
void ba_remembered_add(ba_remembered *r, uint64_t hash, const char *text, size_t len, bool special, const int32_t *ids,
                       size_t n);

#endif

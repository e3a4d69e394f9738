#include "simulate.h"

#include <stdlib.h>
#include <string.h>

/* A block that was asked for at least once. */
typedef struct block {
    ba_use use[BA_SIM_TIERS]; /* one per tier; a heap's victim leads to its block */
    uint8_t held;             /* bit t: it is in tier t */
    bool pinned;              /* in memory */
} block;

enum { CHUNK = 4096 };

typedef struct tier {
    ba_sim_tier spec;
    ba_victims victims;
    uint64_t bytes, tick;
    double age;
} tier;

struct ba_sim {
    tier tier[BA_SIM_TIERS];
    size_t n_tier;
    uint32_t *index; /* [n_block] 1 + place in the chunks; 0: never asked for */
    size_t n_block;
    block **chunk; /* chunks do not move: heaps point into them */
    size_t n_chunk, n_used;
};

int ba_sim_new(const ba_sim_tier *spec, size_t n, size_t blocks, ba_sim **out, char err[BA_ERR_LEN]) {
    *out = NULL;
    if (n < 1 || n > BA_SIM_TIERS || blocks >= UINT32_MAX) {
        return ba_fail(err, "1 to %d tiers, and fewer than 2^32 blocks can be simulated", BA_SIM_TIERS);
    }
    ba_sim *s = calloc(1, sizeof *s);
    if (!s || !(s->index = calloc(blocks + 1, sizeof *s->index)) ||
        !(s->chunk = calloc(blocks / CHUNK + 1, sizeof *s->chunk))) {
        ba_sim_free(s);
        return ba_fail(err, "out of memory");
    }
    s->n_tier = n;
    s->n_block = blocks;
    for (size_t t = 0; t < n; t++) {
        s->tier[t].spec = spec[t];
    }
    *out = s;
    return 0;
}

void ba_sim_free(ba_sim *s) {
    if (!s) {
        return;
    }
    for (size_t i = 0; s->chunk && i < s->n_chunk; i++) {
        free(s->chunk[i]);
    }
    for (size_t t = 0; t < s->n_tier; t++) {
        ba_victims_free(&s->tier[t].victims);
    }
    free(s->chunk);
    free(s->index);
    free(s);
}

static block *at(const ba_sim *s, uint32_t number) {
    size_t place = s->index[number] - 1;
    return &s->chunk[place / CHUNK][place % CHUNK];
}

/* The block of this number, made if need be. NULL: out of memory. */
static block *block_of(ba_sim *s, uint32_t number) {
    if (!s->index[number]) {
        if (s->n_used == s->n_chunk * CHUNK) {
            block *chunk = calloc(CHUNK, sizeof *chunk);
            if (!chunk) {
                return NULL;
            }
            s->chunk[s->n_chunk++] = chunk;
        }
        for (size_t t = 0; t < s->n_tier; t++) {
            if (ba_victims_reserve(&s->tier[t].victims, s->n_used + 1)) {
                return NULL;
            }
        }
        s->index[number] = (uint32_t)++s->n_used;
    }
    return at(s, number);
}

static block *owner_of(ba_use *use, size_t t) {
    return (block *)(void *)((char *)(use - t) - offsetof(block, use));
}

static void shrink(ba_sim *s, size_t t) {
    tier *l = &s->tier[t];
    ba_use *first;
    while (l->bytes > l->spec.bytes && (first = ba_victims_first(&l->victims))) {
        ba_victims_remove(first);
        l->age = first->worth;
        l->bytes -= first->bytes;
        owner_of(first, t)->held &= (uint8_t) ~(1u << t);
    }
}

static void touch(tier *l, ba_use *use) {
    ba_use_touch(use, l->spec.policy, ++l->tick, l->age);
}

/* Into tier t; memory keeps it pinned, the others have nothing pinned and make room first. */
static void put(ba_sim *s, block *b, size_t t, uint64_t bytes, double seconds) {
    tier *l = &s->tier[t];
    ba_use *use = &b->use[t];
    if (l->spec.complete || (t && bytes > l->spec.bytes)) {
        return;
    }
    b->held |= (uint8_t)(1u << t);
    use->bytes = bytes;
    use->seconds = seconds;
    touch(l, use);
    l->bytes += bytes;
    shrink(s, t);
    if (t) {
        ba_victims_add(&l->victims, use);
    } else {
        b->pinned = true;
    }
}

/* The tier that has it; n_tier: none. A block that is found comes into memory and is pinned there, unless it is used in
 * place. */
static size_t find(ba_sim *s, block *b, uint64_t bytes, double seconds) {
    size_t t = 0;
    while (t < s->n_tier && !(b->held >> t & 1) && !s->tier[t].spec.complete) {
        t++;
    }
    if (t == 0) {
        ba_victims_remove(&b->use[0]);
        touch(&s->tier[0], &b->use[0]);
        b->pinned = true;
    } else if (t < s->n_tier && !s->tier[t].spec.mapped) {
        put(s, b, 0, bytes, seconds);
    }
    return t;
}

/* After the lookups, the tiers below memory learn of a block that was found in tier t. */
static void count_below(ba_sim *s, block *b, size_t t, uint64_t bytes, double seconds) {
    tier *l = &s->tier[t];
    if (b->held >> t & 1) {
        touch(l, &b->use[t]);
    }
    for (size_t front = 1; front < t && !l->spec.mapped; front++) {
        put(s, b, front, bytes, seconds);
    }
}

static void release(ba_sim *s, block *b) {
    tier *memory = &s->tier[0];
    if (!b->pinned) {
        return;
    }
    b->pinned = false;
    if (b->use[0].bytes > memory->spec.bytes) { /* larger than memory's budget: never kept */
        memory->bytes -= b->use[0].bytes;
        b->held &= (uint8_t)~1u;
        return;
    }
    ba_victims_add(&memory->victims, &b->use[0]);
    shrink(s, 0);
}

int ba_sim_request(ba_sim *s, const uint32_t *number, size_t n, uint64_t bytes, double seconds, uint8_t *place) {
    for (size_t i = 0; i < n; i++) {
        block *b = block_of(s, number[i]);
        if (!b) {
            return -1;
        }
        place[i] = (uint8_t)find(s, b, bytes, seconds);
    }
    for (size_t i = 0; i < n; i++) {
        if (place[i] && place[i] < s->n_tier) {
            count_below(s, at(s, number[i]), place[i], bytes, seconds);
        }
    }
    for (size_t i = 0; i < n; i++) {
        for (size_t t = 0; place[i] == s->n_tier && t < s->n_tier; t++) {
            put(s, at(s, number[i]), t, bytes, seconds);
        }
    }
    /* What is being written to tiers stays pinned until the last of them has it. */
    for (size_t tiers = 0; tiers < s->n_tier; tiers++) {
        for (size_t i = 0; i < n; i++) {
            if (tiers == (place[i] ? place[i] - 1u : 0)) {
                release(s, at(s, number[i]));
            }
        }
    }
    return 0;
}

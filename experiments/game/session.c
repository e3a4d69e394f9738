#include "session.h"

#include "state.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

/* Ids of a text. The text itself is not kept: a hash of 128 bits identifies it. */
typedef struct known {
    XXH128_hash_t text;
    int32_t *ids;
    size_t n;
    bool used;
} known;

enum { KNOWN_MIN = 1024, KNOWN_MAX = 1 << 18 };

struct ba_game_session {
    const ba_tokenizer *tok;
    const ba_rules *rules;
    const ba_chat *chat; /* NULL: plain text */
    char *system;
    known *table; /* [n_table] a power of two, open addressing */
    size_t n_table, n_known;
    ba_game_blocks blocks;
    char err[BA_ERR_LEN]; /* why a text has no ids; "": out of memory */
};

static void forget(ba_game_session *s) {
    for (size_t i = 0; i < s->n_table; i++) {
        free(s->table[i].ids);
    }
    free(s->table);
    s->table = NULL;
    s->n_table = s->n_known = 0;
}

static known *slot_of(known *table, size_t n, XXH128_hash_t text) {
    size_t i = text.low64 & (n - 1);
    while (table[i].used && !XXH128_isEqual(table[i].text, text)) {
        i = (i + 1) & (n - 1);
    }
    return &table[i];
}

/* Makes room for one more. A large table is cleared first, since most of it belongs to past states. */
static int make_room(ba_game_session *s) {
    if (s->n_known < s->n_table / 2) {
        return 0;
    }
    if (s->n_table == KNOWN_MAX) {
        forget(s);
    }
    size_t n = s->n_table ? 2 * s->n_table : KNOWN_MIN;
    known *table = calloc(n, sizeof *table);
    if (!table) {
        return -1;
    }
    for (size_t i = 0; i < s->n_table; i++) {
        if (s->table[i].used) {
            *slot_of(table, n, s->table[i].text) = s->table[i];
        }
    }
    free(s->table);
    s->table = table;
    s->n_table = n;
    return 0;
}

/* Valid until the next call. NULL and s->err. */
static const known *ids_of(ba_game_session *s, const char *text, size_t len, bool special) {
    XXH128_hash_t hash = XXH3_128bits_withSeed(text, len, special);
    if (make_room(s)) {
        return NULL;
    }
    known *k = slot_of(s->table, s->n_table, hash);
    if (!k->used) {
        if (ba_tokenize(s->tok, text, len, special, &k->ids, &k->n, s->err) != 0) {
            return NULL;
        }
        k->text = hash;
        k->used = true;
        s->n_known++;
    }
    return k;
}

static size_t count_tokens(void *arg, const char *text, size_t len) {
    const known *k = ids_of(arg, text, len, false);
    return k ? k->n : SIZE_MAX;
}

ba_game_session *ba_game_session_new(const ba_tokenizer *tok, const ba_rules *rules, const char *system) {
    ba_game_session *s = calloc(1, sizeof *s);
    if (!s || !(s->system = strdup(system))) {
        free(s);
        return NULL;
    }
    s->tok = tok;
    s->rules = rules;
    s->chat = ba_chat_of(ba_tokenizer_vocab(tok));
    return s;
}

void ba_game_session_free(ba_game_session *s) {
    if (s) {
        forget(s);
        ba_game_blocks_free(&s->blocks);
        free(s->system);
        free(s);
    }
}

const ba_game_blocks *ba_game_session_blocks(const ba_game_session *s) {
    return &s->blocks;
}

/* A segment, unless it has no tokens. */
static int add(ba_game_session *s, ba_prompt *p, ba_role role, const char *text, size_t len, bool special) {
    const known *k = ids_of(s, text, len, special);
    return k && (!k->n || !ba_prompt_add(p, role, k->ids, k->n)) ? 0 : -1;
}

/* Two texts as one segment; control tokens in them are parsed. */
static int add_joined(ba_game_session *s, ba_prompt *p, ba_role role, const char *a, const char *b) {
    char *text = malloc(strlen(a) + strlen(b) + 1);
    if (!text) {
        return -1;
    }
    stpcpy(stpcpy(text, a), b);
    int rc = add(s, p, role, text, strlen(text), true);
    free(text);
    return rc;
}

static int fill(ba_game_session *s, const char *question, ba_prompt *p) {
    const ba_chat *chat = s->chat;
    if (add_joined(s, p, BA_ROLE_SYSTEM, chat ? chat->bare_begin : "", s->system)) {
        return -1;
    }
    for (size_t i = 0; i < s->blocks.n; i++) {
        if (add(s, p, BA_ROLE_PASSAGE, s->blocks.block[i].text, s->blocks.block[i].len, false)) {
            return -1;
        }
    }
    if (add_joined(s, p, BA_ROLE_QUESTION, "\n", question)) {
        return -1;
    }
    return add_joined(s, p, BA_ROLE_TASK, "", chat ? chat->answer_open : "\n");
}

int ba_game_session_frame(ba_game_session *s, const char *state, size_t len, const char *name, const char *question,
                          ba_prompt **out, char err[BA_ERR_LEN]) {
    cJSON *tree = NULL;
    *out = NULL;
    s->err[0] = '\0';
    ba_game_blocks_free(&s->blocks);
    if (ba_state_parse(state, len, name, &tree, err)) {
        return -1;
    }
    int rc = ba_cut(tree, s->rules, count_tokens, s, name, &s->blocks, err);
    cJSON_Delete(tree);
    if (rc != 0) {
        return s->err[0] ? ba_fail(err, "%s", s->err) : -1;
    }
    ba_prompt *p = ba_prompt_new(s->tok);
    if (!p || fill(s, question, p)) {
        ba_prompt_free(p);
        return ba_fail(err, "%s", s->err[0] ? s->err : "out of memory");
    }
    *out = p;
    return 0;
}

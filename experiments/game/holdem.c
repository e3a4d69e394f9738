/* Texas Hold'em as in the paper's appendix A: the second frame differs from the first in chips.p2 only, which goes from
 * {bet: 10, remain: 990} to {bet: 50, remain: 950}. After that the hand is played on: a frame changes the chips of one
 * player, or deals a card to the board, or begins a new hand. */
#include "sim/base/random.h"
#include "world.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdlib.h>

enum { PLAYERS = 6, BOARD = 5, DECK = 52, STACK = 1000, BIG_BLIND = 10, RAISE = 40 };

typedef struct table {
    uint64_t rng;
    size_t deck[DECK]; /* the first two are the asked player's, the next five the board's */
    size_t shown;      /* cards on the board */
    int bet[PLAYERS], remain[PLAYERS];
    bool folded[PLAYERS];
    size_t hand, next, waiting; /* who acts next; how many have to act before the next card */
} table;

static void shuffle(table *t) {
    for (size_t i = 0; i < DECK; i++) {
        t->deck[i] = i;
    }
    ba_random_shuffle(&t->rng, t->deck, DECK);
}

static void *begin(size_t entities, uint64_t seed) {
    (void)entities;
    table *t = calloc(1, sizeof *t);
    if (t) {
        *t = (table){.rng = seed, .shown = 3, .hand = 17, .next = 1, .waiting = 1};
        shuffle(t);
        for (size_t i = 0; i < PLAYERS; i++) {
            t->bet[i] = 5 * BIG_BLIND;
        }
        t->bet[1] = BIG_BLIND; /* p2, who is about to call */
        t->folded[3] = true;
        t->bet[3] = 0;
        for (size_t i = 0; i < PLAYERS; i++) {
            t->remain[i] = STACK - t->bet[i];
        }
    }
    return t;
}

static cJSON *card(size_t c) {
    const char text[] = {"23456789TJQKA"[c % 13], "cdhs"[c / 13], 0};
    return cJSON_CreateString(text);
}

static void add_number(cJSON *o, const char *key, int value) {
    cJSON_AddNumberToObject(o, key, value);
}

static char *state(void *game) {
    static const char *const name[PLAYERS] = {"p1", "p2", "p3", "p4", "p5", "p6"};
    static const char *const style[PLAYERS] = {"careful",  "loose and passive", "tight and aggressive",
                                               "beginner", "bluffs often",      "plays by the odds"};
    static const char *const street[] = {"preflop", "preflop", "preflop", "flop", "turn", "river"};
    const table *t = game;
    cJSON *o = cJSON_CreateObject(), *blinds, *board, *hole, *players, *chips;
    cJSON_AddStringToObject(o, "game", "Texas Hold'em, no limit");
    add_number(o, "hand", (int)t->hand);
    cJSON_AddStringToObject(o, "dealer", name[PLAYERS - 1]);
    cJSON_AddStringToObject(o, "you", name[1]);
    blinds = cJSON_AddObjectToObject(o, "blinds");
    add_number(blinds, "small", BIG_BLIND / 2);
    add_number(blinds, "big", BIG_BLIND);
    hole = cJSON_AddArrayToObject(o, "hole_cards");
    cJSON_AddItemToArray(hole, card(t->deck[0]));
    cJSON_AddItemToArray(hole, card(t->deck[1]));
    board = cJSON_AddObjectToObject(o, "board");
    cJSON_AddStringToObject(board, "street", street[t->shown]);
    cJSON *cards = cJSON_AddArrayToObject(board, "cards");
    for (size_t i = 0; i < t->shown; i++) {
        cJSON_AddItemToArray(cards, card(t->deck[2 + i]));
    }
    players = cJSON_AddObjectToObject(o, "players");
    chips = cJSON_AddObjectToObject(o, "chips");
    for (size_t i = 0; i < PLAYERS; i++) {
        cJSON *p = cJSON_AddObjectToObject(players, name[i]), *c = cJSON_AddObjectToObject(chips, name[i]);
        add_number(p, "seat", (int)i + 1);
        cJSON_AddStringToObject(p, "style", style[i]);
        add_number(c, "bet", t->bet[i]);
        add_number(c, "remain", t->remain[i]);
        if (t->folded[i]) {
            cJSON_AddTrueToObject(c, "folded");
        }
    }
    char *text = cJSON_PrintUnformatted(o);
    cJSON_Delete(o);
    return text;
}

static int highest_bet(const table *t) {
    int top = 0;
    for (size_t i = 0; i < PLAYERS; i++) {
        top = t->bet[i] > top ? t->bet[i] : top;
    }
    return top;
}

static size_t in_the_hand(const table *t) {
    size_t n = 0;
    for (size_t i = 0; i < PLAYERS; i++) {
        n += !t->folded[i];
    }
    return n;
}

static void new_hand(table *t) {
    shuffle(t);
    t->shown = 0;
    t->hand++;
    t->next = 0;
    t->waiting = PLAYERS;
    for (size_t i = 0; i < PLAYERS; i++) {
        t->bet[i] = 0;
        t->remain[i] = STACK;
        t->folded[i] = false;
    }
}

/* The next player who is still in calls, now and then raises. Whether that changes anything. */
static bool act(table *t) {
    while (t->folded[t->next]) {
        t->next = (t->next + 1) % PLAYERS;
    }
    size_t p = t->next;
    int top = highest_bet(t), all = t->bet[p] + t->remain[p];
    bool raise = t->bet[p] == top && ba_random_below(&t->rng, 4) == 0;
    int wanted = top + (raise ? RAISE : 0), before = t->bet[p];
    t->bet[p] = wanted < all ? wanted : all;
    t->remain[p] = all - t->bet[p];
    t->waiting = raise ? in_the_hand(t) - 1 : t->waiting - 1;
    t->next = (p + 1) % PLAYERS;
    return t->bet[p] != before;
}

/* Players who check leave no trace: on to the first thing that changes the state. */
static void step(void *game, size_t characters) {
    (void)characters;
    table *t = game;
    while (t->waiting) {
        if (act(t)) {
            return;
        }
    }
    if (t->shown == BOARD) {
        new_hand(t);
    } else {
        t->shown = t->shown < 3 ? 3 : t->shown + 1;
        t->next = 0;
        t->waiting = in_the_hand(t);
    }
}

const ba_world ba_world_holdem = {
    "holdem",
    "Texas Hold'em, as in the paper's appendix A",
    "You play Texas Hold'em. The state of the table follows, one part a line, each part behind its path.\n\n",
    "It is your turn. Do you fold, call or raise? Answer with one word.",
    0,
    begin,
    state,
    step,
    free};

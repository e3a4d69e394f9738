/* A real-time strategy game: units, buildings, resources and players on a map. From frame to frame a few entities act:
 * a unit moves, fights and gets orders, a mine runs low, a player's stores grow; now and then a unit falls and another
 * one is trained in its place. Everything else stays. */
#include "sim/base/random.h"
#include "world.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

enum { PLAYERS = 4, MAP = 96, UNIT_SHARE = 20, BUILDING_SHARE = 10 }; /* shares of the entities, in per cent */

static const char *const player_name[PLAYERS] = {"red", "blue", "green", "gold"};
static const char *const unit_type[] = {"worker", "archer", "knight", "spearman", "scout", "catapult", "healer"};
static const char *const unit_order[] = {"idle", "move", "attack", "gather", "guard", "retreat", "build"};
static const char *const building_type[] = {"house", "barracks", "tower", "farm", "market", "temple", "wall"};
static const char *const resource_kind[] = {"gold", "wood", "stone", "food"};

#define COUNT(list) (sizeof(list) / sizeof *(list))

typedef struct unit {
    int id, hp, x, y, target;
    size_t type, owner, order;
} unit;

typedef struct building {
    int hp, x, y, queue;
    size_t type, owner;
} building;

typedef struct resource {
    int amount;
    size_t kind;
} resource;

typedef struct war {
    uint64_t rng;
    unit *unit;
    building *building;
    resource *resource;
    size_t n_unit, n_building, n_resource;
    int stock[PLAYERS][COUNT(resource_kind)], score[PLAYERS];
    int tick, next_id;
} war;

static int below(war *w, size_t n) {
    return (int)ba_random_below(&w->rng, n);
}

static unit new_unit(war *w, size_t owner) {
    return (unit){.id = w->next_id++,
                  .hp = 40 + below(w, 60),
                  .x = below(w, MAP),
                  .y = below(w, MAP),
                  .type = ba_random_below(&w->rng, COUNT(unit_type)),
                  .owner = owner,
                  .order = ba_random_below(&w->rng, COUNT(unit_order))};
}

static void end(void *game) {
    war *w = game;
    if (w) {
        free(w->unit);
        free(w->building);
        free(w->resource);
        free(w);
    }
}

static void *begin(size_t entities, uint64_t seed) {
    war *w = calloc(1, sizeof *w);
    if (!w) {
        return NULL;
    }
    *w = (war){.rng = seed, .tick = 1200, .next_id = 1};
    w->n_unit = entities * UNIT_SHARE / 100 + 1;
    w->n_building = entities * BUILDING_SHARE / 100 + 1;
    w->n_resource = entities > w->n_unit + w->n_building ? entities - w->n_unit - w->n_building : 1;
    w->unit = calloc(w->n_unit, sizeof *w->unit);
    w->building = calloc(w->n_building, sizeof *w->building);
    w->resource = calloc(w->n_resource, sizeof *w->resource);
    if (!w->unit || !w->building || !w->resource) {
        end(w);
        return NULL;
    }
    for (size_t i = 0; i < w->n_unit; i++) {
        w->unit[i] = new_unit(w, i % PLAYERS);
    }
    for (size_t i = 0; i < w->n_building; i++) {
        w->building[i] = (building){.hp = 200 + below(w, 300),
                                    .x = below(w, MAP),
                                    .y = below(w, MAP),
                                    .type = ba_random_below(&w->rng, COUNT(building_type)),
                                    .owner = i % PLAYERS};
    }
    for (size_t i = 0; i < w->n_resource; i++) {
        w->resource[i] =
            (resource){.amount = 100 + below(w, 900), .kind = ba_random_below(&w->rng, COUNT(resource_kind))};
    }
    for (size_t p = 0; p < PLAYERS; p++) {
        for (size_t k = 0; k < COUNT(resource_kind); k++) {
            w->stock[p][k] = 100 + below(w, 900);
        }
        w->score[p] = 1000 + below(w, 500);
    }
    return w;
}

/* --- as JSON ---------------------------------------------------------------------------------------------------- */

static void add_number(cJSON *o, const char *key, int value) {
    cJSON_AddNumberToObject(o, key, value);
}

/* The member of `all` that is known by a letter and a number. */
static cJSON *add_entity(cJSON *all, char letter, int id) {
    char key[16];
    snprintf(key, sizeof key, "%c%d", letter, id);
    return cJSON_AddObjectToObject(all, key);
}

static void add_place(cJSON *o, int x, int y) {
    cJSON_AddItemToObject(o, "pos", cJSON_CreateIntArray((int[]){x, y}, 2));
}

static void add_unit(cJSON *all, const unit *u) {
    char target[16];
    cJSON *o = add_entity(all, 'u', u->id);
    cJSON_AddStringToObject(o, "type", unit_type[u->type]);
    cJSON_AddStringToObject(o, "owner", player_name[u->owner]);
    add_number(o, "hp", u->hp);
    add_place(o, u->x, u->y);
    cJSON_AddStringToObject(o, "order", unit_order[u->order]);
    if (u->target) {
        snprintf(target, sizeof target, "u%d", u->target);
        cJSON_AddStringToObject(o, "target", target);
    }
}

static void add_players(const war *w, cJSON *all) {
    for (size_t p = 0; p < PLAYERS; p++) {
        cJSON *o = cJSON_AddObjectToObject(all, player_name[p]), *stock = cJSON_AddObjectToObject(o, "stock");
        add_number(o, "score", w->score[p]);
        for (size_t k = 0; k < COUNT(resource_kind); k++) {
            add_number(stock, resource_kind[k], w->stock[p][k]);
        }
    }
}

static char *state(void *game) {
    const war *w = game;
    cJSON *o = cJSON_CreateObject(), *map = cJSON_AddObjectToObject(o, "map"), *all;
    cJSON_AddStringToObject(map, "name", "Two Rivers");
    add_number(map, "width", MAP);
    add_number(map, "height", MAP);
    add_number(o, "tick", w->tick);
    cJSON_AddStringToObject(o, "you", player_name[0]);
    add_players(w, cJSON_AddObjectToObject(o, "players"));
    all = cJSON_AddObjectToObject(o, "resources");
    for (size_t i = 0; i < w->n_resource; i++) {
        cJSON *r = add_entity(all, 'r', (int)i + 1);
        cJSON_AddStringToObject(r, "kind", resource_kind[w->resource[i].kind]);
        add_number(r, "amount", w->resource[i].amount);
    }
    all = cJSON_AddObjectToObject(o, "buildings");
    for (size_t i = 0; i < w->n_building; i++) {
        cJSON *b = add_entity(all, 'b', (int)i + 1);
        cJSON_AddStringToObject(b, "type", building_type[w->building[i].type]);
        cJSON_AddStringToObject(b, "owner", player_name[w->building[i].owner]);
        add_number(b, "hp", w->building[i].hp);
        add_place(b, w->building[i].x, w->building[i].y);
        add_number(b, "queue", w->building[i].queue);
    }
    all = cJSON_AddObjectToObject(o, "units");
    for (size_t i = 0; i < w->n_unit; i++) {
        add_unit(all, &w->unit[i]);
    }
    char *text = cJSON_PrintUnformatted(o);
    cJSON_Delete(o);
    return text;
}

/* --- a step ----------------------------------------------------------------------------------------------------- */

/* Sets a number; how many characters of its text differ then. */
static size_t set(int *field, int value) {
    char old[16], new[16];
    int a = snprintf(old, sizeof old, "%d", *field), b = snprintf(new, sizeof new, "%d", value);
    size_t n = a == b ? 0 : (size_t)(a > b ? a : b);
    for (int i = 0; a == b && i < a; i++) {
        n += old[i] != new[i];
    }
    *field = value;
    return n;
}

/* A few cells on, in one of two directions. */
static int moved(war *w, int at) {
    int by = 1 + below(w, 3), to = below(w, 2) ? at + by : at - by;
    return to < 0 ? by : to >= MAP ? MAP - 1 - by : to;
}

/* A unit acts: it moves, is hit, and (as often as not) turns to another one. */
static size_t act_unit(war *w) {
    unit *u = &w->unit[ba_random_below(&w->rng, w->n_unit)];
    size_t n = set(&u->x, moved(w, u->x)) + set(&u->y, moved(w, u->y)) + set(&u->hp, u->hp - 1 - below(w, 9));
    if (below(w, 2)) {
        u->order = ba_random_below(&w->rng, COUNT(unit_order));
        n += set(&u->target, w->unit[ba_random_below(&w->rng, w->n_unit)].id) + 1;
    }
    if (u->hp <= 0) {
        enum { TEXT_OF_A_UNIT = 40 }; /* all of it is new */
        *u = new_unit(w, u->owner);
        n += TEXT_OF_A_UNIT;
    }
    return n;
}

/* A load is brought home. */
static size_t act_resource(war *w) {
    resource *r = &w->resource[ba_random_below(&w->rng, w->n_resource)];
    int *stock = &w->stock[ba_random_below(&w->rng, PLAYERS)][r->kind];
    int load = r->amount < 10 ? r->amount : 10;
    return set(&r->amount, r->amount - load) + set(stock, *stock + load);
}

static size_t act_building(war *w) {
    building *b = &w->building[ba_random_below(&w->rng, w->n_building)];
    return set(&b->queue, below(w, 6)) + set(&b->hp, b->hp > 20 ? b->hp - below(w, 20) : b->hp);
}

static void step(void *game, size_t characters) {
    war *w = game;
    size_t n = set(&w->tick, w->tick + 1);
    while (n < characters) {
        int who = below(w, 10);
        n += who < 8 ? act_unit(w) : who < 9 ? act_resource(w) : act_building(w);
    }
}

const ba_world ba_world_strategy = {
    "strategy",
    "a generated real-time strategy game: units, buildings, resources, players",
    "You command the red army of a strategy game. The state of the game follows, one part a line, each part behind its "
    "path.\n\n",
    "What is the next order for red? Name one unit and its order.",
    300,
    begin,
    state,
    step,
    end};

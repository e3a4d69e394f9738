/* blockattn store: looks after the blocks that were kept outside of memory. */
#include "experiments/cli/guess.h"
#include "experiments/cli/json.h"
#include "experiments/cli/store_spec.h"
#include "experiments/options/options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A block that a walk found. */
typedef struct block {
    ba_address address;
    ba_block_head head; /* meaningless if it is damaged */
    ba_use use;
    size_t bytes;
    bool damaged;
    char name[17], fault[120];
} block;

typedef struct list {
    block *at; /* [n] */
    size_t n, room;
    bool check;              /* bodies too */
    const ba_store_key *key; /* of --store-key, or NULL */
} list;

/* A tier that the command looks after, and what is in it. */
typedef struct place {
    ba_tier *tier;
    list blocks;
    char name[160];
} place;

typedef struct job {
    ba_store_spec spec;
    place place[BA_MAX_TIERS];
    size_t n_place;
    char *const *names; /* operands of rm, pin and unpin */
    size_t n_names;
    const char *keep;
    bool json, all, remove;
} job;

static void remark(const char *line) {
    fprintf(stderr, "%s: %s\n", program_invocation_short_name, line);
}

/* The key that a block's tag was made with, or NULL if only its plain checksum can be checked. */
static const ba_store_key *key_of(const ba_store_key *key, const ba_block_view *v) {
    if (!key || !v->tag) {
        return NULL;
    }
    const ba_coding coding = (ba_coding)(v->head.coding & ~(uint32_t)BA_BLOCK_KEYED);
    return ba_block_address(v->head.address, coding, key).form == v->head.address.form ? key : NULL;
}

static int note_block(void *arg, const ba_address *address, const void *bytes, size_t n, const ba_use *use) {
    list *l = arg;
    char err[BA_ERR_LEN];
    ba_block_view v;
    if (ba_interrupted()) {
        return BA_EXIT_INTERRUPTED;
    }
    if (l->n == l->room) {
        size_t room = 2 * l->room + 64;
        block *at = realloc(l->at, room * sizeof *at);
        if (!at) {
            return ba_cli_fail(BA_EXIT_MACHINE, "out of memory");
        }
        l->at = at;
        l->room = room;
    }
    block *b = &l->at[l->n++];
    *b = (block){.address = *address, .use = *use, .bytes = n};
    ba_address_name(address, b->name);
    if (ba_block_look(bytes, n, &v, err) == 0) {
        if (memcmp(&v.head.address, address, sizeof *address) != 0) {
            ba_fail(err, "the header is that of another block");
        } else if (!l->check || ba_block_holds(&v, key_of(l->key, &v))) {
            b->head = v.head;
            return 0;
        } else {
            ba_fail(err, "the checksum is wrong");
        }
    }
    b->damaged = true;
    snprintf(b->fault, sizeof b->fault, "%.100s", err);
    return 0;
}

/* 0, or an exit status with the line printed. */
static int walk(job *j, bool check) {
    char err[BA_ERR_LEN];
    for (size_t i = 0; i < j->n_place; i++) {
        place *p = &j->place[i];
        p->blocks.check = check;
        int rc = p->tier->ops->each(p->tier, note_block, &p->blocks, err);
        if (rc) {
            return rc > 0 ? rc : ba_cli_fail(BA_EXIT_MACHINE, "%s", err);
        }
    }
    return 0;
}

static int remove_block(place *p, const block *b) {
    char err[BA_ERR_LEN];
    return p->tier->ops->remove(p->tier, &b->address, err) ? ba_cli_fail(BA_EXIT_MACHINE, "%s", err) : 0;
}

/* ---- what is printed ------------------------------------------------------------------------------------------- */

static cJSON *json_of_block(const place *p, const block *b) {
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "block", b->name);
    cJSON_AddStringToObject(o, "tier", p->name);
    cJSON_AddNumberToObject(o, "bytes", (double)b->bytes);
    cJSON_AddBoolToObject(o, "damaged", b->damaged);
    if (b->damaged) {
        cJSON_AddStringToObject(o, "fault", b->fault);
        return o;
    }
    cJSON_AddNumberToObject(o, "tokens", (double)b->head.tokens);
    cJSON_AddStringToObject(o, "coding", ba_coding_name(b->head.coding));
    cJSON_AddStringToObject(o, "model", b->head.model);
    cJSON_AddStringToObject(o, "adapter", b->head.adapter);
    cJSON_AddStringToObject(o, "tokenizer", b->head.tokenizer);
    cJSON_AddStringToObject(o, "dtype", b->head.dtype);
    cJSON_AddNumberToObject(o, "encode_s", b->head.seconds);
    cJSON_AddNumberToObject(o, "uses", (double)b->use.uses);
    cJSON_AddBoolToObject(o, "pinned", ba_use_pinned(&b->use));
    return o;
}

static int print_blocks(const job *j, bool damaged_only) {
    cJSON *all = cJSON_CreateArray();
    size_t shown = 0;
    for (size_t i = 0; i < j->n_place; i++) {
        const place *p = &j->place[i];
        for (size_t k = 0; k < p->blocks.n; k++) {
            const block *b = &p->blocks.at[k];
            if (damaged_only && !b->damaged) {
                continue;
            }
            if (j->json) {
                cJSON_AddItemToArray(all, json_of_block(p, b));
                continue;
            }
            if (!shown++ && !damaged_only) {
                printf("%-16s  %7s  %10s  %-5s  %8s  %5s  %-6s  %-8s  %s\n", "block", "tokens", "bytes", "code",
                       "encode", "uses", "pinned", "model", "backend");
            }
            if (b->damaged) {
                printf("%-16s  damaged: %s\n", b->name, b->fault);
                continue;
            }
            char bytes[32], seconds[32];
            ba_print_bytes(bytes, sizeof bytes, (double)b->bytes);
            ba_print_seconds(seconds, sizeof seconds, b->head.seconds);
            printf("%-16s  %7zu  %10s  %-5s  %8s  %5llu  %-6s  %-8.8s  %s\n", b->name, (size_t)b->head.tokens, bytes,
                   ba_coding_name(b->head.coding), seconds, (unsigned long long)b->use.uses,
                   ba_use_pinned(&b->use) ? "yes" : "", b->head.model, b->head.dtype);
        }
    }
    if (j->json) {
        return ba_json_print(all);
    }
    cJSON_Delete(all);
    return 0;
}

static int list_blocks(job *j) {
    int status = walk(j, false);
    return status ? status : print_blocks(j, false);
}

static int print_stats(job *j) {
    cJSON *all = cJSON_CreateArray();
    char err[BA_ERR_LEN];
    for (size_t i = 0; i < j->n_place; i++) {
        const place *p = &j->place[i];
        ba_tier_stats s;
        if (p->tier->ops->stats(p->tier, &s, err)) {
            cJSON_Delete(all);
            return ba_cli_fail(BA_EXIT_MACHINE, "%s", err);
        }
        if (j->json) {
            cJSON *o = cJSON_CreateObject();
            cJSON_AddStringToObject(o, "tier", p->name);
            cJSON_AddNumberToObject(o, "blocks", (double)s.entries);
            cJSON_AddNumberToObject(o, "bytes", (double)s.bytes);
            cJSON_AddNumberToObject(o, "budget", (double)s.budget);
            cJSON_AddNumberToObject(o, "file_bytes", (double)s.file_bytes);
            cJSON_AddNumberToObject(o, "remembered", (double)s.gone);
            cJSON_AddItemToArray(all, o);
            continue;
        }
        char bytes[32], budget[32], file[32];
        ba_print_bytes(bytes, sizeof bytes, (double)s.bytes);
        ba_print_bytes(budget, sizeof budget, (double)s.budget);
        ba_print_bytes(file, sizeof file, (double)s.file_bytes);
        printf("%s: %zu blocks, %s%s%s", p->name, s.entries, bytes, s.budget ? " of " : "", s.budget ? budget : "");
        printf(s.file_bytes ? ", file %s, %zu evicted ones remembered\n" : "\n", file, s.gone);
    }
    if (j->json) {
        return ba_json_print(all);
    }
    cJSON_Delete(all);
    return 0;
}

/* ---- what changes something ------------------------------------------------------------------------------------- */

/* Counts the damaged blocks of a place, and on request removes them. 0, or an exit status. */
static int verify_place(const job *j, place *p, size_t *damaged) {
    for (size_t k = 0; k < p->blocks.n; k++) {
        if (!p->blocks.at[k].damaged) {
            continue;
        }
        ++*damaged;
        int status = j->remove ? remove_block(p, &p->blocks.at[k]) : 0;
        if (status) {
            return status;
        }
    }
    return 0;
}

static int verify(job *j) {
    size_t damaged = 0, n = 0;
    int status = walk(j, true);
    if (status) {
        return status;
    }
    for (size_t i = 0; i < j->n_place; i++) {
        n += j->place[i].blocks.n;
        if ((status = verify_place(j, &j->place[i], &damaged))) {
            return status;
        }
    }
    if ((status = print_blocks(j, true))) {
        return status;
    }
    if (!j->json) {
        printf("%zu blocks, %zu damaged%s\n", n, damaged, damaged && j->remove ? " and removed" : "");
    }
    return damaged ? BA_EXIT_CHECK : BA_EXIT_OK;
}

/* Hashes of the models of a comma-separated list, one after the other, each 32 digits. 0, or an exit status. */
static int hash_models(const char *paths, char **hashes) {
    char *copy = strdup(paths), *next = copy, *path, err[BA_ERR_LEN];
    char *end = *hashes = calloc(strlen(paths) + 2, 34); /* more than one for each path */
    int status = 0;
    if (!copy || !end) {
        status = ba_cli_fail(BA_EXIT_MACHINE, "out of memory");
        goto done;
    }
    while ((path = strsep(&next, ","))) {
        ba_model *m = NULL;
        if (ba_model_open(path, true, &m, err)) {
            status = ba_cli_fail(BA_EXIT_USAGE, "--keep: %s", err);
            goto done;
        }
        end = stpcpy(stpcpy(end, ba_model_hash(m)), " ");
        ba_model_close(m);
    }
done:
    free(copy);
    return status;
}

/* Removes the blocks of a place whose model is not among the hashes. 0, or an exit status. */
static int remove_others(place *p, const char *hashes, size_t *removed) {
    for (size_t k = 0; k < p->blocks.n; k++) {
        const block *b = &p->blocks.at[k];
        if (!b->damaged && strstr(hashes, b->head.model)) {
            continue;
        }
        int status = remove_block(p, b);
        if (status) {
            return status;
        }
        ++*removed;
    }
    return 0;
}

/* hashes NULL: blocks of every model stay. */
static int collect_all(job *j, const char *hashes, size_t *others, size_t *evicted) {
    char err[BA_ERR_LEN];
    int status = walk(j, false);
    for (size_t i = 0; i < j->n_place && !status; i++) {
        place *p = &j->place[i];
        size_t gone = 0;
        if (hashes && (status = remove_others(p, hashes, others))) {
            return status;
        }
        if (p->tier->ops->collect && p->tier->ops->collect(p->tier, &gone, err)) {
            return ba_cli_fail(BA_EXIT_MACHINE, "%s", err);
        }
        *evicted += gone;
    }
    return status;
}

static int collect(job *j) {
    char *hashes = NULL;
    size_t others = 0, evicted = 0;
    int status = j->keep ? hash_models(j->keep, &hashes) : 0;
    status = status ? status : collect_all(j, hashes, &others, &evicted);
    free(hashes);
    if (status) {
        return status;
    }
    if (j->json) {
        cJSON *o = cJSON_CreateObject();
        cJSON_AddNumberToObject(o, "evicted", (double)evicted);
        cJSON_AddNumberToObject(o, "of_other_models", (double)others);
        return ba_json_print(o);
    }
    printf("%zu blocks evicted for the budget, %zu of other models removed\n", evicted, others);
    return BA_EXIT_OK;
}

/* Whether the operand names the block: its first digits are enough, at least four. */
static bool names(const char *operand, const block *b) {
    size_t n = strlen(operand);
    return n >= 4 && n <= 16 && strncmp(operand, b->name, n) == 0;
}

static bool is_named(const job *j, const block *b) {
    for (size_t i = 0; i < j->n_names; i++) {
        if (names(j->names[i], b)) {
            return true;
        }
    }
    return j->all;
}

/* Whether an operand names any block. */
static bool is_there(const job *j, const char *operand) {
    for (size_t i = 0; i < j->n_place; i++) {
        for (size_t k = 0; k < j->place[i].blocks.n; k++) {
            if (names(operand, &j->place[i].blocks.at[k])) {
                return true;
            }
        }
    }
    return false;
}

static int change_blocks(job *j, int (*change)(place *p, const block *b), size_t *changed) {
    for (size_t i = 0; i < j->n_place; i++) {
        place *p = &j->place[i];
        for (size_t k = 0; k < p->blocks.n; k++) {
            int status = is_named(j, &p->blocks.at[k]) ? change(p, &p->blocks.at[k]) : 0;
            if (status) {
                return status;
            }
            *changed += is_named(j, &p->blocks.at[k]);
        }
    }
    return 0;
}

/* Changes every block that the operands name, or all blocks, and prints how many. done: what was done, for the print. */
static int change_named(job *j, int (*change)(place *p, const block *b), const char *done) {
    size_t changed = 0;
    int status = walk(j, false);
    for (size_t i = 0; i < j->n_names && !status; i++) {
        if (!is_there(j, j->names[i])) {
            status = ba_cli_fail(BA_EXIT_USAGE, "no block '%s'; 'store ls' shows their names", j->names[i]);
        }
    }
    status = status ? status : change_blocks(j, change, &changed);
    if (status) {
        return status;
    }
    if (j->json) {
        cJSON *o = cJSON_CreateObject();
        cJSON_AddNumberToObject(o, done, (double)changed);
        return ba_json_print(o);
    }
    printf("%zu blocks %s\n", changed, done);
    return BA_EXIT_OK;
}

static int set_pin(place *p, const block *b, bool on) {
    char err[BA_ERR_LEN];
    if (!p->tier->ops->pin) {
        return ba_cli_fail(BA_EXIT_USAGE, "store %s: its server evicts as it likes; blocks are pinned in lmdb:PATH",
                           p->name);
    }
    return p->tier->ops->pin(p->tier, &b->address, on, err) ? ba_cli_fail(BA_EXIT_MACHINE, "%s", err) : 0;
}

static int pin_block(place *p, const block *b) {
    return set_pin(p, b, true);
}

static int unpin_block(place *p, const block *b) {
    return set_pin(p, b, false);
}

static int remove_named(job *j) {
    return change_named(j, remove_block, "removed");
}

static int pin_named(job *j) {
    return change_named(j, pin_block, "pinned");
}

static int unpin_named(job *j) {
    return change_named(j, unpin_block, "unpinned");
}

/* ---- the command ----------------------------------------------------------------------------------------------- */

#define ACTIONS "ls, stats, verify, gc, rm, pin, unpin"

typedef struct action {
    const char *name;
    int (*run)(job *j);
    bool names_blocks;
} action;

static const action actions[] = {
    {"ls", list_blocks, false}, {"stats", print_stats, false}, {"verify", verify, false},    {"gc", collect, false},
    {"rm", remove_named, true}, {"pin", pin_named, true},      {"unpin", unpin_named, true}, {0}};

static int open_places(job *j, const char *text, const char *key) {
    char err[BA_ERR_LEN];
    if (!text) {
        return ba_cli_fail(BA_EXIT_USAGE, "which store? give --store lmdb:PATH");
    }
    if (ba_store_spec_parse(text, key, &j->spec, err)) {
        return ba_cli_fail(BA_EXIT_USAGE, "%s", err);
    }
    if (!j->spec.n_tier) {
        return ba_cli_fail(BA_EXIT_USAGE, "--store %s: memory ends with its process; name another tier, as lmdb:PATH",
                           text);
    }
    for (size_t i = 0; i < j->spec.n_tier; i++) {
        place *p = &j->place[i];
        if (j->spec.tier[i].ops->open(&j->spec.tier[i], remark, false, &p->tier, err)) {
            return ba_cli_fail(BA_EXIT_USAGE, "%s", err);
        }
        j->n_place++;
        p->blocks.key = j->spec.key;
        snprintf(p->name, sizeof p->name, "%s:%.140s", j->spec.tier[i].ops->name, j->spec.tier[i].place);
    }
    return 0;
}

/* NULL: there is no such action, and the line is printed. */
static const action *find_action(const char *name) {
    ba_guess g = ba_guess_begin(name, strlen(name));
    for (const action *a = actions; a->name; a++) {
        if (strcmp(a->name, name) == 0) {
            return a;
        }
        ba_guess_offer(&g, a->name);
    }
    ba_cli_fail(BA_EXIT_USAGE, "store %s: there is " ACTIONS "%s", name, g.text);
    return NULL;
}

typedef struct options {
    const char *store, *store_key, *keep;
    bool remove, all, json;
} options;

static int act(job *j, const char *name, const char *store, const char *key) {
    const action *a = find_action(name);
    if (!a) {
        return BA_EXIT_USAGE;
    }
    if (a->names_blocks && !j->n_names == !j->all) {
        return ba_cli_fail(BA_EXIT_USAGE, "store %s: name blocks as 'store ls' does, or say --all", name);
    }
    if (!a->names_blocks && j->n_names) {
        return ba_cli_fail(BA_EXIT_USAGE, "store %s: unexpected operand '%s'", name, j->names[0]);
    }
    int status = open_places(j, store, key);
    return status ? status : a->run(j);
}

static int run(const ba_call *call) {
    const options *opt = call->options;
    if (!call->n_operand) {
        return ba_cli_fail(BA_EXIT_USAGE, "store: what? there is " ACTIONS);
    }
    job j = {.keep = opt->keep,
             .json = opt->json,
             .all = opt->all,
             .remove = opt->remove,
             .names = call->operand + 1,
             .n_names = call->n_operand - 1};
    ba_catch_interrupt();
    int status = act(&j, call->operand[0], opt->store, opt->store_key);
    for (size_t i = 0; i < j.n_place; i++) {
        j.place[i].tier->ops->close(j.place[i].tier);
        free(j.place[i].blocks.at);
    }
    ba_store_spec_free(&j.spec);
    return status;
}

#define AT(member) .at = offsetof(options, member)

static const ba_option own[] = {
    {"store", "TIERS", BA_TEXT, AT(store), .help = "the tiers, as lmdb:PATH or lmdb:PATH:SIZE"},
    {"store-key", "FILE", BA_FILE, AT(store_key), .help = "verify: check blocks that were written with this key by it"},
    {"keep", "MODEL[,MODEL..]", BA_FILE, AT(keep), .help = "gc: remove blocks of all other models"},
    {"remove", NULL, BA_FLAG, AT(remove), .help = "verify: remove what is damaged"},
    {"all", NULL, BA_FLAG, AT(all), .help = "rm, pin, unpin: every block"},
    {"json", NULL, BA_FLAG, AT(json), .help = "print JSON, and nothing else, on standard output"},
    {.name = NULL}};

const ba_command ba_command_store = {
    .name = "store",
    .summary = "looks after blocks that were kept outside of memory",
    .usage = "ls|stats|verify|gc|rm|pin|unpin [BLOCK..] --store TIERS",
    .about = "Looks after blocks that were kept outside of memory. ls lists them; stats sums up; verify checks every "
             "checksum, with exit status 1 if one is wrong; gc enforces the budget in SIZE, forgets why evicted blocks "
             "are gone, and on request drops blocks of other models; rm removes blocks by the first digits of their "
             "names; pin exempts them from eviction, in memory too once they are loaded, until unpin. Other programs "
             "may use the store at the same time.",
    .example = "blockattn store ls --store lmdb:blocks\n"
               "blockattn store verify --remove --store lmdb:blocks\n"
               "blockattn store gc --keep model.gguf --store lmdb:blocks:50G\n"
               "blockattn store pin 3f2a --store lmdb:blocks",
    .own = own,
    .size = sizeof(options),
    .operands = SIZE_MAX,
    .run = run,
};

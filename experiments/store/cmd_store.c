/* blockattn store: looks after the blocks that were kept outside of memory. */
#include "experiments/cli/cli.h"
#include "experiments/cli/commands.h"
#include "experiments/cli/json.h"
#include "experiments/cli/store_spec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A block as a walk met it. */
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

static int verify(job *j) {
    size_t damaged = 0, n = 0;
    int status = walk(j, true);
    for (size_t i = 0; !status && i < j->n_place; i++) {
        place *p = &j->place[i];
        n += p->blocks.n;
        for (size_t k = 0; !status && k < p->blocks.n; k++) {
            damaged += p->blocks.at[k].damaged;
            status = p->blocks.at[k].damaged && j->remove ? remove_block(p, &p->blocks.at[k]) : 0;
        }
    }
    if (status || (status = print_blocks(j, true))) {
        return status;
    }
    if (!j->json) {
        printf("%zu blocks, %zu damaged%s\n", n, damaged, damaged && j->remove ? " and removed" : "");
    }
    return damaged ? BA_EXIT_CHECK : BA_EXIT_OK;
}

/* Hashes of the models of a comma-separated list, one behind the other, each 32 digits. 0, or an exit status. */
static int hash_models(const char *paths, char **hashes) {
    char *copy = strdup(paths), *next = copy, err[BA_ERR_LEN];
    *hashes = calloc(strlen(paths) + 2, 34); /* more than one for each path */
    char *end = *hashes;
    int status = copy && *hashes ? 0 : ba_cli_fail(BA_EXIT_MACHINE, "out of memory");
    for (char *path; !status && (path = strsep(&next, ","));) {
        ba_model *m = NULL;
        if (ba_model_open(path, true, &m, err)) {
            status = ba_cli_fail(BA_EXIT_USAGE, "--keep: %s", err);
        } else {
            end = stpcpy(stpcpy(end, ba_model_hash(m)), " ");
        }
        ba_model_close(m);
    }
    free(copy);
    return status;
}

static int collect(job *j) {
    char err[BA_ERR_LEN], *hashes = NULL;
    size_t strangers = 0, evicted = 0;
    int status = j->keep ? hash_models(j->keep, &hashes) : 0;
    if (!status) {
        status = walk(j, false);
    }
    for (size_t i = 0; !status && i < j->n_place; i++) {
        place *p = &j->place[i];
        for (size_t k = 0; hashes && !status && k < p->blocks.n; k++) {
            const block *b = &p->blocks.at[k];
            if (b->damaged || !strstr(hashes, b->head.model)) {
                status = remove_block(p, b);
                strangers++;
            }
        }
        size_t gone = 0;
        if (!status && p->tier->ops->collect && p->tier->ops->collect(p->tier, &gone, err)) {
            status = ba_cli_fail(BA_EXIT_MACHINE, "%s", err);
        }
        evicted += gone;
    }
    free(hashes);
    if (!status && j->json) {
        cJSON *o = cJSON_CreateObject();
        cJSON_AddNumberToObject(o, "evicted", (double)evicted);
        cJSON_AddNumberToObject(o, "of_other_models", (double)strangers);
        return ba_json_print(o);
    }
    if (!status) {
        printf("%zu blocks evicted for the budget, %zu of other models removed\n", evicted, strangers);
    }
    return status;
}

/* Whether the operand names the block: its first digits will do, four at least. */
static bool names(const char *operand, const block *b) {
    size_t n = strlen(operand);
    return n >= 4 && n <= 16 && strncmp(operand, b->name, n) == 0;
}

/* Does something to every block that the operands name, or to all, and says to how many. */
static int change_named(job *j, int (*change)(place *p, const block *b), const char *done) {
    size_t changed = 0;
    int status = walk(j, false);
    for (size_t w = 0; !status && w < j->n_names; w++) {
        size_t found = 0;
        for (size_t i = 0; i < j->n_place; i++) {
            for (size_t k = 0; k < j->place[i].blocks.n; k++) {
                found += names(j->names[w], &j->place[i].blocks.at[k]);
            }
        }
        if (!found) {
            status = ba_cli_fail(BA_EXIT_USAGE, "no block '%s'; 'store ls' shows their names", j->names[w]);
        }
    }
    for (size_t i = 0; i < j->n_place; i++) {
        place *p = &j->place[i];
        for (size_t k = 0; !status && k < p->blocks.n; k++) {
            bool named = j->all;
            for (size_t w = 0; w < j->n_names; w++) {
                named |= names(j->names[w], &p->blocks.at[k]);
            }
            if (named) {
                status = change(p, &p->blocks.at[k]);
                changed++;
            }
        }
    }
    if (!status && j->json) {
        cJSON *o = cJSON_CreateObject();
        cJSON_AddNumberToObject(o, done, (double)changed);
        return ba_json_print(o);
    }
    if (!status) {
        printf("%zu blocks %s\n", changed, done);
    }
    return status;
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

static int run(job *j, const char *name, const char *store, const char *key, const char *const argv[], size_t n) {
    const action *a = actions;
    while (a->name && strcmp(a->name, name) != 0) {
        a++;
    }
    if (!a->name) {
        return ba_cli_fail(BA_EXIT_USAGE, "store %s: there is " ACTIONS, name);
    }
    j->names = (char *const *)argv;
    j->n_names = n;
    if (a->names_blocks && !n == !j->all) {
        return ba_cli_fail(BA_EXIT_USAGE, "store %s: name blocks as 'store ls' does, or say --all", name);
    }
    if (!a->names_blocks && n) {
        return ba_cli_fail(BA_EXIT_USAGE, "store %s: unexpected operand '%s'", name, argv[0]);
    }
    int status = open_places(j, store, key);
    return status ? status : a->run(j);
}

int ba_cmd_store(int argc, char **argv) {
    const char *store = NULL, *key = NULL;
    job j = {0};
    const ba_option options[] = {
        {"store", "TIERS", "the tiers, as lmdb:PATH or lmdb:PATH:SIZE", &store, 0},
        {"store-key", "FILE", "verify: check blocks that were written with this key by it", &key, 0},
        {"keep", "MODEL[,MODEL..]", "gc: remove blocks of all other models", &j.keep, 0},
        {"remove", 0, "verify: remove what is damaged", 0, &j.remove},
        {"all", 0, "rm, pin, unpin: every block", 0, &j.all},
        {"json", 0, "print JSON, and nothing else, on standard output", 0, &j.json},
        {0}};
    int first,
        status = ba_cli_parse(argc, argv, "ls|stats|verify|gc|rm|pin|unpin [BLOCK..] --store TIERS",
                              "Looks after blocks that were kept outside of memory. ls lists them; stats sums up; "
                              "verify checks every checksum, exit status 1 if one is wrong; gc enforces the budget "
                              "in SIZE, forgets why evicted blocks are gone, and on request drops blocks of other "
                              "models; rm removes blocks by the first digits of their names; pin keeps them whatever "
                              "the budget says, in memory too once they are loaded, until unpin. Programs that use "
                              "the store meanwhile go on.\n"
                              "Examples\n"
                              "  blockattn store ls --store lmdb:blocks\n"
                              "  blockattn store verify --remove --store lmdb:blocks\n"
                              "  blockattn store gc --keep model.gguf --store lmdb:blocks:50G\n"
                              "  blockattn store pin 3f2a --store lmdb:blocks",
                              options, NULL, &first);
    if (status >= 0) {
        return status;
    }
    if (first == argc) {
        return ba_cli_fail(BA_EXIT_USAGE, "store: what? there is " ACTIONS);
    }
    ba_catch_interrupt();
    status = run(&j, argv[first], store, key, (const char *const *)argv + first + 1, (size_t)(argc - first - 1));
    for (size_t i = 0; i < j.n_place; i++) {
        j.place[i].tier->ops->close(j.place[i].tier);
        free(j.place[i].blocks.at);
    }
    ba_store_spec_free(&j.spec);
    return status;
}

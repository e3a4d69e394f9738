/* blockattn ttft: time to first token, FLOPs and bytes over lengths and modes (the paper's Table 3). */
#include "experiments/cli/ask.h"
#include "experiments/cli/commands.h"
#include "session.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_LENGTH = 1 << 24, MAX_PROMPTS = 1 << 16 };

/* Options as they are written. */
typedef struct texts {
    const char *question, *executors, *repeat, *min_time;
} texts;

static int parse_executors(const char *list, ba_ttft_options *w) {
    char *copy = strdup(list), *rest = copy, *word;
    int status = copy ? 0 : ba_cli_fail(BA_EXIT_MACHINE, "out of memory");
    while (!status && (word = strsep(&rest, ","))) {
        if (strcmp(word, "place") == 0) {
            w->executor[BA_IN_PLACE] = true;
        } else if (strcmp(word, "merge") == 0) {
            w->executor[BA_MERGE_KEYS] = true;
        } else {
            status =
                ba_cli_fail(BA_EXIT_USAGE,
                            "--executor %s: it is place (keys where they lie), merge (the paper's way) or both", word);
        }
    }
    free(copy);
    return status;
}

static int parse_number(const char *name, const char *text, size_t *out) {
    char err[BA_ERR_LEN];
    uint64_t value;
    if (ba_parse_size(text, &value, err)) {
        return ba_cli_fail(BA_EXIT_USAGE, "--%s: %s", name, err);
    }
    if (value < 1 || value > MAX_LENGTH) {
        return ba_cli_fail(BA_EXIT_USAGE, "--%s %s: needs a whole number from 1 to %d", name, text, MAX_LENGTH);
    }
    *out = (size_t)value;
    return 0;
}

static int by_size(const void *a, const void *b) {
    const ba_ttft_size *x = a, *y = b;
    return x->length != y->length ? (x->length > y->length) - (x->length < y->length)
                                  : (x->block > y->block) - (x->block < y->block);
}

/* The list of an option; why: what the least value is. *list is malloc'ed. */
static int parse_list(const char *name, const char *text, size_t least, const char *why, size_t **list, size_t *n) {
    char err[BA_ERR_LEN];
    if (ba_parse_sizes(text, list, n, err)) {
        return ba_cli_fail(BA_EXIT_USAGE, "--%s: %s", name, err);
    }
    for (size_t i = 0; i < *n; i++) {
        if ((*list)[i] < least || (*list)[i] > MAX_LENGTH) {
            return ba_cli_fail(BA_EXIT_USAGE, "--%s: %zu is out of range, from %zu%s to %d", name, (*list)[i], least,
                               why, MAX_LENGTH);
        }
    }
    return 0;
}

/* The product of lengths (or numbers of passages) and passage sizes: *size is malloc'ed. */
static int multiply(ba_ttft_options *w, const size_t *count, size_t n_count, const size_t *block, size_t n_block,
                    ba_ttft_size **size) {
    if (n_count > MAX_PROMPTS / n_block) {
        return ba_cli_fail(BA_EXIT_USAGE, "--block-tokens: %zu times %zu prompts; at most %d", n_block, n_count,
                           MAX_PROMPTS);
    }
    ba_ttft_size *all = *size = malloc(n_count * n_block * sizeof *all);
    if (!all) {
        return ba_cli_fail(BA_EXIT_MACHINE, "out of memory");
    }
    for (size_t i = 0; i < n_count * n_block; i++) {
        size_t c = count[i / n_block], b = block[i % n_block];
        all[i] = (ba_ttft_size){w->passages ? w->question + c * b : c, b};
        if (all[i].length > MAX_LENGTH) {
            return ba_cli_fail(BA_EXIT_USAGE, "--passages: %zu of %zu tokens are more than %d tokens", c, b,
                               MAX_LENGTH);
        }
    }
    qsort(all, n_count * n_block, sizeof *all, by_size);
    for (size_t i = 0; i < n_count * n_block; i++) {
        if (w->n_size == 0 || by_size(&all[i], &all[w->n_size - 1]) != 0) {
            all[w->n_size++] = all[i];
        }
    }
    w->size = all;
    return 0;
}

/* *size is malloc'ed. */
static int parse_sizes(ba_ttft_options *w, ba_ttft_size **size) {
    if (w->lengths && w->passages) {
        return ba_cli_fail(BA_EXIT_USAGE, "--lengths and --passages: one of them, the other follows");
    }
    w->lengths = w->lengths || w->passages ? w->lengths : "50,512,1K,2K,4K,8K";
    size_t *count = NULL, *block = NULL, n_count = 0, n_block = 0;
    int status = parse_list("block-tokens", w->blocks, 1, "", &block, &n_block);
    status = status ? status
             : w->passages
                 ? parse_list("passages", w->passages, 1, "", &count, &n_count)
                 : parse_list("lengths", w->lengths, w->question, " (the question, see --question)", &count, &n_count);
    status = status ? status : multiply(w, count, n_count, block, n_block, size);
    free(count);
    free(block);
    return status;
}

static int check_modes(const ba_ttft_options *w) {
    for (size_t i = 0; i < w->n_mode; i++) {
        char canonical[64], err[BA_ERR_LEN];
        if (ba_mode_check(w->mode[i], canonical, sizeof canonical, err)) {
            return ba_cli_fail(BA_EXIT_USAGE, "%s", err);
        }
        for (size_t j = 0; j < i; j++) {
            if (strcmp(w->mode[i], w->mode[j]) == 0) {
                return ba_cli_fail(BA_EXIT_USAGE, "--mode: %s is named twice", w->mode[i]);
            }
        }
    }
    return 0;
}

static int parse_options(const texts *t, const ba_common *c, ba_ttft_options *w, ba_ttft_size **size) {
    int status;
    char *end;
    if ((status = parse_number("question", t->question, &w->question)) ||
        (status = parse_number("repeat", t->repeat, &w->repeat)) || (status = parse_executors(t->executors, w)) ||
        (status = parse_sizes(w, size)) || (status = check_modes(w))) {
        return status;
    }
    w->min_time = strtod(t->min_time, &end);
    if (*end || end == t->min_time || !(w->min_time >= 0 && w->min_time <= 1e6)) {
        return ba_cli_fail(BA_EXIT_USAGE, "--min-time %s: needs seconds, 0 or more", t->min_time);
    }
    if (w->resume && !c->out) {
        return ba_cli_fail(BA_EXIT_USAGE, "--resume goes on with a trace: name it with --out FILE.h5");
    }
    if (!w->cold && !w->warm) {
        w->cold = w->warm = true;
    }
    return 0;
}

int ba_cmd_ttft(int argc, char **argv) {
    texts t = {"50", "place,merge", "3", "1"};
    ba_ttft_options w = {.modes = "full,block", .blocks = "128"};
    const ba_option own[] = {
        {"lengths", "LIST", "tokens of the whole prompt; default 50,512,1K,2K,4K,8K", &w.lengths, NULL},
        {"passages", "LIST", "numbers of passages, in place of lengths", &w.passages, NULL},
        {"question", "N", "tokens of the question; default 50", &t.question, NULL},
        {"block-tokens", "LIST", "tokens of a passage; default 128; a list: every length with each", &w.blocks, NULL},
        {"executor", "LIST",
         "place (queries rotated, keys where they lie) and merge (the paper's way: caches concatenated, keys rotated); "
         "default both",
         &t.executors, NULL},
        {"cold", NULL, "only with an empty store; default: cold and warm", NULL, &w.cold},
        {"warm", NULL, "only with every passage in the store", NULL, &w.warm},
        {"repeat", "N", "visits of each case, in random order; default 3", &t.repeat, NULL},
        {"min-time", "S", "seconds measured per case, at least; default 1", &t.min_time, NULL},
        {"distance", NULL, "how far the next token is from full attention's: KL and max |dlogit|; not timed", NULL,
         &w.distance},
        {"data", "FILE", "cut passages out of this text; default: words made up by --seed", &w.data, NULL},
        {"memory", "SIZE", "refuse runs that need more; default: what is free", &w.memory, NULL},
        {"profile", NULL, "every stage of every case, and every operation of a layer, as share of the time", NULL,
         &w.profile},
        {"resume", NULL, "go on with the trace --out names", NULL, &w.resume},
        {NULL, NULL, NULL, NULL, NULL}};
    ba_common c;
    int first,
        status =
            ba_cli_parse(argc, argv, "[OPTIONS]",
                         "Time to first token, FLOPs and bytes over lengths, passages and modes (the "
                         "paper's Table 3). --mode takes a list; default full,block. Exit status 1 if a check failed: "
                         "such a row has no figures.\n"
                         "Examples\n"
                         "  blockattn ttft --lengths 50,512,2K --out ttft.h5\n"
                         "  blockattn ttft --lengths 1K-32K*2 --executor place --warm --csv\n"
                         "  blockattn ttft --mode full,block,sink --passages 2,4,8 --block-tokens 64,128 "
                         "--distance",
                         own, &c, &first);
    if (status >= 0) {
        return status;
    }
    if (first < argc) {
        return ba_cli_fail(BA_EXIT_USAGE, "unexpected operand '%s'; lengths are given by --lengths", argv[first]);
    }
    w.modes = c.mode_given ? c.mode : w.modes;
    w.executors = t.executors;
    char **mode = ba_modes_split(w.modes, &w.n_mode);
    ba_ttft_size *size = NULL;
    w.mode = mode;
    status = mode ? parse_options(&t, &c, &w, &size) : ba_cli_fail(BA_EXIT_MACHINE, "out of memory");
    status = status ? status : ba_ttft_session(&w, &c, argc, argv);
    free(size);
    ba_modes_free(mode);
    return status;
}

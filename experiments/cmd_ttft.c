/* blockattn ttft: time to first token, FLOPs and bytes over lengths and modes (the paper's Table 3). */
#include "ask.h"
#include "commands.h"
#include "ttft_session.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_LENGTH = 1 << 24 };

/* Options as they are written. */
typedef struct texts {
    const char *lengths, *question, *block, *executors, *repeat, *min_time;
} texts;

static int parse_executors(const char *list, ba_ttft_wish *w) {
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
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    return (x > y) - (x < y);
}

/* *length is malloc'ed. */
static int parse_lengths(ba_ttft_wish *w, size_t **length) {
    char err[BA_ERR_LEN];
    if (ba_parse_sizes(w->lengths, length, &w->n_length, err)) {
        return ba_cli_fail(BA_EXIT_USAGE, "--lengths: %s", err);
    }
    size_t *l = *length, n = 0;
    qsort(l, w->n_length, sizeof *l, by_size);
    for (size_t i = 0; i < w->n_length; i++) {
        if (n == 0 || l[i] != l[n - 1]) {
            l[n++] = l[i];
        }
    }
    w->length = l;
    w->n_length = n;
    if (l[0] < w->question || l[n - 1] > MAX_LENGTH) {
        return ba_cli_fail(BA_EXIT_USAGE,
                           "--lengths: %zu is out of range: a prompt holds the question (%zu tokens, see --question) "
                           "and at most %d tokens",
                           l[0] < w->question ? l[0] : l[n - 1], w->question, MAX_LENGTH);
    }
    return 0;
}

static int check_modes(const ba_ttft_wish *w) {
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

static int parse_wish(const texts *t, const ba_common *c, ba_ttft_wish *w, size_t **length) {
    int status;
    char *end;
    if ((status = parse_number("question", t->question, &w->question)) ||
        (status = parse_number("block-tokens", t->block, &w->block)) ||
        (status = parse_number("repeat", t->repeat, &w->repeat)) || (status = parse_executors(t->executors, w)) ||
        (status = parse_lengths(w, length)) || (status = check_modes(w))) {
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
    texts t = {"50,512,1K,2K,4K,8K", "50", "128", "place,merge", "3", "1"};
    ba_ttft_wish w = {.modes = "full,block"};
    const ba_option own[] = {
        {"lengths", "LIST", "tokens of the whole prompt; default 50,512,1K,2K,4K,8K", &t.lengths, NULL},
        {"question", "N", "tokens of the question; default 50", &t.question, NULL},
        {"block-tokens", "N", "tokens of a passage; default 128", &t.block, NULL},
        {"executor", "LIST",
         "place (queries rotated, keys where they lie) and merge (the paper's way: caches concatenated, keys rotated); "
         "default both",
         &t.executors, NULL},
        {"cold", NULL, "only with an empty store; default: cold and warm", NULL, &w.cold},
        {"warm", NULL, "only with every passage in the store", NULL, &w.warm},
        {"repeat", "N", "visits of each case, in random order; default 3", &t.repeat, NULL},
        {"min-time", "S", "seconds measured per case, at least; default 1", &t.min_time, NULL},
        {"data", "FILE", "cut passages out of this text; default: words made up by --seed", &w.data, NULL},
        {"memory", "SIZE", "refuse runs that need more; default: what is free", &w.memory, NULL},
        {"profile", NULL, "every stage of every case, as share of the time", NULL, &w.profile},
        {"resume", NULL, "go on with the trace --out names", NULL, &w.resume},
        {NULL, NULL, NULL, NULL, NULL}};
    ba_common c;
    int first, status = ba_cli_parse(argc, argv, "[OPTIONS]",
                                     "Time to first token, FLOPs and bytes over lengths and modes (the paper's Table "
                                     "3). --mode takes a list; default full,block. Exit status 1 if a check failed: "
                                     "such a row has no figures.\n"
                                     "Examples\n"
                                     "  blockattn ttft --lengths 50,512,2K --out ttft.h5\n"
                                     "  blockattn ttft --lengths 1K-32K*2 --executor place --warm --csv",
                                     own, &c, &first);
    if (status >= 0) {
        return status;
    }
    if (first < argc) {
        return ba_cli_fail(BA_EXIT_USAGE, "unexpected operand '%s'; lengths are given by --lengths", argv[first]);
    }
    w.modes = c.mode_given ? c.mode : w.modes;
    w.lengths = t.lengths;
    w.executors = t.executors;
    char **mode = ba_modes_split(w.modes, &w.n_mode);
    size_t *length = NULL;
    w.mode = mode;
    status = mode ? parse_wish(&t, &c, &w, &length) : ba_cli_fail(BA_EXIT_MACHINE, "out of memory");
    status = status ? status : ba_ttft_session(&w, &c, argc, argv);
    free(length);
    ba_modes_free(mode);
    return status;
}

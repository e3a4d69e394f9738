/* blockattn ttft: time to first token, FLOPs and bytes over lengths and modes (the paper's Table 3). */
#include "experiments/options/options.h"
#include "session.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_LENGTH = 1 << 24, MAX_PROMPTS = 1 << 16 };

typedef struct options {
    ba_counts lengths, passages, blocks;
    const char *data;
    size_t question, repeat, prompts;
    double min_time;
    bool executor[2], cold, warm, distance, no_noise, profile;
} options;

static int by_size(const void *a, const void *b) {
    const ba_ttft_size *x = a, *y = b;
    return x->length != y->length ? (x->length > y->length) - (x->length < y->length)
                                  : (x->block > y->block) - (x->block < y->block);
}

/* The product of lengths (or numbers of passages) and passage sizes: *size is malloc'ed. */
static int multiply(ba_ttft_options *ttft, const size_t *count, size_t n_count, const size_t *block, size_t n_block,
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
        all[i] = (ba_ttft_size){ttft->passages ? ttft->question + c * b : c, b};
        if (all[i].length > MAX_LENGTH) {
            return ba_cli_fail(BA_EXIT_USAGE, "--passages: %zu of %zu tokens are more than %d tokens", c, b,
                               MAX_LENGTH);
        }
    }
    qsort(all, n_count * n_block, sizeof *all, by_size);
    for (size_t i = 0; i < n_count * n_block; i++) {
        if (ttft->n_size == 0 || by_size(&all[i], &all[ttft->n_size - 1]) != 0) {
            all[ttft->n_size++] = all[i];
        }
    }
    ttft->size = all;
    return 0;
}

/* The prompts that are asked for. *size is malloc'ed. */
static int make_sizes(const options *opt, ba_ttft_options *ttft, ba_ttft_size **size) {
    const ba_counts *count = opt->passages.n ? &opt->passages : &opt->lengths;
    for (size_t i = 0; i < count->n && !opt->passages.n; i++) {
        if (count->at[i] < opt->question) {
            return ba_cli_fail(BA_EXIT_USAGE,
                               "--lengths: %zu is out of range, from %zu (the question, see --question) to %d",
                               count->at[i], opt->question, MAX_LENGTH);
        }
    }
    return multiply(ttft, count->at, count->n, opt->blocks.at, opt->blocks.n, size);
}

/* A mode named twice would be measured as two cases of one name. */
static int check_modes(char *const *mode, size_t n) {
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < i; j++) {
            if (strcmp(mode[i], mode[j]) == 0) {
                return ba_cli_fail(BA_EXIT_USAGE, "--mode: %s is named twice", mode[i]);
            }
        }
    }
    return 0;
}

/* The trace records "place,merge" as the option says it. */
static const char *executors_of(const options *opt) {
    return opt->executor[BA_IN_PLACE] ? opt->executor[BA_MERGE_KEYS] ? "place,merge" : "place" : "merge";
}

static int run(const ba_call *call) {
    const options *opt = call->options;
    ba_ttft_size *size = NULL;
    size_t n_mode;
    char **mode = ba_modes_split(call->common->mode, &n_mode);
    if (!mode) {
        return ba_cli_fail(BA_EXIT_MACHINE, "out of memory");
    }
    ba_ttft_options ttft = {.lengths = opt->passages.n ? NULL : opt->lengths.text,
                            .passages = opt->passages.text,
                            .blocks = opt->blocks.text,
                            .modes = call->common->mode,
                            .executors = executors_of(opt),
                            .mode = mode,
                            .n_mode = n_mode,
                            .executor = {opt->executor[0], opt->executor[1]},
                            .cold = opt->cold || !opt->warm,
                            .warm = opt->warm || !opt->cold,
                            .question = opt->question,
                            .distance = opt->distance,
                            .prompts = opt->prompts,
                            .no_noise = opt->no_noise,
                            .repeat = opt->repeat,
                            .min_time = opt->min_time,
                            .data = opt->data,
                            .profile = opt->profile};
    int status = check_modes(mode, n_mode);
    status = status ? status : make_sizes(opt, &ttft, &size);
    status = status ? status : ba_ttft_session(&ttft, call->common, call->argc, call->argv);
    free(size);
    ba_modes_free(mode);
    return status;
}

#define AT(member) .at = offsetof(options, member)
_Static_assert(BA_IN_PLACE == 0 && BA_MERGE_KEYS == 1, "the words of --executor, in their order");

static const ba_option own[] = {
    {"lengths", "LIST", BA_COUNTS, AT(lengths), .standard = "50,512,1K,2K,4K,8K", .least = 1, .most = MAX_LENGTH,
     .help = "tokens of the whole prompt"},
    {"passages", "LIST", BA_COUNTS, AT(passages), .least = 1, .most = MAX_LENGTH, .against = "lengths",
     .help = "numbers of passages, in place of lengths"},
    {"question", "N", BA_COUNT, AT(question), .standard = "50", .least = 1, .most = MAX_LENGTH,
     .help = "tokens of the question"},
    {"block-tokens", "LIST", BA_COUNTS, AT(blocks), .standard = "128", .least = 1, .most = MAX_LENGTH,
     .help = "tokens of a passage; a list: every length with each"},
    {"executor", "LIST", BA_CHOICES, AT(executor), .standard = "place,merge", .words = "place|merge",
     .help =
         "place rotates queries and uses cached keys where they are; merge is the paper's way: caches concatenated, "
         "keys rotated"},
    {"cold", NULL, BA_FLAG, AT(cold), .help = "with an empty store; default: cold and warm"},
    {"warm", NULL, BA_FLAG, AT(warm), .help = "with every passage in the store"},
    {"repeat", "N", BA_COUNT, AT(repeat), .standard = "3", .least = 1, .most = MAX_LENGTH,
     .help = "visits of each case, in random order"},
    {"min-time", "S", BA_REAL, AT(min_time), .standard = "1", .most = 1e6,
     .help = "seconds measured per case, at least"},
    {"distance", NULL, BA_FLAG, AT(distance),
     .help = "how far the next token is from full attention's: KL, top-1 agreement and max |dlogit|; not timed"},
    {"prompts", "N", BA_COUNT, AT(prompts), .standard = "1", .least = 1, .most = 10000, .with = "distance",
     .help = "prompts of every size for --distance, so that its means have intervals; the first is the one timed"},
    {"no-noise", NULL, BA_FLAG, AT(no_noise), .with = "distance",
     .help = "distances without their noise floor (KL of full in this precision from full in fp32), which needs the "
             "weights once more in fp32"},
    {"data", "FILE", BA_FILE, AT(data), .help = "cut passages out of this text; default: words made up by --seed"},
    {"profile", NULL, BA_FLAG, AT(profile), .against = "shard",
     .help = "every stage of every case, and every operation of a layer, as share of the time"},
    {.name = NULL}};

const ba_command ba_command_ttft = {
    .name = "ttft",
    .summary = "time to first token, FLOPs and bytes over lengths and modes",
    .usage = "[OPTIONS]",
    .about = "Time to first token, FLOPs and bytes over lengths, passages and modes (the paper's Table 3). Lists take "
             "ranges: A-B*F multiplies by F, A-B+S adds S. Exit status 1 if a check failed: such a row has no figures.",
    .example = "blockattn ttft --lengths 50,512,2K --out ttft.h5\n"
               "blockattn ttft --lengths 1K-32K*2 --executor place --warm --csv\n"
               "blockattn ttft --mode full,block,sink --passages 2,4,8 --block-tokens 64,128 --distance --prompts 5",
    .own = own,
    .size = sizeof(options),
    .takes = BA_TAKES_ENGINE | BA_TAKES_SHAPE | BA_TAKES_MODES | BA_TAKES_SEED | BA_TAKES_MEMORY | BA_TAKES_OUT |
             BA_TAKES_RESUME | BA_TAKES_SHARD | BA_TAKES_JSON | BA_TAKES_CSV,
    .mode = "full,block",
    .tables = ba_ttft_tables,
    .hint = "lengths are given by --lengths",
    .run = run,
};

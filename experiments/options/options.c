/* From words on the command line to values in an options struct. */
#include "options.h"
#include "experiments/cli/guess.h"
#include "experiments/cli/tracing.h"
#include "experiments/cli/writer.h"
#include "experiments/mpi/ranks.h"
#include "kernels/base/pool.h"
#include "library/blockattn.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_OPTIONS = 64, NO_ROW = -1 };

/* All options of a command in one list: its own, then the shared ones. */
typedef struct parser {
    const ba_command *command;
    const ba_option *row[MAX_OPTIONS];
    char *base[MAX_OPTIONS]; /* of the struct that the row writes to */
    const char *text[MAX_OPTIONS];
    bool given[MAX_OPTIONS], unread[MAX_OPTIONS];
    size_t n, n_own;
} parser;

_Static_assert(sizeof(size_t) == sizeof(uint64_t), "BA_COUNT writes either of them");

/* ---- words ------------------------------------------------------------------------------------------------------ */

static int refuse_word(const ba_option *o, const char *text, size_t len, char err[BA_ERR_LEN]) {
    char list[BA_ERR_LEN / 2] = "", word[64];
    ba_guess g = ba_guess_begin(text, len);
    for (size_t i = 0, used = 0; ba_option_word(o, i, word); i++) {
        ba_guess_offer(&g, word);
        if (used < sizeof list) {
            used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", word);
        }
    }
    return ba_fail(err, "--%s %.*s: unknown; there is %s%s", o->name, (int)(len < 100 ? len : 100), text, list, g.text);
}

/* Index of a word of [len] letters, or -1 and err. */
static int find_word(const ba_option *o, const char *text, size_t len, char err[BA_ERR_LEN]) {
    char word[64];
    for (int i = 0; ba_option_word(o, (size_t)i, word); i++) {
        if (strlen(word) == len && strncmp(word, text, len) == 0) {
            return i;
        }
    }
    return refuse_word(o, text, len, err);
}

static int parse_choices(const ba_option *o, const char *text, bool *out, char err[BA_ERR_LEN]) {
    char word[64];
    for (size_t i = 0; ba_option_word(o, i, word); i++) {
        out[i] = false; /* a value replaces the default */
    }
    for (const char *s = text;; s++) {
        size_t len = strcspn(s, ",");
        int i = find_word(o, s, len, err);
        if (i < 0) {
            return -1;
        }
        out[i] = true;
        s += len;
        if (!*s) {
            return 0;
        }
    }
}

/* ---- numbers ---------------------------------------------------------------------------------------------------- */

/* "a whole number from 1 to 1024" */
static int refuse_number(const ba_option *o, const char *text, char err[BA_ERR_LEN]) {
    char range[80] = "";
    bool from = o->least > -HUGE_VAL, to = o->most > 0;
    if (from || to) {
        snprintf(range, sizeof range, to ? " from %.15g to %.15g" : " from %.15g on", o->least, o->most);
    }
    bool whole = o->type == BA_COUNT || o->type == BA_COUNTS;
    return ba_fail(err, "--%s %.100s: needs %s%s", o->name, text, whole ? "a whole number" : "a number", range);
}

static bool in_range(const ba_option *o, double x) {
    return x >= o->least && (o->most == 0 || x <= o->most);
}

static int parse_count(const ba_option *o, const char *text, uint64_t *out, char err[BA_ERR_LEN]) {
    char why[BA_ERR_LEN];
    if (ba_parse_size(text, out, why) || !in_range(o, (double)*out)) {
        return refuse_number(o, text, err);
    }
    return 0;
}

static int parse_real(const ba_option *o, const char *text, double *out, char err[BA_ERR_LEN]) {
    char *end;
    *out = strtod(text, &end);
    return end == text || *end || !isfinite(*out) || !in_range(o, *out) ? refuse_number(o, text, err) : 0;
}

static int parse_counts(const ba_option *o, const char *text, ba_counts *out, char err[BA_ERR_LEN]) {
    char why[BA_ERR_LEN], number[32];
    if (ba_parse_sizes(text, &out->at, &out->n, why)) {
        return ba_fail(err, "--%s: %.450s", o->name, why);
    }
    out->text = text;
    for (size_t i = 0; i < out->n; i++) {
        if (!in_range(o, (double)out->at[i])) {
            snprintf(number, sizeof number, "%zu", out->at[i]);
            return refuse_number(o, number, err);
        }
    }
    return 0;
}

static int parse_reals(const ba_option *o, const char *text, ba_reals *out, char err[BA_ERR_LEN]) {
    size_t room = 1;
    for (const char *c = text; *c; c++) {
        room += *c == ',';
    }
    if (!(out->at = calloc(room, sizeof *out->at))) {
        return ba_fail(err, "out of memory");
    }
    out->text = text;
    for (const char *s = text;; s++) {
        char *end;
        double x = out->at[out->n++] = strtod(s, &end);
        if (end == s || (*end && *end != ',') || !isfinite(x) || !in_range(o, x)) {
            return refuse_number(o, text, err);
        }
        if (!*end) {
            return 0;
        }
        s = end;
    }
}

/* ---- one value -------------------------------------------------------------------------------------------------- */

static void free_list(const ba_option *o, char *base) {
    if (o->type == BA_COUNTS) {
        ba_counts *list = (void *)(base + o->at);
        free(list->at);
        *list = (ba_counts){0};
    } else if (o->type == BA_REALS) {
        ba_reals *list = (void *)(base + o->at);
        free(list->at);
        *list = (ba_reals){0};
    }
}

/* Writes a value, given or default, to its member. */
static int take(const ba_option *o, char *base, const char *text, char err[BA_ERR_LEN]) {
    void *at = base + o->at;
    int i;
    free_list(o, base);
    switch (o->type) {
    case BA_FLAG:
        *(bool *)at = true;
        return 0;
    case BA_WORD:
    case BA_TEXT:
    case BA_FILE:
    case BA_FOLDER:
        *(const char **)at = text;
        return o->type == BA_WORD && find_word(o, text, strlen(text), err) < 0 ? -1 : 0;
    case BA_CHOICE:
        i = find_word(o, text, strlen(text), err);
        *(unsigned *)at = i < 0 ? 0 : (unsigned)i;
        return i < 0 ? -1 : 0;
    case BA_CHOICES:
        return parse_choices(o, text, at, err);
    case BA_COUNT:
        return parse_count(o, text, at, err);
    case BA_REAL:
        return parse_real(o, text, at, err);
    case BA_COUNTS:
        return parse_counts(o, text, at, err);
    case BA_REALS:
        return parse_reals(o, text, at, err);
    case BA_MODE:
    case BA_MODES:
        *(const char **)at = text;
        return ba_modes_check(text, o->type == BA_MODE, err);
    case BA_SHAPE:
        return ba_shape_choose(text, at, err);
    }
    return -1;
}

static int take_defaults(parser *p, char err[BA_ERR_LEN]) {
    for (size_t i = 0; i < p->n; i++) {
        const ba_option *o = p->row[i];
        const char *standard = ba_option_standard(p->command, o);
        if (!standard && o->type == BA_REAL) {
            *(double *)(void *)(p->base[i] + o->at) = (double)NAN;
        }
        if (standard && take(o, p->base[i], standard, err)) {
            return -1;
        }
    }
    return 0;
}

/* ---- the command line ------------------------------------------------------------------------------------------- */

static void add_row(parser *p, const ba_option *row, void *base, bool unread) {
    if (p->n < MAX_OPTIONS) {
        p->row[p->n] = row;
        p->base[p->n] = base;
        p->unread[p->n++] = unread;
    }
}

static int find_row(const parser *p, const char *name, size_t len) {
    for (size_t i = 0; i < p->n; i++) {
        if (strlen(p->row[i]->name) == len && strncmp(p->row[i]->name, name, len) == 0) {
            return (int)i;
        }
    }
    return NO_ROW;
}

static void add_rows(parser *p, void *options, ba_common *common) {
    const ba_command *c = p->command;
    for (const ba_option *o = c->own; o && o->name; o++) {
        add_row(p, o, options, false);
    }
    p->n_own = p->n;
    for (const ba_shared_option *s = ba_shared_options; s->row.name; s++) {
        const char *name = s->row.name;
        if (ba_command_takes(c, s)) {
            add_row(p, &s->row, common, false);
        } else if (c->takes & BA_TAKES_MODEL && s->taken & BA_TAKES_ANYWAY &&
                   find_row(p, name, strlen(name)) == NO_ROW) {
            add_row(p, &s->row, common, true);
        }
    }
}

/* A word that getopt_long refused: the option needs a value, or takes none, or does not exist. */
static int refuse_option(const parser *p, const char *word, int code) {
    const char *command = p->command->name;
    if (code >= 256 && (size_t)code - 256 < p->n) {
        const ba_option *o = p->row[code - 256];
        return ba_cli_fail(BA_EXIT_USAGE, "--%s %s; see 'blockattn %s --help'", o->name,
                           o->type == BA_FLAG ? "takes no value" : "needs a value", command);
    }
    char known[64];
    ba_guess g = ba_guess_begin(word, strcspn(word, "="));
    for (size_t i = 0; i < p->n; i++) {
        snprintf(known, sizeof known, "--%s", p->unread[i] ? "" : p->row[i]->name);
        ba_guess_offer(&g, known);
    }
    return ba_cli_fail(BA_EXIT_USAGE, "unknown option '%s'; see 'blockattn %s --help'%s", word, command, g.text);
}

/* Remembers the text of each option. -1 to continue, or an exit status. */
static int read_words(parser *p, int argc, char **argv, int *first) {
    struct option long_options[MAX_OPTIONS + 1] = {0};
    for (size_t i = 0; i < p->n; i++) {
        int value = p->row[i]->type == BA_FLAG ? no_argument : required_argument;
        long_options[i] = (struct option){p->row[i]->name, value, NULL, 256 + (int)i};
    }
    optind = 0; /* glibc: start over, also for a second parse in one process */
    opterr = 0;
    for (int got; (got = getopt_long(argc, argv, ":h", long_options, NULL)) != -1;) {
        int i = got == 'h' ? find_row(p, "help", 4) : got - 256;
        if (got == '?' || got == ':') {
            return refuse_option(p, argv[optind - 1], optopt);
        }
        if (p->given[i] && p->row[i]->type != BA_FLAG) {
            bool list = p->row[i]->value && strstr(p->row[i]->value, "LIST");
            return ba_cli_fail(BA_EXIT_USAGE, "--%s is given twice%s", p->row[i]->name,
                               list ? "; a list has commas" : "");
        }
        p->given[i] = true;
        p->text[i] = optarg;
    }
    *first = optind;
    return -1;
}

/* The first option of `list` ("json,csv") that was given, or (given false) that was not given. NULL: there is none. */
static const char *any_of(const parser *p, const char *list, bool given, char name[64]) {
    for (const char *s = list; s && *s;) {
        size_t len = strcspn(s, ",");
        int i = find_row(p, s, len);
        if (i != NO_ROW && p->given[i] == given) {
            snprintf(name, 64, "%.*s", (int)len, s);
            return name;
        }
        s += len + (s[len] == ',');
    }
    return NULL;
}

static int check_row(const parser *p, size_t i) {
    const ba_option *o = p->row[i];
    char other[64], value[64];
    if (o->needed && !p->given[i]) {
        ba_option_value(o, value, sizeof value);
        return ba_cli_fail(BA_EXIT_USAGE, "--%s %s is missing; see 'blockattn %s --help'", o->name, value,
                           p->command->name);
    }
    if (p->given[i] && any_of(p, o->with, false, other)) {
        return ba_cli_fail(BA_EXIT_USAGE, "--%s goes with --%s, which is not given", o->name, other);
    }
    if (p->given[i] && any_of(p, o->against, true, other)) {
        return ba_cli_fail(BA_EXIT_USAGE, "--%s and --%s exclude each other: give one of them", o->name, other);
    }
    return 0;
}

/* Values into their members. 0, or an exit status. */
static int take_values(parser *p) {
    char err[BA_ERR_LEN];
    for (size_t i = 0; i < p->n; i++) {
        if (p->given[i] && take(p->row[i], p->base[i], p->text[i], err)) {
            return ba_cli_fail(strcmp(err, "out of memory") ? BA_EXIT_USAGE : BA_EXIT_MACHINE, "%s", err);
        }
    }
    for (size_t i = 0; i < p->n; i++) {
        int status = check_row(p, i);
        if (status) {
            return status;
        }
    }
    return 0;
}

static void remark_unread(const parser *p, const ba_common *c) {
    for (size_t i = 0; i < p->n; i++) {
        if (p->given[i] && p->unread[i] && !c->quiet) {
            fprintf(stderr, "%s: --%s has no effect here\n", program_invocation_short_name, p->row[i]->name);
        }
    }
}

/* ---- a call ----------------------------------------------------------------------------------------------------- */

/* -1 to continue, or an exit status. */
static int parse(parser *p, int argc, char **argv, ba_common *common, int *first) {
    char err[BA_ERR_LEN];
    int status = read_words(p, argc, argv, first);
    if (status >= 0) {
        return status;
    }
    if (p->given[find_row(p, "help", 4)]) {
        ba_print_help(p->command);
        return BA_EXIT_OK;
    }
    if (p->given[find_row(p, "version", 7)]) {
        puts("blockattn " BLOCKATTN_VERSION);
        return BA_EXIT_OK;
    }
    if (take_defaults(p, err)) {
        return ba_cli_fail(BA_EXIT_MACHINE, "%s", err);
    }
    common->threads = ba_processors();
    if ((status = take_values(p))) {
        return status;
    }
    common->format = common->json ? BA_FORMAT_JSON : common->csv ? BA_FORMAT_CSV : BA_FORMAT_TABLE;
    int mode = find_row(p, "mode", 4);
    common->mode_given = mode != NO_ROW && p->given[mode];
    size_t operands = (size_t)(argc - *first);
    if (operands > p->command->operands) {
        return ba_cli_fail(BA_EXIT_USAGE, "unexpected operand '%s'%s%s", argv[(size_t)*first + p->command->operands],
                           p->command->hint ? "; " : "", p->command->hint ? p->command->hint : "");
    }
    if (common->resume && !common->out && p->command->takes & BA_TAKES_RESUME) {
        return ba_cli_fail(BA_EXIT_USAGE, "--resume goes on with a trace: name it with --out FILE.h5");
    }
    remark_unread(p, common);
    return -1;
}

/* The part of the work that --shard or mpirun gives to this process, and its own --out in path [size]. 0, or an exit
 * status. */
static int take_part(const ba_command *c, ba_common *common, char *path, size_t size) {
    char err[BA_ERR_LEN];
    ba_shard *part = &common->part;
    if (!(c->takes & BA_TAKES_SHARD) || (!common->shard && !ba_ranks_started())) {
        return 0;
    }
    if (common->shard ? ba_shard_parse(common->shard, part, err) != 0
                      : ba_ranks_open(&part->ranks, &part->index, &part->count, err) != 0) {
        return ba_cli_fail(BA_EXIT_USAGE, "%s", err);
    }
    if (!common->out) {
        return ba_cli_fail(BA_EXIT_USAGE, "a job of several ranks keeps its results in traces: give --out FILE.h5");
    }
    if (ba_shard_path(part, common->out, path, size, err)) {
        return ba_cli_fail(BA_EXIT_USAGE, "%s", err);
    }
    common->out = path;
    return 0;
}

/* Runs the command, with what --out names locked. */
static int run_locked(const ba_call *call) {
    ba_writer_lock lock;
    const ba_common *common = call->common;
    int status = ba_writer_lock_take(&lock, common->out);
    status = status ? status : ba_out_check(common, call->command->takes & (BA_TAKES_RESUME | BA_TAKES_CHECKPOINT));
    status = status ? status : call->command->run(call);
    ba_writer_lock_drop(&lock);
    return status;
}

static int run(const ba_call *call, ba_common *common) {
    char path[4096];
    const char *out = common->out;
    int status = take_part(call->command, common, path, sizeof path);
    status = status ? status : run_locked(call);
    ba_ranks_close(common->part.ranks);
    common->out = out; /* it may name `path` */
    return status;
}

int ba_command_start(const ba_command *c, const ba_command *const *all, int argc, char **argv) {
    ba_common common = {.mode = "full", .dtype = "auto", .backend = "auto"};
    parser p = {.command = c};
    int first = 0;
    char *options = calloc(1, c->size + 1);
    if (!options) {
        return ba_cli_fail(BA_EXIT_MACHINE, "out of memory");
    }
    add_rows(&p, options, &common);
    int status = parse(&p, argc, argv, &common, &first);
    if (status < 0) {
        const ba_call call = {.command = c,
                              .all = all,
                              .common = &common,
                              .options = options,
                              .operand = argv + first,
                              .n_operand = (size_t)(argc - first),
                              .argc = argc,
                              .argv = argv};
        status = run(&call, &common);
    }
    for (size_t i = 0; i < p.n; i++) {
        free_list(p.row[i], p.base[i]);
    }
    free(options);
    return status;
}

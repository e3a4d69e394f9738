/* blockattn game: an agent is sent a game's state frame by frame, of which little changes. */
#include "experiments/cli/announce.h"
#include "experiments/cli/ask.h"
#include "experiments/cli/tracing.h"
#include "experiments/options/data.h"
#include "experiments/options/options.h"
#include "frames.h"
#include "report.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SCHEMA "blockattn/game/2"

static const ba_table tables[] = {
    {"frames", ba_game_frame_columns, sizeof(ba_game_frame), "one frame of a game"},
    {"summary", ba_game_summary_columns, sizeof(ba_game_summary), "a game with one size of blocks: means, quantiles"},
    {.name = NULL}};

enum { MAX_RULES = 1 << 20, DEFAULT_LIMIT = 256 };

typedef struct options {
    const char *states, *rules, *question;
    unsigned world;       /* index of its row */
    ba_counts max_tokens; /* none: the rules' own */
    ba_reals change;
    uint64_t tokens, frames, measure_every;
    bool blocks;
} options;

typedef struct game {
    const ba_common *common;
    const options *opt;
    const ba_world *made; /* NULL: recorded states */
    ba_session *b;
    ba_engine_options engine_opt;
    ba_rules rules; /* as in the file */
    ba_trace *trace;
    size_t frames_table, summary_table;
    size_t entities;
} game;

static int no_memory(void) {
    return ba_cli_fail(BA_EXIT_MACHINE, "out of memory");
}

/* --- frames ----------------------------------------------------------------------------------------------------- */

static const char *system_text(const game *g) {
    return g->made ? g->made->system : "The state of a game follows, one part a line, each part behind its path.\n\n";
}

static const char *question_text(const game *g) {
    return g->opt->question ? g->opt->question : g->made ? g->made->question : "What is the best next move?";
}

static int open_frames(const game *g, ba_frames **out) {
    char err[BA_ERR_LEN];
    if (!g->made) {
        return ba_frames_of_file(g->opt->states, out, err) ? ba_cli_fail(BA_EXIT_USAGE, "%s", err) : 0;
    }
    *out = ba_frames_of_world(g->made, g->entities, g->common->seed);
    return *out ? 0 : no_memory();
}

/* The first frame, cut by some rules. */
typedef struct opening {
    ba_game_session *session;
    ba_frames *frames;
    ba_prompt *prompt;
} opening;

/* 0, or an exit status; closed in either case. */
static int open_first(const game *g, const ba_rules *rules, opening *o) {
    char err[BA_ERR_LEN];
    *o = (opening){.session = ba_game_session_new(g->b->tok, rules, system_text(g))};
    int status = o->session ? open_frames(g, &o->frames) : no_memory();
    if (status) {
        return status;
    }
    size_t len;
    const char *name, *state = ba_frames_state(o->frames, &len, &name);
    if (!state) {
        return no_memory();
    }
    return ba_game_session_frame(o->session, state, len, name, question_text(g), &o->prompt, err)
               ? ba_cli_fail(BA_EXIT_USAGE, "%s", err)
               : 0;
}

static void close_first(opening *o) {
    ba_prompt_free(o->prompt);
    ba_frames_free(o->frames);
    ba_game_session_free(o->session);
}

/* Tokens of the prompt of the first frame, by these rules. */
static int first_tokens(const game *g, const ba_rules *rules, size_t *tokens) {
    opening o;
    int status = open_first(g, rules, &o);
    *tokens = o.prompt ? ba_prompt_tokens(o.prompt) : 0;
    close_first(&o);
    return status;
}

/* As many entities as the prompt asked for needs. */
static int choose_entities(game *g, const ba_rules *rules) {
    int status = 0;
    g->entities = g->made ? g->made->size : 0;
    for (int i = 0; i < 4 && g->entities && !status; i++) {
        size_t tokens;
        status = first_tokens(g, rules, &tokens);
        double more = tokens ? (double)g->opt->tokens / (double)tokens : 1;
        g->entities = (size_t)fmax(4, round((double)g->entities * more));
    }
    return status;
}

/* --- one case --------------------------------------------------------------------------------------------------- */

static int keep(game *g, const ba_game_case *c, const ba_play_row *row) {
    char err[BA_ERR_LEN];
    ba_game_frame f = {*c, *row};
    if (g->common->format == BA_FORMAT_TABLE) {
        ba_game_print_frame(row, row->frame == 0);
    }
    int rc = g->trace ? ba_trace_append(g->trace, g->frames_table, &f, err) : 0;
    rc = rc || !g->trace ? rc : ba_trace_commit(g->trace, err);
    return ba_tracing_exit(rc, err);
}

static int play(game *g, const ba_game_case *c, ba_game_session *s, ba_frames *f, ba_play_row *rows, size_t *n) {
    char err[BA_ERR_LEN];
    const options *opt = g->opt;
    ba_player p = {.engine = g->b->engine,
                   .opt = &g->engine_opt,
                   .mode = c->mode,
                   .question = question_text(g),
                   .rng = g->common->seed};
    ba_progress bar;
    int status = 0;
    ba_progress_start(&bar, "game", g->common->quiet || g->common->format == BA_FORMAT_TABLE);
    for (*n = 0; *n < opt->frames && !status;) {
        size_t len;
        const char *name, *state = ba_frames_state(f, &len, &name);
        bool measured = opt->measure_every && *n && (*n - 1) % opt->measure_every == 0;
        int rc = state ? ba_play(&p, s, state, len, name, measured, &rows[*n], err) : ba_fail(err, "out of memory");
        status = rc ? ba_engine_exit(rc, err) : keep(g, c, &rows[*n]);
        if (!status) {
            ++*n;
            ba_progress_update(&bar, (double)*n / (double)opt->frames);
            if (!ba_frames_step(f, (size_t)ceil(c->change * (double)rows[*n - 1].tokens))) {
                break;
            }
        }
    }
    ba_progress_end(&bar);
    ba_player_end(&p);
    return status;
}

/* With the case's limit; shares the names of the rules. */
static ba_rules case_rules(const game *g, const ba_game_case *c) {
    ba_rules rules = g->rules;
    for (size_t i = 0; i < rules.n && c->max_tokens != UINT64_MAX; i++) {
        rules.rule[i].max_tokens = c->max_tokens;
    }
    rules.max_tokens = c->max_tokens != UINT64_MAX ? c->max_tokens : rules.max_tokens;
    return rules;
}

static int play_case(game *g, const ba_game_case *c, ba_game_summary *out) {
    ba_rules rules = case_rules(g, c);
    ba_play_row *rows = calloc(g->opt->frames, sizeof *rows);
    ba_game_session *s = ba_game_session_new(g->b->tok, &rules, system_text(g));
    ba_frames *f = NULL;
    size_t n = 0;
    ba_store_clear(g->b->store);
    int status = rows && s ? choose_entities(g, &rules) : no_memory();
    status = status ? status : open_frames(g, &f);
    status = status ? status : play(g, c, s, f, rows, &n);
    if (n && ba_game_summarise(c, rows, n, out)) {
        status = no_memory();
    }
    ba_frames_free(f);
    ba_game_session_free(s);
    free(rows);
    return status;
}

/* --- all together ----------------------------------------------------------------------------------------------- */

static int report(game *g, const ba_game_summary *s, size_t n) {
    char err[BA_ERR_LEN];
    if (g->common->format == BA_FORMAT_TABLE) {
        ba_game_print_summary(s, n);
    } else {
        ba_rows_format format = g->common->format == BA_FORMAT_JSON ? BA_ROWS_JSON : BA_ROWS_CSV;
        ba_rows_begin(stdout, format, ba_game_summary_columns);
        for (size_t i = 0; i < n; i++) {
            ba_rows_print(stdout, format, ba_game_summary_columns, &s[i], i == 0);
        }
        ba_rows_end(stdout, format);
    }
    int rc = 0;
    for (size_t i = 0; i < n && g->trace && !rc; i++) {
        rc = ba_trace_append(g->trace, g->summary_table, &s[i], err);
    }
    rc = rc || !g->trace ? rc : ba_trace_finish(g->trace, err);
    return ba_tracing_exit(rc, err);
}

/* One size of blocks with one share of change. */
static ba_game_case case_at(const game *g, size_t i) {
    const options *opt = g->opt;
    const size_t n_limit = opt->max_tokens.n ? opt->max_tokens.n : 1;
    return (ba_game_case){.world = g->made ? g->made->name : "recorded",
                          .mode = g->common->mode,
                          .max_tokens = opt->max_tokens.n ? opt->max_tokens.at[i % n_limit] : UINT64_MAX,
                          .change = g->made && g->made->size ? opt->change.at[i / n_limit] : NAN};
}

/* Adds the operations of a case that are known before it is played: its first frame, and full prefill and prefix caching of the
 * frames that are measured, where the prefix and what follows it are a full prefill together. 0, or an exit
 * status. */
static int known_flops(game g, const ba_game_case *c, double *flops) {
    const uint64_t frames = g.opt->frames, every = g.opt->measure_every;
    const uint64_t measured = every && frames > 1 ? (frames - 2) / every + 1 : 0;
    const ba_rules rules = case_rules(&g, c);
    opening o = {0};
    int status = choose_entities(&g, &rules);
    status = status ? status : open_first(&g, &rules, &o);
    if (!status) {
        *flops += ba_prompt_flops(g.b, o.prompt, c->mode);
        *flops += 2 * (double)measured * ba_prompt_flops(g.b, o.prompt, "full");
    }
    close_first(&o);
    return status;
}

/* Says how much there is to do. Recorded states can be read only once. 0, or an exit status: a case cannot
 * begin. */
static int announce(const game *g, size_t n_case) {
    double flops = 0;
    int status = 0;
    if (!g->made) {
        ba_announce(n_case * g->opt->frames, "frames at most", (double)NAN, g->common->out, g->common->quiet);
        return 0;
    }
    for (size_t i = 0; i < n_case && !g->common->quiet && !status; i++) {
        const ba_game_case c = case_at(g, i);
        status = known_flops(*g, &c, &flops);
    }
    if (status) {
        return status;
    }
    ba_announce_work(g->b, g->common, n_case * g->opt->frames, "frames; the first of a game and full prefills alone",
                     flops, g->common->out);
    return 0;
}

static int play_all(game *g) {
    const options *opt = g->opt;
    size_t n_limit = opt->max_tokens.n ? opt->max_tokens.n : 1, n_change = g->made && g->made->size ? opt->change.n : 1,
           n = 0;
    ba_game_summary *s = calloc(n_limit * n_change, sizeof *s);
    int status = s ? announce(g, n_limit * n_change) : no_memory();
    for (size_t i = 0; i < n_limit * n_change && !status; i++) {
        const ba_game_case c = case_at(g, i);
        status = play_case(g, &c, &s[n]);
        n += s[n].c.world != NULL;
    }
    if (n) {
        int reported = report(g, s, n);
        status = status ? status : reported;
    }
    free(s);
    return status;
}

static int begin_trace(game *g, int argc, char **argv) {
    char err[BA_ERR_LEN];
    int status = ba_tracing_begin(g->common, SCHEMA, argc, argv, g->b->be, g->b->model, &g->trace);
    if (status || !g->trace) {
        return status;
    }
    int rc = ba_table_declare_named(g->trace, tables, "frames", &g->frames_table, err);
    rc = rc ? rc : ba_table_declare_named(g->trace, tables, "summary", &g->summary_table, err);
    return ba_tracing_exit(rc, err);
}

/* The blocks of the first frame, with the tokens of each. */
static int print_blocks(const game *g) {
    opening o;
    int status = open_first(g, &g->rules, &o);
    for (size_t i = 0; i < (status ? 0 : ba_game_session_blocks(o.session)->n); i++) {
        const ba_game_block *b = &ba_game_session_blocks(o.session)->block[i];
        printf("%5zu  %s", o.prompt->seg[i + 1].n, b->text); /* segment 0 is the system text */
    }
    close_first(&o);
    return status;
}

static int play_or_print(game *g, int argc, char **argv) {
    if (g->opt->blocks) {
        int status = choose_entities(g, &g->rules);
        return status ? status : print_blocks(g);
    }
    int status = begin_trace(g, argc, argv);
    status = status ? status : play_all(g);
    ba_trace_close(g->trace);
    return status;
}

/* --- the command ------------------------------------------------------------------------------------------------ */

static int read_rules(const char *given, ba_rules *out) {
    char err[BA_ERR_LEN], path[4096], *text;
    size_t len;
    if (!given) {
        *out = (ba_rules){.max_tokens = DEFAULT_LIMIT};
        return 0;
    }
    if (ba_read_file(ba_data_find(given, path, sizeof path), MAX_RULES, &text, &len, err)) {
        return ba_cli_fail(BA_EXIT_USAGE, "%s", err);
    }
    int rc = ba_rules_parse(text, len, path, out, err);
    free(text);
    return rc ? ba_cli_fail(BA_EXIT_USAGE, "%s", err) : 0;
}

static int run(const ba_call *call) {
    const options *opt = call->options;
    ba_session b = {0};
    game g = {.common = call->common,
              .opt = opt,
              .b = &b,
              .made = opt->states ? NULL : ba_world_at(opt->world),
              .engine_opt = ba_run_options(call->common)};
    int status;
    ba_catch_interrupt();
    if (!(status = read_rules(opt->rules, &g.rules)) && !(status = ba_session_open(call->common, &b))) {
        status = play_or_print(&g, call->argc, call->argv);
    }
    ba_session_close(&b);
    ba_rules_free(&g.rules);
    return status;
}

static const char *world_name(size_t i) {
    const ba_world *world = ba_world_at(i);
    return world ? world->name : NULL;
}

#define AT(member) .at = offsetof(options, member)

static const ba_option own[] = {
    {"world", "NAME", BA_CHOICE, AT(world), .standard = "strategy", .word = world_name, .help = "the game"},
    {"states", "FILE", BA_FILE, AT(states), .against = "world",
     .help = "instead: recorded states, one JSON a line, - for standard input"},
    {"rules", "FILE", BA_FILE, AT(rules),
     .help = "rules that cut a state into blocks; default: by size only, 256 tokens"},
    {"question", "TEXT", BA_TEXT, AT(question), .help = "what is asked in every frame"},
    {"tokens", "N", BA_COUNT, AT(tokens), .standard = "8K", .least = 1, .most = 1 << 24,
     .help = "tokens of the strategy game's prompt, about"},
    {"change", "LIST", BA_REALS, AT(change), .standard = "0.005", .most = 1,
     .help = "share of it that changes in a frame, about"},
    {"max-tokens", "LIST", BA_COUNTS, AT(max_tokens), .least = 1, .help = "limit of a block, instead of the rules'"},
    {"frames", "N", BA_COUNT, AT(frames), .standard = "20", .least = 1, .most = 1 << 20, .help = "frames to play"},
    {"measure-every", "N", BA_COUNT, AT(measure_every), .standard = "10",
     .help = "full prefill and prefix caching in every N-th frame too; 0: never"},
    {"blocks", NULL, BA_FLAG, AT(blocks), .help = "only print the blocks of the first frame, and the tokens of each"},
    {.name = NULL}};

const ba_command ba_command_game = {
    .name = "game",
    .summary = "a game's state sent frame by frame: only the blocks that changed are encoded",
    .usage = "[--world NAME | --states FILE] [--rules FILE] [--frames N]",
    .about = "A game's state, frame by frame, cut into blocks of which only new and changed ones are encoded: time to "
             "first token against full prefill and against prefix caching.",
    .example = "blockattn game --world holdem --rules holdem.rules.json\n"
               "blockattn game --tokens 8K --change 0.005 --rules strategy.rules.json --out game.h5\n"
               "blockattn game --states recorded.jsonl --blocks",
    .own = own,
    .size = sizeof(options),
    .takes = BA_TAKES_CHAT | BA_TAKES_ENGINE | BA_TAKES_MODE | BA_TAKES_SEED | BA_TAKES_MEMORY | BA_TAKES_OUT |
             BA_TAKES_JSON | BA_TAKES_CSV,
    .mode = "block",
    .tables = tables,
    .hint = "recorded states are given by --states",
    .run = run,
};

/* blockattn game: an agent that is told a game's state frame by frame, of which little changes. */
#include "experiments/cli/ask.h"
#include "experiments/cli/commands.h"
#include "experiments/cli/tracing.h"
#include "frames.h"
#include "report.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SCHEMA "blockattn/game/1"

enum { MAX_RULES = 1 << 20, MAX_CHANGES = 16, DEFAULT_LIMIT = 256 };

typedef struct options {
    const char *world, *states, *rules, *question, *tokens, *change, *max_tokens, *frames, *measure_every, *memory;
    bool blocks;
    const ba_world *made; /* NULL: recorded states */
    uint64_t n_tokens, n_frames, every;
    double changes[MAX_CHANGES];
    size_t n_change, *limit, n_limit; /* no limit: the rules' own */
} options;

typedef struct game {
    const ba_common *common;
    const options *w;
    ba_session *b;
    ba_engine_options opt;
    ba_rules rules; /* as in the file */
    ba_trace *trace;
    size_t frames_table, summary_table;
    size_t entities;
} game;

static int no_memory(void) {
    return ba_cli_fail(BA_EXIT_MACHINE, "out of memory");
}

/* --- frames ----------------------------------------------------------------------------------------------------- */

static const char *system_text(const options *w) {
    return w->made ? w->made->system : "The state of a game follows, one part a line, each part behind its path.\n\n";
}

static const char *question_text(const options *w) {
    return w->question ? w->question : w->made ? w->made->question : "What is the best next move?";
}

static int open_frames(const game *g, ba_frames **out) {
    char err[BA_ERR_LEN];
    const options *w = g->w;
    if (!w->made) {
        return ba_frames_of_file(w->states, out, err) ? ba_cli_fail(BA_EXIT_USAGE, "%s", err) : 0;
    }
    *out = ba_frames_of_world(w->made, g->entities, g->common->seed);
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
    *o = (opening){.session = ba_game_session_new(g->b->tok, rules, system_text(g->w))};
    int status = o->session ? open_frames(g, &o->frames) : no_memory();
    if (status) {
        return status;
    }
    size_t len;
    const char *name, *state = ba_frames_state(o->frames, &len, &name);
    if (!state) {
        return no_memory();
    }
    return ba_game_session_frame(o->session, state, len, name, question_text(g->w), &o->prompt, err)
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
    g->entities = g->w->made ? g->w->made->size : 0;
    for (int i = 0; i < 4 && g->entities && !status; i++) {
        size_t tokens;
        status = first_tokens(g, rules, &tokens);
        double more = tokens ? (double)g->w->n_tokens / (double)tokens : 1;
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
    const options *w = g->w;
    ba_player p = {
        .engine = g->b->engine, .opt = &g->opt, .mode = c->mode, .question = question_text(w), .rng = g->common->seed};
    ba_progress bar;
    int status = 0;
    ba_progress_start(&bar, "game", g->common->quiet || g->common->format == BA_FORMAT_TABLE);
    for (*n = 0; *n < w->n_frames && !status;) {
        size_t len;
        const char *name, *state = ba_frames_state(f, &len, &name);
        bool measured = w->every && *n && (*n - 1) % w->every == 0;
        int rc = state ? ba_play(&p, s, state, len, name, measured, &rows[*n], err) : ba_fail(err, "out of memory");
        status = rc ? ba_engine_exit(rc, err) : keep(g, c, &rows[*n]);
        if (!status) {
            ++*n;
            ba_progress_update(&bar, (double)*n / (double)w->n_frames);
            if (!ba_frames_step(f, (size_t)ceil(c->change * (double)rows[*n - 1].tokens))) {
                break;
            }
        }
    }
    ba_progress_end(&bar);
    ba_player_end(&p);
    return status;
}

static int play_case(game *g, const ba_game_case *c, ba_game_summary *out) {
    ba_rules rules = g->rules; /* shares the rules' names */
    for (size_t i = 0; i < rules.n && c->max_tokens != UINT64_MAX; i++) {
        rules.rule[i].max_tokens = c->max_tokens;
    }
    rules.max_tokens = c->max_tokens != UINT64_MAX ? c->max_tokens : rules.max_tokens;
    ba_play_row *rows = calloc(g->w->n_frames, sizeof *rows);
    ba_game_session *s = ba_game_session_new(g->b->tok, &rules, system_text(g->w));
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

static int play_all(game *g) {
    const options *w = g->w;
    size_t n_limit = w->n_limit ? w->n_limit : 1, n_change = w->made && w->made->size ? w->n_change : 1, n = 0;
    ba_game_summary *s = calloc(n_limit * n_change, sizeof *s);
    int status = s ? 0 : no_memory();
    for (size_t i = 0; i < n_limit * n_change && !status; i++) {
        ba_game_case c = {.world = w->made ? w->made->name : "recorded",
                          .mode = g->common->mode_given ? g->common->mode : "block",
                          .max_tokens = w->n_limit ? w->limit[i % n_limit] : UINT64_MAX,
                          .change = w->made && w->made->size ? w->changes[i / n_limit] : NAN};
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
    int rc = ba_trace_declare(g->trace, "frames", ba_game_frame_columns, sizeof(ba_game_frame), &g->frames_table, err);
    rc = rc ? rc
            : ba_trace_declare(g->trace, "summary", ba_game_summary_columns, sizeof(ba_game_summary), &g->summary_table,
                               err);
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

static int run(game *g, int argc, char **argv) {
    if (g->w->blocks) {
        int status = choose_entities(g, &g->rules);
        return status ? status : print_blocks(g);
    }
    int status = begin_trace(g, argc, argv);
    status = status ? status : play_all(g);
    ba_trace_close(g->trace);
    return status;
}

/* --- options ---------------------------------------------------------------------------------------------------- */

static int read_rules(const char *path, ba_rules *out) {
    char err[BA_ERR_LEN], *text;
    size_t len;
    if (!path) {
        *out = (ba_rules){.max_tokens = DEFAULT_LIMIT};
        return 0;
    }
    if (ba_read_file(path, MAX_RULES, &text, &len, err)) {
        return ba_cli_fail(BA_EXIT_USAGE, "%s", err);
    }
    int rc = ba_rules_parse(text, len, path, out, err);
    free(text);
    return rc ? ba_cli_fail(BA_EXIT_USAGE, "%s", err) : 0;
}

static int take_changes(options *w) {
    const char *s = w->change;
    for (;;) {
        char *end;
        double x = strtod(s, &end);
        if (end == s || (*end && *end != ',') || !(x >= 0 && x <= 1) || w->n_change == MAX_CHANGES) {
            return ba_cli_fail(BA_EXIT_USAGE, "--change %s: shares from 0 to 1 are needed, as 0.001,0.005 (at most %d)",
                               w->change, MAX_CHANGES);
        }
        w->changes[w->n_change++] = x;
        if (!*end) {
            return 0;
        }
        s = end + 1;
    }
}

static int take_options(options *w) {
    char err[BA_ERR_LEN], list[512] = "";
    if (w->states && w->world) {
        return ba_cli_fail(BA_EXIT_USAGE, "--states and --world: one of them");
    }
    const char *name = w->world ? w->world : "strategy";
    w->made = w->states ? NULL : ba_world_find(name);
    if (!w->states && !w->made) {
        const ba_world *known;
        for (size_t i = 0, n = 0; (known = ba_world_at(i)) && n < sizeof list; i++) {
            n += (size_t)snprintf(list + n, sizeof list - n, "%s%s", i ? ", " : "", known->name);
        }
        return ba_cli_fail(BA_EXIT_USAGE, "--world %s: unknown; there is %s", name, list);
    }
    if (ba_parse_size(w->tokens, &w->n_tokens, err) || ba_parse_size(w->frames, &w->n_frames, err) ||
        ba_parse_size(w->measure_every, &w->every, err) || !w->n_tokens || !w->n_frames || w->n_frames > 1 << 20) {
        return ba_cli_fail(BA_EXIT_USAGE,
                           "--tokens, --frames and --measure-every need whole numbers, the first two from 1 on");
    }
    if (w->max_tokens && ba_parse_sizes(w->max_tokens, &w->limit, &w->n_limit, err)) {
        return ba_cli_fail(BA_EXIT_USAGE, "--max-tokens: %s", err);
    }
    for (size_t i = 0; i < w->n_limit; i++) {
        if (!w->limit[i]) {
            return ba_cli_fail(BA_EXIT_USAGE, "--max-tokens: a block has 1 token at least");
        }
    }
    return take_changes(w);
}

int ba_cmd_game(int argc, char **argv) {
    options w = {.tokens = "8K", .change = "0.005", .frames = "20", .measure_every = "10"};
    const ba_option own[] = {
        {"world", "NAME", "strategy (default) or holdem", &w.world, NULL},
        {"states", "FILE", "instead: recorded states, one JSON a line, - for standard input", &w.states, NULL},
        {"rules", "FILE", "rules that cut a state into blocks (none: by size only, 256 tokens)", &w.rules, NULL},
        {"question", "TEXT", "what is asked in every frame", &w.question, NULL},
        {"tokens", "N", "tokens of the strategy game's prompt, about (8K)", &w.tokens, NULL},
        {"change", "LIST", "share of it that changes in a frame, about (0.005)", &w.change, NULL},
        {"max-tokens", "LIST", "limit of a block, instead of the rules'", &w.max_tokens, NULL},
        {"frames", "N", "frames to play (20)", &w.frames, NULL},
        {"measure-every", "N", "full prefill and prefix caching in every N-th frame too, 0 = never (10)",
         &w.measure_every, NULL},
        {"blocks", NULL, "only print the blocks of the first frame, and the tokens of each", NULL, &w.blocks},
        {"memory", "SIZE", "refuse a prompt that needs more for KV and work space (free memory)", &w.memory, NULL},
        {NULL, NULL, NULL, NULL, NULL}};
    ba_common c;
    ba_session b = {0};
    game g = {.common = &c, .w = &w, .b = &b};
    int first,
        status = ba_cli_parse(argc, argv, "[--world NAME | --states FILE] [--rules FILE] [--frames N]",
                              "A game's state, frame by frame, cut into blocks of which only new and changed ones "
                              "are encoded: time to first token against full prefill and against prefix caching. "
                              "The mode is block unless --mode says otherwise.\nExamples\n"
                              "  blockattn game --world holdem --rules experiments/game/holdem.rules.json\n"
                              "  blockattn game --tokens 8K --change 0.005 --rules "
                              "experiments/game/strategy.rules.json --out game.h5\n"
                              "  blockattn game --states recorded.jsonl --blocks",
                              own, &c, &first);
    if (status >= 0) {
        return status;
    }
    if (first < argc) {
        return ba_cli_fail(BA_EXIT_USAGE, "unexpected operand '%s'; recorded states are given by --states",
                           argv[first]);
    }
    ba_catch_interrupt();
    if (!(status = take_options(&w)) && !(status = read_rules(w.rules, &g.rules)) &&
        !(status = ba_run_options(NULL, w.memory, &g.opt)) && !(status = ba_session_open(&c, &b))) {
        status = run(&g, argc, argv);
    }
    ba_session_close(&b);
    ba_rules_free(&g.rules);
    free(w.limit);
    return status;
}

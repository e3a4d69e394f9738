#include "trace.h"

#include "planted.h"

#include "experiments/cli/tracing.h"
#include "experiments/work/work.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define SCHEMA "blockattn/gate/3"

/* One prompt under one mode. */
typedef struct prompt_row {
    uint64_t prompt, n_tokens;
    char item[64], mode[64];
    char held[BA_IDENTITIES][8]; /* ok, FAIL, - */
    double merge_max_abs, max_abs, kl, noise_kl, top1, top5;
    char reuse[16];
    uint64_t diverges, n_answer;
    double nll_full, nll;
    uint64_t flops, flops_full;
    double charged;
} prompt_row;

#define HELD(name, identity) BA_COLUMN_AS(name, prompt_row, held[identity], BA_COLUMN_TEXT, "")

static const ba_column prompt_columns[] = {BA_COLUMN(prompt_row, prompt, BA_COLUMN_U64, ""),
                                           BA_COLUMN(prompt_row, n_tokens, BA_COLUMN_U64, "token"),
                                           BA_COLUMN_AS("id", prompt_row, item, BA_COLUMN_TEXT, ""),
                                           BA_COLUMN(prompt_row, mode, BA_COLUMN_TEXT, ""),
                                           HELD("cached", BA_ID_CACHED),
                                           HELD("batch", BA_ID_BATCH),
                                           HELD("folded", BA_ID_FOLDED),
                                           HELD("merge", BA_ID_MERGE),
                                           HELD("switch", BA_ID_SWITCH),
                                           HELD("count", BA_ID_COUNT),
                                           BA_COLUMN(prompt_row, merge_max_abs, BA_COLUMN_F64, ""),
                                           BA_COLUMN(prompt_row, max_abs, BA_COLUMN_F64, ""),
                                           BA_COLUMN(prompt_row, kl, BA_COLUMN_F64, "nat"),
                                           BA_COLUMN(prompt_row, noise_kl, BA_COLUMN_F64, "nat"),
                                           BA_COLUMN(prompt_row, top1, BA_COLUMN_F64, ""),
                                           BA_COLUMN(prompt_row, top5, BA_COLUMN_F64, ""),
                                           BA_COLUMN(prompt_row, diverges, BA_COLUMN_U64, "token"),
                                           BA_COLUMN(prompt_row, n_answer, BA_COLUMN_U64, "token"),
                                           BA_COLUMN(prompt_row, nll_full, BA_COLUMN_F64, "nat"),
                                           BA_COLUMN(prompt_row, nll, BA_COLUMN_F64, "nat"),
                                           BA_COLUMN(prompt_row, flops, BA_COLUMN_U64, "FLOP"),
                                           BA_COLUMN(prompt_row, flops_full, BA_COLUMN_U64, "FLOP"),
                                           BA_COLUMN(prompt_row, charged, BA_COLUMN_F64, ""),
                                           BA_COLUMN(prompt_row, reuse, BA_COLUMN_TEXT, ""),
                                           BA_COLUMNS_END};

/* One layer of a mode on one prompt. */
typedef struct layer_row {
    char mode[64];
    uint64_t prompt, layer;
    double departure, entropy;
} layer_row;

static const ba_column layer_columns[] = {
    BA_COLUMN(layer_row, mode, BA_COLUMN_TEXT, ""),      BA_COLUMN(layer_row, prompt, BA_COLUMN_U64, ""),
    BA_COLUMN(layer_row, layer, BA_COLUMN_U64, ""),      BA_COLUMN(layer_row, departure, BA_COLUMN_F64, ""),
    BA_COLUMN(layer_row, entropy, BA_COLUMN_F64, "nat"), BA_COLUMNS_END};

/* Share of attention that one segment of one prompt gets. */
typedef struct mass_row {
    char mode[64];
    uint64_t prompt, layer, segment, tokens;
    char role[16];
    double mass, kept;
} mass_row;

static const ba_column mass_columns[] = {BA_COLUMN(mass_row, mode, BA_COLUMN_TEXT, ""),
                                         BA_COLUMN(mass_row, prompt, BA_COLUMN_U64, ""),
                                         BA_COLUMN(mass_row, layer, BA_COLUMN_U64, ""),
                                         BA_COLUMN(mass_row, segment, BA_COLUMN_U64, ""),
                                         BA_COLUMN_AS("segment_tokens", mass_row, tokens, BA_COLUMN_U64, "token"),
                                         BA_COLUMN(mass_row, role, BA_COLUMN_TEXT, ""),
                                         BA_COLUMN(mass_row, mass, BA_COLUMN_F64, ""),
                                         BA_COLUMN(mass_row, kept, BA_COLUMN_F64, ""),
                                         BA_COLUMNS_END};

/* What a mode chose while it ran: refreshed rows (index: over the keys of all that the node sees), and paths with their
 * scores. */
typedef struct choice_row {
    char mode[64];
    uint64_t prompt;
    char kind[8];
    uint64_t index, kept;
    double score;
} choice_row;

static const ba_column choice_columns[] = {BA_COLUMN(choice_row, mode, BA_COLUMN_TEXT, ""),
                                           BA_COLUMN(choice_row, prompt, BA_COLUMN_U64, ""),
                                           BA_COLUMN(choice_row, kind, BA_COLUMN_TEXT, ""),
                                           BA_COLUMN(choice_row, index, BA_COLUMN_U64, ""),
                                           BA_COLUMN(choice_row, kept, BA_COLUMN_U64, ""),
                                           BA_COLUMN(choice_row, score, BA_COLUMN_F64, "nat"),
                                           BA_COLUMNS_END};

const ba_table ba_gate_tables[] = {
    {"modes", ba_gate_summary_columns, sizeof(ba_gate_summary), "a mode over all prompts: means, verdicts"},
    {"prompts", prompt_columns, sizeof(prompt_row), "a mode on one prompt"},
    {"layers", layer_columns, sizeof(layer_row), "one layer of a mode on one of the first prompts (`--probe`)"},
    {"mass", mass_columns, sizeof(mass_row), "attention that one segment gets in one layer"},
    {"choices", choice_columns, sizeof(choice_row), "what a mode chose while it ran: refreshed rows, paths"},
    {"planted", ba_planted_columns, sizeof(ba_planted_row), "with `--planted`: a mode on one item"},
    {"planted_modes", ba_planted_summary_columns, sizeof(ba_planted_summary),
     "with `--planted`: a mode over all items"},
    {"work", ba_work_columns, sizeof(ba_work_row), "with `--shard`: an item of the work that is finished"},
    {.name = NULL}};

int ba_gate_trace_open(ba_gate_trace *t, const char *path, bool resume, const ba_environment *env,
                       char err[BA_ERR_LEN]) {
    *t = (ba_gate_trace){.file = NULL};
    int rc = resume ? ba_trace_resume(path, SCHEMA, &t->file, err) : ba_trace_create(path, SCHEMA, &t->file, err);
    rc = rc ? rc : ba_tracing_facts(t->file, env, NULL, err);
    size_t *const index[] = {&t->modes, &t->prompts, &t->layers, &t->mass, &t->choices};
    for (size_t i = 0; !rc && i < sizeof index / sizeof *index; i++) {
        rc = ba_table_declare(t->file, &ba_gate_tables[i], index[i], err);
    }
    /* Proves that the file can be written before hours are spent. */
    return rc ? rc : ba_trace_commit(t->file, err);
}

void ba_gate_trace_close(ba_gate_trace *t) {
    ba_trace_close(t->file);
    t->file = NULL;
}

static const char *const verdicts[] = {[BA_NOT_ASKED] = "-", [BA_HELD] = "ok", [BA_BROKEN] = "FAIL"};

static ba_gate_row row_of(const prompt_row *d) {
    ba_gate_row row = {
        .n_tokens = d->n_tokens,
        .merge_max_abs = d->merge_max_abs,
        .far = {.finite = isfinite(d->kl), .max_abs = d->max_abs, .kl = d->kl, .top1 = d->top1 != 0, .top5 = d->top5},
        .noise_kl = d->noise_kl,
        .diverges = d->diverges,
        .nll = d->nll,
        .nll_full = d->nll_full,
        .n_answer = d->n_answer,
        .flops = d->flops,
        .flops_full = d->flops_full,
        .charged = d->charged};
    memcpy(row.mode, d->mode, sizeof row.mode);
    memcpy(row.reuse, d->reuse, sizeof row.reuse);
    for (size_t k = 0; k < BA_IDENTITIES; k++) {
        row.held[k] = !strcmp(d->held[k], verdicts[BA_HELD])     ? BA_HELD
                      : !strcmp(d->held[k], verdicts[BA_BROKEN]) ? BA_BROKEN
                                                                 : BA_NOT_ASKED;
    }
    return row;
}

int ba_gate_trace_read(ba_gate_trace *t, ba_gate_prompts *all, ba_gate_results *r, char err[BA_ERR_LEN]) {
    size_t n = ba_trace_rows(t->file, t->prompts);
    int rc = n % r->n_mode || n / r->n_mode > r->n_prompt ? BA_TRACE_REFUSED : 0;
    for (size_t i = 0; !rc && i < n; i++) {
        prompt_row d;
        if ((rc = ba_trace_read(t->file, t->prompts, i, 1, &d, err))) {
            return rc;
        }
        if (i % r->n_mode == 0) {
            ba_gate_prompts_place(all, d.prompt, i / r->n_mode);
        }
        const ba_gate_prompt *p = &all->p[i / r->n_mode];
        rc = p->number != d.prompt || strcmp(d.item, p->name) != 0 ? BA_TRACE_REFUSED : 0;
        r->row[i] = row_of(&d);
    }
    if (rc) {
        ba_fail(err, "%s: table prompts: its rows are of other prompts or modes; start again without --resume",
                ba_trace_path(t->file));
    }
    r->n_done = rc ? 0 : n / r->n_mode;
    return rc;
}

static int add_prompt(ba_gate_trace *t, size_t at, const ba_gate_prompt *p, const ba_gate_row *row,
                      char err[BA_ERR_LEN]) {
    prompt_row d = {.prompt = at,
                    .n_tokens = row->n_tokens,
                    .merge_max_abs = row->merge_max_abs,
                    .max_abs = row->far.max_abs,
                    .kl = row->far.kl,
                    .noise_kl = row->noise_kl,
                    .top1 = row->far.top1,
                    .top5 = row->far.top5,
                    .diverges = row->diverges,
                    .n_answer = row->n_answer,
                    .nll_full = row->nll_full,
                    .nll = row->nll,
                    .flops = row->flops,
                    .flops_full = row->flops_full,
                    .charged = row->charged};
    memcpy(d.item, p->name, sizeof d.item);
    memcpy(d.mode, row->mode, sizeof d.mode);
    memcpy(d.reuse, row->reuse, sizeof d.reuse);
    for (size_t k = 0; k < BA_IDENTITIES; k++) {
        snprintf(d.held[k], sizeof d.held[k], "%s", verdicts[row->held[k]]);
    }
    return ba_trace_append(t->file, t->prompts, &d, err);
}

static int add_layers(ba_gate_trace *t, size_t at, const char mode[64], const ba_probe *full, const ba_probe *in,
                      char err[BA_ERR_LEN]) {
    for (size_t l = 0; l < in->layers; l++) {
        layer_row row = {
            .prompt = at, .layer = l, .departure = ba_probe_departure(full, in, l), .entropy = in->entropy[l]};
        memcpy(row.mode, mode, sizeof row.mode);
        int rc = ba_trace_append(t->file, t->layers, &row, err);
        if (rc) {
            return rc;
        }
    }
    return 0;
}

static int add_mass(ba_gate_trace *t, size_t at, const char mode[64], const ba_prompt *prompt, const ba_probe *in,
                    char err[BA_ERR_LEN]) {
    for (size_t k = 0; k < in->layers * in->n_seg; k++) {
        const ba_segment *seg = &prompt->seg[k % in->n_seg];
        mass_row row = {.prompt = at,
                        .layer = k / in->n_seg,
                        .segment = k % in->n_seg,
                        .tokens = seg->n,
                        .mass = in->mass[k],
                        .kept = in->kept[k]};
        memcpy(row.mode, mode, sizeof row.mode);
        snprintf(row.role, sizeof row.role, "%s", ba_role_name(seg->role));
        int rc = ba_trace_append(t->file, t->mass, &row, err);
        if (rc) {
            return rc;
        }
    }
    return 0;
}

static int add_choices(ba_gate_trace *t, size_t at, const char mode[64], const ba_probe *in, char err[BA_ERR_LEN]) {
    choice_row row = {.prompt = at, .kind = "row", .kept = 1, .score = NAN};
    int rc = 0;
    memcpy(row.mode, mode, sizeof row.mode);
    for (size_t i = 0; !rc && i < in->n_row; i++) {
        row.index = in->row[i];
        rc = ba_trace_append(t->file, t->choices, &row, err);
    }
    snprintf(row.kind, sizeof row.kind, "path");
    for (size_t i = 0; !rc && i < in->n_path; i++) {
        row.index = i;
        row.kept = in->path_kept[i];
        row.score = in->path_score[i];
        rc = ba_trace_append(t->file, t->choices, &row, err);
    }
    return rc;
}

int ba_gate_trace_add(ba_gate_trace *t, const ba_gate_prompt *p, const ba_gate_row *row, size_t n_mode,
                      const ba_probe *inside, char err[BA_ERR_LEN]) {
    const size_t at = p->number;
    int rc = 0;
    for (size_t m = 0; !rc && m < n_mode; m++) {
        const ba_probe *in = inside ? &inside[1 + m] : NULL;
        rc = add_prompt(t, at, p, &row[m], err);
        rc = rc || !in ? rc : add_layers(t, at, row[m].mode, inside, in, err);
        rc = rc || !in ? rc : add_mass(t, at, row[m].mode, p->prompt, in, err);
        rc = rc || !in ? rc : add_choices(t, at, row[m].mode, in, err);
    }
    return rc;
}

int ba_gate_trace_finish(ba_gate_trace *t, const ba_gate_results *r, bool complete, char err[BA_ERR_LEN]) {
    int rc = ba_trace_clear(t->file, t->modes, err);
    for (size_t m = 0; !rc && r->n_done && m < r->n_mode; m++) {
        rc = ba_trace_append(t->file, t->modes, &r->summary[m], err);
    }
    return rc ? rc : complete ? ba_trace_finish(t->file, err) : ba_trace_commit(t->file, err);
}

/* Rows [n] of prompts, all modes of one after the other. */
static int read_all(ba_trace *t, size_t table, size_t n, ba_gate_results *r, char err[BA_ERR_LEN]) {
    int rc = 0;
    for (size_t i = 0; !rc && i < n; i++) {
        prompt_row d;
        rc = ba_trace_read(t, table, i, 1, &d, err);
        if (!rc) {
            r->row[i] = row_of(&d);
        }
    }
    return rc;
}

/* How many modes the first prompt has. */
static int count_modes(ba_trace *t, size_t table, size_t *n_mode, char err[BA_ERR_LEN]) {
    prompt_row first, next;
    int rc = ba_trace_read(t, table, 0, 1, &first, err);
    for (*n_mode = 1; !rc && *n_mode < ba_trace_rows(t, table); ++*n_mode) {
        rc = ba_trace_read(t, table, *n_mode, 1, &next, err);
        if (next.prompt != first.prompt) {
            break;
        }
    }
    return rc;
}

int ba_gate_trace_summarise(ba_trace *t, const ba_margins *margins, char err[BA_ERR_LEN]) {
    const ba_gate_limits none = {NAN, NAN, NAN};
    ba_gate_results r = {0};
    size_t table, modes, n_mode;
    int rc = ba_table_declare_named(t, ba_gate_tables, "prompts", &table, err);
    rc = rc ? rc : ba_table_declare_named(t, ba_gate_tables, "modes", &modes, err);
    size_t n = rc ? 0 : ba_trace_rows(t, table);
    if (rc || !n || (rc = count_modes(t, table, &n_mode, err))) {
        return rc;
    }
    if (n % n_mode) {
        ba_fail(err, "table prompts: %zu rows are not those of %zu modes", n, n_mode);
        return BA_TRACE_REFUSED;
    }
    if (ba_gate_results_new(&r, n_mode, n / n_mode)) {
        ba_fail(err, "out of memory");
        return BA_TRACE_MACHINE;
    }
    rc = read_all(t, table, n, &r, err);
    if (!rc) {
        r.n_done = n / n_mode;
        ba_gate_summarise(&r, &none, margins);
    }
    for (size_t m = 0; !rc && m < n_mode; m++) {
        rc = ba_trace_append(t, modes, &r.summary[m], err);
    }
    ba_gate_results_free(&r);
    return rc;
}

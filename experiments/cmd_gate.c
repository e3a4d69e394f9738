/* blockattn gate: the program with an exit status that a user puts in CI. */
#include "ask.h"
#include "commands.h"
#include "gate.h"
#include "rag.h"
#include "stats.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct wish {
    const char *request, *data, *limit, *greedy, *identities, *memory;
    const char *max_kl, *min_agreement, *max_nll_increase;
    uint64_t n_limit, n_greedy, n_identities;
    double kl, agreement, nll_increase; /* NAN: no limit */
} wish;

/* What is asked of the modes: prompts and, where there is one, their gold answers. */
typedef struct asked_prompt {
    ba_prompt *prompt;
    int32_t *answer;
    size_t n_answer;
} asked_prompt;

typedef struct prompts {
    asked_prompt *p;
    size_t n;
} prompts;

/* All prompts under one mode. */
typedef struct summary {
    char mode[64];
    size_t n, held[BA_IDENTITIES], broken[BA_IDENTITIES];
    double merge_max_abs;
    double max_abs_median, max_abs_worst, kl, agreement, top5, diverges, flops; /* means unless said otherwise */
    double nll_full, nll, nll_increase;                                         /* per answer token; NAN: no answers */
    bool finite;
    char over[128]; /* limits that it broke */
} summary;

static void free_prompts(prompts *all) {
    for (size_t i = 0; i < all->n; i++) {
        ba_prompt_free(all->p[i].prompt);
        free(all->p[i].answer);
    }
    free(all->p);
    *all = (prompts){0};
}

static int read_prompts(const ba_bench *b, const wish *w, prompts *out) {
    char err[BA_ERR_LEN];
    *out = (prompts){0};
    if (w->request) {
        ba_asked a;
        int status = ba_ask(b, w->request, &a);
        if (!status && !(out->p = calloc(1, sizeof *out->p))) {
            status = ba_cli_fail(BA_EXIT_MACHINE, "out of memory");
        }
        if (!status) {
            out->p[out->n++].prompt = a.prompt;
            a.prompt = NULL;
        }
        ba_asked_free(&a);
        return status;
    }
    ba_items items;
    if (ba_items_read(w->data, w->n_limit, &items, err)) {
        return ba_cli_fail(BA_EXIT_USAGE, "%s", err);
    }
    out->p = calloc(items.n, sizeof *out->p);
    int status = out->p ? 0 : ba_cli_fail(BA_EXIT_MACHINE, "out of memory");
    for (size_t i = 0; !status && i < items.n; i++) {
        asked_prompt *p = &out->p[out->n++];
        p->prompt = ba_item_prompt(&items.item[i], b->tok);
        if (!p->prompt || ba_item_answer(&items.item[i], b->tok, &p->answer, &p->n_answer)) {
            status = ba_cli_fail(BA_EXIT_MACHINE, "out of memory");
        }
    }
    ba_items_free(&items);
    return status;
}

/* Modes of a comma-separated list; commas inside a mode's parameters belong to it (key=value). malloc'ed. */
static char **split_modes(const char *list, size_t *n) {
    char *copy = strdup(list), **mode = calloc(strlen(list) + 2, sizeof *mode);
    *n = 0;
    if (!copy || !mode) {
        free(copy);
        free(mode);
        return NULL;
    }
    mode[(*n)++] = copy;
    for (char *c = strchr(copy, ','); c; c = strchr(c + 1, ',')) {
        size_t word = strcspn(c + 1, ",=:");
        if (c[1 + word] != '=') {
            *c = 0;
            mode[(*n)++] = c + 1;
        }
    }
    return mode;
}

static void free_modes(char **mode) {
    if (mode) {
        free(mode[0]);
        free(mode);
    }
}

/* rows[i] belongs to prompt i. value: scratch [n]. */
static summary summarise(const ba_gate_row *row, const ba_reference *ref, size_t n, double *value) {
    summary s = {.n = n, .finite = true, .merge_max_abs = NAN};
    size_t tokens = 0;
    double nll = 0, nll_full = 0;
    snprintf(s.mode, sizeof s.mode, "%s", row[0].mode);
    for (size_t i = 0; i < n; i++) {
        s.finite = s.finite && row[i].far.finite;
        s.kl += row[i].far.kl / (double)n;
        s.agreement += row[i].far.top1 / (double)n;
        s.top5 += row[i].far.top5 / (double)n;
        s.diverges += (double)row[i].diverges / (double)n;
        s.flops += (double)row[i].flops / (double)ref[i].flops / (double)n;
        s.merge_max_abs = fmax(s.merge_max_abs, row[i].merge_max_abs);
        value[i] = row[i].far.max_abs;
        s.max_abs_worst = fmax(s.max_abs_worst, value[i]);
        for (size_t k = 0; k < BA_IDENTITIES; k++) {
            s.held[k] += row[i].held[k] == BA_HELD;
            s.broken[k] += row[i].held[k] == BA_BROKEN;
        }
        if (row[i].n_answer) {
            tokens += row[i].n_answer;
            nll += row[i].nll;
            nll_full += ref[i].nll;
        }
    }
    s.max_abs_median = ba_stats_of(value, n).median;
    s.nll = tokens ? nll / (double)tokens : NAN;
    s.nll_full = tokens ? nll_full / (double)tokens : NAN;
    s.nll_increase = s.nll - s.nll_full;
    return s;
}

static void judge(summary *s, const wish *w) {
    char *at = s->over, *end = s->over + sizeof s->over;
    if (!s->finite) {
        at += snprintf(at, (size_t)(end - at), " NaN-or-Inf");
    }
    if (s->kl > w->kl) {
        at += snprintf(at, (size_t)(end - at), " max-kl");
    }
    if (s->agreement < w->agreement) {
        at += snprintf(at, (size_t)(end - at), " min-agreement");
    }
    if (s->nll_increase > w->nll_increase) {
        snprintf(at, (size_t)(end - at), " max-nll-increase");
    }
}

static bool passed(const summary *s) {
    for (size_t k = 0; k < BA_IDENTITIES; k++) {
        if (s->broken[k]) {
            return false;
        }
    }
    return !s->over[0];
}

static const char *verdict(const summary *s, ba_identity k) {
    return s->broken[k] ? "FAIL" : s->held[k] ? "ok" : "-";
}

static void print_table(const summary *s, size_t n, size_t n_prompt, size_t n_greedy) {
    printf("%zu prompt%s, distance from full attention behind the last prompt token\n\n", n_prompt,
           n_prompt == 1 ? "" : "s");
    printf("%-22s %6s %5s %6s %5s %5s  %9s %9s %9s %6s %6s %7s %9s %7s\n", "", "identi", "ties", "", "", "", "|dlogit|",
           "|dlogit|", "KL", "top-1", "top-5", "leaves", "dNLL", "FLOPs");
    printf("%-22s", "mode");
    for (ba_identity k = 0; k < BA_IDENTITIES; k++) {
        printf(" %*s", k == BA_ID_CACHED || k == BA_ID_FOLDED ? 6 : 5, ba_identity_name(k));
    }
    printf("  %9s %9s %9s %6s %6s %7s %9s %7s\n", "median", "max", "nats", "agree", "shared", "at", "/token",
           "of full");
    for (size_t i = 0; i < n; i++) {
        printf("%-22s", s[i].mode);
        for (ba_identity k = 0; k < BA_IDENTITIES; k++) {
            printf(" %*s", k == BA_ID_CACHED || k == BA_ID_FOLDED ? 6 : 5, verdict(&s[i], k));
        }
        printf("  %9.2e %9.2e %9.2e %5.0f%% %5.0f%% %7.1f", s[i].max_abs_median, s[i].max_abs_worst, s[i].kl,
               100 * s[i].agreement, 100 * s[i].top5, s[i].diverges);
        if (isnan(s[i].nll_increase)) {
            printf(" %9s", "-");
        } else {
            printf(" %+9.4f", s[i].nll_increase);
        }
        printf(" %6.1f%%%s%s\n", 100 * s[i].flops, s[i].over[0] ? "  over:" : "", s[i].over);
    }
    printf("\nleaves at: greedy token at which the text leaves that of full attention (of %zu)\n", n_greedy);
}

static void add_number(cJSON *o, const char *key, double x) {
    if (isfinite(x)) {
        cJSON_AddNumberToObject(o, key, x);
    } else {
        cJSON_AddNullToObject(o, key);
    }
}

static int print_json(const summary *s, size_t n, bool ok) {
    cJSON *o = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(o, "modes");
    for (size_t i = 0; i < n; i++) {
        cJSON *m = cJSON_CreateObject(), *id = cJSON_AddObjectToObject(m, "identities");
        cJSON_AddItemToArray(list, m);
        cJSON_AddStringToObject(m, "mode", s[i].mode);
        cJSON_AddNumberToObject(m, "n", (double)s[i].n);
        for (ba_identity k = 0; k < BA_IDENTITIES; k++) {
            if (s[i].held[k] + s[i].broken[k]) {
                cJSON_AddBoolToObject(id, ba_identity_name(k), !s[i].broken[k]);
            } else {
                cJSON_AddNullToObject(id, ba_identity_name(k));
            }
        }
        add_number(m, "merge_max_abs", s[i].merge_max_abs);
        add_number(m, "max_abs_median", s[i].max_abs_median);
        add_number(m, "max_abs", s[i].max_abs_worst);
        add_number(m, "kl", s[i].kl);
        add_number(m, "top1", s[i].agreement);
        add_number(m, "top5", s[i].top5);
        add_number(m, "diverges", s[i].diverges);
        add_number(m, "nll_full", s[i].nll_full);
        add_number(m, "nll", s[i].nll);
        add_number(m, "nll_increase", s[i].nll_increase);
        add_number(m, "flops_fraction", s[i].flops);
        cJSON_AddBoolToObject(m, "ok", passed(&s[i]));
    }
    cJSON_AddBoolToObject(o, "ok", ok);
    char *text = cJSON_PrintUnformatted(o);
    cJSON_Delete(o);
    if (!text) {
        return ba_cli_fail(BA_EXIT_MACHINE, "out of memory");
    }
    puts(text);
    free(text);
    return BA_EXIT_OK;
}

static void print_csv(const summary *s, size_t n) {
    printf("mode,n");
    for (ba_identity k = 0; k < BA_IDENTITIES; k++) {
        printf(",%s", ba_identity_name(k));
    }
    puts(",max_abs_median,max_abs,kl,top1,top5,diverges,nll_full,nll,flops_fraction");
    for (size_t i = 0; i < n; i++) {
        printf("\"%s\",%zu", s[i].mode, s[i].n);
        for (ba_identity k = 0; k < BA_IDENTITIES; k++) {
            printf(",%s", verdict(&s[i], k));
        }
        printf(",%.9g,%.9g,%.9g,%.9g,%.9g,%.9g,%.9g,%.9g,%.9g\n", s[i].max_abs_median, s[i].max_abs_worst, s[i].kl,
               s[i].agreement, s[i].top5, s[i].diverges, s[i].nll_full, s[i].nll, s[i].flops);
    }
}

static int measure(const ba_common *c, const ba_bench *b, const wish *w, const prompts *all, char **mode, size_t n_mode,
                   const ba_engine_options *opt, ba_reference *ref, ba_gate_row *row) {
    char err[BA_ERR_LEN];
    ba_progress bar;
    int rc = 0;
    ba_progress_start(&bar, "gate", c->quiet);
    for (size_t i = 0; !rc && i < all->n; i++) {
        const asked_prompt *p = &all->p[i];
        rc = ba_reference_make(b->engine, p->prompt, p->answer, p->n_answer, w->n_greedy, opt, &ref[i], err);
        for (size_t m = 0; !rc && m < n_mode; m++) {
            rc = ba_gate_mode(b->engine, b->store, &ref[i], mode[m], i < w->n_identities, opt, &row[m * all->n + i],
                              err);
            ba_progress_update(&bar, (double)(i * n_mode + m + 1) / (double)(all->n * n_mode));
        }
    }
    ba_progress_end(&bar);
    return ba_engine_exit(rc, err);
}

static int run(const ba_common *c, const ba_bench *b, const wish *w, const ba_engine_options *opt) {
    prompts all = {0};
    size_t n_mode = 0;
    char **mode = split_modes(c->mode, &n_mode);
    int status = mode ? read_prompts(b, w, &all) : ba_cli_fail(BA_EXIT_MACHINE, "out of memory");
    if (status) {
        free_modes(mode);
        return status;
    }
    ba_reference *ref = calloc(all.n, sizeof *ref);
    ba_gate_row *row = calloc(all.n * n_mode, sizeof *row);
    summary *s = calloc(n_mode, sizeof *s);
    double *value = calloc(all.n, sizeof *value);
    if (!ref || !row || !s || !value) {
        status = ba_cli_fail(BA_EXIT_MACHINE, "out of memory");
    }
    if (!status) {
        status = measure(c, b, w, &all, mode, n_mode, opt, ref, row);
    }
    if (!status) {
        bool ok = true;
        for (size_t m = 0; m < n_mode; m++) {
            s[m] = summarise(row + m * all.n, ref, all.n, value);
            judge(&s[m], w);
            ok = ok && passed(&s[m]);
        }
        if (c->format == BA_FORMAT_JSON) {
            status = print_json(s, n_mode, ok);
        } else if (c->format == BA_FORMAT_CSV) {
            print_csv(s, n_mode);
        } else {
            print_table(s, n_mode, all.n, w->n_greedy);
        }
        status = status ? status : ok ? BA_EXIT_OK : BA_EXIT_CHECK;
    }
    for (size_t i = 0; ref && i < all.n; i++) {
        ba_reference_free(&ref[i]);
    }
    free(ref);
    free(row);
    free(s);
    free(value);
    free_prompts(&all);
    free_modes(mode);
    return status;
}

static int number(const char *option, const char *text, double *out) {
    char *end;
    *out = NAN;
    if (!text) {
        return 0;
    }
    *out = strtod(text, &end);
    return *end || end == text || !isfinite(*out) ? ba_cli_fail(BA_EXIT_USAGE, "%s %s: not a number", option, text) : 0;
}

static int check(wish *w, const ba_common *c) {
    char err[BA_ERR_LEN], canonical[128];
    size_t n;
    if (!w->request == !w->data) {
        return ba_cli_fail(BA_EXIT_USAGE, "prompts are needed: --request FILE or --data FILE.jsonl");
    }
    if (ba_parse_size(w->limit, &w->n_limit, err) || ba_parse_size(w->greedy, &w->n_greedy, err) ||
        ba_parse_size(w->identities, &w->n_identities, err)) {
        return ba_cli_fail(BA_EXIT_USAGE, "--limit, --greedy or --identities: %s", err);
    }
    int status = number("--max-kl", w->max_kl, &w->kl);
    status = status ? status : number("--min-agreement", w->min_agreement, &w->agreement);
    status = status ? status : number("--max-nll-increase", w->max_nll_increase, &w->nll_increase);
    char **mode = split_modes(c->mode, &n);
    for (size_t m = 0; mode && !status && m < n; m++) {
        if (ba_mode_check(mode[m], canonical, sizeof canonical, err)) {
            status = ba_cli_fail(BA_EXIT_USAGE, "%s", err);
        }
    }
    free_modes(mode);
    return status;
}

int ba_cmd_gate(int argc, char **argv) {
    wish w = {.limit = "5", .greedy = "16", .identities = "1M"};
    const ba_option own[] = {
        {"request", "FILE", "one prompt, - for standard input", &w.request, NULL},
        {"data", "FILE", "RAG items (JSON Lines, plain or gzipped)", &w.data, NULL},
        {"limit", "N", "first N items of the data; 0 = all (5)", &w.limit, NULL},
        {"greedy", "N", "greedy tokens to compare (16)", &w.greedy, NULL},
        {"identities", "N", "check the identities on the first N prompts (all)", &w.identities, NULL},
        {"max-kl", "X", "fail over this mean KL(full || mode), nats", &w.max_kl, NULL},
        {"min-agreement", "X", "fail under this share of equal top-1 tokens (0..1)", &w.min_agreement, NULL},
        {"max-nll-increase", "X", "fail over this increase of the gold answer's NLL, nats a token", &w.max_nll_increase,
         NULL},
        {"memory", "SIZE", "refuse a prompt that needs more for KV and work space (free memory)", &w.memory, NULL},
        {NULL, NULL, NULL, NULL, NULL}};
    ba_common c = {.mode = "block"};
    ba_bench b;
    ba_engine_options opt;
    int first, status = ba_cli_parse(argc, argv, "--request FILE | --data FILE.jsonl [--mode MODE[,MODE..]] [limits]",
                                     "Does reuse equal recompute, and how far is each mode from full attention. "
                                     "Exit status 1 if an identity does not hold or a limit is exceeded.",
                                     own, &c, &first);
    if (status >= 0) {
        return status;
    }
    if (first < argc) {
        return ba_cli_fail(BA_EXIT_USAGE, "unexpected operand '%s'; a request is given by --request", argv[first]);
    }
    ba_catch_interrupt();
    if ((status = check(&w, &c)) || (status = ba_run_options(NULL, w.memory, &opt)) ||
        (status = ba_bench_open(&c, &b))) {
        return status;
    }
    status = run(&c, &b, &w, &opt);
    ba_bench_close(&b);
    return status;
}

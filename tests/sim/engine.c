/* The engine on a tiny model, with every backend: properties that need no reference, to the bit where the engine
 * promises equal bits. */
#include "sim/engine/engine.h"
#include "kernels/base/compare.h"
#include "sim/base/random.h"
#include "sim/modes/modes.h"
#include "sim/plan/cost.h"
#include "tests/support/plans.h"
#include "tests/support/rig.h"
#include "tests/support/runner.h"
#include "tests/support/tiny.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct fixture {
    ba_model *model;
    ba_backend *be;
    ba_store *store;
    ba_engine *engine;
    size_t vocab;
} fixture;

/* Passages are cut out of one random text, so that a segment's tokens depend only on its place in it. */
enum { TEXT = 600 };

static int32_t text[TEXT];

static fixture open_engine(const char *backend, size_t threads) {
    char path[512], err[BA_ERR_LEN];
    fixture f = {0};
    snprintf(path, sizeof path, "%s/engine.gguf", ba_test_dir());
    CU_ASSERT_EQUAL_FATAL(ba_tiny_gguf(path, &(ba_tiny_options){.layers = 4}), 0);
    CU_ASSERT_EQUAL_FATAL(ba_model_open(path, true, &f.model, err), 0);
    CU_ASSERT_PTR_NOT_NULL_FATAL(f.be = rig_backend(backend, threads, NULL));
    f.store = ba_store_new(f.be, UINT64_C(1) << 30);
    CU_ASSERT_PTR_NOT_NULL_FATAL(f.store);
    CU_ASSERT_EQUAL_FATAL(ba_engine_new(f.model, f.be, f.store, NULL, &f.engine, err), 0);
    f.vocab = ba_model_shape(f.model)->vocab;
    uint64_t state = 12345;
    for (size_t i = 0; i < TEXT; i++) {
        text[i] = (int32_t)ba_random_below(&state, f.vocab);
    }
    return f;
}

static void close_engine(fixture *f) {
    ba_engine_free(f->engine);
    ba_store_free(f->store);
    ba_backend_close(f->be);
    ba_model_close(f->model);
}

/* Segments of these lengths; 0 ends the list. The last is the question, or (task) the task after it; the first is the
 * system text if there are at least three. */
static ba_prompt *prompt_of(const size_t *length, bool task) {
    ba_prompt *p = ba_prompt_new(NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(p);
    size_t n = 0, at = 0;
    while (length[n]) {
        n++;
    }
    for (size_t i = 0; i < n; at += length[i++]) {
        ba_role role = i + 1 == n           ? task ? BA_ROLE_TASK : BA_ROLE_QUESTION
                       : task && i + 2 == n ? BA_ROLE_QUESTION
                       : i == 0 && n > 2    ? BA_ROLE_SYSTEM
                                            : BA_ROLE_PASSAGE;
        CU_ASSERT_EQUAL_FATAL(ba_prompt_add(p, role, text + at, length[i]), 0);
    }
    p->bos = 1;
    p->newline = 2;
    return p;
}

static const size_t five[] = {7, 40, 1, 90, 66, 13, 0}, one_block[] = {150, 0};

static ba_plan *plan_of(const char *mode, const size_t *length) {
    char err[BA_ERR_LEN];
    ba_plan *plan = NULL;
    ba_prompt *p = prompt_of(length, !strncmp(mode, "superposition", 13));
    CU_ASSERT_EQUAL_FATAL(ba_mode_plan(mode, p, &plan, err), 0);
    ba_prompt_free(p);
    return plan;
}

/* Logits of a plan, malloc'ed; stats may be NULL. */
static double *logits_of(fixture *f, const ba_plan *plan, const ba_engine_options *opt, ba_run_stats *stats) {
    char err[BA_ERR_LEN] = "";
    ba_run *run = NULL;
    double *out = malloc(f->vocab * sizeof *out);
    CU_ASSERT_PTR_NOT_NULL_FATAL(out);
    int rc = ba_engine_run(f->engine, plan, opt, 0, &run, err);
    if (rc) {
        fprintf(stderr, "%s: %s\n", plan->mode, err);
    }
    CU_ASSERT_EQUAL_FATAL(rc, 0);
    memcpy(out, ba_run_logits(run), f->vocab * sizeof *out);
    if (stats) {
        *stats = *ba_run_get_stats(run);
    }
    ba_run_free(run);
    return out;
}

static bool same_bits(fixture *f, double *a, double *b) {
    bool same = !memcmp(a, b, f->vocab * sizeof *a);
    free(a);
    free(b);
    return same;
}

static bool close_by(fixture *f, double *a, double *b, double limit) {
    bool near = ba_close(a, b, f->vocab, limit);
    free(a);
    free(b);
    return near;
}

static const char *const backends[] = {"ref", "openblas", "cpu", "cpu/bf16/plain", "cpu/bf16", "cuda"};
enum { BACKENDS = sizeof backends / sizeof *backends, BF16 = 3 };
/* Other orders of summation change the last bits only. */
static const double rounding[] = {1e-9, 2e-4, 2e-4, 0.1, 0.1, 0.1};

/* The first backend from b on that this build and machine have. */
static size_t next_backend(size_t b) {
    for (; b < BACKENDS; b++) {
        ba_backend *be = rig_backend(backends[b], 1, NULL);
        if (be) {
            ba_backend_close(be);
            break;
        }
    }
    return b;
}

/* The first PLAIN modes have edges only: no refreshed rows, groups, choices or paths. */
static const char *const modes[] = {"full",
                                    "block",
                                    "block-nopos",
                                    "turborag",
                                    "promptcache",
                                    "promptcache:scaffold=none",
                                    "pcw",
                                    "lego-0",
                                    "sink",
                                    "sink:encode=global",
                                    "blockdist",
                                    "kvlink",
                                    "block:n=3",
                                    "splice",
                                    "splice:donor=shuffle,seed=3",
                                    "ape",
                                    "ape:t=0.7,s=1.2,form=paper",
                                    "superposition",
                                    "superposition:topk=2",
                                    "superposition:topk=1,positions=max,qfirst=no",
                                    "lego",
                                    "lego:k=3,qbos=no",
                                    "lego:k=100",
                                    "cacheblend",
                                    "cacheblend:r=0.3,score=k,mask=bottomright",
                                    "cacheblend:r=0.5,mask=bottomright,brlayer=2,n=context",
                                    "cacheblend:r=0",
                                    "cacheblend:r=1",
                                    "prophetkv",
                                    "prophetkv:r=0",
                                    "prophetkv:r=0.5,window=4,layers=1+2",
                                    "qcfuse",
                                    "qcfuse:k=40,layers=all,rows=5",
                                    "kvshift",
                                    "kvshift:r=0.5",
                                    "selective",
                                    "selective:k=1,agg=ht"};
enum { MODES = sizeof modes / sizeof *modes, PLAIN = 15 };

static void cached_equals_computed(void) {
    for (size_t b = next_backend(0); b < BACKENDS; b = next_backend(b + 1)) {
        fixture f = open_engine(backends[b], 2);
        for (size_t m = 0; m < MODES; m++) {
            ba_plan *plan = plan_of(modes[m], five);
            ba_run_stats cold_stats, warm_stats;
            ba_store_clear(f.store);
            double *cold = logits_of(&f, plan, NULL, &cold_stats), *warm = logits_of(&f, plan, NULL, &warm_stats);
            CU_ASSERT_TRUE(same_bits(&f, cold, warm));
            CU_ASSERT_TRUE(warm_stats.n_computed <= cold_stats.n_computed);
            CU_ASSERT_EQUAL(cold_stats.n_computed - warm_stats.n_computed, warm_stats.n_reused - cold_stats.n_reused);
            ba_plan_free(plan);
        }
        close_engine(&f);
    }
}

static void pass_size_changes_nothing(void) {
    for (size_t b = next_backend(0); b < BACKENDS; b = next_backend(b + 1)) {
        fixture f = open_engine(backends[b], 2);
        for (size_t m = 0; m < MODES; m++) {
            static const size_t rows[] = {17, 64};
            ba_plan *plan = plan_of(modes[m], five);
            ba_store_clear(f.store);
            double *whole = logits_of(&f, plan, NULL, NULL);
            for (size_t i = 0; i < (BA_SANITIZED ? 1 : sizeof rows / sizeof *rows); i++) {
                ba_engine_options opt = {.max_rows = rows[i]};
                ba_store_clear(f.store);
                double *cut = logits_of(&f, plan, &opt, NULL);
                CU_ASSERT_EQUAL(memcmp(whole, cut, f.vocab * sizeof *cut), 0);
                free(cut);
            }
            free(whole);
            ba_plan_free(plan);
        }
        close_engine(&f);
    }
}

static void thread_count_changes_nothing(void) {
    double *first = NULL;
    ba_plan *plan = plan_of("block", five);
    for (size_t threads = 1; threads <= 8; threads *= 2) {
        fixture f = open_engine("cpu", threads);
        double *now = logits_of(&f, plan, NULL, NULL);
        if (first) {
            CU_ASSERT_EQUAL(memcmp(first, now, f.vocab * sizeof *now), 0);
            free(now);
        } else {
            first = now;
        }
        close_engine(&f);
    }
    free(first);
    ba_plan_free(plan);
}

static void neighbours_do_not_matter(void) {
    static const size_t few[] = {7, 40, 1, 0};
    for (size_t b = next_backend(0); b < BACKENDS; b = next_backend(b + 1)) {
        fixture f = open_engine(backends[b], 2);
        ba_plan *plan = plan_of("block", five), *part = plan_of("block", few);
        double *together = logits_of(&f, plan, NULL, NULL);
        ba_store_clear(f.store);
        free(logits_of(&f, part, NULL, NULL)); /* two of the blocks, with other neighbours */
        ba_run_stats stats;
        double *mixed = logits_of(&f, plan, NULL, &stats);
        CU_ASSERT_EQUAL(stats.n_reused, 47);
        CU_ASSERT_TRUE(same_bits(&f, together, mixed));
        ba_plan_free(plan);
        ba_plan_free(part);
        close_engine(&f);
    }
}

static void folded_block_is_full(void) {
    for (size_t b = next_backend(0); b < BACKENDS; b = next_backend(b + 1)) {
        fixture f = open_engine(backends[b], 2);
        ba_plan *full = plan_of("full", five), *folded = plan_of("block:n=0", five),
                *single = plan_of("block", one_block), *alone = plan_of("full", one_block);
        CU_ASSERT_TRUE(same_bits(&f, logits_of(&f, full, NULL, NULL), logits_of(&f, folded, NULL, NULL)));
        CU_ASSERT_TRUE(same_bits(&f, logits_of(&f, single, NULL, NULL), logits_of(&f, alone, NULL, NULL)));
        ba_plan_free(full);
        ba_plan_free(folded);
        ba_plan_free(single);
        ba_plan_free(alone);
        close_engine(&f);
    }
}

/* Full attention cut into nodes at these lengths: every node sees all before it at its place. */
static ba_plan *split_full(const size_t *length, double offset) {
    ba_plan *plan = ba_plan_new("split");
    CU_ASSERT_PTR_NOT_NULL_FATAL(plan);
    size_t begin[8], at = 0;
    for (size_t i = 0; length[i]; at += length[i++]) {
        size_t v = ba_plan_add_node(plan, text + at, length[i], i, 1);
        begin[i] = at;
        plan->node[v].pos = (double)at + offset;
        plan->node[v].stored = length[i + 1] != 0;
        for (size_t e = 0; e < i; e++) {
            CU_ASSERT_PTR_NOT_NULL_FATAL(ba_plan_add_edge(plan, v, e, (double)begin[e] + offset));
        }
    }
    plan->n_tokens = at;
    return plan;
}

static void splitting_full_changes_nothing(void) {
    for (size_t b = next_backend(0); b < BACKENDS; b = next_backend(b + 1)) {
        fixture f = open_engine(backends[b], 2);
        ba_plan *full = plan_of("full", five), *split = split_full(five, 0), *moved = split_full(five, 1000);
        CU_ASSERT_TRUE(close_by(&f, logits_of(&f, full, NULL, NULL), logits_of(&f, split, NULL, NULL), rounding[b]));
        /* Only differences of positions count, so a constant changes no bit. */
        double *here = logits_of(&f, split, NULL, NULL);
        ba_store_clear(f.store);
        CU_ASSERT_TRUE(same_bits(&f, here, logits_of(&f, moved, NULL, NULL)));
        ba_plan_free(full);
        ba_plan_free(split);
        ba_plan_free(moved);
        close_engine(&f);
    }
}

/* What a mode is by definition, on every backend. */
static void modes_coincide_where_they_must(void) {
    static const struct {
        const char *mode, *as;
    } same[] = {
        {"splice:donor=self", "full"},     {"prophetkv:r=1", "full"},
        {"prophetkv:r=0", "block"},        {"prophetkv:r=0,layers=0", "block"},
        {"qcfuse:k=50", "full"}, /* 4 passages of 197 tokens */
        {"qcfuse:k=0", "block"},           {"kvshift:r=1", "full"},
        {"kvshift:r=0", "cacheblend:r=0"},
    };
    for (size_t b = next_backend(0); b < BACKENDS; b = next_backend(b + 1)) {
        fixture f = open_engine(backends[b], 2);
        for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
            ba_plan *plan = plan_of(same[i].mode, five), *as = plan_of(same[i].as, five);
            CU_ASSERT_TRUE(close_by(&f, logits_of(&f, plan, NULL, NULL), logits_of(&f, as, NULL, NULL), rounding[b]));
            ba_plan_free(plan);
            ba_plan_free(as);
        }
        close_engine(&f);
    }
}

/* Nothing deviates where there is nothing to deviate from: no passages, or one without a prefix. */
static void prompts_without_neighbours_are_full(void) {
    static const char *const mode[] = {"splice", "prophetkv", "qcfuse", "kvshift"};
    static const ba_role roles[][3] = {{BA_ROLE_QUESTION, BA_ROLE_TASK, BA_ROLE_TASK},
                                       {BA_ROLE_SYSTEM, BA_ROLE_QUESTION, BA_ROLE_TASK},
                                       {BA_ROLE_PASSAGE, BA_ROLE_QUESTION, BA_ROLE_TASK}};
    for (size_t b = next_backend(0); b < BACKENDS; b = next_backend(b + 1)) {
        fixture f = open_engine(backends[b], 2);
        for (size_t i = 0; i < 3; i++) {
            char err[BA_ERR_LEN];
            ba_plan *plan, *full;
            ba_prompt *p = ba_prompt_new(NULL);
            CU_ASSERT_PTR_NOT_NULL_FATAL(p);
            for (size_t s = 0; s < 2 + (i > 0); s++) {
                CU_ASSERT_EQUAL_FATAL(ba_prompt_add(p, roles[i][s], text + 50 * s, s ? 10 : 50), 0);
            }
            CU_ASSERT_EQUAL_FATAL(ba_mode_plan("full", p, &full, err), 0);
            double *want = logits_of(&f, full, NULL, NULL);
            for (size_t m = 0; m < sizeof mode / sizeof *mode; m++) {
                CU_ASSERT_EQUAL_FATAL(ba_mode_plan(mode[m], p, &plan, err), 0);
                double *got = logits_of(&f, plan, NULL, NULL);
                CU_ASSERT(ba_close(got, want, f.vocab, rounding[b]));
                free(got);
                ba_plan_free(plan);
            }
            free(want);
            ba_plan_free(full);
            ba_prompt_free(p);
        }
        close_engine(&f);
    }
}

/* Blocks that another order of the passages has left in the store are the same blocks; a donor's are not, but for the
 * prefix and the donor's first passage, of one token in both orders, which has seen the prefix only. */
static void another_order_in_the_store_changes_nothing(void) {
    static const char *const mode[] = {"prophetkv", "qcfuse:k=5", "kvshift", "splice"};
    /* The segments of `five`, with passages 3, 2, 1, 4. */
    static const size_t at[] = {0, 48, 47, 7, 138, 204}, length[] = {7, 90, 1, 40, 66, 13};
    fixture f = open_engine("cpu", 2);
    for (size_t m = 0; m < sizeof mode / sizeof *mode; m++) {
        ba_plan *plan = plan_of(mode[m], five), *turned;
        char err[BA_ERR_LEN];
        ba_prompt *p = ba_prompt_new(NULL);
        CU_ASSERT_PTR_NOT_NULL_FATAL(p);
        for (size_t s = 0; s < 6; s++) {
            ba_role role = s == 0 ? BA_ROLE_SYSTEM : s == 5 ? BA_ROLE_QUESTION : BA_ROLE_PASSAGE;
            CU_ASSERT_EQUAL_FATAL(ba_prompt_add(p, role, text + at[s], length[s]), 0);
        }
        CU_ASSERT_EQUAL_FATAL(ba_mode_plan(mode[m], p, &turned, err), 0);
        ba_run_stats stats;
        ba_store_clear(f.store);
        double *alone = logits_of(&f, plan, NULL, NULL);
        ba_store_clear(f.store);
        free(logits_of(&f, turned, NULL, NULL));
        double *after = logits_of(&f, plan, NULL, &stats);
        CU_ASSERT_EQUAL(stats.n_reused, strcmp(mode[m], "splice") ? 204 : 8);
        CU_ASSERT_TRUE(same_bits(&f, alone, after));
        ba_plan_free(plan);
        ba_plan_free(turned);
        ba_prompt_free(p);
    }
    close_engine(&f);
}

/* Of an edit (passage of 40 tokens becomes one of 25): with all that follows computed again it is full; with less it is
 * not. Of an earlier prompt that is the same: full. */
static void an_edit_repaired_as_a_whole_is_full(void) {
    for (size_t b = next_backend(0); b < BACKENDS; b = next_backend(b + 1)) {
        fixture f = open_engine(backends[b], 2);
        static const size_t old[] = {7, 40, 1, 90, 66, 13, 0};
        ba_prompt *before = prompt_of(old, false), *now = ba_prompt_new(NULL);
        CU_ASSERT_PTR_NOT_NULL_FATAL(now);
        const size_t at[] = {0, 300, 47, 48, 138, 204}, length[] = {7, 25, 1, 90, 66, 13};
        for (size_t i = 0; i < 6; i++) {
            CU_ASSERT_EQUAL_FATAL(ba_prompt_add(now, before->seg[i].role, text + at[i], length[i]), 0);
        }
        static const struct {
            const char *mode;
            bool same, is_full;
        } cases[] = {{"editlocal:k=157", false, true},
                     {"editlocal:k=1000", false, true},
                     {"editlocal:k=0", false, false},
                     {"editlocal", true, true}};
        ba_plan *full, *plan;
        char err[BA_ERR_LEN];
        CU_ASSERT_EQUAL_FATAL(ba_mode_plan("full", now, &full, err), 0);
        double *want = logits_of(&f, full, NULL, NULL);
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            now->previous = cases[i].same ? now : before;
            CU_ASSERT_EQUAL_FATAL(ba_mode_plan(cases[i].mode, now, &plan, err), 0);
            double *got = logits_of(&f, plan, NULL, NULL);
            CU_ASSERT(b >= BF16 || ba_close(got, want, f.vocab, rounding[b]) == cases[i].is_full);
            CU_ASSERT(ba_close(got, want, f.vocab, rounding[b]) || !cases[i].is_full);
            free(got);
            ba_plan_free(plan);
        }
        now->previous = NULL;
        free(want);
        ba_plan_free(full);
        ba_prompt_free(before);
        ba_prompt_free(now);
        close_engine(&f);
    }
}

/* The model has four layers. */
static void layers_beyond_the_model_are_refused(void) {
    fixture f = open_engine("cpu", 1);
    ba_plan *plan = plan_of("prophetkv:layers=2+4", five);
    char err[BA_ERR_LEN] = "";
    ba_run *run;
    CU_ASSERT_EQUAL(ba_engine_run(f.engine, plan, NULL, 0, &run, err), -1);
    CU_ASSERT_PTR_NOT_NULL(
        strstr(err, "mode prophetkv:layers=2+4 chooses in layer 4, and the model has layers 0 to 3"));
    ba_plan_free(plan);
    close_engine(&f);
}

static void order_of_what_is_seen_does_not_matter(void) {
    for (size_t b = next_backend(0); b < BACKENDS; b = next_backend(b + 1)) {
        fixture f = open_engine(backends[b], 2);
        ba_plan *plan = plan_of("block", five), *turned = plan_of("block", five);
        ba_node *question = &turned->node[turned->n_node - 1];
        for (size_t i = 0, j = question->n_edge - 1; i < j; i++, j--) {
            ba_edge swap = question->edge[i];
            question->edge[i] = question->edge[j];
            question->edge[j] = swap;
        }
        CU_ASSERT_TRUE(close_by(&f, logits_of(&f, plan, NULL, NULL), logits_of(&f, turned, NULL, NULL), rounding[b]));
        ba_plan_free(plan);
        ba_plan_free(turned);
        close_engine(&f);
    }
}

static void rotating_keys_or_queries_is_the_same(void) {
    for (size_t b = next_backend(0); b < BACKENDS; b = next_backend(b + 1)) {
        fixture f = open_engine(backends[b], 2);
        for (size_t m = 1; m < PLAIN; m++) {
            ba_plan *plan = plan_of(modes[m], five);
            ba_engine_options merge = {.executor = BA_MERGE_KEYS};
            ba_run_stats place_stats, merge_stats;
            double *place = logits_of(&f, plan, NULL, NULL);
            free(place);
            place = logits_of(&f, plan, NULL, &place_stats);
            double *merged = logits_of(&f, plan, &merge, &merge_stats);
            CU_ASSERT_EQUAL(place_stats.count.flops_exact, merge_stats.count.flops_exact);
            CU_ASSERT_TRUE(close_by(&f, place, merged, rounding[b]));
            ba_plan_free(plan);
        }
        close_engine(&f);
    }
}

static void repeated_passage_is_encoded_once(void) {
    fixture f = open_engine("openblas", 2);
    ba_prompt *p = ba_prompt_new(NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(p);
    CU_ASSERT_EQUAL(ba_prompt_add(p, BA_ROLE_PASSAGE, text, 30), 0);
    CU_ASSERT_EQUAL(ba_prompt_add(p, BA_ROLE_PASSAGE, text + 30, 20), 0);
    CU_ASSERT_EQUAL(ba_prompt_add(p, BA_ROLE_PASSAGE, text, 30), 0);
    CU_ASSERT_EQUAL(ba_prompt_add(p, BA_ROLE_QUESTION, text + 50, 9), 0);
    ba_plan *plan = NULL;
    char err[BA_ERR_LEN];
    CU_ASSERT_EQUAL_FATAL(ba_mode_plan("block", p, &plan, err), 0);
    ba_run_stats stats;
    double *cold = logits_of(&f, plan, NULL, &stats);
    CU_ASSERT_EQUAL(stats.n_computed, 59);
    CU_ASSERT_EQUAL(stats.n_reused, 30);
    CU_ASSERT_TRUE(same_bits(&f, cold, logits_of(&f, plan, NULL, NULL)));
    ba_plan_free(plan);
    ba_prompt_free(p);
    close_engine(&f);
}

/* Two paths over one passage have one score, also where a pass ends inside of it: the second takes the score of the
 * first when that is complete, not before. */
static void repeated_path_has_one_score(void) {
    static const size_t rows[] = {0, 17, 31};
    static const size_t begin[] = {0, 50, 0, 140}, length[] = {40, 70, 40, 9};
    fixture f = open_engine("ref", 1);
    ba_prompt *p = ba_prompt_new(NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(p);
    for (size_t i = 0; i < 4; i++) {
        ba_role role = i == 3 ? BA_ROLE_QUESTION : BA_ROLE_PASSAGE;
        CU_ASSERT_EQUAL_FATAL(ba_prompt_add(p, role, text + begin[i], length[i]), 0);
    }
    CU_ASSERT_EQUAL_FATAL(ba_prompt_add(p, BA_ROLE_TASK, text + 200, 5), 0);
    ba_plan *plan = NULL;
    char err[BA_ERR_LEN];
    CU_ASSERT_EQUAL_FATAL(ba_mode_plan("superposition:topk=1", p, &plan, err), 0);
    double score[3] = {0};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ba_engine_options opt = {.max_rows = rows[i]};
        ba_run *run = NULL;
        ba_store_clear(f.store);
        CU_ASSERT_EQUAL_FATAL(ba_engine_run(f.engine, plan, &opt, 0, &run, err), 0);
        const double *now = ba_run_get_stats(run)->path_score;
        CU_ASSERT_EQUAL(now[0], now[2]);
        if (i == 0) {
            memcpy(score, now, sizeof score);
        }
        for (size_t k = 0; k < 3; k++) {
            CU_ASSERT_EQUAL(now[k], score[k]);
        }
        ba_run_free(run);
    }
    ba_plan_free(plan);
    ba_prompt_free(p);
    close_engine(&f);
}

static void backends_agree(void) {
    for (size_t m = 0; m < MODES; m++) {
        ba_plan *plan = plan_of(modes[m], five);
        double *out[BACKENDS] = {NULL};
        fixture f = {0};
        for (size_t b = next_backend(0); b < BACKENDS; b = next_backend(b + 1)) {
            f = open_engine(backends[b], 2);
            out[b] = logits_of(&f, plan, NULL, NULL);
            close_engine(&f);
        }
        for (size_t b = next_backend(1); b < BACKENDS; b = next_backend(b + 1)) {
            CU_ASSERT_TRUE(ba_close(out[0], out[b], f.vocab, rounding[b]));
        }
        for (size_t b = next_backend(0); b < BACKENDS; b = next_backend(b + 1)) {
            free(out[b]);
        }
        ba_plan_free(plan);
    }
}

/* Appending tokens equals a longer question; log P equals what the logits say; rewinding forgets. */
static void more_tokens_equal_a_longer_prompt(void) {
    static const size_t longer[] = {7, 40, 1, 90, 66, 13 + 6, 0};
    for (size_t b = next_backend(0); b < BACKENDS; b = next_backend(b + 1)) {
        fixture f = open_engine(backends[b], 2);
        for (size_t m = 0; m < MODES; m++) {
            /* With a longer question these choose other rows or passages. */
            if (!strncmp(modes[m], "cacheblend", 10) || !strncmp(modes[m], "prophetkv", 9) ||
                !strncmp(modes[m], "qcfuse", 6) || !strcmp(modes[m], "selective:k=1,agg=ht")) {
                continue;
            }
            char err[BA_ERR_LEN];
            ba_plan *plan = plan_of(modes[m], five), *whole = plan_of(modes[m], longer);
            const int32_t *more = text + 7 + 40 + 1 + 90 + 66 + 13;
            double *want = logits_of(&f, whole, NULL, NULL), logprob[6], first;
            ba_run *run = NULL;
            CU_ASSERT_EQUAL_FATAL(ba_engine_run(f.engine, plan, NULL, 6, &run, err), 0);
            const double *logits = ba_run_logits(run);
            first = logits[more[0]] - ba_logsumexp(logits, f.vocab);
            CU_ASSERT_EQUAL(ba_run_extend(run, more, 6, logprob, err), 0);
            CU_ASSERT_TRUE(ba_close(want, ba_run_logits(run), f.vocab, rounding[b]));
            CU_ASSERT_DOUBLE_EQUAL(logprob[0], first, 1e-12);
            ba_run_rewind(run);
            for (size_t i = 0; i < 6; i++) {
                logits = ba_run_logits(run);
                CU_ASSERT_DOUBLE_EQUAL(logits[more[i]] - ba_logsumexp(logits, f.vocab), logprob[i], rounding[b]);
                CU_ASSERT_EQUAL(ba_run_extend(run, &more[i], 1, NULL, err), 0);
            }
            CU_ASSERT_TRUE(ba_close(want, ba_run_logits(run), f.vocab, rounding[b]));
            CU_ASSERT_EQUAL(ba_run_extend(run, more, 1, NULL, err), -1); /* no room left */
            ba_run_free(run);
            free(want);
            ba_plan_free(plan);
            ba_plan_free(whole);
        }
        close_engine(&f);
    }
}

static void over_the_memory_limit_is_refused(void) {
    fixture f = open_engine("openblas", 1);
    ba_plan *plan = plan_of("block", five);
    ba_engine_options opt = {.memory = 1000};
    ba_run *run = NULL;
    char err[BA_ERR_LEN];
    CU_ASSERT_EQUAL(ba_engine_run(f.engine, plan, &opt, 0, &run, err), -1);
    CU_ASSERT_PTR_NULL(run);
    CU_ASSERT_PTR_NOT_NULL(strstr(err, "limit"));
    CU_ASSERT_EQUAL(ba_store_get_stats(f.store).pinned, 0);
    ba_plan_free(plan);
    close_engine(&f);
}

static int stop_at(void *arg, ba_stage stage, uint64_t done, uint64_t total) {
    size_t *left = arg;
    CU_ASSERT_TRUE(done <= total);
    (void)stage;
    return (*left)-- == 0;
}

static void a_run_can_be_stopped_anywhere(void) {
    fixture f = open_engine("openblas", 2);
    ba_plan *plan = plan_of("block", five);
    double *want = logits_of(&f, plan, NULL, NULL);
    for (size_t steps = 0; steps < 6; steps++) {
        size_t left = steps;
        ba_engine_options opt = {.progress = stop_at, .arg = &left, .max_rows = 64};
        ba_run *run = NULL;
        char err[BA_ERR_LEN];
        ba_store_clear(f.store);
        CU_ASSERT_EQUAL(ba_engine_run(f.engine, plan, &opt, 0, &run, err), BA_INTERRUPTED);
        CU_ASSERT_PTR_NULL(run);
        CU_ASSERT_EQUAL(ba_store_get_stats(f.store).pinned, 0);
        double *now = logits_of(&f, plan, NULL, NULL);
        CU_ASSERT_EQUAL(memcmp(now, want, f.vocab * sizeof *now), 0);
        free(now);
    }
    free(want);
    ba_plan_free(plan);
    close_engine(&f);
}

/* An extension that was interrupted has appended nothing: its tokens can be appended again, with the same result. */
static void an_interrupted_extension_appends_nothing(void) {
    enum { MORE = 6 };
    const int32_t *more = text + 300;
    fixture f = open_engine("openblas", 2);
    ba_plan *plan = plan_of("block", five);
    double want[MORE], logprob[MORE];
    for (size_t steps = 0; steps < 4; steps++) {
        size_t left = SIZE_MAX;
        ba_engine_options opt = {.progress = stop_at, .arg = &left};
        ba_run *run = NULL;
        char err[BA_ERR_LEN];
        CU_ASSERT_EQUAL_FATAL(ba_engine_run(f.engine, plan, &opt, MORE, &run, err), 0);
        CU_ASSERT_EQUAL(ba_run_extend(run, more, MORE, want, err), 0);
        double *whole = malloc(f.vocab * sizeof *whole), *again = malloc(f.vocab * sizeof *again);
        CU_ASSERT_FATAL(whole && again);
        memcpy(whole, ba_run_logits(run), f.vocab * sizeof *whole);
        ba_run_rewind(run);
        left = steps;
        CU_ASSERT_EQUAL(ba_run_extend(run, more, MORE, logprob, err), BA_INTERRUPTED);
        left = SIZE_MAX;
        CU_ASSERT_EQUAL(ba_run_extend(run, more, MORE, logprob, err), 0);
        memcpy(again, ba_run_logits(run), f.vocab * sizeof *again);
        CU_ASSERT_TRUE(same_bits(&f, whole, again));
        for (size_t i = 0; i < MORE; i++) {
            CU_ASSERT_EQUAL(logprob[i], want[i]);
        }
        ba_run_free(run);
    }
    ba_plan_free(plan);
    close_engine(&f);
}

/* FLOPs and bytes counted by the kernels equal the closed form exactly, cold and warm. */
static void counted_equals_closed_form(void) {
    if (BA_SANITIZED) {
        ba_test_skip("no sanitizer looks at counts; random plans are counted");
        return;
    }
    for (size_t b = next_backend(0); b < BACKENDS; b = next_backend(b + 1)) {
        fixture f = open_engine(backends[b], 2);
        for (size_t m = 0; m < MODES; m++) {
            static const size_t rows[] = {0, 50};
            for (size_t i = 0; i < 4; i++) {
                ba_plan *plan = plan_of(modes[m], five);
                ba_engine_options opt = {.max_rows = rows[i / 2]};
                uint8_t have[16] = {0};
                char err[BA_ERR_LEN];
                ba_run_stats stats;
                ba_store_clear(f.store);
                if (i % 2) {
                    free(logits_of(&f, plan, &opt, NULL));
                    for (size_t v = 0; v < plan->n_node; v++) {
                        have[v] = plan->node[v].stored;
                    }
                }
                ba_run *run = NULL;
                CU_ASSERT_EQUAL_FATAL(ba_engine_run(f.engine, plan, &opt, 0, &run, err), 0);
                ba_run_logits(run);
                stats = *ba_run_get_stats(run);
                ba_schedule *s = ba_schedule_new(plan, have, opt.max_rows ? opt.max_rows : BA_PASS_ROWS);
                ba_chosen chosen = {stats.chosen_row, stats.n_chosen_row, stats.path_kept};
                ba_cost cost;
                ba_sizes sizes = {f.be->real_size, f.be->weight_size, f.be->kv_size};
                CU_ASSERT_PTR_NOT_NULL_FATAL(s);
                CU_ASSERT_EQUAL_FATAL(ba_cost_run(ba_model_shape(f.model), plan, s, sizes, 1, &chosen, &cost, err), 0);
                CU_ASSERT_EQUAL(stats.count.flops_exact, cost.flops_exact);
                CU_ASSERT_EQUAL(stats.count.flops_dense, cost.flops_dense);
                CU_ASSERT_EQUAL(stats.count.bytes_read, cost.bytes_read);
                CU_ASSERT_EQUAL(stats.count.bytes_written, cost.bytes_written);
                CU_ASSERT_EQUAL(stats.n_computed, cost.n_computed);
                CU_ASSERT_EQUAL(stats.n_reused, cost.n_reused);
                ba_schedule_free(s);
                ba_run_free(run);
                ba_plan_free(plan);
            }
        }
        close_engine(&f);
    }
}

/* Random plans: logits of every backend against the oracle in double, warm against cold to the bit, counts against the
 * closed form exactly. Small seeds make small plans, so the first seed printed is a small case. */
static void random_plans_agree(void) {
    enum { SEEDS = 60 };
    double *want[SEEDS] = {0};
    for (size_t b = next_backend(0); b < BACKENDS; b = next_backend(b + 1)) {
        fixture f = open_engine(backends[b], 2);
        ba_sizes sizes = {f.be->real_size, f.be->weight_size, f.be->kv_size};
        for (uint64_t seed = 0; seed < SEEDS; seed++) {
            ba_plan *plan = ba_random_plan(seed);
            CU_ASSERT_PTR_NOT_NULL_FATAL(plan);
            for (size_t i = 0; i < plan->n_node; i++) {
                for (size_t k = 0; k < plan->node[i].n; k++) {
                    plan->node[i].ids[k] %= (int32_t)f.vocab;
                }
            }
            char err[BA_ERR_LEN];
            ba_run *run = NULL;
            ba_cost cost;
            ba_store_clear(f.store);
            CU_ASSERT_EQUAL_FATAL(ba_engine_run(f.engine, plan, NULL, 0, &run, err), 0);
            double *cold = malloc(f.vocab * sizeof *cold);
            CU_ASSERT_PTR_NOT_NULL_FATAL(cold);
            memcpy(cold, ba_run_logits(run), f.vocab * sizeof *cold);
            const ba_run_stats *stats = ba_run_get_stats(run);
            ba_schedule *s = ba_schedule_new(plan, NULL, BA_PASS_ROWS);
            ba_chosen chosen = {stats->chosen_row, stats->n_chosen_row, stats->path_kept};
            CU_ASSERT_PTR_NOT_NULL_FATAL(s);
            CU_ASSERT_EQUAL_FATAL(ba_cost_run(ba_model_shape(f.model), plan, s, sizes, 1, &chosen, &cost, err), 0);
            bool counted = stats->count.flops_exact == cost.flops_exact &&
                           stats->count.flops_dense == cost.flops_dense && stats->count.bytes_read == cost.bytes_read &&
                           stats->count.bytes_written == cost.bytes_written;
            double *warm = logits_of(&f, plan, NULL, NULL);
            bool cached = !memcmp(cold, warm, f.vocab * sizeof *cold);
            want[seed] = b == 0 ? cold : want[seed];
            bool near = ba_close(want[seed], cold, f.vocab, rounding[b]);
            if (!counted || !cached || !near) {
                fprintf(stderr, "random plan of seed %zu, %s:%s%s%s\n", (size_t)seed, backends[b],
                        counted ? "" : " counts", cached ? "" : " cached", near ? "" : " logits");
            }
            CU_ASSERT_TRUE(counted && cached && near);
            free(warm);
            if (b > 0) {
                free(cold);
            }
            ba_schedule_free(s);
            ba_run_free(run);
            ba_plan_free(plan);
        }
        close_engine(&f);
    }
    for (size_t seed = 0; seed < SEEDS; seed++) {
        free(want[seed]);
    }
}

static void sampling_follows_the_distribution(void) {
    const double logits[4] = {0, log(2), log(5), -INFINITY};
    uint64_t rng = 7;
    size_t seen[4] = {0};
    for (size_t i = 0; i < 80000; i++) {
        seen[ba_sample(logits, 4, 1, &rng)]++;
    }
    CU_ASSERT_DOUBLE_EQUAL((double)seen[0], 10000, 500);
    CU_ASSERT_DOUBLE_EQUAL((double)seen[1], 20000, 700);
    CU_ASSERT_EQUAL(seen[3], 0);
    CU_ASSERT_EQUAL(ba_sample(logits, 4, 0, NULL), 2);
    const double tie[3] = {1, 3, 3};
    CU_ASSERT_EQUAL(ba_sample(tie, 3, 0, NULL), 1);
}

int ba_suite_engine(void) {
    static const struct {
        const char *name;
        void (*test)(void);
    } test[] = {
        {"cached equals computed, bit for bit", cached_equals_computed},
        {"the size of a pass changes no bit", pass_size_changes_nothing},
        {"the number of threads changes no bit", thread_count_changes_nothing},
        {"a block's KV does not depend on its neighbours", neighbours_do_not_matter},
        {"block folded into one is full, bit for bit", folded_block_is_full},
        {"splitting a full plan changes nothing; nor does a constant shift", splitting_full_changes_nothing},
        {"modes that coincide by definition have equal logits", modes_coincide_where_they_must},
        {"without neighbours every mode of 2026 is full", prompts_without_neighbours_are_full},
        {"what another order left in the store changes nothing", another_order_in_the_store_changes_nothing},
        {"an edit that is repaired as a whole is full", an_edit_repaired_as_a_whole_is_full},
        {"a choice in a layer that the model lacks is refused", layers_beyond_the_model_are_refused},
        {"the order of what a node sees does not matter", order_of_what_is_seen_does_not_matter},
        {"rotating queries in place equals merging rotated keys", rotating_keys_or_queries_is_the_same},
        {"a repeated passage is encoded once", repeated_passage_is_encoded_once},
        {"two paths over one passage have one score, with any size of a pass", repeated_path_has_one_score},
        {"every backend agrees with the oracle in double", backends_agree},
        {"appended tokens equal a longer prompt", more_tokens_equal_a_longer_prompt},
        {"a prompt over the memory limit is refused, and nothing stays pinned", over_the_memory_limit_is_refused},
        {"a run can be stopped anywhere, and the next one is right", a_run_can_be_stopped_anywhere},
        {"an interrupted extension appends nothing", an_interrupted_extension_appends_nothing},
        {"counted FLOPs and bytes equal the closed form", counted_equals_closed_form},
        {"random plans: oracle, store and closed form agree", random_plans_agree},
        {"sampling follows the distribution", sampling_follows_the_distribution},
    };
    CU_pSuite s = CU_add_suite("engine", NULL, NULL);
    for (size_t i = 0; s && i < sizeof test / sizeof *test; i++) {
        if (!CU_add_test(s, test[i].name, test[i].test)) {
            return -1;
        }
    }
    return s ? 0 : -1;
}

/* Modes: the plans of small prompts, written out; which modes share blocks; how modes are spelled. */
#include "tests/support/plans.h"
#include "tests/support/runner.h"

#include "sim/modes/modes.h"
#include "sim/plan/schedule.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Every mode, and a spelling of every parameter value that changes the plan. */
static const char *const spellings[] = {
    "full",
    "block",
    "block:n=1",
    "block-nopos",
    "turborag",
    "turborag:order=reordered",
    "promptcache",
    "promptcache:skip=0",
    "promptcache:scaffold=none",
    "promptcache:scaffold=none,skip=0",
    "pcw",
    "ape",
    "ape:t=0.5,s=1.2,form=paper",
    "superposition",
    "superposition:topk=1",
    "superposition:topk=1,positions=max,qfirst=no",
    "lego",
    "lego:k=2,qbos=no",
    "lego-0",
    "cacheblend",
    "cacheblend:r=0.5,score=k,mask=bottomright,brlayer=2",
    "cacheblend:r=1,n=context",
    "kvlink",
    "sink",
    "sink:encode=global",
    "selective",
    "selective:k=1,agg=ht",
    "blockdist",
    "splice",
    "splice:donor=shuffle,seed=7",
    "splice:donor=self",
    "splice:donor=self,skip=0",
    "splice:skip=0",
    "prophetkv",
    "prophetkv:r=0.5,window=3,layers=0+2+7",
    "qcfuse",
    "qcfuse:k=2,layers=all,rows=1",
    "kvshift",
    "kvshift:r=0.07",
    "editlocal",
    "editlocal:k=5",
};
enum { SPELLINGS = sizeof spellings / sizeof *spellings };

static ba_plan *plan_of(const char *mode, const char *text) {
    char err[BA_ERR_LEN] = "";
    ba_prompt *prompt = ba_prompt_of(text);
    ba_plan *plan;
    if (ba_mode_plan(mode, prompt, &plan, err)) {
        printf("         %s on '%s': %s\n", mode, text, err);
    }
    ba_prompt_free(prompt);
    CU_ASSERT_PTR_NOT_NULL_FATAL(plan);
    return plan;
}

/* --- all modes on all kinds of prompts -------------------------------------------------------------------------- */

static size_t tokens_in(const char *mode, const ba_prompt *p) {
    size_t tokens = ba_prompt_tokens(p), passages = 0, chunks = 0;
    for (size_t i = 0; i < p->n_seg; i++) {
        passages += p->seg[i].role == BA_ROLE_PASSAGE;
        chunks += p->seg[i].role == BA_ROLE_PASSAGE || p->seg[i].role == BA_ROLE_SYSTEM;
    }
    if (strncmp(mode, "lego", 4) == 0) {
        return tokens + (strcmp(mode, "lego-0") == 0 ? chunks > 0 : chunks + !strstr(mode, "qbos=no"));
    }
    return tokens + (strcmp(mode, "blockdist") == 0 ? 4 * passages : 0);
}

/* The last node sees the whole request before it; no node is stored that depends on a later one. */
static void plans_are_well_formed(void) {
    static const char *const prompts[] = {
        "s2 p3 p4 q2 t2",      "p3 p4 q2 t1", "s2 p5 q2 t2", "s1 p1 q1 t1", "s2 p3=a p2 p3=a p3=a q2 t2",
        "s9 p1 p200 p2 q3 t4",
    };
    for (size_t i = 0; i < SPELLINGS; i++) {
        for (size_t j = 0; j < sizeof prompts / sizeof *prompts; j++) {
            char err[BA_ERR_LEN];
            ba_prompt *prompt = ba_prompt_of(prompts[j]);
            ba_plan *plan = plan_of(spellings[i], prompts[j]);
            CU_ASSERT_EQUAL(ba_plan_check(plan, err), 0);
            CU_ASSERT_EQUAL(plan->n_tokens, tokens_in(spellings[i], prompt));
            CU_ASSERT_STRING_EQUAL(plan->mode, spellings[i]);
            CU_ASSERT(!plan->node[plan->n_node - 1].stored);
            ba_schedule *s = ba_schedule_new(plan, NULL, 1000);
            CU_ASSERT(s && s->pass[s->n_pass - 1].online);
            ba_schedule_free(s);
            ba_plan_free(plan);
            ba_prompt_free(prompt);
        }
    }
}

static void a_question_alone_is_full_attention(void) {
    ba_plan *full = plan_of("full", "q4");
    for (size_t i = 0; i < SPELLINGS; i++) {
        if (strncmp(spellings[i], "superposition", 13) == 0 || strstr(spellings[i], "skip") ||
            strcmp(spellings[i], "lego") == 0) {
            continue; /* need a passage, or put a BOS before the question */
        }
        ba_plan *plan = plan_of(spellings[i], "q4");
        ba_key a = ba_key_of(plan, plan->n_node - 1), b = ba_key_of(full, 0);
        bool selects = plan->node[0].select_k > 0;
        CU_ASSERT_EQUAL(plan->n_node, 1);
        CU_ASSERT(selects || (a.lo == b.lo && a.hi == b.hi));
        ba_plan_free(plan);
    }
    ba_plan_free(full);
}

/* --- written out ------------------------------------------------------------------------------------------------ */

typedef struct drawing {
    char text[4096];
    size_t n;
} drawing;

static int draw(void *arg, size_t row, const uint8_t *flags, size_t n) {
    drawing *d = arg;
    (void)row;
    for (size_t i = 0; i < n; i++) {
        d->text[d->n++] = flags[i] ? '1' : '.';
    }
    d->text[d->n++] = ' ';
    d->text[d->n] = '\0';
    return 0;
}

/* s2 p2 p1 q1 (superposition: and t1): two prefix rows, contexts of two and one, a question. */
static void masks_are_as_written(void) {
    static const struct {
        const char *mode, *mask;
    } expected[] = {
        {"full", "1..... 11.... 111... 1111.. 11111. 111111 "},
        {"block", "1..... 11.... ..1... ..11.. ....1. 111111 "},
        {"block:n=1", "1..... 11.... 111... 1111.. 11111. 111111 "},
        {"block:n=2", "1..... 11.... ..1... ..11.. 11111. 111111 "},
        {"block-nopos", "1..... 11.... ..1... ..11.. ....1. 111111 "},
        {"turborag", "1..... 11.... ..1... ..11.. ....1. 111111 "},
        {"promptcache", "1..... 11.... 111... 1111.. 11111. 111111 "},
        {"promptcache:skip=0", "1..... 11.... 111... 1111.. 11111. 11..11 "},
        {"promptcache:skip=1", "1..... 11.... 111... 1111.. 11111. 1111.1 "},
        {"promptcache:scaffold=none", "1..... 11.... ..1... ..11.. ....1. 111111 "},
        {"pcw", "1..... 11.... 111... 1111.. 11..1. 111111 "},
        {"ape", "1..... 11.... 111... 1111.. 11..1. 111111 "},
        {"selective", "1..... 11.... 111... 1111.. 11..1. 111111 "},
        {"sink", "1..... 11.... 111... 1111.. 11..1. 111111 "},
        {"kvlink", "1..... 11.... ..1... ..11.. ....1. 111111 "},
        {"cacheblend", "1..... 11.... 111... 1111.. 11111. 111111 "},
        /* BOS before every chunk: prefix of 3, passages of 3 and 2, question of 2; one row of each later one again */
        {"lego:k=1", "1......... 11........ 111....... 1111...... ...11..... ...111.... 1111111... ......11.. "
                     "111111111. 1111111111 "},
        {"lego:k=2,qbos=no", "1........ 11....... 111...... 1111..... 11111.... ...111... 1111111.. 11111111. "
                             "111111111 "},
        {"lego-0", "1...... 11..... 111.... ...1... ...11.. .....1. 1111111 "},
        {"prophetkv", "1..... 11.... 111... 1111.. 11111. 111111 "},
        {"qcfuse", "1..... 11.... 111... 1111.. 11111. 111111 "},
        {"kvshift", "1..... 11.... 111... 1111.. 11111. 111111 "},
        {"editlocal", "1..... 11.... 111... 1111.. 11111. 111111 "},
        /* in the donor's order: the passage of one token, then that of two */
        {"splice", "1..... 11.... 111... 1111.. 11111. 111111 "},
        {"splice:skip=1", "1..... 11.... 111... 1111.. 11111. 11.111 "},
    };
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        drawing d = {.n = 0};
        ba_plan *plan = plan_of(expected[i].mode, "s2 p2 p1 q1");
        ba_plan_mask(plan, draw, &d);
        if (strcmp(d.text, expected[i].mask) != 0) {
            printf("         %s: %s\n", expected[i].mode, d.text);
        }
        CU_ASSERT_STRING_EQUAL(d.text, expected[i].mask);
        ba_plan_free(plan);
    }
    /* Rows: prefix, two contexts, a question copy for each, the task. */
    drawing d = {.n = 0};
    ba_plan *plan = plan_of("superposition", "s2 p2 p1 q1 t1");
    ba_plan_mask(plan, draw, &d);
    CU_ASSERT_STRING_EQUAL(d.text, "1....... 11...... 111..... 1111.... 11..1... 1111.1.. 11..1.1. 11111111 ");
    ba_plan_free(plan);
}

/* Positions: of a mode's last node, of the first key that each of its edges shows, and of a context relative to the
 * prefix when it is encoded. s2 p4 p1 q3, superposition with t1. */
static void places_are_as_written(void) {
    static const struct {
        const char *mode;
        double last, edge[5];
        size_t n_edge;
        double context; /* of the second context relative to the prefix's key 0; NAN: does not see it */
    } expected[] = {
        {"full", 0, {0}, 0, NAN},
        {"block", 7, {0, 2, 6}, 3, NAN},
        {"block:n=1", 2, {0}, 1, NAN},
        {"block-nopos", 7, {0, 0, 0}, 3, NAN},
        {"turborag", 7, {0, 0, 0}, 3, NAN},
        {"turborag:order=reordered", 7, {0, 2, 6}, 3, NAN},
        {"promptcache", 7, {0}, 1, NAN},
        {"promptcache:skip=0", 7, {0, 6}, 2, NAN},
        {"promptcache:scaffold=none", 6, {0, 2, 2}, 3, NAN},
        {"pcw", 6, {0, 2, 2}, 3, 2},
        {"ape", 6, {0, 2, 2}, 3, 2},
        {"selective", 6, {0, 2, 2}, 3, 2},
        {"lego", 10, {0, 3, 8}, 3, NAN},
        {"lego-0", 8, {0, 3, 7}, 3, NAN},
        {"cacheblend", 7, {0, 2, 6}, 3, NAN},
        {"prophetkv", 7, {0, 2, 6}, 3, NAN},
        {"qcfuse", 7, {0, 2, 6}, 3, NAN},
        {"kvshift", 7, {0, 2, 6}, 3, NAN},
        {"editlocal", 0, {0}, 0, NAN},
        {"kvlink", 7, {0, 2, 6}, 3, NAN},
        {"sink", 7, {0, 2, 6}, 3, 2},
        {"sink:encode=global", 7, {0, 2, 6}, 3, 6},
        {"blockdist", 15, {0, 2, 10}, 3, 2},
        {"superposition", 6.6, {0, 2, 3.6, 2, 3.6}, 5, 2}, /* S = 2 / (1/4 + 1/1) = 1.6 */
        {"superposition:positions=max", 9, {0, 2, 6, 2, 6}, 5, 2},
    };
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        bool paths = strncmp(expected[i].mode, "superposition", 13) == 0;
        ba_plan *plan = plan_of(expected[i].mode, paths ? "s2 p4 p1 q3 t1" : "s2 p4 p1 q3");
        const ba_node *last = &plan->node[plan->n_node - 1];
        CU_ASSERT_DOUBLE_EQUAL(last->pos, expected[i].last, 1e-12);
        CU_ASSERT_EQUAL_FATAL(last->n_edge, expected[i].n_edge);
        for (size_t e = 0; e < last->n_edge; e++) {
            CU_ASSERT_DOUBLE_EQUAL(last->edge[e].at + (double)last->edge[e].first, expected[i].edge[e], 1e-12);
        }
        if (!isnan(expected[i].context)) {
            const ba_node *context = &plan->node[2];
            CU_ASSERT_EQUAL_FATAL(context->n_edge, 1);
            CU_ASSERT_EQUAL(context->pos - context->edge[0].at, expected[i].context);
        } else {
            CU_ASSERT(plan->n_node < 4 || plan->node[2].n_edge == 0);
        }
        ba_plan_free(plan);
    }
}

static void superposition_spreads_contexts_evenly(void) {
    ba_plan *plan = plan_of("superposition:topk=1,qfirst=no", "s2 p4 p1 q3 t1");
    CU_ASSERT_DOUBLE_EQUAL(plan->node[1].step, 1.6 / 4, 1e-15);
    CU_ASSERT_DOUBLE_EQUAL(plan->node[2].step, 1.6, 1e-15);
    CU_ASSERT(plan->node[1].stored && !plan->node[3].stored);
    CU_ASSERT_EQUAL(plan->n_path, 2);
    CU_ASSERT_EQUAL(plan->keep_paths, 1);
    CU_ASSERT(plan->skip_first);
    CU_ASSERT_EQUAL(plan->node[4].path, 2);
    CU_ASSERT_DOUBLE_EQUAL(plan->node[4].pos, 3.6, 1e-12);
    ba_plan_free(plan);
    plan = plan_of("superposition:topk=2", "s2 p4 p1 q3 t1"); /* nothing to leave out */
    CU_ASSERT_EQUAL(plan->keep_paths, 0);
    ba_plan_free(plan);
}

static void modifiers_are_on_context_keys_only(void) {
    static const struct {
        const char *mode;
        double inv_temp, scale;
    } expected[] = {{"ape", 1 / 0.9, 0.81}, {"ape:form=paper", 1 / 0.9, 0.9}, {"ape:t=0.5,s=1.2", 2, 0.6}};
    for (size_t i = 0; i < 3; i++) {
        ba_plan *plan = plan_of(expected[i].mode, "s2 p4 p1 q3");
        const ba_node *q = &plan->node[3];
        CU_ASSERT_EQUAL(q->edge[0].group, 0);
        CU_ASSERT_EQUAL(q->edge[0].inv_temp, 1);
        CU_ASSERT_EQUAL(q->edge[1].group, 1);
        CU_ASSERT_DOUBLE_EQUAL(q->edge[2].inv_temp, expected[i].inv_temp, 1e-15);
        CU_ASSERT_DOUBLE_EQUAL(q->lse_scale[0], expected[i].scale, 1e-15);
        CU_ASSERT_EQUAL(plan->node[1].edge[0].inv_temp, 1); /* contexts are encoded plainly */
        ba_plan_free(plan);
    }
    ba_plan *plan = plan_of("selective:k=1,agg=ht", "s2 p4 p1 q3");
    const ba_node *q = &plan->node[3];
    CU_ASSERT(!q->edge[0].selectable && q->edge[1].selectable && q->edge[2].selectable && q->select_shared);
    CU_ASSERT_EQUAL(q->select_k, 1);
    CU_ASSERT_EQUAL(q->select_top, 5);
    ba_plan_free(plan);
}

static void lego_recomputes_the_head_of_later_chunks(void) {
    ba_plan *plan = plan_of("lego:k=3", "s2 p4 p1 q3");
    CU_ASSERT_EQUAL(plan->node[3].edge[0].refresh, 0);
    CU_ASSERT_EQUAL(plan->node[3].edge[1].refresh, 3);
    CU_ASSERT_EQUAL(plan->node[3].edge[2].refresh, 2); /* shorter than k: whole */
    CU_ASSERT_EQUAL(plan->node[3].ids[0], 1);
    CU_ASSERT_EQUAL(plan->note[0], '\0');
    ba_plan_free(plan);
    plan = plan_of("lego:k=5", "s9 p4 p1 q3");
    CU_ASSERT_PTR_NOT_NULL(strstr(plan->note, "equals full"));
    ba_plan_free(plan);
    plan = plan_of("lego-0", "s2 p4 p1 q3");
    CU_ASSERT_EQUAL(plan->node[0].skip, 0);
    CU_ASSERT_EQUAL(plan->node[1].skip, 4);
    CU_ASSERT_EQUAL(plan->node[1].n, 8);
    ba_plan_free(plan);
}

static void cacheblend_counts_as_specified(void) {
    static const struct {
        const char *mode;
        size_t count;
    } expected[] = {
        {"cacheblend", 16},        {"cacheblend:n=context", 14}, {"cacheblend:r=0", 0},     {"cacheblend:r=1", 90},
        {"cacheblend:r=0.95", 90}, {"cacheblend:r=0.899", 89},   {"cacheblend:r=0.29", 28}, /* int(100 * 0.29) = 28 */
    };
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        ba_plan *plan = plan_of(expected[i].mode, "s20 p60 p10 q10");
        const ba_choice *c = &plan->node[3].choice;
        CU_ASSERT(c->on && c->layer == 1 && c->score == BA_SCORE_V && !c->bottom_right);
        CU_ASSERT_EQUAL(c->count, expected[i].count);
        CU_ASSERT_EQUAL(plan->note[0] != '\0', expected[i].count == 90);
        ba_plan_free(plan);
    }
    ba_plan *plan = plan_of("cacheblend:score=k,mask=bottomright,brlayer=2", "s20 p60 p10 q10");
    const ba_choice *c = &plan->node[3].choice;
    CU_ASSERT(c->score == BA_SCORE_K && c->bottom_right && c->bottom_right_from == 2);
    ba_plan_free(plan);
}

/* Passages of 4, 1 and 2 tokens after a prefix of 2. Node 1 + i is the i-th passage of the donor, at the donor's
 * positions; the question sees the passages in the order of the prompt. */
static void splice_sees_the_donor_at_its_positions(void) {
    static const struct {
        const char *mode;
        size_t seg[3];       /* of the donor's passages, in its order */
        double pos[3];       /* their positions there */
        size_t node_seen[3]; /* by the question's edges after the prefix */
    } expected[] = {
        {"splice", {2, 3, 1}, {2, 3, 5}, {3, 1, 2}},
        {"splice:donor=self", {1, 2, 3}, {2, 6, 7}, {1, 2, 3}},
        /* SplitMix64 from 0: 0xe220a8397b1dcdaf mod 3 = 1 swaps 2 and 1; 0x6e789e6aa1b965f4 mod 2 = 0 swaps 1 and 0 */
        {"splice:donor=shuffle", {3, 1, 2}, {2, 4, 8}, {2, 3, 1}},
    };
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        ba_plan *plan = plan_of(expected[i].mode, "s2 p4 p1 p2 q3");
        const ba_node *question = &plan->node[4];
        CU_ASSERT_EQUAL(question->n_edge, 4);
        for (size_t p = 0; p < 3; p++) {
            const ba_node *donor = &plan->node[1 + p];
            CU_ASSERT(donor->stored && donor->n_edge == 1 + p);
            CU_ASSERT_EQUAL(donor->seg, expected[i].seg[p]);
            CU_ASSERT_EQUAL(donor->pos, expected[i].pos[p]);
            for (size_t e = 0; e < donor->n_edge; e++) {
                CU_ASSERT_EQUAL(donor->edge[e].seen, e);
                CU_ASSERT_EQUAL(donor->edge[e].at, plan->node[e].pos);
            }
            CU_ASSERT_EQUAL(question->edge[1 + p].seen, expected[i].node_seen[p]);
            CU_ASSERT_EQUAL(question->edge[1 + p].at, ((double[]){2, 6, 7})[p]);
        }
        ba_plan_free(plan);
    }
}

/* A passage that saw others has another address than the same passage alone, or after the prefix only, or in another
 * donor. */
static void a_donors_block_never_passes_for_a_clean_one(void) {
    static const char *const clean[] = {"block", "sink", "sink:encode=global"};
    ba_plan *a = plan_of("splice:donor=self", "s2=s p4=a p1=b p2=c q3"),
            *b = plan_of("splice:donor=self", "s2=s p1=b p4=a p2=c q3");
    for (size_t n = 2; n < 4; n++) {
        ba_key x = ba_key_of(a, n), y = ba_key_of(b, n);
        CU_ASSERT(x.lo != y.lo && x.hi != y.hi);
        for (size_t i = 0; i < sizeof clean / sizeof *clean; i++) {
            ba_plan *plan = plan_of(clean[i], "s2=s p4=a p1=b p2=c q3");
            ba_key z = ba_key_of(plan, n);
            CU_ASSERT(x.lo != z.lo && x.hi != z.hi);
            ba_plan_free(plan);
        }
    }
    ba_plan_free(a);
    ba_plan_free(b);
}

/* Each passage of a donor sees all before it, so hashing along every chain of edges would take 2^200 steps. */
static void addresses_of_a_long_donor_are_quick(void) {
    char text[2048];
    size_t at = (size_t)snprintf(text, sizeof text, "s1");
    for (size_t i = 0; i < 200; i++) {
        at += (size_t)snprintf(text + at, sizeof text - at, " p1");
    }
    snprintf(text + at, sizeof text - at, " q1");
    ba_plan *plan = plan_of("splice", text);
    ba_key first = ba_key_of(plan, 200), last = ba_key_of(plan, 201);
    CU_ASSERT(first.lo != last.lo);
    ba_plan_free(plan);
}

/* Prefix of 20, passages of 60 and 40 tokens, a question of 10 and a task of 5. */
static void choices_count_as_specified(void) {
    static const struct {
        const char *mode;
        size_t count, window, vote, n_vote, quota[3];
    } expected[] = {
        {"prophetkv", 20, 1, 0, 10, {0, SIZE_MAX, SIZE_MAX}},
        {"prophetkv:r=0.29", 29, 1, 0, 10, {0, SIZE_MAX, SIZE_MAX}}, /* 0.29 x 100 is 28.999999999999996 */
        {"prophetkv:r=1", 100, 1, 0, 10, {0, SIZE_MAX, SIZE_MAX}},
        {"prophetkv:r=0.5,window=8", 6, 8, 0, 10, {0, SIZE_MAX, SIZE_MAX}}, /* floor(50 / 8) */
        {"qcfuse", 32, 1, 0, 15, {0, SIZE_MAX, SIZE_MAX}},
        {"qcfuse:rows=4", 32, 1, 11, 4, {0, SIZE_MAX, SIZE_MAX}},
        {"qcfuse:k=49", 98, 1, 0, 15, {0, SIZE_MAX, SIZE_MAX}},
        {"qcfuse:k=1073741824", 100, 1, 0, 15, {0, SIZE_MAX, SIZE_MAX}},
        {"kvshift", 10, 1, 0, 0, {0, 6, 4}},
        {"kvshift:r=0.07", 8, 1, 0, 0, {0, 5, 3}}, /* ceil(4.2), ceil(2.8) */
        {"kvshift:r=0", 0, 1, 0, 0, {0, 0, 0}},
    };
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        ba_plan *plan = plan_of(expected[i].mode, "s20 p60 p40 q10 t5");
        const ba_node *v = &plan->node[3];
        CU_ASSERT(v->choice.on && v->choice.count == expected[i].count && v->choice.window == expected[i].window);
        CU_ASSERT(v->choice.vote == expected[i].vote && v->choice.n_vote == expected[i].n_vote);
        for (size_t e = 0; e < 3; e++) {
            CU_ASSERT_EQUAL(v->edge[e].quota, expected[i].quota[e]);
        }
        ba_plan_free(plan);
    }
    ba_plan *plan = plan_of("kvshift:r=0.07", "p100 q1"); /* 0.07 x 100 is 7.000000000000001 */
    CU_ASSERT_EQUAL(plan->node[1].edge[0].quota, 7);
    ba_plan_free(plan);
    plan = plan_of("prophetkv", "s20 q1"); /* no passages: nothing to choose from */
    CU_ASSERT_FALSE(plan->node[1].choice.on);
    ba_plan_free(plan);
}

/* 30 layers: 10..19. Of one or two, the first. */
static void the_middle_third_is_as_specified(void) {
    static const struct {
        size_t n, first, last;
    } expected[] = {{30, 10, 19}, {32, 10, 20}, {4, 1, 1}, {3, 1, 1}, {2, 0, 0}, {1, 0, 0}, {18, 6, 11}};
    ba_plan *plan = plan_of("qcfuse", "s2 p4 q1");
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        const ba_choice *c = &plan->node[2].choice;
        for (size_t l = 0; l < expected[i].n; l++) {
            CU_ASSERT_EQUAL(ba_choice_counts(c, l, expected[i].n), l >= expected[i].first && l <= expected[i].last);
        }
        CU_ASSERT_EQUAL(ba_choice_layers(c, expected[i].n), expected[i].last + 1);
    }
    ba_plan_free(plan);
}

static void budgets_are_named(void) {
    static const char *const pairs[][2] = {{"prophetkv", "r=0.2"}, {"qcfuse:rows=3,k=4", "k=4"},
                                           {"lego", "k=16"},       {"cacheblend:r=0.50", "r=0.5"},
                                           {"block", ""},          {"splice", ""}};
    char budget[64];
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        ba_mode_budget(pairs[i][0], budget, sizeof budget);
        CU_ASSERT_STRING_EQUAL(budget, pairs[i][1]);
    }
}

/* Before: 2 tokens, passages a (4), b (2), c (3). Now a, x (5) and c: a span of 2 has become one of 5, and c, after it,
 * stood at 8 and stands at 11. */
static void an_edit_is_seen_in_place(void) {
    char err[BA_ERR_LEN];
    ba_prompt *old = ba_prompt_of("s2=s p4=a p2=b p3=c q2"), *now = ba_prompt_of("s2=s p4=a p5=x p3=c q2");
    ba_plan *plan;
    now->previous = old;
    CU_ASSERT_EQUAL_FATAL(ba_mode_plan("editlocal:k=2", now, &plan, err), 0);
    CU_ASSERT(plan->continues && plan->n_node == 5 && plan->n_tokens == 16);
    static const size_t n[] = {6, 5, 2, 3, 2}, pos[] = {0, 6, 6, 8, 14}, edges[] = {0, 1, 1, 2, 3};
    for (size_t i = 0; i < 5; i++) { /* common beginning, new span, old span, common end, question */
        CU_ASSERT(plan->node[i].n == n[i] && plan->node[i].pos == (double)pos[i] && plan->node[i].n_edge == edges[i]);
        CU_ASSERT_EQUAL(plan->node[i].stored, i != 1 && i != 4);
    }
    const ba_node *end = &plan->node[3], *question = &plan->node[4];
    CU_ASSERT(end->edge[0].seen == 0 && end->edge[1].seen == 2 && end->edge[1].at == 6);
    CU_ASSERT(question->edge[0].seen == 0 && question->edge[1].seen == 1 && question->edge[1].at == 6);
    CU_ASSERT(question->edge[2].seen == 3 && question->edge[2].at == 11 && question->edge[2].refresh == 2);
    ba_plan_free(plan);
    now->previous = now; /* nothing has changed */
    CU_ASSERT_EQUAL_FATAL(ba_mode_plan("editlocal", now, &plan, err), 0);
    CU_ASSERT(plan->n_node == 2 && plan->node[0].n == 14 && ba_node_refreshed(&plan->node[1]) == 0);
    ba_plan_free(plan);
    now->previous = NULL;
    ba_prompt_free(old);
    ba_prompt_free(now);
}

static void links_see_everything_before_them(void) {
    drawing d = {.n = 0};
    ba_plan *plan = plan_of("kvlink", "s1 p2 l1 p1 l1 q1");
    ba_plan_mask(plan, draw, &d);
    CU_ASSERT_STRING_EQUAL(d.text, "1...... .1..... .11.... 1111... ....1.. 111111. 1111111 ");
    CU_ASSERT(plan->node[1].stored && !plan->node[2].stored);
    ba_plan_free(plan);
}

/* --- identities and sharing ------------------------------------------------------------------------------------- */

static bool same_plan(const char *a, const char *text_a, const char *b, const char *text_b) {
    ba_plan *p = plan_of(a, text_a), *q = plan_of(b, text_b);
    ba_key x = ba_plan_hash(p), y = ba_plan_hash(q);
    ba_plan_free(p);
    ba_plan_free(q);
    return x.lo == y.lo && x.hi == y.hi;
}

static void equal_modes_are_equal_plans(void) {
    const char *text = "s2 p4 p1 q3";
    CU_ASSERT(same_plan("full", text, "block:n=0", text));
    CU_ASSERT(same_plan("full", text, "block-nopos:n=0", text));
    CU_ASSERT(same_plan("block", text, "block:n=100", text));
    CU_ASSERT(same_plan("block-nopos", text, "turborag", text));
    CU_ASSERT(same_plan("block", text, "turborag:order=reordered", text));
    CU_ASSERT(same_plan("block", text, "kvlink:k=0", text));
    CU_ASSERT(same_plan("block", "p4 p1 q3", "sink", "p4 p1 q3"));  /* no prefix: no sink */
    CU_ASSERT(same_plan("block", "s2 p4 q3", "block", "p2 p4 q3")); /* the prefix is a block like any other */
    CU_ASSERT_FALSE(same_plan("block", text, "block-nopos", text));
    CU_ASSERT_FALSE(same_plan("block", text, "block:n=2", text));
    CU_ASSERT_FALSE(same_plan("block", text, "cacheblend", text));
    CU_ASSERT_FALSE(same_plan("ape", text, "pcw", text));
    CU_ASSERT_FALSE(same_plan("sink", text, "sink:encode=global", text));
    CU_ASSERT_FALSE(same_plan("superposition:topk=1", "s2 p4 p1 q3 t1", "superposition", "s2 p4 p1 q3 t1"));
    CU_ASSERT_FALSE(
        same_plan("superposition:topk=1", "s2 p4 p1 q3 t1", "superposition:topk=1,qfirst=no", "s2 p4 p1 q3 t1"));
}

static void the_request_may_fold_blocks(void) {
    char err[BA_ERR_LEN];
    ba_prompt *prompt = ba_prompt_of("s2 p4 p1 q3");
    ba_plan *plan;
    prompt->local_blocks = 1;
    CU_ASSERT_EQUAL_FATAL(ba_mode_plan("block", prompt, &plan, err), 0);
    CU_ASSERT_EQUAL(plan->n_node, 2);
    CU_ASSERT_EQUAL(plan->node[1].n_seg, 3);
    ba_plan_free(plan);
    CU_ASSERT_EQUAL_FATAL(ba_mode_plan("block:n=2", prompt, &plan, err), 0); /* the spelling wins */
    CU_ASSERT_EQUAL(plan->n_node, 3);
    ba_plan_free(plan);
    prompt->local_blocks = 0;
    CU_ASSERT_EQUAL_FATAL(ba_mode_plan("block", prompt, &plan, err), 0);
    CU_ASSERT_EQUAL(plan->n_node, 1);
    ba_plan_free(plan);
    ba_prompt_free(prompt);
}

/* Groups of modes that store the same node for the second passage of "s2 p4 p3 q2 t1". BOS and newlines are part of a
 * block's content; a context that sees the prefix at another distance is another block. */
static void stored_blocks_are_shared_where_they_can_be(void) {
    static const struct {
        const char *mode;
        size_t node;
        char group;
    } expected[] = {
        {"block", 2, 'a'},
        {"block-nopos", 2, 'a'},
        {"turborag", 2, 'a'},
        {"cacheblend", 2, 'a'},
        {"cacheblend:r=0.5,mask=bottomright", 2, 'a'},
        {"prophetkv", 2, 'a'},
        {"qcfuse", 2, 'a'},
        {"kvshift", 2, 'a'},
        {"kvlink", 2, 'a'},
        {"promptcache:scaffold=none", 2, 'a'},
        {"pcw", 2, 'b'},
        {"ape", 2, 'b'},
        {"selective", 2, 'b'},
        {"sink", 2, 'b'},
        {"superposition:positions=max", 2, 'b'},
        {"superposition", 2, 'c'},
        {"lego", 2, 'd'},
        {"lego:k=2,qbos=no", 2, 'd'},
        {"lego-0", 2, 'e'},
        {"sink:encode=global", 2, 'f'},
        {"blockdist", 2, 'g'},
        {"promptcache", 0, 'h'},
        {"splice:donor=self", 2, 'i'},
        {"splice", 1, 'b'}, /* the donor's first passage has seen the prefix only, as in pcw */
        {"splice", 2, 'j'},
    };
    enum { N = sizeof expected / sizeof *expected };
    ba_key key[N];
    for (size_t i = 0; i < N; i++) {
        ba_plan *plan = plan_of(expected[i].mode, "s2 p4 p3 q2 t1");
        CU_ASSERT(plan->node[expected[i].node].stored);
        key[i] = ba_key_of(plan, expected[i].node);
        ba_plan_free(plan);
    }
    for (size_t i = 0; i < N; i++) {
        for (size_t j = 0; j < N; j++) {
            bool same = key[i].lo == key[j].lo && key[i].hi == key[j].hi;
            if (same != (expected[i].group == expected[j].group)) {
                printf("         %s and %s %s a block\n", expected[i].mode, expected[j].mode,
                       same ? "share" : "do not share");
            }
            CU_ASSERT_EQUAL(same, expected[i].group == expected[j].group);
        }
    }
}

static void a_block_is_the_same_beside_any_neighbours(void) {
    for (size_t i = 0; i < SPELLINGS; i++) {
        if (strstr(spellings[i], "n=1") || strstr(spellings[i], "global") || strstr(spellings[i], "superposition") ||
            strncmp(spellings[i], "splice", 6) == 0 || strncmp(spellings[i], "editlocal", 9) == 0 ||
            strcmp(spellings[i], "full") == 0 || strncmp(spellings[i], "promptcache", 11) == 0) {
            continue; /* folded, at its place, spread by all lengths, part of a donor or of one scaffold */
        }
        ba_plan *a = plan_of(spellings[i], "s2=s p7 p4=a p2 q2"), *b = plan_of(spellings[i], "s2=s p1 p4=a p90 p2 q9");
        ba_key x = ba_key_of(a, 2), y = ba_key_of(b, 2);
        CU_ASSERT(x.lo == y.lo && x.hi == y.hi);
        ba_plan_free(a);
        ba_plan_free(b);
    }
}

/* --- spelling --------------------------------------------------------------------------------------------------- */

static void canonical_spelling_leaves_defaults_out(void) {
    static const char *const pairs[][2] = {
        {"lego:k=16", "lego"},
        {"prophetkv:layers=7+0+2,window=1,r=0.20", "prophetkv:layers=0+2+7"},
        {"prophetkv:layers=all", "prophetkv"},
        {"qcfuse:layers=middle,rows=64,k=16", "qcfuse"},
        {"splice:seed=0,donor=rotate", "splice"},
        {"lego:qbos=no,k=8", "lego:k=8,qbos=no"},
        {"ape:t=0.9,s=0.9,form=code", "ape"},
        {"ape:t=1e0,s=0.70", "ape:t=1,s=0.7"},
        {"cacheblend:r=0.16,score=v,mask=exact,n=all,brlayer=1", "cacheblend"},
        {"superposition:topk=all", "superposition"},
        {"block:n=all", "block"},
        {"block:n=00", "block:n=0"},
        {"kvlink:k=0", "kvlink"},
        {"turborag:order=composite", "turborag"},
    };
    char canonical[128], err[BA_ERR_LEN];
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        CU_ASSERT_EQUAL(ba_mode_check(pairs[i][0], canonical, sizeof canonical, err), 0);
        CU_ASSERT_STRING_EQUAL(canonical, pairs[i][1]);
    }
    for (size_t i = 0; i < SPELLINGS; i++) {
        CU_ASSERT_EQUAL(ba_mode_check(spellings[i], canonical, sizeof canonical, err), 0);
        CU_ASSERT_STRING_EQUAL(canonical, spellings[i]);
    }
}

static void misspelling_lists_what_there_is(void) {
    static const char *const wrong[][2] = {
        {"", "full, block, block-nopos"},
        {"blok", "unknown mode 'blok'; there is: full, block"},
        {"Block", "there is:"},
        {"block:", "mode block has no parameter ''; it has n"},
        {"full:n=1", "mode full has no parameter 'n'; it has none"},
        {"lego:q=1", "it has k (1..1073741824, default 16), qbos (yes|no, default yes)"},
        {"lego:k", "needs a value"},
        {"lego:k=", "mode lego: k= is not a whole number"},
        {"lego:k=0", "k=0 is not a whole number of 1..1073741824"},
        {"lego:k=1.5", "k=1.5 is not"},
        {"lego:k=1x", "k=1x is not"},
        {"lego:k=nan", "k=nan is not"},
        {"lego:k=1,k=2", "given twice"},
        {"lego:k=1,", "no parameter ''"},
        {"lego:k=1;qbos=no", "is not a whole number"},
        {"cacheblend:r=1.01", "r=1.01 is not a number of 0..1"},
        {"cacheblend:r=-0.1", "r=-0.1 is not a number of 0..1"},
        {"cacheblend:score=vk", "score=vk is not one of v|k"},
        {"cacheblend:score=", "score= is not one of v|k"},
        {"cacheblend:brlayer=3", "brlayer=3 is not a whole number of 1..2"},
        {"ape:t=0", "t=0 is not a number of 0.01..100"},
        {"ape:t=inf", "t=inf is not"},
        {"selective:k=0", "k=0 is not"},
        {"superposition:topk=0", "topk=0 is not"},
        {"prophetkv:r=1.5", "r=1.5 is not a number of 0..1"},
        {"prophetkv:window=0", "window=0 is not"},
        {"prophetkv:layers=1+1", "layers=1+1 is not all, middle or up to 32 layers of 0..255 joined by +, each once"},
        {"prophetkv:layers=1+", "layers=1+ is not"},
        {"prophetkv:layers=+1", "layers=+1 is not"},
        {"prophetkv:layers=256", "layers=256 is not"},
        {"prophetkv:layers=-1", "layers=-1 is not"},
        {"prophetkv:layers=", "layers= is not"},
        {"qcfuse:rows=0", "rows=0 is not"},
        {"kvshift:window=2", "mode kvshift has no parameter 'window'; it has r (0..1, default 0.1)"},
        {"splice:donor=other", "donor=other is not one of rotate|shuffle|self"},
        {"splice:seed=-1", "seed=-1 is not"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char canonical[128], err[BA_ERR_LEN] = "";
        CU_ASSERT_EQUAL(ba_mode_check(wrong[i][0], canonical, sizeof canonical, err), -1);
        if (!strstr(err, wrong[i][1])) {
            printf("         '%s': %s\n", wrong[i][0], err);
        }
        CU_ASSERT_PTR_NOT_NULL(strstr(err, wrong[i][1]));
    }
}

/* The first passage of the donor, which alone has it, is passage 1; the question sees the others where they would be
 * without it. */
static void splice_skips_a_passage_of_the_donor(void) {
    static const struct {
        const char *mode;
        size_t seg[3];       /* of the donor's passages, in its order */
        double pos[3];       /* their positions there */
        size_t node_seen[2]; /* by the question's edges after the prefix */
    } expected[] = {
        {"splice:donor=self,skip=1", {2, 1, 3}, {2, 3, 7}, {2, 3}},
        {"splice:skip=1", {2, 3, 1}, {2, 3, 5}, {3, 2}},
    };
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        ba_plan *plan = plan_of(expected[i].mode, "s2 p4 p1 p2 q3");
        const ba_node *question = &plan->node[4];
        CU_ASSERT_EQUAL_FATAL(question->n_edge, 3);
        CU_ASSERT_EQUAL(question->pos, 8);
        for (size_t p = 0; p < 3; p++) {
            CU_ASSERT_EQUAL(plan->node[1 + p].seg, expected[i].seg[p]);
            CU_ASSERT_EQUAL(plan->node[1 + p].pos, expected[i].pos[p]);
            CU_ASSERT_EQUAL(plan->node[1 + p].n_edge, 1 + p);
        }
        for (size_t p = 0; p < 2; p++) {
            CU_ASSERT_EQUAL(question->edge[1 + p].seen, expected[i].node_seen[p]);
            CU_ASSERT_EQUAL(question->edge[1 + p].at, p ? 6 : 2);
        }
        ba_plan_free(plan);
    }
}

static void needs_that_are_not_met_are_named(void) {
    static const struct {
        const char *mode, *prompt, *line;
    } wrong[] = {
        {"superposition", "s2 p3 q2", "needs a task segment"},
        {"superposition", "s2 q2 t1", "needs at least one passage"},
        {"kvlink:k=1", "s2 p3 q2", "trained link embeddings"},
        {"pcw", "p3 s2 q2", "segment 1 is system"},
        {"pcw", "s2 p3", "segment 2 is missing"},
        {"pcw", "s2 p3 q1 q1", "segment 3 is question"},
        {"sink", "s2 p3 q1 t1 p2", "segment 4 is passage"},
        {"promptcache:skip=2", "s2 p3 p4 q1", "there are 2 passages, counted from 0"},
        {"splice:skip=2", "s2 p3 p4 q1", "there are 2 passages, counted from 0"},
        {"block", "s2 p0 q1", "segment 1 (passage) has no tokens"},
        {"full", "q0", "segment 0 (question) has no tokens"},
        {"full", "", "no segments"},
    };
    char err[BA_ERR_LEN];
    ba_plan *plan;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        ba_prompt *prompt = ba_prompt_of(wrong[i].prompt);
        err[0] = '\0';
        CU_ASSERT_EQUAL(ba_mode_plan(wrong[i].mode, prompt, &plan, err), -1);
        CU_ASSERT_PTR_NULL(plan);
        if (!strstr(err, wrong[i].line)) {
            printf("         %s on '%s': %s\n", wrong[i].mode, wrong[i].prompt, err);
        }
        CU_ASSERT_PTR_NOT_NULL(strstr(err, wrong[i].line));
        ba_prompt_free(prompt);
    }
    ba_prompt *prompt = ba_prompt_of("s2 p3 q2");
    prompt->bos = prompt->newline = -1;
    static const char *const inserting[] = {"lego", "lego-0", "blockdist"};
    for (size_t i = 0; i < 3; i++) {
        CU_ASSERT_EQUAL(ba_mode_plan(inserting[i], prompt, &plan, err), -1);
        CU_ASSERT_PTR_NOT_NULL(strstr(err, "give a model that has one"));
    }
    ba_prompt_free(prompt);
}

/* All published modes are there; a new one need not be listed here. */
static void the_table_is_complete(void) {
    static const char *const published[] = {"full",       "block",  "block-nopos",   "turborag",  "promptcache",
                                            "pcw",        "ape",    "superposition", "lego",      "lego-0",
                                            "cacheblend", "kvlink", "sink",          "selective", "blockdist"};
    size_t n = 0;
    for (const ba_mode *m; (m = ba_mode_at(n)); n++) {
        char canonical[64], err[BA_ERR_LEN];
        CU_ASSERT(m->name && m->summary && m->source && m->build);
        CU_ASSERT_EQUAL(ba_mode_check(m->name, canonical, sizeof canonical, err), 0);
        for (const ba_mode_param *p = m->param; p->key; p++) {
            CU_ASSERT(p->standard && p->help && (p->choices || p->min < p->max));
        }
        for (size_t i = 0; i < n; i++) {
            CU_ASSERT_STRING_NOT_EQUAL(m->name, ba_mode_at(i)->name);
        }
    }
    for (size_t i = 0; i < sizeof published / sizeof *published; i++) {
        char canonical[64], err[BA_ERR_LEN];
        CU_ASSERT_EQUAL(ba_mode_check(published[i], canonical, sizeof canonical, err), 0);
        CU_ASSERT_STRING_EQUAL(canonical, published[i]);
    }
    CU_ASSERT(n >= sizeof published / sizeof *published);
}

int ba_suite_modes(void) {
    CU_pSuite s = CU_add_suite("modes", NULL, NULL);
    return s && CU_add_test(s, "plans are well formed", plans_are_well_formed) &&
                   CU_add_test(s, "a question alone is full attention", a_question_alone_is_full_attention) &&
                   CU_add_test(s, "every mode's mask is the one written here", masks_are_as_written) &&
                   CU_add_test(s, "every mode's positions are the ones written here", places_are_as_written) &&
                   CU_add_test(s, "superposition spreads contexts evenly", superposition_spreads_contexts_evenly) &&
                   CU_add_test(s, "temperatures, groups and selection are on context keys only",
                               modifiers_are_on_context_keys_only) &&
                   CU_add_test(s, "lego recomputes the head of later chunks",
                               lego_recomputes_the_head_of_later_chunks) &&
                   CU_add_test(s, "cacheblend recomputes int(n r) rows", cacheblend_counts_as_specified) &&
                   CU_add_test(s, "splice sees the donor at its positions", splice_sees_the_donor_at_its_positions) &&
                   CU_add_test(s, "splice skips a passage of the donor", splice_skips_a_passage_of_the_donor) &&
                   CU_add_test(s, "a donor's block never passes for a clean one",
                               a_donors_block_never_passes_for_a_clean_one) &&
                   CU_add_test(s, "addresses of a long donor are quick", addresses_of_a_long_donor_are_quick) &&
                   CU_add_test(s, "choices take what their budget says", choices_count_as_specified) &&
                   CU_add_test(s, "the middle third of the layers is as specified", the_middle_third_is_as_specified) &&
                   CU_add_test(s, "budgets are named", budgets_are_named) &&
                   CU_add_test(s, "an edit is seen in place", an_edit_is_seen_in_place) &&
                   CU_add_test(s, "links see everything before them", links_see_everything_before_them) &&
                   CU_add_test(s, "modes that coincide by definition have equal plans", equal_modes_are_equal_plans) &&
                   CU_add_test(s, "a request may limit the local blocks", the_request_may_fold_blocks) &&
                   CU_add_test(s, "stored blocks are shared where they can be",
                               stored_blocks_are_shared_where_they_can_be) &&
                   CU_add_test(s, "a block is the same beside any neighbours",
                               a_block_is_the_same_beside_any_neighbours) &&
                   CU_add_test(s, "canonical spelling leaves defaults out", canonical_spelling_leaves_defaults_out) &&
                   CU_add_test(s, "a misspelt mode or parameter lists the known ones",
                               misspelling_lists_what_there_is) &&
                   CU_add_test(s, "a prompt that a mode cannot use is refused by name",
                               needs_that_are_not_met_are_named) &&
                   CU_add_test(s, "no published mode is missing", the_table_is_complete)
               ? 0
               : -1;
}

/* The gate: distances by hand, identities of every mode on the tiny model, and what is seen inside. */
#include "experiments/gate/gate.h"
#include "experiments/gate/probe.h"
#include "experiments/gate/trace.h"
#include "experiments/measure/distance.h"
#include "experiments/measure/noise.h"
#include "kernels/base/sizes.h"
#include "sim/base/random.h"
#include "sim/modes/modes.h"
#include "tests/support/runner.h"
#include "tests/support/tiny.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void distances_by_hand(void) {
    const double a[6] = {log(4), log(2), log(1), log(1), -1e3, -2e3},
                 b[6] = {log(1), log(2), log(4), log(1), -1e3, -2e3};
    ba_logit_distance d = ba_logit_compare(a, b, 6);
    CU_ASSERT_TRUE(d.finite);
    CU_ASSERT_FALSE(d.top1);
    CU_ASSERT_DOUBLE_EQUAL(d.top5, 1, 0);
    CU_ASSERT_DOUBLE_EQUAL(d.max_abs, log(4), 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(d.kl, 0.5 * log(4) + 0.125 * log(0.25), 1e-12);
    d = ba_logit_compare(a, a, 6);
    CU_ASSERT_TRUE(d.top1);
    CU_ASSERT_EQUAL(d.kl, 0);
    double broken[6];
    memcpy(broken, a, sizeof a);
    broken[3] = NAN;
    CU_ASSERT_FALSE(ba_logit_compare(a, broken, 6).finite);
    CU_ASSERT_FALSE(ba_logit_compare(broken, a, 6).finite);
}

typedef struct fixture {
    ba_model *model;
    ba_backend *be;
    ba_store *store;
    ba_engine *engine;
    ba_prompt *prompt;
} fixture;

static fixture open_all(void) {
    static const size_t length[] = {5, 30, 1, 44, 12, 4};
    static const ba_role role[] = {BA_ROLE_SYSTEM,  BA_ROLE_PASSAGE,  BA_ROLE_PASSAGE,
                                   BA_ROLE_PASSAGE, BA_ROLE_QUESTION, BA_ROLE_TASK};
    fixture f = {0};
    char path[512], err[BA_ERR_LEN];
    ba_backend_config cfg = {.threads = 2};
    snprintf(path, sizeof path, "%s/gate.gguf", ba_test_dir());
    CU_ASSERT_EQUAL_FATAL(ba_tiny_gguf(path, &(ba_tiny_options){.layers = 4}), 0);
    CU_ASSERT_EQUAL_FATAL(ba_model_open(path, true, &f.model, err), 0);
    CU_ASSERT_EQUAL_FATAL(ba_backend_open("auto", &cfg, &f.be, err), 0);
    f.store = ba_store_new(f.be, UINT64_C(1) << 30);
    CU_ASSERT_PTR_NOT_NULL_FATAL(f.store);
    CU_ASSERT_EQUAL_FATAL(ba_engine_new(f.model, f.be, f.store, NULL, &f.engine, err), 0);
    f.prompt = ba_prompt_new(NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(f.prompt);
    f.prompt->bos = 1;
    f.prompt->newline = 2;
    int32_t ids[64];
    uint64_t state = 99;
    for (size_t s = 0; s < 6; s++) {
        for (size_t i = 0; i < length[s]; i++) {
            ids[i] = (int32_t)ba_random_below(&state, ba_model_shape(f.model)->vocab);
        }
        CU_ASSERT_EQUAL_FATAL(ba_prompt_add(f.prompt, role[s], ids, length[s]), 0);
    }
    return f;
}

static void close_all(fixture *f) {
    ba_prompt_free(f->prompt);
    ba_engine_free(f->engine);
    ba_store_free(f->store);
    ba_backend_close(f->be);
    ba_model_close(f->model);
}

static void identities_hold_in_every_mode(void) {
    fixture f = open_all();
    char err[BA_ERR_LEN];
    const int32_t answer[] = {7, 8, 9};
    ba_engine_options opt = {0};
    ba_reference ref;
    CU_ASSERT_EQUAL_FATAL(ba_reference_make(f.engine, f.prompt, answer, 3, 4, &opt, &ref, err), 0);
    CU_ASSERT_TRUE(ref.nll > 0 && ref.n_greedy == 4);
    const ba_mode *mode;
    for (size_t i = 0; (mode = ba_mode_at(i)); i++) {
        ba_gate_row row;
        CU_ASSERT_EQUAL_FATAL(ba_gate_mode(f.engine, f.store, &ref, mode->name, true, &opt, &row, err), 0);
        for (ba_identity k = 0; k < BA_IDENTITIES; k++) {
            if (row.held[k] == BA_BROKEN) {
                fprintf(stderr, "%s: %s\n", mode->name, ba_identity_name(k));
            }
            CU_ASSERT_NOT_EQUAL(row.held[k], BA_BROKEN);
        }
        CU_ASSERT_EQUAL(row.held[BA_ID_CACHED], BA_HELD);
        CU_ASSERT_EQUAL(row.held[BA_ID_BATCH], BA_HELD);
        CU_ASSERT_EQUAL(row.held[BA_ID_SWITCH], BA_HELD);
        CU_ASSERT_EQUAL(row.held[BA_ID_COUNT], BA_HELD);
        CU_ASSERT_EQUAL(row.held[BA_ID_FOLDED] == BA_HELD, !strcmp(mode->name, "block"));
        CU_ASSERT_TRUE(row.far.finite && isfinite(row.nll));
        CU_ASSERT_TRUE(strcmp(mode->name, "full") != 0 || row.far.max_abs == 0);
        /* editlocal reuses nothing either where no earlier prompt was edited */
        bool none = !strcmp(mode->name, "full") || !strcmp(mode->name, "editlocal");
        CU_ASSERT_EQUAL(!strcmp(row.reuse, "none"), none);
        bool joint = !strcmp(mode->name, "promptcache") || !strcmp(mode->name, "splice");
        CU_ASSERT_EQUAL(!strcmp(row.reuse, "same set"), joint);
    }
    ba_reference_free(&ref);
    close_all(&f);
}

/* Rows that a mode computes again by choice. Of 96 tokens: int(0.16 x 96); of E passage tokens: floor(0.2 E); 16 for each
 * passage; in each passage between one and two lists of a tenth, rounded up. */
static bool chooses_as_specified(const char *mode, const ba_prompt *p, size_t rows) {
    size_t tokens = 0, passages = 0, tenths = 0;
    for (size_t i = 0; i < p->n_seg; i++) {
        if (p->seg[i].role == BA_ROLE_PASSAGE) {
            tokens += p->seg[i].n;
            passages++;
            tenths += (p->seg[i].n + 9) / 10;
        }
    }
    if (!strcmp(mode, "kvshift")) {
        return rows >= tenths && rows <= 2 * tenths;
    }
    size_t expected = !strcmp(mode, "cacheblend")  ? 15
                      : !strcmp(mode, "prophetkv") ? tokens / 5
                      : !strcmp(mode, "qcfuse")    ? ba_min_size(16 * passages, tokens)
                                                   : 0;
    return rows == expected;
}

static void inside_of_every_mode(void) {
    fixture f = open_all();
    char err[BA_ERR_LEN];
    ba_probe full, other;
    CU_ASSERT_EQUAL_FATAL(ba_probe_make(f.engine, f.prompt, "full", NULL, &full, err), 0);
    const ba_mode *mode;
    for (size_t i = 0; (mode = ba_mode_at(i)); i++) {
        CU_ASSERT_EQUAL_FATAL(ba_probe_make(f.engine, f.prompt, mode->name, NULL, &other, err), 0);
        for (size_t l = 0; l < other.layers; l++) {
            double mass = 0;
            for (size_t s = 0; s < other.n_seg; s++) {
                mass += other.mass[l * other.n_seg + s];
            }
            CU_ASSERT_DOUBLE_EQUAL(mass, 1, 1e-5);
            CU_ASSERT_TRUE(other.entropy[l] > 0 && other.entropy[l] <= log(100));
            /* selective:k=2 keeps two of the three passages for every row and head, all else always. */
            double kept = 0;
            for (size_t s = 1; s < 4; s++) {
                kept += other.kept[l * other.n_seg + s];
            }
            if (!strcmp(mode->name, "selective")) {
                CU_ASSERT_DOUBLE_EQUAL(kept, 2, 1e-9);
            }
            CU_ASSERT_TRUE(strcmp(mode->name, "full") != 0 || ba_probe_departure(&full, &other, l) == 0);
        }
        /* The joint scaffold, with all its modules used, is full attention (MODES.md). */
        bool is_full = !strcmp(mode->name, "full") || !strcmp(mode->name, "promptcache") ||
                       !strcmp(mode->name, "editlocal"); /* of no earlier prompt */
        CU_ASSERT_TRUE((ba_probe_departure(&full, &other, other.layers - 1) < 1e-5) == is_full);
        CU_ASSERT_TRUE(chooses_as_specified(mode->name, f.prompt, other.n_row));
        ba_probe_free(&other);
    }
    CU_ASSERT_EQUAL_FATAL(ba_probe_make(f.engine, f.prompt, "superposition:topk=1", NULL, &other, err), 0);
    CU_ASSERT_EQUAL(other.n_path, 3);
    CU_ASSERT_EQUAL(other.path_kept[0] + other.path_kept[1] + other.path_kept[2], 1);
    ba_probe_free(&other);
    ba_probe_free(&full);
    close_all(&f);
}

/* Full attention in bf16 is a little away from full in fp32, and fp32 from itself not at all. */
static void noise_floor(void) {
    fixture f = open_all();
    char err[BA_ERR_LEN];
    double kl;
    const ba_engine_options opt = {0};
    const ba_backend_config cfg = {.threads = 1, .dtype = "bf16"};
    ba_backend *be;
    ba_engine *engine;
    CU_ASSERT_EQUAL_FATAL(ba_backend_open("ref", &cfg, &be, err) && ba_backend_open("cpu", &cfg, &be, err), 0);
    CU_ASSERT_EQUAL_FATAL(ba_engine_new(f.model, be, NULL, NULL, &engine, err), 0);
    ba_reference ref;
    CU_ASSERT_EQUAL_FATAL(ba_reference_make(engine, f.prompt, NULL, 0, 1, &opt, &ref, err), 0);
    ba_noise noise;
    CU_ASSERT_EQUAL_FATAL(ba_noise_open(f.model, engine, 1, 0, &noise, err), 0);
    CU_ASSERT_EQUAL(ba_noise_of(&noise, f.prompt, &opt, ref.logits, &kl, err), 0);
    CU_ASSERT_TRUE(kl > 0 && kl < 0.01);
    /* Of fp32 itself there is nothing to compute. */
    ba_noise none;
    CU_ASSERT_EQUAL(ba_noise_open(f.model, noise.engine, 1, 0, &none, err), 0);
    CU_ASSERT_PTR_NULL(none.engine);
    CU_ASSERT_EQUAL(ba_noise_of(&none, f.prompt, &opt, ref.logits, &kl, err), 0);
    CU_ASSERT_EQUAL(kl, 0);
    ba_noise_close(&none);
    /* Without room it is not measured, and never taken for 0. */
    CU_ASSERT_EQUAL(ba_noise_open(f.model, engine, 1, 1, &none, err), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err, "in fp32 need"));
    CU_ASSERT_EQUAL(ba_noise_of(&none, f.prompt, &opt, ref.logits, &kl, err), 0);
    CU_ASSERT_TRUE(isnan(kl));
    ba_noise_close(&none);
    ba_noise_close(&noise);
    ba_reference_free(&ref);
    ba_engine_free(engine);
    ba_backend_close(be);
    close_all(&f);
}

/* KL 1, 2, 3: mean 2 +- 4.303 / sqrt(3), which is cut at 0; one prompt has no interval. */
static void summaries_by_hand(void) {
    const ba_gate_limits none = {NAN, NAN, NAN};
    const ba_margins margins = {0.02, 0.05};
    ba_gate_results r;
    CU_ASSERT_EQUAL_FATAL(ba_gate_results_new(&r, 1, 3), 0);
    for (size_t i = 0; i < 3; i++) {
        r.row[i] = (ba_gate_row){.mode = "block",
                                 .far = {.finite = true, .kl = 1 + (double)i, .top1 = i > 0, .max_abs = 5 - (double)i},
                                 .noise_kl = 0.01 * (double)i,
                                 .reuse = "passage",
                                 .n_answer = 2,
                                 .nll = 4.4,
                                 .nll_full = 4,
                                 .flops = 1,
                                 .flops_full = 4};
    }
    r.n_done = 3;
    CU_ASSERT_TRUE(ba_gate_summarise(&r, &none, &margins));
    const ba_gate_summary *s = r.summary;
    CU_ASSERT_EQUAL(s->kl, 2);
    CU_ASSERT_DOUBLE_EQUAL(s->kl_high, 2 + 4.302653 / sqrt(3), 1e-6);
    CU_ASSERT_EQUAL(s->kl_low, 0);
    CU_ASSERT_DOUBLE_EQUAL(s->noise_kl, 0.01, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(s->top1, 2.0 / 3, 1e-12);
    CU_ASSERT_EQUAL(s->top1_low, ba_wilson(2, 3).low);
    CU_ASSERT_DOUBLE_EQUAL(s->nll_increase, 0.2, 1e-12);
    CU_ASSERT_STRING_EQUAL(s->nll_verdict, "worse"); /* the same for every prompt */
    CU_ASSERT_TRUE(s->max_abs == 5 && s->max_abs_median == 4 && s->flops_fraction == 0.25);
    r.n_done = 1;
    CU_ASSERT_TRUE(ba_gate_summarise(&r, &none, &margins));
    CU_ASSERT_TRUE(s->kl == 1 && isnan(s->kl_low) && isnan(s->nll_increase_high));
    CU_ASSERT_STRING_EQUAL(s->nll_verdict, "undecided");
    ba_gate_results_free(&r);
}

/* Killed between two prompts, the gate finds what it had finished, to the bit. */
static void an_interrupted_gate_goes_on(void) {
    char path[512], err[BA_ERR_LEN] = "";
    ba_gate_prompt prompt[3] = {{.name = "first"}, {.name = "second"}, {.name = "third"}};
    ba_gate_prompts all = {prompt, 3};
    const ba_gate_row row[2] = {{.mode = "full", .held = {BA_HELD}, .merge_max_abs = NAN, .far = {.finite = true}},
                                {.mode = "lego",
                                 .n_tokens = 12,
                                 .held = {BA_HELD, BA_NOT_ASKED, BA_BROKEN, BA_HELD, BA_HELD, BA_BROKEN},
                                 .merge_max_abs = 1e-5,
                                 .far = {.finite = true, .max_abs = 3.25, .kl = 0.1, .top1 = true, .top5 = 0.8},
                                 .diverges = 3,
                                 .nll = 4.5,
                                 .nll_full = 4.25,
                                 .n_answer = 2,
                                 .flops = 1234,
                                 .flops_full = 56789}};
    ba_environment env = {0};
    ba_gate_trace t;
    ba_gate_results r;
    snprintf(path, sizeof path, "%s/stopped-gate.h5", ba_test_dir());
    CU_ASSERT_EQUAL_FATAL(ba_environment_add(&env, "command", "gate"), 0);
    CU_ASSERT_EQUAL_FATAL(ba_gate_trace_open(&t, path, false, &env, err), 0);
    for (size_t i = 0; i < 2; i++) {
        prompt[i].number = i;
        CU_ASSERT_EQUAL(ba_gate_trace_add(&t, &prompt[i], row, 2, NULL, err), 0);
        CU_ASSERT_EQUAL(ba_trace_commit(t.file, err), 0);
    }
    ba_gate_trace_close(&t);
    CU_ASSERT_EQUAL_FATAL(ba_gate_results_new(&r, 2, 3), 0);
    CU_ASSERT_EQUAL_FATAL(ba_gate_trace_open(&t, path, true, &env, err), 0);
    CU_ASSERT_EQUAL_FATAL(ba_gate_trace_read(&t, &all, &r, err), 0);
    CU_ASSERT_EQUAL(r.n_done, 2);
    for (size_t i = 0; i < 4; i++) {
        const ba_gate_row *a = &row[i % 2], *b = &r.row[i];
        CU_ASSERT_STRING_EQUAL(a->mode, b->mode);
        CU_ASSERT_EQUAL(memcmp(a->held, b->held, sizeof a->held), 0);
        CU_ASSERT(a->n_tokens == b->n_tokens && a->diverges == b->diverges && a->n_answer == b->n_answer);
        CU_ASSERT(a->flops == b->flops && a->flops_full == b->flops_full);
        CU_ASSERT(a->nll == b->nll && a->nll_full == b->nll_full);
        CU_ASSERT(a->far.kl == b->far.kl && a->far.max_abs == b->far.max_abs && a->far.top5 == b->far.top5);
        CU_ASSERT(a->far.finite == b->far.finite && a->far.top1 == b->far.top1);
        CU_ASSERT(isnan(a->merge_max_abs) ? isnan(b->merge_max_abs) : a->merge_max_abs == b->merge_max_abs);
    }
    snprintf(prompt[1].name, sizeof prompt[1].name, "other");
    CU_ASSERT_EQUAL(ba_gate_trace_read(&t, &all, &r, err), BA_TRACE_REFUSED);
    CU_ASSERT_PTR_NOT_NULL(strstr(err, "other prompts or modes"));
    ba_gate_trace_close(&t);
    ba_gate_results_free(&r);
    ba_environment_free(&env);
}

int ba_suite_gate(void) {
    CU_pSuite s = CU_add_suite("gate", NULL, NULL);
    return s && CU_add_test(s, "distances by hand", distances_by_hand) &&
                   CU_add_test(s, "identities hold in every mode", identities_hold_in_every_mode) &&
                   CU_add_test(s, "inside of every mode", inside_of_every_mode) &&
                   CU_add_test(s, "the noise floor of a precision", noise_floor) &&
                   CU_add_test(s, "summaries by hand", summaries_by_hand) &&
                   CU_add_test(s, "an interrupted gate goes on", an_interrupted_gate_goes_on)
               ? 0
               : -1;
}

/* Training as a whole, on tiny models: it learns, ends in the same weights when resumed, and stops when it diverges;
 * what it saves can be read again; adapters; what it refuses. */
#include "sim/base/random.h"
#include "tests/support/runner.h"

#include "experiments/data/tune_data.h"
#include "sim/engine/engine.h"
#include "sim/files/safetensors_write.h"
#include "sim/model/adapter.h"
#include "sim/modes/modes.h"
#include "sim/train/save.h"
#include "sim/train/tune.h"
#include "tests/support/rig.h"
#include "tests/support/tiny.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SAMPLES = 6, STEPS = 8 };

typedef struct course {
    char folder[4200];
    ba_model *model;
    ba_backend *be;
    ba_train_net net;
    ba_example sample[SAMPLES];
    ba_tune_options opt;
    ba_tuner *tuner;
} course;

static ba_example make_sample(uint64_t *seed) {
    static const size_t length[] = {4, 9, 5, 6};
    static const ba_role role[] = {BA_ROLE_SYSTEM, BA_ROLE_PASSAGE, BA_ROLE_PASSAGE, BA_ROLE_QUESTION};
    ba_example e = {.prompt = ba_prompt_new(NULL), .answer = calloc(3, sizeof(int32_t)), .n = 3};
    CU_ASSERT_FATAL(e.prompt && e.answer);
    for (size_t i = 0; i < 4; i++) {
        int32_t ids[16];
        for (size_t k = 0; k < length[i]; k++) {
            ids[k] = 3 + (int32_t)ba_random_below(seed, 200);
        }
        CU_ASSERT_EQUAL_FATAL(ba_prompt_add(e.prompt, role[i], ids, length[i]), 0);
    }
    e.prompt->newline = 13;
    for (size_t k = 0; k < e.n; k++) {
        e.answer[k] = 50 + (int32_t)k;
    }
    return e;
}

static const char *const both[] = {"full", "block"};

static void open_net(course *s, const ba_tiny_options *tiny, size_t rank, size_t n_links) {
    char err[BA_ERR_LEN] = "";
    uint64_t seed = 3;
    *s = (course){0};
    snprintf(s->folder, sizeof s->folder, "%s/tune-model", ba_test_dir());
    mkdir(s->folder, 0777);
    CU_ASSERT_EQUAL_FATAL(ba_tiny_folder(s->folder, tiny), 0);
    CU_ASSERT_EQUAL_FATAL(ba_model_open(s->folder, true, &s->model, err), 0);
    s->be = rig_backend("openblas", 2, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(s->be);
    const ba_train_options opt = {.rank = rank, .alpha = 2.0 * (double)rank, .n_links = n_links, .seed = 7};
    CU_ASSERT_EQUAL_FATAL(ba_train_net_open(&s->net, s->model, s->be, &opt, err), 0);
    for (size_t i = 0; i < SAMPLES; i++) {
        s->sample[i] = make_sample(&seed);
        s->sample[i].prompt->first_link = (int32_t)s->net.shape->vocab;
        s->sample[i].prompt->n_links = n_links;
    }
    s->opt = (ba_tune_options){.mode = both,
                               .n_mode = 2,
                               .steps = STEPS,
                               .batch = 4,
                               .warmup = 2,
                               .lr = 5e-3,
                               .clip = 1,
                               .beta1 = 0.9,
                               .beta2 = 0.999,
                               .eps = 1e-8,
                               .rows = 64,
                               .seed = 1,
                               .memory = UINT64_MAX};
}

static void open_tuner(course *s) {
    char err[BA_ERR_LEN] = "";
    ba_tuner_free(s->tuner);
    int rc = ba_tuner_new(&s->net, &s->opt, s->sample, SAMPLES, &s->tuner, err);
    if (rc) {
        printf("         %s\n", err);
    }
    CU_ASSERT_EQUAL_FATAL(rc, 0);
}

static void close_course(course *s) {
    ba_tuner_free(s->tuner);
    ba_train_net_close(&s->net);
    for (size_t i = 0; i < SAMPLES; i++) {
        ba_example_free(&s->sample[i]);
    }
    ba_backend_close(s->be);
    ba_model_close(s->model);
}

static double validation(course *s, const char *mode) {
    char err[BA_ERR_LEN];
    double nll;
    CU_ASSERT_EQUAL_FATAL(ba_tuner_validate(s->tuner, s->sample, SAMPLES, mode, NULL, NULL, &nll, err), 0);
    return nll;
}

static void steps(course *s, uint64_t until) {
    char err[BA_ERR_LEN] = "";
    ba_tune_row row;
    while (ba_tuner_step_count(s->tuner) < until) {
        int rc = ba_tuner_step(s->tuner, NULL, NULL, &row, err);
        if (rc) {
            printf("         %s\n", err);
        }
        CU_ASSERT_EQUAL_FATAL(rc, 0);
    }
}

static void learns(const char *const *mode, size_t n, size_t rank, size_t n_links, double kl) {
    course s;
    open_net(&s, NULL, rank, n_links);
    s.opt.mode = mode;
    s.opt.n_mode = n;
    s.opt.batch = 2 * n;
    s.opt.kl_weight = kl;
    open_tuner(&s);
    double before = validation(&s, mode[n - 1]);
    steps(&s, STEPS);
    double after = validation(&s, mode[n - 1]);
    printf("         %-14s rank %zu: NLL %.3f -> %.3f\n", mode[n - 1], rank, before, after);
    CU_ASSERT(after < before - 0.5);
    close_course(&s);
}

static void test_learns(void) {
    static const char *const modes[] = {"block-nopos", "promptcache", "pcw", "sink", "blockdist", "kvlink:k=3"};
    learns(both, 2, 0, 0, 0);
    learns(both, 2, 4, 0, 0);
    learns(both, 2, 4, 0, 1);
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        learns(&modes[i], 1, 4, i == 5 ? 3 : 0, 0);
    }
}

/* All trained values, in a row. */
static double *values_of(const course *s, size_t *n) {
    double *all = malloc(ba_train_net_size(&s->net) * sizeof *all);
    CU_ASSERT_PTR_NOT_NULL_FATAL(all);
    *n = 0;
    for (size_t i = 0; i < s->net.n_trained; i++) {
        s->net.ops->param_read(s->be, s->net.trained[i].p, BA_PARAM_VALUE, all + *n);
        *n += s->net.trained[i].rows * s->net.trained[i].cols;
    }
    return all;
}

static void test_resume(void) {
    char folder[4200], err[BA_ERR_LEN] = "";
    course whole, first, second;
    snprintf(folder, sizeof folder, "%s/tune-checkpoint", ba_test_dir());
    mkdir(folder, 0777);
    open_net(&whole, NULL, 4, 0);
    open_tuner(&whole);
    steps(&whole, STEPS);
    open_net(&first, NULL, 4, 0);
    open_tuner(&first);
    steps(&first, 3);
    CU_ASSERT_EQUAL_FATAL(ba_tuner_save(first.tuner, folder, "name", err), 0);
    open_net(&second, NULL, 4, 0);
    open_tuner(&second);
    CU_ASSERT_EQUAL(ba_tuner_load(second.tuner, folder, "another", err), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err, "other options"));
    CU_ASSERT_EQUAL(ba_tuner_step_count(second.tuner), 0);
    CU_ASSERT_EQUAL_FATAL(ba_tuner_load(second.tuner, folder, "name", err), 0);
    CU_ASSERT_EQUAL(ba_tuner_step_count(second.tuner), 3);
    steps(&second, STEPS);
    size_t n, m;
    double *a = values_of(&whole, &n), *b = values_of(&second, &m);
    CU_ASSERT_FATAL(n == m);
    CU_ASSERT(memcmp(a, b, n * sizeof *a) == 0);
    free(a);
    free(b);
    close_course(&whole);
    close_course(&first);
    close_course(&second);
}

/* A step that would make the weights unusable leaves them unchanged. */
static void test_diverges(void) {
    char err[BA_ERR_LEN] = "";
    ba_tune_row row;
    course s;
    open_net(&s, NULL, 0, 0);
    s.opt.lr = 1e30;
    s.opt.warmup = 0;
    s.opt.clip = 0;
    open_tuner(&s);
    int rc = 0;
    size_t n, m, good = 0;
    double *last = NULL, *now = values_of(&s, &n);
    for (size_t i = 0; !rc && i < 4; i++) {
        free(last);
        last = now;
        rc = ba_tuner_step(s.tuner, NULL, NULL, &row, err);
        now = values_of(&s, &m);
        good += rc == 0;
    }
    CU_ASSERT_EQUAL(rc, BA_TUNE_DIVERGED);
    CU_ASSERT_PTR_NOT_NULL(strstr(err, "lower the learning rate"));
    CU_ASSERT(memcmp(last, now, n * sizeof *now) == 0);
    CU_ASSERT_EQUAL(ba_tuner_step_count(s.tuner), good);
    free(last);
    free(now);
    close_course(&s);
}

/* Logits of a model in a mode. */
static double *logits_of(const char *path, const char *adapter, const ba_prompt *prompt, const char *mode) {
    char err[BA_ERR_LEN] = "";
    ba_model *model;
    ba_engine *engine;
    ba_run *run;
    ba_plan *plan;
    ba_backend *be = rig_backend("ref", 1, NULL);
    CU_ASSERT_EQUAL_FATAL(ba_model_open(path, true, &model, err), 0);
    int rc = adapter ? ba_adapter_merge(adapter, model, err) : 0;
    if (rc) {
        printf("         %s\n", err);
    }
    CU_ASSERT_EQUAL_FATAL(rc, 0);
    CU_ASSERT_EQUAL_FATAL(ba_mode_plan(mode, prompt, &plan, err), 0);
    CU_ASSERT_EQUAL_FATAL(ba_engine_new(model, be, NULL, NULL, &engine, err), 0);
    CU_ASSERT_EQUAL_FATAL(ba_engine_run(engine, plan, &(ba_engine_options){0}, 0, &run, err), 0);
    size_t vocab = ba_model_shape(model)->vocab;
    double *out = malloc(vocab * sizeof *out);
    CU_ASSERT_PTR_NOT_NULL_FATAL(out);
    memcpy(out, ba_run_logits(run), vocab * sizeof *out);
    ba_run_free(run);
    ba_engine_free(engine);
    ba_plan_free(plan);
    ba_model_close(model);
    ba_backend_close(be);
    return out;
}

/* Training and the engine, with the model that training saved, compute the same logits. */
static void check_saved(const ba_tiny_options *tiny, size_t rank, size_t n_links, const char *mode) {
    char folder[4200], err[BA_ERR_LEN] = "";
    course s;
    snprintf(folder, sizeof folder, "%s/tune-saved", ba_test_dir());
    open_net(&s, tiny, rank, n_links);
    s.opt.mode = &mode;
    s.opt.n_mode = 1;
    open_tuner(&s);
    steps(&s, 3);
    ba_example one = s.sample[0];
    one.n = 1;
    double nll;
    CU_ASSERT_EQUAL_FATAL(ba_tuner_validate(s.tuner, &one, 1, mode, NULL, NULL, &nll, err), 0);
    int rc = rank ? ba_adapter_save(&s.net, folder, s.folder, err) : ba_model_save(&s.net, folder, err);
    CU_ASSERT_EQUAL_FATAL(rc, 0);
    double *logits = rank ? logits_of(s.folder, folder, one.prompt, mode) : logits_of(folder, NULL, one.prompt, mode);
    double *base = rank && !n_links ? logits_of(s.folder, NULL, one.prompt, mode) : NULL;
    double found = ba_logsumexp(logits, s.net.shape->vocab) - logits[one.answer[0]];
    CU_ASSERT_DOUBLE_EQUAL(found, nll, 2e-4);
    if (base) {
        CU_ASSERT(fabs(ba_logsumexp(base, s.net.shape->vocab) - base[one.answer[0]] - nll) > 0.05);
    }
    free(base);
    free(logits);
    close_course(&s);
}

static void test_saved(void) {
    check_saved(NULL, 0, 0, "block");
    check_saved(&(ba_tiny_options){.arch = "gemma3", .spm = true}, 0, 0, "full");
    check_saved(&(ba_tiny_options){.arch = "qwen2"}, 0, 0, "block");
    check_saved(NULL, 4, 0, "block");
    check_saved(&(ba_tiny_options){.arch = "qwen3"}, 4, 0, "sink");
    check_saved(NULL, 4, 3, "kvlink:k=2");
}

/* A folder saved from a GGUF, which has the rows of Q and K in another order, is read back. */
static void test_from_gguf(void) {
    char path[4200], folder[4200], err[BA_ERR_LEN] = "";
    uint64_t seed = 3;
    ba_model *model;
    ba_train_net net;
    ba_backend *be = rig_backend("openblas", 1, NULL);
    const ba_tiny_options tiny = {.type = BA_Q8_0};
    snprintf(path, sizeof path, "%s/tune.gguf", ba_test_dir());
    snprintf(folder, sizeof folder, "%s/tune-gguf", ba_test_dir());
    CU_ASSERT_EQUAL_FATAL(ba_tiny_gguf(path, &tiny), 0);
    CU_ASSERT_EQUAL_FATAL(ba_model_open(path, true, &model, err), 0);
    CU_ASSERT_EQUAL_FATAL(ba_train_net_open(&net, model, be, &(ba_train_options){0}, err), 0);
    int rc = ba_model_save(&net, folder, err);
    if (rc) {
        printf("         %s\n", err);
    }
    CU_ASSERT_EQUAL_FATAL(rc, 0);
    ba_example e = make_sample(&seed);
    double *a = logits_of(path, NULL, e.prompt, "block"), *b = logits_of(folder, NULL, e.prompt, "block"), most = 0;
    for (size_t i = 0; i < net.shape->vocab; i++) {
        most = fmax(most, fabs(a[i] - b[i]));
    }
    CU_ASSERT(most < 1e-5);
    free(a);
    free(b);
    ba_example_free(&e);
    ba_train_net_close(&net);
    ba_model_close(model);
    ba_backend_close(be);
}

static void write_text(const char *folder, const char *name, const char *text) {
    char path[4300];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    fputs(text, f);
    fclose(f);
}

static int read_ones(void *arg, size_t i, float *values) {
    (void)i;
    for (size_t k = 0; k < *(const size_t *)arg; k++) {
        values[k] = 1;
    }
    return 0;
}

#define Q0 "base_model.model.model.layers.0.self_attn.q_proj.lora_"

static void test_bad_adapters(void) {
    static const struct {
        const char *config, *name_a, *name_b;
        size_t in;
        const char *says;
    } bad[] = {
        {NULL, Q0 "A.weight", Q0 "B.weight", 64, "adapter_config.json"},
        {"{\"peft_type\": \"IA3\"}", Q0 "A.weight", Q0 "B.weight", 64, "only LORA"},
        {"{\"peft_type\": \"LORA\", \"r\": 2, \"lora_alpha\": 4, \"use_dora\": true}", Q0 "A.weight", Q0 "B.weight", 64,
         "use_dora"},
        {"{\"peft_type\": \"LORA\", \"lora_alpha\": 4}", Q0 "A.weight", Q0 "B.weight", 64, "'r'"},
        {"{\"peft_type\": \"LORA\", \"r\": 2, \"lora_alpha\": 4}", Q0 "A.weight", Q0 "B.weight", 60, "[60, 2]"},
        {"{\"peft_type\": \"LORA\", \"r\": 2, \"lora_alpha\": 4}", Q0 "A.weight", "other", 64, "no partner"},
        {"{\"peft_type\": \"LORA\", \"r\": 2, \"lora_alpha\": 4}",
         "base_model.model.model.layers.9.self_attn.q_proj.lora_A.weight",
         "base_model.model.model.layers.9.self_attn.q_proj.lora_B.weight", 64, "layers.9"},
    };
    char folder[4200], path[4300], err[BA_ERR_LEN];
    course s;
    open_net(&s, NULL, 0, 0);
    snprintf(folder, sizeof folder, "%s/tune-bad", ba_test_dir());
    mkdir(folder, 0777);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const ba_tensor_out out[] = {{bad[i].name_a, 2, bad[i].in, BA_F32, false},
                                     {bad[i].name_b, 64, 2, BA_F32, false}};
        snprintf(path, sizeof path, "%s/adapter_model.safetensors", folder);
        size_t n = 2 * bad[i].in < 128 ? 2 * bad[i].in : 128;
        CU_ASSERT_EQUAL_FATAL(ba_safetensors_write(path, out, 2, NULL, 0, read_ones, &n, err), 0);
        if (bad[i].config) {
            write_text(folder, "adapter_config.json", bad[i].config);
        }
        err[0] = '\0';
        CU_ASSERT_EQUAL(ba_adapter_merge(folder, s.model, err), -1);
        if (!strstr(err, bad[i].says)) {
            printf("         %zu: %s\n", i, err);
            CU_FAIL("message");
        }
    }
    close_course(&s);
}

static void test_refused(void) {
    static const struct {
        const char *mode, *says;
    } bad[] = {{"lego:k=4", "twice"},
               {"cacheblend", "twice"},
               {"selective", "no differentiable choice"},
               {"ape", "scales"},
               {"kvlink:k=2", "link embeddings"}};
    char err[BA_ERR_LEN];
    course s;
    open_net(&s, NULL, 4, 0);
    for (size_t i = 0; i < SAMPLES; i++) {
        s.sample[i].prompt->bos = 0;
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        s.opt.mode = &bad[i].mode;
        s.opt.n_mode = 1;
        CU_ASSERT_EQUAL(ba_tuner_new(&s.net, &s.opt, s.sample, SAMPLES, &s.tuner, err), -1);
        if (!strstr(err, bad[i].says)) {
            printf("         %s: %s\n", bad[i].mode, err);
            CU_FAIL("message");
        }
    }
    close_course(&s);
}

static size_t n_reported;

static void count_line(const char *line) {
    n_reported += line[0] != 0;
}

static void test_data(void) {
    char path[4300], err[BA_ERR_LEN] = "";
    static const char good[] =
        "{\"id\": \"a\", \"question\": \"q?\", \"answers\": [\"yes\"], \"documents\": [{\"title\": \"t\", \"text\": "
        "\"x\"}]}\n"
        "{\"prompt\": \"p q\", \"blocks\": [\"p \", \"q\"], \"response\": \"r\"}\n"
        "\n"
        "{\"messages\": [{\"role\": \"system\", \"content\": \"s\"}, {\"role\": \"user\", \"content\": \"u\"}, "
        "{\"role\": \"assistant\", \"content\": \"a\"}]}\n";
    static const char odd[] =
        "not json\n"
        "{\"id\": \"a\", \"question\": \"q?\", \"answers\": [], \"documents\": [{\"title\": \"t\", \"text\": \"x\"}]}\n"
        "{\"blocks\": [\"p\"]}\n"
        "{\"blocks\": [], \"response\": \"r\"}\n"
        "{\"messages\": [{\"role\": \"user\", \"content\": \"u\"}]}\n"
        "{\"blocks\": [\"a long one, a long one, a long one, a long one, a long one, a long one, a long one\"], "
        "\"response\": \"r\"}\n";
    course s;
    ba_tokenizer *tok;
    ba_examples all;
    open_net(&s, NULL, 4, 0);
    CU_ASSERT_EQUAL_FATAL(ba_tokenizer_new(ba_model_vocab(s.model), &tok, err), 0);
    ba_examples_options opt = {.tok = tok, .longest = 2000, .report = count_line};
    write_text(ba_test_dir(), "good.jsonl", good);
    write_text(ba_test_dir(), "odd.jsonl", odd);
    snprintf(path, sizeof path, "%s/good.jsonl", ba_test_dir());
    CU_ASSERT_EQUAL_FATAL(ba_examples_read(path, &opt, &all, err), 0);
    CU_ASSERT_EQUAL(all.n, 3);
    for (size_t i = 0; i < all.n; i++) {
        CU_ASSERT(all.at[i].n >= 2 && ba_token_ends(tok, all.at[i].answer[all.at[i].n - 1]));
    }
    CU_ASSERT_EQUAL(all.at[2].prompt->n_seg, 2);
    ba_examples_free(&all);
    snprintf(path, sizeof path, "%s/good.jsonl,%s/odd.jsonl", ba_test_dir(), ba_test_dir());
    n_reported = 0;
    opt.longest = 70;
    opt.limit = 0;
    int rc = ba_examples_read(path, &opt, &all, err);
    CU_ASSERT_EQUAL(rc, 0);
    CU_ASSERT(all.malformed == n_reported && all.malformed == 3);
    CU_ASSERT_EQUAL(all.unanswered, 2);
    CU_ASSERT(all.too_long >= 1);
    ba_examples_free(&all);
    opt.strict = true;
    CU_ASSERT_EQUAL(ba_examples_read(path, &opt, &all, err), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err, "odd.jsonl: line 1"));
    ba_tokenizer_free(tok);
    close_course(&s);
}

/* Blocks and prompts in the official form are what a request's blocks are: no template is put around them once more, and
 * their marks stay control tokens. */
static void test_official(void) {
    static const char blocks[] = "[\"<|im_start|>user\\nUse it.\\n\", \"Rain.\\n\", \"Where?<|im_end|>\\n\"]";
    char text[1024], path[4300], err[BA_ERR_LEN] = "";
    course s;
    ba_tokenizer *tok;
    ba_examples all;
    ba_prompt *asked;
    open_net(&s, NULL, 4, 0);
    CU_ASSERT_EQUAL_FATAL(ba_tokenizer_new(ba_model_vocab(s.model), &tok, err), 0);
    snprintf(text, sizeof text,
             "{\"blocks\": %s, \"response\": \"Bern\"}\n{\"prompt\": \"%s\", \"response\": \"Bern\"}\n", blocks,
             "<|im_start|>user\\nUse it.\\nRain.\\nWhere?<|im_end|>\\n");
    write_text(ba_test_dir(), "official.jsonl", text);
    snprintf(path, sizeof path, "%s/official.jsonl", ba_test_dir());
    ba_examples_options opt = {.tok = tok, .longest = 2000, .report = count_line};
    CU_ASSERT_EQUAL_FATAL(ba_examples_read(path, &opt, &all, err), 0);
    CU_ASSERT_EQUAL_FATAL(all.n, 2);
    snprintf(text, sizeof text, "{\"blocks\": %s}", blocks);
    CU_ASSERT_EQUAL_FATAL(ba_prompt_parse(text, strlen(text), tok, 0, &asked, err), 0);
    const ba_prompt *taken = all.at[0].prompt;
    CU_ASSERT_EQUAL_FATAL(taken->n_seg, asked->n_seg);
    for (size_t i = 0; i < taken->n_seg; i++) {
        CU_ASSERT(taken->seg[i].role == asked->seg[i].role && taken->seg[i].n == asked->seg[i].n &&
                  memcmp(taken->seg[i].ids, asked->seg[i].ids, asked->seg[i].n * sizeof(int32_t)) == 0);
    }
    CU_ASSERT_EQUAL(ba_prompt_tokens(all.at[1].prompt), ba_prompt_tokens(asked));
    int32_t *answer;
    size_t n;
    CU_ASSERT_EQUAL_FATAL(ba_tokenize(tok, "Bern", 4, false, &answer, &n, err), 0);
    CU_ASSERT(all.at[0].n == n + 1 &&
              memcmp(all.at[0].answer, answer, n * sizeof *answer) == 0); /* and the turn's end */
    free(answer);
    ba_prompt_free(asked);
    ba_examples_free(&all);
    ba_tokenizer_free(tok);
    close_course(&s);
}

int ba_suite_tune(void) {
    CU_pSuite suite = CU_add_suite("tune", NULL, NULL);
    return !suite || !CU_add_test(suite, "the loss falls in every mode that can be trained", test_learns) ||
           !CU_add_test(suite, "a resumed run ends in the same weights", test_resume) ||
           !CU_add_test(suite, "a step that diverges changes nothing", test_diverges) ||
           !CU_add_test(suite, "the engine computes with what was saved what training computed", test_saved) ||
           !CU_add_test(suite, "a folder from a GGUF computes the same", test_from_gguf) ||
           !CU_add_test(suite, "official blocks are not wrapped again", test_official) ||
           !CU_add_test(suite, "adapters that do not fit are refused", test_bad_adapters) ||
           !CU_add_test(suite, "modes that cannot be trained are refused", test_refused) ||
           !CU_add_test(suite, "samples in every form are read, and bad lines are refused", test_data);
}

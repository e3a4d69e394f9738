/* When memory or a disk fails, no result is wrong and nothing leaks. Every allocation of every part fails once, and
 * each time the part either reports an error or gives the same result as without the fault, loses no memory, and works
 * again afterwards. Then files: short, interrupted and failing calls. */
#include "tests/support/faults.h"
#include "tests/support/plans.h"
#include "tests/support/runner.h"
#include "tests/support/tiny.h"

#include "experiments/cli/cli.h"
#include "experiments/options/experiment.h"
#include "sim/base/whole_file.h"
#include "sim/modes/modes.h"
#include "sim/plan/cost.h"
#include "sim/trace/trace.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

/* One try: a hash of the result, or 0 and an error message. */
typedef uint64_t attempt(const void *arg, char err[BA_ERR_LEN]);

static uint64_t hash_of(const void *data, size_t n) {
    return XXH3_64bits(data, n) | 1;
}

/* Every step-th allocation; later ones, which come from loops, at growing distances. */
static size_t next_failure(size_t n, size_t step) {
    return n < 200 ? n + step : n + step + n / 20;
}

static void fail_every(size_t step, const char *what, attempt *try, const void *arg) {
    char err[BA_ERR_LEN] = "";
    uint64_t want = try(arg, err);
    if (!want) {
        printf("         %s: %s\n", what, err);
    }
    CU_ASSERT_NOT_EQUAL_FATAL(want, 0);
    for (size_t n = 0, came = true; came; n = next_failure(n, step)) {
        *err = '\0';
        ba_fault_order(BA_FAULT_MEMORY, n);
        uint64_t got = try(arg, err);
        came = ba_fault_came();
        bool right = got ? got == want : came && *err;
        if (!right) {
            printf("         %s, allocation %zu: %s\n", what, n, got ? "another result" : *err ? err : "no reason");
        }
        CU_ASSERT_TRUE(right);
    }
}

static void fail_everywhere(const char *what, attempt *try, const void *arg) {
    fail_every(1, what, try, arg);
}

/* Allocations of cJSON fail as well. */
static void *allocate(size_t n) {
    return malloc(n);
}

static void release(void *at) {
    free(at);
}

static int set_up(void) {
    cJSON_Hooks hooks = {allocate, release};
    cJSON_InitHooks(&hooks);
    return 0;
}

static int clean_up(void) {
    cJSON_InitHooks(NULL);
    return 0;
}

static void path_of(const char *name, char path[512]) {
    snprintf(path, 512, "%s/faults-%s", ba_test_dir(), name);
}

/* ---- models and prompts ----------------------------------------------------------------------------------------- */

static const ba_tiny_options small = {.d_model = 32, .heads = 2, .kv_heads = 1, .d_ff = 32};

static ba_model *open_small(const char *path) {
    char err[BA_ERR_LEN];
    ba_model *m = NULL;
    CU_ASSERT_EQUAL_FATAL(ba_tiny_gguf(path, &small), 0);
    CU_ASSERT_EQUAL_FATAL(ba_model_open(path, true, &m, err), 0);
    return m;
}

static uint64_t open_model(const void *path, char err[BA_ERR_LEN]) {
    ba_model *m = NULL;
    ba_tokenizer *tok = NULL;
    int32_t *ids = NULL;
    size_t n;
    uint64_t hash = 0;
    if (ba_model_open(path, true, &m, err) == 0 && ba_tokenizer_new(ba_model_vocab(m), &tok, err) == 0) {
        static const char text[] = "The key of 12 others\n";
        if (ba_tokenize(tok, text, sizeof text - 1, true, &ids, &n, err) != 0) {
            ba_fail(err, "out of memory");
        } else {
            hash = hash_of(ids, n * sizeof *ids);
        }
    }
    free(ids);
    ba_tokenizer_free(tok);
    ba_model_close(m);
    return hash;
}

static void models(void) {
    char path[512];
    const ba_tiny_options gemma = {.arch = "gemma3", .layers = 2, .spm = true};
    const ba_tiny_options shards = {.arch = "qwen2", .shards = 2};
    const ba_tiny_options *const folder[] = {&small, &gemma, &shards};
    ba_fault_watch();
    path_of("model.gguf", path);
    for (size_t i = 0; i < 2; i++) {
        CU_ASSERT_EQUAL_FATAL(ba_tiny_gguf(path, folder[i]), 0);
        fail_everywhere("GGUF file", open_model, path);
    }
    for (size_t i = 0; i < 3; i++) {
        char name[16];
        snprintf(name, sizeof name, "folder-%zu", i);
        path_of(name, path);
        mkdir(path, 0700);
        CU_ASSERT_EQUAL_FATAL(ba_tiny_folder(path, folder[i]), 0);
        fail_everywhere("folder", open_model, path);
    }
    CU_ASSERT_EQUAL(ba_fault_leaks(), 0);
}

typedef struct request {
    const char *json;
    const ba_tokenizer *tok;
} request;

static uint64_t parse_request(const void *arg, char err[BA_ERR_LEN]) {
    const request *r = arg;
    ba_prompt *p = NULL;
    if (ba_prompt_parse(r->json, strlen(r->json), r->tok, 0, &p, err) != 0) {
        return 0;
    }
    uint64_t hash = p->n_seg;
    for (size_t i = 0; i < p->n_seg; i++) {
        hash = hash * 31 + hash_of(p->seg[i].ids, p->seg[i].n * sizeof *p->seg[i].ids);
    }
    ba_prompt_free(p);
    return hash;
}

static uint64_t parse_experiment(const void *text, char err[BA_ERR_LEN]) {
    ba_words words;
    uint64_t hash = 0;
    if (ba_experiment_parse(text, strlen(text), "experiment", &words, err) == 0) {
        for (int i = 0; i < words.argc; i++) {
            hash = hash * 31 + hash_of(words.argv[i], strlen(words.argv[i]));
        }
    }
    ba_words_free(&words);
    return hash;
}

static void requests(void) {
    char path[512], err[BA_ERR_LEN];
    path_of("request.gguf", path);
    ba_model *m = open_small(path);
    ba_tokenizer *tok = NULL;
    CU_ASSERT_EQUAL_FATAL(ba_tokenizer_new(ba_model_vocab(m), &tok, err), 0);
    const request text = {"{\"blocks\": [\"You are\", \"One, the key.\", \"Two\", \"What?\"], \"special\": true}", tok};
    const request ids = {"{\"ids\": [[1, 2], [3], [4, 5, 6]], \"roles\": [\"passage\", \"question\", \"task\"]}", NULL};
    ba_fault_watch();
    fail_everywhere("request of text", parse_request, &text);
    fail_everywhere("request of ids", parse_request, &ids);
    fail_everywhere("experiment", parse_experiment,
                    "{\"command\": \"ttft\", \"options\": {\"lengths\": [\"50\", 512], \"cold\": true}}");
    CU_ASSERT_EQUAL(ba_fault_leaks(), 0);
    ba_tokenizer_free(tok);
    ba_model_close(m);
}

/* ---- plans and runs --------------------------------------------------------------------------------------------- */

/* Every mode, and the parameters that switch on further code. */
static const char *const variants[] = {
    "promptcache:scaffold=none", "superposition:topk=1,positions=max", "cacheblend:r=0.3,score=k,mask=bottomright",
    "sink:encode=global",        "ape:t=0.7,s=1.2,form=paper",         "selective:k=1,agg=ht"};
enum { VARIANTS = sizeof variants / sizeof *variants };

static const char *mode_at(size_t i) {
    if (i < VARIANTS) {
        return variants[i];
    }
    const ba_mode *mode = ba_mode_at(i - VARIANTS);
    return mode ? mode->name : NULL;
}

static ba_prompt *short_prompt(void) {
    ba_prompt *p = ba_prompt_of("s2 p3 p4 p1 q2 t1");
    CU_ASSERT_PTR_NOT_NULL_FATAL(p);
    return p;
}

typedef struct case_of_mode {
    const char *mode, *backend;
    size_t threads;
    const ba_prompt *prompt;
    const ba_plan *plan;
    const ba_shape *shape;
    ba_model *model;
} case_of_mode;

static uint64_t build_plan(const void *arg, char err[BA_ERR_LEN]) {
    const case_of_mode *c = arg;
    ba_plan *plan = NULL;
    if (ba_mode_plan(c->mode, c->prompt, &plan, err) != 0) {
        return 0;
    }
    ba_key key = ba_plan_hash(plan);
    ba_plan_free(plan);
    return hash_of(&key, sizeof key);
}

static uint64_t cost_plan(const void *arg, char err[BA_ERR_LEN]) {
    const case_of_mode *c = arg;
    ba_cost cost;
    ba_schedule *schedule = ba_schedule_new(c->plan, NULL, 8);
    uint64_t hash = 0;
    if (!schedule) {
        ba_fail(err, "out of memory");
    } else if (ba_cost_plan(c->shape, c->plan, schedule, (ba_sizes){4, 4, 4}, 1, &cost, err) == 0) {
        hash = hash_of(&cost.flops_exact, sizeof cost.flops_exact);
    }
    ba_schedule_free(schedule);
    return hash;
}

/* Everything that a run needs. */
typedef struct bench {
    ba_backend *be;
    ba_store *store;
    ba_engine *engine;
} bench;

static int bench_open(bench *b, const case_of_mode *c, char err[BA_ERR_LEN]) {
    ba_backend_config cfg = {.threads = c->threads};
    *b = (bench){0};
    if (ba_backend_open(c->backend, &cfg, &b->be, err) != 0) {
        return -1;
    }
    b->store = ba_store_new(b->be, 1 << 20);
    return b->store ? ba_engine_new(c->model, b->be, b->store, NULL, &b->engine, err) : ba_fail(err, "out of memory");
}

static void bench_close(bench *b) {
    ba_engine_free(b->engine);
    ba_store_free(b->store);
    if (b->be) {
        ba_backend_close(b->be);
    }
}

/* A prefill, and some more tokens. */
static uint64_t run_once(const case_of_mode *c, ba_engine *engine, char err[BA_ERR_LEN]) {
    static const int32_t answer[] = {5, 6, 7};
    enum { ANSWER = sizeof answer / sizeof *answer };
    size_t bytes = c->shape->vocab * sizeof(double);
    double logprob[ANSWER];
    ba_run *run = NULL;
    if (ba_engine_run(engine, c->plan, NULL, ANSWER, &run, err) != 0) {
        return 0;
    }
    uint64_t hash = hash_of(ba_run_logits(run), bytes);
    hash = ba_run_extend(run, answer, ANSWER, logprob, err) ? 0 : (hash * 31 ^ hash_of(ba_run_logits(run), bytes)) | 1;
    ba_run_free(run);
    return hash;
}

/* Cold, then warm. If the first run fails, engine and store must still work. */
static uint64_t run_plan(const void *arg, char err[BA_ERR_LEN]) {
    const case_of_mode *c = arg;
    bench b;
    uint64_t cold = 0, warm = 0;
    ba_fault_pause(true); /* opening is tested elsewhere */
    int rc = bench_open(&b, c, err);
    ba_fault_pause(false);
    if (rc == 0) {
        cold = run_once(c, b.engine, err);
        warm = run_once(c, b.engine, err);
    }
    bench_close(&b);
    return !cold ? warm : !warm || warm == cold ? cold : ~cold;
}

static void plans(void) {
    ba_prompt *prompt = short_prompt();
    const ba_shape *shape = ba_shape_by_name("smollm2-135m");
    ba_fault_watch();
    for (size_t i = 0; mode_at(i); i++) {
        char err[BA_ERR_LEN];
        ba_plan *plan = NULL;
        case_of_mode c = {.mode = mode_at(i), .prompt = prompt, .shape = shape};
        fail_everywhere(c.mode, build_plan, &c);
        CU_ASSERT_EQUAL_FATAL(ba_mode_plan(c.mode, prompt, &plan, err), 0);
        c.plan = plan;
        fail_everywhere(c.mode, cost_plan, &c);
        ba_plan_free(plan);
    }
    CU_ASSERT_EQUAL(ba_fault_leaks(), 0);
    ba_prompt_free(prompt);
}

static uint64_t open_bench(const void *arg, char err[BA_ERR_LEN]) {
    const case_of_mode *c = arg;
    bench b;
    uint64_t bytes = bench_open(&b, c, err) ? 0 : ba_engine_weight_bytes(b.engine);
    bench_close(&b);
    return bytes;
}

static void run_modes(const char *backend, size_t step) {
    char path[512], err[BA_ERR_LEN];
    path_of("engine.gguf", path);
    ba_model *model = open_small(path);
    ba_prompt *prompt = short_prompt();
    ba_model_hash(model);
    ba_fault_watch();
    const case_of_mode opening = {.backend = backend, .threads = 2, .model = model};
    fail_everywhere(backend, open_bench, &opening);
    for (size_t i = 0; mode_at(i); i++) {
        case_of_mode c = {.mode = mode_at(i),
                          .backend = backend,
                          .threads = i ? 1 : 2, /* starting threads takes longer than everything else here */
                          .prompt = prompt,
                          .model = model,
                          .shape = ba_model_shape(model)};
        ba_plan *plan = NULL;
        CU_ASSERT_EQUAL_FATAL(ba_mode_plan(c.mode, prompt, &plan, err), 0);
        c.plan = plan;
        fail_every(step, c.mode, run_plan, &c);
        ba_plan_free(plan);
    }
    CU_ASSERT_EQUAL(ba_fault_leaks(), 0);
    ba_prompt_free(prompt);
    ba_model_close(model);
}

static void runs_ref(void) {
    run_modes("ref", 1);
}

/* The engine's own allocations are the same with every backend, so fewer are tried here, where each takes longer. */
static void runs_openblas(void) {
    run_modes("openblas", 7);
}

/* ---- traces and files ------------------------------------------------------------------------------------------- */

typedef struct row {
    int64_t i;
    double seconds;
    const char *note;
} row;

static const ba_column columns[] = {BA_COLUMN(row, i, BA_COLUMN_I64, ""), BA_COLUMN(row, seconds, BA_COLUMN_F64, "s"),
                                    BA_COLUMN(row, note, BA_COLUMN_STRING, ""), BA_COLUMNS_END};

enum { ROWS = 5 };

/* A trace of ROWS rows, in place of what is at the path. */
static int write_trace(const char *path, char err[BA_ERR_LEN]) {
    ba_trace *t = NULL;
    size_t table;
    int rc = ba_trace_create(path, "faults/1", &t, err);
    rc = rc ? rc : ba_trace_set(t, "machine", "one", err);
    rc = rc ? rc : ba_trace_declare(t, "rows", columns, sizeof(row), &table, err);
    for (int i = 0; i < ROWS && !rc; i++) {
        rc = ba_trace_append(t, table, &(row){i, 0.5 * i, "note"}, err);
    }
    rc = rc ? rc : ba_trace_finish(t, err);
    ba_trace_close(t);
    return rc;
}

/* Rows in the file; 0: it is no trace. */
static size_t read_trace(const char *path, char err[BA_ERR_LEN]) {
    ba_trace *t = NULL;
    size_t n = 0, table;
    row rows[ROWS];
    if (ba_trace_open(path, &t, err) == 0) {
        if (ba_trace_declare(t, "rows", columns, sizeof(row), &table, err) == 0 && ba_trace_rows(t, table) == ROWS &&
            ba_trace_read(t, table, 0, ROWS, rows, err) == 0) {
            ba_trace_release(t, table, rows, ROWS);
            n = ROWS;
        }
        ba_trace_close(t);
    }
    return n;
}

static uint64_t write_and_read(const void *path, char err[BA_ERR_LEN]) {
    unlink(path);
    return write_trace(path, err) == 0 ? read_trace(path, err) : 0;
}

static void traces(void) {
    char path[512];
    path_of("memory.h5", path);
    ba_fault_watch();
    fail_everywhere("trace", write_and_read, path);
    CU_ASSERT_EQUAL(ba_fault_leaks(), 0);
}

/* After any failure of a commit, either the old trace or the new one is there, complete. */
static void disks(void) {
    static const struct {
        ba_fault fault;
        int status;
        const char *says;
    } faults[] = {
        {BA_FAULT_SHORT, 0, ""},
        {BA_FAULT_FULL, BA_TRACE_MACHINE, "No space left on device; free space"},
        {BA_FAULT_OPEN, BA_TRACE_MACHINE, "Too many open files"},
        {BA_FAULT_CLOSE, BA_TRACE_MACHINE, "Input/output error"},
        {BA_FAULT_RENAME, BA_TRACE_MACHINE, "Permission denied"},
    };
    char path[512], err[BA_ERR_LEN] = "";
    path_of("disk.h5", path);
    CU_ASSERT_EQUAL_FATAL(write_trace(path, err), 0);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        ba_fault_order(faults[i].fault, 0);
        int status = write_trace(path, err);
        CU_ASSERT_TRUE(ba_fault_came());
        if (status != faults[i].status || (status && !strstr(err, faults[i].says))) {
            printf("         fault %d: status %d: %s\n", (int)faults[i].fault, status, err);
        }
        CU_ASSERT_EQUAL(status, faults[i].status);
        CU_ASSERT_TRUE(!status || strstr(err, faults[i].says));
        CU_ASSERT_EQUAL(read_trace(path, err), ROWS);
        CU_ASSERT_EQUAL(ba_test_temporaries("faults-disk.h5"), 0);
    }
}

/* If a text cannot be closed, the error says why and the old text stays. */
static void texts(void) {
    char path[512], err[BA_ERR_LEN] = "", *text = NULL;
    size_t len = 0;
    path_of("page", path);
    for (int fails = 0; fails < 2; fails++) {
        ba_whole_file file;
        CU_ASSERT_EQUAL_FATAL(ba_whole_file_open(path, &file, err), 0);
        CU_ASSERT_TRUE(fputs(fails ? "new" : "old", file.f) >= 0);
        ba_fault_order(fails ? BA_FAULT_FCLOSE : BA_FAULT_NONE, 0);
        errno = 0;
        CU_ASSERT_EQUAL(ba_whole_file_finish(&file, err), -fails);
        CU_ASSERT_EQUAL(ba_fault_came(), fails != 0);
        ba_whole_file_close(&file);
    }
    CU_ASSERT_PTR_NOT_NULL(strstr(err, "Input/output error"));
    CU_ASSERT_EQUAL(ba_test_temporaries("faults-page"), 0);
    CU_ASSERT_EQUAL_FATAL(ba_read_file(path, 16, &text, &len, err), 0);
    CU_ASSERT_TRUE(len == 3 && memcmp(text, "old", 3) == 0);
    free(text);
}

static void files(void) {
    enum { SIZE = 40000 };
    char path[512], err[BA_ERR_LEN] = "", *text = NULL;
    static char bytes[SIZE];
    size_t len = 0;
    for (size_t i = 0; i < SIZE; i++) {
        bytes[i] = (char)(i * 7 + i / 251);
    }
    path_of("bytes", path);
    FILE *f = fopen(path, "wb");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    CU_ASSERT_EQUAL(fwrite(bytes, 1, SIZE, f), SIZE);
    CU_ASSERT_EQUAL_FATAL(fclose(f), 0);

    ba_fault_order(BA_FAULT_SHORT, 0);
    CU_ASSERT_EQUAL_FATAL(ba_read_file(path, SIZE, &text, &len, err), 0);
    CU_ASSERT_TRUE(ba_fault_came());
    CU_ASSERT_TRUE(len == SIZE && memcmp(text, bytes, SIZE) == 0);
    free(text);
    /* An interrupted or failing call is reported; part of a file is never used as if it were complete. */
    for (size_t n = 0; n < 3; n++) {
        ba_fault_order(BA_FAULT_INTERRUPTED, n);
        CU_ASSERT_EQUAL(ba_read_file(path, SIZE, &text, &len, err), -1);
        CU_ASSERT_TRUE(ba_fault_came() && strstr(err, "Interrupted system call"));
        ba_fault_order(BA_FAULT_BROKEN, n);
        CU_ASSERT_EQUAL(ba_read_file(path, SIZE, &text, &len, err), -1);
        CU_ASSERT_TRUE(ba_fault_came() && strstr(err, "Input/output error"));
    }
    ba_model *m = NULL;
    ba_fault_order(BA_FAULT_OPEN, 0);
    CU_ASSERT_EQUAL(ba_model_open(path, true, &m, err), -1);
    CU_ASSERT_TRUE(ba_fault_came() && strstr(err, "Too many open files"));
}

int ba_suite_faults(void) {
    CU_pSuite suite = CU_add_suite("faults", set_up, clean_up);
    return suite && CU_add_test(suite, "memory fails: models and tokenizers", models) &&
                   CU_add_test(suite, "memory fails: requests and experiments", requests) &&
                   CU_add_test(suite, "memory fails: plans and costs of every mode", plans) &&
                   CU_add_test(suite, "memory fails: runs of every mode, ref", runs_ref) &&
                   CU_add_test(suite, "memory fails: runs of every mode, openblas", runs_openblas) &&
                   CU_add_test(suite, "memory fails: traces", traces) &&
                   CU_add_test(suite, "disks fail: traces", disks) && CU_add_test(suite, "disks fail: texts", texts) &&
                   CU_add_test(suite, "disks fail: files", files)
               ? 0
               : -1;
}

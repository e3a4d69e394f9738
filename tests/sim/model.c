/* Models that are fine: what is read from them is what was written. Bad ones: test_model_bad.c. */
#include "tests/support/runner.h"
#include "tests/support/tiny.h"

#include "sim/model/model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char *in_test_dir(const char *name, char path[512]) {
    snprintf(path, 512, "%s/model-%s", ba_test_dir(), name);
    return path;
}

/* A tiny model of these options, opened; its name is that of the caller's variant. */
static ba_model *open_tiny(const char *name, const ba_tiny_options *opt, bool folder) {
    char path[512], err[BA_ERR_LEN] = "";
    ba_model *m = NULL;
    in_test_dir(name, path);
    if (folder) {
        mkdir(path, 0700);
    }
    CU_ASSERT_EQUAL_FATAL(folder ? ba_tiny_folder(path, opt) : ba_tiny_gguf(path, opt), 0);
    if (ba_model_open(path, true, &m, err) != 0) {
        printf("%s\n", err);
    }
    CU_ASSERT_PTR_NOT_NULL_FATAL(m);
    return m;
}

/* ---- shape ------------------------------------------------------------------------------------------------------ */

static void test_shape(void) {
    ba_model *m = open_tiny("shape.gguf", NULL, false);
    const ba_shape *s = ba_model_shape(m);
    CU_ASSERT_STRING_EQUAL(s->arch, "llama");
    CU_ASSERT_EQUAL(s->layers, 2);
    CU_ASSERT_EQUAL(s->d_model, 64);
    CU_ASSERT_EQUAL(s->heads, 4);
    CU_ASSERT_EQUAL(s->kv_heads, 2);
    CU_ASSERT_EQUAL(s->head_dim, 16);
    CU_ASSERT_EQUAL(s->d_ff, 96);
    CU_ASSERT_EQUAL(s->vocab, ba_tiny_vocab(NULL));
    CU_ASSERT_EQUAL(s->ctx, 2048);
    CU_ASSERT_EQUAL(s->norm_eps, (double)1e-6f);
    CU_ASSERT_EQUAL(s->attn_scale, 0.25);
    CU_ASSERT_EQUAL(s->embed_scale, 1);
    CU_ASSERT_TRUE(s->tied);
    CU_ASSERT_FALSE(s->qkv_bias || s->qk_norm || s->post_norms);
    CU_ASSERT_EQUAL(s->window, 0);
    CU_ASSERT_EQUAL(s->rope.theta, 1e4);
    CU_ASSERT_EQUAL(s->rope.scaling, BA_ROPE_NONE);
    CU_ASSERT_STRING_EQUAL(ba_model_name(m), "tiny");
    CU_ASSERT_STRING_EQUAL(ba_model_types(m), "F32 (20)");
    ba_model_close(m);
}

static void test_gemma_shape(void) {
    for (int folder = 0; folder < 2; folder++) {
        const ba_tiny_options opt = {.arch = "gemma3", .spm = true};
        ba_model *m = open_tiny(folder ? "gemma" : "gemma.gguf", &opt, folder);
        const ba_shape *s = ba_model_shape(m);
        CU_ASSERT_EQUAL(s->window, 8);
        for (size_t i = 0; i < 6; i++) {
            CU_ASSERT_EQUAL(s->local[i], i != 5);
        }
        CU_ASSERT_EQUAL(s->rope.theta, 1e6);
        CU_ASSERT_EQUAL(s->rope_local.theta, 1e4);
        CU_ASSERT_EQUAL(s->embed_scale, 8);
        CU_ASSERT_EQUAL(s->glu, BA_GLU_GELU_TANH);
        CU_ASSERT_TRUE(s->qk_norm && s->post_norms && s->tied);
        ba_model_close(m);
    }
}

static void test_gguf_variants(void) {
    const ba_tiny_meta window[] = {{"llama.attention.sliding_window", BA_TINY_U32, 24, 0}, {0}};
    const ba_tiny_meta linear[] = {{"llama.rope.scaling.type", BA_TINY_STRING, 0, "linear"},
                                   {"llama.rope.scaling.factor", BA_TINY_F32, 4, 0},
                                   {0}};
    const ba_tiny_meta llama3[] = {{"llama.rope.scaling.type", BA_TINY_STRING, 0, "llama3"},
                                   {"llama.rope.scaling.factor", BA_TINY_F32, 8, 0},
                                   {"llama.rope.scaling.low_freq_factor", BA_TINY_F32, 1, 0},
                                   {"llama.rope.scaling.high_freq_factor", BA_TINY_F32, 4, 0},
                                   {"llama.rope.scaling.original_context_length", BA_TINY_U32, 512, 0},
                                   {0}};
    const ba_tiny_meta yarn[] = {{"llama.rope.scaling.type", BA_TINY_STRING, 0, "yarn"},
                                 {"llama.rope.scaling.factor", BA_TINY_F32, 4, 0},
                                 {"llama.rope.scaling.original_context_length", BA_TINY_U32, 512, 0},
                                 {0}};
    ba_model *m = open_tiny("window.gguf", &(ba_tiny_options){.meta = window}, false);
    CU_ASSERT_EQUAL(ba_model_shape(m)->window, 24);
    CU_ASSERT_TRUE(ba_model_shape(m)->local[0] && ba_model_shape(m)->local[1]);
    CU_ASSERT_EQUAL(ba_model_shape(m)->rope_local.theta, 1e4);
    ba_model_close(m);
    m = open_tiny("linear.gguf", &(ba_tiny_options){.meta = linear}, false);
    CU_ASSERT_EQUAL(ba_model_shape(m)->rope.scaling, BA_ROPE_LINEAR);
    CU_ASSERT_EQUAL(ba_model_shape(m)->rope.factor, 4);
    ba_model_close(m);
    m = open_tiny("llama3.gguf", &(ba_tiny_options){.meta = llama3}, false);
    CU_ASSERT_EQUAL(ba_model_shape(m)->rope.scaling, BA_ROPE_LLAMA3);
    CU_ASSERT_EQUAL(ba_model_shape(m)->rope.original_ctx, 512);
    ba_model_close(m);
    m = open_tiny("yarn.gguf", &(ba_tiny_options){.meta = yarn}, false);
    CU_ASSERT_EQUAL(ba_model_shape(m)->rope.scaling, BA_ROPE_YARN);
    CU_ASSERT_DOUBLE_EQUAL(ba_model_shape(m)->rope.magnitude, 1.138629436111989, 1e-12);
    ba_model_close(m);
}

static void test_config_variants(void) {
    const struct {
        const char *config;
        double factor, theta, magnitude;
        size_t window;
        ba_rope_scaling scaling;
        bool local0, local1;
        const char *arch;
    } rows[] = {
        {"{\"rope_scaling\":{\"type\":\"linear\",\"factor\":2}}", 2, 1e4, 1, 0, BA_ROPE_LINEAR, 0, 0, NULL},
        {"{\"rope_scaling\":{\"rope_type\":\"default\"},\"rope_theta\":5e5}", 0, 5e5, 1, 0, BA_ROPE_NONE, 0, 0, NULL},
        {"{\"rope_theta\":null,\"rope_parameters\":{\"rope_type\":\"llama3\",\"rope_theta\":3e4,\"factor\":8,"
         "\"low_freq_factor\":1,\"high_freq_factor\":4,\"original_max_position_embeddings\":64}}",
         8, 3e4, 1, 0, BA_ROPE_LLAMA3, 0, 0, NULL},
        {"{\"rope_scaling\":{\"type\":\"yarn\",\"factor\":4,\"original_max_position_embeddings\":512}}", 4, 1e4,
         1.138629436111989, 0, BA_ROPE_YARN, 0, 0, NULL},
        {"{\"rope_scaling\":{\"type\":\"yarn\",\"factor\":4,\"attention_factor\":1.5}}", 4, 1e4, 1.5, 0, BA_ROPE_YARN,
         0, 0, NULL},
        {"{\"model_type\":\"mistral\",\"sliding_window\":24}", 0, 1e4, 1, 24, BA_ROPE_NONE, 1, 1, NULL},
        {"{\"model_type\":\"mistral\",\"sliding_window\":null}", 0, 1e4, 1, 0, BA_ROPE_NONE, 0, 0, NULL},
        {"{\"sliding_window\":24,\"use_sliding_window\":false,\"max_window_layers\":1}", 0, 1e4, 1, 0, BA_ROPE_NONE, 0,
         0, "qwen3"},
        {"{\"sliding_window\":24,\"use_sliding_window\":true,\"max_window_layers\":1}", 0, 1e4, 1, 24, BA_ROPE_NONE, 0,
         1, "qwen2"},
        {"{\"sliding_window\":24,\"use_sliding_window\":true,\"layer_types\":[\"sliding_attention\","
         "\"full_attention\"]}",
         0, 1e4, 1, 24, BA_ROPE_NONE, 1, 0, "qwen3"},
        /* not switched on, or not read by the family at all */
        {"{\"sliding_window\":24}", 0, 1e4, 1, 0, BA_ROPE_NONE, 0, 0, "qwen2"},
        {"{\"sliding_window\":24,\"use_sliding_window\":true}", 0, 1e4, 1, 0, BA_ROPE_NONE, 0, 0, "qwen3"},
        {"{\"sliding_window\":24,\"use_sliding_window\":true,\"max_window_layers\":0}", 0, 1e4, 1, 0, BA_ROPE_NONE, 0,
         0, NULL},
        {"{\"sliding_window\":24,\"layer_types\":[\"sliding_attention\",\"full_attention\"]}", 0, 1e4, 1, 0,
         BA_ROPE_NONE, 0, 0, NULL},
        /* rope_scaling wins over rope_parameters, and does not take its base */
        {"{\"rope_scaling\":{\"type\":\"linear\",\"factor\":2},\"rope_parameters\":{\"rope_type\":\"linear\","
         "\"factor\":4,\"rope_theta\":5e5}}",
         2, 1e4, 1, 0, BA_ROPE_LINEAR, 0, 0, NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ba_model *m = open_tiny("variant", &(ba_tiny_options){.config = rows[i].config, .arch = rows[i].arch}, true);
        const ba_shape *s = ba_model_shape(m);
        CU_ASSERT_EQUAL(s->rope.scaling, rows[i].scaling);
        CU_ASSERT_EQUAL(s->rope.factor, rows[i].factor);
        CU_ASSERT_EQUAL(s->rope.theta, rows[i].theta);
        CU_ASSERT_DOUBLE_EQUAL(s->rope.magnitude, rows[i].magnitude, 1e-12);
        CU_ASSERT_EQUAL(s->window, rows[i].window);
        CU_ASSERT_EQUAL(s->local[0], rows[i].local0);
        CU_ASSERT_EQUAL(s->local[1], rows[i].local1);
        ba_model_close(m);
    }
}

/* ---- tensors ---------------------------------------------------------------------------------------------------- */

/* Every element of a tensor, rows in half-split order, against the value that it was made of. */
static bool tensor_holds(const ba_model *m, const ba_tiny_options *opt, ba_tensor t, size_t layer, double tolerance) {
    ba_tensor_view v;
    size_t n;
    const float *gain = ba_model_gain(m, t, layer, &n);
    if (!ba_model_tensor(m, t, layer, &v)) {
        return false;
    }
    const ba_dtype_info *type = ba_dtype_get(v.type);
    ba_tensor source = t == BA_T_HEAD && ba_model_shape(m)->tied ? BA_T_EMBED : t;
    float *row = malloc(v.cols * sizeof *row);
    double worst = 0;
    for (size_t r = 0; row && r < v.rows; r++) {
        size_t from = v.row_order ? v.row_order[r] : r;
        type->decode((const char *)v.data + from * v.cols * type->bytes, row, v.cols);
        for (size_t c = 0; c < v.cols; c++) {
            double want = ba_tiny_value(opt, source, layer, r, c);
            worst = fmax(worst, fabs((double)(gain ? gain[c] : row[c]) - want));
        }
        if (v.bias) {
            worst = fmax(worst, fabs((double)v.bias[from] - ba_tiny_value(opt, source, layer, r, SIZE_MAX)));
        }
    }
    free(row);
    return worst <= tolerance;
}

static void check_all_tensors(const char *name, const ba_tiny_options *opt, bool folder, double tolerance) {
    ba_model *m = open_tiny(name, opt, folder);
    const ba_shape *s = ba_model_shape(m);
    for (int t = 0; t < BA_T_COUNT; t++) {
        bool norm = t == BA_T_Q_NORM || t == BA_T_K_NORM, post = t == BA_T_POST_ATTN_NORM || t == BA_T_POST_FFN_NORM;
        ba_tensor_view v;
        if ((norm && !s->qk_norm) || (post && !s->post_norms)) {
            CU_ASSERT_FALSE(ba_model_tensor(m, (ba_tensor)t, 0, &v));
            continue;
        }
        for (size_t layer = 0; layer < (t < BA_T_ATTN_NORM ? 1 : s->layers); layer++) {
            CU_ASSERT_TRUE(tensor_holds(m, opt, (ba_tensor)t, layer, tolerance));
        }
    }
    CU_ASSERT_FALSE(ba_model_tensor(m, BA_T_Q, s->layers, &(ba_tensor_view){0}));
    ba_model_close(m);
}

static void test_tensors(void) {
    static const char *const archs[] = {"llama", "qwen2", "qwen3", "gemma3"};
    for (size_t i = 0; i < sizeof archs / sizeof *archs; i++) {
        for (int untied = 0; untied < 2; untied++) {
            const ba_tiny_options opt = {.arch = archs[i], .untied = untied, .bias = untied && i == 0, .seed = i};
            check_all_tensors("tensors.gguf", &opt, false, 1e-6);
            check_all_tensors("tensors", &opt, true, 1e-6);
        }
    }
    check_all_tensors("half", &(ba_tiny_options){.type = BA_F16}, true, 1e-3);
    check_all_tensors("half.gguf", &(ba_tiny_options){.type = BA_BF16}, false, 1e-2);
}

static void test_types(void) {
    for (int t = 0; t < BA_DTYPE_COUNT; t++) {
        const ba_tiny_options opt = {.type = (ba_dtype)t, .d_model = 256, .head_dim = 64, .d_ff = 256};
        ba_model *m = open_tiny("types.gguf", &opt, false);
        ba_tensor_view v;
        CU_ASSERT_TRUE_FATAL(ba_model_tensor(m, BA_T_DOWN, 1, &v));
        CU_ASSERT_EQUAL(v.type, (ba_dtype)t);
        float row[256];
        double sum = 0;
        ba_dtype_get(v.type)->decode(v.data, row, 256);
        for (size_t i = 0; i < 256; i++) {
            sum += (double)row[i] * (double)row[i];
        }
        CU_ASSERT_TRUE(sum > 0.25 && sum < 4); /* spread like 1 / sqrt(fan in) */
        char want[64];
        snprintf(want, sizeof want, t == BA_F32 ? "F32 (20)" : "%s (15), F32 (5)", ba_dtype_get((ba_dtype)t)->name);
        CU_ASSERT_STRING_EQUAL(ba_model_types(m), want);
        ba_model_close(m);
    }
}

static void test_shards(void) {
    const ba_tiny_options opt = {.shards = 3, .untied = true};
    check_all_tensors("sharded", &opt, true, 1e-6);
}

static void test_hash(void) {
    const ba_tiny_meta base[] = {{"llama.rope.freq_base", BA_TINY_F32, 20000, 0}, {0}};
    const ba_tiny_meta other[] = {{"general.name", BA_TINY_STRING, 0, "another name"}, {0}};
    const ba_tiny_options options[] = {{0}, {.meta = other}, {.seed = 1}, {.meta = base}, {.type = BA_F16}};
    char hash[5][33];
    for (size_t i = 0; i < 5; i++) {
        ba_model *m = open_tiny("hash.gguf", &options[i], false);
        snprintf(hash[i], sizeof hash[i], "%s", ba_model_hash(m));
        CU_ASSERT_EQUAL(strspn(hash[i], "0123456789abcdef"), 32);
        CU_ASSERT_STRING_EQUAL(ba_model_hash(m), hash[i]);
        ba_model_close(m);
    }
    CU_ASSERT_STRING_EQUAL(hash[0], hash[1]);
    for (size_t i = 2; i < 5; i++) {
        for (size_t k = 0; k < i; k++) {
            CU_ASSERT_STRING_NOT_EQUAL(hash[i], hash[k]);
        }
    }
}

/* ---- rotary frequencies ----------------------------------------------------------------------------------------- */

/* Expected values: transformers 5.23, ROPE_INIT_FUNCTIONS, in single precision. */
static void test_frequencies(void) {
    const struct {
        ba_rope rope;
        double freq[8], magnitude;
    } rows[] = {
        {{.theta = 1e4, .scaling = BA_ROPE_LINEAR, .factor = 4},
         {0.25, 0.079056941, 0.0250000004, 0.00790569466, 0.00249999994, 0.000790569466, 0.000250000012,
          7.90569466e-05},
         1},
        {{.theta = 1e4, .scaling = BA_ROPE_LLAMA3, .factor = 4, .low_freq = 1, .high_freq = 4, .original_ctx = 64},
         {1, 0.254647911, 0.0254647899, 0.00790569466, 0.00249999994, 0.000790569466, 0.000250000012, 7.90569466e-05},
         1},
        {{.theta = 1e4,
          .scaling = BA_ROPE_YARN,
          .factor = 4,
          .original_ctx = 512,
          .beta_fast = 32,
          .beta_slow = 1,
          .magnitude = 1.138629436111989},
         {1, 0.25693506, 0.0625, 0.0138349654, 0.00249999994, 0.000790569466, 0.000250000012, 7.90569466e-05},
         1.138629436111989},
        {{.theta = 1e4,
          .scaling = BA_ROPE_YARN,
          .factor = 4,
          .original_ctx = 512,
          .beta_fast = 16,
          .beta_slow = 2,
          .magnitude = 1.5},
         {1, 0.316227764, 0.0749999955, 0.0158113893, 0.00249999994, 0.000790569466, 0.000250000012, 7.90569466e-05},
         1.5},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        double freq[8], magnitude;
        ba_rope_freqs(&rows[i].rope, 16, freq, &magnitude);
        CU_ASSERT_EQUAL(magnitude, rows[i].magnitude);
        for (size_t k = 0; k < 8; k++) {
            CU_ASSERT_DOUBLE_EQUAL(freq[k], rows[i].freq[k], 2e-7 * rows[i].freq[k]);
        }
    }
}

/* The divisors that GGUF files of Llama 3 carry say the same as the formula. */
static void test_frequency_factors(void) {
    const ba_rope plain = {.theta = 1e4}, llama3 = {.theta = 1e4,
                                                    .scaling = BA_ROPE_LLAMA3,
                                                    .factor = 4,
                                                    .low_freq = 1,
                                                    .high_freq = 4,
                                                    .original_ctx = 64};
    double base[8], want[8], got[8], magnitude;
    float factors[8];
    ba_rope_freqs(&plain, 16, base, &magnitude);
    ba_rope_freqs(&llama3, 16, want, &magnitude);
    for (size_t i = 0; i < 8; i++) {
        CU_ASSERT_DOUBLE_EQUAL(base[i], pow(1e4, -(double)i / 8), 1e-16);
        factors[i] = (float)(base[i] / want[i]);
    }
    ba_model *m = open_tiny("factors.gguf", &(ba_tiny_options){.freq_factors = factors}, false);
    ba_rope_freqs(&ba_model_shape(m)->rope, 16, got, &magnitude);
    CU_ASSERT_EQUAL(magnitude, 1);
    for (size_t i = 0; i < 8; i++) {
        CU_ASSERT_DOUBLE_EQUAL(got[i], want[i], 1e-6 * want[i]);
    }
    ba_model_close(m);
}

/* ---- published shapes ------------------------------------------------------------------------------------------- */

static void test_named_shapes(void) {
    const ba_shape *s = ba_shape_by_name("llama-3.1-8b");
    CU_ASSERT_PTR_NOT_NULL_FATAL(s);
    CU_ASSERT_EQUAL(ba_shape_layer_weights(s), UINT64_C(6979321856));
    CU_ASSERT_EQUAL(ba_shape_head_weights(s), UINT64_C(525336576));
    CU_ASSERT_PTR_NULL(ba_shape_by_name("llama"));
    size_t n = 0;
    for (const ba_named_shape *row; (row = ba_named_shape_at(n)); n++) {
        CU_ASSERT_PTR_EQUAL(ba_shape_by_name(row->name), &row->shape);
        CU_ASSERT_EQUAL(row->shape.heads % row->shape.kv_heads, 0);
        CU_ASSERT_TRUE(row->shape.attn_scale > 0 && row->shape.embed_scale > 0 && row->shape.rope.theta > 1);
        /* Gemma 3 27B is the one exception: its query_pre_attn_scalar is 168, width over heads. */
        bool own_scale = strcmp(row->name, "gemma3-27b") == 0;
        double scalar = (double)(own_scale ? row->shape.d_model / row->shape.heads : row->shape.head_dim);
        CU_ASSERT_DOUBLE_EQUAL(row->shape.attn_scale, 1 / sqrt(scalar), 1e-15);
    }
    CU_ASSERT_TRUE(n >= 8);
}

static bool same_rope(const ba_rope *a, const ba_rope *b) {
    return a->theta == b->theta && a->scaling == b->scaling && a->factor == b->factor && a->magnitude == b->magnitude;
}

static bool same_shape(const ba_shape *a, const ba_shape *b) {
    return strcmp(a->arch, b->arch) == 0 && a->layers == b->layers && a->d_model == b->d_model &&
           a->heads == b->heads && a->kv_heads == b->kv_heads && a->head_dim == b->head_dim && a->d_ff == b->d_ff &&
           a->vocab == b->vocab && a->ctx == b->ctx && a->norm_eps == b->norm_eps && a->attn_scale == b->attn_scale &&
           a->embed_scale == b->embed_scale && a->glu == b->glu && a->tied == b->tied && a->qkv_bias == b->qkv_bias &&
           a->qk_norm == b->qk_norm && a->post_norms == b->post_norms && a->window == b->window &&
           memcmp(a->local, b->local, sizeof a->local) == 0 && same_rope(&a->rope, &b->rope) &&
           same_rope(&a->rope_local, &b->rope_local);
}

/* A config.json alone says what opening its whole folder says, and a damaged one is refused by its field. */
static void test_shape_alone(void) {
    static const char *const folders[] = {"gemma3", "llama", "mistral", "qwen2", "qwen3"};
    char folder[512], file[600], err[BA_ERR_LEN];
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        ba_shape of_file, of_folder;
        ba_model *m;
        snprintf(folder, sizeof folder, "tests/golden/tiny/%s", folders[i]);
        snprintf(file, sizeof file, "%s/config.json", folder);
        CU_ASSERT_EQUAL_FATAL(ba_model_open(folder, true, &m, err), 0);
        CU_ASSERT_EQUAL(ba_shape_read(file, &of_file, err), 0);
        CU_ASSERT_EQUAL(ba_shape_read(folder, &of_folder, err), 0);
        CU_ASSERT_TRUE(same_shape(&of_file, ba_model_shape(m)));
        CU_ASSERT_TRUE(same_shape(&of_file, &of_folder));
        ba_model_close(m);
    }
    mkdir(in_test_dir("shape", folder), 0700);
    CU_ASSERT_EQUAL(ba_tiny_folder(folder, &(ba_tiny_options){.config = "{\"head_dim\":15}"}), 0);
    CU_ASSERT_EQUAL(ba_shape_read(folder, &(ba_shape){0}, err), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err, "shape/config.json: the head size is 15"));
    CU_ASSERT_EQUAL(ba_shape_read("tests/golden/README.md", &(ba_shape){0}, err), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err, "README.md: not JSON"));
}

static void test_real_model(void) {
    char err[BA_ERR_LEN];
    ba_model *m;
    if (!ba_test_model()) {
        ba_test_skip("the default model is not cached");
        return;
    }
    CU_ASSERT_EQUAL_FATAL(ba_model_open(ba_test_model(), true, &m, err), 0);
    const ba_shape *s = ba_model_shape(m), *want = ba_shape_by_name("smollm2-135m");
    CU_ASSERT_EQUAL(ba_shape_layer_weights(s), ba_shape_layer_weights(want));
    CU_ASSERT_EQUAL(ba_shape_head_weights(s), ba_shape_head_weights(want));
    CU_ASSERT_EQUAL(s->layers, want->layers);
    CU_ASSERT_EQUAL(s->kv_heads, want->kv_heads);
    CU_ASSERT_EQUAL(s->ctx, want->ctx);
    CU_ASSERT_EQUAL(s->rope.theta, want->rope.theta);
    CU_ASSERT_DOUBLE_EQUAL(s->norm_eps, want->norm_eps, 1e-12);
    CU_ASSERT_EQUAL(ba_model_vocab(m)->n, 49152);
    CU_ASSERT_EQUAL(ba_model_vocab(m)->n_merge, 48900);
    CU_ASSERT_STRING_EQUAL(ba_model_vocab(m)->pre, "smollm");
    CU_ASSERT_STRING_EQUAL(ba_model_types(m), "Q4_1 (210), F32 (61), Q8_0 (1)");
    CU_ASSERT_EQUAL(ba_model_file_bytes(m), 98362432);
    ba_model_close(m);
}

/* ---- vocabulary ------------------------------------------------------------------------------------------------- */

static void test_vocabulary(void) {
    ba_model *m = open_tiny("vocabulary.gguf", NULL, false);
    const ba_vocab *v = ba_model_vocab(m);
    CU_ASSERT_EQUAL(v->kind, BA_VOCAB_BPE);
    CU_ASSERT_STRING_EQUAL(v->pre, "smollm");
    CU_ASSERT_EQUAL(v->n, ba_tiny_vocab(NULL));
    CU_ASSERT_EQUAL(v->bos, 0);
    CU_ASSERT_EQUAL(v->eos, 2);
    CU_ASSERT_EQUAL(v->unk, -1);
    CU_ASSERT_EQUAL(v->n_eog, 2); /* eos, and <|endoftext|> by its text */
    CU_ASSERT_EQUAL(v->eog[0], 2);
    CU_ASSERT_EQUAL(v->type[1], BA_TOKEN_CONTROL);
    CU_ASSERT_EQUAL(v->type[3], BA_TOKEN_NORMAL);
    CU_ASSERT_TRUE(v->token[3 + 'A'].n == 1 && v->token[3 + 'A'].s[0] == 'A');
    CU_ASSERT_TRUE(v->merge[0].n == 4 && memcmp(v->merge[0].s, "\xc4\xa0 t", 4) == 0);
    CU_ASSERT_PTR_NOT_NULL_FATAL(v->chat_template);
    CU_ASSERT_PTR_NOT_NULL(strstr(v->chat_template, "<|im_start|>"));
    CU_ASSERT_FALSE(v->add_bos || v->add_space_prefix);
    ba_model_close(m);
}

/* The score of a token that a merge makes is minus the rank of the merge, which is what the folder has. */
static bool made_by_merge(const ba_recipe *r, ba_span token, float score) {
    size_t rank = (size_t)-score;
    const ba_pair *m = rank < r->n_merges ? &r->merge[rank] : NULL;
    return m && m->left.n + m->right.n == token.n && memcmp(token.s, m->left.s, m->left.n) == 0 &&
           memcmp(token.s + m->left.n, m->right.s, m->right.n) == 0;
}

/* GGUF and folder of one model hold one vocabulary, with scores or merges as the format has them. */
static void test_same_vocabulary(void) {
    for (int spm = 0; spm < 2; spm++) {
        const ba_tiny_options opt = {.spm = spm};
        ba_model *a = open_tiny("same.gguf", &opt, false), *b = open_tiny(spm ? "same-spm" : "same-bpe", &opt, true);
        const ba_vocab *v = ba_model_vocab(a), *w = ba_model_vocab(b);
        CU_ASSERT_EQUAL(v->kind, spm ? BA_VOCAB_SPM : BA_VOCAB_BPE);
        CU_ASSERT_EQUAL(v->kind, w->kind);
        CU_ASSERT_STRING_EQUAL(v->pre, w->pre);
        CU_ASSERT_EQUAL_FATAL(v->n, w->n);
        for (size_t i = 0; i < v->n; i++) {
            CU_ASSERT_TRUE(v->token[i].n == w->token[i].n && memcmp(v->token[i].s, w->token[i].s, v->token[i].n) == 0);
            CU_ASSERT_EQUAL(v->type[i], w->type[i]);
            if (spm && v->type[i] == BA_TOKEN_NORMAL && v->score[i] > -1000) { /* made by a merge */
                CU_ASSERT_TRUE(made_by_merge(w->recipe, v->token[i], v->score[i]));
            }
        }
        if (!spm) {
            CU_ASSERT_EQUAL_FATAL(v->n_merge, w->n_merge);
            for (size_t i = 0; i < v->n_merge; i++) {
                CU_ASSERT_TRUE(v->merge[i].n == w->merge[i].n &&
                               memcmp(v->merge[i].s, w->merge[i].s, v->merge[i].n) == 0);
            }
        }
        CU_ASSERT_EQUAL(v->bos, w->bos);
        CU_ASSERT_EQUAL(v->eos, w->eos);
        CU_ASSERT_EQUAL(v->n_eog, w->n_eog);
        CU_ASSERT_EQUAL(v->add_bos, w->add_bos);
        CU_ASSERT_EQUAL(v->add_space_prefix, w->add_space_prefix);
        CU_ASSERT_STRING_EQUAL(v->chat_template, w->chat_template);
        ba_model_close(a);
        ba_model_close(b);
    }
}

static void omit_all(void *arg, ba_tiny_entry *entry) {
    (void)arg;
    entry->omit = true;
}

static void test_vocabulary_only(void) {
    const ba_tiny_options opt = {.edit = omit_all};
    char path[512], err[BA_ERR_LEN];
    ba_model *m = NULL;
    in_test_dir("vocabulary-only.gguf", path);
    CU_ASSERT_EQUAL_FATAL(ba_tiny_gguf(path, &opt), 0);
    CU_ASSERT_EQUAL(ba_model_open(path, true, &m, err), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err, "only a vocabulary"));
    CU_ASSERT_EQUAL_FATAL(ba_model_open(path, false, &m, err), 0);
    CU_ASSERT_EQUAL(ba_model_vocab(m)->n, ba_tiny_vocab(NULL));
    CU_ASSERT_EQUAL(ba_model_shape(m)->layers, 2);
    CU_ASSERT_FALSE(ba_model_has_weights(m));
    CU_ASSERT_FALSE(ba_model_tensor(m, BA_T_EMBED, 0, &(ba_tensor_view){0}));
    CU_ASSERT_STRING_EQUAL(ba_model_hash(m), "");
    ba_model_close(m);
}

/* Random weights: the same seed names the same model; tensors have the sizes of the shape and seeds of their own. */
static void test_random(void) {
    char err[BA_ERR_LEN], hash[3][33];
    const ba_shape *shape = ba_shape_by_name("smollm2-135m");
    for (uint64_t i = 0; i < 3; i++) {
        ba_model *m;
        CU_ASSERT_EQUAL_FATAL(ba_model_random(shape, "smollm2-135m", i / 2, &m, err), 0);
        ba_tensor_view q = {0}, up = {0}, head = {0};
        size_t n;
        CU_ASSERT_TRUE_FATAL(ba_model_tensor(m, BA_T_Q, 0, &q) && ba_model_tensor(m, BA_T_UP, 29, &up));
        CU_ASSERT_TRUE(ba_model_tensor(m, BA_T_HEAD, 0, &head));
        CU_ASSERT_EQUAL(up.rows, shape->d_ff);
        CU_ASSERT_TRUE(!q.data && q.seed != up.seed);
        CU_ASSERT_EQUAL(ba_model_gain(m, BA_T_FFN_NORM, 3, &n)[n - 1], 1);
        CU_ASSERT_TRUE(ba_model_has_weights(m));
        snprintf(hash[i], sizeof hash[i], "%s", ba_model_hash(m));
        ba_model_close(m);
    }
    CU_ASSERT_STRING_EQUAL(hash[0], hash[1]);
    CU_ASSERT_STRING_NOT_EQUAL(hash[0], hash[2]);
}

int ba_suite_model(void) {
    CU_pSuite s = CU_add_suite("model", NULL, NULL);
    return s && CU_add_test(s, "shape of a GGUF file", test_shape) &&
                   CU_add_test(s, "shape of gemma3: windows, two ropes, scaled embeddings", test_gemma_shape) &&
                   CU_add_test(s, "GGUF: windows and rope scalings", test_gguf_variants) &&
                   CU_add_test(s, "config.json: windows and rope scalings", test_config_variants) &&
                   CU_add_test(s, "every value of every tensor, GGUF and folder, all architectures", test_tensors) &&
                   CU_add_test(s, "every storage type", test_types) && CU_add_test(s, "sharded weights", test_shards) &&
                   CU_add_test(s, "hash names weights and shape", test_hash) &&
                   CU_add_test(s, "rotary frequencies against transformers", test_frequencies) &&
                   CU_add_test(s, "rotary frequency factors", test_frequency_factors) &&
                   CU_add_test(s, "published shapes", test_named_shapes) &&
                   CU_add_test(s, "a shape from a config.json alone", test_shape_alone) &&
                   CU_add_test(s, "random weights of a shape", test_random) &&
                   CU_add_test(s, "the real model", test_real_model) &&
                   CU_add_test(s, "vocabulary of a GGUF file", test_vocabulary) &&
                   CU_add_test(s, "one vocabulary in both formats", test_same_vocabulary) &&
                   CU_add_test(s, "a vocabulary alone", test_vocabulary_only)
               ? 0
               : -1;
}

#include "shape.h"

#include <math.h>
#include <string.h>

static const double two_pi = 6.283185307179586476925;

/* Llama 3.1: long wavelengths are stretched by the factor, short ones kept, those between blended (modeling code of
 * Llama 3.1, "rope_type": "llama3"). */
static double llama3_freq(const ba_rope *r, double freq) {
    double wavelength = two_pi / freq;
    if (wavelength < r->original_ctx / r->high_freq) {
        return freq;
    }
    if (wavelength > r->original_ctx / r->low_freq) {
        return freq / r->factor;
    }
    double keep = (r->original_ctx / wavelength - r->low_freq) / (r->high_freq - r->low_freq);
    return (1 - keep) * freq / r->factor + keep * freq;
}

/* YaRN (arXiv 2309.00071, section 3.2): the pair that turns `turns` times over the original context. */
static double yarn_pair(const ba_rope *r, size_t head_dim, double turns) {
    return (double)head_dim * log(r->original_ctx / (turns * two_pi)) / (2 * log(r->theta));
}

/* Share of the stretched frequency in pair i: 0 for fast pairs, 1 for slow ones, a ramp between. */
static double yarn_ramp(const ba_rope *r, size_t head_dim, size_t i) {
    double from = yarn_pair(r, head_dim, r->beta_fast), to = yarn_pair(r, head_dim, r->beta_slow);
    double low = fmax(r->exact_ramp ? from : floor(from), 0);
    double high = fmin(r->exact_ramp ? to : ceil(to), (double)head_dim - 1);
    double width = high == low ? 0.001 : high - low;
    return fmin(fmax(((double)i - low) / width, 0), 1);
}

void ba_rope_freqs(const ba_rope *rope, size_t head_dim, double *freq, double *magnitude) {
    for (size_t i = 0; i < head_dim / 2; i++) {
        double f = pow(rope->theta, -2 * (double)i / (double)head_dim);
        switch (rope->scaling) {
        case BA_ROPE_LINEAR:
            f /= rope->factor;
            break;
        case BA_ROPE_LLAMA3:
            f = llama3_freq(rope, f);
            break;
        case BA_ROPE_YARN: {
            double stretched = yarn_ramp(rope, head_dim, i);
            f = stretched * f / rope->factor + (1 - stretched) * f;
            break;
        }
        case BA_ROPE_NONE:
            break;
        }
        freq[i] = rope->freq_factors ? f / (double)rope->freq_factors[i] : f;
    }
    *magnitude = rope->scaling == BA_ROPE_YARN ? rope->magnitude : 1;
}

/* ---- published shapes ------------------------------------------------------------------------------------------- */

/* From the config.json that each model is published with. */
#define SIZES(l, d, h, kv, hd, ff, v, n)                                                                               \
    .layers = (l), .d_model = (d), .heads = (h), .kv_heads = (kv), .head_dim = (hd), .d_ff = (ff), .vocab = (v),       \
    .ctx = (n)
#define ROPE(base)                                                                                                     \
    { .theta = (base), .magnitude = 1 }
#define ROPE_LLAMA3(by)                                                                                                \
    {                                                                                                                  \
        .theta = 5e5, .scaling = BA_ROPE_LLAMA3, .factor = (by), .low_freq = 1, .high_freq = 4, .original_ctx = 8192,  \
        .magnitude = 1                                                                                                 \
    }
#define ROPE_LINEAR(base, by)                                                                                          \
    { .theta = (base), .scaling = BA_ROPE_LINEAR, .factor = (by), .magnitude = 1 }
#define SIX    1, 1, 1, 1, 1, 0 /* gemma 3: five layers with a window, then one without */
#define LLAMA  .arch = "llama", .embed_scale = 1, .norm_eps = 1e-5
#define QWEN2  .arch = "qwen2", .embed_scale = 1, .norm_eps = 1e-6, .qkv_bias = true
#define QWEN3  .arch = "qwen3", .embed_scale = 1, .norm_eps = 1e-6, .qk_norm = true
#define GEMMA3 .arch = "gemma3", .norm_eps = 1e-6, .qk_norm = true, .post_norms = true, .glu = BA_GLU_GELU_TANH
#define TIED   .tied = true
/* 1 / sqrt(head_dim), which is no constant expression in C. */
#define SCALE64  .attn_scale = 0.125
#define SCALE128 .attn_scale = 0.088388347648318447
#define SCALE256 .attn_scale = 0.0625

static const ba_named_shape shapes[] = {
    /*                        layers d_model heads kv head_dim d_ff  vocab  ctx */
    {"llama-3.1-8b",
     {LLAMA, SIZES(32, 4096, 32, 8, 128, 14336, 128256, 131072), SCALE128, .rope = ROPE_LLAMA3(8)},
     "meta-llama/Llama-3.1-8B"},
    {"llama-3.1-70b",
     {LLAMA, SIZES(80, 8192, 64, 8, 128, 28672, 128256, 131072), SCALE128, .rope = ROPE_LLAMA3(8)},
     "meta-llama/Llama-3.1-70B"},
    {"llama-3.3-70b",
     {LLAMA, SIZES(80, 8192, 64, 8, 128, 28672, 128256, 131072), SCALE128, .rope = ROPE_LLAMA3(8)},
     "meta-llama/Llama-3.3-70B-Instruct"},
    {"llama-3.2-1b",
     {LLAMA, SIZES(16, 2048, 32, 8, 64, 8192, 128256, 131072), SCALE64, TIED, .rope = ROPE_LLAMA3(32)},
     "meta-llama/Llama-3.2-1B"},
    {"llama-3.2-3b",
     {LLAMA, SIZES(28, 3072, 24, 8, 128, 8192, 128256, 131072), SCALE128, TIED, .rope = ROPE_LLAMA3(32)},
     "meta-llama/Llama-3.2-3B"},
    {"llama-2-7b",
     {LLAMA, SIZES(32, 4096, 32, 32, 128, 11008, 32000, 4096), SCALE128, .rope = ROPE(1e4)},
     "meta-llama/Llama-2-7b-hf"},
    {"mistral-7b-v0.3",
     {LLAMA, SIZES(32, 4096, 32, 8, 128, 14336, 32768, 32768), SCALE128, .rope = ROPE(1e6)},
     "mistralai/Mistral-7B-v0.3"},
    {"smollm2-135m",
     {LLAMA, SIZES(30, 576, 9, 3, 64, 1536, 49152, 8192), SCALE64, TIED, .rope = ROPE(1e5)},
     "HuggingFaceTB/SmolLM2-135M"},
    {"smollm2-360m",
     {LLAMA, SIZES(32, 960, 15, 5, 64, 2560, 49152, 8192), SCALE64, TIED, .rope = ROPE(1e5)},
     "HuggingFaceTB/SmolLM2-360M"},
    {"smollm2-1.7b",
     {LLAMA, SIZES(24, 2048, 32, 32, 64, 8192, 49152, 8192), SCALE64, TIED, .rope = ROPE(1.3e5)},
     "HuggingFaceTB/SmolLM2-1.7B"},
    {"qwen2.5-0.5b",
     {QWEN2, SIZES(24, 896, 14, 2, 64, 4864, 151936, 32768), SCALE64, TIED, .rope = ROPE(1e6)},
     "Qwen/Qwen2.5-0.5B"},
    {"qwen2.5-7b",
     {QWEN2, SIZES(28, 3584, 28, 4, 128, 18944, 152064, 131072), SCALE128, .rope = ROPE(1e6)},
     "Qwen/Qwen2.5-7B"},
    {"qwen3-0.6b",
     {QWEN3, SIZES(28, 1024, 16, 8, 128, 3072, 151936, 40960), SCALE128, TIED, .rope = ROPE(1e6)},
     "Qwen/Qwen3-0.6B"},
    {"qwen3-1.7b",
     {QWEN3, SIZES(28, 2048, 16, 8, 128, 6144, 151936, 40960), SCALE128, TIED, .rope = ROPE(1e6)},
     "Qwen/Qwen3-1.7B"},
    {"qwen3-4b",
     {QWEN3, SIZES(36, 2560, 32, 8, 128, 9728, 151936, 40960), SCALE128, TIED, .rope = ROPE(1e6)},
     "Qwen/Qwen3-4B"},
    {"qwen3-8b",
     {QWEN3, SIZES(36, 4096, 32, 8, 128, 12288, 151936, 40960), SCALE128, .rope = ROPE(1e6)},
     "Qwen/Qwen3-8B"},
    {"qwen3-14b",
     {QWEN3, SIZES(40, 5120, 40, 8, 128, 17408, 151936, 40960), SCALE128, .rope = ROPE(1e6)},
     "Qwen/Qwen3-14B"},
    {"qwen3-32b",
     {QWEN3, SIZES(64, 5120, 64, 8, 128, 25600, 151936, 40960), SCALE128, .rope = ROPE(1e6)},
     "Qwen/Qwen3-32B"},
    {"gemma3-270m",
     {GEMMA3, SIZES(18, 640, 4, 1, 256, 2048, 262144, 32768), SCALE256, TIED, .rope = ROPE(1e6),
      .rope_local = ROPE(1e4), .embed_scale = 25.298221281347036 /* sqrt(640) */, .window = 512,
      .local = {SIX, SIX, SIX}},
     "google/gemma-3-270m"},
    {"gemma3-1b",
     {GEMMA3, SIZES(26, 1152, 4, 1, 256, 6912, 262144, 32768), SCALE256, TIED, .rope = ROPE(1e6),
      .rope_local = ROPE(1e4), .embed_scale = 33.94112549695428 /* sqrt(1152) */, .window = 512,
      .local = {SIX, SIX, SIX, SIX, 1, 1}},
     "google/gemma-3-1b-pt"},
    {"gemma3-4b",
     {GEMMA3, SIZES(34, 2560, 8, 4, 256, 10240, 262208, 131072), SCALE256, TIED, .rope = ROPE_LINEAR(1e6, 8),
      .rope_local = ROPE(1e4), .embed_scale = 50.59644256269407 /* sqrt(2560) */, .window = 1024,
      .local = {SIX, SIX, SIX, SIX, SIX, 1, 1, 1, 1}},
     "google/gemma-3-4b-pt"},
    {"gemma3-12b",
     {GEMMA3, SIZES(48, 3840, 16, 8, 256, 15360, 262208, 131072), SCALE256, TIED, .rope = ROPE_LINEAR(1e6, 8),
      .rope_local = ROPE(1e4), .embed_scale = 61.96773353931867 /* sqrt(3840) */, .window = 1024,
      .local = {SIX, SIX, SIX, SIX, SIX, SIX, SIX, SIX}},
     "google/gemma-3-12b-pt"},
    {"gemma3-27b",
     {GEMMA3, SIZES(62, 5376, 32, 16, 128, 21504, 262208, 131072),
      .attn_scale = 0.07715167498104596 /* 1 / sqrt(168) */, TIED, .rope = ROPE_LINEAR(1e6, 8), .rope_local = ROPE(1e4),
      .embed_scale = 73.32121111929344 /* sqrt(5376) */, .window = 1024,
      .local = {SIX, SIX, SIX, SIX, SIX, SIX, SIX, SIX, SIX, SIX, 1, 1}},
     "google/gemma-3-27b-pt"},
};

const ba_named_shape *ba_named_shape_at(size_t i) {
    return i < sizeof shapes / sizeof *shapes ? &shapes[i] : NULL;
}

const ba_shape *ba_shape_by_name(const char *name) {
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        if (strcmp(shapes[i].name, name) == 0) {
            return &shapes[i].shape;
        }
    }
    return NULL;
}

uint64_t ba_shape_layer_weights(const ba_shape *s) {
    uint64_t q = (uint64_t)s->heads * s->head_dim, kv = (uint64_t)s->kv_heads * s->head_dim;
    return s->layers * (s->d_model * (2 * q + 2 * kv) + 3 * (uint64_t)s->d_model * s->d_ff);
}

uint64_t ba_shape_head_weights(const ba_shape *s) {
    return (uint64_t)s->d_model * s->vocab;
}

/* What both readers of shapes share, and the judgement of what they read. */
#include "shape_read.h"

#include <math.h>
#include <string.h>

double ba_yarn_magnitude(double factor, double mscale) {
    return factor <= 1 ? 1 : 0.1 * mscale * log(factor) + 1;
}

void ba_window_pattern(ba_shape *s, size_t period) {
    for (size_t i = 0; i < s->layers && i < BA_MAX_LAYERS; i++) {
        s->local[i] = s->window && (period == 0 || i % period != period - 1);
    }
}

static int set_llama3(ba_rope *r, const ba_rope_words *w, const char *path, char err[BA_ERR_LEN]) {
    if (!(w->low_freq > 0) || !(w->high_freq > w->low_freq) || !(w->original_ctx > 0)) {
        return ba_fail(err,
                       "%s: rope scaling llama3 needs low_freq_factor (%g) < high_freq_factor (%g), both above 0, and "
                       "the original context length (%g)",
                       path, w->low_freq, w->high_freq, w->original_ctx);
    }
    r->scaling = BA_ROPE_LLAMA3;
    r->low_freq = w->low_freq;
    r->high_freq = w->high_freq;
    r->original_ctx = w->original_ctx;
    return 0;
}

static int set_yarn(ba_rope *r, const ba_rope_words *w, size_t ctx, const char *path, char err[BA_ERR_LEN]) {
    double original = w->original_ctx > 0 ? w->original_ctx : (double)ctx;
    if (!(w->beta_slow > 0) || !(w->beta_fast > w->beta_slow) || !(w->attention_factor > 0) || !(original > 0) ||
        !(r->theta > 1)) {
        return ba_fail(err,
                       "%s: rope scaling yarn needs 0 < beta_slow (%g) < beta_fast (%g), an attention factor (%g) "
                       "and a context length (%g) above 0, theta (%g) above 1",
                       path, w->beta_slow, w->beta_fast, w->attention_factor, original, r->theta);
    }
    r->scaling = BA_ROPE_YARN;
    r->beta_fast = w->beta_fast;
    r->beta_slow = w->beta_slow;
    r->original_ctx = original;
    r->magnitude = w->attention_factor;
    r->exact_ramp = w->exact_ramp;
    return 0;
}

int ba_rope_set(ba_rope *rope, const ba_rope_words *w, size_t ctx, const char *path, char err[BA_ERR_LEN]) {
    const char *type = w->type;
    *rope = (ba_rope){.theta = rope->theta, .magnitude = 1, .factor = w->factor};
    if (strcmp(type, "none") == 0 || strcmp(type, "default") == 0) {
        rope->factor = 0;
        return 0;
    }
    if (strcmp(type, "dynamic") == 0 || strcmp(type, "longrope") == 0 || strcmp(type, "su") == 0) {
        return ba_fail(
            err,
            "%s: rope scaling '%s' is refused: its frequencies depend on the length of the prompt, so cached "
            "keys would be wrong in another one",
            path, type);
    }
    bool linear = strcmp(type, "linear") == 0, llama3 = strcmp(type, "llama3") == 0, yarn = strcmp(type, "yarn") == 0;
    if (!linear && !llama3 && !yarn) {
        return ba_fail(err, "%s: rope scaling '%s' is unknown; there is none, linear, llama3, yarn", path, type);
    }
    if (!(w->factor > 0)) {
        return ba_fail(err, "%s: rope scaling '%s' has factor %g, where a number above 0 is needed", path, type,
                       w->factor);
    }
    if (linear) {
        rope->scaling = BA_ROPE_LINEAR;
        return 0;
    }
    return llama3 ? set_llama3(rope, w, path, err) : set_yarn(rope, w, ctx, path, err);
}

/* ---- judgement -------------------------------------------------------------------------------------------------- */

static int check_size(const char *path, const char *what, size_t value, size_t max, char err[BA_ERR_LEN]) {
    if (value < 1 || value > max) {
        return ba_fail(err, "%s: %s is %zu, where 1 to %zu is possible; convert the model again", path, what, value,
                       max);
    }
    return 0;
}

static int check_real(const char *path, const char *what, double value, double min, double max, char err[BA_ERR_LEN]) {
    if (!(value > min) || !(value <= max)) {
        return ba_fail(err, "%s: %s is %g, where more than %g and up to %g is possible; convert the model again", path,
                       what, value, min, max);
    }
    return 0;
}

int ba_shape_check(const ba_shape *s, const char *path, char err[BA_ERR_LEN]) {
    /* Far above any model there is, and small enough that no product of them overflows. */
    enum { WIDTH = 1 << 20, VOCAB = 1 << 24, CONTEXT = 1 << 30 };
    if (check_size(path, "the number of layers", s->layers, BA_MAX_LAYERS, err) != 0 ||
        check_size(path, "the embedding length", s->d_model, WIDTH, err) != 0 ||
        check_size(path, "the number of heads", s->heads, WIDTH, err) != 0 ||
        check_size(path, "the number of KV heads", s->kv_heads, WIDTH, err) != 0 ||
        check_size(path, "the head size", s->head_dim, 4096, err) != 0 ||
        check_size(path, "the feed-forward length", s->d_ff, WIDTH, err) != 0 ||
        check_size(path, "the vocabulary size", s->vocab, VOCAB, err) != 0 ||
        check_size(path, "the context length", s->ctx, CONTEXT, err) != 0 ||
        check_real(path, "the epsilon of the norms", s->norm_eps, 0, 1, err) != 0 ||
        check_real(path, "the base of the rotary frequencies", s->rope.theta, 0, 1e15, err) != 0 ||
        check_real(path, "the base of the local rotary frequencies", s->window ? s->rope_local.theta : 1, 0, 1e15,
                   err) != 0 ||
        check_real(path, "the scale of attention scores", s->attn_scale, 0, 1e3, err) != 0) {
        return -1;
    }
    if (s->head_dim % 2 != 0) {
        return ba_fail(err, "%s: the head size is %zu, where rotary positions need an even one", path, s->head_dim);
    }
    if (s->heads % s->kv_heads != 0) {
        return ba_fail(err, "%s: %zu heads cannot share %zu KV heads evenly", path, s->heads, s->kv_heads);
    }
    if (s->window > CONTEXT) {
        return ba_fail(err, "%s: the sliding window is %zu tokens, where up to %d is possible", path, s->window,
                       CONTEXT);
    }
    return 0;
}

#include "pipeline.h"

#include "sim/base/utf8.h"

void ba_pipeline_init(ba_pipeline *p, const ba_recipe *recipe, size_t n) {
    size_t most = n < (SIZE_MAX - BA_GROWTH_FREE) / BA_GROWTH ? n * BA_GROWTH + BA_GROWTH_FREE : SIZE_MAX;
    *p = (ba_pipeline){.recipe = recipe, .normal_left = most, .pieces_left = most};
}

void ba_pipeline_free(ba_pipeline *p) {
    for (size_t i = 0; i < 2; i++) {
        ba_line_free(&p->line[i]);
        ba_pieces_free(&p->pieces[i]);
    }
    ba_line_free(&p->room.line);
    ba_cuts_free(&p->room.cuts);
}

/* Why a step failed; out: what it wrote to. */
static int step_failed(const char *where, size_t i, const ba_step *s, const ba_line *out, char err[BA_ERR_LEN]) {
    if (out->over) {
        return ba_fail(
            err,
            "tokenizer.json: step %zu of '%s' (%s) makes the text too long: the limit is %d times the length "
            "of the input and %d KiB",
            i + 1, where, s->type->name, BA_GROWTH, BA_GROWTH_FREE >> 10);
    }
    if (out->why) {
        return ba_fail(err, "tokenizer.json: step %zu of '%s' (%s): %s", i + 1, where, s->type->name, out->why);
    }
    return s->regex ? ba_fail(err,
                              "tokenizer.json: step %zu of '%s' (%s): its regular expression takes too many steps on "
                              "this text, or there is no memory",
                              i + 1, where, s->type->name)
                    : ba_fail(err, "out of memory");
}

/* An empty line that holds up to `left` bytes. */
static void prepare(ba_line *l, size_t left) {
    ba_line_clear(l);
    l->most = left ? left : 1;
}

static size_t less(size_t left, size_t n) {
    return left > n ? left - n : 0;
}

int ba_pipeline_normalise(ba_pipeline *p, const char *text, size_t n, bool first, const ba_line **out,
                          char err[BA_ERR_LEN]) {
    int32_t code;
    size_t top = first ? ba_utf8_next(text, n, &code) : 0, now = 0;
    prepare(&p->line[0], SIZE_MAX);
    if (ba_line_put(&p->line[0], text, top, true) || ba_line_put(&p->line[0], text + top, n - top, false)) {
        return ba_fail(err, "out of memory");
    }
    for (size_t i = 0; i < p->recipe->n_normalizers; i++) {
        const ba_step *s = &p->recipe->normalizer[i];
        prepare(&p->line[!now], p->normal_left);
        if (s->type->normalise(s, &p->line[now], first, &p->line[!now])) {
            return step_failed("normalizer", i, s, &p->line[!now], err);
        }
        now = !now;
    }
    *out = &p->line[now];
    p->normal_left = less(p->normal_left, (*out)->n);
    return 0;
}

int ba_pipeline_split(ba_pipeline *p, const ba_line *line, size_t at, size_t n, const ba_pieces **out,
                      char err[BA_ERR_LEN]) {
    size_t now = 0;
    ba_pieces_clear(&p->pieces[0]);
    p->pieces[0].line.most = SIZE_MAX;
    if (ba_pieces_cut(&p->pieces[0], line, at, n)) {
        return ba_fail(err, "out of memory");
    }
    for (size_t k = 0; k < p->recipe->n_pre_tokenizers; k++) {
        const ba_step *s = &p->recipe->pre_tokenizer[k];
        ba_pieces *next = &p->pieces[!now];
        ba_pieces_clear(next);
        prepare(&next->line, p->pieces_left);
        for (size_t i = 0; i < p->pieces[now].n; i++) {
            if (s->type->split(s, &p->room, &p->pieces[now], i, next)) {
                return step_failed("pre_tokenizer", k, s, &next->line, err);
            }
        }
        now = !now;
    }
    *out = &p->pieces[now];
    p->pieces_left = less(p->pieces_left, (*out)->line.n);
    return 0;
}

int ba_normalise(const ba_recipe *recipe, const char *text, size_t n, ba_line *out, char err[BA_ERR_LEN]) {
    ba_pipeline p;
    const ba_line *line;
    ba_pipeline_init(&p, recipe, n);
    int rc = ba_pipeline_normalise(&p, text, n, true, &line, err);
    if (rc == 0 && ba_line_copy(out, line, 0, line->n) != 0) {
        rc = ba_fail(err, "out of memory");
    }
    ba_pipeline_free(&p);
    return rc;
}

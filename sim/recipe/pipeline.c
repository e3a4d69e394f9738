#include "pipeline.h"

#include "sim/base/utf8.h"

void ba_pipeline_free(ba_pipeline *p) {
    for (size_t i = 0; i < 2; i++) {
        ba_line_free(&p->line[i]);
        ba_pieces_free(&p->pieces[i]);
    }
    ba_line_free(&p->room.line);
    ba_cuts_free(&p->room.cuts);
}

int ba_pipeline_normalise(ba_pipeline *p, const char *text, size_t n, bool first, const ba_line **out) {
    int32_t code;
    size_t top = first ? ba_utf8_next(text, n, &code) : 0, now = 0;
    ba_line_clear(&p->line[0]);
    if (ba_line_put(&p->line[0], text, top, true) || ba_line_put(&p->line[0], text + top, n - top, false)) {
        return -1;
    }
    for (size_t i = 0; i < p->recipe->n_normalizers; i++) {
        const ba_step *s = &p->recipe->normalizer[i];
        ba_line_clear(&p->line[!now]);
        if (s->type->normalise(s, &p->line[now], first, &p->line[!now])) {
            return -1;
        }
        now = !now;
    }
    *out = &p->line[now];
    return 0;
}

int ba_pipeline_split(ba_pipeline *p, const ba_line *line, size_t at, size_t n, const ba_pieces **out) {
    size_t now = 0;
    ba_pieces_clear(&p->pieces[0]);
    if (ba_pieces_cut(&p->pieces[0], line, at, n)) {
        return -1;
    }
    for (size_t k = 0; k < p->recipe->n_pre_tokenizers; k++) {
        const ba_step *s = &p->recipe->pre_tokenizer[k];
        ba_pieces_clear(&p->pieces[!now]);
        for (size_t i = 0; i < p->pieces[now].n; i++) {
            if (s->type->split(s, &p->room, &p->pieces[now], i, &p->pieces[!now])) {
                return -1;
            }
        }
        now = !now;
    }
    *out = &p->pieces[now];
    return 0;
}

int ba_normalise(const ba_recipe *recipe, const char *text, size_t n, ba_line *out) {
    ba_pipeline p = {.recipe = recipe};
    const ba_line *line;
    int rc = ba_pipeline_normalise(&p, text, n, true, &line) || ba_line_copy(out, line, 0, line->n) ? -1 : 0;
    ba_pipeline_free(&p);
    return rc;
}

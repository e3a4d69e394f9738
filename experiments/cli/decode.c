#include "decode.h"

#include "sim/base/grow.h"

#include <stdlib.h>
#include <string.h>

typedef struct buffer {
    char *text;
    size_t len, cap;
} buffer;

static int append(buffer *b, const char *bytes, size_t n) {
    if (ba_grow(&b->text, &b->cap, b->len + n + 1, 1)) {
        return -1;
    }
    memcpy(b->text + b->len, bytes, n);
    b->len += n;
    b->text[b->len] = 0;
    return 0;
}

/* Where the first of the stop texts begins; NULL: none is there. */
static char *find_stop(const buffer *b, const char *const *stop) {
    char *first = NULL;
    for (; stop && *stop; stop++) {
        char *at = memmem(b->text, b->len, *stop, strlen(*stop));
        first = at && (!first || at < first) ? at : first;
    }
    return first;
}

/* Bytes at the end that may still turn into a stop text. */
static size_t held_back(const char *const *stop) {
    size_t longest = 1;
    for (; stop && *stop; stop++) {
        size_t n = strlen(*stop);
        longest = n > longest ? n : longest;
    }
    return longest - 1;
}

static int decode(ba_engine *e, const ba_tokenizer *tok, ba_run *run, const ba_decode_options *opt, buffer *text,
                  ba_decoded *out, char err[BA_ERR_LEN]) {
    size_t shown = 0, hold = held_back(opt->stop);
    uint64_t rng = opt->seed;
    while (out->n < opt->max_tokens) {
        int rc = ba_run_check(run, err);
        if (rc) {
            return rc;
        }
        int32_t id = ba_sample(ba_run_logits(run), ba_engine_shape(e)->vocab, opt->temperature, &rng);
        if (ba_token_ends(tok, id)) {
            out->stop = "eos";
            break;
        }
        char bytes[512];
        size_t n = ba_token_bytes(tok, id, false, bytes, sizeof bytes);
        out->ids[out->n++] = id;
        if (append(text, bytes, n)) {
            return ba_fail(err, "out of memory");
        }
        char *cut = find_stop(text, opt->stop);
        if (cut) {
            *cut = 0;
            text->len = (size_t)(cut - text->text);
            out->stop = "string";
            break;
        }
        if (opt->live && text->len > shown + hold) {
            fwrite(text->text + shown, 1, text->len - hold - shown, opt->live);
            fflush(opt->live);
            shown = text->len - hold;
        }
        rc = out->n < opt->max_tokens ? ba_run_extend(run, &id, 1, NULL, err) : 0;
        if (rc) {
            return rc;
        }
    }
    if (opt->live) {
        fwrite(text->text + shown, 1, text->len - shown, opt->live);
        fputc('\n', opt->live);
        fflush(opt->live);
    }
    return 0;
}

int ba_decode(ba_engine *e, const ba_tokenizer *tok, ba_run *run, const ba_decode_options *opt, ba_decoded *out,
              char err[BA_ERR_LEN]) {
    buffer text = {0};
    *out = (ba_decoded){.stop = "length", .ids = calloc(opt->max_tokens, sizeof *out->ids)};
    int rc =
        out->ids && !append(&text, "", 0) ? decode(e, tok, run, opt, &text, out, err) : ba_fail(err, "out of memory");
    out->text = text.text;
    out->len = text.len;
    return rc;
}

void ba_decoded_free(ba_decoded *d) {
    free(d->ids);
    free(d->text);
    *d = (ba_decoded){0};
}

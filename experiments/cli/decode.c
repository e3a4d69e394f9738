#include "decode.h"

#include "kernels/base/clock.h"
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

/* The bytes of a token, or without a tokenizer its id and a space. */
static size_t spell(const ba_tokenizer *tok, int32_t id, char *out, size_t size) {
    return tok ? ba_token_bytes(tok, id, false, out, size) : (size_t)snprintf(out, size, "%d ", (int)id);
}

static int decode(ba_engine *e, const ba_tokenizer *tok, ba_run *run, const ba_decode_options *opt, buffer *text,
                  ba_decoded *out, char err[BA_ERR_LEN]) {
    size_t shown = 0, hold = held_back(opt->stop);
    uint64_t rng = opt->seed;
    double start = ba_now();
    while (out->n < opt->max_tokens) {
        int rc = ba_run_check(run, err);
        if (rc) {
            return rc;
        }
        int32_t id = ba_sample(ba_run_logits(run), ba_engine_shape(e)->vocab, opt->temperature, &rng);
        if (tok && ba_token_ends(tok, id)) {
            out->stop = "eos";
            break;
        }
        char bytes[512];
        size_t n = spell(tok, id, bytes, sizeof bytes);
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
        double end = ba_now();
        out->token_s[out->n - 1] = end - start;
        start = end;
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
    *out = (ba_decoded){.stop = "length",
                        .ids = calloc(opt->max_tokens, sizeof *out->ids),
                        .token_s = calloc(opt->max_tokens, sizeof *out->token_s)};
    bool room = out->ids && out->token_s && !append(&text, "", 0);
    int rc = room ? decode(e, tok, run, opt, &text, out, err) : ba_fail(err, "out of memory");
    out->text = text.text;
    out->len = text.len;
    return rc;
}

void ba_decoded_free(ba_decoded *d) {
    free(d->ids);
    free(d->token_s);
    free(d->text);
    *d = (ba_decoded){0};
}

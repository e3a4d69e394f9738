/* Text to ids and back, and the segmentation of a message: any bytes. The tiny vocabularies have every byte, so that
 * nothing may be lost. SentencePiece's own sign for a space, U+2581, comes back as a space, though, and after every
 * control token it puts a space in front of the text. */
#include "targets.h"
#include "vocabulary.h"

#include "sim/prompt/prompt.h"

#include <stdlib.h>
#include <string.h>

static void *open_text(const ba_fuzz *self, const char *folder) {
    (void)self;
    return ba_fuzz_vocabulary_open(folder);
}

static const char space_sign[] = "\xe2\x96\x81";

static bool there_and_back(const ba_tokenizer *tok, bool special, const char *text, size_t len) {
    int32_t *ids = NULL;
    char err[BA_ERR_LEN];
    size_t n = 0, got = 0;
    if (ba_tokenize(tok, text, len, special, &ids, &n, err) != 0) {
        return ba_fuzz_check(strncmp(err, "tokenizer.json: step ", 21) == 0, "there is memory");
    }
    bool known = true;
    for (size_t i = 0; i < n; i++) {
        known = known && ids[i] >= 0 && (size_t)ids[i] < ba_tokenizer_vocab(tok)->n;
    }
    char *back = ba_detokenize(tok, ids, n, true, &got);
    size_t space = back && got == len + 1 && *back == ' ';
    bool ambiguous = ba_tokenizer_vocab(tok)->kind == BA_VOCAB_SPM && (special || memmem(text, len, space_sign, 3));
    bool same = ambiguous || (back && got - space == len && memcmp(back + space, text, len) == 0);
    free(back);
    free(ids);
    return ba_fuzz_check(known, "ids are in the vocabulary") && ba_fuzz_check(same, "text comes back as it was");
}

static bool segments(const char *text, size_t len) {
    size_t begin[8], n = ba_segment_message(text, len, sizeof begin / sizeof *begin, begin);
    bool held = n <= sizeof begin / sizeof *begin && (n > 0 || len == 0) && (n == 0 || begin[0] == 0);
    for (size_t i = 1; i < n && held; i++) {
        held = begin[i - 1] < begin[i] && begin[i] < len;
    }
    return ba_fuzz_check(held, "segments ascend inside of the message");
}

static bool take(void *state, const unsigned char *data, size_t size) {
    const ba_fuzz_vocabulary *v = state;
    const char *text = (const char *)data;
    bool held = segments(text, size);
    for (int i = 0; i < 4; i++) {
        held = there_and_back(v->tok[i / 2], i % 2, text, size) && held;
    }
    return held;
}

static int seed(const ba_fuzz *self, const char *folder) {
    (void)self;
    static const char *const text[] = {"The key of the tokens, and 1234 others.\n\n---\nNext\t \xc3\xa9",
                                       "<|im_start|>user\nHello<|im_end|>\n===\n<start_of_turn>",
                                       "\xf0\x9f\x98\x80\xff\xfe \xe4\xb8\xad\xe6\x96\x87 don't I'LL  \r\n  x"};
    int rc = 0;
    for (size_t i = 0; i < sizeof text / sizeof *text; i++) {
        const char name[] = {'s', (char)('0' + i), 0};
        rc = ba_fuzz_write(folder, name, text[i], strlen(text[i])) ? -1 : rc;
    }
    return rc;
}

const ba_fuzz ba_fuzz_text = {"text", NULL, open_text, take, ba_fuzz_vocabulary_close, seed};

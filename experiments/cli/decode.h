/* Decoding: token by token after the prompt of a run, until an end token, a stop text or a number of tokens. */
#ifndef BA_DECODE_H
#define BA_DECODE_H

#include "sim/engine/engine.h"
#include "sim/tokenizer/tokenizer.h"

#include <stdio.h>

typedef struct ba_decode_options {
    size_t max_tokens;       /* >= 1 */
    double temperature;      /* 0: greedy */
    uint64_t seed;           /* of what is drawn at a temperature above 0 */
    const char *const *stop; /* texts that end it, NULL past the last; or NULL */
    FILE *live;              /* shows what can no longer belong to a stop text, as it comes; or NULL */
} ba_decode_options;

typedef struct ba_decoded {
    int32_t *ids; /* [n], owned; an end token is not among them, the tokens of a stop text are */
    size_t n;
    double *token_s; /* [n] owned: seconds from one token to the next; 0 for the last of the most that were asked for */
    char *text;      /* bytes of all ids up to the stop text, NUL-terminated, owned */
    size_t len;
    const char *stop; /* why it ended: "eos", "string" or "length" */
} ba_decoded;

/* The run has room for max_tokens - 1 tokens. tok NULL: the text is the ids, and no token ends it. 0, -1 and err, or BA_INTERRUPTED; to be freed in any case. */
int ba_decode(ba_engine *e, const ba_tokenizer *tok, ba_run *run, const ba_decode_options *opt, ba_decoded *out,
              char err[BA_ERR_LEN]);
void ba_decoded_free(ba_decoded *d);

#endif

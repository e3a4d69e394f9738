/* What the handles of blockattn.h hold; shared by the files of this folder. */
#ifndef BA_LIBRARY_PARTS_H
#define BA_LIBRARY_PARTS_H

#include "blockattn.h"
#include "sim/engine/engine.h"
#include "sim/prompt/prompt.h"
#include "sim/tokenizer/tokenizer.h"

_Static_assert(BLOCKATTN_ERR_LEN == BA_ERR_LEN, "errors are written straight into the caller's buffer");

struct blockattn_model {
    ba_model *model;
    ba_tokenizer *tok;
    ba_backend *be;
    ba_store *store;
    ba_packed *packed; /* or NULL */
    ba_engine *engine;
    char *adapter; /* part of the address of stored blocks, or NULL */
    uint64_t run_bytes;
};

struct blockattn_request {
    ba_prompt *prompt;
};

struct blockattn_plan {
    ba_plan *plan;
};

struct blockattn_run {
    ba_run *run;
    size_t vocab;
};

#endif

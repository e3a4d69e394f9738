/* The rows of the table in fuzz.c. */
#ifndef BA_FUZZ_TARGETS_H
#define BA_FUZZ_TARGETS_H

#include "fuzz.h"

extern const ba_fuzz ba_fuzz_gguf, ba_fuzz_safetensors, ba_fuzz_index, ba_fuzz_config, ba_fuzz_tokenizer, ba_fuzz_text,
    ba_fuzz_request, ba_fuzz_experiment, ba_fuzz_trace, ba_fuzz_game, ba_fuzz_block, ba_fuzz_redis, ba_fuzz_template,
    ba_fuzz_adapter, ba_fuzz_table;

#endif

/* JSON files of a Hugging Face folder, made from what a model file says. All return NULL when out of memory. */
#ifndef BA_MODEL_CONFIG_H
#define BA_MODEL_CONFIG_H

#include "parts.h"

/* config.json: the folder's own, or one made from a GGUF's shape; weights in fp32. */
cJSON *ba_model_config_json(const ba_model *m);
/* tokenizer.json of a byte-level BPE vocabulary. */
cJSON *ba_tokenizer_json(const ba_vocab *v);
cJSON *ba_tokenizer_config_json(const ba_model *m);

#endif

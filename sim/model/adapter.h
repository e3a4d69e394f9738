/* LoRA adapters as PEFT writes them: a folder with adapter_config.json and adapter_model.safetensors. An adapter is
 * merged into the weights when the model is opened, W + (alpha / r) B A in fp32, so that every backend and every mode
 * runs it without knowing; the merged model has a hash of its own. What PEFT 0.21 would compute is computed, or the
 * adapter is refused (adapter_fields.c). The folder may also hold embeddings of link tokens (KVLink), in
 * link_embeddings.safetensors. */
#ifndef BA_ADAPTER_H
#define BA_ADAPTER_H

#include "model.h"

#define BA_LINKS_FILE "link_embeddings.safetensors"

/* 0, or -1 and err: no such adapter, one that does more than this program can, one of another model (the tensor named).
 */
int ba_adapter_merge(const char *folder, ba_model *model, char err[BA_ERR_LEN]);

#endif

/* Saves what was trained in the forms that transformers and peft load: a Hugging Face folder, or a LoRA adapter.
 * Existing files of the folder are replaced one by one, each when the new one is complete. */
#ifndef BA_MODEL_SAVE_H
#define BA_MODEL_SAVE_H

#include "params.h"

/* config.json, model.safetensors (fp32), and the tokenizer: copied from the model's folder, or written from a GGUF's
 * vocabulary if that is byte-level BPE. 0, or -1 and err. */
int ba_model_save(const ba_train_net *net, const char *folder, char err[BA_ERR_LEN]);

/* 0 if ba_model_save will work, else -1 and err with the reason. Call it before training. */
int ba_model_save_check(const ba_train_net *net, char err[BA_ERR_LEN]);

/* adapter_config.json and adapter_model.safetensors. base: name or path of the model, for the record. 0, or -1 and err.
 */
int ba_adapter_save(const ba_train_net *net, const char *folder, const char *base, char err[BA_ERR_LEN]);

#endif

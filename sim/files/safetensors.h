/* Weights of a Hugging Face folder: model.safetensors, or the shards that model.safetensors.index.json lists, mapped
 * and read into one table of tensors. Nothing is trusted: headers are bounded and well formed, every tensor is inside
 * its file and has exactly the bytes that its type and shape need, no name occurs twice, every tensor of the index is
 * in the shard that it names. Format: github.com/huggingface/safetensors. */
#ifndef BA_SAFETENSORS_H
#define BA_SAFETENSORS_H

#include "tensor_table.h"

typedef struct ba_safetensors ba_safetensors;

/* Whether the folder has a file of weights, or an index of such. */
bool ba_safetensors_present(const char *folder);

/* 0, or -1 and err; a shard that is missing is named. */
int ba_safetensors_open(const char *folder, ba_safetensors **out, char err[BA_ERR_LEN]);
/* One file of a folder instead: an adapter's, a checkpoint. */
int ba_safetensors_open_file(const char *folder, const char *name, ba_safetensors **out, char err[BA_ERR_LEN]);
void ba_safetensors_close(ba_safetensors *s);
/* A text of the first file's __metadata__; NULL: there is none of that key. */
const char *ba_safetensors_note(const ba_safetensors *s, const char *key);

/* Dimensions are turned around on reading: fastest first, as everywhere here. */
const ba_file_tensor *ba_safetensors_tensors(const ba_safetensors *s, size_t *n);
uint64_t ba_safetensors_bytes(const ba_safetensors *s);

#endif

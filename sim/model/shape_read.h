/* From a file's own words to a shape. Both readers fill what the file says; ba_shape_check judges the result. */
#ifndef BA_SHAPE_READ_H
#define BA_SHAPE_READ_H

#include "arch.h"
#include "sim/files/gguf.h"

#include <cjson/cJSON.h>

/* Fill everything but the names of arch and what follows from tensors (vocab, tied, qkv_bias of GGUF, freq_factors). */
int ba_shape_from_gguf(const ba_gguf *g, const ba_arch *arch, ba_shape *s, char err[BA_ERR_LEN]);
/* config: the object that describes the text model. path: of config.json, for messages. model_type: as config.json
 * spells it ("mistral" is of the architecture llama). qkv_bias and tied are what the file says, before its tensors. */
int ba_shape_from_config(const cJSON *config, const char *path, const ba_arch *arch, const char *model_type,
                         ba_shape *s, char err[BA_ERR_LEN]);

/* A whole config.json, judged: finds its architecture and the object that describes the text model (borrowed). 0, or -1
 * and err. */
int ba_shape_from_config_file(const cJSON *config, const char *path, const cJSON **text, const ba_arch **arch,
                              ba_shape *s, char err[BA_ERR_LEN]);

/* A rope scaling in the words of Hugging Face ("default", "linear", "llama3", "yarn"); numbers that are absent are 0.
 */
typedef struct ba_rope_words {
    const char *type;
    double factor, low_freq, high_freq, original_ctx;
    double beta_fast, beta_slow, attention_factor;
    bool exact_ramp;
} ba_rope_words;

/* Sets all of `rope` but theta. ctx: the model's, where original_ctx is not given. 0, or -1 and err: a scaling whose
 * frequencies depend on the prompt's length, an unknown one, or numbers that make no sense. */
int ba_rope_set(ba_rope *rope, const ba_rope_words *words, size_t ctx, const char *path, char err[BA_ERR_LEN]);

/* YaRN's factor of cos and sin (arXiv 2309.00071, equation 22). */
double ba_yarn_magnitude(double factor, double mscale);

/* Marks all layers but every period-th as local; period 0: all, if there is a window. */
void ba_window_pattern(ba_shape *s, size_t period);

#endif

/* Which modules of a model an adapter applies to, and with which rank and scale: the rules of PEFT 0.21
 * (check_target_module_exists, get_pattern_key). A module is named as in the model: "model.layers.0.self_attn.q_proj". */
#ifndef BA_ADAPTER_TARGET_H
#define BA_ADAPTER_TARGET_H

#include "adapter_fields.h"

typedef struct ba_adapter_target ba_adapter_target;

/* Compiles what the configuration says; keeps pointers into its JSON. path: of the file, for messages. 0, or -1 and
 * err: a rule that PEFT refuses, or a regular expression that cannot be read here. */
int ba_adapter_target_new(const ba_adapter_fields *f, const char *path, ba_adapter_target **out, char err[BA_ERR_LEN]);
void ba_adapter_target_free(ba_adapter_target *t);

/* Whether the adapter applies to this module. linear: one of the layers' matrices, which is what "all-linear" means. */
bool ba_adapter_targets(const ba_adapter_target *t, const char *module, bool linear);
/* Rank and scale of a module. */
void ba_adapter_scale(const ba_adapter_target *t, const char *module, size_t *rank, double *scale);

#endif

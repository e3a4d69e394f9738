/* Fields of adapter_config.json, with the reading that PEFT 0.21 gives them. */
#ifndef BA_ADAPTER_FIELDS_H
#define BA_ADAPTER_FIELDS_H

#include "fields.h"

typedef struct ba_adapter_fields {
    const cJSON *peft_type, *task_type, *rank, *alpha, *use_rslora, *rank_pattern, *alpha_pattern, *init_lora_weights;
    const cJSON *target_modules, *exclude_modules, *layers_to_transform, *layers_pattern;
} ba_adapter_fields;

extern const ba_field_row ba_adapter_rows[];

#endif

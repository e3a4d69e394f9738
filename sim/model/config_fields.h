/* Fields of config.json, with the reading that transformers 5.24 gives them. */
#ifndef BA_CONFIG_FIELDS_H
#define BA_CONFIG_FIELDS_H

#include "fields.h"

typedef struct ba_config_fields {
    const cJSON *model_type, *architectures, *layers, *d_model, *heads, *kv_heads, *head_dim, *d_ff, *vocab, *ctx,
        *norm_eps, *hidden_act, *hidden_activation, *tied, *attention_bias, *query_pre_attn_scalar;
    const cJSON *rope_parameters, *rope_scaling, *rope_theta, *rope_local_base_freq, *original_ctx;
    const cJSON *sliding_window, *use_sliding_window, *max_window_layers, *window_pattern, *layer_types;
} ba_config_fields;

/* One rope: an object of words about scaling, which since transformers 5 also holds the base. */
typedef struct ba_rope_fields {
    const cJSON *rope_type, *type, *theta, *factor, *low_freq, *high_freq, *original_ctx, *beta_fast, *beta_slow,
        *mscale, *mscale_all_dim, *attention_factor, *truncate;
} ba_rope_fields;

/* The file of a model of text and images around its text model. */
typedef struct ba_wrapper_fields {
    const cJSON *model_type, *text_config, *tied;
} ba_wrapper_fields;

extern const ba_field_row ba_config_rows[], ba_rope_rows[], ba_wrapper_rows[];

#endif

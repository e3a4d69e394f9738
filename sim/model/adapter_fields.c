#include "adapter_fields.h"

#define FILE_NAME                   "adapter_config.json"
#define READ(field, type, m, why)   BA_ROW_READ(FILE_NAME, field, NULL, type, offsetof(ba_adapter_fields, m), why)
#define REFUSE(field, neutral, why) BA_ROW_REFUSE(FILE_NAME, field, NULL, neutral, why " " MERGE)
#define PASS(field, why)            BA_ROW_PASS(FILE_NAME, field, why)
#define MERGE                       "(merge the adapter with peft and give the merged model)"
#define TRAINING                    "used in training only"
#define BOOKKEEP                    "bookkeeping of the library that wrote the file"
#define INIT                        "settings of an init_lora_weights, which itself decides"

const ba_field_row ba_adapter_rows[] = {
    READ("peft_type", BA_JSON_TEXT, peft_type, "must be LORA"),
    READ("task_type", BA_JSON_TEXT, task_type, "CAUSAL_LM or null; other tasks have other heads"),
    READ("r", BA_JSON_WHOLE, rank, "must be the rank of the tensors; absent: 8"),
    READ("lora_alpha", BA_JSON_REAL, alpha, "absent: 8"),
    READ("use_rslora", BA_JSON_BOOL, use_rslora, "scale alpha / sqrt(r)"),
    READ("rank_pattern", BA_JSON_OBJECT, rank_pattern, "r of modules by regular expression"),
    READ("alpha_pattern", BA_JSON_OBJECT, alpha_pattern, "lora_alpha of modules by regular expression"),
    READ("target_modules", BA_JSON_TEXT | BA_JSON_LIST, target_modules,
         "list, regular expression or all-linear; tensors of other modules are ignored; absent: q_proj, v_proj"),
    READ("exclude_modules", BA_JSON_TEXT | BA_JSON_LIST, exclude_modules, "tensors of these modules are ignored"),
    READ("layers_to_transform", BA_JSON_WHOLE | BA_JSON_LIST, layers_to_transform,
         "tensors of other layers are ignored"),
    READ("layers_pattern", BA_JSON_TEXT | BA_JSON_LIST, layers_pattern,
         "must be layers, the name of the list of layers"),
    READ("init_lora_weights", BA_JSON_BOOL | BA_JSON_TEXT, init_lora_weights,
         "true, false, gaussian, eva, orthogonal; those that change the base (pissa, olora, corda, loftq, ...) are "
         "refused"),

    REFUSE("alora_invocation_tokens", NULL, "an adapter that acts from a token on cannot be merged into the weights"),
    REFUSE("layer_replication", NULL, "layers are not copied"),
    REFUSE("bias", "\"none\"", "trained biases are not read"),
    REFUSE("lora_bias", "false", "biases of the adapter are not read"),
    REFUSE("use_dora", "false", "magnitudes of DoRA are not computed"),
    REFUSE("use_qalora", "false", "pooled inputs of QALoRA are not computed"),
    REFUSE("use_bdlora", "false", "block-diagonal factors are not computed"),
    REFUSE("fan_in_fan_out", "false", "weights are stored as linear layers, not transposed"),
    REFUSE("modules_to_save", "[]", "whole trained modules are not read"),
    REFUSE("trainable_token_indices", "[]|{}", "trained rows of the embedding are not read"),
    REFUSE("target_parameters", "[]", "parameters that are no modules are not adapted"),
    REFUSE("ensure_weight_tying", "false", "adapters of tied modules are not shared"),
    REFUSE("arrow_config", NULL, "routing between adapters is not computed"),
    REFUSE("kasa_config", NULL, "it changes the weights of the base"),
    REFUSE("velora_config", NULL, "this variant is not computed"),
    REFUSE("monteclora_config", NULL, "this variant is not computed"),

    PASS("base_model_name_or_path", "--model says what the base is"),
    PASS("revision", "--model says what the base is"),
    PASS("auto_mapping", BOOKKEEP),
    PASS("peft_version", BOOKKEEP),
    PASS("inference_mode", TRAINING),
    PASS("lora_dropout", TRAINING),
    PASS("runtime_config", "ignored by PEFT, too"),
    PASS("megatron_config", "only for models of Megatron"),
    PASS("megatron_core", "only for models of Megatron"),
    PASS("qalora_group_size", "of use_qalora, which is refused"),
    PASS("loftq_config", INIT),
    PASS("eva_config", INIT),
    PASS("corda_config", INIT),
    PASS("lora_ga_config", INIT),
    {{0}, 0, 0, 0, 0, 0},
};

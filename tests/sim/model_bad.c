/* Models that are not fine: one clear line that names file and field, in every case; never a crash, never a leak.
 */
#include "sim/base/random.h"
#include "tests/support/runner.h"
#include "tests/support/tiny.h"

#include "experiments/cli/cli.h"
#include "sim/model/model.h"
#include "sim/tokenizer/tokenizer.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *in_test_dir(const char *name, char path[512]) {
    snprintf(path, 512, "%s/bad-model-%s", ba_test_dir(), name);
    return path;
}

/* Opening must fail with one line that begins with the path and says `want`. */
static void expect_refusal(const char *path, const char *want) {
    char err[BA_ERR_LEN] = "";
    ba_model *m = NULL;
    CU_ASSERT_EQUAL(ba_model_open(path, true, &m, err), -1);
    CU_ASSERT_PTR_NULL(m);
    CU_ASSERT_PTR_NOT_NULL(strstr(err, path));
    CU_ASSERT_PTR_NULL(strchr(err, '\n'));
    CU_ASSERT_PTR_NOT_NULL(strstr(err, want));
    if (!strstr(err, want)) {
        printf("want: %s\n got: %s\n", want, err);
    }
    ba_model_close(m);
}

/* ---- GGUF: metadata --------------------------------------------------------------------------------------------- */

static void test_bad_metadata(void) {
    static const struct {
        ba_tiny_meta meta;
        const char *want;
    } rows[] = {
        {{"general.architecture", BA_TINY_STRING, 0, "mamba"},
         "'mamba', which is not supported; there is llama, qwen2"},
        {{"general.architecture", BA_TINY_DROP, 0, 0}, "general.architecture is ''"},
        {{"general.architecture", BA_TINY_U32, 1, 0}, "'general.architecture' holds u32, where one string is needed"},
        {{"llama.block_count", BA_TINY_DROP, 0, 0}, "'llama.block_count' is missing"},
        {{"llama.block_count", BA_TINY_STRING, 0, "two"}, "'llama.block_count' holds string"},
        {{"llama.block_count", BA_TINY_I32, -2, 0}, "'llama.block_count' holds i32"},
        {{"llama.block_count", BA_TINY_U32, 0, 0}, "the number of layers is 0"},
        {{"llama.block_count", BA_TINY_U32, 4e9, 0}, "the number of layers is 4000000000"},
        {{"llama.block_count", BA_TINY_U32, 3, 0},
         "'blk.2.attn_norm.weight' is missing; a llama model needs it as [64]"},
        {{"llama.block_count", BA_TINY_U32, 1, 0}, "is nothing that a llama model of 1 layers computes with"},
        {{"llama.embedding_length", BA_TINY_U32, 128, 0}, "'token_embd.weight' is [64, 298], where [128, 298]"},
        {{"llama.feed_forward_length", BA_TINY_U32, 64, 0}, "'blk.0.ffn_gate.weight' is [64, 96], where [64, 64]"},
        {{"llama.attention.head_count", BA_TINY_U32, 0, 0}, "the number of heads is 0"},
        {{"llama.attention.head_count_kv", BA_TINY_U32, 0, 0}, "the number of KV heads is 0"},
        {{"llama.attention.head_count_kv", BA_TINY_U32, 3, 0}, "4 heads cannot share 3 KV heads"},
        {{"llama.attention.key_length", BA_TINY_U32, 8, 0}, "are 8, 16 and 8"},
        {{"llama.rope.dimension_count", BA_TINY_U32, 8, 0}, "are 16, 16 and 8"},
        {{"llama.attention.layer_norm_rms_epsilon", BA_TINY_F32, 0, 0}, "the epsilon of the norms is 0"},
        {{"llama.attention.layer_norm_rms_epsilon", BA_TINY_STRING, 0, "x"}, "holds string, where one finite number"},
        {{"llama.rope.freq_base", BA_TINY_F32, -1, 0}, "the base of the rotary frequencies is -1"},
        {{"llama.rope.scaling.type", BA_TINY_STRING, 0, "dynamic"}, "depend on the length of the prompt"},
        {{"llama.rope.scaling.type", BA_TINY_STRING, 0, "longrope"}, "depend on the length of the prompt"},
        {{"llama.rope.scaling.type", BA_TINY_STRING, 0, "magic"}, "'magic' is unknown"},
        {{"llama.rope.scaling.type", BA_TINY_STRING, 0, "linear"}, "'linear' has factor 0"},
        {{"llama.final_logit_softcapping", BA_TINY_F32, 30, 0}, "which the engine does not compute"},
        {{"llama.expert_count", BA_TINY_U32, 8, 0}, "'llama.expert_count' is 8"},
        {{"llama.vocab_size", BA_TINY_U32, 1000, 0}, "'llama.vocab_size' is 1000, but there are 298 tokens"},
        {{"general.alignment", BA_TINY_U32, 0, 0}, "general.alignment is 0"},
        {{"general.alignment", BA_TINY_U32, 24, 0}, "general.alignment is 24"},
        {{"tokenizer.ggml.model", BA_TINY_STRING, 0, "t5"}, "tokenizer.ggml.model is 't5'"},
        {{"tokenizer.ggml.tokens", BA_TINY_DROP, 0, 0}, "tokenizer.ggml.tokens is missing"},
        {{"tokenizer.ggml.tokens", BA_TINY_STRING, 0, "all"}, "'tokenizer.ggml.tokens' holds string"},
        {{"tokenizer.ggml.merges", BA_TINY_DROP, 0, 0}, "tokenizer.ggml.merges is missing"},
        {{"tokenizer.ggml.token_type", BA_TINY_U32, 1, 0}, "where an array of i32 is needed"},
        {{"tokenizer.ggml.bos_token_id", BA_TINY_U32, 298, 0}, "'tokenizer.ggml.bos_token_id' is 298"},
        {{"tokenizer.ggml.add_bos_token", BA_TINY_U32, 1, 0}, "where one bool is needed"},
    };
    char path[512];
    in_test_dir("metadata.gguf", path);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const ba_tiny_meta meta[] = {rows[i].meta, {0}};
        CU_ASSERT_EQUAL_FATAL(ba_tiny_gguf(path, &(ba_tiny_options){.meta = meta}), 0);
        expect_refusal(path, rows[i].want);
    }
    const ba_tiny_meta twice[] = {
        {"general.name", BA_TINY_STRING, 0, "a"}, {"general.name", BA_TINY_STRING, 0, "b"}, {0}};
    CU_ASSERT_EQUAL_FATAL(ba_tiny_gguf(path, &(ba_tiny_options){.meta = twice}), 0);
    expect_refusal(path, "'general.name' occurs twice");
    const ba_tiny_meta odd[] = {
        {"llama.attention.key_length", BA_TINY_U32, 15, 0}, {"llama.attention.value_length", BA_TINY_U32, 15, 0}, {0}};
    CU_ASSERT_EQUAL_FATAL(ba_tiny_gguf(path, &(ba_tiny_options){.meta = odd}), 0);
    expect_refusal(path, "the head size is 15");
}

/* ---- GGUF: tensors ---------------------------------------------------------------------------------------------- */

/* One change to the entry of blk.1.ffn_up.weight. */
typedef struct change {
    const char *name;
    uint32_t ggml_type, n_dims;
    uint64_t dim[4], offset;
    bool omit, misaligned, retype;
} change;

static void apply(void *arg, ba_tiny_entry *e) {
    const change *c = arg;
    if (strcmp(e->name, "blk.1.ffn_up.weight") != 0) {
        return;
    }
    if (c->name) {
        snprintf(e->name, sizeof e->name, "%s", c->name);
    }
    if (c->n_dims) {
        e->n_dims = c->n_dims;
        memcpy(e->dim, c->dim, sizeof e->dim);
    }
    e->ggml_type = c->retype ? c->ggml_type : e->ggml_type;
    e->offset = c->offset ? c->offset : e->offset + c->misaligned;
    e->omit = c->omit;
}

static void test_bad_tensors(void) {
    static const struct {
        change change;
        const char *want;
    } rows[] = {
        {{.omit = true}, "'blk.1.ffn_up.weight' is missing; a llama model needs it as [64, 96]"},
        {{.name = "blk.1.ffn_down.weight"}, "'blk.1.ffn_down.weight' occurs twice"},
        {{.name = "blk.1.mystery.weight"}, "'blk.1.ffn_up.weight' is missing"},
        {{.retype = true, .ggml_type = 16}, "stored as IQ2_XXS, which cannot be decoded"},
        {{.retype = true, .ggml_type = 9999}, "stored as type 9999, which cannot be decoded"},
        {{.retype = true, .ggml_type = 12}, "dimensions [64, 96], which Q4_K cannot have"},
        {{.misaligned = true}, "not a multiple of the alignment 32"},
        {{.offset = UINT64_C(1) << 40}, "ends after the end of the file"},
        {{.offset = UINT64_MAX - 31}, "ends after the end of the file"},
        {{.n_dims = 2, .dim = {96, 64}}, "is [96, 64], where [64, 96] is expected"},
        {{.n_dims = 1, .dim = {64}}, "is [64], where [64, 96] is expected"},
        {{.n_dims = 3, .dim = {64, 48, 2}}, "is [64, 48, 2], where [64, 96] is expected"},
        {{.n_dims = 2, .dim = {64, 0}}, "dimensions [64, 0], which F32 cannot have"},
        {{.n_dims = 2, .dim = {UINT64_C(1) << 33, UINT64_C(1) << 33}}, "which F32 cannot have"},
        {{.n_dims = 4, .dim = {1 << 16, 1 << 16, 1 << 16, 1 << 16}}, "which F32 cannot have"},
        {{.n_dims = 1, .dim = {UINT64_C(1) << 62}}, "which F32 cannot have"},
        {{.n_dims = 5, .dim = {64, 96, 1, 1}}, "has 5 dimensions"},
    };
    char path[512];
    in_test_dir("tensors-bad.gguf", path);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        change c = rows[i].change;
        CU_ASSERT_EQUAL_FATAL(ba_tiny_gguf(path, &(ba_tiny_options){.edit = apply, .arg = &c}), 0);
        expect_refusal(path, rows[i].want);
    }
    const float zero[8] = {0};
    CU_ASSERT_EQUAL_FATAL(ba_tiny_gguf(path, &(ba_tiny_options){.freq_factors = zero}), 0);
    expect_refusal(path, "'rope_freqs.weight' holds 0");
}

/* ---- files that are something else ------------------------------------------------------------------------------ */

static void write_bytes(const char *path, const void *data, size_t n) {
    FILE *f = fopen(path, "wb");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    CU_ASSERT_EQUAL(fwrite(data, 1, n, f), n);
    CU_ASSERT_EQUAL(fclose(f), 0);
}

static void test_no_model(void) {
    static const struct {
        const char *bytes;
        size_t n;
        const char *want;
    } rows[] = {
        {"", 0, "the file is empty"},
        {"GG", 2, "not a GGUF file"},
        {"{\"a\": 1}", 8, "not a GGUF file"},
        {"GGUF\3\0\0\0\1", 9, "the file ends inside its header"},
        {"GGUF\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 24, "GGUF version 1"},
        {"GGUF\0\0\0\3\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 24, "big-endian"},
        {"GGUF\3\0\0\0\0\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff", 24, "18446744073709551615 metadata keys"},
        {"GGUF\3\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0\0\0\0\0", 24, "18446744073709551615 tensors"},
        {"GGUF\3\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xffkey__", 37,
         "metadata key 1 of 1"},
        {"GGUF\3\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 24, "general.architecture is ''"},
    };
    char path[512];
    in_test_dir("other", path);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        write_bytes(path, rows[i].bytes, rows[i].n);
        expect_refusal(path, rows[i].want);
    }
    in_test_dir("nothing-here.gguf", path);
    expect_refusal(path, "No such file or directory");
    in_test_dir("empty-folder", path);
    mkdir(path, 0700);
    expect_refusal(path, "config.json: No such file or directory");
    expect_refusal("/dev/null", "not a regular file");
}

/* ---- folders ---------------------------------------------------------------------------------------------------- */

static void test_bad_config(void) {
    static const struct {
        const char *config, *want;
    } rows[] = {
        {"{\"model_type\":\"phi3\"}", "'model_type' is 'phi3', which is not supported"},
        {"{\"model_type\":null}", "'model_type' is ''"},
        {"{\"model_type\":7}", "'model_type' must be a string"},
        {"{\"hidden_size\":null}", "'hidden_size' is missing"},
        {"{\"hidden_size\":\"64\"}", "'hidden_size' must be a whole number"},
        {"{\"hidden_size\":64.5}", "'hidden_size' must be a whole number"},
        {"{\"num_hidden_layers\":-1}", "'num_hidden_layers' must be a whole number"},
        {"{\"num_hidden_layers\":1e6}", "the number of layers is 1000000"},
        {"{\"num_hidden_layers\":3}", "'model.layers.2.input_layernorm.weight' is missing"},
        {"{\"num_attention_heads\":0}", "the number of heads is 0"},
        {"{\"head_dim\":8}", "'model.layers.0.self_attn.q_proj.weight' is [64, 64], where [64, 32] is expected"},
        {"{\"vocab_size\":320}", "(the vocabulary and this tensor disagree)"},
        {"{\"vocab_size\":200}", "use the tokenizer that belongs to the model"},
        {"{\"tie_word_embeddings\":false}", "'lm_head.weight' is missing"},
        {"{\"tie_word_embeddings\":1}", "'tie_word_embeddings' must be true or false"},
        {"{\"hidden_act\":\"relu\"}", "activation 'relu' is unknown"},
        {"{\"mlp_bias\":true}", "'mlp_bias' is true"},
        {"{\"partial_rotary_factor\":0.5}", "only whole heads can be rotated"},
        {"{\"rope_scaling\":{\"type\":\"dynamic\",\"factor\":2}}", "depend on the length of the prompt"},
        {"{\"rope_scaling\":{\"rope_type\":\"longrope\",\"factor\":2}}", "depend on the length of the prompt"},
        {"{\"rope_parameters\":{\"rope_type\":\"su\",\"factor\":2}}", "depend on the length of the prompt"},
        {"{\"rope_scaling\":{\"type\":\"linear\"}}", "'linear' has factor 0"},
        {"{\"rope_scaling\":{\"type\":\"llama3\",\"factor\":8}}", "llama3 needs low_freq_factor"},
        {"{\"rope_scaling\":{\"type\":\"yarn\",\"factor\":8,\"beta_fast\":1,\"beta_slow\":2}}",
         "yarn needs 0 < beta_slow"},
        {"{\"rope_scaling\":[1]}", "'rope_scaling' must be an object"},
        {"{\"rope_scaling\":{\"type\":\"linear\",\"factor\":\"2\"}}", "'factor' must be a finite number"},
        {"{\"model_type\":\"qwen3\",\"layer_types\":[\"full_attention\"]}", "'layer_types' must be"},
        {"{\"model_type\":\"qwen3\",\"layer_types\":[\"full_attention\",\"linear_attention\"]}",
         "'layer_types' must be"},
        {"{\"model_type\":\"qwen3\",\"layer_types\":[\"full_attention\",\"sliding_attention\"]}",
         "'sliding_window' switched on"},
        {"{\"model_type\":\"mistral\",\"sliding_window\":0}", "'sliding_window' is 0"},
        {"{\"residual_multiplier\":0.22}", "'residual_multiplier' is a field that this program does not know"},
        {"{\"quantization_config\":{\"bits\":4}}", "quantised folders are not decoded"},
        {"{\"architectures\":[\"Qwen2ForCausalLM\"]}", "'architectures' names 'Qwen2ForCausalLM'"},
        {"{\"rope_parameters\":{\"rope_type\":\"default\",\"short_mscale\":2}}", "'short_mscale' is a field"},
        {"{\"text_config\":{\"model_type\":\"llama\"}}", "'text_config' is"},
        {"{\"eos_token_id\":[2,5000]}", "'eos_token_id' in config.json"},
    };
    char path[512];
    in_test_dir("config", path);
    mkdir(path, 0700);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        CU_ASSERT_EQUAL_FATAL(ba_tiny_folder(path, &(ba_tiny_options){.config = rows[i].config}), 0);
        expect_refusal(path, rows[i].want);
    }
}

static void test_bad_folder(void) {
    static const struct {
        const char *file, *text, *want; /* text NULL: the file is removed */
    } rows[] = {
        {"config.json", "", "config.json: the file is empty"},
        {"config.json", "[1, 2]", "config.json: holds no JSON object"},
        {"config.json", "{\"model_type\": ", "config.json: not JSON"},
        {"tokenizer.json", "{}", "tokenizer.json: its model is not BPE"},
        {"tokenizer.json", "{\"model\":{\"type\":\"Unigram\"}}", "tokenizer.json: its model is not BPE"},
        {"tokenizer.json", "{\"model\":{\"type\":\"BPE\"}}", "'model.vocab' must be an object"},
        {"tokenizer.json", "{\"model\":{\"type\":\"BPE\",\"byte_fallback\":true,\"vocab\":[]}}",
         "'model.vocab' must be"},
        {"tokenizer.json", "{\"model\":{\"type\":\"BPE\",\"byte_fallback\":true,\"vocab\":{\"a\":0,\"b\":0}}}",
         "the id of token 'b'"},
        {"tokenizer.json",
         "{\"model\":{\"type\":\"BPE\",\"byte_fallback\":true,\"vocab\":{\"a\":0},\"merges\":[[\"a\"]]}}",
         "merge 0 is no pair"},
        {"tokenizer.json",
         "{\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":{\"Regex\":"
         "\"x\"}},"
         "{\"type\":\"ByteLevel\"}]},\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]}}",
         "pre_tokenizer Split: 'behavior' is missing"},
        {"model-00002-of-00003.safetensors", NULL, "model-00002-of-00003.safetensors: this file is missing"},
        {"model-00002-of-00003.safetensors", "12345", "too short for a safetensors file"},
        {"model-00002-of-00003.safetensors", "\xff\xff\xff\xff\xff\xff\xff\x7f{}",
         "its header claims 9223372036854775807"},
        {"model.safetensors.index.json", "{}", "'weight_map' must be an object"},
        {"model.safetensors.index.json", "{\"weight_map\":{\"a\":\"../b\"}}",
         "must be the name of a file in this folder"},
        {"model.safetensors.index.json", "{\"weight_map\":{\"a\":\"model-00001-of-00003.safetensors\"}}",
         "tensor 'a' is listed but in none of the shards"},
    };
    char path[512], file[700];
    in_test_dir("folder", path);
    mkdir(path, 0700);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        CU_ASSERT_EQUAL_FATAL(ba_tiny_folder(path, &(ba_tiny_options){.shards = 3}), 0);
        snprintf(file, sizeof file, "%s/%s", path, rows[i].file);
        if (rows[i].text) {
            write_bytes(file, rows[i].text, strlen(rows[i].text));
        } else {
            CU_ASSERT_EQUAL(unlink(file), 0);
        }
        expect_refusal(path, rows[i].want);
    }
}

/* What only the tokenizer finds: the line still names the model and the place. */
static void test_bad_tokenizer(void) {
    static const struct {
        const char *text, *want; /* of tokenizer.json, NULL: there is none */
    } rows[] = {
        {"{\"pre_tokenizer\":{\"type\":\"ByteLevel\"},\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[["
         "\"a\",\"b\"]]}}",
         "merge 0 of its tokenizer, \"a b\": a part of it or the whole is not in the vocabulary"},
        {NULL, "it has no vocabulary; a folder needs its tokenizer.json"},
    };
    char path[512], file[700], err[BA_ERR_LEN];
    in_test_dir("tokens", path);
    mkdir(path, 0700);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const ba_common common = {.model = path};
        ba_model *model;
        ba_tokenizer *tok;
        CU_ASSERT_EQUAL_FATAL(ba_tiny_folder(path, NULL), 0);
        snprintf(file, sizeof file, "%s/tokenizer.json", path);
        if (rows[i].text) {
            write_bytes(file, rows[i].text, strlen(rows[i].text));
        } else {
            CU_ASSERT_EQUAL(unlink(file), 0);
        }
        CU_ASSERT_EQUAL(ba_vocabulary_open(&common, false, &model, &tok, err), -1);
        CU_ASSERT_TRUE(strncmp(err, path, strlen(path)) == 0 && strstr(err, rows[i].want));
        CU_ASSERT_PTR_NULL(tok);
        ba_model_close(model);
    }
}

static void test_bad_safetensors(void) {
    static const struct {
        const char *entry, *want;
    } rows[] = {
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,16]}}",
         "has 16 bytes, which is not what [2] of F32"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,32]}}", "is at bytes 0 to 32 of 16"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[16,0]}}", "is at bytes 16 to 0"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,16]}}", "which is not what"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[-4],\"data_offsets\":[0,16]}}", "something that is no size"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,4],\"data_offsets\":[0,16]}}", "a list of up to 4 sizes"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":4,\"data_offsets\":[0,16]}}", "a list of up to 4 sizes"},
        {"{\"a\":{\"shape\":[4],\"data_offsets\":[0,16]}}", "no proper dtype and data_offsets"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0]}}", "no proper dtype and data_offsets"},
        {"{\"a\":7}", "no proper dtype and data_offsets"},
        {"[]", "its header is no JSON object"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]},"
         "\"a\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]}}",
         "tensor 'a' occurs twice"},
        {"{\"model.norm.weight\":{\"dtype\":\"I8\",\"shape\":[16],\"data_offsets\":[0,16]}}",
         "'model.embed_tokens.weight' is missing"},
        {"{\"model.embed_tokens.weight\":{\"dtype\":\"F8_E4M3\",\"shape\":[16],\"data_offsets\":[0,16]}}",
         "stored as F8_E4M3, which cannot be decoded"},
    };
    char path[512], file[700];
    in_test_dir("safetensors", path);
    mkdir(path, 0700);
    CU_ASSERT_EQUAL_FATAL(ba_tiny_folder(path, NULL), 0);
    snprintf(file, sizeof file, "%s/model.safetensors", path);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char bytes[512] = {0};
        uint64_t n = strlen(rows[i].entry);
        memcpy(bytes, &n, sizeof n);
        memcpy(bytes + sizeof n, rows[i].entry, n);
        write_bytes(file, bytes, sizeof n + n + 16);
        expect_refusal(path, rows[i].want);
    }
}

/* ---- damage anywhere -------------------------------------------------------------------------------------------- */

/* Reads all that an engine and a tokenizer would. */
static void use_everything(ba_model *m) {
    ba_tensor_view v;
    ba_tokenizer *tok;
    char err[BA_ERR_LEN] = "";
    float row[256];
    int32_t *ids;
    size_t n;
    for (int t = 0; t < BA_T_COUNT; t++) {
        if (ba_model_tensor(m, (ba_tensor)t, 0, &v) && v.cols <= 256) {
            const ba_dtype_info *type = ba_dtype_get(v.type);
            type->decode((const char *)v.data + (v.rows - 1) * (v.cols / type->block * type->bytes), row, v.cols);
        }
    }
    ba_model_hash(m);
    if (ba_tokenizer_new(ba_model_vocab(m), &tok, err) == 0) {
        if (ba_tokenize(tok, "The 42 keys,\n<|im_end|> and \xff", 29, true, &ids, &n, err) == 0) {
            free(ba_detokenize(tok, ids, n, true, &n));
            free(ids);
        }
        ba_tokenizer_free(tok);
    } else {
        CU_ASSERT_NOT_EQUAL(strlen(err), 0);
    }
}

/* Damages bytes [0, head) of the file in `count` ways, each alone, and opens `model` every time. Returns how many of
 * them were refused. */
static size_t damage(const char *model, const char *file, size_t head, size_t count, uint64_t seed) {
    static const uint64_t words[] = {0, 1, UINT64_MAX, UINT64_C(1) << 63, UINT64_C(1) << 32, 0xffffffff};
    size_t refused = 0;
    struct stat info;
    FILE *f = fopen(file, "r+b");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    CU_ASSERT_EQUAL_FATAL(fstat(fileno(f), &info), 0);
    size_t size = (size_t)info.st_size;
    unsigned char *good = malloc(size), word[8];
    CU_ASSERT_PTR_NOT_NULL_FATAL(good);
    CU_ASSERT_EQUAL_FATAL(fread(good, 1, size, f), size);
    head = head < size - 8 ? head : size - 8;
    for (size_t i = 0; i < count; i++) {
        size_t at = ba_random_bits(&seed) % head, n = 1, kind = ba_random_bits(&seed) % 8;
        memcpy(word, good + at, sizeof word);
        if (kind < 4) {
            word[0] ^= (unsigned char)(1u << ba_random_bits(&seed) % 8);
        } else if (kind < 7) {
            n = kind == 4 ? 4 : 8;
            memcpy(word, &words[ba_random_bits(&seed) % (sizeof words / sizeof *words)], n);
        }
        bool cut = kind == 7;
        CU_ASSERT_EQUAL_FATAL(
            cut ? ftruncate(fileno(f), (off_t)at) : pwrite(fileno(f), word, n, (off_t)at) != (ssize_t)n, 0);
        char err[BA_ERR_LEN] = "";
        ba_model *m = NULL;
        if (ba_model_open(model, i % 4 != 0, &m, err) == 0) {
            use_everything(m);
            ba_model_close(m);
        } else {
            CU_ASSERT_TRUE(strncmp(err, model, strlen(model)) == 0 && !strchr(err, '\n'));
            refused++;
        }
        CU_ASSERT_EQUAL_FATAL(pwrite(fileno(f), good + at, cut ? size - at : n, (off_t)at) > 0, true);
    }
    free(good);
    fclose(f);
    return refused;
}

static void test_damaged_gguf(void) {
    const ba_tiny_options small = {.layers = 1, .d_model = 32, .d_ff = 32};
    const ba_tiny_options spm = {.layers = 1, .d_model = 32, .d_ff = 32, .spm = true, .arch = "gemma3"};
    char path[512];
    in_test_dir("damaged.gguf", path);
    CU_ASSERT_EQUAL_FATAL(ba_tiny_gguf(path, &small), 0);
    CU_ASSERT_TRUE(damage(path, path, 14000, 1500, 1) > 500);
    CU_ASSERT_TRUE(damage(path, path, 1200, 1000, 2) > 500);
    CU_ASSERT_EQUAL_FATAL(ba_tiny_gguf(path, &spm), 0);
    CU_ASSERT_TRUE(damage(path, path, 14000, 500, 3) > 100);
}

static void test_damaged_folder(void) {
    static const struct {
        const char *file;
        size_t head;
    } rows[] = {{"model.safetensors", 1200}, {"config.json", 4096}, {"tokenizer.json", 20000}};
    char path[512], file[700];
    in_test_dir("damaged", path);
    mkdir(path, 0700);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        CU_ASSERT_EQUAL_FATAL(ba_tiny_folder(path, &(ba_tiny_options){.layers = 1, .d_model = 32, .d_ff = 32}), 0);
        snprintf(file, sizeof file, "%s/%s", path, rows[i].file);
        CU_ASSERT_TRUE(damage(path, file, rows[i].head, 300, 10 + i) > 100);
    }
}

int ba_suite_model_bad(void) {
    CU_pSuite s = CU_add_suite("bad models", NULL, NULL);
    return s && CU_add_test(s, "GGUF metadata", test_bad_metadata) &&
                   CU_add_test(s, "GGUF tensors", test_bad_tensors) &&
                   CU_add_test(s, "files that are something else", test_no_model) &&
                   CU_add_test(s, "config.json", test_bad_config) &&
                   CU_add_test(s, "files of a folder", test_bad_folder) &&
                   CU_add_test(s, "tokenizers that do not fit", test_bad_tokenizer) &&
                   CU_add_test(s, "safetensors headers", test_bad_safetensors) &&
                   CU_add_test(s, "3000 damaged GGUF files", test_damaged_gguf) &&
                   CU_add_test(s, "900 damaged folders", test_damaged_folder)
               ? 0
               : -1;
}

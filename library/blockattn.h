/* blockattn as a library: open a model, make a request, plan it in an attention mode, run the plan, read logits and
 * counts.
 *
 * Handles are opaque; each has one function that makes it and one that frees it (freeing NULL does nothing). What a
 * handle is made from must outlive it: the model outlives its requests and runs, a plan its runs. A model, with all
 * that was made from it, takes one call at a time; `threads` of them work inside a call.
 *
 * Functions that can fail return 0, or -1 and one line of text in err [BLOCKATTN_ERR_LEN], which may not be NULL; *out
 * is then NULL. The library never prints, never ends the process, and installs no signal handler. Texts are UTF-8 and
 * NUL-terminated. Files and requests are untrusted: what is wrong in them is an error that names the field.
 *
 * Compile with `pkg-config --cflags --libs blockattn`. The values are those of the program's command `logits`. */
#ifndef BLOCKATTN_H
#define BLOCKATTN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BLOCKATTN_VERSION "0.1.0"
#define BLOCKATTN_API     __attribute__((visibility("default")))

enum { BLOCKATTN_ERR_LEN = 512 };

typedef struct blockattn_model blockattn_model;
typedef struct blockattn_request blockattn_request;
typedef struct blockattn_plan blockattn_plan;
typedef struct blockattn_run blockattn_run;

/* BLOCKATTN_VERSION of the library that is loaded. */
BLOCKATTN_API const char *blockattn_version(void);

/* ---- model ------------------------------------------------------------------------------------------------------- */

/* How a model is opened. All zero is a good choice. Texts are borrowed during the call. */
typedef struct blockattn_options {
    const char *backend; /* "cpu", "openblas", "cuda", "ref"; NULL or "auto": the first that opens */
    const char *dtype;   /* "f32", "bf16", "f64"; NULL or "auto": the backend's first, f32 on processors */
    const char *adapter; /* folder of a LoRA adapter (PEFT) that is merged into the weights, or NULL */
    const char *chat;    /* wording of conversations: NULL or "auto": the model's chat template; "none"; a family */
    const char *chat_template; /* path of a template in place of the model's own, or NULL */
    const char *packed;        /* folder that keeps packed weights, so that the next opening maps them; or NULL */
    size_t threads;            /* 0: all processors that the process may use */
    uint64_t kv_bytes;         /* most memory for the KV of passages between runs; 0: 1 GiB */
    uint64_t run_bytes;        /* most memory of one run, for KV and work space; 0: no limit */
} blockattn_options;

/* Opens a GGUF file or a Hugging Face folder: weights, tokenizer, backend, and a store in memory for the KV of passages.
 * options NULL: all zero. */
BLOCKATTN_API int blockattn_model_open(const char *path, const blockattn_options *options, blockattn_model **out,
                                       char *err);
BLOCKATTN_API void blockattn_model_close(blockattn_model *model);
/* Tokens of the vocabulary: the length of logits. */
BLOCKATTN_API size_t blockattn_model_vocab(const blockattn_model *model);
/* Forgets the KV of all passages that no run is using, so that the next run computes them again. */
BLOCKATTN_API void blockattn_model_forget(blockattn_model *model);
/* Text of ids [n], cut to `size` bytes with its NUL. Returns the bytes of the whole text without NUL. Control tokens
 * give no text; ids out of the vocabulary neither. */
BLOCKATTN_API size_t blockattn_model_text(const blockattn_model *model, const int32_t *ids, size_t n, char *text,
                                          size_t size);
/* 1 if the token ends an answer, else 0. */
BLOCKATTN_API int blockattn_model_ends(const blockattn_model *model, int32_t id);

/* ---- request ----------------------------------------------------------------------------------------------------- */

/* A request in JSON, as the program's --request takes it: {"blocks": [text, ...]}, {"ids": [[id, ...], ...]},
 * {"messages": [{"role", "content"}, ...]} or {"question": text, "documents": [text or {"title", "text"}, ...]}. */
BLOCKATTN_API int blockattn_request_parse(const blockattn_model *model, const char *json, blockattn_request **out,
                                          char *err);
/* A question about documents [n], each a text, in the wording of an evaluation item and the model's chat template. */
BLOCKATTN_API int blockattn_request_ask(const blockattn_model *model, const char *question,
                                        const char *const *documents, size_t n, blockattn_request **out, char *err);
/* Token ids, taken as they are: segment i is the next length[i] ids. The last of the n segments is the question, the
 * first the system text if there are three or more, the others are passages. ids [sum of length], copied. */
BLOCKATTN_API int blockattn_request_ids(const blockattn_model *model, const int32_t *ids, const size_t *length,
                                        size_t n, blockattn_request **out, char *err);
BLOCKATTN_API void blockattn_request_free(blockattn_request *request);
/* Tokens of all segments. */
BLOCKATTN_API size_t blockattn_request_tokens(const blockattn_request *request);

/* ---- plan -------------------------------------------------------------------------------------------------------- */

/* What was, or would be, computed. Tokens, FLOPs (a multiply-add is two; matrix products and query-key pairs, as in the
 * paper's Table 3) and bytes. */
typedef struct blockattn_counts {
    uint64_t tokens;      /* of the prompt, with what the mode inserts */
    uint64_t computed;    /* rows that went through the layers */
    uint64_t reused;      /* tokens whose KV came from the store, or from an equal passage of the same prompt */
    uint64_t flops;       /* visible query-key pairs only */
    uint64_t flops_dense; /* all pairs of a viewer's rows and a seen segment's keys, masked or not */
    uint64_t bytes_read, bytes_written; /* compulsory traffic: every operand once a call */
    uint64_t kv_bytes;                  /* KV of the prompt */
    double seconds;                     /* time to first token without tokenising; 0 in a plan */
} blockattn_counts;

/* Who attends to what, for a mode such as "full", "block" or "lego:k=16" (`blockattn modes` lists them). The request
 * may be freed afterwards. */
BLOCKATTN_API int blockattn_plan_new(const blockattn_request *request, const char *mode, blockattn_plan **out,
                                     char *err);
BLOCKATTN_API void blockattn_plan_free(blockattn_plan *plan);
/* The mode's canonical spelling; owned by the plan. */
BLOCKATTN_API const char *blockattn_plan_mode(const blockattn_plan *plan);
/* Rows of the mask: the rows of all nodes, one after the other. */
BLOCKATTN_API size_t blockattn_plan_rows(const blockattn_plan *plan);
/* The mask, [rows, rows], row-major: 1 where row r sees key c. */
BLOCKATTN_API int blockattn_plan_mask(const blockattn_plan *plan, uint8_t *mask, char *err);
/* The closed form of what a run counts up to its first logits, with nothing stored (stored = 0) or every passage in the
 * store (1). What a mode chooses during a run is estimated: its count is exact, its place is not. */
BLOCKATTN_API int blockattn_plan_counts(const blockattn_model *model, const blockattn_plan *plan, int stored,
                                        blockattn_counts *counts, char *err);

/* ---- run --------------------------------------------------------------------------------------------------------- */

/* Prefill. Passages found in the model's store are reused, the others are encoded and kept there. room: tokens that may
 * be appended. */
BLOCKATTN_API int blockattn_run_new(blockattn_model *model, const blockattn_plan *plan, size_t room,
                                    blockattn_run **out, char *err);
BLOCKATTN_API void blockattn_run_free(blockattn_run *run);
/* Logits of the next token, [vocab], owned by the run and valid until its next call. NULL and err: one is not finite. */
BLOCKATTN_API const double *blockattn_run_logits(blockattn_run *run, char *err);
/* Appends ids [n], which see what the question sees. logprob [n]: log P (nats) of each given all before it; or NULL. */
BLOCKATTN_API int blockattn_run_extend(blockattn_run *run, const int32_t *ids, size_t n, double *logprob, char *err);
/* Counted so far by the kernels; logits belong to it once they were asked for. */
BLOCKATTN_API void blockattn_run_counts(const blockattn_run *run, blockattn_counts *counts);

#ifdef __cplusplus
}
#endif

#endif

/* Chat templates as data: one row per family. Sources: the chat_template of the models named. */
#include "sim/text/tokenizer.h"

#include <string.h>

typedef struct family {
    const char *mark[2]; /* all must occur in the model's template; the second may be NULL */
    ba_chat chat;
} family;

/* The first row that fits counts: the special ones stand before the general ones. */
#define CHATML(family, default_system)                                                                                 \
    {                                                                                                                  \
        family, "<|im_start|>system\n", "<|im_end|>\n", "<|im_start|>user\n", "<|im_end|>\n",                          \
            "<|im_start|>assistant\n", default_system                                                                  \
    }
static const family families[] = {
    {{"<|im_start|>", "SmolLM, trained by Hugging Face"},
     CHATML("smollm2", "You are a helpful AI assistant named SmolLM, trained by Hugging Face")},
    {{"<|im_start|>", "Qwen, created by Alibaba Cloud"},
     CHATML("qwen2.5", "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.")},
    {{"<|im_start|>", "You are a helpful assistant"}, CHATML("qwen2", "You are a helpful assistant.")},
    {{"<|im_start|>", NULL}, CHATML("chatml", "")},
    {{"<|start_header_id|>", NULL},
     {"llama-3", "<|start_header_id|>system<|end_header_id|>\n\n", "<|eot_id|>",
      "<|start_header_id|>user<|end_header_id|>\n\n", "<|eot_id|>", "<|start_header_id|>assistant<|end_header_id|>\n\n",
      ""}},
    {{"<start_of_turn>", NULL},
     {"gemma", "<start_of_turn>user\n", "\n\n", "<start_of_turn>user\n", "<end_of_turn>\n", "<start_of_turn>model\n",
      ""}},
    {{"[INST]", "<<SYS>>"}, {"llama-2", "[INST] <<SYS>>\n", "\n<</SYS>>\n\n", "[INST] ", " [/INST]", "", ""}},
    {{"[INST]", NULL}, {"mistral", "[INST] ", "\n\n", "[INST] ", " [/INST]", "", ""}},
};

const ba_chat *ba_chat_of(const ba_vocab *vocab) {
    const char *template = vocab->chat_template;
    for (size_t i = 0; template && i < sizeof families / sizeof *families; i++) {
        const family *f = &families[i];
        if (strstr(template, f->mark[0]) && (!f->mark[1] || strstr(template, f->mark[1]))) {
            return &f->chat;
        }
    }
    return NULL;
}

const char *ba_chat_user_open(const ba_chat *chat, bool behind_system) {
    bool shared_turn = strncmp(chat->system_open, chat->user_open, strlen(chat->user_open)) == 0;
    return behind_system && shared_turn ? "" : chat->user_open;
}

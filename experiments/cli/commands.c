#include "commands.h"

#include <string.h>

const ba_command ba_commands[] = {
    {"info", "what a model is: shape, vocabulary, weights, bytes of KV", ba_cmd_info},
    {"tokenize", "token ids of a text", ba_cmd_tokenize},
    {"plan", "the plan of a mode: segments, edges, mask, cost", ba_cmd_plan},
    {"logits", "next-token logits behind a request", ba_cmd_logits},
    {"generate", "text that follows a request", ba_cmd_generate},
    {"gate", "does reuse equal recompute, and how far is a mode from full", ba_cmd_gate},
    {"ttft", "time to first token, FLOPs and bytes over lengths and modes", ba_cmd_ttft},
    {"eval", "accuracy and NLL of modes on tasks", ba_cmd_eval},
    {"tune", "block fine-tuning: all weights, or a LoRA adapter", ba_cmd_tune},
    {"game", "a game's state told frame by frame: what little changed is encoded", ba_cmd_game},
    {"replay", "real questions in order: what recurs, and what a store saves", ba_cmd_replay},
    {"cost", "FLOPs, bytes, memory and least time of a mode on any shape, without weights", ba_cmd_cost},
    {"run", "an experiment file: a command and its options as data", ba_cmd_run},
    {"reload", "what a tier of the store is worth: encoded, in memory, loaded by another process", ba_cmd_reload},
    {"store", "looks after blocks that were kept outside of memory", ba_cmd_store},
    {"convert", "published data sets to the items that eval reads", ba_cmd_convert},
    {"report", "from traces of eval to one page, beside the paper's tables", ba_cmd_report},
    {"merge", "the traces of several runs into one file", ba_cmd_merge},
    {"export", "a trace as CSV, JSON or Markdown", ba_cmd_export},
    {0},
};

const ba_command *ba_command_find(const char *name) {
    for (const ba_command *c = ba_commands; c->name; c++) {
        if (strcmp(c->name, name) == 0) {
            return c;
        }
    }
    return NULL;
}

/* Options that several commands read: what they mean is said once. */
#include "options.h"

#include <string.h>

/* "auto", then each name of the table once: a name may have a row for each element type. */
static const char *backend_word(size_t i) {
    const ba_backend_ops *ops;
    size_t distinct = 0;
    if (i == 0) {
        return "auto";
    }
    for (size_t row = 0; (ops = ba_backend_at(row)); row++) {
        size_t same = 0;
        while (strcmp(ba_backend_at(same)->name, ops->name) != 0) {
            same++;
        }
        distinct += same == row;
        if (distinct == i) {
            return ops->name;
        }
    }
    return NULL;
}

#define AT(member) .at = offsetof(ba_common, member)

const ba_shared_option ba_shared_options[] = {
    {BA_TAKES_MODEL,
     {"model", "PATH", BA_FILE, AT(model),
      .help = "GGUF file, Hugging Face folder or a name that 'models' lists; default: $BLOCKATTN_MODEL, else the model "
              "that "
              "'make model' gets"}},
    {BA_TAKES_SHAPE,
     {"shape", "NAME|config.json", BA_SHAPE, AT(shape), .word = ba_shape_word, .against = "model,adapter",
      .help = "instead of a model: this shape, with random weights made from --seed; prompts are ids"}},
    {BA_TAKES_ADAPTER, {"adapter", "DIR", BA_FOLDER, AT(adapter), .help = "folder of a LoRA adapter (PEFT)"}},
    {BA_TAKES_MODE, {"mode", "MODE", BA_MODE, AT(mode), .help = "attention mode, as name or name:key=value,..."}},
    {BA_TAKES_MODES,
     {"mode", "LIST", BA_MODES, AT(mode), .help = "attention modes, each as name or name:key=value,..."}},
    {BA_TAKES_DTYPE,
     {"dtype", "TYPE", BA_WORD, AT(dtype), .standard = "auto", .words = "auto|f32|bf16|f64", .help = "element type"}},
    {BA_TAKES_BACKEND,
     {"backend", "NAME", BA_TEXT, AT(backend), .standard = "auto", .word = backend_word, .help = "arithmetic"}},
    {BA_TAKES_THREADS,
     {"threads", "N", BA_COUNT, AT(threads), .least = 1, .most = 1024,
      .help = "threads; default: the processors available"}},
    {BA_TAKES_SEED, {"seed", "N", BA_COUNT, AT(seed), .standard = "0", .help = "seed of everything random"}},
    {BA_TAKES_STORE,
     {"store", "TIERS", BA_TEXT, AT(store),
      .help =
          "where blocks are kept, in the order asked: gpu:SIZE (memory of a backend's device), ram:SIZE, "
          "lmdb:PATH:SIZE, redis://[USER:PASSWORD@]HOST:PORT; each may end with :lru, :lfu or :cost (what is evicted "
          "first) and the last two with :q8 (KV in 8 bits); default: half of the memory"}},
    {BA_TAKES_STORE,
     {"store-key", "FILE", BA_FILE, AT(store_key),
      .help = "use only stored blocks that were written with the key in FILE (16 bytes or more)"}},
    {BA_TAKES_EXECUTOR,
     {"executor", NULL, BA_CHOICE, AT(executor), .standard = "place", .words = "place|merge",
      .help = "use cached keys where they are, or concatenate and rotate them, as the paper does"}},
    {BA_TAKES_REQUEST,
     {"request", "FILE", BA_FILE, AT(request), .against = "message,question",
      .help = "request (JSON), - for standard input"}},
    {BA_TAKES_REQUEST,
     {"message", "FILE", BA_FILE, AT(message),
      .help = "instead: plain text, cut into blocks as the paper does; the last is the question"}},
    {BA_TAKES_REQUEST,
     {"question", "TEXT", BA_TEXT, AT(question), .with = "documents", .against = "message",
      .help = "instead: a question about --documents, in the words of an evaluation item"}},
    {BA_TAKES_REQUEST,
     {"documents", "FILE", BA_FILE, AT(documents), .with = "question",
      .help = "its passages: JSON Lines, a JSON list, or text with a blank line between passages"}},
    {BA_TAKES_CHAT,
     {"chat", "NAME", BA_TEXT, AT(chat),
      .help = "how conversations are worded: auto (the model's chat template), none (plain text), or a family"}},
    {BA_TAKES_CHAT,
     {"chat-template", "FILE", BA_FILE, AT(chat_template),
      .help = "a chat template (Jinja) that takes the place of the model's"}},
    {BA_TAKES_MEMORY,
     {"memory", "SIZE", BA_COUNT, AT(memory), .least = 1,
      .help = "refuse a prompt that needs more for KV and work space; default: the free memory"}},
    {BA_TAKES_MARGINS,
     {"margin", "POINTS", BA_REAL, AT(margin), .standard = "2", .least = 0.001, .most = 100,
      .help = "a change of the score is called equal if its whole interval is within this many points of none"}},
    {BA_TAKES_MARGINS,
     {"nll-margin", "NATS", BA_REAL, AT(nll_margin), .standard = "0.05", .least = 1e-6, .most = 100,
      .help = "the same for changes of the NLL, nats a token"}},
    {BA_TAKES_OUT, {"out", "FILE.h5", BA_FILE, AT(out), .help = "also write a trace"}},
    {BA_TAKES_OUT, {"force", NULL, BA_FLAG, AT(force), .help = "overwrite an existing trace"}},
    {BA_TAKES_RESUME,
     {"resume", NULL, BA_FLAG, AT(resume), .against = "force", .help = "continue the trace that --out names"}},
    {BA_TAKES_SHARD,
     {"shard", "I/N|slurm", BA_TEXT, AT(shard), .with = "out",
      .help = "do part I of N of the work and write it to FILE.shard-I-of-N.h5 (see 'merge'); slurm: the part of this "
              "task of an array job"}},
    {BA_TAKES_CHECKPOINT,
     {"resume", NULL, BA_FLAG, AT(resume), .against = "force",
      .help = "continue from the checkpoint in --save, and the trace that --out names"}},
    {BA_TAKES_JSON, {"json", NULL, BA_FLAG, AT(json), .help = "print JSON, and nothing else, on standard output"}},
    {BA_TAKES_CSV,
     {"csv", NULL, BA_FLAG, AT(csv), .against = "json", .help = "print CSV, and nothing else, on standard output"}},
    {BA_TAKES_NO_PACKED,
     {"no-packed", NULL, BA_FLAG, AT(no_packed),
      .help = "convert the weights, and keep no file of packed ones (~/.cache/blockattn/packed) for the next start"}},
    {BA_TAKES_QUIET, {"quiet", NULL, BA_FLAG, AT(quiet), .help = "no progress and no remarks on standard error"}},
    {0, {"help", NULL, BA_FLAG, AT(help), .help = "show this page"}},
    {0, {"version", NULL, BA_FLAG, AT(version), .help = "show the version"}},
    {0, {.name = NULL}},
};

/* From a chat template to the words of a conversation. A template is understood by rendering probe conversations: what
 * comes out between the probes' texts is what belongs between a user's texts, and longer conversations must come out as
 * these pieces say. Nothing is guessed from words in it. */
#ifndef BA_CHAT_H
#define BA_CHAT_H

#include "sim/tokenizer/tokenizer.h"

/* Published families by name ("chatml", "llama-3", ...), for models without a template of their own. NULL: none has this name. */
const ba_chat *ba_chat_by_name(const char *name);

/* Learns v->chat from v->chat_template, or fills v->chat_why. -1: out of memory. */
int ba_chat_learn(ba_vocab *v);

/* What the user chose: "auto" (the model's own template), "none" (plain text), or a family's name; and the path of a
 * template that takes the place of the model's (NULL: none). 0, or -1 and err. */
int ba_chat_choose(ba_vocab *v, const char *choice, const char *template_path, char err[BA_ERR_LEN]);

#endif

#include "chat.h"

#include "jinja.h"
#include "sim/base/mapping.h"
#include "sim/base/utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- families --------------------------------------------------------------------------------------------------- */

#define IM_USER      "<|im_start|>user\n"
#define IM_ANSWER    "<|im_end|>\n<|im_start|>assistant\n"
#define IM_SYSTEM(s) "<|im_start|>system\n" s "<|im_end|>\n" IM_USER
#define CHATML(name, first)                                                                                            \
    {                                                                                                                  \
        .family = (name), .begin = (first), .bare_begin = IM_USER, .system_open = "<|im_start|>system\n",              \
        .system_close = "<|im_end|>\n" IM_USER, .past_open = IM_ANSWER, .past_close = "<|im_end|>\n" IM_USER,          \
        .answer_open = IM_ANSWER                                                                                       \
    }
#define HEADER(role) "<|start_header_id|>" role "<|end_header_id|>\n\n"
#define DATES        "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n"

/* What the templates of published models render; the date of llama-3.1 is the one that its template falls back to. */
static const ba_chat families[] = {
    CHATML("chatml", IM_USER),
    CHATML("smollm2", IM_SYSTEM("You are a helpful AI assistant named SmolLM, trained by Hugging Face")),
    CHATML("qwen2.5", IM_SYSTEM("You are Qwen, created by Alibaba Cloud. You are a helpful assistant.")),
    CHATML("qwen2", IM_SYSTEM("You are a helpful assistant.")),
    {.family = "llama-3",
     .begin = HEADER("user"),
     .bare_begin = HEADER("user"),
     .system_open = HEADER("system"),
     .system_close = "<|eot_id|>" HEADER("user"),
     .past_open = "<|eot_id|>" HEADER("assistant"),
     .past_close = "<|eot_id|>" HEADER("user"),
     .answer_open = "<|eot_id|>" HEADER("assistant"),
     .trims = true,
     .trims_system = true,
     .trims_answer = true},
    {.family = "llama-3.1",
     .begin = HEADER("system") DATES "<|eot_id|>" HEADER("user"),
     .bare_begin = HEADER("system") DATES "<|eot_id|>" HEADER("user"),
     .system_open = HEADER("system") DATES,
     .system_close = "<|eot_id|>" HEADER("user"),
     .past_open = "<|eot_id|>" HEADER("assistant"),
     .past_close = "<|eot_id|>" HEADER("user"),
     .answer_open = "<|eot_id|>" HEADER("assistant"),
     .trims = true,
     .trims_system = true,
     .trims_answer = true},
    {.family = "gemma",
     .begin = "<start_of_turn>user\n",
     .bare_begin = "<start_of_turn>user\n",
     .past_open = "<end_of_turn>\n<start_of_turn>model\n",
     .past_close = "<end_of_turn>\n<start_of_turn>user\n",
     .answer_open = "<end_of_turn>\n<start_of_turn>model\n",
     .trims = true,
     .trims_answer = true},
    {.family = "gemma-3",
     .begin = "<start_of_turn>user\n",
     .bare_begin = "<start_of_turn>user\n",
     .system_open = "<start_of_turn>user\n",
     .system_close = "\n\n",
     .past_open = "<end_of_turn>\n<start_of_turn>model\n",
     .past_close = "<end_of_turn>\n<start_of_turn>user\n",
     .answer_open = "<end_of_turn>\n<start_of_turn>model\n",
     .trims = true,
     .trims_answer = true},
    {.family = "llama-2",
     .begin = "[INST] ",
     .bare_begin = "[INST] ",
     .system_open = "[INST] <<SYS>>\n",
     .system_close = "\n<</SYS>>\n\n",
     .past_open = " [/INST] ",
     .past_close = " </s><s>[INST] ",
     .answer_open = " [/INST]",
     .trims = true,
     .trims_answer = true},
    {.family = "mistral",
     .begin = "[INST] ",
     .bare_begin = "[INST] ",
     .past_open = " [/INST]",
     .past_close = "</s>[INST] ",
     .answer_open = " [/INST]"},
    {.family = "mistral-v3",
     .begin = "[INST] ",
     .bare_begin = "[INST] ",
     .past_open = "[/INST] ",
     .past_close = "</s>[INST] ",
     .answer_open = "[/INST]"},
    {.family = "mistral-tekken",
     .begin = "[INST]",
     .bare_begin = "[INST]",
     .past_open = "[/INST]",
     .past_close = "</s>[INST]",
     .answer_open = "[/INST]"},
    {.family = "zephyr",
     .begin = "<|user|>\n",
     .bare_begin = "<|user|>\n",
     .system_open = "<|system|>\n",
     .system_close = "</s>\n<|user|>\n",
     .past_open = "</s>\n<|assistant|>\n",
     .past_close = "</s>\n<|user|>\n",
     .answer_open = "</s>\n<|assistant|>\n"},
    {.family = "phi-3",
     .begin = "<|user|>\n",
     .bare_begin = "<|user|>\n",
     .system_open = "<|system|>\n",
     .system_close = "<|end|>\n<|user|>\n",
     .past_open = "<|end|>\n<|assistant|>\n",
     .past_close = "<|end|>\n<|user|>\n",
     .answer_open = "<|end|>\n<|assistant|>\n"},
};
enum { N_FAMILIES = sizeof families / sizeof *families };

const ba_chat *ba_chat_by_name(const char *name) {
    for (size_t i = 0; i < N_FAMILIES; i++) {
        if (strcmp(families[i].family, name) == 0) {
            return &families[i];
        }
    }
    return NULL;
}

/* The texts of a ba_chat, one after the other, so that they can be compared and copied in a loop. */
enum { N_TEXTS = 8 };
static const char **text_at(ba_chat *c, size_t i) {
    const char **const texts[N_TEXTS] = {&c->family,       &c->begin,     &c->bare_begin, &c->system_open,
                                         &c->system_close, &c->past_open, &c->past_close, &c->answer_open};
    return texts[i];
}

/* Whether two word a conversation in the same way. */
static bool is_like(const ba_chat *a, const ba_chat *b) {
    ba_chat x = *a, y = *b;
    x.bare_begin = y.bare_begin; /* which is not rendered */
    for (size_t i = 1; i < N_TEXTS; i++) {
        const char *s = *text_at(&x, i), *t = *text_at(&y, i);
        if (!s != !t || (s && strcmp(s, t) != 0)) {
            return false;
        }
    }
    return a->trims == b->trims && (!a->system_open || a->trims_system == b->trims_system) &&
           (!a->past_open || a->trims_answer == b->trims_answer);
}

/* A copy in one piece of memory, with all of its texts. NULL: out of memory. */
static ba_chat *copy_of(const ba_chat *from) {
    ba_chat shape = *from;
    size_t bytes = sizeof shape;
    for (size_t i = 0; i < N_TEXTS; i++) {
        bytes += *text_at(&shape, i) ? strlen(*text_at(&shape, i)) + 1 : 0;
    }
    ba_chat *copy = malloc(bytes);
    char *end = copy ? (char *)(copy + 1) : NULL;
    for (size_t i = 0; copy && i < N_TEXTS; i++) {
        const char *text = *text_at(&shape, i);
        *text_at(&shape, i) = text ? end : NULL;
        end = text ? stpcpy(end, text) + 1 : end;
    }
    if (copy) {
        *copy = shape;
    }
    return copy;
}

/* ---- rendering -------------------------------------------------------------------------------------------------- */

/* Texts of the probes: words that no template holds. */
#define BOS    "pRoBe BoS"
#define SYSTEM "pRoBe SyStEm"
#define FIRST  "pRoBe FiRsT"
#define ANSWER "pRoBe AnSwEr"
#define SECOND "pRoBe SeCoNd"
#define THIRD  "pRoBe ThIrD"

typedef struct turn {
    const char *role, *text;
} turn;

typedef struct learner {
    const ba_vocab *v;
    char *bos, *eos; /* NULL: there is none */
    char *why;
} learner;

/* The text of a token; NULL: it has none, or no memory. */
static char *token_text(const ba_vocab *v, int32_t id) {
    return id >= 0 && (size_t)id < v->n ? strndup(v->token[id].s, v->token[id].n) : NULL;
}

/* The rendering without a BOS at its beginning, and with the real one wherever else the template puts it. A BOS that
 * the template spells out at the beginning goes where modes would add another. */
static char *without_bos(const learner *l, const char *out) {
    char *text = NULL;
    size_t len = 0, k = l->bos ? strlen(l->bos) : 0;
    out += strncmp(out, BOS, strlen(BOS)) == 0 ? strlen(BOS) : 0;
    out += k && l->v->add_bos && strncmp(out, l->bos, k) == 0 ? k : 0;
    FILE *f = open_memstream(&text, &len);
    for (const char *found; f && (found = strstr(out, BOS)); out = found + strlen(BOS)) {
        fprintf(f, "%.*s%s", (int)(found - out), out, l->bos);
    }
    if (f) {
        fputs(out, f);
        fclose(f);
    }
    return text;
}

static bool add_message(cJSON *messages, const turn *t) {
    cJSON *message = cJSON_CreateObject();
    if (cJSON_AddStringToObject(message, "role", t->role) && cJSON_AddStringToObject(message, "content", t->text) &&
        cJSON_AddItemToArray(messages, message)) {
        return true;
    }
    cJSON_Delete(message);
    return false;
}

/* The variables of a template: the conversation and the tokens around it. NULL: out of memory. */
static cJSON *context_of(const learner *l, const turn *turns, size_t n) {
    cJSON *context = cJSON_CreateObject(), *messages = cJSON_AddArrayToObject(context, "messages");
    bool whole = messages != NULL;
    for (size_t i = 0; whole && i < n; i++) {
        whole = add_message(messages, &turns[i]);
    }
    if (whole && cJSON_AddTrueToObject(context, "add_generation_prompt") && cJSON_AddNullToObject(context, "tools") &&
        cJSON_AddNullToObject(context, "documents") &&
        (!l->bos || cJSON_AddStringToObject(context, "bos_token", BOS)) &&
        (!l->eos || cJSON_AddStringToObject(context, "eos_token", l->eos))) {
        return context;
    }
    cJSON_Delete(context);
    return NULL;
}

/* What the template makes of a conversation up to its answer, without a BOS at its beginning, which modes add
 * themselves. NULL and l->why. */
static char *render(const learner *l, const turn *turns, size_t n) {
    cJSON *context = context_of(l, turns, n);
    if (!context) {
        ba_fail(l->why, "out of memory");
        return NULL;
    }
    char *out = NULL;
    int rc = ba_jinja_render(l->v->chat_template, context, &out, l->why);
    cJSON_Delete(context);
    if (rc != 0) {
        return NULL;
    }
    char *text = without_bos(l, out);
    free(out);
    return text;
}

/* Cuts the rendering at the probes' texts, which must be there once and in this order: part[0 .. n]. Returns how much
 * white space each keeps in `kept` (NULL: not asked). false: it is worded otherwise. */
static bool cut(char *text, const turn *turns, size_t n, const char **part) {
    for (size_t i = 0; i < n; i++) {
        char *found = text ? strstr(text, turns[i].text) : NULL;
        if (!found || strstr(found + 1, turns[i].text)) {
            return false;
        }
        part[i] = text;
        *found = '\0';
        text = found + strlen(turns[i].text);
    }
    part[n] = text;
    return true;
}

/* ---- learning --------------------------------------------------------------------------------------------------- */

/* The conversation as the pieces say; malloc'ed. */
static char *compose(const ba_chat *c, const turn *turns, size_t n) {
    char *text = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);
    for (size_t i = 0; f && i < n; i++) {
        bool system = strcmp(turns[i].role, "system") == 0, answer = strcmp(turns[i].role, "assistant") == 0;
        const char *before = system                                           ? c->system_open
                             : answer                                         ? c->past_open
                             : i == 0                                         ? c->begin
                             : i == 1 && strcmp(turns[0].role, "system") == 0 ? c->system_close
                                                                              : c->past_close;
        fprintf(f, "%s%s", before, turns[i].text);
    }
    if (f) {
        fputs(c->answer_open, f);
        fclose(f);
    }
    return text;
}

static bool renders_as(const learner *l, const ba_chat *c, const turn *turns, size_t n) {
    char *rendered = render(l, turns, n), *composed = compose(c, turns, n);
    bool same = rendered && composed && strcmp(rendered, composed) == 0;
    free(rendered);
    free(composed);
    return same;
}

/* Whether white space around the text of turn `at` is taken away: 1, kept: 0, something else: -1. */
static int trims(const learner *l, const ba_chat *c, turn *turns, size_t n, size_t at) {
    char padded[64];
    const char *plain = turns[at].text;
    char *composed = compose(c, turns, n), *kept = NULL, *rendered;
    snprintf(padded, sizeof padded, " \n%s\n ", plain);
    turns[at].text = padded;
    rendered = render(l, turns, n);
    kept = compose(c, turns, n);
    turns[at].text = plain;
    int found = !rendered || !composed || !kept   ? -1
                : strcmp(rendered, kept) == 0     ? 0
                : strcmp(rendered, composed) == 0 ? 1
                                                  : -1;
    free(rendered);
    free(composed);
    free(kept);
    return found;
}

/* The user's turn, which a template must have. text: kept alive by the caller. */
static int learn_user(const learner *l, ba_chat *c, char **text) {
    turn turns[] = {{"user", FIRST}};
    const char *part[2];
    *text = render(l, turns, 1);
    if (!*text) {
        return -1;
    }
    if (!cut(*text, turns, 1, part)) {
        return ba_fail(l->why, "it does not render the text of a user");
    }
    c->begin = c->bare_begin = part[0];
    c->answer_open = part[1];
    int how = trims(l, c, turns, 1, 0);
    c->trims = how == 1;
    return how < 0 ? ba_fail(l->why, "it changes the text of a user") : 0;
}

/* A system turn, if the template has one. */
static void learn_system(const learner *l, ba_chat *c, char **text) {
    turn turns[] = {{"system", SYSTEM}, {"user", FIRST}, {"assistant", ANSWER}, {"user", SECOND}};
    const char *part[3];
    *text = render(l, turns, 2);
    if (!*text || !cut(*text, turns, 2, part) || strcmp(part[2], c->answer_open) != 0) {
        return;
    }
    c->system_open = part[0];
    c->system_close = part[1];
    int how = trims(l, c, turns, 2, 0);
    c->trims_system = how == 1;
    if (how < 0 || (c->past_open && !renders_as(l, c, turns, 4))) {
        c->system_open = c->system_close = NULL;
    }
}

/* Earlier answers, if they are worded in one way wherever they stand. */
static void learn_past(const learner *l, ba_chat *c, char **text) {
    turn turns[] = {
        {"user", FIRST}, {"assistant", ANSWER}, {"user", SECOND}, {"assistant", "pRoBe OtHeR"}, {"user", THIRD}};
    const char *part[4];
    *text = render(l, turns, 3);
    if (!*text || !cut(*text, turns, 3, part) || strcmp(part[0], c->begin) != 0 ||
        strcmp(part[3], c->answer_open) != 0) {
        return;
    }
    c->past_open = part[1];
    c->past_close = part[2];
    int how = trims(l, c, turns, 3, 1);
    c->trims_answer = how == 1;
    turns[1].text = "<think>\nnO\n</think>\n\n" ANSWER;
    c->cuts_thoughts = !renders_as(l, c, turns, 3);
    turns[1].text = ANSWER;
    if (how < 0 || !renders_as(l, c, turns, 5)) {
        c->past_open = c->past_close = NULL;
    }
}

int ba_chat_learn(ba_vocab *v) {
    char why[BA_ERR_LEN] = "", ignored[BA_ERR_LEN], *text[3] = {NULL, NULL, NULL};
    ba_chat c = {.family = "own"};
    free(v->chat);
    free(v->chat_why);
    v->chat = NULL;
    v->chat_why = NULL;
    if (!v->chat_template) {
        return 0;
    }
    learner l = {.v = v, .bos = token_text(v, v->bos), .eos = token_text(v, v->eos), .why = why};
    int rc = learn_user(&l, &c, &text[0]);
    if (rc == 0) {
        l.why = ignored;
        learn_past(&l, &c, &text[1]);
        learn_system(&l, &c, &text[2]);
        for (size_t i = 0; i < N_FAMILIES; i++) {
            if (is_like(&c, &families[i])) {
                c.family = families[i].family;
                c.bare_begin = families[i].bare_begin;
            }
        }
        v->chat = copy_of(&c);
        rc = v->chat ? 0 : -1;
    } else {
        v->chat_why = strdup(why);
        rc = v->chat_why ? 0 : -1;
    }
    free(l.bos);
    free(l.eos);
    for (size_t i = 0; i < 3; i++) {
        free(text[i]);
    }
    return rc;
}

/* ---- choosing --------------------------------------------------------------------------------------------------- */

static int read_template(ba_vocab *v, const char *path, char err[BA_ERR_LEN]) {
    ba_mapping file;
    if (ba_mapping_open(path, &file, err) != 0) {
        return -1;
    }
    bool text = ba_utf8_valid((const char *)file.data, file.size) == file.size && !memchr(file.data, 0, file.size);
    char *copy = text ? strndup((const char *)file.data, file.size) : NULL;
    ba_mapping_close(&file);
    if (!copy) {
        return ba_fail(err, "%s: %s", path, text ? "out of memory" : "is no UTF-8 text");
    }
    free((char *)v->chat_template);
    v->chat_template = copy;
    if (ba_chat_learn(v) != 0) {
        return ba_fail(err, "out of memory");
    }
    return v->chat ? 0 : ba_fail(err, "%s: this template is not understood: %s", path, v->chat_why);
}

int ba_chat_choose(ba_vocab *v, const char *choice, const char *template_path, char err[BA_ERR_LEN]) {
    if (template_path && read_template(v, template_path, err) != 0) {
        return -1;
    }
    if (!choice || strcmp(choice, "auto") == 0) {
        return 0;
    }
    bool none = strcmp(choice, "none") == 0;
    const ba_chat *named = none ? NULL : ba_chat_by_name(choice);
    if (!none && !named) {
        char list[256] = "";
        for (size_t i = 0, used = 0; i < N_FAMILIES && used < sizeof list; i++) {
            used += (size_t)snprintf(list + used, sizeof list - used, ", %s", families[i].family);
        }
        return ba_fail(err, "--chat %s: unknown; there is auto, none%s", choice, list);
    }
    free(v->chat);
    free(v->chat_why);
    v->chat_why = NULL;
    v->chat = named ? copy_of(named) : NULL;
    return named && !v->chat ? ba_fail(err, "out of memory") : 0;
}

/* ---- questions -------------------------------------------------------------------------------------------------- */

const ba_chat *ba_chat_of(const ba_vocab *vocab) {
    return vocab->chat;
}

int ba_chat_settled(const ba_vocab *vocab, char err[BA_ERR_LEN]) {
    return vocab->chat_why ? ba_fail(err,
                                     "the model's chat template is not understood: %.200s; say --chat NAME (a family), "
                                     "--chat-template FILE, or --chat none for plain text",
                                     vocab->chat_why)
                           : 0;
}

size_t ba_chat_cut(const ba_chat *chat, const char *between) {
    /* the mark that opens a turn: "<|im_start|>", "[INST]", "<start_of_turn>" */
    const char *mark = chat->bare_begin;
    size_t n = *mark == '<' ? strcspn(mark, ">") + 1 : *mark == '[' ? strcspn(mark, "]") + 1 : 0;
    const char *found = n && n <= strlen(mark) ? memmem(between, strlen(between), mark, n) : NULL;
    return found ? (size_t)(found - between) : strlen(between);
}

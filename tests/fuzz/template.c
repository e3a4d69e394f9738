/* A chat template, and the words of a conversation that are learnt from it. */
#include "targets.h"

#include "sim/chat/chat.h"

#include <stdlib.h>
#include <string.h>

static void *open_nothing(const ba_fuzz *self, const char *folder) {
    (void)self, (void)folder;
    return malloc(1);
}

static bool take(void *state, const unsigned char *data, size_t size) {
    (void)state;
    ba_span name[] = {{"<s>", 3}, {"</s>", 4}};
    uint8_t type[] = {BA_TOKEN_CONTROL, BA_TOKEN_CONTROL};
    char err[BA_ERR_LEN] = "";
    ba_vocab v = {.token = name, .type = type, .n = 2, .bos = 0, .eos = 1, .unk = -1, .pad = -1};
    v.chat_template = strndup((const char *)data, size);
    bool held = ba_fuzz_check(ba_chat_learn(&v) == 0, "a template is learnt or refused");
    if (v.chat) {
        held = ba_fuzz_check(v.chat->begin && v.chat->answer_open && !v.chat->system_open == !v.chat->system_close &&
                                 !v.chat->past_open == !v.chat->past_close,
                             "texts are there in pairs") &&
               held;
        ba_chat_cut(v.chat, v.chat->answer_open);
    } else {
        held = ba_fuzz_check(ba_chat_settled(&v, err) == -1 && *err && !strchr(err, '\n'),
                             "a template that is refused says why, in a line") &&
               held;
    }
    free((char *)v.chat_template);
    free(v.chat);
    free(v.chat_why);
    return held;
}

static int seed(const ba_fuzz *self, const char *folder) {
    (void)self;
    static const char *const text[] = {
        "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
        "{{- bos_token }}\n{%- if messages[0]['role'] == 'system' -%}\n  {%- set first = messages[0].content ~ "
        "'\\n\\n' -%}"
        "\n  {%- set rest = messages[1:] -%}\n{%- else -%}{%- set first = '' -%}{%- set rest = messages -%}{%- endif "
        "-%}"
        "{%- for m in rest -%}{{ '<t>' + ('model' if m.role == 'assistant' else m.role) + '\n' + (first if loop.first "
        "else '') }}{{ m.content | trim }}{{ '</t>\n' }}{%- endfor -%}{{ '<t>model\n' if add_generation_prompt }}",
        "{%- set ns = namespace(last=messages|length - 1, any=true) %}{%- for m in messages[::-1] %}{%- set index = "
        "(messages|length - 1) - loop.index0 %}{%- if ns.any and m.role == \"user\" and "
        "not(m.content.startswith('<r>') "
        "and m.content.endswith('</r>')) %}{%- set ns.any = false %}{%- set ns.last = index %}{%- endif %}{%- endfor %}"
        "{% for m in messages %}{{ m.content.split('</x>')[-1].lstrip('\\n').strip() }}{# no #}{% endfor %}",
        "{% for m in messages if m.role in ['user'] %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}{{ "
        "raise_exception('no') }}{% elif tools is not none and not x is defined %}{% endif %}[INST] {{ "
        "m.get('content', "
        "'') }} [/INST]{{ eos_token }}{% endfor %}{% set y %}a{% endset %}{{ y | length }}"};
    int rc = 0;
    for (size_t i = 0; i < sizeof text / sizeof *text; i++) {
        const char name[] = {'s', (char)('0' + i), 0};
        rc = ba_fuzz_write(folder, name, text[i], strlen(text[i])) ? -1 : rc;
    }
    return rc;
}

const ba_fuzz ba_fuzz_template = {"template", NULL, open_nothing, take, free, seed};

/* What the row of an option says, as text. */
#include "options.h"

#include <string.h>

bool ba_command_takes(const ba_command *c, const ba_shared_option *s) {
    return !s->taken || c->takes & s->taken;
}

const char *ba_option_standard(const ba_command *c, const ba_option *o) {
    bool mode = o->type == BA_MODE || o->type == BA_MODES;
    return mode && !o->standard ? c->mode : o->standard;
}

bool ba_option_word(const ba_option *o, size_t i, char out[64]) {
    if (o->word) {
        const char *word = o->word(i);
        snprintf(out, 64, "%s", word ? word : "");
        return word != NULL;
    }
    for (const char *w = o->words; w; i--) {
        size_t n = strcspn(w, "|");
        if (!i) {
            snprintf(out, 64, "%.*s", (int)n, w);
            return true;
        }
        w = w[n] ? w + n + 1 : NULL;
    }
    return false;
}

void ba_option_value(const ba_option *o, char *out, size_t size) {
    snprintf(out, size, "%s", o->value ? o->value : o->type != BA_FLAG && o->words ? o->words : "");
}

/* Text that is added to a buffer and cut at its end. */
static void add(char *out, size_t size, const char *before, const char *text, const char *after) {
    size_t used = strlen(out);
    snprintf(out + used, size - used, "%s%s%s", before, text, after);
}

void ba_option_help(const ba_option *o, const char *standard, char *out, size_t size) {
    enum { NO_LIMIT = 100000 }; /* a most that only keeps out nonsense is not worth a reader's time */
    char word[64], range[80];
    const char *closing = "";
    snprintf(out, size, "%s", o->help);
    for (size_t i = 0; (o->word || (o->words && o->value)) && ba_option_word(o, i, word); i++) {
        add(out, size, i ? ", " : " (", word, "");
        closing = ")";
    }
    add(out, size, closing, "", "");
    if (o->most > 0 && o->most < NO_LIMIT && o->least > -HUGE_VAL) {
        snprintf(range, sizeof range, "%.15g to %.15g", o->least, o->most);
        add(out, size, " (", range, ")");
    }
    if (standard) {
        add(out, size, "; default ", standard, "");
    }
}

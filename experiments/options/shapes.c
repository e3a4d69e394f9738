/* Shapes on the command line: --shape and `shapes`. */
#include "experiments/cli/guess.h"
#include "options.h"

#include <string.h>
#include <sys/stat.h>

const char *ba_shape_word(size_t i) {
    const ba_named_shape *s = ba_named_shape_at(i);
    return s ? s->name : NULL;
}

/* A name that only a path can have, or of something that exists. */
static bool is_path(const char *text) {
    struct stat info;
    size_t n = strlen(text);
    return strchr(text, '/') || (n > 5 && strcmp(text + n - 5, ".json") == 0) || stat(text, &info) == 0;
}

int ba_shape_choose(const char *text, ba_named_shape *out, char err[BA_ERR_LEN]) {
    const ba_named_shape *s;
    ba_guess g = ba_guess_begin(text, strlen(text));
    for (size_t i = 0; (s = ba_named_shape_at(i)); i++) {
        if (strcmp(s->name, text) == 0) {
            *out = *s;
            return 0;
        }
        ba_guess_offer(&g, s->name);
    }
    *out = (ba_named_shape){.name = text};
    if (is_path(text)) {
        return ba_shape_read(text, &out->shape, err);
    }
    return ba_fail(err, "no shape '%.100s'; 'blockattn shapes' lists them, and the path of a config.json is one%s",
                   text, g.text);
}

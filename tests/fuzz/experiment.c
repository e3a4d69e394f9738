/* An experiment file; the command that it names is not run. */
#include "targets.h"

#include "experiments/options/experiment.h"

#include <stdlib.h>
#include <string.h>

static void *open_nothing(const ba_fuzz *self, const char *folder) {
    (void)folder;
    return strdup(self->name);
}

static bool take(void *state, const unsigned char *data, size_t size) {
    char err[BA_ERR_LEN] = "";
    ba_words words;
    bool held;
    if (ba_experiment_parse((const char *)data, size, state, &words, err) != 0) {
        held = ba_fuzz_check(*err && !strchr(err, '\n'), "an experiment that is refused says why, in a line");
    } else {
        held = words.argc > 0 && words.argc <= BA_MAX_WORDS && !words.argv[words.argc];
        for (int i = 0; i < words.argc; i++) {
            held = held && words.argv[i];
        }
        held = ba_fuzz_check(held, "an experiment is a command line");
    }
    ba_words_free(&words);
    return held;
}

static int seed(const ba_fuzz *self, const char *folder) {
    static const char text[] = "{\"about\": \"what it shows\", \"command\": \"ttft\",\n \"options\": {\"lengths\": "
                               "[\"50\", 512], \"repeat\": 3, \"cold\": true, \"warm\": false, \"out\": \"a.h5\"}}\n";
    return ba_fuzz_write(folder, self->name, text, sizeof text - 1);
}

const ba_fuzz ba_fuzz_experiment = {"experiment", NULL, open_nothing, take, free, seed};

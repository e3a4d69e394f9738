#include "scratch.h"

#include "experiments/cli/cli.h"
#include "sim/base/random.h"
#include "sim/model/model.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int ba_versus_folder(char *out, size_t size) {
    ssize_t n = readlink("/proc/self/exe", out, size - 1);
    if (n <= 0 || (size_t)n >= size - 1) {
        return ba_cli_fail(BA_EXIT_MACHINE, "/proc/self/exe: %s", strerror(errno));
    }
    out[n] = '\0';
    *strrchr(out, '/') = '\0';
    return 0;
}

int ba_versus_ids(const char *model, size_t n, uint64_t seed, const char *path) {
    enum { FIRST = 300 }; /* below are control tokens and single bytes in most vocabularies */
    char err[BA_ERR_LEN];
    const ba_shape *shape = ba_shape_by_name(model);
    ba_model *m = NULL;
    if (!shape && ba_model_open(model, false, &m, err)) {
        return ba_cli_fail(BA_EXIT_USAGE, "%s", err);
    }
    size_t vocab = shape ? shape->vocab : ba_model_vocab(m)->n;
    ba_model_close(m);
    if (vocab <= FIRST) {
        return ba_cli_fail(BA_EXIT_USAGE, "%s: only %zu tokens; more than %d are needed", model, vocab, FIRST);
    }
    FILE *out = fopen(path, "w");
    for (size_t i = 0; out && i < n; i++) {
        fprintf(out, "%zu\n", FIRST + ba_random_below(&seed, vocab - FIRST));
    }
    if (!out || fclose(out)) {
        return ba_cli_fail(BA_EXIT_MACHINE, "%s: %s", path, strerror(errno));
    }
    return 0;
}

int ba_versus_scratch(char *out, size_t size) {
    const char *tmp = getenv("TMPDIR");
    snprintf(out, size, "%s/blockattn-bench-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    return mkdtemp(out) ? 0 : ba_cli_fail(BA_EXIT_MACHINE, "%s: %s", out, strerror(errno));
}

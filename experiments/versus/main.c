#include "experiments/cli/cli.h"
#include "programs.h"

#include <string.h>

int main(int argc, char **argv) {
    const char *what = argc > 1 ? argv[1] : "";
    ba_catch_interrupt();
    if (!strcmp(what, "versus")) {
        return ba_versus_versus(argc - 1, argv + 1);
    }
    if (!strcmp(what, "compare")) {
        return ba_versus_compare(argc - 1, argv + 1);
    }
    return ba_cli_fail(BA_EXIT_USAGE, "there is 'bench versus' and 'bench compare'; see --help of either");
}

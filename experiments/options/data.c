#include "data.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_PATH = 4096 };

/* Relative to the program's folder: build/, a folder of another build in it, or PREFIX/bin. */
static const char *const folders[] = {"../experiments/configs", "../experiments/game", "../../experiments/configs",
                                      "../../experiments/game", "../share/blockattn"};
enum { FOLDERS = sizeof folders / sizeof *folders };

/* A path relative to the program's folder. -1: the program does not know where it is, or the path is too long. */
static int beside_program(const char *relative, char out[MAX_PATH]) {
    char program[MAX_PATH];
    ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
    if (n <= 0) {
        return -1;
    }
    program[n] = '\0';
    char *slash = strrchr(program, '/');
    n = snprintf(out, MAX_PATH, "%.*s/%s", (int)(slash ? slash - program : 0), program, relative);
    return n < MAX_PATH ? 0 : -1;
}

static int is_file(const char *path) {
    struct stat s;
    return stat(path, &s) == 0 && !S_ISDIR(s.st_mode);
}

const char *ba_data_find(const char *given, char *out, size_t size) {
    const char *slash = strrchr(given, '/'), *base = slash ? slash + 1 : given;
    const char *extension = strchr(base, '.') ? "" : ".json";
    char folder[MAX_PATH];
    for (size_t i = 0; i < FOLDERS && *base && !is_file(given) && strcmp(given, "-") != 0; i++) {
        if (beside_program(folders[i], folder)) {
            continue;
        }
        int n = snprintf(out, size, "%s/%s%s", folder, base, extension);
        if (n > 0 && (size_t)n < size && is_file(out)) {
            return out;
        }
    }
    snprintf(out, size, "%s", given);
    return out;
}

int ba_data_script(char *out, size_t size) {
    static const char *const places[] = {"../plots/draw.sh", "../../plots/draw.sh", "../share/blockattn/plots/draw.sh"};
    char path[MAX_PATH];
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        if (beside_program(places[i], path) == 0 && is_file(path)) {
            int n = snprintf(out, size, "%s", path);
            return n > 0 && (size_t)n < size ? 0 : -1;
        }
    }
    return -1;
}

void ba_data_offer(ba_guess *g) {
    char folder[MAX_PATH];
    for (size_t i = 0; i < FOLDERS; i++) {
        DIR *d = beside_program(folders[i], folder) ? NULL : opendir(folder);
        for (struct dirent *e; d && (e = readdir(d));) {
            char *end = strstr(e->d_name, ".json");
            if (end) {
                *end = '\0';
                ba_guess_offer(g, e->d_name);
            }
        }
        if (d) {
            closedir(d);
        }
    }
}

#include "environment.h"

#include "sim/trace/trace.h"
#include "store_spec.h"

#include <cjson/cJSON.h>
#include <gnu/libc-version.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>
#include <xxhash.h>

#ifndef BA_COMMIT /* given by the Makefile */
#define BA_COMMIT "unknown"
#endif

int ba_environment_add(ba_environment *env, const char *key, const char *format, ...) {
    if (env->n == BA_MAX_FACTS) {
        return -1;
    }
    va_list args;
    va_start(args, format);
    int n = vasprintf(&env->value[env->n], format, args);
    va_end(args);
    if (n < 0) {
        return -1;
    }
    env->key[env->n++] = key;
    return 0;
}

static int of_kind(ba_environment *env, int failed, ba_fact kind) {
    if (!failed) {
        env->kind[env->n - 1] = kind;
    }
    return failed;
}

int ba_environment_add_count(ba_environment *env, const char *key, uint64_t value) {
    return of_kind(env, ba_environment_add(env, key, "%" PRIu64, value), BA_FACT_COUNT);
}

int ba_environment_add_real(ba_environment *env, const char *key, double value) {
    return of_kind(env, ba_environment_add(env, key, "%.17g", value), BA_FACT_REAL);
}

const char *ba_environment_get(const ba_environment *env, const char *key) {
    for (size_t i = 0; i < env->n; i++) {
        if (strcmp(env->key[i], key) == 0) {
            return env->value[i];
        }
    }
    return "";
}

void ba_environment_free(ba_environment *env) {
    for (size_t i = 0; i < env->n; i++) {
        free(env->value[i]);
    }
    env->n = 0;
}

/* Value of the first "key : value" line of /proc/cpuinfo into out; "" if there is none. */
static void cpu_field(const char *key, char *out, size_t size) {
    *out = '\0';
    FILE *f = fopen("/proc/cpuinfo", "r");
    char *line = NULL;
    size_t room = 0;
    while (f && !*out && getline(&line, &room, f) > 0) {
        char *colon = strchr(line, ':');
        if (colon && strncmp(line, key, strlen(key)) == 0 && strchr("\t :", line[strlen(key)])) {
            snprintf(out, size, "%s", colon + 1 + strspn(colon + 1, " "));
            out[strcspn(out, "\n")] = '\0';
        }
    }
    free(line);
    if (f) {
        fclose(f);
    }
}

/* Those instruction sets that decide which kernels run, as the kernel names them. */
static void instruction_sets(char *out, size_t size) {
    static const char *const wanted[] = {"avx",         "avx2",     "fma",      "avx512f",  "avx512bw", "avx512_vnni",
                                         "avx512_bf16", "amx_tile", "amx_bf16", "amx_int8", "asimd",    "sve"};
    char flags[8192];
    cpu_field("flags", flags, sizeof flags);
    if (!*flags) {
        cpu_field("Features", flags, sizeof flags); /* as on ARM */
    }
    *out = '\0';
    char *rest = flags, *flag;
    while ((flag = strsep(&rest, " "))) {
        for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
            size_t used = strlen(out);
            if (strcmp(flag, wanted[i]) == 0) {
                snprintf(out + used, size - used, "%s%s", used ? " " : "", flag);
            }
        }
    }
}

/* One word of a command line, quoted for a shell, without passwords. -1: out of memory. */
static int write_word(FILE *f, const char *word) {
    char *masked = strdup(word);
    if (!masked) {
        return -1;
    }
    ba_store_spec_mask(masked);
    if (masked[strcspn(masked, " \t\n'\"\\$&|;<>()*?[]{}#~`!")] == '\0' && *masked) {
        fputs(masked, f);
    } else {
        putc('\'', f);
        for (const char *c = masked; *c; c++) {
            fputs(*c == '\'' ? "'\\''" : (char[]){*c, '\0'}, f);
        }
        putc('\'', f);
    }
    free(masked);
    return 0;
}

/* argv as one line for a shell, without the options that do not change what is measured. */
static char *command_line(int argc, char **argv) {
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    if (!f) {
        return NULL;
    }
    int failed = 0;
    fputs("blockattn", f);
    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "--resume") != 0 && strcmp(argv[i], "--force") != 0) {
            putc(' ', f);
            failed |= write_word(f, argv[i]);
        }
    }
    if (fclose(f) || failed) {
        free(text);
        return NULL;
    }
    return text;
}

/* Variables that change what the libraries do; unset ones are recorded too. */
static int add_variables(ba_environment *env) {
    static const char *const name[] = {"OPENBLAS_CORETYPE", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "OMP_PROC_BIND",
                                       "OMP_PLACES"};
    for (size_t i = 0; i < sizeof name / sizeof *name; i++) {
        const char *value = getenv(name[i]);
        if (ba_environment_add(env, name[i], "%s", value ? value : "(not set)")) {
            return -1;
        }
    }
    return 0;
}

static int add_device(ba_environment *env, ba_backend *be) {
    ba_device d;
    if (!be || !be->ops->device) {
        return 0;
    }
    be->ops->device(be, &d);
    return ba_environment_add(env, "device", "%s, %.1f GB", d.name, (double)d.memory / 1e9) ||
           ba_environment_add(env, "driver", "%s", d.driver);
}

void ba_environment_cpu(char *out, size_t size) {
    struct utsname os = {.machine = "unknown"};
    cpu_field("model name", out, size);
    if (!*out) {
        uname(&os);
        snprintf(out, size, "%s", os.machine);
    }
}

static int capture(ba_environment *env, int argc, char **argv, ba_backend *be, size_t threads) {
    char cpu[256], isa[512], hdf5[64];
    struct utsname os = {.release = "unknown"};
    ba_environment_cpu(cpu, sizeof cpu);
    instruction_sets(isa, sizeof isa);
    ba_trace_library(hdf5, sizeof hdf5);
    uname(&os);
    char *command = command_line(argc, argv);
    int failed = !command || ba_environment_add(env, "commit", "%s", BA_COMMIT) ||
                 ba_environment_add(env, "command", "%s", command) || ba_environment_add(env, "cpu", "%s", cpu) ||
                 ba_environment_add(env, "isa", "%s", isa) ||
                 ba_environment_add_count(env, "cores", (uint64_t)sysconf(_SC_NPROCESSORS_ONLN)) ||
                 ba_environment_add_count(env, "threads", threads) || add_variables(env) ||
                 ba_environment_add(env, "backend", "%s/%s", be ? be->ops->name : "none", be ? be->ops->dtype : "-") ||
                 ba_environment_add(env, "libraries", "%s; %s; cJSON %s; xxHash %u; glibc %s",
                                    be ? be->ops->describe(be) : "no backend", hdf5, cJSON_Version(),
                                    XXH_versionNumber(), gnu_get_libc_version()) ||
                 ba_environment_add(env, "compiler", "%s", __VERSION__) ||
                 ba_environment_add(env, "kernel", "%s %s", os.sysname, os.release) || add_device(env, be);
    free(command);
    return failed ? -1 : 0;
}

int ba_environment_capture(ba_environment *env, int argc, char **argv, ba_backend *be, size_t threads) {
    *env = (ba_environment){.n = 0};
    if (capture(env, argc, argv, be, threads)) {
        ba_environment_free(env);
        return -1;
    }
    return 0;
}

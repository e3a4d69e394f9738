/* What a figure depends on besides the code: captured once, written as root attributes of every trace. No host names,
 * no paths of the machine. */
#ifndef BA_ENVIRONMENT_H
#define BA_ENVIRONMENT_H

#include "kernels/backend.h"

#include <stddef.h>
#include <stdint.h>

enum { BA_MAX_FACTS = 40 };

/* What a value is, and so what a trace keeps it as. */
typedef enum ba_fact { BA_FACT_TEXT, BA_FACT_COUNT, BA_FACT_REAL } ba_fact;

typedef struct ba_environment {
    const char *key[BA_MAX_FACTS];
    char *value[BA_MAX_FACTS]; /* owned */
    ba_fact kind[BA_MAX_FACTS];
    size_t n;
} ba_environment;

/* commit, command (argv without --resume and --force, quoted for a shell), cpu, isa, cores, threads, OPENBLAS_* and OMP_*
 * variables, backend, libraries, compiler, kernel, and for a backend with a device: device, driver. be may be NULL. 0, or -1: out of memory (nothing to free). */
int ba_environment_capture(ba_environment *env, int argc, char **argv, ba_backend *be, size_t threads);
void ba_environment_free(ba_environment *env);

/* Adds a fact (printf style); -1: out of memory or no room. The key is borrowed. */
int ba_environment_add(ba_environment *env, const char *key, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same for numbers. */
int ba_environment_add_count(ba_environment *env, const char *key, uint64_t value);
int ba_environment_add_real(ba_environment *env, const char *key, double value);

/* The processor's name, else that of its instruction set. */
void ba_environment_cpu(char *out, size_t size);

/* "" if there is no such fact. */
const char *ba_environment_get(const ba_environment *env, const char *key);

#endif

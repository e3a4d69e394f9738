/* The choice of an instruction set for this processor. */
#include "attention.h"

#include <stdlib.h>
#include <string.h>

const ba_isa *ba_isa_choose(char err[BA_ERR_LEN]) {
    static const ba_isa *const all[] = {&ba_isa_avx512, &ba_isa_avx2, &ba_isa_plain};
    bool has[] = {false, false, true};
#if defined(__x86_64__)
    has[0] = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
             __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    has[1] = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
    const char *options = getenv("BLOCKATTN_ISA");
    bool free_choice = !options || !*options;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (!free_choice && strcmp(options, all[i]->name) != 0) {
            continue;
        }
        if (has[i] && all[i]->attend) {
            return all[i];
        }
        if (!free_choice) {
            ba_fail(err, "BLOCKATTN_ISA=%s: this processor or build does not have it; unset it, or set it to plain",
                    options);
            return NULL;
        }
    }
    ba_fail(err, "BLOCKATTN_ISA=%s: unknown instruction set; set it to plain, avx2 or avx512", options);
    return NULL;
}

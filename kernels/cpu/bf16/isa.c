/* Which instruction sets for bf16 this processor has. */
#include "bf16.h"

#if defined(__x86_64__) && defined(__linux__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

bool ba_bf16_has_avx512(void) {
#if defined(__x86_64__)
    return ba_bf16_isa_avx512.tile.attend && __builtin_cpu_supports("avx512bf16") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl");
#else
    return false;
#endif
}

#if defined(__x86_64__) && defined(__linux__)
bool ba_bf16_has_amx(void) {
    enum { ASK_PERMISSION = 0x1023, TILE_DATA = 18 }; /* ARCH_REQ_XCOMP_PERM; state component, from Linux 5.16 on */
    unsigned a, b, c, d;
    bool cpu = ba_bf16_isa_amx.tile.attend && __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d >> 22 & 1) &&
               (d >> 24 & 1); /* AMX-BF16, AMX-TILE */
    return cpu && syscall(SYS_arch_prctl, ASK_PERMISSION, TILE_DATA) == 0;
}
#else
bool ba_bf16_has_amx(void) {
    return false;
}
#endif

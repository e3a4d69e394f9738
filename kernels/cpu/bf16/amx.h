/* The matrix registers of AMX. tests/support/amx_twin_avx512_bf16.c defines BA_AMX_PLAIN and implements the operations
 * on registers in plain C, so that the kernels are tested on any processor with AVX-512 and bf16. */
#ifndef BA_AMX_H
#define BA_AMX_H

#include <stddef.h>
#include <stdint.h>

#ifndef BA_AMX_PLAIN /* register numbers are part of the instruction, so these must be macros */
#include <immintrin.h>
/* GCC's intrinsics do not declare that they read memory, so GCC might drop the stores before them. */
#define amx_reads(at) __asm__ volatile("" : : "r"(at) : "memory")
#define tile_config(config)                                                                                            \
    do {                                                                                                               \
        amx_reads(config);                                                                                             \
        _tile_loadconfig(config);                                                                                      \
    } while (0)
#define tile_load(to, at, stride)                                                                                      \
    do {                                                                                                               \
        amx_reads(at);                                                                                                 \
        _tile_loadd(to, at, stride);                                                                                   \
    } while (0)
#define tile_release()               _tile_release()
#define tile_zero(to)                _tile_zero(to)
#define tile_store(from, at, stride) _tile_stored(from, at, stride)
#define tile_multiply(sum, a, b)     _tile_dpbf16ps(sum, a, b)
#endif

enum {
    AMX_ROWS = 16,  /* rows of a register */
    AMX_DEPTH = 32, /* bf16 elements of a register's row */
    AMX_REGISTERS = 8,
};

/* The operand of tile_config. */
typedef struct amx_config {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} amx_config;
_Static_assert(sizeof(amx_config) == 64, "the processor reads 64 bytes");

/* All registers at their full size. */
static inline amx_config amx_whole(void) {
    amx_config c = {.palette = 1};
    for (size_t i = 0; i < AMX_REGISTERS; i++) {
        c.rows[i] = AMX_ROWS;
        c.row_bytes[i] = AMX_DEPTH * sizeof(uint16_t);
    }
    return c;
}

#endif

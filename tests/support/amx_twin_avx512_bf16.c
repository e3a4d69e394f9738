/* The instructions of AMX as Intel's manual describes them, with the checks for which a processor would fault, and the
 * kernels compiled with them. */
#include "amx_twin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The registers of a thread, as tile_config set them. */
typedef struct registers {
    size_t row_bytes[8], rows[8];
    uint8_t at[8][16][64];
} registers;

static _Thread_local registers reg;

static void need(bool holds, const char *what) {
    if (!holds) {
        fprintf(stderr, "AMX would fault: %s\n", what);
        abort();
    }
}

static void tile_config(const void *config) {
    const uint8_t *c = config;
    need(c[0] == 1 && c[1] == 0, "palette or start row");
    memset(&reg, 0, sizeof reg);
    for (size_t i = 0; i < 8; i++) {
        uint16_t bytes;
        memcpy(&bytes, c + 16 + 2 * i, sizeof bytes);
        reg.row_bytes[i] = bytes;
        reg.rows[i] = c[48 + i];
        need(bytes <= 64 && bytes % 4 == 0 && reg.rows[i] <= 16, "shape of a register");
    }
}

static void tile_release(void) {
    memset(&reg, 0, sizeof reg);
}

static void tile_zero(size_t to) {
    need(reg.rows[to] > 0, "register not configured");
    memset(reg.at[to], 0, sizeof reg.at[to]);
}

static void tile_load(size_t to, const void *at, size_t stride) {
    tile_zero(to);
    for (size_t r = 0; r < reg.rows[to]; r++) {
        memcpy(reg.at[to][r], (const uint8_t *)at + r * stride, reg.row_bytes[to]);
    }
}

static void tile_store(size_t from, void *at, size_t stride) {
    need(reg.rows[from] > 0, "register not configured");
    for (size_t r = 0; r < reg.rows[from]; r++) {
        memcpy((uint8_t *)at + r * stride, reg.at[from][r], reg.row_bytes[from]);
    }
}

static float pair_element(size_t tile, size_t row, size_t i) {
    uint16_t h;
    memcpy(&h, &reg.at[tile][row][2 * i], sizeof h);
    return ba_bf16_to_f32(h);
}

/* sum[m][n] += a[m][2 k] b[k][2 n] + a[m][2 k + 1] b[k][2 n + 1], over all k. */
static void tile_multiply(size_t sum, size_t a, size_t b) {
    need(reg.rows[sum] == reg.rows[a] && reg.row_bytes[sum] == reg.row_bytes[b], "shapes of sum and operands");
    need(reg.row_bytes[a] / 4 == reg.rows[b] && reg.rows[b] > 0, "depths of the operands");
    for (size_t m = 0; m < reg.rows[sum]; m++) {
        for (size_t n = 0; n < reg.row_bytes[sum] / 4; n++) {
            float x;
            memcpy(&x, &reg.at[sum][m][4 * n], sizeof x);
            for (size_t k = 0; k < reg.rows[b]; k++) {
                x += pair_element(a, m, 2 * k) * pair_element(b, k, 2 * n);
                x += pair_element(a, m, 2 * k + 1) * pair_element(b, k, 2 * n + 1);
            }
            memcpy(&reg.at[sum][m][4 * n], &x, sizeof x);
        }
    }
}

#define BA_AMX_PLAIN
#define ba_bf16_isa_amx     ba_bf16_isa_amx_plain
#define ba_bf16_product_amx ba_bf16_product_amx_plain
#include "kernels/cpu/bf16/product_amx.c" // NOLINT(bugprone-suspicious-include): the same source, other registers

#include "kernels/cpu/bf16/attention_amx.c" // NOLINT(bugprone-suspicious-include)

/* The polynomial for 2^f on [-1/2, 1/2] that every exponential in fp32 uses: a minimax fit with a relative error of
 * 2e-9, exactly 1 at 0. SET(c) is a constant and FMA(p, f, c) is p * f + c in the arithmetic of the includer. */
#ifndef BA_EXP2_H
#define BA_EXP2_H

#define BA_EXP2_POLYNOMIAL(f, SET, FMA)                                                                                \
    FMA(FMA(FMA(FMA(FMA(FMA(SET(1.5353359e-4f), f, SET(1.33988762e-3f)), f, SET(9.61843692e-3f)), f,                   \
                    SET(5.55033237e-2f)),                                                                              \
                f, SET(2.40226477e-1f)),                                                                               \
            f, SET(6.93147182e-1f)),                                                                                   \
        f, SET(1.0f))

#endif

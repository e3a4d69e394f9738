/* Activations of gated units. */
#ifndef BA_CUDA_ACT_CUH
#define BA_CUDA_ACT_CUH

namespace ba {

/* By the card's own approximations of 2^x and 1/x, a millionth off at most where the result is not tiny: a product's
 * epilogue has no time for more, and the result is rounded to bf16 next. */
__device__ __forceinline__ float silu(float x) {
    float power, inverse;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(power) : "f"(-1.44269504088896340736f * x));
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(inverse) : "f"(1 + power));
    return x * inverse;
}

__device__ __forceinline__ float act(bool gelu, float x) {
    if (gelu) {
        return 0.5f * x * (1 + tanhf(0.79788456080286535588f * (x + 0.044715f * x * x * x)));
    }
    return silu(x);
}

} // namespace ba

#endif

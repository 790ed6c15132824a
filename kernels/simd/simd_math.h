/* Elementary functions on vectors. Coefficients: own minimax fits (weighted least squares on Chebyshev nodes until the
 * error levels), the errors beside them being the fit's, before rounding. NaN gives NaN everywhere. */
#ifndef MR_KERNELS_SIMD_SIMD_MATH_H
#define MR_KERNELS_SIMD_SIMD_MATH_H

#include "kernels/simd/simd.h"
#include "kernels/simd/simd_gelu.h"

#define SIMD_LOG2E 1.44269504f

/* 2^r for 0 <= r <= 1, relative error 8e-8; exact for r = 0. */
SIMD_INLINE vf v_exp2_fraction(vf r)
{
    vf p = v_fma(v_set(0.0018671302f), r, v_set(0.00901703f));
    p = v_fma(p, r, v_set(0.055799913f));
    p = v_fma(p, r, v_set(0.24016444f));
    p = v_fma(p, r, v_set(0.6931513f));
    return v_fma(p, r, v_set(1.0f));
}

/* 2^x. Infinity above 128, 0 below -150. */
SIMD_INLINE vf v_exp2(vf x)
{
    x = v_min(v_set(129.0f), v_max(v_set(-151.0f), x));
    return v_scale(v_exp2_fraction(v_fraction(x)), x);
}

/* 2^x for x < 1; exactly 0 far down, where a mask puts -infinity. */
SIMD_INLINE vf v_exp2_down(vf x)
{
    x = v_limit_down(x);
    return v_scale_down(v_exp2_fraction(v_fraction(x)), x);
}

/* 1 / (1 + exp(-factor x)) */
SIMD_INLINE vf v_sigmoid(vf x, float factor)
{
    return v_div(v_set(1.0f), v_add(v_set(1.0f), v_exp2(v_mul(x, v_set(-factor * SIMD_LOG2E)))));
}

/* 1 - 2 / (1 + exp(2 x)): absolute error 2e-7. */
SIMD_INLINE vf v_tanh(vf x)
{
    const vf e = v_exp2(v_mul(x, v_set(2.0f * SIMD_LOG2E)));
    return v_sub(v_set(1.0f), v_div(v_set(2.0f), v_add(v_set(1.0f), e)));
}

/* `kind` is a constant wherever this is called. */
SIMD_INLINE vf v_activate(mr_activation kind, vf x)
{
    switch (kind) {
    case MR_ACTIVATION_NONE: break;
    case MR_ACTIVATION_GELU: return v_gelu(x);
    case MR_ACTIVATION_GELU_TANH: {
        const vf cubic = v_mul(v_mul(x, x), v_mul(x, v_set(0.044715f)));
        return v_mul(x, v_sigmoid(v_add(x, cubic), 1.59576912f)); /* 2 sqrt(2 / pi) */
    }
    case MR_ACTIVATION_QUICK_GELU: return v_mul(x, v_sigmoid(x, 1.702f));
    case MR_ACTIVATION_SILU: return v_mul(x, v_sigmoid(x, 1.0f));
    case MR_ACTIVATION_RELU: return v_max(v_set(0.0f), x);
    case MR_ACTIVATION_TANH: return v_tanh(x);
    }
    return x;
}

/* Calls function(KIND, ...) with the constant that `kind` is, so that the loop inside is compiled once per activation. */
#define SIMD_FOR_ACTIVATION(kind, function, ...)                        \
    switch (kind) {                                                     \
        MR_ACTIVATION_LIST_NAMES(SIMD_ACTIVATION_CASE, function, __VA_ARGS__) \
    }
#define SIMD_ACTIVATION_CASE(name, function, ...) \
    case MR_ACTIVATION_##name: function(MR_ACTIVATION_##name, __VA_ARGS__); break;
#define MR_ACTIVATION_LIST_NAMES(X, ...)                                                              \
    X(NONE, __VA_ARGS__) X(GELU, __VA_ARGS__) X(GELU_TANH, __VA_ARGS__) X(QUICK_GELU, __VA_ARGS__)    \
    X(SILU, __VA_ARGS__) X(RELU, __VA_ARGS__) X(TANH, __VA_ARGS__)

#endif

/* Elementary functions on vectors. Coefficients: own minimax fits (weighted least squares on Chebyshev nodes until the
 * error levels), the errors beside them being the fit's, before rounding. NaN gives NaN everywhere. */
#ifndef MR_KERNELS_SIMD_SIMD_MATH_H
#define MR_KERNELS_SIMD_SIMD_MATH_H

#include "kernels/simd/simd.h"

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

/* x Phi(x), Phi(x) = 1/2 + x P(x^2) on |x| <= limit and 0 or 1 beyond; P in u = factor x^2 - 1, highest power first. */
SIMD_INLINE vf v_gelu_fit(vf x, float limit, float factor, const float *p, int terms)
{
    const vf c = v_min(v_set(limit), v_max(v_set(-limit), x));
    const vf u = v_fma(v_mul(c, c), v_set(factor), v_set(-1.0f));
    vf sum = v_set(p[0]);
    SIMD_UNROLL
    for (int i = 1; i < terms; i++) sum = v_fma(sum, u, v_set(p[i]));
    const vf phi = v_fma(sum, c, v_set(0.5f));
    return v_mul(x, v_min(v_set(1.0f), v_max(v_set(0.0f), phi)));
}

/* x x P errs by 2.5e-8. With rounding |error| <= 5e-7 max(|y|, 1), at its worst where x is near -5 and Phi near 0. */
SIMD_INLINE vf v_gelu(vf x)
{
    static const float p[] = {0.000378241937f, -0.00101486279f, 0.000916198187f, -0.00122380536f, 0.00361426198f,
                              -0.00667598937f, 0.00967442244f,  -0.0139829209f,  0.0196391996f,  -0.0257417876f,
                              0.0321172774f,   -0.0392072797f,  0.0484995656f,   -0.0653280392f, 0.130928114f};
    return v_gelu_fit(x, 5.4f, 0.068587102f, p, 15);
}

/* |error| <= 5e-5, for what is rounded to 8 bits next. */
SIMD_INLINE vf v_gelu_coarse(vf x)
{
    static const float p[] = {0.0027541695f, -0.007884176f, 0.010987836f, -0.015976995f, 0.026802192f,
                              -0.04008923f,  0.05525052f,   -0.07861231f, 0.16040441f};
    return v_gelu_fit(x, 4.4f, 0.10330579f, p, 9);
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

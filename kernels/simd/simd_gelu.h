/* GELU(x) = x Phi(x). With rounding v_gelu errs by less than 5e-7 max(|y|, 1), v_gelu_coarse, for what is rounded to 8 bits next, by
 * less than 5e-5. With vectors of 16 the coefficients come out of tables of 16, which costs half as many multiplications as one
 * polynomial for all x: GELU is a tenth of what a layer of 384 inputs takes in int8. */
#ifndef MR_KERNELS_SIMD_SIMD_GELU_H
#define MR_KERNELS_SIMD_SIMD_GELU_H

#include "kernels/simd/simd.h"

#if defined(SIMD_ZMM)

/* max(x, 0) - r(|x|), r(t) = t (1 - Phi(t)): a polynomial for each step of t, about its middle or about 0. All from fit_gelu.py. */
SIMD_INLINE vf v_gelu_fit(vf x, float step, const float table[][16], int degree, bool about_middle)
{
    const vf zero = v_set(0.0f), shift = v_set(0x1.8p23f), t = v_least_size(x, v_set(15.0f * step));
    const vf index = v_fma(t, v_set(1.0f / step), shift); /* of the nearest step, in the lowest bits */
    const vf d = about_middle ? v_fnma(v_sub(index, shift), v_set(step), t) : t;
    vf r = v_lookup(table[0], index);
    SIMD_UNROLL
    for (int i = 1; i <= degree; i++) r = v_fma(r, d, v_lookup(table[i], index));
    return v_sub(v_sub(x, v_min(zero, x)), r); /* -infinity gives NaN, as it does in the formula */
}

/* The polynomials err by 1.4e-8; r is taken for 0 from 5.4 on, where it is 1.8e-7. Highest power first. */
static const float gelu_table[6][16] = {
    {-0.0036894721f, -0.0189038217f, -0.0227562692f, -0.011574354f, 0.00234966492f, 0.0088014612f, 0.00731593231f,
     0.00307810958f, 0.00011882848f, -0.000826296455f, -0.000695234223f, -0.000356793462f, -0.00013605578f,
     -4.10728207e-05f, -1.01116921e-05f, 0.0f},
    {0.0669184625f, 0.0469764546f, 0.00546547864f, -0.0279663578f, -0.0359640904f, -0.0241783503f, -0.0083338432f,
     0.00135980628f, 0.0040142443f, 0.00311111123f, 0.0016141939f, 0.000641216815f, 0.000204797849f, 5.38778077e-05f,
     1.18398184e-05f, 0.0f},
    {-1.59203919e-05f, 0.0892057866f, 0.129288629f, 0.109513529f, 0.0581611097f, 0.0116508706f, -0.0121517573f,
     -0.0162068177f, -0.0114159407f, -0.00586102996f, -0.0023790889f, -0.000790042046f, -0.000218522662f,
     -5.08904122e-05f, -1.00493589e-05f, 0.0f},
    {-0.398942202f, -0.346399158f, -0.218451142f, -0.0803417265f, 0.0144045977f, 0.0516987219f, 0.0491798334f,
     0.031992957f, 0.016210163f, 0.00669626752f, 0.0023047477f, 0.000669020694f, 0.000165029312f, 3.4767847e-05f,
     6.27813824e-06f, 0.0f},
    {0.5f, 0.216174528f, 0.00302372524f, -0.106839821f, -0.127785802f, -0.0999205932f, -0.0607070811f, -0.0302109513f,
     -0.0126018729f, -0.00445954734f, -0.00134836871f, -0.000349901791f, -7.8167177e-05f, -1.50652686e-05f,
     -2.50892344e-06f, 0.0f},
    {0.0f, 0.13212958f, 0.169960707f, 0.147415057f, 0.101531126f, 0.0582765862f, 0.0284352712f, 0.0119092083f,
     0.00430358294f, 0.00134588475f, 0.000364935462f, 8.58945859e-05f, 1.7562852e-05f, 3.12129214e-06f, 4.82331131e-07f,
     0.0f}
};

/* 4.4e-6; from 4.4 on 2.4e-5. */
static const float gelu_coarse_table[4][16] = {
    {0.0100621218f, 0.0749240518f, 0.12135639f, 0.126396224f, 0.0974431038f, 0.0542572252f, 0.0160073452f, -0.0073839738f,
     -0.0159305893f, -0.0150367441f, -0.0105232159f, -0.00605337182f, -0.00297784549f, -0.00127781322f, -0.000483825163f,
     0.0f},
    {-0.399133027f, -0.430430919f, -0.491185248f, -0.499848634f, -0.405878246f, -0.228730246f, -0.0380339287f,
     0.0992602855f, 0.156751722f, 0.149407983f, 0.110284708f, 0.0676325113f, 0.0355399922f, 0.0162741132f, 0.00656140083f,
     0.0f},
    {0.5f, 0.505693913f, 0.532670438f, 0.53717494f, 0.435220867f, 0.192512751f, -0.124825679f, -0.393691272f,
     -0.522674441f, -0.502622902f, -0.389532834f, -0.253816873f, -0.142156184f, -0.0693597794f, -0.0297466964f, 0.0f},
    {0.0f, -0.000369283516f, -0.00443809154f, -0.0050680507f, 0.0319035575f, 0.142968714f, 0.319237381f, 0.494912773f,
     0.591427445f, 0.573226631f, 0.464212477f, 0.320212752f, 0.190671042f, 0.0989600271f, 0.0450947024f, 0.0f}
};

SIMD_INLINE vf v_gelu(vf x) { return v_gelu_fit(x, 0.372413784f, gelu_table, 5, true); }
SIMD_INLINE vf v_gelu_coarse(vf x) { return v_gelu_fit(x, 0.30344829f, gelu_coarse_table, 3, false); }

#else

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

/* x x P errs by 2.5e-8; at its worst where x is near -5 and Phi near 0. */
SIMD_INLINE vf v_gelu(vf x)
{
    static const float p[] = {0.000378241937f, -0.00101486279f, 0.000916198187f, -0.00122380536f, 0.00361426198f,
                              -0.00667598937f, 0.00967442244f,  -0.0139829209f,  0.0196391996f,  -0.0257417876f,
                              0.0321172774f,   -0.0392072797f,  0.0484995656f,   -0.0653280392f, 0.130928114f};
    return v_gelu_fit(x, 5.4f, 0.068587102f, p, 15);
}

SIMD_INLINE vf v_gelu_coarse(vf x)
{
    static const float p[] = {0.0027541695f, -0.007884176f, 0.010987836f, -0.015976995f, 0.026802192f,
                              -0.04008923f,  0.05525052f,   -0.07861231f, 0.16040441f};
    return v_gelu_fit(x, 4.4f, 0.10330579f, p, 9);
}

#endif

#endif

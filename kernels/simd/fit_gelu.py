#!/usr/bin/env python3
"""Prints kernels/simd/simd_gelu.h's tables: GELU(x) = max(x, 0) - r(|x|), r(t) = t (1 - Phi(t)), one polynomial for each sixteenth of
[0, limit), about its middle, or, where the last digits don't matter, about 0; the last one is 0. Chebyshev interpolation, which errs by little more than the least possible. Needs numpy."""
import math

import numpy as np
from numpy.polynomial import chebyshev, polynomial

SEGMENTS = 16


def rest(t):
    return np.array([v * math.erfc(v / math.sqrt(2)) / 2 for v in t])


def fit(middle, low, high, degree):
    """Powers of t - middle, rising. From 0 on: exactly 0 + t / 2, so that small values keep their relative precision."""
    fixed = 2 if low < 1e-6 else 0
    wanted = (lambda t: (rest(t) - t / 2) / t**2) if fixed else rest
    scaled = chebyshev.Chebyshev.interpolate(wanted, degree - fixed, [low, high]).convert(kind=polynomial.Polynomial, domain=[-1, 1], window=[-1, 1])
    shifted = scaled(polynomial.Polynomial([middle, 1]))
    return ([0.0, 0.5] if fixed else []) + list(shifted.coef)


def table(name, limit, degree, about_middle):
    step, worst, rows = limit / (SEGMENTS - 1.5), 0.0, []
    for i in range(SEGMENTS - 1):
        low, high = max(1e-9, (i - 0.5) * step), (i + 0.5) * step
        middle = i * step if about_middle else 0.0
        powers = np.array(fit(middle, low, high, degree), dtype=np.float32)
        t = np.linspace(low, high, 4001)
        worst = max(worst, abs(polynomial.polyval(t - middle, powers.astype(np.float64)) - rest(t)).max())
        rows.append(powers)
    rows.append(np.zeros(degree + 1, dtype=np.float32))
    print(f"/* {name}: step {np.float32(step):.9g}, the polynomials err by {worst:.1e}, 0 beyond {limit} by {rest([limit])[0]:.1e} */")
    for power in range(degree, -1, -1):
        print("    {" + ", ".join(f"{row[power]:.9g}f" for row in rows) + "},")


table("fine", 5.4, 5, True)
table("coarse", 4.4, 3, False)

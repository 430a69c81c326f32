"""Writes core/tensor/special/tables.ts: ratios of polynomials that stand for special functions, fitted to mpmath's values.

`python tools/special_tables.py > core/tensor/special/tables.ts` (mpmath and numpy; about a minute). Each fit minimises the weighted squared error at
Chebyshev nodes, the denominator's weight corrected a few times (Loeb's iteration), and is then checked as float64 evaluates it.
"""
import mpmath as mp
import numpy as np

mp.mp.dps = 50
NEAR = mp.mpf(10) ** -25  # where a formula has a removable singularity at 0
TINY = mp.mpf(10) ** -8


def nodes(a, b, n):
    return [(a + b) / 2 + (b - a) / 2 * mp.cos(mp.pi * (2 * i + 1) / (2 * n)) for i in range(n)]


def fit(f, a, b, m, n, relative):
    xs = nodes(a, b, 3 * (m + n + 2))
    fs = [f(x) for x in xs]
    weights = [mp.mpf(1)] * len(xs)
    for _ in range(5 if n else 1):
        left, right = mp.matrix(len(xs), m + n + 1), mp.matrix(len(xs), 1)
        for i, (x, y) in enumerate(zip(xs, fs)):
            w = weights[i] / (abs(y) if relative else 1)
            for k in range(m + 1):
                left[i, k] = w * x**k
            for k in range(n):
                left[i, m + 1 + k] = -w * y * x ** (k + 1)
            right[i] = w * y
        c = mp.qr_solve(left, right)[0]
        p, q = [c[k] for k in range(m + 1)], [mp.mpf(1)] + [c[m + 1 + k] for k in range(n)]
        weights = [1 / abs(mp.polyval(q[::-1], x)) for x in xs]
    return [float(v) for v in p[::-1]], [float(v) for v in q[::-1]]


def horner(c, x):
    total = np.full_like(x, c[0])
    for v in c[1:]:
        total = total * x + v
    return total


def error(p, q, f, a, b, relative):
    xs = np.array([float(v) for v in nodes(a, b, 301)])
    got = horner(p, xs) / horner(q, xs)
    want = [f(mp.mpf(x)) for x in xs]
    return max(abs(mp.mpf(g) - w) / (abs(w) if relative else 1) for g, w in zip(got, want))


# Error functions.

def erfcx(t):
    """(1 + z) exp(z^2) erfc(z) with z = 2 (1 + t) / (1 - t)."""
    z = 2 * (1 + t) / (1 - t)
    if z < 50:
        return mp.exp(z * z) * mp.erfc(z) * (1 + z)
    return sum((-1) ** k * mp.fac2(2 * k - 1) / (2 * z * z) ** k for k in range(12)) / z / mp.sqrt(mp.pi) * (1 + z)


def erfinv(w):
    """erfinv(y) / y with w = -log(1 - y^2)."""
    if w < mp.mpf(10) ** -15:
        return mp.sqrt(mp.pi) / 2
    y = mp.sqrt(-mp.expm1(-w))
    q = mp.exp(-w) / (1 + y)
    slope = lambda z: 2 / mp.sqrt(mp.pi) * mp.exp(-z * z)
    z = y * mp.sqrt(mp.pi) / 2 if w < 2 else mp.sqrt(w) * mp.mpf("0.8")
    for _ in range(80):
        d = (mp.erf(z) - y) / slope(z) if w < 2 else (mp.log(q) - mp.log(mp.erfc(z))) * mp.erfc(z) / slope(z)
        z -= d
        if abs(d) < mp.mpf(10) ** -40 * abs(z):
            break
    return z / y


def erfinv_tail(s):
    """erfinv(1 - 2 exp(-s^2))."""
    p = mp.exp(-s * s)
    return erfinv(-mp.log(4 * p * (1 - p))) * (1 - 2 * p)


# Bessel functions: inside as functions of z = x^2, outside of u = 1 / x^2 or 1 / x.

def inner(order, kind):
    def f(z):
        x = mp.sqrt(z)
        if kind == "j":
            return mp.besselj(order, x) / x**order if x else mp.mpf(1) / (order + 1)
        if kind == "y":
            regular = mp.bessely(order, x) - 2 / mp.pi * mp.log(x) * mp.besselj(order, x)
            return regular if order == 0 else (regular + 2 / mp.pi / x) / x
        if kind == "i":
            return mp.besseli(order, x) / x**order if x else mp.mpf(1) / (order + 1)
        # K: what stays when the logarithm (and the pole) is taken away.
        return mp.besselk(0, x) + mp.log(x) * mp.besseli(0, x) if order == 0 else (mp.besselk(1, x) - 1 / x - mp.log(x) * mp.besseli(1, x)) / x

    return f


def phase(order, part):
    """Amplitudes of cos and sin (times x) in sqrt(2 / (pi x)) (P cos(c) - Q sin(c)), c = x - (2 order + 1) pi / 4 (Abramowitz and Stegun 9.2.5)."""
    def f(u):
        x = 1 / mp.sqrt(u)
        c, s = x - (2 * order + 1) * mp.pi / 4, mp.sqrt(mp.pi * x / 2)
        j, y = mp.besselj(order, x) * s, mp.bessely(order, x) * s
        return j * mp.cos(c) + y * mp.sin(c) if part == "p" else (y * mp.cos(c) - j * mp.sin(c)) * x

    return f


def outer_i(order):
    return lambda u: mp.sqrt(1 / u) * mp.besseli(order, 1 / u) * mp.exp(-1 / u)


def outer_k(order):
    return lambda u: mp.sqrt(1 / u) * mp.besselk(order, 1 / u) * mp.exp(1 / u)


# Airy's function; zeta = 2/3 |x|^(3/2).

def airy_positive(u):
    zeta = 1 / u
    x = (3 * zeta / 2) ** (mp.mpf(2) / 3)
    return mp.airyai(x) * 2 * mp.sqrt(mp.pi) * x ** mp.mpf("0.25") * mp.exp(zeta)


def airy_negative(part):
    """Amplitudes of cos and sin (times zeta) of zeta - pi/4 (Abramowitz and Stegun 10.4.60)."""
    def f(v):
        zeta = 1 / mp.sqrt(v)
        x = (3 * zeta / 2) ** (mp.mpf(2) / 3)
        c, s = zeta - mp.pi / 4, mp.sqrt(mp.pi) * x ** mp.mpf("0.25")
        a, b = mp.airyai(-x) * s, mp.airybi(-x) * s
        return a * mp.cos(c) - b * mp.sin(c) if part == "f" else (a * mp.sin(c) + b * mp.cos(c)) * zeta

    return f


third = mp.mpf(2) / 3
# name, what it is, function, interval, degrees, whether the error is relative
ROWS = [
    ("erfcx", "(1 + z) erfcx(z), t = (z - 2) / (z + 2), z >= 0", erfcx, -1, 1 - mp.mpf(10) ** -7, 9, 9, True),
    ("erfinvCentre", "erfinv(y) / y of w = -log(1 - y^2), w <= 6", erfinv, 0, 6, 7, 7, True),
    ("erfinvTail", "erfinv(1 - 2 exp(-s^2)), 2.7 <= s <= 27.5", erfinv_tail, mp.mpf("2.7"), mp.mpf("27.5"), 7, 6, True),
]
for order in (0, 1):
    of = "" if order == 0 else " / x"
    ROWS += [
        (f"j{order}Inner", f"J{order}(x){of} of x^2, x <= 5", inner(order, "j"), 0, 25, 6, 6, False),
        (f"y{order}Inner", f"Y{order}(x){of} without its logarithm and pole, of x^2, x <= 5", inner(order, "y"), NEAR, 25, 6, 6, False),
        (f"p{order}", f"amplitude of the cosine in J{order} and Y{order}, of 1 / x^2, x >= 5", phase(order, "p"), TINY, mp.mpf(1) / 25, 4, 4, True),
        (f"q{order}", f"amplitude of the sine times x, of 1 / x^2, x >= 5", phase(order, "q"), TINY, mp.mpf(1) / 25, 4, 4, True),
        (f"i{order}Inner", f"I{order}(x){of} of x^2, x <= 8", inner(order, "i"), 0, 64, 6, 6, True),
        (f"i{order}Outer", f"sqrt(x) exp(-x) I{order}(x) of 1 / x, x >= 8", outer_i(order), mp.mpf(10) ** -6, mp.mpf(1) / 8, 7, 6, True),
        (f"i{order}Small", f"I{order}(x){of} of x^2, x <= 2", inner(order, "i"), 0, 4, 4, 4, True),
        (f"k{order}Inner", f"K{order}(x){of} without its logarithm and pole, of x^2, x <= 2", inner(order, "k"), NEAR, 4, 4, 4, False),
        (f"k{order}Outer", f"sqrt(x) exp(x) K{order}(x) of 1 / x, x >= 2", outer_k(order), mp.mpf(10) ** -6, mp.mpf(1) / 2, 6, 6, True),
    ]
ROWS += [
    ("airyMiddle", "Ai(x), -3 <= x <= 1.5", mp.airyai, -3, mp.mpf("1.5"), 20, 0, False),
    ("airyPositive", "2 sqrt(pi) x^(1/4) exp(zeta) Ai(x) of 1 / zeta, x >= 1.5", airy_positive, mp.mpf(10) ** -5, 1 / (third * mp.mpf("1.5") ** 1.5), 5, 5, True),
    ("airyF", "amplitude of the cosine in Ai(-x), of 1 / zeta^2, x >= 3", airy_negative("f"), TINY, (third * mp.mpf(3) ** 1.5) ** -2, 4, 4, True),
    ("airyG", "amplitude of the sine times zeta, of 1 / zeta^2, x >= 3", airy_negative("g"), TINY, (third * mp.mpf(3) ** 1.5) ** -2, 5, 5, True),
]


def gauss_legendre(n):
    x, w = np.polynomial.legendre.leggauss(n)
    return [float(v) for v in (x + 1) / 2], [float(v) for v in w / 2]


def listing(values):
    return "[\n" + "".join(f"    {v!r},\n" for v in values) + "  ]"


print("/** Made by tools/special_tables.py; not to be edited. Coefficients highest first. */")
print('import type { Ratio } from "./series.ts";\n')
for name, what, f, a, b, m, n, relative in ROWS:
    a, b = mp.mpf(a), mp.mpf(b)
    p, q = fit(f, a, b, m, n, relative)
    worst = mp.nstr(error(p, q, f, a, b, relative), 2)
    print(f"/** {what}; {'relative' if relative else 'absolute'} error {worst}. */")
    print(f"export const {name}: Ratio = {{\n  numerator: {listing(p)},\n  denominator: {listing(q)},\n}};\n")
x, w = gauss_legendre(48)
print("/** Nodes of Gauss and Legendre's rule of 48 points on [0, 1]. */")
print(f"export const legendreNodes: readonly number[] = {listing(x)};\n")
print("/** Weights of the rule. */")
print(f"export const legendreWeights: readonly number[] = {listing(w)};")

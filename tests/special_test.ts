/** Special functions against values of mpmath to 17 digits, their gradients against finite differences, and their errors. */
import { gradcheck, signal, type Tensor, tensor } from "@pta/core";
import { close, closeNumbers, numbers, throwsExactly } from "./assert.ts";
import { eachDevice } from "./devices.ts";

const { windows } = signal;

/** A function of one tensor. */
type Unary = (x: Tensor) => Tensor;

/** Name, function, arguments, values; arguments lie on both sides of each seam between formulas. */
const table: readonly (readonly [string, Unary, readonly number[], readonly number[]])[] = [
  ["lgamma", (x) => x.lgamma(), [-2.5, -0.25, 0.1, 3.7, 60], [
    -0.056243716497674051,
    1.589575312551186,
    2.2527126517342059,
    1.4280723266653881,
    184.53382886144949,
  ]],
  ["digamma", (x) => x.digamma(), [-2.5, -0.25, 0.1, 3.7, 60], [
    1.1031566406452432,
    2.9141391202135278,
    -10.423754940411076,
    1.1671535393615114,
    4.0859880813835383,
  ]],
  ["polygamma 1", (x) => x.polygamma(1), [-2.75, 0.2, 15], [
    19.433868949488464,
    26.267377205423776,
    0.068938227847683806,
  ]],
  ["polygamma 3", (x) => x.polygamma(3), [-2.75, 0.2, 15], [
    1558.4897512832936,
    3753.2449948647249,
    0.00065447977828273735,
  ]],
  ["mvlgamma 4", (x) => x.mvlgamma(4), [5.25], [13.405409492554492]],
  ["erfc", (x) => x.erfc(), [-3, 0.5, 4, 12], [
    1.9999779095030014,
    0.47950012218695346,
    1.5417257900280019e-8,
    1.3562611692059042e-64,
  ]],
  ["erfcx", (x) => x.erfcx(), [-3, 0.5, 4, 200], [
    16205.988853999587,
    0.61569034419292587,
    0.13699945762506139,
    0.0028209126572120464,
  ]],
  ["erfinv", (x) => x.erfinv(), [-0.999, 0.25, 0.9999999], [
    -2.3267537655135245,
    0.2253120550121781,
    3.7665625816384709,
  ]],
  ["ndtr", (x) => x.ndtr(), [-20, -1.5, 2], [
    2.7536241186062337e-89,
    0.066807201268858066,
    0.97724986805182079,
  ]],
  ["ndtri", (x) => x.ndtri(), [1e-12, 0.3, 0.999], [
    -7.0344838253011319,
    -0.52440051270804082,
    3.0902323061678133,
  ]],
  ["logNdtr", (x) => x.logNdtr(), [-30, -1, 3], [
    -454.3212439563432,
    -1.8410216450092635,
    -0.0013508099647481938,
  ]],
  ["i0", (x) => x.i0(), [-1, 5, 30], [1.2660658777520083, 27.239871823604447, 781672297823.97749]],
  ["i1", (x) => x.i1(), [-1, 5, 30], [-0.56515910399248503, 24.335642142450527, 768532038938.957]],
  ["i0e", (x) => x.i0e(), [-1, 5, 1000], [
    0.46575960759364044,
    0.18354081260932835,
    0.012617240455891257,
  ]],
  ["i1e", (x) => x.i1e(), [-1, 5, 1000], [
    -0.20791041534970845,
    0.16397226694454236,
    0.012610930256928629,
  ]],
  ["besselJ0", (x) => x.besselJ0(), [-1, 4, 50], [
    0.76519768655796655,
    -0.39714980986384737,
    0.055812327669251815,
  ]],
  ["besselJ1", (x) => x.besselJ1(), [-1, 4, 50], [
    -0.44005058574493352,
    -0.066043328023549136,
    -0.097511828125175138,
  ]],
  ["besselY0", (x) => x.besselY0(), [0.1, 4, 50], [
    -1.5342386513503668,
    -0.016940739325064992,
    -0.098064995470077079,
  ]],
  ["besselY1", (x) => x.besselY1(), [0.1, 4, 50], [
    -6.4589510947020266,
    0.39792571055710001,
    -0.056795668562014768,
  ]],
  ["modifiedBesselK0", (x) => x.modifiedBesselK0(), [0.1, 1.5, 20], [
    2.4270690247020166,
    0.21380556264752574,
    5.7412378153365243e-10,
  ]],
  ["modifiedBesselK1", (x) => x.modifiedBesselK1(), [0.1, 1.5, 20], [
    9.8538447808706056,
    0.27738780045684382,
    5.8830579695570382e-10,
  ]],
  ["scaledModifiedBesselK0", (x) => x.scaledModifiedBesselK0(), [0.1, 1.5, 900], [
    2.6823261022628943,
    0.9582100532948965,
    0.041771339152548793,
  ]],
  ["scaledModifiedBesselK1", (x) => x.scaledModifiedBesselK1(), [0.1, 1.5, 900], [
    10.890182683049696,
    1.243165873552553,
    0.041794539013033705,
  ]],
  ["airyAi", (x) => x.airyAi(), [-20, -1, 1, 6], [
    -0.17640612707798469,
    0.53556088329235212,
    0.13529241631288142,
    9.9476943602528896e-6,
  ]],
  ["sphericalBesselJ0", (x) => x.sphericalBesselJ0(), [0, 1e-4, 7], [
    1,
    0.99999999833333333,
    0.093855228388398441,
  ]],
  ["entr", (x) => x.entr(), [0, 0.5, Math.E], [0, Math.LN2 / 2, -Math.E]],
  ["zeta 3", (x) => tensor(3, { dtype: "float64" }).zeta(x), [0.25, -2.5], [
    64.66386996876846,
    -0.06399999999999999 - 1 / 3.375 - 8 + 8.414398322117159,
  ]],
  ["igamma 2.5", (x) => tensor(2.5, { dtype: "float64" }).igamma(x), [1.5], [0.30001416412137249]],
  ["igamma 1e4", (x) => tensor(1e4, { dtype: "float64" }).igamma(x), [10050], [
    0.69234244070256556,
  ]],
  ["igammac 0.3", (x) => tensor(0.3, { dtype: "float64" }).igammac(x), [4], [
    0.0020225106456108803,
  ]],
  ["chebyshevPolynomialT", (x) => x.chebyshevPolynomialT(7), [0.3], [-0.8461632]],
  ["chebyshevPolynomialU", (x) => x.chebyshevPolynomialU(7), [0.3], [-0.6785664]],
  ["chebyshevPolynomialV", (x) => x.chebyshevPolynomialV(7), [0.3], [-1.2372224]],
  ["chebyshevPolynomialW", (x) => x.chebyshevPolynomialW(7), [0.3], [-0.1199104]],
  ["shiftedChebyshevPolynomialT", (x) => x.shiftedChebyshevPolynomialT(7), [0.3], [0.2580224]],
  ["shiftedChebyshevPolynomialU", (x) => x.shiftedChebyshevPolynomialU(7), [0.3], [-0.1636352]],
  ["shiftedChebyshevPolynomialV", (x) => x.shiftedChebyshevPolynomialV(7), [0.3], [-1.2177792]],
  ["shiftedChebyshevPolynomialW", (x) => x.shiftedChebyshevPolynomialW(7), [0.3], [0.8905088]],
  ["hermitePolynomialH", (x) => x.hermitePolynomialH(7), [0.3], [-416.5179264]],
  ["hermitePolynomialHe", (x) => x.hermitePolynomialHe(7), [0.3], [-28.7158113]],
  ["laguerrePolynomialL", (x) => x.laguerrePolynomialL(7), [0.3], [-0.30110570589285714]],
  ["legendrePolynomialP", (x) => x.legendrePolynomialP(7), [0.3], [-0.22407298125]],
];

eachDevice("special functions in float64", () => {
  for (const [name, fn, x, y] of table) {
    closeNumbers(
      numbers(fn(tensor(x, { dtype: "float64" }))),
      y,
      { atol: 1e-13, rtol: 2e-12 },
      name,
    );
  }
});

eachDevice("special functions in float32 are right to rounding", () => {
  for (const [name, fn, x, y] of table) {
    // Only arguments that float32 holds exactly, or the function of the rounded one is another number.
    const exact = x.flatMap((v, i) => Math.fround(v) === v ? [i] : []);
    if (exact.length === 0) continue;
    const out = fn(tensor(exact.map((i) => x[i])));
    // Constants of the table in float64 promote.
    closeNumbers(numbers(out), exact.map((i) => y[i]), { atol: 1e-37, rtol: 1.2e-7 }, name);
  }
});

/** Functions with gradients, and where they are checked. */
const gradients: readonly (readonly [string, Unary, readonly number[]])[] = [
  ["lgamma", (x) => x.lgamma(), [-1.3, 0.4, 8]],
  ["digamma", (x) => x.digamma(), [-1.3, 0.4, 8]],
  ["polygamma 2", (x) => x.polygamma(2), [-1.3, 0.4, 8]],
  ["mvlgamma 3", (x) => x.mvlgamma(3), [1.7, 8]],
  ["erfc", (x) => x.erfc(), [-1, 0.5, 2]],
  ["erfcx", (x) => x.erfcx(), [-1, 0.5, 4]],
  ["erfinv", (x) => x.erfinv(), [-0.9, 0, 0.4]],
  ["ndtr", (x) => x.ndtr(), [-1, 0.5, 2]],
  ["ndtri", (x) => x.ndtri(), [0.05, 0.4, 0.9]],
  ["logNdtr", (x) => x.logNdtr(), [-8, 0.5, 2]],
  ["i0", (x) => x.i0(), [-1, 0, 9]],
  ["i0e", (x) => x.i0e(), [-1, 0.5, 9]],
  ["i1", (x) => x.i1(), [-1, 0, 9]],
  ["i1e", (x) => x.i1e(), [-1, 0.5, 9]],
  ["besselJ0", (x) => x.besselJ0(), [-1, 0, 9]],
  ["besselJ1", (x) => x.besselJ1(), [-1, 0, 9]],
  ["besselY0", (x) => x.besselY0(), [0.5, 9]],
  ["besselY1", (x) => x.besselY1(), [0.5, 9]],
  ["modifiedBesselK0", (x) => x.modifiedBesselK0(), [0.5, 9]],
  ["modifiedBesselK1", (x) => x.modifiedBesselK1(), [0.5, 9]],
  ["scaledModifiedBesselK0", (x) => x.scaledModifiedBesselK0(), [0.5, 9]],
  ["scaledModifiedBesselK1", (x) => x.scaledModifiedBesselK1(), [0.5, 9]],
  ["airyAi", (x) => x.airyAi(), [-5, 0, 3]],
  ["sphericalBesselJ0", (x) => x.sphericalBesselJ0(), [-1, 0, 3]],
  ["entr", (x) => x.entr(), [0.3, 2]],
  ["zeta", (q) => tensor(2.5, { dtype: "float64" }).zeta(q), [0.3, 4]],
  ["igamma", (x) => tensor([2.5], { dtype: "float64" }).igamma(x), [0.3, 6]],
  ["igammac", (x) => tensor([2.5], { dtype: "float64" }).igammac(x), [0.3, 6]],
  ["xlog1py", (x) => x.xlog1py(x), [0.3, 2]],
  ["legendrePolynomialP", (x) => x.legendrePolynomialP(5), [-0.3, 2]],
  [
    "laguerrePolynomialL",
    (x) => x.laguerrePolynomialL(tensor([3, 4], { dtype: "int64" })),
    [-0.3, 2],
  ],
];

eachDevice("gradients of special functions", () => {
  for (const [name, fn, x] of gradients) {
    try {
      gradcheck(fn, [tensor(x, { dtype: "float64", requiresGrad: true })]);
    } catch (error) {
      throw new Error(`${name}: ${(error as Error).message}`);
    }
  }
});

eachDevice("a derivative can be differentiated again", () => {
  const x = tensor([0.7, 2], { dtype: "float64", requiresGrad: true });
  gradcheck((t) => t.erfinv().erf().mul(t.digamma()).add(t.i1()), [
    tensor([0.3, 0.6], { dtype: "float64", requiresGrad: true }),
  ]);
  close(x.digamma().detach(), { shape: [2], data: numbers(x.polygamma(0)) });
});

eachDevice("edges of special functions", () => {
  const x = tensor([0, -1, Infinity, NaN]);
  const edges: readonly (readonly [Unary, readonly number[]])[] = [
    [(t) => t.lgamma(), [Infinity, Infinity, Infinity, NaN]],
    [(t) => t.digamma(), [-Infinity, NaN, Infinity, NaN]],
    [(t) => t.polygamma(1), [Infinity, Infinity, 0, NaN]],
    [(t) => t.erfc(), [1, 1.842700792949715, 0, NaN]],
    [(t) => t.erfinv(), [0, -Infinity, NaN, NaN]],
    [(t) => t.ndtri(), [-Infinity, NaN, NaN, NaN]],
    [(t) => t.logNdtr(), [-0.6931471805599453, -1.8410216450092635, 0, NaN]],
    [(t) => t.i0e(), [1, 0.46575960759364044, 0, NaN]],
    [(t) => t.besselJ1(), [0, -0.44005058574493352, 0, NaN]],
    [(t) => t.besselY0(), [-Infinity, NaN, 0, NaN]],
    [(t) => t.modifiedBesselK1(), [Infinity, NaN, 0, NaN]],
    [(t) => t.airyAi(), [0.35502805388781724, 0.53556088329235212, 0, NaN]],
    [(t) => t.entr(), [0, -Infinity, -Infinity, NaN]],
    [(t) => tensor([2, 2, 2, 2]).igamma(t), [0, NaN, 1, NaN]],
    [(t) => t.igamma(1), [1, NaN, 0, NaN]],
    [(t) => t.xlog1py(-1), [0, Infinity, -Infinity, NaN]],
    [(t) => t.zeta(2), [NaN, NaN, 0, NaN]],
  ];
  edges.forEach(([fn, want], i) => closeNumbers(numbers(fn(x)), want, {}, `edges ${i}`));
});

eachDevice("integers, half precision and degrees of each element", () => {
  const whole = tensor([1, 2, 5], { dtype: "int64" }).lgamma();
  closeNumbers(numbers(whole), [0, 0, Math.log(24)], { atol: 0, rtol: 1.2e-7 });
  const half = tensor([0.5, 3]).to("bfloat16").erfc();
  closeNumbers(numbers(half), [0.47950012, 2.2090497e-5], { rtol: 4e-3 });
  const degrees = tensor([[-1], [0], [2.9]]);
  const x = tensor([0.5, -2]);
  closeNumbers(numbers(x.chebyshevPolynomialT(degrees)), [0, 0, 1, 1, -0.5, 7]);
});

Deno.test("windows", () => {
  closeNumbers(numbers(windows.hann(5)), [0, 0.5, 1, 0.5, 0]);
  closeNumbers(numbers(windows.bartlett(4, { sym: false })), [0, 0.5, 1, 0.5]);
  closeNumbers(numbers(windows.kaiser(1)), [1]);
  closeNumbers(numbers(windows.generalCosine(0, [1])), []);
  const peak = windows.nuttall(7, { dtype: "float64", requiresGrad: true });
  closeNumbers([numbers(peak)[3], Number(peak.requiresGrad)], [1, 1]);
});

Deno.test("errors of special functions", () => {
  const x = tensor([1, 2]);
  const cases: readonly (readonly [() => unknown, new (m: string) => Error, string])[] = [
    [
      () => x.polygamma(-1),
      RangeError,
      "Cannot take polygamma of order -1: it must be whole, from 0 to 160",
    ],
    [
      () => x.mvlgamma(0),
      RangeError,
      "Cannot take mvlgamma of dimension 0: it must be whole and positive",
    ],
    [
      () => x.igamma(tensor([1, 2, 3])),
      TypeError,
      "Cannot take igamma of [2] and [3]: sizes differ at dim 0",
    ],
    [
      () => x.zeta("2" as unknown as number),
      TypeError,
      "Cannot take zeta of 2: a tensor or a number is needed",
    ],
    [
      () => x.legendrePolynomialP(5000),
      RangeError,
      "Cannot evaluate legendrePolynomialP of degree 5000: it must be at most 1000",
    ],
    [
      () => tensor([1, 2], { requiresGrad: true }).igamma(1).sum().backward(),
      TypeError,
      "Cannot differentiate igamma by its argument 0: detach it",
    ],
    [
      () => windows.hann(-1),
      RangeError,
      "Cannot make a hann window of -1 points: a whole number of at least 0 is needed",
    ],
    [
      () => windows.hann(3, { dtype: "int64" }),
      TypeError,
      "Cannot make a hann window of int64: a floating dtype is needed",
    ],
    [
      () => windows.gaussian(3, { std: 0 }),
      RangeError,
      "Cannot make a gaussian window with std 0: it must be positive",
    ],
    [
      () => windows.exponential(3, { center: 1 }),
      RangeError,
      "Cannot make a symmetric exponential window with a center: leave it out",
    ],
  ];
  for (const [fn, type, message] of cases) throwsExactly(fn, type, message);
});

import { signal, type Tensor } from "@pta/accelerated";
import {
  type Adapter,
  type Adapters,
  argument,
  numberOf,
  numericOf,
  type Sample,
  tensorOf,
} from "../adapter.ts";

type Windows = typeof signal.windows;
/** The keyword arguments of a window in our words; null stands for what is not given. */
function options(sample: Sample): Record<string, unknown> {
  const { requires_grad: requiresGrad, ...rest } = sample.kwargs;
  const given = Object.entries({ requiresGrad, ...rest }).filter(([, v]) => v !== null);
  return Object.fromEntries(given.filter(([k]) => k !== "a" && k !== "device"));
}

const one = (f: (x: Tensor) => Tensor): Adapter => (s) => f(tensorOf(s.input));
const two = (f: (x: Tensor, y: Tensor | number) => Tensor): Adapter => (s) =>
  f(tensorOf(s.input), numericOf(s.args[0]));
const window = (name: Exclude<keyof Windows, "generalCosine">): Adapter => (s) =>
  signal.windows[name](numberOf(s.input), options(s));

/** Adapters by PyTorch's name. */
export const special: Adapters = {
  digamma: one((x) => x.digamma()),
  erf: one((x) => x.erf()),
  erfc: one((x) => x.erfc()),
  erfinv: one((x) => x.erfinv()),
  lgamma: one((x) => x.lgamma()),
  polygamma: (s) => tensorOf(s.input).polygamma(numberOf(s.args[0])),
  "special.polygamma": (s) => tensorOf(s.input).polygamma(numberOf(s.args[0])),
  mvlgamma: (s) => tensorOf(s.input).mvlgamma(numberOf(argument(s, 0, "p"))),
  igamma: two((a, x) => a.igamma(x)),
  igammac: two((a, x) => a.igammac(x)),
  i0: one((x) => x.i0()),
  "special.i0e": one((x) => x.i0e()),
  "special.i1": one((x) => x.i1()),
  "special.i1e": one((x) => x.i1e()),
  "special.ndtr": one((x) => x.ndtr()),
  "special.ndtri": one((x) => x.ndtri()),
  "special.log_ndtr": one((x) => x.logNdtr()),
  "special.xlog1py": two((x, y) => x.xlog1py(y)),
  "special.zeta": two((x, q) => x.zeta(q)),
  "special.entr": one((x) => x.entr()),
  "special.erfcx": one((x) => x.erfcx()),
  "special.airy_ai": one((x) => x.airyAi()),
  "special.bessel_j0": one((x) => x.besselJ0()),
  "special.bessel_j1": one((x) => x.besselJ1()),
  "special.bessel_y0": one((x) => x.besselY0()),
  "special.bessel_y1": one((x) => x.besselY1()),
  "special.modified_bessel_i0": one((x) => x.modifiedBesselI0()),
  "special.modified_bessel_i1": one((x) => x.modifiedBesselI1()),
  "special.modified_bessel_k0": one((x) => x.modifiedBesselK0()),
  "special.modified_bessel_k1": one((x) => x.modifiedBesselK1()),
  "special.scaled_modified_bessel_k0": one((x) => x.scaledModifiedBesselK0()),
  "special.scaled_modified_bessel_k1": one((x) => x.scaledModifiedBesselK1()),
  "special.spherical_bessel_j0": one((x) => x.sphericalBesselJ0()),
  "special.chebyshev_polynomial_t": two((x, n) => x.chebyshevPolynomialT(n)),
  "special.chebyshev_polynomial_u": two((x, n) => x.chebyshevPolynomialU(n)),
  "special.chebyshev_polynomial_v": two((x, n) => x.chebyshevPolynomialV(n)),
  "special.chebyshev_polynomial_w": two((x, n) => x.chebyshevPolynomialW(n)),
  "special.shifted_chebyshev_polynomial_t": two((x, n) => x.shiftedChebyshevPolynomialT(n)),
  "special.shifted_chebyshev_polynomial_u": two((x, n) => x.shiftedChebyshevPolynomialU(n)),
  "special.shifted_chebyshev_polynomial_v": two((x, n) => x.shiftedChebyshevPolynomialV(n)),
  "special.shifted_chebyshev_polynomial_w": two((x, n) => x.shiftedChebyshevPolynomialW(n)),
  "special.hermite_polynomial_h": two((x, n) => x.hermitePolynomialH(n)),
  "special.hermite_polynomial_he": two((x, n) => x.hermitePolynomialHe(n)),
  "special.laguerre_polynomial_l": two((x, n) => x.laguerrePolynomialL(n)),
  "special.legendre_polynomial_p": two((x, n) => x.legendrePolynomialP(n)),
  "signal.windows.hamming": window("hamming"),
  "signal.windows.hann": window("hann"),
  "signal.windows.bartlett": window("bartlett"),
  "signal.windows.blackman": window("blackman"),
  "signal.windows.cosine": window("cosine"),
  "signal.windows.exponential": window("exponential"),
  "signal.windows.gaussian": window("gaussian"),
  "signal.windows.kaiser": window("kaiser"),
  "signal.windows.general_cosine": (s) =>
    signal.windows.generalCosine(
      numberOf(s.input),
      argument(s, 0, "a") as number[],
      options(s),
    ),
  "signal.windows.general_hamming": window("generalHamming"),
  "signal.windows.nuttall": window("nuttall"),
};

/** Names left out, and why. */
export const specialReasons: Record<string, string> = {};

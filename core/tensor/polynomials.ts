/** Orthogonal polynomials. */
import type { Numeric } from "./base.ts";
import { ElementaryTensor } from "./elementary.ts";
import { type Family, LARGEST_DEGREE, orthogonal } from "./special/polynomials.ts";
import { inDouble } from "./special/series.ts";
import type { Tensor } from "./tensor.ts";

/**
 * Orthogonal polynomials of this tensor, by their recurrences (Abramowitz and Stegun 22.7) in float64. The degree is a number, or a tensor that broadcasts,
 * whose largest element is read by the host. Fractions of a degree are cut off, negative degrees give 0.
 */
export abstract class PolynomialTensor extends ElementaryTensor {
  /** Chebyshev's polynomial of the first kind; RangeError for degrees above 1000. */
  chebyshevPolynomialT(n: Numeric): Tensor {
    return this.#polynomial("chebyshevPolynomialT", "chebyshevT", n);
  }
  /** Chebyshev's polynomial of the second kind; RangeError for degrees above 1000. */
  chebyshevPolynomialU(n: Numeric): Tensor {
    return this.#polynomial("chebyshevPolynomialU", "chebyshevU", n);
  }
  /** Chebyshev's polynomial of the third kind; RangeError for degrees above 1000. */
  chebyshevPolynomialV(n: Numeric): Tensor {
    return this.#polynomial("chebyshevPolynomialV", "chebyshevV", n);
  }
  /** Chebyshev's polynomial of the fourth kind; RangeError for degrees above 1000. */
  chebyshevPolynomialW(n: Numeric): Tensor {
    return this.#polynomial("chebyshevPolynomialW", "chebyshevW", n);
  }
  /** {@linkcode PolynomialTensor.chebyshevPolynomialT} of `2 x - 1`. */
  shiftedChebyshevPolynomialT(n: Numeric): Tensor {
    return this.#polynomial("shiftedChebyshevPolynomialT", "chebyshevT", n, true);
  }
  /** {@linkcode PolynomialTensor.chebyshevPolynomialU} of `2 x - 1`. */
  shiftedChebyshevPolynomialU(n: Numeric): Tensor {
    return this.#polynomial("shiftedChebyshevPolynomialU", "chebyshevU", n, true);
  }
  /** {@linkcode PolynomialTensor.chebyshevPolynomialV} of `2 x - 1`. */
  shiftedChebyshevPolynomialV(n: Numeric): Tensor {
    return this.#polynomial("shiftedChebyshevPolynomialV", "chebyshevV", n, true);
  }
  /** {@linkcode PolynomialTensor.chebyshevPolynomialW} of `2 x - 1`. */
  shiftedChebyshevPolynomialW(n: Numeric): Tensor {
    return this.#polynomial("shiftedChebyshevPolynomialW", "chebyshevW", n, true);
  }
  /** Hermite's polynomial in the physicists' form; RangeError for degrees above 1000. */
  hermitePolynomialH(n: Numeric): Tensor {
    return this.#polynomial("hermitePolynomialH", "hermiteH", n);
  }
  /** Hermite's polynomial in the probabilists' form; RangeError for degrees above 1000. */
  hermitePolynomialHe(n: Numeric): Tensor {
    return this.#polynomial("hermitePolynomialHe", "hermiteHe", n);
  }
  /** Laguerre's polynomial; RangeError for degrees above 1000. */
  laguerrePolynomialL(n: Numeric): Tensor {
    return this.#polynomial("laguerrePolynomialL", "laguerreL", n);
  }
  /** Legendre's polynomial; RangeError for degrees above 1000. */
  legendrePolynomialP(n: Numeric): Tensor {
    return this.#polynomial("legendrePolynomialP", "legendreP", n);
  }

  #polynomial(name: string, family: Family, n: Numeric, shifted = false): Tensor {
    const at = (x: Tensor) => shifted ? x.mul(2).sub(1) : x;
    const degree = typeof n === "number" ? n : n.detach();
    const largest = typeof n === "number" ? Math.trunc(n) : largestOf(n);
    if (!(largest <= LARGEST_DEGREE)) {
      throw new RangeError(
        `Cannot evaluate ${name} of degree ${largest}: it must be at most ${LARGEST_DEGREE}`,
      );
    }
    if (typeof degree === "number") {
      return inDouble(name, [this.self], (x) => orthogonal(family, at(x), degree, largest));
    }
    return inDouble(
      name,
      [this.self, degree],
      (x, k) => orthogonal(family, at(x), k, largest),
    );
  }
}

/** The largest degree of a tensor of them, -1 for none. */
function largestOf(n: Tensor): number {
  let largest = -1;
  for (const x of n.detach().to("float64").data() as Float64Array) {
    if (x > largest) largest = x;
  }
  return Math.trunc(largest);
}

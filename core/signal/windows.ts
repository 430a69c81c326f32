/** Window functions: `n` weights that fall off to both ends. Computed in float64 and rounded once. */
import { type DType, isFloat } from "../dtype.ts";
import { arange, full, type TensorOptions } from "../tensor/creation.ts";
import type { Tensor } from "../tensor/tensor.ts";

/** What a window is like. */
export interface WindowOptions extends TensorOptions {
  /** Symmetric, as filters want it (the default); otherwise one period of `n`, as spectra want it. */
  sym?: boolean;
}

/** Terms of a {@linkcode generalCosine} window. */
type Terms = readonly number[];

/**
 * `n` values of `shape` at the positions `0, 1, ..., n - 1`, of which the last (symmetric) or the one after it (periodic) is the far end; a window of
 * one is 1.
 */
function sampled(
  name: string,
  n: number,
  options: WindowOptions,
  shape: (position: Tensor, last: number) => Tensor,
): Tensor {
  const { sym = true, dtype = "float32" as DType, device, requiresGrad } = options;
  if (!Number.isInteger(n) || n < 0) {
    throw new RangeError(
      `Cannot make a ${name} window of ${n} points: a whole number of at least 0 is needed`,
    );
  }
  if (!isFloat(dtype)) {
    throw new TypeError(`Cannot make a ${name} window of ${dtype}: a floating dtype is needed`);
  }
  const values = n <= 1
    ? full([n], 1, { dtype: "float64", device })
    : shape(arange(0, n, 1, { dtype: "float64", device }), sym ? n - 1 : n);
  const out = values.to(dtype).contiguous();
  if (requiresGrad) out.requiresGrad = true;
  return out;
}

function positive(name: string, what: string, value: number): void {
  if (!(value > 0)) {
    throw new RangeError(`Cannot make a ${name} window with ${what} ${value}: it must be positive`);
  }
}

function cosines(name: string, n: number, terms: Terms, options: WindowOptions): Tensor {
  return sampled(name, n, options, (position, last) => {
    const phase = position.mul(2 * Math.PI / last);
    return terms.slice(1).reduce<Tensor>(
      (sum, a, i) => sum.add(phase.mul(i + 1).cos().mul(i % 2 === 0 ? -a : a)),
      position.mul(0).add(terms[0]),
    );
  });
}

/**
 * `sum over i of (-1)^i a[i] cos(2 pi i k / last)`.
 * @param n Number of points
 * @param a Weights of the cosines
 * @returns A tensor of shape `[n]`
 * @throws {RangeError} When `n` is negative or no whole number, or `a` is empty
 */
export function generalCosine(n: number, a: Terms, options: WindowOptions = {}): Tensor {
  if (a.length === 0) {
    throw new RangeError("Cannot make a generalCosine window of no terms: give at least one");
  }
  return cosines("generalCosine", n, a, options);
}

/**
 * `alpha - (1 - alpha) cos(2 pi k / last)`, alpha 0.54 by default.
 * @returns A tensor of shape `[n]`
 * @throws {RangeError} When `n` is negative or no whole number
 */
export function generalHamming(
  n: number,
  options: WindowOptions & { alpha?: number } = {},
): Tensor {
  const { alpha = 0.54 } = options;
  return cosines("generalHamming", n, [alpha, 1 - alpha], options);
}

/**
 * Hamming's window, {@linkcode generalHamming} with alpha 0.54.
 * @returns A tensor of shape `[n]`
 * @throws {RangeError} When `n` is negative or no whole number
 */
export function hamming(n: number, options: WindowOptions = {}): Tensor {
  return cosines("hamming", n, [0.54, 0.46], options);
}

/**
 * Hann's window, {@linkcode generalHamming} with alpha 0.5.
 * @returns A tensor of shape `[n]`
 * @throws {RangeError} When `n` is negative or no whole number
 */
export function hann(n: number, options: WindowOptions = {}): Tensor {
  return cosines("hann", n, [0.5, 0.5], options);
}

/**
 * Blackman's window: three cosines, weighted 0.42, 0.5 and 0.08.
 * @returns A tensor of shape `[n]`
 * @throws {RangeError} When `n` is negative or no whole number
 */
export function blackman(n: number, options: WindowOptions = {}): Tensor {
  return cosines("blackman", n, [0.42, 0.5, 0.08], options);
}

/**
 * Nuttall's window of four terms (Nuttall, "Some windows with very good sidelobe behavior", 1981).
 * @returns A tensor of shape `[n]`
 * @throws {RangeError} When `n` is negative or no whole number
 */
export function nuttall(n: number, options: WindowOptions = {}): Tensor {
  return cosines("nuttall", n, [0.3635819, 0.4891775, 0.1365995, 0.0106411], options);
}

/**
 * Bartlett's window: a triangle that is 0 at the ends.
 * @returns A tensor of shape `[n]`
 * @throws {RangeError} When `n` is negative or no whole number
 */
export function bartlett(n: number, options: WindowOptions = {}): Tensor {
  return sampled(
    "bartlett",
    n,
    options,
    (position, last) => position.mul(2 / last).sub(1).abs().neg().add(1),
  );
}

/**
 * Half a wave of a sine: `sin(pi (k + 1/2) / points)`.
 * @returns A tensor of shape `[n]`
 * @throws {RangeError} When `n` is negative or no whole number
 */
export function cosine(n: number, options: WindowOptions = {}): Tensor {
  return sampled(
    "cosine",
    n,
    options,
    (position, last) => position.add(0.5).mul(Math.PI / (last + 1)).sin(),
  );
}

/**
 * `exp(-|k - center| / tau)`; tau is 1 and the center the middle by default.
 * @returns A tensor of shape `[n]`
 * @throws {RangeError} When `n` is negative or no whole number, `tau` is not positive, or a center is given to a symmetric window
 */
export function exponential(
  n: number,
  options: WindowOptions & { center?: number; tau?: number } = {},
): Tensor {
  const { tau = 1, center, sym = true } = options;
  positive("exponential", "tau", tau);
  if (sym && center !== undefined) {
    throw new RangeError("Cannot make a symmetric exponential window with a center: leave it out");
  }
  return sampled(
    "exponential",
    n,
    options,
    (position, last) => position.sub(center ?? last / 2).abs().div(-tau).exp(),
  );
}

/**
 * `exp(-(k - middle)^2 / (2 std^2))`, std 1 by default.
 * @returns A tensor of shape `[n]`
 * @throws {RangeError} When `n` is negative or no whole number, or `std` is not positive
 */
export function gaussian(n: number, options: WindowOptions & { std?: number } = {}): Tensor {
  const { std = 1 } = options;
  positive("gaussian", "std", std);
  return sampled(
    "gaussian",
    n,
    options,
    (position, last) => position.sub(last / 2).div(std * Math.SQRT2).square().neg().exp(),
  );
}

/**
 * Kaiser's window: `I0(beta sqrt(1 - (2 k / last - 1)^2)) / I0(beta)`, beta 12 by default.
 * @returns A tensor of shape `[n]`
 * @throws {RangeError} When `n` is negative or no whole number, or `beta` is negative
 */
export function kaiser(n: number, options: WindowOptions & { beta?: number } = {}): Tensor {
  const { beta = 12 } = options;
  if (!(beta >= 0)) {
    throw new RangeError(
      `Cannot make a kaiser window with beta ${beta}: it must not be negative`,
    );
  }
  return sampled("kaiser", n, options, (position, last) => {
    const arch = position.mul(2 / last).sub(1).square().neg().add(1).maximum(0).sqrt().mul(beta);
    // The scaled function, so that a large beta does not overflow.
    return arch.i0e().mul(arch.sub(beta).exp()).div(position.mul(0).add(beta).i0e());
  });
}

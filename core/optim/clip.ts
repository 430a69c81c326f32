/** Bounds on gradients. */
import { dueWithNext, noGrad, stack, type Tensor, zeros } from "../tensor/mod.ts";

/** Options of {@linkcode clipGradNorm_}. */
export interface ClipGradNormOptions {
  /** Order of the norm, `Infinity` included; 2 by default. */
  readonly normType?: number;
  /** Whether a norm that is NaN or infinite is an error, which reads it from the device; false by default. */
  readonly errorIfNonfinite?: boolean;
}

const withGrad = (parameters: Iterable<Tensor>): Tensor[] =>
  [...parameters].filter((p) => p.grad !== undefined);

/**
 * Norm of all gradients taken together, as one vector.
 *
 * @returns 0-d, on the device, float64 when a gradient is and else float32; 0 when there is no gradient
 * @throws {RangeError} When `normType` is not above 0
 */
export function getTotalNorm(parameters: Iterable<Tensor>, normType: number = 2): Tensor {
  if (!(normType > 0)) {
    throw new RangeError(`Cannot take the norm of order ${normType}: it must be above 0`);
  }
  return noGrad(() => {
    const found = withGrad(parameters).map((p) => p.grad!);
    if (found.length === 0) return zeros([]);
    const dtype = found.some((g) => g.dtype === "float64") ? "float64" : "float32";
    const grads = found.map((g) => g.to(dtype));
    if (normType === Infinity) return stack(grads.map((g) => g.abs().amax())).amax();
    const powers = grads.map((g) =>
      normType === 2 ? g.square().sum() : g.abs().pow(normType).sum()
    );
    const total = powers.reduce((a, b) => a.add(b));
    return normType === 2 ? total.sqrt() : total.pow(1 / normType);
  });
}

/**
 * Scales all gradients by one factor so that their common norm is at most `maxNorm`.
 *
 * @param parameters Those without a gradient are passed over
 * @param maxNorm Bound on the norm
 * @param options Order of the norm, whether to check it
 * @returns The norm before, 0-d, on the device; it can be read after the optimizer's step too
 * @throws {RangeError} When `maxNorm` is negative, or the norm is checked and not finite
 */
export function clipGradNorm_(
  parameters: Iterable<Tensor>,
  maxNorm: number,
  options: ClipGradNormOptions = {},
): Tensor {
  if (!(maxNorm >= 0)) {
    throw new RangeError(`Cannot clip gradients to the norm ${maxNorm}: it must be at least 0`);
  }
  const clipped = withGrad(parameters);
  const total = getTotalNorm(clipped, options.normType);
  if (options.errorIfNonfinite && !Number.isFinite(total.item())) {
    throw new RangeError(`Cannot clip gradients by their norm: it is ${total.item()}`);
  }
  clipGradsWithNorm_(clipped, maxNorm, total);
  // So that it can be read after the optimizer has changed what it was computed from.
  dueWithNext(total);
  return total;
}

/**
 * Scales all gradients by one factor so that a norm that is known already would be at most `maxNorm`: that of a part of the parameters, or of those of all
 * ranks.
 *
 * @param parameters Those without a gradient are passed over
 * @param maxNorm Bound on the norm
 * @param totalNorm The norm, 0-d, as {@linkcode getTotalNorm} gives it
 * @throws {RangeError} When `maxNorm` is negative
 */
export function clipGradsWithNorm_(
  parameters: Iterable<Tensor>,
  maxNorm: number,
  totalNorm: Tensor,
): void {
  if (!(maxNorm >= 0)) {
    throw new RangeError(`Cannot clip gradients to the norm ${maxNorm}: it must be at least 0`);
  }
  noGrad(() => {
    const factor = totalNorm.add(1e-6).reciprocal().mul(maxNorm).clamp({ max: 1 });
    for (const p of withGrad(parameters)) p.grad = p.grad!.mul(factor.to(p.grad!.dtype));
  });
}

/**
 * Clamps every element of the gradients to `±clipValue`.
 *
 * @throws {RangeError} When `clipValue` is negative
 */
export function clipGradValue_(parameters: Iterable<Tensor>, clipValue: number): void {
  if (!(clipValue >= 0)) {
    throw new RangeError(`Cannot clip gradients to ±${clipValue}: it must be at least 0`);
  }
  noGrad(() => {
    for (const p of withGrad(parameters)) {
      p.grad = p.grad!.clamp({ min: -clipValue, max: clipValue });
    }
  });
}

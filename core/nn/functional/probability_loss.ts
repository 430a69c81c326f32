/** Losses of probabilities and of the parameters of distributions. */
import { isAutocasting, underPolicy } from "../../amp/cast.ts";
import { type Tensor, where } from "../../tensor/mod.ts";
import { logsigmoid } from "./activation.ts";
import {
  checkPositive,
  checkReduction,
  checkShapes,
  reduceLoss,
  type Reduction,
  shapeOf,
} from "./reduction.ts";

/** Options of {@linkcode binaryCrossEntropy}. */
export interface BinaryCrossEntropyOptions {
  /** `mean` by default. */
  readonly reduction?: Reduction;
  /** Factor of each element; broadcasts. */
  readonly weight?: Tensor;
}

/** Options of {@linkcode binaryCrossEntropyWithLogits}. */
export interface BinaryCrossEntropyWithLogitsOptions extends BinaryCrossEntropyOptions {
  /** Factor of the positive targets; broadcasts. */
  readonly posWeight?: Tensor;
}

/**
 * `-(target * log(input) + (1 - target) * log(1 - input))`; logarithms are at least -100.
 *
 * An input outside 0 to 1 gives NaN: values are not read back to check them.
 *
 * @param input Probabilities, any shape
 * @param target Same shape, between 0 and 1
 * @param options Reduction, weight
 * @returns 0-d, or the shape of `input` when the reduction is `none`
 * @throws {TypeError} When shapes differ
 */
export function binaryCrossEntropy(
  input: Tensor,
  target: Tensor,
  options: BinaryCrossEntropyOptions = {},
): Tensor {
  if (isAutocasting()) return underPolicy("binaryCrossEntropy", binaryCrossEntropy, arguments);
  checkShapes("binaryCrossEntropy", input, target);
  const t = target.to(input.dtype);
  const yes = input.log().clamp({ min: -100 }), no = input.neg().log1p().clamp({ min: -100 });
  // The slope keeps a denominator where the composed one would divide by 0.
  const loss = t.sub(1).mul(no).sub(t.mul(yes)).withGradient([input, t], (g) => [
    g.mul(input.sub(t)).div(input.neg().add(1).mul(input).clamp({ min: 1e-12 })),
    g.mul(no.sub(yes)),
  ]);
  return reduceLoss(weightedBy("binaryCrossEntropy", loss, options.weight), options.reduction);
}

/**
 * {@linkcode binaryCrossEntropy} of `sigmoid(input)`, without overflow.
 *
 * @param input Logits, any shape
 * @param target Same shape, between 0 and 1
 * @param options Reduction, weight, posWeight
 * @returns 0-d, or the shape of `input` when the reduction is `none`
 * @throws {TypeError} When shapes differ
 */
export function binaryCrossEntropyWithLogits(
  input: Tensor,
  target: Tensor,
  options: BinaryCrossEntropyWithLogitsOptions = {},
): Tensor {
  if (isAutocasting()) {
    return underPolicy("binaryCrossEntropyWithLogits", binaryCrossEntropyWithLogits, arguments);
  }
  const { weight, posWeight, reduction } = options, name = "binaryCrossEntropyWithLogits";
  checkShapes(name, input, target);
  const t = target.to(input.dtype), log = logsigmoid(input);
  const factor = posWeight === undefined ? undefined : fits(name, "posWeight", input, posWeight);
  const scaled = factor === undefined ? log : log.mul(factor.sub(1).mul(t).add(1));
  const loss = t.neg().add(1).mul(input).sub(scaled);
  return reduceLoss(weightedBy(name, loss, weight), reduction);
}

/** Options of {@linkcode klDiv}. */
export interface KlDivOptions {
  /** `mean` over all elements by default, as in PyTorch; `batchmean` divides by the first size alone, as the definition does. */
  readonly reduction?: Reduction | "batchmean";
  /** Whether the target holds logarithms; false by default. */
  readonly logTarget?: boolean;
}

/**
 * `target * (log(target) - input)`: the Kullback-Leibler divergence, with log probabilities as input.
 *
 * @param input Log probabilities, any shape
 * @param target Probabilities (or their logarithms); broadcasts
 * @param options Reduction, logTarget
 * @returns 0-d, or the shape of `input` when the reduction is `none`
 * @throws {RangeError} When the reduction is unknown
 */
export function klDiv(input: Tensor, target: Tensor, options: KlDivOptions = {}): Tensor {
  if (isAutocasting()) return underPolicy("klDiv", klDiv, arguments);
  const { reduction = "mean", logTarget = false } = options;
  if (reduction !== "batchmean") checkReduction(reduction);
  const loss = logTarget
    ? target.exp().mul(target.sub(input))
    : entropy(target).sub(target.mul(input));
  if (reduction !== "batchmean") return reduceLoss(loss, reduction);
  return loss.sum().div(input.ndim === 0 ? 1 : input.shape[0]);
}

/** `t * log(t)`, 0 with slope 0 where `t` is 0. */
function entropy(t: Tensor): Tensor {
  const safe = t.eq(0).where(1, t);
  return safe.xlogy(safe);
}

/** Options of {@linkcode gaussianNllLoss}. */
export interface GaussianNllLossOptions {
  /** `mean` by default. */
  readonly reduction?: Reduction;
  /** Whether the constant `0.5 * log(2 * pi)` is added; false by default. */
  readonly full?: boolean;
  /** Smallest variance; 1e-6 by default. */
  readonly eps?: number;
}

/**
 * `0.5 * (log(variance) + (input - target)^2 / variance)`: the negative log likelihood of a normal distribution.
 *
 * Variances below `eps`, also negative ones, count as `eps` but keep their gradient, as in PyTorch.
 *
 * @param input Expectations, any shape
 * @param target Same shape, or broadcast
 * @param variance A number, the shape of `input`, that shape without its last size, or with one size being 1
 * @param options Reduction, full, eps
 * @returns 0-d, or the broadcast shape when the reduction is `none`
 * @throws {TypeError} When the variance does not fit
 * @throws {RangeError} When `eps` is not above 0 or a variance given as a number is negative
 */
export function gaussianNllLoss(
  input: Tensor,
  target: Tensor,
  variance: Tensor | number,
  options: GaussianNllLossOptions = {},
): Tensor {
  if (isAutocasting()) return underPolicy("gaussianNllLoss", gaussianNllLoss, arguments);
  const { reduction = "mean", full = false, eps = 1e-6 } = options;
  checkPositive("gaussianNllLoss", "eps", eps);
  checkReduction(reduction);
  if (typeof variance === "number") {
    checkPositive("gaussianNllLoss", "variance", variance, { orZero: true });
  }
  const limited = typeof variance === "number" ? Math.max(variance, eps) : (() => {
    const own = fittedVariance(input, variance);
    return own.detach().clamp({ min: eps }).withGradient([own], (g) => [g]);
  })();
  const square = input.sub(target).square();
  const log = typeof limited === "number" ? Math.log(limited) : limited.log();
  const constant = full ? 0.5 * Math.log(2 * Math.PI) : 0;
  const loss = square.div(limited).add(log).mul(0.5);
  return reduceLoss(constant === 0 ? loss : loss.add(constant), reduction);
}

function fittedVariance(input: Tensor, variance: Tensor): Tensor {
  const wanted = input.shape, given = variance.shape;
  if (`${wanted}` === `${given}` && input.ndim === variance.ndim) return variance;
  if (given.length === wanted.length - 1 && given.every((s, d) => s === wanted[d])) {
    return variance.unsqueeze(-1);
  }
  const other = wanted.flatMap((s, d) => s === given[d] ? [] : [given[d]]);
  if (given.length === wanted.length && other.length === 1 && other[0] === 1) return variance;
  throw new TypeError(
    `Cannot take gaussianNllLoss of ${shapeOf(input)} with variance ${
      shapeOf(variance)
    }: it must be ${shapeOf(input)}, without the last size, or with one size being 1`,
  );
}

/** Options of {@linkcode poissonNllLoss}. */
export interface PoissonNllLossOptions {
  /** `mean` by default. */
  readonly reduction?: Reduction;
  /** Whether the input is the logarithm of the rate; true by default. */
  readonly logInput?: boolean;
  /** Whether Stirling's approximation of `log(target!)` is added for targets above 1; false by default. */
  readonly full?: boolean;
  /** Keeps the logarithm from 0 when `logInput` is false; 1e-8 by default. */
  readonly eps?: number;
}

/**
 * `exp(input) - target * input`, or `input - target * log(input + eps)`: the negative log likelihood of a Poisson distribution.
 *
 * @param input Rates or their logarithms, any shape
 * @param target Counts; broadcasts
 * @param options Reduction, logInput, full, eps
 * @returns 0-d, or the broadcast shape when the reduction is `none`
 */
export function poissonNllLoss(
  input: Tensor,
  target: Tensor,
  options: PoissonNllLossOptions = {},
): Tensor {
  if (isAutocasting()) return underPolicy("poissonNllLoss", poissonNllLoss, arguments);
  const { reduction = "mean", logInput = true, full = false, eps = 1e-8 } = options;
  checkReduction(reduction);
  let loss = logInput
    ? input.exp().sub(target.mul(input))
    : input.sub(target.mul(input.add(eps).log()));
  if (full) {
    const counts = target.gt(1), t = where(counts, target, 1);
    const log = t.log();
    const stirling = t.mul(log).sub(t).add(log.add(Math.log(2 * Math.PI)).mul(0.5));
    loss = loss.add(where(counts, stirling, 0));
  }
  return reduceLoss(loss, reduction);
}

/** A factor that must broadcast to the shape of the losses. */
function fits(name: string, key: string, loss: Tensor, factor: Tensor): Tensor {
  const lead = loss.ndim - factor.ndim;
  if (lead >= 0 && factor.shape.every((s, d) => s === 1 || s === loss.shape[d + lead])) {
    return factor;
  }
  throw new TypeError(
    `Cannot take ${name} of ${shapeOf(loss)} with ${key} ${shapeOf(factor)}: it must broadcast to ${
      shapeOf(loss)
    }`,
  );
}

const weightedBy = (name: string, loss: Tensor, weight: Tensor | undefined): Tensor =>
  weight === undefined ? loss : loss.mul(fits(name, "weight", loss, weight));

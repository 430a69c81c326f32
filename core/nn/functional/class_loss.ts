/**
 * Losses of classes. A class is picked by comparing a ramp of class numbers with the target, never by a gather: that way one row kernel computes log
 * softmax, choice and sum.
 */
import { isAutocasting, underPolicy } from "../../amp/cast.ts";
import { isFloat } from "../../dtype.ts";
import { arange, type Tensor, where } from "../../tensor/mod.ts";
import { checkProbability } from "../check.ts";
import { checkReduction, reduceLoss, type Reduction, shapeOf } from "./reduction.ts";

/** Options of {@linkcode nllLoss}. */
export interface ClassLossOptions {
  /** `[C]`: factor of each class; a mean divides by the sum of the factors of the targets. */
  readonly weight?: Tensor;
  /** Target that counts for nothing; -100 by default. */
  readonly ignoreIndex?: number;
  /** `mean` by default. */
  readonly reduction?: Reduction;
}

/** Options of {@linkcode crossEntropy}. */
export interface CrossEntropyOptions extends ClassLossOptions {
  /** Share of the target that is spread evenly over all classes; 0 by default. */
  readonly labelSmoothing?: number;
}

/**
 * Cross entropy between softmax(input) and the target.
 *
 * A class outside `0 .. C - 1` that is not `ignoreIndex` makes the loss NaN: values are not read back to check them.
 *
 * @param input Logits `[C]`, `[N, C]` or `[N, C, ...]`
 * @param target Classes `[]`, `[N]` or `[N, ...]` (int32, int64), or probabilities in the shape of `input`
 * @param options Class weights, ignored class, label smoothing, reduction
 * @returns 0-d, or the shape of the classes when the reduction is `none`
 * @throws {TypeError} When shapes or dtypes do not match
 * @throws {RangeError} When `labelSmoothing` is outside 0 to 1 or the reduction is unknown
 */
export function crossEntropy(
  input: Tensor,
  target: Tensor,
  options: CrossEntropyOptions = {},
): Tensor {
  if (isAutocasting()) return underPolicy("crossEntropy", crossEntropy, arguments);
  const { labelSmoothing = 0 } = options;
  checkProbability("take the cross entropy", "labelSmoothing", labelSmoothing);
  const isProbabilities = isFloat(target.dtype) && `${target.shape}` === `${input.shape}`;
  if (!isProbabilities) {
    checkClasses("take the cross entropy of", input, target, options.weight);
    return classLoss(classesLast(input).logSoftmax(-1), target, options);
  }
  const logp = classesLast(input).logSoftmax(-1), classes = logp.shape[logp.ndim - 1];
  checkWeight(options.weight, classes);
  let p = classesLast(target);
  if (labelSmoothing > 0) p = p.mul(1 - labelSmoothing).add(labelSmoothing / classes);
  if (options.weight !== undefined) p = p.mul(options.weight);
  return reduceLoss(logp.mul(p).sum(-1).neg(), options.reduction ?? "mean");
}

/**
 * `-input[n, target[n]]`, weighted: the negative log likelihood.
 *
 * A class outside `0 .. C - 1` that is not `ignoreIndex` makes the loss NaN: values are not read back to check them.
 *
 * @param input Log probabilities `[C]`, `[N, C]` or `[N, C, ...]`
 * @param target Classes `[]`, `[N]` or `[N, ...]` (int32, int64)
 * @param options Class weights, ignored class, reduction
 * @returns 0-d, or the shape of `target` when the reduction is `none`
 * @throws {TypeError} When shapes or dtypes do not match
 */
export function nllLoss(input: Tensor, target: Tensor, options: ClassLossOptions = {}): Tensor {
  if (isAutocasting()) return underPolicy("nllLoss", nllLoss, arguments);
  checkClasses("take the negative log likelihood of", input, target, options.weight);
  return classLoss(classesLast(input), target, options);
}

/** `[N, C, ...]` to `[N, ..., C]`: the classes must be the trailing dimension to be a row. */
function classesLast(x: Tensor): Tensor {
  if (x.ndim <= 2) return x;
  return x.permute(0, ...Array.from({ length: x.ndim - 2 }, (_, i) => i + 2), 1);
}

function checkClasses(
  action: string,
  input: Tensor,
  target: Tensor,
  weight: Tensor | undefined,
): void {
  const wanted = input.shape.filter((_, d) => d !== (input.ndim === 1 ? 0 : 1));
  if (input.ndim === 0 || `${wanted}` !== `${target.shape}` || target.ndim !== wanted.length) {
    throw new TypeError(
      `Cannot ${action} ${shapeOf(input)} and target ${shapeOf(target)}: classes must be [${
        wanted.join(", ")
      }]`,
    );
  }
  if (isFloat(target.dtype) || target.dtype === "bool") {
    throw new TypeError(
      `Cannot ${action} a ${target.dtype} target ${
        shapeOf(target)
      }: classes must be int32 or int64; cast with .to("int32")`,
    );
  }
  checkWeight(weight, input.shape[input.ndim === 1 ? 0 : 1]);
}

function checkWeight(weight: Tensor | undefined, classes: number): void {
  if (weight === undefined || (weight.ndim === 1 && weight.shape[0] === classes)) return;
  throw new TypeError(
    `Cannot weight ${classes} classes by ${shapeOf(weight)}: it must be [${classes}]`,
  );
}

/** Loss of log probabilities `[..., C]` and classes `[...]`. */
function classLoss(logp: Tensor, target: Tensor, options: CrossEntropyOptions): Tensor {
  const { weight, ignoreIndex = -100, reduction = "mean", labelSmoothing = 0 } = options;
  checkReduction(reduction);
  const classes = logp.shape[logp.ndim - 1], { device } = logp;
  const t = target.to("int32"), isCounted = t.ne(ignoreIndex);
  const ramp = arange(classes, undefined, undefined, { dtype: "int32", device });
  const isTarget = ramp.eq(t.unsqueeze(-1));
  const weighted = weight === undefined ? logp : logp.mul(weight);
  // What lies outside must not pass for a loss of 0.
  const isClass = t.ge(0).logicalAnd(t.lt(classes)).logicalOr(isCounted.logicalNot());
  const guarded = (row: Tensor) => where(isClass, where(isCounted, row.neg(), 0), NaN);
  let loss = guarded(where(isTarget, weighted, 0).sum(-1));
  if (labelSmoothing > 0) {
    const smooth = guarded(weighted.sum(-1));
    loss = loss.mul(1 - labelSmoothing).add(smooth.mul(labelSmoothing / classes));
  }
  if (reduction !== "mean") return reduceLoss(loss, reduction);
  const counts = weight === undefined
    ? isCounted.to(logp.dtype)
    : where(isCounted, where(isTarget, weight, 0).sum(-1), 0);
  return loss.sum().div(counts.sum());
}

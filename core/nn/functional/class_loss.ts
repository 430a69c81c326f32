/**
 * Losses of classes. A class is picked by comparing a ramp of class numbers with the target, never by a gather: that way one row kernel computes log
 * softmax, choice and sum.
 */
import { isAutocasting, underPolicy } from "../../amp/cast.ts";
import { isFloat } from "../../dtype.ts";
import { explainLookup } from "../../origin.ts";
import { arange, keep, type Tensor, tensor, where } from "../../tensor/mod.ts";
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
 * A class outside `0 .. C - 1` that is not `ignoreIndex` raises a RangeError when the loss is computed.
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
 * A class outside `0 .. C - 1` that is not `ignoreIndex` raises a RangeError when the loss is computed.
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

/** Zeros that are looked up, by device, dtype and number of classes. */
const tables = new Map<string, Tensor>();

/**
 * Zeros in the shape of the classes, looked up at them: a class that does not exist would pass for a loss of 0, but a lookup of it is an error on every
 * device.
 */
function checkedZero(classes: Tensor, count: number, { dtype, device }: Tensor): Tensor {
  const key = `${device} ${dtype} ${count}`;
  let table = tables.get(key);
  if (table === undefined || table.node.storage?.freed) {
    // From the host: a constant would be folded away, and the check with it.
    table = keep(tensor(new Array<number>(Math.max(1, count)).fill(0), { dtype, device }));
    tables.set(key, table);
  }
  const zeros = table.indexSelect(0, classes.reshape([classes.numel]));
  explainLookup(
    zeros.node,
    table.numel,
    (i, n) => `Cannot take a loss of classes: target holds ${i}, wanted 0 to ${n - 1}`,
  );
  return zeros.reshape([...classes.shape]);
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
  const inRange = checkedZero(where(isCounted, t, 0), classes, logp);
  const counted = (row: Tensor) => where(isCounted, row.neg(), 0);
  let loss = counted(where(isTarget, weighted, 0).sum(-1));
  if (labelSmoothing > 0) {
    const smooth = counted(weighted.sum(-1));
    loss = loss.mul(1 - labelSmoothing).add(smooth.mul(labelSmoothing / classes));
  }
  if (reduction !== "mean") return reduceLoss(loss.add(inRange), reduction);
  // Looked up where the targets are counted: in the loss itself it would part the row kernel from its gradient.
  const counts = weight === undefined
    ? isCounted.to(logp.dtype).add(inRange)
    : where(isCounted, where(isTarget, weight, 0).sum(-1), 0).add(inRange);
  return loss.sum().div(counts.sum());
}

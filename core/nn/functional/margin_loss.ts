/** Losses that vanish beyond a margin. */
import { isAutocasting, underPolicy } from "../../amp/cast.ts";
import { isFloat } from "../../dtype.ts";
import { arange, type Tensor, where } from "../../tensor/mod.ts";
import { logsigmoid } from "./activation.ts";
import {
  checkReduction,
  checkShapes,
  reduceLoss,
  type Reduction,
  type ReductionOptions,
  shapeOf,
} from "./reduction.ts";

/** Options of {@linkcode hingeEmbeddingLoss} and {@linkcode marginRankingLoss}. */
export interface MarginLossOptions {
  /** `mean` by default. */
  readonly reduction?: Reduction;
  /** From where on there is no loss: 1 for hinges, 0 for rankings by default. */
  readonly margin?: number;
}

/**
 * `input` where the target is 1, `max(0, margin - input)` where it is -1.
 *
 * @param input Any shape
 * @param target 1 or -1; broadcasts
 * @param options Reduction, margin (1 by default)
 * @returns 0-d, or the broadcast shape when the reduction is `none`
 */
export function hingeEmbeddingLoss(
  input: Tensor,
  target: Tensor,
  options: MarginLossOptions = {},
): Tensor {
  if (isAutocasting()) return underPolicy("hingeEmbeddingLoss", hingeEmbeddingLoss, arguments);
  const { margin = 1, reduction } = options;
  const far = where(target.ne(1), input.neg().add(margin).clamp({ min: 0 }), 0);
  return reduceLoss(where(target.ne(-1), input, 0).add(far), reduction);
}

/**
 * `log(1 + exp(-target * input))`.
 *
 * @param input Any shape
 * @param target 1 or -1; broadcasts
 * @param options Reduction
 * @returns 0-d, or the broadcast shape when the reduction is `none`
 */
export function softMarginLoss(
  input: Tensor,
  target: Tensor,
  options: ReductionOptions = {},
): Tensor {
  if (isAutocasting()) return underPolicy("softMarginLoss", softMarginLoss, arguments);
  return reduceLoss(logsigmoid(input.mul(target)).neg(), options.reduction);
}

/**
 * `max(0, margin - target * (input1 - input2))`.
 *
 * @param input1 Any shape
 * @param input2 As many dimensions
 * @param target 1 where `input1` should be larger, -1 where `input2` should
 * @param options Reduction, margin (0 by default)
 * @returns 0-d, or the broadcast shape when the reduction is `none`
 * @throws {TypeError} When the numbers of dimensions differ
 */
export function marginRankingLoss(
  input1: Tensor,
  input2: Tensor,
  target: Tensor,
  options: MarginLossOptions = {},
): Tensor {
  if (isAutocasting()) return underPolicy("marginRankingLoss", marginRankingLoss, arguments);
  const { margin = 0, reduction } = options;
  if (input1.ndim !== input2.ndim || input1.ndim !== target.ndim) {
    throw new TypeError(
      `Cannot take marginRankingLoss of ${shapeOf(input1)} and ${shapeOf(input2)} with target ${
        shapeOf(target)
      }: they must have equally many dimensions`,
    );
  }
  const loss = input1.sub(input2).mul(target).neg().add(margin).clamp({ min: 0 });
  return reduceLoss(loss, reduction);
}

/** Options of {@linkcode multiMarginLoss}. */
export interface MultiMarginLossOptions {
  /** `mean` by default. */
  readonly reduction?: Reduction;
  /** Exponent, 1 (the default) or 2. */
  readonly p?: number;
  /** Lead that the target must have; 1 by default. */
  readonly margin?: number;
  /** `[C]`: factor of each class. */
  readonly weight?: Tensor;
}

/**
 * `sum over j != target of max(0, margin - input[target] + input[j])^p / C`: the hinge loss of several classes.
 *
 * A class outside `0 .. C - 1` makes the loss NaN: values are not read back to check them.
 *
 * @param input Scores `[N, C]` or `[C]`
 * @param target Classes `[N]` or `[]`
 * @param options Reduction, p, margin, weight
 * @returns 0-d, or the shape of the target when the reduction is `none`
 * @throws {TypeError} When shapes or dtypes do not fit
 * @throws {RangeError} When `p` is neither 1 nor 2
 */
export function multiMarginLoss(
  input: Tensor,
  target: Tensor,
  options: MultiMarginLossOptions = {},
): Tensor {
  if (isAutocasting()) return underPolicy("multiMarginLoss", multiMarginLoss, arguments);
  const { reduction, p = 1, margin = 1, weight } = options;
  if (p !== 1 && p !== 2) {
    throw new RangeError(`Cannot take multiMarginLoss with p ${p}: it must be 1 or 2`);
  }
  const rows = input.ndim === 2 ? input.shape[0] : 1, classes = input.shape.at(-1) ?? 1;
  if (
    input.ndim > 2 || target.ndim > 1 || target.numel !== rows ||
    (input.ndim === 2 && target.ndim === 0)
  ) {
    throw new TypeError(
      `Cannot take multiMarginLoss of ${shapeOf(input)} and target ${
        shapeOf(target)
      }: they must be [N, C] and [N], or [C] and []`,
    );
  }
  checkInteger("multiMarginLoss", target);
  if (weight !== undefined && (weight.ndim !== 1 || weight.shape[0] !== classes)) {
    throw new TypeError(
      `Cannot weight ${classes} classes by ${shapeOf(weight)}: it must be [${classes}]`,
    );
  }
  const x = input.reshape([rows, classes]), t = target.to("int32").reshape([rows]);
  const isTarget = ramp(x, classes).eq(t.unsqueeze(-1));
  const own = where(isTarget, x, 0).sum(-1, true);
  let loss = x.sub(own).add(margin).relu();
  if (p === 2) loss = loss.square();
  if (weight !== undefined) loss = loss.mul(where(isTarget, weight, 0).sum(-1, true));
  loss = where(isTarget, 0, loss).sum(-1).mul(1 / classes);
  loss = where(t.ge(0).logicalAnd(t.lt(classes)), loss, NaN);
  return reduceLoss(loss.reshape(target.shape), reduction);
}

/**
 * `sum over targets j and others i of max(0, 1 - input[j] + input[i]) / C`: the hinge loss of several classes at once.
 *
 * A class above `C - 1` makes the loss NaN: values are not read back to check them.
 *
 * @param input Scores `[N, C]` or `[C]`
 * @param target Classes in the shape of `input`; those from the first -1 on do not count
 * @param options Reduction
 * @returns 0-d, or `[N]` when the reduction is `none`
 * @throws {TypeError} When shapes or dtypes do not fit
 */
export function multilabelMarginLoss(
  input: Tensor,
  target: Tensor,
  options: ReductionOptions = {},
): Tensor {
  if (isAutocasting()) return underPolicy("multilabelMarginLoss", multilabelMarginLoss, arguments);
  checkShapes("multilabelMarginLoss", input, target);
  checkInteger("multilabelMarginLoss", target);
  if (input.ndim > 2) {
    throw new TypeError(
      `Cannot take multilabelMarginLoss of ${shapeOf(input)}: it must be [N, C] or [C]`,
    );
  }
  const classes = input.shape.at(-1) ?? 1, rows = input.numel / Math.max(classes, 1);
  const x = input.reshape([rows, classes]), t = target.to("int32").reshape([rows, classes]);
  const at = ramp(x, classes);
  const first = where(t.lt(0), at, classes).amin(-1, true);
  const counts = at.lt(first);
  // [N, j, i]: whether target number j is class i.
  const hit = at.eq(t.unsqueeze(-1)).logicalAnd(counts.unsqueeze(-1));
  const own = where(hit, x.unsqueeze(1), 0).sum(-1, true);
  const isOther = hit.any(1, true).logicalNot().logicalAnd(counts.unsqueeze(-1));
  const hinge = x.unsqueeze(1).sub(own).add(1).relu();
  let loss = where(isOther, hinge, 0).sum([1, 2]).mul(1 / classes);
  loss = where(counts.logicalAnd(t.ge(classes)).any(-1), NaN, loss);
  return reduceLoss(input.ndim < 2 ? loss.reshape([]) : loss, options.reduction);
}

/** Options of {@linkcode multilabelSoftMarginLoss}. */
export interface MultilabelSoftMarginLossOptions {
  /** `mean` by default. */
  readonly reduction?: Reduction;
  /** `[C]`: factor of each class; broadcasts. */
  readonly weight?: Tensor;
}

/**
 * `-(target * log(sigmoid(input)) + (1 - target) * log(sigmoid(-input)))`, averaged over the classes.
 *
 * @param input Scores `[..., C]`
 * @param target 0 or 1 in the shape of `input`
 * @param options Reduction, weight
 * @returns 0-d, or `[...]` when the reduction is `none`
 * @throws {TypeError} When shapes differ or there are no dimensions
 */
export function multilabelSoftMarginLoss(
  input: Tensor,
  target: Tensor,
  options: MultilabelSoftMarginLossOptions = {},
): Tensor {
  if (isAutocasting()) {
    return underPolicy("multilabelSoftMarginLoss", multilabelSoftMarginLoss, arguments);
  }
  const { reduction = "mean", weight } = options;
  checkShapes("multilabelSoftMarginLoss", input, target);
  checkReduction(reduction);
  if (input.ndim === 0) {
    throw new TypeError("Cannot take multilabelSoftMarginLoss of []: it must be [..., C]");
  }
  const t = target.to(input.dtype);
  let loss = t.sub(1).mul(logsigmoid(input.neg())).sub(t.mul(logsigmoid(input)));
  if (weight !== undefined) loss = loss.mul(weight);
  return reduceLoss(loss.mean(-1), reduction);
}

const ramp = (x: Tensor, n: number): Tensor =>
  arange(n, undefined, undefined, { dtype: "int32", device: x.device });

function checkInteger(name: string, target: Tensor): void {
  if (!isFloat(target.dtype) && target.dtype !== "bool") return;
  throw new TypeError(
    `Cannot take ${name} of a ${target.dtype} target ${
      shapeOf(target)
    }: classes must be int32 or int64; cast with .to("int32")`,
  );
}

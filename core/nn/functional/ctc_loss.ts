/** Connectionist temporal classification (Graves et al., "Connectionist temporal classification", 2006). */
import { isAutocasting, underPolicy } from "../../amp/cast.ts";
import { isFloat } from "../../dtype.ts";
import { isGradEnabled } from "../../node.ts";
import { arange, full, routine, type Tensor, tensor, where, zeros } from "../../tensor/mod.ts";
import { plainGradient } from "./plain_gradient.ts";
import { checkReduction, reduceLoss, type Reduction, shapeOf } from "./reduction.ts";

/** Options of {@linkcode ctcLoss}. */
export interface CtcLossOptions {
  /** Class of the blank; 0 by default. */
  readonly blank?: number;
  /** `mean` by default: each loss is divided by its target's length (at least 1), then averaged. */
  readonly reduction?: Reduction;
  /** Whether a loss that no alignment fits counts as 0 instead of infinity; false by default. */
  readonly zeroInfinity?: boolean;
}

/** Lengths of the sequences of a batch: numbers, or an integer tensor, which is read. */
export type Lengths = Tensor | readonly number[] | number;

// Stands for log(0): finite, so that differences are no NaN.
const impossible = -1e30;

/**
 * Minus the log likelihood of the targets under all alignments.
 *
 * As in PyTorch, the gradient takes `logProbs` for the result of a log-softmax: it is `exp(logProbs)` minus the share of the alignments that
 * pass through each class, and 0 beyond the length. Lengths given as tensors are read back.
 * One routine takes the losses and their first gradient, on the host where the device has none of its own; a second gradient unrolls the recursion over time.
 *
 * @param logProbs Log probabilities `[T, N, C]` or `[T, C]`
 * @param targets Classes `[N, S]` (or `[S]`), or those of all sequences in one row
 * @param inputLengths Steps of each sequence, at most T
 * @param targetLengths Classes of each sequence
 * @param options Blank, reduction, zeroInfinity
 * @returns 0-d, or `[N]` (0-d for `[T, C]`) when the reduction is `none`
 * @throws {TypeError} When shapes, dtypes or the number of lengths do not fit
 * @throws {RangeError} When a length or the blank is out of range
 */
export function ctcLoss(
  logProbs: Tensor,
  targets: Tensor,
  inputLengths: Lengths,
  targetLengths: Lengths,
  options: CtcLossOptions = {},
): Tensor {
  if (isAutocasting()) return underPolicy("ctcLoss", ctcLoss, arguments);
  const { blank = 0, reduction = "mean", zeroInfinity = false } = options;
  checkReduction(reduction);
  if (logProbs.ndim !== 2 && logProbs.ndim !== 3) {
    throw new TypeError(
      `Cannot take ctcLoss of ${shapeOf(logProbs)}: it must be [T, N, C] or [T, C]`,
    );
  }
  const single = logProbs.ndim === 2, x = single ? logProbs.unsqueeze(1) : logProbs;
  const [steps, batch, classes] = x.shape;
  if (!(Number.isInteger(blank) && blank >= 0 && blank < classes)) {
    throw new RangeError(`Cannot take ctcLoss with blank ${blank}: there are ${classes} classes`);
  }
  const inputs = readLengths("inputLengths", inputLengths, batch, steps);
  const sizes = readLengths("targetLengths", targetLengths, batch, Infinity);
  const labels = paddedTargets(targets, sizes, single);
  let loss = alignmentLoss(x, labels, inputs, sizes, blank);
  const isInfinite = loss.ge(-impossible / 10);
  loss = where(isInfinite, zeroInfinity ? 0 : Infinity, loss);
  if (reduction === "mean") {
    const divisors = sizes.map((s) => Math.max(s, 1));
    loss = loss.div(tensor(divisors, { device: x.device, dtype: x.dtype }));
  }
  return reduceLoss(single ? loss.reshape([]) : loss, reduction);
}

function readLengths(name: string, given: Lengths, batch: number, most: number): number[] {
  const list = typeof given === "number"
    ? [given]
    : Array.isArray(given)
    ? given as readonly number[]
    : Array.from((given as Tensor).data() as ArrayLike<number | bigint>, Number);
  if (list.length !== batch) {
    throw new TypeError(
      `Cannot take ctcLoss with ${list.length} ${name}: the batch has ${batch} sequences`,
    );
  }
  const wrong = list.find((n) => !(Number.isInteger(n) && n >= 0 && n <= most));
  if (wrong !== undefined) {
    throw new RangeError(
      `Cannot take ctcLoss with ${name} ${wrong}: it must be a whole number between 0 and ${most}`,
    );
  }
  return [...list];
}

/** Classes as `[N, S]`; what lies beyond a length is not looked at. */
function paddedTargets(targets: Tensor, sizes: readonly number[], single: boolean): Tensor {
  if (isFloat(targets.dtype) || targets.dtype === "bool") {
    throw new TypeError(`Cannot take ctcLoss of ${targets.dtype} targets: they must be integers`);
  }
  const most = Math.max(0, ...sizes), total = sizes.reduce((a, b) => a + b, 0);
  const fail = (wanted: string): never => {
    throw new TypeError(
      `Cannot take ctcLoss with targets ${shapeOf(targets)} and targetLengths [${
        sizes.join(", ")
      }]: they must be ${wanted}`,
    );
  };
  if (targets.ndim === 2 || (single && targets.ndim === 1)) {
    const rows = targets.ndim === 1 ? targets.unsqueeze(0) : targets;
    if (rows.shape[0] !== sizes.length || rows.shape[1] < most) {
      fail(`[${sizes.length}, ${most} or more]`);
    }
    return rows.to("int32").narrow(1, 0, most);
  }
  if (targets.ndim !== 1 || targets.shape[0] < total) fail(`[${total}] or [N, S]`);
  let at = 0;
  const places = sizes.flatMap((size) => {
    const start = at;
    at += size;
    return Array.from({ length: most }, (_, s) => Math.min(start + Math.min(s, size), total - 1));
  });
  if (places.length === 0) return zeros([sizes.length, most], { dtype: "int32" });
  const index = tensor(Int32Array.from(places), { device: targets.device });
  return targets.to("int32").indexSelect(0, index).reshape([sizes.length, most]);
}

/** Losses `[N]`; about `-impossible` where no alignment fits. */
function alignmentLoss(
  x: Tensor,
  labels: Tensor,
  inputs: readonly number[],
  sizes: readonly number[],
  blank: number,
): Tensor {
  const [steps, batch, classes] = x.shape, { device } = x;
  // Blanks between, before and after the labels: [N, 2 S + 1].
  const path =
    (labels.shape[1] === 0
      ? full([batch, 1], blank, { dtype: "int32", device })
      : interleave(labels, blank)).clamp({ min: 0, max: classes - 1 });
  const ends = tensor(Int32Array.from(inputs), { device }).unsqueeze(-1);
  const unrolled = (again: Tensor) => unrolledLoss(again, path, ends, sizes, blank);
  if (x.numel === 0) return unrolled(x).add(softmaxShare(x, ends));
  const lengths = tensor(Int32Array.from(inputs.flatMap((n, i) => [n, sizes[i]])), { device });
  const width = x.requiresGrad && isGradEnabled() ? 1 + steps * classes : 1;
  const operands = [x, path.to("int32"), lengths.reshape(batch, 2)];
  const rows = routine("alignments", { blank, impossible }, operands, [batch, width], x.dtype);
  const loss = rows.select(1, 0).withGradient([x], (g) => {
    if (isGradEnabled()) return plainGradient(unrolled, [x], g);
    const shares = rows.narrow(1, 1, steps * classes).reshape(batch, steps, classes);
    return [shares.transpose(0, 1).mul(g.reshape(1, batch, 1)).neg()];
  });
  return loss.add(softmaxShare(x, ends));
}

/** The recursion by tensor operations, unrolled over time: planned anew for each T, but differentiable as often as one likes. */
function unrolledLoss(
  x: Tensor,
  path: Tensor,
  ends: Tensor,
  sizes: readonly number[],
  blank: number,
): Tensor {
  const [steps, batch] = x.shape, { device } = x, states = path.shape[1];
  const state = arange(states, undefined, undefined, { dtype: "int32", device });
  // A label may follow the label before directly, unless they are equal.
  const before = path.pad([2, 0], blank).narrow(1, 0, states);
  const maySkip = path.ne(blank).logicalAnd(path.ne(before)).logicalAnd(state.ge(2));
  const index = path.unsqueeze(0).expand([steps, batch, states]);
  const seen = x.gather(2, index.to("int32"));
  const scores = where(seen.lt(impossible), impossible, seen);
  let alpha = where(state.le(1), steps === 0 ? impossible : scores.select(0, 0), impossible);
  for (let t = 1; t < steps; t++) {
    const wide = alpha.pad([2, 0], impossible);
    const one = wide.narrow(1, 1, states);
    const two = where(maySkip, wide.narrow(1, 0, states), impossible);
    const top = alpha.maximum(one).maximum(two).detach();
    const sum = [alpha, one, two].map((a) => a.sub(top).exp()).reduce((a, b) => a.add(b));
    const next = sum.log().add(top).add(scores.select(0, t));
    alpha = where(ends.gt(t), next, alpha);
  }
  // An input of no steps can only be aligned with a target of no classes.
  alpha = where(ends.eq(0), where(state.eq(0), 0, impossible), alpha);
  const last = tensor(Int32Array.from(sizes, (s) => 2 * s), { device }).unsqueeze(-1);
  const isEnd = state.eq(last).logicalOr(state.eq(last.sub(1)));
  const final = where(isEnd, alpha, impossible);
  const top = final.amax(-1, true).detach();
  return final.sub(top).exp().sum(-1).log().add(top.squeeze(-1)).neg();
}

/** `blank, l0, blank, l1, ..., blank` of `[N, S]`. */
function interleave(labels: Tensor, blank: number): Tensor {
  const [batch, size] = labels.shape;
  const pairs = labels.unsqueeze(-1).pad([1, 0], blank).reshape([batch, 2 * size]);
  return pairs.pad([0, 1], blank);
}

/** Zeros `[N]` with the gradient that a log-softmax before the loss expects. */
function softmaxShare(x: Tensor, ends: Tensor): Tensor {
  const [steps, batch] = x.shape, { device, dtype } = x;
  return zeros([batch], { device, dtype }).withGradient([x], (g) => {
    const step = arange(steps, undefined, undefined, { dtype: "int32", device }).reshape([-1, 1]);
    const isInside = step.lt(ends.reshape([1, batch])).unsqueeze(-1);
    return [where(isInside, x.exp().mul(g.reshape([1, batch, 1])), 0)];
  });
}

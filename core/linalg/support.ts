/** What the functions of linear algebra share: checks, packed routine results, identities. */
import type { PlainRoutineName, RoutineParams } from "../device.ts";
import { isFloat } from "../dtype.ts";
import { constNode } from "../node.ts";
import { broadcastShapes, numel, type Shape, shapeText } from "../shape.ts";
import { wrap } from "../tensor/base.ts";
import { ramp } from "../tensor/ramp.ts";
import { routine } from "../tensor/routine.ts";
import type { Tensor } from "../tensor/tensor.ts";

/** Leading dimensions, rows and columns of floats with at least two dimensions. */
export function matrixSizes(x: Tensor, action: string): { batch: Shape; m: number; n: number } {
  if (!isFloat(x.dtype)) {
    throw new TypeError(`Cannot ${action} a tensor of ${x.dtype}: cast to a float dtype first`);
  }
  if (x.ndim < 2) {
    throw new TypeError(
      `Cannot ${action} ${shapeText(x.shape)}: at least 2 dimensions are needed`,
    );
  }
  return { batch: x.shape.slice(0, -2), m: x.shape[x.ndim - 2], n: x.shape[x.ndim - 1] };
}

/** As {@linkcode matrixSizes}, of square matrices. */
export function squareSizes(x: Tensor, action: string): { batch: Shape; n: number } {
  const { batch, m, n } = matrixSizes(x, action);
  if (m !== n) {
    throw new TypeError(
      `Cannot ${action} ${shapeText(x.shape)}: the last two sizes must be equal`,
    );
  }
  return { batch, n };
}

/** The same number everywhere. */
export function constant(value: number, shape: Shape, like: Tensor): Tensor {
  return wrap(constNode(value, shape, like.dtype, like.device));
}

/** The identity, `[rows, columns]`, with the dtype and device of another tensor. */
export function identity(like: Tensor, rows: number, columns: number = rows): Tensor {
  const i = ramp(rows, like.device).unsqueeze(1), j = ramp(columns, like.device).unsqueeze(0);
  return i.eq(j).to(like.dtype);
}

/** Results of a routine on float64, `length` numbers for each matrix; zeros where there is nothing to work on. */
export function packed<R extends PlainRoutineName>(
  name: R,
  params: RoutineParams[R],
  inputs: readonly Tensor[],
  batch: Shape,
  length: number,
): Tensor {
  const shape = [...batch, length];
  if (inputs.some((x) => x.numel === 0)) return constant(0, shape, inputs[0]);
  return routine(name, params, inputs, shape, "float64");
}

/** Part of what {@linkcode packed} gave, from element `start`. */
export function unpack(pack: Tensor, start: number, sizes: Shape): Tensor {
  return pack.narrow(-1, start, numel(sizes)).reshape([...pack.shape.slice(0, -1), ...sizes]);
}

/** Matrices with equal leading dimensions, broadcast together. */
export function sameBatch(a: Tensor, b: Tensor, action: string): [Tensor, Tensor] {
  const batch = broadcastShapes(a.shape.slice(0, -2), b.shape.slice(0, -2), action);
  return [a.expand([...batch, ...a.shape.slice(-2)]), b.expand([...batch, ...b.shape.slice(-2)])];
}

/** `1 / x`, 0 where x is 0. */
export function reciprocalOrZero(x: Tensor): Tensor {
  const zero = x.eq(0);
  return zero.where(0, zero.where(1, x).reciprocal());
}

/** `m` with its lower triangle mirrored to the upper one. */
export function mirrored(m: Tensor): Tensor {
  return m.tril().add(m.tril(-1).mT);
}

/** Multiplies the columns of matrices by the entries of vectors. */
export function scaleColumns(x: Tensor, s: Tensor): Tensor {
  return x.mul(s.unsqueeze(-2));
}

/** Operands brought to one shape and dtype, for composites that give their own gradient. */
import { type DType, isFloat } from "../dtype.ts";
import { constNode } from "../node.ts";
import { broadcastShapes } from "../shape.ts";
import { castNode, choiceDtype, expandNode, type Numeric, TensorBase, wrap } from "./base.ts";
import type { Tensor } from "./tensor.ts";

/** A number as a scalar tensor beside another. */
export function scalarBeside(x: number, beside: Tensor, dtype: DType = beside.dtype): Tensor {
  return wrap(constNode(x, [], dtype, beside.device));
}

/**
 * Two operands promoted and broadcast to one dtype and shape. Differentiable, so the results may be the inputs of a gradient rule.
 * @throws {TypeError} When shapes or devices do not fit, or `x` is neither tensor nor number
 */
export function aligned(
  a: Tensor,
  x: Numeric,
  action: string,
  options: { float?: boolean } = {},
): [Tensor, Tensor] {
  if (typeof x !== "number" && !(x instanceof TensorBase)) {
    throw new TypeError(`Cannot ${action} a tensor and ${String(x)}: a tensor or number is needed`);
  }
  const promoted = choiceDtype(a, x);
  const dtype = options.float && !isFloat(promoted) ? "float32" : promoted;
  const b = typeof x === "number" ? scalarBeside(x, a, dtype) : onDevice(x, a, action);
  const shape = broadcastShapes(a.shape, b.shape, action);
  const fit = (t: Tensor) => wrap(expandNode(castNode(t.node, dtype), shape));
  return [fit(a), fit(b)];
}

/** Constants follow the other operand's device; anything else must be there. */
function onDevice(x: Tensor, beside: Tensor, action: string): Tensor {
  if (x.device === beside.device) return x;
  const { node } = x;
  if (node.kind === "const") {
    return wrap(constNode(node.arg.value, node.shape, node.dtype, beside.device));
  }
  throw new TypeError(
    `Cannot ${action} tensors on ${beside.device} and ${x.device}: move one with to("${beside.device}")`,
  );
}

/** The float dtype that a function of `dtype` gives. */
export const floatOf = (dtype: DType): DType => isFloat(dtype) ? dtype : "float32";

/** The dtype that a composite of many steps is computed in: 16-bit floats would lose too much. */
export const wideOf = (dtype: DType): DType => dtype === "float64" ? "float64" : "float32";

/** Computes a function of floats in at least float32 and rounds once to the dtype of `x` (float32 for integers). */
export function inWide(x: Tensor, f: (x: Tensor) => Tensor): Tensor {
  return f(x.to(wideOf(x.dtype))).to(floatOf(x.dtype));
}

/** As {@linkcode inWide} for two operands, promoted and broadcast first. */
export function inWide2(
  a: Tensor,
  x: Numeric,
  action: string,
  f: (a: Tensor, b: Tensor) => Tensor,
): Tensor {
  const [p, q] = aligned(a, x, action, { float: true });
  const wide = wideOf(p.dtype);
  return f(p.to(wide), q.to(wide)).to(p.dtype);
}

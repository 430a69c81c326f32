/** Attention as one routine of the device, forward and backward, without the matrix of scores in memory. */
import type { AttentionParams, Operand } from "../../device.ts";
import { isFloat } from "../../dtype.ts";
import { isGradEnabled, operandOf, viewParts } from "../../node.ts";
import { backendOf } from "../../runtime.ts";
import { numel, sameShape } from "../../shape.ts";
import { routineResults, type Tensor } from "../../tensor/mod.ts";
import { plainGradient } from "./plain_gradient.ts";

/** The same function by operations that can be differentiated as often as one likes. */
export type PlainAttention = (query: Tensor, key: Tensor, value: Tensor) => Tensor;

/** `[batch, head, position, element]` as `[batch, position, head, element]`, and back. */
const turned = (x: Tensor): Tensor => x.permute(0, 2, 1, 3);

/** Elements between which 16 bytes lie. */
const STEP = 8;

/** How a tensor lies in memory; undefined when attention cannot take it so. */
function lies(x: Tensor): Operand | undefined {
  const { node, shape, dtype } = x, { offset, strides } = viewParts(node);
  if (node.kind === "const") return undefined;
  const ordered = strides.every((s, d) =>
    shape[d] === 1 || (d === shape.length - 1 ? s === 1 : s > 0 && s % STEP === 0)
  );
  return ordered && offset % STEP === 0 ? { dtype, shape, strides, offset } : undefined;
}

/** The tensor, or a copy that lies so that attention can take it. */
const placed = (x: Tensor): Tensor => lies(x) === undefined ? x.detach().clone() : x;

/**
 * Attention by routines `attention` and `attentionGradient`; see `RoutineParams`.
 *
 * @param query `[batch, head, position, element]`
 * @param key Likewise, perhaps of fewer heads
 * @param value Likewise
 * @param params Scale and causality
 * @param plain What gradients of gradients are computed by
 * @returns `[batch, head, position, element]`, in memory `[batch, position, head, element]`, as the next projection reads it
 */
export function fusedAttention(
  query: Tensor,
  key: Tensor,
  value: Tensor,
  params: AttentionParams,
  plain: PlainAttention,
): Tensor {
  const inputs = [query, key, value];
  const [q, k, v] = inputs.map((x) => placed(turned(x.detach())));
  const [batch, heads, positions] = query.shape, { dtype } = query;
  const [out, stats] = routineResults("attention", params, [q, k, v], [
    { shape: [batch, positions, heads, value.shape[3]], dtype },
    { shape: [batch, heads, positions], dtype: dtype === "float64" ? dtype : "float32" },
  ]);
  return turned(out).withGradient(inputs, (gradient) => {
    if (isGradEnabled()) return plainGradient(plain, inputs, gradient);
    const wholeGradient = turned(gradient.detach()), { node } = wholeGradient;
    const { strides, offset } = viewParts(node), own = viewParts(out.node).strides;
    const inOrder = node.kind !== "const" && offset === 0 && sameShape(strides, own);
    const g = inOrder ? wholeGradient : wholeGradient.clone();
    const results = [q, k, v].map(({ shape, dtype }) => ({ shape, dtype }));
    return routineResults("attentionGradient", params, [q, k, v, out, stats, g], results)
      .map(turned);
  });
}

/**
 * Attention by {@linkcode fusedAttention} where the device prefers it: query, key and value of equal leading dimensions, half precision, and whatever else
 * the device wants.
 *
 * @param query `[..., H, L, E]`
 * @param key `[..., h, S, E]` of the same leading dimensions; `h` divides `H`, and is `H` unless heads are shared
 * @param value `[..., h, S, Ev]`
 * @param params Scale and causality
 * @param plain What gradients of gradients are computed by; takes four dimensions
 * @returns `[..., H, L, Ev]`; undefined where the device does not do it
 */
export function attentionOfDevice(
  query: Tensor,
  key: Tensor,
  value: Tensor,
  params: AttentionParams,
  plain: PlainAttention,
): Tensor | undefined {
  const { device, dtype, ndim } = query, inputs = [query, key, value];
  const backend = backendOf(device);
  if (backend.attends === undefined || !isFloat(dtype)) return undefined;
  const alike = inputs.every((x) =>
    x.device === device && x.dtype === dtype && x.ndim === ndim && x.numel > 0 &&
    sameShape(x.shape.slice(0, -3), query.shape.slice(0, -3))
  );
  if (!alike || !sameShape(key.shape.slice(0, -1), value.shape.slice(0, -1))) return undefined;
  const lead = query.shape.slice(0, -3);
  const four = (x: Tensor): Tensor => {
    if (ndim === 4) return x;
    return x.reshape([numel(lead), ndim > 2 ? x.shape[ndim - 3] : 1, ...x.shape.slice(-2)]);
  };
  const [q, k, v] = inputs.map(four);
  if (q.shape[1] % k.shape[1] !== 0) return undefined;
  const gradient = isGradEnabled() && inputs.some((x) => x.requiresGrad);
  const operands = [q, k, v].map((x) => {
    const t = turned(x.detach());
    return lies(t) ?? operandOf(t.clone().node);
  });
  if (!backend.attends(operands, params, gradient)) return undefined;
  const out = fusedAttention(q, k, v, params, plain);
  return ndim === 4 ? out : out.reshape([...query.shape.slice(0, -1), value.shape[ndim - 1]]);
}

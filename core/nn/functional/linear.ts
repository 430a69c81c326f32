/** The affine and the bilinear map. */
import { isAutocasting, underPolicy } from "../../amp/cast.ts";
import { isFloat } from "../../dtype.ts";
import { Tensor } from "../../tensor/mod.ts";

/** What somebody passed instead of a tensor. */
const describe = (x: unknown): string =>
  Array.isArray(x) ? "an array" : typeof x === "object" ? "an object" : `${x}`;

/**
 * `x @ weight.T + bias`.
 *
 * @param x `[..., in]`
 * @param weight `[out, in]`
 * @param bias `[out]`
 * @returns `[..., out]`
 * @throws {TypeError} When the sizes do not match
 */
export function linear(x: Tensor, weight: Tensor, bias?: Tensor): Tensor {
  if (isAutocasting()) return underPolicy("linear", linear, arguments);
  if (!(x instanceof Tensor)) {
    throw new TypeError(`Cannot apply a linear layer to ${describe(x)}: a Tensor is needed`);
  }
  if (!isFloat(x.dtype)) {
    throw new TypeError(
      `Cannot apply a linear layer to ${x.dtype}: its weight is ${weight.dtype}; cast the input first`,
    );
  }
  if (weight.ndim !== 2 || x.ndim === 0 || x.shape[x.ndim - 1] !== weight.shape[1]) {
    throw new TypeError(
      `Cannot apply a linear layer to [${x.shape.join(", ")}]: its weight is [${
        weight.shape.join(", ")
      }], so the last size must be ${weight.shape[1]}`,
    );
  }
  const y = x.matmul(weight.transpose(0, 1));
  return bias === undefined ? y : y.add(bias);
}

/**
 * `sum over i, j of x1[i] * weight[k, i, j] * x2[j] + bias[k]`.
 *
 * @param x1 `[..., in1]`
 * @param x2 `[..., in2]`, the same leading sizes
 * @param weight `[out, in1, in2]`
 * @param bias `[out]`
 * @returns `[..., out]`
 * @throws {TypeError} When the sizes do not match
 */
export function bilinear(x1: Tensor, x2: Tensor, weight: Tensor, bias?: Tensor): Tensor {
  if (isAutocasting()) return underPolicy("bilinear", bilinear, arguments);
  const [out, in1, in2] = weight.shape, lead = x1.shape.slice(0, -1);
  const fits = weight.ndim === 3 && x1.ndim >= 1 && x1.ndim === x2.ndim &&
    x1.shape.at(-1) === in1 && x2.shape.at(-1) === in2 && lead.every((s, d) => s === x2.shape[d]) &&
    (bias === undefined || (bias.ndim === 1 && bias.shape[0] === out));
  if (!fits) {
    const [a, b, w, c] = [x1, x2, weight, bias].map((t) => t && `[${t.shape.join(", ")}]`);
    throw new TypeError(
      `Cannot apply a bilinear layer to ${a} and ${b} with weight ${w}${
        c === undefined ? "" : ` and bias ${c}`
      }: they must be [..., in1], [..., in2], [out, in1, in2] and [out]`,
    );
  }
  const rows = lead.reduce((n, s) => n * s, 1);
  // [rows, out, in2]: the product over the first input.
  const half = x1.reshape([rows, in1]).matmul(weight.permute(1, 0, 2).reshape([in1, out * in2]))
    .reshape([rows, out, in2]);
  const y = half.mul(x2.reshape([rows, 1, in2])).sum(-1).reshape([...lead, out]);
  return bias === undefined ? y : y.add(bias);
}

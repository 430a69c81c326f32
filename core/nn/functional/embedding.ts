/** Table lookup. */
import { isFloat } from "../../dtype.ts";
import { type Tensor, where } from "../../tensor/mod.ts";

/**
 * Rows of `weight` at the positions in `index`.
 *
 * @param index int32 or int64, any shape `[...]`
 * @param weight `[rows, size]`
 * @param options `paddingIdx`: row that gets no gradient; negative counts from the end
 * @returns `[..., size]`
 * @throws {TypeError} When `index` holds no integers or `weight` is not a matrix
 */
export function embedding(
  index: Tensor,
  weight: Tensor,
  options: { paddingIdx?: number } = {},
): Tensor {
  if (isFloat(index.dtype) || index.dtype === "bool") {
    throw new TypeError(
      `Cannot look up an embedding by ${index.dtype}: indices must be int32 or int64`,
    );
  }
  if (weight.ndim !== 2) {
    throw new TypeError(
      `Cannot look up rows of [${weight.shape.join(", ")}]: it must have 2 dimensions`,
    );
  }
  const [rows, size] = weight.shape, { paddingIdx } = options;
  const flat = weight.indexSelect(0, index.reshape([index.numel]));
  const out = flat.reshape([...index.shape, size]);
  if (paddingIdx === undefined) return out;
  const row = paddingIdx < 0 ? paddingIdx + rows : paddingIdx;
  return where(index.eq(row).unsqueeze(-1), out.detach(), out);
}

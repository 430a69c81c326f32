/** Index tensors that methods make for themselves: ramps, and places found on the host. */
import { constNode, makeNode } from "../node.ts";
import { numel, type Shape } from "../shape.ts";
import { hostNode, wrap } from "./base.ts";
import type { Tensor } from "./tensor.ts";

/** `0 .. count - 1`, int32. */
export function ramp(count: number, device: string): Tensor {
  return wrap(
    count === 0
      ? constNode(0, [0], "int32", device)
      : makeNode("index", null, [], [count], "int32", device, false),
  );
}

/** The same whole number everywhere, int32. */
export function filled(value: number, shape: Shape, device: string): Tensor {
  return wrap(constNode(value, shape, "int32", device));
}

/** Whole numbers from the host, int32 or int64, copied to the device now. */
export function hostIndex(
  values: ArrayLike<number>,
  device: string,
  options: { shape?: Shape; dtype?: "int32" | "int64" } = {},
): Tensor {
  const { shape = [values.length], dtype = "int32" } = options;
  if (numel(shape) === 0) return wrap(constNode(0, shape, dtype, device));
  const data = dtype === "int32"
    ? Int32Array.from(values)
    : BigInt64Array.from(Array.from(values, BigInt));
  return wrap(hostNode(data, shape, dtype, device));
}

/** Places counted from the end as places counted from the front. */
export function fromFront(index: Tensor, size: number): Tensor {
  return index.lt(0).where(index.add(size), index);
}

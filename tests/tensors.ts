/** Small tensors for tests. */
import { tensor } from "@pta/core";

/** Whole numbers as int32. */
export const ints = (values: number[], shape: number[] = [values.length]) =>
  tensor(Int32Array.from(values), { shape });

/** Numbers as float32. */
export const floats = (values: number[], shape: number[] = [values.length]) =>
  tensor(Float32Array.from(values), { shape });

/** Numbers without a pattern, the same each time, between `low` and `high`. */
export const noise = (shape: number[], seed: number, low = -1, high = 1) => {
  const n = shape.reduce((a, b) => a * b, 1);
  const values = Float64Array.from({ length: n }, (_, i) => {
    const x = Math.sin(12.9898 * (i + 1) + 78.233 * seed) * 43758.5453;
    return low + (high - low) * (x - Math.floor(x));
  });
  return tensor(values, { shape });
};

/** 1 and -1 as float64. */
export const signs = (n: number) =>
  tensor(Float64Array.from({ length: n }, (_, i) => i % 3 ? 1 : -1));

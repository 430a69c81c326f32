/** Channels second, `[N, C, ...]`, as everybody sees tensors, and channels last, `[N, ..., C]`, as some memory has them. */
import { contiguousStrides, type Shape } from "./shape.ts";

/** What belongs to the dimensions of `[N, C, ...]` in the order `[N, ..., C]`. */
export const lastOrder = <T>(list: readonly T[]): T[] => [list[0], ...list.slice(2), list[1]];

/** Where a dimension of `[N, C, ...]` lies in `[N, ..., C]`. */
export const placeOf = (dim: number, rank: number): number =>
  dim === 0 ? 0 : dim === 1 ? rank - 1 : dim - 1;

/** Strides of `[N, C, ...]` in memory that holds `[N, ..., C]`. */
export function channelsLastStrides(shape: Shape): number[] {
  const strides = contiguousStrides(lastOrder(shape));
  return shape.map((_, d) => strides[placeOf(d, shape.length)]);
}

/** A shape `[N, ..., C]` as `[N, C, ...]`. */
export const channelsSecond = (shape: Shape): number[] => [
  shape[0],
  shape[shape.length - 1],
  ...shape.slice(1, -1),
];

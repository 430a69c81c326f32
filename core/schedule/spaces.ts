/** Shapes as intervals of the linear row-major position: where members of a group have edges, and what it reduces over. */
import { contiguousStrides, type Shape } from "../shape.ts";

/** `[inner, outer)` stride interval of the linear position that a group reduces over. */
export type Segment = readonly [number, number];

/** Trailing products of a shape. */
export function edgesOf(shape: Shape): number[] {
  const edges = [1];
  for (let d = shape.length - 1; d >= 0; d--) {
    if (shape[d] !== 1) edges.push(edges[edges.length - 1] * shape[d]);
  }
  return edges;
}

/** Both edge lists as one divisor chain, or undefined when there is none. */
export function joinEdges(a: readonly number[], b: readonly number[]): number[] | undefined {
  const all = [...new Set([...a, ...b])].sort((x, y) => x - y);
  for (let i = 1; i < all.length; i++) if (all[i] % all[i - 1] !== 0) return undefined;
  return all;
}

/** The segments of dims of a shape, neighbours merged, innermost first. */
export function segmentsOf(shape: Shape, dims: readonly number[]): Segment[] {
  const strides = contiguousStrides(shape);
  const out: Segment[] = [];
  for (let d = shape.length - 1; d >= 0; d--) {
    if (!dims.includes(d) || shape[d] === 1) continue;
    const last = out[out.length - 1];
    const outer = strides[d] * shape[d];
    if (last !== undefined && last[1] === strides[d]) out[out.length - 1] = [last[0], outer];
    else out.push([strides[d], outer]);
  }
  return out;
}

/** Whether two lists are of the same segments. */
export function sameSegments(a: readonly Segment[], b: readonly Segment[]): boolean {
  return a.length === b.length && a.every((s, i) => s[0] === b[i][0] && s[1] === b[i][1]);
}

/** Whether a strided view of a row-level node repeats it exactly over the segments of the full space `shape`. */
export function broadcastsRows(
  shape: Shape,
  view: { offset: number; strides: readonly number[] },
  segments: readonly Segment[],
): boolean {
  if (view.offset !== 0) return false;
  const strides = contiguousStrides(shape);
  let step = 1;
  for (let d = shape.length - 1; d >= 0; d--) {
    if (shape[d] === 1) continue;
    const low = strides[d], high = low * shape[d];
    const touching = segments.filter(([inner, outer]) => inner < high && outer > low);
    if (touching.length === 0) {
      if (view.strides[d] !== step) return false;
      step *= shape[d];
    } else if (touching.length > 1 || touching[0][0] > low || touching[0][1] < high) {
      return false;
    } else if (view.strides[d] !== 0) return false;
  }
  return true;
}

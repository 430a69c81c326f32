/** Shapes and strides as pure functions on plain arrays. Strides and offsets count elements. */

/** Sizes of the dimensions, outermost first; `[]` is a scalar. */
export type Shape = readonly number[];

/** Number of elements of a shape. */
export function numel(shape: Shape): number {
  let n = 1;
  for (const size of shape) n *= size;
  return n;
}

/** Row-major strides of a shape. */
export function contiguousStrides(shape: Shape): number[] {
  const strides = new Array<number>(shape.length);
  for (let d = shape.length - 1, step = 1; d >= 0; d--) {
    strides[d] = step;
    step *= shape[d];
  }
  return strides;
}

/** Whether two shapes are equal. */
export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((size, d) => size === b[d]);
}

/** Whether strides walk `shape` in row-major order; dimensions of size 1 do not matter. */
export function isContiguous(shape: Shape, strides: readonly number[]): boolean {
  for (let d = shape.length - 1, step = 1; d >= 0; d--) {
    if (shape[d] !== 1 && strides[d] !== step) return false;
    step *= shape[d];
  }
  return true;
}

/** `[2, 3]`, as messages print shapes. */
export function shapeText(shape: Shape): string {
  return `[${shape.join(", ")}]`;
}

/**
 * The shape that two shapes broadcast to.
 * @throws {TypeError} When sizes differ and neither is 1; `action` begins the message
 */
export function broadcastShapes(a: Shape, b: Shape, action: string): Shape {
  if (sameShape(a, b)) return a;
  const rank = Math.max(a.length, b.length);
  const out = new Array<number>(rank);
  for (let d = 0; d < rank; d++) {
    const sa = a[d - rank + a.length] ?? 1, sb = b[d - rank + b.length] ?? 1;
    if (sa !== sb && sa !== 1 && sb !== 1) {
      throw new TypeError(
        `Cannot ${action} ${shapeText(a)} and ${shapeText(b)}: sizes differ at dim ${d}`,
      );
    }
    out[d] = sa === 1 ? sb : sa;
  }
  return out;
}

/**
 * A dimension counted from the front.
 * @throws {RangeError} When it is not an integer in `[-rank, rank)`
 */
export function normalizeDim(dim: number, rank: number, action: string): number {
  const d = dim < 0 ? dim + rank : dim;
  if (!Number.isInteger(dim) || d < 0 || d >= rank) {
    throw new RangeError(
      `Cannot ${action} at dim ${dim}: the tensor has ${rank} dimension${rank === 1 ? "" : "s"}`,
    );
  }
  return d;
}

/** Sorted, distinct dimensions counted from the front; all of them when `dims` is undefined. */
export function normalizeDims(
  dims: number | readonly number[] | undefined,
  rank: number,
  action: string,
): number[] {
  if (dims === undefined) return Array.from({ length: rank }, (_, d) => d);
  const list = (typeof dims === "number" ? [dims] : dims).map((d) => normalizeDim(d, rank, action));
  const distinct = [...new Set(list)].sort((x, y) => x - y);
  if (distinct.length !== list.length) {
    throw new RangeError(`Cannot ${action} over dims ${shapeText(list)}: a dim is named twice`);
  }
  return distinct;
}

/**
 * Fills in one -1 of a requested shape.
 * @throws {TypeError} When the number of elements cannot match
 */
export function resolveShape(from: Shape, to: Shape): number[] {
  const total = numel(from);
  const fail = () => {
    throw new TypeError(
      `Cannot reshape ${shapeText(from)} to ${shapeText(to)}: ${total} elements do not fit`,
    );
  };
  const open = to.indexOf(-1);
  if (to.some((s, d) => !Number.isInteger(s) || s < -1 || (s === -1 && d !== open))) fail();
  if (open < 0) {
    if (numel(to) !== total) fail();
    return [...to];
  }
  const known = to.reduce((n, s, d) => d === open ? n : n * s, 1);
  if (known === 0 || total % known !== 0) fail();
  return to.map((s, d) => d === open ? total / known : s);
}

/** A strided view of some row-major base. */
export interface View {
  /** Element of the base where the view starts. */
  readonly offset: number;
  /** Distance in elements for each dimension. */
  readonly strides: readonly number[];
}

/**
 * Strides that show a strided view under another shape without moving data, or undefined when none exist
 * (dimensions that would merge do not lie one after the other).
 */
export function reshapeStrides(
  shape: Shape,
  strides: readonly number[],
  to: Shape,
): number[] | undefined {
  const out = new Array<number>(to.length);
  const old: { size: number; stride: number }[] = [];
  shape.forEach((size, d) => size !== 1 && old.push({ size, stride: strides[d] }));
  let i = 0, j = 0;
  while (j < to.length) {
    if (to[j] === 1) {
      out[j++] = 0;
      continue;
    }
    if (i >= old.length) return undefined;
    // Grow a run of old and of new dimensions until both hold equally many elements.
    let have = old[i].size, want = to[j], iEnd = i + 1, jEnd = j + 1;
    while (have !== want) {
      if (have < want) {
        if (iEnd >= old.length) return undefined;
        have *= old[iEnd++].size;
      } else {
        if (jEnd >= to.length) return undefined;
        want *= to[jEnd++];
      }
    }
    for (let k = i; k + 1 < iEnd; k++) {
      if (old[k].stride !== old[k + 1].stride * old[k + 1].size) return undefined;
    }
    let step = old[iEnd - 1].stride;
    for (let k = jEnd - 1; k >= j; k--) {
      out[k] = step;
      step *= to[k];
    }
    i = iEnd;
    j = jEnd;
  }
  return out;
}

/** An affine map of loop indices to a position: `offset + sum(strides[d] * i[d])`. */
export interface Affine {
  /** Element of the base where the view starts. */
  readonly offset: number;
  /** Distance in elements for each dimension. */
  readonly strides: readonly number[];
}

/**
 * Splits a linear position in the row-major layout of `shape` into one affine map per coordinate, or returns undefined when some loop
 * runs across coordinates.
 *
 * @param map Linear position as a map of the loops
 * @param loops Extents of the loops
 */
export function coordinates(map: Affine, loops: Shape, shape: Shape): Affine[] | undefined {
  const strides = contiguousStrides(shape);
  const offsets = new Array<number>(shape.length).fill(0);
  const parts = shape.map(() => new Array<number>(loops.length).fill(0));
  // Decomposed from the lowest position reached, from which loops that run backwards start at their far end.
  let rest = map.strides.reduce((at, s, d) => at + Math.min(s, 0) * (loops[d] - 1), map.offset);
  if (rest < 0) return undefined;
  for (let j = 0; j < shape.length; j++) {
    if (shape[j] === 1) continue;
    offsets[j] = Math.floor(rest / strides[j]);
    rest -= offsets[j] * strides[j];
  }
  const reach = [...offsets];
  for (let d = 0; d < loops.length; d++) {
    const s = map.strides[d];
    if (s === 0 || loops[d] === 1) continue;
    const size = Math.abs(s);
    let j = 0;
    while (j < shape.length && (shape[j] === 1 || strides[j] > size)) j++;
    if (j === shape.length || s % strides[j] !== 0) return undefined;
    parts[j][d] = s / strides[j];
    const span = size / strides[j] * (loops[d] - 1);
    reach[j] += span;
    if (s < 0) offsets[j] += span;
    if (reach[j] >= shape[j]) return undefined;
  }
  return shape.map((_, j) => ({ offset: offsets[j], strides: parts[j] }));
}

/** The map of `view` after the coordinates of its own shape are given as maps of the loops. */
export function composeView(view: View, coords: readonly Affine[], loops: number): Affine {
  const strides = new Array<number>(loops).fill(0);
  let offset = view.offset;
  coords.forEach((c, j) => {
    offset += view.strides[j] * c.offset;
    for (let d = 0; d < loops; d++) strides[d] += view.strides[j] * c.strides[d];
  });
  return { offset, strides };
}

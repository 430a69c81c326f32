/** From operands with shapes and strides to plain matrix products: batch dimensions folded, out row-major. */
import type { Operand } from "../device.ts";

/** One matrix in a buffer, strides in elements. */
export interface Matrix {
  readonly offset: number;
  readonly rowStride: number;
  readonly colStride: number;
}

/** A run of equal products whose operands lie at equal distances; 0 where an operand is the same for all. */
export interface Batch {
  readonly count: number;
  readonly a: number;
  readonly b: number;
  readonly c: number;
}

/** `C[m, n] = A[m, k] @ B[k, n]`, for each combination of the batch dimensions; the last of them varies fastest. */
export interface Product {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  /** Which operand is A; 1 when both were swapped because the output was column-major. */
  readonly first: 0 | 1;
  readonly a: Matrix;
  readonly b: Matrix;
  /** Its column stride is 1 whenever the strides of the output allow that. */
  readonly c: Matrix;
  readonly batch: readonly Batch[];
}

const text = (shape: readonly number[]) => `[${shape.join(", ")}]`;

/**
 * Reads the three operands of a matmul.
 * @throws {TypeError} When ranks or sizes do not fit together
 */
export function readProduct(operands: readonly Operand[]): Product {
  const [a, b, c] = operands;
  const rank = c.shape.length;
  const m = c.shape[rank - 2], n = c.shape[rank - 1], k = a.shape[a.shape.length - 1];
  const fits = operands.length === 3 && rank >= 2 && a.shape.length === rank &&
    b.shape.length === rank && a.shape[rank - 2] === m && b.shape[rank - 2] === k &&
    b.shape[rank - 1] === n &&
    c.shape.slice(0, -2).every((s, d) => a.shape[d] === s && b.shape[d] === s);
  if (!fits) {
    throw new TypeError(
      `Cannot matmul ${text(a.shape)} by ${text(b.shape)} into ${text(c.shape)}`,
    );
  }
  let batch: Batch[] = [];
  for (let d = 0; d < rank - 2; d++) {
    if (c.shape[d] === 1) continue;
    batch.push({ count: c.shape[d], a: a.strides[d], b: b.strides[d], c: c.strides[d] });
  }
  batch = joinUniform(batch);
  // The stride along a dimension of one element means nothing; 1 keeps every path below on the plain case.
  const matrix = (x: Operand): Matrix => ({
    offset: x.offset,
    rowStride: x.shape[rank - 2] === 1 ? x.shape[rank - 1] : x.strides[rank - 2],
    colStride: x.shape[rank - 1] === 1 ? 1 : x.strides[rank - 1],
  });
  const plain: Product = { m, n, k, first: 0, a: matrix(a), b: matrix(b), c: matrix(c), batch };
  return foldRows(plain.c.colStride !== 1 && plain.c.rowStride === 1 ? swap(plain) : plain);
}

const turn = (x: Matrix): Matrix => ({
  offset: x.offset,
  rowStride: x.colStride,
  colStride: x.rowStride,
});

/** The transposed product: `C' = B' @ A'`. */
function swap(p: Product): Product {
  const batch = p.batch.map((x) => ({ count: x.count, a: x.b, b: x.a, c: x.c }));
  const first = p.first === 0 ? 1 : 0;
  return { m: p.n, n: p.m, k: p.k, first, a: turn(p.b), b: turn(p.a), c: turn(p.c), batch };
}

/** Joins neighbouring batch dimensions that are one run for all three operands. */
function joinUniform(batch: readonly Batch[]): Batch[] {
  const joined: Batch[] = [];
  for (const next of batch) {
    const last = joined.at(-1);
    const one = last !== undefined &&
      (["a", "b", "c"] as const).every((o) => last[o] === next[o] * next.count);
    if (one) joined[joined.length - 1] = { ...next, count: last.count * next.count };
    else joined.push(next);
  }
  return joined;
}

/** A batch with one B for all is a taller A: `[batch, m, k] @ [k, n]` is `[batch * m, k] @ [k, n]`. */
function foldRows(p: Product): Product {
  const last = p.batch.at(-1);
  if (last === undefined || last.b !== 0) return p;
  if (p.m === 1) {
    const a = { ...p.a, rowStride: last.a }, c = { ...p.c, rowStride: last.c };
    return foldRows({ ...p, m: last.count, a, c, batch: p.batch.slice(0, -1) });
  }
  if (last.a !== p.m * p.a.rowStride || last.c !== p.m * p.c.rowStride) return p;
  return foldRows({ ...p, m: p.m * last.count, batch: p.batch.slice(0, -1) });
}

/** Offsets of A, B and C, in elements, for all batch dimensions but the last. */
export function outerOffsets(p: Product): { a: number; b: number; c: number }[] {
  let offsets = [{ a: p.a.offset, b: p.b.offset, c: p.c.offset }];
  for (const dim of p.batch.slice(0, -1)) {
    offsets = offsets.flatMap((o) =>
      Array.from({ length: dim.count }, (_, i) => ({
        a: o.a + i * dim.a,
        b: o.b + i * dim.b,
        c: o.c + i * dim.c,
      }))
    );
  }
  return offsets;
}

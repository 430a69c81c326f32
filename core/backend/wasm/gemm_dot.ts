/**
 * Generator of the product of a row-major A and a column-major B (a linear layer's `x @ weight.T`) without packing: every element of C is an inner
 * product of two rows that lie in order in memory, so vectors run along the inner dimension.
 */
import { type Code, type Local, ModuleBuilder } from "./assembler.ts";
import { type Element, multiplyAdd } from "./element.ts";
import { batchLoop } from "./gemm.ts";
import {
  f32x4,
  get,
  i32,
  i32x4,
  ifElse,
  increment,
  seq,
  set,
  v128,
  whileLoop,
} from "./instructions.ts";

const { add, mul } = i32;
const c = i32.const;

/** The register tile, in rows of A and of B: 12 sums, 2 vectors of B and 1 of A are the 15 that V8 keeps in registers. */
export const dotTile = { rows: 6, columns: 2 } as const;

/** Vectors along the inner dimension in one turn of the loop. */
const UNROLL = 4;

/**
 * Generates a module with the same export as `gemmModule`, for float32 with `k` a multiple of 4 and `n` of 2; the stride of A's columns, that of B's
 * rows and the work space are not used.
 */
export function dotModule(element: Element, fused: boolean): Uint8Array<ArrayBuffer> {
  const module = new ModuleBuilder();
  const f = module.func(Array(13).fill("i32"));
  const [m, n, k, a, rowA, , b, , colB, out, rowC, accumulate] = Array(13).keys();
  const local = () => f.local("i32");
  const [left, columns, fromB, toC, end, b0, b1, at] = Array.from({ length: 8 }, local);
  const as = Array.from({ length: dotTile.rows }, local);
  const sums = Array.from({ length: 2 * dotTile.rows }, () => f.local("v128"));
  const [x, y0, y1] = Array.from({ length: 3 }, () => f.local("v128"));
  const madd = multiplyAdd(element, fused);
  const grow = (sum: Local, y: Local): Code => set(sum, madd(get(x), get(y), get(sum)));
  const pair = (lanes: [number, number, number, number], p: Local, q: Local) =>
    i32x4.shuffle(get(p), get(q), lanes);

  /** Adds up the lanes of two sums and stores the two results side by side. */
  const finish = (row: number): Code => {
    const [s, t] = [sums[2 * row], sums[2 * row + 1]];
    return seq(
      set(x, f32x4.add(pair([0, 4, 1, 5], s, t), pair([2, 6, 3, 7], s, t))),
      set(x, f32x4.add(get(x), pair([2, 3, 0, 1], x, x))),
      ifElse(get(accumulate), set(x, f32x4.add(get(x), v128.load64Zero(get(at))))),
      v128.store64Lane(0, get(at), get(x)),
      increment(at, get(rowC)),
    );
  };
  /** `count` vectors along the inner dimension. */
  const steps = (range: readonly number[], count: number): Code[] => [
    ...Array.from({ length: count }, (_, u) =>
      seq(
        set(y0, v128.load(get(b0), u * 16)),
        set(y1, v128.load(get(b1), u * 16)),
        ...range.flatMap((r) => [
          set(x, v128.load(get(as[r]), u * 16)),
          grow(sums[2 * r], y0),
          grow(sums[2 * r + 1], y1),
        ]),
      )),
    ...range.map((r) => increment(as[r], c(count * 16))),
    increment(b0, c(count * 16)),
    increment(b1, c(count * 16)),
  ];
  /** `rows` rows of C in two columns. */
  const tile = (rows: number): Code => {
    const range = Array.from({ length: rows }, (_, i) => i);
    return seq(
      ...sums.slice(0, 2 * rows).map((s) => set(s, f32x4.const(0))),
      set(as[0], get(a)),
      ...range.slice(1).map((r) => set(as[r], add(get(as[r - 1]), get(rowA)))),
      set(b0, get(fromB)),
      set(b1, add(get(fromB), get(colB))),
      set(end, add(get(a), mul(i32.and(get(k), c(-UNROLL * element.lanes)), c(element.bytes)))),
      whileLoop(i32.ltU(get(as[0]), get(end)), ...steps(range, UNROLL)),
      set(end, add(get(a), mul(get(k), c(element.bytes)))),
      whileLoop(i32.ltU(get(as[0]), get(end)), ...steps(range, 1)),
      set(at, get(toC)),
      ...range.map(finish),
    );
  };
  /** `rows` rows of C in all columns, then on to the next rows. */
  const band = (rows: number): Code =>
    seq(
      set(fromB, get(b)),
      set(toC, get(out)),
      set(columns, get(n)),
      whileLoop(
        get(columns),
        tile(rows),
        increment(fromB, mul(get(colB), c(2))),
        increment(toC, c(2 * element.bytes)),
        increment(columns, c(-2)),
      ),
      increment(a, mul(get(rowA), c(rows))),
      increment(out, mul(get(rowC), c(rows))),
      increment(left, c(-rows)),
    );
  f.emit(
    set(left, get(m)),
    whileLoop(i32.geU(get(left), c(dotTile.rows)), band(dotTile.rows)),
    ...[4, 2, 1].map((rows) => ifElse(i32.geU(get(left), c(rows)), band(rows))),
  );
  batchLoop(module, f, element);
  return module.build();
}

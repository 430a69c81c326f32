/**
 * Generator of the product without packing, for small operands: A and B row-major with column stride 1, B's columns a multiple of a vector.
 * Where there are few rows, or all of B fits the first-level cache, copying costs more than it saves.
 */
import { type Code, type Func, type Local, ModuleBuilder } from "./assembler.ts";
import { type Element, multiplyAdd, shuffle } from "./element.ts";
import { f32x4, get, i32, ifElse, increment, seq, set, v128, whileLoop } from "./instructions.ts";
import { batchLoop } from "./gemm.ts";

const { add, and, mul, shl } = i32;
const c = i32.const;

/** The register tile. */
export const directTile = { rows: 2, vectors: 4 } as const;

const ROWS = directTile.rows, VECTORS = directTile.vectors;

/** Generates a module with the same export as `gemmModule`; the column strides and the work space are not used. */
export function directModule(element: Element, fused: boolean): Uint8Array<ArrayBuffer> {
  const module = new ModuleBuilder();
  const f = module.func(Array(13).fill("i32"));
  const [m, n, k, a, rowA, , b, rowB, , out, rowC, accumulate] = Array(13).keys();
  const rows = f.local("i32"), left = f.local("i32"), ends = f.local("i32");
  const fromA = f.local("i32"), toC = f.local("i32");
  const tile = tileMaker(f, element, fused, { k, rowA, b, rowB, rowC, accumulate, ends });
  /** All rows of `vectors` vectors of columns, from `b` and `out` on. */
  const columns = (vectors: number): Code => {
    const rowTile = (count: number): Code =>
      seq(
        tile(count, vectors, fromA, toC),
        increment(fromA, mul(get(rowA), c(count))),
        increment(toC, mul(get(rowC), c(count))),
        increment(rows, c(-count)),
      );
    return seq(
      set(fromA, get(a)),
      set(toC, get(out)),
      set(rows, get(m)),
      whileLoop(i32.geU(get(rows), c(ROWS)), rowTile(ROWS)),
      whileLoop(get(rows), rowTile(1)),
      increment(b, c(vectors * 16)),
      increment(out, c(vectors * 16)),
      increment(left, c(-vectors * element.lanes)),
    );
  };
  f.emit(
    set(left, get(n)),
    whileLoop(i32.geU(get(left), c(VECTORS * element.lanes)), columns(VECTORS)),
  );
  for (let vectors = VECTORS - 1; vectors > 0; vectors--) {
    f.emit(ifElse(i32.geU(get(left), c(vectors * element.lanes)), columns(vectors)));
  }
  batchLoop(module, f, element);
  return module.build();
}

type Names = Record<"k" | "rowA" | "b" | "rowB" | "rowC" | "accumulate" | "ends", Local>;

/** Code of one tile: `rows` rows from address `fromA`, `vectors` vectors of columns from `b`, to `toC`. */
function tileMaker(f: Func, e: Element, fused: boolean, p: Names) {
  const madd = multiplyAdd(e, fused);
  const sums = Array.from({ length: ROWS * VECTORS }, () => f.local("v128"));
  const bs = Array.from({ length: VECTORS }, () => f.local("v128"));
  const groups = Array.from({ length: ROWS }, () => f.local("v128"));
  const at = Array.from({ length: ROWS }, () => f.local("i32"));
  const value = f.local("v128"), fromB = f.local("i32"), to = f.local("i32");
  return (rows: number, vectors: number, fromA: Local, toC: Local): Code => {
    const sum = (row: number, j: number) => sums[row * VECTORS + j];
    const range = (count: number) => Array.from({ length: count }, (_, i) => i);
    const step = (valueOf: (row: number) => Code): Code =>
      seq(
        ...range(vectors).map((j) => set(bs[j], v128.load(get(fromB), j * 16))),
        increment(fromB, get(p.rowB)),
        ...range(rows).flatMap((row) => [
          set(value, valueOf(row)),
          ...range(vectors).map((j) =>
            set(sum(row, j), madd(get(value), get(bs[j]), get(sum(row, j))))
          ),
        ]),
      );
    const spread = (lane: number) => (row: number) =>
      shuffle(e, get(groups[row]), get(groups[row]), Array(e.lanes).fill(lane));
    const advance = (steps: number) =>
      range(rows).map((row) => increment(at[row], c(steps * e.bytes)));
    const whole = shl(and(get(p.k), c(-e.lanes)), c(e.shift));
    return seq(
      ...range(rows).flatMap((row) => range(vectors).map((j) => set(sum(row, j), f32x4.const(0)))),
      set(fromB, get(p.b)),
      ...range(rows).map((row) =>
        set(at[row], row === 0 ? get(fromA) : add(get(at[row - 1]), get(p.rowA)))
      ),
      set(p.ends, add(get(fromA), whole)),
      whileLoop(
        i32.ltU(get(at[0]), get(p.ends)),
        ...range(rows).map((row) => set(groups[row], v128.load(get(at[row])))),
        ...range(e.lanes).map((lane) => step(spread(lane))),
        ...advance(e.lanes),
      ),
      set(p.ends, add(get(fromA), shl(get(p.k), c(e.shift)))),
      whileLoop(
        i32.ltU(get(at[0]), get(p.ends)),
        step((row) => e.splat(get(at[row]))),
        ...advance(1),
      ),
      set(to, get(toC)),
      ...range(rows).map((row) => {
        const store = (plus: boolean) =>
          seq(
            ...range(vectors).map((j) => {
              const made = get(sum(row, j));
              const old = v128.load(get(to), j * 16);
              return v128.store(get(to), plus ? e.add(old, made) : made, j * 16);
            }),
          );
        return seq(
          ifElse(get(p.accumulate), store(true), store(false)),
          increment(to, get(p.rowC)),
        );
      }),
    );
  };
}

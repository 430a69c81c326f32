/** Generator of panel packing for matrix products. */
import type { Code, Func, ModuleBuilder } from "./assembler.ts";
import { type Element, shuffle } from "./element.ts";
import { forLoop, get, i32, ifElse, ret, seq, set, v128, whileLoop } from "./instructions.ts";

const { add, and, eq, gtU, mul, shl, sub } = i32;
const c = i32.const;

/**
 * `f(rows, k, source, rowStride, kStride, target)`: copies `rows` rows (at most `width`, the rest becomes zeros) of `k` values to a
 * panel, k-major. Strides and addresses in bytes.
 */
export function packPanel(m: ModuleBuilder, e: Element, width: number): Func {
  const f = m.func(["i32", "i32", "i32", "i32", "i32", "i32"]);
  const [rows, k, source, rowStride, kStride, target] = [0, 1, 2, 3, 4, 5];
  const whole = eq(get(rows), c(width));
  f.emit(
    ifElse(and(whole, eq(get(rowStride), c(e.bytes))), copyRows(e, width)),
    ifElse(and(whole, eq(get(kStride), c(e.bytes))), transposeRows(f, e, width)),
  );
  const i = f.local("i32");
  const at = add(get(source), add(mul(get(i), get(rowStride)), mul(get(k), get(kStride))));
  // Any strides: from the last step to the first, so that `k` itself counts.
  f.emit(
    set(target, add(get(target), mul(get(k), c(width * e.bytes)))),
    whileLoop(
      get(k),
      set(k, sub(get(k), c(1))),
      set(target, sub(get(target), c(width * e.bytes))),
      forLoop(
        i,
        c(0),
        get(rows),
        c(1),
        e.store(add(get(target), shl(get(i), c(e.shift))), e.load(at)),
      ),
      forLoop(
        i,
        get(rows),
        c(width),
        c(1),
        e.store(add(get(target), shl(get(i), c(e.shift))), e.zero),
      ),
    ),
  );
  return f;
}

/** The panel's rows are neighbours in memory: each step is one straight copy. */
function copyRows(e: Element, width: number): Code {
  const [k, source, kStride, target] = [1, 2, 4, 5];
  const vectors = Math.floor(width / e.lanes);
  const copies: Code[] = [];
  for (let j = 0; j < vectors; j++) {
    copies.push(v128.store(get(target), v128.load(get(source), j * 16), j * 16));
  }
  for (let j = vectors * e.lanes; j < width; j++) {
    copies.push(e.store(get(target), e.load(get(source), j * e.bytes), j * e.bytes));
  }
  return seq(
    whileLoop(
      get(k),
      ...copies,
      set(source, add(get(source), get(kStride))),
      set(target, add(get(target), c(width * e.bytes))),
      set(k, sub(get(k), c(1))),
    ),
    ret,
  );
}

/** The steps are neighbours in memory: small transposes in registers, single values for the last rows and steps. */
function transposeRows(f: Func, e: Element, width: number): Code {
  const [k, source, rowStride, target] = [1, 2, 3, 5];
  const at = Array.from({ length: width }, () => f.local("i32"));
  const values = Array.from({ length: 2 * e.lanes }, () => f.local("v128"));
  const line = width * e.bytes;
  const starts = at.map((r, i) =>
    set(r, i === 0 ? get(source) : add(get(at[i - 1]), get(rowStride)))
  );
  const groups = Math.floor(width / e.lanes);
  const block: Code[] = [];
  for (let g = 0; g < groups; g++) {
    const from = at.slice(g * e.lanes, (g + 1) * e.lanes);
    block.push(...transpose(e, from, values, (step) => step * line + g * 16).map((x) => x(target)));
  }
  for (let r = groups * e.lanes; r < width; r++) {
    for (let s = 0; s < e.lanes; s++) {
      block.push(e.store(get(target), e.load(get(at[r]), s * e.bytes), s * line + r * e.bytes));
    }
  }
  const advance = (steps: number): Code[] => [
    ...at.map((r) => set(r, add(get(r), c(steps * e.bytes)))),
    set(target, add(get(target), c(steps * line))),
    set(k, sub(get(k), c(steps))),
  ];
  const single = at.map((r, i) => e.store(get(target), e.load(get(r)), i * e.bytes));
  return seq(
    ...starts,
    whileLoop(gtU(get(k), c(e.lanes - 1)), ...block, ...advance(e.lanes)),
    whileLoop(get(k), ...single, ...advance(1)),
    ret,
  );
}

type Emit = (target: number) => Code;

/** Loads `lanes` rows of `lanes` values and stores their columns at `offset(column)`. */
function transpose(
  e: Element,
  rows: readonly number[],
  v: readonly number[],
  offset: (step: number) => number,
): Emit[] {
  const load: Emit[] = rows.map((r, i) => () => set(v[i], v128.load(get(r))));
  const mix = (a: number, b: number, lanes: readonly number[]) => shuffle(e, get(a), get(b), lanes);
  const store = (x: Code, step: number): Emit => (t) => v128.store(get(t), x, offset(step));
  if (e.lanes === 2) {
    return [...load, store(mix(v[0], v[1], [0, 2]), 0), store(mix(v[0], v[1], [1, 3]), 1)];
  }
  const [a, b, d, g, t0, t1, t2, t3] = v;
  return [
    ...load,
    () => set(t0, mix(a, b, [0, 4, 1, 5])),
    () => set(t1, mix(a, b, [2, 6, 3, 7])),
    () => set(t2, mix(d, g, [0, 4, 1, 5])),
    () => set(t3, mix(d, g, [2, 6, 3, 7])),
    store(mix(t0, t2, [0, 1, 4, 5]), 0),
    store(mix(t0, t2, [2, 3, 6, 7]), 1),
    store(mix(t1, t3, [0, 1, 4, 5]), 2),
    store(mix(t1, t3, [2, 3, 6, 7]), 3),
  ];
}

/**
 * Generator of packed matrix products: C[M,N] (+)= A[M,K] @ B[K,N] for any strides of A and B. Blocks of A and B are copied
 * into panels (k-major, zero-padded to the tile), then a micro-kernel multiplies panel by panel with the tile of C in registers.
 */
import { type Code, type Func, ModuleBuilder } from "./assembler.ts";
import { type Element, multiplyAdd, shuffle } from "./element.ts";
import {
  call,
  forLoop,
  get,
  i32,
  ifElse,
  select,
  seq,
  set,
  v128,
  whileLoop,
} from "./instructions.ts";
import { packPanel } from "./panel.ts";
import type { Tile } from "./tiles.ts";

const { add, and, eq, mul, or, shl, sub } = i32;
const c = i32.const;

/** Rows of A and inner steps that are packed at a time: the block stays in the second-level cache. */
const MC = 96, KC = 256;
/** Columns of B packed at a time. */
const NC = 1024;

/** What to generate. */
export interface GemmOptions {
  readonly element: Element;
  readonly tile: Tile;
  /** Fused multiply-add, else multiply and add. */
  readonly fused: boolean;
}

/** `f(k, a, b, c, ldc, accumulate)`: one tile of C from a panel of A and one of B; addresses and `ldc` in bytes. */
function microKernel(m: ModuleBuilder, options: GemmOptions): Func {
  const { element: e, tile: { rows, vectors, unroll, load } } = options;
  const madd = multiplyAdd(e, options.fused);
  const f = m.func(["i32", "i32", "i32", "i32", "i32", "i32"]);
  const [k, a, b, out, ldc, accumulate] = [0, 1, 2, 3, 4, 5];
  const sums = Array.from(
    { length: rows },
    () => Array.from({ length: vectors }, () => f.local("v128")),
  );
  const bs = Array.from({ length: vectors }, () => f.local("v128"));
  const value = f.local("v128"), group = f.local("v128"), end = f.local("i32");
  const aBytes = rows * e.bytes, bBytes = vectors * 16;

  const loadA = (index: number): Code => {
    if (load === "splat") return set(value, e.splat(get(a), index * e.bytes));
    if (load === "address") {
      return set(value, e.splat(index === 0 ? get(a) : add(get(a), c(index * e.bytes))));
    }
    // A load that runs over the panel's end stays in the work space, and its last lanes are not used.
    const lane = index % e.lanes;
    const spread = Array.from({ length: e.lanes }, () => lane);
    return seq(
      lane === 0 ? set(group, v128.load(get(a), index * e.bytes)) : seq(),
      set(value, shuffle(e, get(group), get(group), spread)),
    );
  };
  const step = (u: number): Code =>
    seq(
      ...bs.map((x, j) => set(x, v128.load(get(b), u * bBytes + j * 16))),
      ...sums.flatMap((row, i) => [
        loadA(u * rows + i),
        ...row.map((x, j) => set(x, madd(get(value), get(bs[j]), get(x)))),
      ]),
    );
  const steps = (count: Code, u: number): Code =>
    seq(
      set(end, add(get(a), mul(count, c(aBytes * u)))),
      whileLoop(
        i32.ltU(get(a), get(end)),
        ...Array.from({ length: u }, (_, i) => step(i)),
        set(a, add(get(a), c(aBytes * u))),
        set(b, add(get(b), c(bBytes * u))),
      ),
    );
  const shift = Math.log2(unroll);
  f.emit(steps(i32.shrU(get(k), c(shift)), unroll));
  if (unroll > 1) f.emit(steps(and(get(k), c(unroll - 1)), 1));
  const store = (sum: boolean): Code =>
    seq(...sums.flatMap((row, i) => [
      ...row.map((x, j) =>
        v128.store(get(out), sum ? e.add(v128.load(get(out), j * 16), get(x)) : get(x), j * 16)
      ),
      i < rows - 1 ? set(out, add(get(out), get(ldc))) : seq(),
    ]));
  f.emit(ifElse(get(accumulate), store(true), store(false)));
  return f;
}

/** A generated module. */
export interface GemmModule {
  /**
   * Exports `gemm(m, n, k, a, rowA, colA, b, rowB, colB, c, rowC, accumulate, work, batch, stepA, stepB, stepC)`: addresses in
   * bytes, strides and steps in elements; C has column stride 1.
   */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Bytes that `work` must have. */
  readonly workBytes: number;
}

const align = (bytes: number): number => Math.ceil(bytes / 64) * 64;
const roundUp = (x: number, to: number): number => Math.ceil(x / to) * to;

/** Generates a packed matrix product. */
export function gemmModule(options: GemmOptions): GemmModule {
  const { element: e, tile } = options;
  const columns = tile.vectors * e.lanes, rows = tile.rows;
  const mc = roundUp(MC, rows), nc = roundUp(NC, columns);
  const m = new ModuleBuilder();
  const kernel = microKernel(m, options);
  const packA = packPanel(m, e, rows);
  const packB = columns === rows ? packA : packPanel(m, e, columns);
  const edge = edgeTile(m, options, kernel);
  const sizes = { edge: align(rows * columns * e.bytes), a: align(mc * KC * e.bytes) };
  const product = blocks(m, options, { kernel, edge, packA, packB, mc, nc, sizes });
  batchLoop(m, product, e);
  return { bytes: m.build(), workBytes: sizes.edge + sizes.a + nc * KC * e.bytes + 64 };
}

/** `f(rows, columns, k, a, b, c, ldc, accumulate, work)`: a tile of which only a part lies inside C; made whole in `work`, then copied. */
function edgeTile(m: ModuleBuilder, { element: e, tile }: GemmOptions, kernel: Func): Func {
  const f = m.func(Array(9).fill("i32"));
  const [rows, columns, k, a, b, out, ldc, accumulate, work] = [0, 1, 2, 3, 4, 5, 6, 7, 8];
  const line = tile.vectors * 16;
  const i = f.local("i32"), j = f.local("i32");
  const to = add(get(out), get(j)), made = e.load(add(get(work), get(j)));
  const copy = (value: Code): Code =>
    forLoop(j, c(0), shl(get(columns), c(e.shift)), c(e.bytes), e.store(to, value));
  f.emit(
    call(kernel, get(k), get(a), get(b), get(work), c(line), c(0)),
    forLoop(
      i,
      c(0),
      get(rows),
      c(1),
      ifElse(get(accumulate), copy(e.addOne(e.load(to), made)), copy(made)),
      set(out, add(get(out), get(ldc))),
      set(work, add(get(work), c(line))),
    ),
  );
  return f;
}

interface Parts {
  readonly kernel: Func;
  readonly edge: Func;
  readonly packA: Func;
  readonly packB: Func;
  readonly mc: number;
  readonly nc: number;
  readonly sizes: { readonly edge: number; readonly a: number };
}

/** `f(m, n, k, a, rowA, colA, b, rowB, colB, c, rowC, accumulate, work)`, strides in bytes: the loops over cache blocks. */
function blocks(module: ModuleBuilder, { element: e, tile }: GemmOptions, parts: Parts): Func {
  const f = module.func(Array(13).fill("i32"));
  const [m, n, k, a, rowA, colA, b, rowB, colB, out, rowC, accumulate, work] = Array(13).keys();
  const local = () => f.local("i32");
  const [jc, pc, ic, jr, ir, nc, kc, mc] = Array.from({ length: 8 }, local);
  const [nr, mr, to, sum, panelA, panelB, packedA, packedB] = Array.from({ length: 8 }, local);
  const rows = tile.rows, columns = tile.vectors * e.lanes;
  const left = (all: number, done: number, most: number): Code =>
    select(sub(get(all), get(done)), c(most), i32.ltU(sub(get(all), get(done)), c(most)));
  const step = (panel: number, width: number): Code =>
    set(panel, add(get(panel), mul(get(kc), c(width * e.bytes))));
  /** Packs `count` panels of `width` lines; the source starts at (`pc`, `block`). */
  const pack = (
    at: number,
    count: number,
    width: number,
    panel: number,
    packed: number,
    fn: Func,
    [source, block, lineStride, kStride]: readonly number[],
  ): Code =>
    seq(
      set(panel, get(packed)),
      forLoop(
        at,
        c(0),
        get(count),
        c(width),
        call(
          fn,
          left(count, at, width),
          get(kc),
          add(
            get(source),
            add(mul(get(pc), get(kStride)), mul(add(get(block), get(at)), get(lineStride))),
          ),
          get(lineStride),
          get(kStride),
          get(panel),
        ),
        step(panel, width),
      ),
    );
  const tileArgs = [get(kc), get(panelA), get(panelB), get(to), get(rowC), get(sum)];
  const oneTile = seq(
    set(mr, left(mc, ir, rows)),
    set(
      to,
      add(
        get(out),
        add(
          mul(add(get(ic), get(ir)), get(rowC)),
          shl(add(get(jc), get(jr)), c(e.shift)),
        ),
      ),
    ),
    ifElse(
      and(eq(get(mr), c(rows)), eq(get(nr), c(columns))),
      call(parts.kernel, ...tileArgs),
      call(parts.edge, get(mr), get(nr), ...tileArgs, get(work)),
    ),
    step(panelA, rows),
  );
  const multiply = seq(
    set(panelB, get(packedB)),
    forLoop(
      jr,
      c(0),
      get(nc),
      c(columns),
      set(nr, left(nc, jr, columns)),
      set(panelA, get(packedA)),
      forLoop(ir, c(0), get(mc), c(rows), oneTile),
      step(panelB, columns),
    ),
  );
  const rowBlocks = forLoop(
    ic,
    c(0),
    get(m),
    c(parts.mc),
    set(mc, left(m, ic, parts.mc)),
    pack(ir, mc, rows, panelA, packedA, parts.packA, [a, ic, rowA, colA]),
    multiply,
  );
  const innerBlocks = forLoop(
    pc,
    c(0),
    get(k),
    c(KC),
    set(kc, left(k, pc, KC)),
    set(sum, or(get(accumulate), i32.ne(get(pc), c(0)))),
    pack(jr, nc, columns, panelB, packedB, parts.packB, [b, jc, colB, rowB]),
    rowBlocks,
  );
  f.emit(
    set(packedA, add(get(work), c(parts.sizes.edge))),
    set(packedB, add(get(packedA), c(parts.sizes.a))),
    forLoop(jc, c(0), get(n), c(parts.nc), set(nc, left(n, jc, parts.nc)), innerBlocks),
  );
  return f;
}

/** Exports `product`, whose strides are in bytes, as {@linkcode GemmModule} says. */
export function batchLoop(module: ModuleBuilder, product: Func, e: Element): void {
  const f = module.func(Array(17).fill("i32"), [], "gemm");
  const [a, rowA, colA, b, rowB, colB, out, rowC] = [3, 4, 5, 6, 7, 8, 9, 10];
  const [batch, stepA, stepB, stepC] = [13, 14, 15, 16];
  for (const s of [rowA, colA, rowB, colB, rowC, stepA, stepB, stepC]) {
    f.emit(set(s, shl(get(s), c(e.shift))));
  }
  f.emit(
    whileLoop(
      get(batch),
      call(product, ...Array.from({ length: 13 }, (_, i) => get(i))),
      set(a, add(get(a), get(stepA))),
      set(b, add(get(b), get(stepB))),
      set(out, add(get(out), get(stepC))),
      set(batch, sub(get(batch), c(1))),
    ),
  );
}

/** Float32 max pooling without a border, four windows at a time, and the way back, on threads. Sizes are constants of the module. */
import type { Buffer, Operand, PoolParams, RoutineCall, RoutineLaunch } from "../../device.ts";
import { type Code, type Func, ModuleBuilder } from "./assembler.ts";
import {
  f32,
  f32x4,
  forLoop,
  get,
  i32,
  i32x4,
  i8x16,
  increment,
  select,
  seq,
  set,
  v128,
  whileLoop,
} from "./instructions.ts";
import { bindCall } from "./launch.ts";
import type { WasmMemory } from "./memory.ts";
import { makeJob, type Pool, type WasmCode, type WasmFunction } from "./pool.ts";

const { add, mul } = i32;
const c = i32.const;
const product = (sizes: readonly number[]): number => sizes.reduce((a, b) => a * b, 1);

/** Elements below which pooling stays on one thread. */
const PARALLEL_ELEMENTS = 1 << 16;

/** Planes of `[rows, columns]` under windows that all lie inside. */
interface Geometry {
  readonly input: readonly [number, number];
  readonly output: readonly [number, number];
  readonly kernel: readonly [number, number];
  readonly stride: readonly [number, number];
  readonly dilation: readonly [number, number];
}

/** The geometry of pooling over one or two dimensions whose windows need no border, else undefined. */
function geometry(params: PoolParams, x: Operand, out: Operand): Geometry | undefined {
  const { kernel, stride, padding, dilation } = params, spatial = kernel.length;
  if (x.dtype !== "float32" || spatial > 2 || padding.some((p) => p !== 0)) return undefined;
  const pair = (list: readonly number[]): [number, number] => {
    const two = [1, ...list.slice(-spatial)].slice(-2);
    return [two[0], two[1]];
  };
  const g = {
    input: pair(x.shape),
    output: pair(out.shape),
    kernel: pair(kernel),
    stride: pair(stride),
    dilation: pair(dilation),
  };
  const inside = [0, 1].every((d) =>
    (g.output[d] - 1) * g.stride[d] + (g.kernel[d] - 1) * g.dilation[d] < g.input[d]
  );
  return inside && product(g.kernel) <= 64 ? g : undefined;
}

/** The steps over the elements of a window, by their distance from its first element in the plane. */
function windowSteps(g: Geometry, step: (offset: number, isFirst: boolean) => Code): Code {
  const [, columns] = g.input;
  const offsets = Array.from({ length: g.kernel[0] }, (_, kh) =>
    Array.from(
      { length: g.kernel[1] },
      (_, kw) => kh * g.dilation[0] * columns + kw * g.dilation[1],
    )).flat();
  return seq(...offsets.map((o, i) => step(o, i === 0)));
}

/** A module that exports `run(x, out, planes)`: places of the maxima, int32, flat in the plane. */
function maxPoolModule(g: Geometry): Uint8Array<ArrayBuffer> {
  const module = new ModuleBuilder();
  const f: Func = module.func(Array(3).fill("i32"), [], "run");
  const [x, out, planes] = [0, 1, 2];
  const [row, column, at, flat] = Array.from({ length: 4 }, () => f.local("i32"));
  const best = f.local("v128"), place = f.local("v128"), value = f.local("v128");
  const more = f.local("v128"), base = f.local("v128");
  const best1 = f.local("f32"), value1 = f.local("f32"), place1 = f.local("i32");
  const more1 = f.local("i32");
  const [rows, columns] = g.output, [, width] = g.input, [stepY, stepX] = g.stride;
  /** Four elements `stepX` apart. */
  const lanes = (offset: number): Code => {
    if (stepX === 1) return v128.load(get(at), offset * 4);
    if (stepX === 2) {
      const even = [0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27];
      // The second load begins one element early, so that it ends with the last element needed.
      const odd = even.map((b, i) => i < 8 ? b : b + 4);
      return i8x16.shuffle(
        v128.load(get(at), offset * 4),
        v128.load(get(at), offset * 4 + 12),
        odd,
      );
    }
    return [1, 2, 3].reduce(
      (v, lane) => f32x4.replaceLane(lane, v, f32.load(get(at), (offset + lane * stepX) * 4)),
      v128.load32Splat(get(at), offset * 4),
    );
  };
  const vectorStep = (offset: number, isFirst: boolean): Code =>
    isFirst ? seq(set(best, lanes(offset)), set(place, get(base))) : seq(
      set(value, lanes(offset)),
      // Larger, or NaN while the best is none: the first of equals stays.
      set(
        more,
        v128.andnot(f32x4.eq(get(best), get(best)), f32x4.le(get(value), get(best))),
      ),
      set(best, v128.bitselect(get(value), get(best), get(more))),
      set(
        place,
        v128.bitselect(
          i32x4.add(get(base), i32x4.splat(c(offset))),
          get(place),
          get(more),
        ),
      ),
    );
  const scalarStep = (offset: number, isFirst: boolean): Code =>
    isFirst ? seq(set(best1, f32.load(get(at), offset * 4)), set(place1, get(flat))) : seq(
      set(value1, f32.load(get(at), offset * 4)),
      set(
        more1,
        i32.and(f32.eq(get(best1), get(best1)), i32.eqz(f32.le(get(value1), get(best1)))),
      ),
      set(best1, select(get(value1), get(best1), get(more1))),
      set(place1, select(add(get(flat), c(offset)), get(place1), get(more1))),
    );
  const vectors = Math.floor(columns / 4);
  f.emit(
    whileLoop(
      get(planes),
      forLoop(
        row,
        c(0),
        c(rows),
        c(1),
        set(flat, mul(get(row), c(stepY * width))),
        set(at, add(get(x), mul(get(flat), c(4)))),
        set(column, c(vectors)),
        whileLoop(
          get(column),
          set(
            base,
            i32x4.add(i32x4.splat(get(flat)), i32x4.lanes(0, stepX, 2 * stepX, 3 * stepX)),
          ),
          windowSteps(g, vectorStep),
          v128.store(get(out), get(place)),
          increment(out, c(16)),
          increment(at, c(16 * stepX)),
          increment(flat, c(4 * stepX)),
          increment(column, c(-1)),
        ),
        set(column, c(columns - 4 * vectors)),
        whileLoop(
          get(column),
          windowSteps(g, scalarStep),
          i32.store(get(out), get(place1)),
          increment(out, c(4)),
          increment(at, c(4 * stepX)),
          increment(flat, c(stepX)),
          increment(column, c(-1)),
        ),
      ),
      increment(x, c(4 * product(g.input))),
      increment(planes, c(-1)),
    ),
  );
  return module.build();
}

/** A module that exports `run(gradient, places, out, planes, windows, elements)`: sums into planes of zeros. */
function scatterModule(): Uint8Array<ArrayBuffer> {
  const module = new ModuleBuilder();
  const f = module.func(Array(6).fill("i32"), [], "run");
  const [gradient, places, out, planes, windows, elements] = Array(6).keys();
  const at = f.local("i32"), end = f.local("i32");
  f.emit(
    whileLoop(
      get(planes),
      set(at, get(out)),
      set(end, add(get(out), mul(get(elements), c(4)))),
      whileLoop(
        i32.leU(add(get(at), c(16)), get(end)),
        v128.store(get(at), f32x4.const(0)),
        increment(at, c(16)),
      ),
      whileLoop(
        i32.ltU(get(at), get(end)),
        f32.store(get(at), f32.const(0)),
        increment(at, c(4)),
      ),
      set(end, add(get(gradient), mul(get(windows), c(4)))),
      whileLoop(
        i32.ltU(get(gradient), get(end)),
        set(at, add(get(out), mul(i32.load(get(places)), c(4)))),
        f32.store(get(at), f32.add(f32.load(get(at)), f32.load(get(gradient)))),
        increment(gradient, c(4)),
        increment(places, c(4)),
      ),
      increment(out, mul(get(elements), c(4))),
      increment(planes, c(-1)),
    ),
  );
  return module.build();
}

interface Compiled {
  readonly code: WasmCode;
  readonly run: WasmFunction;
}

/** Pooling over one memory. */
export class Pooling {
  readonly #compiled = new Map<string, Compiled>();

  /** Takes the memory and the threads. */
  constructor(readonly memory: WasmMemory, readonly pool: Pool) {}

  /** `[x, out]`, or undefined when plain loops must do it. */
  maxPool(call: RoutineCall<"maxPool">, buffers: readonly Buffer[]): RoutineLaunch | undefined {
    const [x, out] = call.operands, g = geometry(call.params, x, out);
    if (g === undefined) return undefined;
    const [atX, atOut] = buffers.map((b) => this.memory.address(b));
    const elements = product(g.input), windows = product(g.output);
    return this.#launch(
      `max ${JSON.stringify(g)}`,
      () => maxPoolModule(g),
      product(x.shape) / elements,
      elements,
      (first, count) => [atX + 4 * elements * first, atOut + 4 * windows * first, count],
    );
  }

  /** `[gradient, index, out]`, or undefined when plain loops must do it. */
  scatter(call: RoutineCall<"poolScatter">, buffers: readonly Buffer[]): RoutineLaunch | undefined {
    const [gradient, , out] = call.operands, { spatialDims } = call.params;
    if (gradient.dtype !== "float32") return undefined;
    const [atG, atI, atOut] = buffers.map((b) => this.memory.address(b));
    const elements = product(out.shape.slice(-spatialDims));
    const windows = product(gradient.shape.slice(-spatialDims));
    return this.#launch(
      "scatter",
      scatterModule,
      product(out.shape) / elements,
      elements,
      (first, count) => [
        atG + 4 * windows * first,
        atI + 4 * windows * first,
        atOut + 4 * elements * first,
        count,
        windows,
        elements,
      ],
    );
  }

  /** Runs a module over planes that are shared among the threads. */
  #launch(
    key: string,
    make: () => Uint8Array<ArrayBuffer>,
    planes: number,
    elements: number,
    args: (first: number, count: number) => number[],
  ): RoutineLaunch {
    let compiled = this.#compiled.get(key);
    if (compiled === undefined) {
      const bytes = make();
      const instance = new WebAssembly.Instance(new WebAssembly.Module(bytes), {
        e: { m: this.memory.memory },
      });
      compiled = { code: { bytes }, run: instance.exports.run as WasmFunction };
      this.#compiled.set(key, compiled);
    }
    const { run, code } = compiled, { pool } = this;
    if (pool.threads < 2 || planes * elements < PARALLEL_ELEMENTS) {
      return { start: bindCall(run, args(0, planes)) };
    }
    const step = Math.ceil(planes / (4 * pool.threads));
    const parts = Array.from(
      { length: Math.ceil(planes / step) },
      (_, i) => args(i * step, Math.min(step, planes - i * step)).map((n) => n | 0),
    );
    const job = makeJob({ fn: run, module: code, exportIndex: 0 }, parts);
    return { start: () => pool.run(job) };
  }
}

/**
 * Generators of the two copies that turn a float32 convolution into a matrix product: `im2col` lays every window of an image out as a column,
 * `col2im` adds the columns back. Sizes are constants of the module; missing spatial dimensions are of size 1.
 */
import type { ConvolutionParams } from "../../device.ts";
import { type Code, type Func, type Local, ModuleBuilder } from "./assembler.ts";
import {
  call,
  f32,
  f32x4,
  forLoop,
  get,
  i32,
  ifElse,
  increment,
  seq,
  set,
  v128,
  whileLoop,
} from "./instructions.ts";

const { add, and, geU, leU, ltU } = i32;
const c = i32.const;

/** Sizes and steps along one spatial dimension. */
export interface Axis {
  readonly input: number;
  readonly kernel: number;
  readonly output: number;
  readonly stride: number;
  readonly padding: number;
  readonly dilation: number;
}

/** Depth, height and width of a convolution of at most three spatial dimensions. */
export type Axes = readonly [Axis, Axis, Axis];

const one: Axis = { input: 1, kernel: 1, output: 1, stride: 1, padding: 0, dilation: 1 };

/** The axes of a convolution from the shapes of input, weight and output, `[N, C, ...]` each. */
export function axesOf(
  params: Omit<ConvolutionParams, "groups">,
  input: readonly number[],
  weight: readonly number[],
  output: readonly number[],
): Axes {
  const axes = params.stride.map((stride, d): Axis => ({
    input: input[d + 2],
    kernel: weight[d + 2],
    output: output[d + 2],
    stride,
    padding: params.padding[d],
    dilation: params.dilation[d],
  }));
  const [depth, height, width] = [one, one, one, ...axes].slice(-3);
  return [depth, height, width];
}

/** Output positions `[from, to)` at which kernel offset `k` lies inside the input. */
function inside(axis: Axis, k: number): [number, number] {
  const first = k * axis.dilation - axis.padding;
  const from = Math.max(0, Math.ceil(-first / axis.stride));
  const to = Math.floor((axis.input - 1 - first) / axis.stride) + 1;
  return [
    Math.min(from, axis.output),
    Math.max(Math.min(to, axis.output), Math.min(from, axis.output)),
  ];
}

/** Every kernel offset: where its first element lies in the image, in elements, and the positions that are inside. */
function offsets([d, h, w]: Axes): { start: number; ranges: number[] }[] {
  const all: { start: number; ranges: number[] }[] = [];
  for (let kd = 0; kd < d.kernel; kd++) {
    for (let kh = 0; kh < h.kernel; kh++) {
      for (let kw = 0; kw < w.kernel; kw++) {
        const at = (axis: Axis, k: number) => k * axis.dilation - axis.padding;
        all.push({
          start: (at(d, kd) * h.input + at(h, kh)) * w.input + at(w, kw),
          ranges: [...inside(d, kd), ...inside(h, kh), ...inside(w, kw)],
        });
      }
    }
  }
  return all;
}

/** One plane of columns (one channel and kernel offset) in a function of its own: `plane(col, image, d0, d1, h0, h1, w0, w1)`. */
function planeFunction(module: ModuleBuilder, axes: Axes, back: boolean): Func {
  const [d, h, w] = axes;
  const f = module.func(Array(8).fill("i32"));
  const [col, image, d0, d1, h0, h1, w0, w1] = Array(8).keys();
  const [z, y, p, q, end, fromZ, fromY] = Array.from({ length: 7 }, () => f.local("i32"));
  const rowBytes = w.output * 4, step = w.stride * 4;
  const pTo = (local: Local): Code => add(get(col), i32.shl(get(local), c(2)));
  const zeros = (to: Code): Code =>
    seq(
      set(end, to),
      whileLoop(
        leU(add(get(p), c(16)), get(end)),
        v128.store(get(p), f32x4.const(0)),
        increment(p, c(16)),
      ),
      whileLoop(ltU(get(p), get(end)), f32.store(get(p), f32.const(0)), increment(p, c(4))),
    );
  /** Elements of a row between `p` and `end`, image at `q`. */
  const vectors = whileLoop(
    leU(add(get(p), c(16)), get(end)),
    back
      ? v128.store(get(q), f32x4.add(v128.load(get(q)), v128.load(get(p))))
      : v128.store(get(p), v128.load(get(q))),
    increment(p, c(16)),
    increment(q, c(16)),
  );
  const singles = whileLoop(
    ltU(get(p), get(end)),
    back
      ? f32.store(get(q), f32.add(f32.load(get(q)), f32.load(get(p))))
      : f32.store(get(p), f32.load(get(q))),
    increment(p, c(4)),
    increment(q, c(step)),
  );
  const row = seq(
    set(p, get(col)),
    back ? set(p, pTo(w0)) : zeros(pTo(w0)),
    set(q, add(get(fromY), i32.mul(get(w0), c(step)))),
    set(end, pTo(w1)),
    ...(w.stride === 1 ? [vectors] : []),
    singles,
    ...(back ? [] : [zeros(add(get(col), c(rowBytes)))]),
  );
  const blank = back ? seq() : seq(set(p, get(col)), zeros(add(get(col), c(rowBytes))));
  const within = (at: Local, from: Local, to: Local) =>
    and(geU(get(at), get(from)), ltU(get(at), get(to)));
  f.emit(
    set(fromZ, get(image)),
    forLoop(
      z,
      c(0),
      c(d.output),
      c(1),
      set(fromY, get(fromZ)),
      forLoop(
        y,
        c(0),
        c(h.output),
        c(1),
        ifElse(and(within(z, d0, d1), within(y, h0, h1)), row, blank),
        increment(col, c(rowBytes)),
        increment(fromY, c(h.stride * w.input * 4)),
      ),
      increment(fromZ, c(d.stride * h.input * w.input * 4)),
    ),
  );
  return f;
}

/**
 * A module that exports `run(columns, image, channels)`, addresses in bytes. `im2col` writes `[channels * kernel, output]` columns from an image
 * `[channels, input]`; `col2im` makes the image the sum of its columns.
 */
export function columnModule(axes: Axes, kind: "im2col" | "col2im"): Uint8Array<ArrayBuffer> {
  const module = new ModuleBuilder(), back = kind === "col2im";
  const plane = planeFunction(module, axes, back);
  const run = module.func(Array(3).fill("i32"), [], "run");
  const [col, image, channels] = [0, 1, 2];
  const [d, h, w] = axes;
  const imageBytes = d.input * h.input * w.input * 4;
  const planeBytes = d.output * h.output * w.output * 4;
  const at = run.local("i32");
  if (back) {
    run.emit(
      forLoop(
        at,
        get(image),
        add(get(image), i32.mul(get(channels), c(imageBytes))),
        c(4),
        f32.store(get(at), f32.const(0)),
      ),
    );
  }
  run.emit(
    whileLoop(
      get(channels),
      ...offsets(axes).flatMap(({ start, ranges }) => [
        call(plane, get(col), add(get(image), c(start * 4)), ...ranges.map((n) => c(n))),
        increment(col, c(planeBytes)),
      ]),
      increment(image, c(imageBytes)),
      increment(channels, c(-1)),
    ),
  );
  return module.build();
}

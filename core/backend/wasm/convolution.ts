/**
 * Float32 convolutions as matrix products: windows become columns, a few images at a time so that the columns stay in the second-level cache.
 * (Chellapilla et al. 2006, "High Performance Convolutional Neural Networks for Document Processing".)
 */
import type {
  Buffer,
  ConvolutionParams,
  Launch,
  Operand,
  RoutineCall,
  RoutineLaunch,
} from "../../device.ts";
import { isContiguous } from "../../shape.ts";
import { type Axes, axesOf, columnModule } from "./im2col.ts";
import { bindCall } from "./launch.ts";
import { makeJob, MAX_CHUNKS, type WasmCode, type WasmFunction } from "./pool.ts";
import { inOrder, type Products } from "./products.ts";

/** Bytes of columns made at a time. */
const COLUMN_BYTES = 1 << 19;
/** Elements of columns below which they are made on one thread. */
const PARALLEL_ELEMENTS = 1 << 15;

interface Copy {
  readonly code: WasmCode;
  readonly run: WasmFunction;
}

/** A convolution in the terms of its products. */
interface Geometry {
  readonly axes: Axes;
  readonly batch: number;
  readonly groups: number;
  /** Channels of a group. */
  readonly inputs: number;
  /** Output channels of a group. */
  readonly outputs: number;
  /** Elements of a channel of an image, of the kernel, of the output. */
  readonly plane: number;
  readonly window: number;
  readonly grid: number;
  /** Whether the columns of an image are the image. */
  readonly pointwise: boolean;
  /** Images whose columns are made together. */
  readonly share: number;
}

const product = (sizes: readonly number[]): number => sizes.reduce((a, b) => a * b, 1);

/** Convolutions over the memory of `products`. */
export class Convolutions {
  readonly #copies = new Map<string, Copy>();
  #columns = 0;
  #room = 0;

  /** @param products What multiplies */
  constructor(readonly products: Products) {}

  /** `[x, weight, out]`, or undefined when plain loops must do it. */
  forward(
    call: RoutineCall<"convolution">,
    buffers: readonly Buffer[],
  ): RoutineLaunch | undefined {
    const [x, weight, out] = call.operands, g = geometry(call.params, x, weight, out);
    if (g === undefined) return undefined;
    const [atX, atW, atY] = this.#addresses(buffers), inner = g.inputs * g.window;
    return this.#images(g, (first, images, group) => {
      const columns = this.#im2col(g, atX, first, images, group);
      const multiply = this.#multiply(
        matrix([images, g.outputs, inner], [0, inner, 1]),
        matrix([images, inner, g.grid], [columns.distance, g.grid, 1]),
        matrix([images, g.outputs, g.grid], [g.groups * g.outputs * g.grid, g.grid, 1]),
        [atW + 4 * group * g.outputs * inner, columns.at, atY + 4 * outputAt(g, first, group)],
      );
      return [...columns.launches, multiply];
    });
  }

  /** `[gradient, weight, out]`, or undefined when plain loops must do it. */
  input(
    call: RoutineCall<"convolutionInput">,
    buffers: readonly Buffer[],
  ): RoutineLaunch | undefined {
    const [gradient, weight, out] = call.operands;
    const g = geometry(call.params, out, weight, gradient);
    if (g === undefined) return undefined;
    const [atG, atW, atX] = this.#addresses(buffers), inner = g.inputs * g.window;
    return this.#images(g, (first, images, group) => {
      const to = 4 * imageAt(g, first, group) + atX, distance = g.groups * g.inputs * g.plane;
      const columns = g.pointwise ? to : this.#space(g);
      const multiply = this.#multiply(
        matrix([images, inner, g.outputs], [0, 1, inner]),
        matrix([images, g.outputs, g.grid], [g.groups * g.outputs * g.grid, g.grid, 1]),
        matrix(
          [images, inner, g.grid],
          [g.pointwise ? distance : inner * g.grid, g.grid, 1],
        ),
        [atW + 4 * group * g.outputs * inner, atG + 4 * outputAt(g, first, group), columns],
      );
      if (g.pointwise) return [multiply];
      return [multiply, this.#copy(g, "col2im", columns, to, images)];
    });
  }

  /** `[x, gradient, out]`, or undefined when plain loops must do it. */
  weight(
    call: RoutineCall<"convolutionWeight">,
    buffers: readonly Buffer[],
  ): RoutineLaunch | undefined {
    const [x, gradient, out] = call.operands, g = geometry(call.params, x, out, gradient);
    if (g === undefined) return undefined;
    const [atX, atG, atW] = this.#addresses(buffers), inner = g.inputs * g.window;
    return this.#images(g, (first, images, group) => {
      const columns = this.#im2col(g, atX, first, images, group);
      const sums = Array.from({ length: images }, (_, i) =>
        this.#multiply(
          matrix([g.outputs, g.grid], [g.grid, 1]),
          matrix([g.grid, inner], [1, g.grid]),
          matrix([g.outputs, inner], [inner, 1]),
          [
            atG + 4 * outputAt(g, first + i, group),
            columns.at + 4 * i * columns.distance,
            atW + 4 * group * g.outputs * inner,
          ],
          first + i > 0,
        ));
      return [...columns.launches, ...sums];
    });
  }

  #addresses(buffers: readonly Buffer[]): number[] {
    return buffers.map((b) => this.products.memory.address(b));
  }

  /** The launches of all groups and batches of images, in order. */
  #images(
    g: Geometry,
    launches: (first: number, images: number, group: number) => Launch[],
  ): RoutineLaunch {
    const all: Launch[] = [];
    for (let group = 0; group < g.groups; group++) {
      for (let first = 0; first < g.batch; first += g.share) {
        all.push(...launches(first, Math.min(g.share, g.batch - first), group));
      }
    }
    return { start: inOrder(all) };
  }

  #multiply(
    a: Operand,
    b: Operand,
    out: Operand,
    at: readonly number[],
    accumulate = false,
  ): Launch {
    return this.products.at({ name: "matmul", params: { accumulate }, operands: [a, b, out] }, at);
  }

  /** Columns of some images: where they lie, elements from one image's to the next, and what makes them. */
  #im2col(
    g: Geometry,
    atX: number,
    first: number,
    images: number,
    group: number,
  ): { at: number; distance: number; launches: Launch[] } {
    const from = atX + 4 * imageAt(g, first, group);
    if (g.pointwise) return { at: from, distance: g.groups * g.inputs * g.plane, launches: [] };
    const at = this.#space(g);
    return {
      at,
      distance: g.inputs * g.window * g.grid,
      launches: [this.#copy(g, "im2col", at, from, images)],
    };
  }

  /** Work space for the columns of as many images as are done together. It never moves while a launch that knows it may run. */
  #space(g: Geometry): number {
    const bytes = 4 * g.share * g.inputs * g.window * g.grid;
    if (bytes > this.#room) {
      this.#room = 2 ** Math.ceil(Math.log2(bytes));
      this.#columns = this.products.memory.reserve(this.#room);
    }
    return this.#columns;
  }

  /** Copies between the columns and the images, channels shared among the threads. */
  #copy(
    g: Geometry,
    kind: "im2col" | "col2im",
    columns: number,
    image: number,
    images: number,
  ): Launch {
    const key = `${kind} ${JSON.stringify(g.axes)}`, { memory, pool } = this.products;
    let copy = this.#copies.get(key);
    if (copy === undefined) {
      const bytes = columnModule(g.axes, kind);
      const instance = new WebAssembly.Instance(new WebAssembly.Module(bytes), {
        e: { m: memory.memory },
      });
      copy = { code: { bytes }, run: instance.exports.run as WasmFunction };
      this.#copies.set(key, copy);
    }
    const { run, code } = copy, perChannel = g.window * g.grid;
    const part = (i: number, from: number, to: number) => [
      columns + 4 * perChannel * (i * g.inputs + from),
      image + 4 * g.plane * (i * g.groups * g.inputs + from),
      to - from,
    ];
    const small = pool.threads < 2 || images * g.inputs * perChannel < PARALLEL_ELEMENTS;
    const perImage = small ? 1 : Math.min(
      g.inputs,
      Math.ceil(2 * pool.threads / images),
      Math.max(1, Math.floor(MAX_CHUNKS / images)),
    );
    const step = Math.ceil(g.inputs / perImage);
    const parts = Array.from({ length: images }, (_, i) =>
      Array.from(
        { length: Math.ceil(g.inputs / step) },
        (_, j) => part(i, j * step, Math.min(g.inputs, (j + 1) * step)),
      )).flat();
    if (small || parts.length > MAX_CHUNKS) return inOrder(parts.map((p) => bindCall(run, p)));
    const job = makeJob(
      { fn: run, module: code, exportIndex: 0 },
      parts.map((p) => p.map((x) => x | 0)),
    );
    return () => pool.run(job);
  }
}

/** First element of a group of channels of an image of the input. */
const imageAt = (g: Geometry, image: number, group: number): number =>
  (image * g.groups + group) * g.inputs * g.plane;

/** First element of a group of channels of an image of the output. */
const outputAt = (g: Geometry, image: number, group: number): number =>
  (image * g.groups + group) * g.outputs * g.grid;

const matrix = (shape: readonly number[], strides: readonly number[]): Operand => ({
  dtype: "float32",
  shape,
  strides,
  offset: 0,
});

/** The terms of a convolution of contiguous float32 operands with at most three spatial dimensions, else undefined. */
function geometry(
  params: ConvolutionParams,
  x: Operand,
  weight: Operand,
  y: Operand,
): Geometry | undefined {
  const plain = [x, weight, y].every((o) =>
    o.dtype === "float32" && o.offset === 0 && isContiguous(o.shape, o.strides)
  );
  const empty = [x, weight, y].some((o) => product(o.shape) === 0);
  if (!plain || params.stride.length > 3 || empty) return undefined;
  const axes = axesOf(params, x.shape, weight.shape, y.shape);
  const window = product(weight.shape.slice(2)), grid = product(y.shape.slice(2));
  const inputs = weight.shape[1], batch = x.shape[0], plane = product(x.shape.slice(2));
  const bytes = 4 * inputs * window * grid;
  return {
    axes,
    batch,
    groups: params.groups,
    inputs,
    outputs: weight.shape[0] / params.groups,
    plane,
    window,
    grid,
    // A transposed convolution may have a plane larger than its grid (outputPadding).
    pointwise: plane === grid &&
      axes.every((a) => a.kernel === 1 && a.stride === 1 && a.padding === 0),
    share: Math.max(1, Math.min(batch, Math.floor(COLUMN_BYTES / bytes))),
  };
}

/** Resizing of signals, images and volumes: one dimension after the other, each output a weighted sum of a few inputs. */
import { isAutocasting, underPolicy } from "../../amp/cast.ts";
import { type Tensor, tensor } from "../../tensor/mod.ts";
import { pick } from "./pad.ts";

/** How values between elements are made. */
export type InterpolateMode =
  | "nearest"
  | "nearest-exact"
  | "linear"
  | "bilinear"
  | "bicubic"
  | "trilinear"
  | "area";

/** Options of {@linkcode interpolate}. Exactly one of size and scaleFactor is given. */
export interface InterpolateOptions {
  /** Sizes of the result, or one for all dimensions. */
  readonly size?: number | readonly number[];
  /** Factors of the sizes, or one for all dimensions. */
  readonly scaleFactor?: number | readonly number[];
  /** `nearest` by default. */
  readonly mode?: InterpolateMode;
  /** Whether the corner elements keep their places (linear and cubic modes); false by default. */
  readonly alignCorners?: boolean;
  /** Whether positions follow from the sizes alone and not from scaleFactor; false by default. */
  readonly recomputeScaleFactor?: boolean;
  /** Whether shrinking averages over the elements it skips (bilinear and bicubic); false by default. */
  readonly antialias?: boolean;
}

/** For every output position, the input places and their weights; all lists of one length. */
export interface Taps {
  readonly at: readonly number[][];
  readonly weights: readonly number[][];
}

/** One dimension: sizes and the step between outputs in inputs. */
interface Axis {
  readonly input: number;
  readonly output: number;
  readonly step: number;
  readonly align: boolean;
}

const f = Math.fround;
const clamp = (i: number, size: number) => Math.min(Math.max(i, 0), size - 1);
const positions = (n: number) => Array.from({ length: n }, (_, i) => i);

/** Input position of an output element, in float32 as PyTorch computes it. */
function source(i: number, { step, align }: Axis): number {
  return align ? f(i * step) : f(f(f(i + 0.5) * step) - 0.5);
}

const nearest = (exact: boolean) => (axis: Axis): Taps => ({
  at: positions(axis.output).map((i) => [
    Math.min(Math.floor(f(f(exact ? i + 0.5 : i) * axis.step)), axis.input - 1),
  ]),
  weights: [],
});

function linear(axis: Axis): Taps {
  const at: number[][] = [], weights: number[][] = [];
  for (const i of positions(axis.output)) {
    const x = Math.max(source(i, axis), 0), low = Math.min(Math.floor(x), axis.input - 1);
    const share = low === axis.input - 1 ? 0 : f(x - low);
    at.push([low, Math.min(low + 1, axis.input - 1)]);
    weights.push([1 - share, share]);
  }
  return { at, weights };
}

/** Keys' cubic convolution kernel (1981) at distance `x`. */
function cubicWeight(x: number, a: number): number {
  const d = Math.abs(x);
  if (d <= 1) return ((a + 2) * d - (a + 3)) * d * d + 1;
  return d < 2 ? ((d - 5) * d + 8) * a * d - 4 * a : 0;
}

function cubic(axis: Axis): Taps {
  const at: number[][] = [], weights: number[][] = [];
  for (const i of positions(axis.output)) {
    const x = source(i, axis), low = Math.floor(x), share = x - low;
    at.push([-1, 0, 1, 2].map((k) => clamp(low + k, axis.input)));
    weights.push([-1, 0, 1, 2].map((k) => cubicWeight(share - k, -0.75)));
  }
  return { at, weights };
}

/** A filter as wide as the step, so that no input is skipped; weights add up to 1. */
const antialiased = (radius: number, filter: (x: number) => number) => (axis: Axis): Taps => {
  const stretch = Math.max(axis.step, 1), support = radius * stretch;
  const rows = positions(axis.output).map((i) => {
    const center = axis.step * (i + 0.5);
    const from = Math.max(Math.trunc(center - support + 0.5), 0);
    const to = Math.min(Math.trunc(center + support + 0.5), axis.input);
    const raw = positions(to - from).map((j) => filter((j + from - center + 0.5) / stretch));
    const total = raw.reduce((a, b) => a + b, 0);
    return { from, weights: raw.map((w) => w / total) };
  });
  const most = Math.max(...rows.map((r) => r.weights.length));
  return {
    at: rows.map((r) => positions(most).map((j) => Math.min(r.from + j, axis.input - 1))),
    weights: rows.map((r) => positions(most).map((j) => r.weights[j] ?? 0)),
  };
};

const triangle = (x: number) => Math.max(0, 1 - Math.abs(x));

/** What the modes do: number of spatial dimensions they take, whether corners may be aligned, the taps. */
const modes: Readonly<
  Record<
    Exclude<InterpolateMode, "area">,
    {
      dims: readonly number[];
      corners: boolean;
      taps: (axis: Axis) => Taps;
      smooth?: (axis: Axis) => Taps;
    }
  >
> = {
  nearest: { dims: [1, 2, 3], corners: false, taps: nearest(false) },
  "nearest-exact": { dims: [1, 2, 3], corners: false, taps: nearest(true) },
  linear: { dims: [1], corners: true, taps: linear },
  bilinear: { dims: [2], corners: true, taps: linear, smooth: antialiased(1, triangle) },
  bicubic: {
    dims: [2],
    corners: true,
    taps: cubic,
    smooth: antialiased(2, (x) => cubicWeight(x, -0.5)),
  },
  trilinear: { dims: [3], corners: true, taps: linear },
};

/** All modes. */
export const interpolateModes: readonly string[] = [...Object.keys(modes), "area"];

/** One dimension resized. */
export function resizeDim(x: Tensor, dim: number, { at, weights }: Taps): Tensor {
  if (weights.length === 0) return pick(x, dim, at.map(([i]) => i));
  const shape = x.shape.map((_, d) => d === dim ? at.length : 1);
  const parts = positions(at[0].length).map((k) => {
    const weight = tensor(Float32Array.from(weights, (w) => w[k]), { device: x.device });
    return pick(x, dim, at.map((a) => a[k])).mul(weight.reshape(shape).to(x.dtype));
  });
  return parts.reduce((a, b) => a.add(b));
}

/** Averages of input ranges `[floor(i * in / out), ceil((i + 1) * in / out))`. */
export function areaTaps(input: number, output: number): Taps {
  const rows = positions(output).map((i) => {
    const from = Math.floor(i * input / output), to = Math.ceil((i + 1) * input / output);
    return { from, count: to - from };
  });
  const most = Math.max(...rows.map((r) => r.count));
  return {
    at: rows.map((r) => positions(most).map((j) => Math.min(r.from + j, input - 1))),
    weights: rows.map((r) => positions(most).map((j) => j < r.count ? 1 / r.count : 0)),
  };
}

/**
 * Resizes the dimensions after the second.
 *
 * @param x `[N, C, ...]` with one to three spatial dimensions
 * @param options Size or scaleFactor, mode, alignCorners, antialias
 * @returns `[N, C, ...size]`
 * @throws {TypeError} When the mode does not take so many dimensions, or size and scaleFactor are both given or both missing
 * @throws {RangeError} When the mode is unknown, a size is below 1, or alignCorners or antialias does not go with the mode
 */
export function interpolate(x: Tensor, options: InterpolateOptions): Tensor {
  if (isAutocasting()) return underPolicy("interpolate", interpolate, arguments);
  const { mode = "nearest", alignCorners = false, antialias = false } = options;
  const spatial = x.ndim - 2, shape = `[${x.shape.join(", ")}]`;
  if (mode !== "area" && !(mode in modes)) {
    throw new RangeError(
      `Cannot interpolate with mode ${mode}: it must be area, ${Object.keys(modes).join(", ")}`,
    );
  }
  const rule = mode === "area"
    ? { dims: [1, 2, 3], corners: false, taps: (a: Axis) => areaTaps(a.input, a.output) }
    : modes[mode];
  if (!rule.dims.includes(spatial)) {
    throw new TypeError(
      `Cannot interpolate ${shape} with mode ${mode}: it must be [N, C, ...] with ${
        rule.dims.join(" or ")
      } more dimensions`,
    );
  }
  if (alignCorners && !rule.corners) {
    throw new RangeError(
      `Cannot interpolate with mode ${mode} and alignCorners: only linear and cubic modes have it`,
    );
  }
  if (antialias && !("smooth" in rule && rule.smooth !== undefined)) {
    throw new RangeError(
      `Cannot interpolate with mode ${mode} and antialias: only bilinear and bicubic have it`,
    );
  }
  if ((options.size === undefined) === (options.scaleFactor === undefined)) {
    throw new TypeError(`Cannot interpolate ${shape}: give either size or scaleFactor`);
  }
  const each = (v: number | readonly number[] | undefined, what: string) => {
    const list = typeof v === "number" ? new Array<number>(spatial).fill(v) : v;
    if (list !== undefined && list.length !== spatial) {
      throw new TypeError(
        `Cannot interpolate ${shape} with ${what} [${list.join(", ")}]: give ${spatial} numbers`,
      );
    }
    return list;
  };
  const sizes = each(options.size, "size"), factors = each(options.scaleFactor, "scaleFactor");
  const taps = antialias ? (rule as { smooth: (a: Axis) => Taps }).smooth : rule.taps;
  let y = x;
  for (let d = spatial - 1; d >= 0; d--) {
    const input = x.shape[d + 2];
    const output = sizes?.[d] ?? Math.floor(input * factors![d]);
    if (!Number.isInteger(output) || output < 1) {
      throw new RangeError(
        `Cannot interpolate ${shape} to size ${output} at dim ${d + 2}: at least 1 is needed`,
      );
    }
    const exact = factors !== undefined && !options.recomputeScaleFactor;
    const step = alignCorners
      ? (output > 1 ? f((input - 1) / (output - 1)) : 0)
      : exact
      ? f(1 / factors[d])
      : f(input / output);
    // Averages of whole ranges follow from the sizes.
    y = resizeDim(y, d + 2, taps({ input, output, step, align: alignCorners }));
  }
  return y;
}

/** Convolutions in one to three dimensions and their transposes: one set of rules about sizes and padding. */
import { isAutocasting, underPolicy } from "../../amp/cast.ts";
import type { ConvolutionParams } from "../../device.ts";
import { routine, type Tensor, zeros } from "../../tensor/mod.ts";

/** A number for each spatial dimension, or one for all. */
export type Sizes = number | readonly number[];

/** Options of the convolutions. */
export interface ConvolutionOptions {
  /** `[O]`. */
  readonly bias?: Tensor;
  /** Step between windows; 1 by default. */
  readonly stride?: Sizes;
  /** Zeros on both sides; `same` keeps the sizes (stride 1), `valid` is 0, the default. */
  readonly padding?: Sizes | "same" | "valid";
  /** Distance between the elements of a window; 1 by default. */
  readonly dilation?: Sizes;
  /** Groups of channels that do not see each other; 1 by default. */
  readonly groups?: number;
}

/** Options of the transposed convolutions. */
export interface ConvTransposeOptions extends Omit<ConvolutionOptions, "padding"> {
  /** Elements cut from both sides; 0 by default. */
  readonly padding?: Sizes;
  /** Elements added at the far side; below stride or dilation. 0 by default. */
  readonly outputPadding?: Sizes;
}

const text = (shape: readonly number[]): string => `[${shape.join(", ")}]`;

/**
 * A number for each of `count` dimensions; a list of one stands for all. `action` begins the messages: `apply conv2d`, `make Conv2d`.
 * @throws {TypeError} When there are more or fewer
 * @throws {RangeError} When one is not a whole number of at least `least`
 */
export function sizesOf(
  action: string,
  name: string,
  value: Sizes,
  count: number,
  least: number,
): number[] {
  const one = typeof value === "number" ? value : value.length === 1 ? value[0] : undefined;
  const list = one !== undefined ? new Array<number>(count).fill(one) : [...value as number[]];
  if (list.length !== count) {
    throw new TypeError(
      `Cannot ${action} with ${name} ${text(list)}: it must be ${
        count === 1 ? "one number" : `a number or ${count} numbers`
      }`,
    );
  }
  if (!list.every((n) => Number.isInteger(n) && n >= least)) {
    throw new RangeError(
      `Cannot ${action} with ${name} ${text(list)}: it must be whole, at least ${least}`,
    );
  }
  return list;
}

/** A routine of two operands; zeros, sums of nothing, when one has no elements. */
function run(
  name: "convolution" | "convolutionInput" | "convolutionWeight",
  params: ConvolutionParams,
  operands: readonly [Tensor, Tensor],
  shape: readonly number[],
): Tensor {
  const [{ dtype, device }] = operands;
  return operands.some((t) => t.numel === 0)
    ? zeros(shape, { dtype, device })
    : routine(name, params, operands, shape, dtype);
}

/** `shape`, which is `[N, O, ...]`, from `[N, C, ...]`; see `RoutineParams.convolution`. */
function convolve(
  x: Tensor,
  w: Tensor,
  shape: readonly number[],
  params: ConvolutionParams,
): Tensor {
  return run("convolution", params, [x, w], shape).withGradient([x, w], (g) => [
    x.requiresGrad ? spread(g, w, x.shape, params) : undefined,
    w.requiresGrad ? correlate(x, g, w.shape, params) : undefined,
  ]);
}

/** Gradient of the input of {@linkcode convolve}, which is the transposed convolution. */
function spread(g: Tensor, w: Tensor, shape: readonly number[], params: ConvolutionParams): Tensor {
  return run("convolutionInput", params, [g, w], shape).withGradient([g, w], (gg) => [
    g.requiresGrad ? convolve(gg, w, g.shape, params) : undefined,
    w.requiresGrad ? correlate(gg, g, w.shape, params) : undefined,
  ]);
}

/** Gradient of the weight of {@linkcode convolve}. */
function correlate(
  x: Tensor,
  g: Tensor,
  shape: readonly number[],
  params: ConvolutionParams,
): Tensor {
  return run("convolutionWeight", params, [x, g], shape).withGradient([x, g], (gg) => [
    x.requiresGrad ? spread(g, gg, x.shape, params) : undefined,
    g.requiresGrad ? convolve(x, gg, g.shape, params) : undefined,
  ]);
}

/** What both kinds of convolution check. */
function check(what: string, spatial: number, x: Tensor, w: Tensor, groups: number): void {
  if (x.ndim !== spatial + 2 && x.ndim !== spatial + 1) {
    throw new TypeError(
      `Cannot apply ${what} to ${text(x.shape)}: ${spatial + 1} or ${
        spatial + 2
      } dimensions are needed`,
    );
  }
  if (w.ndim !== spatial + 2) {
    throw new TypeError(
      `Cannot apply ${what} with weight ${text(w.shape)}: ${spatial + 2} dimensions are needed`,
    );
  }
  if (!Number.isInteger(groups) || groups < 1 || w.shape[0] % groups !== 0) {
    throw new RangeError(
      `Cannot apply ${what} with groups ${groups}: it must divide the ${
        w.shape[0]
      } channels of weight ${text(w.shape)}`,
    );
  }
  if (x.dtype !== w.dtype) {
    throw new TypeError(
      `Cannot apply ${what} to ${x.dtype} with a weight of ${w.dtype}: dtypes must be equal`,
    );
  }
}

function addBias(what: string, y: Tensor, bias: Tensor | undefined): Tensor {
  if (bias === undefined) return y;
  if (bias.ndim !== 1 || bias.shape[0] !== y.shape[1]) {
    throw new TypeError(
      `Cannot apply ${what} with bias ${text(bias.shape)}: it must be [${y.shape[1]}]`,
    );
  }
  if (bias.dtype !== y.dtype) {
    throw new TypeError(
      `Cannot apply ${what} to ${y.dtype} with a bias of ${bias.dtype}: dtypes must be equal`,
    );
  }
  // A sum without elements has no history, this has.
  if (y.numel === 0) {
    return y.withGradient(
      [y, bias],
      (g) => [g, zeros(bias.shape, { dtype: y.dtype, device: y.device })],
    );
  }
  return y.add(bias.reshape([-1, ...y.shape.slice(2).map(() => 1)]));
}

function convolution(
  what: string,
  spatial: number,
  x: Tensor,
  weight: Tensor,
  options: ConvolutionOptions,
): Tensor {
  const { groups = 1, bias, padding = 0 } = options;
  check(what, spatial, x, weight, groups);
  const stride = sizesOf(`apply ${what}`, "stride", options.stride ?? 1, spatial, 1);
  const dilation = sizesOf(`apply ${what}`, "dilation", options.dilation ?? 1, spatial, 1);
  const single = x.ndim === spatial + 1;
  let input = single ? x.unsqueeze(0) : x;
  if (input.shape[1] !== weight.shape[1] * groups) {
    throw new TypeError(
      `Cannot apply ${what} to ${text(x.shape)}: it has ${input.shape[1]} channels, weight ${
        text(weight.shape)
      } with groups ${groups} wants ${weight.shape[1] * groups}`,
    );
  }
  let pads: number[];
  if (padding === "same") {
    if (stride.some((s) => s !== 1)) {
      throw new RangeError(
        `Cannot apply ${what} with padding "same" and stride ${text(stride)}: the stride must be 1`,
      );
    }
    const total = dilation.map((d, i) => d * (weight.shape[i + 2] - 1));
    pads = total.map((t) => Math.floor(t / 2));
    // An odd width goes to the far side, as in PyTorch.
    if (total.some((t) => t % 2 === 1)) {
      input = input.pad(total.toReversed().flatMap((t) => [0, t % 2]));
    }
  } else if (padding === "valid") pads = stride.map(() => 0);
  else if (typeof padding === "string") {
    throw new RangeError(
      `Cannot apply ${what} with padding "${padding}": it must be numbers, "same" or "valid"`,
    );
  } else pads = sizesOf(`apply ${what}`, "padding", padding, spatial, 0);
  const grid = dilation.map((d, i) => {
    const window = d * (weight.shape[i + 2] - 1) + 1, room = input.shape[i + 2] + 2 * pads[i];
    if (window > room) {
      throw new RangeError(
        `Cannot apply ${what} to ${text(x.shape)}: the padded size ${room} at dim ${
          i + x.ndim - spatial
        } is smaller than the kernel ${window}`,
      );
    }
    return Math.floor((room - window) / stride[i]) + 1;
  });
  const shape = [input.shape[0], weight.shape[0], ...grid];
  const params = { stride, padding: pads, dilation, groups };
  const y = addBias(what, convolve(input, weight, shape, params), bias);
  return single ? y.squeeze(0) : y;
}

/**
 * Slides windows over sequences: `out[n, o] = bias[o] + sum over c of weight[o, c] * x[n, c]` (cross-correlation).
 *
 * @param x `[N, C, L]` or `[C, L]`
 * @param weight `[O, C / groups, K]`
 * @param options Bias, stride, padding, dilation, groups
 * @returns `[N, O, L']` with `L' = floor((L + 2 padding - dilation (K - 1) - 1) / stride) + 1`
 * @throws {TypeError} When ranks, channels or dtypes do not fit
 * @throws {RangeError} When an option is out of range or the kernel is larger than the padded input
 */
export function conv1d(x: Tensor, weight: Tensor, options: ConvolutionOptions = {}): Tensor {
  if (isAutocasting()) return underPolicy("conv1d", conv1d, arguments);
  return convolution("conv1d", 1, x, weight, options);
}

/** {@linkcode conv1d} for images: `[N, C, H, W]` or `[C, H, W]` by `[O, C / groups, KH, KW]`. */
export function conv2d(x: Tensor, weight: Tensor, options: ConvolutionOptions = {}): Tensor {
  if (isAutocasting()) return underPolicy("conv2d", conv2d, arguments);
  return convolution("conv2d", 2, x, weight, options);
}

/** {@linkcode conv1d} for volumes: `[N, C, D, H, W]` or `[C, D, H, W]` by `[O, C / groups, KD, KH, KW]`. */
export function conv3d(x: Tensor, weight: Tensor, options: ConvolutionOptions = {}): Tensor {
  if (isAutocasting()) return underPolicy("conv3d", conv3d, arguments);
  return convolution("conv3d", 3, x, weight, options);
}

/** @throws {RangeError} When an outputPadding reaches both stride and dilation */
export function checkOutputPadding(
  action: string,
  outputPadding: readonly number[],
  stride: readonly number[],
  dilation: readonly number[],
): void {
  if (outputPadding.every((e, d) => e === 0 || e < Math.max(stride[d], dilation[d]))) return;
  throw new RangeError(
    `Cannot ${action} with outputPadding ${text(outputPadding)}: it must be below stride ${
      text(stride)
    } or dilation ${text(dilation)}`,
  );
}

function transposed(
  what: string,
  spatial: number,
  x: Tensor,
  weight: Tensor,
  options: ConvTransposeOptions,
): Tensor {
  const { groups = 1, bias } = options;
  check(what, spatial, x, weight, groups);
  const stride = sizesOf(`apply ${what}`, "stride", options.stride ?? 1, spatial, 1);
  const padding = sizesOf(`apply ${what}`, "padding", options.padding ?? 0, spatial, 0);
  const dilation = sizesOf(`apply ${what}`, "dilation", options.dilation ?? 1, spatial, 1);
  const extra = sizesOf(`apply ${what}`, "outputPadding", options.outputPadding ?? 0, spatial, 0);
  const single = x.ndim === spatial + 1, input = single ? x.unsqueeze(0) : x;
  if (input.shape[1] !== weight.shape[0]) {
    throw new TypeError(
      `Cannot apply ${what} to ${text(x.shape)}: it has ${input.shape[1]} channels, weight ${
        text(weight.shape)
      } wants ${weight.shape[0]}`,
    );
  }
  checkOutputPadding(`apply ${what}`, extra, stride, dilation);
  const grid = stride.map((s, d) =>
    (input.shape[d + 2] - 1) * s - 2 * padding[d] + dilation[d] * (weight.shape[d + 2] - 1) + 1 +
    extra[d]
  );
  if (grid.some((n) => n < 1)) {
    throw new RangeError(
      `Cannot apply ${what} to ${text(x.shape)}: the result would be ${text(grid)}`,
    );
  }
  const shape = [input.shape[0], weight.shape[1] * groups, ...grid];
  const y = addBias(
    what,
    spread(input, weight, shape, { stride, padding, dilation, groups }),
    bias,
  );
  return single ? y.squeeze(0) : y;
}

/**
 * The transposed convolution: every element of `x` adds its multiple of the kernel to the result.
 *
 * @param x `[N, C, L]` or `[C, L]`
 * @param weight `[C, O / groups, K]`
 * @param options Bias, stride, padding, outputPadding, dilation, groups
 * @returns `[N, O, L']` with `L' = (L - 1) stride - 2 padding + dilation (K - 1) + outputPadding + 1`
 * @throws {TypeError} When ranks, channels or dtypes do not fit
 * @throws {RangeError} When an option is out of range
 */
export function convTranspose1d(
  x: Tensor,
  weight: Tensor,
  options: ConvTransposeOptions = {},
): Tensor {
  if (isAutocasting()) return underPolicy("convTranspose1d", convTranspose1d, arguments);
  return transposed("convTranspose1d", 1, x, weight, options);
}

/** {@linkcode convTranspose1d} for images: `[N, C, H, W]` by `[C, O / groups, KH, KW]`. */
export function convTranspose2d(
  x: Tensor,
  weight: Tensor,
  options: ConvTransposeOptions = {},
): Tensor {
  if (isAutocasting()) return underPolicy("convTranspose2d", convTranspose2d, arguments);
  return transposed("convTranspose2d", 2, x, weight, options);
}

/** {@linkcode convTranspose1d} for volumes: `[N, C, D, H, W]` by `[C, O / groups, KD, KH, KW]`. */
export function convTranspose3d(
  x: Tensor,
  weight: Tensor,
  options: ConvTransposeOptions = {},
): Tensor {
  if (isAutocasting()) return underPolicy("convTranspose3d", convTranspose3d, arguments);
  return transposed("convTranspose3d", 3, x, weight, options);
}

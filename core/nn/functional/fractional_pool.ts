/** Max pooling with windows at random steps. */
import { arange, rand, type Tensor } from "../../tensor/mod.ts";
import { type Sizes, sizesOf } from "./convolution.ts";
import { checkSpatial, planeGather, type PoolResult } from "./max_pool.ts";

/** Options of fractional max pooling. Exactly one of outputSize and outputRatio is given. */
export interface FractionalMaxPoolOptions {
  /** Sizes of the result. */
  readonly outputSize?: Sizes;
  /** Sizes of the result over those of the input, each between 0 and 1. */
  readonly outputRatio?: Sizes;
  /** `[N, C, 2 or 3]`: numbers in [0, 1) that place the windows along width and height, or depth, height and width; drawn by default. */
  readonly randomSamples?: Tensor;
}

const text = (shape: readonly number[]): string => `[${shape.join(", ")}]`;
const product = (sizes: readonly number[]): number => sizes.reduce((a, b) => a * b, 1);

/**
 * Checks that exactly one of outputSize and outputRatio is given, and its range; reads it as a list.
 * @throws {TypeError} When both or none are given, or there are too many numbers
 * @throws {RangeError} When a number is out of range
 */
export function fractionalSizes(
  action: string,
  spatial: number,
  { outputSize, outputRatio }: FractionalMaxPoolOptions,
): (input: readonly number[]) => number[] {
  if ((outputSize === undefined) === (outputRatio === undefined)) {
    throw new TypeError(`Cannot ${action}: give either outputSize or outputRatio`);
  }
  if (outputSize !== undefined) {
    const sizes = sizesOf(action, "outputSize", outputSize, spatial, 1);
    return () => sizes;
  }
  const ratios = typeof outputRatio === "number"
    ? new Array<number>(spatial).fill(outputRatio)
    : [...outputRatio!];
  if (ratios.length !== spatial) {
    throw new TypeError(
      `Cannot ${action} with outputRatio ${
        text(ratios)
      }: it must be a number or ${spatial} numbers`,
    );
  }
  if (!ratios.every((r) => r > 0 && r < 1)) {
    throw new RangeError(
      `Cannot ${action} with outputRatio ${text(ratios)}: it must lie between 0 and 1`,
    );
  }
  return (input) => input.map((n, d) => Math.floor(n * ratios[d]));
}

/** Where the windows of one dimension begin, `[N, C, output]`: a ramp of random phase, the last window at the far end. */
function starts(sample: Tensor, input: number, output: number, kernel: number): Tensor {
  const { dtype, device } = sample;
  const last = input - kernel;
  const place = arange(output, undefined, 1, { dtype, device });
  const step = output > 1 ? last / (output - 1) : 0;
  const phase = sample.unsqueeze(-1);
  const at = phase.add(place).mul(step).floor().sub(phase.mul(step).floor());
  return place.eq(output - 1).where(last, at).to("int32");
}

function fractional(
  what: string,
  spatial: number,
  x: Tensor,
  kernelSize: Sizes,
  options: FractionalMaxPoolOptions,
): PoolResult {
  checkSpatial(what, x, spatial);
  const kernel = sizesOf(`apply ${what}`, "kernelSize", kernelSize, spatial, 1);
  const lead = x.ndim - spatial, sizes = x.shape.slice(lead);
  const out = fractionalSizes(`apply ${what}`, spatial, options)(sizes);
  const fits = out.every((n, d) => n >= 1 && n + kernel[d] - 1 <= sizes[d]);
  if (!fits) {
    throw new RangeError(
      `Cannot apply ${what} to ${text(x.shape)} with kernelSize ${text(kernel)} and output ${
        text(out)
      }: output + kernelSize - 1 must be at most the input, and the output at least 1`,
    );
  }
  const planes = [lead === 1 ? 1 : x.shape[0], x.shape[lead - 1]], wanted = [...planes, spatial];
  const samples = options.randomSamples?.detach() ?? rand(wanted, { device: x.device });
  // Samples for more images than there are serve too, as in PyTorch.
  const enough = samples.ndim === 3 && samples.shape[0] >= planes[0] &&
    samples.shape[1] === planes[1] && samples.shape[2] === spatial;
  if (!enough) {
    throw new TypeError(
      `Cannot apply ${what} to ${text(x.shape)} with randomSamples ${
        text(samples.shape)
      }: it must be ${text(wanted)}`,
    );
  }
  // Flat places in the plane, [N, C, ...out, ...kernel].
  let index: Tensor | undefined;
  sizes.forEach((size, d) => {
    // PyTorch's order: width and height for images, but depth, height and width for volumes.
    const sample = samples.narrow(0, 0, planes[0]).select(-1, spatial === 2 ? 1 - d : d);
    const own = (n: number) => sizes.map((_, e) => e === d ? n : 1);
    const from = starts(sample, size, out[d], kernel[d]);
    const step = arange(kernel[d], undefined, 1, { dtype: "int32", device: x.device });
    const at = from.reshape(...planes, ...own(out[d]), ...sizes.map(() => 1))
      .add(step.reshape(own(kernel[d])));
    index = index === undefined ? at : index.mul(size).add(at);
  });
  const cells = product(out), window = product(kernel);
  const places = index!.reshape(...planes, cells, window);
  const values = x.detach().reshape(...planes, product(sizes))
    .gather(-1, places.flatten(-2)).reshape(places.shape);
  const indices = places.gather(-1, values.argmax(-1, true))
    .reshape(...x.shape.slice(0, lead), ...out);
  return { values: planeGather(x, indices, spatial), indices: indices.to("int64") };
}

/**
 * Maxima of windows that overlap at random so that the result has any wanted size (Graham, arXiv:1412.6071).
 *
 * @param x `[N, C, H, W]` or `[C, H, W]`
 * @param kernelSize Size of the windows
 * @param options outputSize or outputRatio, randomSamples
 * @returns The maxima
 * @throws {TypeError} When shapes do not fit, or outputSize and outputRatio are both given or both missing
 * @throws {RangeError} When the windows do not fit into the input, or a ratio is not between 0 and 1
 */
export function fractionalMaxPool2d(
  x: Tensor,
  kernelSize: Sizes,
  options: FractionalMaxPoolOptions,
): Tensor {
  return fractional("fractionalMaxPool2d", 2, x, kernelSize, options).values;
}

/** {@linkcode fractionalMaxPool2d} with the places of the maxima. */
export function fractionalMaxPool2dWithIndices(
  x: Tensor,
  kernelSize: Sizes,
  options: FractionalMaxPoolOptions,
): PoolResult {
  return fractional("fractionalMaxPool2d", 2, x, kernelSize, options);
}

/** {@linkcode fractionalMaxPool2d} of `[N, C, D, H, W]`. */
export function fractionalMaxPool3d(
  x: Tensor,
  kernelSize: Sizes,
  options: FractionalMaxPoolOptions,
): Tensor {
  return fractional("fractionalMaxPool3d", 3, x, kernelSize, options).values;
}

/** {@linkcode fractionalMaxPool3d} with the places of the maxima. */
export function fractionalMaxPool3dWithIndices(
  x: Tensor,
  kernelSize: Sizes,
  options: FractionalMaxPoolOptions,
): PoolResult {
  return fractional("fractionalMaxPool3d", 3, x, kernelSize, options);
}

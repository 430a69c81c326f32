/** Initial values. All functions write in place, record no gradient, compute at once and return their tensor. */
import { type Generator, noGrad, rand, randn, type Tensor } from "../tensor/mod.ts";

/** Names that {@linkcode calculateGain} knows. */
export type Nonlinearity =
  | "linear"
  | "conv1d"
  | "conv2d"
  | "conv3d"
  | "sigmoid"
  | "tanh"
  | "relu"
  | "leakyRelu"
  | "selu";

/** Where random numbers come from. */
export interface InitOptions {
  /** The default generator when left out. */
  readonly generator?: Generator;
}

/** Options of {@linkcode xavierUniform_} and {@linkcode xavierNormal_}. */
export interface XavierOptions extends InitOptions {
  /** Factor of the spread; 1 by default. */
  readonly gain?: number;
}

/** Options of {@linkcode kaimingUniform_} and {@linkcode kaimingNormal_}. */
export interface KaimingOptions extends InitOptions {
  /** Slope of the leaky ReLU that follows; 0 by default. */
  readonly a?: number;
  /** Whether to keep the variance of the forward (`fanIn`, default) or of the backward pass. */
  readonly mode?: "fanIn" | "fanOut";
  /** What follows; `leakyRelu` by default. */
  readonly nonlinearity?: Nonlinearity;
}

function fill(tensor: Tensor, values: () => Tensor): Tensor {
  return noGrad(() => tensor.assign(values().to(tensor.dtype)).realize());
}

/** Uniform on `[low, high)`. */
export function uniform_(
  tensor: Tensor,
  low: number = 0,
  high: number = 1,
  options: InitOptions = {},
): Tensor {
  const { device } = tensor;
  return fill(tensor, () => rand(tensor.shape, { ...options, device }).mul(high - low).add(low));
}

/** Normal. */
export function normal_(
  tensor: Tensor,
  mean: number = 0,
  std: number = 1,
  options: InitOptions = {},
): Tensor {
  const { device } = tensor;
  return fill(tensor, () => randn(tensor.shape, { ...options, device }).mul(std).add(mean));
}

/** Options of {@linkcode truncNormal_}. */
export interface TruncNormalOptions extends InitOptions {
  /** Mean before the cut; 0 by default. */
  readonly mean?: number;
  /** Standard deviation before the cut; 1 by default. */
  readonly std?: number;
  /** Smallest value; -2 by default. */
  readonly low?: number;
  /** Largest value; 2 by default. */
  readonly high?: number;
}

const maxRejections = 1000;

/**
 * Normal, with what falls outside `[low, high]` drawn again.
 *
 * @throws {RangeError} When the interval is empty, or so far out that next to nothing falls into it
 */
export function truncNormal_(tensor: Tensor, options: TruncNormalOptions = {}): Tensor {
  const { mean = 0, std = 1, low = -2, high = 2, generator } = options;
  const values: number[] = [];
  for (let i = 0; values.length < tensor.numel; i++) {
    if (!(low < high) || i === maxRejections) {
      throw new RangeError(
        `Cannot draw from a normal distribution of mean ${mean} and std ${std} inside [${low}, ${high}]`,
      );
    }
    const draws = noGrad(() => randn([tensor.numel], { generator, device: tensor.device }).data());
    for (const draw of draws) {
      const x = mean + std * Number(draw);
      if (x >= low && x <= high && values.length < tensor.numel) values.push(x);
    }
  }
  return noGrad(() => tensor.copy_(values).realize());
}

/** The same number everywhere. */
export function constant_(tensor: Tensor, value: number): Tensor {
  return noGrad(() => tensor.fill_(value).realize());
}

/** Ones everywhere. */
export function ones_(tensor: Tensor): Tensor {
  return constant_(tensor, 1);
}

/** Zeros everywhere. */
export function zeros_(tensor: Tensor): Tensor {
  return constant_(tensor, 0);
}

/**
 * Numbers of inputs and outputs of one unit of a weight `[out, in, ...kernel]`.
 *
 * @throws {TypeError} When the tensor has fewer than 2 dimensions
 */
export function fans(tensor: Tensor): { fanIn: number; fanOut: number } {
  if (tensor.ndim < 2) {
    throw new TypeError(
      `Cannot find the fan of [${tensor.shape.join(", ")}]: it must have 2 dimensions or more`,
    );
  }
  const kernel = tensor.shape.slice(2).reduce((a, b) => a * b, 1);
  return { fanIn: tensor.shape[1] * kernel, fanOut: tensor.shape[0] * kernel };
}

const gains: Readonly<Record<Nonlinearity, (slope: number) => number>> = {
  linear: () => 1,
  conv1d: () => 1,
  conv2d: () => 1,
  conv3d: () => 1,
  sigmoid: () => 1,
  tanh: () => 5 / 3,
  relu: () => Math.SQRT2,
  leakyRelu: (slope) => Math.sqrt(2 / (1 + slope * slope)),
  selu: () => 3 / 4,
};

/**
 * Recommended factor of the spread before a nonlinearity, PyTorch's table.
 *
 * @param nonlinearity What follows
 * @param slope Negative slope of a leaky ReLU
 * @throws {RangeError} When the nonlinearity is unknown
 */
export function calculateGain(nonlinearity: Nonlinearity, slope: number = 0.01): number {
  const gain = gains[nonlinearity];
  if (gain !== undefined) return gain(slope);
  throw new RangeError(
    `Cannot find a gain for "${nonlinearity}": it must be one of ${Object.keys(gains).join(", ")}`,
  );
}

const xavierStd = (tensor: Tensor, gain: number): number => {
  const { fanIn, fanOut } = fans(tensor);
  return gain * Math.sqrt(2 / (fanIn + fanOut));
};

/** Uniform with variance `gain^2 * 2 / (fanIn + fanOut)` (Glorot and Bengio 2010). */
export function xavierUniform_(tensor: Tensor, options: XavierOptions = {}): Tensor {
  const bound = Math.sqrt(3) * xavierStd(tensor, options.gain ?? 1);
  return uniform_(tensor, -bound, bound, options);
}

/** Normal with variance `gain^2 * 2 / (fanIn + fanOut)` (Glorot and Bengio 2010). */
export function xavierNormal_(tensor: Tensor, options: XavierOptions = {}): Tensor {
  return normal_(tensor, 0, xavierStd(tensor, options.gain ?? 1), options);
}

const kaimingStd = (tensor: Tensor, options: KaimingOptions): number => {
  const { a = 0, mode = "fanIn", nonlinearity = "leakyRelu" } = options;
  return calculateGain(nonlinearity, a) / Math.sqrt(fans(tensor)[mode]);
};

/** Uniform with variance `gain^2 / fan` (He et al., arXiv:1502.01852). */
export function kaimingUniform_(tensor: Tensor, options: KaimingOptions = {}): Tensor {
  const bound = Math.sqrt(3) * kaimingStd(tensor, options);
  return uniform_(tensor, -bound, bound, { generator: options.generator });
}

/** Normal with variance `gain^2 / fan` (He et al., arXiv:1502.01852). */
export function kaimingNormal_(tensor: Tensor, options: KaimingOptions = {}): Tensor {
  return normal_(tensor, 0, kaimingStd(tensor, options), { generator: options.generator });
}

export {
  dirac_,
  eye_,
  orthogonal_,
  type OrthogonalOptions,
  sparse_,
  type SparseOptions,
} from "./init_structured.ts";

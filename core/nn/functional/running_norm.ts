/** Normalisations that keep running statistics of their channels: batch and instance norm. */
import { isAutocasting, underPolicy } from "../../amp/cast.ts";
import { isReplaying } from "../../draws.ts";
import type { NodeOf } from "../../node.ts";
import { wrap } from "../../tensor/base.ts";
import { dueWithNext, noGrad, type Tensor } from "../../tensor/mod.ts";
import { batchNormOfDevice } from "./fused_norm.ts";
import {
  affine,
  byChannel,
  type ChannelNormOptions,
  checkAffine,
  checkChannels,
  text,
} from "./norm.ts";

/** Options of {@linkcode batchNorm} and {@linkcode instanceNorm}. */
export interface RunningNormOptions extends ChannelNormOptions {
  /** Running mean `[C]`: read when not training, updated in place when training. */
  readonly runningMean?: Tensor;
  /** Running unbiased variance `[C]`, likewise. */
  readonly runningVar?: Tensor;
  /** Share of the batch in the running values, a number or a 0-d tensor; 0.1 by default. */
  readonly momentum?: number | Tensor;
}

/** Moves running statistics towards those of a batch, whose variance times `unbias` is unbiased; computed with whatever is computed next. */
export function trackStatistics(
  { runningMean, runningVar, momentum = 0.1 }: RunningNormOptions,
  mean: Tensor,
  variance: Tensor,
  unbias: number | Tensor,
): void {
  // A checkpoint's second forward pass must not track the batch again.
  if (isReplaying()) return;
  noGrad(() => {
    const blend = (running: Tensor | undefined, now: Tensor) => {
      if (running === undefined) return;
      const next = now.detach().reshape(running.shape).to(running.dtype);
      dueWithNext(running.assign(running.add(next.sub(running).mul(momentum))));
    };
    // The sum of squares comes first: a plain sum of the same values joins its kernel, but not the other way round.
    blend(runningVar, variance.detach().reshape([-1]).mul(unbias));
    blend(runningMean, mean);
  });
}

/** Centered values divided by the deviation, scaled and shifted. */
export function normalizeWith(
  centered: Tensor,
  variance: Tensor,
  eps: number,
  options: ChannelNormOptions,
): Tensor {
  return affine(centered.mul(variance.add(eps).rsqrt()), options);
}

/** Options of {@linkcode batchNorm}. */
export interface BatchNormOptions extends RunningNormOptions {
  /** Whether the statistics of the batch are used (and tracked); false by default, as in PyTorch. */
  readonly training?: boolean;
}

/**
 * Normalises each channel over the batch and space (Ioffe & Szegedy, arXiv:1502.03167).
 *
 * @param x `[N, C, ...]`
 * @param options Running statistics, weight, bias, training, momentum, eps
 * @returns Same shape
 * @throws {TypeError} When a tensor does not fit the channels, or statistics are missing outside training
 * @throws {RangeError} When training with a single value for each channel
 */
export function batchNorm(x: Tensor, options: BatchNormOptions = {}): Tensor {
  if (isAutocasting()) return underPolicy("batchNorm", batchNorm, arguments);
  const { runningMean, runningVar, weight, bias, training = false, eps = 1e-5 } = options;
  // PyTorch takes an empty vector too.
  if (x.numel === 0 && x.ndim === 1) return x;
  checkChannels("batchNorm", x);
  const channels = x.shape[1];
  checkAffine("batchNorm", [channels], { weight, bias, runningMean, runningVar });
  if (!training) {
    if (runningMean === undefined || runningVar === undefined) {
      throw new TypeError(
        "Cannot apply batchNorm without runningMean and runningVar: it is not training",
      );
    }
    const scale = runningVar.add(eps).rsqrt();
    return affine(x.sub(byChannel(runningMean, x)).mul(byChannel(scale, x)), options);
  }
  const dims = x.shape.map((_, d) => d).filter((d) => d !== 1), count = x.numel / channels;
  if (count === 1) {
    throw new RangeError(
      `Cannot apply batchNorm to ${text(x.shape)} in training: each channel has a single value`,
    );
  }
  if (x.numel === 0) return affine(x, options);
  const source = wasHalf(x) ? wrap(x.node.src[0]) : x;
  const fused = batchNormOfDevice(x, source, weight, bias, eps, (x, weight, bias) => {
    return batchNormComposed(x, dims, { weight, bias, eps });
  });
  if (fused === undefined) return batchNormComposed(x, dims, options);
  trackStatistics(options, fused.mean, fused.variance, count / Math.max(1, count - 1));
  return fused.out;
}

/** Training batch normalisation by kernels. */
function batchNormComposed(x: Tensor, dims: readonly number[], options: BatchNormOptions): Tensor {
  const { weight, bias, eps = 1e-5 } = options, count = x.numel / x.shape[1];
  const { mean, variance } = statistics(x, dims, options);
  const scale = variance.add(eps).rsqrt(), normal = x.sub(mean).mul(scale);
  // Gradients are asked for from the last to the first: that of the weight before that of the bias, as above.
  const given = [bias, weight].filter((t) => t !== undefined);
  // The same as the composed gradient, from two sums over each channel that need no other: those that weight and bias want anyway.
  return affine(normal, options).detach().withGradient([x, ...given], (g) => {
    const along = g.mul(normal).sum(dims, true), sum = g.sum(dims, true);
    const inner = g.sub(normal.mul(along).add(sum).mul(1 / count)).mul(scale);
    return [
      weight === undefined ? inner : inner.mul(byChannel(weight, x)),
      ...(bias === undefined ? [] : [sum.reshape(bias.shape).to(bias.dtype)]),
      ...(weight === undefined ? [] : [along.reshape(weight.shape).to(weight.dtype)]),
    ];
  });
}

/** Mean and biased variance of each channel, tracked. */
function statistics(x: Tensor, dims: readonly number[], options: BatchNormOptions) {
  const count = x.numel / x.shape[1], unbias = count / Math.max(1, count - 1);
  if (!wasHalf(x)) {
    const mean = x.mean(dims, true), variance = x.sub(mean).square().mean(dims, true);
    trackStatistics(options, mean, variance, unbias);
    return { mean, variance };
  }
  // Both sums in one pass, of distances from the first value of each channel: next to the deviation the mean is small then, and float32 has 13 bits
  // more than the values.
  const first = dims.reduce((t, d) => t.narrow(d, 0, 1), x.detach()), far = x.sub(first);
  const square = far.square().mean(dims, true), near = far.mean(dims, true);
  const variance = square.sub(near.square()).relu();
  trackStatistics(options, near.add(first), variance, unbias);
  return { mean: near.add(first), variance };
}

/** Whether a tensor holds what 16 bits held, as under autocast. */
function wasHalf(x: Tensor): x is Tensor & { node: NodeOf<"op"> } {
  const { node } = x;
  return node.kind === "op" && node.arg.op === "cast" && node.dtype === "float32" &&
    ["float16", "bfloat16"].includes(node.src[0].dtype);
}

/** Options of {@linkcode instanceNorm}. */
export interface InstanceNormOptions extends RunningNormOptions {
  /** Whether the statistics of the input are used rather than the running ones; true by default. */
  readonly useInputStats?: boolean;
}

/**
 * Normalises each channel of each sample over space (Ulyanov et al., arXiv:1607.08022).
 *
 * @param x `[N, C, ...]`
 * @param options Running statistics, weight, bias, momentum, eps
 * @returns Same shape
 * @throws {TypeError} When a tensor does not fit the channels, or statistics are missing
 * @throws {RangeError} When there is a single value in space
 */
export function instanceNorm(x: Tensor, options: InstanceNormOptions = {}): Tensor {
  if (isAutocasting()) return underPolicy("instanceNorm", instanceNorm, arguments);
  const { useInputStats = true, runningMean, runningVar, eps = 1e-5 } = options;
  if (!useInputStats) return batchNorm(x, { ...options, training: false });
  checkChannels("instanceNorm", x);
  const channels = x.shape[1];
  checkAffine("instanceNorm", [channels], {
    weight: options.weight,
    bias: options.bias,
    runningMean,
    runningVar,
  });
  const dims = x.shape.slice(2).map((_, d) => d + 2), count = x.numel / (x.shape[0] * channels);
  if (count === 1) {
    throw new RangeError(
      `Cannot apply instanceNorm to ${text(x.shape)}: each channel has a single value`,
    );
  }
  if (x.numel === 0) return affine(x, options);
  const mean = x.mean(dims, true), centered = x.sub(mean);
  const variance = centered.square().mean(dims, true);
  trackStatistics(options, mean.mean(0), variance.mean(0), count / Math.max(1, count - 1));
  return normalizeWith(centered, variance, eps, options);
}

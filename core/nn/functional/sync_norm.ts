/** Batch normalisation over the ranks of a group. */
import { isAutocasting, underPolicy } from "../../amp/cast.ts";
import { cat, full, noGrad, type Tensor } from "../../tensor/mod.ts";
import { type BatchNormOptions, normalizeWith, trackStatistics } from "./running_norm.ts";

/** Options of {@linkcode syncBatchNorm}. */
export interface SyncBatchNormFunctionOptions extends BatchNormOptions {
  /** Name of the registered communicator; `world` by default. */
  readonly group?: string;
}

/** The sum over the ranks; its gradient is the sum of the gradients. */
function summed(x: Tensor, group: string): Tensor {
  return x.detach().allReduce(group).withGradient([x], (g) => [summed(g, group)]);
}

/**
 * Normalises each channel by mean and variance over the batches of all ranks, which may differ in size.
 *
 * @param x `[N, C, ...]`, the share of this rank
 * @param options Running statistics, weight, bias, momentum, eps, group
 * @returns Same shape
 */
export function syncBatchNorm(x: Tensor, options: SyncBatchNormFunctionOptions = {}): Tensor {
  if (isAutocasting()) return underPolicy("syncBatchNorm", syncBatchNorm, arguments);
  const { group = "world", eps = 1e-5 } = options;
  const channels = x.shape[1], dims = x.shape.map((_, d) => d).filter((d) => d !== 1);
  const own = full([1], x.numel / channels, { device: x.device, dtype: x.dtype });
  const first = summed(cat([x.sum(dims), own]), group);
  const count = first.narrow(0, channels, 1).detach();
  const shape = [1, channels, ...x.shape.slice(2).map(() => 1)];
  const mean = first.narrow(0, 0, channels).div(count).reshape(shape);
  const centered = x.sub(mean);
  const variance = summed(centered.square().sum(dims), group).div(count).reshape(shape);
  noGrad(() => trackStatistics(options, mean, variance, count.div(count.sub(1).maximum(1))));
  return normalizeWith(centered, variance, eps, options);
}

/** Instance normalisation as modules. */
import type { Tensor } from "../tensor/mod.ts";
import { type BatchNormModuleOptions, ChannelNorm } from "./channel_norm.ts";
import { instanceNorm } from "./functional/running_norm.ts";

/** Normalises each channel of each sample over space (Ulyanov et al., arXiv:1607.08022). */
export abstract class InstanceNorm extends ChannelNorm {
  /**
   * Makes the layer; unlike batch normalisation it has neither parameters nor statistics unless asked for.
   * @throws {RangeError} When the number of channels is not a whole number of at least 1
   */
  constructor(numFeatures: number, options: BatchNormModuleOptions = {}) {
    super(numFeatures, {
      eps: 1e-5,
      momentum: 0.1,
      affine: false,
      bias: true,
      trackRunningStats: false,
      dtype: "float32",
      ...options,
    });
  }

  /**
   * The normalised input.
   * @param x `[N, C, ...]`, or `[C, ...]` for a single sample
   * @returns Same shape
   * @throws {TypeError} When rank or channels do not fit
   * @throws {RangeError} When there is a single value in space
   */
  override forward(x: Tensor): Tensor {
    const single = x.ndim === this.ranks[0];
    this.checkInput(x, single ? 0 : 1);
    const y = instanceNorm(single ? x.unsqueeze(0) : x, {
      useInputStats: this.training || this.running_mean === undefined,
      runningMean: this.running_mean,
      runningVar: this.running_var,
      weight: this.weight,
      bias: this.bias,
      momentum: this.momentum ?? 0,
      eps: this.eps,
    });
    return single ? y.squeeze(0) : y;
  }
}

/** Instance normalisation of `[N, C, L]` or `[C, L]`. */
export class InstanceNorm1d extends InstanceNorm {
  /** Numbers of dimensions that an input may have. */
  protected override readonly ranks: readonly number[] = [2, 3];
}

/** Instance normalisation of `[N, C, H, W]` or `[C, H, W]`. */
export class InstanceNorm2d extends InstanceNorm {
  /** Numbers of dimensions that an input may have. */
  protected override readonly ranks: readonly number[] = [3, 4];
}

/** Instance normalisation of `[N, C, D, H, W]` or `[C, D, H, W]`. */
export class InstanceNorm3d extends InstanceNorm {
  /** Numbers of dimensions that an input may have. */
  protected override readonly ranks: readonly number[] = [4, 5];
}

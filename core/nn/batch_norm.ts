/** Batch normalisation as modules. */
import { communicator } from "../dist/comm.ts";
import type { Tensor } from "../tensor/mod.ts";
import { type BatchNormModuleOptions, ChannelNorm } from "./channel_norm.ts";
import { batchNorm, type BatchNormOptions } from "./functional/running_norm.ts";
import { syncBatchNorm } from "./functional/sync_norm.ts";
import type { Module } from "./module.ts";

const defaults = (options: BatchNormModuleOptions): Required<BatchNormModuleOptions> => ({
  eps: 1e-5,
  momentum: 0.1,
  affine: true,
  bias: true,
  trackRunningStats: true,
  dtype: "float32",
  ...options,
});

/** Normalises each channel over the batch and space (Ioffe & Szegedy, arXiv:1502.03167). */
export abstract class BatchNorm extends ChannelNorm {
  /**
   * Makes the layer.
   * @throws {RangeError} When the number of channels is not a whole number of at least 1
   */
  constructor(numFeatures: number, options: BatchNormModuleOptions = {}) {
    super(numFeatures, defaults(options));
  }

  /**
   * The normalised input.
   * @param x `[N, C, ...]`
   * @returns Same shape
   * @throws {TypeError} When rank or channels do not fit
   * @throws {RangeError} When training with a single value for each channel
   */
  override forward(x: Tensor): Tensor {
    this.checkInput(x);
    // Without running statistics a batch is always normalised by its own.
    const training = this.training || this.running_mean === undefined;
    const momentum = this.training ? this.countBatch() : 0;
    return this.normalize(x, {
      runningMean: this.running_mean,
      runningVar: this.running_var,
      weight: this.weight,
      bias: this.bias,
      training,
      momentum,
      eps: this.eps,
    });
  }

  /** What `forward` does after its checks. */
  protected normalize(x: Tensor, options: BatchNormOptions): Tensor {
    return batchNorm(x, options);
  }
}

/** Batch normalisation of `[N, C]` or `[N, C, L]`. */
export class BatchNorm1d extends BatchNorm {
  /** Numbers of dimensions that an input may have. */
  protected override readonly ranks: readonly number[] = [2, 3];
}

/** Batch normalisation of `[N, C, H, W]`. */
export class BatchNorm2d extends BatchNorm {
  /** Numbers of dimensions that an input may have. */
  protected override readonly ranks: readonly number[] = [4];
}

/** Batch normalisation of `[N, C, D, H, W]`. */
export class BatchNorm3d extends BatchNorm {
  /** Numbers of dimensions that an input may have. */
  protected override readonly ranks: readonly number[] = [5];
}

/** Options of {@linkcode SyncBatchNorm}. */
export interface SyncBatchNormOptions extends BatchNormModuleOptions {
  /** Name of the registered communicator; `world` by default. */
  readonly processGroup?: string;
}

/** Batch normalisation over the batches of all ranks together. */
export class SyncBatchNorm extends BatchNorm {
  /** Numbers of dimensions that an input may have. */
  protected override readonly ranks: readonly number[] = [2, 3, 4, 5];
  /** Name of the communicator. */
  readonly processGroup: string;

  /**
   * Makes the layer.
   * @throws {RangeError} When the number of channels is not a whole number of at least 1
   */
  constructor(numFeatures: number, options: SyncBatchNormOptions = {}) {
    super(numFeatures, options);
    this.processGroup = options.processGroup ?? "world";
  }

  /** Normalises an input that has been checked. */
  protected override normalize(x: Tensor, options: BatchNormOptions): Tensor {
    const alone = communicator(this.processGroup).worldSize === 1;
    if (alone || !options.training) return batchNorm(x, options);
    return syncBatchNorm(x, { ...options, group: this.processGroup });
  }

  /**
   * Replaces every batch normalisation in a model by one that spans the ranks, with the same tensors as parameters and statistics.
   * @param module The model; changed in place, unless it is itself a batch normalisation
   * @param processGroup Name of the communicator
   * @returns The model, or what replaces it
   */
  static convertSyncBatchNorm(module: Module, processGroup = "world"): Module {
    if (module instanceof BatchNorm && !(module instanceof SyncBatchNorm)) {
      const { eps, momentum, trackRunningStats } = module, affine = module.weight !== undefined;
      const made = new SyncBatchNorm(module.numFeatures, {
        eps,
        momentum,
        affine,
        bias: module.bias !== undefined,
        trackRunningStats,
        processGroup,
      });
      // The same tensors, as an optimizer may have them already.
      Object.assign(made, { weight: module.weight, bias: module.bias });
      for (const [name, buffer] of module.namedBuffers()) made.registerBuffer(name, buffer);
      return made.train(module.training);
    }
    module.mapChildren((child) => SyncBatchNorm.convertSyncBatchNorm(child, processGroup));
    return module;
  }
}

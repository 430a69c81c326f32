/** What batch and instance normalisation share. */
import type { DType } from "../dtype.ts";
import { dueWithNext, noGrad, ones, Parameter, type Tensor, tensor, zeros } from "../tensor/mod.ts";
import { checkProbability, checkSize } from "./check.ts";
import { ones_, zeros_ } from "./init.ts";
import { Module } from "./module.ts";

/** Options of the batch normalisations. */
export interface BatchNormModuleOptions {
  /** Added to the variance; 1e-5 by default. */
  readonly eps?: number;
  /** Share of a batch in the running statistics; null for their plain average. 0.1 by default. */
  readonly momentum?: number | null;
  /** Whether there are weight and bias; true by default. */
  readonly affine?: boolean;
  /** Whether there is a bias beside the weight; true by default. */
  readonly bias?: boolean;
  /** Whether running statistics are kept and used in evaluation; true by default. */
  readonly trackRunningStats?: boolean;
  /** dtype of parameters and statistics; float32 by default. */
  readonly dtype?: DType;
}

/** What batch and instance normalisation share: parameters and running statistics of channels. */
export abstract class ChannelNorm extends Module {
  /** Number of channels. */
  readonly numFeatures: number;
  /** Added to the variance. */
  readonly eps: number;
  /** Share of a batch in the running statistics; null for their plain average. */
  readonly momentum: number | null;
  /** Whether running statistics are kept. */
  readonly trackRunningStats: boolean;
  /** Scale `[C]`, ones at first. */
  readonly weight: Parameter | undefined;
  /** Shift `[C]`, zeros at first. */
  readonly bias: Parameter | undefined;
  /** Running mean `[C]`. */
  readonly running_mean: Tensor | undefined;
  /** Running unbiased variance `[C]`. */
  readonly running_var: Tensor | undefined;
  /** Batches seen in training, 0-d int64. */
  readonly num_batches_tracked: Tensor | undefined;

  /**
   * Makes the layer.
   * @throws {RangeError} When the number of channels is not a whole number of at least 1
   */
  constructor(numFeatures: number, options: Required<BatchNormModuleOptions>) {
    super();
    checkSize(this.constructor.name, { numFeatures });
    if (!(options.eps >= 0)) {
      throw new RangeError(
        `Cannot make ${this.constructor.name} with eps ${options.eps}: it must be 0 or more`,
      );
    }
    if (options.momentum !== null) {
      checkProbability(`make ${this.constructor.name}`, "momentum", options.momentum);
    }
    const { dtype } = options;
    this.numFeatures = numFeatures;
    this.eps = options.eps;
    this.momentum = options.momentum;
    this.trackRunningStats = options.trackRunningStats;
    if (options.affine) {
      this.weight = new Parameter(ones([numFeatures], { dtype }));
      if (options.bias) this.bias = new Parameter(zeros([numFeatures], { dtype }));
    }
    if (options.trackRunningStats) {
      this.running_mean = this.registerBuffer("running_mean", zeros([numFeatures], { dtype }));
      this.running_var = this.registerBuffer("running_var", ones([numFeatures], { dtype }));
      const none = tensor(0, { dtype: "int64" });
      this.num_batches_tracked = this.registerBuffer("num_batches_tracked", none);
    }
  }

  /** Numbers of dimensions that inputs may have. */
  protected abstract readonly ranks: readonly number[];

  /** Sets mean 0 and variance 1 as if no batch had been seen. */
  resetRunningStats(): void {
    this.running_mean?.zero_().realize();
    this.running_var?.fill_(1).realize();
    this.num_batches_tracked?.zero_().realize();
  }

  /** Forgets the statistics and makes the weight one and the bias zero. */
  resetParameters(): void {
    this.resetRunningStats();
    if (this.weight !== undefined) ones_(this.weight);
    if (this.bias !== undefined) zeros_(this.bias);
  }

  /**
   * Checks an input.
   * @throws {TypeError} When rank or channels of an input do not fit
   */
  protected checkInput(x: Tensor, channelDim = 1): void {
    const { name } = this.constructor;
    if (!this.ranks.includes(x.ndim)) {
      throw new TypeError(
        `Cannot apply ${name} to [${x.shape.join(", ")}]: ${
          this.ranks.join(" or ")
        } dimensions are needed`,
      );
    }
    if (x.shape[channelDim] !== this.numFeatures) {
      throw new TypeError(
        `Cannot apply ${name} to [${x.shape.join(", ")}]: it has ${
          x.shape[channelDim]
        } channels, not numFeatures ${this.numFeatures}`,
      );
    }
  }

  /** Counts a batch; returns its share in the running statistics. */
  protected countBatch(): number | Tensor {
    const count = this.num_batches_tracked;
    if (count === undefined) return this.momentum ?? 0;
    return noGrad(() => {
      const next = count.add(1);
      dueWithNext(count.assign(next));
      return this.momentum ?? next.to(this.running_mean!.dtype).reciprocal();
    });
  }

  /** Sizes and options. */
  override extraRepr(): string {
    return `${this.numFeatures}, eps=${this.eps}, momentum=${this.momentum}, affine=${
      this.weight !== undefined
    }, trackRunningStats=${this.trackRunningStats}`;
  }
}

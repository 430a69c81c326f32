/** A softmax over many classes whose rare ones share smaller projections. */
import type { DType } from "../dtype.ts";
import { sameShape, shapeText } from "../shape.ts";
import { cat, type Tensor, where } from "../tensor/mod.ts";
import { checkSize } from "./check.ts";
import { ModuleList, Sequential } from "./containers.ts";
import { Linear } from "./linear.ts";
import { Module } from "./module.ts";

/** Options of {@linkcode AdaptiveLogSoftmaxWithLoss}. */
export interface AdaptiveLogSoftmaxOptions {
  /** Features of cluster `i` are `inFeatures / divValue ** (i + 1)`; 4 by default. */
  readonly divValue?: number;
  /** Whether the head has a bias; false by default. */
  readonly headBias?: boolean;
  /** dtype of the parameters; float32 by default. */
  readonly dtype?: DType;
}

/** What {@linkcode AdaptiveLogSoftmaxWithLoss} gives. */
export interface AdaptiveLogSoftmaxResult {
  /** Log probability of each target, `[N]` (0-d for one row). */
  readonly output: Tensor;
  /** Minus its mean, 0-d. */
  readonly loss: Tensor;
}

/**
 * Adaptive softmax (Grave et al., arXiv:1609.04309): classes sorted by how common they are, the first `cutoffs[0]` in a head beside one entry for each
 * cluster of rarer ones, which have fewer features. All clusters are computed for all rows, so shapes do not depend on targets and steps can be
 * captured. Keys: `head.weight`, `tail.N.0.weight`, `tail.N.1.weight`.
 */
export class AdaptiveLogSoftmaxWithLoss extends Module {
  /** Ends of the head's classes and of each cluster's, the number of classes last. */
  readonly cutoffs: readonly number[];
  /** `[cutoffs[0] + clusters, inFeatures]`. */
  readonly head: Linear;
  /** Two projections for each cluster. */
  readonly tail: ModuleList;

  /**
   * Makes the layer.
   * @param inFeatures Size of the last dimension of the input
   * @param nClasses Number of classes, the most common first
   * @param cutoffs Ascending, between 1 and `nClasses - 1`: where clusters begin
   * @param options Reduction of features, bias of the head
   * @throws {RangeError} When a size is out of range, cutoffs do not ascend, or a cluster would have no features
   */
  constructor(
    readonly inFeatures: number,
    readonly nClasses: number,
    cutoffs: readonly number[],
    options: AdaptiveLogSoftmaxOptions = {},
  ) {
    super();
    const name = "AdaptiveLogSoftmaxWithLoss";
    checkSize(name, { inFeatures, nClasses });
    const ascends = cutoffs.length > 0 &&
      cutoffs.every((c, i) => Number.isInteger(c) && c > (i === 0 ? 0 : cutoffs[i - 1])) &&
      cutoffs[cutoffs.length - 1] < nClasses;
    if (!ascends) {
      throw new RangeError(
        `Cannot make ${name} with cutoffs ${
          shapeText(cutoffs)
        }: they must be whole, ascending, and between 1 and ${nClasses - 1}`,
      );
    }
    const { divValue = 4, headBias = false, dtype = "float32" } = options;
    this.cutoffs = [...cutoffs, nClasses];
    this.head = new Linear(inFeatures, cutoffs[0] + cutoffs.length, { bias: headBias, dtype });
    this.tail = new ModuleList(cutoffs.map((start, i) => {
      const features = Math.floor(inFeatures / divValue ** (i + 1));
      if (!(features >= 1)) {
        throw new RangeError(
          `Cannot make ${name} with divValue ${divValue}: cluster ${i} of ${inFeatures} features would have none`,
        );
      }
      return new Sequential(
        new Linear(inFeatures, features, { bias: false, dtype }),
        new Linear(features, this.cutoffs[i + 1] - start, { bias: false, dtype }),
      );
    }));
  }

  /** Draws the parameters anew. */
  resetParameters(): void {
    for (const module of this.modules()) if (module instanceof Linear) module.resetParameters();
  }

  /**
   * Log probabilities of the targets, and the loss.
   * @param input `[N, inFeatures]` or `[inFeatures]`
   * @param target Classes `[N]` or `[]`, int32 or int64; one out of range is a RangeError when it is computed
   * @throws {TypeError} When shapes do not match
   */
  override forward(input: Tensor, target: Tensor): AdaptiveLogSoftmaxResult {
    const { cutoffs, inFeatures, nClasses } = this, [first] = cutoffs, single = input.ndim === 1;
    const fits = (single || input.ndim === 2) && input.shape.at(-1) === inFeatures &&
      sameShape(target.shape, input.shape.slice(0, -1));
    if (!fits) {
      throw new TypeError(
        `Cannot apply ${this.constructor.name} to input ${shapeText(input.shape)} and target ${
          shapeText(target.shape)
        }: they must be [N, ${inFeatures}] and [N], or [${inFeatures}] and []`,
      );
    }
    const x = single ? input.unsqueeze(0) : input, classes = target.to("int32").reshape(-1);
    // Each class by its place in the head; one beyond all names no place, which the lookup refuses.
    let place = classes;
    cutoffs.forEach((start, i) => {
      const to = i === cutoffs.length - 1 ? nClasses : first + i;
      place = where(classes.ge(start), to, place);
    });
    const at = (y: Tensor, index: Tensor) => y.gather(1, index.unsqueeze(1)).squeeze(1);
    let output = at(this.head.forward(x).logSoftmax(1), place);
    this.#clusters(x).forEach((cluster, i) => {
      const inside = classes.ge(cutoffs[i]).logicalAnd(classes.lt(cutoffs[i + 1]));
      const index = classes.sub(cutoffs[i]).clamp({ min: 0, max: cluster.shape[1] - 1 });
      output = output.add(where(inside, at(cluster, index), 0));
    });
    const loss = output.mean().neg();
    return { output: single ? output.squeeze(0) : output, loss };
  }

  /**
   * Log probabilities of all classes.
   * @param input `[N, inFeatures]`
   * @returns `[N, nClasses]`
   * @throws {TypeError} When the last size differs
   */
  logProb(input: Tensor): Tensor {
    const head = this.head.forward(input).logSoftmax(1), [first] = this.cutoffs;
    const tails = this.#clusters(input).map((t, i) => t.add(head.narrow(1, first + i, 1)));
    return cat([head.narrow(1, 0, first), ...tails], 1);
  }

  /**
   * The most likely class of each row.
   * @param input `[N, inFeatures]`
   * @returns `[N]` int64
   */
  predict(input: Tensor): Tensor {
    return this.logProb(input).argmax(1);
  }

  /** Log probabilities within each cluster. */
  #clusters(x: Tensor): Tensor[] {
    return this.tail.children().map((t) => (t.forward(x) as Tensor).logSoftmax(1));
  }

  /** Sizes and cutoffs. */
  override extraRepr(): string {
    return `${this.inFeatures}, ${this.nClasses}, cutoffs=${shapeText(this.cutoffs.slice(0, -1))}`;
  }
}

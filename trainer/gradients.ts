/** Gradients of an accumulation window: kept sums on the device, the mean over window and ranks, clipping. */
import {
  allReduceGradients,
  type Comm,
  dtypes,
  full,
  keep,
  noGrad,
  type Parameter,
  Tensor,
  tensor,
  zeros,
} from "@pta/core";
import type { DataParallelOptions } from "./options.ts";

/** Where a micro-batch stands in its window. */
export interface WindowPosition {
  readonly isFirst: boolean;
  readonly isLast: boolean;
}

/** What the window needs to know of the run. */
export interface GradientOptions {
  /** `undefined` alone. */
  readonly comm: Comm | undefined;
  /** Buckets and compression. */
  readonly dataParallel?: DataParallelOptions;
}

/**
 * The weighted gradients of one window. Each micro-batch has a weight w, such as its samples over the samples of a full one, and
 * the optimizer sees sum(w g) / sum(w) over window and ranks: the gradient of the mean loss over all that was
 * weighed, whatever the sizes. Weights may be known to the device alone. When everything in a window weighs nothing its gradient is 0.
 */
export class GradientWindow {
  readonly #parameters: readonly Parameter[];
  readonly #options: GradientOptions;
  readonly #sums: Map<Parameter, Tensor> = new Map();
  readonly #device: string | undefined;
  readonly #weight: Tensor;

  /**
   * @param parameters Those that are trained
   * @param options Ranks and clipping
   */
  constructor(parameters: readonly Parameter[], options: GradientOptions) {
    this.#parameters = parameters;
    this.#options = options;
    this.#device = parameters[0]?.device;
    this.#weight = keep(zeros([], { device: this.#device }).realize());
  }

  /** Whether gradients must be weighted: a window of one micro-batch on one rank is its own mean. */
  isWeighted(position: WindowPosition): boolean {
    return !(position.isFirst && position.isLast) || this.#options.comm !== undefined;
  }

  /**
   * Takes the gradients of `weight x loss` from the parameters. After the last micro-batch of a window the parameters have the mean.
   *
   * @param weight A number, or a 0-d float32 tensor
   * @param position Where the micro-batch stands
   * @param clip Called when the parameters have the mean
   * @returns What to realize before the optimizer steps
   */
  add(weight: number | Tensor, position: WindowPosition, clip: () => void): Tensor[] {
    return noGrad(() => {
      if (weight instanceof Tensor) this.#dropWeightless(weight);
      if (!position.isLast) return this.#store(weight, position.isFirst);
      if (!position.isFirst) this.#addStored();
      if (this.isWeighted(position)) {
        const own = position.isFirst ? this.#scalar(weight) : this.#weight.add(weight);
        this.#mean(own);
      }
      clip();
      // The last parameters first: their gradients are ready first, so their bucket can leave while the others are computed.
      return this.#withGradients().reverse().map((p) => p.grad!);
    });
  }

  /** Gives back the memory of the sums. */
  dispose(): void {
    for (const sum of this.#sums.values()) sum.dispose();
    this.#sums.clear();
    this.#weight.dispose();
  }

  #withGradients(): Parameter[] {
    return this.#parameters.filter((p) => p.grad !== undefined);
  }

  // Sums stay in their own buffers, so that a captured step finds them again.
  #store(weight: number | Tensor, isFirst: boolean): Tensor[] {
    if (isFirst) {
      for (const [p, sum] of this.#sums) if (p.grad === undefined) sum.zero_();
    }
    for (const p of this.#withGradients()) {
      const sum = this.#sumOf(p);
      sum.assign(isFirst ? p.grad! : sum.add(p.grad!));
      p.grad = undefined;
    }
    this.#weight.assign(isFirst ? this.#scalar(weight) : this.#weight.add(weight));
    return [...this.#sums.values(), this.#weight];
  }

  #sumOf(p: Parameter): Tensor {
    let sum = this.#sums.get(p);
    if (sum === undefined) {
      // From the host, so that the first step has the plan of the others: another plan may round otherwise.
      const { shape, dtype, numel, device } = p.grad!;
      sum = keep(tensor(dtypes[dtype].array(numel), { shape, dtype, device }));
      this.#sums.set(p, sum);
    }
    return sum;
  }

  #scalar(value: number | Tensor): Tensor {
    if (value instanceof Tensor) return value;
    return full([], value, { device: this.#device });
  }

  #addStored(): void {
    for (const [p, sum] of this.#sums) {
      // A copy, because a gradient that is replaced gives its memory back.
      p.grad = p.grad === undefined ? sum.clone() : sum.add(p.grad);
    }
  }

  #mean(own: Tensor): void {
    const { comm, dataParallel = {} } = this.#options;
    const { bucketCapMb = 25, commHook } = dataParallel;
    const options = { weight: own, bucketBytes: bucketCapMb * 2 ** 20, commHook };
    const total = comm === undefined ? own : allReduceGradients(this.#parameters, options)!;
    const divisor = total.gt(0).where(total, 1);
    for (const p of this.#withGradients()) p.grad = p.grad!.div(divisor.to(p.grad!.dtype));
  }

  // The mean over nothing is NaN, and so are its gradients, whatever they are multiplied by.
  #dropWeightless(weight: Tensor): void {
    for (const p of this.#withGradients()) p.grad = weight.gt(0).where(p.grad!, 0);
  }
}

/** Gradients of an accumulation window: kept sums on the device, the mean over window and ranks, clipping. */
import {
  allReduceGradients,
  type Comm,
  dtypes,
  full,
  keep,
  noGrad,
  optim,
  type Parameter,
  type Tensor,
  tensor,
  zeros,
} from "@pta/core";

/** Where a micro-batch stands in its window. */
export interface WindowPosition {
  readonly isFirst: boolean;
  readonly isLast: boolean;
}

/** What the window needs to know of the run. */
export interface GradientOptions {
  /** `undefined` alone. */
  readonly comm: Comm | undefined;
  readonly clipValue: number | undefined;
  readonly clipNorm: number | undefined;
}

/**
 * The weighted gradients of one window. Each micro-batch has a weight w, its samples over the samples of a full one, and
 * the optimizer sees sum(w g) / sum(w) over window and ranks: the gradient of the mean loss over all samples, whatever the sizes.
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
   * Takes the gradients of `weight x loss` from the parameters. After the last micro-batch of a window the parameters have the clipped mean.
   *
   * @returns What to realize before the optimizer steps
   */
  add(weight: number, position: WindowPosition): Tensor[] {
    return noGrad(() => {
      if (!position.isLast) return this.#store(weight, position.isFirst);
      if (!position.isFirst) this.#addStored();
      if (this.isWeighted(position)) {
        const own = position.isFirst ? this.#scalar(weight) : this.#weight.add(weight);
        this.#mean(own);
      }
      this.#clip();
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
  #store(weight: number, isFirst: boolean): Tensor[] {
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

  #scalar(value: number): Tensor {
    return full([], value, { device: this.#device });
  }

  #addStored(): void {
    for (const [p, sum] of this.#sums) {
      // A copy, because a gradient that is replaced gives its memory back.
      p.grad = p.grad === undefined ? sum.clone() : sum.add(p.grad);
    }
  }

  #mean(own: Tensor): void {
    const { comm } = this.#options;
    const total = comm === undefined ? own : allReduceGradients(this.#parameters, { weight: own })!;
    for (const p of this.#withGradients()) p.grad = p.grad!.div(total.to(p.grad!.dtype));
  }

  #clip(): void {
    const { clipValue, clipNorm } = this.#options;
    if (clipValue !== undefined) optim.clipGradValue_(this.#parameters, clipValue);
    if (clipNorm !== undefined) optim.clipGradNorm_(this.#parameters, clipNorm);
  }
}

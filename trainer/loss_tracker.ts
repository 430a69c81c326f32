/** A weighted mean that lives on the device. */
import { keep, noGrad, realize, type Tensor, zeros } from "@pta/core";

/**
 * Sum of loss x weight and sum of weights, such as numbers of samples. Updating reads nothing from the device; {@linkcode total} and {@linkcode average} do. The sum is
 * float64, so that an epoch of float32 losses adds up without loss. One NaN or infinite loss makes the sum NaN or infinite for good, which is
 * what the termination check relies on.
 */
export class LossTracker {
  readonly #sum: Tensor;
  readonly #count: Tensor;

  /**
   * Starts at zero.
   * @param device Where the losses are; the default device when left out
   */
  constructor(device?: string) {
    this.#sum = keep(zeros([], { dtype: "float64", device }));
    this.#count = keep(zeros([], { dtype: "float64", device }));
  }

  /**
   * Adds a batch, as graph nodes that can be captured. The caller realizes {@linkcode tensors}.
   *
   * @param loss 0-d: mean loss of the batch
   * @param weight What it is a mean over: samples, or tokens. A 0-d tensor may say 0, and then the loss counts for nothing, NaN or not
   */
  update(loss: Tensor, weight: number | Tensor): void {
    noGrad(() => {
      const value = loss.detach().to("float64");
      const isNumber = typeof weight === "number", w = isNumber ? weight : weight.to("float64");
      const sum = isNumber ? value.mul(weight) : weight.gt(0).where(value.mul(w), 0);
      this.#sum.assign(this.#sum.add(sum.reshape()));
      this.#count.assign(this.#count.add(w));
    });
  }

  /** Where the losses are. */
  get device(): string {
    return this.#sum.device;
  }

  /** The device state, to be realized with the step that updated it. */
  get tensors(): Tensor[] {
    return [this.#sum, this.#count];
  }

  /** Empties the tracker. */
  reset(): void {
    this.#sum.zero_();
    this.#count.zero_();
    realize(this.#sum, this.#count);
  }

  /** Reads the sum of loss x samples and the number of samples, on this rank. */
  total(): { sum: number; count: number } {
    return { sum: this.#sum.item(), count: this.#count.item() };
  }

  /** Sum and count, read from the device. */
  stateDict(): { sum: number; count: number } {
    return this.total();
  }

  /** Takes over what {@linkcode stateDict} gave. */
  loadStateDict(state: { readonly sum: number; readonly count: number }): void {
    this.#sum.copy_([state.sum]);
    this.#count.copy_([state.count]);
    realize(this.#sum, this.#count);
  }

  /** Reads the mean loss over the samples of this rank; NaN when there were none. */
  average(): number {
    const { sum, count } = this.total();
    return sum / count;
  }
}

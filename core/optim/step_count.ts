/** Number of steps taken, on the device, with what follows from it. */
import { full, keep, type Tensor, zeros } from "../tensor/mod.ts";

/** What Adam's kernels need that is the same for all elements. */
export interface AdamScalars {
  /** `lr / (1 - beta1^t)`. */
  readonly stepSize: Tensor;
  /** `1 / sqrt(1 - beta2^t)`. */
  readonly inverseRoot: Tensor;
  /** `1 - lr * weightDecay`. */
  readonly decay: Tensor;
}

/**
 * Step count of parameters that have always been stepped together; they share one, so that one small kernel serves them all. Everything
 * is 0-d float32 and kept. The powers are computed in float64: `1 - 0.999` has only four digits left in float32.
 */
export class StepCount {
  /** Steps taken. */
  readonly step: Tensor;
  readonly #scalars: AdamScalars;

  /** @param step Steps taken so far, a kept tensor; 0 when left out */
  constructor(device: string, step?: Tensor) {
    const make = () => keep(zeros([], { dtype: "float32", device }).realize());
    this.step = step ?? make();
    this.#scalars = { stepSize: make(), inverseRoot: make(), decay: make() };
  }

  /** A count of its own that starts from the present number. */
  split(): StepCount {
    const own = new StepCount(this.step.device);
    own.step.copy_(this.step).realize();
    return own;
  }

  /**
   * Counts one step.
   *
   * @param lr 0-d learning rate
   * @param options Those of Adam
   * @returns The new scalars, and all that was assigned
   */
  next(
    lr: Tensor,
    options: { readonly betas: readonly [number, number]; readonly weightDecay: number },
  ): { scalars: AdamScalars; changed: Tensor[] } {
    const { device } = this.step, wide = { dtype: "float64", device } as const;
    const count = this.step.add(1);
    const power = (beta: number) => full([], beta, wide).pow(count.to("float64"));
    const [beta1, beta2] = options.betas, lr64 = lr.to("float64");
    const { stepSize, inverseRoot, decay } = this.#scalars;
    stepSize.assign(lr64.div(power(beta1).neg().add(1)).to("float32"));
    inverseRoot.assign(power(beta2).neg().add(1).rsqrt().to("float32"));
    decay.assign(lr64.mul(-options.weightDecay).add(1).to("float32"));
    this.step.assign(count);
    return { scalars: this.#scalars, changed: [this.step, stepSize, inverseRoot, decay] };
  }
}

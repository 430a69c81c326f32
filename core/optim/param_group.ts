/** Parameters that share options, with the learning rate on the device. */
import { keep, type Tensor, tensor } from "../tensor/mod.ts";

/** Options that every optimizer has. */
export interface OptimizerOptions {
  /** Learning rate: a step's length in units of the update. */
  readonly lr: number;
  /** Whether to climb instead of to descend; false by default. */
  readonly maximize?: boolean;
}

/** One group as a constructor takes it: parameters, and options that differ from the optimizer's. */
export type ParamGroupInput<O extends OptimizerOptions> = Partial<O> & {
  readonly params: Iterable<Tensor>;
};

/** What optimizers take as their first argument. */
export type Params<O extends OptimizerOptions> = Iterable<Tensor> | Iterable<ParamGroupInput<O>>;

/** Parameters with their options. */
export class ParamGroup<O extends OptimizerOptions = OptimizerOptions> {
  /** The parameters. */
  readonly params: readonly Tensor[];
  /** The options in force. Only the learning rate may change while steps are captured: the rest is part of the kernels. */
  options: Readonly<Omit<Required<O>, "lr">>;
  /** The learning rate on the device, 0-d float32; what `step()` reads. */
  readonly lrTensor: Tensor;
  /** Learning rate that a scheduler started from. */
  initialLr: number | undefined;
  #lr: number;

  /**
   * Makes a group; its learning rate goes to the device.
   * @param params The parameters, all on one device
   * @param options All options
   */
  constructor(params: readonly Tensor[], options: Required<O>) {
    const { lr, ...rest } = options;
    this.params = params;
    this.options = rest;
    this.#lr = lr;
    this.lrTensor = keep(tensor(lr, { dtype: "float32", device: params[0]?.device }).realize());
  }

  /** Learning rate. Setting it writes it to the device, where captured steps see it. */
  get lr(): number {
    return this.#lr;
  }

  /** @throws {RangeError} When it is negative or no number */
  set lr(lr: number) {
    if (!(lr >= 0)) {
      throw new RangeError(`Cannot set the learning rate to ${lr}: it must be at least 0`);
    }
    if (lr === this.#lr) return;
    this.#lr = lr;
    this.lrTensor.copy_([lr]);
  }
}

/** Single steps of recurrent networks as modules. */
import type { DType } from "../dtype.ts";
import { Parameter, type Tensor, zeros } from "../tensor/mod.ts";
import { checkSize } from "./check.ts";
import { uniform_ } from "./init.ts";
import { Module } from "./module.ts";
import {
  type CellStep,
  gruStep,
  lstmStep,
  projectInput,
  reluStep,
  type State,
  tanhStep,
} from "./recurrent_cells.ts";

/** Options of the cells. */
export interface CellOptions {
  /** Whether there are biases; true by default. */
  readonly bias?: boolean;
  /** dtype of the parameters; float32 by default. */
  readonly dtype?: DType;
}

/** What the cells share. */
export abstract class RecurrentCell extends Module {
  /** `[gates * H, I]`. */
  readonly weight_ih: Parameter;
  /** `[gates * H, H]`. */
  readonly weight_hh: Parameter;
  /** `[gates * H]`. */
  readonly bias_ih: Parameter | undefined;
  /** `[gates * H]`. */
  readonly bias_hh: Parameter | undefined;
  /** Whether there are biases. */
  readonly bias: boolean;

  /**
   * Makes the cell; parameters uniform within `1 / sqrt(hiddenSize)`.
   * @throws {RangeError} When a size is not a whole number of at least 1
   */
  constructor(
    readonly inputSize: number,
    readonly hiddenSize: number,
    gates: number,
    { bias = true, dtype = "float32" }: CellOptions,
  ) {
    super();
    checkSize(this.constructor.name, { inputSize, hiddenSize });
    const rows = gates * hiddenSize, bound = 1 / Math.sqrt(hiddenSize);
    const make = (shape: number[]): Parameter => {
      const p = new Parameter(zeros(shape, { dtype }));
      uniform_(p, -bound, bound);
      return p;
    };
    this.weight_ih = make([rows, inputSize]);
    this.weight_hh = make([rows, hiddenSize]);
    this.bias = bias;
    if (!bias) return;
    this.bias_ih = make([rows]);
    this.bias_hh = make([rows]);
  }

  /** The next state of inputs `[N, I]` or `[I]`. */
  protected step(x: Tensor, state: readonly (Tensor | undefined)[], cell: CellStep): Tensor[] {
    const { name } = this.constructor, single = x.ndim === 1;
    if (x.ndim < 1 || x.ndim > 2 || x.shape.at(-1) !== this.inputSize) {
      throw new TypeError(
        `Cannot apply ${name} to [${
          x.shape.join(", ")
        }]: it must be [N, ${this.inputSize}] or [${this.inputSize}], the last size inputSize`,
      );
    }
    const wanted = [...x.shape.slice(0, -1), this.hiddenSize];
    const full = state.map((s, i) => {
      if (s !== undefined && `${s.shape}` !== `${wanted}`) {
        throw new TypeError(
          `Cannot apply ${name} with ${i === 0 ? "h" : "c"} [${s.shape.join(", ")}]: it must be [${
            wanted.join(", ")
          }], the last size hiddenSize`,
        );
      }
      const made = s ?? zeros(wanted, { dtype: x.dtype, device: x.device });
      return single ? made.unsqueeze(0) : made;
    });
    const weights = {
      ih: this.weight_ih,
      hh: this.weight_hh,
      biasIh: this.bias_ih,
      biasHh: this.bias_hh,
    };
    const projected = projectInput(single ? x.unsqueeze(0) : x, weights);
    const next = cell(projected, full as unknown as State, weights);
    return next.map((s) => single ? s!.squeeze(0) : s!);
  }

  /** Sizes and options. */
  override extraRepr(): string {
    return `${this.inputSize}, ${this.hiddenSize}${this.bias ? "" : ", bias=false"}`;
  }
}

/** Options of {@linkcode RNNCell}. */
export interface RNNCellOptions extends CellOptions {
  /** `tanh` by default. */
  readonly nonlinearity?: "tanh" | "relu";
}

/** `h' = tanh(W_ih x + b_ih + W_hh h + b_hh)`. */
export class RNNCell extends RecurrentCell {
  /** Which function the sum goes through. */
  readonly nonlinearity: "tanh" | "relu";

  /**
   * Makes the layer.
   * @throws {RangeError} When a size is not a whole number of at least 1 or the nonlinearity is unknown
   */
  constructor(inputSize: number, hiddenSize: number, options: RNNCellOptions = {}) {
    super(inputSize, hiddenSize, 1, options);
    this.nonlinearity = options.nonlinearity ?? "tanh";
    checkNonlinearity("RNNCell", this.nonlinearity);
  }

  /**
   * The next hidden state.
   * @param x `[N, I]` or `[I]`
   * @param h `[N, H]` or `[H]`; zeros by default
   * @throws {TypeError} When shapes do not fit
   */
  override forward(x: Tensor, h?: Tensor): Tensor {
    return this.step(x, [h], this.nonlinearity === "tanh" ? tanhStep : reluStep)[0];
  }
}

/** One step of a gated recurrent unit. */
export class GRUCell extends RecurrentCell {
  /**
   * Makes the layer.
   * @throws {RangeError} When a size is not a whole number of at least 1
   */
  constructor(inputSize: number, hiddenSize: number, options: CellOptions = {}) {
    super(inputSize, hiddenSize, 3, options);
  }

  /**
   * The next hidden state.
   * @param x `[N, I]` or `[I]`
   * @param h `[N, H]` or `[H]`; zeros by default
   * @throws {TypeError} When shapes do not fit
   */
  override forward(x: Tensor, h?: Tensor): Tensor {
    return this.step(x, [h], gruStep)[0];
  }
}

/** One step of long short-term memory. */
export class LSTMCell extends RecurrentCell {
  /**
   * Makes the layer.
   * @throws {RangeError} When a size is not a whole number of at least 1
   */
  constructor(inputSize: number, hiddenSize: number, options: CellOptions = {}) {
    super(inputSize, hiddenSize, 4, options);
  }

  /**
   * The next hidden and cell state.
   * @param x `[N, I]` or `[I]`
   * @param state `[h, c]`, each `[N, H]` or `[H]`; zeros by default
   * @throws {TypeError} When shapes do not fit
   */
  override forward(x: Tensor, state?: readonly [Tensor, Tensor]): [Tensor, Tensor] {
    const [h, c] = this.step(x, [state?.[0], state?.[1]], lstmStep);
    return [h, c];
  }
}

/** @throws {RangeError} When it is neither tanh nor relu */
export function checkNonlinearity(name: string, value: string): void {
  if (value !== "tanh" && value !== "relu") {
    throw new RangeError(
      `Cannot make ${name} with nonlinearity ${value}: it must be "tanh" or "relu"`,
    );
  }
}

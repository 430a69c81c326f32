/** Recurrent networks over sequences: what RNN, LSTM and GRU share is most of it. */
import type { DType } from "../dtype.ts";
import { cat, Parameter, stack, Tensor, where, zeros } from "../tensor/mod.ts";
import { checkProbability, checkSize } from "./check.ts";
import { dropout } from "./functional/dropout.ts";
import { uniform_ } from "./init.ts";
import { Module } from "./module.ts";
import {
  type CellStep,
  type CellWeights,
  gruStep,
  lstmStep,
  projectInput,
  reluStep,
  type State,
  tanhStep,
} from "./recurrent_cells.ts";
import { checkNonlinearity } from "./rnn_cell.ts";
import { type RecurrentCall, stepsThatCount } from "./sequence_lengths.ts";

/** Options of the recurrent networks. */
export interface RecurrentOptions {
  /** Layers on top of each other; 1 by default. */
  readonly numLayers?: number;
  /** Whether there are biases; true by default. */
  readonly bias?: boolean;
  /** Whether sequences are `[N, T, I]` and not `[T, N, I]`; false by default. */
  readonly batchFirst?: boolean;
  /** Probability of an output between layers to be dropped in training; 0 by default. */
  readonly dropout?: number;
  /** Whether a second set of weights reads the sequence backwards; false by default. */
  readonly bidirectional?: boolean;
  /** dtype of the parameters; float32 by default. */
  readonly dtype?: DType;
}

const text = (shape: readonly number[]): string => `[${shape.join(", ")}]`;

/**
 * What the networks share. Parameters have PyTorch's names: `weight_ih_l0`, `weight_hh_l0`, `bias_ih_l0`, `bias_hh_l0`, with `_reverse` for the
 * second direction.
 */
export abstract class RecurrentNetwork extends Module {
  /** Layers on top of each other. */
  readonly numLayers: number;
  /** Whether there are biases. */
  readonly bias: boolean;
  /** Whether sequences are `[N, T, I]`. */
  readonly batchFirst: boolean;
  /** Probability of an output between layers to be dropped. */
  readonly dropout: number;
  /** Whether a second set of weights reads backwards. */
  readonly bidirectional: boolean;

  /**
   * Makes the network; parameters uniform within `1 / sqrt(hiddenSize)`.
   * @throws {RangeError} When a size is not a whole number of at least 1 or a probability not in 0 to 1
   */
  constructor(
    readonly inputSize: number,
    readonly hiddenSize: number,
    gates: number,
    options: RecurrentOptions,
    /** Size of the projected output of an LSTM; 0 for none. */
    readonly projSize = 0,
  ) {
    super();
    const { name } = this.constructor, { dtype = "float32" } = options;
    this.numLayers = options.numLayers ?? 1;
    this.bias = options.bias ?? true;
    this.batchFirst = options.batchFirst ?? false;
    this.dropout = options.dropout ?? 0;
    this.bidirectional = options.bidirectional ?? false;
    checkSize(name, { inputSize, hiddenSize, numLayers: this.numLayers });
    checkProbability(`make ${name}`, "dropout", this.dropout);
    if (!Number.isInteger(projSize) || projSize < 0 || projSize >= hiddenSize) {
      throw new RangeError(
        `Cannot make ${name} with projSize ${projSize}: it must be from 0 to below hiddenSize ${hiddenSize}`,
      );
    }
    const bound = 1 / Math.sqrt(hiddenSize), out = this.outputSize;
    const fields = this as unknown as Record<string, Parameter>;
    const add = (key: string, shape: number[]) => {
      fields[key] = new Parameter(zeros(shape, { dtype }));
      uniform_(fields[key], -bound, bound);
    };
    for (const [layer, suffix] of this.#parts()) {
      const inner = layer === 0 ? inputSize : out * (this.bidirectional ? 2 : 1);
      add(`weight_ih${suffix}`, [gates * hiddenSize, inner]);
      add(`weight_hh${suffix}`, [gates * hiddenSize, out]);
      if (this.bias) add(`bias_ih${suffix}`, [gates * hiddenSize]);
      if (this.bias) add(`bias_hh${suffix}`, [gates * hiddenSize]);
      if (projSize > 0) add(`weight_hr${suffix}`, [projSize, hiddenSize]);
    }
  }

  /** Size of an output of one direction. */
  get outputSize(): number {
    return this.projSize > 0 ? this.projSize : this.hiddenSize;
  }

  /** Layer and name suffix of every set of weights, in PyTorch's order. */
  #parts(): [number, string][] {
    return Array.from({ length: this.numLayers }, (_, layer): [number, string][] => {
      const forward: [number, string] = [layer, `_l${layer}`];
      return this.bidirectional ? [forward, [layer, `_l${layer}_reverse`]] : [forward];
    }).flat();
  }

  /** One step. */
  protected abstract readonly cell: CellStep;

  #weights(suffix: string): CellWeights {
    const fields = this as unknown as Record<string, Tensor | undefined>;
    return {
      ih: fields[`weight_ih${suffix}`]!,
      hh: fields[`weight_hh${suffix}`]!,
      biasIh: fields[`bias_ih${suffix}`],
      biasHh: fields[`bias_hh${suffix}`],
      hr: fields[`weight_hr${suffix}`],
    };
  }

  /** @throws {TypeError} When the input does not fit */
  #checkInput(x: Tensor): void {
    if (!(x instanceof Tensor)) {
      throw new TypeError(`Cannot apply ${this.constructor.name} to ${x}: a Tensor is needed`);
    }
    if ((x.ndim === 2 || x.ndim === 3) && x.shape.at(-1) === this.inputSize) return;
    const wanted = this.batchFirst ? "[N, T" : "[T, N";
    throw new TypeError(
      `Cannot apply ${this.constructor.name} to ${
        text(x.shape)
      }: it must be ${wanted}, ${this.inputSize}] or [T, ${this.inputSize}], the last size inputSize`,
    );
  }

  /**
   * Runs the layers over a sequence.
   * @param x `[T, N, I]`, `[N, T, I]` when batchFirst, or `[T, I]`
   * @param states Initial states `[layers * directions, N, size]` (or without N); undefined for zeros
   * @param options Lengths of the sequences
   * @returns The outputs of the last layer, in the layout of the input, and the final states
   */
  protected run(
    x: Tensor,
    states: readonly (Tensor | undefined)[],
    options: RecurrentCall = {},
  ): [Tensor, Tensor[]] {
    this.#checkInput(x);
    const single = x.ndim === 2, { batchFirst, cell } = this;
    let sequence = single ? x.unsqueeze(1) : batchFirst ? x.transpose(0, 1) : x;
    const batch = sequence.shape[1], parts = this.#parts();
    const sizes = [this.outputSize, this.hiddenSize];
    const initial = states.map((s, i) => this.#initial(s, i, batch, single, sizes[i], x));
    const counts = stepsThatCount(
      `apply ${this.constructor.name}`,
      options.lengths,
      sequence,
      single,
    );
    const finals: State[] = [];
    for (let layer = 0; layer < this.numLayers; layer++) {
      const outputs = parts.filter(([l]) => l === layer).map(([, suffix], direction) => {
        const weights = this.#weights(suffix),
          projected = projectInput(sequence, weights).unbind(0);
        const at = finals.length;
        let state = initial.map((s) => s.select(0, at)) as unknown as State;
        if (direction === 1) projected.reverse();
        const hidden = projected.map((step, i) => {
          const next = cell(step, state, weights);
          if (counts === undefined) return (state = next)[0];
          const here = counts[direction === 1 ? counts.length - 1 - i : i], before = state;
          state = next.map((s, k) => where(here, s!, before[k]!)) as unknown as State;
          return where(here, next[0], 0);
        });
        finals.push(state);
        return stack(direction === 1 ? hidden.reverse() : hidden);
      });
      sequence = outputs.length === 1 ? outputs[0] : cat(outputs, 2);
      if (layer < this.numLayers - 1 && this.dropout > 0) {
        sequence = dropout(sequence, { p: this.dropout, training: this.training });
      }
    }
    const last = states.map((_, i) => {
      const all = stack(finals.map((s) => s[i]!));
      return single ? all.squeeze(1) : all;
    });
    const output = single ? sequence.squeeze(1) : batchFirst ? sequence.transpose(0, 1) : sequence;
    return [output, last];
  }

  /** An initial state `[layers * directions, N, size]`. */
  #initial(
    state: Tensor | undefined,
    which: number,
    batch: number,
    single: boolean,
    size: number,
    x: Tensor,
  ): Tensor {
    const layers = this.numLayers * (this.bidirectional ? 2 : 1);
    const wanted = single ? [layers, size] : [layers, batch, size];
    if (state !== undefined && text(state.shape) !== text(wanted)) {
      throw new TypeError(
        `Cannot apply ${this.constructor.name} with ${which === 0 ? "h0" : "c0"} ${
          text(state.shape)
        }: it must be ${text(wanted)}`,
      );
    }
    const made = state ?? zeros(wanted, { dtype: x.dtype, device: x.device });
    return single ? made.unsqueeze(1) : made;
  }

  /** Sizes and options. */
  override extraRepr(): string {
    const parts = [`${this.inputSize}`, `${this.hiddenSize}`];
    if (this.numLayers !== 1) parts.push(`numLayers=${this.numLayers}`);
    if (!this.bias) parts.push("bias=false");
    if (this.batchFirst) parts.push("batchFirst=true");
    if (this.dropout !== 0) parts.push(`dropout=${this.dropout}`);
    if (this.bidirectional) parts.push("bidirectional=true");
    if (this.projSize !== 0) parts.push(`projSize=${this.projSize}`);
    return parts.join(", ");
  }
}

/** Options of {@linkcode RNN}. */
export interface RNNOptions extends RecurrentOptions {
  /** `tanh` by default. */
  readonly nonlinearity?: "tanh" | "relu";
}

/** Elman's recurrent network, several layers of `h' = tanh(W_ih x + b_ih + W_hh h + b_hh)`. */
export class RNN extends RecurrentNetwork {
  /** Which function the sum goes through. */
  readonly nonlinearity: "tanh" | "relu";
  /** One step of the recurrence. */
  protected override readonly cell: CellStep;

  /**
   * Makes the layer.
   * @throws {RangeError} When a size is not a whole number of at least 1 or an option has no such value
   */
  constructor(inputSize: number, hiddenSize: number, options: RNNOptions = {}) {
    super(inputSize, hiddenSize, 1, options);
    this.nonlinearity = options.nonlinearity ?? "tanh";
    checkNonlinearity("RNN", this.nonlinearity);
    this.cell = this.nonlinearity === "tanh" ? tanhStep : reluStep;
  }

  /**
   * Outputs and the final hidden state.
   * @param x `[T, N, I]`, `[N, T, I]` when batchFirst, or `[T, I]`
   * @param h0 `[layers * directions, N, H]`; zeros by default
   * @param options Lengths of padded sequences
   * @returns `[..., directions * H]` in the layout of the input, and `[layers * directions, N, H]`
   * @throws {TypeError} When shapes do not fit
   * @throws {RangeError} When a length is not from 1 to T
   */
  override forward(x: Tensor, h0?: Tensor, options: RecurrentCall = {}): [Tensor, Tensor] {
    const [y, [h]] = this.run(x, [h0], options);
    return [y, h];
  }
}

/** Gated recurrent units (Cho et al., arXiv:1406.1078) in layers. */
export class GRU extends RecurrentNetwork {
  /** One step of the recurrence. */
  protected override readonly cell: CellStep = gruStep;

  /**
   * Makes the layer.
   * @throws {RangeError} When a size is not a whole number of at least 1
   */
  constructor(inputSize: number, hiddenSize: number, options: RecurrentOptions = {}) {
    super(inputSize, hiddenSize, 3, options);
  }

  /**
   * Outputs and the final hidden state; shapes as in {@linkcode RNN.forward}.
   * @throws {TypeError} When shapes do not fit
   * @throws {RangeError} When a length is not from 1 to T
   */
  override forward(x: Tensor, h0?: Tensor, options: RecurrentCall = {}): [Tensor, Tensor] {
    const [y, [h]] = this.run(x, [h0], options);
    return [y, h];
  }
}

/** Options of {@linkcode LSTM}. */
export interface LSTMOptions extends RecurrentOptions {
  /** Size that outputs are projected to (Sak et al., arXiv:1402.1128); 0, the default, for none. */
  readonly projSize?: number;
}

/** Long short-term memory (Hochreiter & Schmidhuber 1997) in layers. */
export class LSTM extends RecurrentNetwork {
  /** One step of the recurrence. */
  protected override readonly cell: CellStep = lstmStep;

  /**
   * Makes the layer.
   * @throws {RangeError} When a size is not a whole number of at least 1, or projSize is not below hiddenSize
   */
  constructor(inputSize: number, hiddenSize: number, options: LSTMOptions = {}) {
    super(inputSize, hiddenSize, 4, options, options.projSize ?? 0);
  }

  /**
   * Outputs and the final states; shapes as in {@linkcode RNN.forward}.
   * @param x The sequence
   * @param state `[h0, c0]`; zeros by default. With projSize `h` has that size, `c` hiddenSize
   * @param options Lengths of padded sequences
   * @throws {TypeError} When shapes do not fit
   * @throws {RangeError} When a length is not from 1 to T
   */
  override forward(
    x: Tensor,
    state?: readonly [Tensor, Tensor],
    options: RecurrentCall = {},
  ): [Tensor, [Tensor, Tensor]] {
    const [y, [h, c]] = this.run(x, [state?.[0], state?.[1]], options);
    return [y, [h, c]];
  }
}

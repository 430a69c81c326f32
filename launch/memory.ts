/** What training a model takes on each rank, from its parameters. */

/** One parameter. */
export interface ParameterFacts {
  readonly name: string;
  readonly shape: readonly number[];
  /** False: it takes no gradient. */
  readonly trainable?: boolean;
}

/** A model as far as memory is concerned. */
export interface ModelFacts {
  readonly tensors: readonly ParameterFacts[];
  readonly bufferBytes?: number;
  /** Bytes of training steps at their worst moment, everything counted; absent: unknown. */
  readonly peak?: number;
  readonly batch?: number;
}

/** Optimizers by the bytes that they keep for a parameter in float32. */
export const OPTIMIZERS: Readonly<Record<string, (shape: readonly number[]) => number>> = {
  none: () => 0,
  sgd: () => 0,
  momentum: (shape) => 4 * countOf(shape),
  adam: (shape) => 8 * countOf(shape),
  adamw: (shape) => 8 * countOf(shape),
  // one number for each row and each column of the last two dimensions (Shazeer and Stern, 2018)
  adafactor: (shape) => {
    if (shape.length < 2) return 4 * countOf(shape);
    const [rows, columns] = shape.slice(-2), rest = countOf(shape) / (rows * columns);
    return 4 * rest * (rows + columns);
  },
};

/** Bytes of one rank. */
export interface StageMemory {
  /** 0: nothing is shared. */
  readonly stage: 0 | 1 | 2 | 3;
  readonly weights: number;
  readonly gradients: number;
  readonly optimizer: number;
  readonly activations: number | undefined;
  /** Without activations when they are unknown. */
  readonly total: number;
}

/** What is found out about a model. */
export interface Estimate {
  readonly parameters: number;
  readonly trainable: number;
  readonly largest: { readonly name: string; readonly parameters: number; readonly bytes: number };
  readonly stages: readonly StageMemory[];
}

/**
 * Bytes of each rank without ZeRO and at its stages (Rajbhandari et al., "ZeRO", 2020): 1 shares the optimizer's state among the ranks, 2 the gradients
 * too, 3 the weights too, except for the largest layer, which is whole while it is in use. Weights, gradients and state are float32; mixed precision
 * adds a copy of the weights in 16 bits. Where the peak of a step has been measured, activations are what it takes beside all the rest: values kept for
 * the backward pass, casts of weights, whatever is alive for a moment.
 */
export function estimateMemory(
  model: ModelFacts,
  { optimizer, mixed, ranks }: { optimizer: string; mixed: boolean; ranks: number },
): Estimate {
  const trained = model.tensors.filter((t) => t.trainable !== false);
  const parameters = sum(model.tensors, (t) => countOf(t.shape));
  const trainable = sum(trained, (t) => countOf(t.shape));
  const largest = largestLayer(model.tensors);
  const copy = mixed && model.peak === undefined ? 2 : 0;
  const weights = (4 + copy) * parameters;
  const state = sum(trained, (t) => OPTIMIZERS[optimizer](t.shape));
  const fixed = (model.bufferBytes ?? 0) + (model.batch ?? 0);
  const rest = weights + fixed + 4 * trainable + state;
  const activations = model.peak === undefined ? undefined : Math.max(0, model.peak - rest);
  const stages = ([0, 1, 2, 3] as const).map((stage) => {
    const share = (bytes: number, from: number) => stage >= from ? Math.ceil(bytes / ranks) : bytes;
    const gathered = stage === 3 && ranks > 1 ? (4 + copy) * largest.parameters : 0;
    const parts = {
      weights: Math.min(weights, share(weights, 3) + gathered) + fixed,
      gradients: share(4 * trainable, 2),
      optimizer: share(state, 1),
      activations,
    };
    const total = parts.weights + parts.gradients + parts.optimizer + (parts.activations ?? 0);
    return { stage, ...parts, total };
  });
  return { parameters, trainable, largest: { ...largest, bytes: 4 * largest.parameters }, stages };
}

/** Parameters of one module belong together: `encoder.0` has `encoder.0.weight` and `encoder.0.bias`. */
function largestLayer(tensors: readonly ParameterFacts[]): { name: string; parameters: number } {
  const layers = new Map<string, number>();
  for (const { name, shape } of tensors) {
    const layer = name.split(".").slice(0, -1).join(".") || name;
    layers.set(layer, (layers.get(layer) ?? 0) + countOf(shape));
  }
  const [name, parameters] = [...layers].sort((a, b) => b[1] - a[1])[0] ?? ["none", 0];
  return { name, parameters };
}

function countOf(shape: readonly number[]): number {
  return shape.reduce((a, b) => a * b, 1);
}

function sum<T>(list: readonly T[], of: (item: T) => number): number {
  return list.reduce((total, item) => total + of(item), 0);
}

/** Batches and outputs: tensors, alone or nested in arrays and objects. */
import { Tensor } from "@pta/core";

/** A tensor, or an array or object of batches. What is not a tensor (strings, ids) passes through untouched. */
export type Batch = unknown;

/** What the batch loss methods return; more keys pass through to the callbacks. */
export interface BatchOutput {
  /** 0-d: the mean loss of the batch, never divided by anything else. */
  readonly loss: Tensor;
  /** What the model returned. */
  readonly modelOutputs: unknown;
  /** Number of samples that the loss is the mean of. */
  readonly batchSize: number;
  /** Whatever else the step returned. */
  readonly [key: string]: unknown;
}

const isPlain = (x: unknown): x is Record<string, unknown> =>
  typeof x === "object" && x !== null &&
  (Object.getPrototypeOf(x) === Object.prototype || Object.getPrototypeOf(x) === null);

/** The tensors of a nested value, in a fixed order. */
export function tensorsIn(value: unknown, found: Tensor[] = []): Tensor[] {
  if (value instanceof Tensor) found.push(value);
  else if (Array.isArray(value)) { for (const x of value) tensorsIn(x, found); }
  else if (isPlain(value)) { for (const key of Object.keys(value)) tensorsIn(value[key], found); }
  return found;
}

/** A copy of a nested value with its tensors replaced, in the order of {@linkcode tensorsIn}. */
export function withTensors<T>(value: T, tensors: readonly Tensor[]): T {
  let next = 0;
  const copy = (x: unknown): unknown => {
    if (x instanceof Tensor) return tensors[next++];
    if (Array.isArray(x)) return x.map(copy);
    if (!isPlain(x)) return x;
    return Object.fromEntries(Object.keys(x).map((key) => [key, copy(x[key])]));
  };
  return copy(value) as T;
}

/** Whether two lists of tensors have the same shapes and dtypes. */
export function sameShapes(a: readonly Tensor[], b: readonly ShapeAndType[]): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) {
    if (a[i].dtype !== b[i].dtype || a[i].shape.length !== b[i].shape.length) return false;
    for (let d = 0; d < a[i].shape.length; d++) {
      if (a[i].shape[d] !== b[i].shape[d]) return false;
    }
  }
  return true;
}

/** The part of a tensor that a captured step depends on. */
export type ShapeAndType = Pick<Tensor, "shape" | "dtype">;

/** For people: `[32, 64] float32, [32] int64`. */
export function describeShapes(tensors: readonly ShapeAndType[]): string {
  return tensors.map((t) => `[${t.shape.join(", ")}] ${t.dtype}`).join(", ");
}

/**
 * The size of the first dimension of the first tensor.
 *
 * @throws {TypeError} When the batch holds no tensor with a dimension
 */
export function batchSizeOf(batch: Batch): number {
  const first = tensorsIn(batch).find((t) => t.ndim > 0);
  if (first !== undefined) return first.shape[0];
  throw new TypeError("Cannot find the size of a batch without a tensor of at least one dimension");
}

/**
 * Input and target of a batch.
 *
 * @throws {TypeError} When the batch is not an array of at least two
 */
export function pairOf(batch: Batch): [Tensor, Tensor] {
  if (Array.isArray(batch) && batch.length >= 2) return [batch[0], batch[1]];
  throw new TypeError(
    "Cannot take input and target from the batch: it must be an array [input, target], or override calculateTrainBatchLoss and calculateEvalBatchLoss",
  );
}

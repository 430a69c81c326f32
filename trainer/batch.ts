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
  /** Number of samples of the batch. */
  readonly batchSize: number;
  /**
   * What the loss is a mean over, when that is not the samples: the number of tokens that count, say. Windows, ranks and epochs are averaged with it; a
   * batch of weight 0 counts for nothing. A 0-d tensor is never read by the host; a number that does not follow from the shapes alone keeps the step
   * from being captured.
   */
  readonly weight?: number | Tensor;
  /** Whatever else the step returned. */
  readonly [key: string]: unknown;
}

/** Whether a value is an object whose members are looked at. */
export const isPlain = (x: unknown): x is Record<string, unknown> =>
  typeof x === "object" && x !== null &&
  (Object.getPrototypeOf(x) === Object.prototype || Object.getPrototypeOf(x) === null);

/** The tensors of a nested value, in a fixed order. */
export function tensorsIn(value: unknown, found: Tensor[] = []): Tensor[] {
  if (value instanceof Tensor) found.push(value);
  else if (Array.isArray(value)) { for (const x of value) tensorsIn(x, found); }
  else if (isPlain(value)) { for (const key of Object.keys(value)) tensorsIn(value[key], found); }
  return found;
}

/** Whether a nested value holds anything but tensors. */
export function hasOther(value: unknown): boolean {
  if (value instanceof Tensor) return false;
  if (Array.isArray(value)) return value.some(hasOther);
  return isPlain(value) ? Object.values(value).some(hasOther) : value !== undefined;
}

/** A nested value with its tensors on a device; the value itself when they are there. */
export function onDevice<T>(value: T, device: string): T {
  const tensors = tensorsIn(value);
  if (tensors.every((t) => t.device === device)) return value;
  return withTensors(value, tensors.map((t) => t.to(device)));
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

/** Whether batches have tensors of the same shapes and dtypes; a batch alone has. */
export function haveEqualShapes(batches: readonly Batch[]): boolean {
  if (batches.length === 1) return true;
  const [first, ...others] = batches.map((batch) => tensorsIn(batch));
  return others.every((tensors) => sameShapes(tensors, first));
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

/** Datasets. */
import { Tensor } from "../tensor/mod.ts";
import { randomPermutation } from "../rng.ts";
import { dtypeOf, gatherRows, HostField, isHostArray } from "./host_field.ts";
import type { HostArray } from "../dtype.ts";

/**
 * Numbered samples. A plain object with these two members will do:
 *
 * ```ts ignore
 * const dataset: Dataset = { length: 100, get: (i) => [new Float32Array([i]), BigInt(i % 2)] };
 * ```
 *
 * Samples are best made of numbers, typed arrays, and arrays or objects of these; a tensor belongs to the step scope it was made in.
 */
export interface Dataset<T = unknown> {
  /** Number of samples. */
  readonly length: number;
  /** The sample at an index from 0 to `length - 1`, or a promise of it. */
  get(index: number): T | Promise<T>;
  /** Several samples already joined, with host fields in place of tensors; used instead of `get` where there is no other collate function. */
  getBatch?(indices: ArrayLike<number>): unknown;
}

/** One field of a {@linkcode TensorDataset}: a tensor, an array of one number a sample, or an array with its shape. */
export type Field = Tensor | HostArray | HostField;

/**
 * Samples are the slices of tensors along their first dimension. Values are copied to the host once; a batch is one copy for each field.
 *
 * ```ts ignore
 * const dataset = new TensorDataset(images, labels);
 * ```
 */
export class TensorDataset implements Dataset<Tensor[]> {
  /** The values, on the host. */
  readonly fields: readonly HostField[];
  /** Number of samples. */
  readonly length: number;

  /**
   * Makes samples of the rows of fields of equal length.
   * @param fields Tensors or host arrays of one first size
   * @throws {TypeError} When there is no field, one has no dimension, or first sizes differ
   */
  constructor(...fields: Field[]) {
    if (fields.length === 0) throw new TypeError("Cannot make a TensorDataset of no tensors");
    this.fields = fields.map(toField);
    this.length = this.fields[0].shape[0];
    this.fields.forEach(({ shape }, i) => {
      if (shape.length === 0) {
        throw new TypeError(`Cannot use field ${i} as samples: it has no dimension`);
      }
      if (shape[0] !== this.length) {
        throw new TypeError(
          `Cannot join field ${i} of ${
            shape[0]
          } samples and field 0 of ${this.length}: first sizes differ`,
        );
      }
    });
  }

  /**
   * One slice of each field, as tensors.
   *
   * @throws {RangeError} When there is no such sample
   */
  get(index: number): Tensor[] {
    return this.fields.map((f) => {
      const { data, shape, dtype } = gatherRows(f, [index]);
      return new HostField(data, shape.slice(1), dtype).toTensor();
    });
  }

  /** The fields of several samples, as host fields. */
  getBatch(indices: ArrayLike<number>): HostField[] {
    return this.fields.map((f) => gatherRows(f, indices));
  }
}

function toField(field: Field): HostField {
  if (field instanceof HostField) return field;
  if (field instanceof Tensor) return new HostField(field.data(), field.shape, field.dtype);
  if (isHostArray(field)) return new HostField(field, [field.length], dtypeOf(field));
  throw new TypeError(
    `Cannot use ${typeof field} as a field of a dataset: it must be a tensor or a typed array`,
  );
}

/** Some samples of another dataset. */
export class Subset<T = unknown> implements Dataset<T> {
  /** The samples, as indices into the dataset. */
  readonly indices: ArrayLike<number>;
  /** Joined samples, where the dataset joins them itself. */
  readonly getBatch?: (indices: ArrayLike<number>) => unknown;

  /**
   * Picks samples of a dataset.
   * @param dataset Where the samples come from
   * @param indices Which ones, in this order
   * @throws {RangeError} When an index names no sample
   */
  constructor(readonly dataset: Dataset<T>, indices: ArrayLike<number>) {
    this.indices = indices;
    for (let i = 0; i < indices.length; i++) {
      const at = indices[i];
      if (!Number.isSafeInteger(at) || at < 0 || at >= dataset.length) {
        throw new RangeError(
          `Cannot take sample ${at} for a subset: the dataset has ${dataset.length}`,
        );
      }
    }
    if (dataset.getBatch !== undefined) {
      this.getBatch = (own) => dataset.getBatch!(Array.from(own, (i) => this.#at(i)));
    }
  }

  /** Number of samples. */
  get length(): number {
    return this.indices.length;
  }

  /**
   * The sample at a position of the subset.
   *
   * @throws {RangeError} When there is none
   */
  get(index: number): T | Promise<T> {
    return this.dataset.get(this.#at(index));
  }

  #at(index: number): number {
    const at = this.indices[index];
    if (at === undefined) {
      throw new RangeError(`Cannot take sample ${index}: the subset has ${this.length}`);
    }
    return at;
  }
}

/** Datasets one after the other. */
export class ConcatDataset<T = unknown> implements Dataset<T> {
  readonly #ends: number[] = [];
  /** The datasets. */
  readonly datasets: readonly Dataset<T>[];

  /**
   * Joins datasets end to end.
   * @throws {TypeError} When there is no dataset
   */
  constructor(datasets: Iterable<Dataset<T>>) {
    this.datasets = [...datasets];
    if (this.datasets.length === 0) throw new TypeError("Cannot concatenate no datasets");
    for (const { length } of this.datasets) this.#ends.push(this.length + length);
  }

  /** Number of samples. */
  get length(): number {
    return this.#ends.at(-1) ?? 0;
  }

  /**
   * The sample at a position of the whole.
   *
   * @throws {RangeError} When there is none
   */
  get(index: number): T | Promise<T> {
    const i = index < 0 ? -1 : this.#ends.findIndex((end) => index < end);
    if (i < 0) {
      throw new RangeError(`Cannot take sample ${index}: the datasets have ${this.length}`);
    }
    return this.datasets[i].get(i === 0 ? index : index - this.#ends[i - 1]);
  }
}

/** Options of {@linkcode randomSplit}. */
export interface RandomSplitOptions {
  /** The same seed gives the same split; 0 by default. */
  readonly seed?: number;
}

/**
 * Splits a dataset at random into subsets that do not overlap.
 *
 * @param dataset What to split
 * @param lengths Numbers of samples that sum to the length, or fractions that sum to 1; what rounding leaves goes to the first subsets
 * @param options The seed
 * @returns One subset for each length
 * @throws {RangeError} When the lengths sum to something else
 */
export function randomSplit<T>(
  dataset: Dataset<T>,
  lengths: readonly number[],
  options: RandomSplitOptions = {},
): Subset<T>[] {
  const sum = lengths.reduce((a, b) => a + b, 0), { length } = dataset;
  const isFractions = Math.abs(sum - 1) < 1e-9 && lengths.every((x) => x >= 0 && x <= 1);
  const counts = isFractions && !(length === 1 && lengths.every(Number.isInteger))
    ? lengths.map((x) => Math.floor(x * length + 1e-9))
    : [...lengths];
  if (isFractions) {
    let left = length - counts.reduce((a, b) => a + b, 0);
    for (let i = 0; left > 0; i = (i + 1) % counts.length, left--) counts[i]++;
  }
  if (
    counts.some((x) => !Number.isSafeInteger(x) || x < 0) ||
    counts.reduce((a, b) => a + b, 0) !== length
  ) {
    throw new RangeError(
      `Cannot split ${length} samples into [${
        lengths.join(", ")
      }]: lengths must sum to ${length}, fractions to 1`,
    );
  }
  const order = randomPermutation(length, options.seed ?? 0, 0);
  let start = 0;
  return counts.map((count) => new Subset(dataset, order.subarray(start, start += count)));
}

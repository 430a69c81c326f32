/** The order of samples. Every order is a pure function of its options and the epoch. */
import { randomPermutation } from "../rng.ts";

/** Gives the indices of one epoch. */
export interface Sampler<T = number> extends Iterable<T> {
  /** Number of items that one pass gives. */
  readonly length: number;
  /** Says which epoch the next pass belongs to, counted from 0. */
  setEpoch?(epoch: number): void;
}

/** What samplers need to know of a dataset: its length, or something that has one. */
export type Sized = number | { readonly length: number };

const sizeOf = (data: Sized): number => typeof data === "number" ? data : data.length;

/** All samples in order. */
export class SequentialSampler implements Sampler {
  /** Number of samples. */
  readonly length: number;

  /**
   * Visits everything in order.
   * @param data A dataset, or its length
   */
  constructor(data: Sized) {
    this.length = sizeOf(data);
  }

  /** 0, 1, 2, ... */
  *[Symbol.iterator](): Generator<number> {
    for (let i = 0; i < this.length; i++) yield i;
  }
}

/** All samples in an order drawn anew for each epoch. */
export class RandomSampler implements Sampler {
  /** Number of samples. */
  readonly length: number;
  /** Seed of all orders. */
  readonly seed: number;
  #epoch = 0;

  /**
   * Visits everything in an order that depends on seed and epoch alone.
   * @param data A dataset, or its length
   * @param options `seed`: 0 by default
   */
  constructor(data: Sized, options: { seed?: number } = {}) {
    this.length = sizeOf(data);
    this.seed = options.seed ?? 0;
  }

  /** Says which epoch comes. */
  setEpoch(epoch: number): void {
    this.#epoch = epoch;
  }

  /** The order of the epoch. */
  [Symbol.iterator](): Iterator<number> {
    return randomPermutation(this.length, this.seed, this.#epoch)[Symbol.iterator]();
  }
}

/** Options of {@linkcode DistributedSampler}. */
export interface DistributedSamplerOptions {
  /** This process's number. */
  readonly rank: number;
  /** Number of processes. */
  readonly worldSize: number;
  /** Whether to draw a new order each epoch; true by default. */
  readonly shuffle?: boolean;
  /** Seed of all orders, the same on all ranks; 0 by default. */
  readonly seed?: number;
  /**
   * What happens when the samples do not divide evenly: `exact` (default) gives each sample once, so that some ranks have one less; `pad`
   * gives every rank as many by repeating the first ones, PyTorch's default; `drop` leaves the last ones out.
   */
  readonly uneven?: "exact" | "pad" | "drop";
}

/** Every `worldSize`-th sample, beginning at `rank`, of an order that all ranks share. */
export class DistributedSampler implements Sampler {
  /** Samples of this rank. */
  readonly length: number;
  /** Options in force. */
  readonly options: Readonly<Required<DistributedSamplerOptions>>;
  readonly #size: number;
  #epoch = 0;

  /**
   * Visits one rank's share.
   * @param data A dataset, or its length
   * @param options Rank, world size, shuffling
   * @throws {RangeError} When the rank is not below the world size
   */
  constructor(data: Sized, options: DistributedSamplerOptions) {
    const { rank, worldSize } = options;
    if (
      !(Number.isSafeInteger(worldSize) && Number.isSafeInteger(rank) && rank >= 0 &&
        rank < worldSize)
    ) {
      throw new RangeError(
        `Cannot sample for rank ${rank} of ${worldSize}: ranks are 0 to the world size less 1`,
      );
    }
    this.options = { shuffle: true, seed: 0, uneven: "exact", ...options };
    this.#size = sizeOf(data);
    const lengths: Record<Required<DistributedSamplerOptions>["uneven"], () => number> = {
      exact: () => Math.max(0, Math.ceil((this.#size - rank) / worldSize)),
      pad: () => Math.ceil(this.#size / worldSize),
      drop: () => Math.floor(this.#size / worldSize),
    };
    this.length = lengths[this.options.uneven]();
  }

  /** Says which epoch comes. */
  setEpoch(epoch: number): void {
    this.#epoch = epoch;
  }

  /** This rank's part of the order of the epoch. */
  *[Symbol.iterator](): Generator<number> {
    const { rank, worldSize, shuffle, seed } = this.options, size = this.#size;
    const order = shuffle ? randomPermutation(size, seed, this.#epoch) : undefined;
    for (let k = 0; k < this.length; k++) {
      const at = (k * worldSize + rank) % size;
      yield order === undefined ? at : order[at];
    }
  }
}

/** Joins the indices of a sampler to batches. */
export class BatchSampler implements Sampler<number[]> {
  /**
   * Groups what a sampler visits into batches.
   * @param sampler Indices
   * @param batchSize Indices in a batch
   * @param dropLast Whether a last batch that is not full is left out
   * @throws {RangeError} When the batch size is not a whole number of at least 1
   */
  constructor(
    readonly sampler: Sampler,
    readonly batchSize: number,
    readonly dropLast: boolean = false,
  ) {
    if (!Number.isSafeInteger(batchSize) || batchSize < 1) {
      throw new RangeError(
        `Cannot make batches of ${batchSize} samples: it must be a whole number of at least 1`,
      );
    }
  }

  /** Number of batches. */
  get length(): number {
    const batches = this.sampler.length / this.batchSize;
    return this.dropLast ? Math.floor(batches) : Math.ceil(batches);
  }

  /** Says which epoch comes. */
  setEpoch(epoch: number): void {
    this.sampler.setEpoch?.(epoch);
  }

  /** The batches of an epoch. */
  *[Symbol.iterator](): Generator<number[]> {
    let batch: number[] = [];
    for (const index of this.sampler) {
      batch.push(index);
      if (batch.length < this.batchSize) continue;
      yield batch;
      batch = [];
    }
    if (batch.length > 0 && !this.dropLast) yield batch;
  }
}

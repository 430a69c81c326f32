/** Batches of data that come one after the other, as from a file, a socket or a generator. */
import { type Collate, data } from "@pta/core";
import type { Batch } from "./batch.ts";
import type { BatchLoader } from "./batch_source.ts";
import { checkCount } from "./run_config.ts";

/** Samples that can only be gone through. Each pass starts anew: an object with an iterator method, not a generator that is used up. */
export interface IterableDataset<T = unknown> {
  /** Samples of a pass, when known; then nothing is read ahead. */
  readonly length?: number;
  /** Whether each rank already goes through samples of its own, `length` of them. Otherwise all go through all, and each uses every worldSize-th. */
  readonly isSharded?: boolean;
  /** Tells which epoch comes. */
  setEpoch?(epoch: number): void;
  /** Where the pass stands: plain data from which it goes on. Without it, a run that goes on reads again what it had read. */
  stateDict?(): unknown;
  /** The next pass begins where the state was taken. */
  // Each dataset names the type of its own state.
  // deno-lint-ignore no-explicit-any
  loadStateDict?(state: any): void;
  /** Goes through the samples. */
  [Symbol.asyncIterator]?(): AsyncIterator<T>;
  /** Goes through the samples. */
  [Symbol.iterator]?(): Iterator<T>;
}

/** Options of {@linkcode StreamLoader}. */
export interface StreamLoaderOptions {
  /** Samples in a batch of this rank; 1 by default. */
  readonly batchSize?: number;
  /** Whether a last batch that is not full on every rank is left out; false by default. */
  readonly dropLast?: boolean;
  /** Joins samples to a batch; by what they are made of when left out. */
  readonly collate?: Collate;
  /** This process's number; 0 by default. */
  readonly rank?: number;
  /** Number of processes; 1 by default. */
  readonly worldSize?: number;
}

/** Where a pass of a {@linkcode StreamLoader} stands. */
export interface StreamState {
  /** Batches of the epoch that were used. */
  readonly batches: number;
  /** Whether no sample is left. */
  readonly isOver: boolean;
  /** Of the dataset, when samples are left. */
  readonly dataset: unknown;
}

/** Whether a dataset has no numbered samples but an iterator. */
export function isIterableDataset(dataset: unknown): dataset is IterableDataset {
  const d = dataset as Partial<IterableDataset> & { get?: unknown } | undefined;
  return typeof d?.get !== "function" &&
    (typeof d?.[Symbol.asyncIterator] === "function" || typeof d?.[Symbol.iterator] === "function");
}

/** Batches of an {@linkcode IterableDataset}, asynchronous or not, of known or unknown length. */
export class StreamLoader implements BatchLoader {
  /** Where samples come from. */
  readonly dataset: IterableDataset;
  /** What is saved of the data, where the dataset says where it stands. */
  readonly stateDict?: (batches: number) => unknown;
  readonly #options: Required<Omit<StreamLoaderOptions, "collate">>;
  readonly #collate: Collate;
  readonly #states: Map<number, StreamState> = new Map();
  #start = 0;
  #placed: StreamState | undefined;
  #first: unknown;

  /**
   * Makes a loader; nothing is read yet.
   * @param dataset Samples to go through
   * @param options Batch size, joining, ranks
   * @throws {RangeError} When the batch size is not a whole number of at least 1
   */
  constructor(dataset: IterableDataset, options: StreamLoaderOptions = {}) {
    const { collate = data.defaultCollate, ...rest } = options;
    this.dataset = dataset;
    this.#collate = collate as Collate;
    this.#options = { batchSize: 1, dropLast: false, rank: 0, worldSize: 1, ...rest };
    checkCount("batchSize", this.#options.batchSize);
    if (dataset.stateDict !== undefined && dataset.loadStateDict !== undefined) {
      this.stateDict = (batches) => this.#stateAt(batches);
    }
  }

  /** Batches of an epoch on this rank, when the dataset knows its length. */
  get length(): number | undefined {
    const { batchSize, dropLast, rank, worldSize } = this.#options, { length } = this.dataset;
    if (length === undefined) return undefined;
    const ranks = this.dataset.isSharded ? 1 : worldSize, own = this.dataset.isSharded ? 0 : rank;
    if (dropLast) return Math.floor(length / (batchSize * ranks));
    return Math.ceil(Math.max(0, Math.ceil((length - own) / ranks)) / batchSize);
  }

  /** Tells the dataset which epoch comes. */
  setEpoch(epoch: number): void {
    if (this.#placed === undefined) this.dataset.setEpoch?.(epoch);
  }

  /** The next pass leaves out the samples of so many batches; they are read, but not joined. */
  startAt(batch: number): void {
    this.#start = batch;
  }

  #stateAt(batches: number): unknown {
    if (batches === 0) return undefined;
    if (!this.#states.has(batches)) {
      throw new RangeError(`Cannot tell where the data stood after ${batches} batches`);
    }
    return this.#states.get(batches);
  }

  /** The next pass begins where the state was taken. */
  loadStateDict(state: StreamState | undefined): void {
    if (state === undefined) return;
    if (!state.isOver) this.dataset.loadStateDict!(state.dataset);
    this.#placed = state;
  }

  /** The batch of one sample, for a rank that has none; read once. */
  async filler(): Promise<Batch> {
    if (this.#first === undefined) {
      const iterator = this.#iterate();
      const { done, value } = await iterator.next();
      await iterator.return?.();
      if (done) throw new RangeError("Cannot make a batch: the dataset has no samples");
      this.#first = value;
    }
    return this.#collate([this.#first]);
  }

  #iterate(): AsyncIterator<unknown> | Iterator<unknown> {
    const { dataset } = this;
    return dataset[Symbol.asyncIterator]?.() ?? dataset[Symbol.iterator]!();
  }

  /** The batches of the next epoch. */
  [Symbol.asyncIterator](): AsyncGenerator<Batch, void, void> {
    const start = this.#start, placed = this.#placed;
    this.#start = 0;
    this.#placed = undefined;
    return this.#pass(start, placed);
  }

  async *#pass(
    start: number,
    placed: StreamState | undefined,
  ): AsyncGenerator<Batch, void, void> {
    if (placed?.isOver) return;
    const { batchSize, dropLast, rank, worldSize } = this.#options;
    const ranks = this.dataset.isSharded ? 1 : worldSize, own = this.dataset.isSharded ? 0 : rank;
    const iterator = this.#iterate();
    let toSkip = start * batchSize * ranks, batches = placed?.batches ?? start;
    this.#states.clear();
    try {
      for (let isEnd = false; !isEnd;) {
        // A batch of every rank: all read the same samples, so all know how many there are.
        const mine: unknown[] = [];
        let n = 0;
        while (n < batchSize * ranks) {
          const { done, value } = await iterator.next();
          if (done) {
            isEnd = true;
            break;
          }
          if (toSkip > 0) toSkip--;
          else if (n++ % ranks === own) mine.push(value);
        }
        if (mine.length === 0 || (dropLast && n < batchSize * ranks)) return;
        batches++;
        if (this.stateDict !== undefined) this.#remember(batches, isEnd);
        yield this.#collate(mine);
      }
    } finally {
      await iterator.return?.();
    }
  }

  #remember(batches: number, isOver: boolean): void {
    // A dataset that has come to its end may stand at its beginning again.
    this.#states.set(batches, {
      batches,
      isOver,
      dataset: isOver ? null : this.dataset.stateDict!(),
    });
    // The trainer reads one batch ahead at most.
    this.#states.delete(batches - 3);
  }
}

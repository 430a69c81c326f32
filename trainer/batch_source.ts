/** The batches of one epoch, the same number on every rank. */
import { stepScope } from "@pta/core";
import type { Batch } from "./batch.ts";

/** What the trainer needs of a loader; `DataLoader` has it, and so has an array of batches. */
export interface BatchLoader {
  /** Batches of an epoch on this rank, when known. */
  readonly length?: number;
  /** Tells the loader which epoch comes, so that it shuffles anew. */
  setEpoch?(epoch: number): void;
  /** Tells the loader at which batch the next pass, and only that, begins, so that it need not read those before. */
  startAt?(batch: number): void;
  /** Goes through the batches of an epoch. */
  [Symbol.asyncIterator]?(): AsyncIterator<Batch>;
  /** Goes through the batches of an epoch. */
  [Symbol.iterator]?(): Iterator<Batch>;
}

const iterate = (loader: BatchLoader): AsyncIterator<Batch> | Iterator<Batch> => {
  const iterator = loader[Symbol.asyncIterator]?.() ?? loader[Symbol.iterator]?.();
  if (iterator !== undefined) return iterator;
  throw new TypeError("Cannot iterate over the data loader: it has no iterator");
};

/** Options of {@linkcode BatchSource}. */
export interface BatchSourceOptions {
  /** 0-based. */
  readonly epoch?: number;
  /** Batches on every rank. */
  readonly length?: number;
  /** Whether this rank may have fewer. */
  readonly fills?: boolean;
  /** The first batch to give. */
  readonly start?: number;
}

/** Gives `length` batches when that is known, else all that the loader has. */
export class BatchSource implements AsyncDisposable {
  readonly #loader: BatchLoader;
  readonly #length: number;
  readonly #fills: boolean;
  readonly #iterator: AsyncIterator<Batch> | Iterator<Batch>;
  readonly #epoch: number | undefined;
  #given: number;
  #toDrop = 0;
  #isEmpty = false;

  /**
   * @param loader Where the batches come from
   * @param options `epoch`: 0-based; `length`: batches on every rank; `fills`: whether this rank may have fewer; `start`: the first batch to give
   */
  constructor(loader: BatchLoader, options: BatchSourceOptions = {}) {
    const { epoch, start = 0 } = options;
    if (epoch !== undefined) loader.setEpoch?.(epoch);
    if (start > 0 && loader.startAt !== undefined) loader.startAt(start);
    else this.#toDrop = start;
    this.#loader = loader;
    this.#epoch = epoch;
    this.#length = options.length ?? Infinity;
    this.#fills = options.fills ?? false;
    this.#given = start;
    this.#iterator = iterate(loader);
  }

  /** Reads the batches that come before the first one to give. */
  async #drop(): Promise<void> {
    for (; this.#toDrop > 0; this.#toDrop--) {
      using _scope = stepScope();
      const { done } = await this.#iterator.next();
      if (done) return;
    }
  }

  /**
   * The next batch, or `undefined` after the last. A rank whose own batches are used up gets the first one again, marked as a filler: it
   * computes what the others compute, and weighs nothing.
   */
  async next(): Promise<{ batch: Batch; isFiller: boolean } | undefined> {
    if (this.#given >= this.#length) return undefined;
    if (this.#toDrop > 0) await this.#drop();
    this.#given++;
    if (!this.#isEmpty) {
      const { done, value } = await this.#iterator.next();
      if (!done) return { batch: value, isFiller: false };
      this.#isEmpty = true;
    }
    if (this.#length === Infinity) return undefined;
    if (!this.#fills) {
      throw new RangeError(
        `Cannot go on: the loader says it has ${this.#length} batches but gave ${this.#given - 1}`,
      );
    }
    // The same one each time, whatever was read before.
    if (this.#epoch !== undefined) this.#loader.setEpoch?.(this.#epoch);
    const again = iterate(this.#loader);
    const { done, value } = await again.next();
    await again.return?.();
    if (done) throw new RangeError("Cannot train on a loader without batches");
    return { batch: value, isFiller: true };
  }

  /** Closes the loader's iterator. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#iterator.return?.();
  }
}

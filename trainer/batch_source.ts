/** The batches of one epoch, the same number on every rank. */
import { type Scope, stepScope } from "@pta/core";
import type { Batch } from "./batch.ts";

/** What the trainer needs of a loader; `DataLoader` has it, and so has an array of batches. */
export interface BatchLoader {
  /** Batches of an epoch on this rank, when known. */
  readonly length?: number;
  /** Tells the loader which epoch comes, so that it shuffles anew. */
  setEpoch?(epoch: number): void;
  /** Tells the loader at which batch the next pass, and only that, begins, so that it need not read those before. */
  startAt?(batch: number): void;
  /** Any batch, for a rank that has none of its own. */
  filler?(): Batch | Promise<Batch>;
  /**
   * What a pass that begins after so many batches needs; the loader may have read further. A loader that has this is saved with the run.
   *
   * @param batches Batches of the epoch that were used
   */
  stateDict?(batches: number): unknown;
  /** Takes over what `stateDict` gave: the next pass begins there, and `startAt` is not called. */
  loadStateDict?(state: unknown): void;
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
  /** Batches on every rank. When it is unknown the source reads one batch ahead, to tell which is the last. */
  readonly length?: number;
  /** Batches at most, known or not how many there are. */
  readonly limit?: number;
  /** The first batch to give. */
  readonly start?: number;
  /** Whether something holds on any rank; left out when there is one. A rank that has fewer batches than the others fills up. */
  readonly agree?: (condition: boolean) => boolean;
  /** Whether the loader's own state says where it begins, so that it need not be told. */
  readonly isPlaced?: boolean;
}

/** A batch, and how it stands among the others. */
export interface SourceBatch {
  readonly batch: Batch;
  /** Whether it only keeps this rank in step with the others, and counts for nothing. */
  readonly isFiller: boolean;
  /** Whether no batch follows on any rank. */
  readonly isLast: boolean;
}

interface Read {
  readonly batch: Batch;
  readonly scope: Scope | undefined;
}

/**
 * Gives the batches of an epoch. A rank whose own batches are used up gets one again, marked as a filler: it computes what the others compute, and
 * weighs nothing.
 */
export class BatchSource implements AsyncDisposable {
  readonly #loader: BatchLoader;
  readonly #options: BatchSourceOptions;
  readonly #length: number;
  readonly #knows: boolean;
  readonly #iterator: AsyncIterator<Batch> | Iterator<Batch>;
  #given: number;
  #toDrop = 0;
  #mustTouch = false;
  #isEmpty = false;
  #ahead: Read | undefined;
  #current: Read | undefined;

  /**
   * @param loader Where the batches come from
   * @param options Epoch, number of batches, the first one, the other ranks
   */
  constructor(loader: BatchLoader, options: BatchSourceOptions = {}) {
    const { epoch, start = 0, length, limit = Infinity, isPlaced = false } = options;
    if (epoch !== undefined) loader.setEpoch?.(epoch);
    if (start > 0 && !isPlaced) {
      if (loader.startAt !== undefined) loader.startAt(start);
      else this.#toDrop = start;
    }
    this.#loader = loader;
    this.#options = options;
    this.#knows = length !== undefined;
    this.#length = Math.min(length ?? Infinity, limit);
    this.#given = start;
    // A loader that has been placed at the end must be asked once, or its next pass would begin there.
    this.#mustTouch = isPlaced && start >= this.#length;
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

  /** The next batch, or `undefined` after the last. The one before may be gone then. */
  async next(): Promise<SourceBatch | undefined> {
    if (this.#mustTouch) await this.#iterator.next();
    this.#mustTouch = false;
    if (this.#given >= this.#length) return undefined;
    if (this.#toDrop > 0) await this.#drop();
    return await (this.#knows ? this.#nextOfKnown() : this.#nextOfUnknown());
  }

  async #nextOfKnown(): Promise<SourceBatch> {
    const isLast = ++this.#given >= this.#length;
    if (!this.#isEmpty) {
      const { done, value } = await this.#iterator.next();
      if (!done) return { batch: value, isFiller: false, isLast };
      this.#isEmpty = true;
    }
    if (this.#options.agree === undefined) {
      throw new RangeError(
        `Cannot go on: the loader says it has ${this.#length} batches but gave ${this.#given - 1}`,
      );
    }
    return { batch: await this.#filler(), isFiller: true, isLast };
  }

  async #nextOfUnknown(): Promise<SourceBatch | undefined> {
    const { agree } = this.#options;
    if (this.#ahead === undefined && !this.#isEmpty) this.#ahead = await this.#read();
    const own = this.#ahead;
    this.#ahead = undefined;
    if (agree === undefined ? own === undefined : !agree(own !== undefined)) return undefined;
    if (own !== undefined) {
      this.#current?.scope?.[Symbol.dispose]();
      this.#current = own;
    }
    const isLimit = ++this.#given >= this.#length;
    if (!isLimit && !this.#isEmpty) this.#ahead = await this.#read();
    const hasNext = this.#ahead !== undefined;
    const isLast = isLimit || !(agree === undefined ? hasNext : agree(hasNext));
    const batch = this.#current === undefined ? await this.#filler() : this.#current.batch;
    return { batch, isFiller: own === undefined, isLast };
  }

  /** A batch read ahead belongs to a scope of its own, since the step that uses it has not begun. */
  async #read(): Promise<Read | undefined> {
    const scope = stepScope();
    try {
      const { done, value } = await this.#iterator.next();
      if (!done) return { batch: value, scope };
      this.#isEmpty = true;
    } finally {
      scope.leave();
    }
    scope[Symbol.dispose]();
    return undefined;
  }

  async #filler(): Promise<Batch> {
    if (this.#loader.filler !== undefined) return await this.#loader.filler();
    // The same one each time, whatever was read before.
    if (this.#options.epoch !== undefined) this.#loader.setEpoch?.(this.#options.epoch);
    const again = iterate(this.#loader);
    const { done, value } = await again.next();
    await again.return?.();
    if (!done) return value;
    throw new RangeError(
      "Cannot keep in step with the other ranks: the loader gives this rank no batch, and has no filler",
    );
  }

  /** Closes the loader's iterator. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#ahead?.scope?.[Symbol.dispose]();
    this.#current?.scope?.[Symbol.dispose]();
    await this.#iterator.return?.();
  }
}

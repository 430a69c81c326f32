/** The data loader. */
import { type Collate, collateHost, toTensors } from "./collate.ts";
import type { Dataset } from "./dataset.ts";
import { BatchSampler, RandomSampler, type Sampler, SequentialSampler } from "./sampler.ts";

/** Options of {@linkcode DataLoader}. */
export interface DataLoaderOptions {
  /** Samples in a batch; 1 by default. */
  readonly batchSize?: number;
  /** Whether to draw a new order each epoch; false by default. */
  readonly shuffle?: boolean;
  /** Seed of the orders; 0 by default. */
  readonly seed?: number;
  /** The order of samples, instead of `shuffle`. */
  readonly sampler?: Sampler;
  /** The batches of indices, instead of `batchSize`, `shuffle`, `sampler` and `dropLast`. */
  readonly batchSampler?: Sampler<readonly number[]>;
  /** Whether a last batch that is not full is left out; false by default. */
  readonly dropLast?: boolean;
  /** Joins samples to a batch; {@linkcode defaultCollate} when left out. */
  readonly collate?: Collate;
  /** Batches being fetched ahead when `get` of the dataset is asynchronous; 2 by default. */
  readonly prefetch?: number;
}

/** A batch fetched on the host; `finish` makes its tensors, in the step scope of whoever takes it. */
interface Fetched {
  finish(): unknown;
}

/** Raises an error of a dataset again, in its class as far as that is a built-in one, and says which sample it was. */
function failedAt(index: number, error: unknown): never {
  const message = error instanceof Error ? error.message : String(error);
  const Kind = [TypeError, RangeError].find((kind) => error instanceof kind) ?? Error;
  throw new Kind(`${message} (sample ${index} of the dataset)`, { cause: error });
}

/**
 * The batches of a dataset, epoch after epoch. Which samples they hold is a pure function of seed and epoch. The epoch starts at 0 and
 * advances with each pass; `setEpoch()` says it outright.
 *
 * ```ts ignore
 * const loader = new DataLoader(dataset, { batchSize: 32, shuffle: true, seed: 1 });
 * for await (const [x, y] of loader) step(x, y);
 * ```
 *
 * Tensors are made when a batch is taken, never ahead, so they belong to the step scope of the step that uses them. A dataset whose `get`
 * returns promises has `prefetch` batches under way; others can also be iterated over without `await`. An error of `get` is raised with the index of
 * the sample behind its message, the error itself as its `cause`.
 */
// The dataset decides what a batch is; a loop may name it: `new DataLoader<[Tensor, Tensor]>(...)`.
// deno-lint-ignore no-explicit-any
export class DataLoader<B = any> {
  /** Where samples come from. */
  readonly dataset: Dataset;
  /** Which samples make the batches. */
  readonly batchSampler: Sampler<readonly number[]>;
  readonly #collate: Collate | undefined;
  readonly #prefetch: number;
  #epoch = 0;
  #start = 0;

  /**
   * Makes a loader; nothing is read yet.
   * @param dataset Samples by index
   * @param options Batch size, order, joining
   * @throws {RangeError} When a number is out of range
   * @throws {TypeError} When options exclude each other or the dataset has no `get` or `length`
   */
  constructor(dataset: Dataset, options: DataLoaderOptions = {}) {
    const { batchSize = 1, shuffle, seed = 0, sampler, batchSampler, dropLast = false } = options;
    if (typeof dataset?.get !== "function" || !Number.isSafeInteger(dataset.length)) {
      throw new TypeError(
        "Cannot load from this dataset: it must have a length and a method get(index)",
      );
    }
    if (sampler !== undefined && shuffle !== undefined) {
      throw new TypeError("Cannot use both sampler and shuffle: the sampler decides the order");
    }
    const given = ["batchSize", "shuffle", "sampler", "dropLast"] as const;
    const excluded = given.find((key) => options[key] !== undefined);
    if (batchSampler !== undefined && excluded !== undefined) {
      throw new TypeError(
        `Cannot use both batchSampler and ${excluded}: the batchSampler decides the batches`,
      );
    }
    this.#prefetch = options.prefetch ?? 2;
    if (!Number.isSafeInteger(this.#prefetch) || this.#prefetch < 1) {
      throw new RangeError(
        `Cannot prefetch ${this.#prefetch} batches: it must be a whole number of at least 1`,
      );
    }
    this.dataset = dataset;
    this.#collate = options.collate;
    const order = sampler ??
      (shuffle ? new RandomSampler(dataset, { seed }) : new SequentialSampler(dataset));
    this.batchSampler = batchSampler ?? new BatchSampler(order, batchSize, dropLast);
  }

  /** Number of batches of an epoch. */
  get length(): number {
    return this.batchSampler.length;
  }

  /** Epoch of the next pass. */
  get epoch(): number {
    return this.#epoch;
  }

  /**
   * Says which epoch the next pass belongs to.
   *
   * @throws {RangeError} When it is not a whole number of at least 0
   */
  setEpoch(epoch: number): void {
    if (!Number.isSafeInteger(epoch) || epoch < 0) {
      throw new RangeError(
        `Cannot set the epoch to ${epoch}: it must be a whole number of at least 0`,
      );
    }
    this.#epoch = epoch;
  }

  /**
   * Says at which batch the next pass, and only that, begins. Samples before it are not read.
   *
   * @throws {RangeError} When it is not a whole number of at least 0
   */
  startAt(batch: number): void {
    if (!Number.isSafeInteger(batch) || batch < 0) {
      throw new RangeError(
        `Cannot start at batch ${batch}: it must be a whole number of at least 0`,
      );
    }
    this.#start = batch;
  }

  #batches(start: number): Iterator<readonly number[]> {
    this.batchSampler.setEpoch?.(this.#epoch++);
    const batches = this.batchSampler[Symbol.iterator]();
    for (let i = 0; i < start; i++) batches.next();
    return batches;
  }

  // Taken when a pass is asked for, not at its first batch: it may never be asked for one.
  #takeStart(): number {
    const start = this.#start;
    this.#start = 0;
    return start;
  }

  #sample(index: number): unknown {
    try {
      const sample = this.dataset.get(index);
      return sample instanceof Promise ? sample.catch((error) => failedAt(index, error)) : sample;
    } catch (error) {
      return failedAt(index, error);
    }
  }

  /** Fetches samples now, or a promise of them when the dataset is asynchronous. */
  #fetch(indices: readonly number[]): Fetched | Promise<Fetched> {
    const { dataset } = this, collate = this.#collate;
    if (collate === undefined && dataset.getBatch !== undefined) {
      const joined = dataset.getBatch(indices);
      const finish = (batch: unknown): Fetched => ({ finish: () => toTensors(batch) });
      return joined instanceof Promise ? joined.then(finish) : finish(joined);
    }
    const samples = indices.map((i) => this.#sample(i));
    const join = (all: unknown[]): Fetched => {
      if (collate !== undefined) return { finish: () => collate(all) };
      const batch = collateHost(all);
      return { finish: () => toTensors(batch) };
    };
    return samples.some((s) => s instanceof Promise)
      ? Promise.all(samples).then(join)
      : join(samples);
  }

  /**
   * Batches of the next epoch, of a dataset that is not asynchronous.
   *
   * @throws {TypeError} When the dataset returns promises
   */
  [Symbol.iterator](): Generator<B, void, void> {
    return this.#pass(this.#takeStart());
  }

  *#pass(start: number): Generator<B, void, void> {
    const batches = this.#batches(start);
    for (let next = batches.next(); !next.done; next = batches.next()) {
      const fetched = this.#fetch(next.value);
      if (fetched instanceof Promise) {
        fetched.catch(() => {});
        throw new TypeError("Cannot iterate over asynchronous data with for: use for await");
      }
      yield fetched.finish() as B;
    }
  }

  /** Batches of the next epoch. */
  [Symbol.asyncIterator](): AsyncGenerator<B, void, void> {
    return this.#passAsync(this.#takeStart());
  }

  async *#passAsync(start: number): AsyncGenerator<B, void, void> {
    const batches = this.#batches(start), ahead: Promise<Fetched>[] = [];
    for (;;) {
      while (ahead.length < this.#prefetch) {
        const next = batches.next();
        if (next.done) break;
        const fetched = this.#fetch(next.value);
        if (!(fetched instanceof Promise)) {
          yield fetched.finish() as B;
          continue;
        }
        // A failure is raised when its batch is due; until then nobody listens.
        fetched.catch(() => {});
        ahead.push(fetched);
      }
      const due = ahead.shift();
      if (due === undefined) return;
      yield (await due).finish() as B;
    }
  }
}

/** Loaders that give each rank its share. */
import { data } from "@pta/core";
import type { Batch } from "./batch.ts";
import type { BatchLoader } from "./batch_source.ts";
import { isIterableDataset, type IterableDataset, StreamLoader } from "./stream_loader.ts";

/** Which rank of how many. */
export interface Place {
  readonly rank: number;
  readonly worldSize: number;
}

/** A data loader with a batch for a rank that has none. */
class RankLoader extends data.DataLoader<Batch> {
  readonly #options: data.DataLoaderOptions;

  constructor(dataset: data.Dataset, options: data.DataLoaderOptions) {
    super(dataset, options);
    this.#options = options;
  }

  /** The batch of the first sample. */
  async filler(): Promise<Batch> {
    const { collate } = this.#options;
    const one = new data.DataLoader<Batch>(new data.Subset(this.dataset, [0]), { collate });
    for await (const batch of one) return batch;
  }
}

/**
 * A loader of this rank's samples. With several ranks each has every worldSize-th sample of one common order, so that together they see the
 * batches that one process with their common batch size would see. A sampler or batch sampler of the user's decides by itself.
 *
 * @param dataset Numbered samples, or some that can be gone through
 * @param options Those of the loader
 * @param place Where this process stands
 * @throws {TypeError} When the order of data is asked for that only can be gone through
 */
export function createLoader(
  dataset: data.Dataset | IterableDataset,
  options: Partial<data.DataLoaderOptions>,
  place: Place,
): BatchLoader {
  const { batchSize, shuffle, seed = 0, ...rest } = options;
  const { rank, worldSize } = place;
  if (isIterableDataset(dataset)) return streamLoader(dataset, options, place);
  if (rest.batchSampler !== undefined) return new RankLoader(dataset, rest);
  if (rest.sampler !== undefined) return new RankLoader(dataset, { batchSize, ...rest });
  const order = worldSize > 1
    ? { sampler: new data.DistributedSampler(dataset, { rank, worldSize, shuffle, seed }) }
    : { shuffle, seed };
  return new RankLoader(dataset, { batchSize, ...order, ...rest });
}

function streamLoader(
  dataset: IterableDataset,
  options: Partial<data.DataLoaderOptions>,
  { rank, worldSize }: Place,
): StreamLoader {
  const ordered = (["sampler", "batchSampler"] as const).find((key) => options[key] !== undefined);
  if (ordered !== undefined) {
    throw new TypeError(
      `Cannot use a ${ordered} with an iterable dataset: it has no numbered samples, and an order of its own`,
    );
  }
  const { batchSize, dropLast, collate } = options;
  return new StreamLoader(dataset, {
    rank,
    worldSize,
    ...(batchSize === undefined ? {} : { batchSize }),
    ...(dropLast === undefined ? {} : { dropLast }),
    ...(collate === undefined ? {} : { collate }),
  });
}

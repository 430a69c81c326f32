/** Loaders that give each rank its share. */
import { data } from "@pta/core";

/**
 * A loader of this rank's samples. With several ranks each has every worldSize-th sample of one common order, so that together they see the
 * batches that one process with their common batch size would see. A sampler or batch sampler of the user's decides by itself.
 *
 * @param dataset All samples
 * @param options Those of the loader
 * @param place Where this process stands
 */
export function createLoader(
  dataset: data.Dataset,
  options: Partial<data.DataLoaderOptions>,
  place: { readonly rank: number; readonly worldSize: number },
): data.DataLoader {
  const { batchSize, shuffle, seed = 0, ...rest } = options;
  if (rest.batchSampler !== undefined) return new data.DataLoader(dataset, rest);
  if (rest.sampler !== undefined) return new data.DataLoader(dataset, { batchSize, ...rest });
  const { rank, worldSize } = place;
  const order = worldSize > 1
    ? { sampler: new data.DistributedSampler(dataset, { rank, worldSize, shuffle, seed }) }
    : { shuffle, seed };
  return new data.DataLoader(dataset, { batchSize, ...order, ...rest });
}

/** Datasets, samplers and the loader that joins samples to batches. */
export { type Collate, defaultCollate } from "./collate.ts";
export {
  ConcatDataset,
  type Dataset,
  type Field,
  randomSplit,
  type RandomSplitOptions,
  Subset,
  TensorDataset,
} from "./dataset.ts";
export { HostField } from "./host_field.ts";
export { DataLoader, type DataLoaderOptions } from "./loader.ts";
export {
  BatchSampler,
  DistributedSampler,
  type DistributedSamplerOptions,
  RandomSampler,
  type Sampler,
  SequentialSampler,
  type Sized,
} from "./sampler.ts";

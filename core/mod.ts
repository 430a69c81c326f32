/**
 * Tensors with automatic differentiation, modules, optimizers, data loading, safetensors and communication between ranks. Knows no backend:
 * `@pta/accelerated` wires them.
 *
 * @module
 */
export * from "./tensor/mod.ts";
export { gradcheck, type GradcheckOptions } from "./gradcheck.ts";
export { type DType, dtypes, type DTypeFacts, type HostArray, isFloat, promote } from "./dtype.ts";
export { capture, type Captured } from "./capture.ts";
export { backendOf, defaultDevice, setDefaultDevice } from "./runtime.ts";
export { clearPlans, counters, settings } from "./realize.ts";
export type { Backend, BackendStats } from "./device.ts";
export { env } from "./env.ts";
/** Modules, losses and their functions. */
export * as nn from "./nn/mod.ts";
/** Optimizers. */
export * as optim from "./optim/mod.ts";
/** Datasets, samplers and loaders. */
export * as data from "./data/mod.ts";
export {
  allReduceGradients,
  type AllReduceGradientsOptions,
  broadcastTensors,
  hostView,
} from "./dist/data_parallel.ts";
export { type Comm, communicator, initComm, setCommunicator, type Work } from "./dist/comm.ts";
export { type Rank, readRank } from "./dist/rank.ts";
/** The safetensors format. */
export * as safetensors from "./save/mod.ts";
export { loadFile as loadSafetensors, saveFile as saveSafetensors } from "./save/mod.ts";
export { defaultGenerator } from "./rng.ts";

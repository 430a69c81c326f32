/**
 * Tensors with automatic differentiation, modules, optimizers, data loading, safetensors and communication between ranks. Knows no backend:
 * `@pta/accelerated` wires them.
 *
 * @module
 */
export * from "./tensor/mod.ts";
export { isDetectingAnomaly, setDetectAnomaly } from "./anomaly.ts";
export {
  type Float32MatmulPrecision,
  float32MatmulPrecision,
  setFloat32MatmulPrecision,
} from "./matmul_precision.ts";
export { gradcheck, type GradcheckOptions } from "./gradcheck.ts";
export { type DType, type DTypeFacts, dtypes, type HostArray, isFloat, promote } from "./dtype.ts";
export {
  type DerivativeOptions,
  type DerivativeResult,
  hessian,
  jacobian,
  jvp,
  type TensorFunction,
  vjp,
} from "./derivatives.ts";
export { finfo, type FloatInfo, iinfo, type IntInfo } from "./finfo.ts";
export { capture, type Captured } from "./capture.ts";
export { backendOf, defaultDevice, deviceName, setDefaultDevice } from "./runtime.ts";
export { clearPlans, counters, settings } from "./realize.ts";
export type {
  Backend,
  BackendStats,
  Buffer,
  Executable,
  Launch,
  Operand,
  RoutineCall,
  RoutineLaunch,
  RoutineName,
  RoutineParams,
  Routines,
  ScanOp,
} from "./device.ts";
export type { Address, DynamicTerm, Kernel, KernelBuffer, Store, Value } from "./kernel.ts";
export type { OpName, ReduceOp as KernelReduceOp } from "./ops.ts";
export type { Storage } from "./storage.ts";
export type { GradientRule, Movement, Node, NodeArgs, NodeKind, NodeOf, ViewArg } from "./node.ts";
export type { Affine, View } from "./shape.ts";
export type { FactorParams } from "./factor_params.ts";
export { env } from "./env.ts";
/** Window functions of signals. */
export * as signal from "./signal/mod.ts";
/** Linear algebra: PyTorch's `torch.linalg`. */
export * as linalg from "./linalg/mod.ts";
export { einsum } from "./linalg/einsum.ts";
export { type ContractedDims, tensordot } from "./linalg/tensordot.ts";
export { luUnpack, type PLU } from "./linalg/lu.ts";
export { type LowRankOptions, pcaLowrank, svdLowrank } from "./linalg/low_rank.ts";
export type { LuFactors } from "./linalg/mod.ts";
/** Modules, losses and their functions. */
export * as nn from "./nn/mod.ts";
/** Mixed precision: regions of low precision, and loss scaling. */
export * as amp from "./amp/mod.ts";
export { autocast, autocastPolicy, GradScaler } from "./amp/mod.ts";
/** Optimizers. */
export * as optim from "./optim/mod.ts";
/** Datasets, samplers and loaders. */
export * as data from "./data/mod.ts";
export {
  allReduceGradients,
  type AllReduceGradientsOptions,
  broadcastFromRoot,
  type CommHook,
  hostView,
} from "./dist/data_parallel.ts";
export { LocalSGD, type LocalSGDOptions } from "./dist/local_sgd.ts";
export { type NamedTensors, syncModelStates } from "./dist/same_model.ts";
export { type Comm, communicator, initComm, setCommunicator, type Work } from "./dist/comm.ts";
export { type Rank, readRank } from "./dist/rank.ts";
/** The safetensors format. */
export * as safetensors from "./save/mod.ts";
export { loadFile as loadSafetensors, saveFile as saveSafetensors } from "./save/mod.ts";
export { defaultGenerator } from "./rng.ts";
export type { CommArray, ReduceOp } from "./dist/collective.ts";
export type { Saveable, SaveOptions } from "./save/mod.ts";
// The types that trainers and callbacks name, also without their namespaces.
export type { LoadStateOptions, LoadStateResult, Module, StateDict } from "./nn/mod.ts";
export type {
  Optimizer,
  OptimizerOptions,
  OptimizerStateDict,
  OptionValue,
  ParamGroup,
  ParamGroupInput,
  ParamState,
} from "./optim/mod.ts";
export type { Collate, DataLoaderOptions, Dataset, HostField, Sampler } from "./data/mod.ts";

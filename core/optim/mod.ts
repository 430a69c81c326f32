/** Optimizers with PyTorch's names, defaults and state layout, learning-rate schedulers, and bounds on gradients. */
export { Adadelta, type AdadeltaOptions } from "./adadelta.ts";
export { Adafactor, type AdafactorOptions } from "./adafactor.ts";
export { Adagrad, type AdagradOptions } from "./adagrad.ts";
export { Adam, AdamBase, type AdamOptions, AdamW } from "./adam.ts";
export { Adamax, type AdamaxOptions } from "./adamax.ts";
export { ASGD, type ASGDOptions } from "./asgd.ts";
export {
  clipGradNorm_,
  type ClipGradNormOptions,
  clipGradsWithNorm_,
  clipGradValue_,
  getTotalNorm,
} from "./clip.ts";
export { CountedOptimizer, type Scalars } from "./counted.ts";
export type { StepGuard } from "./guard.ts";
export { LBFGS, type LBFGSOptions } from "./lbfgs.ts";
export { Lion, type LionOptions } from "./lion.ts";
export { stochasticBfloat16, type StorageOptions } from "./low_storage.ts";
export { Muon, type MuonAdjustment, type MuonOptions } from "./muon.ts";
export { NAdam, type NAdamOptions } from "./nadam.ts";
export { Optimizer, type OptionCheck, type ParamState, type StateForm } from "./optimizer.ts";
export {
  type OptimizerOptions,
  ParamGroup,
  type ParamGroupInput,
  type Params,
  type ScheduledValue,
} from "./param_group.ts";
export { RAdam, type RAdamOptions } from "./radam.ts";
export { RMSprop, type RMSpropOptions } from "./rmsprop.ts";
export { Rprop, type RpropOptions } from "./rprop.ts";
export * from "./schedulers/mod.ts";
export { SGD, type SGDOptions } from "./sgd.ts";
export type { OptimizerStateDict, OptionValue } from "./state_dict.ts";

/** Learning-rate schedulers with PyTorch's names, defaults and state keys. */
export { ChainedScheduler, SequentialLR } from "./composite.ts";
export {
  CosineAnnealingLR,
  type CosineAnnealingLROptions,
  CosineAnnealingWarmRestarts,
  type CosineAnnealingWarmRestartsOptions,
} from "./cosine.ts";
export { CyclicLR, type CyclicLROptions, type CyclicMode } from "./cyclic.ts";
export { LambdaLR, type LrLambda, MultiplicativeLR } from "./lambda.ts";
export type { MomentumOptions } from "./momentum.ts";
export { OneCycleLR, type OneCycleLROptions } from "./one_cycle.ts";
export {
  ConstantLR,
  type ConstantLROptions,
  ExponentialLR,
  LinearLR,
  type LinearLROptions,
  PolynomialLR,
  type PolynomialLROptions,
} from "./ramp.ts";
export { ReduceLROnPlateau, type ReduceLROnPlateauOptions } from "./reduce_on_plateau.ts";
export {
  LRScheduler,
  type SchedulerOptions,
  type SchedulerStateDict,
  type SchedulerValue,
} from "./scheduler.ts";
export { MultiStepLR, StepLR, type StepLROptions } from "./step.ts";
export { SWALR, type SWALROptions } from "./swa.ts";

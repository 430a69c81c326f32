/** Learning-rate schedulers with PyTorch's names, defaults and state keys. */
export { ChainedScheduler, CompositeScheduler, SequentialLR } from "./composite.ts";
export {
  CosineAnnealingLR,
  type CosineAnnealingLROptions,
  CosineAnnealingWarmRestarts,
  type CosineAnnealingWarmRestartsOptions,
  type RestartFields,
} from "./cosine.ts";
export { type CyclicFields, CyclicLR, type CyclicLROptions, type CyclicMode } from "./cyclic.ts";
export { type LambdaFields, LambdaLR, type LrLambda, MultiplicativeLR } from "./lambda.ts";
export type { MomentumFields, MomentumOptions } from "./momentum.ts";
export {
  type OneCycleFields,
  type OneCycleLevel,
  OneCycleLR,
  type OneCycleLROptions,
  type OneCycleMomentum,
  type OneCyclePhase,
} from "./one_cycle.ts";
export {
  ConstantLR,
  type ConstantLROptions,
  ExponentialLR,
  LinearLR,
  type LinearLROptions,
  PolynomialLR,
  type PolynomialLROptions,
} from "./ramp.ts";
export {
  type PlateauFields,
  ReduceLROnPlateau,
  type ReduceLROnPlateauOptions,
} from "./reduce_on_plateau.ts";
export {
  LRScheduler,
  type SchedulerOptions,
  type SchedulerStateDict,
  type SchedulerValue,
} from "./scheduler.ts";
export { MultiStepLR, StepLR, type StepLROptions } from "./step.ts";
export { type SWAFields, SWALR, type SWALROptions } from "./swa.ts";

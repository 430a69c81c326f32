/** Optimizers with PyTorch's names, defaults and state layout, and bounds on gradients. */
export { Adam, AdamBase, type AdamOptions, AdamW } from "./adam.ts";
export { clipGradNorm_, type ClipGradNormOptions, clipGradValue_, getTotalNorm } from "./clip.ts";
export { Optimizer, type OptionCheck, type ParamState } from "./optimizer.ts";
export {
  type OptimizerOptions,
  ParamGroup,
  type ParamGroupInput,
  type Params,
} from "./param_group.ts";
export { SGD, type SGDOptions } from "./sgd.ts";
export type { OptimizerStateDict, OptionValue } from "./state_dict.ts";

/** Functions of neural networks: what the layers compute, without their state. */
export { gelu, logSoftmax, relu, sigmoid, silu, softmax, tanh } from "./activation.ts";
export { type AttentionOptions, scaledDotProductAttention } from "./attention.ts";
export { dropout, type DropoutOptions } from "./dropout.ts";
export { embedding } from "./embedding.ts";
export { linear } from "./linear.ts";
export {
  type ClassLossOptions,
  crossEntropy,
  type CrossEntropyOptions,
  mseLoss,
  nllLoss,
  type Reduction,
} from "./loss.ts";
export {
  batchNorm,
  type BatchNormOptions,
  type ChannelNormOptions,
  groupNorm,
  instanceNorm,
  type InstanceNormOptions,
  layerNorm,
  type LayerNormFunctionOptions,
  rmsNorm,
  type RMSNormFunctionOptions,
  type RunningNormOptions,
} from "./norm.ts";
export { localResponseNorm, type LocalResponseNormOptions } from "./local_response_norm.ts";
export { syncBatchNorm, type SyncBatchNormFunctionOptions } from "./sync_norm.ts";

/** Functions of neural networks: what the layers compute, without their state. */
export {
  gelu,
  glu,
  logsigmoid,
  logSoftmax,
  mish,
  sigmoid,
  silu,
  softmax,
  softmin,
  softplus,
  softsign,
  tanh,
  tanhshrink,
} from "./activation.ts";
export { type AttentionOptions, scaledDotProductAttention } from "./attention.ts";
export {
  alphaDropout,
  type AlphaDropoutOptions,
  dropout,
  dropout1d,
  dropout2d,
  dropout3d,
  type DropoutOptions,
  featureAlphaDropout,
} from "./dropout.ts";
export { embedding } from "./embedding.ts";
export {
  hardshrink,
  hardsigmoid,
  hardswish,
  hardtanh,
  relu6,
  softshrink,
  threshold,
} from "./hard_activation.ts";
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
export { celu, elu, leakyRelu, prelu, relu, rrelu, type RreluOptions, selu } from "./rectifier.ts";

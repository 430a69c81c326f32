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
export { layerNorm, type LayerNormFunctionOptions } from "./norm.ts";

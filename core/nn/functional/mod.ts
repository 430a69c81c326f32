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
export { gumbelSoftmax, type GumbelSoftmaxOptions } from "./gumbel_softmax.ts";
export { type AttentionOptions, scaledDotProductAttention } from "./attention.ts";
export {
  type AttentionCall,
  multiHeadAttentionForward,
  type MultiHeadAttentionForwardOptions,
} from "./multihead_attention.ts";
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
export { embedding, type LookupOptions, oneHot } from "./embedding.ts";
export { type BagMode, embeddingBag, type EmbeddingBagOptions } from "./embedding_bag.ts";
export {
  hardshrink,
  hardsigmoid,
  hardswish,
  hardtanh,
  relu6,
  softshrink,
  threshold,
} from "./hard_activation.ts";
export { bilinear, linear } from "./linear.ts";
export {
  type ClassLossOptions,
  crossEntropy,
  type CrossEntropyOptions,
  nllLoss,
} from "./class_loss.ts";
export { ctcLoss, type CtcLossOptions, type Lengths } from "./ctc_loss.ts";
export {
  cosineSimilarity,
  type CosineSimilarityOptions,
  normalize,
  type NormalizeOptions,
  pairwiseDistance,
  type PairwiseDistanceOptions,
  pdist,
} from "./distance.ts";
export {
  cosineEmbeddingLoss,
  type CosineEmbeddingLossOptions,
  tripletMarginLoss,
  type TripletMarginLossOptions,
  tripletMarginWithDistanceLoss,
  type TripletMarginWithDistanceLossOptions,
} from "./embedding_loss.ts";
export {
  hingeEmbeddingLoss,
  type MarginLossOptions,
  marginRankingLoss,
  multilabelMarginLoss,
  multilabelSoftMarginLoss,
  type MultilabelSoftMarginLossOptions,
  multiMarginLoss,
  type MultiMarginLossOptions,
  softMarginLoss,
} from "./margin_loss.ts";
export {
  binaryCrossEntropy,
  type BinaryCrossEntropyOptions,
  binaryCrossEntropyWithLogits,
  type BinaryCrossEntropyWithLogitsOptions,
  gaussianNllLoss,
  type GaussianNllLossOptions,
  klDiv,
  type KlDivOptions,
  poissonNllLoss,
  type PoissonNllLossOptions,
} from "./probability_loss.ts";
export type { Reduction, ReductionOptions } from "./reduction.ts";
export {
  huberLoss,
  type HuberLossOptions,
  l1Loss,
  mseLoss,
  type RegressionLossOptions,
  smoothL1Loss,
  type SmoothL1LossOptions,
} from "./regression_loss.ts";
export {
  type ChannelNormOptions,
  groupNorm,
  layerNorm,
  type LayerNormFunctionOptions,
  rmsNorm,
  type RMSNormFunctionOptions,
} from "./norm.ts";
export {
  batchNorm,
  type BatchNormOptions,
  instanceNorm,
  type InstanceNormOptions,
  type RunningNormOptions,
} from "./running_norm.ts";
export { localResponseNorm, type LocalResponseNormOptions } from "./local_response_norm.ts";
export { syncBatchNorm, type SyncBatchNormFunctionOptions } from "./sync_norm.ts";
export { celu, elu, leakyRelu, prelu, relu, rrelu, type RreluOptions, selu } from "./rectifier.ts";
export { pad, type PadMode, type PadOptions } from "./pad.ts";
export { interpolate, type InterpolateMode, type InterpolateOptions } from "./interpolate.ts";
export {
  conv1d,
  conv2d,
  conv3d,
  type ConvolutionOptions,
  convTranspose1d,
  convTranspose2d,
  convTranspose3d,
  type ConvTransposeOptions,
  type Sizes,
} from "./convolution.ts";
export {
  maxPool1d,
  maxPool1dWithIndices,
  maxPool2d,
  maxPool2dWithIndices,
  maxPool3d,
  maxPool3dWithIndices,
  type MaxPoolOptions,
  type PoolResult,
} from "./max_pool.ts";
export {
  avgPool1d,
  avgPool2d,
  avgPool3d,
  type AvgPoolOptions,
  lpPool1d,
  lpPool2d,
  lpPool3d,
  type LPPoolOptions,
} from "./avg_pool.ts";
export {
  adaptiveAvgPool1d,
  adaptiveAvgPool2d,
  adaptiveAvgPool3d,
  adaptiveMaxPool1d,
  adaptiveMaxPool1dWithIndices,
  adaptiveMaxPool2d,
  adaptiveMaxPool2dWithIndices,
  adaptiveMaxPool3d,
  adaptiveMaxPool3dWithIndices,
  type AdaptiveSizes,
  maxUnpool1d,
  maxUnpool2d,
  maxUnpool3d,
  type MaxUnpoolOptions,
} from "./adaptive_pool.ts";
export {
  fractionalMaxPool2d,
  fractionalMaxPool2dWithIndices,
  fractionalMaxPool3d,
  fractionalMaxPool3dWithIndices,
  type FractionalMaxPoolOptions,
} from "./fractional_pool.ts";
export {
  affineGrid,
  type AffineGridOptions,
  type GridPaddingMode,
  gridSample,
  type GridSampleMode,
  type GridSampleOptions,
} from "./grid_sample.ts";
export {
  channelShuffle,
  fold,
  pixelShuffle,
  pixelUnshuffle,
  unfold,
  type UnfoldOptions,
} from "./unfold.ts";

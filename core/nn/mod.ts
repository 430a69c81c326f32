/** Layers, losses, containers and their initialisation, with PyTorch's names, defaults and `stateDict` keys. */
export {
  GELU,
  type GELUOptions,
  LogSigmoid,
  Mish,
  Sigmoid,
  SiLU,
  Softplus,
  Softsign,
  Tanh,
  Tanhshrink,
} from "./activation.ts";
export { Bilinear, type BilinearOptions } from "./bilinear.ts";
export { checkpoint, checkpointSequential } from "./checkpoint.ts";
export { ModuleList, NumberedModules, Sequential } from "./containers.ts";
export {
  AlphaDropout,
  Dropout,
  Dropout1d,
  Dropout2d,
  Dropout3d,
  DropoutModule,
  FeatureAlphaDropout,
} from "./dropout.ts";
export { Embedding, type EmbeddingOptions } from "./embedding.ts";
export { EmbeddingBag, type EmbeddingBagModuleOptions } from "./embedding_bag.ts";
export { Flatten, Unflatten } from "./flatten.ts";
export {
  convertToFloat8,
  type ConvertToFloat8Options,
  Float8Linear,
  type Float8Options,
} from "./float8_linear.ts";
/** What layers compute, as functions. */
export * as functional from "./functional/mod.ts";
/** Parameters that are computed from others. */
export * as parametrize from "./parametrize.ts";
/** Weight norm and spectral norm. */
export * as parametrizations from "./parametrizations.ts";
/** Initial values. */
export * as init from "./init.ts";
export {
  BatchNorm,
  BatchNorm1d,
  BatchNorm2d,
  BatchNorm3d,
  SyncBatchNorm,
  type SyncBatchNormOptions,
} from "./batch_norm.ts";
export { type BatchNormModuleOptions, ChannelNorm } from "./channel_norm.ts";
export {
  GroupNorm,
  type GroupNormOptions,
  LocalResponseNorm,
  RMSNorm,
  type RMSNormOptions,
} from "./group_norm.ts";
export { InstanceNorm, InstanceNorm1d, InstanceNorm2d, InstanceNorm3d } from "./instance_norm.ts";
export { LayerNorm, type LayerNormOptions } from "./layer_norm.ts";
export {
  Hardshrink,
  Hardsigmoid,
  Hardswish,
  Hardtanh,
  ReLU6,
  Softshrink,
  Threshold,
} from "./hard_activation.ts";
export { Identity, Linear, type LinearOptions } from "./linear.ts";
export {
  ClassLoss,
  CrossEntropyLoss,
  type CrossEntropyLossOptions,
  NLLLoss,
  type NLLLossOptions,
} from "./class_loss.ts";
export {
  type AdaptiveLogSoftmaxOptions,
  type AdaptiveLogSoftmaxResult,
  AdaptiveLogSoftmaxWithLoss,
} from "./adaptive_softmax.ts";
export { CTCLoss, type CTCLossOptions } from "./ctc_loss.ts";
export { CosineSimilarity, PairwiseDistance } from "./distance.ts";
export {
  CosineEmbeddingLoss,
  type CosineEmbeddingLossOptions,
  type DistanceFunction,
  TripletMarginLoss,
  type TripletMarginLossOptions,
  TripletMarginWithDistanceLoss,
  type TripletMarginWithDistanceLossOptions,
} from "./embedding_loss.ts";
export { Loss, type LossOptions } from "./loss.ts";
export {
  HingeEmbeddingLoss,
  type HingeEmbeddingLossOptions,
  MarginRankingLoss,
  type MarginRankingLossOptions,
  MultiLabelMarginLoss,
  MultiLabelSoftMarginLoss,
  type MultiLabelSoftMarginLossOptions,
  MultiMarginLoss,
  type MultiMarginLossOptions,
  SoftMarginLoss,
} from "./margin_loss.ts";
export {
  BCELoss,
  type BCELossOptions,
  BCEWithLogitsLoss,
  type BCEWithLogitsLossOptions,
  GaussianNLLLoss,
  type GaussianNLLLossOptions,
  KLDivLoss,
  type KLDivLossOptions,
  PoissonNLLLoss,
  type PoissonNLLLossOptions,
} from "./probability_loss.ts";
export {
  HuberLoss,
  type HuberLossOptions,
  L1Loss,
  MSELoss,
  SmoothL1Loss,
  type SmoothL1LossOptions,
} from "./regression_loss.ts";
export type { BackwardHook, ForwardHook, ForwardPreHook, HookHandle } from "./hooks.ts";
export { ModuleDict } from "./module_dict.ts";
export { ParameterContainer, ParameterDict, ParameterList } from "./parameter_list.ts";
export { Module, type StateDict } from "./module.ts";
export { CELU, ELU, LeakyReLU, PReLU, type PReLUOptions, ReLU, RReLU, SELU } from "./rectifier.ts";
export { GLU, LogSoftmax, Softmax, Softmax2d, Softmin } from "./softmax.ts";
export type { LoadStateOptions, LoadStateResult } from "./state.ts";
export { padSequence, type PadSequenceOptions, unpadSequence } from "./pad_sequence.ts";
export { parametersToVector, vectorToParameters } from "./parameters_vector.ts";
export { Parameter } from "../tensor/mod.ts";
export {
  GRU,
  LSTM,
  type LSTMOptions,
  RecurrentNetwork,
  type RecurrentOptions,
  RNN,
  type RNNOptions,
} from "./rnn.ts";
export type { RecurrentCall } from "./sequence_lengths.ts";
export {
  type CellOptions,
  GRUCell,
  LSTMCell,
  RecurrentCell,
  RNNCell,
  type RNNCellOptions,
} from "./rnn_cell.ts";
export type { CellStep, CellWeights, State as RecurrentState } from "./recurrent_cells.ts";
export {
  MultiheadAttention,
  type MultiheadAttentionCall,
  type MultiheadAttentionOptions,
} from "./multihead_attention.ts";
export {
  type StackOptions,
  Transformer,
  TransformerDecoder,
  TransformerEncoder,
  type TransformerOptions,
} from "./transformer.ts";
export {
  type DecoderCall,
  type EncoderCall,
  TransformerDecoderLayer,
  TransformerEncoderLayer,
  TransformerLayer,
  type TransformerLayerOptions,
} from "./transformer_layers.ts";
export {
  CircularPad1d,
  CircularPad2d,
  CircularPad3d,
  ConstantPad1d,
  ConstantPad2d,
  ConstantPad3d,
  Padding,
  ReflectionPad1d,
  ReflectionPad2d,
  ReflectionPad3d,
  ReplicationPad1d,
  ReplicationPad2d,
  ReplicationPad3d,
  ZeroPad1d,
  ZeroPad2d,
  ZeroPad3d,
} from "./padding.ts";
export {
  Upsample,
  type UpsampleOptions,
  UpsamplingBilinear2d,
  UpsamplingNearest2d,
} from "./upsample.ts";
export {
  Conv1d,
  Conv2d,
  Conv3d,
  ConvTranspose1d,
  ConvTranspose2d,
  ConvTranspose3d,
} from "./conv.ts";
export {
  Conv,
  ConvBase,
  type ConvOptions,
  ConvTranspose,
  type ConvTransposeModuleOptions,
  type PaddingMode,
} from "./conv_base.ts";
export {
  AvgPool1d,
  AvgPool2d,
  AvgPool3d,
  LPPool1d,
  LPPool2d,
  LPPool3d,
  type Maxima,
  MaxPool1d,
  MaxPool2d,
  MaxPool3d,
  type MaxPoolModuleOptions,
  Pool,
} from "./pooling.ts";
export {
  AdaptiveAvgPool1d,
  AdaptiveAvgPool2d,
  AdaptiveAvgPool3d,
  AdaptiveMaxPool1d,
  AdaptiveMaxPool2d,
  AdaptiveMaxPool3d,
  type AdaptiveMaxPoolOptions,
  AdaptivePool,
  MaxUnpool1d,
  MaxUnpool2d,
  MaxUnpool3d,
  type MaxUnpoolModuleOptions,
} from "./adaptive_pooling.ts";
export {
  FractionalMaxPool,
  FractionalMaxPool2d,
  FractionalMaxPool3d,
  type FractionalMaxPoolModuleOptions,
} from "./fractional_pooling.ts";
export { ChannelShuffle, Fold, PixelShuffle, PixelUnshuffle, Unfold } from "./unfold.ts";
export { type Summary, summary, type SummaryOptions, type SummaryRow } from "./summary.ts";
export {
  DistributedDataParallel,
  type DistributedDataParallelOptions,
  type JoinOptions,
} from "./distributed_data_parallel.ts";

/**
 * What autocast does to each operation, by its public name, after PyTorch's `aten/src/ATen/autocast_mode.h`. A composite is decided on as a
 * whole: what it is made of sees nothing of autocast.
 */
import type { Tensor } from "../tensor/tensor.ts";
import type { PolicyList } from "./state.ts";

/**
 * - `low`: float operands become the region's low type;
 * - `float32`: 16-bit operands become float32;
 * - `promote`: float operands become the widest float type among them;
 * - `input`: computed as `float32`, the result in the type of the first operand;
 * - `asIs`: operands stay, and ordinary promotion decides.
 */
export type Policy = "low" | "float32" | "promote" | "input" | "asIs";

/** The policy of one operation in each list. */
export type PolicyRow = Readonly<Record<PolicyList, Policy>>;

const row = (gpu: Policy, cpu: Policy = gpu): PolicyRow => ({ gpu, cpu });
const low = row("low"), float32 = row("float32"), input = row("input"), asIs = row("asIs");
/** Listed for GPUs alone. */
const gpuLow = row("low", "asIs"), gpuFloat32 = row("float32", "asIs");
const gpuPromote = row("promote", "asIs");

/** Methods that are not left as they are. */
export const methodPolicies: Readonly<
  Partial<Record<Exclude<keyof Tensor, "toString">, PolicyRow>>
> = {
  matmul: low,
  mm: low,
  bmm: low,
  addmm: low,
  addbmm: low,
  baddbmm: low,
  mv: gpuLow,
  addmv: gpuLow,
  addr: gpuLow,
  vecdot: gpuLow,
  acos: gpuFloat32,
  asin: gpuFloat32,
  cosh: gpuFloat32,
  erfinv: gpuFloat32,
  exp: gpuFloat32,
  expm1: gpuFloat32,
  log: gpuFloat32,
  log10: gpuFloat32,
  log2: gpuFloat32,
  log1p: gpuFloat32,
  reciprocal: gpuFloat32,
  rsqrt: gpuFloat32,
  sinh: gpuFloat32,
  tan: gpuFloat32,
  pow: gpuFloat32,
  softplus: gpuFloat32,
  softmax: gpuFloat32,
  logSoftmax: gpuFloat32,
  norm: gpuFloat32,
  vectorNorm: gpuFloat32,
  cumprod: gpuFloat32,
  cumsum: gpuFloat32,
  dist: gpuFloat32,
  prod: float32,
  renorm: gpuFloat32,
  sum: gpuFloat32,
  logsumexp: gpuFloat32,
  quantile: row("asIs", "float32"),
  nanquantile: row("asIs", "float32"),
  trace: row("asIs", "float32"),
  addcdiv: gpuPromote,
  addcmul: gpuPromote,
  atan2: gpuPromote,
  cross: gpuPromote,
  dot: gpuPromote,
  vdot: gpuPromote,
  indexPut: gpuPromote,
  indexPut_: asIs,
  scatterAdd: gpuPromote,
  // PyTorch has no 16-bit factorizations at all.
  cholesky: float32,
  inverse: float32,
  det: float32,
  logdet: float32,
  slogdet: float32,
  qr: float32,
  svd: float32,
  pinverse: float32,
  matrixExp: float32,
};

/** Functions that ask for their policy; a function that is not here sees autocast in each of its parts. */
const functions = {
  linear: low,
  conv1d: low,
  conv2d: low,
  conv3d: low,
  convTranspose1d: low,
  convTranspose2d: low,
  convTranspose3d: low,
  prelu: low,
  scaledDotProductAttention: low,
  einsum: low,
  multiDot: gpuLow,
  recurrentInput: low,
  recurrentStep: low,
  layerNorm: row("float32", "input"),
  rmsNorm: row("float32", "input"),
  groupNorm: row("float32", "input"),
  batchNorm: input,
  instanceNorm: input,
  syncBatchNorm: input,
  localResponseNorm: gpuFloat32,
  cosineSimilarity: gpuFloat32,
  pairwiseDistance: gpuFloat32,
  pdist: gpuFloat32,
  cdist: float32,
  vectorNorm: gpuFloat32,
  matrixNorm: float32,
  binaryCrossEntropy: float32,
  binaryCrossEntropyWithLogits: float32,
  cosineEmbeddingLoss: float32,
  crossEntropy: row("float32", "float32"),
  ctcLoss: float32,
  gaussianNllLoss: float32,
  hingeEmbeddingLoss: float32,
  huberLoss: float32,
  klDiv: float32,
  l1Loss: float32,
  marginRankingLoss: float32,
  mseLoss: float32,
  multiMarginLoss: float32,
  multilabelMarginLoss: float32,
  multilabelSoftMarginLoss: float32,
  nllLoss: float32,
  poissonNllLoss: float32,
  smoothL1Loss: float32,
  softMarginLoss: float32,
  tripletMarginLoss: float32,
  bilinear: gpuPromote,
  gridSample: row("promote", "float32"),
  tensordot: gpuPromote,
  cat: row("promote"),
  interpolate: gpuFloat32,
  avgPool1d: asIs,
  avgPool2d: asIs,
  avgPool3d: row("asIs", "float32"),
  lpPool1d: gpuFloat32,
  lpPool2d: gpuFloat32,
  lpPool3d: gpuFloat32,
  adaptiveAvgPool1d: asIs,
  adaptiveAvgPool2d: asIs,
  adaptiveAvgPool3d: asIs,
  reflectionPad: row("asIs", "float32"),
  logsigmoid: asIs,
  mish: asIs,
  elu: asIs,
  celu: asIs,
  selu: asIs,
  embeddingBag: asIs,
} satisfies Record<string, PolicyRow>;

/** Names of functions that ask for their policy. */
export type PolicyFunction = keyof typeof functions;

/** One policy for each function that asks. */
export const functionPolicies: Readonly<Record<PolicyFunction, PolicyRow>> = functions;

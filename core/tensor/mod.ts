/** Tensors and the functions that make and join them. */
export { type Nested, Parameter, Tensor } from "./tensor.ts";
export type { Numeric } from "./base.ts";
export type { Dims } from "./reduce_dims.ts";
export {
  arange,
  empty,
  emptyLike,
  eye,
  full,
  fullLike,
  linspace,
  logspace,
  type NestedData,
  ones,
  onesLike,
  randperm,
  scalarTensor,
  tensor,
  type TensorOptions,
  zeros,
  zerosLike,
} from "./creation.ts";
export {
  bernoulli,
  multinomial,
  type MultinomialOptions,
  normal,
  rand,
  randint,
  randintLike,
  randLike,
  randn,
  randnLike,
  type RandomOptions,
} from "./random.ts";
export {
  atleast1d,
  atleast2d,
  atleast3d,
  blockDiag,
  broadcastShapes,
  broadcastTensors,
  cartesianProd,
  cat,
  chunkCat,
  columnStack,
  combinations,
  dstack,
  hstack,
  meshgrid,
  stack,
  trilIndices,
  triuIndices,
  vstack,
  where,
} from "./joining.ts";
export { keep, realize } from "./lifetime.ts";
export { dueWithNext, enableGrad, grad, noGrad } from "../grad.ts";
export { isGradEnabled } from "../node.ts";
export { Generator, manualSeed, philox4x32, randomPermutation } from "../rng.ts";
export { type Scope, stepScope } from "../scope.ts";
export { IndexingTensor } from "./indexing.ts";
export { LinalgTensor } from "./linalg.ts";
export { MovementTensor, type ShapeArgs } from "./movement.ts";
export { PointwiseTensor } from "./pointwise.ts";
export { type Extremes, ReduceTensor } from "./reduce.ts";
export { routine, routineResults } from "./routine.ts";
export { ElementaryTensor } from "./elementary.ts";
export { ArithmeticTensor, type Limits, type RoundingMode } from "./arithmetic.ts";
export { type CloseOptions, ComparisonTensor, type NanToNumOptions } from "./comparison.ts";
export { PolynomialTensor } from "./polynomials.ts";
export { SpecialTensor } from "./special.ts";
export { type CovarianceOptions, StatisticsTensor, type VarianceOptions } from "./statistics.ts";
export { ScanTensor } from "./scan.ts";
export {
  DifferenceTensor,
  type NumericalGradientOptions,
  type TrapezoidOptions,
} from "./difference.ts";
export { CountingTensor, type Distinct } from "./counting.ts";
export { type Interpolation, type QuantileOptions, SortingTensor } from "./sorting.ts";
export { PiecesTensor } from "./pieces.ts";
export { ArrangeTensor } from "./arrange.ts";
export { DiagonalTensor } from "./diagonals.ts";
export { type Index, IndexedTensor, type SliceIndex } from "./indexed.ts";
export { OverwriteTensor } from "./overwrite.ts";
export { type FillOptions, FillTensor } from "./fill.ts";
export type { ScatterReduction } from "./scatter.ts";
export { WriteTensor } from "./write.ts";
export { ProductsTensor, type ScaledSumOptions } from "./products.ts";
export { DecomposeTensor } from "./decompose.ts";
export { TensorBase } from "./base.ts";
export type { Shape } from "../shape.ts";
export {
  bucketize,
  histogram,
  histogramdd,
  type HistogramOptions,
  type SearchOptions,
  searchsorted,
} from "./search.ts";
export { type SegmentOptions, segmentReduce, type SegmentReduction } from "./segment_reduce.ts";
export { cdist } from "./distances.ts";
/** Operations on the elements where a mask is true. */
export * as masked from "./masked.ts";

/** Tensors and the functions that make and join them. */
export { type Nested, Parameter, Tensor } from "./tensor.ts";
export type { Numeric } from "./base.ts";
export type { Dims } from "./reduce.ts";
export {
  arange,
  bernoulli,
  cat,
  eye,
  full,
  linspace,
  type NestedData,
  ones,
  onesLike,
  rand,
  randint,
  randn,
  type RandomOptions,
  randperm,
  stack,
  tensor,
  type TensorOptions,
  where,
  zeros,
  zerosLike,
} from "./creation.ts";
export { keep, realize } from "./lifetime.ts";
export { dueWithNext, enableGrad, grad, noGrad } from "../grad.ts";
export { isGradEnabled } from "../node.ts";
export { Generator, manualSeed, philox4x32, randomPermutation } from "../rng.ts";
export { type Scope, stepScope } from "../scope.ts";
export { IndexingTensor } from "./indexing.ts";
export { LinalgTensor } from "./linalg.ts";
export { MovementTensor, type ShapeArgs } from "./movement.ts";
export { PointwiseTensor } from "./pointwise.ts";
export { ReduceTensor } from "./reduce.ts";
export { routine } from "./routine.ts";
export { ElementaryTensor } from "./elementary.ts";
export { SpecialTensor } from "./special.ts";
export { StatisticsTensor } from "./statistics.ts";
export { ScanTensor } from "./scan.ts";
export { SortingTensor } from "./sorting.ts";
export { ArrangeTensor } from "./arrange.ts";
export { WriteTensor } from "./write.ts";
export { ProductsTensor } from "./products.ts";
export { DecomposeTensor } from "./decompose.ts";
export { TensorBase } from "./base.ts";
export type { Shape } from "../shape.ts";

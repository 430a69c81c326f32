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
export { enableGrad, grad, noGrad } from "../grad.ts";
export { isGradEnabled } from "../node.ts";
export { Generator, manualSeed, philox4x32, randomPermutation } from "../rng.ts";
export { type Scope, stepScope } from "../scope.ts";
export { IndexingTensor } from "./indexing.ts";
export { LinalgTensor } from "./linalg.ts";
export { MovementTensor, type ShapeArgs } from "./movement.ts";
export { PointwiseTensor } from "./pointwise.ts";
export { ReduceTensor } from "./reduce.ts";
export { TensorBase } from "./base.ts";
export type { Shape } from "../shape.ts";

import * as pta from "@pta/accelerated";
import { type DType, Tensor, type TensorOptions } from "@pta/accelerated";
import {
  type Adapter,
  type Adapters,
  argument,
  numberOf,
  numbersOf,
  numericOf,
  type Sample,
  tensorOf,
  type Value,
} from "../adapter.ts";

const x = (s: Sample): Tensor => tensorOf(s.input);
/** dtype and requiresGrad of a sample; its device is PyTorch's. */
const options = (s: Sample): TensorOptions => ({
  ...(typeof s.kwargs.dtype === "string" ? { dtype: s.kwargs.dtype as DType } : {}),
  ...(s.kwargs.requires_grad === true ? { requiresGrad: true } : {}),
});
/** A number, also where PyTorch takes a tensor of one. */
const scalar = (value: Value | undefined): number =>
  value instanceof Tensor ? value.item() : numberOf(value);
const shape = (value: Value | undefined): number[] => Array.isArray(value) ? numbersOf(value) : [];
/** A maker whose sizes are the input, as a list or one by one. */
const sized = (make: (shape: number[], o: TensorOptions) => Tensor): Adapter => (s) =>
  make(
    Array.isArray(s.input) ? numbersOf(s.input) : [s.input, ...s.args].map((v) => numberOf(v)),
    options(s),
  );
/** An in-place draw of the input's shape. */
const drawn = (draw: (t: Tensor, a: number[]) => Tensor): Adapter => (s) =>
  draw(x(s).clone(), s.args.map((v) => numberOf(v)));
const fresh = (make: (t: Tensor, shape: number[], o: TensorOptions) => Tensor): Adapter => (s) =>
  make(x(s), shape(s.args[0]), options(s));
const likeOf = (make: (t: Tensor, o: TensorOptions) => Tensor): Adapter => (s) =>
  make(x(s), options(s));

/** Adapters by PyTorch's name. */
export const creation: Adapters = {
  arange: (s) => {
    // PyTorch's arange has a second form, arange(end=3), in which the first argument is passed by name.
    const ends = "end" in s.kwargs ? [s.kwargs.end] : [];
    const [start, end, step] = [s.input, ...ends, ...s.args.flat()].map(scalar);
    return pta.arange(start, end, step, options(s));
  },
  linspace: (s) =>
    pta.linspace(scalar(s.input), scalar(s.args[0]), scalar(argument(s, 1, "steps")), options(s)),
  logspace: (s) => {
    const base = argument(s, 2, "base");
    return pta.logspace(
      scalar(s.input),
      scalar(s.args[0]),
      scalar(argument(s, 1, "steps")),
      base === undefined ? undefined : scalar(base),
      options(s),
    );
  },
  eye: (s) =>
    pta.eye(
      numberOf(s.input),
      s.args.length > 0 ? numberOf(s.args[0]) : undefined,
      options(s),
    ),
  zeros: sized(pta.zeros),
  ones: sized(pta.ones),
  empty: sized(pta.empty),
  full: (s) => pta.full(shape(s.input), scalar(s.args[0]), options(s)),
  scalar_tensor: (s) => pta.scalarTensor(scalar(s.input), options(s)),
  zeros_like: likeOf(pta.zerosLike),
  ones_like: likeOf(pta.onesLike),
  empty_like: likeOf(pta.emptyLike),
  full_like: (s) => pta.fullLike(x(s), scalar(s.args[0]), options(s)),
  new_zeros: fresh((t, to, o) => t.newZeros(to, o)),
  new_ones: fresh((t, to, o) => t.newOnes(to, o)),
  new_empty: fresh((t, to, o) => t.newEmpty(to, o)),
  new_full: (s) => x(s).newFull(shape(s.args[0]), scalar(s.args[1]), options(s)),
  randn: sized(pta.randn),
  rand_like: likeOf(pta.randLike),
  randn_like: likeOf(pta.randnLike),
  randint: (s) => {
    const numbers = [s.input, ...s.args].filter((v) => typeof v === "number");
    const [low, high] = numbers.length === 1 ? [0, numbers[0]] : numbers;
    return pta.randint(low, high, shape(s.args[numbers.length - 1]), options(s));
  },
  randint_like: (s) => {
    const [low, high] = s.args.length === 1 ? [0, scalar(s.args[0])] : s.args.map(scalar);
    return pta.randintLike(x(s), low, high, options(s));
  },
  normal: (s) => {
    if (s.variant === "in_place") {
      return x(s).clone().normal_(numberOf(s.args[0]), numberOf(s.args[1]));
    }
    const size = s.args.length > 1 ? shape(s.args[1]) : undefined;
    return pta.normal(numericOf(s.input), numericOf(s.args[0]), size, options(s));
  },
  uniform: drawn((t, [from, to]) => t.uniform_(from, to)),
  cauchy: drawn((t, [median, scale]) => t.cauchy_(median, scale)),
  exponential: drawn((t, [rate]) => t.exponential_(rate)),
  geometric: drawn((t, [p]) => t.geometric_(p)),
  log_normal: drawn((t, [mean, std]) => t.logNormal_(mean, std)),
  bernoulli: (s) => x(s).bernoulli(),
  multinomial: (s) =>
    pta.multinomial(x(s), numberOf(argument(s, 0, "num_samples")), {
      replacement: argument(s, 1, "replacement") === true,
    }),
  tril_indices: (s) => triangle(pta.trilIndices, s),
  triu_indices: (s) => triangle(pta.triuIndices, s),
};

function triangle(make: typeof pta.trilIndices, s: Sample): Tensor {
  const [rows, columns, offset] = [s.input, ...s.args].map((v) => numberOf(v));
  return make(rows, columns ?? 0, offset ?? numberOf(argument(s, -1, "offset"), 0), {
    dtype: s.kwargs.dtype as "int64" | undefined,
  });
}

/** Names left out, and why. */
export const creationReasons: Record<string, string> = {};

/** Bad calls that make, read, write or differentiate tensors. */
import {
  arange,
  capture,
  full,
  Generator,
  grad,
  gradcheck,
  linspace,
  manualSeed,
  noGrad,
  randint,
  setDefaultDevice,
  type Tensor,
  tensor,
  zeros,
} from "@pta/core";
import { type BadCalls, leaf, m, v } from "./bad_call.ts";

const noHistory = "Cannot differentiate a tensor that does not require gradients: " +
  "no input of it has requiresGrad, or it was made under noGrad";

export const tensorErrors: BadCalls = {
  "making tensors": [
    [
      () => tensor([[1, 2], [3]]),
      TypeError,
      "Cannot make a tensor of ragged arrays: rows differ at depth 1",
    ],
    [
      () => tensor([1, [2]]),
      TypeError,
      "Cannot make a tensor of ragged arrays: rows differ at depth 1",
    ],
    [
      () => tensor("abc" as never),
      TypeError,
      "Cannot make a tensor of abc: numbers, booleans or bigints are needed",
    ],
    [
      () => tensor([1, null] as never),
      TypeError,
      "Cannot make a tensor of null: numbers, booleans or bigints are needed",
    ],
    [() => tensor(new Uint32Array(2) as never), TypeError, "Cannot make a tensor of a Uint32Array"],
    [
      () => tensor([1, 2, 3], { shape: [2, 2] }),
      TypeError,
      "Cannot make a tensor of shape [2, 2] from 3 elements: it takes 4",
    ],
    [
      () => full([-1], 0),
      RangeError,
      "Cannot make a tensor of shape [-1]: sizes are whole and not negative",
    ],
    [
      () => zeros([1.5]),
      RangeError,
      "Cannot make a tensor of shape [1.5]: sizes are whole and not negative",
    ],
    [() => arange(0, 3, 0), RangeError, "Cannot make a ramp with step 0"],
    [
      () => linspace(0, 1, -1),
      RangeError,
      "Cannot make -1 evenly spaced numbers: the count is whole and not negative",
    ],
    [() => randint(3, 3, [2]), RangeError, "Cannot draw from [3, 3): it is empty"],
    [
      () => manualSeed(-1),
      RangeError,
      "Cannot seed with -1: a seed is an integer from 0 to 2^53 - 1",
    ],
    [
      () => new Generator(0.5),
      RangeError,
      "Cannot seed with 0.5: a seed is an integer from 0 to 2^53 - 1",
    ],
  ],
  gradients: [
    [() => v().sum().backward(), Error, noHistory],
    [() => grad(v().sum(), [v()]), Error, noHistory],
    [() => noGrad(() => leaf().mul(2)).sum().backward(), Error, noHistory],
    [
      () => leaf().mul(2).backward(),
      TypeError,
      "Cannot differentiate a tensor of shape [2] without a gradient: only a scalar needs none",
    ],
    [
      () => leaf().mul(2).backward(tensor([1])),
      TypeError,
      "Cannot differentiate [2] with a gradient of shape [1]",
    ],
    [
      () => leaf().mul(2).requiresGrad_(false),
      Error,
      "Cannot change requiresGrad of a computed tensor: use detach() for a leaf",
    ],
    [
      () => leaf().grad = tensor([1]),
      TypeError,
      "Cannot set a gradient of shape [1] on a tensor of shape [2]",
    ],
    [
      () => noGrad(async () => await Promise.resolve()),
      TypeError,
      "Cannot run an async function here: the mode would end before it does",
    ],
    [
      () => gradcheck((x) => x, [v()]),
      TypeError,
      "Cannot check gradients of input 0: it must be float64 and require a gradient",
    ],
  ],
  "values and changes in place": [
    [() => v().item(), TypeError, "Cannot take the item of [3]: it has 3 elements"],
    [() => zeros([0]).item(), TypeError, "Cannot take the item of [0]: it has 0 elements"],
    [
      () => leaf().mul(2).assign(tensor([1, 2])),
      Error,
      "Cannot change a computed tensor in place while it is needed for gradients",
    ],
    [() => v().copy_([1, 2]), TypeError, "Cannot copy 2 elements into [3]: it has 3"],
    [() => v().copy_(m()), TypeError, "Cannot expand [2, 3] to [3]: only sizes of 1 can grow"],
  ],
  devices: [
    [
      () => setDefaultDevice("gpu"),
      RangeError,
      'Cannot use device "gpu": the devices here are cpu, ref, null, cuda',
    ],
    [
      () => tensor([1], { device: "gpu" }),
      RangeError,
      'Cannot use device "gpu": the devices here are cpu, ref, null, cuda',
    ],
    [
      () => v().to("gpu"),
      RangeError,
      'Cannot use device "gpu": the devices here are cpu, ref, null, cuda',
    ],
    [
      () => capture((x: Tensor) => x)(3 as never),
      TypeError,
      "Cannot capture a step of 3: its arguments must be tensors",
    ],
  ],
};

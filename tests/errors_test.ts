/** Bad calls: each raises at the call that is wrong, with a message that says what was given and what is wanted. One table: its length is the number of its rows. */
import {
  arange,
  bernoulli,
  capture,
  cat,
  full,
  Generator,
  grad,
  gradcheck,
  linspace,
  manualSeed,
  noGrad,
  Parameter,
  randint,
  setDefaultDevice,
  stack,
  stepScope,
  type Tensor,
  tensor,
  where,
  zeros,
} from "@pta/core";
import { assertEquals } from "@std/assert";
import { throwsExactly } from "./assert.ts";
import { eachDevice, on } from "./devices.ts";

type Row = readonly [call: () => unknown, type: new (message: string) => Error, message: string];

const stale =
  "Cannot compute this value: it was described from a tensor that has been changed in place since " +
  "(by an optimizer step, say); call realize() on it before the change";
const freed =
  "Cannot use this tensor: its memory was freed when its step scope ended or by dispose(); " +
  "keep(tensor) inside the scope makes it last";
const noHistory = "Cannot differentiate a tensor that does not require gradients: " +
  "no input of it has requiresGrad, or it was made under noGrad";

/** Small tensors that most rows use. */
const m = () => zeros([2, 3]);
const v = () => tensor([1, 2, 3]);
const ints = () => tensor(Int32Array.of(0, 1));
const bools = () => tensor([true, false]);
const leaf = () => tensor([1, 2], { requiresGrad: true });
const index = (...shape: number[]) => zeros(shape, { dtype: "int32" });

const rows: Readonly<Record<string, readonly Row[]>> = {
  "shapes of operands": [
    [
      () => zeros([32, 64]).add(zeros([32, 10])),
      TypeError,
      "Cannot add [32, 64] and [32, 10]: sizes differ at dim 1",
    ],
    [() => m().sub(zeros([4])), TypeError, "Cannot subtract [2, 3] and [4]: sizes differ at dim 1"],
    [() => m().div(zeros([2])), TypeError, "Cannot divide [2, 3] and [2]: sizes differ at dim 1"],
    [
      () => where(bools(), v(), 0),
      TypeError,
      "Cannot choose between [2] and [3]: sizes differ at dim 0",
    ],
    [
      () => v().maskedFill(bools(), 0),
      TypeError,
      "Cannot choose between [2] and [3]: sizes differ at dim 0",
    ],
    [() => v().lt(zeros([2])), TypeError, "Cannot compare [3] and [2]: sizes differ at dim 0"],
    [
      () => bernoulli(tensor([0.5, 0.5]), [3]),
      TypeError,
      "Cannot compare [3] and [2]: sizes differ at dim 0",
    ],
    [
      () => m().mul("x" as never),
      TypeError,
      "Cannot multiply a tensor and x: a tensor or a number is needed",
    ],
    [
      () => m().mul(undefined as never),
      TypeError,
      "Cannot multiply a tensor and undefined: a tensor or a number is needed",
    ],
    [() => v().clamp({}), TypeError, "Cannot clamp: give min, max or both"],
  ],
  products: [
    [
      () => m().matmul(zeros([4, 2])),
      TypeError,
      "Cannot matmul [2, 3] by [4, 2]: inner sizes are 3 and 4",
    ],
    [
      () => m().matmul(tensor(1)),
      TypeError,
      "Cannot matmul [2, 3] by []: both need at least 1 dimension",
    ],
    [
      () => zeros([2, 3, 4]).matmul(zeros([3, 4, 5])),
      TypeError,
      "Cannot matmul batches [2] and [3]: sizes differ at dim 0",
    ],
    [() => bools().matmul(bools()), TypeError, "Cannot matmul [2] by [2]: bool has no product"],
    [() => m().mm(v()), TypeError, "Cannot mm [2, 3] by [3]: both must be 2-D"],
    [
      () => zeros([2, 3, 4]).bmm(zeros([3, 4, 5])),
      TypeError,
      "Cannot bmm [2, 3, 4] by [3, 4, 5]: both must be 3-D with equal first sizes",
    ],
    [() => m().dot(v()), TypeError, "Cannot dot [2, 3] with [3]: both must be 1-D"],
    [() => m().outer(v()), TypeError, "Cannot outer [2, 3] with [3]: both must be 1-D"],
  ],
  dtypes: [
    [
      () => v().bitwiseAnd(v()),
      TypeError,
      "Cannot combine the bits of float32 tensors: integers or bool are needed",
    ],
    [
      () => v().bitwiseNot(),
      TypeError,
      "Cannot invert the bits of float32 tensors: integers or bool are needed",
    ],
    [
      () => ints().bitwiseLeftShift(0.5),
      TypeError,
      "Cannot shift the bits of float32 tensors: integers or bool are needed",
    ],
    [
      () => where(v(), v(), v()),
      TypeError,
      "Cannot choose by a float32 condition: it must be bool",
    ],
    [() => ints().mean(), TypeError, "Cannot take the mean of int32: cast to a float dtype first"],
    [
      () => ints().softmax(0),
      TypeError,
      "Cannot take the softmax of int32: cast to a float dtype first",
    ],
    [() => bools().neg(), TypeError, "Cannot negate bool tensors: use logicalNot"],
    [() => bools().sub(bools()), TypeError, "Cannot subtract bool tensors: use bitwiseXor"],
    [
      () => ints().requiresGrad_(),
      TypeError,
      "Cannot require gradients of int32: only floats have them",
    ],
  ],
  dims: [
    [() => m().softmax(2), RangeError, "Cannot softmax at dim 2: the tensor has 2 dimensions"],
    [() => m().sum(-3), RangeError, "Cannot sum at dim -3: the tensor has 2 dimensions"],
    [() => m().sum(0.5), RangeError, "Cannot sum at dim 0.5: the tensor has 2 dimensions"],
    [() => m().sum([0, -2]), RangeError, "Cannot sum over dims [0, 0]: a dim is named twice"],
    [() => tensor(1).sum(1), RangeError, "Cannot sum at dim 1: the tensor has 1 dimension"],
    [
      () => v().transpose(0, 1),
      RangeError,
      "Cannot transpose at dim 1: the tensor has 1 dimension",
    ],
    [() => m().unsqueeze(4), RangeError, "Cannot unsqueeze at dim 4: the tensor has 3 dimensions"],
    [() => m().flip(2), RangeError, "Cannot flip at dim 2: the tensor has 2 dimensions"],
    [
      () => cat([m(), m()], 2),
      RangeError,
      "Cannot concatenate at dim 2: the tensor has 2 dimensions",
    ],
    [() => zeros([0]).amax(), RangeError, "Cannot take the maximum of [0]: there are no elements"],
    [
      () => zeros([2, 0]).argmax(1),
      RangeError,
      "Cannot take the argmax of [2, 0]: there are no elements",
    ],
  ],
  movement: [
    [() => m().reshape(4), TypeError, "Cannot reshape [2, 3] to [4]: 6 elements do not fit"],
    [
      () => m().reshape(-1, -1),
      TypeError,
      "Cannot reshape [2, 3] to [-1, -1]: 6 elements do not fit",
    ],
    [
      () => m().reshape(4, -1),
      TypeError,
      "Cannot reshape [2, 3] to [4, -1]: 6 elements do not fit",
    ],
    [
      () => tensor([[1, 2, 3], [4, 5, 6]]).mT.view(6),
      TypeError,
      "Cannot view [3, 2] as [6]: its strides do not allow it; use reshape",
    ],
    [
      () => m().permute(0, 0),
      TypeError,
      "Cannot permute [2, 3] by [0, 0]: each dim must be named once",
    ],
    [
      () => zeros([2, 3, 4]).t(),
      TypeError,
      "Cannot transpose [2, 3, 4] with t(): it has more than 2 dimensions",
    ],
    [() => m().expand(2, 4), TypeError, "Cannot expand [2, 3] to [2, 4]: only sizes of 1 can grow"],
    [() => m().narrow(1, 2, 2), RangeError, "Cannot narrow dim 1 of [2, 3] to 2 from 2: it has 3"],
    [
      () => m().slice(1, 0, 3, 0),
      RangeError,
      "Cannot slice with step 0: it must be 1 or more; use flip to reverse",
    ],
    [
      () => m().slice(1, 0.5),
      RangeError,
      "Cannot slice from 0.5 to Infinity: bounds are whole numbers",
    ],
    [() => m().select(0, 2), RangeError, "Cannot select 2 of dim 0: it has 2 elements"],
    [
      () => m().split([1, 1], 1),
      RangeError,
      "Cannot split dim 1 of [2, 3] into [1, 1]: the sizes must add up to 3",
    ],
    [
      () => m().split(0),
      RangeError,
      "Cannot split into pieces of 0: a size of at least 1 is needed",
    ],
    [() => m().chunk(0), RangeError, "Cannot chunk into 0 pieces: at least 1 is needed"],
    [
      () => zeros([2, 3, 4]).flatten(2, 1),
      RangeError,
      "Cannot flatten dims 2 to 1: the first comes after the last",
    ],
    [
      () => m().pad([1]),
      TypeError,
      "Cannot pad [2, 3] by [1]: give two widths for each dim, last dim first",
    ],
    [
      () => v().pad([-2, -2]),
      RangeError,
      "Cannot pad dim 0 of [3] by -2 and -2: that cuts more than it has",
    ],
    [() => m().repeat(2), TypeError, "Cannot repeat [2, 3] by [2]: give a count for each dim"],
    [() => cat([]), TypeError, "Cannot concatenate an empty list"],
    [
      () => cat([m(), zeros([2, 4])]),
      TypeError,
      "Cannot concatenate [2, 3] and [2, 4] along dim 0: other sizes differ",
    ],
    [() => stack([]), TypeError, "Cannot stack an empty list"],
  ],
  indexing: [
    [
      () => m().gather(0, m()),
      TypeError,
      "Cannot gather by a float32 index: int32 or int64 is needed",
    ],
    [
      () => m().gather(0, ints()),
      TypeError,
      "Cannot gather [2, 3] along dim 0 by an index of shape [2]",
    ],
    [
      () => m().gather(0, index(1, 4)),
      TypeError,
      "Cannot gather [2, 3] along dim 0 by an index of shape [1, 4]",
    ],
    [
      () => m().indexSelect(0, index(1, 1)),
      TypeError,
      "Cannot select by an index of shape [1, 1]: it must be 1-D",
    ],
    [
      () => m().scatterAdd(0, index(2, 3), m().double()),
      TypeError,
      "Cannot scatter float64 into float32: dtypes must be equal",
    ],
    [
      () => m().scatterAdd(0, index(2, 3), zeros([1, 3])),
      TypeError,
      "Cannot scatter [1, 3] by an index of shape [2, 3]: it is larger",
    ],
    [
      () => v().indexSelect(0, tensor(Int32Array.of(7))).realize(),
      RangeError,
      "Cannot index with 7: the dimension has size 3",
    ],
  ],
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

for (const [kind, list] of Object.entries(rows)) {
  eachDevice(`bad calls raise at once, in words: ${kind}`, () => {
    for (const [call, type, message] of list) throwsExactly(call, type, message);
  });
}

Deno.test("operands on different devices", () =>
  on("ref", () => {
    const here = tensor([1, 2]), there = tensor([1, 2], { device: "null" });
    throwsExactly(
      () => here.add(there),
      TypeError,
      'Cannot add tensors on ref and null: move one with to("ref")',
    );
    throwsExactly(
      () => cat([here, there]),
      TypeError,
      "Cannot concatenate tensors on ref and null",
    );
    throwsExactly(
      () => here.assign(there),
      TypeError,
      "Cannot assign [2] float32 on null to [2] float32 on ref: devices differ",
    );
    throwsExactly(
      () => here.assign(tensor([1])),
      TypeError,
      "Cannot assign [1] float32 on ref to [2] float32 on ref: shape and dtype must be equal",
    );
    throwsExactly(
      () => here.assign(here.double()),
      TypeError,
      "Cannot assign [2] float64 on ref to [2] float32 on ref: shape and dtype must be equal",
    );
  }));

eachDevice(
  "a value described from a tensor that was changed since is an error, not a wrong number",
  () => {
    const x = tensor([1, 2]);
    const y = x.mul(2), seen = x.reshape(2, 1).realize();
    x.copy_([5, 6]);
    throwsExactly(() => y.data(), ReferenceError, stale);
    throwsExactly(() => seen.data(), ReferenceError, stale);
    const z = x.mul(2);
    x.assign(x.add(1)).realize();
    throwsExactly(() => z.data(), ReferenceError, stale);
    assertEquals(x.toArray(), [6, 7]);
    assertEquals(x.mul(2).toArray(), [12, 14]);
  },
);

eachDevice("a stale loss spoils its own gradients and nothing else", () => {
  const w = new Parameter(tensor([1]));
  const loss = w.mul(w).sum();
  w.assign(noGrad(() => w.add(1))).realize();
  loss.backward();
  throwsExactly(() => w.grad!.data(), ReferenceError, stale);
  assertEquals(tensor([1]).add(1).item(), 2);
  w.grad = undefined;
  w.mul(w).sum().backward();
  assertEquals(w.grad!.item(), 4);
});

eachDevice("a scope ends also when its gradients cannot be computed", () => {
  const w = new Parameter(tensor([1]));
  throwsExactly(
    () => {
      using _ = stepScope();
      const loss = w.mul(w).sum();
      w.assign(noGrad(() => w.add(1))).realize();
      loss.backward();
    },
    ReferenceError,
    stale,
  );
  w.grad = undefined;
  {
    using _ = stepScope();
    assertEquals(w.item(), 2);
  }
});

eachDevice("use after free", () => {
  const x = tensor([1]), y = x.mul(2);
  x.dispose();
  throwsExactly(() => x.item(), ReferenceError, freed);
  throwsExactly(() => y.item(), ReferenceError, freed);
});

Deno.test("there are at least forty bad calls", () => {
  assertEquals(Object.values(rows).flat().length >= 40, true);
});

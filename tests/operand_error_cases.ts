/** Bad calls of operators: shapes, dtypes and dims of their operands. */
import { bernoulli, cat, tensor, where, zeros } from "@pta/core";
import { type BadCalls, bools, ints, m, v } from "./bad_call.ts";

export const operandErrors: BadCalls = {
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
};

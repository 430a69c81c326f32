/** Bad calls that move or pick elements. */
import { cat, stack, tensor, zeros } from "@pta/core";
import { type BadCalls, index, ints, m, v } from "./bad_call.ts";

export const movementErrors: BadCalls = {
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
};

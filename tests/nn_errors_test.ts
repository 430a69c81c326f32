/** Modules and layers: bad arguments, each with its message. */
import { nn, zeros } from "@pta/core";
import { throwsExactly } from "./assert.ts";
import { on } from "./devices.ts";
import { ints } from "./tensors.ts";

const F = nn.functional;

// deno-lint-ignore no-explicit-any -- what a caller without types might pass
const untyped = (x: unknown) => x as any;

Deno.test("nn: bad arguments are errors at the call", () =>
  on("ref", () => {
    const x = zeros([2, 3]);
    const cases: [() => unknown, typeof TypeError | typeof RangeError, string][] = [
      [
        () => new nn.Linear(0, 2),
        RangeError,
        "Cannot make Linear with inFeatures 0: it must be a whole number of at least 1",
      ],
      [
        () => new nn.Linear(2, 1.5),
        RangeError,
        "Cannot make Linear with outFeatures 1.5: it must be a whole number of at least 1",
      ],
      [
        () => new nn.Linear(4, 2).forward(x),
        TypeError,
        "Cannot apply a linear layer to [2, 3]: its weight is [2, 4], so the last size must be 4",
      ],
      [
        () => new nn.Dropout(1.5),
        RangeError,
        "Cannot make Dropout with p 1.5: it must be between 0 and 1",
      ],
      [
        () => F.dropout(x, { p: -1 }),
        RangeError,
        "Cannot drop out with p -1: it must be between 0 and 1",
      ],
      [
        () => new nn.Embedding(3, 2, { paddingIdx: 3 }),
        RangeError,
        "Cannot make Embedding with paddingIdx 3: the table has 3 rows, so it must be from -3 to 2",
      ],
      [
        () => new nn.Embedding(3, 2).forward(x),
        TypeError,
        "Cannot look up an embedding by float32: indices must be int32 or int64",
      ],
      [
        () => new nn.LayerNorm([4]).forward(x),
        TypeError,
        "Cannot normalise [2, 3]: its last sizes must be [4]",
      ],
      [
        () => new nn.LayerNorm([]),
        RangeError,
        "Cannot make LayerNorm with normalizedShape []: at least one dimension is needed",
      ],
      [
        () => F.crossEntropy(x, ints([0, 1, 2])),
        TypeError,
        "Cannot take the cross entropy of [2, 3] and target [3]: classes must be [2]",
      ],
      [
        () => F.crossEntropy(x, zeros([2])),
        TypeError,
        'Cannot take the cross entropy of a float32 target [2]: classes must be int32 or int64; cast with .to("int32")',
      ],
      [
        () => F.crossEntropy(x, ints([0, 1]), { weight: zeros([2]) }),
        TypeError,
        "Cannot weight 3 classes by [2]: it must be [3]",
      ],
      [
        () => F.crossEntropy(x, ints([0, 1]), { labelSmoothing: 2 }),
        RangeError,
        "Cannot take the cross entropy with labelSmoothing 2: it must be between 0 and 1",
      ],
      [
        () => F.nllLoss(zeros([]), zeros([])),
        TypeError,
        "Cannot take the negative log likelihood of [] and target []: classes must be []",
      ],
      [
        () => new nn.MSELoss({ reduction: untyped("avg") }),
        RangeError,
        'Cannot reduce a loss by "avg": it must be "mean", "sum" or "none"',
      ],
      [
        () => F.scaledDotProductAttention(zeros([3, 4]), zeros([3, 5]), zeros([3, 4])),
        TypeError,
        "Cannot attend with query [3, 4], key [3, 5], value [3, 4]: they must be [..., L, E], [..., S, E], [..., S, Ev]",
      ],
      [
        () => F.scaledDotProductAttention(x, x, x, { isCausal: true, attnMask: x }),
        TypeError,
        "Cannot attend with both attnMask and isCausal: put the causal part into the mask",
      ],
      [
        () => nn.init.kaimingUniform_(zeros([3])),
        TypeError,
        "Cannot find the fan of [3]: it must have 2 dimensions or more",
      ],
      [
        () => nn.init.calculateGain(untyped("mish")),
        RangeError,
        'Cannot find a gain for "mish": it must be one of linear, conv1d, conv2d, conv3d, sigmoid, tanh, relu, leakyRelu, selu',
      ],
      [
        () => nn.init.truncNormal_(zeros([1]), { low: 50, high: 51 }),
        RangeError,
        "Cannot draw from a normal distribution of mean 0 and std 1 inside [50, 51]",
      ],
      [
        () => new nn.Sequential(untyped(nn.ReLU)),
        TypeError,
        "Cannot use item 0 as a layer: it is the class or function ReLU, not a Module",
      ],
      [
        () => new nn.ModuleList().forward(),
        TypeError,
        "Cannot call a ModuleList: loop over it in the forward of the module that holds it",
      ],
      [
        () => new nn.Identity().registerBuffer("a.b", x),
        TypeError,
        'Cannot register the buffer "a.b": a name is not empty and has no dot',
      ],
    ];
    for (const [call, type, message] of cases) throwsExactly(call, type as never, message);
  }));

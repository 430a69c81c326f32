/** Losses as modules: options printed, agreement with the functions, refusals. */
import { nn, type Tensor, tensor } from "@pta/core";
import { assertEquals } from "@std/assert";
import { closeNumbers, numbers, throwsExactly } from "./assert.ts";
import { on } from "./devices.ts";
import { ints, noise, signs } from "./tensors.ts";

const F = nn.functional;

Deno.test("loss: modules print their options and do what the functions do", () => {
  on("ref", () => {
    const x = noise([4, 5], 1), y = noise([4, 5], 2), z = noise([4, 5], 3, 0.1, 0.9);
    const w = noise([5], 4, 0.5, 1.5), classes = ints([0, 4, 2, 1]), s = signs(5);
    const manhattan = (a: Tensor, b: Tensor) => a.sub(b).abs().sum(-1);
    const table: readonly (readonly [nn.Module, Tensor[], Tensor, string])[] = [
      [new nn.L1Loss(), [x, y], F.l1Loss(x, y), "L1Loss(reduction=mean)"],
      [
        new nn.MSELoss({ reduction: "sum" }),
        [x, y],
        x.sub(y).square().sum(),
        "MSELoss(reduction=sum)",
      ],
      [
        new nn.SmoothL1Loss({ beta: 0.5 }),
        [x, y],
        F.smoothL1Loss(x, y, { beta: 0.5 }),
        "SmoothL1Loss(beta=0.5, reduction=mean)",
      ],
      [
        new nn.HuberLoss({ delta: 0.5 }),
        [x, y],
        F.huberLoss(x, y, { delta: 0.5 }),
        "HuberLoss(delta=0.5, reduction=mean)",
      ],
      [
        new nn.BCELoss({ weight: w }),
        [z, z],
        F.binaryCrossEntropy(z, z, { weight: w }),
        "BCELoss(reduction=mean)",
      ],
      [
        new nn.BCEWithLogitsLoss({ posWeight: w }),
        [x, z],
        F.binaryCrossEntropyWithLogits(x, z, { posWeight: w }),
        "BCEWithLogitsLoss(reduction=mean)",
      ],
      [
        new nn.KLDivLoss({ reduction: "batchmean" }),
        [x, z],
        F.klDiv(x, z, { reduction: "batchmean" }),
        "KLDivLoss(logTarget=false, reduction=batchmean)",
      ],
      [
        new nn.GaussianNLLLoss({ full: true }),
        [x, y, z],
        F.gaussianNllLoss(x, y, z, { full: true }),
        "GaussianNLLLoss(full=true, eps=0.000001, reduction=mean)",
      ],
      [
        new nn.PoissonNLLLoss(),
        [x, z],
        F.poissonNllLoss(x, z),
        "PoissonNLLLoss(logInput=true, full=false, eps=1e-8, reduction=mean)",
      ],
      [
        new nn.HingeEmbeddingLoss({ margin: 2 }),
        [x, s],
        F.hingeEmbeddingLoss(x, s, { margin: 2 }),
        "HingeEmbeddingLoss(margin=2, reduction=mean)",
      ],
      [
        new nn.SoftMarginLoss(),
        [x, s],
        x.mul(s).neg().exp().add(1).log().mean(),
        "SoftMarginLoss(reduction=mean)",
      ],
      [
        new nn.MarginRankingLoss(),
        [x, y, s.reshape(1, 5)],
        F.marginRankingLoss(x, y, s.reshape(1, 5)),
        "MarginRankingLoss(margin=0, reduction=mean)",
      ],
      [
        new nn.MultiMarginLoss({ p: 2 }),
        [x, classes],
        F.multiMarginLoss(x, classes, { p: 2 }),
        "MultiMarginLoss(p=2, margin=1, reduction=mean)",
      ],
      [
        new nn.MultiLabelMarginLoss(),
        [x, ints([...new Array<number>(20).keys()].map((i) => i % 5 - 1), [4, 5])],
        tensor(0, { dtype: "float64" }),
        "MultiLabelMarginLoss(reduction=mean)",
      ],
      [
        new nn.MultiLabelSoftMarginLoss(),
        [x, z],
        F.binaryCrossEntropyWithLogits(x, z),
        "MultiLabelSoftMarginLoss(reduction=mean)",
      ],
      [
        new nn.CosineEmbeddingLoss(),
        [x, y, signs(4)],
        F.cosineEmbeddingLoss(x, y, signs(4)),
        "CosineEmbeddingLoss(margin=0, reduction=mean)",
      ],
      [
        new nn.TripletMarginLoss({ p: 1, eps: 0 }),
        [x, y, z],
        F.tripletMarginWithDistanceLoss(x, y, z, { distanceFunction: manhattan }),
        "TripletMarginLoss(margin=1, p=1, eps=0, swap=false, reduction=mean)",
      ],
      [
        new nn.TripletMarginWithDistanceLoss({ distanceFunction: manhattan, margin: 2 }),
        [x, y, z],
        F.tripletMarginLoss(x, y, z, { p: 1, margin: 2, eps: 0 }),
        "TripletMarginWithDistanceLoss(margin=2, swap=false, reduction=mean)",
      ],
      [
        new nn.CosineSimilarity(),
        [x, y],
        F.cosineSimilarity(x, y),
        "CosineSimilarity(dim=1, eps=1e-8)",
      ],
      [
        new nn.PairwiseDistance({ eps: 0 }),
        [x, y],
        x.sub(y).square().sum(1).sqrt(),
        "PairwiseDistance(p=2, eps=0, keepdim=false)",
      ],
    ];
    for (const [module, inputs, expected, printed] of table) {
      assertEquals(`${module}`, printed);
      closeNumbers(numbers(module.forward(...inputs)), numbers(expected), {}, printed);
    }
    const weighted = new nn.BCEWithLogitsLoss({ weight: w, posWeight: w });
    assertEquals(Object.keys(weighted.stateDict()), ["weight", "pos_weight"]);
    const ctc = new nn.CTCLoss({ zeroInfinity: true });
    assertEquals(`${ctc}`, "CTCLoss(blank=0, zeroInfinity=true, reduction=mean)");
    const logits = noise([5, 3], 11).logSoftmax(-1);
    closeNumbers(
      numbers(ctc.forward(logits, ints([1, 2]), 5, 2)),
      numbers(F.ctcLoss(logits, ints([1, 2]), 5, 2)),
    );
  });
});

Deno.test("loss: bad arguments are refused", () => {
  on("ref", () => {
    const x = noise([4, 5], 1), row = noise([5], 2), t = ints([0, 1, 2, 3]);
    const steps = noise([6, 2, 4], 3);
    // deno-lint-ignore no-explicit-any -- what a caller without types might pass
    const untyped = (v: unknown) => v as any;
    const table: readonly (readonly [() => unknown, new (message: string) => Error, string])[] = [
      [
        () => F.mseLoss(x, x, { reduction: untyped("avg") }),
        RangeError,
        'Cannot reduce a loss by "avg": it must be "mean", "sum" or "none"',
      ],
      [
        () => new nn.KLDivLoss({ reduction: untyped("avg") }),
        RangeError,
        'Cannot reduce a loss by "avg": it must be "mean", "sum" or "none"',
      ],
      [
        () => F.l1Loss(x, x, { weight: row }),
        TypeError,
        "Cannot weight l1Loss of [4, 5] by [5]: the shapes must be equal",
      ],
      [
        () => F.smoothL1Loss(x, x, { beta: -1 }),
        RangeError,
        "Cannot take smoothL1Loss with beta -1: it must be at least 0",
      ],
      [
        () => new nn.HuberLoss({ delta: 0 }),
        RangeError,
        "Cannot take HuberLoss with delta 0: it must be above 0",
      ],
      [
        () => F.binaryCrossEntropy(x, row),
        TypeError,
        "Cannot take binaryCrossEntropy of [4, 5] and target [5]: the target must be [4, 5]",
      ],
      [
        () => F.binaryCrossEntropyWithLogits(x, x, { posWeight: noise([4], 3) }),
        TypeError,
        "Cannot take binaryCrossEntropyWithLogits of [4, 5] with posWeight [4]: it must broadcast to [4, 5]",
      ],
      [
        () => F.gaussianNllLoss(x, x, noise([2, 5], 3)),
        TypeError,
        "Cannot take gaussianNllLoss of [4, 5] with variance [2, 5]: it must be [4, 5], without the last size, or with one size being 1",
      ],
      [
        () => F.gaussianNllLoss(x, x, -1),
        RangeError,
        "Cannot take gaussianNllLoss with variance -1: it must be at least 0",
      ],
      [
        () => F.marginRankingLoss(x, x, row),
        TypeError,
        "Cannot take marginRankingLoss of [4, 5] and [4, 5] with target [5]: they must have equally many dimensions",
      ],
      [
        () => F.multiMarginLoss(x, ints([0])),
        TypeError,
        "Cannot take multiMarginLoss of [4, 5] and target [1]: they must be [N, C] and [N], or [C] and []",
      ],
      [
        () => F.multiMarginLoss(x, t, { p: 3 }),
        RangeError,
        "Cannot take multiMarginLoss with p 3: it must be 1 or 2",
      ],
      [
        () => F.multiMarginLoss(x, t, { weight: noise([4], 1) }),
        TypeError,
        "Cannot weight 5 classes by [4]: it must be [5]",
      ],
      [
        () => F.multilabelMarginLoss(x, x),
        TypeError,
        'Cannot take multilabelMarginLoss of a float64 target [4, 5]: classes must be int32 or int64; cast with .to("int32")',
      ],
      [
        () => F.cosineEmbeddingLoss(x, x, row.reshape(1, 5)),
        TypeError,
        "Cannot take cosineEmbeddingLoss of [4, 5] and [4, 5] with target [1, 5]: they must be [N, D], [N, D] and [N], or [D], [D] and []",
      ],
      [
        () => F.tripletMarginLoss(x, x, row),
        TypeError,
        "Cannot take tripletMarginLoss of anchor [4, 5], positive [4, 5], negative [5]: they must have equally many dimensions",
      ],
      [
        () => new nn.TripletMarginLoss({ margin: 0 }),
        RangeError,
        "Cannot take TripletMarginLoss with margin 0: it must be above 0",
      ],
      [
        () => F.ctcLoss(steps, ints([1, 1], [2, 1]), [6], [1, 1]),
        TypeError,
        "Cannot take ctcLoss with 1 inputLengths: the batch has 2 sequences",
      ],
      [
        () => F.ctcLoss(steps, ints([1, 1], [2, 1]), [6, 7], [1, 1]),
        RangeError,
        "Cannot take ctcLoss with inputLengths 7: it must be a whole number between 0 and 6",
      ],
      [
        () => F.ctcLoss(steps, ints([1, 1], [2, 1]), [6, 6], [1, 2]),
        TypeError,
        "Cannot take ctcLoss with targets [2, 1] and targetLengths [1, 2]: they must be [2, 2 or more]",
      ],
      [
        () => F.ctcLoss(steps, ints([1, 1], [2, 1]), [6, 6], [1, 1], { blank: 4 }),
        RangeError,
        "Cannot take ctcLoss with blank 4: there are 4 classes",
      ],
      [
        () => new nn.MultiMarginLoss({ p: 0 }),
        RangeError,
        "Cannot make MultiMarginLoss with p 0: it must be 1 or 2",
      ],
      [
        () => new nn.Bilinear(2, 3, 4).forward(noise([5, 2], 1).float(), noise([5, 2], 1).float()),
        TypeError,
        "Cannot apply a bilinear layer to [5, 2] and [5, 2] with weight [4, 2, 3] and bias [4]: they must be [..., in1], [..., in2], [out, in1, in2] and [out]",
      ],
    ];
    for (const [fn, kind, message] of table) throwsExactly(fn, kind, message);
  });
});

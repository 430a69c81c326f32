/** Losses: gradients, alignments counted one by one, agreement of forms, printing, refusals. Values against PyTorch are in tests/golden. */
import { grad, gradcheck, nn, Parameter, type Tensor, tensor } from "@pta/core";
import { assert, assertEquals, assertThrows } from "@std/assert";
import { closeNumbers, numbers, throwsExactly } from "./assert.ts";
import { eachDevice, on } from "./devices.ts";

const F = nn.functional;
const ints = (values: number[], shape: number[] = [values.length]) =>
  tensor(Int32Array.from(values), { shape });
/** Numbers without a pattern, the same each time, between `low` and `high`. */
const noise = (shape: number[], seed: number, low = -1, high = 1) => {
  const n = shape.reduce((a, b) => a * b, 1);
  const values = Float64Array.from({ length: n }, (_, i) => {
    const x = Math.sin(12.9898 * (i + 1) + 78.233 * seed) * 43758.5453;
    return low + (high - low) * (x - Math.floor(x));
  });
  return tensor(values, { shape });
};
const signs = (n: number) => tensor(Float64Array.from({ length: n }, (_, i) => i % 3 ? 1 : -1));

type Case = readonly [name: string, fn: (...x: Tensor[]) => Tensor, inputs: Tensor[]];

const cases = (): Case[] => {
  const x = noise([4, 5], 1), y = noise([4, 5], 2), p = noise([4, 5], 3, 0.1, 0.9);
  const classes = ints([0, 4, 2, 1]), w = noise([5], 4, 0.5, 1.5);
  const lengths = { input: [6, 5], target: [2, 1] };
  return [
    ["mse", (x, y) => F.mseLoss(x, y, { weight: p }), [x, y]],
    ["l1", (x, y) => F.l1Loss(x, y, { weight: p, reduction: "sum" }), [x, y]],
    ["smooth l1", (x, y) => F.smoothL1Loss(x, y, { beta: 0.4 }), [x, y]],
    ["smooth l1 without a bend", (x, y) => F.smoothL1Loss(x, y, { beta: 0 }), [x, y]],
    ["huber", (x, y) => F.huberLoss(x, y, { delta: 0.4, weight: p }), [x, y]],
    ["cross entropy", (x) => F.crossEntropy(x, classes, { weight: w, labelSmoothing: 0.1 }), [x]],
    ["cross entropy of probabilities", (x, p) => F.crossEntropy(x, p, { weight: w }), [x, p]],
    ["nll", (x) => F.nllLoss(x, classes, { ignoreIndex: 2, reduction: "none" }), [x]],
    ["bce", (p, q) => F.binaryCrossEntropy(p, q, { weight: w }), [p, noise([4, 5], 5, 0, 1)]],
    [
      "bce with logits",
      (x, q) => F.binaryCrossEntropyWithLogits(x, q, { weight: w, posWeight: w }),
      [x, p],
    ],
    ["kl", (x, p) => F.klDiv(x, p, { reduction: "batchmean" }), [x, p]],
    ["kl of logarithms", (x, y) => F.klDiv(x, y, { logTarget: true }), [x, y]],
    [
      "gaussian nll",
      (x, y, v) => F.gaussianNllLoss(x, y, v, { full: true }),
      [x, y, noise([4], 6, 0.5, 2)],
    ],
    ["gaussian nll, one variance", (x, y) => F.gaussianNllLoss(x, y, 0.7), [x, y]],
    ["poisson nll", (x, y) => F.poissonNllLoss(x, y, { full: true }), [x, noise([4, 5], 7, 0, 4)]],
    ["poisson nll of rates", (p, y) => F.poissonNllLoss(p, y, { logInput: false }), [p, y]],
    ["hinge embedding", (x) => F.hingeEmbeddingLoss(x, signs(5), { margin: 0.5 }), [x]],
    ["soft margin", (x) => F.softMarginLoss(x, signs(5)), [x]],
    ["margin ranking", (x, y) => F.marginRankingLoss(x, y, signs(5).reshape(1, 5)), [x, y]],
    ["multi margin", (x) => F.multiMarginLoss(x, classes, { p: 2, weight: w }), [x]],
    [
      "multilabel margin",
      (x) => F.multilabelMarginLoss(x, ints([0, 3, -1, 1, 2, 4, -1, 0, 0, 0]).reshape(2, 5)),
      [x.narrow(0, 0, 2)],
    ],
    ["multilabel soft margin", (x) => F.multilabelSoftMarginLoss(x, p.gt(0.5)), [x]],
    ["cosine embedding", (x, y) => F.cosineEmbeddingLoss(x, y, signs(4), { margin: 0.1 }), [x, y]],
    [
      "triplet margin",
      (x, y, z) => F.tripletMarginLoss(x, y, z, { swap: true, p: 3 }),
      [x, y, noise([4, 5], 8)],
    ],
    [
      "ctc",
      (x) => F.ctcLoss(x.logSoftmax(-1), ints([1, 2, 3, 0], [2, 2]), lengths.input, lengths.target),
      [noise([6, 2, 4], 9)],
    ],
    ["embedding by frequency", (x) => F.embedding(ints([3, 1, 0, 2]), x), [x]],
    [
      "embedding bag, max",
      (x) => F.embeddingBag(ints([3, 1, 0, 2]), x, { mode: "max", offsets: ints([0, 1]) }),
      [x],
    ],
    [
      "embedding bag, weighted sum",
      (x, s) =>
        F.embeddingBag(ints([3, 1, 0, 2]), x, {
          mode: "sum",
          offsets: ints([0, 1]),
          perSampleWeights: s,
        }),
      [x, noise([4], 10)],
    ],
  ];
};

eachDevice("loss: gradients agree with finite differences", () => {
  for (const [name, fn, inputs] of cases()) {
    const leaves = inputs.map((x) =>
      tensor(Float64Array.from(numbers(x)), { shape: x.shape }).requiresGrad_()
    );
    try {
      gradcheck(fn, leaves);
    } catch (error) {
      throw new Error(`${name}: ${(error as Error).message}`);
    }
  }
});

/** Log likelihood of `target` by adding up every path of `steps` classes. */
function likelihood(logProbs: number[][], target: number[], blank: number): number {
  const classes = logProbs[0].length, steps = logProbs.length;
  let total = 0;
  for (let code = 0; code < classes ** steps; code++) {
    const path = Array.from({ length: steps }, (_, t) => Math.floor(code / classes ** t) % classes);
    const collapsed = path.filter((c, t) => c !== path[t - 1]).filter((c) => c !== blank);
    if (`${collapsed}` !== `${target}`) continue;
    total += Math.exp(path.reduce((s, c, t) => s + logProbs[t][c], 0));
  }
  return Math.log(total);
}

eachDevice("ctcLoss: is the sum over all paths, in every layout", () => {
  const x = noise([5, 3, 3], 11).logSoftmax(-1), values = x.toArray() as number[][][];
  const targets = [[1, 1], [2], [1, 2, 1]], inputs = [5, 3, 4], blank = 0;
  const exact = targets.map((target, n) =>
    -likelihood(values.slice(0, inputs[n]).map((step) => step[n]), target, blank)
  );
  const padded = ints([1, 1, 9, 2, -7, 0, 1, 2, 1], [3, 3]), row = ints([1, 1, 2, 1, 2, 1]);
  const sizes = targets.map((t) => t.length);
  const none = { reduction: "none" } as const;
  closeNumbers(numbers(F.ctcLoss(x, padded, inputs, sizes, none)), exact, {}, "padded");
  closeNumbers(numbers(F.ctcLoss(x, row, ints(inputs), ints(sizes), none)), exact, {}, "row");
  const mean = exact.reduce((s, l, n) => s + l / sizes[n] / 3, 0);
  closeNumbers([F.ctcLoss(x, padded, inputs, sizes).item()], [mean], {}, "mean");
  const alone = F.ctcLoss(x.select(1, 2), ints([1, 2, 1]), 4, 3, none);
  assertEquals(alone.shape, []);
  closeNumbers([alone.item()], [exact[2]], {}, "alone");
});

eachDevice("ctcLoss: the routine and the unrolled recursion give one gradient", () => {
  const x = noise([7, 3, 4], 21).logSoftmax(-1).detach().requiresGrad_();
  // Equal neighbours, a sequence cut short, an empty target, an input of no steps.
  const targets = ints([1, 1, 3, 2, 0, 0, 3, 0, 0], [3, 3]);
  for (const inputs of [[7, 4, 6], [5, 0, 7]]) {
    for (const sizes of [[3, 1, 1], [2, 0, 1]]) {
      const loss = () => F.ctcLoss(x, targets, inputs, sizes, { zeroInfinity: true });
      const [once] = grad(loss(), [x]), [again] = grad(loss(), [x], { createGraph: true });
      closeNumbers(numbers(once), numbers(again), {}, `${inputs} by ${sizes}`);
      assert(numbers(once).some((v) => v !== 0));
    }
  }
});

eachDevice("ctcLoss: a target that does not fit is infinite, or nothing", () => {
  const x = noise([2, 2, 3], 12).logSoftmax(-1).detach().requiresGrad_();
  // [1, 1] needs a blank between, so three steps; an empty target fits any number of blanks.
  const run = (zeroInfinity: boolean) =>
    F.ctcLoss(x, ints([1, 1, 0, 0], [2, 2]), [2, 2], [2, 0], { reduction: "none", zeroInfinity });
  const blanks = -(x.toArray() as number[][][]).reduce((s, step) => s + step[1][0], 0);
  closeNumbers(numbers(run(false)), [Infinity, blanks]);
  closeNumbers(numbers(run(true)), [0, blanks]);
  const [g] = grad(run(true).sum(), [x]);
  assertEquals(numbers(g.select(1, 0)), [0, 0, 0, 0, 0, 0]);
  assert(numbers(g.select(1, 1)).every((v) => v !== 0));
});

eachDevice("losses of wide logits stay finite", () => {
  const x = tensor([-200, 200, 0]).requiresGrad_(), t = tensor([1, 0, 1]);
  const loss = F.binaryCrossEntropyWithLogits(x, t, { reduction: "none" });
  closeNumbers(numbers(loss), [200, 200, Math.LN2]);
  closeNumbers(numbers(grad(loss.sum(), [x])[0]), [-1, 1, -0.5]);
  const p = tensor([0, 1, 0.5]).requiresGrad_();
  const bce = F.binaryCrossEntropy(p, tensor([1, 0, 1]), { reduction: "none" });
  closeNumbers(numbers(bce), [100, 100, Math.LN2]);
  assert(numbers(grad(bce.sum(), [p])[0]).every(Number.isFinite));
});

eachDevice("a class out of range is no loss of 0", () => {
  const x = noise([2, 3], 13).float();
  for (const t of [ints([0, 3]), ints([-1, 0])]) {
    const wrong = Math.max(...t.toArray() as number[]) === 3 ? 3 : -1;
    for (const reduction of ["mean", "sum"] as const) {
      assertThrows(
        () => F.crossEntropy(x, t, { reduction }).item(),
        RangeError,
        `Cannot take a loss of classes: target holds ${wrong}, wanted 0 to 2`,
      );
    }
    assert(Number.isNaN(F.multiMarginLoss(x, t).item()));
  }
  assert(Number.isNaN(F.multilabelMarginLoss(x, ints([0, 3, -1, 1, -1, 0], [2, 3])).item()));
});

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

eachDevice("embeddingBag: is what looking up and reducing gives, in both layouts", () => {
  const table = noise([6, 3], 14).float(), index = ints([1, 5, 5, 0, 2, 3]);
  const weights = noise([6], 15).float(), offsets = ints([0, 2, 2, 5]);
  const rows = F.embedding(index, table).toArray() as number[][];
  const bags = [[0, 1], [], [2, 3, 4], [5]], w = numbers(weights);
  const reduce: Record<string, (bag: number[], d: number) => number> = {
    sum: (bag, d) => bag.reduce((s, i) => s + rows[i][d], 0),
    mean: (bag, d) => bag.length && bag.reduce((s, i) => s + rows[i][d], 0) / bag.length,
    max: (bag, d) => bag.length && Math.max(...bag.map((i) => rows[i][d])),
    weighted: (bag, d) => bag.reduce((s, i) => s + rows[i][d] * w[i], 0),
  };
  for (const [name, fn] of Object.entries(reduce)) {
    const mode = name === "weighted" ? "sum" : name as "sum" | "mean" | "max";
    const perSampleWeights = name === "weighted" ? weights : undefined;
    const expected = bags.flatMap((bag) => [0, 1, 2].map((d) => fn(bag, d)));
    const got = F.embeddingBag(index, table, { offsets, mode, perSampleWeights });
    closeNumbers(numbers(got), expected, {}, name);
    const last = ints([0, 2, 2, 5, 6]);
    const ended = F.embeddingBag(index, table, {
      offsets: last,
      mode,
      perSampleWeights,
      includeLastOffset: true,
    });
    closeNumbers(numbers(ended), expected, {}, `${name} with an end`);
    const fixed = F.embeddingBag(index.reshape(2, 3), table, {
      mode,
      perSampleWeights: perSampleWeights?.reshape(2, 3),
      paddingIdx: 5,
    });
    const unpadded = [[0], [3, 4, 5]].flatMap((bag) => [0, 1, 2].map((d) => fn(bag, d)));
    closeNumbers(numbers(fixed), unpadded, {}, `${name} with padding`);
  }
  const layer = new nn.EmbeddingBag(6, 3, { paddingIdx: -1, mode: "max", maxNorm: 2 });
  assertEquals(`${layer}`, "EmbeddingBag(6, 3, maxNorm=2, mode=max, paddingIdx=5)");
  assertEquals(layer.forward(index, offsets).shape, [4, 3]);
});

eachDevice(
  "embedding: long rows are shortened in the table; gradients by frequency; one-hot",
  () => {
    const table = new Parameter(tensor([[3, 4], [1, 1], [6, 8], [0, 0.1]]));
    const y = F.embedding(ints([0, 3, 0]), table, { maxNorm: 1 });
    closeNumbers(numbers(y), [0.6, 0.8, 0, 0.1, 0.6, 0.8], { atol: 1e-6 });
    closeNumbers(numbers(table), [0.6, 0.8, 1, 1, 6, 8, 0, 0.1], { atol: 1e-6 });
    const [g] = grad(F.embedding(ints([1, 1, 3, 1]), table, { scaleGradByFreq: true }).sum(), [
      table,
    ]);
    closeNumbers(numbers(g), [0, 0, 1, 1, 0, 0, 1, 1]);
    assertEquals(F.oneHot(ints([2, 0])).toArray(), [[0, 0, 1], [1, 0, 0]]);
    assertEquals(F.oneHot(ints([1]), 2).dtype, "int64");
  },
);

Deno.test("lookup: bad arguments are refused, an index that names no row when it is computed", () => {
  on("cpu", () => {
    const table = noise([3, 2], 1).float(), index = ints([0, 1, 2]);
    const bag = (options: object, i = index) => () => F.embeddingBag(i, table, options);
    const offsets = ints([0, 1]);
    const cases: readonly (readonly [() => unknown, new (message: string) => Error, string])[] = [
      [
        bag({ offsets, mode: "min" }),
        RangeError,
        'Cannot apply EmbeddingBag with mode "min": it must be "sum", "mean" or "max"',
      ],
      [
        bag({ offsets, perSampleWeights: index.float() }),
        RangeError,
        'Cannot bag by "mean" with perSampleWeights: only "sum" takes them',
      ],
      [
        bag({ offsets, mode: "sum", perSampleWeights: offsets.float() }),
        TypeError,
        "Cannot bag embeddings at [3] with perSampleWeights [2]: they must be [3]",
      ],
      [bag({}), TypeError, "Cannot bag embeddings at [3]: it must be [B, L], or [n] with offsets"],
      [
        bag({ offsets }, index.reshape(1, 3)),
        TypeError,
        "Cannot bag embeddings at [1, 3] with offsets: its rows are the bags",
      ],
      [
        bag({ offsets: ints([0, 4]), mode: "max" }),
        RangeError,
        "Cannot bag 3 embeddings from offset 4: offsets start at 0 and never fall or pass the end",
      ],
      [
        bag({ offsets, paddingIdx: 3 }),
        RangeError,
        "Cannot bag embeddings with paddingIdx 3: the table has 3 rows",
      ],
      [
        () => new nn.EmbeddingBag(3, 2, { mode: "max", scaleGradByFreq: true }),
        RangeError,
        'Cannot bag by "max" with scaleGradByFreq: only "sum" and "mean" take it',
      ],
      [
        () => F.oneHot(index, 0),
        RangeError,
        "Cannot one-hot 0 classes: it must be a whole number of at least 1, or -1",
      ],
      [
        () => F.oneHot(index.float()),
        TypeError,
        "Cannot one-hot float32: classes must be integers",
      ],
    ];
    for (const [fn, kind, message] of cases) throwsExactly(fn, kind, message);
    const late = [F.oneHot(index, 2), F.embedding(ints([3]), table)];
    for (const y of late) {
      let thrown: unknown;
      try {
        y.data();
      } catch (error) {
        thrown = error;
      }
      assert(thrown instanceof RangeError, String(thrown));
    }
  });
});

/** Losses: gradients, alignments counted one by one, agreement of forms. Values against PyTorch are in tests/golden. */
import { grad, gradcheck, nn, type Tensor, tensor } from "@pta/core";
import { assert, assertEquals, assertThrows } from "@std/assert";
import { closeNumbers, numbers } from "./assert.ts";
import { eachDevice } from "./devices.ts";
import { ints, noise, signs } from "./tensors.ts";

const F = nn.functional;

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

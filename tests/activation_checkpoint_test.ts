/** Activation checkpointing: the same gradients and random numbers, less memory, under autocast and captured. */
import "@pta/core/backend";
import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import {
  autocast,
  backendOf,
  capture,
  grad,
  manualSeed,
  type Module,
  nn,
  noGrad,
  optim,
  rand,
  randn,
  realize,
  setDefaultDevice,
  stepScope,
  type Tensor,
} from "@pta/core";

const gradients = (model: Module): number[][] =>
  model.parameters().map((p) => Array.from(p.grad!.data() as Float32Array));

const block = (width: number, p = 0): nn.Sequential =>
  new nn.Sequential(
    new nn.Linear(width, 4 * width),
    new nn.GELU(),
    new nn.Dropout(p),
    new nn.Linear(4 * width, width),
  );

function stackOf(count: number, width: number, p = 0): nn.Sequential {
  manualSeed(5);
  return new nn.Sequential(...Array.from({ length: count }, () => block(width, p)));
}

/** Loss and gradients of a stack, checkpointed or not. */
function run(checkpointed: boolean, p: number, low: boolean): { loss: number; all: number[][] } {
  using _scope = stepScope();
  const model = stackOf(3, 8, p), x = randn([4, 8]).requiresGrad_();
  manualSeed(9);
  const forward = (): Tensor =>
    checkpointed
      ? [...model].reduce((y: Tensor, m) => nn.checkpoint((z) => (m as Module).forward(z), y), x)
      : model.forward(x);
  const y = low ? autocast({}, forward) : forward();
  const loss = y.float().square().mean();
  loss.backward();
  return {
    loss: loss.item(),
    all: [Array.from(x.grad!.data() as Float32Array), ...gradients(model)],
  };
}

for (const [p, low] of [[0, false], [0.3, false], [0.3, true]] as const) {
  Deno.test(`checkpoint: the same loss and gradients, dropout ${p}, bfloat16 ${low}`, () => {
    const a = run(true, p, low), b = run(false, p, low);
    if (!low) return assertEquals(a, b);
    // What is fused is not rounded between: the second pass may be cut otherwise.
    assertAlmostEquals(a.loss, b.loss, 1e-5);
    a.all.forEach((values, i) =>
      values.forEach((x, k) =>
        assertAlmostEquals(x, b.all[i][k], 2e-2 * Math.max(...b.all[i].map(Math.abs)))
      )
    );
  });
}

Deno.test("checkpoint: several outputs, captured tensors, integer inputs, no gradient", () => {
  manualSeed(1);
  const w = randn([3, 3]).requiresGrad_(), scale = w.mul(2), x = randn([2, 3]).requiresGrad_();
  const fn = (a: Tensor): [Tensor, Tensor] => [a.matmul(w).tanh(), a.mul(scale.sum()).exp()];
  const total = ([a, b]: readonly Tensor[]) => a.sum().add(b.mean());
  const plain = grad(total(fn(x)), [x, w]).map((t) => t.toArray());
  const saved = grad(total(nn.checkpoint(fn, x)), [x, w]).map((t) => t.toArray());
  assertEquals(saved, plain);

  const embedding = new nn.Embedding(5, 3);
  const tokens = rand([4]).mul(5).floor().to("int32");
  nn.checkpoint((t) => embedding.forward(t), tokens).square().sum().backward();
  const first = embedding.weight.grad!.toArray();
  embedding.weight.grad = undefined;
  embedding.forward(tokens).square().sum().backward();
  assertEquals(first, embedding.weight.grad!.toArray());

  assert(!noGrad(() => nn.checkpoint((a) => a.matmul(w), x)).requiresGrad);
});

Deno.test("checkpoint: second derivatives", () => {
  const x = randn([3]).requiresGrad_();
  const second = (f: (x: Tensor) => Tensor) => {
    const [g] = grad(f(x).sum(), [x], { createGraph: true });
    return grad(g.square().sum(), [x])[0].toArray();
  };
  const cube = (t: Tensor) => t.mul(t).mul(t);
  assertEquals(second((t) => nn.checkpoint(cube, t)), second(cube));
});

Deno.test("checkpoint: batch statistics are tracked once", () => {
  const means = [true, false].map((checkpointed) => {
    manualSeed(2);
    const norm = new nn.BatchNorm1d(3), x = randn([8, 3]);
    const y = checkpointed ? nn.checkpoint((t) => norm.forward(t), x) : norm.forward(x);
    y.square().sum().backward();
    realize(norm.weight!.grad!);
    return norm.running_mean!.toArray();
  });
  assertEquals(means[0], means[1]);
});

Deno.test("checkpoint: captured training with dropout goes the same way as plain training", () => {
  const train = (checkpointed: boolean, captured: boolean): number[] => {
    const model = stackOf(2, 8, 0.2), x = randn([4, 8]).realize();
    const optimizer = new optim.SGD(model.parameters(), { lr: 0.1 });
    const body = (x: Tensor) => {
      const y = checkpointed ? nn.checkpointSequential(model, 2, x) : model.forward(x);
      const loss = y.square().mean();
      loss.backward();
      optimizer.step();
      optimizer.zeroGrad();
      return loss;
    };
    const step = captured ? capture(body) : body;
    return Array.from({ length: 6 }, () => {
      using _scope = stepScope();
      return step(x).item();
    });
  };
  const plain = train(false, false);
  assertEquals(train(true, false), plain);
  assertEquals(train(true, true), plain);
});

Deno.test("checkpoint: peak memory falls to the inputs of the segments and one segment", () => {
  setDefaultDevice("null");
  try {
    const width = 64, rows = 512, count = 8;
    const peak = (checkpointed: boolean, low: boolean): number => {
      using _scope = stepScope();
      const model = stackOf(count, width), x = randn([rows, width]).realize();
      const { stats } = backendOf("null");
      const before = stats.bytesPeak = stats.bytesAlive;
      const forward = () =>
        checkpointed
          ? [...model].reduce(
            (y: Tensor, m) => nn.checkpoint((z) => (m as Module).forward(z), y),
            x,
          )
          : model.forward(x);
      (low ? autocast({}, forward) : forward()).float().square().mean().backward();
      realize(...model.parameters().map((p) => p.grad!));
      const gradientBytes = 4 * model.parameters().reduce((n, p) => n + p.numel, 0);
      return stats.bytesPeak - before - gradientBytes;
    };
    const row = 4 * rows * width;
    // A block keeps its input and, four times as wide, what GELU takes and what the second layer takes.
    const plain = peak(false, false), saved = peak(true, false);
    assert(plain > 7 * count * row, `${plain / row}`);
    // The inputs of all blocks, and the values and gradients of one.
    assert(saved < (count + 10) * row, `${saved / row} rows, ${plain / row} without`);
    const low = peak(false, true);
    assertAlmostEquals(low / plain, 0.5, 0.05, "bfloat16 takes half");
    assertAlmostEquals(peak(true, true) / saved, 0.5, 0.05, "also checkpointed");
  } finally {
    setDefaultDevice("cpu");
  }
});

Deno.test("checkpointSequential: the number of segments must fit", () => {
  const model = stackOf(2, 4);
  assertThrows(() => nn.checkpointSequential(model, 3, randn([1, 4])), RangeError, "from 1 to 2");
});

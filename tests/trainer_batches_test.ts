/** Batches of any structure, losses of the model's own, what a loss is a mean over. */
import { assert, assertAlmostEquals, assertEquals, assertRejects } from "@std/assert";
import { nn, optim, type Tensor, tensor } from "@pta/core";
import { callback, type Trainer, type TrainerOptions } from "@pta/trainer";
import {
  QuietTrainer,
  scalarDataset,
  scalarModel,
  smallDataset,
  smallModel,
  smallTrainer,
  weightsOf,
} from "./trainer_support.ts";

const xs = [1, -2, 3, 0.5, 2, -1, 1.5], ys = [2, 1, -1, 4, 0, 3, 1];

/** `n` samples as objects, with something that is no tensor. */
const objects = {
  length: 7,
  get: (i: number) => ({
    inputs: { x: new Float32Array([xs[i]]) },
    y: new Float32Array([ys[i]]),
  }),
};

async function trainWith(
  model: nn.Module,
  rest: Partial<TrainerOptions>,
  trainDataset: Parameters<Trainer["train"]>[0]["trainDataset"],
): Promise<QuietTrainer> {
  const trainer = new QuietTrainer({
    model,
    optimizer: new optim.SGD(model.parameters(), { lr: 0.05 }),
    callbacks: [],
    ...rest,
  });
  await trainer.train({
    trainDataset,
    evalDataset: trainDataset,
    numEpochs: 3,
    perDeviceBatchSize: 2,
    trainDataLoaderOptions: { shuffle: false },
  });
  return trainer;
}

/** What a plain pair of input and target gives. */
async function plainRun(): Promise<{ w: number[]; losses: number[] }> {
  const model = scalarModel(0.5);
  const t = await trainWith(model, { lossFunc: new nn.MSELoss() }, scalarDataset(xs, ys));
  return { w: weightsOf(model), losses: t.runHistory.values("eval_loss_epoch") };
}

/** A model that makes its own loss, as those of transformers do. */
class WithLoss extends nn.Module {
  readonly linear = scalarModel(0.5);
  override forward(batch: { inputs: { x: Tensor }; y: Tensor }): { loss: Tensor; logits: Tensor } {
    const logits = this.linear.forward(batch.inputs.x);
    return { loss: logits.sub(batch.y).square().mean(), logits };
  }
}

Deno.test("batches: objects with a model that returns its own loss train as pairs do", async () => {
  const expected = await plainRun();
  const model = new WithLoss();
  const trainer = await trainWith(model, {}, objects);
  assertEquals(weightsOf(model), expected.w);
  assertEquals(trainer.runHistory.values("eval_loss_epoch"), expected.losses);
  assertEquals(trainer.lines, []);
});

Deno.test("batches: tuples are the arguments of a model that returns its own loss", async () => {
  const expected = await plainRun();
  class Direct extends nn.Module {
    readonly linear = scalarModel(0.5);
    override forward(x: Tensor, y: Tensor): Tensor {
      return this.linear.forward(x).sub(y).square().mean();
    }
  }
  const model = new Direct();
  const trainer = await trainWith(model, {}, scalarDataset(xs, ys));
  assertEquals(weightsOf(model), expected.w);
  assertEquals(trainer.runHistory.values("eval_loss_epoch"), expected.losses);
});

Deno.test("batches: a loss sees a batch that is no pair, and may return more than the loss", async () => {
  const expected = await plainRun();
  class Inner extends nn.Module {
    readonly linear = scalarModel(0.5);
    override forward(batch: { inputs: { x: Tensor } }): Tensor {
      return this.linear.forward(batch.inputs.x);
    }
  }
  const model = new Inner(), terms: number[] = [];
  await trainWith(model, {
    lossFunc: (output: Tensor, batch: { y: Tensor }) => {
      const error = output.sub(batch.y);
      return { loss: error.square().mean(), absolute: error.abs().mean() };
    },
    callbacks: [callback({
      name: "terms",
      onTrainStepEnd: (_, { batchOutput }) =>
        void terms.push((batchOutput.absolute as Tensor).item()),
    })],
  }, objects);
  assertEquals(weightsOf(model), expected.w);
  assertAlmostEquals(terms[0], (Math.abs(0.5 - 2) + Math.abs(-1 - 1)) / 2, 1e-6);
  assertEquals(terms.length, 12);
});

Deno.test("batches: what is no tensor reaches the model at every step, uncaptured", async () => {
  const scales: number[] = [];
  class Scaled extends nn.Module {
    readonly linear = scalarModel(0.5);
    override forward(batch: { x: Tensor; y: Tensor; ids: string[] }): { loss: Tensor } {
      scales.push(batch.ids.length);
      const error = this.linear.forward(batch.x).sub(batch.y);
      return { loss: error.square().mean().mul(batch.ids[0] === "s0" ? 1 : 2) };
    }
  }
  const dataset = {
    length: 7,
    get: (i: number) => ({
      x: new Float32Array([xs[i]]),
      y: new Float32Array([ys[i]]),
      ids: `s${i}`,
    }),
  };
  const trainer = await trainWith(new Scaled(), {}, dataset);
  assertEquals(scales.length, 2 * 3 * 4);
  assertEquals(trainer.lines, [
    "Steps run uncaptured: the batch has more than tensors, which a replay would not see",
  ]);
});

Deno.test("batches: a model without a loss, and no lossFunc, says what is missing", async () => {
  await assertRejects(
    () => trainWith(smallModel(), {}, { length: 4, get: () => new Float32Array(4) }),
    ReferenceError,
    "Cannot calculate a loss: the model returned a tensor [2, 3] and no loss; give the Trainer a lossFunc",
  );
});

/** Token losses: targets of -1 do not count, so the loss is a mean over a number of tokens that differs from batch to batch. */
const tokens = [
  [1, 0, 2, -1],
  [-1, -1, -1, -1],
  [0, -1, -1, -1],
  [2, 2, 1, 0],
  [-1, -1, 1, -1],
  [-1, -1, -1, -1],
  [0, 1, -1, -1],
];

const tokenDataset = {
  length: tokens.length,
  get: (i: number) => [
    Float32Array.from({ length: 16 }, (_, k) => Math.sin(1 + 3 * k + 7 * i)),
    BigInt64Array.from(tokens[i], BigInt),
  ],
};

/** One linear layer over four tokens of four numbers. */
class TokenModel extends nn.Module {
  readonly linear = smallModel(2);
  override forward(x: Tensor): Tensor {
    return this.linear.forward(x.reshape(-1, 4, 4));
  }
}

const tokenLoss = (kind: "device" | "host") => (output: Tensor, target: Tensor) => {
  const isCounted = target.ne(-1), flat = output.reshape(-1, 3);
  const each = nn.functional.crossEntropy(flat, target.clamp(0).reshape(-1), { reduction: "none" });
  const weight = isCounted.to("float32").sum();
  const loss = each.mul(isCounted.reshape(-1).to("float32")).sum().div(weight);
  return { loss, weight: kind === "host" ? weight.item() : weight };
};

async function trainTokens(
  perDeviceBatchSize: number,
  gradientAccumulationSteps: number,
  options: Partial<TrainerOptions> & { kind?: "device" | "host" } = {},
): Promise<{ weights: number[]; train: number[]; evaluation: number[]; trainer: QuietTrainer }> {
  const { kind = "device", ...rest } = options;
  const model = new TokenModel();
  const trainer = new QuietTrainer({
    model,
    lossFunc: tokenLoss(kind),
    optimizer: new optim.SGD(model.parameters(), { lr: 0.3, momentum: 0.5 }),
    callbacks: [],
    ...rest,
  });
  await trainer.train({
    trainDataset: tokenDataset,
    evalDataset: tokenDataset,
    numEpochs: 4,
    perDeviceBatchSize,
    gradientAccumulationSteps,
    trainDataLoaderOptions: { shuffle: false },
  });
  return {
    weights: weightsOf(model),
    train: trainer.runHistory.values("train_loss_epoch"),
    evaluation: trainer.runHistory.values("eval_loss_epoch"),
    trainer,
  };
}

const near = (actual: readonly number[], expected: readonly number[], tolerance = 2e-5) => {
  assertEquals(actual.length, expected.length);
  expected.forEach((x, i) => assertAlmostEquals(actual[i], x, tolerance, `at ${i}`));
};

for (const capture of [true, false]) {
  Deno.test(
    `weights: accumulation over tokens equals the large batch, whatever counts in each micro-batch, ${
      capture ? "captured" : "plain"
    }`,
    async () => {
      const start = weightsOf(new TokenModel()), whole = await trainTokens(4, 1, { capture });
      for (const [size, steps] of [[2, 2], [1, 4]]) {
        const parts = await trainTokens(size, steps, { capture });
        near(parts.weights, whole.weights);
        near(parts.train, whole.train);
        near(parts.evaluation, whole.evaluation);
        assertEquals(parts.trainer.lines, []);
      }
      assert(whole.weights.every(Number.isFinite));
      assert(whole.weights.some((w, i) => Math.abs(w - start[i]) > 0.01));
    },
  );
}

Deno.test("weights: an evaluation over tokens is the mean over tokens, and batches without any are passed over", async () => {
  const all = await trainTokens(7, 1), parts = await trainTokens(7, 1, { capture: false });
  near(parts.evaluation, all.evaluation);
  // One token at a time, by hand, from a model that has not been trained.
  const model = new TokenModel();
  let sum = 0, count = 0;
  tokens.forEach((row, i) => {
    const [x] = tokenDataset.get(i);
    const logits = model.forward(tensor(x as Float32Array, { shape: [1, 16] })).data();
    row.forEach((target, k) => {
      if (target < 0) return;
      const three = Array.from(logits.slice(3 * k, 3 * k + 3) as Float32Array);
      sum += Math.log(three.reduce((s, v) => s + Math.exp(v), 0)) - three[target];
      count++;
    });
  });
  for (const perDeviceBatchSize of [1, 2, 3, 7]) {
    const trainer = new QuietTrainer({ model, lossFunc: tokenLoss("device"), callbacks: [] });
    await trainer.evaluate({ dataset: tokenDataset, perDeviceBatchSize });
    assertAlmostEquals(trainer.runHistory.latest("evaluation_loss"), sum / count, 1e-5);
  }
});

Deno.test("weights: a number works, but keeps steps from being captured", async () => {
  const onDevice = await trainTokens(2, 2);
  const onHost = await trainTokens(2, 2, { kind: "host", capture: true });
  near(onHost.weights, onDevice.weights);
  assert(onHost.trainer.lines.length === 1, onHost.trainer.lines.join("\n"));
});

Deno.test("clipping: the norm before it is in the output of the step that closes a window", async () => {
  const norms: (number | undefined)[] = [];
  const trainer = smallTrainer({
    lr: 1,
    callbacks: [callback({
      name: "norms",
      onTrainStepEnd: (_, { batchOutput }) =>
        void norms.push((batchOutput.gradientNorm as Tensor | undefined)?.item()),
    })],
  });
  await trainer.train({
    trainDataset: smallDataset(16),
    numEpochs: 1,
    perDeviceBatchSize: 2,
    gradientAccumulationSteps: 2,
    gradientClipNorm: 1e-9,
  });
  assertEquals(norms.map((x) => x === undefined), [1, 0, 1, 0, 1, 0, 1, 0].map(Boolean));
  assert(norms.every((x) => x === undefined || x > 1e-3));
  assertEquals(new Set(norms).size, 5);
});

/** Batches of any structure, losses of the model's own, what a loss is a mean over, limits, events of one's own. */
import { assert, assertAlmostEquals, assertEquals, assertRejects } from "@std/assert";
import { keep, nn, optim, type Tensor, tensor } from "@pta/core";
import {
  type Batch,
  callback,
  CallbackError,
  defineEvent,
  StopTrainingError,
  type Trainer,
  type TrainerOptions,
} from "@pta/trainer";
import {
  fold,
  QuietTrainer,
  scalarDataset,
  scalarModel,
  smallDataset,
  smallModel,
  smallTrainer,
  tracer,
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

Deno.test("limits: batches of training and evaluation, counted by the run's configuration", async () => {
  const log: string[] = [];
  const trainer = smallTrainer({
    callbacks: [
      callback({
        name: "limit",
        onInitEnd: (t) => {
          t.limits.eval = 2;
        },
      }),
      tracer(log),
    ],
  });
  await trainer.train({
    trainDataset: smallDataset(20),
    evalDataset: smallDataset(20),
    numEpochs: 2,
    perDeviceBatchSize: 2,
    gradientAccumulationSteps: 2,
    limitTrainBatches: 3,
  });
  const count = (name: string) => log.filter((line) => line === name).length;
  assertEquals(count("onTrainStepEnd"), 6);
  assertEquals(count("onEvalStepEnd"), 4);
  assertEquals(trainer.numUpdates, 4);
  assertEquals(trainer.runConfig.numTrainBatchesPerEpoch, 3);
  assertEquals(trainer.runConfig.numUpdateStepsPerEpoch, 2);
  assertEquals(trainer.runConfig.numEvalBatches, 2);
  log.length = 0;
  await trainer.evaluate({ dataset: smallDataset(20), perDeviceBatchSize: 2, limitBatches: 5 });
  assertEquals(count("onEvalStepEnd"), 2);
});

Deno.test("events of one's own: typed, in declared order, named in errors, and able to stop", async () => {
  const onMilestone = defineEvent<{ loss: number }>("onMilestone");
  const log: string[] = [];
  const hearer = (name: string, act: () => void = () => {}) =>
    callback({
      name,
      custom: [onMilestone.hook((_, { loss }) => {
        log.push(`${name} ${loss}`);
        act();
      })],
    });
  const run = (act?: () => void) => {
    const trainer = smallTrainer({
      callbacks: [
        hearer("first", act),
        callback({ name: "teller", onTrainEpochEnd: (t) => t.emit(onMilestone, { loss: 3 }) }),
        hearer("second"),
      ],
    });
    return trainer.train({ trainDataset: smallDataset(2), numEpochs: 2 }).then(() => trainer);
  };
  await run();
  assertEquals(fold(log.splice(0)), ["first 3 second 3 x2"]);
  const stopped = await run(() => {
    throw new StopTrainingError("reached");
  });
  assertEquals(stopped.stopReason, "reached");
  assertEquals(log.splice(0), ["first 3", "second 3"]);
  await assertRejects(
    () =>
      run(() => {
        throw new TypeError("no");
      }),
    CallbackError,
    'Callback "first" failed in onMilestone: TypeError: no',
  );
  // @ts-expect-error The payload is typed.
  ((t: Trainer) => t.emit(onMilestone, { loss: "3" }));
});

Deno.test("gathering: one process has its own values, tensors alone or nested", () => {
  const trainer = smallTrainer();
  const x = keep(tensor([1, 2, 3]));
  assertEquals(trainer.gather({ x }).x, x);
  assertEquals(trainer.gatherForMetrics([x])[0], x);
  assertEquals(trainer.gatherObjects("a"), ["a"]);
  assertEquals(trainer.reduce([1, 2]), [1, 2]);
  assertEquals(trainer.reduce(x), x);
  assertEquals(trainer.getModel(), trainer.model);
});

Deno.test("evaluateNow: leaves mode, training loss and weights as they were, and its loss stays in the history", async () => {
  const results = [];
  for (const evaluates of [true, false]) {
    const model = new nn.Sequential(smallModel(), new nn.Dropout(0.4));
    const modes: boolean[] = [];
    const trainer = smallTrainer({
      model,
      callbacks: [callback({
        name: "middle",
        onTrainStepEnd: async (t, { step }) => {
          if (evaluates && step % 2 === 1) {
            const before = t.lossTracker.total();
            const loss = await t.evaluateNow();
            assertEquals(t.lossTracker.total(), before);
            assertEquals(t.runHistory.latest("intermediate_eval_loss"), loss);
          }
          modes.push(t.model.training);
        },
      })],
    });
    await trainer.train({
      trainDataset: smallDataset(16),
      evalDataset: smallDataset(5),
      numEpochs: 2,
      perDeviceBatchSize: 4,
    });
    assertEquals(new Set(modes), new Set([true]));
    results.push({
      weights: weightsOf(model),
      train: trainer.runHistory.values("train_loss_epoch"),
      evaluation: trainer.runHistory.values("eval_loss_epoch"),
    });
    if (!evaluates) continue;
    const { values, direction } = trainer.runHistory.get("intermediate_eval_loss");
    assertEquals(values.map((v) => v.step), [2, 4, 6, 8]);
    assertEquals(direction, "lower");
    assertEquals(trainer.runHistory.best("intermediate_eval_loss").epoch, 2);
  }
  assertEquals(results[0], results[1]);
  await assertRejects(() => smallTrainer().evaluateNow(), RangeError, "works inside train()");
});

Deno.test("steps: every method that a subclass overrides is called", async () => {
  const called = new Set<string>();
  const names = [
    "calculateTrainBatchLoss",
    "updateLossTracker",
    "backwardStep",
    "clipGradients",
    "optimizerStep",
    "optimizerZeroGrad",
    "schedulerStep",
    "calculateEvalBatchLoss",
    "defaultTrainDataLoaderOptions",
    "defaultEvalDataLoaderOptions",
    "createTrainDataLoader",
    "createEvalDataLoader",
    "createScheduler",
    "trainingRunStart",
    "trainingRunEpochEnd",
    "trainingRunEnd",
    "evaluationRunStart",
    "evaluationRunEnd",
    "trainEpochStart",
    "trainEpochEnd",
    "evalEpochStart",
    "evalEpochEnd",
  ] as const;
  class Counting extends QuietTrainer {}
  for (const name of names) {
    const original = QuietTrainer.prototype[name] as (...args: unknown[]) => unknown;
    Object.defineProperty(Counting.prototype, name, {
      value(this: Trainer, ...args: unknown[]) {
        called.add(name);
        return original.apply(this, args);
      },
    });
  }
  const model = smallModel();
  const trainer = new Counting({
    model,
    lossFunc: new nn.CrossEntropyLoss(),
    optimizer: new optim.SGD(model.parameters(), { lr: 0.1 }),
    callbacks: [],
  });
  const dataset = smallDataset(4);
  await trainer.train({ trainDataset: dataset, evalDataset: dataset, numEpochs: 1 });
  await trainer.evaluate({ dataset });
  assertEquals([...called].sort(), [...names].sort());
});

// The batch is whatever the data gives.
const _: Batch = null;

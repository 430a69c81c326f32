/** Evaluation, metrics and seeds of the trainer, what its callbacks do, its run configuration and refusals. */
import { assert, assertAlmostEquals, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { data, nn, optim, type Tensor, tensor } from "@pta/core";
import {
  averageMetric,
  callback,
  createRunConfig,
  earlyStopping,
  logMetrics,
  progressBar,
  saveBest,
  terminateOnNaN,
} from "@pta/trainer";
import {
  QuietTrainer,
  scalarDataset,
  scalarModel,
  smallDataset,
  smallModel,
  smallTrainer,
  weightsOf,
} from "./trainer_support.ts";

Deno.test("trainer: evaluation counts every sample once", async () => {
  for (const n of [1, 3, 4, 5, 8]) {
    const seen: number[] = [];
    const values = Array.from({ length: n }, (_, i) => i + 1);
    const model = scalarModel(0);
    const trainer = new QuietTrainer({
      model,
      lossFunc: new nn.MSELoss(),
      callbacks: [callback({
        name: "seen",
        onEvalStepEnd: (_, { batch }) =>
          void seen.push(...((batch as Tensor[])[0].data() as Float32Array)),
      })],
    });
    await trainer.evaluate({ dataset: scalarDataset(values, values), perDeviceBatchSize: 4 });
    assertEquals(seen, values);
    const expected = values.reduce((sum, x) => sum + x * x, 0) / n;
    assertAlmostEquals(trainer.runHistory.latest("evaluation_loss"), expected, 1e-6 * expected);
  }
});

Deno.test("trainer: metrics are means over all samples, and a loss module may be a function", async () => {
  const model = scalarModel(2);
  const trainer = new QuietTrainer({
    model,
    lossFunc: (output, target) => output.sub(target).abs().mean(),
    callbacks: [averageMetric({
      name: "is_large",
      compute: (_, { modelOutputs }) => (modelOutputs as Tensor).gt(5),
    })],
  });
  await trainer.evaluate({
    dataset: scalarDataset([1, 2, 3, 4, 5], [0, 0, 0, 0, 0]),
    perDeviceBatchSize: 2,
  });
  assertEquals(trainer.runHistory.latest("evaluation_loss"), 6);
  assertEquals(trainer.runHistory.latest("eval_is_large"), 3 / 5);
});

Deno.test("trainer: the same seed repeats data order and dropout, another seed does not", async () => {
  const run = async (seed: number) => {
    const model = smallModel();
    const trainer = smallTrainer({
      model: new nn.Sequential(model, new nn.Dropout(0.3)),
      optimizer: new optim.SGD(model.parameters(), { lr: 0.1 }),
      seed,
    });
    await trainer.train({ trainDataset: smallDataset(16), numEpochs: 2, perDeviceBatchSize: 4 });
    return trainer.runHistory.values("train_loss_epoch");
  };
  const [first, again, other] = [await run(7), await run(7), await run(8)];
  assertEquals(again, first);
  assert(other[0] !== first[0]);
});

Deno.test("trainer: terminate on NaN stops at the next check, without reading the device before", async () => {
  const steps: number[] = [];
  const trainer = smallTrainer({
    callbacks: [
      terminateOnNaN({ checkEvery: 4 }),
      callback({ name: "steps", onTrainStepEnd: (_, { step }) => void steps.push(step) }),
    ],
    lossFunc: (output, target) =>
      new nn.CrossEntropyLoss().forward(output, target).add(output.sum().mul(NaN)),
  });
  await trainer.train({ trainDataset: smallDataset(20), numEpochs: 5, perDeviceBatchSize: 2 });
  assertEquals(steps, [0, 1, 2, 3]);
  assert(trainer.stopReason?.includes("a loss is NaN or infinite in training, epoch 1"));
  assertEquals(trainer.runHistory.names, []);

  const evaluated = smallTrainer({
    callbacks: [terminateOnNaN()],
    lossFunc: (output, target) => {
      const loss = new nn.CrossEntropyLoss().forward(output, target);
      return evaluated.model.training ? loss : loss.div(0);
    },
  });
  const dataset = smallDataset(4);
  await evaluated.train({ trainDataset: dataset, evalDataset: dataset, numEpochs: 3 });
  assert(evaluated.stopReason?.includes("in evaluation, epoch 1"));
  assertEquals(evaluated.runHistory.values("eval_loss_epoch"), [Infinity]);
});

/** Records the values as `score`, one an epoch. */
const scores = (values: readonly number[], direction: "lower" | "higher") =>
  callback({
    name: "scores",
    onTrainEpochEnd: ({ runHistory }) =>
      runHistory.record("score", values[runHistory.currentEpoch - 1], { direction }),
  });

async function epochsRun(
  values: readonly number[],
  direction: "lower" | "higher",
  patience: number,
) {
  const trainer = smallTrainer({
    callbacks: [
      scores(values, direction),
      earlyStopping({ watchMetric: "score", patience, threshold: 0.01 }),
    ],
  });
  await trainer.train({ trainDataset: smallDataset(2), numEpochs: values.length });
  return trainer.runHistory.values("score").length;
}

Deno.test("trainer: early stopping waits for patience, threshold and direction", async () => {
  assertEquals(await epochsRun([3, 2, 1.995, 1, 1], "lower", 1), 3);
  assertEquals(await epochsRun([3, 2, 1.995, 1, 1], "lower", 2), 5);
  assertEquals(await epochsRun([1, 2, 3, 4], "higher", 1), 4);
  assertEquals(await epochsRun([1, 2, 3, 4], "lower", 2), 3);
  assertEquals(await epochsRun([NaN, 2, NaN, 1], "lower", 2), 4);
  await assertRejects(
    () =>
      smallTrainer({ callbacks: [earlyStopping()] }).train({
        trainDataset: smallDataset(2),
        numEpochs: 1,
      }),
    Error,
    'Cannot find the metric "eval_loss_epoch"',
  );
});

Deno.test("trainer: save best keeps the best weights, loads them at the end, and leaves no other file", async () => {
  const folder = await Deno.makeTempDir();
  const path = `${folder}/best.safetensors`;
  const weights: number[][] = [];
  const trainer = smallTrainer({
    lr: 0.5,
    callbacks: [
      scores([3, 1, 2], "lower"),
      callback({
        name: "weights",
        onTrainingRunEpochEnd: ({ model }) => void weights.push(weightsOf(model)),
      }),
      saveBest({ path, watchMetric: "score" }),
    ],
  });
  await trainer.train({ trainDataset: smallDataset(8), numEpochs: 3, perDeviceBatchSize: 4 });
  assertEquals(weightsOf(trainer.model), weights[1]);
  assert(weights[2][0] !== weights[1][0]);
  assertEquals([...Deno.readDirSync(folder)].map((entry) => entry.name), ["best.safetensors"]);
  const header = await Deno.readFile(path);
  const length = Number(new DataView(header.buffer).getBigUint64(0, true));
  const names = Object.keys(JSON.parse(new TextDecoder().decode(header.subarray(8, 8 + length))));
  assertEquals(names.filter((name) => name !== "__metadata__").sort(), [
    "0.bias",
    "0.weight",
    "2.bias",
    "2.weight",
  ]);
  await Deno.remove(folder, { recursive: true });
});

Deno.test("trainer: log metrics logs what is new, whatever the order of callbacks", async () => {
  const trainer = smallTrainer({ callbacks: [logMetrics(), scores([0.25, 4], "higher")] });
  const dataset = smallDataset(2);
  await trainer.train({ trainDataset: dataset, evalDataset: dataset, numEpochs: 2 });
  assertEquals(trainer.lines.length, 2);
  const [first] = trainer.lines;
  assert(/^train_loss_epoch: [\d.]+, score: 0\.25000, eval_loss_epoch: [\d.]+$/.test(first), first);
  assert(trainer.lines[1].includes("score: 4"));
  trainer.lines.length = 0;
  await trainer.evaluate({ dataset });
  assert(/^evaluation_loss: [\d.]+$/.test(trainer.lines[0]), trainer.lines[0]);
});

Deno.test("trainer: the progress bar shows rate, loss and time left; plain lines without a terminal", async () => {
  for (const isTerminal of [true, false]) {
    let clock = 0, text = "";
    const trainer = smallTrainer({
      callbacks: [
        progressBar({
          isTerminal,
          refreshEvery: 1000,
          now: () => clock,
          write: (part) => text += part,
        }),
        callback({ name: "clock", onTrainStepStart: () => void (clock += 500) }),
      ],
    });
    await trainer.train({ trainDataset: smallDataset(16), numEpochs: 1, perDeviceBatchSize: 2 });
    const lines = text.split(isTerminal ? "\r\x1b[2K" : "\n").filter((line) => line !== "");
    assertEquals(lines.length, 4);
    assert(
      /^train ([█░]+ )?2\/8, 2\.00 batches\/s, loss \d\.\d+, 0:03 left$/.test(lines[0]),
      lines[0],
    );
    assert(
      /^train ([█░]+ )?8\/8, 2\.00 batches\/s, loss \d\.\d+, 0:04\n?$/.test(lines[3]),
      lines[3],
    );
    assertEquals(text.includes("\x1b"), isTerminal);
  }
});

Deno.test("trainer: the run configuration states what follows from the arguments, and is plain data", () => {
  const config = createRunConfig({
    numEpochs: 3,
    trainPerDeviceBatchSize: 4,
    gradientAccumulationSteps: 2,
    numTrainBatchesPerEpoch: 5,
    rank: { rank: 1, localRank: 1, worldSize: 2 },
  });
  assertEquals(config.trainTotalBatchSize, 16);
  assertEquals(config.numUpdateStepsPerEpoch, 3);
  assertEquals(config.maxNumTrainSteps, 9);
  assertEquals(config.isWorldProcessZero, false);
  assert(Object.isFrozen(config));
  assertEquals(JSON.parse(JSON.stringify(config)).numEpochs, 3);
});

Deno.test("trainer: arguments that make no sense are refused at the call", async () => {
  const wrong: [Parameters<typeof createRunConfig>[0], string][] = [
    [{ numEpochs: 0 }, "Cannot use numEpochs 0"],
    [{ numEpochs: 1.5 }, "Cannot use numEpochs 1.5"],
    [{ trainPerDeviceBatchSize: -1 }, "Cannot use perDeviceBatchSize -1"],
    [{ gradientAccumulationSteps: 0 }, "Cannot use gradientAccumulationSteps 0"],
    [{ gradientClipNorm: 0 }, "Cannot use gradientClipNorm 0"],
    [{ gradientClipValue: NaN }, "Cannot use gradientClipValue NaN"],
    [{ maxNumTrainSteps: -3 }, "Cannot use maxNumTrainSteps -3"],
  ];
  for (const [options, message] of wrong) {
    assertThrows(() => createRunConfig({ numEpochs: 1, ...options }), RangeError, message);
  }
  const trainer = smallTrainer();
  assertThrows(() => trainer.runConfig, ReferenceError, "before train() or evaluate()");
  await assertRejects(
    () => trainer.train({ trainDataset: smallDataset(2), numEpochs: -1 }),
    RangeError,
    "Cannot use numEpochs -1",
  );
  const dataset = new data.TensorDataset(tensor(new Float32Array(4), { shape: [2, 2] }));
  await assertRejects(
    () => trainer.train({ trainDataset: dataset, numEpochs: 1 }),
    TypeError,
    "Cannot take input and target from the batch",
  );
  await assertRejects(
    () => new QuietTrainer({ model: smallModel() }).train({ trainDataset: dataset, numEpochs: 1 }),
    ReferenceError,
    "Cannot train without an optimizer",
  );
});

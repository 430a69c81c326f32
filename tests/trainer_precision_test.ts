/** The trainer in mixed precision: where the choice comes from, skipped steps, accumulation, clipping, two runs, states, ranks. */
import { assert, assertAlmostEquals, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { backendOf, data, nn, optim, type Tensor, tensor } from "@pta/core";
import { callback, modelEma, saveState, type TrainerOptions, TrainerPrecision } from "@pta/trainer";
import { QuietTrainer, smallDataset, smallModel, weightsOf } from "./trainer_support.ts";

function makeTrainer(options: Partial<TrainerOptions> = {}): QuietTrainer {
  const model = smallModel();
  return new QuietTrainer({
    model,
    lossFunc: new nn.CrossEntropyLoss(),
    optimizer: new optim.AdamW(model.parameters(), { lr: 0.02 }),
    callbacks: [],
    seed: 1,
    ...options,
  });
}

/** A loss that is infinite in the calls whose numbers (from 0) are given. Uncaptured, since a replay would not count. */
function explodingLoss(bad: readonly number[]) {
  let calls = 0;
  const plain = new nn.CrossEntropyLoss();
  return (output: Tensor, target: Tensor): Tensor => {
    assertEquals(output.dtype, "float32");
    const loss = plain.forward(output, target);
    return bad.includes(calls++) ? loss.mul(tensor(Infinity)) : loss;
  };
}

const small = { trainDataset: smallDataset(32), numEpochs: 2, perDeviceBatchSize: 8 };

Deno.test("trainer precision: options come before the environment, and the source is told", () => {
  Deno.env.set("PTA_MIXED_PRECISION", "bf16");
  try {
    assertEquals(new TrainerPrecision().describe(), "bf16 (PTA_MIXED_PRECISION)");
    assertEquals(new TrainerPrecision("no").describe(), "no (the trainer's options)");
    assertEquals(new TrainerPrecision({ outputsFloat32: false }).mixedPrecision, "bf16");
    Deno.env.set("PTA_MIXED_PRECISION", "fp8");
    assertThrows(
      () => new TrainerPrecision(),
      RangeError,
      'precision "fp8" of PTA_MIXED_PRECISION',
    );
  } finally {
    Deno.env.delete("PTA_MIXED_PRECISION");
  }
  assertEquals(new TrainerPrecision().describe(), "no (the default)");
  assertThrows(() => new TrainerPrecision("half" as never), RangeError, "no, fp16, bf16");
});

for (const mixedPrecision of ["no", "bf16", "fp16"] as const) {
  Deno.test(`trainer precision: ${mixedPrecision} trains, captured, with float32 parameters`, async () => {
    const trainer = makeTrainer({ mixedPrecision });
    await trainer.train({ ...small, evalDataset: smallDataset(9), gradientClipNorm: 1 });
    const losses = trainer.runHistory.values("train_loss_epoch");
    assert(losses[1] < losses[0], `${losses}`);
    assert(trainer.model.parameters().every((p) => p.dtype === "float32"));
    assertEquals(trainer.lines.filter((l) => l.includes("uncaptured")), []);
    assertEquals(trainer.runHistory.has("skipped_steps"), mixedPrecision === "fp16");
    assertEquals(trainer.runConfig.mixedPrecision, mixedPrecision);
    assertEquals(
      trainer.lines.filter((l) => l.startsWith("Mixed precision")),
      mixedPrecision === "no" ? [] : [`Mixed precision: ${mixedPrecision} (the trainer's options)`],
    );
    // Afterwards the model is what it was.
    assertEquals(trainer.model.forward(tensor([[1, 2, 3, 4]])).dtype, "float32");
  });
}

Deno.test("trainer precision: the three precisions end close together", async () => {
  const ends: number[] = [];
  for (const mixedPrecision of ["no", "bf16", "fp16"] as const) {
    const trainer = makeTrainer({ mixedPrecision });
    await trainer.train({ ...small, numEpochs: 6 });
    ends.push(trainer.runHistory.latest("train_loss_epoch"));
  }
  assertAlmostEquals(ends[1], ends[0], 0.02);
  assertAlmostEquals(ends[2], ends[0], 0.005);
  assert(ends[1] !== ends[0] && ends[2] !== ends[0], "something must have been rounded");
});

Deno.test("trainer precision: a skipped step moves neither weights, scheduler nor EMA, and is counted", async () => {
  const ema = modelEma({ decay: 0.5, warmUp: false, evaluate: "none" });
  const rates: number[] = [], weights: string[] = [], averages: string[] = [];
  const trainer = makeTrainer({
    mixedPrecision: { precision: "fp16", gradScaler: { initScale: 1024 } },
    lossFunc: explodingLoss([2, 5, 6]),
    capture: false,
    callbacks: [
      ema,
      callback({
        name: "watch",
        onTrainStepEnd: (t) => {
          rates.push(t.optimizer!.paramGroups[0].lr);
          weights.push(JSON.stringify(weightsOf(t.model)));
          averages.push(JSON.stringify(
            Object.values(ema.weights()!).map((w) => w.toArray()),
          ));
        },
      }),
    ],
  });
  await trainer.train({
    ...small,
    createScheduler: (o) => new optim.StepLR(o, 1, { gamma: 0.5 }),
  });
  assertEquals(trainer.numUpdates, 8);
  for (let s = 1; s < 8; s++) {
    const isSkipped = [2, 5, 6].includes(s);
    assertEquals(weights[s] === weights[s - 1], isSkipped, `weights of step ${s}`);
    assertEquals(rates[s] === rates[s - 1], isSkipped, `rate of step ${s}`);
    assertEquals(averages[s] === averages[s - 1], isSkipped, `averages of step ${s}`);
  }
  assertEquals(trainer.runHistory.values("skipped_steps"), [1, 2]);
  assertEquals(trainer.runHistory.values("loss_scale"), [512, 128]);
});

Deno.test("trainer precision: accumulation unscales once a window; a second run goes on with the scale", async () => {
  const trainer = makeTrainer({
    mixedPrecision: { precision: "fp16", gradScaler: { growthInterval: 3, initScale: 8 } },
  });
  const run = { ...small, gradientAccumulationSteps: 2, gradientClipNorm: 1, gradientClipValue: 1 };
  await trainer.train(run);
  assertEquals(trainer.numUpdates, 4);
  assertEquals(trainer.precision.scaler!.getScale(), 16);
  await trainer.train(run);
  assertEquals(trainer.precision.scaler!.getScale(), 32);
  assert(trainer.trainingState().has("scaler"));
});

Deno.test("trainer precision: accumulation gives the weights of large batches", async () => {
  const weights: number[][] = [];
  for (const gradientAccumulationSteps of [1, 4]) {
    const trainer = makeTrainer({ mixedPrecision: "fp16" });
    await trainer.train({
      ...small,
      perDeviceBatchSize: 8 / gradientAccumulationSteps,
      gradientAccumulationSteps,
      trainDataLoaderOptions: { shuffle: false },
    });
    weights.push(weightsOf(trainer.model));
  }
  weights[0].forEach((w, i) => assertAlmostEquals(w, weights[1][i], 0.02));
});

Deno.test("trainer precision: hardware that lacks a type says so before the first step", async () => {
  const backend = backendOf("cpu");
  backend.lacks = (dtype) =>
    dtype === "bfloat16" ? "its arithmetic is older than bfloat16" : undefined;
  try {
    const trainer = makeTrainer({ mixedPrecision: "bf16" });
    let steps = 0;
    const before = weightsOf(trainer.model);
    await assertRejects(
      () => trainer.train({ ...small, createScheduler: () => ({ step: () => void steps++ }) }),
      RangeError,
      'Cannot train in bf16 (the trainer\'s options) on cpu: its arithmetic is older than bfloat16; use mixedPrecision "fp16"',
    );
    assertEquals([steps, weightsOf(trainer.model)], [0, before]);
    await makeTrainer({ mixedPrecision: "fp16" }).train(small);
  } finally {
    delete backend.lacks;
  }
});

Deno.test("trainer precision: nothing is read from the device inside a step", async () => {
  const { stats } = backendOf("cpu");
  for (const mixedPrecision of ["no", "bf16", "fp16"] as const) {
    const counts: number[] = [];
    const trainer = makeTrainer({
      mixedPrecision,
      callbacks: [callback({ name: "count", onTrainStepEnd: () => void counts.push(stats.reads) })],
    });
    const x = tensor(new Float32Array(128).fill(0.5), { shape: [32, 4] });
    const y = tensor(new BigInt64Array(32));
    await trainer.train({ ...small, trainDataset: new data.TensorDataset(x, y), numEpochs: 1 });
    assertEquals(counts.length, 4);
    assertEquals(counts[3] - counts[0], 0, mixedPrecision);
  }
});

interface RankResult {
  readonly precision: string;
  readonly weights: number[];
  readonly skipped: number[];
  readonly scale: number[];
  readonly rate: number;
}

Deno.test("trainer precision: two ranks of the launcher skip together, with the weights of one process", async () => {
  const folder = await Deno.makeTempDir(), script = "tests/fixtures/trainer_precision_rank.ts";
  const run = async (args: string[]): Promise<void> => {
    const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", ...args, script, folder],
      cwd: new URL("..", import.meta.url),
      env: { PTA_MIXED_PRECISION: "fp16" },
      stdin: "null",
    }).output();
    const text = new TextDecoder();
    assert(success, text.decode(stdout) + text.decode(stderr));
  };
  await run([]);
  await run(["launch/launch.ts", "--cpu", "--num-processes", "2", "--mixed-precision", "fp16"]);
  const read = (name: string): RankResult =>
    JSON.parse(Deno.readTextFileSync(`${folder}/${name}.json`));
  const one = read("1.0"), two = read("2.0");
  assertEquals(read("2.1"), two);
  assertEquals(two.precision, "fp16 (PTA_MIXED_PRECISION)");
  assertEquals([one.skipped, two.skipped], [[1, 1], [1, 1]]);
  assertEquals(two.scale, one.scale);
  assertAlmostEquals(two.rate, 0.02 * 0.9 ** 6, 1e-12);
  one.weights.forEach((w, i) => assertAlmostEquals(two.weights[i], w, 5e-3));
  await Deno.remove(folder, { recursive: true });
});

Deno.test("trainer precision: a resumed run in fp16 goes on bit by bit, scale and count included", async () => {
  const directory = await Deno.makeTempDir();
  const run = async (numEpochs: number, resume: boolean): Promise<QuietTrainer> => {
    const trainer = makeTrainer({
      mixedPrecision: { precision: "fp16", gradScaler: { initScale: 64, growthInterval: 3 } },
      callbacks: resume ? [] : [saveState({ directory, everyEpochs: 1 })],
    });
    await trainer.train({ ...small, numEpochs, ...(resume && { resumeFrom: directory }) });
    return trainer;
  };
  await run(1, false);
  const resumed = await run(3, true);
  const straight = makeTrainer({
    mixedPrecision: { precision: "fp16", gradScaler: { initScale: 64, growthInterval: 3 } },
  });
  await straight.train({ ...small, numEpochs: 3 });
  assertEquals(resumed.precision.scaler!.stateDict(), straight.precision.scaler!.stateDict());
  assertEquals(straight.precision.scaler!.getScale(), 64 * 2 ** 4);
  assertEquals(weightsOf(resumed.model), weightsOf(straight.model));
  await Deno.remove(directory, { recursive: true });
});

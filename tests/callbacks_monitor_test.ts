/** Callbacks that watch a run: gradients, rates, memory, speed, time; averaged weights by hand. */
import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { nn, optim, realize, type Tensor, tensor } from "@pta/core";
import {
  AveragedWeights,
  gradientStatistics,
  learningRateMonitor,
  memoryMonitor,
  throughput,
  timeBudget,
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

const inOrder = { shuffle: false };

for (const capture of [true, false]) {
  const title = capture ? "captured" : "plain";

  Deno.test(`gradientStatistics: norms of the gradients that the optimizer uses, ${title}`, async () => {
    const xs = [1, -2, 3, 0.5, 2, -1], ys = [2, 1, -1, 4, 0, 3];
    const model = scalarModel(0.5), optimizer = new optim.SGD(model.parameters(), { lr: 0.05 });
    const trainer = new QuietTrainer({
      model,
      lossFunc: new nn.MSELoss(),
      optimizer,
      callbacks: [gradientStatistics({ every: 1, perParameter: true })],
      capture,
    });
    await trainer.train({
      trainDataset: scalarDataset(xs, ys),
      numEpochs: 2,
      perDeviceBatchSize: 1,
      gradientAccumulationSteps: 2,
      gradientClipNorm: 5,
      trainDataLoaderOptions: inOrder,
    });
    let w = 0.5;
    const norms: number[] = [], weights: number[] = [];
    for (let step = 0; step < 6; step++) {
      const pair = [0, 1].map((k) => (2 * step + k) % 6);
      const mean = pair.reduce((sum, i) => sum + 2 * (w * xs[i] - ys[i]) * xs[i], 0) / 2;
      const clipped = mean * Math.min(1, 5 / Math.abs(mean));
      w -= 0.05 * clipped;
      norms.push(Math.abs(clipped));
      weights.push(Math.abs(w));
    }
    const { runHistory } = trainer;
    runHistory.values("grad_norm").forEach((x, i) => assertAlmostEquals(x, norms[i], 1e-4));
    runHistory.values("weight_norm").forEach((x, i) => assertAlmostEquals(x, weights[i], 1e-5));
    assertEquals(runHistory.values("grad_norm"), runHistory.values("grad_norm/weight"));
    assertEquals(runHistory.values("grad_max").length, 6);
    assertEquals(runHistory.get("grad_norm").values[5].step, 6);
    assert(!Object.hasOwn(optimizer, "step"));
  });

  Deno.test(`AveragedWeights: averages, exchange and return, ${title} model`, async () => {
    const trainer = smallTrainer({ capture, momentum: 0.9 });
    const averages = new AveragedWeights(trainer.model);
    const first = weightsOf(trainer.model);
    const train = () =>
      trainer.train({ trainDataset: smallDataset(16), numEpochs: 1, perDeviceBatchSize: 4 });
    let expected = first;
    for (const weight of [0.5, 0.1, 0.1, 1, 0.25]) {
      await train();
      averages.update(weight);
      const now = weightsOf(trainer.model);
      expected = expected.map((a, i) => a + weight * (now[i] - a));
    }
    const own = weightsOf(trainer.model);
    averages.swapIn();
    weightsOf(trainer.model).forEach((x, i) => assertAlmostEquals(x, expected[i], 1e-5));
    assertThrows(() => averages.swapIn(), ReferenceError, "has them already");
    assertThrows(() => averages.update(0.1), ReferenceError, "while the model has the averages");
    averages.swapOut();
    averages.swapOut();
    assertEquals(weightsOf(trainer.model), own);
    assertThrows(() => averages.update(1.5), RangeError, "from 0 to 1");
    averages.dispose();
    assertEquals(weightsOf(trainer.model), own);
  });
}

Deno.test("AveragedWeights: buffers follow, counts are copied, half precision is averaged in float32", () => {
  const model = new nn.Sequential(new nn.Linear(2, 2), new nn.BatchNorm1d(2)).to("float16");
  const norm = model.children()[1] as nn.BatchNorm1d;
  const averages = new AveragedWeights(model);
  realize(norm.running_mean!.copy_([1, 2]), norm.num_batches_tracked!.fill_(7));
  averages.update(0.001);
  const state = averages.stateDict();
  assertEquals(Object.keys(state), Object.keys(model.stateDict()));
  assertEquals(state["1.running_mean"].dtype, "float32");
  // A step of 0.002 would be lost in float16 beside 1, and 0.001 of 1 is kept here.
  assertAlmostEquals((state["1.running_mean"].toArray() as number[])[1], 0.002, 1e-8);
  assertEquals(Number(state["1.num_batches_tracked"].item()), 7);
  const others = new AveragedWeights(model);
  others.loadStateDict(state);
  assertAlmostEquals(
    (others.stateDict()["1.running_mean"].toArray() as number[])[0],
    0.001,
    1e-8,
  );
  const missing: Record<string, typeof state[string]> = { ...state };
  delete missing["0.weight"];
  assertThrows(() => others.loadStateDict(missing), TypeError, '"0.weight" is missing');
  assertThrows(
    () => others.loadStateDict({ ...state, "0.bias": tensor([1, 2, 3]) }),
    TypeError,
    '"0.bias" is [3], not [2]',
  );
});

Deno.test("learningRateMonitor: the rate that each step uses, for each group and field", async () => {
  const model = smallModel();
  const [a, b, ...rest] = model.parameters();
  const optimizer = new optim.SGD([{ params: [a, b], lr: 0.4 }, { params: rest }], {
    lr: 0.1,
    momentum: 0.5,
  });
  const trainer = smallTrainer({
    model,
    optimizer,
    callbacks: [learningRateMonitor({ every: 2, fields: ["lr", "momentum"] })],
  });
  await trainer.train({
    trainDataset: smallDataset(24),
    numEpochs: 1,
    perDeviceBatchSize: 2,
    gradientAccumulationSteps: 2,
    createScheduler: (o) => new optim.ExponentialLR(o, 0.5),
  });
  const values = (name: string) => trainer.runHistory.get(name).values;
  assertEquals(values("learning_rate_0").map((v) => v.step), [2, 4, 6]);
  [0.2, 0.05, 0.0125].forEach((x, i) =>
    assertAlmostEquals(values("learning_rate_0")[i].value, x, 1e-12)
  );
  assertAlmostEquals(values("learning_rate_1")[2].value, 0.003125, 1e-12);
  assertEquals(values("momentum_1").map((v) => v.value), [0.5, 0.5, 0.5]);
});

Deno.test("memoryMonitor: what is alive and the peak, in MiB", async () => {
  const trainer = smallTrainer({ callbacks: [memoryMonitor({ every: 2 })] });
  await trainer.train({ trainDataset: smallDataset(16), numEpochs: 2, perDeviceBatchSize: 4 });
  const { runHistory } = trainer;
  assertEquals(runHistory.values("memory_alive").length, 2);
  assertEquals(runHistory.get("step_memory_alive").values.map((v) => v.step), [2, 4, 6, 8]);
  assertEquals(runHistory.get("memory_peak").unit, "MiB");
  assert(runHistory.latest("memory_alive") > 0);
  assert(runHistory.latest("memory_peak") >= runHistory.latest("memory_alive"));
  assert(runHistory.latest("memory_resident") > 10);
});

Deno.test("throughput: samples, tokens and operations a second, by a clock that is set", async () => {
  let time = 0;
  const model = new nn.Linear(4, 3);
  const trainer = smallTrainer({
    model,
    callbacks: [
      {
        name: "clock",
        onTrainStepEnd: () => {
          time += 100;
        },
        onEvalStepEnd: () => {
          time += 7000;
        },
      },
      throughput({ every: 2, tokens: () => 10, peakFlops: 10_000, now: () => time }),
    ],
  });
  await trainer.train({
    trainDataset: smallDataset(18),
    evalDataset: smallDataset(4),
    numEpochs: 2,
    perDeviceBatchSize: 4,
  });
  const { runHistory } = trainer;
  // Five batches of 100 ms: 18 samples in half a second.
  assertEquals(runHistory.values("epoch_time"), [0.5, 0.5]);
  runHistory.values("samples_per_second").forEach((x) => assertAlmostEquals(x, 36, 1e-9));
  assertAlmostEquals(runHistory.latest("tokens_per_second"), 100, 1e-9);
  // Linear: two operations for each weight and one for each bias, three times.
  const flops = 3 * nn.summary(model, [1, 4]).flops;
  assert(flops >= 3 * 24);
  assertAlmostEquals(runHistory.latest("model_flops_per_second"), 36 * flops, 1e-6);
  assertAlmostEquals(runHistory.latest("model_flops_utilization"), 36 * flops / 10_000, 1e-9);
  const steps = runHistory.get("step_samples_per_second").values;
  assertEquals(steps.map((v) => v.step), [2, 4, 6, 8, 10]);
  assertAlmostEquals(steps[0].value, 40, 1e-9);
});

Deno.test("throughput: a model of other inputs is measured without operations, and says so once", async () => {
  class Odd extends nn.Module {
    readonly linear = new nn.Linear(2, 3);
    override forward(pair: { x: Tensor }): Tensor {
      return this.linear.forward(pair.x);
    }
  }
  class OddTrainer extends QuietTrainer {
    override calculateTrainBatchLoss(batch: unknown) {
      const [x] = batch as Tensor[];
      const modelOutputs = this.model.forward({ x: x.narrow(1, 0, 2) });
      return { loss: modelOutputs.square().mean(), modelOutputs, batchSize: x.shape[0] };
    }
  }
  const model = new Odd();
  const trainer = new OddTrainer({
    model,
    optimizer: new optim.SGD(model.parameters(), { lr: 0.1 }),
    callbacks: [throughput()],
  });
  await trainer.train({ trainDataset: smallDataset(8), numEpochs: 2, perDeviceBatchSize: 4 });
  assertEquals(trainer.lines.filter((l) => l.includes("give forwardFlops")).length, 1);
  assert(trainer.runHistory.latest("samples_per_second") > 0);
  assert(!trainer.runHistory.has("model_flops_per_second"));
});

Deno.test("timeBudget: stops after the step in which the time is used up", async () => {
  let time = 0;
  const clock = {
    name: "clock",
    onTrainStepEnd: () => {
      time += 1000;
    },
  };
  const trainer = smallTrainer({
    callbacks: [clock, timeBudget({ minutes: 0.1, seconds: 1, now: () => time })],
  });
  await trainer.train({ trainDataset: smallDataset(16), numEpochs: 5, perDeviceBatchSize: 4 });
  assertEquals(trainer.numUpdates, 7);
  assertEquals(trainer.stopReason, "Stopped: the 7 seconds are used up after 7 steps");
  assertThrows(() => timeBudget({ seconds: 0 }), RangeError, "above 0");
});

/** Averages of weights: exponential and stochastic, evaluated, restored, saved; evaluation every so many steps. */
import { assert, assertAlmostEquals, assertEquals, assertRejects } from "@std/assert";
import { keep, loadSafetensors, nn, optim, Tensor, tensor } from "@pta/core";
import {
  averageMetric,
  type Callback,
  CallbackError,
  type Checkpointer,
  earlyStopping,
  evaluateEvery,
  modelEma,
  type ModelEmaOptions,
  reduceOnPlateau,
  type RunPosition,
  timeBudget,
  type Trainer,
  updateBatchNormStatistics,
  weightAveraging,
  type WeightAveragingOptions,
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

const xs = [1, -2, 3, 0.5, 2, -1], ys = [2, 1, -1, 4, 0, 3];
const evalXs = [1, 2], evalYs = [0, 1];
const lossOf = (w: number) =>
  evalXs.reduce((sum, x, i) => sum + (w * x - evalYs[i]) ** 2, 0) / evalXs.length;

/** Weight and averages after each step by hand, batches of one, two epochs. */
function byHand(decay: (t: number) => number, every = 1) {
  let w = 0.5, average = 0.5, updates = 0;
  const epochs: { w: number; average: number }[] = [];
  for (let step = 0; step < 12; step++) {
    const i = step % 6;
    w -= 0.02 * 2 * (w * xs[i] - ys[i]) * xs[i];
    if ((step + 1) % every === 0) {
      const d = decay(updates++);
      average = d * average + (1 - d) * w;
    }
    if (i === 5) epochs.push({ w, average });
  }
  return epochs;
}

async function trainScalar(options: ModelEmaOptions, capture: boolean, more: Callback[] = []) {
  const model = scalarModel(0.5);
  const ema = modelEma(options);
  const trainer = new QuietTrainer({
    model,
    lossFunc: new nn.MSELoss(),
    optimizer: new optim.SGD(model.parameters(), { lr: 0.02 }),
    callbacks: [ema, ...more],
    capture,
  });
  await trainer.train({
    trainDataset: scalarDataset(xs, ys),
    evalDataset: scalarDataset(evalXs, evalYs),
    numEpochs: 2,
    perDeviceBatchSize: 1,
    trainDataLoaderOptions: { shuffle: false },
  });
  return { trainer, ema, w: (model.weight.toArray() as number[][])[0][0] };
}

for (const capture of [true, false]) {
  const title = capture ? "captured" : "plain";

  Deno.test(`modelEma: an average after every step, with decay warm-up, evaluated beside, ${title}`, async () => {
    for (
      const [options, decay] of [
        [{ decay: 0.9 }, (t: number) => Math.min(0.9, (1 + t) / (10 + t))],
        [{ decay: 0.9, warmUp: false }, () => 0.9],
        [{ decay: 0.5, warmUp: false, every: 3 }, () => 0.5],
      ] as const
    ) {
      const expected = byHand(decay, "every" in options ? options.every : 1);
      const { trainer, ema, w } = await trainScalar(options, capture);
      const { runHistory } = trainer;
      assertAlmostEquals(w, expected[1].w, 1e-5);
      assertAlmostEquals(
        (ema.weights()!.weight.toArray() as number[][])[0][0],
        expected[1].average,
        1e-5,
      );
      expected.forEach((e, i) => {
        assertAlmostEquals(runHistory.values("eval_loss_epoch")[i], lossOf(e.w), 1e-4);
        assertAlmostEquals(
          runHistory.values("ema_model_eval_loss_epoch")[i],
          lossOf(e.average),
          1e-4,
        );
      });
      assertEquals(runHistory.metricPrefix, "");
    }
  });

  Deno.test(`modelEma: instead of the weights, and for good at the end, ${title}`, async () => {
    const expected = byHand(() => 0.8);
    const options = { decay: 0.8, warmUp: false, evaluate: "instead" as const };
    const { trainer, w } = await trainScalar(options, capture);
    assertAlmostEquals(w, expected[1].w, 1e-5);
    assertAlmostEquals(
      trainer.runHistory.latest("eval_loss_epoch"),
      lossOf(expected[1].average),
      1e-4,
    );
    assert(!trainer.runHistory.has("ema_model_eval_loss_epoch"));
    const loaded = await trainScalar({ ...options, loadAtEnd: true }, capture);
    assertAlmostEquals(loaded.w, expected[1].average, 1e-5);
  });

  Deno.test(`modelEma: training is bit by bit what it is without, ${title}`, async () => {
    const run = async (callbacks: Callback[]) => {
      const trainer = smallTrainer({ callbacks, capture, momentum: 0.9 });
      await trainer.train({
        trainDataset: smallDataset(22),
        evalDataset: smallDataset(6),
        numEpochs: 3,
        perDeviceBatchSize: 4,
        gradientAccumulationSteps: 2,
      });
      return { weights: weightsOf(trainer.model), h: trainer.runHistory };
    };
    const accuracy = () =>
      averageMetric({
        name: "accuracy",
        compute: (batch, { modelOutputs }) =>
          (modelOutputs as Tensor).argmax(1).eq((batch as Tensor[])[1]),
      });
    const plain = await run([accuracy()]);
    const ema = await run([modelEma(), accuracy(), evaluateEvery({ steps: 2 })]);
    assertEquals(ema.weights, plain.weights);
    for (const name of ["train_loss_epoch", "eval_loss_epoch", "train_accuracy"]) {
      assertEquals(ema.h.values(name), plain.h.values(name), name);
    }
    assertEquals(ema.h.values("ema_model_eval_accuracy").length, 3);
    assertEquals(ema.h.get("intermediate_eval_loss").values.map((v) => v.step), [2, 4, 6, 8]);
  });
}

Deno.test("modelEma: the weights come back when an evaluation on the averages fails", async () => {
  for (const evaluate of ["beside", "instead"] as const) {
    let evaluations = 0;
    const model = smallModel();
    let own: number[] = [];
    const trainer = smallTrainer({
      model,
      callbacks: [
        { name: "look", onTrainEpochEnd: () => void (own = weightsOf(model)) },
        modelEma({ evaluate }),
        {
          name: "fail",
          onEvalStepEnd: () => {
            if (++evaluations === (evaluate === "beside" ? 2 : 1)) throw new Error("no");
          },
        },
      ],
    });
    const error = await assertRejects(
      () =>
        trainer.train({
          trainDataset: smallDataset(16),
          evalDataset: smallDataset(4),
          numEpochs: 2,
          perDeviceBatchSize: 4,
        }),
      CallbackError,
    );
    assert(error.message.includes("onEvalStepEnd"), error.message);
    assertEquals(weightsOf(model), own);
    assertEquals(trainer.runHistory.metricPrefix, "");
  }
});

Deno.test("modelEma: the best averages are saved, and can be watched", async () => {
  const dir = await Deno.makeTempDir();
  try {
    const savePath = `${dir}/ema.safetensors`;
    const watch = earlyStopping({
      watchMetric: "ema_model_eval_loss_epoch",
      patience: 1,
      threshold: 1e6,
    });
    const { trainer, ema } = await trainScalar({ savePath, decay: 0.5 }, true, [watch]);
    assert(trainer.stopReason?.includes("ema_model_eval_loss_epoch"));
    const saved = await loadSafetensors(savePath);
    const values = trainer.runHistory.values("ema_model_eval_loss_epoch");
    const best = values.indexOf(Math.min(...values));
    const last = (ema.weights()!.weight.toArray() as number[][])[0][0];
    const stored = (saved.weight.toArray() as number[][])[0][0];
    assertEquals(best === values.length - 1, stored === last);
    assertAlmostEquals(lossOf(stored), values[best], 1e-4);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

/** Keeps the state of a run after a number of safe points, and gives it to another trainer. */
class Memory implements Checkpointer {
  position: RunPosition | undefined;
  readonly states: Map<string, unknown> = new Map();
  readonly at: number;
  #points = 0;
  constructor(at: number) {
    this.at = at;
  }
  readonly callback: Callback = {
    name: "memory",
    onSafePoint: (trainer: Trainer) => {
      if (++this.#points !== this.at) return;
      this.position = trainer.position;
      for (const [name, part] of trainer.trainingState()) {
        this.states.set(name, copyOf(part.stateDict()));
      }
    },
  };
  load() {
    return Promise.resolve({ position: this.position!, states: this.states });
  }
}

function copyOf(x: unknown): unknown {
  if (x instanceof Tensor) return keep(x.detach().clone().realize());
  if (Array.isArray(x)) return x.map(copyOf);
  if (typeof x !== "object" || x === null) return x;
  return Object.fromEntries(Object.entries(x).map(([key, v]) => [key, copyOf(v)]));
}

const averaging: Record<
  string,
  () => Callback & { weights(): Record<string, Tensor> | undefined }
> = {
  modelEma: () => modelEma({ decay: 0.9 }),
  weightAveraging: () => weightAveraging({ startEpoch: 1, swaLr: 0.05, annealEpochs: 2 }),
};
for (const [name, make] of Object.entries(averaging)) {
  Deno.test(`${name}: a resumed run has bit-equal averages, in the middle of an epoch and between two`, async () => {
    const run = async (memory?: Memory, resume = false) => {
      const averages = make();
      const trainer = smallTrainer({
        momentum: 0.9,
        callbacks: [averages, ...(memory === undefined || resume ? [] : [memory.callback])],
        ...(resume ? { checkpointer: memory } : {}),
      });
      await trainer.train({
        trainDataset: smallDataset(20),
        evalDataset: smallDataset(6),
        numEpochs: 4,
        perDeviceBatchSize: 4,
        createScheduler: (o) => new optim.ExponentialLR(o, 0.95),
        ...(resume ? { resumeFrom: "memory" } : {}),
      });
      const state = Object.values(averages.weights()!).flatMap((t) =>
        Array.from(t.data() as Float32Array)
      );
      return { state, weights: weightsOf(trainer.model), h: trainer.runHistory.all() };
    };
    const whole = await run();
    for (const at of [2, 6, 9, 18, 20]) {
      const memory = new Memory(at);
      await run(memory);
      assert(memory.position !== undefined, `safe point ${at}`);
      assertEquals(await run(memory, true), whole, `safe point ${at}`);
    }
  });
}

Deno.test("reduceOnPlateau, timeBudget: a resumed run goes on with what they knew", async () => {
  const run = async (memory?: Memory, resume = false) => {
    let time = 0;
    const rates: number[] = [];
    const trainer = smallTrainer({
      callbacks: [
        { name: "clock", onTrainStepEnd: () => void (time += 1000) },
        reduceOnPlateau({ patience: 1, factor: 0.5, threshold: 0.5 }),
        timeBudget({ seconds: 33, now: () => time }),
        {
          name: "rates",
          onTrainEpochStart: (t) => void rates.push(t.optimizer!.paramGroups[0].lr),
        },
        ...(memory === undefined || resume ? [] : [memory.callback]),
      ],
      ...(resume ? { checkpointer: memory } : {}),
    });
    await trainer.train({
      trainDataset: smallDataset(20),
      evalDataset: smallDataset(6),
      numEpochs: 20,
      perDeviceBatchSize: 4,
      ...(resume ? { resumeFrom: "memory" } : {}),
    });
    return { at: trainer.numUpdates, weights: weightsOf(trainer.model), rates };
  };
  const whole = await run();
  assertEquals(whole.at, 33);
  assert(new Set(whole.rates).size > 2, `${whole.rates}`);
  // After 18 points the run stands at the end of an epoch, after 21 inside one.
  for (const at of [18, 21]) {
    const memory = new Memory(at);
    await run(memory);
    const resumed = await run(memory, true);
    assertEquals([resumed.at, resumed.weights], [whole.at, whole.weights]);
    assertEquals(resumed.rates, whole.rates.slice(-resumed.rates.length));
  }
});

Deno.test("weightAveraging: the plain mean of late epochs, then a constant rate", async () => {
  const rates: number[] = [];
  const seen: number[][] = [];
  const run = async (options: WeightAveragingOptions) => {
    rates.length = seen.length = 0;
    const averages = weightAveraging(options);
    const trainer = smallTrainer({
      lr: 0.2,
      callbacks: [averages, {
        name: "look",
        onTrainEpochEnd: (t) => {
          seen.push(weightsOf(t.model));
          rates.push(t.optimizer!.paramGroups[0].lr);
        },
      }],
    });
    await trainer.train({
      trainDataset: smallDataset(16),
      evalDataset: smallDataset(8),
      numEpochs: 6,
      perDeviceBatchSize: 4,
    });
    return trainer;
  };
  const trainer = await run({
    startEpoch: 3,
    swaLr: 0.1,
    annealStrategy: "linear",
    annealEpochs: 2,
  });
  const mean = seen[0].map((_, i) => [2, 3, 4, 5].reduce((sum, e) => sum + seen[e][i], 0) / 4);
  weightsOf(trainer.model).forEach((w, i) => assertAlmostEquals(w, mean[i], 1e-6));
  // Epoch 4 is still trained with the old rate, then the way to the new one takes two epochs.
  [0.2, 0.2, 0.2, 0.15, 0.1, 0.1].forEach((x, i) => assertAlmostEquals(rates[i], x, 1e-7));
  assertEquals(trainer.runHistory.values("swa_eval_loss_epoch").length, 1);

  const kept = await run({ startEpoch: 5, every: 2, loadAtEnd: false });
  assertEquals(weightsOf(kept.model), seen[5]);
  assertEquals(rates, [0.2, 0.2, 0.2, 0.2, 0.2, 0.2]);
});

Deno.test("updateBatchNormStatistics: plain means over the batches, dropout off, modes as they were", async () => {
  const model = new nn.Sequential(new nn.Dropout(0.5), new nn.BatchNorm1d(2));
  const norm = model.children()[1] as nn.BatchNorm1d;
  const batches = [[1, 2, 3, 4], [5, 6, 7, 9], [0, 0, 2, 2]].map((x) => [
    tensor(Float32Array.from(x), { shape: [2, 2] }),
  ]);
  norm.running_mean!.fill_(7).realize();
  await updateBatchNormStatistics(model, batches);
  const means = [0, 1].map((c) =>
    batches.reduce(
      (sum, [x]) => sum + (x.toArray() as number[][]).reduce((s, r) => s + r[c], 0) / 2,
      0,
    ) / 3
  );
  const variances = [0, 1].map((c) =>
    batches.reduce((sum, [x]) => {
      const [a, b] = (x.toArray() as number[][]).map((r) => r[c]);
      return sum + (a - b) ** 2 / 2;
    }, 0) / 3
  );
  const close = (t: Tensor, expected: number[]) =>
    (t.toArray() as number[]).forEach((x, i) => assertAlmostEquals(x, expected[i], 1e-5));
  close(norm.running_mean!, means);
  close(norm.running_var!, variances);
  assertEquals(Number(norm.num_batches_tracked!.item()), 3);
  assertEquals([norm.momentum, norm.training, model.training], [0.1, true, true]);
  assertEquals(weightsOf(model), [1, 1, 0, 0]);
});

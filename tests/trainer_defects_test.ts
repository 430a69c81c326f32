/** Where other trainers are wrong on several ranks or in the small print: each test names the defect that is not ours. */
import { assert, assertAlmostEquals, assertEquals, assertRejects } from "@std/assert";
import { nn, optim } from "@pta/core";
import { callback, createRunConfig, evaluateEvery, StopTrainingError } from "@pta/trainer";
import {
  fold,
  QuietTrainer,
  scalarDataset,
  scalarModel,
  smallDataset,
  smallTrainer,
} from "./trainer_support.ts";
import { finish, startLauncher } from "./launcher.ts";
import type { DefectResults } from "./fixtures/trainer_defects_script.ts";

const script = "tests/fixtures/trainer_defects_script.ts";
const ramp = (n: number) => Array.from({ length: n }, (_, i) => i + 1);
const meanSquare = (n: number) => ramp(n).reduce((sum, x) => sum + x * x, 0) / n;

Deno.test("defects: one and two ranks", async (t) => {
  const folder = await Deno.makeTempDir();
  const results: Record<string, DefectResults> = {};
  for (const ranks of [1, 2]) {
    const { code, out, err } = await finish(
      startLauncher(["--cpu", "--num-processes", `${ranks}`, script, `${folder}/${ranks}`]),
      180,
    );
    assertEquals(code, 0, out + err);
    for (let r = 0; r < ranks; r++) {
      results[`${ranks}.${r}`] = JSON.parse(await Deno.readTextFile(`${folder}/${ranks}.${r}`));
    }
  }
  await Deno.remove(folder, { recursive: true });
  const all = Object.entries(results), one = results["1.0"];

  await t.step("an evaluation counts each sample once, for 1 to 13 samples", () => {
    for (const [name, { evaluations }] of all) {
      for (const n of ramp(13)) {
        const { loss, gathered } = evaluations[n];
        assertAlmostEquals(loss, meanSquare(n), 1e-5 * meanSquare(n), `${n} samples, ${name}`);
        assertEquals(gathered, ramp(n), `${n} samples, ${name}`);
      }
    }
    // Gathering in each step can only work when the ranks take the same number of steps.
    assertEquals(results["2.1"].evaluations, results["2.0"].evaluations);
  });

  await t.step("the training loss counts no sample twice where they do not divide evenly", () => {
    for (const [name, { trainLosses }] of all) {
      for (const [n, loss] of Object.entries(trainLosses)) {
        assertAlmostEquals(loss, meanSquare(+n), 1e-5 * meanSquare(+n), `${n} samples, ${name}`);
      }
    }
  });

  await t.step(
    "a schedule ends at its floor on any number of ranks, and starts with its warm-up",
    () => {
      for (const [name, { schedules: { cosine, wsd } }] of all) {
        assertEquals(cosine.maxNumTrainSteps, 20, name);
        assertEquals(cosine.rates.length, 21, name);
        assertAlmostEquals(cosine.rates.at(-1)!, 0.001, 1e-7, name);
        assertAlmostEquals(cosine.rates[0], 0.01, 1e-7, name);
        assert(wsd.rates[0] < 0.1 && wsd.rates.at(-1)! < 0.02, name);
        assertEquals([cosine, wsd], [one.schedules.cosine, one.schedules.wsd], name);
      }
    },
  );

  await t.step("gradients are means over the tokens of the window and the ranks", () => {
    for (const [name, { tokens }] of all) {
      for (const key of ["weights", "train", "evaluation"] as const) {
        one.tokens[key].forEach((x, i) => assertAlmostEquals(tokens[key][i], x, 1e-5, name));
      }
    }
    assert(one.tokens.train.every(Number.isFinite));
  });

  await t.step(
    "max steps are optimizer steps on any number of ranks, and the smaller limit wins",
    () => {
      for (const [name, { maxSteps }] of all) {
        assertEquals(maxSteps, { updates: 20, epochs: 2, started: 1502 }, name);
      }
    },
  );

  await t.step("streams of unknown length train on ranks as alone, the partial window too", () => {
    for (const [name, { streams }] of all) {
      assertEquals(streams.updates, 4, name);
      assertAlmostEquals(streams.w, one.streams.w, 1e-6, name);
      assertAlmostEquals(streams.loss, one.streams.loss, 1e-6, name);
    }
  });

  await t.step(
    "the user's seed decides orders and random numbers, each rank with numbers of its own",
    () => {
      const [a, b, c] = ["1.0", "2.0", "2.1"].map((name) => results[name].order);
      const samples = [...b.slice(0, 6), ...c.slice(0, 6)];
      assertEquals(samples.sort(), a.slice(0, 12).sort());
      assertEquals(a[12], 123);
      assertEquals(b.slice(-3), a.slice(-3));
      assert(c.at(-1) !== b.at(-1) && c.at(-3) !== b.at(-3));
    },
  );

  await t.step("a stop on one rank in an evaluation stops all after it", () => {
    assertEquals(results["2.0"].stopped, { steps: 4, reason: "enough of evaluations" });
    assertEquals(results["2.1"].stopped, { steps: 4, reason: "Another rank has stopped the run" });
  });

  await t.step("objects and tensors travel", () => {
    assertEquals(results["2.1"].objects, ["rank 0", "rank 1é"]);
    assertEquals(results["2.0"].reduced, [3]);
    assertEquals(one.reduced, [1]);
  });
});

Deno.test("defects: the reported loss is not divided by the accumulation steps", async () => {
  const losses: number[] = [], seen: number[] = [];
  for (const gradientAccumulationSteps of [1, 2, 4]) {
    const model = scalarModel(0);
    const trainer = new QuietTrainer({
      model,
      lossFunc: new nn.MSELoss(),
      optimizer: new optim.SGD(model.parameters(), { lr: 0 }),
      callbacks: [callback({
        name: "seen",
        onTrainStepEnd: (_, { step, batchOutput }) => {
          if (step === 0) seen.push(batchOutput.loss.item());
        },
      })],
    });
    await trainer.train({
      trainDataset: scalarDataset(ramp(8), ramp(8)),
      numEpochs: 1,
      perDeviceBatchSize: 2,
      gradientAccumulationSteps,
      trainDataLoaderOptions: { shuffle: false },
    });
    losses.push(trainer.runHistory.latest("train_loss_epoch"));
  }
  assertEquals(losses, [meanSquare(8), meanSquare(8), meanSquare(8)]);
  assertEquals(seen, [2.5, 2.5, 2.5]);
});

Deno.test("defects: a limit of evaluation batches takes exactly that many steps, in the middle of an epoch too", async () => {
  const log: string[] = [];
  const trainer = smallTrainer({
    callbacks: [
      callback({
        name: "limit",
        onInitEnd: (t) => {
          t.limits.intermediateEval = 2;
        },
        onTrainEpochEnd: () => void log.push("train"),
        onEvalStepEnd: () => void log.push("step"),
        onEvalEpochEnd: (_, { isIntermediate }) => void log.push(isIntermediate ? "middle" : "end"),
      }),
      evaluateEvery({ steps: 2 }),
    ],
  });
  await trainer.train({
    trainDataset: smallDataset(16),
    evalDataset: smallDataset(20),
    numEpochs: 1,
    perDeviceBatchSize: 4,
  });
  assertEquals(fold(log), ["step step middle x2", "train", "step x5", "end"]);
});

Deno.test("defects: a stop does not keep later callbacks from the event, and their end of the run comes", async () => {
  const log: string[] = [];
  const trainer = smallTrainer({
    callbacks: [
      callback({
        name: "stops",
        onTrainEpochEnd: () => {
          throw new StopTrainingError("now");
        },
      }),
      callback({
        name: "later",
        onTrainEpochEnd: () => void log.push("epoch"),
        onTrainingRunEnd: () => void log.push("run"),
      }),
    ],
  });
  await trainer.train({ trainDataset: smallDataset(2), numEpochs: 3 });
  assertEquals(log, ["epoch", "run"]);
});

Deno.test("defects: a property that does not exist is not swallowed inside a callback", async () => {
  const trainer = smallTrainer({
    callbacks: [callback({
      name: "typo",
      onTrainEpochEnd: (t) => {
        (t as unknown as { metrics: { record(): void } }).metrics.record();
      },
    })],
  });
  await assertRejects(
    () => trainer.train({ trainDataset: smallDataset(2), numEpochs: 1 }),
    Error,
    'Callback "typo" failed in onTrainEpochEnd: TypeError',
  );
});

Deno.test("defects: the run's configuration is plain data without an evaluation set, too", async () => {
  const trainer = smallTrainer();
  await trainer.train({ trainDataset: smallDataset(2), numEpochs: 1 });
  const text = JSON.stringify(trainer.runConfig);
  assertEquals(JSON.parse(text).numEpochs, 1);
  assert(!text.includes("evalPerDeviceBatchSize"));
  assertEquals(createRunConfig({}).evalTotalBatchSize, undefined);
});

Deno.test("defects: an evaluation keeps the history", async () => {
  const trainer = smallTrainer();
  const dataset = smallDataset(4);
  await trainer.train({ trainDataset: dataset, evalDataset: dataset, numEpochs: 2 });
  await trainer.evaluate({ dataset });
  assertEquals(trainer.runHistory.values("eval_loss_epoch").length, 2);
  assertEquals(trainer.runHistory.names.includes("evaluation_loss"), true);
});

Deno.test("defects: two runs of one seed are identical though the data is asynchronous and slow", async () => {
  const runs = [];
  for (const delays of [[0, 3, 1], [2, 0, 0]]) {
    const inner = smallDataset(12);
    const trainer = smallTrainer({ seed: 9 });
    await trainer.train({
      trainDataset: {
        length: 12,
        get: async (i) => {
          for (let k = delays[i % 3]; k > 0; k--) await Promise.resolve();
          return inner.get(i);
        },
      },
      numEpochs: 2,
      perDeviceBatchSize: 3,
    });
    runs.push(trainer.runHistory.values("train_loss_epoch"));
  }
  assertEquals(runs[0], runs[1]);
});

Deno.test("defects: a callback that throws on one rank ends both within seconds, with one report that names it", async () => {
  const { code, out, err, seconds } = await finish(
    startLauncher(["--cpu", "--num-processes", "2", "tests/fixtures/trainer_throw_script.ts"]),
    120,
  );
  const text = out + err;
  assert(code !== 0, text);
  assert(text.includes('Callback "fragile" failed in onTrainStepEnd: Error: no more room'), text);
  const ended = /both had started (\d+)/.exec(text);
  assert(ended !== null, text);
  // From the throw to the end of the launcher.
  const after = performance.timeOrigin + performance.now() - Number(ended[1]);
  assert(after < 30_000 && seconds < 120, `${after} ms`);
});

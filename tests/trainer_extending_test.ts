/** Limits, events of one's own, evaluation in between, methods that a subclass overrides. */
import { assertEquals, assertRejects } from "@std/assert";
import { keep, nn, optim, tensor } from "@pta/core";
import {
  type Batch,
  callback,
  CallbackError,
  defineEvent,
  StopTrainingError,
  type Trainer,
} from "@pta/trainer";
import {
  fold,
  QuietTrainer,
  smallDataset,
  smallModel,
  smallTrainer,
  tracer,
  weightsOf,
} from "./trainer_support.ts";

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

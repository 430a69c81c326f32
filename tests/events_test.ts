/** The order of events, pinned: the table, methods and events, a stop. */
import { assertEquals } from "@std/assert";
import {
  callback,
  type EventName,
  eventNames,
  eventOrder,
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
} from "./trainer_support.ts";
import { nn, optim } from "@pta/core";

const trainStep = "onTrainStepStart onTrainStepEnd onSafePoint";

const evalStep = "onEvalStepStart onEvalStepEnd";

/** Drops the module state of a step's payload: event and what a reader wants to see of it. */
const note = (event: EventName, _: Trainer, payload: unknown) => {
  const p = payload as { isOptimizerStep?: boolean };
  return p.isOptimizerStep === undefined ? event : `${event}(${p.isOptimizerStep ? "step" : "-"})`;
};

Deno.test("events: the order table names every event, in the order they fire", async () => {
  const log: string[] = [];
  const stopAtEnd = callback({
    name: "stopAtEnd",
    onTrainingRunEpochEnd: () => {
      throw new StopTrainingError("enough");
    },
  });
  const trainer = smallTrainer({ callbacks: [tracer(log), stopAtEnd] });
  const dataset = smallDataset(2);
  await trainer.train({
    trainDataset: dataset,
    evalDataset: dataset,
    numEpochs: 1,
    perDeviceBatchSize: 2,
  });
  await trainer.evaluate({ dataset });
  assertEquals([...new Set(log)], [...eventNames]);
});

for (const capture of [true, false]) {
  const title = capture ? "captured" : "plain";

  Deno.test(`events: training with evaluation, ${title}`, async () => {
    const log: string[] = [];
    const trainer = smallTrainer({ callbacks: [tracer(log)], capture });
    await trainer.train({
      trainDataset: smallDataset(10),
      evalDataset: smallDataset(6),
      numEpochs: 2,
      perDeviceBatchSize: 4,
    });
    const epoch = [
      "onTrainEpochStart",
      `${trainStep} x3`,
      "onTrainEpochEnd",
      "onEvalEpochStart",
      `${evalStep} x2`,
      "onEvalEpochEnd",
      "onTrainingRunEpochEnd",
      "onSafePoint",
    ];
    assertEquals(fold(log), [
      "onInitEnd",
      "onTrainingRunStart",
      ...epoch,
      ...epoch,
      "onTrainingRunEnd",
    ]);
  });

  Deno.test(`events: accumulation steps on full windows and on the partial last one, ${title}`, async () => {
    const log: string[] = [];
    const trainer = smallTrainer({ callbacks: [tracer(log, note)], capture });
    await trainer.train({
      trainDataset: smallDataset(10),
      numEpochs: 1,
      perDeviceBatchSize: 2,
      gradientAccumulationSteps: 2,
    });
    assertEquals(log.filter((line) => line.startsWith("onTrainStepEnd")), [
      "onTrainStepEnd(-)",
      "onTrainStepEnd(step)",
      "onTrainStepEnd(-)",
      "onTrainStepEnd(step)",
      "onTrainStepEnd(step)",
    ]);
    assertEquals(trainer.numUpdates, 3);
  });
}

Deno.test("events: methods come before the event, and the step event after the optimizer's step", async () => {
  const log: string[] = [];
  class Traced extends QuietTrainer {
    constructor(options: ConstructorParameters<typeof Trainer>[0]) {
      super(options);
      const self = this as unknown as Record<string, (...args: unknown[]) => unknown>;
      for (const name of new Set(Object.values(eventOrder).flatMap((row) => row.after))) {
        if (name === "createScheduler") continue; // an option of train(), not a method
        const original = self[name].bind(this);
        self[name] = (...args) => {
          log.push(name);
          return original(...args);
        };
      }
    }
  }
  const model = smallModel();
  const trainer = new Traced({
    model,
    lossFunc: new nn.CrossEntropyLoss(),
    optimizer: new optim.SGD(model.parameters(), { lr: 0.1 }),
    callbacks: [tracer(log)],
  });
  const dataset = smallDataset(4);
  await trainer.train({
    trainDataset: dataset,
    evalDataset: dataset,
    numEpochs: 1,
    perDeviceBatchSize: 2,
    gradientAccumulationSteps: 2,
    createScheduler: () => (log.push("createScheduler"), {
      step: () => log.push("scheduler.step"),
    }),
  });
  assertEquals(log, [
    "onInitEnd",
    "createTrainDataLoader",
    "createEvalDataLoader",
    "createScheduler",
    "trainingRunStart",
    "onTrainingRunStart",
    "trainEpochStart",
    "onTrainEpochStart",
    "onTrainStepStart",
    "calculateTrainBatchLoss",
    "updateLossTracker",
    "backwardStep",
    "onTrainStepEnd",
    "onTrainStepStart",
    "calculateTrainBatchLoss",
    "updateLossTracker",
    "backwardStep",
    "clipGradients",
    "optimizerStep",
    "optimizerZeroGrad",
    "schedulerStep",
    "scheduler.step",
    "onTrainStepEnd",
    "onSafePoint",
    "trainEpochEnd",
    "onTrainEpochEnd",
    "evalEpochStart",
    "onEvalEpochStart",
    "onEvalStepStart",
    "calculateEvalBatchLoss",
    "updateLossTracker",
    "onEvalStepEnd",
    "onEvalStepStart",
    "calculateEvalBatchLoss",
    "updateLossTracker",
    "onEvalStepEnd",
    "evalEpochEnd",
    "onEvalEpochEnd",
    "trainingRunEpochEnd",
    "onTrainingRunEpochEnd",
    "onSafePoint",
    "trainingRunEnd",
    "onTrainingRunEnd",
  ]);
  log.length = 0;
  await trainer.evaluate({ dataset, perDeviceBatchSize: 4 });
  assertEquals(log, [
    "createEvalDataLoader",
    "evaluationRunStart",
    "onEvaluationRunStart",
    "evalEpochStart",
    "onEvalEpochStart",
    "onEvalStepStart",
    "calculateEvalBatchLoss",
    "updateLossTracker",
    "onEvalStepEnd",
    "evalEpochEnd",
    "onEvalEpochEnd",
    "evaluationRunEnd",
    "onEvaluationRunEnd",
  ]);
});

Deno.test("events: a stop lets the later callbacks see the event, then ends the run in order", async () => {
  const log: string[] = [];
  const stopper = callback({
    name: "stopper",
    onTrainStepEnd: (_, { step }) => {
      if (step === 1) throw new StopTrainingError("two steps are enough");
    },
    cleanup: () => void log.push("cleanup"),
  });
  const trainer = smallTrainer({ callbacks: [stopper, tracer(log)] });
  await trainer.train({
    trainDataset: smallDataset(8),
    evalDataset: smallDataset(2),
    numEpochs: 3,
    perDeviceBatchSize: 2,
  });
  assertEquals(fold(log), [
    "onInitEnd",
    "onTrainingRunStart",
    "onTrainEpochStart",
    ...trainStep.split(" "),
    "onTrainStepStart",
    "onTrainStepEnd",
    "onStopTrainingError",
    "onTrainingRunEnd",
    "cleanup",
  ]);
  assertEquals(trainer.stopReason, "two steps are enough");
  assertEquals(trainer.lines, ["two steps are enough"]);
});

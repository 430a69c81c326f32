/** How runs end: limits, errors, cleanup, runs inside runs. */
import { assert, assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import { callback, CallbackError, type EventName, type Trainer } from "@pta/trainer";
import { smallDataset, smallTrainer, tracer } from "./trainer_support.ts";
import { nn } from "@pta/core";

/** Drops the module state of a step's payload: event and what a reader wants to see of it. */
const note = (event: EventName, _: Trainer, payload: unknown) => {
  const p = payload as { isOptimizerStep?: boolean };
  return p.isOptimizerStep === undefined ? event : `${event}(${p.isOptimizerStep ? "step" : "-"})`;
};

Deno.test("events: max steps counts optimizer steps, the smaller limit wins, and the epoch ends in order", async () => {
  const log: string[] = [];
  const trainer = smallTrainer({ callbacks: [tracer(log, note)] });
  const train = (numEpochs: number | undefined, maxNumTrainSteps: number) =>
    trainer.train({
      trainDataset: smallDataset(10),
      evalDataset: smallDataset(2),
      numEpochs,
      maxNumTrainSteps,
      perDeviceBatchSize: 2,
      gradientAccumulationSteps: 2,
    });
  const count = (name: string) => log.splice(0).filter((line) => line.startsWith(name)).length;

  await train(9, 4); // 3 steps an epoch: one in the second epoch
  assertEquals(trainer.numUpdates, 4);
  assertEquals(trainer.runConfig.numEpochs, 2);
  assertEquals(log.slice(-3, -1), ["onTrainingRunEpochEnd", "onSafePoint"]);
  assertEquals(count("onTrainStepEnd"), 5 + 2);
  await train(1, 50);
  assertEquals(trainer.numUpdates, 3);
  assertEquals(trainer.runConfig.maxNumTrainSteps, 3);
  log.length = 0;
  await train(undefined, 7);
  assertEquals(trainer.numUpdates, 7);
  assertEquals(count("onTrainEpochStart"), 3);
  await assertRejects(
    () => trainer.train({ trainDataset: smallDataset(2) }),
    RangeError,
    "Cannot train without a limit",
  );
});

Deno.test("events: an exception names callback and event, keeps its cause, and cleanup still runs", async () => {
  const log: string[] = [];
  const cause = new TypeError("this.count is not a number");
  const broken = callback({
    name: "broken",
    onEvalEpochEnd: () => {
      throw cause;
    },
    cleanup: () => void log.push("cleanup of broken"),
  });
  const trainer = smallTrainer({ callbacks: [broken, tracer(log)] });
  const error = await assertRejects(
    () =>
      trainer.train({
        trainDataset: smallDataset(2),
        evalDataset: smallDataset(2),
        numEpochs: 1,
      }),
    CallbackError,
    'Callback "broken" failed in onEvalEpochEnd: TypeError: this.count is not a number',
  );
  assertStrictEquals(error.cause, cause);
  assertEquals(log.at(-1), "cleanup of broken");
  assert(!log.includes("onEvalEpochEnd") && !log.includes("onTrainingRunEnd"));

  const late = smallTrainer({
    callbacks: [callback({ name: "late", onTrainStepEnd: () => Promise.reject(cause) })],
  });
  await assertRejects(
    () => late.train({ trainDataset: smallDataset(2), numEpochs: 1 }),
    CallbackError,
    'Callback "late" failed in onTrainStepEnd',
  );
});

Deno.test("events: every cleanup runs though one fails, and the failure is reported", async () => {
  const log: string[] = [];
  const trainer = smallTrainer({
    callbacks: [
      callback({
        name: "leaky",
        cleanup: () => {
          throw new Error("cannot close");
        },
      }),
      callback({ name: "tidy", cleanup: () => void log.push("tidy") }),
    ],
  });
  await assertRejects(
    () => trainer.train({ trainDataset: smallDataset(2), numEpochs: 1 }),
    CallbackError,
    'Callback "leaky" failed in cleanup: Error: cannot close',
  );
  assertEquals(log, ["tidy"]);
});

Deno.test("events: asynchronous hooks are awaited, in declared order", async () => {
  const log: string[] = [];
  const slow = callback({
    name: "slow",
    onTrainStepEnd: async () => {
      await new Promise((resolve) => setTimeout(resolve, 5));
      log.push("slow");
    },
  });
  const quick = callback({ name: "quick", onTrainStepEnd: () => void log.push("quick") });
  await smallTrainer({ callbacks: [slow, quick] }).train({
    trainDataset: smallDataset(4),
    numEpochs: 1,
    perDeviceBatchSize: 2,
  });
  assertEquals(log, ["slow", "quick", "slow", "quick"]);
});

Deno.test("events: two callbacks of one name are refused", () => {
  const twice = callback({ name: "twice" });
  assertThrows(
    () => smallTrainer({ callbacks: [twice, callback({ name: "other" }), twice] }),
    RangeError,
    'Cannot add callback "twice" twice: the callbacks are twice, other, twice',
  );
});

Deno.test("events: evaluation gives modules back the mode they had", async () => {
  const model = new nn.Sequential(new nn.Linear(4, 3), new nn.Dropout(0.5));
  const frozen = [...model.modules()][1];
  const modes: boolean[][] = [];
  const trainer = smallTrainer({
    model,
    callbacks: [callback({
      name: "modes",
      onTrainEpochStart: () => {
        frozen.eval();
      },
      onEvalStepEnd: () => void modes.push([...model.modules()].map((m) => m.training)),
      onTrainingRunEpochEnd: () => void modes.push([...model.modules()].map((m) => m.training)),
    })],
  });
  const dataset = smallDataset(2);
  await trainer.train({ trainDataset: dataset, evalDataset: dataset, numEpochs: 1 });
  assertEquals(modes, [[false, false, false], [true, false, true]]);
});

Deno.test("events: a run inside a run of the same trainer is refused", async () => {
  const dataset = smallDataset(2);
  const trainer = smallTrainer({
    callbacks: [callback({ name: "nested", onTrainEpochEnd: (t) => t.evaluate({ dataset }) })],
  });
  await assertRejects(
    () => trainer.train({ trainDataset: dataset, numEpochs: 1 }),
    CallbackError,
    "Cannot start a run inside another one",
  );
});

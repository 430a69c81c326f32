/** A run that goes on from what `trainingState()` gave is bit-equal to one that was never interrupted. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { data, nn, optim, stepScope, type Tensor, tensor } from "@pta/core";
import {
  averageMetric,
  type Callback,
  callback,
  type Checkpointer,
  type RunPosition,
  type SavedRun,
  type TrainOptions,
} from "@pta/trainer";
import {
  copyOfState,
  QuietTrainer,
  smallDataset,
  smallModel,
  weightsOf,
} from "./trainer_support.ts";

interface Run {
  readonly trainer: QuietTrainer;
  readonly saves: SavedRun[];
  readonly seen: number[];
  readonly batches: number[][];
}

const accuracy = () =>
  averageMetric({
    name: "accuracy",
    compute: (batch, { modelOutputs }) =>
      (modelOutputs as Tensor).argmax(1).eq((batch as Tensor[])[1]),
  });

/** Trains with dropout, momentum, a schedule, a metric, a counter; saves at every safe point. */
async function run(options: Partial<TrainOptions>, from?: SavedRun): Promise<Run> {
  const saves: SavedRun[] = [], batches: number[][] = [];
  const seen = { total: 0 };
  const counter: Callback = callback({
    name: "counter",
    onTrainingRunStart: () => void (seen.total = 0),
    onTrainStepStart: (_, { batch }) =>
      void batches.push([...(batch as Tensor[])[0].select(1, 0).data() as Float32Array]),
    onTrainStepEnd: () => void seen.total++,
    stateDict: () => ({ ...seen }),
    loadStateDict: (state: typeof seen) => void Object.assign(seen, state),
  });
  const model = new nn.Sequential(smallModel(from === undefined ? 3 : 4), new nn.Dropout(0.2));
  const checkpointer: Checkpointer = { load: () => Promise.resolve(from) };
  const trainer = new QuietTrainer({
    model,
    lossFunc: new nn.CrossEntropyLoss(),
    optimizer: new optim.AdamW(model.parameters(), { lr: 0.05 }),
    seed: 5,
    checkpointer,
    callbacks: [
      callback({
        name: "saver",
        onSafePoint: (t) => {
          assert(t.isAtSafePoint);
          const states = [...t.trainingState()].map(([name, part]) =>
            [name, copyOfState(part.stateDict())] as const
          );
          saves.push({ position: t.position, states: new Map(states) });
        },
        onTrainStepEnd: (t) => assert(!t.isAtSafePoint),
      }),
      counter,
      accuracy(),
    ],
  });
  await trainer.train({
    trainDataset: smallDataset(22),
    evalDataset: smallDataset(7),
    numEpochs: 3,
    perDeviceBatchSize: 4,
    createScheduler: (optimizer) => new optim.LinearLR(optimizer, { totalIters: 9 }),
    ...(from === undefined ? {} : { resumeFrom: "latest" }),
    ...options,
  });
  return { trainer, saves, seen: [seen.total], batches };
}

const cases: Record<string, Partial<TrainOptions>> = {
  "plain": {},
  "accumulation with a partial window": { gradientAccumulationSteps: 4, gradientClipNorm: 0.5 },
  "max steps in the middle of an epoch": { maxNumTrainSteps: 8 },
};

for (const [name, options] of Object.entries(cases)) {
  Deno.test(`resume: ${name}, from every safe point, bit by bit`, async () => {
    const whole = await run(options);
    const history = whole.trainer.runHistory.all();
    assert(whole.saves.length >= 6);
    for (const saved of whole.saves) {
      const rest = await run(options, saved);
      const where = JSON.stringify(saved.position);
      assertEquals(weightsOf(rest.trainer.model), weightsOf(whole.trainer.model), where);
      assertEquals(rest.trainer.runHistory.all(), history, where);
      assertEquals(rest.seen, whole.seen, where);
      assertEquals(rest.trainer.numUpdates, whole.trainer.numUpdates, where);
      assertEquals(rest.batches, whole.batches.slice(whole.batches.length - rest.batches.length));
      assertEquals(rest.trainer.position, whole.trainer.position);
      assert(rest.trainer.isResumed && !whole.trainer.isResumed);
    }
  });
}

Deno.test("resume: positions say what comes next", async () => {
  const { saves } = await run({ gradientAccumulationSteps: 4, numEpochs: 2 });
  const expected: RunPosition[] = [
    { epoch: 0, stepInEpoch: 4, numUpdates: 1 },
    { epoch: 0, stepInEpoch: 6, numUpdates: 2 },
    { epoch: 1, stepInEpoch: 0, numUpdates: 2 },
    { epoch: 1, stepInEpoch: 4, numUpdates: 3 },
    { epoch: 1, stepInEpoch: 6, numUpdates: 4 },
    { epoch: 2, stepInEpoch: 0, numUpdates: 4 },
  ];
  assertEquals(saves.map((s) => s.position), expected);
  assertEquals([...saves[0].states.keys()], [
    "model",
    "optimizer",
    "scheduler",
    "history",
    "lossTracker",
    "callbacks.counter",
    "callbacks.averageMetric(accuracy)",
    "random",
  ]);
});

Deno.test("resume: batches before the position are not read", async () => {
  const read: number[] = [];
  const inner = smallDataset(12);
  const { saves } = await run({ numEpochs: 1, trainDataset: inner });
  const trainDataset = { length: 12, get: (i: number) => (read.push(i), inner.get(i)) };
  await run({ numEpochs: 1, trainDataset }, saves[1]);
  assertEquals(read.length, 4);
});

Deno.test("resume: objects are registered under a name of their own", () => {
  const model = smallModel();
  const trainer = new QuietTrainer({ model, callbacks: [] });
  const counter = { n: 0, stateDict: () => ({ n: 1 }), loadStateDict: () => {} };
  trainer.registerState("counter", counter);
  trainer.registerState("counter", counter);
  assert(trainer.trainingState().has("objects.counter"));
  assertThrows(
    () => trainer.registerState("counter", { ...counter }),
    RangeError,
    'Cannot register "counter": another object has that name',
  );
  assertThrows(() => trainer.registerState("other", {} as never), TypeError, "stateDict");
});

Deno.test("resume: a loader starts at a batch in the next pass only, and reads nothing before it", () => {
  const read: number[] = [];
  const dataset = { length: 7, get: (i: number) => (read.push(i), new Float32Array([i])) };
  const loader = new data.DataLoader(dataset, { batchSize: 2 });
  const pass = () => [...loader].map((batch) => [...batch.data()]);
  loader.startAt(2);
  assertEquals(pass(), [[4, 5], [6]]);
  assertEquals(read, [4, 5, 6]);
  assertEquals(pass().length, 4);
  loader.startAt(4);
  assertEquals(pass(), []);
  // A pass that is asked for and never gone through takes the start with it.
  loader.startAt(1);
  loader[Symbol.asyncIterator]();
  assertEquals(pass().length, 4);
  assertThrows(() => loader.startAt(-1), RangeError, "Cannot start at batch -1");
});

Deno.test("resume: a scope that is left keeps what it owns until it is ended", () => {
  const outer = stepScope(), inner = stepScope();
  const early = tensor([1, 2]).add(1).realize();
  assertThrows(() => outer.leave(), Error, "Cannot leave this step scope");
  inner.leave();
  const late = tensor([3, 4]).add(1).realize();
  outer[Symbol.dispose]();
  assertThrows(() => late.data(), ReferenceError, "freed");
  assertEquals([...early.data()], [2, 3]);
  inner[Symbol.dispose]();
  assertThrows(() => early.data(), ReferenceError, "freed");
});

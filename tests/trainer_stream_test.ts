/** Data that can only be gone through: known and unknown lengths, partial windows, ranks, resuming. */
import { assert, assertAlmostEquals, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { nn, optim, stepScope, type Tensor, tensor } from "@pta/core";
import {
  type Batch,
  callback,
  type IterableDataset,
  type SavedRun,
  StreamLoader,
  type TrainOptions,
} from "@pta/trainer";
import { BatchSource } from "../trainer/batch_source.ts";
import { agreeOnLength } from "../trainer/lengths.ts";
import {
  copyOfState,
  QuietTrainer,
  scalarDataset,
  scalarModel,
  smallTrainer,
  weightsOf,
} from "./trainer_support.ts";

const xs = [1, -2, 3, 0.5, 2, -1, 1.5], ys = [2, 1, -1, 4, 0, 3, 1];
const sample = (i: number) => [new Float32Array([xs[i]]), new Float32Array([ys[i]])];

/** Goes through the samples, now or later, and counts what was read. */
class Stream implements IterableDataset {
  read = 0;
  readonly length?: number;
  readonly [Symbol.iterator]?: () => Iterator<unknown>;
  readonly [Symbol.asyncIterator]?: () => AsyncIterator<unknown>;
  constructor(
    { isAsync = false, knowsLength = false, n = xs.length }: {
      isAsync?: boolean;
      knowsLength?: boolean;
      n?: number;
    } = {},
  ) {
    if (knowsLength) this.length = n;
    const one = (i: number) => (this.read++, sample(i % xs.length));
    if (isAsync) {
      this[Symbol.asyncIterator] = async function* () {
        for (let i = 0; i < n; i++) {
          await Promise.resolve();
          yield one(i);
        }
      };
    } else {
      this[Symbol.iterator] = function* () {
        for (let i = 0; i < n; i++) yield one(i);
      };
    }
  }
}

async function train(
  trainDataset: TrainOptions["trainDataset"],
  options: Partial<TrainOptions> = {},
  capture = true,
): Promise<{ w: number; trainer: QuietTrainer; optimizerSteps: boolean[] }> {
  const model = scalarModel(0.5), optimizerSteps: boolean[] = [];
  const trainer = new QuietTrainer({
    model,
    capture,
    lossFunc: new nn.MSELoss(),
    optimizer: new optim.SGD(model.parameters(), { lr: 0.05, momentum: 0.3 }),
    callbacks: [
      callback({
        name: "steps",
        onTrainStepEnd: (_, { isOptimizerStep }) => void optimizerSteps.push(isOptimizerStep),
      }),
    ],
  });
  await trainer.train({
    trainDataset,
    evalDataset: trainDataset,
    numEpochs: 3,
    perDeviceBatchSize: 2,
    trainDataLoaderOptions: "get" in trainDataset ? { shuffle: false } : {},
    ...options,
  });
  return { w: weightsOf(model)[0], trainer, optimizerSteps };
}

for (const isAsync of [false, true]) {
  for (const knowsLength of [false, true]) {
    for (const gradientAccumulationSteps of [1, 3]) {
      const title = `${isAsync ? "async" : "sync"}, ${
        knowsLength ? "known" : "unknown"
      } length, accumulation ${gradientAccumulationSteps}`;
      Deno.test(`streams: ${title}: the same as numbered samples`, async () => {
        const expected = await train(scalarDataset(xs, ys), { gradientAccumulationSteps });
        for (const capture of [true, false]) {
          const actual = await train(
            new Stream({ isAsync, knowsLength }),
            { gradientAccumulationSteps },
            capture,
          );
          assertEquals(actual.optimizerSteps, expected.optimizerSteps);
          assertAlmostEquals(actual.w, expected.w, 1e-6);
          assertEquals(actual.trainer.numUpdates, expected.trainer.numUpdates);
          for (const name of ["train_loss_epoch", "eval_loss_epoch"]) {
            const [a, b] = [actual, expected].map((x) => x.trainer.runHistory.values(name));
            b.forEach((x, i) => assertAlmostEquals(a[i], x, 1e-5));
          }
          const { numTrainBatchesPerEpoch, maxNumTrainSteps } = actual.trainer.runConfig;
          assertEquals(numTrainBatchesPerEpoch, knowsLength ? 4 : undefined);
          assertEquals(maxNumTrainSteps === undefined, !knowsLength);
        }
      });
    }
  }
}

Deno.test("streams: one without end needs a number of steps, and is read no further than one batch ahead", async () => {
  const stream = new Stream({ n: Infinity });
  const { trainer } = await train(stream, {
    numEpochs: undefined,
    evalDataset: undefined,
    maxNumTrainSteps: 5,
    gradientAccumulationSteps: 2,
  });
  assertEquals(trainer.numUpdates, 5);
  assertEquals(stream.read, 2 * 11);
});

Deno.test("streams: limits hold for unknown lengths too, and close their window", async () => {
  const { trainer, optimizerSteps } = await train(new Stream({ n: Infinity }), {
    numEpochs: 2,
    limitTrainBatches: 5,
    limitEvalBatches: 3,
    gradientAccumulationSteps: 3,
  });
  assertEquals(trainer.numUpdates, 4);
  const epoch = [false, false, true, false, true];
  assertEquals(optimizerSteps, [...epoch, ...epoch]);
});

Deno.test("streams: what would go wrong silently is an error", async () => {
  const usedUp = (function* () {
    for (let i = 0; i < 4; i++) yield sample(i);
  })();
  await assertRejects(
    () => train(usedUp, { evalDataset: undefined }),
    RangeError,
    "the data gives no batch in this epoch",
  );
  await assertRejects(
    () =>
      train(new Stream(), {
        trainDataLoaderOptions: { sampler: { length: 1, *[Symbol.iterator]() {} } },
      }),
    TypeError,
    "Cannot use a sampler with an iterable dataset",
  );
  await assertRejects(
    () =>
      train({
        length: 9,
        *[Symbol.iterator]() {
          yield sample(0);
        },
      }),
    RangeError,
    "the loader says it has 5 batches but gave 1",
  );
  assertThrows(() => new StreamLoader(new Stream(), { batchSize: 0 }), RangeError, "batchSize");
});

Deno.test("streams: a last batch that is not full can be left out", async () => {
  const { trainer } = await train(new Stream(), { trainDataLoaderOptions: { dropLast: true } });
  assertEquals(trainer.numUpdates, 9);
});

/** Values of the first field of all batches of a rank. */
async function batchesOf(loader: StreamLoader): Promise<number[][]> {
  const all: number[][] = [];
  for await (const batch of loader) all.push([...(batch as Tensor[])[0].data() as Float32Array]);
  return all;
}

Deno.test("streams: each sample is on one rank, or a rank has its own", async () => {
  const numbers = (n: number, isSharded: boolean): IterableDataset => ({
    isSharded,
    *[Symbol.iterator]() {
      for (let i = 0; i < n; i++) yield [new Float32Array([i])];
    },
  });
  for (let n = 1; n <= 12; n++) {
    const ranks = await Promise.all(
      [0, 1].map((rank) =>
        batchesOf(new StreamLoader(numbers(n, false), { batchSize: 2, rank, worldSize: 2 }))
      ),
    );
    assertEquals(
      ranks.flat(2).sort((a, b) => a - b),
      Array.from({ length: n }, (_, i) => i),
    );
    assert(ranks[0].length - ranks[1].length <= 1);
  }
  const own = new StreamLoader(numbers(3, true), { batchSize: 2, rank: 1, worldSize: 2 });
  assertEquals(await batchesOf(own), [[0, 1], [2]]);
});

Deno.test("ranks: a source gives the same number of batches everywhere, fillers where there are none", async () => {
  // Agreement is synchronous between processes; here each rank is run alone with the other's answers worked out.
  const lengths = [3, 1];
  for (const knows of [true, false]) {
    for (const [rank, own] of lengths.entries()) {
      const batches: Batch[] = Array.from({ length: own }, (_, i) => `${rank}:${i}`);
      // The longest rank has a batch at question k as long as k < 3; questions alternate between "now" and "next".
      let asked = 0;
      const agree = () => (++asked % 2 === 1 ? (asked - 1) / 2 < 3 : asked / 2 < 3);
      await using source = new BatchSource(
        { [Symbol.iterator]: () => batches[Symbol.iterator]() },
        {
          agree,
          ...(knows ? { length: 3 } : {}),
        },
      );
      const seen = [];
      for (let next = await source.next(); next !== undefined; next = await source.next()) {
        seen.push([next.batch, next.isFiller, next.isLast]);
      }
      assertEquals(
        seen,
        rank === 0
          ? [["0:0", false, false], ["0:1", false, false], ["0:2", false, true]]
          : [["1:0", false, false], ["1:0", true, false], ["1:0", true, true]],
      );
    }
  }
});

Deno.test("ranks: a rank without any batch gets one made of the first sample", async () => {
  const loader = new StreamLoader(new Stream({ n: 1 }), { rank: 1, worldSize: 2, batchSize: 4 });
  let asked = 0;
  await using source = new BatchSource(loader, { agree: () => ++asked < 2 });
  const first = await source.next();
  assertEquals([...((first!.batch as Tensor[])[0].data() as Float32Array)], [1]);
  assertEquals([first!.isFiller, first!.isLast], [true, true]);
  assertThrows(
    () => agreeOnLength(smallTrainer(), { length: 0 }),
    RangeError,
    "the data gives no batch",
  );
});

Deno.test("batches read ahead live until they have been used, and no longer", async () => {
  const made: Tensor[] = [];
  const loader = {
    *[Symbol.iterator]() {
      for (let i = 0; i < 3; i++) {
        const t = tensor(new Float32Array([i]));
        made.push(t);
        yield [t];
      }
    },
  };
  const seen: number[] = [];
  {
    await using source = new BatchSource(loader);
    for (;;) {
      using _scope = stepScope();
      const next = await source.next();
      if (next === undefined) break;
      seen.push((next.batch as Tensor[])[0].data()[0] as number);
    }
  }
  assertEquals(seen, [0, 1, 2]);
  for (const t of made) assertThrows(() => t.data(), ReferenceError, "freed");
});

/** A stream that says where it stands. */
class Placed implements IterableDataset {
  read: number[] = [];
  #at = 0;
  #from = 0;
  constructor(isPlaced: boolean, readonly length?: number) {
    if (!isPlaced) this.stateDict = this.loadStateDict = undefined;
  }
  stateDict?(): unknown {
    return { at: this.#at };
  }
  loadStateDict?(state: { at: number }): void {
    this.#from = state.at;
  }
  async *[Symbol.asyncIterator]() {
    this.#at = this.#from;
    this.#from = 0;
    while (this.#at < xs.length) {
      this.read.push(this.#at);
      yield await Promise.resolve(sample(this.#at++));
    }
    this.#at = 0;
  }
}

for (const isPlaced of [true, false]) {
  for (const length of [undefined, xs.length]) {
    const title = `${
      isPlaced ? "a stream that says where it stands" : "a stream that is read again"
    }, ${length === undefined ? "unknown" : "known"} length`;
    Deno.test(`resume: ${title}, bit by bit`, async () => {
      const run = async (from?: SavedRun) => {
        const model = scalarModel(0.5), saves: SavedRun[] = [];
        const dataset = new Placed(isPlaced, length);
        const trainer = new QuietTrainer({
          model,
          lossFunc: new nn.MSELoss(),
          optimizer: new optim.SGD(model.parameters(), { lr: 0.05, momentum: 0.3 }),
          checkpointer: { load: () => Promise.resolve(from) },
          callbacks: [callback({
            name: "saver",
            onSafePoint: (t) => {
              const states = [...t.trainingState()].map(([name, part]) =>
                [name, copyOfState(part.stateDict())] as const
              );
              saves.push({ position: t.position, states: new Map(states) });
            },
          })],
        });
        await trainer.train({
          trainDataset: dataset,
          numEpochs: 2,
          perDeviceBatchSize: 2,
          gradientAccumulationSteps: 2,
          ...(from === undefined ? {} : { resumeFrom: "latest" }),
        });
        return { w: weightsOf(model), history: trainer.runHistory.all(), saves, dataset };
      };
      const whole = await run();
      assertEquals(whole.saves.length, 6);
      for (const saved of whole.saves) {
        const rest = await run(saved), where = JSON.stringify(saved.position);
        assertEquals(rest.w, whole.w, where);
        assertEquals(rest.history, whole.history, where);
        const { epoch, stepInEpoch } = saved.position;
        const over = isPlaced ? 2 * stepInEpoch : 0;
        const left = Array.from({ length: 2 }, () => xs.map((_, i) => i)).flat();
        if (stepInEpoch < 4) assertEquals(rest.dataset.read, left.slice(7 * epoch + over), where);
      }
    });
  }
}

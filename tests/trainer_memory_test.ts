/** The trainer holds as many bytes after a step as after the one before. */
import { assert, assertEquals } from "@std/assert";
import { backendOf, type data, defaultDevice, nn, optim, stepScope } from "@pta/core";
import {
  averageMetric,
  callback,
  defaultCallbacks,
  type IterableDataset,
  type LossFunc,
  type TrainOptions,
} from "@pta/trainer";
import { smallDataset, smallModel, smallTrainer } from "./trainer_support.ts";

// What a test has made stays alive, so that the garbage collector frees nothing of it while the next one counts.
const alive: unknown[] = [];

/** The samples of a dataset, one after the other. */
const streamOf = (dataset: data.TensorDataset): IterableDataset => ({
  *[Symbol.iterator]() {
    for (let i = 0; i < dataset.length; i++) {
      yield dataset.fields.map(({ data: all, shape: [, ...rest] }) => {
        const size = rest.reduce((a, b) => a * b, 1);
        return rest.length === 0 ? all[i] : all.slice(i * size, (i + 1) * size);
      });
    }
  },
});

interface Case extends Partial<TrainOptions> {
  readonly isStream?: boolean;
  readonly lossFunc?: LossFunc;
}

const cases: Record<string, Case> = {
  "full batches": { perDeviceBatchSize: 4 },
  "a partial batch": { perDeviceBatchSize: 5 },
  "accumulation and clipping": {
    perDeviceBatchSize: 2,
    gradientAccumulationSteps: 3,
    gradientClipNorm: 1,
    gradientClipValue: 1,
  },
  "a stream of unknown length": {
    perDeviceBatchSize: 4,
    gradientAccumulationSteps: 4,
    isStream: true,
  },
  "weights on the device": {
    perDeviceBatchSize: 4,
    gradientAccumulationSteps: 2,
    lossFunc: (output, target) => ({
      loss: nn.functional.crossEntropy(output, target),
      weight: target.ge(0).sum(),
    }),
  },
};

for (const [name, { isStream = false, lossFunc, ...options }] of Object.entries(cases)) {
  for (const capture of [true, false]) {
    Deno.test(`trainer memory: ${name}, ${capture ? "captured" : "plain"}`, async () => {
      const setup = stepScope();
      const { stats } = backendOf(defaultDevice());
      const bytes: number[][] = [];
      const model = smallModel();
      const trainer = smallTrainer({
        model,
        ...(lossFunc === undefined ? {} : { lossFunc }),
        optimizer: new optim.AdamW(model.parameters(), { lr: 0.01 }),
        capture,
        callbacks: [
          averageMetric({ name: "spread", compute: (_, { loss }) => loss }),
          callback({
            name: "bytes",
            onTrainEpochStart: () => void bytes.push([]),
            onTrainStepStart: () => void bytes.at(-1)!.push(stats.bytesAlive),
            onEvalStepStart: () => void bytes.at(-1)!.push(stats.bytesAlive),
          }),
        ],
      });
      const trainDataset = smallDataset(24), evalDataset = smallDataset(9);
      alive.push(trainer, trainDataset, evalDataset);
      // From here on nothing is left to the garbage collector, which frees when it likes.
      setup[Symbol.dispose]();
      const before = stats.bytesAlive;
      const train = () =>
        trainer.train({
          trainDataset: isStream ? streamOf(trainDataset) : trainDataset,
          evalDataset: isStream ? streamOf(evalDataset) : evalDataset,
          numEpochs: 5,
          ...options,
        });
      await train();
      assert(bytes[4].length > 6);
      assertEquals(bytes[4], bytes[3]);
      // Whatever a run captured or summed up goes with it; a second run ends where the first did.
      const after = stats.bytesAlive;
      await train();
      assertEquals(stats.bytesAlive, after);
      assert(after - before < 4096, `${after - before} bytes are left`);
    });
  }
}

Deno.test("trainer: no step reads the device, with the default callbacks", async () => {
  const backend = backendOf(defaultDevice()), { read } = backend;
  let reads = 0;
  const counts: number[] = [];
  const trainer = smallTrainer({
    callbacks: [
      ...defaultCallbacks({ progressBar: false }),
      callback({ name: "reads", onTrainStepEnd: () => void counts.push(reads) }),
    ],
  });
  // Labels as the loader makes them; the host's own copies are no reads of the device.
  const trainDataset = smallDataset(96);
  backend.read = (...args) => {
    reads++;
    return read.apply(backend, args);
  };
  try {
    await trainer.train({
      trainDataset,
      numEpochs: 1,
      perDeviceBatchSize: 2,
      gradientAccumulationSteps: 2,
      gradientClipNorm: 1,
      createScheduler: (optimizer) => new optim.LinearLR(optimizer),
    });
  } finally {
    backend.read = read;
  }
  assertEquals(counts.length, 48);
  assertEquals(counts.at(-1), counts[0]);
  // At the end of the epoch the loss is read, so reads are counted at all.
  assert(reads > counts[0]);
});

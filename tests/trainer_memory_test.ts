/** The trainer holds as many bytes after a step as after the one before. */
import { assert, assertEquals } from "@std/assert";
import { backendOf, defaultDevice, optim, stepScope } from "@pta/core";
import { averageMetric, callback, type TrainOptions } from "@pta/trainer";
import { smallDataset, smallModel, smallTrainer } from "./trainer_support.ts";

// What a test has made stays alive, so that the garbage collector frees nothing of it while the next one counts.
const alive: unknown[] = [];

const cases: Record<string, Partial<TrainOptions>> = {
  "full batches": { perDeviceBatchSize: 4 },
  "a partial batch": { perDeviceBatchSize: 5 },
  "accumulation and clipping": {
    perDeviceBatchSize: 2,
    gradientAccumulationSteps: 3,
    gradientClipNorm: 1,
    gradientClipValue: 1,
  },
};

for (const [name, options] of Object.entries(cases)) {
  for (const capture of [true, false]) {
    Deno.test(`trainer memory: ${name}, ${capture ? "captured" : "plain"}`, async () => {
      const setup = stepScope();
      const { stats } = backendOf(defaultDevice());
      const bytes: number[][] = [];
      const model = smallModel();
      const trainer = smallTrainer({
        model,
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
          trainDataset,
          evalDataset,
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

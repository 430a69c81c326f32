/** Runs with the callbacks and options that remember something, interrupted and gone on with: equal to the last bit. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { optim, type Tensor } from "@pta/core";
import {
  accumulationSchedule,
  averageMetric,
  type Callback,
  callback,
  CallbackError,
  evaluateEvery,
  gradientStatistics,
  JsonlRunHistory,
  learningRateMonitor,
  listStates,
  mixup,
  modelEma,
  saveBest,
  type TrainerOptions,
  type TrainOptions,
  weightAveraging,
} from "@pta/trainer";
import { inFolder, make, train } from "./checkpoint_support.ts";
import { weightsOf } from "./trainer_support.ts";
import { isSoak } from "./soak.ts";

interface Case {
  readonly callbacks?: (folder: string) => Callback[];
  readonly trainer?: Partial<TrainerOptions>;
  readonly train?: Partial<TrainOptions>;
}

const accuracy = () =>
  averageMetric({
    name: "accuracy",
    compute: (batch, { modelOutputs }) =>
      (modelOutputs as Tensor).argmax(1).eq((batch as Tensor[])[1]),
  });

const cases: Record<string, Case> = {
  "metrics, gradients and rates": {
    callbacks: () => [accuracy(), gradientStatistics({ every: 2 }), learningRateMonitor()],
  },
  "averages beside, and the best weights": {
    callbacks: (folder) => [
      modelEma({ decay: 0.8, loadAtEnd: true }),
      saveBest({ path: `${folder}/best.safetensors`, loadAtEnd: false }),
    ],
  },
  "averages instead, evaluated in between": {
    callbacks: () => [modelEma({ decay: 0.8, evaluate: "instead" }), evaluateEvery({ steps: 4 })],
  },
  "stochastic weight averaging": {
    callbacks: () => [weightAveraging({ startEpoch: 2, swaLr: 0.01 })],
    train: { createScheduler: undefined },
  },
  "mixup": { callbacks: () => [mixup({ numClasses: 3 })] },
  "half precision with a scaler": {
    trainer: {
      mixedPrecision: { precision: "fp16", gradScaler: { growthInterval: 3, initScale: 2 ** 20 } },
    },
  },
  "an accumulation that changes": {
    callbacks: () => [accumulationSchedule({ 1: 1, 2: 3 })],
  },
  "two schedulers in one": {
    train: {
      createScheduler: (optimizer) =>
        new optim.ChainedScheduler([
          new optim.StepLR(optimizer, 5),
          new optim.LinearLR(optimizer, { totalIters: 9 }),
        ]),
    },
  },
};

const crashes = [3, 9, 16];

for (const [i, [name, { callbacks = () => [], ...rest }]] of Object.entries(cases).entries()) {
  Deno.test(`gone on with: ${name}`, () =>
    inFolder(async (folder) => {
      const start = (where: string, crash?: number) => {
        let steps = 0;
        const crashing = callback({
          name: "crash",
          onTrainStepEnd: () => {
            if (++steps === crash) throw new Error("crash");
          },
        });
        const path = `${folder}/${where}`;
        Deno.mkdirSync(path, { recursive: true });
        return make(path, { callbacks: [...callbacks(path), crashing], trainer: rest.trainer });
      };
      const whole = await train(start("whole"), rest.train);
      for (const crash of isSoak ? crashes : [crashes[i % crashes.length]]) {
        await assertRejects(
          () => train(start(`${crash}`, crash), rest.train),
          CallbackError,
          "crash",
        );
        const again = await train(start(`${crash}`), rest.train);
        assert(again.isResumed);
        assertEquals(weightsOf(again.model), weightsOf(whole.model), `after ${crash}`);
        assertEquals(again.runHistory.all(), whole.runHistory.all(), `after ${crash}`);
        assertEquals(again.numUpdates, whole.numUpdates);
      }
    }));
}

Deno.test("gone on with: a history in a file has each value once", () =>
  inFolder(async (folder) => {
    const lines = (path: string) =>
      Deno.readTextFileSync(path).trim().split("\n").map((line) => {
        const { time: _time, ...rest } = JSON.parse(line);
        return rest;
      });
    const start = (name: string, crash?: number) => {
      let steps = 0;
      return make(`${folder}/${name}`, {
        trainer: { runHistory: new JsonlRunHistory(`${folder}/${name}.jsonl`) },
        callbacks: [
          learningRateMonitor(),
          callback({
            name: "crash",
            onTrainStepEnd: () => {
              if (++steps === crash) throw new Error("crash");
            },
          }),
        ],
      });
    };
    await train(start("whole"));
    await assertRejects(() => train(start("crashed", 11)), CallbackError);
    await train(start("crashed"));
    assertEquals(lines(`${folder}/crashed.jsonl`), lines(`${folder}/whole.jsonl`));
    assertEquals((await listStates(`${folder}/crashed`)).length > 0, true);
  }));

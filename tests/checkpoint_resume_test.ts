/** Runs that go on from training states on disk. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { keep, type Tensor, tensor } from "@pta/core";
import {
  type Callback,
  callback,
  CallbackError,
  earlyStopping,
  listStates,
  type SaveStateOptions,
  timeBudget,
  type TrainOptions,
} from "@pta/trainer";
import { inFolder, make, train } from "./checkpoint_support.ts";
import { type QuietTrainer, weightsOf } from "./trainer_support.ts";

/** Fails after some micro-batches, as a crash would. */
const crashAfter = (steps: number): Callback =>
  callback({
    name: "crash",
    onTrainStepEnd: () => {
      if (--steps === 0) throw new Error("crash");
    },
  });

/** An object with a state of its own: a sum of tensors, a map, a number that JSON lacks. */
class Custom {
  sum: Tensor = tensor([0, 0]);
  seen: Map<number, string> = new Map();
  least = Infinity;

  stateDict() {
    return { sum: this.sum, seen: this.seen, least: this.least };
  }

  loadStateDict(state: { sum: Tensor; seen: Map<number, string>; least: number }) {
    Object.assign(this, state);
  }
}

Deno.test("a run that crashed goes on from disk as if it had not, with callbacks and objects", () =>
  inFolder(async (folder) => {
    const observed = (trainer: QuietTrainer, custom: Custom) => {
      trainer.registerState("custom", custom);
      return trainer;
    };
    const collect = (custom: Custom) =>
      callback({
        name: "collect",
        onTrainStepEnd: (t, { step }) => {
          custom.sum = keep(
            tensor([custom.sum.data()[0] as number + step, t.numUpdates]).realize(),
          );
          custom.seen.set(t.numUpdates, `${t.position.epoch}/${step}`);
          custom.least = Math.min(custom.least, step);
        },
      });
    const start = (crash?: number) => {
      const custom = new Custom();
      const callbacks = [collect(custom), ...crash === undefined ? [] : [crashAfter(crash)]];
      return [observed(make(`${folder}/${crash ?? 0}`, { callbacks }), custom), custom] as const;
    };
    const [whole, wholeCustom] = start();
    await train(whole);
    for (const crash of [1, 3, 6, 8, 12, 17]) {
      await assertRejects(() => train(start(crash)[0]), CallbackError);
      const custom = new Custom();
      const again = observed(
        make(`${folder}/${crash}`, { callbacks: [collect(custom)] }),
        custom,
      );
      await train(again);
      assertEquals(again.isResumed, crash >= 2);
      assertEquals(weightsOf(again.model), weightsOf(whole.model), `after ${crash}`);
      assertEquals(again.runHistory.all(), whole.runHistory.all());
      assertEquals(custom.sum.data(), wholeCustom.sum.data());
      assertEquals([custom.seen, custom.least], [wholeCustom.seen, wholeCustom.least]);
    }
  }));

Deno.test("a finished run goes on with more epochs; several saves load one after the other", () =>
  inFolder(async (folder) => {
    const whole = await train(make(`${folder}/whole`), { numEpochs: 4 });
    for (const numEpochs of [1, 2, 4]) {
      const { lines, runHistory, model } = await train(make(folder), { numEpochs });
      if (numEpochs > 1) {
        const epochs = numEpochs / 2;
        const [from] = lines;
        assertEquals(
          /^Going on from ".*": (\d) epochs and 0 batches are over$/.exec(from)?.[1],
          `${epochs}`,
        );
      }
      assertEquals(runHistory.values("train_loss_epoch").length, numEpochs);
      if (numEpochs === 4) assertEquals(weightsOf(model), weightsOf(whole.model));
    }
    const { lines, numUpdates } = await train(make(folder), { numEpochs: 4 });
    assertEquals(/: 4 epochs and 0 batches are over$/.test(lines[0]), true);
    assertEquals(numUpdates, 24);
  }));

Deno.test("early stopping counts on where the saved run was", () =>
  inFolder(async (folder) => {
    const patient = () => earlyStopping({ patience: 2, threshold: 1e9 });
    await train(make(folder, { callbacks: [patient()] }), { numEpochs: 2 });
    const again = await train(make(folder, { callbacks: [patient()] }), { numEpochs: 9 });
    assertEquals(again.runHistory.values("eval_loss_epoch").length, 3);
    assert(again.stopReason?.startsWith("Stopped: eval_loss_epoch has not improved"));
  }));

Deno.test("saves by step, epoch and minutes; the latest, the best and no more stay", () =>
  inFolder(async (folder) => {
    const names = async (path: string) =>
      (await listStates(path)).map((s) => s.path.slice(path.length + 1));
    const run = async (save: SaveStateOptions) => {
      const path = `${folder}/${crypto.randomUUID()}`;
      await train(make(path, { save: { directory: path, keepLast: Infinity, ...save } }));
      return await names(path);
    };
    const only = { everySteps: undefined, everyEpochs: undefined };
    // Six batches an epoch, three epochs.
    assertEquals(await run(only), [6, 12, 18].map((n, i) => `state_00000${i + 1}_step_${n}`));
    assertEquals(await run({ ...only, everySteps: 7 }), [
      "state_000001_step_7",
      "state_000002_step_14",
      "state_000003_step_18",
    ]);
    assertEquals(await run({ ...only, everySteps: 7, atEnd: false }), [
      "state_000001_step_7",
      "state_000002_step_14",
    ]);
    assertEquals(await run({ ...only, everyEpochs: 2 }), [
      "state_000001_step_12",
      "state_000002_step_18",
    ]);
    let minutes = 0;
    const now = () => 60_000 * minutes++;
    assertEquals((await run({ ...only, everyMinutes: 4, atEnd: false, now })).length, 5);
    // Two of 18 steps, and the best epoch.
    const kept = await run({ everySteps: 1, keepLast: 2, direction: "higher" });
    assertEquals(kept.slice(-2), ["state_000020_step_18", "state_000021_step_18"]);
    assertEquals(kept.length <= 3, true);
  }));

Deno.test("the best state by the watched metric is never removed", () =>
  inFolder(async (folder) => {
    const values = [3, 1, NaN, 2, 5, 4];
    const record = callback({
      name: "record",
      onTrainingRunEpochEnd: ({ runHistory: h, position }) =>
        h.record("score", values[position.epoch], { direction: "lower" }),
    });
    const options = {
      save: { everySteps: undefined, keepLast: 1, watchMetric: "score" },
      callbacks: [record],
    };
    // In two runs, so that the second one must know what the first one has saved.
    for (const numEpochs of [3, 6]) await train(make(folder, options), { numEpochs });
    assertEquals((await listStates(folder)).map((s) => s.number), [2, 6]);
  }));

Deno.test("another batch size goes on at the same sample, rounded down to a window", () =>
  inFolder(async (folder) => {
    // Saved after 4 of 6 batches of 4 samples: 16 of 22.
    const cases: [Partial<TrainOptions>, number][] = [
      [{ perDeviceBatchSize: 4 }, 4],
      [{ perDeviceBatchSize: 8 }, 2],
      [{ perDeviceBatchSize: 2 }, 8],
      [{ perDeviceBatchSize: 5 }, 3],
      [{ perDeviceBatchSize: 4, gradientAccumulationSteps: 3 }, 3],
      [{ perDeviceBatchSize: 1, gradientAccumulationSteps: 7 }, 14],
    ];
    const crashed = make(folder, { save: { keepLast: Infinity }, callbacks: [crashAfter(5)] });
    await assertRejects(() => train(crashed), CallbackError);
    const [, { path }] = await listStates(folder);
    const order = (batchSize: number, seen: number[]) =>
      callback({
        name: "order",
        onTrainStepEnd: ({ position }, { batch, step }) => {
          if (position.epoch === 0 && seen.length === 0) seen.push(step);
          const rows = (batch as Tensor[])[0].shape[0];
          assert(rows === batchSize || rows === 22 % batchSize);
        },
      });
    for (const [options, first] of cases) {
      const seen: number[] = [];
      const window = options.gradientAccumulationSteps ?? 1;
      const callbacks = [order(options.perDeviceBatchSize!, seen)];
      const again = make(`${folder}/again`, { callbacks });
      await train(again, { ...options, numEpochs: 2, resumeFrom: path });
      assertEquals(seen, [first], JSON.stringify(options));
      // Steps and rate are those of a run that had this size from the start.
      const whole = make(`${folder}/whole`, { save: { everySteps: 99, everyEpochs: 99 } });
      await train(whole, { ...options, numEpochs: 2, resumeFrom: undefined });
      assertEquals(again.numUpdates, whole.numUpdates);
      assertEquals(
        again.numUpdates,
        2 * Math.ceil(Math.ceil(22 / options.perDeviceBatchSize!) / window),
      );
      assertEquals(
        again.optimizer!.paramGroups.map((g) => [g.lr, g.options]),
        whole.optimizer!.paramGroups.map((g) => [g.lr, g.options]),
      );
    }
    // At the end of an epoch only its evaluation is left, whatever the size of the batches.
    const [, , last] = await (async () => {
      await train(make(folder, { save: { everyEpochs: 9 } }), { numEpochs: 1 });
      return await listStates(folder);
    })();
    const again = make(`${folder}/again`);
    await train(again, { perDeviceBatchSize: 5, numEpochs: 1, resumeFrom: last.path });
    assertEquals([again.numUpdates, again.runHistory.values("eval_loss_epoch").length], [5, 1]);
  }));

Deno.test("SIGTERM saves at the next step and stops; the run goes on from there", {
  ignore: Deno.build.os === "windows",
}, () =>
  inFolder(async (folder) => {
    const kill = callback({
      name: "kill",
      onTrainStepStart: async (trainer) => {
        if (trainer.numUpdates !== 7) return;
        const arrived = Promise.withResolvers<void>();
        const heard = () => arrived.resolve();
        Deno.addSignalListener("SIGTERM", heard);
        Deno.kill(Deno.pid, "SIGTERM");
        // A signal alone does not keep a test alive.
        const timer = setInterval(() => {}, 1000);
        await arrived.promise;
        clearInterval(timer);
        Deno.removeSignalListener("SIGTERM", heard);
      },
    });
    const save = { everySteps: undefined, everyEpochs: 5 };
    const stopped = await train(make(folder, { save, callbacks: [kill] }));
    const path = `${folder}/state_000001_step_8`;
    assertEquals(
      stopped.stopReason,
      `Stopped by SIGTERM after 8 steps; the training state is in "${path}"`,
    );
    const again = await train(make(folder, { save }));
    assertEquals(again.lines[0], `Going on from "${path}": 1 epochs and 2 batches are over`);
    const whole = await train(make(`${folder}/whole`, { save }));
    assertEquals(weightsOf(again.model), weightsOf(whole.model));
  }));

Deno.test("a run whose time is used up is saved where it stops", () =>
  inFolder(async (folder) => {
    let seconds = 0;
    const budget = () => timeBudget({ seconds: 8, now: () => 1000 * seconds++ });
    const save = { everySteps: undefined, everyEpochs: 9 };
    const stopped = await train(make(folder, { save, callbacks: [budget()] }));
    const [{ path }, ...others] = await listStates(folder);
    assertEquals([path, others], [`${folder}/state_000001_step_${stopped.numUpdates}`, []]);
    assert(stopped.numUpdates < 9 && stopped.stopReason !== undefined);
    const again = await train(make(folder, { save }));
    const whole = await train(make(`${folder}/whole`, { save }));
    assertEquals(weightsOf(again.model), weightsOf(whole.model));
    assertEquals(again.runHistory.all(), whole.runHistory.all());
  }));

Deno.test("a launcher that has restarted the ranks asks for the latest state", () =>
  inFolder(async (folder) => {
    await train(make(folder), { numEpochs: 1 });
    Deno.env.set("PTA_RESUME", "latest");
    try {
      const again = await train(make(folder), { resumeFrom: undefined });
      assertEquals(again.isResumed, true);
      const other = make(`${folder}/none`, { save: { directory: `${folder}/none` } });
      assertEquals((await train(other, { resumeFrom: undefined })).isResumed, false);
    } finally {
      Deno.env.delete("PTA_RESUME");
    }
  }));

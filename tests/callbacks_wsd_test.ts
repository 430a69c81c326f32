/** Checkpoints of a schedule with decays, and longer runs that go on from them. */
import { assert, assertAlmostEquals, assertEquals, assertRejects } from "@std/assert";
import { loadSafetensors } from "@pta/core";
import { learningRateMonitor, listStates, wsdCheckpoint, wsdSchedule } from "@pta/trainer";
import { smallDataset, smallTrainer, weightsOf } from "./trainer_support.ts";

Deno.test("wsdCheckpoint: states before the decays, models after them, and a longer run goes on bit by bit", async () => {
  const dir = await Deno.makeTempDir();
  try {
    const directory = `${dir}/wsd`;
    const create = wsdSchedule({ warmUp: 2, decayRatio: 0.2, minRatio: 0.01 });
    const data = { trainDataset: smallDataset(16), perDeviceBatchSize: 4 };
    const short = smallTrainer({
      momentum: 0.9,
      callbacks: [wsdCheckpoint({ directory }), learningRateMonitor()],
    });
    await short.train({ ...data, numEpochs: 5, createScheduler: create });
    const [state] = await listStates(`${directory}/before_decay`);
    assert(state.path.endsWith("step_16"), state.path);
    const model = await loadSafetensors(`${directory}/model_step_20.safetensors`);
    assertEquals(
      Object.keys(short.model.stateDict()).flatMap((name) =>
        Array.from(model[name].data() as Float32Array)
      ),
      weightsOf(short.model),
    );
    assertAlmostEquals(short.runHistory.latest("learning_rate"), 0.001, 1e-9);

    const longer = { ...data, numEpochs: 10, createScheduler: create };
    const whole = smallTrainer({ momentum: 0.9, callbacks: [learningRateMonitor()] });
    await whole.train(longer);
    const resumed = smallTrainer({ momentum: 0.9, callbacks: [learningRateMonitor()] });
    await resumed.train({ ...longer, resumeFrom: `${directory}/before_decay` });
    assertEquals(weightsOf(resumed.model), weightsOf(whole.model));
    assertEquals(
      resumed.runHistory.values("learning_rate"),
      whole.runHistory.values("learning_rate"),
    );
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("wsdCheckpoint: without such a schedule the run does not start", async () => {
  const trainer = smallTrainer({ callbacks: [wsdCheckpoint()] });
  await assertRejects(
    () => trainer.train({ trainDataset: smallDataset(4), numEpochs: 1 }),
    Error,
    "Cannot save at the checkpoints of this schedule",
  );
});

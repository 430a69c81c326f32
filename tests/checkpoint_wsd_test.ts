/** States before the decays of a WSD schedule, models after them. */
import { assertEquals, assertRejects } from "@std/assert";
import { loadSafetensors, nn, optim } from "@pta/core";
import { listStates, saveWsdCheckpoints, type TrainOptions, wsdSchedule } from "@pta/trainer";
import { QuietTrainer, smallDataset, smallModel, weightsOf } from "./trainer_support.ts";

Deno.test("a longer run goes on from before the decay, as if the decay had not been", async () => {
  const directory = await Deno.makeTempDir({ prefix: "checkpoint_wsd_" });
  try {
    const run = async (options: Partial<TrainOptions>) => {
      const model = smallModel(3);
      const trainer = new QuietTrainer({
        model,
        lossFunc: new nn.CrossEntropyLoss(),
        optimizer: new optim.AdamW(model.parameters(), { lr: 0.05 }),
        seed: 5,
        callbacks: [saveWsdCheckpoints({ directory })],
      });
      await trainer.train({
        trainDataset: smallDataset(22),
        perDeviceBatchSize: 4,
        maxNumTrainSteps: 16,
        createScheduler: wsdSchedule({ numCheckpoints: 2, decayRatio: 0.25, warmUp: 2 }),
        ...options,
      });
      return trainer;
    };
    const short = await run({});
    const states = (await listStates(directory)).map((s) => s.path);
    assertEquals(states, [
      `${directory}/state_000001_step_6`,
      `${directory}/state_000002_step_12`,
    ]);
    const models = [...Deno.readDirSync(directory)].map((e) => e.name)
      .filter((name) => name.endsWith(".safetensors")).sort();
    assertEquals(models, ["model_step_16.safetensors", "model_step_8.safetensors"]);
    const finished = smallModel(0);
    finished.loadStateDict(await loadSafetensors(`${directory}/model_step_16.safetensors`));
    assertEquals(weightsOf(finished), weightsOf(short.model));

    const createScheduler = wsdSchedule({ decayRatio: 0.25, warmUp: 2 });
    const long = await run({ maxNumTrainSteps: 24, createScheduler });
    const on = await run({
      maxNumTrainSteps: 24,
      createScheduler,
      resumeFrom: states[0],
    });
    assertEquals(weightsOf(on.model), weightsOf(long.model));
    assertEquals(on.runHistory.all(), long.runHistory.all());
    const error = await assertRejects(() => run({ createScheduler: undefined }), Error);
    assertEquals(
      error.message,
      'Callback "saveWsdCheckpoints" failed in onTrainingRunStart: TypeError: Cannot save WSD checkpoints: the scheduler is undefined, and it must be a WsdScheduler; give createScheduler: wsdSchedule()',
    );
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

/** Training states that cannot be written, or do not fit. */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { nn, optim } from "@pta/core";
import {
  callback,
  CallbackError,
  listStates,
  saveState,
  type SaveStateOptions,
  saveTrainingState,
  TrainingStateError,
} from "@pta/trainer";
import { inFolder, make, type Options, train } from "./checkpoint_support.ts";
import { weightsOf } from "./trainer_support.ts";

Deno.test("a disk that fails ends the run with an error and keeps the earlier states", () =>
  inFolder(async (folder) => {
    const { rename } = Deno;
    let renames = 0;
    Deno.rename = (from, to) => {
      if (`${to}`.includes("state_") && ++renames === 3) {
        return Promise.reject(new Error("No space left on device (os error 28)"));
      }
      return rename(from, to);
    };
    let error: CallbackError;
    try {
      error = await assertRejects(() => train(make(folder)), CallbackError);
    } finally {
      Deno.rename = rename;
    }
    assertEquals(
      error.message,
      `Callback "saveState" failed in onSafePoint: Error: Cannot save the training state "${folder}/state_000003_step_6": No space left on device (os error 28)`,
    );
    assertEquals([...Deno.readDirSync(folder)].map((e) => e.name).sort(), [
      "state_000001_step_2",
      "state_000002_step_4",
    ]);
    const again = await train(make(folder));
    const whole = await train(make(`${folder}/whole`));
    assertEquals(weightsOf(again.model), weightsOf(whole.model));
    await Deno.writeTextFile(`${folder}/file`, "");
    const onFile = await assertRejects(() => train(make(`${folder}/file`)), CallbackError);
    assert(onFile.message.includes(`${folder}/file`), onFile.message);
  }));

const unfit: [string, Options, string][] = [
  [
    "another model",
    { model: new nn.Linear(4, 3) },
    "model.safetensors does not fit. Cannot load the state into Linear: missing keys: weight, bias; unexpected keys: 0.0.bias, 0.0.weight, 0.2.bias, 0.2.weight",
  ],
  [
    "another size",
    {
      model: new nn.Sequential(
        new nn.Sequential(new nn.Linear(4, 9), new nn.Tanh(), new nn.Linear(9, 3)),
      ),
    },
    "model.safetensors does not fit. Cannot load the state into Sequential: mismatched shapes: 0.0.weight is [8, 4] in the state and [9, 4] here, 0.0.bias is [8] in the state and [9] here, 0.2.weight is [3, 8] in the state and [3, 9] here",
  ],
  [
    "another optimizer",
    { optimizer: (m) => new optim.SGD(m.parameters(), { lr: 0.1, momentum: 0.9 }) },
    "optimizer.safetensors is of Adam, and this run has SGD",
  ],
  [
    "other parameter groups",
    {
      optimizer: (m) =>
        new optim.Adam([{ params: m.parameters().slice(0, 2) }, {
          params: m.parameters().slice(2),
        }]),
    },
    "optimizer.safetensors does not fit. Cannot load the state: it has 1 parameter groups, and Adam has 2",
  ],
];

for (const [name, options, reason] of unfit) {
  Deno.test(`a state that does not fit says why: ${name}`, () =>
    inFolder(async (folder) => {
      await train(make(folder), { numEpochs: 1 });
      const path = `${folder}/state_000004_step_6`;
      const again = make(folder, options), before = weightsOf(again.model);
      // Falling back does not help: the one before is of the same run.
      for (const resumeFrom of ["latest", { fallback: "previous" }] as const) {
        const error = await assertRejects(
          () => train(again, { resumeFrom, createScheduler: undefined }),
          TrainingStateError,
        );
        assertEquals(error.message, `Cannot load the training state "${path}": ${reason}`);
        assertEquals(error.fault, "unfit");
      }
      if (options.model !== undefined) assertEquals(weightsOf(again.model), before);
    }));
}

Deno.test("a part that does not take its state is named", () =>
  inFolder(async (folder) => {
    await train(make(folder), { numEpochs: 1 });
    const error = await assertRejects(
      () => train(make(folder), { createScheduler: (o) => new optim.StepLR(o, 3) }),
      TypeError,
    );
    assertEquals(
      error.message,
      'Cannot go on with the saved run: the state "scheduler" does not fit. Cannot load the state of StepLR: it has no step_size, gamma',
    );
    const picky = callback({
      name: "picky",
      stateDict: () => 1,
      loadStateDict: () => {
        throw new RangeError("Cannot take this");
      },
    });
    await train(make(folder, { callbacks: [picky] }), { numEpochs: 2 });
    assertEquals(
      (await assertRejects(() => train(make(folder, { callbacks: [picky] })), TypeError)).message,
      'Cannot go on with the saved run: the state "callbacks.picky" does not fit. Cannot take this',
    );
  }));

Deno.test("what cannot be saved names callback and path, and states are saved at safe points only", () =>
  inFolder(async (folder) => {
    const odd = callback({
      name: "odd",
      stateDict: () => ({ list: [1, { f: () => 1 }] }),
      loadStateDict: () => {},
    });
    const error = await assertRejects(() => train(make(folder, { callbacks: [odd] })), Error);
    assert(
      error.message.startsWith(
        'Callback "saveState" failed in onSafePoint: TypeError: Cannot save callbacks.odd.list.1.f: it is function',
      ),
      error.message,
    );
    const early = callback({
      name: "early",
      onTrainStepEnd: async (t) => void await saveTrainingState(t, { directory: folder }),
    });
    assertEquals(
      (await assertRejects(() => train(make(folder, { callbacks: [early] })), Error)).message,
      'Callback "early" failed in onTrainStepEnd: Error: Cannot save the training state here: save it in the event onSafePoint',
    );
    assertEquals(await listStates(folder), []);
    const trainer = await train(make(folder), { numEpochs: 1 });
    const path = await saveTrainingState(trainer, { directory: `${folder}/other` });
    assertEquals(path, `${folder}/other/state_000001_step_6`);
    assertEquals((await train(make(folder), { resumeFrom: path, numEpochs: 1 })).numUpdates, 6);
  }));

Deno.test("options of saveState are checked", () => {
  const cases: [SaveStateOptions, string][] = [
    [{ everySteps: 0 }, "Cannot use everySteps 0: it must be a whole number of at least 1"],
    [{ everyEpochs: 1.5 }, "Cannot use everyEpochs 1.5: it must be a whole number of at least 1"],
    [{ everyMinutes: 0 }, "Cannot use everyMinutes 0: it must be above 0"],
    [{ keepLast: 0 }, "Cannot use keepLast 0: it must be a whole number of at least 1"],
  ];
  for (const [options, message] of cases) {
    assertEquals(assertThrows(() => saveState(options), RangeError).message, message);
  }
});

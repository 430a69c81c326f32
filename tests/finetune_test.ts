/** Freezing, unfreezing, parameter groups. */
import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { manualSeed, nn, optim, type Tensor } from "@pta/core";
import {
  addUnfrozen,
  cosineSchedule,
  createRunConfig,
  discriminativeGroups,
  geometricRates,
  ModelFreezer,
  polynomialSchedule,
} from "@pta/trainer";
import { smallDataset, smallTrainer } from "./trainer_support.ts";

const numbersOf = (t: Tensor) => Array.from(t.data() as Float32Array);

/** Three groups: a body with a batch normalisation, a middle layer, a head. */
function model(): nn.Sequential {
  return new nn.Sequential(
    new nn.Sequential(new nn.Linear(4, 6), new nn.BatchNorm1d(6), new nn.Tanh()),
    new nn.Linear(6, 5),
    new nn.Linear(5, 3),
  );
}

async function train(net: nn.Module, options: { freezer?: ModelFreezer } = {}) {
  const trainer = smallTrainer({
    model: net,
    optimizer: new optim.AdamW(net.parameters(), { lr: 0.05, weightDecay: 0.1 }),
    callbacks: options.freezer === undefined ? [] : [options.freezer.callback()],
  });
  await trainer.train({ trainDataset: smallDataset(24), numEpochs: 2, perDeviceBatchSize: 6 });
}

/** Names of state tensors that training has changed. */
async function changed(net: nn.Module, freezer?: ModelFreezer): Promise<string[]> {
  const before = Object.entries(net.stateDict()).map(([name, t]) => [name, numbersOf(t)] as const);
  await train(net, { freezer });
  const after = net.stateDict();
  return before.filter(([name, old]) => numbersOf(after[name]).join() !== old.join())
    .map(([name]) => name);
}

const isFrozen = (freezer: ModelFreezer) => freezer.layerGroups().map((g) => g.isFrozen);

Deno.test("ModelFreezer: groups and layers with both indices", () => {
  const freezer = new ModelFreezer(model());
  assertEquals(
    freezer.layerGroups().map((g) => [g.index, g.fromEnd, g.name, g.module.constructor.name]),
    [[0, -3, "0", "Sequential"], [1, -2, "1", "Linear"], [2, -1, "2", "Linear"]],
  );
  assertEquals(
    freezer.layers().map((l) => [l.index, l.fromEnd, l.name]),
    [[0, -5, "0.0"], [1, -4, "0.1"], [2, -3, "0.2"], [3, -2, "1"], [4, -1, "2"]],
  );
});

Deno.test("ModelFreezer: every combination of ends, either order, negative or not", () => {
  const cases: [number, number, boolean[]][] = [
    [0, -2, [true, true, false]],
    [0, 1, [true, true, false]],
    [1, 0, [true, true, false]],
    [-1, 0, [true, true, true]],
    [-1, -1, [false, false, true]],
    [1, 1, [false, true, false]],
    [-2, -3, [true, true, false]],
  ];
  for (const [from, to, expected] of cases) {
    const freezer = new ModelFreezer(model(), { batchNorms: "freeze" });
    freezer.freeze({ from, to });
    assertEquals(isFrozen(freezer), expected, `${from} ${to}`);
    freezer.unfreeze({ from, to });
    assertEquals(isFrozen(freezer), [false, false, false]);
  }
  const freezer = new ModelFreezer(model(), { batchNorms: "freeze" });
  assertEquals(freezer.freeze(), ["0", "1"]);
  assertEquals(freezer.freezeLayers({ from: -1, to: -1 }), ["2"]);
  assertEquals(isFrozen(freezer), [true, true, true]);
  assertEquals(Object.keys(freezer.unfreeze()), ["0", "1", "2"]);
  assertThrows(
    () => freezer.freeze({ to: 3 }),
    RangeError,
    "Cannot freeze or unfreeze from 0 to 3: the model has 3 layer groups",
  );
  assertThrows(() => freezer.freezeLayers({ from: -6 }), RangeError, "5 layers");
});

Deno.test("ModelFreezer: frozen parts stand still, batch normalisations by the option", async () => {
  const norm = ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"];
  const head = ["2.weight", "2.bias"];
  const net = model(), freezer = new ModelFreezer(net);
  freezer.freeze();
  assertEquals(await changed(net, freezer), [...norm.map((n) => `0.1.${n}`), ...head]);

  const other = model(), all = new ModelFreezer(other, { batchNorms: "freeze" });
  all.freeze();
  assertEquals(await changed(other, all), head);
  // Without the callback the trainer puts them into training mode again.
  assertEquals(
    await changed(other),
    [...norm.slice(2).map((n) => `0.1.${n}`), ...head],
  );

  freezer.unfreeze();
  assertEquals((await changed(net, freezer)).length, Object.keys(net.stateDict()).length);
});

Deno.test("ModelFreezer: evalMode keeps dropout off in frozen groups, and unfreezing lets it on", async () => {
  const dropout = new nn.Dropout(0.5);
  const net = new nn.Sequential(
    new nn.Sequential(new nn.Linear(4, 6), dropout),
    new nn.Linear(6, 3),
  );
  const freezer = new ModelFreezer(net);
  const modes: boolean[] = [];
  const watch = { name: "watch", onTrainStepEnd: () => void modes.push(dropout.training) };
  const run = async (evalMode: boolean | undefined) => {
    modes.length = 0;
    if (evalMode === undefined) freezer.unfreeze();
    else freezer.freeze({}, { evalMode });
    const trainer = smallTrainer({ model: net, callbacks: [freezer.callback(), watch] });
    await trainer.train({ trainDataset: smallDataset(8), numEpochs: 2, perDeviceBatchSize: 4 });
    return [...new Set(modes)];
  };
  assertEquals(await run(false), [true]);
  assertEquals(await run(true), [false]);
  assertEquals(await run(undefined), [true]);
});

Deno.test("ModelFreezer: parameters of the model itself are a group of their own", () => {
  class WithToken extends nn.Module {
    readonly token = new nn.Parameter(new nn.Linear(1, 1).weight.detach());
    readonly head = new nn.Linear(1, 1);
    override forward(x: Tensor): Tensor {
      return this.head.forward(x.add(this.token));
    }
  }
  const net = new WithToken(), freezer = new ModelFreezer(net);
  assertEquals(freezer.layerGroups().map((g) => g.name), ["WithToken", "head"]);
  freezer.freeze();
  assertEquals(net.token.requiresGrad, false);
  assertEquals(freezer.trainableParameters(), net.head.parameters());
  assertEquals(
    `${freezer}`,
    "0 (-2) WithToken: WithToken, frozen\n1 (-1) head: Linear, trained",
  );
});

Deno.test("ModelFreezer: what is unfrozen goes into the optimizer once, with its own rate", () => {
  const net = model(), freezer = new ModelFreezer(net, { batchNorms: "freeze" });
  freezer.freeze();
  const optimizer = new optim.SGD(freezer.trainableParameters(), { lr: 0.1 });
  assertEquals(addUnfrozen(optimizer, freezer.unfreeze({ from: 1, to: 1 }), { lr: 0.01 }), 1);
  const rest = freezer.unfreeze();
  assertEquals(Object.keys(rest), ["0"]);
  assertEquals(addUnfrozen(optimizer, rest, { lr: 0.001 }), 1);
  assertEquals(addUnfrozen(optimizer, rest), 0);
  assertEquals(optimizer.paramGroups.map((g) => g.lr), [0.1, 0.01, 0.001]);
  assertEquals(
    new Set(optimizer.paramGroups.flatMap((g) => g.params)).size,
    net.parameters().length,
  );
});

Deno.test("discriminativeGroups: rates fall towards the input, each parameter is in one group", () => {
  const net = model();
  const groups = discriminativeGroups(net, { lr: 0.1, decay: 0.5 });
  groups.forEach((g, i) => assertAlmostEquals(g.lr, [0.025, 0.05, 0.1][i], 1e-12));
  assertEquals(groups.map((g) => g.params.length), [4, 2, 2]);
  const optimizer = new optim.AdamW(groups, { lr: 1 });
  assertEquals(optimizer.paramGroups.length, 3);

  const split = discriminativeGroups(net, { lr: [0.001, 0.1], weightDecay: 0.3 });
  const rates = [0.001, 0.001, 0.01, 0.01, 0.1, 0.1];
  split.forEach((g, i) => assertAlmostEquals(g.lr, rates[i], 1e-12));
  assertEquals(split.map((g) => g.weightDecay), [0.3, 0, 0.3, 0, 0.3, 0]);
  assertEquals(split.map((g) => g.params.length), [1, 3, 1, 1, 1, 1]);

  new ModelFreezer(net, { batchNorms: "freeze" }).freeze();
  assertEquals(discriminativeGroups(net, { lr: 0.1, decay: 0.5 }).map((g) => g.lr), [0.1]);
  net.requiresGrad_(false);
  assertThrows(() => discriminativeGroups(net, { lr: 0.1 }), RangeError, "without parameters");
  assertThrows(() => geometricRates(0, 1, 3), RangeError, "must be above 0");
  assert(geometricRates(0.1, 0.1, 1).length === 1);
});

for (const capture of [true, false]) {
  Deno.test(`ModelFreezer: groups unfrozen from one epoch to another learn from then on, ${capture ? "captured" : "plain"}`, async () => {
    const run = async (withGroups: boolean) => {
      manualSeed(1);
      const net = model(), freezer = new ModelFreezer(net, { batchNorms: "freeze" });
      freezer.freeze();
      const groups = discriminativeGroups(net, { lr: 0.1, decay: 0.5, skip: () => false });
      const optimizer = new optim.SGD(withGroups ? groups : freezer.trainableParameters(), {
        lr: 0.1,
        momentum: 0.9,
      });
      const seen: string[] = [];
      const before = Object.entries(net.stateDict()).map(([n, t]) => [n, numbersOf(t)] as const);
      const trainer = smallTrainer({
        model: net,
        optimizer,
        capture,
        callbacks: [
          freezer.callback({ unfreezeAt: { 2: { from: -2 }, 4: {} } }),
          {
            name: "look",
            onTrainEpochEnd: () => {
              const now = net.stateDict();
              const moved = before.filter(([n, old]) => numbersOf(now[n]).join() !== old.join());
              seen.push([...new Set(moved.map(([n]) => n.split(".")[0]))].join());
            },
          },
        ],
      });
      await trainer.train({
        trainDataset: smallDataset(24),
        numEpochs: 4,
        perDeviceBatchSize: 6,
        createScheduler: cosineSchedule(),
      });
      return { seen, lines: trainer.lines };
    };
    const { seen, lines } = await run(true);
    assertEquals(seen, ["2", "1,2", "1,2", "0,1,2"]);
    assertEquals(lines, ["Unfrozen: 1", "Unfrozen: 0"]);
    // What the optimizer does not have stays, unfrozen or not; statistics of the normalisation follow.
    assertEquals((await run(false)).seen, ["2", "2", "2", "0,2"]);
  });
}

Deno.test("schedules take up groups that are added on the way", () => {
  const net = model(), [a, b] = net.parameters();
  const optimizer = new optim.SGD([a], { lr: 0.4 });
  const config = createRunConfig({ trainPerDeviceBatchSize: 1, maxNumTrainSteps: 4 });
  const scheduler = polynomialSchedule({ min: 0 })(optimizer, config);
  scheduler.step();
  optimizer.addParamGroup({ params: [b], lr: 0.1 });
  scheduler.step();
  optimizer.paramGroups.forEach((g, i) => assertAlmostEquals(g.lr, [0.2, 0.05][i], 1e-12));
});

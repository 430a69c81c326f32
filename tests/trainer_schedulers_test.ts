/** The trainer's schedulers: values by hand, any field, state, lengths in any unit, adapters, pictures. */
import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { optim, zeros } from "@pta/core";
import {
  cosineSchedule,
  CosineScheduler,
  createRunConfig,
  type CreateScheduler,
  epochSchedule,
  inverseSqrtSchedule,
  oneCycleSchedule,
  plotSchedule,
  polynomialSchedule,
  scheduleValues,
  StatefulScheduler,
  StatelessScheduler,
  timmSchedule,
  type TimmScheduler,
  wsdCheckpointSteps,
  wsdSchedule,
  WsdScheduler,
} from "@pta/trainer";
import { smallDataset, smallModel, smallTrainer, weightsOf } from "./trainer_support.ts";

const sgd = (lr = 1, more = {}) => new optim.SGD([zeros([1])], { lr, ...more });
const valuesOf = (create: CreateScheduler, steps: number, lr = 1, stepsPerEpoch = steps) =>
  scheduleValues(create, { steps, stepsPerEpoch, optimizer: sgd(lr) })[0];

function near(actual: readonly number[], expected: readonly number[], tolerance = 1e-12): void {
  assertEquals(actual.length, expected.length);
  actual.forEach((x, i) => assertAlmostEquals(x, expected[i], tolerance, `step ${i}`));
}

Deno.test("cosine: warm-up, half a cosine, cooldown, by hand", () => {
  const create = cosineSchedule({ warmUp: 2, cooldown: 2, min: 0.1, warmUpStart: 0.2 });
  const half = (p: number) => 0.1 + 0.9 * (1 + Math.cos(Math.PI * p)) / 2;
  near(valuesOf(create, 8), [0.2, 0.6, 1, half(1 / 4), half(2 / 4), half(3 / 4), 0.1, 0.1]);
});

Deno.test("cosine: no step is larger than the steepest slope, and the end is the floor", () => {
  for (const [warmUp, cooldown, kDecay] of [[0, 0, 1], [10, 10, 1], [5, 20, 1.5], [20, 0, 0.8]]) {
    const options = { warmUp, cooldown, kDecay, min: 0, warmUpStartRatio: 0.1 };
    const optimizer = sgd(2);
    const scheduler = new CosineScheduler(optimizer, {
      ...options,
      warmUpSteps: warmUp,
      cooldownSteps: cooldown,
      totalSteps: 100,
    });
    const values = [optimizer.paramGroups[0].lr];
    for (let i = 0; i < 100; i++) {
      scheduler.step();
      values.push(optimizer.paramGroups[0].lr);
    }
    assertAlmostEquals(values[100], 0, 1e-12);
    assertAlmostEquals(values[0], warmUp === 0 ? 2 : 0.2, 1e-12);
    assertAlmostEquals(Math.max(...values), 2, 1e-12);
    const slope = Math.max(
      warmUp === 0 ? 0 : 1.8 / warmUp,
      // The cosine's own steepest slope; below 1 the exponent's is at the start.
      2 * Math.PI / 2 * Math.max(kDecay, 1) / (100 - warmUp - cooldown) * (kDecay < 1 ? 1.5 : 1),
    );
    for (let i = 1; i <= 100; i++) {
      assert(Math.abs(values[i] - values[i - 1]) <= slope + 1e-9, `step ${i} of ${warmUp}`);
    }
  }
});

Deno.test("cosine: spans in epochs and shares, ratios beat absolute levels", () => {
  const a = valuesOf(cosineSchedule({ warmUp: { epochs: 1 }, cooldown: { ratio: 0.2 } }), 20, 1, 4);
  const b = valuesOf(cosineSchedule({ warmUp: 4, cooldown: 4 }), 20);
  assertEquals(a, b);
  assertEquals(b[0], 1e-6);
  assertAlmostEquals(b[19], 1e-6, 1e-15);
  const c = valuesOf(cosineSchedule({ warmUp: 4, min: 5, minRatio: 0.1, cooldown: 1 }), 20, 2);
  assertAlmostEquals(c[19], 0.2, 1e-12);
  // PyTorch's own, without any of that.
  const optimizer = sgd(0.3), torch = new optim.CosineAnnealingLR(optimizer, 20);
  const plain = valuesOf(cosineSchedule({ min: 0 }), 20, 0.3);
  for (const value of plain) {
    assertAlmostEquals(value, optimizer.paramGroups[0].lr, 1e-12);
    torch.step();
  }
});

Deno.test("cosine: lengths that do not fit are errors at the call", () => {
  const make = (options: object) => new CosineScheduler(sgd(), { totalSteps: 10, ...options });
  assertThrows(
    () => make({ warmUpSteps: 6, cooldownSteps: 5 }),
    RangeError,
    "Cannot schedule warmUpSteps 6 and cooldownSteps 5: the run has 10 steps",
  );
  assertThrows(() => make({ totalSteps: 0 }), RangeError, "totalSteps 0");
  assertThrows(() => make({ kDecay: 0 }), RangeError, "kDecay 0");
  assertThrows(() => make({ field: "momentum2" }), RangeError, "group 0 of the optimizer has no");
});

Deno.test("polynomial and inverse square root, by hand", () => {
  near(
    valuesOf(polynomialSchedule({ warmUp: 1, cooldown: 1, power: 2, min: 0, warmUpStart: 0 }), 6),
    [0, 1, 9 / 16, 4 / 16, 1 / 16, 0],
  );
  near(
    valuesOf(inverseSqrtSchedule({ warmUp: 4, warmUpStart: 0 }), 10),
    [0, 0.25, 0.5, 0.75, ...[4, 5, 6, 7, 8, 9].map((t) => Math.sqrt(4 / t))],
  );
  near(
    valuesOf(inverseSqrtSchedule({ timescale: 3, cooldown: 2, min: 0 }), 6),
    [...[0, 1, 2, 3, 4].map((t) => Math.sqrt(3 / (3 + t))), Math.sqrt(3 / 7) / 2],
  );
  // Three more timescales halve it.
  assertAlmostEquals(valuesOf(inverseSqrtSchedule({ warmUp: 4 }), 20)[16], 0.5, 1e-12);
});

Deno.test("WSD: warm-up, stable, decay whose last step uses the floor", () => {
  const create = wsdSchedule({ warmUp: 2, warmUpStart: 0, decayRatio: 0.2, minRatio: 0.1 });
  const fall = (r: number) => 0.1 + 0.9 * (1 - Math.sqrt(r));
  near(valuesOf(create, 10), [0, 0.5, 1, 1, 1, 1, 1, 1, fall(1 / 2), 0.1]);
  const shapes = { linear: 0.55, cosine: 0.55, inverse: 1 / (0.5 / 0.1 + 0.5) } as const;
  for (const [decay, middle] of Object.entries(shapes)) {
    const options = { warmUp: 0, decayRatio: 0.2, minRatio: 0.1, decay: decay as "linear" };
    near(valuesOf(wsdSchedule(options), 10), [1, 1, 1, 1, 1, 1, 1, 1, middle, 0.1]);
  }
});

Deno.test("WSD: several checkpoints double, each decay reaches the floor, and moments are told", () => {
  assertEquals(wsdCheckpointSteps(100), [100]);
  assertEquals(wsdCheckpointSteps(100, 2), [50, 100]);
  assertEquals(wsdCheckpointSteps(100, 3), [25, 50, 100]);
  const scheduler = new WsdScheduler(sgd(), {
    totalSteps: 40,
    warmUpSteps: 2,
    numCheckpoints: 3,
    decayRatio: 0.2,
    minRatio: 0.1,
  });
  assertEquals(scheduler.periods, [
    { start: 0, decayStart: 8, end: 10 },
    { start: 10, decayStart: 16, end: 20 },
    { start: 20, decayStart: 32, end: 40 },
  ]);
  const values: number[] = [], moments: [number, string][] = [];
  for (let step = 0; step < 40; step++) {
    values.push(scheduler.values[0]);
    scheduler.step();
    const moment = scheduler.checkpointAt();
    if (moment !== undefined) moments.push([step + 1, moment]);
  }
  for (const end of [10, 20, 40]) assertAlmostEquals(values[end - 1], 0.1, 1e-12);
  for (const stable of [2, 7, 10, 15, 20, 31]) assertEquals(values[stable], 1);
  assertEquals(moments, [
    [8, "preDecay"],
    [10, "postDecay"],
    [16, "preDecay"],
    [20, "postDecay"],
    [32, "preDecay"],
    [40, "postDecay"],
  ]);
  assertEquals(scheduler.phaseAt(1), { phase: "warmUp", period: 0, decayProgress: 0 });
  assertEquals(scheduler.phaseAt(16), { phase: "decay", period: 1, decayProgress: 0.25 });
  assertEquals(scheduler.phaseAt(40).phase, "done");
  assertThrows(
    () => new WsdScheduler(sgd(), { totalSteps: 40, numCheckpoints: 2, decayRatio: 0.6 }),
    RangeError,
    "Cannot schedule a decay of 24 steps before step 40: the warm-up or the period before ends at step 20",
  );
});

Deno.test("one cycle over the run equals PyTorch's, momentum too", () => {
  const optimizer = sgd(0.1, { momentum: 0.9 });
  const values = scheduleValues(oneCycleSchedule({ maxLr: 0.5 }), { steps: 12, optimizer });
  const momenta = scheduleValues(oneCycleSchedule({ maxLr: 0.5 }), {
    steps: 12,
    optimizer,
    field: "momentum",
  });
  const other = sgd(0.1, { momentum: 0.9 });
  const torch = new optim.OneCycleLR(other, 0.5, { totalSteps: 12 });
  for (let i = 0; i < 12; i++) {
    assertAlmostEquals(values[0][i], other.paramGroups[0].lr, 1e-12);
    assertAlmostEquals(momenta[0][i], other.paramGroups[0].get("momentum") as number, 1e-12);
    torch.step();
  }
  assertEquals(optimizer.paramGroups[0].lr, 0.1);
});

class Halving extends StatelessScheduler<{ every: number }> {
  constructor(optimizer: optim.Optimizer, every: number, field = "lr") {
    super(optimizer, { every }, { field });
  }
  override valueAt(step: number, base: number): number {
    return base / 2 ** Math.floor(step / this.fields.every);
  }
}

/** Multiplies by a factor that itself shrinks: it cannot be known from the step alone. */
class Shrinking extends StatefulScheduler<{ factor: number; value: number }> {
  constructor(optimizer: optim.Optimizer) {
    super(optimizer, { factor: 1, value: 1 });
  }
  protected override nextValues(): number {
    this.fields.value *= this.fields.factor;
    this.fields.factor *= 0.9;
    return this.fields.value;
  }
}

for (const capture of [true, false]) {
  Deno.test(`any number of the groups is scheduled, also in ${capture ? "captured" : "plain"} steps`, async () => {
    const train = async (createScheduler: CreateScheduler | undefined, weightDecay: number) => {
      const model = smallModel();
      const optimizer = new optim.SGD(model.parameters(), { lr: 0.1, weightDecay });
      const trainer = smallTrainer({ model, optimizer, capture });
      await trainer.train({
        trainDataset: smallDataset(24),
        numEpochs: 2,
        perDeviceBatchSize: 4,
        createScheduler,
      });
      return { weights: weightsOf(model), optimizer };
    };
    const scheduled = await train((o) => new Halving(o, 3, "weightDecay"), 0.4);
    const { weightDecay } = scheduled.optimizer.paramGroups[0].options as { weightDecay: number };
    assertAlmostEquals(weightDecay, 0.4 / 16, 1e-12);
    // By hand: the same steps with the decay set between them.
    const byHand = await train(
      (o) => {
        let step = 0;
        o.paramGroups[0].schedule("weightDecay");
        return {
          step: () => o.paramGroups[0].set("weightDecay", 0.4 / 2 ** Math.floor(++step / 3)),
        };
      },
      0.4,
    );
    assertEquals(scheduled.weights, byHand.weights);
    const constant = await train(undefined, 0.4);
    assert(scheduled.weights.some((w, i) => w !== constant.weights[i]));
  });
}

Deno.test("a second run starts from where the first has started, not from where it has ended", async () => {
  const trainer = smallTrainer({ lr: 0.2 });
  for (let run = 0; run < 2; run++) {
    const rates: number[] = [];
    await trainer.train({
      trainDataset: smallDataset(16),
      numEpochs: 1,
      perDeviceBatchSize: 4,
      createScheduler: (o, config) => {
        const scheduler = cosineSchedule({ min: 0 })(o, config);
        rates.push(o.paramGroups[0].lr);
        return scheduler;
      },
    });
    assertEquals(rates, [0.2]);
    assertAlmostEquals(trainer.optimizer!.paramGroups[0].lr, 0, 1e-12);
  }
});

Deno.test("state: a scheduler goes on exactly, through JSON, also in the middle of a decay", () => {
  const makers: ((o: optim.Optimizer) => StatelessScheduler | StatefulScheduler<object>)[] = [
    (o) => new CosineScheduler(o, { totalSteps: 20, warmUpSteps: 3 }),
    (o) => new WsdScheduler(o, { totalSteps: 20, warmUpSteps: 2, decayRatio: 0.5 }),
    (o) => new Halving(o, 4),
    (o) => new Shrinking(o),
  ];
  for (const make of makers) {
    const whole = make(sgd(0.7)), expected: number[] = [];
    for (let i = 0; i < 20; i++) {
      expected.push(whole.values[0]);
      whole.step();
    }
    for (const at of [0, 1, 13]) {
      const optimizer = sgd(0.7), first = make(optimizer);
      for (let i = 0; i < at; i++) first.step();
      const state = JSON.parse(JSON.stringify(first.stateDict()));
      const saved = optimizer.stateDict();
      const other = sgd(0.7), resumed = make(other);
      other.loadStateDict(saved);
      resumed.loadStateDict(state);
      for (let i = at; i < 20; i++) {
        assertEquals(resumed.values[0], expected[i], `${resumed.constructor.name} ${at} ${i}`);
        resumed.step();
      }
    }
  }
  assertThrows(() => new Halving(sgd(), 2).loadStateDict({} as never), TypeError, "numUpdates");
  assertThrows(
    () => new Shrinking(sgd()).loadStateDict({ numUpdates: 1, baseValues: [1] }),
    TypeError,
    "it has no factor, value",
  );
});

Deno.test("timm style: updates counted from 1, epochs with and without evaluation", async () => {
  const calls: string[] = [];
  const create = () => {
    const scheduler: TimmScheduler = {
      step: (epoch) => void calls.push(`epoch ${epoch}`),
      stepUpdate: (n) => void calls.push(`update ${n}`),
    };
    return scheduler;
  };
  for (const evalDataset of [undefined, smallDataset(4)]) {
    calls.length = 0;
    await smallTrainer().train({
      trainDataset: smallDataset(10),
      evalDataset,
      numEpochs: 2,
      perDeviceBatchSize: 2,
      gradientAccumulationSteps: 2,
      createScheduler: timmSchedule(create),
    });
    assertEquals(calls, [
      "update 1",
      "update 2",
      "update 3",
      "epoch 1",
      "update 4",
      "update 5",
      "update 6",
      "epoch 2",
    ]);
  }
});

Deno.test("schedules by epochs step at the end of each, and keep their place in a state", () => {
  const create = epochSchedule((o) => new optim.StepLR(o, 2, { gamma: 0.1 }));
  near(valuesOf(create, 10, 1, 2), [1, 1, 1, 1, 0.1, 0.1, 0.1, 0.1, 0.01, 0.01]);
  const config = createRunConfig({
    trainPerDeviceBatchSize: 1,
    numTrainBatchesPerEpoch: 3,
    numEpochs: 3,
  });
  const half = epochSchedule((o) => new optim.ExponentialLR(o, 0.5));
  type Saved = ReturnType<CreateScheduler> & {
    stateDict(): unknown;
    loadStateDict(state: unknown): void;
  };
  const optimizer = sgd(), first = half(optimizer, config) as Saved;
  for (let i = 0; i < 4; i++) first.step();
  const other = sgd(), resumed = half(other, config) as Saved;
  const state = JSON.parse(JSON.stringify(first.stateDict()));
  other.loadStateDict(optimizer.stateDict());
  resumed.loadStateDict(state);
  assertEquals(other.paramGroups[0].lr, 0.5);
  resumed.step();
  assertEquals(other.paramGroups[0].lr, 0.5);
  resumed.step();
  assertEquals(other.paramGroups[0].lr, 0.25);
});

Deno.test("lengths in epochs and schedules by epochs follow a changing accumulation", () => {
  const config = createRunConfig({
    trainPerDeviceBatchSize: 1,
    numTrainBatchesPerEpoch: 4,
    numEpochs: 4,
    accumulationSchedule: { 1: 4, 3: 2 },
  });
  assertEquals(config.maxNumTrainSteps, 6);
  const optimizer = sgd(), byEpochs = epochSchedule((o) => new optim.ExponentialLR(o, 0.5));
  const scheduler = byEpochs(optimizer, config), rates: number[] = [];
  for (let step = 0; step < 6; step++) {
    rates.push(optimizer.paramGroups[0].lr);
    scheduler.step();
  }
  assertEquals(rates, [1, 0.5, 0.25, 0.25, 0.125, 0.125]);
  const other = sgd();
  const cosine = cosineSchedule({ warmUp: { epochs: 2.5 } })(other, config) as CosineScheduler;
  for (let step = 0; step < 3; step++) cosine.step();
  assertEquals(other.paramGroups[0].lr, 1);
});

Deno.test("a picture of a schedule has one curve a group and changes nothing", () => {
  const optimizer = new optim.AdamW([{ params: [zeros([1])], lr: 0.2 }, { params: [zeros([2])] }], {
    lr: 0.1,
  });
  const svg = plotSchedule(cosineSchedule({ warmUp: 5 }), { steps: 50, optimizer }, {
    title: "rates",
  });
  assertEquals([...svg.matchAll(/<polyline/g)].length, 2);
  assert(svg.includes("lr of group 1") && svg.includes("rates"));
  assertEquals(optimizer.paramGroups.map((g) => [g.lr, g.initialLr]), [[0.2, undefined], [
    0.1,
    undefined,
  ]]);
  assertThrows(
    () => plotSchedule(cosineSchedule(), { steps: 5, optimizer, field: "momentum" }),
    RangeError,
    "Cannot plot momentum",
  );
});

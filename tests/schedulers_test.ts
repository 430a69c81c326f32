/** Schedulers beyond the golden runs: closed forms, captured steps, states, own schedulers, errors. */
import { capture, optim, Parameter, stepScope, type Tensor, tensor } from "@pta/core";
import { assert, assertEquals } from "@std/assert";
import { closeNumbers, numbers, throwsExactly } from "./assert.ts";
import { eachDevice, on } from "./devices.ts";

const parameter = (...values: number[]) => new Parameter(tensor(Float32Array.from(values)));
const sgd = (lr = 0.1) => new optim.SGD([parameter(1)], { lr, momentum: 0.9 });
const onRef = (name: string, fn: () => void) => Deno.test(name, () => on("ref", fn));

/** Those that have a closed form, for the same epochs. */
const closed: Record<string, (o: optim.Optimizer) => optim.LRScheduler> = {
  StepLR: (o) => new optim.StepLR(o, 3, { gamma: 0.5 }),
  MultiStepLR: (o) => new optim.MultiStepLR(o, [7, 2, 7]),
  ConstantLR: (o) => new optim.ConstantLR(o, { factor: 0.25, totalIters: 4 }),
  LinearLR: (o) => new optim.LinearLR(o, { startFactor: 0.5, endFactor: 0.1, totalIters: 6 }),
  ExponentialLR: (o) => new optim.ExponentialLR(o, 0.9),
  PolynomialLR: (o) => new optim.PolynomialLR(o, { totalIters: 8, power: 1.5 }),
  CosineAnnealingLR: (o) => new optim.CosineAnnealingLR(o, 6, { etaMin: 0.01 }),
  CosineAnnealingWarmRestarts: (o) => new optim.CosineAnnealingWarmRestarts(o, 3, { tMult: 2 }),
};

onRef("schedulers: steps give what a jump to the same epoch gives", () => {
  for (const [name, make] of Object.entries(closed)) {
    const stepped = make(sgd());
    for (let epoch = 1; epoch <= 14; epoch++) {
      stepped.step();
      const jumped = make(sgd());
      jumped.step(epoch);
      closeNumbers(stepped.getLastLr(), jumped.getLastLr(), { rtol: 1e-9, atol: 1e-15 }, name);
      assertEquals(jumped.lastEpoch, epoch);
    }
  }
});

onRef("schedulers: warm restarts step within an epoch", () => {
  const scheduler = new optim.CosineAnnealingWarmRestarts(sgd(1), 4, { etaMin: 0 });
  const at = (epoch: number) => {
    scheduler.step(epoch);
    return scheduler.getLastLr()[0];
  };
  const wanted = [1, (1 + Math.SQRT1_2) / 2, 0.5, (1 + Math.cos(Math.PI * 0.875)) / 2, 1, 0.5];
  closeNumbers([0, 1, 2, 3.5, 4, 6].map(at), wanted, { rtol: 1e-12 });
});

eachDevice("schedulers: rates and momenta reach captured steps", () => {
  const makers: [
    string,
    (p: Parameter) => optim.Optimizer,
    (o: optim.Optimizer) => optim.LRScheduler,
  ][] = [
    [
      "cosine",
      (p) => new optim.SGD([p], { lr: 0.1, momentum: 0.9 }),
      (o) => new optim.CosineAnnealingLR(o, 10),
    ],
    [
      "one cycle",
      (p) => new optim.SGD([p], { lr: 0.1 }),
      (o) => new optim.OneCycleLR(o, 0.1, { totalSteps: 10 }),
    ],
    [
      "one cycle of betas",
      (p) => new optim.Adam([p], { lr: 0.1 }),
      (o) => new optim.OneCycleLR(o, 0.1, { totalSteps: 10 }),
    ],
    [
      "cyclic",
      (p) => new optim.NAdam([p], { lr: 0.1 }),
      (o) => new optim.CyclicLR(o, 0.01, 0.1, { stepSizeUp: 3, baseMomentum: 0.5 }),
    ],
  ];
  for (const [name, makeOptimizer, makeScheduler] of makers) {
    const run = (captured: boolean) => {
      const p = parameter(1, 2, 3),
        optimizer = makeOptimizer(p),
        scheduler = makeScheduler(optimizer);
      const body = (x: Tensor) => {
        const loss = p.mul(x).square().sum();
        loss.backward();
        optimizer.step();
        optimizer.zeroGrad();
        return loss;
      };
      const step = captured ? capture(body) : body;
      for (let i = 0; i < 8; i++) {
        using _scope = stepScope();
        step(tensor(Float32Array.of(1, 0.5, 0.25 * i)));
        scheduler.step();
      }
      if (captured) assertEquals((step as ReturnType<typeof capture>).replays, 6);
      return numbers(p);
    };
    assertEquals(run(true), run(false), name);
  }
});

onRef("schedulers: a state has PyTorch's keys, is JSON, and belongs to one scheduler", () => {
  const scheduler = new optim.StepLR(sgd(), 3);
  scheduler.step();
  assertEquals(scheduler.stateDict(), {
    step_size: 3,
    gamma: 0.1,
    base_lrs: [0.1],
    last_epoch: 1,
    _step_count: 2,
    _last_lr: [0.1],
  });
  const chain = new optim.ChainedScheduler([scheduler]);
  assertEquals((chain.stateDict()._schedulers as unknown[]).length, 1);
  const plateau = new optim.ReduceLROnPlateau(sgd());
  assertEquals(JSON.parse(JSON.stringify(plateau.stateDict())), plateau.stateDict());
  const lambda = new optim.LambdaLR(sgd(), (epoch) => 1 / (epoch + 1));
  assert(!("lr_lambdas" in lambda.stateDict()));
  throwsExactly(
    () => scheduler.loadStateDict(lambda.stateDict()),
    TypeError,
    "Cannot load the state of StepLR: it has no step_size, gamma",
  );
  throwsExactly(
    () => chain.loadStateDict(scheduler.stateDict()),
    TypeError,
    "Cannot load the state of ChainedScheduler: it has no schedulers, and there are 1 here",
  );
});

class HalvingLR extends optim.LRScheduler<{ every: number }> {
  constructor(optimizer: optim.Optimizer, every: number) {
    super(optimizer, { every });
  }
  override getLr(): number[] {
    return this.baseLrs.map((lr) => lr / 2 ** Math.floor(this.lastEpoch / this.fields.every));
  }
}

onRef("schedulers: one's own is its fields and getLr", () => {
  const optimizer = sgd(0.8), scheduler = new HalvingLR(optimizer, 2), rates = [];
  for (let i = 0; i < 5; i++) {
    rates.push(optimizer.paramGroups[0].lr);
    scheduler.step();
  }
  assertEquals(rates, [0.8, 0.8, 0.4, 0.4, 0.2]);
  const other = new HalvingLR(sgd(), 7);
  other.loadStateDict(scheduler.stateDict());
  assertEquals([other.stateDict().every, other.lastEpoch, other.getLastLr()], [2, 5, [0.2]]);
});

onRef("schedulers: go on after an epoch, from a loaded optimizer", () => {
  const optimizer = sgd(), scheduler = new optim.CosineAnnealingLR(optimizer, 10);
  for (let i = 0; i < 4; i++) scheduler.step();
  const other = sgd();
  other.loadStateDict(optimizer.stateDict());
  assertEquals(other.paramGroups[0].initialLr, 0.1);
  const next = new optim.ExponentialLR(other, 0.5, { lastEpoch: 4 });
  assertEquals([next.baseLrs, next.lastEpoch], [[0.1], 5]);
  throwsExactly(
    () => new optim.StepLR(sgd(), 3, { lastEpoch: 4 }),
    RangeError,
    "Cannot go on after epoch 4: group 0 has no initialLr; load the optimizer's state first",
  );
});

onRef("schedulers: a plateau is the caller's number, and rates stay above the least", () => {
  const optimizer = sgd(),
    scheduler = new optim.ReduceLROnPlateau(optimizer, { patience: 1, minLr: 0.03 });
  const seen = [1, 1, 1, 1, 1, NaN, NaN].map((metric) => {
    scheduler.step(metric);
    return optimizer.paramGroups[0].lr;
  });
  assertEquals(seen, [0.1, 0.1, 0.03, 0.03, 0.03, 0.03, 0.03]);
  throwsExactly(
    () => scheduler.step(),
    TypeError,
    "Cannot step ReduceLROnPlateau with undefined: it takes the metric of the epoch",
  );
});

onRef("schedulers: bad arguments are errors at the call", () => {
  const o = sgd(), plain = new optim.Adagrad([parameter(1)]);
  const cases: [() => unknown, new (m: string) => Error, string][] = [
    [
      () => new optim.StepLR(o, 0),
      RangeError,
      "Cannot schedule with stepSize 0: it must be a whole number above 0",
    ],
    [
      () => new optim.ConstantLR(o, { factor: 2 }),
      RangeError,
      "Cannot schedule with factor 2: it must be from 0 to 1",
    ],
    [
      () => new optim.LinearLR(o, { startFactor: 0 }),
      RangeError,
      "Cannot schedule with startFactor 0: it must be above 0 and at most 1",
    ],
    [
      () => new optim.LinearLR(o, { endFactor: 2 }),
      RangeError,
      "Cannot schedule with endFactor 2: it must be from 0 to 1",
    ],
    [
      () => new optim.CosineAnnealingLR(o, 0),
      RangeError,
      "Cannot schedule with tMax 0: it must be above 0",
    ],
    [
      () => new optim.CosineAnnealingWarmRestarts(o, 1.5),
      RangeError,
      "Cannot schedule with t0 1.5: it must be a whole number above 0",
    ],
    [
      () => new optim.CosineAnnealingWarmRestarts(o, 2, { tMult: 0 }),
      RangeError,
      "Cannot schedule with tMult 0: it must be a whole number above 0",
    ],
    [
      () => new optim.CosineAnnealingWarmRestarts(o, 2).step(-1),
      RangeError,
      "Cannot schedule with epoch -1: it must be at least 0",
    ],
    [
      () => new optim.LambdaLR(o, [() => 1, () => 1]),
      RangeError,
      "Cannot use 2 values of lrLambda: the optimizer has 1 parameter groups",
    ],
    [
      () => new optim.CyclicLR(plain, 0.1, 0.2),
      RangeError,
      "Cannot cycle the momentum of Adagrad: it has neither momentum nor betas; pass cycleMomentum: false",
    ],
    [
      () => new optim.CyclicLR(o, 0.1, 0.2, { stepSizeUp: 0 }),
      RangeError,
      "Cannot schedule with stepSizeUp 0: it must be above 0",
    ],
    [
      () => new optim.OneCycleLR(o, 0.1, {}),
      RangeError,
      "Cannot schedule one cycle without totalSteps, or epochs and stepsPerEpoch",
    ],
    [
      () => new optim.OneCycleLR(o, 0.1, { totalSteps: 3, pctStart: 2 }),
      RangeError,
      "Cannot schedule with pctStart 2: it must be from 0 to 1",
    ],
    [
      () => {
        const s = new optim.OneCycleLR(sgd(), 0.1, { totalSteps: 3 });
        for (let i = 0; i < 5; i++) s.step();
      },
      RangeError,
      "Cannot take step 4 of one cycle: it has 3 steps",
    ],
    [
      () => new optim.ReduceLROnPlateau(o, { factor: 1 }),
      RangeError,
      "Cannot schedule with factor 1: it must be below 1",
    ],
    [
      () => new optim.ReduceLROnPlateau(o, { minLr: [1, 2] }),
      RangeError,
      "Cannot use 2 values of minLr: the optimizer has 1 parameter groups",
    ],
    [
      () => new optim.SWALR(o, 0.1, { annealEpochs: -1 }),
      RangeError,
      "Cannot schedule with annealEpochs -1: it must be a whole number from 0",
    ],
    [
      () => new optim.ChainedScheduler([]),
      TypeError,
      "Cannot make ChainedScheduler of no schedulers",
    ],
    [
      () => new optim.ChainedScheduler([new optim.StepLR(o, 1), new optim.StepLR(sgd(), 1)]),
      TypeError,
      "Cannot put item 1, StepLR, into ChainedScheduler: it belongs to another optimizer",
    ],
    [
      () => new optim.SequentialLR(o, [new optim.ReduceLROnPlateau(o)], []),
      TypeError,
      "Cannot put ReduceLROnPlateau into SequentialLR: item 0 needs a metric",
    ],
    [
      () => new optim.SequentialLR(o, [new optim.StepLR(o, 1)], [3]),
      RangeError,
      "Cannot put 1 schedulers in a row with 1 milestones: it takes 0",
    ],
  ];
  for (const [call, type, message] of cases) throwsExactly(call, type, message);
});

/** Optimizers beyond `optim_test.ts` and the golden runs: Lion, Muon, L-BFGS, scheduled options, states of every layout, plans. */
import { backendOf, capture, optim, Parameter, stepScope, type Tensor, tensor } from "@pta/core";
import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import { closeNumbers, numbers, throwsExactly } from "./assert.ts";
import { eachDevice, on } from "./devices.ts";

const floats = (values: number[], shape: number[] = [values.length]) =>
  tensor(Float32Array.from(values), { shape });
const parameter = (...values: number[]) => new Parameter(floats(values));
const matrix = (rows: number, columns: number, fn: (i: number) => number) =>
  floats(Array.from({ length: rows * columns }, (_, i) => fn(i)), [rows, columns]);
const onRef = (name: string, fn: () => void) => Deno.test(name, () => on("ref", fn));

eachDevice("optim: Lion is algorithm 2 of the paper, in float64", () => {
  const options = { lr: 0.03, betas: [0.8, 0.95], weightDecay: 0.2 } as const;
  for (const maximize of [false, true]) {
    const p = new Parameter(tensor([0.7, -1.2, 0.1, 2], { dtype: "float64" }));
    const optimizer = new optim.Lion([p], { ...options, maximize });
    const theta = [0.7, -1.2, 0.1, 2], m = [0, 0, 0, 0];
    for (let t = 0; t < 30; t++) {
      const gradient = theta.map((_, i) => Math.sin(1.7 * t + 2.3 * i + 0.4));
      p.grad = tensor(gradient, { dtype: "float64" });
      optimizer.step();
      gradient.forEach((raw, i) => {
        const g = maximize ? -raw : raw, [beta1, beta2] = options.betas;
        const update = Math.sign(beta1 * m[i] + (1 - beta1) * g);
        m[i] = beta2 * m[i] + (1 - beta2) * g;
        // The learning rate lies on the device in float32.
        theta[i] -= Math.fround(options.lr) * (update + options.weightDecay * theta[i]);
      });
    }
    closeNumbers(numbers(p), theta, { atol: 1e-12, rtol: 1e-12 });
    closeNumbers(numbers(optimizer.stateDict().state[0].exp_avg), m, { atol: 1e-12, rtol: 1e-12 });
  }
});

eachDevice("optim: Muon steps along a nearly orthogonal matrix, scaled to the shape", () => {
  const factors = { original: Math.sqrt(2), match_rms_adamw: 0.2 * Math.sqrt(8) } as const;
  for (const adjustLrFn of ["original", "match_rms_adamw"] as const) {
    const p = new Parameter(matrix(8, 4, (i) => Math.sin(i)));
    const before = p.detach().clone().realize();
    const optimizer = new optim.Muon([p], { lr: 0.1, weightDecay: 0, adjustLrFn });
    p.grad = matrix(8, 4, (i) => Math.cos(3 * i) + 0.1 * i);
    optimizer.step();
    const step = before.sub(p).div(0.1 * factors[adjustLrFn]), gram = step.t().matmul(step);
    for (let i = 0; i < 4; i++) {
      for (let j = 0; j < 4; j++) {
        const x = gram.select(0, i).select(0, j).item() as number;
        // Five iterations leave singular values between about 0.7 and 1.2.
        assert(i === j ? x > 0.4 && x < 1.6 : Math.abs(x) < 0.5, `${i},${j}: ${x}`);
      }
    }
  }
});

const rosenbrock = (p: Tensor): Tensor => {
  const x = p.select(0, 0), y = p.select(0, 1);
  return x.neg().add(1).square().add(y.sub(x.square()).square().mul(100));
};

eachDevice("optim: L-BFGS with a line search solves Rosenbrock's valley", () => {
  const run = (options: Partial<optim.LBFGSOptions>) => {
    const p = new Parameter(tensor([-1.2, 1], { dtype: "float64" }));
    const optimizer = new optim.LBFGS([p], {
      lineSearchFn: "strong_wolfe",
      maxIter: 60,
      ...options,
    });
    let calls = 0;
    const first = optimizer.step(() => {
      calls++;
      optimizer.zeroGrad();
      const loss = rosenbrock(p);
      loss.backward();
      return loss;
    });
    return { p, optimizer, calls, first };
  };
  const { p, optimizer, calls, first } = run({});
  closeNumbers([first.item() as number], [24.2]);
  // PyTorch 2.13 stops at the same point after as many iterations and evaluations.
  closeNumbers(numbers(p), [0.9999814210791366, 0.9999619651810989], { rtol: 1e-12 });
  const { func_evals, n_iter } = optimizer.stateDict().state[0];
  assertEquals([func_evals.item(), n_iter.item(), calls], [43, 35, 43]);
  closeNumbers(numbers(run({ toleranceChange: 1e-30 }).p), [1, 1], { atol: 1e-8, rtol: 0 });
});

onRef("optim: L-BFGS goes on from its state, forgets the oldest changes, needs a closure", () => {
  const make = (p: Parameter) =>
    new optim.LBFGS([p], { lr: 0.05, maxIter: 3, historySize: 4, toleranceGrad: 0 });
  const run = (p: Parameter, optimizer: optim.LBFGS, steps: number) => {
    for (let i = 0; i < steps; i++) {
      using _scope = stepScope();
      optimizer.step(() => {
        optimizer.zeroGrad();
        const loss = rosenbrock(p);
        loss.backward();
        return loss;
      });
    }
  };
  const p = parameter(-0.5, 0.3), optimizer = make(p);
  run(p, optimizer, 3);
  const q = new Parameter(p.detach().clone()), other = make(q);
  other.loadStateDict(optimizer.stateDict());
  run(p, optimizer, 3);
  run(q, other, 3);
  assertEquals(numbers(q), numbers(p));
  const state = optimizer.stateDict().state[0];
  assertEquals(state.old_dirs.shape, [4, 2]);
  // Three iterations would take a fourth evaluation, and 3 * 5 / 4 is less.
  assertEquals([state.n_iter.item(), other.stateDict().state[0].n_iter.item()], [12, 12]);
  // deno-lint-ignore no-explicit-any -- what a caller without types might do
  const untyped = optimizer as any;
  throwsExactly(
    () => untyped.step(),
    TypeError,
    "Cannot step LBFGS without a closure that returns the loss",
  );
  throwsExactly(
    () => make(parameter(1, 2, 3)).loadStateDict(optimizer.stateDict()),
    TypeError,
    "Cannot load the state: d is [2], and the parameters have 3 elements",
  );
});

eachDevice("optim: memory does not grow from step to step", (device) => {
  const makers: ((params: Parameter[]) => optim.Optimizer)[] = [
    (params) => new optim.LBFGS(params, { lr: 0.01, maxIter: 3, historySize: 3, toleranceGrad: 0 }),
    (params) =>
      new optim.LBFGS(params, { lineSearchFn: "strong_wolfe", maxIter: 2, historySize: 2 }),
    (params) => new optim.Adafactor(params),
    (params) => new optim.Muon(params),
    (params) => new optim.NAdam(params),
  ];
  for (const make of makers) {
    const p = new Parameter(matrix(40, 30, (i) => 2 + Math.sin(i))), optimizer = make([p]);
    const bytes = Array.from({ length: 8 }, () => {
      using _scope = stepScope();
      optimizer.step(() => {
        optimizer.zeroGrad();
        const loss = p.square().square().sum();
        loss.backward();
        return loss;
      });
      return backendOf(device).stats.bytesAlive;
    });
    assertEquals(bytes.slice(5), bytes.slice(4, 7), `${optimizer.name}: ${bytes}`);
  }
});

onRef("optim: a closure's loss comes back from any optimizer", () => {
  const p = parameter(2), optimizer = new optim.SGD([p], { lr: 0.25 });
  const loss = optimizer.step(() => {
    const loss = p.square().sum();
    loss.backward();
    return loss;
  });
  assertEquals(loss?.item(), 4);
  assertEquals(p.item(), 1);
  assertStrictEquals(optimizer.step(), undefined);
});

onRef("optim: states of other shapes and scalars go through a dictionary", () => {
  const make = (p: Parameter) => [
    new optim.Adafactor([p], { lr: 0.1 }),
    new optim.ASGD([p], { lr: 0.1, t0: 1 }),
    new optim.NAdam([p], { lr: 0.1 }),
    new optim.Muon([p], { lr: 0.1 }),
    new optim.Rprop([p], { lr: 0.1 }),
  ];
  const start = matrix(3, 4, (i) => Math.sin(i));
  make(new Parameter(start)).forEach((_, which) => {
    const run = (p: Parameter, optimizer: optim.Optimizer, from: number, to: number) => {
      for (let t = from; t < to; t++) {
        p.grad = matrix(3, 4, (i) => Math.cos(i * 2 + t));
        optimizer.step();
      }
    };
    const p = new Parameter(start.clone()), optimizer = make(p)[which];
    run(p, optimizer, 0, 4);
    const q = new Parameter(p.detach().clone()), other = make(q)[which];
    other.loadStateDict(optimizer.stateDict());
    run(p, optimizer, 4, 7);
    run(q, other, 4, 7);
    assertEquals(numbers(q), numbers(p), optimizer.name);
  });
  const p = new Parameter(start.clone()), adafactor = make(p)[0];
  p.grad = start;
  adafactor.step();
  const { state } = adafactor.stateDict();
  assertEquals([state[0].row_var.shape, state[0].col_var.shape], [[3, 1], [1, 4]]);
  throwsExactly(
    () =>
      adafactor.loadStateDict({
        ...adafactor.stateDict(),
        state: { 0: { ...state[0], row_var: start } },
      }),
    TypeError,
    "Cannot load the state: row_var of parameter 0 is [3, 4], and it must be [3, 1]",
  );
});

eachDevice("optim: options that are scheduled reach captured steps", () => {
  const cases: [string, (p: Parameter) => optim.Optimizer, (t: number) => number | number[]][] = [
    ["momentum", (p) => new optim.SGD([p], { lr: 0.1 }), (t) => 0.1 * t],
    ["momentum", (p) => new optim.RMSprop([p], { lr: 0.1 }), (t) => 0.1 * t],
    ["betas", (p) => new optim.Adam([p], { lr: 0.1 }), (t) => [0.5 + 0.05 * t, 0.99]],
    ["weightDecay", (p) => new optim.Lion([p], { lr: 0.1 }), (t) => 0.1 * t],
    ["weightDecay", (p) => new optim.AdamW([p], { lr: 0.1 }), (t) => 0.1 * t],
    ["weightDecay", (p) => new optim.SGD([p], { lr: 0.1 }), (t) => 0.1 * t],
  ];
  for (const [option, make, value] of cases) {
    const run = (captured: boolean, change: (t: number) => number | number[]) => {
      const p = parameter(1, 2, 3), optimizer = make(p), [group] = optimizer.paramGroups;
      group.schedule(option);
      const body = (x: Tensor) => {
        const loss = p.mul(x).square().sum();
        loss.backward();
        optimizer.step();
        optimizer.zeroGrad();
        return loss;
      };
      const step = captured ? capture(body) : body;
      for (let t = 0; t < 6; t++) {
        using _scope = stepScope();
        group.set(option, change(t));
        step(floats([1, 1, 0.5 + t]));
      }
      if (captured) assertEquals((step as ReturnType<typeof capture>).replays, 4);
      return numbers(p);
    };
    const what = `${make(parameter(1)).name} ${option}`, found = run(true, value);
    assertEquals(found, run(false, value), what);
    assert(found[0] !== run(false, () => value(0))[0], `${what} has no effect`);
  }
});

onRef("optim: a scheduled option computes what a plain one does", () => {
  const run = (isScheduled: boolean) => {
    const p = parameter(1, -2, 0.5);
    const optimizer = new optim.Adam([p], { lr: 0.1, betas: [0.8, 0.95], weightDecay: 0.1 });
    if (isScheduled) {
      for (const name of ["betas", "weightDecay", "eps"]) optimizer.paramGroups[0].schedule(name);
    }
    for (let t = 0; t < 5; t++) {
      p.grad = floats([1, 0.2 * t, -1]);
      optimizer.step();
    }
    return numbers(p);
  };
  closeNumbers(run(true), run(false), { rtol: 1e-6, atol: 1e-6 });
  const [group] = new optim.Adam([parameter(1)]).paramGroups;
  assertEquals([group.get("lr"), group.get("betas"), group.get("amsgrad")], [
    1e-3,
    [0.9, 0.999],
    undefined,
  ]);
  throwsExactly(
    () => group.schedule("momentum"),
    RangeError,
    "Cannot schedule momentum: it is none of the group's numbers lr, betas, eps, weightDecay",
  );
  throwsExactly(
    () => group.set("betas", 0.5),
    RangeError,
    "Cannot set betas to 0.5: it takes 2 numbers",
  );
});

eachDevice("optim: two optimizers that start from different constants do not share them", () => {
  const found = [0, 0.5].map((initialAccumulatorValue) => {
    const p = parameter(1, 2);
    const optimizer = new optim.Adagrad([p], { lr: 0.1, initialAccumulatorValue });
    p.grad = floats([0.5, 1]);
    optimizer.step();
    return numbers(optimizer.stateDict().state[0].sum);
  });
  closeNumbers(found.flat(), [0.25, 1, 0.75, 1.5]);
});

onRef("optim: bad options of every optimizer are errors at the call", () => {
  const p = parameter(1), m = new Parameter(matrix(2, 2, (i) => i));
  const pair = "two numbers from 0 up to but not including 1";
  // deno-lint-ignore no-explicit-any -- what a caller without types might pass
  const untyped = (x: unknown) => x as any;
  const cases: [() => unknown, new (m: string) => Error, string][] = [
    [
      () => new optim.NAdam([p], { momentumDecay: -1 }),
      RangeError,
      "NAdam with momentumDecay -1: it must be at least 0",
    ],
    [
      () => new optim.RAdam([p], { betas: [1, 0.9] }),
      RangeError,
      `RAdam with betas 1,0.9: it must be ${pair}`,
    ],
    [
      () => new optim.Adamax([p], { betas: [0.9, 1] }),
      RangeError,
      `Adamax with betas 0.9,1: it must be ${pair}`,
    ],
    [
      () => new optim.Lion([p], { betas: [0.9, -1] }),
      RangeError,
      `Lion with betas 0.9,-1: it must be ${pair}`,
    ],
    [
      () => new optim.Adagrad([p], { lrDecay: -1 }),
      RangeError,
      "Adagrad with lrDecay -1: it must be at least 0",
    ],
    [
      () => new optim.Adadelta([p], { rho: 1.5 }),
      RangeError,
      "Adadelta with rho 1.5: it must be from 0 to 1",
    ],
    [
      () => new optim.RMSprop([p], { alpha: -0.1 }),
      RangeError,
      "RMSprop with alpha -0.1: it must be at least 0",
    ],
    [() => new optim.ASGD([p], { lr: -1 }), RangeError, "ASGD with lr -1: it must be at least 0"],
    [
      () => new optim.Rprop([p], { etas: [1.1, 1.2] }),
      RangeError,
      "Rprop with etas 1.1,1.2: it must be one number between 0 and 1 and one above 1",
    ],
    [
      () => new optim.Adafactor([p], { d: 0.5 }),
      RangeError,
      "Adafactor with d 0.5: it must be at least 1",
    ],
    [
      () => new optim.Adafactor([p], { beta2Decay: 1 }),
      RangeError,
      "Adafactor with beta2Decay 1: it must be at most 0",
    ],
    [
      () => new optim.Adafactor([p], { eps: [-1, 1] }),
      RangeError,
      "Adafactor with eps -1,1: it must be two numbers that are at least 0, or null and one",
    ],
    [
      () => new optim.Muon([m], { nsSteps: 100 }),
      RangeError,
      "Muon with nsSteps 100: it must be a whole number from 0 to 99",
    ],
    [
      () => new optim.Muon([m], { adjustLrFn: untyped("best") }),
      RangeError,
      "Muon with adjustLrFn best: it must be original, match_rms_adamw or null",
    ],
    [
      () => new optim.LBFGS([p], { maxIter: 0 }),
      RangeError,
      "LBFGS with maxIter 0: it must be a whole number above 0",
    ],
    [
      () => new optim.LBFGS([p], { lineSearchFn: untyped("armijo") }),
      RangeError,
      "LBFGS with lineSearchFn armijo: it must be strong_wolfe or null",
    ],
  ];
  for (const [call, type, message] of cases) throwsExactly(call, type, `Cannot make ${message}`);
  throwsExactly(
    () => new optim.Muon([m, p]),
    TypeError,
    "Cannot optimize item 1, [1], with Muon: it must be a matrix",
  );
  throwsExactly(
    () => new optim.LBFGS([{ params: [p] }, { params: [m] }]),
    RangeError,
    "Cannot add a second parameter group to LBFGS: it takes one",
  );
});

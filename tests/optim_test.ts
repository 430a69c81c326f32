/** Optimizers beyond their formulas (`golden_parts_test.ts`): kernels, groups, state, learning rates in captured steps, clipping. */
import {
  capture,
  counters,
  nn,
  optim,
  Parameter,
  realize,
  stepScope,
  type Tensor,
  tensor,
} from "@pta/core";
import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import { closeNumbers, numbers, throwsExactly } from "./assert.ts";
import { eachDevice, on, onRef } from "./devices.ts";
import { floats } from "./tensors.ts";

const parameter = (...values: number[]) => new Parameter(floats(values));

const makers: Record<string, (params: optim.Params<optim.OptimizerOptions>) => optim.Optimizer> = {
  "SGD": (params) => new optim.SGD(params, { lr: 0.1 }),
  "SGD momentum": (params) => new optim.SGD(params, { lr: 0.1, momentum: 0.9, nesterov: true }),
  "Adam": (params) => new optim.Adam(params, { lr: 0.1 }),
  "Adam amsgrad": (params) => new optim.Adam(params, { lr: 0.1, amsgrad: true }),
  "AdamW": (params) => new optim.AdamW(params, { lr: 0.1 }),
  "NAdam": (params) => new optim.NAdam(params, { lr: 0.1 }),
  "NAdam decoupled": (params) =>
    new optim.NAdam(params, { lr: 0.1, weightDecay: 1e-3, decoupledWeightDecay: true }),
  "RAdam": (params) => new optim.RAdam(params, { lr: 0.1 }),
  "Adamax": (params) => new optim.Adamax(params, { lr: 0.1 }),
  "Adagrad": (params) => new optim.Adagrad(params, { lr: 1 }),
  "Adadelta": (params) => new optim.Adadelta(params, { lr: 20 }),
  "RMSprop": (params) => new optim.RMSprop(params, { lr: 0.05 }),
  "RMSprop centered": (params) =>
    new optim.RMSprop(params, { lr: 0.02, centered: true, momentum: 0.2 }),
  "Lion": (params) => new optim.Lion(params, { lr: 0.03, betas: [0.5, 0.5] }),
  "ASGD": (params) => new optim.ASGD(params, { lr: 0.1, t0: 3 }),
  "Rprop": (params) => new optim.Rprop(params, { lr: 0.1 }),
  "Adafactor": (params) => new optim.Adafactor(params, { lr: 0.1 }),
};

for (const [name, make] of Object.entries(makers)) {
  eachDevice(`optim: ${name} descends a quadratic bowl`, () => {
    const p = parameter(3, -2, 1), goal = floats([1, 2, 3]), optimizer = make([p]);
    for (let i = 0; i < 200; i++) {
      p.sub(goal).square().sum().backward();
      optimizer.step();
      optimizer.zeroGrad();
    }
    // Adam's last steps are as long as its learning rate allows.
    closeNumbers(numbers(p), [1, 2, 3], { atol: 0.05 });
  });
}

Deno.test("optim: a step is one kernel for each parameter, and Adam's scalars", () =>
  on("ref", () => {
    // Adafactor needs the sizes of parameters and updates, and the matrices their row and column means.
    const wanted: Record<string, number> = {
      "SGD": 3,
      "SGD momentum": 3,
      "Lion": 3,
      "Adafactor": 10,
    };
    for (const [name, make] of Object.entries(makers)) {
      const params = [[4, 3], [5], [2, 2]].map((shape) =>
        new Parameter(tensor(new Float32Array(shape.reduce((a, b) => a * b)).fill(1), { shape }))
      );
      const optimizer = make(params);
      const step = () => {
        for (const p of params) {
          p.grad = tensor(new Float32Array(p.numel).fill(0.5), { shape: p.shape });
        }
        const before = counters.kernels, plans = counters.plansRun;
        optimizer.step();
        return [counters.kernels - before, counters.plansRun - plans];
      };
      step();
      assertEquals(step(), [wanted[name] ?? 4, 1], name);
      // Later steps run the plan that is there.
      const plans = counters.plansMade;
      step();
      assertEquals(counters.plansMade, plans, name);
    }
  }, { fuse: true }));

eachDevice("optim: captured steps see the learning rate, the step count and the state", () => {
  for (const name of Object.keys(makers)) {
    const run = (captured: boolean) => {
      const p = parameter(1, 2, 3), optimizer = makers[name]([p]);
      const body = (x: Tensor) => {
        const loss = p.mul(x).square().sum();
        loss.backward();
        optimizer.step();
        optimizer.zeroGrad();
        return loss;
      };
      const step = captured ? capture(body) : body;
      const losses: number[] = [];
      for (let i = 0; i < 8; i++) {
        using _scope = stepScope();
        optimizer.paramGroups[0].lr = 0.1 / (i + 1);
        losses.push(step(floats([1, 1, 0.5 + i])).item());
      }
      if (captured) assertEquals((step as ReturnType<typeof capture>).replays, 6);
      return { losses, p: numbers(p) };
    };
    assertEquals(run(true), run(false), name);
  }
});

onRef("optim: groups have options of their own", () => {
  const [a, b] = [parameter(1), parameter(1)];
  const optimizer = new optim.SGD([{ params: [a] }, { params: [b], lr: 0.5 }], { lr: 0.1 });
  optimizer.addParamGroup({ params: [parameter(7)], lr: 0, momentum: 0.9 });
  assertEquals(optimizer.paramGroups.map((g) => [g.lr, g.options.momentum]), [[0.1, 0], [0.5, 0], [
    0,
    0.9,
  ]]);
  for (const p of [a, b]) p.grad = floats([1]);
  optimizer.step();
  closeNumbers([a.item(), b.item()], [0.9, 0.5]);
  optimizer.paramGroups[0].lr = 0.4;
  assertEquals(optimizer.paramGroups[0].lr, 0.4);
  optimizer.zeroGrad();
  assertStrictEquals(a.grad, undefined);
  a.grad = floats([1]);
  optimizer.step();
  closeNumbers([a.item(), b.item()], [0.5, 0.5], {}, "b has no gradient and stays");
  assertEquals(
    String(new optim.SGD([parameter(1)], { lr: 0.1 })),
    "SGD(\n  group 0: 1 parameters, lr=0.1, momentum=0, dampening=0, weightDecay=0, nesterov=false, maximize=false\n)",
  );
});

onRef("optim: Adam counts the steps of each parameter apart when they part", () => {
  const together = [parameter(1), parameter(1)], alone = parameter(1);
  const both = new optim.Adam(together, { lr: 0.1 }), single = new optim.Adam([alone], { lr: 0.1 });
  const give = (p: Parameter, g: number) => p.grad = floats([g]);
  for (let t = 0; t < 6; t++) {
    both.zeroGrad();
    single.zeroGrad();
    give(together[0], 1);
    // The second parameter has gradients at steps 0, 1, 4 and 5 only.
    if (t < 2 || t > 3) {
      give(together[1], t + 1);
      give(alone, t + 1);
      single.step();
    }
    both.step();
  }
  closeNumbers(numbers(together[1]), numbers(alone), { rtol: 1e-6 });
  const { state } = both.stateDict();
  assertEquals([state[0].step.item(), state[1].step.item()], [6, 4]);
});

onRef("optim: the state has PyTorch's layout, and a loaded optimizer goes on alike", () => {
  for (const [name, make] of Object.entries(makers)) {
    const gradient = (p: Tensor, t: number) => p.detach().mul(0.3).add(t);
    const run = (p: Parameter, optimizer: optim.Optimizer, from: number, to: number) => {
      for (let t = from; t < to; t++) {
        p.grad = gradient(p, t).realize();
        optimizer.step();
        optimizer.zeroGrad();
      }
    };
    const p = parameter(1, 2), optimizer = make([p]);
    run(p, optimizer, 0, 3);
    optimizer.paramGroups[0].lr = 0.05;
    const q = new Parameter(p.detach().clone()), other = make([q]);
    other.loadStateDict(optimizer.stateDict());
    assertEquals(other.paramGroups[0].lr, 0.05);
    run(p, optimizer, 3, 6);
    run(q, other, 3, 6);
    assertEquals(numbers(q), numbers(p), name);
  }
  const p = parameter(1), adam = new optim.Adam([p], { amsgrad: true });
  p.grad = floats([1]);
  adam.step();
  const { state, param_groups } = adam.stateDict();
  assertEquals(Object.keys(state[0]).sort(), ["exp_avg", "exp_avg_sq", "max_exp_avg_sq", "step"]);
  assertEquals(param_groups, [{
    lr: 0.001,
    betas: [0.9, 0.999],
    eps: 1e-8,
    weight_decay: 0,
    amsgrad: true,
    maximize: false,
    params: [0],
  }]);
});

onRef("optim: a state that does not fit is refused", () => {
  const make = () =>
    new optim.SGD([{ params: [parameter(1, 2)] }, { params: [parameter(1)] }], { momentum: 0.9 });
  const good = make().stateDict(), [first, second] = good.param_groups;
  const buffer = { momentum_buffer: floats([1, 2, 3]) };
  const cases: [optim.OptimizerStateDict, new (m: string) => Error, string][] = [
    [
      { state: {}, param_groups: [first] },
      RangeError,
      "Cannot load the state: it has 1 parameter groups, and SGD has 2",
    ],
    [
      { state: {}, param_groups: [{ ...first, params: [0, 2] }, second] },
      RangeError,
      "Cannot load the state: group 0 has 2 parameters, and 1 here",
    ],
    [
      { ...good, state: { 5: buffer } },
      RangeError,
      "Cannot load the state: it names parameter 5, which no group has",
    ],
    [
      { ...good, state: { 0: buffer } },
      TypeError,
      "Cannot load the state: momentum_buffer of parameter 0 is [3], the parameter [2]",
    ],
    [
      { ...good, param_groups: [{ ...first, lr: -1 }, second] },
      RangeError,
      "Cannot make SGD with lr -1: it must be at least 0",
    ],
  ];
  for (const [state, type, message] of cases) {
    throwsExactly(() => make().loadStateDict(state), type, message);
  }
});

onRef("optim: bad arguments are errors at the call", () => {
  const p = parameter(1), wide = [0.9, 1] as const;
  const computed = p.mul(2), whole = tensor(Int32Array.of(1));
  const optimizer = new optim.SGD([p]);
  // deno-lint-ignore no-explicit-any -- what a caller without types might pass
  const untyped = (x: unknown) => x as any;
  const cases: [() => unknown, new (m: string) => Error, string][] = [
    [() => new optim.SGD([]), TypeError, "Cannot make SGD of an empty parameter list"],
    [
      () => new optim.SGD([p], { lr: -0.1 }),
      RangeError,
      "Cannot make SGD with lr -0.1: it must be at least 0",
    ],
    [
      () => new optim.SGD([p], { lr: NaN }),
      RangeError,
      "Cannot make SGD with lr NaN: it must be at least 0",
    ],
    [
      () => new optim.SGD([p], { momentum: -1 }),
      RangeError,
      "Cannot make SGD with momentum -1: it must be at least 0",
    ],
    [
      () => new optim.SGD([p], { nesterov: true }),
      RangeError,
      "Cannot use nesterov with momentum 0 and dampening 0: it needs a momentum and no dampening",
    ],
    [
      () => new optim.Adam([p], { betas: wide }),
      RangeError,
      "Cannot make Adam with betas 0.9,1: it must be two numbers from 0 up to but not including 1",
    ],
    [
      () => new optim.AdamW([p], { eps: -1 }),
      RangeError,
      "Cannot make AdamW with eps -1: it must be at least 0",
    ],
    [
      () => new optim.SGD([{ params: [p], weightDecay: -1 }]),
      RangeError,
      "Cannot make SGD with weightDecay -1: it must be at least 0",
    ],
    [
      () => new optim.SGD([p, p]),
      TypeError,
      "Cannot optimize item 1, [1], twice: it is in the optimizer",
    ],
    [
      () => optimizer.addParamGroup({ params: [p] }),
      TypeError,
      "Cannot optimize item 0, [1], twice: it is in the optimizer",
    ],
    [
      () => new optim.SGD([computed]),
      TypeError,
      "Cannot optimize item 0, [1]: it is computed from others, not a float leaf",
    ],
    [
      () => new optim.SGD([whole]),
      TypeError,
      "Cannot optimize item 0, [1]: it is int32, not a float leaf",
    ],
    [
      () => new optim.SGD([{ params: untyped([3]) }]),
      TypeError,
      "Cannot optimize item 0: it is number, not a tensor",
    ],
    [
      () => new optim.SGD(untyped([{ lr: 3 }])),
      TypeError,
      "Cannot add a parameter group without params to SGD",
    ],
    [
      () => optimizer.paramGroups[0].lr = -2,
      RangeError,
      "Cannot set the learning rate to -2: it must be at least 0",
    ],
    [
      () => optim.clipGradNorm_([p], -1),
      RangeError,
      "Cannot clip gradients to the norm -1: it must be at least 0",
    ],
    [
      () => optim.clipGradValue_([p], NaN),
      RangeError,
      "Cannot clip gradients to ±NaN: it must be at least 0",
    ],
    [
      () => optim.getTotalNorm([p], 0),
      RangeError,
      "Cannot take the norm of order 0: it must be above 0",
    ],
  ];
  for (const [call, type, message] of cases) throwsExactly(call, type, message);
});

eachDevice("clip: norms of all orders, and what is small stays", () => {
  const make = () => {
    const params = [parameter(0, 0), parameter(0), parameter(0)];
    params[0].grad = floats([3, 0]);
    params[1].grad = floats([-4]);
    return params;
  };
  const grads = (params: Parameter[]) => params.slice(0, 2).flatMap((p) => numbers(p.grad!));
  const params = make();
  closeNumbers([optim.clipGradNorm_(params, 1).item()], [5]);
  closeNumbers(grads(params), [0.6, 0, -0.8]);
  assertStrictEquals(params[2].grad, undefined);
  const small = make();
  closeNumbers([optim.clipGradNorm_(small, 10).item()], [5]);
  assertEquals(grads(small), [3, 0, -4]);
  closeNumbers(
    [optim.getTotalNorm(make(), Infinity).item(), optim.getTotalNorm(make(), 1).item()],
    [4, 7],
  );
  closeNumbers([optim.getTotalNorm(make(), 3).item()], [Math.cbrt(27 + 64)]);
  const clamped = make();
  optim.clipGradValue_(clamped, 2);
  assertEquals(grads(clamped), [2, 0, -2]);
  assertEquals(optim.clipGradNorm_([parameter(1)], 1).item(), 0);
  const infinite = make();
  infinite[1].grad = floats([Infinity]);
  throwsExactly(
    () => optim.clipGradNorm_(infinite, 1, { errorIfNonfinite: true }),
    RangeError,
    "Cannot clip gradients by their norm: it is Infinity",
  );
});

eachDevice("optim: float64 and bfloat16 parameters keep their dtype", () => {
  for (const dtype of ["float64", "float16", "bfloat16"] as const) {
    for (const make of Object.values(makers)) {
      const p = new Parameter(floats([1, 2]).to(dtype)), optimizer = make([p]);
      p.grad = floats([0.5, -0.5]).to(dtype).realize();
      optimizer.step();
      assertEquals(p.dtype, dtype);
      const [a, b] = numbers(p);
      // Adagrad's first step has the length of its learning rate, 1.
      assert(a < 1 && a > -0.01 && b > 1.9 && b < 3.01, `${dtype} ${optimizer.name}: ${[a, b]}`);
    }
  }
});

eachDevice("clip: norms of every order clip as PyTorch 2.13 does", () => {
  const cases: [order: number, norm: number, clipped: number[]][] = [
    [0.5, 22.392305374145508, [0.1339745819568634, 0.04465819522738457, -0.17863278090953827]],
    [1, 8, [0.3749999403953552, 0.1249999850988388, -0.4999999403953552]],
    [2, 5.099019527435303, [0.5883483290672302, 0.196116104722023, -0.784464418888092]],
    [3, 4.514357566833496, [0.6645462512969971, 0.22151541709899902, -0.8860616683959961]],
    [Infinity, 4, [0.7499998211860657, 0.24999994039535522, -0.9999997615814209]],
  ];
  for (const [normType, norm, clipped] of cases) {
    const params = [parameter(0, 0), parameter(0)];
    params[0].grad = floats([3, 1]);
    params[1].grad = floats([-4]);
    const total = optim.clipGradNorm_(params, 1, { normType, errorIfNonfinite: true });
    closeNumbers([total.item()], [norm], { rtol: 1e-6 });
    closeNumbers(params.flatMap((p) => numbers(p.grad!)), clipped, { rtol: 1e-6 });
  }
  const wide = new Parameter(tensor([0, 0], { dtype: "float64" }));
  wide.grad = tensor([3e200, 4e200], { dtype: "float64" });
  const total = optim.clipGradNorm_([wide], 1, { normType: Infinity });
  assertEquals([total.dtype, total.item()], ["float64", 4e200]);
});

onRef("optim: the gradient can be read after the step", () => {
  const model = new nn.Linear(2, 1), optimizer = new optim.SGD(model.parameters(), { lr: 0.1 });
  const loss = model.forward(floats([1, 2], [1, 2])).sum();
  loss.backward();
  optimizer.step();
  assertEquals(numbers(model.weight.grad!), [1, 2]);
  assert(Number.isFinite(loss.item()));
  realize(model.weight);
});

eachDevice("clip: the norm can be read after the optimizer's step", () => {
  const params = [parameter(3, 0), parameter(-4)];
  const optimizer = new optim.SGD(params, { lr: 0.1 });
  params[0].square().sum().add(params[1].square().sum()).div(2).backward();
  const norm = optim.clipGradNorm_(params, 1);
  optimizer.step();
  closeNumbers([norm.item()], [5]);
  closeNumbers(numbers(params[0]), [2.94, 0]);
});

/** Parameters and optimizer state in bfloat16: stochastic rounding, float32 arithmetic, states, skipped steps. */
import "@pta/core/backend";
import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { amp, capture, full, manualSeed, nn, optim, randn, type Tensor, tensor } from "@pta/core";

const { stochasticBfloat16 } = optim;

Deno.test("stochastic rounding: only neighbours, with the mean at the exact value", () => {
  manualSeed(4);
  for (const x of [1.001, 1, -1.001, 1.9999, 0.99999, -3.1415926, 1e-20, -65535.5, 0, 255.7]) {
    const many = stochasticBfloat16(full([20000], x));
    assertEquals(many.dtype, "bfloat16");
    const values = Array.from(many.to("float32").data() as Float32Array);
    const distinct = [...new Set(values)].sort((a, b) => a - b), exact = Math.fround(x);
    assert(distinct.length <= 2, `${x}: ${distinct}`);
    if (distinct.length === 1) {
      // Exact, or so near that chance has not met the other one.
      assert(Math.abs(distinct[0] - exact) <= 2 ** -16 * Math.abs(exact), `${x}: ${distinct}`);
      continue;
    }
    assert(distinct[0] <= exact && exact <= distinct[1], `${x}: ${distinct}`);
    const gap = distinct[1] - distinct[0];
    const near = full([1], distinct[0]).to("bfloat16").toArray();
    assertEquals(near, [distinct[0]]);
    assert(gap <= 2 ** -7 * Math.abs(exact), `${x}: ${distinct} are no neighbours`);
    const mean = values.reduce((a, b) => a + b) / values.length;
    assertAlmostEquals(mean, exact, 4 * gap / Math.sqrt(values.length));
  }
});

Deno.test("stochastic rounding: updates that the nearest would lose add up", () => {
  const run = (stochasticRounding: boolean): number => {
    manualSeed(1);
    const model = new nn.Linear(64, 16, { bias: false, dtype: "bfloat16" });
    model.weight.fill_(1).realize();
    const optimizer = new optim.SGD([model.weight], { lr: 1e-3 });
    if (stochasticRounding) optimizer.setStorage({ stochasticRounding });
    for (let i = 0; i < 200; i++) {
      model.weight.sum().backward();
      optimizer.step();
      optimizer.zeroGrad();
    }
    assertEquals(model.weight.dtype, "bfloat16");
    return model.weight.float().mean().item();
  };
  assertEquals(run(false), 1);
  assertAlmostEquals(run(true), 0.8, 0.01);
});

function train(
  setup: (o: optim.Optimizer) => void,
  dtype: "float32" | "bfloat16",
  captured = false,
): { loss: number; optimizer: optim.Optimizer } {
  manualSeed(7);
  const model = new nn.Sequential(
    new nn.Linear(8, 32, { dtype }),
    new nn.ReLU(),
    new nn.Linear(32, 1, { dtype }),
  );
  const optimizer = new optim.AdamW(model.parameters(), { lr: 3e-3 });
  setup(optimizer);
  const x = randn([64, 8]), y = x.sum(1, true).sin().realize();
  const body = (x: Tensor, y: Tensor): Tensor => {
    const loss = nn.functional.mseLoss(model.forward(x.to(dtype)).float(), y);
    loss.backward();
    optimizer.step();
    optimizer.zeroGrad();
    return loss;
  };
  const step = captured ? capture(body) : body;
  let loss = NaN;
  for (let i = 0; i < 150; i++) loss = step(x, y).item();
  return { loss, optimizer };
}

Deno.test("low storage: bfloat16 state and parameters train nearly as well as float32", () => {
  const exact = train(() => {}, "float32").loss;
  const state = train((o) => o.setStorage({ stateDtype: "bfloat16" }), "float32");
  for (const s of state.optimizer.state.values()) {
    assertEquals([s.expAvg.dtype, s.expAvgSq.dtype, s.step.dtype], [
      "bfloat16",
      "bfloat16",
      "float32",
    ]);
  }
  assertAlmostEquals(state.loss, exact, 0.2 * exact);
  const both = { stateDtype: "bfloat16", stochasticRounding: true } as const;
  const all = train((o) => o.setStorage(both), "bfloat16");
  assert(all.loss < 3 * exact + 0.02, `${all.loss} against ${exact}`);
  const replayed = train((o) => o.setStorage(both), "bfloat16", true);
  assertEquals(replayed.loss, all.loss);
});

Deno.test("low storage: float32 state beside bfloat16 parameters", () => {
  const { optimizer } = train((o) => o.setStorage({ stateDtype: "float32" }), "bfloat16");
  for (const s of optimizer.state.values()) assertEquals(s.expAvg.dtype, "float32");
});

Deno.test("low storage: states are saved and loaded in their own dtype; skipped steps change nothing", () => {
  const { optimizer } = train((o) => o.setStorage({ stateDtype: "bfloat16" }), "float32");
  const params = optimizer.paramGroups[0].params;
  const other = new optim.AdamW(params).setStorage({ stateDtype: "bfloat16" });
  other.loadStateDict(optimizer.stateDict());
  const read = (o: optim.Optimizer) => [
    ...params.map((p) => p.float().toArray()),
    ...[...o.state.values()].flatMap((s) => Object.values(s).map((t) => t.float().toArray())),
  ];
  assertEquals(read(other), read(optimizer));
  const scaler = new amp.GradScaler();
  const before = read(other);
  scaler.scale(params[0].sum().mul(tensor(Infinity))).backward();
  scaler.step(other);
  scaler.update();
  assertEquals(read(other), before);
  assertThrows(() => other.setStorage({}), RangeError, "has a state already");
  assertThrows(() => new optim.SGD(params).setStorage({ stateDtype: "int32" }), TypeError, "int32");
});

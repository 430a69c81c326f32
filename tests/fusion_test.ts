/** What the schedule promises: how many kernels run, that their number changes no value, and that equal forms share plans and kernels. */
import { assert, assertEquals, assertNotEquals } from "@std/assert";
import {
  backendOf,
  clearPlans,
  counters,
  grad,
  nn,
  optim,
  randint,
  randn,
  realize,
  type Tensor,
  tensor,
} from "@pta/core";
import type { NullBackend } from "@pta/core/backend";
import { closeNumbers, numbers } from "./assert.ts";
import { eachDevice, on } from "./devices.ts";

const F = nn.functional;

/** Data that is in memory already. */
const data = (...shape: number[]) => randn(shape).realize();

/** Names of what runs on the null device to compute the tensors of `fn`; its `setup` is not counted. */
function trace<S>(setup: () => S, fn: (s: S) => readonly Tensor[], fuse = true): string[] {
  return on("null", () => {
    const device = backendOf("null") as NullBackend, s = setup();
    device.trace.length = 0;
    realize(...fn(s));
    return [...device.trace];
  }, { fuse });
}

const one: Readonly<Record<string, (x: Tensor) => Tensor>> = {
  softmax: (x) => x.softmax(-1),
  "log-softmax": (x) => x.logSoftmax(-1),
  "layer norm": (x) => F.layerNorm(x, [64]),
  gelu: (x) => x.gelu(),
  "gelu by tanh": (x) => x.gelu({ approximate: "tanh" }),
  variance: (x) => x.var(-1),
  logsumexp: (x) => x.logsumexp(-1),
  "a chain of views": (x) => x.mT.mul(2).flip(0).add(1).mT.relu(),
  "rows scaled by their norm": (x) => x.div(x.norm(2, -1, true)),
};

for (const [name, fn] of Object.entries(one)) {
  Deno.test(`${name} runs as 1 kernel`, () => {
    assertEquals(trace(() => data(8, 64), (x) => [fn(x)]).length, 1);
    assertEquals(trace(() => data(4, 8, 64), (x) => [fn(x)]).length, 1);
  });
}

Deno.test("softmax, gelu and a squared loss run as 1 kernel together with their gradients", () => {
  const setup = () => ({ x: data(8, 64).requiresGrad_(), up: data(8, 64) });
  for (const fn of [(x: Tensor) => x.softmax(-1), (x: Tensor) => x.gelu()]) {
    const names = trace(setup, ({ x, up }) => {
      const y = fn(x);
      return [y, ...grad(y.mul(up).sum(), [x])];
    });
    assertEquals(names.length, 1);
  }
  assertEquals(
    trace(setup, ({ x, up }) => {
      const loss = F.mseLoss(x, up);
      return [loss, ...grad(loss, [x])];
    }).length,
    1,
  );
});

Deno.test("a layer norm with its gradients runs as 3 kernels: rows, and sums over rows for weight and bias", () => {
  const names = trace(
    () => ({
      x: data(8, 64).requiresGrad_(),
      w: data(64).requiresGrad_(),
      b: data(64).requiresGrad_(),
      up: data(8, 64),
    }),
    ({ x, w, b, up }) => {
      const y = F.layerNorm(x, [64], { weight: w, bias: b });
      return [y, ...grad(y.mul(up).sum(), [x, w, b])];
    },
  );
  assertEquals(names.length, 3);
});

Deno.test("cross entropy with its gradient runs as 1 kernel, beside the count of targets and the mean", () => {
  const names = trace(
    () => ({
      x: data(8, 10).requiresGrad_(),
      t: randint(0, 10, [8], { dtype: "int32" }).realize(),
    }),
    ({ x, t }) => {
      const loss = F.crossEntropy(x, t);
      return [loss, ...grad(loss, [x])];
    },
  );
  assertEquals(names.length, 3);
});

Deno.test("bias and ReLU after a product run as 1 kernel", () => {
  const setup = () => ({ x: data(8, 64), w: data(32, 64), b: data(32) });
  const names = trace(setup, ({ x, w, b }) => [F.linear(x, w, b).relu()]);
  assertEquals(names.length, 2);
  assertEquals(names[0], "matmul");
});

/** Kernels of an optimizer's third step, gradients computed before. */
function stepTrace(
  make: (params: readonly Tensor[]) => { step(): void; zeroGrad(): void },
): string[] {
  return on("null", () => {
    const device = backendOf("null") as NullBackend;
    const model = new nn.Sequential(new nn.Linear(16, 32), new nn.ReLU(), new nn.Linear(32, 4));
    const optimizer = make(model.parameters()), x = data(8, 16);
    for (let i = 0; i < 3; i++) {
      optimizer.zeroGrad();
      const loss = model.forward(x).square().mean();
      loss.backward();
      realize(loss);
      device.trace.length = 0;
      optimizer.step();
    }
    return [...device.trace];
  });
}

Deno.test("an optimizer's step runs as 1 kernel a parameter; Adam's scalars are 1 more", () => {
  assertEquals(
    stepTrace((p) => new optim.SGD([...p], { lr: 0.1, momentum: 0.9, weightDecay: 0.1 })).length,
    4,
  );
  assertEquals(stepTrace((p) => new optim.Adam([...p], { lr: 0.1 })).length, 5);
  assertEquals(stepTrace((p) => new optim.AdamW([...p], { lr: 0.1 })).length, 5);
});

Deno.test("an update by hand of parameter and both moments runs as 1 kernel", () => {
  const names = trace(() => [data(5, 7), data(5, 7), data(5, 7), data(5, 7)], ([p, g, m, v]) => {
    const mean = m.mul(0.9).add(g.mul(0.1)), square = v.mul(0.999).add(g.mul(g).mul(0.001));
    p.assign(p.mul(0.99).sub(mean.div(square.sqrt().add(1e-8)).mul(0.01)));
    m.assign(mean);
    v.assign(square);
    return [p, m, v];
  });
  assertEquals(names.length, 1);
});

Deno.test("without fusion every operation is a kernel", () => {
  const fused = trace(() => data(8, 64), (x) => [x.softmax(-1).add(1)]);
  const unfused = trace(() => data(8, 64), (x) => [x.softmax(-1).add(1)], false);
  assertEquals([fused.length, unfused.length], [1, 6]);
});

eachDevice("fusion changes no value", (device) => {
  const run = (fuse: boolean) =>
    on(device, () => {
      const x = tensor(Float32Array.from({ length: 60 }, (_, i) => Math.sin(i)), { shape: [5, 12] })
        .requiresGrad_();
      const y = F.layerNorm(x, [12]).gelu().softmax(-1).mul(x).logSoftmax(0);
      return [y, ...grad(y.square().sum(), [x])].map(numbers);
    }, { fuse });
  const unfused = run(false);
  run(true).forEach((v, i) => closeNumbers(v, unfused[i], { atol: 1e-5, rtol: 1e-5 }));
});

Deno.test("PTA_FUSE=0 turns fusion off", async () => {
  const code = 'import { settings } from "@pta/core"; console.log(settings.fuse);';
  const run = async (env: Record<string, string>) => {
    const command = new Deno.Command(Deno.execPath(), {
      args: ["eval", "--no-check", code],
      env,
      cwd: new URL("..", import.meta.url),
    });
    return new TextDecoder().decode((await command.output()).stdout).trim();
  };
  assertEquals(await Promise.all([run({ PTA_FUSE: "0" }), run({ PTA_FUSE: "1" })]), [
    "false",
    "true",
  ]);
});

Deno.test("the second run of a form makes no plan, and another batch size no kernel", () =>
  on("null", () => {
    clearPlans();
    const { stats } = backendOf("null");
    const run = (batch: number) => {
      const x = data(batch, 16), before = [counters.plansMade, stats.compiled];
      realize(x.softmax(-1).mul(2), x.relu());
      return [counters.plansMade - before[0], stats.compiled - before[1]];
    };
    const [plans, kernels] = run(8);
    assertEquals(plans, 1);
    assert(kernels >= 1);
    assertEquals(run(8), [0, 0]);
    assertEquals(run(12), [1, 0]);
  }));

Deno.test("kernels of different meaning have different keys", () =>
  on("null", () => {
    clearPlans();
    const { stats } = backendOf("null"), x = data(8, 16), y = data(8, 16);
    const compiled = (...outs: Tensor[]) => {
      const before = stats.compiled;
      realize(...outs);
      return stats.compiled - before;
    };
    assertEquals(compiled(x.add(y)), 1);
    assertEquals(compiled(y.add(x)), 0);
    assertEquals(compiled(x.sub(y)), 1);
    assertEquals(compiled(x.add(1)), 1);
    assertEquals(compiled(x.add(2)), 1);
    assertEquals(compiled(x.mT.add(1)), 1);
    assertEquals(compiled(x.slice(0, 1).add(1)), 1);
    const wide = x.to("float64").realize();
    assertEquals(compiled(wide.add(1)), 1);
    assertEquals(compiled(x.sum(0)), 1);
    assertEquals(compiled(x.sum(1)), 1);
    assertEquals(compiled(x.amax(1)), 1);
  }));

Deno.test("results that share work are computed in one plan", () => {
  const names = trace(() => data(8, 64), (x) => {
    const e = x.exp();
    return [e.sum(-1), e.amax(-1), e.mul(2)];
  });
  assertEquals(names.length, 1);
  assertNotEquals(names[0], "");
});

Deno.test("in a training step cross entropy and its gradient walk the logits once", () => {
  on("null", () => {
    clearPlans();
    const device = backendOf("null") as NullBackend, compile = device.compile;
    const rows: string[] = [];
    device.compile = function (kernel) {
      if (`${kernel.reduce}` === "10") rows.push(kernel.name);
      return compile.call(this, kernel);
    };
    try {
      const model = new nn.Sequential(new nn.Linear(8, 16), new nn.ReLU(), new nn.Linear(16, 10));
      const optimizer = new optim.SGD(model.parameters(), { lr: 0.1, momentum: 0.9 });
      const classes = randint(0, 10, [32], { dtype: "int32" }).realize(), x = data(32, 8);
      for (let step = 0; step < 2; step++) {
        rows.length = 0;
        clearPlans();
        optimizer.zeroGrad();
        F.crossEntropy(model.forward(x) as Tensor, classes).backward();
        optimizer.step();
        assertEquals(rows.length, 1, `kernels over the classes: ${rows}`);
      }
    } finally {
      device.compile = compile;
    }
  });
});

Deno.test("what reads the norm of a large tensor is a kernel of its own: one row has one thread", () => {
  const scaled = (x: Tensor) => [x.div(x.square().sum().sqrt())];
  assertEquals(trace(() => data(4096), scaled).length, 1);
  assertEquals(trace(() => data(256, 256), scaled).length, 2);
});

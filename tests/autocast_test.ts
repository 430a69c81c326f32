/** Regions of low precision: nesting, cache, gradients, own policies, model outputs. The choice for each operation is in precision_test.ts. */
import "@pta/core/backend";
import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  amp,
  autocast,
  autocastPolicy,
  capture,
  manualSeed,
  nn,
  noGrad,
  ones,
  optim,
  randn,
} from "@pta/core";
import type { Tensor } from "@pta/core";
import { counters, realize } from "@pta/core";

Deno.test("autocast: regions nest, end and can be turned off inside", () => {
  const x = ones([2, 2]);
  const dtype = () => x.matmul(x).dtype;
  assertEquals(dtype(), "float32");
  {
    using _outer = autocast({ dtype: "float16" });
    assertEquals(dtype(), "float16");
    assertEquals(autocast({ dtype: "bfloat16" }, dtype), "bfloat16");
    assertEquals(autocast({ enabled: false }, dtype), "float32");
    assertEquals(amp.autocastDtype(), "float16");
  }
  assertEquals([dtype(), amp.isAutocastEnabled()], ["float32", false]);
  assertThrows(() => autocast({}, () => Promise.resolve(1)), TypeError, "async");
  assertThrows(() => autocast({ dtype: "float32" as never }), TypeError, "float16 or bfloat16");
  assertThrows(
    () =>
      autocast({}, () => {
        throw new RangeError("mine");
      }),
    RangeError,
    "mine",
  );
  assertEquals(dtype(), "float32");
});

Deno.test("autocast: a region that is ended before an inner one says so", () => {
  const outer = autocast({}), inner = autocast({ dtype: "float16" });
  assertThrows(() => outer[Symbol.dispose](), Error, "has not ended");
  inner[Symbol.dispose]();
  outer[Symbol.dispose]();
  assert(!amp.isAutocastEnabled());
});

Deno.test("autocast: composites are decided on as a whole", () => {
  const h = ones([4, 4], { dtype: "bfloat16" });
  using _ = autocast({});
  // silu and sigmoid have an exponential inside, softmax is float32 as a unit.
  assertEquals(
    [h.silu(), h.sigmoid(), h.tanh(), h.gelu(), nn.functional.mish(h)].map((t) => t.dtype),
    [
      "bfloat16",
      "bfloat16",
      "bfloat16",
      "bfloat16",
      "bfloat16",
    ],
  );
  assertEquals([h.softmax(-1), h.exp(), h.sum(), h.norm()].map((t) => t.dtype), [
    "float32",
    "float32",
    "float32",
    "float32",
  ]);
  assertEquals(h.mean().dtype, "bfloat16");
  const d = ones([4, 4], { dtype: "float64" });
  assertEquals([d.matmul(d).dtype, d.exp().dtype], ["float64", "float64"]);
});

Deno.test("autocast: a parameter is cast once in the outermost region, and its gradient is float32", () => {
  const linear = new nn.Linear(4, 4, { bias: false }), x = randn([2, 4]);
  const casts = (cacheEnabled: boolean) => {
    let y: Tensor | undefined;
    autocast({ cacheEnabled }, () => {
      y = autocast({ cacheEnabled }, () => linear.forward(x)).add(linear.forward(x));
    });
    const seen = new Set<unknown>();
    const visit = (node: Tensor["node"]): number => {
      if (seen.has(node)) return 0;
      seen.add(node);
      const own = node.kind === "op" && node.arg.op === "cast" &&
        node.src[0].leaf === linear.weight;
      return (own ? 1 : 0) + node.src.reduce((n, s) => n + visit(s), 0);
    };
    return visit(y!.node);
  };
  assertEquals([casts(true), casts(false)], [1, 2]);

  const loss = autocast({}, () => linear.forward(x)).to("float32").sum();
  loss.backward();
  assertEquals(linear.weight.grad!.dtype, "float32");
  assert(linear.weight.grad!.toArray());
});

Deno.test("autocast: a cached cast follows changes of the parameter and the gradient mode", () => {
  const linear = new nn.Linear(2, 2, { bias: false }), x = ones([1, 2]);
  using _ = autocast({});
  const before = noGrad(() => linear.forward(x)).realize();
  assert(!before.requiresGrad);
  assert(linear.forward(x).requiresGrad);
  noGrad(() => linear.weight.fill_(3));
  assertEquals(linear.forward(x).toArray(), [[6, 6]]);
});

Deno.test("autocast: training in bfloat16, captured and not, gives the same float32 parameters", () => {
  const run = (captured: boolean): number[] => {
    manualSeed(3);
    const model = new nn.Sequential(new nn.Linear(8, 16), new nn.GELU(), new nn.Linear(16, 4));
    const optimizer = new optim.AdamW(model.parameters(), { lr: 0.01 });
    const x = randn([16, 8]), t = randn([16, 4]).realize();
    const step = (x: Tensor, t: Tensor) => {
      const loss = autocast({}, () => nn.functional.mseLoss(model.forward(x), t));
      loss.backward();
      realize(loss);
      optimizer.step();
      optimizer.zeroGrad();
      return loss;
    };
    const body = captured ? capture(step) : step;
    const losses = Array.from({ length: 6 }, () => body(x, t).item());
    assert(model.parameters().every((p) => p.dtype === "float32"));
    assert(losses[5] < losses[0]);
    return losses;
  };
  assertEquals(run(true), run(false));
  assert(counters.kernels > 0);
});

Deno.test("autocast: functions with a policy of their own", () => {
  const inside: string[] = [];
  const f = autocastPolicy("float32", (xs: readonly Tensor[], options: { scale: Tensor }) => {
    inside.push(xs[0].dtype, options.scale.dtype, xs[0].matmul(xs[0]).dtype);
    return xs[0];
  });
  const h = ones([2, 2], { dtype: "float16" });
  assertEquals(f([h], { scale: h }).dtype, "float16");
  assertEquals(autocast({ dtype: "float16" }, () => f([h], { scale: h })).dtype, "float32");
  assertEquals(inside, ["float16", "float16", "float16", "float32", "float32", "float32"]);
  const low = autocastPolicy("low", (x: Tensor) => x),
    same = autocastPolicy("input", (x: Tensor) => {
      assertEquals(x.dtype, "float32");
      return x.mul(2);
    });
  using _ = autocast({ dtype: "float16" });
  assertEquals([low(ones([1])).dtype, same(h).dtype], ["float16", "float16"]);
});

Deno.test("autocast: batch norm keeps its float32 statistics and the type of its input", () => {
  const norm = new nn.BatchNorm2d(3), x = randn([4, 3, 5, 5]).to("bfloat16");
  const y = autocast({}, () => norm.forward(x)).realize();
  assertEquals([y.dtype, norm.running_mean!.dtype], ["bfloat16", "float32"]);
  assert(norm.running_mean!.toArray()!.toString() !== "0,0,0");
});

Deno.test("autocast: recurrent networks run in the low type", () => {
  const lstm = new nn.LSTM(3, 5), x = randn([4, 2, 3]);
  const [y, [h, c]] = autocast({}, () => lstm.forward(x));
  assertEquals([y.dtype, h.dtype, c.dtype], ["bfloat16", "bfloat16", "bfloat16"]);
  y.to("float32").sum().backward();
  assertEquals(
    lstm.parameters().map((p) => p.grad?.dtype),
    lstm.parameters().map(() => "float32" as const),
  );
});

Deno.test("autocastForward: outputs are float32 unless asked otherwise, and it can be taken back", () => {
  const model = new nn.Linear(2, 2), x = ones([1, 2]);
  const first = amp.autocastForward(model, { dtype: "float16" });
  const exact = model.forward(x);
  assertEquals(exact.dtype, "float32");
  first.remove();
  const kept = amp.autocastForward(model, { dtype: "float16", outputsFloat32: false });
  assertEquals(model.forward(x).dtype, "float16");
  kept.remove();
  assertEquals(model.forward(x).dtype, "float32");
  assertEquals(
    exact.toArray(),
    autocast({ dtype: "float16" }, () => model.forward(x)).float().toArray(),
  );
});

Deno.test("autocast: regions end with an error, other types nest, and own policies see the region they are called in", () => {
  const x = ones([2, 2]), types: string[] = [];
  const look = (name: string) => types.push(`${name} ${x.matmul(x).dtype} ${x.half().exp().dtype}`);
  const low = autocastPolicy("low", (a: Tensor) => {
    // Decided already: what is inside sees no region, unless it opens one.
    look("inside");
    autocast({ dtype: "float16" }, () => look("reopened"));
    return a;
  });
  assertThrows(
    () =>
      autocast({ dtype: "bfloat16" }, () => {
        types.push(low(x).dtype);
        autocast({ enabled: false }, () => {
          look("off");
          types.push(autocast({ dtype: "float16" }, () => low(x).dtype));
        });
        look("on");
        throw new Error("enough");
      }),
    Error,
    "enough",
  );
  assertEquals(amp.isAutocastEnabled(), false);
  assertEquals(types, [
    "inside float32 float16",
    "reopened float16 float32",
    "bfloat16",
    "off float32 float16",
    "inside float32 float16",
    "reopened float16 float32",
    "float16",
    "on bfloat16 float32",
  ]);
});

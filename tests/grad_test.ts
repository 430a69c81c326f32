/** Gradients: accumulation, modes, second derivatives and the form of the graph. */
import { assertEquals, assertThrows } from "@std/assert";
import {
  backendOf,
  enableGrad,
  grad,
  gradcheck,
  isGradEnabled,
  noGrad,
  Parameter,
  randn,
  realize,
  type Tensor,
  tensor,
  where,
  zeros,
} from "@pta/core";
import type { NullBackend } from "@pta/core/backend";
import { numbers } from "./assert.ts";
import { eachDevice, on } from "./devices.ts";

const leaf = (...x: number[]) => tensor(x, { requiresGrad: true });
const double = (x: number[], shape = [x.length]) =>
  tensor(Float64Array.from(x), { shape, device: "ref", requiresGrad: true });

eachDevice("backward adds to grad", () => {
  const x = leaf(1, 2, 3);
  x.mul(x).sum().backward();
  assertEquals(numbers(x.grad!), [2, 4, 6]);
  x.mul(10).sum().backward();
  assertEquals(numbers(x.grad!), [12, 14, 16]);
  x.grad = undefined;
  x.sum().backward();
  assertEquals(numbers(x.grad!), [1, 1, 1]);
  const before = x.grad!;
  x.sum().backward();
  assertEquals(numbers(before), [1, 1, 1]);
  assertEquals(numbers(x.grad!), [2, 2, 2]);
});

eachDevice("micro-batches add up without reading anything in between", () => {
  const w = new Parameter(tensor([1, -1]));
  for (let i = 0; i < 3; i++) w.mul(i).sum().backward();
  assertEquals(numbers(w.grad!), [3, 3]);
});

eachDevice("a gradient of a tensor that is no scalar", () => {
  const x = leaf(1, 2);
  x.mul(3).backward(tensor([1, 10]));
  assertEquals(numbers(x.grad!), [3, 30]);
  assertThrows(() => x.mul(3).backward(), TypeError, "only a scalar needs none");
});

eachDevice("shared subgraphs are walked once and add up", () => {
  const x = leaf(2);
  let y: Tensor = x;
  // 2^40 paths: walking each would never end.
  for (let i = 0; i < 40; i++) y = y.add(y).mul(0.5);
  y.sum().backward();
  assertEquals(numbers(x.grad!), [1]);
  const z = x.mul(x);
  assertEquals(numbers(grad(z.mul(z).sum(), [x])[0]), [32]);
});

eachDevice("modes nest and end", () => {
  const x = leaf(1, 2);
  const inner = noGrad(() => {
    assertEquals(isGradEnabled(), false);
    const y = x.mul(2);
    const z = enableGrad(() => x.mul(3));
    assertEquals([y.requiresGrad, z.requiresGrad], [false, true]);
    return y;
  });
  assertEquals(isGradEnabled(), true);
  assertEquals(inner.isLeaf, true);
  assertThrows(() =>
    noGrad(() => {
      throw new RangeError("inside");
    }), RangeError);
  assertEquals(isGradEnabled(), true);
  assertThrows(() => noGrad(async () => await Promise.resolve(1)), TypeError, "async");
  assertEquals(isGradEnabled(), true);
});

eachDevice("detach cuts the graph", () => {
  const x = leaf(3);
  const y = x.mul(x), z = y.detach().mul(x);
  assertEquals(z.detach().requiresGrad, false);
  assertEquals(numbers(grad(z.sum(), [x])[0]), [9]);
  assertEquals(numbers(x.detach()), [3]);
});

eachDevice("leaves", () => {
  const x = leaf(1, 2), y = x.mul(2);
  assertEquals([x.isLeaf, y.isLeaf, x.requiresGrad, y.requiresGrad], [true, false, true, true]);
  assertThrows(() => y.requiresGrad = false, Error, "computed tensor");
  assertThrows(() => tensor([1], { dtype: "int32" }).requiresGrad = true, TypeError, "only floats");
  const view = tensor([[1, 2], [3, 4]]).t();
  view.requiresGrad = true;
  view.mul(tensor([[1, 10], [100, 1000]])).sum().backward();
  assertEquals(view.grad!.toArray(), [[1, 10], [100, 1000]]);
  assertEquals(y.grad, undefined);
});

eachDevice("grad returns zeros where there is no influence and leaves grad alone", () => {
  const x = leaf(1), y = leaf(2);
  const [gx, gy] = grad(x.mul(3).sum(), [x, y]);
  assertEquals([numbers(gx), numbers(gy)], [[3], [0]]);
  assertEquals(x.grad, undefined);
  const inner = x.mul(2);
  assertEquals(numbers(grad(inner.mul(inner).sum(), [inner])[0]), [4]);
});

eachDevice("several outputs, each with its gradient", () => {
  const x = leaf(1, 2);
  const [g] = grad([x.mul(2), x.mul(x)], [x], { gradOutputs: [tensor([1, 1]), tensor([10, 100])] });
  assertEquals(numbers(g), [22, 402]);
});

eachDevice("backward twice through one graph", () => {
  const x = leaf(1, 2), loss = x.mul(x).sum();
  loss.backward();
  loss.backward();
  assertEquals(numbers(x.grad!), [4, 8]);
});

eachDevice("gradients are right after the values were read, and after a step in place", () => {
  const w = new Parameter(tensor([1, 2]));
  for (let step = 0; step < 3; step++) {
    w.grad = undefined;
    const loss = w.mul(w).sum();
    if (step === 1) loss.item();
    loss.backward();
    w.assign(noGrad(() => w.sub(w.grad!.mul(0.25))));
    realize(w);
    assertEquals(numbers(w), [1 / 2 ** (step + 1), 2 / 2 ** (step + 1)]);
    assertEquals(loss.item(), 5 / 4 ** step);
  }
});

eachDevice("kinks have PyTorch's slopes", () => {
  const slope = (f: (x: Tensor) => Tensor, ...x: number[]) => {
    const t = leaf(...x);
    return numbers(grad(f(t).sum(), [t])[0]);
  };
  assertEquals(slope((x) => x.relu(), -1, 0, 1), [0, 0, 1]);
  assertEquals(slope((x) => x.abs(), -1, 0, 1), [-1, 0, 1]);
  assertEquals(slope((x) => x.maximum(0), -1, 0, 1), [0, 0.5, 1]);
  assertEquals(slope((x) => x.clamp({ min: 0, max: 1 }), -1, 0, 0.5, 1, 2), [0, 1, 1, 1, 0]);
  assertEquals(slope((x) => x.amax(), 2, 5, 5, 1), [0, 0.5, 0.5, 0]);
  assertEquals(slope((x) => x.pow(tensor([0, 2, 3])), 0, 0, 2), [0, 0, 12]);
  assertEquals(slope((x) => x.prod(), 0, 3, 4), [12, 0, 0]);
  assertEquals(slope((x) => x.prod(), 0, 0, 4), [0, 0, 0]);
});

Deno.test("second derivatives agree with finite differences of first ones", () => {
  const functions: Record<string, (x: Tensor) => Tensor> = {
    cube: (x) => x.mul(x).mul(x),
    "tanh and exp": (x) => x.tanh().mul(x.exp()),
    log: (x) => x.abs().add(1).log(),
    sigmoid: (x) => x.sigmoid(),
    gelu: (x) => x.gelu(),
    "gelu by tanh": (x) => x.gelu({ approximate: "tanh" }),
    softmax: (x) => x.softmax(1),
    logSoftmax: (x) => x.logSoftmax(1),
    logsumexp: (x) => x.logsumexp(0),
    div: (x) => x.div(x.mul(x).add(1)),
    sqrt: (x) => x.mul(x).add(1).sqrt(),
    pow: (x) => x.mul(x).add(1).pow(1.5),
    var: (x) => x.var(1),
    norm: (x) => x.norm(2, 1),
    matmul: (x) => x.matmul(x.mT).tanh(),
    "sliced and padded": (x) => x.slice(1, 0, 3, 2).pad([1, 0]).mul(x.slice(0, 0, 2)).square(),
    gather: (x) =>
      x.indexSelect(1, tensor(Int32Array.of(2, 0, 2), { device: "ref" })).square().sin(),
    prod: (x) => x.add(3).prod(1),
    erf: (x) => x.erf(),
    sin: (x) => x.sin().mul(x.cos()),
    where: (x) => where(x.gt(0), x.square().mul(x), x.square()),
  };
  on("ref", () => {
    for (const [name, f] of Object.entries(functions)) {
      const x = double([0.3, -0.8, 1.1, 0.6, -1.3, 0.2], [2, 3]);
      const first = (x: Tensor) => {
        // The probe of a finite difference is a leaf of its own.
        const at = x.requiresGrad ? x : x.requiresGrad_();
        return grad(f(at).sin().sum(), [at], { createGraph: true })[0];
      };
      try {
        gradcheck(first, [x], { atol: 1e-5, rtol: 1e-4 });
      } catch (error) {
        throw new Error(`${name}: ${(error as Error).message}`);
      }
    }
  });
});

eachDevice("a penalty on gradients trains", () => {
  const x = leaf(1, 2);
  const [g] = grad(x.pow(3).sum(), [x], { createGraph: true });
  g.mul(g).sum().backward();
  // d/dx (3 x^2)^2 = 36 x^3
  assertEquals(numbers(x.grad!), [36, 288]);
});

Deno.test("gradients of slices of one tensor become one assembly", () =>
  on("null", () => {
    const x = randn([6, 4]).realize().requiresGrad_();
    const [q, k, v] = x.chunk(3, 0);
    const [g] = grad(q.mul(2).add(k.mul(v)).sum(), [x]);
    assertEquals(g.node.kind, "assemble");
    assertEquals(g.node.src.length, 3);
    const overlapping = grad(x.narrow(0, 0, 3).mul(2).sum().add(x.narrow(0, 2, 3).sum()), [x])[0];
    assertEquals(overlapping.node.kind, "op");
  }));

Deno.test("a forward value that the backward pass needs is computed once", () =>
  on("null", () => {
    const device = backendOf("null") as NullBackend;
    const x = randn([8, 8]).realize().requiresGrad_(), w = randn([8, 8]).realize().requiresGrad_();
    device.trace.length = 0;
    x.matmul(w).tanh().sum().backward();
    realize(x.grad!, w.grad!);
    assertEquals(device.trace.filter((n) => n === "matmul").length, 3);
    assertEquals(device.trace.filter((n) => n.includes("tanh")).length, 1);
  }));

Deno.test("gradcheck finds a wrong gradient", () =>
  on("ref", () => {
    const x = double([0.5, 1.5]);
    const wrong = (x: Tensor) => x.mul(x).detach().withGradient([x], (g) => [g.mul(x)]);
    assertThrows(
      () => gradcheck(wrong, [x]),
      Error,
      "Gradient of input 0 is wrong at element 0: got",
    );
    assertThrows(() => gradcheck((x) => x, [tensor([1], { device: "ref" })]), TypeError, "float64");
  }));

eachDevice("an empty tensor has an empty gradient", () => {
  const x = zeros([0, 3], { requiresGrad: true }), y = leaf(1, 2);
  const [gx, gy] = grad(x.mul(2).sum().add(y.mul(3).sum()), [x, y]);
  assertEquals([gx.shape, gy.toArray()], [[0, 3], [3, 3]]);
});

/** Attention as a routine with several results, on devices that have it as plain loops, against products and a softmax. */
import "@pta/core/backend";
import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  backendOf,
  capture,
  counters,
  type DType,
  grad,
  nn,
  noGrad,
  optim,
  Parameter,
  realize,
  type Tensor,
  tensor,
} from "@pta/core";
import type { Backend } from "../core/device.ts";
import { fusedAttention } from "../core/nn/functional/fused_attention.ts";
import { closeNumbers, numbers } from "./assert.ts";
import { on } from "./devices.ts";
import { Dice } from "./graph_fuzz.ts";

const F = nn.functional;

interface Case {
  readonly heads: number;
  readonly keyHeads: number;
  readonly queries: number;
  readonly keys: number;
  readonly size: number;
  readonly valueSize: number;
  readonly causal: boolean;
}
const base: Case = {
  heads: 4,
  keyHeads: 4,
  queries: 7,
  keys: 7,
  size: 8,
  valueSize: 8,
  causal: true,
};
const cases: Readonly<Record<string, Case>> = {
  causal: base,
  "causal, more keys": { ...base, keys: 11 },
  "causal, more queries": { ...base, queries: 13 },
  "all positions": { ...base, causal: false, keys: 5, valueSize: 16 },
  "shared keys": { ...base, keyHeads: 2 },
  "one key for all": { ...base, keyHeads: 1, causal: false, queries: 1 },
  "odd sizes": { ...base, size: 3, valueSize: 5 },
};

const filled = (dice: Dice, shape: readonly number[], dtype: DType, device: string): Tensor =>
  tensor(
    Float64Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => 2 * dice.next() - 1),
    { shape, device },
  ).to(dtype);

/** What query, key and value are made of: the query is a slice of something larger, heads beside each other. */
function leavesOf(c: Case, dtype: DType, device: string): Tensor[] {
  const dice = new Dice(3), { heads, keyHeads, queries, keys, size, valueSize } = c;
  return [
    filled(dice, [2, queries, 3, heads, size], dtype, device),
    filled(dice, [2, keyHeads, keys, size], dtype, device),
    filled(dice, [2, keyHeads, keys, valueSize], dtype, device),
  ].map((x) => x.requiresGrad_());
}

type Three = [Tensor, Tensor, Tensor];
const inputsOf = ([wide, key, value]: readonly Tensor[]): Three => [
  wide.select(2, 1).transpose(1, 2),
  key,
  value,
];

const plainOf = (c: Case) => (q: Tensor, k: Tensor, v: Tensor): Tensor =>
  F.scaledDotProductAttention(q, k, v, { isCausal: c.causal, enableGqa: true });
const fusedOf = (c: Case) => (q: Tensor, k: Tensor, v: Tensor): Tensor =>
  fusedAttention(q, k, v, { causal: c.causal, scale: 1 / Math.sqrt(c.size) }, plainOf(c));

/** Some number of a result, whose gradient differs from element to element. */
function lossOf(y: Tensor): Tensor {
  return y.mul(3).sin().mul(y).sum();
}

const limits: { readonly [D in DType]?: number } = { float32: 1e-5, float64: 1e-12 };
const alike = (got: Tensor, want: Tensor, what: string): void => {
  assertEquals(got.shape, want.shape);
  const limit = limits[got.dtype]!;
  closeNumbers(numbers(got), numbers(want), { rtol: limit, atol: limit }, what);
};

/** Devices with plain loops for it, and the dtype to compare in. */
const homes = [["ref", "float64"], ["cpu", "float32"]] as const;

function onHomes(name: string, fn: (device: string, dtype: DType) => void): void {
  for (const [device, dtype] of homes) {
    Deno.test(`fused attention: ${name} [${device}]`, () => on(device, () => fn(device, dtype)));
  }
}

/** Routines that run while something is computed. */
function routinesOf(fn: () => void): number {
  const before = counters.routines;
  fn();
  return counters.routines - before;
}

for (const [name, c] of Object.entries(cases)) {
  onHomes(name, (device, dtype) => {
    for (const fuse of [true, false]) {
      on(device, () => {
        const results = [plainOf(c), fusedOf(c)].map((attend) => {
          const leaves = leavesOf(c, dtype, device), y = attend(...inputsOf(leaves));
          return [y, ...grad(lossOf(y), leaves)];
        });
        const [wanted, got] = results;
        assertEquals(routinesOf(() => realize(...got)), 2);
        wanted.forEach((w, i) => alike(got[i], w, ["result", "query", "key", "value"][i]));
      }, { fuse });
    }
  });
}

onHomes("results that are asked for one by one", (device, dtype) => {
  const leaves = leavesOf(base, dtype, device), y = fusedOf(base)(...inputsOf(leaves));
  const gradients = grad(lossOf(y), leaves);
  // Without gradients the statistics are nobody's; what has been computed is not computed again, but for them.
  assertEquals(routinesOf(() => y.realize()), 1);
  assertEquals(routinesOf(() => gradients[2].realize()), 2);
  assertEquals(routinesOf(() => gradients[0].realize()), 2);
  const others = leavesOf(base, dtype, device);
  const wanted = grad(lossOf(plainOf(base)(...inputsOf(others))), others);
  [0, 1, 2].forEach((i) => alike(gradients[i], wanted[i], `${i}`));
});

onHomes("two calls of the same form", (device, dtype) => {
  const leaves = leavesOf(base, dtype, device), [q, k, v] = inputsOf(leaves);
  const twice = (attend: (...x: Three) => Tensor) => {
    const y = attend(attend(q, k, v), k, v).add(attend(q, v, k));
    return [y, ...grad(lossOf(y), leaves)];
  };
  const got = twice(fusedOf(base)), want = twice(plainOf(base));
  assertEquals(routinesOf(() => realize(...got)), 6);
  want.forEach((w, i) => alike(got[i], w, `${i}`));
});

onHomes("gradients of gradients", (device, dtype) => {
  const second = (attend: (...x: Three) => Tensor, same: boolean) => {
    const leaves = leavesOf(base, dtype, device), inputs = inputsOf(leaves);
    const [a] = inputs, y = attend(...(same ? [a, a, a] as Three : inputs));
    const first = grad(lossOf(y), leaves, { createGraph: true });
    const sum = first.map((g) => g.square().sum()).reduce((s, x) => s.add(x));
    return [...first, ...grad(sum, leaves)];
  };
  for (const same of [false, true]) {
    const got = second(fusedOf(base), same), want = second(plainOf(base), same);
    assert(want.some((w) => w.abs().max().item() as number > 1e-3));
    want.forEach((w, i) => alike(got[i], w, `${same} ${i}`));
  }
});

onHomes("captured steps", (device, dtype) => {
  const losses = (attend: (...x: Three) => Tensor, captured: boolean) => {
    const leaves = leavesOf(base, dtype, device).map((x) => new Parameter(x.detach().clone()));
    const optimizer = new optim.SGD(leaves, { lr: 0.1 });
    const step = (x: Tensor): Tensor => {
      optimizer.zeroGrad();
      const loss = attend(...inputsOf(leaves)).mul(x).square().mean();
      loss.backward();
      optimizer.step();
      return loss;
    };
    const run = captured ? capture(step) : step, x = tensor([2], { device }).to(dtype).realize();
    return Array.from({ length: 5 }, () => run(x).item() as number);
  };
  const want = losses(plainOf(base), false), limit = limits[dtype]!;
  assert(want[4] < want[0]);
  for (const captured of [false, true]) {
    closeNumbers(losses(fusedOf(base), captured), want, { rtol: 10 * limit });
  }
});

onHomes("activation checkpoints", (device, dtype) => {
  const leaves = leavesOf(base, dtype, device);
  const run = (again: boolean) => {
    const inputs = inputsOf(leaves).map((x) => x.mul(2)) as Three, attend = fusedOf(base);
    return grad(lossOf(again ? nn.checkpoint(attend, ...inputs) : attend(...inputs)), leaves);
  };
  const want = run(false), got = run(true);
  assertEquals(routinesOf(() => realize(...got)), 3);
  want.forEach((w, i) => alike(got[i], w, `${i}`));
});

/** Runs `fn` while a device says that it prefers the routine; counts how often it is asked. */
function preferring(device: string, fn: (asked: () => number) => void): void {
  const backend = backendOf(device) as { -readonly [K in keyof Backend]: Backend[K] };
  let asked = 0;
  backend.attends = () => ++asked > 0;
  try {
    fn(() => asked);
  } finally {
    delete backend.attends;
  }
}

onHomes("who takes it", (device, dtype) => {
  const dice = new Dice(8), x = (...shape: number[]) => filled(dice, shape, dtype, device);
  const takes = (inputs: Three, options: nn.functional.AttentionOptions = {}) => {
    const want = F.scaledDotProductAttention(...inputs, options);
    let took = 0;
    preferring(device, () => {
      const got = F.scaledDotProductAttention(...inputs, options);
      // By plain operations it is two products.
      took = routinesOf(() => got.realize());
      if (options.dropoutP === undefined) alike(got, want, "result");
    });
    return took === 1;
  };
  const four: Three = [x(2, 3, 5, 8), x(2, 3, 6, 8), x(2, 3, 6, 8)];
  assert(takes(four));
  assert(takes(four, { isCausal: true, scale: 0.7 }));
  assert(takes([x(5, 8), x(6, 8), x(6, 16)]));
  assert(takes([x(3, 5, 8), x(3, 6, 8), x(3, 6, 8)], { isCausal: true }));
  assert(takes([x(2, 2, 3, 5, 8), x(2, 2, 3, 6, 8), x(2, 2, 3, 6, 8)]));
  assert(takes([x(2, 4, 5, 8), x(2, 2, 6, 8), x(2, 2, 6, 8)], { enableGqa: true }));
  assert(!takes([x(2, 4, 5, 8), x(2, 1, 6, 8), x(2, 1, 6, 8)]));
  assert(!takes([x(2, 3, 5, 8), x(1, 3, 6, 8), x(1, 3, 6, 8)]));
  assert(!takes(four, { attnMask: x(5, 6) }));
  assert(!takes(four, { attnMask: x(5, 6).gt(0) }));
  assert(!takes(four, { dropoutP: 0.5 }));
  preferring(device, () => {
    assertThrows(
      () => F.scaledDotProductAttention(x(3, 5, 8), x(2, 6, 8), x(2, 6, 8), { enableGqa: true }),
      TypeError,
      "not a multiple",
    );
  });
});

onHomes("in a module that says that its mask is causal", (device, dtype) => {
  const layer = new nn.MultiheadAttention(16, 2, { batchFirst: true }).to(dtype);
  const x = filled(new Dice(4), [2, 5, 16], dtype, device);
  const attnMask = tensor(Array.from({ length: 25 }, (_, i) => i % 5 > Math.floor(i / 5)), {
    shape: [5, 5],
    device,
  });
  const keyPaddingMask = attnMask.narrow(0, 1, 2);
  const run = (options: Parameters<typeof layer.forward>[3]) =>
    layer.forward(x, x, x, { attnMask, isCausal: true, needWeights: false, ...options })[0];
  const all = [[{}, 1], [{ isCausal: false }, 0], [{ keyPaddingMask }, 0], [
    { needWeights: true },
    0,
  ]] as const;
  for (const [options, times] of all) {
    const want = run(options), wanted = grad(lossOf(run(options)), layer.parameters());
    preferring(device, (asked) => {
      const got = run(options);
      assertEquals(asked(), times);
      alike(got, want, JSON.stringify(options));
      grad(lossOf(run(options)), layer.parameters()).forEach((g, i) => alike(g, wanted[i], `${i}`));
    });
  }
});

onHomes("in a module, without and with gradients", (device, dtype) => {
  const layer = new nn.MultiheadAttention(16, 2, { batchFirst: true }).to(dtype);
  const x = filled(new Dice(4), [2, 5, 16], dtype, device);
  const run = () => layer.forward(x, x, x, { needWeights: false })[0];
  const want = run(), wanted = grad(lossOf(run()), layer.parameters());
  preferring(device, (asked) => {
    alike(noGrad(run), want, "result");
    grad(lossOf(run()), layer.parameters()).forEach((g, i) => alike(g, wanted[i], `${i}`));
    assertEquals(asked(), 2);
  });
});

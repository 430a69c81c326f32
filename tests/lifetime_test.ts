/** Memory: a step leaves behind what the step before it left behind. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  backendOf,
  capture,
  type Captured,
  keep,
  nn,
  optim,
  Parameter,
  randint,
  randn,
  realize,
  setDefaultDevice,
  stepScope,
  type Tensor,
  tensor,
} from "@pta/core";
import { numbers } from "./assert.ts";
import { devices, eachDevice, missing } from "./devices.ts";

const F = nn.functional;
const alive = (device: string) => backendOf(device).stats.bytesAlive;

/** A training step of a small network with everything that allocates. */
function trainer(
  device: string,
): { step: (x: Tensor, t: Tensor) => Tensor; batch: () => [Tensor, Tensor] } {
  const model = new nn.Sequential(
    new nn.Linear(12, 16),
    new nn.LayerNorm(16),
    new nn.GELU(),
    new nn.Dropout(0.2),
    new nn.Linear(16, 5),
  );
  const optimizer = new optim.AdamW(model.parameters(), { lr: 0.01 });
  return {
    step: (x, t) => {
      optimizer.zeroGrad();
      const loss = F.crossEntropy(model.forward(x), t);
      loss.backward();
      optimizer.step();
      return loss;
    },
    batch: () => [
      randn([8, 12], { device }).realize(),
      randint(0, 5, [8], { dtype: "int32", device }).realize(),
    ],
  };
}

function bytesByStep(device: string, captured: boolean): number[] {
  const before = setDefaultDevice(device);
  try {
    const { step, batch } = trainer(device);
    const run = captured ? capture(step) : step, out: number[] = [];
    for (let i = 0; i < 7; i++) {
      {
        using _ = stepScope();
        const loss = run(...batch());
        if (i > 4) loss.item();
      }
      out.push(alive(device));
    }
    if (captured) assertEquals((run as Captured<[Tensor, Tensor], Tensor>).replays, 5);
    return out;
  } finally {
    setDefaultDevice(before);
  }
}

for (const device of [...devices, "null"]) {
  const reason = missing(device);
  for (const captured of [false, true]) {
    Deno.test({
      name: `bytes alive after a step are those after the next [${device}, ${
        captured ? "captured" : "plain"
      }${reason ?? ""}]`,
      ignore: reason !== undefined,
      fn: () => {
        const bytes = bytesByStep(device, captured);
        // The first step makes the optimizer's state, the second records.
        for (let i = 3; i < bytes.length; i++) assertEquals(bytes[i], bytes[i - 1], `${bytes}`);
        if (!captured) assertEquals(bytes[2], bytes[1]);
      },
    });
  }
}

/** These open scopes of their own, so they stand outside the scope that {@linkcode eachDevice} opens. */
function inScopes(name: string, fn: (device: string) => void): void {
  eachDevice(name, fn);
}

inScopes("a scope frees what was made inside, and nothing else", (device) => {
  const outside = tensor([1, 2]).realize();
  const before = alive(device);
  let kept: Tensor, parameter: Parameter, lost: Tensor;
  {
    using scope = stepScope();
    lost = outside.mul(2).realize();
    kept = keep(outside.mul(3));
    parameter = new Parameter(tensor([5, 6]));
    const loss = parameter.mul(outside).sum();
    loss.backward();
    loss.item();
    assert(scope.size > 0);
  }
  assertEquals(numbers(outside), [1, 2]);
  assertEquals(numbers(kept), [3, 6]);
  assertEquals(numbers(parameter), [5, 6]);
  assertEquals(numbers(parameter.grad!), [1, 2]);
  assertThrows(() => lost.data(), ReferenceError, "keep(tensor)");
  assertThrows(() => lost.add(1).realize(), ReferenceError, "its memory was freed");
  assertEquals(alive(device) - before, 3 * 8);
  for (const t of [kept, parameter, parameter.grad!]) t.dispose();
  assertEquals(alive(device), before);
});

inScopes("gradients that nobody asked for yet survive the scope that described them", () => {
  const w = new Parameter(tensor([2, 3]));
  {
    using _ = stepScope();
    w.mul(tensor([10, 20]).mul(1.5)).sum().backward();
  }
  assertEquals(numbers(w.grad!), [15, 30]);
});

inScopes("scopes nest", (device) => {
  const before = alive(device);
  {
    using _outer = stepScope();
    const a = tensor([1]).realize();
    {
      using _inner = stepScope();
      a.add(1).realize();
    }
    assertEquals(numbers(a), [1]);
    assertEquals(alive(device) - before, 4);
  }
  assertEquals(alive(device), before);
  const outer = stepScope(), inner = stepScope();
  assertThrows(() => outer[Symbol.dispose](), Error, "one opened inside it has not ended");
  inner[Symbol.dispose]();
  outer[Symbol.dispose]();
});

inScopes("dispose frees at once, twice is harmless, and use afterwards is an error", (device) => {
  const before = alive(device);
  const x = tensor([1, 2, 3]);
  assertEquals(alive(device) - before, 12);
  const y = x.mul(2);
  x.dispose();
  assertEquals(alive(device), before);
  x.dispose();
  assertEquals(alive(device), before);
  assertThrows(() => x.data(), ReferenceError);
  assertThrows(() => y.data(), ReferenceError);
  {
    using z = tensor([4, 5]);
    assertEquals(numbers(z), [4, 5]);
  }
  assertEquals(alive(device), before);
});

inScopes("temporaries are freed as soon as nothing reads them", (device) => {
  const x = randn([64, 64]).realize(), size = 64 * 64 * 4;
  const { stats } = backendOf(device);
  let y: Tensor = x;
  // Each product is memory of its own; two at a time are enough.
  for (let i = 0; i < 6; i++) y = y.matmul(x);
  const before = stats.bytesAlive;
  stats.bytesPeak = before;
  y.realize();
  assertEquals(stats.bytesAlive - before, size);
  assertEquals(stats.bytesPeak - before, 2 * size);
});

inScopes("an error inside a run gives its temporaries back", (device) => {
  const x = randn([16, 16]).realize(), bad = tensor(Int32Array.of(99));
  const before = alive(device);
  assertThrows(
    () => x.matmul(x).exp().matmul(x).indexSelect(0, bad).matmul(x).realize(),
    RangeError,
  );
  assertEquals(alive(device), before);
});

inScopes("replacing a gradient frees the old one at the end of the step", (device) => {
  const w = new Parameter(tensor([1, 2, 3, 4]));
  const bytes: number[] = [];
  for (let i = 0; i < 4; i++) {
    {
      using _ = stepScope();
      w.grad = undefined;
      const loss = w.mul(w).sum();
      loss.backward();
      realize(loss);
    }
    bytes.push(alive(device));
  }
  assertEquals(new Set(bytes).size, 1);
});

Deno.test("the garbage collector frees stray results, and only those that nobody holds", async () => {
  const script = new URL("./fixtures/stray_results.ts", import.meta.url);
  const command = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", "--v8-flags=--expose-gc", script.pathname],
    cwd: new URL("..", import.meta.url),
  });
  const { code, stdout, stderr } = await command.output();
  assertEquals([code, new TextDecoder().decode(stderr)], [0, ""]);
  const { start, full, end, values } = JSON.parse(new TextDecoder().decode(stdout));
  assert(full > start + 50 * 4000);
  assertEquals(end, start + 4000 + 4000);
  assertEquals(values, [3, 1]);
});

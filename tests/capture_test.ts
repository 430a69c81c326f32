/** Captured steps: replays are the plain step, number for number. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  backendOf,
  capture,
  counters,
  manualSeed,
  nn,
  optim,
  Parameter,
  rand,
  realize,
  stepScope,
  type Tensor,
  tensor,
} from "@pta/core";
import { numbers } from "./assert.ts";
import { eachDevice, on } from "./devices.ts";
import { Dice } from "./graph_fuzz.ts";

const F = nn.functional;

/** A model with dropout under AdamW, and batches that are the same each time. */
function trainer(device: string) {
  manualSeed(4);
  const model = new nn.Sequential(
    new nn.Linear(6, 8),
    new nn.GELU(),
    new nn.Dropout(0.5),
    new nn.Linear(8, 3),
  );
  const optimizer = new optim.AdamW(model.parameters(), { lr: 0.02 });
  const step = (x: Tensor, t: Tensor): { loss: Tensor; logits: Tensor } => {
    optimizer.zeroGrad();
    const logits = model.forward(x), loss = F.crossEntropy(logits, t);
    loss.backward();
    // The optimizer changes what the logits are described by.
    logits.realize();
    optimizer.step();
    return { loss, logits };
  };
  const batch = (i: number, rows = 5): [Tensor, Tensor] => {
    const dice = new Dice(100 + i);
    return [
      tensor(Float32Array.from({ length: rows * 6 }, () => dice.next() - 0.5), {
        shape: [rows, 6],
        device,
      }),
      tensor(Int32Array.from({ length: rows }, () => dice.int(3)), { device }),
    ];
  };
  return { model, optimizer, step, batch };
}

/** Losses, logits and final parameters of ten steps. */
function history(device: string, captured: boolean): number[][] {
  return on(device, () => {
    const { model, optimizer, step, batch } = trainer(device);
    const run = captured ? capture(step) : step, out: number[][] = [];
    for (let i = 0; i < 10; i++) {
      using _ = stepScope();
      if (i === 6) optimizer.paramGroups[0].lr = 0.1;
      const { loss, logits } = run(...batch(i));
      out.push([loss.item(), ...numbers(logits)]);
    }
    return [...out, ...[...model.parameters()].map((p) => numbers(p))];
  });
}

eachDevice(
  "a captured training step is the plain one, with new dropout masks and a new learning rate",
  (device) => {
    const plain = history(device, false), captured = history(device, true);
    assertEquals(captured, plain);
    // Masks differ from step to step, so do the losses.
    assertEquals(new Set(plain.slice(0, 10).map((row) => row[0])).size, 10);
  },
);

eachDevice("replays build no graph and make no plan", (device) => {
  const { step, batch } = trainer(device);
  let calls = 0;
  const run = capture((x: Tensor, t: Tensor) => {
    calls++;
    return step(x, t);
  });
  for (let i = 0; i < 3; i++) run(...batch(i));
  const { plansRun } = counters, { stats } = backendOf(device), kernels = stats.kernels;
  const [x, t] = batch(3);
  run(x, t);
  assertEquals([calls, run.replays, run.reason], [2, 2, undefined]);
  assertEquals(counters.plansRun, plansRun);
  assert(stats.kernels > kernels);
});

eachDevice("results are overwritten by the next replay", () => {
  const run = capture((x: Tensor) => x.mul(2));
  const outs = [1, 2, 3, 4].map((v) => run(tensor([v])));
  assertEquals(outs.slice(0, 1).map(numbers), [[2]]);
  assert(outs[2] === outs[3]);
  assertEquals(numbers(outs[3]), [8]);
  run(tensor([10]));
  assertEquals(numbers(outs[3]), [20]);
});

eachDevice("shapes and dtypes are recorded separately", () => {
  const run = capture((x: Tensor) => x.mul(x).sum());
  const sizes = [2, 3, 2, 3, 2, 3, 2];
  for (const n of sizes) assertEquals(run(tensor(new Float32Array(n).fill(2))).item(), 4 * n);
  // Each of the two: one plain call, one recording, then replays.
  assertEquals(run.replays, sizes.length - 4);
  assertEquals(run(tensor([3], { dtype: "float64" })).dtype, "float64");
});

eachDevice("a step that reads a value back runs plainly and says why", () => {
  let reads = 0;
  const run = capture((x: Tensor) => {
    reads += x.sum().item();
    return x.mul(reads);
  });
  for (let i = 0; i < 4; i++) assertEquals(numbers(run(tensor([i + 1]))).length, 1);
  assertEquals([run.replays, reads], [0, 10]);
  assertEquals(run.reason, "it reads a value back (item, data or toArray)");
});

eachDevice("random draws go on through replays", (device) => {
  const draw = (captured: boolean) =>
    on(device, () => {
      manualSeed(21);
      const fn = (x: Tensor) => x.add(rand([3]));
      const run = captured ? capture(fn) : fn;
      return Array.from({ length: 6 }, () => numbers(run(tensor([0, 0, 0]))));
    });
  assertEquals(draw(true), draw(false));
});

eachDevice("state changed in place goes on through replays, and a host write is seen", () => {
  const count = new Parameter(tensor([0]), false), rate = new Parameter(tensor([1]), false);
  const run = capture((x: Tensor) => {
    count.assign(count.add(x.mul(rate)));
    realize(count);
    return count.mul(10);
  });
  const seen: number[] = [];
  for (let i = 0; i < 6; i++) {
    if (i === 4) rate.copy_([100]);
    seen.push(run(tensor([1])).item());
  }
  assertEquals(seen, [10, 20, 30, 40, 1040, 2040]);
  assertEquals(numbers(count), [204]);
});

eachDevice("arguments are copied, so the caller may change or free them", () => {
  const run = capture((x: Tensor) => x.add(1));
  for (let i = 0; i < 4; i++) {
    const x = tensor([i]);
    const out = run(x);
    x.dispose();
    assertEquals(out.item(), i + 1);
  }
  const t = tensor([[1, 2], [3, 4]]);
  for (let i = 0; i < 3; i++) {
    assertEquals(capture((x: Tensor) => x.mul(1))(t.t()).toArray(), [[1, 3], [2, 4]]);
  }
  const turned = capture((x: Tensor) => x.mul(2));
  for (let i = 0; i < 4; i++) assertEquals(turned(t.t()).toArray(), [[2, 6], [4, 8]]);
});

eachDevice("dispose gives back what recordings hold", (device) => {
  const { stats } = backendOf(device), before = stats.bytesAlive;
  const run = capture((x: Tensor) => x.matmul(x).relu().matmul(x));
  {
    using _ = stepScope();
    const x = tensor(new Float32Array(64).fill(0.1), { shape: [8, 8] });
    for (let i = 0; i < 4; i++) run(x);
    assert(stats.bytesAlive > before);
    run.dispose();
  }
  assertEquals(stats.bytesAlive, before);
  {
    using _ = stepScope();
    assertEquals(run(tensor([[2]])).item(), 8);
  }
});

eachDevice("a replay that uses freed memory is an error", () => {
  const w = tensor([1, 2]);
  const run = capture((x: Tensor) => x.mul(w));
  for (let i = 0; i < 3; i++) run(tensor([1, 1]));
  w.dispose();
  assertThrows(() => run(tensor([1, 1])), ReferenceError, "Cannot replay this captured step");
});

eachDevice("a replay without arguments raises an index out of range", () => {
  const index = new Parameter(tensor(Int32Array.of(1)), false);
  const run = capture(() => tensor([1, 2]).mul(3).indexSelect(0, index));
  for (let i = 0; i < 3; i++) assertEquals(numbers(run()), [6]);
  index.copy_([2]);
  assertThrows(() => run(), RangeError, "Cannot index with 2: the dimension has size 2");
  index.copy_([0]);
  assertEquals(numbers(run()), [3]);
});

eachDevice("an error while recording leaves the step usable", () => {
  let fail = true;
  const run = capture((x: Tensor) => {
    const y = x.mul(2);
    y.realize();
    if (fail && run.replays === 0 && ++calls === 2) throw new RangeError("inside");
    return y;
  });
  let calls = 0;
  run(tensor([1]));
  assertThrows(() => run(tensor([1])), RangeError, "inside");
  fail = false;
  for (let i = 0; i < 3; i++) assertEquals(run(tensor([i])).item(), 2 * i);
});

eachDevice("a recording that comes to nothing leaves no memory behind", (device) => {
  const { stats } = backendOf(device), x = tensor([1, 2, 3], { device }).realize();
  const reasons: Record<string, (y: Tensor) => void> = {
    "an error": () => {
      throw new RangeError("not this time");
    },
    "a value that is read": (y) => void y.data(),
  };
  for (const [name, spoil] of Object.entries(reasons)) {
    let calls = 0;
    const step = capture((x: Tensor) => {
      const y = x.exp().realize();
      if (++calls === 2) spoil(y);
      return y.mul(2);
    });
    const before = stats.bytesAlive;
    for (let i = 0; i < 2; i++) {
      using _scope = stepScope();
      try {
        step(x);
      } catch (error) {
        assert(error instanceof RangeError);
      }
    }
    assertEquals([calls, stats.bytesAlive], [2, before], name);
  }
});

eachDevice("several steps in one launch are the plain ones, bit for bit", (device) => {
  const plain = history(device, false);
  const together = on(device, () => {
    const { model, optimizer, step, batch } = trainer(device), out: number[][] = [];
    const run = capture(step);
    for (const [first, count] of [[0, 2], [2, 2], [4, 2], [6, 2], [8, 1], [9, 1]]) {
      using _ = stepScope();
      if (first === 6) optimizer.paramGroups[0].lr = 0.1;
      const results = run.steps(Array.from({ length: count }, (_, i) => batch(first + i)));
      assertEquals(results.length, count);
      for (const { loss, logits } of results) out.push([loss.item(), ...numbers(logits)]);
    }
    // Two at a time: plainly, recorded, replayed twice; alone: plainly, recorded.
    assertEquals([run.replays, run.reason], [4, undefined]);
    run.dispose();
    return [...out, ...[...model.parameters()].map((p) => numbers(p))];
  });
  assertEquals(together, plain);
});

eachDevice("several steps may have other shapes, take nothing, or be none at all", (device) => {
  on(device, () => {
    let calls = 0;
    const double = capture((x: Tensor) => {
      calls++;
      return x.mul(2);
    });
    const of = (...lengths: number[]): [Tensor][] => lengths.map((n) => [rand([n])]);
    for (let i = 0; i < 3; i++) {
      const batches = of(2, 3), results = double.steps(batches);
      assertEquals(results.map(numbers), batches.map(([x]) => numbers(x).map((v) => 2 * v)));
    }
    assertEquals([calls, double.replays], [4, 2]);
    assertEquals(double.steps(of(3, 2)).map((t) => t.shape[0]), [3, 2]);
    assertEquals(double.steps([]), []);
    const count = tensor([0]).realize(), next = capture(() => count.assign(count.add(1)).realize());
    for (let i = 0; i < 4; i++) next.steps([[], [], []]);
    assertEquals(count.item(), 12);
    const odd = [[rand([1])], []] as unknown as [Tensor][];
    assertThrows(() => double.steps(odd), TypeError, "different numbers of arguments");
    double.dispose();
    next.dispose();
  });
});

eachDevice("several steps that read a value back run plainly and say why", (device) => {
  on(device, () => {
    let reads = 0;
    const run = capture((x: Tensor) => {
      reads += x.sum().item();
      return x.mul(reads);
    });
    for (let i = 0; i < 3; i++) {
      reads = 0;
      const results = run.steps([[tensor([1])], [tensor([2])]]);
      assertEquals(results.map((t) => t.item()), [1, 6]);
    }
    assertEquals(run.replays, 0);
    assert(run.reason !== undefined);
  });
});

/** Recorded launches in another order, and independent kernels as one text. */
import { assert, assertEquals } from "@std/assert";
import { levels, type Recorded } from "../core/backend/cuda/arrange.ts";

/** A launch that leaves in each buffer it writes a number made of all that it reads. */
function launch(memory: number[], reads: number[], writes: number[], id: number): Recorded {
  return {
    launch: () => {
      const seen = [...reads, ...writes].reduce((h, p) => (h * 31 + memory[p]) % 1000003, id);
      writes.forEach((p, i) => memory[p] = (seen + i * 7919) % 1000003);
    },
    facts: { reads, writes },
  };
}

Deno.test("launches by level compute what they computed in order", () => {
  let seed = 1;
  const random = (n: number) => (seed = (seed * 48271) % 2147483647) % n;
  for (let round = 0; round < 200; round++) {
    const memory = Array.from({ length: 8 }, (_, i) => i), expected = [...memory];
    const make = (at: number[], plan: readonly [number[], number[], boolean][]) =>
      plan.map(([reads, writes, known], id) => {
        const made = launch(at, reads, writes, id + 1);
        return known ? made : { ...made, facts: undefined };
      });
    const some = () => [...new Set(Array.from({ length: random(3) }, () => random(8)))];
    const plan = Array.from(
      { length: 12 },
      (): [number[], number[], boolean] => [some(), [random(8)], random(6) > 0],
    );
    for (const r of make(expected, plan)) r.launch();
    const arranged = levels(make(memory, plan));
    assertEquals(arranged.flat().length, plan.length);
    // Within a level any order will do.
    for (const level of arranged) for (const r of level.reverse()) r.launch();
    assertEquals(memory, expected);
  }
});

Deno.test("updates that nobody waits for come together at the end", () => {
  // Backward of three layers: the gradient of each weight (10, 11, 12), then of the input (2, 1), then all updates (20, 21, 22).
  const plan: [string, number[], number[]][] = [
    ["w2", [3], [12]],
    ["update2", [12], [22]],
    ["x2", [3], [2]],
    ["w1", [2], [11]],
    ["update1", [11], [21]],
    ["x1", [2], [1]],
    ["w0", [1], [10]],
    ["update0", [10], [20]],
  ];
  const names = new Map<unknown, string>();
  const recorded = plan.map(([name, reads, writes]) => {
    const r: Recorded = { launch: () => {}, facts: { reads, writes } };
    names.set(r, name);
    return r;
  });
  const arranged = levels(recorded).map((level) => level.map((r) => names.get(r)));
  assertEquals(arranged.at(-1), ["update2", "update1", "update0"]);
  assert(arranged.length < plan.length);
});

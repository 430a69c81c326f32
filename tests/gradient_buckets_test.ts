/** Gradient buckets: what travels, in which order, and what comes back. */
import "@pta/core/backend";
import { assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import {
  allReduceGradients,
  broadcastFromRoot,
  Parameter,
  realize,
  setCommunicator,
  type Tensor,
  tensor,
} from "@pta/core";
import { FakeComm } from "../core/dist/fake.ts";

/** Runs with a pretended world of three ranks that all hold this rank's data. */
function withFakeWorld(body: (comm: FakeComm) => void): void {
  const comm = new FakeComm(3);
  const before = setCommunicator(comm);
  try {
    body(comm);
  } finally {
    setCommunicator(before);
  }
}

function parameters(): Parameter[] {
  return [[2, 3], [4], [], [5]].map((shape, i) => {
    const n = shape.reduce((a, b) => a * b, 1);
    const p = new Parameter(tensor(Float32Array.from({ length: n }, (_, k) => k + i), { shape }));
    p.grad = tensor(Float32Array.from({ length: n }, (_, k) => 10 * i + k), { shape });
    return p;
  });
}

const values = (t: Tensor) => Array.from(t.data() as Float32Array);

Deno.test("gradient buckets: filled from the last parameter back, closed at their size", () =>
  withFakeWorld((comm) => {
    const ps = parameters(), before = ps.map((p) => values(p.grad!));
    // 5 + 1 elements reach 24 bytes; then 4 + 6.
    const total = allReduceGradients(ps, { bucketBytes: 24, weight: tensor(0.5) })!;
    realize(...ps.toReversed().map((p) => p.grad!), total);
    assertEquals(comm.log, ["allReduce(sum) float32[6]", "allReduce(sum) float32[11]"]);
    ps.forEach((p, i) => {
      assertEquals(p.grad!.shape, p.shape);
      assertEquals(values(p.grad!), before[i].map((x) => 3 * x));
    });
    assertAlmostEquals(total.item(), 1.5);
  }));

Deno.test("gradient buckets: one bucket by default; parameters without a gradient keep none", () =>
  withFakeWorld((comm) => {
    const ps = parameters();
    ps[1].grad = undefined;
    assertEquals(allReduceGradients(ps), undefined);
    realize(...ps.filter((p) => p.grad !== undefined).map((p) => p.grad!));
    assertEquals(comm.log, ["allReduce(sum) float32[12]"]);
    assertEquals(ps[1].grad, undefined);
    ps.forEach((p) => p.grad = undefined);
    assertThrows(
      () => allReduceGradients(ps, { weight: tensor(1) }),
      RangeError,
      "no parameter has one",
    );
  }));

Deno.test("gradient buckets: dtypes do not mix", () =>
  withFakeWorld((comm) => {
    const ps = [
      ...parameters(),
      new Parameter(tensor(Float64Array.of(1, 2)), true),
    ];
    ps[4].grad = tensor(Float64Array.of(0.1, 0.2));
    allReduceGradients(ps);
    realize(...ps.map((p) => p.grad!));
    assertEquals(comm.log.sort(), ["allReduce(sum) float32[16]", "allReduce(sum) float64[2]"]);
    assertEquals(Array.from(ps[4].grad!.data() as Float64Array), [0.1 * 3, 0.2 * 3]);
  }));

Deno.test("gradient buckets: compressed they travel in 16 bits, and the weight beside them in 32", () =>
  withFakeWorld((comm) => {
    for (const [commHook, dtype] of [["fp16", "float16"], ["bf16", "bfloat16"]] as const) {
      comm.log.length = 0;
      const ps = parameters(), before = ps.map((p) => values(p.grad!));
      const total = allReduceGradients(ps, { commHook, weight: tensor(1 / 3) })!;
      realize(...ps.map((p) => p.grad!), total);
      const wanted = [`allReduce(sum) ${dtype}[16]`, "allReduce(sum) float32[1]"];
      assertEquals(comm.log.sort(), wanted.sort());
      ps.forEach((p, i) => {
        values(p.grad!).forEach((x, k) =>
          assertAlmostEquals(x, 3 * before[i][k], 0.02 * Math.abs(x))
        );
      });
      assertAlmostEquals(total.item(), 1, 1e-6);
    }
  }));

Deno.test("broadcast: every tensor travels from the root", () =>
  withFakeWorld((comm) => {
    broadcastFromRoot(parameters(), comm);
    assertEquals(comm.log, [6, 4, 1, 5].map((n) => `broadcast(root 0) float32[${n}]`));
  }));

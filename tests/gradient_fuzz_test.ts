/** Gradients of random graphs: the slope along a random direction, against a central difference of the plain-array program. */
import { AssertionError } from "@std/assert";
import { grad, type Tensor, tensor } from "@pta/core";
import { numbers } from "./assert.ts";
import { devices, missing, on } from "./devices.ts";
import { runProgram } from "./graph_fuzz.ts";

const first = Number(Deno.env.get("PTA_FUZZ_FIRST") ?? 1);
const runs = Number(Deno.env.get("PTA_FUZZ_RUNS") ?? 60);

const weight = (value: number, element: number) => Math.sin(7 * value + element + 1);

function product(x: readonly number[], y: (element: number) => number): number {
  let sum = 0;
  for (let e = 0; e < x.length; e++) sum += x[e] * y(e);
  return sum;
}

function check(seed: number, device: string): string | undefined {
  const options = { device, dtype: "float64", length: 4 + (seed % 4) * 4, assigns: false } as const;
  /** The weighted sum of all values by plain arrays, with every leaf moved by `step` along its direction. */
  const at = (step: number): number => {
    const { values } = runProgram(seed, { ...options, device: "null", step });
    let sum = 0;
    values.forEach((v, i) => sum += product(v.p.data, (e) => weight(i, e)));
    return sum;
  };
  const { values, leaves, text } = runProgram(seed, { ...options, gradients: true });
  const loss = values.reduce<Tensor>((sum, v, i) => {
    const w = Float64Array.from(v.p.data, (_, e) => weight(i, e));
    return sum.add(v.t.mul(tensor(w, { shape: v.p.shape, device })).sum());
  }, tensor(0, { dtype: "float64", device }));
  const gradients = grad(loss, leaves.map((l) => l.t)).map(numbers);
  let slope = 0;
  gradients.forEach((g, i) => slope += product(g, (e) => leaves[i].direction.data[e]));
  const h = 1e-6, forward = (at(h) - at(0)) / h, backward = (at(0) - at(-h)) / h;
  // At a kink the two sides differ, and any slope between them is right.
  const low = Math.min(forward, backward), high = Math.max(forward, backward);
  const slack = 2e-4 * (1 + Math.abs(slope));
  if (slope >= low - slack && slope <= high + slack) return undefined;
  return `seed ${seed}: slope ${slope}, differences ${forward} and ${backward}\n  ${
    text.join("\n  ")
  }`;
}

for (const device of devices) {
  const reason = missing(device);
  for (const fuse of [true, false]) {
    Deno.test({
      name: `gradients of random graphs [${device}, ${fuse ? "fused" : "unfused"}${
        reason ? `: ${reason}` : ""
      }]`,
      ignore: reason !== undefined,
      fn: () => {
        const failures: string[] = [];
        for (let i = 0; i < runs; i++) {
          on(device, () => {
            try {
              const failure = check(first + i, device);
              if (failure !== undefined) failures.push(failure);
            } catch (error) {
              failures.push(`seed ${first + i}: ${(error as Error).stack}`);
            }
          }, { fuse });
        }
        if (failures.length > 0) {
          throw new AssertionError(
            `${failures.length} of ${runs} programs fail:\n${failures.slice(0, 3).join("\n\n")}`,
          );
        }
      },
    });
  }
}

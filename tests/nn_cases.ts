/** What the tests of layers share: numbers without a pattern, and tables of gradients to be checked. */
import { assertEquals } from "@std/assert";
import { grad, gradcheck, type Tensor, tensor } from "@pta/core";
import { numbers } from "./assert.ts";
import { on } from "./devices.ts";

/** float64 between -1 and 1 without a pattern, the same each time. */
export function noise(shape: readonly number[], seed: number): Tensor {
  const n = shape.reduce((a, b) => a * b, 1);
  const values = Float64Array.from({ length: n }, (_, i) => {
    const x = Math.sin(12.9898 * (i + 1) + 78.233 * seed) * 43758.5453;
    return 2 * (x - Math.floor(x)) - 1;
  });
  return tensor(values, { shape: [...shape] });
}

/** A function, the tensors whose gradients count, and whether its first gradients are differentiated too. */
export type GradientCase = readonly [
  name: string,
  fn: (...x: Tensor[]) => Tensor,
  inputs: readonly Tensor[],
  order?: 1 | 2,
];

/** Fresh leaves of the same values. */
export const leaves = (inputs: readonly Tensor[]): Tensor[] =>
  inputs.map((x) => tensor(Float64Array.from(numbers(x)), { shape: [...x.shape] }).requiresGrad_());

/** The gradients of a function as one tensor, which can be differentiated again. */
function firstGradients(fn: (...x: Tensor[]) => Tensor): (...x: Tensor[]) => Tensor {
  return (...x) => {
    const at = x.map((t) => t.requiresGrad ? t : t.detach().requiresGrad_());
    const found = grad(fn(...at).sin().sum(), at, { createGraph: true });
    return found.map((g) => g.sin().sum()).reduce((a, b) => a.add(b));
  };
}

/** Registers one test for each case: in float64 on the reference device, against finite differences. */
export function gradientTests(area: string, cases: () => GradientCase[]): void {
  const names = on("ref", () => cases().map(([name, , , order]) => [name, order] as const));
  names.forEach(([name, order], i) => {
    Deno.test(`${area}: gradients of ${name}${order === 2 ? ", twice" : ""}`, () =>
      on("ref", () => {
        const [, fn, inputs] = cases()[i], at = leaves(inputs);
        gradcheck(fn, at);
        // Differences agree also with a gradient of 0 where an input has no influence at all.
        grad(fn(...at).sin().sum(), at).forEach((g, k) => {
          const flat = numbers(g.abs().sum())[0] === 0;
          assertEquals(flat, name.includes("nearest") && k === 1, `no influence of input ${k}`);
        });
        if (order === 2) gradcheck(firstGradients(fn), leaves(inputs), { atol: 1e-4 });
      }));
  });
}

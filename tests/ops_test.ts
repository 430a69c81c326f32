/** The matrix: every case on every device, fused and not, for every layout of its inputs, forward and backward. */
import { AssertionError } from "@std/assert";
import { type DType, grad, gradcheck, realize, type Tensor, tensor } from "@pta/core";
import { close, closeNumbers, numbers, type Tolerance } from "./assert.ts";
import type { Case } from "./case.ts";
import { cases } from "./cases.ts";
import { devices, missing, on } from "./devices.ts";
import { Dice } from "./graph_fuzz.ts";
import * as plain from "./plain.ts";
import type { Plain } from "./plain.ts";

/** How an input lies in memory: the shape of its memory and the view of it. */
interface Layout {
  readonly name: string;
  readonly memory: readonly number[];
  readonly view: (x: Tensor) => Tensor;
  readonly plain: (x: Plain) => Plain;
}

const as = (name: string, memory: readonly number[]): Layout => ({
  name,
  memory,
  view: (x) => x,
  plain: (x) => x,
});

const layouts: readonly Layout[] = [
  as("scalar", []),
  as("empty", [0, 3]),
  as("odd", [7]),
  as("matrix", [3, 5]),
  as("three", [2, 3, 4]),
  {
    name: "transposed",
    memory: [5, 3],
    view: (x) => x.transpose(0, 1),
    plain: (x) => plain.permute(x, [1, 0]),
  },
  {
    name: "sliced",
    memory: [4, 9],
    view: (x) => x.slice(1, 1, 9, 2).slice(0, 1),
    plain: (x) => plain.slice(plain.slice(x, 1, 1, 9, 2), 0, 1, 4),
  },
  {
    name: "flipped",
    memory: [3, 4],
    view: (x) => x.flip(0, 1),
    plain: (x) => plain.flip(x, [0, 1]),
  },
  {
    name: "expanded",
    memory: [3, 1],
    view: (x) => x.expand(3, 4),
    plain: (x) => plain.expand(x, [3, 4]),
  },
];

/** Partners of the first layout that broadcast with it. */
const partners: readonly (readonly [Layout, Layout])[] = [
  [as("row", [3, 5]), as("of matrix", [5])],
  [as("column", [4, 1, 3]), as("of box", [5, 1])],
  [as("scalar", []), as("beside vector", [7])],
];

function draw(c: Case, which: number, shape: readonly number[], dice: Dice): Plain {
  const [low, high] = c.domains[which] ?? c.domains[0];
  return plain.build(shape, () => {
    const x = low + (high - low) * dice.next();
    // Quarters of float32 numbers are exact everywhere, so that no comparison depends on rounding.
    return c.kind === "float" ? Math.fround(x) : Math.floor(x);
  });
}

const dtypeOf: Record<Case["kind"], DType> = { float: "float32", int: "int32", bool: "bool" };

interface Input {
  readonly layout: Layout;
  readonly memory: Plain;
}

/** Every combination of inputs that a case takes. */
function inputsOf(c: Case, small = false): Input[][] {
  const dice = new Dice(c.name.length * 7919 + c.name.charCodeAt(0));
  const make = (list: readonly Layout[]) =>
    list.map((layout, i) => ({ layout, memory: draw(c, i, layout.memory, dice) }));
  const arity = c.domains.length === 1 ? 1 : c.fn.length;
  const out: Input[][] = [];
  for (const layout of layouts) {
    const rank = layout.plain(plain.build(layout.memory, () => 0)).shape.length;
    if (rank < c.rank || (layout.name === "empty" && !c.empty)) continue;
    if ((c.name === "mm" || c.name === "bmm") && rank !== 2) continue;
    if (small && layout.name === "three") continue;
    out.push(make(Array.from({ length: arity }, () => layout)));
  }
  if (c.broadcasts) { for (const pair of partners) out.push(make(pair)); }
  return out;
}

const label = (inputs: readonly Input[]) =>
  inputs.map((i) => `${i.layout.name} [${i.layout.memory}]`).join(" with ");

function put(x: Plain, dtype: DType, device: string): Tensor {
  return tensor(Float64Array.from(x.data), { dtype, device, shape: x.shape });
}

const tolerances: Partial<Record<DType, Tolerance>> = {
  float64: { atol: 1e-10, rtol: 1e-10 },
  float32: { atol: 2e-6, rtol: 1e-5 },
};

function forward(c: Case, device: string, dtype: DType): void {
  for (const inputs of inputsOf(c)) {
    const actual = c.fn(...inputs.map((i) => i.layout.view(put(i.memory, dtype, device))));
    const expected = c.expect(...inputs.map((i) => i.layout.plain(i.memory)));
    const tolerance = { ...tolerances[dtype], ...(dtype === "float32" ? c.float32 : {}) };
    close(actual, expected, tolerance, `${c.name} of ${label(inputs)} in ${dtype}`);
  }
}

/** A weighted sum, so that every element of a gradient is another number. */
function weighted(t: Tensor): Tensor {
  const w = Float64Array.from({ length: t.numel }, (_, i) => 1 + 0.37 * Math.sin(3 * i + 1));
  return t.mul(tensor(w, { device: t.device, dtype: t.dtype, shape: t.shape })).sum();
}

function gradients(c: Case, inputs: readonly Input[], device: string, dtype: DType): Tensor[] {
  const leaves = inputs.map((i) => put(i.memory, dtype, device).requiresGrad_());
  const out = c.fn(...inputs.map((i, k) => i.layout.view(leaves[k])));
  const found = grad(weighted(out), leaves);
  realize(...found);
  return found;
}

for (const device of devices) {
  const reason = missing(device);
  for (const fuse of [true, false]) {
    const where = `${device}, ${fuse ? "fused" : "unfused"}${reason ? `: ${reason}` : ""}`;
    Deno.test({
      name: `every method agrees with its formula [${where}]`,
      ignore: reason !== undefined,
      fn: () =>
        each((c) =>
          on(device, () => {
            forward(c, device, dtypeOf[c.kind]);
            if (c.kind === "float") forward(c, device, "float64");
            if (c.kind === "int") forward(c, device, "int64");
          }, { fuse })
        ),
    });
    Deno.test({
      name: `every gradient agrees with ${
        device === "ref" ? "finite differences" : "ref"
      } [${where}]`,
      ignore: reason !== undefined,
      fn: () =>
        each((c) => {
          if (!c.gradient) return;
          for (const inputs of inputsOf(c, true)) {
            if (inputs.some((i) => i.memory.data.length === 0)) continue;
            on(device, () => {
              if (device === "ref") {
                const leaves = inputs.map((i) => put(i.memory, "float64", device).requiresGrad_());
                gradcheck((...x) => c.fn(...inputs.map((i, k) => i.layout.view(x[k]))), leaves, {
                  atol: 1e-6,
                  rtol: 1e-5,
                });
                return;
              }
              const expected = gradients(c, inputs, "ref", "float32").map(numbers);
              gradients(c, inputs, device, "float32").forEach((g, i) =>
                closeNumbers(
                  numbers(g),
                  expected[i],
                  { atol: 2e-5, rtol: 2e-5, ...c.float32 },
                  `gradient ${i} of ${label(inputs)}`,
                )
              );
            }, { fuse });
          }
        }),
    });
  }
}

function each(check: (c: Case) => void): void {
  const failures: string[] = [];
  for (const c of cases) {
    try {
      check(c);
    } catch (error) {
      failures.push(`${c.name}: ${(error as Error).message}`);
    }
  }
  if (failures.length > 0) {
    throw new AssertionError(
      `${failures.length} of ${cases.length} cases:\n${failures.join("\n")}`,
    );
  }
}

/** Random kernels with data, for the tests of everything that prints kernels. Equal seeds make equal kernels. */
import { type DType, dtypes } from "../core/dtype.ts";
import { fullValues, stages } from "../core/kernel.ts";
import { type OpName, ops } from "../core/ops.ts";
import { KernelBuilder } from "./kernel_builder.ts";
import { philoxWords } from "./kernel_interpreter.ts";

class Random {
  #at = 0;
  constructor(readonly seed: number) {}
  next(): number {
    return philoxWords([this.#at++, 0, 0, 0], [this.seed, 1])[0] / 2 ** 32;
  }
  int(n: number): number {
    return Math.floor(this.next() * n);
  }
  pick<T>(list: readonly T[]): T {
    return list[this.int(list.length)];
  }
}

const dtypeSets: DType[][] = [
  ["float32"],
  ["float32", "int32", "bool"],
  ["float16", "float32", "uint8", "bool", "int32"],
  ["float32", "bfloat16"],
  ["float64", "float32", "int64", "int32"],
];
// Ops that keep values of moderate size and are continuous, so that rounding stays rounding.
const floatOps: OpName[] = [
  "add",
  "sub",
  "mul",
  "max",
  "min",
  "neg",
  "abs",
  "tanh",
  "sin",
  "cos",
  "erf",
];
const intOps: OpName[] = ["add", "sub", "max", "min", "and", "or", "xor", "not"];
const boolOps: OpName[] = ["and", "or", "xor", "not"];

/** A random kernel. */
export interface RandomKernel {
  readonly b: KernelBuilder;
  readonly extent: number;
  /** What each buffer holds. */
  readonly data: number[][];
}

/** The random kernel of a seed. */
export function randomKernel(seed: number): RandomKernel {
  const r = new Random(seed);
  const sizes = () => Array.from({ length: 1 + r.int(2) }, () => 1 + r.int(r.pick([3, 9, 20])));
  const outer = sizes(), reduce = r.next() < 0.6 ? sizes() : [];
  if (r.next() < 0.1 && reduce.length > 0) reduce[0] = 30 + r.int(60);
  const all = [...outer, ...reduce], b = new KernelBuilder(outer, reduce);
  const dtypesHere = r.pick(dtypeSets), data: number[][] = [];
  const rank = outer.length;

  /** Strides of a fresh buffer, some zero, in any order; and how long it must be. */
  const layout = (dims: readonly number[], complete: boolean) => {
    const order = dims.map((_, i) => i);
    if (r.next() < 0.3) order.sort(() => r.next() - 0.5);
    const strides = all.map(() => 0);
    let step = 1;
    for (const d of order.reverse()) {
      if (!complete && r.next() < 0.25) continue;
      strides[dims[d]] = step;
      step *= all[dims[d]];
      if (r.next() < 0.1) step += 1 + r.int(3);
    }
    let offset = r.next() < 0.3 ? r.int(4) : 0;
    if (!complete && r.next() < 0.15) {
      const d = r.pick(dims);
      offset += Math.abs(strides[d]) * (all[d] - 1);
      strides[d] = -strides[d];
    }
    const length = offset + 1 +
      strides.reduce((sum, s, d) => sum + Math.max(0, s) * (all[d] - 1), 0);
    return { strides, offset, length };
  };
  const fill = (dtype: DType, n: number) =>
    Array.from({ length: n }, () => {
      const x = r.next() * 4 - 2;
      return dtypes[dtype].kind === "float"
        ? x
        : dtype === "bool"
        ? Math.round(r.next())
        : r.int(5);
    });
  const load = (dtype: DType): number => {
    const dims = all.map((_, d) => d), { strides, offset, length } = layout(dims, false);
    if (r.next() < 0.2) {
      // A computed index, constant or varying, into a small table.
      const size = 2 + r.int(4), at = layout(dims, false);
      const index = b.load("int32", at.strides, { offset: at.offset });
      data.push(Array.from({ length: at.length }, () => r.int(size)));
      const x = b.load(dtype, strides, {
        offset,
        dynamic: [{ value: index, stride: length, size }],
      });
      data.push(fill(dtype, length * size));
      return x;
    }
    const x = b.load(dtype, strides, { offset });
    data.push(fill(dtype, length));
    return x;
  };
  const ids: number[] = [];
  const typed = (test: (d: DType) => boolean) => ids.filter((i) => test(b.values[i].dtype));
  for (let i = 0; i < 2 + r.int(3); i++) ids.push(load(r.pick(dtypesHere)));
  if (r.next() < 0.3) ids.push(b.index(all.map(() => r.int(3)), r.int(4)));
  for (let i = 0; i < 3 + r.int(8); i++) {
    const x = r.pick(ids), { dtype } = b.values[x], kind = dtypes[dtype].kind;
    const peers = typed((d) => d === dtype), action = r.next();
    // bool and integer sums would count; reductions here are of floats and integers only.
    if (action < 0.2 && reduce.length > 0 && kind !== "bool") {
      ids.push(
        b.reduced(
          kind === "float" ? r.pick(["sum", "max", "min"]) : r.pick(["max", "min", "sum"]),
          x,
        ),
      );
    } else if (action < 0.3) {
      const to = r.pick(dtypesHere);
      if (kind === "float" && dtypes[to].kind !== "float") continue; // a step function
      ids.push(b.cast(x, to));
    } else if (action < 0.4 && typed((d) => d === "bool").length > 0) {
      ids.push(b.op("where", r.pick(typed((d) => d === "bool")), x, r.pick(peers)));
    } else if (action < 0.45 && kind !== "float") {
      ids.push(b.op(r.pick(["lt", "le", "eq"]), x, r.pick(peers)));
    } else {
      const op = r.pick(kind === "float" ? floatOps : kind === "bool" ? boolOps : intOps);
      const args = [x, r.next() < 0.2 ? b.const(1.5, dtype) : r.pick(peers)].slice(
        0,
        ops[op].arity,
      );
      ids.push(b.op(op, ...args));
    }
  }
  // What the later values lead to is stored.
  const kernel = b.build(), full = fullValues(kernel), stage = stages(kernel);
  const ends = ids.slice(-3).sort((x, y) => stage[x] - stage[y]);
  for (const id of ends) {
    const level = full[id] || (reduce.length > 0 && r.next() < 0.2) ? "full" : "row";
    const dims = all.map((_, d) => d).slice(0, level === "full" ? undefined : rank);
    const { strides, offset, length } = layout(dims, true);
    b.store(id, strides, { offset, level: reduce.length === 0 ? "row" : level });
    data.push(new Array(length).fill(0));
  }
  return { b, extent: outer[0], data };
}

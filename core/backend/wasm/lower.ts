/** From kernel data to a WebAssembly module. */
import { dtypes } from "../../dtype.ts";
import type { Kernel } from "../../kernel.ts";
import { get, i32, ifElse, ret } from "./instructions.ts";
import { Kit } from "./kit.ts";
import { Loops } from "./lower_loops.ts";
import { planKernel } from "./lower_plan.ts";
import { ScalarMachine } from "./scalar.ts";
import { VectorMachine } from "./vector.ts";

/** A kernel as a module. It imports the shared memory `e.m` and functions of {@linkcode mathImports}. */
export interface Lowered {
  /** The module; exports `run(begin, end, scratch, ...buffers)`, all i32: outer indices and byte addresses. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Scratch memory that a call needs. */
  readonly scratchBytes: number;
  /** Whether different spans of the first outer dimension may run at the same time. */
  readonly parallel: boolean;
}

/** Functions that generated modules may import, all by their names in `Math`. */
export const mathImports: Readonly<Record<string, (...x: number[]) => number>> = {
  exp: Math.exp,
  log: Math.log,
  sin: Math.sin,
  cos: Math.cos,
  tanh: Math.tanh,
  pow: Math.pow,
};

/** Whether every value fits lanes of 32 bits: no float64, and of int64 only what its low words tell. */
export function fitsLanes(kernel: Kernel): boolean {
  /** Values of int64 that are known to be int32 numbers. */
  const small: boolean[] = [];
  for (const v of kernel.values) {
    const source = v.kind === "op" ? kernel.values[v.args[v.args.length - 1]].dtype : v.dtype;
    small.push(
      v.dtype !== "int64" ||
        v.kind === "index" ||
        (v.kind === "const" && v.value === (v.value | 0)) ||
        (v.kind === "op" && v.op === "cast" && dtypes[source].kind !== "float" &&
          source !== "int64") ||
        (v.kind === "op" && v.op === "where" && v.args.slice(1).every((a) => small[a])),
    );
  }
  const isLoad = (id: number) => kernel.values[id].kind === "load";
  const valueFits = kernel.values.every((v, id) => {
    if (v.dtype === "float64") return false;
    if (v.dtype === "int64" && !small[id]) return v.kind === "load";
    if (v.kind !== "op") return v.kind !== "reduce" || v.dtype !== "int64";
    // A loaded int64 may be narrowed, compared, or be an index, but not computed with.
    return v.args.every((a) =>
      small[a] || (isLoad(a) && (
        (v.op === "cast" && v.dtype !== "bool" && dtypes[v.dtype].kind !== "float") ||
        v.op === "lt" || v.op === "le" || v.op === "eq"
      ))
    );
  });
  return valueFits &&
    kernel.stores.every((s) =>
      small[s.value] && kernel.buffers[s.address.buffer].dtype !== "float64" &&
      !(s.mode === "add" && kernel.buffers[s.address.buffer].dtype === "int64")
    );
}

/**
 * Prints a kernel.
 *
 * @param kernel What to compute; the extent of its first outer dimension is not used
 */
export function lowerKernel(kernel: Kernel): Lowered {
  const kit = new Kit(3 + kernel.buffers.length);
  const machine = fitsLanes(kernel) ? new VectorMachine(kit) : new ScalarMachine(kit);
  const plan = planKernel(kernel, machine.lanes, machine.slotBytes);
  const body = new Loops(kit, machine, plan).code();
  kit.run.emit(ifElse(i32.geU(get(0), get(1)), ret), ...kit.prologue, ...body);
  return {
    bytes: kit.module.build(),
    scratchBytes: plan.scratchBytes,
    parallel: kernel.stores.every((s) => s.mode !== "add"),
  };
}

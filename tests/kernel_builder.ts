/** Kernels by hand, for the tests and the benchmark of lowering. */
import type { DType } from "../core/dtype.ts";
import type { DynamicTerm, Kernel, KernelBuffer, Store, Value } from "../core/kernel.ts";
import { type OpName, ops, type ReduceOp } from "../core/ops.ts";
import { makeKernel } from "./kernel_interpreter.ts";

/** More of an address than its strides. */
export interface AddressOptions {
  readonly offset?: number;
  readonly dynamic?: readonly DynamicTerm[];
  /** A buffer that exists already. */
  readonly buffer?: number;
}

/** Collects the values and stores of one kernel; every method returns an id. */
export class KernelBuilder {
  readonly values: Value[] = [];
  readonly stores: Store[] = [];
  readonly buffers: KernelBuffer[] = [];

  constructor(readonly outer: readonly number[], readonly reduce: readonly number[] = []) {}

  #push(v: Value): number {
    return this.values.push(v) - 1;
  }

  #buffer(dtype: DType, access: "read" | "write", buffer?: number): number {
    if (buffer === undefined) return this.buffers.push({ dtype, access }) - 1;
    if (this.buffers[buffer].access !== access) this.buffers[buffer] = { dtype, access: "both" };
    return buffer;
  }

  const(value: number, dtype: DType = "float32"): number {
    return this.#push({ kind: "const", dtype, value });
  }

  index(strides: readonly number[], offset = 0): number {
    return this.#push({ kind: "index", dtype: "int32", offset, strides });
  }

  load(dtype: DType, strides: readonly number[], options: AddressOptions = {}): number {
    const { offset = 0, dynamic = [] } = options;
    const buffer = this.#buffer(dtype, "read", options.buffer);
    return this.#push({ kind: "load", dtype, address: { buffer, offset, strides, dynamic } });
  }

  op(op: OpName, ...args: number[]): number {
    const of = (i: number) => this.values[args[i]].dtype;
    const dtype = {
      same: of(0),
      bool: "bool",
      branch: of(args.length - 1),
      given: of(0),
      int32: "int32",
    } as const;
    return this.#push({ kind: "op", dtype: dtype[ops[op].result], op, args });
  }

  cast(x: number, dtype: DType): number {
    return this.#push({ kind: "op", dtype, op: "cast", args: [x] });
  }

  reduced(op: ReduceOp, arg: number): number {
    return this.#push({ kind: "reduce", dtype: this.values[arg].dtype, op, arg });
  }

  /** Stores at the row level when there is a reduce space and the address does not vary over it. */
  store(
    value: number,
    strides: readonly number[],
    options: AddressOptions & { mode?: "set" | "add"; level?: "row" | "full" } = {},
  ): void {
    const { offset = 0, dynamic = [], mode = "set" } = options;
    const { dtype } = options.buffer === undefined
      ? this.values[value]
      : this.buffers[options.buffer];
    const buffer = this.#buffer(dtype, "write", options.buffer);
    if (mode === "add") this.buffers[buffer] = { dtype, access: "both" };
    const level = options.level ??
      (strides.slice(this.outer.length).some((s) => s !== 0) ? "full" : "row");
    this.stores.push({ address: { buffer, offset, strides, dynamic }, value, mode, level });
  }

  build(): Kernel {
    const { outer, reduce, values, stores, buffers } = this;
    return makeKernel({ outer, reduce, values, stores, buffers });
  }
}

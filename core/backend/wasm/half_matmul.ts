/** Products of 16-bit floats: widened to float32, multiplied there, rounded once. */
import type { Buffer, Launch, Operand, RoutineCall } from "../../device.ts";
import { type DType, dtypes } from "../../dtype.ts";
import { kernelKey } from "../../kernel.ts";
import { lowerKernel, mathImports } from "./lower.ts";
import type { WasmMemory } from "./memory.ts";
import type { WasmFunction } from "./pool.ts";

const narrow: ReadonlySet<DType> = new Set(["float16", "bfloat16"]);

/** Whether a product has 16-bit operands, and otherwise only float32. */
export function isHalfProduct(operands: readonly Operand[]): boolean {
  return operands.every((o) => narrow.has(o.dtype) || o.dtype === "float32") &&
    operands.some((o) => narrow.has(o.dtype)) &&
    operands.every((o) => o.strides.every((s) => s >= 0));
}

/** Elements from the first to the last of an operand, both included. */
const span = (o: Operand): number =>
  o.shape.includes(0) ? 0 : o.shape.reduce((n, size, d) => n + (size - 1) * o.strides[d], 1);

/** Converts runs of elements from one float dtype to another. */
export class Casts {
  readonly #functions = new Map<string, WasmFunction>();

  /** @param memory The memory that elements lie in */
  constructor(readonly memory: WasmMemory) {}

  /** Converts `count` elements. */
  run(from: DType, source: number, to: DType, target: number, count: number): void {
    const key = `${from} ${to}`;
    let run = this.#functions.get(key);
    if (run === undefined) this.#functions.set(key, run = this.#make(from, to));
    run(0, count, 0, source, target);
  }

  #make(from: DType, to: DType): WasmFunction {
    const address = { offset: 0, strides: [1], dynamic: [] };
    const kernel = {
      outer: [1],
      reduce: [],
      values: [
        { kind: "load", dtype: from, address: { buffer: 0, ...address } },
        { kind: "op", dtype: to, op: "cast", args: [0] },
      ],
      stores: [{ address: { buffer: 1, ...address }, value: 1, mode: "set", level: "full" }],
      buffers: [{ dtype: from, access: "read" }, { dtype: to, access: "write" }],
    } as const;
    const { bytes } = lowerKernel({ ...kernel, key: kernelKey(kernel), name: "cast" });
    const imports = { e: { m: this.memory.memory, ...mathImports } };
    const instance = new WebAssembly.Instance(new WebAssembly.Module(bytes), imports);
    return instance.exports.run as WasmFunction;
  }
}

/**
 * A product with 16-bit operands. Its float32 copies live only while it runs, so that a captured step does not hold them.
 *
 * @param product Binds the float32 product
 */
export function halfProduct(
  call: RoutineCall<"matmul">,
  buffers: readonly Buffer[],
  casts: Casts,
  product: (call: RoutineCall<"matmul">, buffers: readonly Buffer[]) => Launch,
): Launch {
  const { memory } = casts, { operands } = call;
  const spans = operands.map(span);
  const places = operands.map((o, i) =>
    memory.address(buffers[i]) + o.offset * dtypes[o.dtype].bytes
  );
  const widened = operands.map((o): Operand => ({ ...o, dtype: "float32", offset: 0 }));
  const out = operands[2];
  // What lies between the elements of the output is written back too, so it must be read.
  const gaps = out.shape.reduce((x, y) => x * y, 1) < spans[2];
  const read = call.params.accumulate || gaps ? [0, 1, 2] : [0, 1];
  return () => {
    const wide = spans.map((n) => memory.alloc("float32", n));
    for (const i of read) casts.run(operands[i].dtype, places[i], "float32", wide[i].ptr, spans[i]);
    product({ ...call, operands: widened }, wide)();
    casts.run("float32", wide[2].ptr, out.dtype, places[2], spans[2]);
    for (const buffer of wide) memory.free(buffer);
  };
}

/** What the cases of routines are made of: operands, random elements, results of plain loops. */
import { plainTable } from "../core/backend/plain/mod.ts";
import type { KernelRoutineName } from "../core/backend/cuda/routine_table.ts";
import type { Operand, RoutineCall, RoutineParams } from "../core/device.ts";
import { type DType, dtypes, roundTo } from "../core/dtype.ts";
import { contiguousStrides } from "../core/shape.ts";

/** A call with data: the last operand is the output, what it holds before included. */
export interface RoutineCase {
  readonly label: string;
  readonly call: RoutineCall<KernelRoutineName>;
  readonly data: readonly number[][];
  /** What the output holds afterwards; undefined where an index is out of range. */
  readonly want: ArrayLike<number> | undefined;
  /** Largest error beside rounding to the dtype, relative to 1 plus the size of the number. */
  readonly limit: number;
}

/** Elements of a shape. */
export const size = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);
/** An operand, row-major unless strides say otherwise. */
export const operand = (
  dtype: DType,
  shape: readonly number[],
  strides: readonly number[] = contiguousStrides(shape),
  offset = 0,
): Operand => ({ dtype, shape, strides, offset });

/** Numbers from -2 to 2, the same ones each time. */
export function random(seed: number): () => number {
  let state = seed * 2654435761 >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state / 2 ** 30 - 2;
  };
}

/** Largest errors beside rounding to the dtype. */
export const limits: Partial<Record<DType, number>> = {
  float32: 1e-5,
  float64: 1e-12,
  float16: 2e-3,
  bfloat16: 1.6e-2,
};

/** Random elements: whole and not negative for integers. */
export function filled(dtype: DType, count: number, next: () => number): number[] {
  const scale = dtypes[dtype].kind === "float" ? 1 : dtype === "bool" ? 0.5 : 5;
  return Array.from({ length: count }, () => {
    const x = next() * scale;
    return roundTo(dtype, dtypes[dtype].kind === "float" ? x : Math.abs(Math.round(x)));
  });
}

let plain: ReturnType<typeof plainTable> | undefined;
/** Runs the plain loops of a routine. */
function reference(call: RoutineCall<KernelRoutineName>, data: readonly number[][]): Float64Array {
  const out = Float64Array.from(data.at(-1)!);
  plain ??= plainTable((_name, run) => (given, buffers) => ({
    start: () =>
      run(
        given.params,
        given.operands.map((o, i) => ({
          ...o,
          data: (buffers as unknown as Float64Array[])[i],
        })),
      ),
  }));
  const buffers = [...data.slice(0, -1), out] as never;
  plain[call.name as "scan"](call as never, buffers).start();
  return out;
}

/** Collects cases. */
export class RoutineCases {
  /** All so far. */
  readonly all: RoutineCase[] = [];

  /** Random numbers for the next case. */
  random(): () => number {
    return random(this.all.length + 1);
  }

  /** A call whose last operand is the output, filled with zeros before; what it holds afterwards comes from plain loops. */
  add<R extends KernelRoutineName>(
    name: R,
    params: RoutineParams[R],
    operands: readonly Operand[],
    data: readonly number[][],
    about = "",
  ): void {
    const call = { name, params, operands } as unknown as RoutineCall<KernelRoutineName>;
    const out = operands[operands.length - 1];
    const all = [...data, new Array(size(out.shape)).fill(0)];
    let want: ArrayLike<number> | undefined;
    try {
      want = reference(call, all);
    } catch {
      want = undefined;
    }
    const shapes = operands.map((o) => `${o.dtype}[${o.shape}]`).join(" ");
    // Sums come in another order: errors are those of the largest sum on the way.
    const limit = (limits[out.dtype] ?? 0) * (name === "scan" ? 5 : 1);
    this.all.push({
      label: `${name} ${JSON.stringify(params)} ${shapes} ${about}`,
      call,
      data: all,
      want,
      limit,
    });
  }
}
